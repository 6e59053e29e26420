//! Samples for the tables of this crate's tests.
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    SavedTemplateSpec, SavedTemplateStatus,
    names::{self, Owner},
    status::{CaptureStatus, RegionRole, RegionState, RegionStatus, SourceStatus, StepOutcome, StepResult},
};

use crate::{
    answer,
    ec2_error::Ec2Error,
    restart::{Awaits, Record},
    subject::{Subject, Takeover},
    world::{
        Attachment, ClassSeen, Image, ImageState, Instance, InstanceState, OptIn, Permits, Probe, Sighting,
        Snapshot, SnapshotState, Started, View, World,
    },
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
        lent_address: false,
        product_codes: false,
        dedicated_host: false,
        reservation: None,
        placement_group: None,
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
        // The AMI that the machine was launched from.
        source_image: Some("ami-00000000000000001".parse().unwrap()),
        source_region: Some("us-west-2".parse().unwrap()),
        snapshots: vec![],
        tags: [(names::tag::CAPTURE.to_owned(), capture.to_owned())].into(),
    }
}

pub(crate) const CLUSTER_UID: &str = "0a1b2c3d-1111-2222-3333-444455556666";
pub(crate) const OWNER: Owner<'_> =
    Owner { cluster: "lab", kind: names::SAVED_TEMPLATE, namespace: "geo", name: "quake" };

pub(crate) fn spec(json: &str) -> SavedTemplateSpec {
    serde_json::from_str(json).unwrap()
}

/// A template of the sample machine, by name, with one copy.
pub(crate) fn plain() -> SavedTemplateSpec {
    spec(
        r#"{"source": {"region": "us-west-2", "instanceName": "earthquake-analysis"}, "regions": [{"name": "us-east-2"}]}"#,
    )
}

pub(crate) fn subject<'a>(spec: &'a SavedTemplateSpec, status: &'a SavedTemplateStatus) -> Subject<'a> {
    Subject {
        cluster: OWNER.cluster,
        namespace: OWNER.namespace,
        name: OWNER.name,
        cluster_uid: CLUSTER_UID,
        takeover: Takeover::NONE,
        generation: 3,
        deleting: false,
        finalizer: true,
        spec,
        status,
    }
}

/// A status whose capture was planned at 0 under the sample record.
pub(crate) fn planned() -> SavedTemplateStatus {
    let record = record();
    let capture = CaptureStatus {
        id: CAPTURE.into(),
        revision: 1,
        attempts: 1,
        max_downtime_seconds: 1800,
        expected_volumes: running().attachments.into_iter().map(|volume| volume.volume).collect(),
        restart_record: Some(record.to_string()),
        launch_time: Some(Time(at(-9000))),
        start_time: Some(Time(at(0))),
        ..CaptureStatus::default()
    };
    let row = |region: &str, role| RegionStatus::waiting(region.parse().unwrap(), "x86_64".into(), role);
    SavedTemplateStatus {
        latest_revision: Some(1),
        source: Some(SourceStatus {
            account_id: Some("123456789012".parse().unwrap()),
            instance_id: Some(record.instance),
            architecture: Some("x86_64".into()),
            ..SourceStatus::default()
        }),
        regions: vec![row("us-west-2", RegionRole::Home), row("us-east-2", RegionRole::Copy)],
        capture: Some(capture),
        ..SavedTemplateStatus::default()
    }
}

/// The same, with the Stop announced at 10.
pub(crate) fn stopping() -> SavedTemplateStatus {
    let mut status = planned();
    let capture = status.capture.as_mut().unwrap();
    (capture.stop_requested_time, capture.disruptions) = (Some(Time(at(10))), 1);
    status
}

/// The same, with the machine seen stopped at 40 and the image asked for at 41.
pub(crate) fn imaging() -> SavedTemplateStatus {
    let mut status = stopping();
    let capture = status.capture.as_mut().unwrap();
    (capture.source_stopped_time, capture.image_requested_time) = (Some(Time(at(40))), Some(Time(at(41))));
    status
}

/// The machine with the sample record on it.
pub(crate) fn tagged(machine: Instance) -> Instance {
    let mut machine = machine;
    machine.tags.insert(names::debt_key(OWNER.cluster), record().to_string());
    machine
}

pub(crate) fn owned(image: Image) -> Image {
    let mut image = image;
    image.name = OWNER.image_name(OWNER.name, 1, 1);
    for (key, value) in [
        (names::tag::CLUSTER, OWNER.cluster),
        (names::tag::NAMESPACE, OWNER.namespace),
        (names::tag::NAME, OWNER.name),
        (names::tag::REVISION, "1"),
        (names::tag::ROLE, "home"),
        (names::tag::HOLDER, CLUSTER_UID),
        (names::tag::REGION, "us-west-2"),
        (names::tag::SOURCE_INSTANCE, "i-0123456789abcdef0"),
    ] {
        image.tags.insert(key.into(), value.into());
    }
    image
}

