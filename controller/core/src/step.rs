//! Every change that the controller can make to AWS, as one enum, and what AWS may answer.
use saved_template_api::{
    ids::{ImageId, InstanceId, Region, SnapshotId},
    receipts::Receipt,
    status::Announced,
};
use serde::{Deserialize, Serialize};

use crate::{
    ec2_error::Ec2Error,
    restart::Record,
    world::{InstanceState, Tags},
};

/// A `CreateImage` request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRequest {
    /// The instance.
    pub instance: InstanceId,
    /// The AMI name.
    pub name: String,
    /// The description; empty for none.
    pub description: String,
    /// Tags of the image.
    pub image_tags: Tags,
    /// Tags of each snapshot.
    pub snapshot_tags: Tags,
    /// Whether EC2 reboots the machine for it (`NoReboot=false`); a stopped machine is imaged with `NoReboot=true`.
    pub reboot: bool,
    /// Devices that are left out (`NoDevice`).
    pub excluded_devices: Vec<String>,
}

/// A `CopyImage` request, sent to the destination region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRequest {
    /// The image to copy.
    pub source: ImageId,
    /// The region that it is in.
    pub source_region: Region,
    /// The AMI name of the copy.
    pub name: String,
    /// The description; empty for none.
    pub description: String,
    /// Tags of the image.
    pub image_tags: Tags,
    /// Tags of each snapshot.
    pub snapshot_tags: Tags,
    /// Client token (≤ 64 ASCII characters): the same for each try of one copy attempt.
    pub token: String,
}

/// One change to AWS. A reconcile makes at most one in each region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `CreateTags`: put the restart record and the receipt on the instance, or rewrite the record.
    Tag {
        /// The record to write.
        record: Record,
        /// The key of the receipts on the instance, and the one that is put first; none when a record is only rewritten.
        receipt: Option<(String, Receipt)>,
        /// The capture of an earlier plan whose record may be overwritten, since it came too late to stop anything.
        replaces: Option<String>,
    },
    /// `DeleteTags` by key and exact value: withdraw a record under which nothing was stopped.
    Untag {
        /// The record to withdraw.
        record: Record,
    },
    /// `StopInstances`, under the record.
    Stop {
        /// The record that covers it.
        record: Record,
        /// `Force`: the hard way, for a machine that has not stopped in time.
        force: bool,
    },
    /// `CreateImage`.
    CreateImage(Box<ImageRequest>),
    /// `CopyImage` in one region.
    CopyImage {
        /// The destination.
        region: Region,
        /// The request; the status knows it again by its token.
        request: Box<CopyRequest>,
    },
    /// `CreateTags` on images and snapshots of one region.
    TagImages {
        /// Where they are.
        region: Region,
        /// Ids of images and snapshots, at most 1000.
        resources: Vec<String>,
        /// The tags that they get.
        tags: Tags,
    },
    /// `DeleteTags` by key on images and snapshots of one region.
    UntagImages {
        /// Where they are.
        region: Region,
        /// Ids of images and snapshots, at most 1000.
        resources: Vec<String>,
        /// The keys that they lose; never empty.
        keys: Vec<String>,
    },
    /// `ModifyImageAttribute`: the description.
    SetDescription {
        /// Where it is.
        region: Region,
        /// The image.
        image: ImageId,
        /// The text; empty for none.
        description: String,
    },
    /// `DeregisterImage` with `DeleteAssociatedSnapshots`.
    Deregister {
        /// Where it is.
        region: Region,
        /// The image.
        image: ImageId,
    },
    /// `DeleteSnapshot`.
    DeleteSnapshot {
        /// Where it is.
        region: Region,
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// Takes a receipt off the machine, if the tag still has the value that it was read from: `CreateTags` with those
    /// of other objects that are left, or `DeleteTags` by key *and* exact value where none is.
    RemoveReceipt {
        /// The machine.
        instance: InstanceId,
        /// The key of the tag.
        key: String,
        /// The value that it has.
        value: String,
        /// The value that it gets.
        left: Option<String>,
    },
}

