//! How the machine is saved.
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use super::default::one;

/// Seconds after which the machine is started, where neither the object nor its class says.
pub const DEFAULT_MAX_DOWNTIME_SECONDS: i32 = 1800;

/// How the machine is saved.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CaptureSpec {
    /// What happens to a running machine. Absent means the class's default, else `Stop`. A machine that was stopped
    /// is saved as it is and stays stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CaptureMode>,

    /// When a machine that was stopped is started again.
    #[serde(default)]
    pub restart_when: RestartWhen,

    /// Seconds after which the machine is started, whatever `restartWhen` says. Absent means the class's default,
    /// else 1800.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 300, max = 86400))]
    pub max_downtime_seconds: Option<i32>,

    /// How often one revision may stop or reboot the machine. Raising it, or `revision`, tries again.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10))]
    pub max_disruptions: i32,

    /// How the machine is stopped.
    #[serde(default)]
    pub stop: StopSpec,

    /// What a stop may do to data on instance-store volumes, which it erases.
    #[serde(default)]
    pub instance_store: InstanceStore,

    /// Devices to leave out of the image. The root device cannot be left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40), inner(length(min = 1, max = 32), regex(pattern = "^[A-Za-z0-9/]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub exclude_device_names: Vec<String>,
}

impl Default for CaptureSpec {
    fn default() -> Self {
        Self {
            mode: None,
            restart_when: RestartWhen::default(),
            max_downtime_seconds: None,
            max_disruptions: one(),
            stop: StopSpec::default(),
            instance_store: InstanceStore::default(),
            exclude_device_names: Vec::new(),
        }
    }
}

impl CaptureSpec {
    /// The mode that holds where no class says otherwise.
    pub fn mode_or_default(&self) -> CaptureMode {
        self.mode.unwrap_or_default()
    }

    /// The limit that holds where no class says otherwise.
    pub fn max_downtime_seconds_or_default(&self) -> i32 {
        self.max_downtime_seconds.unwrap_or(DEFAULT_MAX_DOWNTIME_SECONDS)
    }
}

/// What happens to a running machine while it is saved.
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
pub enum CaptureMode {
    /// Stopped, saved with its volumes at rest, and started again.
    #[default]
    Stop,
    /// Rebooted by EC2 while it takes the image.
    Reboot,
    /// Left running: the image is like a disk after a power cut.
    NoReboot,
}

/// What a stopped machine waits for before it is started again.
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
pub enum RestartWhen {
    /// Every snapshot has begun: from then on the volumes may change.
    #[default]
    SnapshotsStarted,
    /// EC2 says that the image is available.
    ImageAvailable,
}

/// How the machine is stopped.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StopSpec {
    /// Seconds that the machine has to stop. More than `maxDowntimeSeconds` − 240 counts as that.
    #[serde(default = "default_stop_timeout")]
    #[schemars(range(min = 60, max = 3600))]
    pub timeout_seconds: i32,

    /// What happens to a machine that has not stopped by then.
    #[serde(default)]
    pub on_timeout: OnStopTimeout,
}

const fn default_stop_timeout() -> i32 {
    600
}

impl Default for StopSpec {
    fn default() -> Self {
        Self { timeout_seconds: default_stop_timeout(), on_timeout: OnStopTimeout::default() }
    }
}

/// What happens to a machine that does not stop in time.
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
pub enum OnStopTimeout {
    /// The save is given up and the machine started.
    #[default]
    Abort,
    /// The machine is stopped the hard way; the image does not count as `Stopped`.
    Force,
}

/// What a stop may do to data on instance-store volumes.
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
pub enum InstanceStore {
    /// A machine that has such volumes is not stopped.
    #[default]
    Refuse,
    /// Their data may be lost.
    Discard,
}
