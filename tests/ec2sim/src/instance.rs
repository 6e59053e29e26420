//! Instances and their volumes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{clock::Millis, seed::StartFault, tags::Tags};

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// It was asked to start.
    Pending,
    /// It runs.
    Running,
    /// It was asked to end.
    ShuttingDown,
    /// It is gone, and still listed for an hour.
    Terminated,
    /// It was asked to stop, and still writes.
    Stopping,
    /// It is at rest.
    Stopped,
}

impl InstanceState {
    /// As EC2 spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// As EC2 numbers it.
    pub fn code(self) -> u16 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

    /// Whether a guest in this state writes to its volumes.
    pub fn writes(self) -> bool {
        match self {
            Self::Running | Self::Stopping | Self::ShuttingDown => true,
            Self::Pending | Self::Terminated | Self::Stopped => false,
        }
    }
}

/// A code and its sentence: why something is in its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `Client.UserInitiatedShutdown`
    pub code: String,
    /// The sentence.
    pub message: String,
}

impl Reason {
    /// EC2 repeats the code in the message.
    pub fn new(code: &str, sentence: &str) -> Self {
        Self { code: code.to_owned(), message: format!("{code}: {sentence}") }
    }
}

/// How an instance is paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Lifecycle {
    /// By the hour.
    #[default]
    OnDemand,
    /// Spot, by a one-time request: it cannot be stopped.
    SpotOneTime,
    /// Spot, by a persistent request.
    SpotPersistent,
}

/// Whose a public address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PublicAddress {
    /// Amazon's: it is given back at `stopped`, and a start gets another.
    Auto,
    /// The account's.
    Elastic,
}

/// What EC2 plans for an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduledEvent {
    /// `instance-reboot`, `system-reboot`, `system-maintenance`, `instance-retirement` or `instance-stop`
    pub code: String,
    /// The sentence; one that is over begins with `[Completed]` or `[Canceled]`.
    pub description: String,
    /// When it begins at the earliest.
    pub not_before: Millis,
    /// When it is over at the latest.
    #[serde(default)]
    pub not_after: Option<Millis>,
}

/// A change of state, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// When.
    pub at: Millis,
    /// The state from then on.
    pub state: InstanceState,
    /// The caller's user agent, or what happened by itself.
    pub cause: String,
}

/// A volume's place on an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// `/dev/sda1`
    pub name: String,
    /// Its volume.
    pub volume: String,
    /// Since when.
    pub attach_time: Millis,
    /// Whether it goes with the instance.
    pub delete_on_termination: bool,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "independent attributes, as EC2 has them")]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// `t3.micro`
    pub instance_type: String,
    /// The image that it came from.
    pub image: String,
    /// Where it is in its life.
    pub state: InstanceState,
    /// When it was last asked to start, in whole seconds.
    pub launch_time: Millis,
    /// Why it is in its state.
    pub reason: Option<Reason>,
    /// The state transition reason; empty while it runs.
    pub transition: String,
    /// `ebs` or `instance-store`
    pub root_device_type: String,
    /// `/dev/sda1`
    pub root_device_name: String,
    /// How it is paid for.
    pub lifecycle: Lifecycle,
    /// Its spot request.
    pub spot_request: Option<String>,
    /// The service that manages it.
    pub operator: Option<String>,
    /// Stop protection.
    pub disable_api_stop: bool,
    /// Termination protection.
    pub disable_api_termination: bool,
    /// `stop` or `terminate`: what a shutdown from inside does.
    pub shutdown_behavior: String,
    /// Whether hibernation was configured at launch.
    pub hibernation: bool,
    /// Its volumes.
    pub devices: Vec<Device>,
    /// Its instance store devices: `DescribeInstances` does not show them, an image of it does.
    pub instance_store: Vec<String>,
    /// Its product codes.
    pub product_codes: Vec<String>,
    /// Whose its public address is.
    pub addressing: Option<PublicAddress>,
    /// Its public address.
    pub address: Option<String>,
    /// `default`, `dedicated` or `host`
    pub tenancy: String,
    /// Its dedicated host.
    pub host: Option<String>,
    /// The placement group that it is in.
    pub placement_group: Option<String>,
    /// The Capacity Reservation that it runs in.
    pub reservation: Option<String>,
    /// The Capacity Reservation that it may only run in.
    pub reservation_target: Option<String>,
    /// What EC2 plans for it.
    pub events: Vec<ScheduledEvent>,
    /// Its tags.
    pub tags: Tags,
    /// `us-west-2a`
    pub zone: String,
    /// `x86_64`
    pub architecture: String,
    /// What the next starts will meet.
    pub start_faults: Vec<StartFault>,
    /// Whether it never leaves `stopping`, unless forced.
    pub is_stuck: bool,
    /// How often it was rebooted.
    pub reboots: u32,
    /// Its changes of state, oldest first.
    pub history: Vec<Moment>,
    /// Since when it is terminated.
    pub terminated_at: Option<Millis>,
    /// Counts state changes, so that an overtaken transition is dropped.
    pub(crate) epoch: u64,
}

impl Instance {
    /// The intervals in which it was not running, from the first `running` on; the last may be open.
    pub fn downtimes(&self) -> Vec<(Millis, Option<Millis>)> {
        let mut intervals = Vec::new();
        let mut since = None;
        let mut has_run = false;
        for moment in &self.history {
            match (moment.state == InstanceState::Running, since) {
                (true, Some(start)) => {
                    intervals.push((start, Some(moment.at)));
                    since = None;
                }
                (true, None) => has_run = true,
                (false, None) if has_run => since = Some(moment.at),
                (false, _) => {}
            }
        }
        intervals.extend(since.map(|start| (start, None)));
        intervals
    }
}

/// A volume and its write clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its id.
    pub id: String,
    /// Its size.
    pub gib: u32,
    /// `gp3`
    pub volume_type: String,
    /// The key that it is encrypted with.
    pub kms_key: Option<String>,
    /// Whether several instances may hold it.
    pub multi_attach: bool,
    /// When it was made.
    pub create_time: Millis,
    /// `us-west-2a`
    pub zone: String,
    /// The service that manages it.
    pub operator: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// Milliseconds of writing by guests that no longer write.
    pub(crate) written: Millis,
    /// Guests that write, and since when.
    pub(crate) writers: BTreeMap<String, Millis>,
}

impl Volume {
    /// The write clock: how many milliseconds guests have been writing to it.
    pub fn write_clock(&self, now: Millis) -> Millis {
        self.written + self.writers.values().map(|since| now - since).sum::<Millis>()
    }

    /// Whether no guest writes to it.
    pub fn is_at_rest(&self) -> bool {
        self.writers.is_empty()
    }

    pub(crate) fn begin(&mut self, writer: &str, now: Millis) {
        self.writers.entry(writer.to_owned()).or_insert(now);
    }

    pub(crate) fn cease(&mut self, writer: &str, now: Millis) {
        if let Some(since) = self.writers.remove(writer) {
            self.written += now - since;
        }
    }
}
