//! What EC2 says of a Stop, what the machine shows of it, and what follows: tables.
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, SavedTemplateStatus, condition::find, names, spec::CaptureMode, status::Announced,
};

use super::*;
use crate::{
    decide::decide,
    decision::Decision,
    restart::Awaits,
    sample::{
        CAPTURE, OWNER, at, image, imaging, outcome, owned, plain, planned, record, running, stopped_at,
        stopping, subject, tagged, world,
    },
    step::{RETAG, UNTAG},
    world::{ImageState, Sighting, World},
};

fn decided(status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    decide(subject(&plain(), status), world, at(seconds)).into_decision().expect("every question is answered")
}

/// A machine, read at a time.
fn read(machine: Instance, seconds: i64) -> World {
    world(at(seconds), vec![machine], vec![], vec![])
}

/// The Stop was announced, and perhaps answered.
fn sent(step: &str, seconds: i64, answer: Option<&str>) -> Announced {
    Announced {
        number: 1,
        step: step.into(),
        time: Time(at(seconds)),
        request: record().to_string(),
        region: "us-west-2".parse().unwrap(),
        outcome: answer.map(outcome),
    }
}

/// The step, why the capture was given up, and how often the machine was disrupted.
fn told(decision: &Decision) -> (Option<&'static str>, Option<&str>, i32) {
    let capture = decision.status.capture.as_ref().expect("a capture");
    (decision.step().map(Step::name), capture.reason.map(<&str>::from), capture.disruptions)
}

#[test]
fn a_refused_stop_is_repeated_until_s_if_that_may_help_and_else_given_up_by_name() {
    let (repeated, waiting) = ((Some(STOP), None, 1), (None, None, 1));
    let given_up = |reason| (Some(UNTAG), Some(reason), 0);
    let protected = "OperationNotPermitted: modify its 'disableApiStop' instance attribute";
    for (answer, seconds, expected) in [
        ("UnauthorizedOperation: no", 60, repeated),
        ("UnauthorizedOperation: no", 61, given_up("AccessDenied")),
        ("RequestLimitExceeded: later", 60, repeated),
        ("RequestLimitExceeded: later", 61, given_up("Throttled")),
        ("RequestExpired: held back", 60, repeated),
        ("RequestExpired: held back", 61, given_up("NotTaken")),
        ("InvalidParameterValue: bad", 60, given_up("RequestRefused")),
        ("OperationNotPermitted: no", 60, given_up("RequestRefused")),
        ("IncorrectInstanceState: later", 60, repeated),
        ("IncorrectInstanceState: later", 61, given_up("InstanceBusy")),
        (protected, 60, given_up("StopProtected")),
        (protected, 61, given_up("StopProtected")),
        ("UnsupportedOperation: no", 60, given_up("InstanceNotSupported")),
        ("RequestTimeout: the reply was lost", 60, repeated),
        ("RequestTimeout: the reply was lost", 61, waiting),
    ] {
        let mut status = stopping();
        status.announced = vec![sent(STOP, 30, Some(answer))];
        let decision = decided(&status, &read(tagged(running()), seconds), seconds);
        assert_eq!(told(&decision), expected, "{answer} at {seconds}");
    }
}

#[test]
fn a_stop_is_repeated_after_a_pause_and_a_later_read() {
    let mut status = stopping();
    status.announced = vec![sent(STOP, 10, None)];
    for (began, now, step) in [(12, 13, None), (9, 20, None), (12, 20, Some(STOP))] {
        let decision = decided(&status, &read(tagged(running()), began), now);
        assert_eq!(told(&decision), (step, None, 1), "read at {began}, now {now}");
    }
}

#[test]
fn a_machine_that_was_started_after_the_plan_has_no_image_of_it() {
    let mut status = stopping();
    status.announced = vec![sent(STOP, 10, None)];
    for (launch, why) in [(-9000, None), (0, None), (1, Some("Failed"))] {
        let machine = Instance { launch_time: Some(at(launch)), ..tagged(running()) };
        let decision = decided(&status, &read(machine, 100), 100);
        assert_eq!(told(&decision), (None, why, 1), "launched at {launch}");
    }
}

