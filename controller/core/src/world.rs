//! What was seen of EC2, as plain data: the controller's whole knowledge of the outside.
use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use saved_template_api::ids::{AccountId, ImageId, InstanceId, Region, SnapshotId, VolumeId};

use crate::{ec2_error::Ec2Error, key::Key};

/// User tags and system tags of one EC2 resource.
pub type Tags = BTreeMap<String, String>;

/// The state of an instance; the names are EC2's (`DescribeInstances`, `InstanceStateName`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InstanceState {
    /// Starting.
    Pending,
    /// Running.
    Running,
    /// On its way to `Stopped`; the guest may still write.
    Stopping,
    /// Stopped; volumes are at rest.
    Stopped,
    /// On its way to `Terminated`.
    ShuttingDown,
    /// Gone; EC2 shows it for about an hour.
    Terminated,
    /// A state that this version does not know: wait.
    Unknown,
}

impl InstanceState {
    /// The state as EC2 spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the instance will never run again.
    pub const fn is_gone(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

/// A volume in an instance's block device mapping.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attachment {
    /// The device name, such as `/dev/xvda`.
    pub device: String,
    /// The EBS volume.
    pub volume: VolumeId,
    /// Whether EC2 calls it `attached` (not attaching, detaching or detached).
    pub attached: bool,
    /// `AttachTime`.
    pub since: Option<Timestamp>,
}

/// One EC2 instance as `DescribeInstances` showed it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "facts as DescribeInstances gives them, not modes")]
pub struct Instance {
    /// The instance id.
    pub id: InstanceId,
    /// The account that owns it (`OwnerId` of its reservation).
    pub account: AccountId,
    /// Its state.
    pub state: InstanceState,
    /// `StateReason.Code`, such as `Client.UserInitiatedShutdown`.
    pub state_reason: Option<String>,
    /// The time in `StateTransitionReason`, where EC2 gives one.
    pub transition_time: Option<Timestamp>,
    /// `LaunchTime`: moves on every start.
    pub launch_time: Option<Timestamp>,
    /// The EBS volumes in its block device mapping.
    pub attachments: Vec<Attachment>,
    /// `RootDeviceName`.
    pub root_device: Option<String>,
    /// Whether the root device is EBS.
    pub ebs_root: bool,
    /// `InstanceLifecycle`: absent for on-demand, else `spot` and others.
    pub lifecycle: Option<String>,
    /// `Operator.Managed`.
    pub managed: bool,
    /// Whether it lives on an Outpost.
    pub outpost: bool,
    /// `AvailabilityZone`.
    pub zone: Option<String>,
    /// `Architecture`.
    pub architecture: Option<String>,
    /// `PlatformDetails`.
    pub platform: Option<String>,
    /// `InstanceType`.
    pub instance_type: Option<String>,
    /// The image that it was launched from.
    pub image: Option<ImageId>,
    /// Whether hibernation is configured.
    pub hibernation: bool,
    /// Whether it has a public IPv4 address that EC2 lent it (`IpOwnerId` is `amazon`): a stop loses it.
    pub lent_address: bool,
    /// Whether it has product codes (AWS Marketplace).
    pub product_codes: bool,
    /// Whether it is bound to a dedicated host, by id or group.
    pub dedicated_host: bool,
    /// The Capacity Reservation that it runs in, or may only run in.
    pub reservation: Option<Reservation>,
    /// `Placement.GroupName`.
    pub placement_group: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

/// How an instance is bound to a Capacity Reservation (`CapacityReservationSpecification`, `CapacityReservationId`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reservation {
    /// To one by its id or its group: it runs nowhere else.
    Targeted,
    /// It runs in one that any machine of its type may take.
    Open,
}

/// The state of an image; the names are EC2's (`ImageState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageState {
    /// Being made.
    Pending,
    /// Usable.
    Available,
    /// Will never be usable: `failed`, `error` or `invalid`.
    Failed,
    /// Deregistered.
    Deregistered,
    /// Disabled.
    Disabled,
    /// `transient`, or a state that this version does not know: wait.
    Unknown,
}

