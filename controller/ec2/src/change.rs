//! The writes of a save. Each goes through its fence.
use std::{collections::BTreeMap, sync::Arc};

use aws_sdk_ec2::{
    config::{Builder, Config, retry::RetryConfig},
    operation::create_image::builders::CreateImageFluentBuilder,
    types::{BlockDeviceMapping, InstanceStateChange, ResourceType, Tag, TagSpecification},
};
use saved_template_api::ids::{ImageId, InstanceId};
use saved_template_core::{
    cloud::{Announced, DryRun},
    ec2_error::{Ec2Error, ErrorClass},
    step::{CopyRequest, ImageRequest},
    world::{InstanceState, Tags},
};

use crate::{batch::Answers, convert, errors, fence::Fence, port::RegionClient};

impl RegionClient {
    pub(crate) fn fence(&self, announced: Announced) -> Fence {
        Fence::new(announced, &self.clock)
    }

    pub(crate) async fn stop(
        self: Arc<Self>,
        force: bool,
        instances: Vec<InstanceId>,
        announced: Announced,
    ) -> Answers<InstanceState> {
        let fence = self.fence(announced);
        let call = self
            .client
            .stop_instances()
            .set_instance_ids(Some(texts(instances)))
            .set_force(force.then_some(true))
            .customize()
            .config_override(one_attempt())
            .interceptor(fence.clone())
            .send();
        let reply = self.write("StopInstances", &fence, call).await?;
        Ok(previous(reply.stopping_instances()))
    }

    pub(crate) async fn start(
        self: Arc<Self>,
        instances: Vec<InstanceId>,
        announced: Announced,
    ) -> Answers<InstanceState> {
        self.starts.take("StartInstances").await?;
        let fence = self.fence(announced);
        let call = self
            .client
            .start_instances()
            .set_instance_ids(Some(texts(instances)))
            .customize()
            .interceptor(fence.clone())
            .send();
        let reply = self.write("StartInstances", &fence, call).await;
        self.heed(&reply);
        Ok(previous(reply?.starting_instances()))
    }

    pub(crate) async fn tag(
        self: Arc<Self>,
        tags: Tags,
        instances: Vec<InstanceId>,
        announced: Announced,
    ) -> Answers<()> {
        let fence = self.fence(announced);
        let call = self
            .client
            .create_tags()
            .set_resources(Some(texts(instances.clone())))
            .set_tags(Some(sdk_tags(&tags)))
            .customize()
            .interceptor(fence.clone())
            .send();
        self.write("CreateTags", &fence, call).await?;
        Ok(instances.into_iter().map(|instance| (instance, ())).collect())
    }

    pub(crate) async fn untag(
        self: Arc<Self>,
        key: String,
        value: String,
        instances: Vec<InstanceId>,
        announced: Announced,
    ) -> Answers<()> {
        let fence = self.fence(announced);
        let call = self
            .client
            .delete_tags()
            .set_resources(Some(texts(instances.clone())))
            .tags(Tag::builder().key(key).value(value).build())
            .customize()
            .interceptor(fence.clone())
            .send();
        self.write("DeleteTags", &fence, call).await?;
        Ok(instances.into_iter().map(|instance| (instance, ())).collect())
    }

    pub(crate) async fn create_image(
        &self,
        request: &ImageRequest,
        announced: Announced,
    ) -> Result<ImageId, Ec2Error> {
        let fence = self.fence(announced);
        let call = self
            .image_request(request)
            .customize()
            .config_override(one_attempt())
            .interceptor(fence.clone())
            .send();
        let reply = self.write("CreateImage", &fence, call).await?;
        image_id("CreateImage", reply.image_id())
    }

    fn image_request(&self, request: &ImageRequest) -> CreateImageFluentBuilder {
        self.client
            .create_image()
            .instance_id(request.instance.as_str())
            .name(&request.name)
            .set_description(text(&request.description))
            .no_reboot(!request.reboot)
            .set_block_device_mappings(without(&request.excluded_devices))
            .set_tag_specifications(specifications(&request.image_tags, &request.snapshot_tags))
    }

