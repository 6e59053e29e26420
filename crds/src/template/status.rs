//! What the controller has seen and done.

use crate::{
    ids::{AccountId, ImageId, InstanceId, Region, VolumeId},
    template::spec::{CaptureMode, OnStopTimeout, RestartWhen},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

/// Most bytes of the message in a row of `regions`.
pub const MAX_ROW_MESSAGE_BYTES: usize = 320;

/// Most bytes of the message in a row of `preflight`.
pub const MAX_CHECK_MESSAGE_BYTES: usize = 256;

/// Most rows of `preflight`.
pub const MAX_CHECKS: usize = 48;

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

    /// The change to AWS that was announced last, written before it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<Announced>,

    /// What the snapshots hold and cost.
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

/// One image that is ready to use.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RegionImage {
    /// Region of the image.
    pub region: Region,

    /// Processor architecture, as EC2 calls it: `x86_64`, `arm64`.
    #[schemars(length(max = 12))]
    pub architecture: String,

    /// Revision that the image holds.
    #[schemars(range(min = 1))]
    pub revision: i32,

    /// Id of the image.
    #[serde(rename = "imageID")]
    pub image_id: ImageId,

    /// When EC2 made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_time: Option<Time>,
}

/// The work in one region.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RegionStatus {
    /// The region.
    pub region: Region,

    /// Processor architecture, as EC2 calls it: `x86_64`, `arm64`.
    #[schemars(length(max = 12))]
    pub architecture: String,

    /// Revision that is worked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub revision: Option<i32>,

    /// Whether the machine is here or a copy goes here.
    pub role: RegionRole,

    /// The image, once EC2 has named it.
    #[serde(rename = "imageID", default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<ImageId>,

    /// The plain image that an encrypted one is made from.
    #[serde(rename = "stagingImageID", default, skip_serializing_if = "Option::is_none")]
    pub staging_image_id: Option<ImageId>,

    /// How far the image is.
    pub state: RegionState,

    /// Progress in steps of 25.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub progress_percent: Option<i32>,

    /// Key that encrypts the image.
    #[serde(rename = "kmsKeyID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub kms_key_id: Option<String>,

    /// With whom the image is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<Shares>,

    /// How often the image was asked for.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub attempts: i32,

    /// Why the state is not `Available`, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,

    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ROW_MESSAGE_BYTES))]
    pub message: Option<String>,

    /// When the image is asked for again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,

    /// When the last change in this region was announced, by EC2's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced_time: Option<Time>,
}

impl RegionStatus {
    /// A region in which nothing has begun.
    pub const fn waiting(region: Region, architecture: String, role: RegionRole) -> Self {
        Self {
            region,
            architecture,
            revision: None,
            role,
            image_id: None,
            staging_image_id: None,
            state: RegionState::Waiting,
            progress_percent: None,
            kms_key_id: None,
            shares: None,
            attempts: 0,
            reason: None,
            message: None,
            next_attempt_time: None,
            announced_time: None,
        }
    }
}

/// Whether the machine is in a region or a copy goes there.
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
pub enum RegionRole {
    /// The machine is here.
    #[default]
    Home,
    /// A copy goes here.
    Copy,
}

/// How far the image of one region is.
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
pub enum RegionState {
    /// Not asked for yet.
    #[default]
    Waiting,
    /// EC2 is making it.
    Pending,
    /// It can be launched.
    Available,
    /// EC2 gave up on it.
    Failed,
    /// It was there, and somebody else removed it.
    Missing,
    /// The region is no longer wanted; its image stays.
    Retained,
}

/// With whom an image is shared.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Shares {
    /// Accounts, organizations and units that may launch it.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub count: i32,

    /// Whether these are the ones that the spec lists.
    #[serde(default)]
    pub in_sync: bool,
}

/// One revision.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
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
    /// Somebody else made the image.
    Adopted,
}

/// One image of a revision.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
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

