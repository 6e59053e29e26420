//! EC2 in one region, for one use: the port that core asks.
use std::{collections::BTreeMap, fmt, sync::Arc};

use aws_sdk_ec2::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use jiff::Timestamp;
use saved_template_api::ids::{ImageId, InstanceId, Region, VolumeId};
use saved_template_core::{
    cloud::{Announced, Cloud, DryRun, Images, Instances, Snapshots},
    refusal::Refusal,
    step::{CopyRequest, ImageRequest},
    world::{Image, Instance, InstanceState, OptIn, Snapshot, Tags},
};

use crate::{
    batch::{Batcher, Window},
    clock::Clock,
    errors,
    fence::Fence,
    fleet::Observer,
    tokens::Tokens,
};

/// EC2 in one region, for one use. Cheap to clone.
#[derive(Clone)]
pub struct Ec2 {
    pub(crate) line: Arc<Line>,
    stops: Batcher<(), InstanceState>,
    starts: Batcher<(), InstanceState>,
    tags: Batcher<Tags, ()>,
    untags: Batcher<(String, String), ()>,
}

/// What every call needs.
pub(crate) struct Line {
    pub(crate) region: Region,
    pub(crate) client: Client,
    pub(crate) clock: Arc<Clock>,
    pub(crate) start_tokens: Tokens,
    observer: Observer,
}

impl Line {
    /// A call that changes nothing.
    pub(crate) async fn read<T, E>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<T, Refusal>
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
    ) -> Result<T, Refusal>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let result = call.await.map_err(|error| fence.judge(operation, &error));
        self.count(operation, &result);
        result
    }

    fn count<T>(&self, operation: &'static str, result: &Result<T, Refusal>) {
        (self.observer)(operation, errors::outcome(result));
    }
}

impl Ec2 {
    pub(crate) fn new(
        region: Region,
        client: Client,
        clock: Arc<Clock>,
        observer: Observer,
        start_tokens: Tokens,
    ) -> Self {
        let line = Arc::new(Line { region, client, clock, start_tokens, observer });
        let (for_stops, for_starts) = (Arc::clone(&line), Arc::clone(&line));
        let (for_tags, for_untags) = (Arc::clone(&line), Arc::clone(&line));
        let window = Window::DEFAULT;
        Self {
            line,
            stops: Batcher::new("StopInstances", window, move |(), instances, announced| {
                Arc::clone(&for_stops).stop(instances, announced)
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
    fn region(&self) -> &Region {
        &self.line.region
    }

    fn now(&self) -> Option<Timestamp> {
        self.line.clock.now()
    }

    async fn instances(&self, which: Instances) -> Result<Vec<Instance>, Refusal> {
        self.line.instances(which).await
    }

    async fn images(&self, which: Images) -> Result<Vec<Image>, Refusal> {
        self.line.images(which).await
    }

    async fn snapshots(&self, which: Snapshots) -> Result<Vec<Snapshot>, Refusal> {
        self.line.snapshots(which).await
    }

    async fn tagged(&self, key: &str) -> Result<Vec<InstanceId>, Refusal> {
        self.line.tagged(key).await
    }

    async fn stop_protected(&self, instance: &InstanceId) -> Result<bool, Refusal> {
        self.line.stop_protected(instance).await
    }

    async fn instance_store(&self, instance_type: &str) -> Result<bool, Refusal> {
        self.line.instance_store(instance_type).await
    }

    async fn multi_attach(&self, volumes: &[VolumeId]) -> Result<Vec<VolumeId>, Refusal> {
        self.line.multi_attach(volumes).await
    }

    async fn regions(&self) -> Result<BTreeMap<Region, OptIn>, Refusal> {
        self.line.regions().await
    }

    async fn dry_run(&self, call: DryRun) -> Result<(), Refusal> {
        self.line.dry_run(call).await
    }

    async fn tag(&self, instance: &InstanceId, tags: Tags, announced: Announced) -> Result<(), Refusal> {
        self.tags.submit(tags, instance.clone(), announced).await
    }

    async fn untag(
        &self,
        instance: &InstanceId,
        key: &str,
        value: &str,
        announced: Announced,
    ) -> Result<(), Refusal> {
        self.untags.submit((key.to_owned(), value.to_owned()), instance.clone(), announced).await
    }

    async fn stop(&self, instance: &InstanceId, announced: Announced) -> Result<InstanceState, Refusal> {
        self.stops.submit((), instance.clone(), announced).await
    }

    async fn start(&self, instance: &InstanceId, announced: Announced) -> Result<InstanceState, Refusal> {
        self.starts.submit((), instance.clone(), announced).await
    }

    async fn create_image(&self, request: &ImageRequest, announced: Announced) -> Result<ImageId, Refusal> {
        self.line.create_image(request, announced).await
    }

    async fn copy_image(&self, request: &CopyRequest, announced: Announced) -> Result<ImageId, Refusal> {
        self.line.copy_image(request, announced).await
    }
}

impl fmt::Debug for Ec2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ec2").field("region", &self.line.region).finish_non_exhaustive()
    }
}
