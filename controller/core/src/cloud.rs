//! EC2 as a port: what the controller asks of one account in one region.
//!
//! The product answers it with the AWS SDK (`saved-template-ec2`), tests with a world in memory.
use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use saved_template_api::ids::{ImageId, InstanceId, Region, SnapshotId, VolumeId};

use crate::{
    ec2_error::Ec2Error,
    place::Place,
    step::{CopyRequest, ImageRequest},
    world::{Image, Instance, InstanceState, OptIn, Snapshot, Tags, Volume},
};

/// Which instances to describe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instances {
    /// Those that carry this tag key (filter `tag-key`).
    TagKey(String),
    /// These ids, as a filter: an id that is gone does not fail the call.
    Ids(Vec<InstanceId>),
    /// This one, by a parameter: during a disruption of a zone EC2 answers only calls that name instances of other zones
    /// (`DescribeInstances`).
    One(InstanceId),
    /// Those whose `Name` tag is one of these.
    Names(Vec<String>),
}

/// Which of the account's own images to describe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Images {
    /// Those whose tag of this key has one of these values.
    Tag(String, Vec<String>),
    /// These ids, as a filter: an id that is gone does not fail the call.
    Ids(Vec<ImageId>),
    /// Those with one of these names.
    Names(Vec<String>),
    /// Those that have all of these tags.
    Tags(Vec<(String, String)>),
    /// Those that are being made of this instance (`source-instance-id`, state `pending`).
    PendingOf(InstanceId),
}

/// Which of the account's own snapshots to describe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Snapshots {
    /// Those whose tag of this key has one of these values.
    Tag(String, Vec<String>),
    /// Those of these volumes.
    Volumes(Vec<VolumeId>),
}

/// A call made with `DryRun`: may we?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DryRun {
    /// `StopInstances`.
    Stop(InstanceId),
    /// `StartInstances`.
    Start(InstanceId),
    /// `CreateImage`.
    CreateImage(Box<ImageRequest>),
}

/// How long after its announcement a write may still be sent (docs/protocol.md §3).
pub const FRESH: Duration = Duration::from_secs(20);

/// The instant of EC2's clock at which a write was announced, or at which the read that it rests on began.
/// The port refuses to send the write more than [`FRESH`] later, by EC2's clock or by the monotonic clock
/// of the process, whichever is later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// By EC2's clock.
    pub at: Timestamp,
    /// By the monotonic clock.
    pub instant: std::time::Instant,
}

