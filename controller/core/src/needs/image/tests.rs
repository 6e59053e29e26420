//! When the image is asked for, what EC2's answers mean, and when a machine that is back ends the wait.
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, SavedTemplateSpec, SavedTemplateStatus, condition::find, names, status::Announced,
};

use super::*;
use crate::{
    decide::decide,
    decision::Decision,
    ec2_error::Ec2Error,
    restart::Awaits,
    sample::{
        CAPTURE, EARLIER_CAPTURE, OWNER, at, image, imaging, outcome, owned, plain, planned, record, running,
        snapshot, stopped_at, stopping, subject, tagged, world,
    },
    world::{Absence, Attachment, ImageState, SnapshotState, World},
};

fn decided(status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    decide(subject(&plain(), status), world, at(seconds)).into_decision().expect("every question is answered")
}

fn asks(decision: &Decision) -> bool {
    matches!(decision.step(), Some(Step::CreateImage(_)))
}

fn why(decision: &Decision) -> Option<&str> {
    decision.status.capture.as_ref().and_then(|capture| capture.reason.map(<&str>::from))
}

fn ready(decision: &Decision) -> &str {
    &find(&decision.status.conditions, ConditionType::Ready).expect("always written").reason
}

fn message(decision: &Decision) -> &str {
    &find(&decision.status.conditions, ConditionType::Ready).expect("always written").message
}

/// The request for the image, announced at a time, with EC2's answer.
fn asked(seconds: i64, settled: Option<&str>) -> Announced {
    Announced {
        number: 1,
        step: CREATE_IMAGE.into(),
        time: Time(at(seconds)),
        request: OWNER.image_name(OWNER.name, 1, 1),
        region: "us-west-2".parse().unwrap(),
        outcome: settled.map(outcome),
    }
}

/// The machine that we stopped at 20, with the sample record on it.
fn down() -> Instance {
    tagged(stopped_at(Some(at(20))))
}

fn with_value(machine: Instance, value: &impl ToString) -> Instance {
    let mut machine = machine;
    machine.tags.insert(names::debt_key(OWNER.cluster), value.to_string());
    machine
}

fn seen(machine: Instance, seconds: i64) -> World {
    world(at(seconds), vec![machine], vec![], vec![])
}

#[test]
fn a_request_whose_reply_was_lost_is_sent_again_by_the_same_name_after_a_pause_and_a_new_look() {
    let status = SavedTemplateStatus { announced: vec![asked(41, None)], ..imaging() };
    for (began, seconds, again) in [(45, 45, false), (46, 46, true), (41, 60, false), (42, 60, true)] {
        let decision = decided(&status, &seen(down(), began), seconds);
        assert_eq!(asks(&decision), again, "read at {began}, decided at {seconds}");
        if let Some(Step::CreateImage(request)) = decision.step() {
            assert_eq!(request.name, OWNER.image_name(OWNER.name, 1, 1));
        }
        let first = decision.status.capture.unwrap().image_requested_time.unwrap();
        assert_eq!(first.0, at(41), "since when its snapshots are late");
    }
}

#[test]
fn an_answer_that_passes_is_followed_by_another_try_and_any_other_gives_the_machine_back() {
    for (answer, reason) in [
        ("RequestLimitExceeded: slow down", None),
        ("IncorrectInstanceState: not now", None),
        ("InternalError: oh", None),
        ("RequestTimeout: ", None),
        ("InvalidInstanceID.NotFound: not yet", None),
        ("UnauthorizedOperation: no", Some("AccessDenied")),
        ("InvalidParameterValue: Value (x) is invalid", Some("ImageFailed")),
        ("InstanceLimitExceeded: no more", Some("ImageFailed")),
        ("SomethingNew: what?", Some("ImageFailed")),
    ] {
        let status = SavedTemplateStatus { announced: vec![asked(41, Some(answer))], ..imaging() };
        let decision = decided(&status, &seen(down(), 60), 60);
        assert_eq!((why(&decision), asks(&decision)), (reason, reason.is_none()), "{answer}");
        if reason.is_some() {
            let Some(Step::Tag { record: written, receipt: None, .. }) = decision.step() else {
                panic!("{answer}: {:?}", decision.step())
            };
            assert_eq!(*written, record().aborted(at(60)), "{answer}");
            let message = decision.status.capture.unwrap().message.unwrap();
            assert!(message.contains(answer), "{message}");
        }
    }
}