/// One AMI as `DescribeImages` showed it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Image {
    /// The AMI id.
    pub id: ImageId,
    /// The owner.
    pub owner: Option<AccountId>,
    /// Its name, unique per account and region.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Its state.
    pub state: ImageState,
    /// `StateReason` as one line, for a failed image.
    pub state_reason: Option<String>,
    /// `CreationDate`.
    pub created: Option<Timestamp>,
    /// `Architecture`.
    pub architecture: Option<String>,
    /// The instance that it was made from.
    pub source_instance: Option<InstanceId>,
    /// The image that it was copied from.
    pub source_image: Option<ImageId>,
    /// The region that it was copied from.
    pub source_region: Option<Region>,
    /// The snapshots in its block device mapping; empty while it is pending.
    pub snapshots: Vec<SnapshotId>,
    /// Its tags.
    pub tags: Tags,
}

/// The state of a snapshot; the names are EC2's (`SnapshotState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SnapshotState {
    /// The point in time is taken, the blocks are being copied.
    Pending,
    /// Done.
    Completed,
    /// Failed.
    Error,
    /// `recoverable`, `recovering`, or unknown.
    Unknown,
}

/// One snapshot as `DescribeSnapshots` showed it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The snapshot id.
    pub id: SnapshotId,
    /// The volume that it was taken of.
    pub volume: VolumeId,
    /// Its state.
    pub state: SnapshotState,
    /// `StartTime`: the point in time that it holds.
    pub started: Option<Timestamp>,
    /// Percent copied.
    pub progress: u8,
    /// Size of the volume in GiB.
    pub volume_gib: i64,
    /// Its description; EC2 writes `Created by CreateImage(<instance>) for <image>`.
    pub description: String,
    /// Its tags.
    pub tags: Tags,
}

/// How often, and since when, something that we looked for was not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence {
    /// EC2's time of the first read of the row without it.
    pub since: Timestamp,
    /// Reads in a row without it.
    pub reads: u32,
}

/// When a restart record, of this installation or of another one, was seen on an instance by the restart loop's own query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// EC2's time of the first read that returned this exact value.
    pub first: Timestamp,
    /// EC2's time of the last one.
    pub last: Timestamp,
}

/// One region as the last sweep saw it. A part that could not be read is an error, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// EC2's time when the oldest read of this view began.
    pub began: Timestamp,
    /// Instances: those that carry our restart record, and those that somebody asked for.
    pub instances: Result<Vec<Instance>, Ec2Error>,
    /// Images that carry our cluster tag, or a name that somebody asked for.
    pub images: Result<Vec<Image>, Ec2Error>,
    /// Snapshots that carry our cluster tag, and those of volumes whose barrier is late.
    pub snapshots: Result<Vec<Snapshot>, Ec2Error>,
    /// Restart records seen, by instance and exact value.
    pub sightings: BTreeMap<(InstanceId, String), Sighting>,
    /// What was looked for and was not there: ids of instances and images, names of images, and objects (namespace/name) of
    /// which nothing is left.
    pub absences: BTreeMap<String, Absence>,
}

/// Whether a region may be used (`DescribeRegions`, `OptInStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptIn {
    /// Enabled for this account.
    Enabled,
    /// Exists, but this account has not opted in.
    NotOptedIn,
}

/// One volume as `DescribeVolumes` showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The volume id.
    pub id: VolumeId,
    /// `MultiAttachEnabled`.
    pub multi_attach: bool,
    /// `VolumeType`, such as `gp3` or `st1`.
    pub kind: String,
    /// `KmsKeyId`, where it is encrypted.
    pub key: Option<String>,
    /// `Operator.Managed`.
    pub managed: bool,
}

