//! Images and snapshots.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    clock::{Millis, iso},
    instance::Reason,
    permission::Permission,
    tags::Tags,
};

/// Where an image is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ImageState {
    /// Its snapshots are being made.
    Pending,
    /// It can be launched.
    Available,
    /// It was made unusable until it is enabled again; its name stays taken.
    Disabled,
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
            Self::Disabled => "disabled",
            Self::Failed => "failed",
            Self::Deregistered => "deregistered",
        }
    }
}

/// Whether an image can be deregistered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Protection {
    /// It can.
    #[default]
    Disabled,
    /// Not before protection is disabled.
    Enabled,
    /// Not before protection was disabled for 24 hours.
    EnabledWithCooldown,
    /// Not before then.
    DisabledAfter {
        /// When the 24 hours are over.
        at: Millis,
    },
}

impl Protection {
    /// Whether it holds.
    pub fn is_on(self, now: Millis) -> bool {
        match self {
            Self::Disabled => false,
            Self::Enabled | Self::EnabledWithCooldown => true,
            Self::DisabledAfter { at } => now < at,
        }
    }

    /// As `DescribeImages` spells it (`disabled after …`: ekristen/aws-nuke resources/ec2-image.go).
    pub(crate) fn spoken(self, now: Millis) -> String {
        match self {
            Self::DisabledAfter { at } if now < at => format!("disabled after {}", iso(at)),
            Self::Disabled | Self::DisabledAfter { .. } => "disabled".to_owned(),
            Self::Enabled => "enabled-without-cooldown".to_owned(),
            Self::EnabledWithCooldown => "enabled-with-cooldown".to_owned(),
        }
    }
}

/// What keeps a snapshot from being deleted by anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// `governance` or `compliance`
    pub mode: String,
    /// Since when.
    pub created_at: Millis,
    /// Until when.
    pub expires_at: Millis,
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
    /// Whose it is.
    pub owner: String,
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
    /// The image that its machine was launched from: EC2 shows that as its source, too (boto3, `Image.source_image_id`).
    pub ancestor: Option<Origin>,
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
    /// Who else may launch it.
    pub permissions: BTreeSet<Permission>,
    /// When it is deprecated: its owner sees it all the same.
    pub deprecated_at: Option<Millis>,
    /// Whether it can be deregistered.
    pub protection: Protection,
    /// Its product codes.
    pub product_codes: Vec<String>,
    /// Its instance store devices.
    pub instance_store: Vec<String>,
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
    /// How long after it appeared; absent: when it would have been completed.
    pub(crate) after: Option<Millis>,
}

impl Image {
    /// The image that EC2 shows as its source: the one that it is a copy of, or that its machine was launched from.
    pub const fn source(&self) -> Option<&Origin> {
        match &self.origin {
            Some(origin) => Some(origin),
            None => self.ancestor.as_ref(),
        }
    }

    /// What becomes of the snapshot of a device, unless it is completed.
    pub(crate) fn spoils(&self, device: &str) -> Option<&Spoilt> {
        self.spoilt.as_ref().filter(|spoilt| spoilt.device.as_ref().is_none_or(|spoilt| spoilt == device))
    }
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
    /// Whose it is.
    pub owner: String,
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
    /// Who else may make volumes of it.
    pub permissions: BTreeSet<Permission>,
    /// What keeps it from being deleted.
    pub lock: Option<Lock>,
    /// Ground truth: the volume's write clock at `start_time`.
    pub captured: Millis,
    /// Ground truth: whether no guest wrote to the volume at `start_time`.
    pub is_at_rest: bool,
    /// How long it takes to be stored.
    pub(crate) duration: Millis,
}

impl Snapshot {
    /// The lock that is in force.
    pub fn lock_at(&self, now: Millis) -> Option<&Lock> {
        self.lock.as_ref().filter(|lock| now < lock.expires_at)
    }
}