    pub(crate) async fn copy_image(
        &self,
        request: &CopyRequest,
        announced: Announced,
    ) -> Result<ImageId, Ec2Error> {
        let fence = self.fence(announced);
        let call = self
            .client
            .copy_image()
            .source_image_id(request.source.as_str())
            .source_region(request.source_region.as_str())
            .name(&request.name)
            .set_description(text(&request.description))
            .client_token(&request.token)
            .set_tag_specifications(specifications(&request.image_tags, &request.snapshot_tags))
            .customize()
            .interceptor(fence.clone())
            .send();
        let reply = self.write("CopyImage", &fence, call).await?;
        image_id("CopyImage", reply.image_id())
    }

    pub(crate) async fn dry_run(&self, call: DryRun) -> Result<(), Ec2Error> {
        match call {
            DryRun::Stop(instance) => {
                let call = self.client.stop_instances().instance_ids(instance.as_str()).dry_run(true);
                errors::permitted(self.read("StopInstances", call.send()).await, "StopInstances")
            }
            DryRun::Start(instance) => {
                self.starts.take("StartInstances").await?;
                let call = self.client.start_instances().instance_ids(instance.as_str()).dry_run(true);
                let reply = self.read("StartInstances", call.send()).await;
                self.heed(&reply);
                errors::permitted(reply, "StartInstances")
            }
            DryRun::CreateImage(request) => {
                let call = self.image_request(&request).dry_run(true);
                errors::permitted(self.read("CreateImage", call.send()).await, "CreateImage")
            }
        }
    }

    /// EC2's own throttle empties our share of its bucket.
    fn heed<T>(&self, reply: &Result<T, Ec2Error>) {
        if reply.as_ref().is_err_and(|refusal| refusal.class == ErrorClass::Throttle) {
            self.starts.empty();
        }
    }
}

/// A retry after a lost reply would meet the effect of the first attempt, and pass its refusal off as the outcome.
pub(crate) fn one_attempt() -> Builder {
    Config::builder().retry_config(RetryConfig::standard().with_max_attempts(1))
}

fn texts(instances: Vec<InstanceId>) -> Vec<String> {
    instances.into_iter().map(|instance| instance.to_string()).collect()
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

pub(crate) fn sdk_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// Tags in the request: they are there from the first moment, or the request fails.
fn specifications(image: &Tags, snapshots: &Tags) -> Option<Vec<TagSpecification>> {
    let specification = |resource: ResourceType, tags: &Tags| {
        (!tags.is_empty()).then(|| {
            TagSpecification::builder().resource_type(resource).set_tags(Some(sdk_tags(tags))).build()
        })
    };
    let both = [specification(ResourceType::Image, image), specification(ResourceType::Snapshot, snapshots)];
    let given: Vec<TagSpecification> = both.into_iter().flatten().collect();
    (!given.is_empty()).then_some(given)
}

/// The devices that an image leaves out; EC2 asks for an empty `NoDevice`.
fn without(devices: &[String]) -> Option<Vec<BlockDeviceMapping>> {
    let mapping = |device: &String| BlockDeviceMapping::builder().device_name(device).no_device("").build();
    (!devices.is_empty()).then(|| devices.iter().map(mapping).collect())
}

fn previous(changes: &[InstanceStateChange]) -> BTreeMap<InstanceId, InstanceState> {
    let row = |change: &InstanceStateChange| {
        let instance = convert::id(change.instance_id())?;
        Some((instance, convert::instance_state(change.previous_state())))
    };
    changes.iter().filter_map(row).collect()
}

fn image_id(operation: &'static str, id: Option<&str>) -> Result<ImageId, Ec2Error> {
    convert::id(id).ok_or_else(|| errors::incomplete(operation, "image id"))
}
