//! How the record comes onto the machine, and how it comes off again: tables.
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, SavedTemplateSpec, SavedTemplateStatus, condition::find, names, receipts::Receipt,
    spec::CaptureMode, status::Announced,
};

use super::*;
use crate::{
    decide::decide,
    decision::{Decision, Next},
    sample::{
        CAPTURE, EARLIER_CAPTURE, OWNER, at, image, imaging, outcome, owned, plain, planned, record, running,
        stopped_at, stopping, subject, tagged, world,
    },
    step::{CREATE_IMAGE, RETAG, STOP, UNTAG},
    subject::Subject,
    world::{Absence, ClassSeen, Image, ImageState, Instance, InstanceState, Permits, Sighting, World},
};

fn decided(spec: &SavedTemplateSpec, status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    decide(subject(spec, status), world, at(seconds)).into_decision().expect("every question is answered")
}

/// A machine, read at a time.
fn read(machine: Instance, seconds: i64) -> World {
    world(at(seconds), vec![machine], vec![], vec![])
}

fn announced(step: &str, seconds: i64, answer: Option<&str>) -> Announced {
    Announced {
        number: 1,
        step: step.into(),
        time: Time(at(seconds)),
        request: record().to_string(),
        region: "us-west-2".parse().unwrap(),
        outcome: answer.map(outcome),
    }
}

/// The step, and why the capture was given up.
fn told(decision: &Decision) -> (Option<&'static str>, Option<&str>) {
    let capture = decision.status.capture.as_ref().expect("a capture");
    (decision.step().map(Step::name), capture.reason.map(<&str>::from))
}

/// The plan of a machine that ran.
fn plan() -> SavedTemplateStatus {
    let mut status = planned();
    status.source.as_mut().expect("a source").original_state = Some("running".into());
    status
}

fn carrying(value: &Record, machine: Instance) -> Instance {
    let mut machine = machine;
    machine.tags.insert(names::debt_key(OWNER.cluster), value.to_string());
    machine
}

#[test]
fn a_stop_leaves_until_s_and_later_only_under_another_plan() {
    for (seconds, expected) in
        [(59, (Some(STOP), None)), (60, (Some(STOP), None)), (61, (Some(UNTAG), Some("Replanned")))]
    {
        let decision = decided(&plain(), &plan(), &read(tagged(running()), seconds), seconds);
        assert_eq!(told(&decision), expected, "{seconds}");
    }
}

#[test]
fn a_machine_that_is_not_as_it_was_planned_is_left_alone() {
    let restarted = || Instance { launch_time: Some(at(5)), ..running() };
    let stopping = Instance { state: InstanceState::Stopping, ..running() };
    let earlier = Record { capture: EARLIER_CAPTURE.into(), ..record() };
    let mut shared = tagged(running());
    shared.tags.insert(names::debt_key("other"), earlier.to_string());
    for (what, machine, expected) in [
        ("as planned", tagged(running()), (Some(STOP), None)),
        ("as planned, the tag lost", running(), (Some(TAG), None)),
        ("restarted", tagged(restarted()), (Some(UNTAG), Some("InstanceBusy"))),
        ("restarted, the tag lost", restarted(), (None, Some("InstanceBusy"))),
        ("being stopped", tagged(stopping), (Some(UNTAG), Some("InstanceBusy"))),
        ("owed for an earlier save", carrying(&earlier, running()), (None, Some("InstanceBusy"))),
        ("owed by another installation", shared, (Some(UNTAG), Some("InstanceBusy"))),
    ] {
        let decision = decided(&plain(), &plan(), &read(machine, 20), 20);
        assert_eq!(told(&decision), expected, "{what}");
    }
}

#[test]
fn a_record_that_does_not_show_is_written_again_after_a_pause_and_a_later_read() {
    let mut status = plan();
    status.announced = vec![announced(TAG, 10, None)];
    for (began, now, step) in [(12, 13, None), (9, 20, None), (12, 20, Some(TAG))] {
        let decision = decided(&plain(), &status, &read(running(), began), now);
        assert_eq!(told(&decision), (step, None), "read at {began}, now {now}");
    }
}

