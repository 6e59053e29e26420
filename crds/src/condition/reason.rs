//! Why a condition says what it says: the words.

use strum::{EnumIter, EnumString, IntoStaticStr};

/// Why a condition says what it says. Reasons are API and never carry a version.
#[derive(IntoStaticStr, EnumIter, EnumString, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Nothing was looked at yet, or EC2 could not be asked.
    NotChecked,
    /// Everything that was asked for is done.
    Saved,
    /// The image was there already and is used as it is.
    Adopted,
    /// `spec.suspend` is set.
    Suspended,
    /// A capture is wanted and may not begin yet; `Validated` says why.
    Preflight,
    /// The machine is being saved.
    Capturing,
    /// EC2 is making the image.
    WaitingForImage,
    /// Copies are on their way.
    Copying,
    /// Some regions have their copy, others do not get it.
    PartiallyReplicated,
    /// Permissions are being changed.
    Sharing,
    /// The last attempt made no image that may be served.
    Failed,
    /// The machine is being given back.
    RestoringSource,
    /// The ids are being made known.
    Publishing,
    /// The object is being deleted.
    Deleting,
    /// The image of this revision was there and is gone.
    ImageMissing,
    /// An older revision is wanted and has no image.
    RevisionNotFound,
    /// Every region has an image.
    ImagesAvailable,
    /// There is no image.
    NoImage,
    /// A region has no image.
    RegionMissing,
    /// Nothing stands in the way of a capture.
    PreflightPassed,
    /// The revision has its image, or had it: it is not captured again.
    NothingToCapture,
    /// No instance matches.
    InstanceNotFound,
    /// More than one instance matches.
    InstanceAmbiguous,
    /// The machine is another one than the template was saved from, or than anything but the status names.
    SourceChanged,
    /// The machine is gone.
    InstanceTerminated,
    /// The machine is between two states, or somebody else works on it or on its volumes.
    InstanceBusy,
    /// The class does not allow this machine.
    InstanceNotSelected,
    /// The root device is not an EBS volume.
    UnsupportedRootDevice,
    /// The machine would be stopped, and is a Spot Instance, which EC2 may not start again.
    SpotInstance,
    /// An Auto Scaling group would replace the machine while it is down.
    AutoScalingMember,
    /// The machine is a node of a cluster, which would drain it while it is down.
    ClusterNode,
    /// Another AWS service manages the machine.
    ManagedInstance,
    /// A stop would erase instance-store data.
    InstanceStoreDataLoss,
    /// The machine is protected against being stopped.
    StopProtected,
    /// The account has not enabled a region.
    RegionNotEnabled,
    /// The controller gives no machine back in the region of the source (`--regions`).
    RegionNotCovered,
    /// The class does not allow a region.
    RegionNotAllowed,
    /// Somebody else's image has the name.
    NameConflict,
    /// The revision exists, of another source or another cluster.
    RevisionTaken,
    /// A twin of this cluster holds the images.
    HeldByOtherCluster,
    /// The restart loop does not cover the account or the region.
    RestartNotCovered,
    /// The machine is a Mac, on an Outpost or in a Local Zone, or EC2 says that it or one of its volumes cannot be imaged.
    InstanceNotSupported,
    /// A device to leave out is unknown, or is the root device.
    DeviceNotFound,
    /// The machine or an image would have too many tags.
    TooManyTags,
    /// A key cannot be found.
    KeyNotFound,
    /// A key cannot be shared as the spec asks.
    KeyNotShareable,
    /// The account blocks public images.
    PublicAccessBlocked,
    /// The account may not have another public image.
    PublicQuotaExceeded,
    /// The class does not allow this sharing.
    SharingNotAllowed,
    /// IAM refuses an action; the message names it.
    AccessDenied,
    /// EC2 refuses a request for a reason that has no other name here; the message has its words.
    RequestRefused,
    /// The class does not exist.
    ClassNotFound,
    /// The spec asks for something that is not built yet.
    NotYetSupported,
    /// The machine was neither stopped nor rebooted.
    NeverTouched,
    /// The machine runs again.
    Restored,
    /// The machine was stopped when it was found, or by somebody else meanwhile, and stays stopped.
    LeftStopped,
    /// The machine is being stopped.
    Stopping,
    /// The machine is stopped by us.
    Stopped,
    /// The machine is being started.
    Starting,
    /// EC2 has no capacity to start the machine.
    InsufficientCapacity,
    /// The machine is not started: EC2 did not grant it, or its state or its record is unclear, and its owner decides.
    StartFailed,
    /// The machine is down for longer than `maxDowntimeSeconds` and is being started.
    DowntimeExceeded,
    /// The image is available.
    Available,
    /// The image was not asked for yet.
    NotRequested,
    /// The image was asked for and is not available yet.
    Pending,
    /// EC2 gave up on the image.
    ImageFailed,
    /// Somebody disabled the image.
    ImageDisabled,
    /// The machine may not be stopped again for this revision.
    DisruptionLimitReached,
    /// Every region has its copy.
    AllRegions,
    /// No copies are wanted.
    NoRegionsRequested,
    /// EC2 asks us to slow down.
    Throttled,
    /// A copy failed.
    CopyFailed,
    /// What the spec lists, and nothing else, is shared or published.
    InSync,
    /// Nothing is to be shared.
    NotShared,
    /// What is shared or published is being changed.
    Updating,
    /// A quota of the account leaves no room for what is to be shared.
    QuotaExceeded,
    /// Nothing is to be published.
    NothingToPublish,
    /// Something of that name is not ours.
    PublishConflict,
    /// Somebody still uses an image.
    ImageInUse,
    /// An image is protected against deregistration.
    DeregistrationProtected,
    /// A snapshot is locked.
    SnapshotLocked,
    /// The machine was not given back yet.
    SourceNotRestored,
    /// An image belongs to another cluster.
    OwnedByAnotherCluster,
}

impl Reason {
    /// The name in the condition.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
