//! The reads. Filters rather than lists of ids: a larger bucket, and an id that is gone fails nothing.
use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        describe_images::DescribeImagesOutput, describe_instances::DescribeInstancesOutput,
        describe_snapshots::DescribeSnapshotsOutput, describe_tags::DescribeTagsOutput,
        describe_volumes::DescribeVolumesOutput,
    },
    types::{
        AttributeBooleanValue, AttributeValue, Filter, InstanceAttributeName, InstanceType, InstanceTypeInfo,
    },
};
use aws_smithy_async::future::pagination_stream::PaginationStream;
use saved_template_api::ids::{InstanceId, Region, VolumeId};
use saved_template_core::{
    cloud::{Images, Instances, Snapshots},
    ec2_error::{Ec2Error, ErrorClass},
    filters,
    world::{Image, Instance, OptIn, Snapshot, Volume},
};

use crate::{convert, errors, port::RegionClient};

const PAGE: i32 = 1000;
/// A list of more pages than this is no list of EC2's: it would never end.
const PAGES: usize = 10_000;

impl RegionClient {
    /// What is read from the pages of a list, all of them: the SDK ends a list silently when EC2 repeats a token, and
    /// follows ever new ones for ever.
    async fn pages<P, T, E>(
        &self,
        operation: &'static str,
        mut pages: PaginationStream<Result<P, SdkError<E, HttpResponse>>>,
        next: impl Fn(&P) -> Option<&str> + Send + Sync,
        entries: impl Fn(&P) -> Vec<T> + Send + Sync,
    ) -> Result<Vec<T>, Ec2Error>
    where
        P: Send,
        T: Send,
        E: ProvideErrorMetadata + std::error::Error + Send + 'static,
    {
        let list = async {
            let (mut found, mut is_whole) = (Vec::new(), true);
            for _ in 0..PAGES {
                let page = match pages.next().await {
                    Some(Ok(page)) => page,
                    Some(Err(error)) => return Err(error),
                    None => break,
                };
                is_whole = next(&page).is_none_or(str::is_empty);
                found.extend(entries(&page));
            }
            Ok((found, is_whole))
        };
        let (found, is_whole) = self.read(operation, list).await?;
        if is_whole { Ok(found) } else { Err(errors::incomplete(operation, "end")) }
    }

    pub(crate) async fn instances(&self, which: Instances) -> Result<Vec<Instance>, Ec2Error> {
        let mut instances = Vec::new();
        if let Instances::One(id) = &which {
            return self.instance(id).await;
        }
        for filter in filters::instances(&which) {
            let call =
                self.client.describe_instances().filters(built(filter)).include_managed_resources(true);
            let pages = call.into_paginator().page_size(PAGE).send();
            let entries = |page: &DescribeInstancesOutput| {
                page.reservations().iter().flat_map(convert::instances).collect()
            };
            instances.extend(
                self.pages("DescribeInstances", pages, DescribeInstancesOutput::next_token, entries).await?,
            );
        }
        Ok(instances)
    }

    /// One instance, without a page size: EC2 refuses it beside ids.
    async fn instance(&self, id: &InstanceId) -> Result<Vec<Instance>, Ec2Error> {
        let call = self.client.describe_instances().instance_ids(id.as_str()).include_managed_resources(true);
        match self.read("DescribeInstances", call.send()).await {
            Ok(page) => Ok(page.reservations().iter().flat_map(convert::instances).collect()),
            Err(refusal) if refusal.class == ErrorClass::NotFound => Ok(Vec::new()),
            Err(refusal) => Err(refusal),
        }
    }

    pub(crate) async fn images(&self, which: Images) -> Result<Vec<Image>, Ec2Error> {
        let mut images = Vec::new();
        for filters in filters::images(which) {
            let call = self
                .client
                .describe_images()
                .owners("self")
                .set_filters(Some(filters.into_iter().map(built).collect()));
            let call = call.include_disabled(true);
            let pages = call.into_paginator().page_size(PAGE).send();
            let entries =
                |page: &DescribeImagesOutput| page.images().iter().filter_map(convert::image).collect();
            images.extend(
                self.pages("DescribeImages", pages, DescribeImagesOutput::next_token, entries).await?,
            );
        }
        Ok(images)
    }