#[test]
fn a_name_that_ec2_calls_taken_ends_the_capture_only_if_somebody_else_has_it_or_nobody_for_three_minutes() {
    let name = OWNER.image_name(OWNER.name, 1, 1);
    let named = |image: Image| Image { name: name.clone(), ..image };
    let mut bare = named(image(CAPTURE, ImageState::Available));
    let only_the_capture = bare.clone();
    bare.tags.clear();
    let other_capture = owned(image(EARLIER_CAPTURE, ImageState::Available));
    let other_name = Image { name: "nightly".into(), ..bare.clone() };
    // The request was announced at 41: what was absent before that proves nothing.
    for (what, images, absent_since, seconds, reason) in [
        ("nobody's", vec![bare], None, 60, Some("NameConflict")),
        ("forged", vec![only_the_capture], None, 60, Some("NameConflict")),
        ("of another capture", vec![other_capture], None, 60, Some("NameConflict")),
        ("of another name", vec![other_name], Some(42), 60, None),
        ("late", vec![], Some(-500), 41 + 179, None),
        ("hidden", vec![], Some(-500), 41 + 180, Some("NameConflict")),
        ("late to be missed", vec![], Some(100), 100 + 179, None),
        ("missed", vec![], Some(100), 100 + 180, Some("NameConflict")),
        ("ours", vec![owned(image(CAPTURE, ImageState::Pending))], None, 60, None),
    ] {
        let status = SavedTemplateStatus {
            announced: vec![asked(41, Some("InvalidAMIName.Duplicate: in use"))],
            ..imaging()
        };
        let mut world = world(at(seconds), vec![down()], images.clone(), vec![]);
        let view = Arc::make_mut(world.home.as_mut().unwrap());
        view.absences = absent_since
            .map(|since| (name.clone(), Absence { since: at(since), reads: 9 }))
            .into_iter()
            .collect();
        let decision = decided(&status, &world, seconds);
        assert_eq!(why(&decision), reason, "{what}");
        assert!(!asks(&decision), "{what}: it is looked for");
        if let (Some(_), Some(taker)) = (reason, images.first()) {
            let message = decision.status.capture.unwrap().message.unwrap();
            assert!(message.contains(taker.id.as_str()), "{what}: {message}");
        }
    }
}

#[test]
fn the_image_is_asked_for_only_under_the_exact_record_and_that_of_another_capture_is_never_overwritten() {
    enum Does {
        Asks,
        Rewrites,
        Waits,
    }
    let older = Record { volumes: 1, ..record() };
    let foreign = Record { capture: EARLIER_CAPTURE.into(), ..record() };
    for (value, does) in [
        (Some(record().to_string()), Does::Asks),
        (Some(older.to_string()), Does::Rewrites),
        (Some(foreign.to_string()), Does::Waits),
        (Some("v1 nonsense".into()), Does::Waits),
        (None, Does::Waits),
    ] {
        let mut machine = stopped_at(Some(at(20)));
        machine.tags.extend(value.clone().map(|value| (names::debt_key(OWNER.cluster), value)));
        let step = decided(&stopping(), &seen(machine, 50), 50).steps.pop();
        let good = match does {
            Does::Asks => matches!(step, Some(Step::CreateImage(_))),
            Does::Rewrites => step == Some(Step::Tag { record: record(), receipt: None, replaces: None }),
            Does::Waits => step.is_none(),
        };
        assert!(good, "{value:?}: {step:?}");
    }
}

#[test]
fn a_volume_that_came_or_went_is_counted_in_the_record_before_the_image_is_asked_for() {
    let third = |attached| {
        let volume = "vol-00000000000000003".parse().unwrap();
        Attachment { device: "/dev/xvdc".into(), volume, attached, since: Some(at(30)) }
    };
    let more = |attached| {
        let mut machine = down();
        machine.attachments.push(third(attached));
        machine
    };
    let mut fewer = down();
    fewer.attachments.truncate(1);
    let mut swapped = down();
    swapped.attachments[1] = third(true);
    // n of the new record, none where nothing is written.
    for (what, machine, excluded, rewrites, asks_now) in [
        ("as planned", down(), vec![], None, true),
        ("one more", more(true), vec![], Some(3), false),
        ("one more, on its way", more(false), vec![], None, false),
        ("one more, left out", more(true), vec!["/dev/xvdc".to_owned()], None, true),
        ("one less", fewer, vec![], Some(1), false),
        ("another", swapped, vec![], None, false),
    ] {
        let mut status = stopping();
        status.capture.as_mut().unwrap().exclude_device_names.clone_from(&excluded);
        let decision = decided(&status, &seen(machine.clone(), 50), 50);
        assert_eq!(asks(&decision), asks_now, "{what}: {:?}", decision.step());
        let written = match decision.step() {
            Some(Step::Tag { record, .. }) => Some(record.clone()),
            _ => None,
        };
        let expected = rewrites.map(|volumes| Record { volumes, ..record() });
        assert_eq!(written, expected, "{what}: the rest of the record stays");
        if let Some(Step::CreateImage(request)) = decision.step() {
            assert_eq!(request.excluded_devices, excluded, "{what}");
            continue;
        }
        // Asked for once the machine carries the record of the volumes that it has.
        let settled = machine.attachments.iter().all(|volume| volume.attached);
        let after = decision.status;
        let value = after.capture.as_ref().unwrap().restart_record.clone().unwrap();
        let next = decided(&after, &seen(with_value(machine.clone(), &value), 60), 60);
        assert_eq!(asks(&next), settled, "{what}: {:?}", next.step());
        if settled {
            let expected: Vec<_> = machine.attachments.into_iter().map(|volume| volume.volume).collect();
            assert_eq!(after.capture.unwrap().expected_volumes, expected, "{what}");
        }
    }
}

