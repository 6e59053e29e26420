//! What a template gets that does not say, and how much it may ask for.

use crate::template::spec::{CaptureMode, InstanceStore, OnStopTimeout};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unknown::Unknown;

/// Values of fields that a template leaves out.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Defaults {
    /// Value of `capture.mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_mode: Option<CaptureMode>,

    /// Value of `capture.maxDowntimeSeconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 300, max = 86400))]
    pub max_downtime_seconds: Option<i32>,

    /// Fields of a newer version.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}

/// Words for those who launch the images.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Launch {
    /// Sizes to choose from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub sizes: Vec<InstanceSize>,

    /// Fields of a newer version.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}

/// One size to choose.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct InstanceSize {
    /// Word for the size, such as `S` or `GPU-L`.
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub name: String,

    /// EC2's name of it, such as `m7g.large`.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-z0-9][a-z0-9.-]*$"))]
    pub instance_type: String,
}

/// Bounds of what templates may ask for.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Values that `capture.mode` may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub capture_modes: Vec<CaptureMode>,

    /// Values that `capture.stop.onTimeout` may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub on_stop_timeout: Vec<OnStopTimeout>,

    /// Values that `capture.instanceStore` may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub instance_store: Vec<InstanceStore>,

    /// Largest `capture.maxDowntimeSeconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 300, max = 86400))]
    pub max_downtime_seconds: Option<i32>,

    /// Largest `capture.maxDisruptions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub max_disruptions: Option<i32>,

    /// Seconds between two captures of one machine, whichever template asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub min_seconds_between_captures: Option<i32>,

    /// Most regions that one template may copy to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 40))]
    pub max_regions: Option<i32>,

    /// Most images that the templates of one namespace may have, in all regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub max_images_per_namespace: Option<i32>,

    /// Most GiB that those images may have.
    #[serde(rename = "maxGiBPerNamespace", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_gib_per_namespace: Option<i32>,

    /// Most captures at one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub concurrent_captures: Option<i32>,

    /// Most copies at one time into one region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub concurrent_copies_per_region: Option<i32>,

    /// Fields of a newer version.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}
