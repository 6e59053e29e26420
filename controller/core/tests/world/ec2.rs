//! The simulator's store as `Describe` calls would show it, and steps as calls to it.
use std::collections::BTreeMap;

use ec2sim::{ACCOUNT, Place, Reply, Request, Sim};
use jiff::Timestamp;
use saved_template_api::ids::{ImageId, Region};
use saved_template_core::{
    ec2_error::Ec2Error,
    step::{CopyRequest, ImageRequest},
    world::{Attachment, Image, ImageState, Instance, InstanceState, Snapshot, SnapshotState, Tags},
};

pub(crate) const HOME: &str = "us-west-2";
/// Who calls, in EC2's log.
pub(crate) const AGENT: &str = "savedtemplate";

fn time(millis: i64) -> Timestamp {
    Timestamp::from_second(millis.div_euclid(1000)).unwrap()
}

pub(crate) fn state(state: ec2sim::InstanceState) -> InstanceState {
    match state {
        ec2sim::InstanceState::Pending => InstanceState::Pending,
        ec2sim::InstanceState::Running => InstanceState::Running,
        ec2sim::InstanceState::Stopping => InstanceState::Stopping,
        ec2sim::InstanceState::Stopped => InstanceState::Stopped,
        ec2sim::InstanceState::ShuttingDown => InstanceState::ShuttingDown,
        ec2sim::InstanceState::Terminated => InstanceState::Terminated,
    }
}

pub(crate) fn instances(place: &Place) -> Vec<Instance> {
    let tags = |tags: &ec2sim::Tags| tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let of = |one: &ec2sim::Instance| Instance {
        id: one.id.parse().unwrap(),
        account: ACCOUNT.parse().unwrap(),
        state: state(one.state),
        state_reason: one.reason.as_ref().map(|reason| reason.code.clone()),
        transition_time: transition(&one.transition),
        launch_time: Some(time(one.launch_time)),
        attachments: one
            .devices
            .iter()
            .map(|device| Attachment {
                device: device.name.clone(),
                volume: device.volume.parse().unwrap(),
                attached: true,
                since: Some(time(device.attach_time)),
            })
            .collect(),
        root_device: Some(one.root_device_name.clone()),
        ebs_root: one.root_device_type == "ebs",
        lifecycle: None,
        managed: false,
        outpost: false,
        zone: Some(one.zone.clone()),
        architecture: Some(one.architecture.clone()),
        platform: Some("Linux/UNIX".into()),
        instance_type: Some(one.instance_type.clone()),
        image: None,
        hibernation: false,
        lent_address: false,
        product_codes: false,
        dedicated_host: false,
        reservation: None,
        placement_group: None,
        tags: tags(&one.tags),
    };
    place.instances.values().map(of).collect()
}

/// `User initiated (2026-11-24 07:46:58 GMT)`.
fn transition(text: &str) -> Option<Timestamp> {
    let inside = text.split_once('(')?.1.strip_suffix(" GMT)")?;
    format!("{}Z", inside.replace(' ', "T")).parse().ok()
}

pub(crate) fn images(place: &Place) -> Vec<Image> {
    let of = |one: &ec2sim::Image| Image {
        id: one.id.parse().unwrap(),
        owner: Some(ACCOUNT.parse().unwrap()),
        name: one.name.clone(),
        description: one.description.clone(),
        state: match one.state {
            ec2sim::ImageState::Pending => ImageState::Pending,
            ec2sim::ImageState::Available => ImageState::Available,
            ec2sim::ImageState::Failed => ImageState::Failed,
            ec2sim::ImageState::Disabled => ImageState::Disabled,
            ec2sim::ImageState::Deregistered => ImageState::Deregistered,
        },
        state_reason: one.reason.as_ref().map(|reason| reason.message.clone()),
        created: Some(time(one.created_at)),
        architecture: Some(one.architecture.clone()),
        source_instance: one.instance.as_ref().and_then(|id| id.parse().ok()),
        source_image: one.source().and_then(|source| source.image.parse().ok()),
        source_region: one.source().and_then(|source| source.region.parse().ok()),
        snapshots: if one.state == ec2sim::ImageState::Available {
            one.mappings.iter().filter_map(|mapping| mapping.snapshot.as_ref()?.parse().ok()).collect()
        } else {
            Vec::new()
        },
        tags: one.tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
    };
    let shown = |one: &&ec2sim::Image| one.deregistered_at.is_none();
    place.images.values().filter(shown).map(of).collect()
}