/// Everything readable, every question answered well, the record seen for long.
pub(crate) fn world(
    began: Timestamp,
    instances: Vec<Instance>,
    images: Vec<Image>,
    snapshots: Vec<Snapshot>,
) -> World {
    let key = names::debt_key(OWNER.cluster);
    let seen = instances.iter().filter_map(|one| Some((one.id.clone(), one.tags.get(&key)?.clone())));
    let sightings = seen.map(|seen| (seen, Sighting { first: at(-100), last: began })).collect();
    let view = View {
        began,
        instances: Ok(instances),
        images: Ok(images),
        snapshots: Ok(snapshots),
        sightings,
        absences: [].into(),
    };
    let abroad = View { instances: Ok(vec![]), images: Ok(vec![]), snapshots: Ok(vec![]), ..view.clone() };
    let enabled = |region: &str| (region.parse().unwrap(), OptIn::Enabled);
    World {
        home: Ok(Arc::new(view)),
        abroad: [("us-east-2".parse().unwrap(), Ok(Arc::new(abroad)))].into(),
        probe: Some(Probe {
            stop_protected: Ok(false),
            instance_store: Ok(false),
            regions: Ok([enabled("us-west-2"), enabled("us-east-2")].into()),
            create_image: Ok(()),
            volumes: Ok(vec![]),
            shutdown_terminates: Ok(false),
            events: Ok(vec![]),
            snapshots: Ok(vec![]),
            pending_images: Ok(vec![]),
            namesakes: Ok(vec![]),
        }),
        claim: Some(Ok(())),
        class: Some(ClassSeen::Held { not_enforced: Vec::new() }),
        users: None,
        permits: Some(Permits { stop: Ok(()), start: Ok(()) }),
        started: Some(Started { previous: InstanceState::Stopped, launch_time_before: Some(at(-9000)) }),
        start_refused: None,
        covered: true,
        unsent: true,
        sent: false,
    }
}

/// A save that is over: the machine is back since 70, its image is available, and no copy was asked for.
pub(crate) fn saved() -> SavedTemplateStatus {
    let mut status = imaging();
    let capture = status.capture.as_mut().unwrap();
    (capture.restart_record, capture.completion_time) = (None, Some(Time(at(200))));
    (capture.snapshots_started_time, capture.source_restored_time) = (Some(Time(at(45))), Some(Time(at(70))));
    let home = &mut status.regions[0];
    (home.image_id, home.state, home.revision) = (Some(made().id), RegionState::Available, Some(1));
    status
}

/// The same, with its copy available.
pub(crate) fn replicated() -> SavedTemplateStatus {
    let mut status = saved();
    let row = &mut status.regions[1];
    (row.image_id, row.state, row.revision) = (Some(copy().id), RegionState::Available, Some(1));
    (row.attempts, row.announced_time) = (1, Some(Time(at(300))));
    status
}

/// The image of the sample record.
pub(crate) fn made() -> Image {
    let mut image = owned(image(CAPTURE, ImageState::Available));
    image.tags.insert(names::tag::SOURCE.into(), names::source_digest(&plain().source));
    image
}

/// The copy of it.
pub(crate) fn copy() -> Image {
    let mut copy = Image {
        id: "ami-00000000000000002".parse().unwrap(),
        source_instance: None,
        source_image: Some(made().id),
        source_region: Some("us-west-2".parse().unwrap()),
        ..made()
    };
    for (key, value) in [(names::tag::ROLE, "copy"), (names::tag::REGION, "us-east-2")] {
        copy.tags.insert(key.into(), value.into());
    }
    copy
}

/// The second region that copies are made in, in tests of several.
pub(crate) const AWAY: &str = "eu-west-1";

/// A copy in that region.
pub(crate) fn copy_away() -> Image {
    let mut image = Image { id: "ami-00000000000000003".parse().unwrap(), ..copy() };
    image.tags.insert(names::tag::REGION.into(), AWAY.into());
    image
}

/// A template that is copied to both regions.
pub(crate) fn twice() -> SavedTemplateSpec {
    spec(
        r#"{"source": {"region": "us-west-2", "instanceName": "earthquake-analysis"},
            "regions": [{"name": "us-east-2"}, {"name": "eu-west-1"}]}"#,
    )
}

/// Its status with both copies available.
pub(crate) fn replicated_twice() -> SavedTemplateStatus {
    let mut status = replicated();
    let (region, image_id) = (AWAY.parse().unwrap(), Some(copy_away().id));
    status.regions.push(RegionStatus { region, image_id, ..status.regions[1].clone() });
    status
}

/// What is seen at home, in the region of the copy, and in the second one.
pub(crate) fn three(began: Timestamp, home: Vec<Image>, copies: Vec<Image>, away: Vec<Image>) -> World {
    let mut world = images(began, home, copies);
    let mut view = abroad(&mut world).clone();
    view.images = Ok(away);
    world.abroad.insert(AWAY.parse().unwrap(), Ok(Arc::new(view)));
    world
}

/// A snapshot of the copy.
pub(crate) fn copied_snapshot(n: u8) -> Snapshot {
    Snapshot {
        description: "Copied for DestinationAmi ami-00000000000000002 from SourceAmi ami-0123456789abcdef0"
            .into(),
        tags: copy().tags,
        ..snapshot(n, CAPTURE, at(305), SnapshotState::Completed)
    }
}

/// The machine runs, and these images are at home and in the region of the copy.
pub(crate) fn images(began: Timestamp, home: Vec<Image>, copies: Vec<Image>) -> World {
    let mut world = world(began, vec![running()], home, vec![]);
    abroad(&mut world).images = Ok(copies);
    world
}

/// What is seen at home.
pub(crate) fn at_home(world: &mut World) -> &mut View {
    Arc::make_mut(world.home.as_mut().unwrap())
}

/// What is seen in the region of the copy.
pub(crate) fn abroad(world: &mut World) -> &mut View {
    Arc::make_mut(world.abroad.get_mut(&"us-east-2".parse().unwrap()).unwrap().as_mut().unwrap())
}

/// An answer of EC2's by its code and message (`IncorrectState: no`), `accepted`, or `previousState: stopped`.
pub(crate) fn outcome(text: &str) -> StepOutcome {
    match text.split_once(": ") {
        _ if text == "accepted" => answer::ACCEPTED,
        Some(("previousState", state)) => {
            StepOutcome { result: StepResult::FoundInState, code: Some(state.into()), message: None }
        }
        Some((code, message)) => answer::refused(&Ec2Error::new("", code, message)),
        None => panic!("no answer: {text}"),
    }
}