#[test]
fn the_record_comes_with_a_receipt_of_the_object_and_the_revision() {
    let decision = decided(&plain(), &plan(), &read(running(), 20), 20);
    let Some(Step::Tag { receipt: Some((key, value)), .. }) = decision.step() else { panic!("no receipt") };
    assert_eq!(*key, names::receipts_key(OWNER.cluster));
    assert_eq!(*value, Receipt { object: OWNER.receipt_object(), revision: 1 });
}

#[test]
fn a_receipt_of_the_earlier_form_is_taken_off_once_the_list_has_it_and_keeps_no_machine_waiting() {
    let (key, old) = (names::receipts_key(OWNER.cluster), OWNER.old_receipt_key());
    let value = format!("r1 {CAPTURE}");
    let listed = format!("{}=r1", OWNER.receipt_object());
    let step =
        Step::RemoveReceipt { instance: running().id, key: old.clone(), value: value.clone(), left: None };
    for (what, list, there, seen_until, removes) in [
        ("listed", &listed, &value, 17, true),
        ("not listed", &String::new(), &value, 17, false),
        ("of somebody", &listed, &"r2147483647 x".to_owned(), 17, false),
        ("time to stop", &listed, &value, 22, false),
    ] {
        let mut machine = tagged(running());
        machine.tags.extend([(key.clone(), list.clone()), (old.clone(), there.clone())]);
        let mut seen = read(machine, seen_until);
        let view = Arc::make_mut(seen.home.as_mut().unwrap());
        let sighting = Sighting { first: at(17), last: at(seen_until) };
        view.sightings = [((record().instance, record().to_string()), sighting)].into();
        let decision = decided(&plain(), &plan(), &seen, 23);
        assert_eq!(decision.step().is_some_and(|it| *it == step), removes, "{what}: {:?}", decision.step());
        // It is tried once.
        let again = decided(&plain(), &decision.status, &seen, 40);
        assert!(again.step().is_none_or(|it| *it != step), "{what}");
    }
}

#[test]
fn what_may_not_be_stopped_or_started_is_given_up_by_name_and_what_passes_is_waited_for() {
    let protected = ("OperationNotPermitted", "modify its 'disableApiStop' instance attribute");
    let denied = ("UnauthorizedOperation", "no");
    for ((code, message), seconds, why) in [
        (denied, 20, None),
        (denied, 44, None),
        (denied, 45, Some("AccessDenied")),
        (("RequestLimitExceeded", "later"), 20, None),
        (("RequestLimitExceeded", "later"), 60, None),
        (protected, 20, Some("StopProtected")),
        (protected, 60, Some("StopProtected")),
        (("UnsupportedOperation", "no"), 20, Some("InstanceNotSupported")),
    ] {
        let refused = Err(Ec2Error::new("StopInstances", code, message));
        for permits in [
            Permits { stop: refused.clone(), start: Ok(()) },
            Permits { stop: Ok(()), start: refused.clone() },
        ] {
            let seen = World { permits: Some(permits), ..read(tagged(running()), seconds) };
            let decision = decided(&plain(), &plan(), &seen, seconds);
            assert_eq!(told(&decision), (why.map(|_| UNTAG), why), "{code} at {seconds}");
        }
    }
}

/// A capture under a claim, its image asked for at 41, disrupted once in all.
fn asked(mode: CaptureMode) -> (SavedTemplateStatus, Instance) {
    let claim = Record { awaits: Awaits::Nothing, ..record() };
    let mut status = plan();
    let capture = status.capture.as_mut().expect("a capture");
    (capture.mode, capture.restart_record, capture.disruptions) = (mode, Some(claim.to_string()), 1);
    capture.image_requested_time = Some(Time(at(41)));
    (status, carrying(&claim, running()))
}

