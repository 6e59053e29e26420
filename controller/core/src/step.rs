//! Every change that the controller can make to AWS, as one enum, and what AWS may answer.
use std::collections::BTreeMap;

use saved_template_api::ids::{ImageId, InstanceId, Region};
use serde::{Deserialize, Serialize};

use crate::{
    debt::Record,
    refusal::Refusal,
    world::{InstanceState, Tags},
};

/// A `CreateImage` request (always `NoReboot=true`: the machine is stopped already).
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

/// One change to AWS. A reconcile makes at most one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `CreateTags`: put the restart record and the receipt on the instance, or rewrite the record.
    Tag {
        /// The record to write.
        record: Record,
        /// The key of the receipt and its value; none when a record is only rewritten.
        receipt: Option<(String, String)>,
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
    },
    /// `CreateImage`.
    CreateImage(Box<ImageRequest>),
    /// `CopyImage` in one region.
    CopyImage {
        /// The destination.
        region: Region,
        /// The request, frozen in the status.
        request: Box<CopyRequest>,
    },
}

impl Step {
    /// The name under which the status announces the step.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Tag { receipt: Some(_), .. } => TAG,
            Self::Tag { receipt: None, .. } => RETAG,
            Self::Untag { .. } => UNTAG,
            Self::Stop { .. } => STOP,
            Self::CreateImage(_) => CREATE_IMAGE,
            Self::CopyImage { .. } => COPY_IMAGE,
        }
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
    Refused(Refusal),
}

/// `previousState` by instance, of `StopInstances` and `StartInstances`.
pub type Previous = BTreeMap<InstanceId, InstanceState>;
