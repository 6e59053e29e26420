//! What was once decided otherwise than the protocol says: states that went wrong.
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, SavedTemplateSpec, SavedTemplateStatus, condition::find, names, spec::CaptureMode,
    status::Announced,
};

use crate::{
    decide::decide,
    decision::Decision,
    ec2_error::Ec2Error,
    restart::{Awaits, Record},
    sample::{
        OWNER, at, image, images, imaging, made, outcome, owned, plain, planned, record, running, saved,
        snapshot, subject, world,
    },
    step::{CREATE_IMAGE, Step},
    world::{ImageState, Instance, SnapshotState, World},
};

fn decided(spec: &SavedTemplateSpec, status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    decide(subject(spec, status), world, at(seconds)).into_decision().expect("every question is answered")
}

fn refused(number: i64, seconds: i64, settled: &str) -> Announced {
    Announced {
        number,
        step: CREATE_IMAGE.into(),
        time: Time(at(seconds)),
        request: OWNER.image_name(OWNER.name, 1, 1),
        region: "us-west-2".parse().unwrap(),
        outcome: Some(outcome(settled)),
    }
}

fn claimed(mode: CaptureMode) -> (SavedTemplateStatus, Instance) {
    let claim = Record { awaits: Awaits::Nothing, ..record() };
    let mut status = planned();
    status.source.as_mut().unwrap().original_state = Some("running".into());
    let capture = status.capture.as_mut().unwrap();
    (capture.mode, capture.restart_record) = (mode, Some(claim.to_string()));
    capture.image_requested_time = Some(Time(at(13)));
    let mut machine = running();
    machine.tags.insert(names::debt_key(OWNER.cluster), claim.to_string());
    (status, machine)
}

/// §6: in mode Reboot a request whose outcome is unknown counts as a disruption: the name of the image is all that tells.
#[test]
fn a_reboot_whose_outcome_is_unknown_stays_a_disruption() {
    let mut bad = vec![];
    for (what, number, seconds, answer, disruptions) in [
        ("refused for certain", 1, 60, "UnauthorizedOperation: no", 0),
        ("no reply, and then it was too late", 1, 721, "RequestTimeout: ", 1),
        ("an error of EC2's, and then it was too late", 1, 721, "InternalError: oh", 1),
        ("refused after a call whose reply was lost", 2, 60, "UnauthorizedOperation: no", 1),
    ] {
        let (mut status, machine) = claimed(CaptureMode::Reboot);
        status.capture.as_mut().unwrap().disruptions = 1;
        status.announced = vec![refused(number, seconds - 30, answer)];
        let seen = world(at(seconds), vec![machine], vec![], vec![]);
        let capture = decided(&plain(), &status, &seen, seconds).status.capture.unwrap();
        if capture.disruptions != disruptions {
            bad.push((what, capture.disruptions, capture.reason));
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}

/// §1: absence is not evidence; what could not be read is no absence at all.
#[test]
fn an_image_is_not_given_up_while_images_cannot_be_read() {
    let mut status = imaging();
    status.capture.as_mut().unwrap().restart_record = None;
    let machine = Instance { launch_time: Some(at(70)), ..running() };
    let mut seen = world(at(900), vec![machine], vec![], vec![]);
    Arc::make_mut(seen.home.as_mut().unwrap()).images =
        Err(Ec2Error::new("DescribeImages", "RequestLimitExceeded", "later"));
    let decision = decided(&plain(), &status, &seen, 900);
    assert_eq!(decision.status.capture.unwrap().reason, None);
}

/// §6: the attempt is one more than the largest that anything has; what cannot be read may have any. And the image of the
/// revision may be there.
#[test]
fn nothing_is_planned_while_images_or_snapshots_cannot_be_read() {
    for (code, reason) in [("RequestLimitExceeded", "NotChecked"), ("UnauthorizedOperation", "AccessDenied")]
    {
        for (images, call) in [(true, "DescribeImages"), (false, "DescribeSnapshots")] {
            let refusal = Ec2Error::new(call, code, "later");
            let mut seen = world(at(0), vec![running()], vec![], vec![]);
            let view = Arc::make_mut(seen.home.as_mut().unwrap());
            if images {
                view.images = Err(refusal);
            } else {
                view.snapshots = Err(refusal);
            }
            let decision = decided(&plain(), &SavedTemplateStatus::default(), &seen, 0);
            assert_eq!(decision.step(), None);
            let validated = find(&decision.status.conditions, ConditionType::Validated).unwrap();
            assert_eq!(validated.reason, reason, "{call} {code}");
            let ready = find(&decision.status.conditions, ConditionType::Ready).unwrap();
            assert!(ready.message.contains(call), "{}", ready.message);
        }
    }
}

/// §6: the attempt is one more than the largest of the status and of the tags: also under a status of before the last attempt.
#[test]
fn a_status_restored_from_a_backup_does_not_reuse_the_number_of_an_attempt() {
    let mut status = planned();
    let capture = status.capture.as_mut().unwrap();
    (capture.restart_record, capture.completion_time) = (None, Some(Time(at(200))));
    capture.reason = Some("Suspended".parse().unwrap());
    let mut shot = snapshot(1, "aaaaaaaaaaaaaaaa", at(-500), SnapshotState::Completed);
    shot.tags = owned(image("aaaaaaaaaaaaaaaa", ImageState::Available)).tags;
    shot.tags.insert(names::tag::ATTEMPT.into(), "1".into());
    let seen = world(at(300), vec![running()], vec![], vec![shot]);
    let decision = decided(&plain(), &status, &seen, 300);
    assert!(matches!(decision.step(), Some(Step::Tag { .. })));
    assert_eq!(decision.status.capture.unwrap().attempts, 2);
}

/// What was put into the status by hand must not make the object wait for ever (fold/heal.rs).
#[test]
fn a_capture_whose_stop_was_taken_out_of_the_status_by_hand_ends() {
    let mut status = imaging();
    let capture = status.capture.as_mut().unwrap();
    capture.stop_requested_time = None;
    let machine = Instance { launch_time: Some(at(70)), ..running() };
    let seen = world(at(90_000), vec![machine], vec![], vec![]);
    let mut after = status;
    for _ in 0..5 {
        after = decided(&plain(), &after, &seen, 90_000).status;
    }
    let capture = after.capture.unwrap();
    assert!(capture.reason.is_some(), "{capture:?}");
}

/// The image is good whatever somebody wrote into the status.
#[test]
fn a_record_that_cannot_be_read_spoils_no_capture_that_is_over() {
    let mut status = saved();
    status.capture.as_mut().unwrap().restart_record = Some("rubbish".into());
    let seen = images(at(900), vec![made()], vec![]);
    let decision = decided(&plain(), &status, &seen, 900);
    let capture = decision.status.capture.clone().unwrap();
    assert_eq!((capture.restart_record, capture.reason), (None, None));
    assert_eq!(capture.completion_time, Some(Time(at(200))));
    assert!(!matches!(decision.step(), Some(Step::TagImages { .. })));
}
