//! Where the ids of the images are published.
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

/// Where the id of the image is made known.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Publish {
    /// SSM parameters of type `aws:ec2:image`, of the same name in home and in each region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub ssm_parameters: Vec<SsmParameter>,

    /// A `ConfigMap` in this namespace with one key `<region>.<architecture>` for each image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<PublishedConfigMap>,

    /// What happens to what is no longer wanted here.
    #[serde(default)]
    pub removal_policy: RemovalPolicy,
}

/// One SSM parameter.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SsmParameter {
    /// Name of the parameter, such as `/golden/seismic-ml`.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9_./-]+$"))]
    pub name: String,
}

/// A `ConfigMap` that holds the ids.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PublishedConfigMap {
    /// Name of the `ConfigMap`.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// What happens to something published that is no longer wanted.
#[derive(
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    EnumIter,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
)]
pub enum RemovalPolicy {
    /// It stays as it is.
    #[default]
    Retain,
    /// It is deleted if it is ours.
    Delete,
}
