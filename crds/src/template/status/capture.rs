//! The machine and its capture: what is owed, and what was asked of EC2.
use crate::{
    ids::{AccountId, ImageId, InstanceId, Region, VolumeId},
    template::spec::capture::{CaptureMode, OnStopTimeout, RestartWhen},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use super::{reason::CaptureReason, revision::Consistency};

/// Most bytes of the message in a row of `preflight`.
pub const MAX_CHECK_MESSAGE_BYTES: usize = 256;

/// Most rows of `preflight`.
pub const MAX_CHECKS: usize = 48;

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

    /// The restart record: what the restart loop must know to give the machine back. Also a tag on the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub restart_record: Option<String>,

    /// What is known of the volumes when they were read.
    #[serde(default)]
    pub consistency: Consistency,

    /// When the machine was last launched, as seen when the capture was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_time: Option<Time>,

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
    pub reason: Option<CaptureReason>,

    /// Why the capture ended without an image, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub message: Option<String>,
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