#[test]
fn only_a_reboot_that_was_refused_is_no_disruption() {
    let suspended = SavedTemplateSpec { suspend: true, ..plain() };
    let (reboot, machine) = asked(CaptureMode::Reboot);
    let (no_reboot, _) = asked(CaptureMode::NoReboot);
    let mut not_yet = reboot.clone();
    not_yet.capture.as_mut().expect("a capture").image_requested_time = None;
    for (what, spec, status, machine, why, disruptions) in [
        ("refused", plain(), reboot, machine.clone(), "ImageFailed", 0),
        ("never to be one", plain(), no_reboot, machine.clone(), "ImageFailed", 1),
        ("an earlier one", suspended, not_yet, machine, "Suspended", 1),
        ("stopped for it", plain(), imaging(), tagged(stopped_at(Some(at(20)))), "ImageFailed", 1),
    ] {
        let mut status = status;
        let is_asked = status.capture.as_ref().is_some_and(|capture| capture.image_requested_time.is_some());
        let refused = is_asked.then(|| announced(CREATE_IMAGE, 41, Some("InvalidParameter: no")));
        status.announced = refused.into_iter().collect();
        let capture = decided(&spec, &status, &read(machine, 55), 55).status.capture.expect("a capture");
        assert_eq!(
            (capture.reason.map(<&str>::from), capture.disruptions),
            (Some(why), disruptions),
            "{what}"
        );
    }
}

#[test]
fn a_request_for_an_image_that_may_still_be_granted_is_not_given_up() {
    let made = owned(image(CAPTURE, ImageState::Pending));
    let taken = Some("InvalidAMIName.Duplicate: taken");
    for (what, answer, images, why) in [
        ("no answer", None, vec![], None),
        ("the image shows", None, vec![made.clone()], None),
        ("the image shows, whatever was answered", taken, vec![made], None),
        ("refused", Some("InvalidParameter: no"), vec![], Some("Deleted")),
    ] {
        let mut status = imaging();
        status.announced = vec![announced(CREATE_IMAGE, 41, answer)];
        let seen = world(at(55), vec![tagged(stopped_at(Some(at(20))))], images, vec![]);
        let spec = plain();
        let deleted = Subject { deleting: true, ..subject(&spec, &status) };
        let decision = decide(deleted, &seen, at(55)).into_decision().expect("every question is answered");
        assert_eq!(told(&decision), (why.map(|_| RETAG), why), "{what}");
    }
    // And the same where only the time is up: m - 60.
    let (mut status, machine) = asked(CaptureMode::Reboot);
    status.announced = vec![announced(CREATE_IMAGE, 41, None)];
    let decision = decided(&plain(), &status, &read(machine, 780 - 59), 780 - 59);
    assert_eq!(told(&decision), (None, None));
    assert_eq!(decision.status.capture.expect("a capture").disruptions, 1);
}

#[test]
fn a_record_is_withdrawn_by_its_exact_value_and_only_if_it_is_this_captures() {
    let suspended = SavedTemplateSpec { suspend: true, ..plain() };
    let older = Record { volumes: 1, ..record() };
    let earlier = Record { capture: EARLIER_CAPTURE.into(), ..record() };
    let sent = Some(announced(TAG, 10, None));
    for (what, announced, machine, withdrawn) in [
        ("on the machine", None, tagged(running()), Some(record())),
        ("on the machine with another n", None, carrying(&older, running()), Some(older)),
        ("never sent", None, running(), None),
        ("sent, it may still arrive", sent, running(), Some(record())),
        ("another capture's", None, carrying(&earlier, running()), None),
    ] {
        let status = SavedTemplateStatus { announced: announced.into_iter().collect(), ..plan() };
        let decision = decided(&suspended, &status, &read(machine, 20), 20);
        assert_eq!(
            decision.status.capture.as_ref().expect("a capture").reason.map(<&str>::from),
            Some("Suspended")
        );
        let expected = withdrawn.map(|record| Step::Untag { record });
        assert_eq!(decision.step(), expected.as_ref(), "{what}");
    }
}

/// A save that was given up while its machine was on its way down.
fn aborted(debt: &Record) -> SavedTemplateStatus {
    let mut status = stopping();
    let capture = status.capture.as_mut().expect("a capture");
    (capture.reason, capture.restart_record) =
        (Some("StopTimedOut".parse().unwrap()), Some(debt.to_string()));
    status
}

fn on_its_way_down() -> Instance {
    Instance { state: InstanceState::Stopping, ..running() }
}

#[test]
fn a_save_that_was_given_up_gives_the_machine_back_unless_it_was_started_since_the_plan() {
    for (launch, gives_back) in [(-9000, true), (0, true), (1, false)] {
        let machine = Instance { launch_time: Some(at(launch)), ..tagged(on_its_way_down()) };
        let decision = decided(&plain(), &aborted(&record()), &read(machine, 700), 700);
        let expected = Record { image_by: at(700), ..record() };
        let step = Step::Tag { record: expected, receipt: None, replaces: None };
        assert_eq!(decision.step(), gives_back.then_some(&step), "launched at {launch}");
    }
}