/// EC2 in one account and one region. Every list is complete: pages are followed.
pub trait Cloud: Clone + Send + Sync + 'static {
    /// The account and the region.
    fn place(&self) -> &Place;

    /// The region.
    fn region(&self) -> &Region {
        &self.place().region
    }

    /// EC2's own time: the `Date` of the last reply plus monotonic time since, in whole seconds. None before
    /// the first reply.
    fn now(&self) -> Option<Timestamp>;

    /// `DescribeInstances`.
    fn instances(&self, which: Instances) -> impl Future<Output = Result<Vec<Instance>, Ec2Error>> + Send;
    /// `DescribeImages` with `Owners=self`.
    fn images(&self, which: Images) -> impl Future<Output = Result<Vec<Image>, Ec2Error>> + Send;
    /// `DescribeSnapshots` with `OwnerIds=self`.
    fn snapshots(&self, which: Snapshots) -> impl Future<Output = Result<Vec<Snapshot>, Ec2Error>> + Send;
    /// Instances that carry the tag key, from `DescribeTags`: works where `DescribeInstances` without ids fails.
    fn tagged(&self, key: &str) -> impl Future<Output = Result<Vec<InstanceId>, Ec2Error>> + Send;
    /// `DescribeInstanceAttribute`, `disableApiStop`.
    fn stop_protected(&self, instance: &InstanceId) -> impl Future<Output = Result<bool, Ec2Error>> + Send;
    /// `DescribeInstanceAttribute`, `instanceInitiatedShutdownBehavior` is `terminate`.
    fn shutdown_terminates(
        &self,
        instance: &InstanceId,
    ) -> impl Future<Output = Result<bool, Ec2Error>> + Send;
    /// Codes of the instance's scheduled events that are still to come (`DescribeInstanceStatus`).
    fn scheduled_events(
        &self,
        instance: &InstanceId,
    ) -> impl Future<Output = Result<Vec<String>, Ec2Error>> + Send;
    /// `DescribeInstanceTypes`, `InstanceStorageSupported`.
    fn instance_store(&self, instance_type: &str) -> impl Future<Output = Result<bool, Ec2Error>> + Send;
    /// `DescribeVolumes`.
    fn volumes(&self, volumes: &[VolumeId]) -> impl Future<Output = Result<Vec<Volume>, Ec2Error>> + Send;
    /// `DescribeRegions` with `AllRegions`.
    fn regions(&self) -> impl Future<Output = Result<BTreeMap<Region, OptIn>, Ec2Error>> + Send;
    /// Asks with `DryRun`; `Ok` is `DryRunOperation`.
    fn dry_run(&self, call: DryRun) -> impl Future<Output = Result<(), Ec2Error>> + Send;

    /// `CreateTags` on one instance.
    fn tag(
        &self,
        instance: &InstanceId,
        tags: Tags,
        announced: Announced,
    ) -> impl Future<Output = Result<(), Ec2Error>> + Send;
    /// `DeleteTags` on one instance, by key *and* exact value.
    fn untag(
        &self,
        instance: &InstanceId,
        key: &str,
        value: &str,
        announced: Announced,
    ) -> impl Future<Output = Result<(), Ec2Error>> + Send;
    /// `StopInstances`, with or without `Force`, one attempt; answers `previousState`.
    fn stop(
        &self,
        instance: &InstanceId,
        force: bool,
        announced: Announced,
    ) -> impl Future<Output = Result<InstanceState, Ec2Error>> + Send;
    /// `StartInstances`; answers `previousState`.
    fn start(
        &self,
        instance: &InstanceId,
        announced: Announced,
    ) -> impl Future<Output = Result<InstanceState, Ec2Error>> + Send;
    /// `CreateImage`, one attempt.
    fn create_image(
        &self,
        request: &ImageRequest,
        announced: Announced,
    ) -> impl Future<Output = Result<ImageId, Ec2Error>> + Send;
    /// `CopyImage` into this region.
    fn copy_image(
        &self,
        request: &CopyRequest,
        announced: Announced,
    ) -> impl Future<Output = Result<ImageId, Ec2Error>> + Send;
    /// `CreateTags` on images and snapshots.
    fn tag_resources(
        &self,
        resources: &[String],
        tags: Tags,
        announced: Announced,
    ) -> impl Future<Output = Result<(), Ec2Error>> + Send;
    /// `DeleteTags` on images and snapshots, by key; `keys` is never empty (that would delete all).
    fn untag_resources(
        &self,
        resources: &[String],
        keys: &[String],
        announced: Announced,
    ) -> impl Future<Output = Result<(), Ec2Error>> + Send;
    /// `ModifyImageAttribute`: the description.
    fn set_description(
        &self,
        image: &ImageId,
        description: &str,
        announced: Announced,
    ) -> impl Future<Output = Result<(), Ec2Error>> + Send;
    /// `DeregisterImage` with `DeleteAssociatedSnapshots`; answers the snapshots that were not deleted, and
    /// EC2's word for why.
    fn deregister(
        &self,
        image: &ImageId,
        announced: Announced,
    ) -> impl Future<Output = Result<Vec<(SnapshotId, String)>, Ec2Error>> + Send;
    /// `DeleteSnapshot`.
    fn delete_snapshot(
        &self,
        snapshot: &SnapshotId,
        announced: Announced,
    ) -> impl Future<Output = Result<(), Ec2Error>> + Send;
}