/// What only calls about one instance can tell before it is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// `disableApiStop`.
    pub stop_protected: Result<bool, Ec2Error>,
    /// `instanceInitiatedShutdownBehavior` is `terminate`.
    pub shutdown_terminates: Result<bool, Ec2Error>,
    /// Codes of scheduled events that are still to come.
    pub events: Result<Vec<String>, Ec2Error>,
    /// `InstanceStorageSupported` of its type.
    pub instance_store: Result<bool, Ec2Error>,
    /// The account's regions.
    pub regions: Result<BTreeMap<Region, OptIn>, Ec2Error>,
    /// `CreateImage` with `DryRun`.
    pub create_image: Result<(), Ec2Error>,
    /// Its volumes.
    pub volumes: Result<Vec<Volume>, Ec2Error>,
    /// Snapshots of its volumes, whoever made them.
    pub snapshots: Result<Vec<Snapshot>, Ec2Error>,
    /// Images that are being made of it, whoever asked for them.
    pub pending_images: Result<Vec<Image>, Ec2Error>,
    /// Images whose tags name this object, in whatever cluster.
    pub namesakes: Result<Vec<Image>, Ec2Error>,
}

/// `StopInstances` and `StartInstances` with `DryRun`, while the record is on the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permits {
    /// Stop.
    pub stop: Result<(), Ec2Error>,
    /// Start.
    pub start: Result<(), Ec2Error>,
}

/// What EC2 answered to the `StartInstances` of one capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// `previousState` in the reply.
    pub previous: InstanceState,
    /// `LaunchTime` in the last read before it.
    pub launch_time_before: Option<Timestamp>,
}

/// The class that a template names, as the API server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassSeen {
    /// There is none of that name.
    Missing,
    /// The API server knows no classes: their CRD is not installed.
    NoSuchKind,
    /// It is being deleted.
    Going,
    /// Nothing keeps it from being deleted yet.
    Unheld,
    /// It stays as long as a template names it.
    Held {
        /// Its fields that this version does not enforce.
        not_enforced: Vec<String>,
    },
    /// It could not be read.
    Unread(String),
}

/// The templates that name a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Users {
    /// These; where not all were asked for, one of them.
    Known(Vec<Key>),
    /// None that this controller may see, and it may not see all.
    Untold,
}

/// The world as one reconcile saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// The region of the source, or why it could not be read.
    pub home: Result<Arc<View>, Ec2Error>,
    /// The regions of the copies; an unreadable one does not hold up the others.
    pub abroad: BTreeMap<Region, Result<Arc<View>, Ec2Error>>,
    /// Answer to [`crate::decision::Question::Probe`].
    pub probe: Option<Probe>,
    /// Answer to [`crate::decision::Question::Permits`].
    pub permits: Option<Permits>,
    /// Answer to [`crate::decision::Next::Acquire`]: whether this object alone saves the machine in this installation.
    pub claim: Option<Result<(), ClaimRefused>>,
    /// Answer to [`crate::decision::Question::Class`].
    pub class: Option<ClassSeen>,
    /// Answer to [`crate::decision::Question::Users`].
    pub users: Option<Users>,
    /// What this process knows of the start of the current capture.
    pub started: Option<Started>,
    /// Why the restart loop could not start the machine when it last tried.
    pub start_refused: Option<Ec2Error>,
    /// Whether a process that knows nothing sweeps the region of the source, and so gives its machines back.
    pub covered: bool,
    /// This process planned the open capture and has led ever since, and it sent no Stop: nobody else can have.
    pub unsent: bool,
    /// This process sent a Stop under the open capture, whatever a status that went back says.
    pub sent: bool,
}

impl World {
    /// A world of which nothing was read.
    pub fn unread() -> Self {
        let unread = Ec2Error::new("DescribeInstances", "", "not read");
        Self {
            home: Err(unread),
            abroad: BTreeMap::new(),
            probe: None,
            permits: None,
            claim: None,
            class: None,
            users: None,
            started: None,
            start_refused: None,
            covered: true,
            unsent: false,
            sent: false,
        }
    }
}

/// Why the claim on a machine was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimRefused {
    /// Another object has it: its namespace and name, with a slash between them.
    Held(String),
    /// Who has it is not known: what to do, for whoever reads the object.
    Unknown(String),
}