#[test]
fn an_image_that_never_showed_is_given_up_a_minute_after_m_once_the_machine_is_back_and_not_before() {
    let up = |launched| tagged(Instance { launch_time: Some(at(launched)), ..running() });
    let mut paid = up(70);
    paid.tags.remove(&names::debt_key(OWNER.cluster));
    // Somebody stopped it again after it was given back: nothing is owed.
    let stopped_again = Instance { launch_time: Some(at(70)), ..stopped_at(Some(at(500))) };
    let gave_up = Some("ImageFailed");
    // m is 780.
    for (what, machine, began, seconds, reason) in [
        ("back", up(70), 839, 839, None),
        ("back", up(70), 840, 840, gave_up),
        ("back", up(70), 841, 841, gave_up),
        ("back and paid", paid.clone(), 839, 839, None),
        ("back and paid", paid, 840, 840, gave_up),
        ("back and stopped again", stopped_again, 900, 900, gave_up),
        ("back, by a look of before the request", up(70), 700, 900, None),
        ("never launched again", up(-9000), 900, 900, None),
        ("launched at the instant of the plan", up(0), 900, 900, None),
        ("on its way", Instance { state: InstanceState::Pending, ..up(70) }, 900, 900, None),
        ("down", down(), 900, 900, None),
    ] {
        let status = SavedTemplateStatus { announced: vec![asked(710, None)], ..imaging() };
        let decision = decided(&status, &seen(machine, began), seconds);
        assert_eq!(why(&decision), reason, "{what} at {seconds}");
        assert!(!asks(&decision), "{what} at {seconds}");
        if reason.is_none() && what.starts_with("back") && began > 710 {
            assert_eq!(ready(&decision), "Capturing", "{what}: it may only be late to show");
        }
    }
}

/// The plan of a machine that is saved in this mode without being stopped for it.
fn claimed(mode: CaptureMode, state: InstanceState) -> SavedTemplateStatus {
    let mut status = planned();
    status.source.as_mut().unwrap().original_state = Some(state.as_str().to_owned());
    let capture = status.capture.as_mut().unwrap();
    (capture.mode, capture.restart_record) = (mode, Some(claim_record().to_string()));
    status
}

fn claim_record() -> Record {
    Record { awaits: Awaits::Nothing, ..record() }
}

#[test]
fn only_the_first_request_that_reboots_the_machine_counts_as_a_disruption() {
    use CaptureMode as M;
    use InstanceState as S;
    for (mode, state, sent_before, before, after) in [
        (M::Reboot, S::Running, false, 0, 1),
        (M::Reboot, S::Running, false, 2, 3),
        (M::Reboot, S::Running, true, 1, 1),
        (M::Reboot, S::Stopped, false, 0, 0),
        (M::NoReboot, S::Running, false, 0, 0),
        (M::NoReboot, S::Stopped, false, 0, 0),
        (M::Stop, S::Stopped, false, 0, 0),
    ] {
        let mut status = claimed(mode, state);
        let capture = status.capture.as_mut().unwrap();
        capture.disruptions = before;
        if sent_before {
            capture.image_requested_time = Some(Time(at(13)));
            status.announced = vec![asked(13, None)];
        }
        let machine = with_value(Instance { state, ..stopped_at(None) }, &claim_record());
        let decision = decided(&status, &seen(machine, 30), 30);
        assert!(asks(&decision), "{mode:?} {state:?}: {:?}", decision.step());
        assert_eq!(decision.status.capture.unwrap().disruptions, after, "{mode:?} {state:?} {sent_before}");
    }
}

#[test]
fn a_machine_that_is_not_stopped_is_asked_for_its_image_until_a_minute_before_m_and_then_let_go() {
    let refused = Some("RequestLimitExceeded: slow down");
    // m is 780. Without an answer the image may be on its way.
    for (seconds, answer, asks_now, reason) in [
        (780 - 61, refused, true, None),
        (780 - 60, refused, true, None),
        (780 - 59, refused, false, Some("NotTaken")),
        (780 - 59, None, false, None),
    ] {
        let mut status = claimed(CaptureMode::NoReboot, InstanceState::Running);
        status.capture.as_mut().unwrap().image_requested_time = Some(Time(at(20)));
        status.announced = vec![asked(600, answer)];
        let machine = with_value(running(), &claim_record());
        let decision = decided(&status, &seen(machine, seconds), seconds);
        assert_eq!((asks(&decision), why(&decision)), (asks_now, reason), "{seconds} {answer:?}");
        assert_eq!(
            matches!(decision.step(), Some(Step::Untag { .. })),
            reason.is_some(),
            "{seconds} {answer:?}"
        );
    }
}