#[test]
fn a_machine_that_runs_again_once_its_image_was_asked_for_has_not_failed() {
    let machine = Instance { launch_time: Some(at(60)), ..tagged(running()) };
    let made = owned(image(CAPTURE, ImageState::Pending));
    let seen = world(at(70), vec![machine], vec![made], vec![]);
    assert_eq!(told(&decided(&imaging(), &seen, 70)), (None, None, 1));
}

/// Shut down from within, right before our Stop.
fn shut_down(launch: i64) -> Instance {
    Instance {
        state_reason: Some("Client.InstanceInitiatedShutdown".into()),
        launch_time: Some(at(launch)),
        ..tagged(stopped_at(Some(at(8))))
    }
}

#[test]
fn somebody_elses_stop_is_no_disruption_of_ours_unless_the_machine_had_been_down_or_back_before() {
    let withdrawn = (Some(UNTAG), Some("InstanceBusy"), 0);
    let failed = (None, Some("Failed"), 1);
    for (launch, stopped_before, expected) in
        [(-9000, false, withdrawn), (0, false, withdrawn), (1, false, failed), (-9000, true, failed)]
    {
        let mut status = stopping();
        status.announced = vec![sent(STOP, 10, None)];
        status.capture.as_mut().expect("a capture").source_stopped_time = stopped_before.then(|| Time(at(9)));
        // Whether it is read before our Stop was announced, or after.
        for began in [9, 12] {
            let decision = decided(&status, &read(shut_down(launch), began), 12);
            assert_eq!(told(&decision), expected, "launched at {launch}, {stopped_before}, read at {began}");
        }
    }
}

/// Since 610 the record allows the hard stop: until 670.
fn hard() -> (SavedTemplateStatus, Record) {
    let forced = record().forced(at(610));
    let mut status = stopping();
    let capture = status.capture.as_mut().expect("a capture");
    (capture.on_stop_timeout, capture.restart_record) = (OnStopTimeout::Force, Some(forced.to_string()));
    (status, forced)
}

/// The machine on its way down, with a record that the restart loop has found at two times.
fn going_down(value: &Record, seen: (i64, i64), began: i64) -> World {
    let mut machine = Instance { state: InstanceState::Stopping, ..running() };
    machine.tags.insert(names::debt_key(OWNER.cluster), value.to_string());
    let sighting = Sighting { first: at(seen.0), last: at(seen.1) };
    let mut seen = read(machine, began);
    let view = Arc::make_mut(seen.home.as_mut().expect("home"));
    view.sightings = [((value.instance.clone(), value.to_string()), sighting)].into();
    seen
}

#[test]
fn a_hard_stop_leaves_until_the_new_s_once_its_record_was_found_twice_five_seconds_apart() {
    let (status, forced) = hard();
    for (value, first, last, now, step) in [
        (&record(), 10, 619, 620, Some(RETAG)),
        (&forced, 612, 616, 620, None),
        (&forced, 612, 617, 620, Some(FORCE_STOP)),
        (&forced, 612, 618, 620, Some(FORCE_STOP)),
        (&forced, 612, 617, 669, Some(FORCE_STOP)),
        (&forced, 612, 617, 670, Some(FORCE_STOP)),
        (&forced, 612, 617, 671, None),
        (&record(), 10, 670, 671, None),
    ] {
        let decision = decided(&status, &going_down(value, (first, last), now), now);
        assert_eq!(told(&decision), (step, None, 1), "{value}, found at {first} and {last}, now {now}");
    }
}

#[test]
fn one_hard_stop_that_ec2_took_is_enough_and_another_one_is_repeated_after_a_later_read() {
    let repeated = Some(FORCE_STOP);
    for (what, answer, began, now, step) in [
        ("no answer", None, 630, 632, repeated),
        ("the reply was lost", Some("RequestTimeout: lost"), 630, 632, repeated),
        ("taken", Some("accepted"), 630, 632, None),
        ("not read since", None, 620, 632, None),
        ("just sent", None, 622, 623, None),
    ] {
        let (mut status, forced) = hard();
        status.announced = vec![sent(FORCE_STOP, 620, answer)];
        let decision = decided(&status, &going_down(&forced, (612, 618), began), now);
        assert_eq!(told(&decision), (step, None, 1), "{what}");
    }
}

