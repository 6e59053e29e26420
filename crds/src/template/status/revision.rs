//! What became of each revision.
use crate::ids::{ImageId, InstanceId, Region};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

/// One revision.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct RevisionStatus {
    /// Number of the revision.
    #[schemars(range(min = 1))]
    pub revision: i32,

    /// What became of it.
    pub state: RevisionState,

    /// The machine that was saved.
    #[serde(rename = "sourceInstanceID", default, skip_serializing_if = "Option::is_none")]
    pub source_instance_id: Option<InstanceId>,

    /// What is known of its volumes when they were read.
    #[serde(default)]
    pub consistency: Consistency,

    /// When EC2 made the home image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_time: Option<Time>,

    /// Its images in every region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 41))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub images: Vec<RevisionImage>,
}

impl RevisionStatus {
    /// A revision of which nothing is known but its number and state.
    pub const fn new(revision: i32, state: RevisionState) -> Self {
        Self {
            revision,
            state,
            source_instance_id: None,
            consistency: Consistency::Unknown,
            created_time: None,
            images: Vec::new(),
        }
    }
}

/// What became of a revision.
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
pub enum RevisionState {
    /// Its image is being made.
    #[default]
    Capturing,
    /// Its image can be used.
    Available,
    /// It is disabled.
    Revoked,
    /// It got no image.
    Failed,
    /// It had an image, which somebody else removed.
    Missing,
}

/// What is known of the volumes when they were read. `Stopped` is claimed only when it is proven.
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
pub enum Consistency {
    /// Nothing is proven.
    #[default]
    Unknown,
    /// The machine was stopped and the volumes at rest.
    Stopped,
    /// EC2 rebooted the machine for it.
    Rebooted,
    /// The machine ran: like a disk after a power cut.
    CrashConsistent,
    /// The image was found and taken over: somebody else made it, or the status of its capture is lost.
    Adopted,
}

/// One image of a revision.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct RevisionImage {
    /// Region of the image.
    pub region: Region,

    /// Processor architecture, as EC2 calls it: `x86_64`, `arm64`.
    #[schemars(length(max = 12))]
    pub architecture: String,

    /// Id of the image.
    #[serde(rename = "imageID")]
    pub image_id: ImageId,
}
