//! Why a capture ended without an image, and why a region has none, or keeps one that it should not.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

use crate::condition::Reason;

/// Why a capture ended without an image.
#[derive(
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    EnumIter,
    EnumString,
    Display,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
)]
pub enum CaptureReason {
    /// Permissions, credentials or the account do not allow it.
    AccessDenied,
    /// The object was deleted before its image was asked for.
    Deleted,
    /// The machine was given back before every volume had its snapshot.
    DowntimeExceeded,
    /// The machine went another way than the capture.
    Failed,
    /// EC2 made no image, or none that may be served.
    ImageFailed,
    /// Somebody else uses, stopped or restarted the machine.
    InstanceBusy,
    /// EC2 does not do it with this machine.
    InstanceNotSupported,
    /// The machine was terminated.
    InstanceTerminated,
    /// The name of the image is in use.
    NameConflict,
    /// The spec asks for what this version does not do.
    NotYetSupported,
    /// EC2 took no Stop, or no request for the image, in time.
    NotTaken,
    /// Nothing was asked for under the plan in time.
    Replanned,
    /// EC2 refused it for a reason that its message tells.
    RequestRefused,
    /// The machine did not stop in time.
    StopTimedOut,
    /// The machine is protected from being stopped.
    StopProtected,
    /// `spec.suspend` was set before the machine was stopped.
    Suspended,
    /// EC2 is asked too often.
    Throttled,
    /// The machine has too many tags.
    TooManyTags,
}

/// Why a region has no image that may be served, or keeps one that is to go.
#[derive(
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    EnumIter,
    EnumString,
    Display,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
)]
pub enum RegionReason {
    /// Permissions, credentials or the account do not allow it.
    AccessDenied,
    /// EC2 made no copy.
    CopyFailed,
    /// EC2 protects the image from being deregistered.
    DeregistrationProtected,
    /// The image is disabled.
    ImageDisabled,
    /// EC2 made no image.
    ImageFailed,
    /// The image is used.
    ImageInUse,
    /// The image was there and is gone.
    ImageMissing,
    /// EC2 could not use the key of the region.
    KeyNotUsable,
    /// The name of the image is in use.
    NameConflict,
    /// EC2 did not show the image when it was last read.
    NotShown,
    /// EC2 refused it for a reason that its message tells.
    RequestRefused,
    /// A snapshot is locked.
    SnapshotLocked,
    /// EC2 is asked too often, or busy.
    Throttled,
    /// The image or a snapshot has too many tags.
    TooManyTags,
}

impl CaptureReason {
    /// The word for a reason of a condition; `Failed` for one that no capture ends by.
    pub fn of(reason: Reason) -> Self {
        reason.name().parse().unwrap_or(Self::Failed)
    }

    /// The reason of a condition that says the same, if there is one.
    pub fn reason(self) -> Option<Reason> {
        <&str>::from(self).parse().ok()
    }
}

impl RegionReason {
    /// The reason of a condition that says the same, if there is one.
    pub fn reason(self) -> Option<Reason> {
        <&str>::from(self).parse().ok()
    }
}
