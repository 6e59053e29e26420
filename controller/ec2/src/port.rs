//! EC2 in one region, for one use: the port that core asks.
use std::{collections::BTreeMap, fmt, sync::Arc};

use aws_sdk_ec2::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use jiff::Timestamp;
use saved_template_api::ids::{ImageId, InstanceId, Region, SnapshotId, VolumeId};
use saved_template_core::{
    cloud::{Announced, Cloud, DryRun, Images, Instances, Snapshots},
    ec2_error::Ec2Error,
    place::Place,
    records::Records,
    step::{CopyRequest, ImageRequest},
    world::{Image, Instance, InstanceState, OptIn, Snapshot, Tags, Volume},
};

use crate::{
    batch::{Batcher, Window},
    clock::Clock,
    errors,
    fence::Fence,
    observer::Observer,
    rate_limit::Limited,
};

/// EC2 in one region, for one use. Cheap to clone.
#[derive(Clone)]
pub struct Ec2 {
    pub(crate) region: Arc<RegionClient>,
    records: Arc<Records>,
    stops: Batcher<bool, InstanceState>,
    starts: Batcher<(), InstanceState>,
    tags: Batcher<Tags, ()>,
    untags: Batcher<(String, String), ()>,
}

/// What every call needs.
pub(crate) struct RegionClient {
    pub(crate) place: Place,
    pub(crate) client: Client,
    pub(crate) clock: Arc<Clock>,
    pub(crate) starts: Limited,
    observer: Observer,
}

impl RegionClient {
    /// A call that changes nothing.
    pub(crate) async fn read<T, E>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<T, Ec2Error>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let result = call.await.map_err(|error| errors::refusal(operation, &error));
        self.count(operation, &result);
        result
    }

    /// A call that changes something; `fence` is its interceptor.
    pub(crate) async fn write<T, E>(
        &self,
        operation: &'static str,
        fence: &Fence,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<T, Ec2Error>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let result = call.await.map_err(|error| fence.judge(operation, &error));
        self.count(operation, &result);
        result
    }

    fn count<T>(&self, operation: &'static str, result: &Result<T, Ec2Error>) {
        (self.observer)(operation, errors::outcome(result));
    }
}

impl Ec2 {
    pub(crate) fn new(
        place: Place,
        client: Client,
        (clock, records): (Arc<Clock>, Arc<Records>),
        observer: Observer,
        starts: Limited,
    ) -> Self {
        let region = Arc::new(RegionClient { place, client, clock, starts, observer });
        let (for_stops, for_starts) = (Arc::clone(&region), Arc::clone(&region));
        let (for_tags, for_untags) = (Arc::clone(&region), Arc::clone(&region));
        let window = Window::DEFAULT;
        Self {
            region,
            records,
            stops: Batcher::new("StopInstances", window, move |force, instances, announced| {
                Arc::clone(&for_stops).stop(force, instances, announced)
            }),
            starts: Batcher::new("StartInstances", window, move |(), instances, announced| {
                Arc::clone(&for_starts).start(instances, announced)
            }),
            tags: Batcher::new("CreateTags", window, move |tags, instances, announced| {
                Arc::clone(&for_tags).tag(tags, instances, announced)
            }),
            untags: Batcher::new("DeleteTags", window, move |(key, value), instances, announced| {
                Arc::clone(&for_untags).untag(key, value, instances, announced)
            }),
        }
    }
}

impl Cloud for Ec2 {
    fn place(&self) -> &Place {
        &self.region.place
    }

    fn now(&self) -> Option<Timestamp> {
        self.region.clock.now()
    }

    async fn instances(&self, which: Instances) -> Result<Vec<Instance>, Ec2Error> {
        let instances = self.region.instances(which).await?;
        Ok(instances.into_iter().map(|instance| self.records.read(instance)).collect())
    }

    async fn images(&self, which: Images) -> Result<Vec<Image>, Ec2Error> {
        self.region.images(which).await
    }

    async fn snapshots(&self, which: Snapshots) -> Result<Vec<Snapshot>, Ec2Error> {
        self.region.snapshots(which).await
    }

    async fn tagged(&self, key: &str) -> Result<Vec<InstanceId>, Ec2Error> {
        self.region.tagged(key).await
    }

    async fn stop_protected(&self, instance: &InstanceId) -> Result<bool, Ec2Error> {
        self.region.stop_protected(instance).await
    }

    async fn shutdown_terminates(&self, instance: &InstanceId) -> Result<bool, Ec2Error> {
        self.region.shutdown_terminates(instance).await
    }

    async fn scheduled_events(&self, instance: &InstanceId) -> Result<Vec<String>, Ec2Error> {
        self.region.scheduled_events(instance).await
    }

    async fn instance_store(&self, instance_type: &str) -> Result<bool, Ec2Error> {
        self.region.instance_store(instance_type).await
    }

    async fn volumes(&self, volumes: &[VolumeId]) -> Result<Vec<Volume>, Ec2Error> {
        self.region.volumes(volumes).await
    }

    async fn regions(&self) -> Result<BTreeMap<Region, OptIn>, Ec2Error> {
        self.region.regions().await
    }

    async fn dry_run(&self, call: DryRun) -> Result<(), Ec2Error> {
        self.region.dry_run(call).await
    }

    async fn tag(&self, instance: &InstanceId, tags: Tags, announced: Announced) -> Result<(), Ec2Error> {
        self.tags.submit(self.records.write(tags), instance.clone(), announced).await
    }

    async fn untag(
        &self,
        instance: &InstanceId,
        key: &str,
        value: &str,
        announced: Announced,
    ) -> Result<(), Ec2Error> {
        let value = self.records.written(instance, key, value);
        self.untags.submit((key.to_owned(), value), instance.clone(), announced).await
    }

    async fn stop(
        &self,
        instance: &InstanceId,
        force: bool,
        announced: Announced,
    ) -> Result<InstanceState, Ec2Error> {
        self.stops.submit(force, instance.clone(), announced).await
    }

    async fn start(&self, instance: &InstanceId, announced: Announced) -> Result<InstanceState, Ec2Error> {
        self.starts.submit((), instance.clone(), announced).await
    }

    async fn create_image(&self, request: &ImageRequest, announced: Announced) -> Result<ImageId, Ec2Error> {
        self.region.create_image(request, announced).await
    }

    async fn copy_image(&self, request: &CopyRequest, announced: Announced) -> Result<ImageId, Ec2Error> {
        self.region.copy_image(request, announced).await
    }

    async fn tag_resources(
        &self,
        resources: &[String],
        tags: Tags,
        announced: Announced,
    ) -> Result<(), Ec2Error> {
        self.region.tag_resources(resources, &tags, announced).await
    }

    async fn untag_resources(
        &self,
        resources: &[String],
        keys: &[String],
        announced: Announced,
    ) -> Result<(), Ec2Error> {
        self.region.untag_resources(resources, keys, announced).await
    }

    async fn set_description(
        &self,
        image: &ImageId,
        description: &str,
        announced: Announced,
    ) -> Result<(), Ec2Error> {
        self.region.set_description(image, description, announced).await
    }

    async fn deregister(
        &self,
        image: &ImageId,
        announced: Announced,
    ) -> Result<Vec<(SnapshotId, String)>, Ec2Error> {
        self.region.deregister(image, announced).await
    }

    async fn delete_snapshot(&self, snapshot: &SnapshotId, announced: Announced) -> Result<(), Ec2Error> {
        self.region.delete_snapshot(snapshot, announced).await
    }
}

impl fmt::Debug for Ec2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ec2").field("place", &self.region.place).finish_non_exhaustive()
    }
}
