//! Which need decides, and who has to act: tables.
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, SavedTemplateSpec, condition::find, names, spec::CaptureMode, status::RegionState,
};

use super::*;
use crate::{
    ec2_error::{Ec2Error, NOT_ENABLED},
    restart::{Awaits, Record},
    sample::{
        CAPTURE, OWNER, at, image, imaging, owned, plain, planned, record, running, saved, subject, world,
    },
    step::Step,
    time::LATER,
    world::{Absence, ImageState},
};

fn told(decision: &Decision, kind: ConditionType) -> (String, String) {
    find(&decision.status.conditions, kind)
        .map(|condition| (condition.status.clone(), condition.reason.clone()))
        .unwrap_or_default()
}

#[test]
fn a_home_region_that_cannot_be_read_waits_for_whoever_can_do_something_about_it() {
    for (code, kind, ready, validated) in [
        (NOT_ENABLED, ConditionType::Stalled, "Preflight", "RegionNotEnabled"),
        ("InvalidParameterValue", ConditionType::Stalled, "Preflight", "RequestRefused"),
        ("InternalError", ConditionType::Reconciling, "NotChecked", "NotChecked"),
    ] {
        let mut dark = world(at(60), vec![], vec![], vec![]);
        dark.home = Err(Ec2Error::new("DescribeInstances", code, "no"));
        for status in [SavedTemplateStatus::default(), saved()] {
            let decision = decide(subject(&plain(), &status), &dark, at(60)).into_decision().unwrap();
            assert_eq!(told(&decision, kind).0, "True", "{code}");
            assert_eq!(told(&decision, ConditionType::Ready).1, ready, "{code}");
            let checked = if !status.regions.is_empty() && ready == "NotChecked" {
                "NothingToCapture"
            } else {
                validated
            };
            assert_eq!(told(&decision, ConditionType::Validated).1, checked, "{code}");
        }
    }
}

/// A machine that is saved as it runs, with its claim still on it, and the row of an image that is gone.
#[test]
fn while_a_record_is_on_a_machine_there_is_something_for_us_to_do_soon() {
    let claim = Record { awaits: Awaits::Nothing, ..record() };
    let mut status = planned();
    let capture = status.capture.as_mut().unwrap();
    (capture.mode, capture.restart_record) = (CaptureMode::NoReboot, Some(claim.to_string()));
    capture.image_requested_time = Some(Time(at(20)));
    let gone: saved_template_api::ids::ImageId = "ami-0123456789abcdef0".parse().unwrap();
    let row = &mut status.regions[0];
    (row.image_id, row.state, row.progress_percent) = (Some(gone.clone()), RegionState::Pending, Some(0));
    let mut machine = running();
    machine.tags.insert(names::debt_key(OWNER.cluster), claim.to_string());
    let mut seen = world(at(400), vec![machine], vec![], vec![]);
    let view = Arc::make_mut(seen.home.as_mut().unwrap());
    view.absences.insert(gone.to_string(), Absence { since: at(21), reads: 90 });
    let decision = decide(subject(&plain(), &status), &seen, at(400)).into_decision().unwrap();
    assert!(decision.status.capture.as_ref().unwrap().restart_record.is_some());
    assert_eq!(told(&decision, ConditionType::Ready).1, "ImageMissing");
    assert_eq!(told(&decision, ConditionType::Reconciling).0, "True");
    assert!(decision.look_again <= LATER, "{:?}", decision.look_again);
}

#[test]
fn an_image_that_is_not_served_is_not_copied() {
    let mut status = imaging();
    let capture = status.capture.as_mut().unwrap();
    (capture.restart_record, capture.completion_time) = (None, Some(Time(at(200))));
    capture.source_restored_time = Some(Time(at(70)));
    let made = owned(image(CAPTURE, ImageState::Available));
    let home = &mut status.regions[0];
    (home.image_id, home.state) = (Some(made.id.clone()), RegionState::Available);
    for (reason, begun, copies) in
        [(None, Some(45), true), (Some("DowntimeExceeded"), Some(45), false), (None, None, false)]
    {
        let capture = status.capture.as_mut().unwrap();
        (capture.reason, capture.snapshots_started_time) =
            (reason.map(|word: &str| word.parse().unwrap()), begun.map(at).map(Time));
        let seen = world(at(400), vec![running()], vec![made.clone()], vec![]);
        let decision = decide(subject(&plain(), &status), &seen, at(400)).into_decision().unwrap();
        let is_copied = matches!(decision.step(), Some(Step::CopyImage { .. }));
        assert_eq!(is_copied, copies, "{reason:?} {begun:?}: {:?}", decision.step());
    }
}

/// A save that is over, whose image is gone and whose copy is not wanted any more.
#[test]
fn what_moves_by_itself_is_looked_at_soon_although_something_else_waits_for_somebody() {
    let mut status = imaging();
    let capture = status.capture.as_mut().unwrap();
    (capture.restart_record, capture.completion_time) = (None, Some(Time(at(200))));
    (capture.snapshots_started_time, capture.source_restored_time) = (Some(Time(at(45))), Some(Time(at(70))));
    let home = &mut status.regions[0];
    (home.image_id, home.state) = ("ami-0123456789abcdef0".parse().ok(), RegionState::Missing);
    let spec = SavedTemplateSpec {
        regions: vec![],
        removed_region_policy: saved_template_api::spec::RemovedRegionPolicy::Delete,
        ..plain()
    };
    let seen = world(at(400), vec![running()], vec![], vec![]);
    let decision = decide(subject(&spec, &status), &seen, at(400)).into_decision().unwrap();
    assert_eq!(told(&decision, ConditionType::Ready).1, "ImageMissing");
    assert!(decision.look_again <= Duration::from_secs(5), "{:?}", decision.look_again);
}

/// An image of an attempt at revision 1, made at a time.
fn made_by(attempt: i32, seconds: i64) -> crate::world::Image {
    let mut made = owned(image(CAPTURE, ImageState::Available));
    made.id = format!("ami-{attempt:017x}").parse().unwrap();
    made.name = OWNER.image_name(OWNER.name, 1, attempt);
    made.created = Some(at(seconds));
    made.tags.insert(names::tag::ATTEMPT.into(), attempt.to_string());
    made.tags.insert(names::tag::SOURCE.into(), names::source_digest(&plain().source));
    made
}

#[test]
fn of_two_attempts_the_later_one_is_adopted() {
    let mut failed = made_by(2, 60);
    failed.tags.insert(names::tag::FAILED.into(), "DowntimeExceeded".into());
    let disabled = crate::world::Image { state: ImageState::Disabled, ..made_by(2, 60) };
    for (images, adopted) in [
        (vec![made_by(1, 30), made_by(2, 60)], Some(2)),
        (vec![made_by(2, 60), made_by(1, 30)], Some(2)),
        (vec![made_by(1, 30), failed.clone()], Some(1)),
        (vec![made_by(1, 30), disabled], Some(1)),
        (vec![failed], None),
    ] {
        let seen = world(at(100), vec![running()], images, vec![]);
        let status = SavedTemplateStatus::default();
        let decision = decide(subject(&plain(), &status), &seen, at(100)).into_decision().unwrap();
        let expected = adopted.map(|attempt: i32| format!("ami-{attempt:017x}"));
        assert_eq!(decision.status.image_id.map(|id| id.to_string()), expected);
    }
}
