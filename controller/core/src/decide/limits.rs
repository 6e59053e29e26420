//! What the status has room for, and what two regions may do to each other: states that once went wrong.
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    SavedTemplateSpec,
    ids::{ImageId, Region},
    names::{self, tag},
    status::{MAX_REQUEST_BYTES, RegionRole, RegionState, RegionStatus},
};

use super::*;
use crate::{
    ec2_error::Ec2Error,
    outcomes::apply,
    sample::{CAPTURE, OWNER, at, image, imaging, owned, plain, running, snapshot, spec, subject, world},
    step::{Outcome, Step},
    world::{Image, ImageState, Snapshot, SnapshotState, World},
};

fn deleted() -> SavedTemplateSpec {
    spec(
        r#"{"source": {"region": "us-west-2", "instanceName": "earthquake-analysis"},
            "regions": [{"name": "us-east-2"}], "deletionPolicy": "Delete"}"#,
    )
}

/// Saved, given back and at rest, with these images and snapshots at home.
fn saved(images: Vec<Image>, shots: Vec<Snapshot>) -> (SavedTemplateStatus, World) {
    let mut status = imaging();
    let capture = status.capture.as_mut().unwrap();
    (capture.restart_record, capture.completion_time) = (None, Some(Time(at(200))));
    (capture.snapshots_started_time, capture.source_restored_time) = (Some(Time(at(45))), Some(Time(at(70))));
    let row = &mut status.regions[0];
    (row.image_id, row.state) = (Some(id(0)), RegionState::Available);
    (status, world(at(900), vec![running()], images, shots))
}

fn id(n: u32) -> ImageId {
    format!("ami-0123456789abcd{n:03x}").parse().unwrap()
}

fn shot(n: u32) -> Snapshot {
    let mut shot = snapshot(1, CAPTURE, at(42), SnapshotState::Completed);
    shot.id = format!("snap-{n:017x}").parse().unwrap();
    shot.description = format!("Created by CreateImage(i-0123456789abcdef0) for {}", id(0));
    shot.tags = owned(image(CAPTURE, ImageState::Available)).tags;
    shot
}

#[test]
fn a_change_of_hundreds_of_things_is_announced_in_as_many_letters_as_the_status_has_room_for() {
    let (status, world) =
        saved(vec![owned(image(CAPTURE, ImageState::Available))], (1..400).map(shot).collect());
    let tagged = spec(
        r#"{"source": {"region": "us-west-2", "instanceName": "earthquake-analysis"}, "tags": [{"key": "a", "value": "b"}]}"#,
    );
    let decision = decide(subject(&tagged, &status), &world, at(910)).into_decision().unwrap();
    let Some(Step::TagImages { resources, .. }) = decision.step() else { panic!("{:?}", decision.step()) };
    assert!(resources.len() >= 399);
    let announced = decision.status.announced[0].clone();
    assert!(announced.request.len() <= MAX_REQUEST_BYTES, "{} bytes", announced.request.len());
    // The same change is known again by its text.
    let again = decide(subject(&tagged, &decision.status), &world, at(911)).into_decision().unwrap();
    assert_eq!(again.step(), None);
}

#[test]
fn regions_that_come_and_go_leave_the_status_room_for_those_that_are_wanted() {
    let (mut status, world) = saved(vec![owned(image(CAPTURE, ImageState::Available))], vec![]);
    for n in 0..49 {
        let region: Region =
            format!("xx-{}-{}", if n < 10 { "a" } else { "b" }.repeat(n / 10 + 1), n % 10).parse().unwrap();
        status.regions.push(RegionStatus::waiting(region, "x86_64".into(), RegionRole::Copy));
    }
    let decision = decide(subject(&plain(), &status), &world, at(910)).into_decision().unwrap();
    assert!(decision.status.regions.len() <= 50, "{}", decision.status.regions.len());
    for region in ["us-west-2", "us-east-2"] {
        assert!(decision.status.regions.iter().any(|row| row.region.as_str() == region), "{region}");
    }
}

/// EC2 refuses every snapshot, in both regions: images of somebody else use them.
#[test]
fn snapshots_in_use_in_two_regions_are_tried_a_few_times_with_pauses_and_then_kept() {
    let (mut status, mut world) = saved(vec![], vec![shot(1)]);
    let row = &mut status.regions[1];
    (row.image_id, row.state, row.revision) =
        (Some("ami-00000000000000002".parse().unwrap()), RegionState::Available, Some(1));
    let mut far =
        Snapshot { description: "Copied for DestinationAmi ami-00000000000000002 from".into(), ..shot(2) };
    far.tags.insert(tag::REGION.into(), "us-east-2".into());
    let spec = deleted();
    let (mut tries, mut kept) = (0, 0);
    for second in (1000..4000).step_by(2) {
        for view in std::iter::once(&mut world.home).chain(world.abroad.values_mut()) {
            Arc::make_mut(view.as_mut().unwrap()).began = at(second);
        }
        Arc::make_mut(world.abroad.values_mut().next().unwrap().as_mut().unwrap()).snapshots =
            Ok(vec![far.clone()]);
        let subject = Subject { deleting: true, ..subject(&spec, &status) };
        let decision = decide(subject, &world, at(second)).into_decision().unwrap();
        status = decision.status;
        for step in decision.steps {
            if matches!(step, Step::DeleteSnapshot { .. }) {
                tries += 1;
                let refusal = Ec2Error::new("DeleteSnapshot", "InvalidSnapshot.InUse", "in use");
                status = apply(&status, &step, &Outcome::Refused(refusal), at(second)).unwrap_or(status);
                continue;
            }
            let Step::TagImages { region, tags, .. } = step else { panic!("{step:?}") };
            kept += 1;
            let view = if region.as_str() == "us-west-2" {
                &mut world.home
            } else {
                world.abroad.values_mut().next().unwrap()
            };
            for shot in Arc::make_mut(view.as_mut().unwrap()).snapshots.iter_mut().flatten() {
                shot.tags.extend(tags.clone());
            }
            if region.as_str() == "us-east-2" {
                far.tags.extend(tags);
            }
        }
    }
    assert!(kept == 2 && tries <= 16, "{kept} kept after {tries} tries");
}

#[test]
fn a_record_in_the_status_is_about_its_own_machine_whatever_machine_the_status_names() {
    let mut status = crate::sample::planned();
    status.source.as_mut().unwrap().instance_id = Some("i-00000000000000002".parse().unwrap());
    status.source.as_mut().unwrap().original_state = Some("running".into());
    let record = crate::sample::record().to_string();
    let mut other = running();
    other.id = "i-00000000000000002".parse().unwrap();
    other.tags.insert(names::debt_key(OWNER.cluster), record.clone());
    let mut world = world(at(20), vec![running(), other], vec![], vec![]);
    let view = Arc::make_mut(world.home.as_mut().unwrap());
    let seen = crate::world::Sighting { first: at(0), last: at(20) };
    view.sightings.insert(("i-00000000000000002".parse().unwrap(), record), seen);
    let decision = decide(subject(&plain(), &status), &world, at(20)).into_decision().unwrap();
    assert!(
        !matches!(decision.step(), Some(Step::Stop { .. })),
        "the copied tag allows nothing: {:?}",
        decision.step()
    );
}