#[test]
fn a_pending_image_is_looked_at_every_two_seconds_only_while_a_machine_is_down_for_it() {
    use saved_template_api::spec::RestartWhen as W;
    let alone = SavedTemplateSpec { regions: vec![], ..plain() };
    let back = Instance { launch_time: Some(at(70)), ..running() };
    let down_for = |restart_when| {
        let mut status = imaging();
        status.capture.as_mut().unwrap().restart_when = restart_when;
        (status, down())
    };
    let back_after = |restart_when| {
        let mut status = imaging();
        let capture = status.capture.as_mut().unwrap();
        (capture.restart_when, capture.restart_record) = (restart_when, None);
        capture.source_restored_time = Some(Time(at(70)));
        (status, back.clone())
    };
    let saved_as_it_runs = |debt: Option<String>| {
        let mut status = claimed(CaptureMode::NoReboot, InstanceState::Running);
        let capture = status.capture.as_mut().unwrap();
        capture.restart_record = debt;
        capture.image_requested_time = Some(Time(at(20)));
        (status, running())
    };
    for ((status, machine), soon) in [
        (down_for(W::SnapshotsStarted), SOON),
        (back_after(W::SnapshotsStarted), LATER),
        (back_after(W::ImageAvailable), LATER),
        (down_for(W::ImageAvailable), SOON),
        (saved_as_it_runs(Some(claim_record().to_string())), LATER),
        (saved_as_it_runs(None), LATER),
    ] {
        let made = owned(image(CAPTURE, ImageState::Pending));
        let seen = world(at(80), vec![machine], vec![made], vec![]);
        let decision = decide(subject(&alone, &status), &seen, at(80)).into_decision().unwrap();
        assert_eq!(ready(&decision), "WaitingForImage");
        assert!(message(&decision).contains("is pending"), "{}", message(&decision));
        assert_eq!(decision.look_again, soon, "{:?}", status.capture);
    }
}

#[test]
fn an_available_image_is_not_ready_before_every_snapshot_was_seen_to_have_begun_in_time() {
    let alone = SavedTemplateSpec { regions: vec![], ..plain() };
    let shots: Vec<_> = (1..3).map(|n| snapshot(n, CAPTURE, at(45), SnapshotState::Completed)).collect();
    let made = Image {
        snapshots: shots.iter().map(|shot| shot.id.clone()).collect(),
        ..owned(image(CAPTURE, ImageState::Available))
    };
    for (shots, is_ready) in
        [(Ok(shots), true), (Err(Ec2Error::new("DescribeSnapshots", "", "no answer")), false)]
    {
        let mut status = imaging();
        let capture = status.capture.as_mut().unwrap();
        (capture.restart_record, capture.source_restored_time) = (None, Some(Time(at(70))));
        let machine = Instance { launch_time: Some(at(70)), ..running() };
        let mut seen = world(at(400), vec![machine], vec![made.clone()], vec![]);
        Arc::make_mut(seen.home.as_mut().unwrap()).snapshots = shots;
        let decision = decide(subject(&alone, &status), &seen, at(400)).into_decision().unwrap();
        assert_eq!(
            decision.step().is_none() && ready(&decision) == "Saved",
            is_ready,
            "{}",
            ready(&decision)
        );
        assert_eq!(decision.status.image_id.is_some(), is_ready);
        assert_eq!(message(&decision).contains("is available; whether it is good"), !is_ready);
    }
}

#[test]
fn an_image_has_the_source_of_its_plan_whatever_the_spec_names_by_now() {
    let mut elsewhere = SavedTemplateSpec { revision: 2, ..plain() };
    elsewhere.source.instance_name = Some("another".into());
    let planned = names::source_digest(&plain().source);
    for digest in [Some(planned.clone()), None] {
        let mut status = stopping();
        status.capture.as_mut().unwrap().source_digest = digest.clone();
        let decision =
            decide(subject(&elsewhere, &status), &seen(down(), 40), at(41)).into_decision().unwrap();
        let Some(Step::CreateImage(request)) = decision.step() else { panic!("no image is asked for") };
        let expected = digest.unwrap_or_else(|| names::source_digest(&elsewhere.source));
        assert_eq!(request.image_tags[names::tag::SOURCE], expected);
    }
}
