//! Images and snapshots.

use serde::Serialize;

use crate::{clock::Millis, instance::Reason, tags::Tags};

/// Where an image is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ImageState {
    /// Its snapshots are being made.
    Pending,
    /// It can be launched.
    Available,
    /// It came to nothing.
    Failed,
    /// It was deregistered.
    Deregistered,
}

impl ImageState {
    /// As EC2 spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Available => "available",
            Self::Failed => "failed",
            Self::Deregistered => "deregistered",
        }
    }
}

/// A device of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mapping {
    /// `/dev/sda1`
    pub device: String,
    /// The volume that it is of.
    pub volume: String,
    /// Its snapshot, once there is one.
    pub snapshot: Option<String>,
    /// The snapshot that it is a copy of.
    pub copied: Option<String>,
    /// The volume's size.
    pub gib: u32,
    /// `gp3`
    pub volume_type: String,
    /// Whether the volume goes with the instance.
    pub delete_on_termination: bool,
    /// The key that it is encrypted with.
    pub kms_key: Option<String>,
}

/// The image that an image is a copy of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// Its id.
    pub image: String,
    /// Its region.
    pub region: String,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Where it is in its life.
    pub state: ImageState,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// When it was asked for.
    pub created_at: Millis,
    /// When it became available.
    pub available_at: Option<Millis>,
    /// When it was deregistered.
    pub deregistered_at: Option<Millis>,
    /// The instance that it is of.
    pub instance: Option<String>,
    /// The image that it is a copy of.
    pub origin: Option<Origin>,
    /// Whether `CreateImage` was told to leave the guest alone.
    pub no_reboot: bool,
    /// Its devices.
    pub mappings: Vec<Mapping>,
    /// `ebs`
    pub root_device_type: String,
    /// `/dev/sda1`
    pub root_device_name: String,
    /// `x86_64`
    pub architecture: String,
    /// Its tags.
    pub tags: Tags,
    /// The tags that its snapshots are made with.
    pub snapshot_tags: Tags,
    /// How long its snapshots take to be stored.
    pub(crate) snapshot_duration: Millis,
    /// When it may become available at the earliest.
    pub(crate) ready_at: Millis,
    /// What will become of it when its snapshots were due.
    pub(crate) doom: Option<Reason>,
    /// What becomes of its snapshots.
    pub(crate) spoilt: Option<Spoilt>,
}

impl Image {
    /// Whether some snapshot of it has yet to appear.
    pub fn is_capturing(&self) -> bool {
        self.state == ImageState::Pending && self.mappings.iter().any(|mapping| mapping.snapshot.is_none())
    }
}

/// A snapshot that will end in `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Spoilt {
    /// Of this device, or of any.
    pub(crate) device: Option<String>,
    /// The state message.
    pub(crate) message: String,
}

/// Where a snapshot is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SnapshotState {
    /// It holds its instant, and is being stored.
    Pending,
    /// It is stored.
    Completed,
    /// It came to nothing.
    Error,
}

impl SnapshotState {
    /// As EC2 spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Error => "error",
        }
    }
}

/// A snapshot, and what it holds in truth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Its id.
    pub id: String,
    /// The volume that it is of; `vol-ffffffff` for a copy.
    pub volume: String,
    /// Where it is in its life.
    pub state: SnapshotState,
    /// Why it came to nothing.
    pub message: Option<String>,
    /// The instant that it holds.
    pub start_time: Millis,
    /// When it was stored.
    pub completed_at: Option<Millis>,
    /// Its description.
    pub description: String,
    /// The volume's size.
    pub gib: u32,
    /// The key that it is encrypted with.
    pub kms_key: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// The image that it was made for.
    pub image: String,
    /// Ground truth: the volume's write clock at `start_time`.
    pub captured: Millis,
    /// Ground truth: whether no guest wrote to the volume at `start_time`.
    pub is_at_rest: bool,
    /// How long it takes to be stored.
    pub(crate) duration: Millis,
}