#[test]
fn an_abort_is_written_until_it_shows_but_not_twice_with_one_read() {
    let abort = record().aborted(at(100));
    let at_once = Some(RETAG);
    for (what, debt, on_machine, sent, began, now, step) in [
        ("new", record(), record(), false, 102, 103, at_once),
        ("new, though another one was just written", record(), record(), true, 102, 103, at_once),
        ("not yet shown", abort.clone(), record(), true, 102, 103, None),
        ("not read since", abort.clone(), record(), true, 99, 120, None),
        ("lost", abort.clone(), record(), true, 110, 120, at_once),
        ("by somebody who forgot to announce it", abort.clone(), record(), false, 110, 120, at_once),
        ("shown", abort.clone(), abort, true, 110, 120, None),
    ] {
        let mut status = aborted(&debt);
        status.announced = sent.then(|| announced(RETAG, 100, None)).into_iter().collect();
        let machine = carrying(&on_machine, on_its_way_down());
        let decision = decided(&plain(), &status, &read(machine, began), now);
        assert_eq!(told(&decision).0, step, "{what}");
        let capture = decision.status.capture.expect("a capture");
        let debt: Record = capture.restart_record.expect("a debt").parse().expect("a record");
        assert!(debt.image_by <= at(now), "{what}");
    }
}

#[test]
fn a_machine_that_waits_for_an_image_that_is_gone_is_given_back() {
    let known = owned(image(CAPTURE, ImageState::Pending));
    let absent = |reads| Some(Absence { since: at(45), reads });
    let disabled = Image { state: ImageState::Disabled, ..known.clone() };
    for (what, images, absence, progress, gives_back) in [
        ("there", vec![known.clone()], None, Some(0), false),
        ("not shown twice", vec![], absent(2), Some(0), false),
        ("not shown for long", vec![], absent(3), Some(0), true),
        ("never shown: it is only late", vec![], absent(30), None, false),
        ("disabled", vec![disabled], None, Some(0), true),
    ] {
        let mut status = imaging();
        let home = &mut status.regions[0];
        (home.image_id, home.state) = (Some(known.id.clone()), RegionState::Pending);
        home.progress_percent = progress;
        let mut seen = world(at(200), vec![tagged(stopped_at(Some(at(20))))], images, vec![]);
        let view = Arc::make_mut(seen.home.as_mut().expect("home"));
        view.absences = absence.map(|absence| (known.id.to_string(), absence)).into_iter().collect();
        let decision = decided(&plain(), &status, &seen, 200);
        let step = Step::Tag { record: record().aborted(at(200)), receipt: None, replaces: None };
        assert_eq!(decision.step(), gives_back.then_some(&step), "{what}");
        let ready = find(&decision.status.conditions, ConditionType::Ready).expect("Ready");
        assert_eq!(ready.reason == "RestoringSource", gives_back, "{what}: {}", ready.message);
    }
}