    pub(crate) async fn snapshots(&self, which: Snapshots) -> Result<Vec<Snapshot>, Ec2Error> {
        let mut snapshots = Vec::new();
        for filter in filters::snapshots(&which) {
            let call = self.client.describe_snapshots().owner_ids("self").filters(built(filter));
            let pages = call.into_paginator().page_size(PAGE).send();
            let entries = |page: &DescribeSnapshotsOutput| {
                page.snapshots().iter().filter_map(convert::snapshot).collect()
            };
            snapshots.extend(
                self.pages("DescribeSnapshots", pages, DescribeSnapshotsOutput::next_token, entries).await?,
            );
        }
        Ok(snapshots)
    }

    pub(crate) async fn tagged(&self, key: &str) -> Result<Vec<InstanceId>, Ec2Error> {
        let filters = filters::tagged_instances(key).into_iter().map(built).collect();
        let call = self.client.describe_tags().set_filters(Some(filters));
        let pages = call.into_paginator().page_size(PAGE).send();
        let entries = |page: &DescribeTagsOutput| {
            page.tags().iter().filter_map(|tag| convert::id(tag.resource_id())).collect()
        };
        let found = self.pages("DescribeTags", pages, DescribeTagsOutput::next_token, entries).await?;
        let instances: BTreeSet<InstanceId> = found.into_iter().collect();
        Ok(instances.into_iter().collect())
    }

    pub(crate) async fn stop_protected(&self, instance: &InstanceId) -> Result<bool, Ec2Error> {
        let attribute = InstanceAttributeName::DisableApiStop;
        let call =
            self.client.describe_instance_attribute().instance_id(instance.as_str()).attribute(attribute);
        let reply = self.read("DescribeInstanceAttribute", call.send()).await?;
        let value = reply.disable_api_stop().and_then(AttributeBooleanValue::value);
        value.ok_or_else(|| errors::incomplete("DescribeInstanceAttribute", "disableApiStop"))
    }

    pub(crate) async fn shutdown_terminates(&self, instance: &InstanceId) -> Result<bool, Ec2Error> {
        let attribute = InstanceAttributeName::InstanceInitiatedShutdownBehavior;
        let call =
            self.client.describe_instance_attribute().instance_id(instance.as_str()).attribute(attribute);
        let reply = self.read("DescribeInstanceAttribute", call.send()).await?;
        let value = reply.instance_initiated_shutdown_behavior().and_then(AttributeValue::value);
        let value =
            value.ok_or_else(|| errors::incomplete("DescribeInstanceAttribute", "shutdown behavior"))?;
        Ok(value == "terminate")
    }

    /// By id: this operation has no filter for it.
    pub(crate) async fn scheduled_events(&self, instance: &InstanceId) -> Result<Vec<String>, Ec2Error> {
        let call = self.client.describe_instance_status().instance_ids(instance.as_str());
        let call = call.include_all_instances(true).include_managed_resources(true);
        let reply = self.read("DescribeInstanceStatus", call.send()).await?;
        let status = reply.instance_statuses().first();
        let status = status.ok_or_else(|| errors::incomplete("DescribeInstanceStatus", "status"))?;
        Ok(status.events().iter().filter_map(convert::event).collect())
    }

    pub(crate) async fn instance_store(&self, instance_type: &str) -> Result<bool, Ec2Error> {
        let call = self.client.describe_instance_types().instance_types(InstanceType::from(instance_type));
        let reply = self.read("DescribeInstanceTypes", call.send()).await?;
        let value = reply.instance_types().first().and_then(InstanceTypeInfo::instance_storage_supported);
        value.ok_or_else(|| errors::incomplete("DescribeInstanceTypes", "instanceStorageSupported"))
    }

    pub(crate) async fn volumes(&self, volumes: &[VolumeId]) -> Result<Vec<Volume>, Ec2Error> {
        let mut found = Vec::new();
        for filter in filters::volumes(volumes) {
            let call = self.client.describe_volumes().filters(built(filter)).include_managed_resources(true);
            let pages = call.into_paginator().page_size(PAGE).send();
            let entries =
                |page: &DescribeVolumesOutput| page.volumes().iter().filter_map(convert::volume).collect();
            found.extend(
                self.pages("DescribeVolumes", pages, DescribeVolumesOutput::next_token, entries).await?,
            );
        }
        Ok(found)
    }

    pub(crate) async fn regions(&self) -> Result<BTreeMap<Region, OptIn>, Ec2Error> {
        let call = self.client.describe_regions().all_regions(true);
        let reply = self.read("DescribeRegions", call.send()).await?;
        Ok(reply.regions().iter().filter_map(convert::region).collect())
    }
}

fn built((name, values): filters::Filter) -> Filter {
    Filter::builder().name(name).set_values(Some(values)).build()
}