#[test]
fn a_machine_that_is_not_stopped_for_its_image_may_be_out_of_sight_while_the_image_is_made() {
    let claim = Record { awaits: Awaits::Nothing, ..record() };
    let mut status = planned();
    let capture = status.capture.as_mut().expect("a capture");
    (capture.mode, capture.restart_record) = (CaptureMode::NoReboot, Some(claim.to_string()));
    capture.image_requested_time = Some(Time(at(41)));
    let mut machine = running();
    machine.tags.insert(names::debt_key(OWNER.cluster), claim.to_string());
    for machines in [vec![machine], vec![]] {
        let made = owned(image(CAPTURE, ImageState::Pending));
        let decision = decided(&status, &world(at(60), machines.clone(), vec![made], vec![]), 60);
        let ready = find(&decision.status.conditions, ConditionType::Ready).expect("Ready");
        assert_eq!(ready.reason, "WaitingForImage", "{}: {}", machines.len(), ready.message);
    }
}

#[test]
fn a_machine_that_goes_down_after_our_stop_was_refused_was_stopped_by_somebody_else() {
    let down = tagged(stopped_at(Some(at(15))));
    let going = Instance { state: InstanceState::Stopping, ..down.clone() };
    for (answer, expected) in [
        (Some("RequestLimitExceeded: later"), (Some(UNTAG), Some("InstanceBusy"), 0)),
        (Some("IncorrectState: held back"), (Some(UNTAG), Some("InstanceBusy"), 0)),
        (Some("RequestTimeout: no answer"), (None, None, 1)),
        (None, (None, None, 1)),
    ] {
        for machine in [&down, &going] {
            let mut status = stopping();
            status.announced = vec![sent(STOP, 10, answer)];
            let decision = decided(&status, &read(machine.clone(), 18), 19);
            let mut told = told(&decision);
            told.0 = told.0.filter(|step| *step == UNTAG);
            assert_eq!(told, expected, "{answer:?} {:?}", machine.state);
        }
    }
}

#[test]
fn a_status_that_has_forgotten_the_stop_that_ec2_took_after_it_refused_one_calls_no_stop_somebody_elses() {
    for code in ["UnauthorizedOperation: no", "RequestLimitExceeded: later"] {
        let mut status = stopping();
        status.announced = vec![sent(STOP, 10, Some(code))];
        let machine = Instance { state: InstanceState::Stopping, ..tagged(stopped_at(Some(at(16)))) };
        assert!(!restart::stopped_by_somebody(&record(), &machine));
        let seen = World { unsent: false, ..read(machine, 18) };
        let decision = decided(&status, &seen, 19);
        assert_eq!(told(&decision).0, None, "{code}: {:?}", decision.status.capture);
    }
}

/// Bare metal: 1200 s of patience, and so the hard stop is later than what R3 allows the first one.
#[test]
fn a_status_that_has_forgotten_the_hard_stop_takes_it_from_the_record_on_the_machine() {
    let patient = Record::plan(
        record().instance,
        CAPTURE.into(),
        "0a1b2c3d".into(),
        at(0),
        (1200, 3600),
        Awaits::Snapshots,
        2,
    );
    let forced = patient.forced(at(1230));
    let mut status = stopping();
    let capture = status.capture.as_mut().unwrap();
    (capture.restart_record, capture.max_downtime_seconds) = (Some(patient.to_string()), 3600);
    capture.on_stop_timeout = OnStopTimeout::Force;
    status.announced = vec![sent(STOP, 10, None)];
    let mut machine = stopped_at(Some(at(1245)));
    machine.tags.insert(names::debt_key(OWNER.cluster), forced.to_string());
    assert!(!restart::stopped_by_somebody(&forced, &machine));
    let decision = decided(&status, &World { unsent: false, ..read(machine, 1250) }, 1251);
    assert_eq!(told(&decision).0, Some("CreateImage"), "{:?}", decision.status.capture);
    assert_eq!(decision.status.capture.unwrap().restart_record, Some(forced.to_string()));
}