#[test]
fn a_late_plan_is_withdrawn_whatever_the_spec_says_by_now() {
    let edited = |more: &str| {
        crate::sample::spec(&format!(
            r#"{{"source": {{"region": "us-west-2", "instanceName": "earthquake-analysis"}}, {more}}}"#
        ))
    };
    let mut renamed = plain();
    renamed.source.instance_name = Some("another".into());
    for (what, spec) in [
        ("as planned", plain()),
        ("another limit", edited(r#""capture": {"maxDowntimeSeconds": 3600}"#)),
        ("another mode", edited(r#""capture": {"mode": "NoReboot"}"#)),
        ("another revision", SavedTemplateSpec { revision: 2, ..plain() }),
        ("another machine", renamed),
    ] {
        for class in [None, Some(ClassSeen::Missing), Some(ClassSeen::Held { not_enforced: Vec::new() })] {
            let seen = World { class, ..read(tagged(running()), 61) };
            let decision = decided(&spec, &plan(), &seen, 61);
            assert_eq!(told(&decision), (Some(UNTAG), Some("Replanned")), "{what}");
        }
    }
}

#[test]
fn no_machine_is_planned_for_again_without_its_class() {
    let mut status = plan();
    let capture = status.capture.as_mut().unwrap();
    (capture.reason, capture.completion_time) = (Some(CaptureReason::Replanned), Some(Time(at(90))));
    capture.restart_record = None;
    for (class, planned) in [
        (Some(ClassSeen::Held { not_enforced: Vec::new() }), true),
        (Some(ClassSeen::Held { not_enforced: vec!["spec.limits.maxRegions".into()] }), false),
        (Some(ClassSeen::Missing), false),
        (Some(ClassSeen::Going), false),
    ] {
        let seen = World { class: class.clone(), ..read(running(), 160) };
        let decision = decided(&plain(), &status, &seen, 160);
        assert_eq!(decision.step().map(Step::name), planned.then_some(TAG), "{class:?}");
        let capture = decision.status.capture.unwrap();
        assert_eq!((capture.attempts, capture.disruptions, capture.id == CAPTURE), (1, 0, !planned));
    }
    let unasked = World { class: None, ..read(running(), 160) };
    let next = decide(subject(&plain(), &status), &unasked, at(160));
    assert_eq!(next, Next::Ask(Question::Class("default".into())));
}

#[test]
fn a_plan_remembers_the_source_that_it_was_made_from() {
    let seen = world(at(0), vec![running()], vec![], vec![]);
    let decision = decided(&plain(), &SavedTemplateStatus::default(), &seen, 0);
    let digest = decision.status.capture.unwrap().source_digest;
    assert_eq!(digest, Some(names::source_digest(&plain().source)));
}

#[test]
fn a_late_plan_is_not_made_anew_while_another_installation_saves_the_machine() {
    let mut machine = tagged(running());
    machine.tags.insert(names::debt_key("0b2c3d4e-other"), record().to_string());
    for (seconds, reason) in [(30, None), (82, Some("InstanceBusy"))] {
        let seen = World { unsent: false, ..read(machine.clone(), seconds) };
        let decision = decided(&plain(), &plan(), &seen, seconds);
        assert_eq!(told(&decision).1, reason, "at {seconds}: a Stop may be under way until then");
        assert_eq!(decision.status.capture.unwrap().id, CAPTURE);
    }
}

#[test]
fn what_stood_still_for_a_day_and_is_no_record_is_replaced_on_a_machine_that_is_as_planned() {
    let restarted = Instance { launch_time: Some(at(5)), ..running() };
    for (what, machine, first, expected) in [
        ("a day", running(), 20 - 86_400, (Some(TAG), None)),
        ("a second less", running(), 21 - 86_400, (None, Some("InstanceBusy"))),
        ("restarted since the plan", restarted, 20 - 86_400, (None, Some("InstanceBusy"))),
    ] {
        let mut machine = machine;
        machine.tags.insert(names::debt_key(OWNER.cluster), "somebody's text".into());
        let mut seen = read(machine, 20);
        let view = Arc::make_mut(seen.home.as_mut().unwrap());
        view.sightings.values_mut().for_each(|sighting| sighting.first = at(first));
        let decision = decided(&plain(), &plan(), &seen, 20);
        assert_eq!(told(&decision), expected, "{what}");
        if let Some(Step::Tag { replaces, .. }) = decision.step() {
            assert_eq!(replaces.as_deref(), Some("somebody's text"), "{what}");
        }
    }
}

#[test]
fn a_machine_that_the_status_alone_names_is_left_alone_and_the_status_says_how_to_name_it() {
    let mut named = plain();
    named.source.instance_id = Some(running().id);
    let stranger = || {
        let mut machine = running();
        machine.tags.insert("Name".into(), "of somebody else".into());
        machine
    };
    for (what, spec, machine, is_left) in [
        ("the status alone", plain(), stranger(), true),
        ("it carries the record", plain(), tagged(stranger()), false),
        ("the spec names it", named, stranger(), false),
    ] {
        let decision = decided(&spec, &plan(), &read(machine, 20), 20);
        let validated = find(&decision.status.conditions, ConditionType::Validated).expect("Validated");
        let says = validated.message.contains("set spec.source.instanceID to i-0123456789abcdef0");
        assert_eq!((validated.reason == "SourceChanged", says), (is_left, is_left), "{what}");
        assert_eq!(decision.step().is_none() && decision.look_again == LATER, is_left, "{what}");
    }
}
