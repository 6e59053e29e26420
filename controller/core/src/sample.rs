//! Samples for the tables of this crate's tests.
use jiff::{SignedDuration, Timestamp};
use saved_template_api::names;

use crate::{
    debt::{Awaits, Record},
    world::{Attachment, Image, ImageState, Instance, InstanceState, Snapshot, SnapshotState},
};

pub(crate) const CAPTURE: &str = "0123456789abcdef";
pub(crate) const EARLIER_CAPTURE: &str = "fedcba9876543210";

/// `seconds` after the instant at which the sample record is planned.
pub(crate) fn at(seconds: i64) -> Timestamp {
    let plan: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
    plan + SignedDuration::from_secs(seconds)
}

pub(crate) fn record() -> Record {
    let id = "i-0123456789abcdef0".parse().unwrap();
    Record::plan(id, CAPTURE.into(), "0a1b2c3d".into(), at(0), (600, 1800), Awaits::Snapshots, 2)
}

/// Running since long before the plan.
pub(crate) fn running() -> Instance {
    let volume = |device: &str, n: u8| Attachment {
        device: device.into(),
        volume: format!("vol-{n:017x}").parse().unwrap(),
        attached: true,
        since: Some(at(-9000)),
    };
    Instance {
        id: "i-0123456789abcdef0".parse().unwrap(),
        account: "123456789012".parse().unwrap(),
        state: InstanceState::Running,
        state_reason: None,
        transition_time: None,
        launch_time: Some(at(-9000)),
        attachments: vec![volume("/dev/xvda", 1), volume("/dev/xvdb", 2)],
        root_device: Some("/dev/xvda".into()),
        ebs_root: true,
        lifecycle: None,
        managed: false,
        outpost: false,
        zone: Some("us-west-2a".into()),
        architecture: Some("x86_64".into()),
        platform: Some("Linux/UNIX".into()),
        instance_type: Some("t3.micro".into()),
        image: Some("ami-00000000000000001".parse().unwrap()),
        hibernation: false,
        tags: [("Name".to_owned(), "earthquake-analysis".to_owned())].into(),
    }
}

/// Stopped by a user's request (ours is one) at `time`.
pub(crate) fn stopped_at(time: Option<Timestamp>) -> Instance {
    Instance {
        state: InstanceState::Stopped,
        state_reason: Some("Client.UserInitiatedShutdown".into()),
        transition_time: time,
        ..running()
    }
}

/// A snapshot of the n-th volume.
pub(crate) fn snapshot(n: u8, capture: &str, started: Timestamp, state: SnapshotState) -> Snapshot {
    Snapshot {
        id: format!("snap-{n:017x}").parse().unwrap(),
        volume: format!("vol-{n:017x}").parse().unwrap(),
        state,
        started: Some(started),
        progress: 0,
        volume_gib: 8,
        description: "Created by CreateImage(i-0123456789abcdef0) for ami-0123456789abcdef0".into(),
        tags: [(names::tag::CAPTURE.to_owned(), capture.to_owned())].into(),
    }
}

pub(crate) fn image(capture: &str, state: ImageState) -> Image {
    Image {
        id: "ami-0123456789abcdef0".parse().unwrap(),
        owner: Some("123456789012".parse().unwrap()),
        name: "seismic-ml-r1-000000000000".into(),
        description: String::new(),
        state,
        state_reason: None,
        created: Some(at(31)),
        architecture: Some("x86_64".into()),
        source_instance: Some("i-0123456789abcdef0".parse().unwrap()),
        source_image: None,
        source_region: None,
        snapshots: vec![],
        tags: [(names::tag::CAPTURE.to_owned(), capture.to_owned())].into(),
    }
}
