//! EC2 in one region: the port that core asks.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use jiff::Timestamp;
use saved_template_api::ids::{ImageId, InstanceId, Region, SnapshotId, VolumeId};
use saved_template_core::{
    cloud::{Announced, Cloud, DryRun, Images, Instances, Snapshots},
    ec2_error::{Ec2Error, ErrorClass},
    filters,
    place::Place,
    records::Records,
    restart::Signing,
    step::{CopyRequest, ImageRequest},
    world::{Image, Instance, InstanceState, OptIn, Snapshot, Tags, Volume},
};

use crate::{
    call::Call,
    clients::Caller,
    clock::Clock,
    convert,
    endpoint::Endpoint,
    errors::{incomplete, permitted, unreadable},
    hook::Hook,
    region_client::RegionClient,
    xml::Node,
};

/// EC2 in one region, for one process. Cheap to clone.
#[derive(Clone)]
pub struct SimCloud(Arc<RegionClient>);

impl SimCloud {
    pub(crate) fn new(
        place: Place,
        endpoint: Endpoint,
        (caller, hook): (Caller, Option<Hook>),
        signing: Signing,
    ) -> Self {
        let records = Records::new(signing, place.region.clone());
        Self(Arc::new(RegionClient { place, endpoint, caller, hook, clock: Clock::default(), records }))
    }

    async fn done(&self, call: &Call, announced: Announced) -> Result<(), Ec2Error> {
        self.0.write(call, announced).await.map(|_| ())
    }

    async fn image_id(&self, call: &Call, announced: Announced) -> Result<ImageId, Ec2Error> {
        let reply = self.0.write(call, announced).await?;
        convert::id(&reply, "imageId").ok_or_else(|| incomplete(call.operation, "image id"))
    }

    async fn previous(
        &self,
        call: &Call,
        instance: &InstanceId,
        announced: Announced,
    ) -> Result<InstanceState, Ec2Error> {
        let reply = self.0.write(call, announced).await?;
        convert::previous(&reply, instance).ok_or_else(|| incomplete(call.operation, instance.as_str()))
    }

    async fn attribute(&self, instance: &InstanceId, attribute: &str) -> Result<Option<Node>, Ec2Error> {
        let call = Call::new("DescribeInstanceAttribute").with("InstanceId", instance.as_str());
        let reply = self.0.read(&call.with("Attribute", attribute)).await?;
        Ok(reply.child(attribute).cloned())
    }
}

impl Cloud for SimCloud {
    fn place(&self) -> &Place {
        &self.0.place
    }

    fn now(&self) -> Option<Timestamp> {
        self.0.clock.now()
    }

    async fn instances(&self, which: Instances) -> Result<Vec<Instance>, Ec2Error> {
        let managed = |call: Call| call.with("IncludeManagedResources", "true");
        if let Instances::One(id) = &which {
            let call = managed(Call::on_instance("DescribeInstances", id));
            let page = match self.0.read(&call).await {
                Err(refusal) if refusal.class == ErrorClass::NotFound => return Ok(Vec::new()),
                page => page?,
            };
            let found = convert::instances(&page).map_err(unreadable(call.operation))?;
            return Ok(found.into_iter().map(|instance| self.0.records.read(instance)).collect());
        }
        let mut found = Vec::new();
        for filter in filters::instances(&which) {
            let call = managed(Call::new("DescribeInstances").filters(&[filter]));
            found.extend(self.0.list(call, convert::instances).await?);
        }
        Ok(found.into_iter().map(|instance| self.0.records.read(instance)).collect())
    }

    async fn images(&self, which: Images) -> Result<Vec<Image>, Ec2Error> {
        let mut images = Vec::new();
        for filters in filters::images(which) {
            let call = Call::new("DescribeImages").with("Owner.1", "self").filters(&filters);
            let entries = |page: &Node| convert::rows(page, "imagesSet", convert::image);
            images.extend(self.0.list(call.with("IncludeDisabled", "true"), entries).await?);
        }
        Ok(images)
    }

    async fn snapshots(&self, which: Snapshots) -> Result<Vec<Snapshot>, Ec2Error> {
        let mut snapshots = Vec::new();
        for filter in filters::snapshots(&which) {
            let call = Call::new("DescribeSnapshots").with("Owner.1", "self").filters(&[filter]);
            let entries = |page: &Node| convert::rows(page, "snapshotSet", convert::snapshot);
            snapshots.extend(self.0.list(call, entries).await?);
        }
        Ok(snapshots)
    }

    async fn tagged(&self, key: &str) -> Result<Vec<InstanceId>, Ec2Error> {
        let call = Call::new("DescribeTags").filters(&filters::tagged_instances(key));
        let entries = |page: &Node| convert::rows(page, "tagSet", |tag| Ok(convert::id(tag, "resourceId")));
        let found: BTreeSet<InstanceId> = self.0.list(call, entries).await?.into_iter().collect();
        Ok(found.into_iter().collect())
    }

    async fn stop_protected(&self, instance: &InstanceId) -> Result<bool, Ec2Error> {
        let attribute = self.attribute(instance, "disableApiStop").await?;
        let value = attribute.map(|attribute| attribute.flag("value")).transpose();
        let value = value.map_err(unreadable("DescribeInstanceAttribute"))?.flatten();
        value.ok_or_else(|| incomplete("DescribeInstanceAttribute", "disableApiStop"))
    }

    async fn shutdown_terminates(&self, instance: &InstanceId) -> Result<bool, Ec2Error> {
        let attribute = self.attribute(instance, "instanceInitiatedShutdownBehavior").await?;
        let value = attribute.as_ref().and_then(|attribute| attribute.text("value"));
        let value = value.ok_or_else(|| incomplete("DescribeInstanceAttribute", "shutdown behavior"))?;
        Ok(value == "terminate")
    }