impl Step {
    /// The name under which the status announces the step.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Tag { receipt: Some(_), .. } => TAG,
            Self::Tag { receipt: None, .. } => RETAG,
            Self::Untag { .. } => UNTAG,
            Self::Stop { force: false, .. } => STOP,
            Self::Stop { force: true, .. } => FORCE_STOP,
            Self::CreateImage(_) => CREATE_IMAGE,
            Self::CopyImage { .. } => COPY_IMAGE,
            Self::TagImages { .. } => TAG_IMAGES,
            Self::UntagImages { .. } => UNTAG_IMAGES,
            Self::SetDescription { .. } => SET_DESCRIPTION,
            Self::Deregister { .. } => DEREGISTER,
            Self::DeleteSnapshot { .. } => DELETE_SNAPSHOT,
            Self::RemoveReceipt { .. } => REMOVE_RECEIPT,
        }
    }

    /// The region that a change of images is for; none where it is that of the machine.
    pub const fn region(&self) -> Option<&Region> {
        match self {
            Self::CopyImage { region, .. }
            | Self::TagImages { region, .. }
            | Self::UntagImages { region, .. }
            | Self::SetDescription { region, .. }
            | Self::Deregister { region, .. }
            | Self::DeleteSnapshot { region, .. } => Some(region),
            Self::Tag { .. }
            | Self::Untag { .. }
            | Self::Stop { .. }
            | Self::CreateImage(_)
            | Self::RemoveReceipt { .. } => None,
        }
    }
}

/// What the status says of the step: by this text the same change is known again.
pub(crate) fn request_text(step: &Step) -> String {
    Announced::request_text(whole_request(step))
}

fn whole_request(step: &Step) -> String {
    match step {
        Step::Tag { record, .. } | Step::Untag { record } | Step::Stop { record, .. } => record.to_string(),
        Step::CreateImage(request) => request.name.clone(),
        Step::CopyImage { request, .. } => request.token.clone(),
        Step::TagImages { resources, .. } | Step::UntagImages { resources, .. } => resources.join(" "),
        Step::SetDescription { image, .. } | Step::Deregister { image, .. } => image.to_string(),
        Step::DeleteSnapshot { snapshot, .. } => snapshot.to_string(),
        Step::RemoveReceipt { key, value, .. } => format!("{key}={value}"),
    }
}

/// Announced as: the record is put on the instance.
pub const TAG: &str = "TagRestartRecord";
/// Announced as: the record is rewritten.
pub const RETAG: &str = "RewriteRestartRecord";
/// Announced as: the record is withdrawn.
pub const UNTAG: &str = "WithdrawRestartRecord";
/// Announced as: the machine is stopped.
pub const STOP: &str = "StopInstances";
/// Announced as: the image is requested.
pub const CREATE_IMAGE: &str = "CreateImage";
/// Announced as: a copy is requested.
pub const COPY_IMAGE: &str = "CopyImage";
/// Announced as: a machine that does not stop is stopped the hard way.
pub const FORCE_STOP: &str = "ForceStopInstances";
/// Announced as: tags of images and snapshots are brought into line.
pub const TAG_IMAGES: &str = "TagImages";
/// Announced as: tags that are no longer wanted are taken off images and snapshots.
pub const UNTAG_IMAGES: &str = "UntagImages";
/// Announced as: the description of an image is brought into line.
pub const SET_DESCRIPTION: &str = "ModifyImageAttribute";
/// Announced as: an image is deregistered, with its snapshots.
pub const DEREGISTER: &str = "DeregisterImage";
/// Announced as: a snapshot that was left is deleted.
pub const DELETE_SNAPSHOT: &str = "DeleteSnapshot";
/// Announced as: the receipt is taken off the machine.
pub const REMOVE_RECEIPT: &str = "RemoveReceipt";

/// What EC2 answered to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done, and there is nothing to learn from the reply.
    Done,
    /// The instance was in this state when the stop arrived.
    Stopped {
        /// `previousState` of the reply.
        previous: InstanceState,
    },
    /// The image or copy was accepted under this id.
    Image(ImageId),
    /// The instance carries another record under our own key: nothing was written.
    Busy {
        /// The value that is there.
        value: String,
    },
    /// Refused, or the reply was lost.
    Refused(Ec2Error),
}
