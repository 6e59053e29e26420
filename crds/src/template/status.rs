//! What the controller has seen and done.

use crate::ids::ImageId;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod announced;
mod capture;
mod reason;
mod region;
mod removed;
mod revision;

pub use announced::{
    Announced, MAX_ANNOUNCED, MAX_CODE_BYTES, MAX_OUTCOME_BYTES, MAX_REQUEST_BYTES, MAX_STEP_BYTES,
    StepOutcome, StepResult,
};
pub use capture::{
    CaptureStatus, CheckResult, MAX_CHECK_MESSAGE_BYTES, MAX_CHECKS, PreflightCheck, SourceStatus,
};
pub use reason::{CaptureReason, RegionReason};
pub use region::{MAX_ROW_MESSAGE_BYTES, RegionImage, RegionRole, RegionState, RegionStatus, Shares};
pub use removed::{MAX_REMOVED_IMAGES, RemovedImage};
pub use revision::{Consistency, RevisionImage, RevisionState, RevisionStatus};

/// Observed state of the template.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = crate::schema::refine, extend("default" = {"observedGeneration": -1}))]
pub struct SavedTemplateStatus {
    /// `metadata.generation` that this status was decided upon; −1 until a controller has seen the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,

    /// The highest revision whose capture was ever begun or adopted. Never shrinks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub latest_revision: Option<i32>,

    /// The revision that `images`, `imageID`, sharing and publishing show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_revision: Option<i32>,

    /// The image in the home region; never a pending one.
    #[serde(rename = "imageID", default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<ImageId>,

    /// The images to use, home first: only available ones. A running or failed capture never touches them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["region".into(), "architecture".into()]))]
    pub images: Vec<RegionImage>,

    /// The work in each region, home included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["region".into(), "architecture".into()]))]
    pub regions: Vec<RegionStatus>,

    /// The active revision and the newest 19.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["revision".into()]))]
    pub revisions: Vec<RevisionStatus>,

    /// Regions that have the image, of those that should: `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub region_summary: Option<String>,

    /// The machine, as it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceStatus>,

    /// The capture that runs or ran last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureStatus>,

    /// The change to AWS that was announced last in each region, written before it was asked for.
    #[serde(default, deserialize_with = "announced::list", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ANNOUNCED))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["region".into()]))]
    pub announced: Vec<Announced>,

    /// Images that EC2 was asked to deregister, until nothing of them is left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_REMOVED_IMAGES))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["imageID".into()]))]
    pub removed_images: Vec<RemovedImage>,

    /// What the snapshots hold and cost; not written in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// What was checked before the next capture may begin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_CHECKS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub preflight: Vec<PreflightCheck>,

    /// Keys of the tags that we put on; only these are ever taken off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub applied_tag_keys: Vec<String>,

    /// Kubernetes conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// What the snapshots hold and cost.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size of all snapshots in all regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub size_bytes: Option<i64>,

    /// What they cost in a month, in US dollars: `12.34`.
    #[serde(rename = "estimatedMonthlyUSD", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub estimated_monthly_usd: Option<String>,

    /// What the estimate rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub basis: Option<String>,
}