    async fn scheduled_events(&self, instance: &InstanceId) -> Result<Vec<String>, Ec2Error> {
        let call = Call::on_instance("DescribeInstanceStatus", instance).with("IncludeAllInstances", "true");
        let reply = self.0.read(&call.with("IncludeManagedResources", "true")).await?;
        let status = reply.items("instanceStatusSet").next();
        let status = status.ok_or_else(|| incomplete("DescribeInstanceStatus", "status"))?;
        Ok(status.items("eventsSet").filter_map(convert::event).collect())
    }

    async fn instance_store(&self, instance_type: &str) -> Result<bool, Ec2Error> {
        let call = Call::new("DescribeInstanceTypes").with("InstanceType.1", instance_type);
        let reply = self.0.read(&call).await?;
        let value = reply.items("instanceTypeSet").next().map(|row| row.flag("instanceStorageSupported"));
        let value = value.transpose().map_err(unreadable(call.operation))?.flatten();
        value.ok_or_else(|| incomplete(call.operation, "instanceStorageSupported"))
    }

    async fn volumes(&self, volumes: &[VolumeId]) -> Result<Vec<Volume>, Ec2Error> {
        let mut found = Vec::new();
        for filter in filters::volumes(volumes) {
            let call = Call::new("DescribeVolumes").filters(&[filter]);
            let entries = |page: &Node| convert::rows(page, "volumeSet", convert::volume);
            found.extend(self.0.list(call.with("IncludeManagedResources", "true"), entries).await?);
        }
        Ok(found)
    }

    async fn regions(&self) -> Result<BTreeMap<Region, OptIn>, Ec2Error> {
        let reply = self.0.read(&Call::new("DescribeRegions").with("AllRegions", "true")).await?;
        Ok(reply.items("regionInfo").filter_map(convert::region).collect())
    }

    async fn dry_run(&self, call: DryRun) -> Result<(), Ec2Error> {
        let call = match &call {
            DryRun::Stop(instance) => Call::on_instance("StopInstances", instance),
            DryRun::Start(instance) => Call::on_instance("StartInstances", instance),
            DryRun::CreateImage(request) => Call::create_image(request),
        };
        let call = call.with("DryRun", "true");
        permitted(self.0.read(&call).await, call.operation)
    }

    async fn tag(&self, instance: &InstanceId, tags: Tags, announced: Announced) -> Result<(), Ec2Error> {
        let call = Call::on_resources("CreateTags", &[instance.to_string()]);
        self.done(&call.tags("Tag", &self.0.records.write(tags)), announced).await
    }

    async fn untag(
        &self,
        instance: &InstanceId,
        key: &str,
        value: &str,
        announced: Announced,
    ) -> Result<(), Ec2Error> {
        let tag = [(key.to_owned(), self.0.records.written(instance, key, value))];
        let call = Call::on_resources("DeleteTags", &[instance.to_string()]);
        self.done(&call.tags("Tag", &tag.into()), announced).await
    }

    async fn stop(
        &self,
        instance: &InstanceId,
        force: bool,
        announced: Announced,
    ) -> Result<InstanceState, Ec2Error> {
        let call = Call::on_instance("StopInstances", instance).once();
        let call = if force { call.with("Force", "true") } else { call };
        self.previous(&call, instance, announced).await
    }

    async fn start(&self, instance: &InstanceId, announced: Announced) -> Result<InstanceState, Ec2Error> {
        self.previous(&Call::on_instance("StartInstances", instance), instance, announced).await
    }

    async fn create_image(&self, request: &ImageRequest, announced: Announced) -> Result<ImageId, Ec2Error> {
        self.image_id(&Call::create_image(request).once(), announced).await
    }

    async fn copy_image(&self, request: &CopyRequest, announced: Announced) -> Result<ImageId, Ec2Error> {
        self.image_id(&Call::copy_image(request), announced).await
    }

    async fn tag_resources(
        &self,
        resources: &[String],
        tags: Tags,
        announced: Announced,
    ) -> Result<(), Ec2Error> {
        self.done(&Call::on_resources("CreateTags", resources).tags("Tag", &tags), announced).await
    }

    async fn untag_resources(
        &self,
        resources: &[String],
        keys: &[String],
        announced: Announced,
    ) -> Result<(), Ec2Error> {
        if keys.is_empty() {
            return Err(Ec2Error::new("DeleteTags", "MissingParameter", "no tag keys are named"));
        }
        self.done(&Call::on_resources("DeleteTags", resources).keys(keys), announced).await
    }

    async fn set_description(
        &self,
        image: &ImageId,
        description: &str,
        announced: Announced,
    ) -> Result<(), Ec2Error> {
        let call = Call::new("ModifyImageAttribute").with("ImageId", image.as_str());
        self.done(&call.with("Description.Value", description), announced).await
    }

    async fn deregister(
        &self,
        image: &ImageId,
        announced: Announced,
    ) -> Result<Vec<(SnapshotId, String)>, Ec2Error> {
        let call = Call::new("DeregisterImage").with("ImageId", image.as_str());
        let call = call.with("DeleteAssociatedSnapshots", "true").once();
        let reply = self.0.write(&call, announced).await?;
        Ok(reply.items("deleteSnapshotResultSet").filter_map(convert::kept).collect())
    }

    async fn delete_snapshot(&self, snapshot: &SnapshotId, announced: Announced) -> Result<(), Ec2Error> {
        let call = Call::new("DeleteSnapshot").with("SnapshotId", snapshot.as_str());
        self.done(&call.once(), announced).await
    }
}

impl fmt::Debug for SimCloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimCloud").field("place", &self.0.place).finish_non_exhaustive()
    }
}
