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
    refusal::{Class, Refusal},
    world::{Image, Instance, OptIn, Snapshot, Volume},
};

use crate::{convert, errors, port::Line};

/// `FilterLimitExceeded` above it.
const VALUES: usize = 200;
const PAGE: i32 = 1000;
/// A list of more pages than this is no list of EC2's: it would never end.
const PAGES: usize = 10_000;

impl Line {
    /// What is read from the pages of a list, all of them: the SDK ends a list silently when EC2 repeats a token, and
    /// follows ever new ones for ever.
    async fn pages<P, T, E>(
        &self,
        operation: &'static str,
        mut pages: PaginationStream<Result<P, SdkError<E, HttpResponse>>>,
        next: impl Fn(&P) -> Option<&str> + Send + Sync,
        entries: impl Fn(&P) -> Vec<T> + Send + Sync,
    ) -> Result<Vec<T>, Refusal>
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

    pub(crate) async fn instances(&self, which: Instances) -> Result<Vec<Instance>, Refusal> {
        let mut instances = Vec::new();
        for filter in match which {
            Instances::One(id) => return self.instance(&id).await,
            Instances::TagKey(key) => filters("tag-key", [literal(&key)]),
            Instances::Ids(ids) => filters("instance-id", ids.iter().map(ToString::to_string)),
            Instances::Names(names) => filters("tag:Name", names.iter().map(|name| literal(name))),
        } {
            let call = self.client.describe_instances().filters(filter).include_managed_resources(true);
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
    async fn instance(&self, id: &InstanceId) -> Result<Vec<Instance>, Refusal> {
        let call = self.client.describe_instances().instance_ids(id.as_str()).include_managed_resources(true);
        match self.read("DescribeInstances", call.send()).await {
            Ok(page) => Ok(page.reservations().iter().flat_map(convert::instances).collect()),
            Err(refusal) if refusal.class == Class::NotFound => Ok(Vec::new()),
            Err(refusal) => Err(refusal),
        }
    }

    pub(crate) async fn images(&self, which: Images) -> Result<Vec<Image>, Refusal> {
        let mut images = Vec::new();
        for filters in image_filters(which) {
            let call = self.client.describe_images().owners("self").set_filters(Some(filters));
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

    pub(crate) async fn snapshots(&self, which: Snapshots) -> Result<Vec<Snapshot>, Refusal> {
        let mut snapshots = Vec::new();
        for filter in match which {
            Snapshots::Tag(key, values) => tag_filters(&key, &values),
            Snapshots::Volumes(volumes) => filters("volume-id", volumes.iter().map(ToString::to_string)),
        } {
            let call = self.client.describe_snapshots().owner_ids("self").filters(filter);
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

    pub(crate) async fn tagged(&self, key: &str) -> Result<Vec<InstanceId>, Refusal> {
        let mut instances = BTreeSet::new();
        let kind = Filter::builder().name("resource-type").values("instance").build();
        for filter in filters("key", [literal(key)]) {
            let call = self.client.describe_tags().filters(filter).filters(kind.clone());
            let pages = call.into_paginator().page_size(PAGE).send();
            let entries = |page: &DescribeTagsOutput| {
                page.tags().iter().filter_map(|tag| convert::id(tag.resource_id())).collect()
            };
            instances
                .extend(self.pages("DescribeTags", pages, DescribeTagsOutput::next_token, entries).await?);
        }
        Ok(instances.into_iter().collect())
    }

    pub(crate) async fn stop_protected(&self, instance: &InstanceId) -> Result<bool, Refusal> {
        let attribute = InstanceAttributeName::DisableApiStop;
        let call =
            self.client.describe_instance_attribute().instance_id(instance.as_str()).attribute(attribute);
        let reply = self.read("DescribeInstanceAttribute", call.send()).await?;
        let value = reply.disable_api_stop().and_then(AttributeBooleanValue::value);
        value.ok_or_else(|| errors::incomplete("DescribeInstanceAttribute", "disableApiStop"))
    }

    pub(crate) async fn shutdown_terminates(&self, instance: &InstanceId) -> Result<bool, Refusal> {
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
    pub(crate) async fn scheduled_events(&self, instance: &InstanceId) -> Result<Vec<String>, Refusal> {
        let call = self.client.describe_instance_status().instance_ids(instance.as_str());
        let call = call.include_all_instances(true).include_managed_resources(true);
        let reply = self.read("DescribeInstanceStatus", call.send()).await?;
        let status = reply.instance_statuses().first();
        let status = status.ok_or_else(|| errors::incomplete("DescribeInstanceStatus", "status"))?;
        Ok(status.events().iter().filter_map(convert::event).collect())
    }

    pub(crate) async fn instance_store(&self, instance_type: &str) -> Result<bool, Refusal> {
        let call = self.client.describe_instance_types().instance_types(InstanceType::from(instance_type));
        let reply = self.read("DescribeInstanceTypes", call.send()).await?;
        let value = reply.instance_types().first().and_then(InstanceTypeInfo::instance_storage_supported);
        value.ok_or_else(|| errors::incomplete("DescribeInstanceTypes", "instanceStorageSupported"))
    }

    pub(crate) async fn volumes(&self, volumes: &[VolumeId]) -> Result<Vec<Volume>, Refusal> {
        let mut found = Vec::new();
        for filter in filters("volume-id", volumes.iter().map(ToString::to_string)) {
            let call = self.client.describe_volumes().filters(filter).include_managed_resources(true);
            let pages = call.into_paginator().page_size(PAGE).send();
            let entries =
                |page: &DescribeVolumesOutput| page.volumes().iter().filter_map(convert::volume).collect();
            found.extend(
                self.pages("DescribeVolumes", pages, DescribeVolumesOutput::next_token, entries).await?,
            );
        }
        Ok(found)
    }

    pub(crate) async fn regions(&self) -> Result<BTreeMap<Region, OptIn>, Refusal> {
        let call = self.client.describe_regions().all_regions(true);
        let reply = self.read("DescribeRegions", call.send()).await?;
        Ok(reply.regions().iter().filter_map(convert::region).collect())
    }
}

/// The filters of each call; an image has to meet all filters of one.
fn image_filters(which: Images) -> Vec<Vec<Filter>> {
    let one_each = |filters: Vec<Filter>| filters.into_iter().map(|filter| vec![filter]).collect();
    match which {
        Images::Tag(key, values) => one_each(tag_filters(&key, &values)),
        Images::Names(names) => one_each(filters("name", names.iter().map(|name| literal(name)))),
        Images::Ids(ids) => one_each(filters("image-id", ids.iter().map(ToString::to_string))),
        // Without a filter EC2 would answer all images.
        Images::Tags(tags) if tags.is_empty() => Vec::new(),
        Images::Tags(tags) => {
            vec![tags.into_iter().flat_map(|(key, value)| tag_filters(&key, &[value])).collect()]
        }
        Images::PendingOf(instance) => {
            let source = filters("source-instance-id", [instance.to_string()]);
            let state = filters("state", ["pending".to_owned()]);
            vec![source.into_iter().chain(state).collect()]
        }
    }
}

fn tag_filters(key: &str, values: &[String]) -> Vec<Filter> {
    filters(&format!("tag:{key}"), values.iter().map(|value| literal(value)))
}

/// One filter for each call: no values, no call.
fn filters(name: &str, values: impl IntoIterator<Item = String>) -> Vec<Filter> {
    let values: Vec<String> = values.into_iter().collect();
    let filter = |values: &[String]| Filter::builder().name(name).set_values(Some(values.to_vec())).build();
    values.chunks(VALUES).map(filter).collect()
}

/// The text as a filter value: EC2 takes `*` and `?` for wildcards.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '\\') {
            literal.push('\\');
        }
        literal.push(character);
    }
    literal
}