pub(crate) fn snapshots(place: &Place) -> Vec<Snapshot> {
    let of = |one: &ec2sim::Snapshot| Snapshot {
        id: one.id.parse().unwrap(),
        volume: one.volume.parse().unwrap(),
        state: match one.state {
            ec2sim::SnapshotState::Pending => SnapshotState::Pending,
            ec2sim::SnapshotState::Completed => SnapshotState::Completed,
            ec2sim::SnapshotState::Error => SnapshotState::Error,
        },
        started: Some(time(one.start_time)),
        progress: 50,
        volume_gib: i64::from(one.gib),
        description: one.description.clone(),
        tags: one.tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
    };
    place.snapshots.values().map(of).collect()
}

/// One call; a reply that was lost is an unknown outcome.
pub(crate) fn call(sim: &mut Sim, now: i64, region: &str, request: &Request) -> Result<Reply, Ec2Error> {
    let request = Request { agent: AGENT.into(), ..request.clone() };
    let reply = sim.call(now, ACCOUNT, region, &request);
    if reply.is_closed {
        return Err(Ec2Error::new("call", "", "connection closed"));
    }
    match &reply.code {
        None => Ok(reply),
        Some(code) if code == "DryRunOperation" => Ok(reply),
        Some(code) => {
            let message = reply.text("Message").unwrap_or_default().to_owned();
            Err(Ec2Error::new("call", code.clone(), message))
        }
    }
}

fn specified(mut request: Request, image: &Tags, snapshots: &Tags) -> Request {
    for (at, (kind, tags)) in [("image", image), ("snapshot", snapshots)].into_iter().enumerate() {
        let prefix = format!("TagSpecification.{}", at + 1);
        request = request.with(&format!("{prefix}.ResourceType"), kind);
        for (at, (key, value)) in tags.iter().enumerate() {
            request = request.with(&format!("{prefix}.Tag.{}.Key", at + 1), key);
            request = request.with(&format!("{prefix}.Tag.{}.Value", at + 1), value);
        }
    }
    request
}

pub(crate) fn create_image(request: &ImageRequest) -> Request {
    let call = Request::new("CreateImage")
        .with("InstanceId", request.instance.as_str())
        .with("Name", &request.name)
        .with("Description", &request.description)
        .with("NoReboot", if request.reboot { "false" } else { "true" });
    let excluded = request.excluded_devices.iter().enumerate();
    let call = excluded.fold(call, |call, (at, device)| {
        let prefix = format!("BlockDeviceMapping.{}", at + 1);
        call.with(&format!("{prefix}.DeviceName"), device).with(&format!("{prefix}.NoDevice"), "")
    });
    specified(call, &request.image_tags, &request.snapshot_tags)
}

pub(crate) fn copy_image(request: &CopyRequest) -> Request {
    let call = Request::new("CopyImage")
        .with("SourceImageId", request.source.as_str())
        .with("SourceRegion", request.source_region.as_str())
        .with("Name", &request.name)
        .with("Description", &request.description)
        .with("ClientToken", &request.token);
    specified(call, &request.image_tags, &request.snapshot_tags)
}

pub(crate) fn tag(id: &str, tags: &BTreeMap<String, String>) -> Request {
    tag_all(&[id.to_owned()], tags)
}

fn on_resources(action: &str, ids: &[String]) -> Request {
    let call = Request::new(action);
    ids.iter().enumerate().fold(call, |call, (at, id)| call.with(&format!("ResourceId.{}", at + 1), id))
}

pub(crate) fn untag_all(ids: &[String], keys: &[String]) -> Request {
    let call = on_resources("DeleteTags", ids);
    keys.iter().enumerate().fold(call, |call, (at, key)| call.with(&format!("Tag.{}.Key", at + 1), key))
}

pub(crate) fn tag_all(ids: &[String], tags: &BTreeMap<String, String>) -> Request {
    let mut call = on_resources("CreateTags", ids);
    for (at, (key, value)) in tags.iter().enumerate() {
        call = call.with(&format!("Tag.{}.Key", at + 1), key).with(&format!("Tag.{}.Value", at + 1), value);
    }
    call
}

pub(crate) fn untag(id: &str, key: &str, value: &str) -> Request {
    Request::new("DeleteTags").with("ResourceId.1", id).with("Tag.1.Key", key).with("Tag.1.Value", value)
}

pub(crate) fn on_instance(action: &str, id: &str) -> Request {
    Request::new(action).with("InstanceId.1", id)
}

/// `previousState` of the one machine that a reply is about.
pub(crate) fn previous(reply: &Reply) -> InstanceState {
    match reply.texts("name").last().copied().unwrap() {
        "running" => InstanceState::Running,
        "stopping" => InstanceState::Stopping,
        "stopped" => InstanceState::Stopped,
        "pending" => InstanceState::Pending,
        other => panic!("{other}"),
    }
}

pub(crate) fn image_id(reply: &Reply) -> ImageId {
    reply.text("imageId").unwrap().parse().unwrap()
}

pub(crate) fn region(name: &str) -> Region {
    name.parse().unwrap()
}