/// The machine, as it was seen.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Account of the machine.
    #[serde(rename = "accountID", default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<AccountId>,

    /// Id of the machine.
    #[serde(rename = "instanceID", default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<InstanceId>,

    /// State that the machine was found in, and is given back in: `running`, `stopped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub original_state: Option<String>,

    /// State of the machine now, as EC2 calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub state: Option<String>,

    /// Processor architecture, as EC2 calls it: `x86_64`, `arm64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 12))]
    pub architecture: Option<String>,

    /// Platform, as EC2 calls it: `Linux/UNIX`, `Windows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub platform: Option<String>,

    /// Instance type: `g5.xlarge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub instance_type: Option<String>,

    /// Image that the machine was launched from.
    #[serde(rename = "originalImageID", default, skip_serializing_if = "Option::is_none")]
    pub original_image_id: Option<ImageId>,

    /// Kind of the root device: `ebs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub root_device_type: Option<String>,
}

/// One capture: what it depends on, frozen when it began, and how far it came.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CaptureStatus {
    /// Id of the capture: 16 hexadecimal digits, new for every disruption. Also a tag on what it makes.
    #[serde(default)]
    #[schemars(length(max = 16), regex(pattern = "^([0-9a-f]{16})?$"))]
    pub id: String,

    /// Revision that it makes.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub revision: i32,

    /// How often an image of this revision was asked for.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub attempts: i32,

    /// How often this revision has stopped or rebooted the machine.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub disruptions: i32,

    /// What happens to the running machine.
    #[serde(default)]
    pub mode: CaptureMode,

    /// What the stopped machine waits for.
    #[serde(default)]
    pub restart_when: RestartWhen,

    /// Seconds after which the machine is started, come what may.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub max_downtime_seconds: i32,

    /// Devices that are left out of the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40), inner(length(max = 32)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub exclude_device_names: Vec<String>,

    /// What happens to a machine that does not stop in time.
    #[serde(default)]
    pub on_stop_timeout: OnStopTimeout,

    /// Digest of the `spec.source` that it was planned from: also the tag `source` on what it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = "^([0-9a-f]{16})?$"))]
    pub source_digest: Option<String>,

    /// Volumes that must have a snapshot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub expected_volumes: Vec<VolumeId>,

    /// The restart debt: what the restart loop must know to give the machine back. Also a tag on the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub debt: Option<String>,

    /// What is known of the volumes when they were read.
    #[serde(default)]
    pub consistency: Consistency,

    /// When the machine was last launched, as seen when the capture was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_time: Option<Time>,

    /// Time of the machine's last change of state, as EC2 gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_transition_time: Option<Time>,

    /// When the capture was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,

    /// When `StopInstances` was announced under this capture: from then on the record is a debt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_requested_time: Option<Time>,

    /// When the machine was seen stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_stopped_time: Option<Time>,

    /// When the image was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_requested_time: Option<Time>,

    /// When every snapshot had begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshots_started_time: Option<Time>,

    /// When the machine was given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_restored_time: Option<Time>,

    /// When the home image was available, or the capture had failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,

    /// Seconds from the stop of the machine until it ran again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub downtime_seconds: Option<i64>,

    /// The controller that began the capture: its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub created_by: Option<String>,

    /// Why the capture ended without an image, as one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,

    /// Why the capture ended without an image, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub message: Option<String>,
}

/// One change to AWS, written down before it is asked for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Announced {
    /// Number of the announcement; grows by one with each.
    #[schemars(range(min = 0))]
    pub number: i64,

    /// Kind of the change: `StopSource`, `CreateImage`.
    #[schemars(length(max = 64))]
    pub step: String,

    /// When it was announced, by EC2's clock.
    pub time: Time,

    /// The request as it is sent.
    #[serde(default)]
    #[schemars(length(max = 2048))]
    pub request: String,

    /// Region that it goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,

    /// What EC2 answered; absent while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub settled: Option<String>,
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

/// One thing that was checked.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PreflightCheck {
    /// Name of the check.
    #[schemars(length(max = 32))]
    pub check: String,

    /// Region that it is about; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,

    /// How it came out.
    pub result: CheckResult,

    /// What was found, and what to do about it; the condition `Validated` has it in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_CHECK_MESSAGE_BYTES))]
    pub message: Option<String>,
}

/// How a check came out.
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
pub enum CheckResult {
    /// It cannot be known beforehand.
    #[default]
    Unknown,
    /// Nothing stands in the way.
    Passed,
    /// The capture does not begin.
    Failed,
    /// The capture may begin, but read the message.
    Warning,
}
