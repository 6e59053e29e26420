//! What people read of a capture that has ended without an image: nothing of it says another thing than the rest. Tables.
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, SavedTemplateSpec, SavedTemplateStatus,
    condition::find,
    spec::CaptureMode,
    status::{Announced, CaptureReason},
};

use super::*;
use crate::{
    restart::Awaits,
    sample::{
        CAPTURE, at, image, images, outcome, owned, plain, planned, record, running, stopping, subject,
        tagged, world,
    },
    step::CREATE_IMAGE,
    world::{ImageState, Instance, InstanceState, World},
};

fn told(decision: &Decision, kind: ConditionType) -> (String, String, String) {
    let found = find(&decision.status.conditions, kind).cloned();
    found.map(|one| (one.status, one.reason, one.message)).unwrap_or_default()
}

fn decided(status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    decide(subject(&plain(), status), world, at(seconds)).into_decision().unwrap()
}

/// A capture in a mode that stops nothing, its image asked for at 20.
fn claimed(mode: CaptureMode) -> SavedTemplateStatus {
    let mut status = planned();
    let claim = Record { awaits: Awaits::Nothing, ..record() };
    let capture = status.capture.as_mut().unwrap();
    (capture.mode, capture.restart_record) = (mode, Some(claim.to_string()));
    capture.image_requested_time = Some(Time(at(20)));
    capture.disruptions = i32::from(mode == CaptureMode::Reboot);
    status
}

fn with_claim() -> Instance {
    let mut machine = tagged(running());
    let claim = Record { awaits: Awaits::Nothing, ..record() };
    machine
        .tags
        .values_mut()
        .filter(|value| value.starts_with("v1 "))
        .for_each(|value| *value = claim.to_string());
    machine
}

/// The image was asked for once, at 20, with this answer.
fn asked(answer: &str) -> Announced {
    Announced {
        number: 1,
        step: CREATE_IMAGE.into(),
        time: Time(at(20)),
        request: String::new(),
        region: "us-west-2".parse().unwrap(),
        outcome: Some(outcome(answer)),
    }
}

#[test]
fn a_reboot_that_ec2_refused_was_none() {
    let mut status = claimed(CaptureMode::Reboot);
    status.announced = vec![asked("UnauthorizedOperation: no")];
    let decision = decided(&status, &world(at(30), vec![with_claim()], vec![], vec![]), 30);
    let capture = decision.status.capture.as_ref().unwrap();
    assert_eq!((capture.reason, capture.disruptions), (Some(CaptureReason::AccessDenied), 0));
    let (_, reason, message) = told(&decision, ConditionType::SourceRestored);
    assert_eq!(reason, "NeverTouched", "{message}");
    assert_eq!(told(&decision, ConditionType::ImageAvailable).1, "NotRequested");
}

#[test]
fn an_image_that_failed_beside_a_running_machine_is_a_failed_image() {
    let status = claimed(CaptureMode::NoReboot);
    let failed = owned(image(CAPTURE, ImageState::Failed));
    let mut seen = images(at(60), vec![failed], vec![]);
    Arc::make_mut(seen.home.as_mut().unwrap()).instances = Ok(vec![with_claim()]);
    let first = decided(&status, &seen, 60);
    let second = decided(&first.status, &seen, 61);
    for decision in [first, second] {
        assert_eq!(told(&decision, ConditionType::Ready).1, "Failed", "{:?}", decision.status.conditions);
        assert_eq!(told(&decision, ConditionType::ImageAvailable).1, "ImageFailed");
        assert_ne!(told(&decision, ConditionType::Validated).1, "NothingToCapture");
    }
}

#[test]
fn of_a_machine_that_was_terminated_meanwhile_another_one_is_to_be_named() {
    let mut status = stopping();
    status.capture.as_mut().unwrap().restart_record = None;
    let terminated = Instance { state: InstanceState::Terminated, ..running() };
    for most in [1, 2] {
        let mut spec: SavedTemplateSpec = plain();
        spec.capture.max_disruptions = most;
        let seen = world(at(60), vec![terminated.clone()], vec![], vec![]);
        let ended = decide(subject(&spec, &status), &seen, at(60)).into_decision().unwrap();
        let decision = decide(subject(&spec, &ended.status), &seen, at(61)).into_decision().unwrap();
        let (_, reason, message) = told(&decision, ConditionType::Validated);
        assert_eq!(reason, "InstanceTerminated", "{message}");
        assert!(message.contains("name a machine that exists in spec.source"), "{message}");
        assert_eq!(message.contains("set spec.revision to 2"), most == 1, "{message}");
    }
}

#[test]
fn a_name_that_is_taken_is_not_asked_for_again() {
    let mut status = claimed(CaptureMode::NoReboot);
    status.announced = vec![asked("InvalidAMIName.Duplicate: in use")];
    let mut foreign = owned(image("fedcba9876543210", ImageState::Available));
    foreign.tags.clear();
    let mut seen = images(at(30), vec![foreign], vec![]);
    Arc::make_mut(seen.home.as_mut().unwrap()).instances = Ok(vec![with_claim()]);
    let ended = decided(&status, &seen, 30).status;
    assert_eq!(ended.capture.as_ref().unwrap().reason, Some(CaptureReason::NameConflict));
    let mut over = ended;
    let capture = over.capture.as_mut().unwrap();
    (capture.restart_record, capture.completion_time) = (None, Some(Time(at(40))));
    let mut free = seen;
    Arc::make_mut(free.home.as_mut().unwrap()).instances = Ok(vec![running()]);
    (free.claim, free.probe) = (Some(Ok(())), world(at(900), vec![], vec![], vec![]).probe);
    let again = decide(subject(&plain(), &over), &free, at(900));

    let again = again.into_decision().unwrap().status.capture.unwrap();
    assert_eq!(again.attempts, 2, "{again:?}");
}
