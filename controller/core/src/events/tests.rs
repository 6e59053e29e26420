//! Which events are counted as one, and which are not: tables.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::status::RegionReason;

use super::*;
use crate::{
    ec2_error::Ec2Error,
    sample::{at, planned, replicated, saved, stopping},
    step::Step,
};

/// What the recorder tells events apart by.
fn keys(events: &[Event]) -> Vec<(bool, &'static str, String)> {
    events.iter().map(|event| (event.warning, event.reason, event.action.clone())).collect()
}

fn of(status: &SavedTemplateStatus, revision: i32) -> SavedTemplateStatus {
    let mut status = status.clone();
    if let Some(capture) = status.capture.as_mut() {
        capture.revision = revision;
        capture.id = format!("{revision:016x}");
    }
    for row in &mut status.regions {
        row.revision = Some(revision);
        row.image_id = row.image_id.as_ref().map(|_| format!("ami-{revision:017x}").parse().unwrap());
    }
    status.active_revision = Some(revision);
    status.image_id = format!("ami-{revision:017x}").parse().ok();
    status
}

fn turned(kind: ConditionType, status: &str, reason: Reason) -> SavedTemplateStatus {
    let mut after = planned();
    let status = status.parse().unwrap();
    let new = kind.with(status, reason, "a text that may hold a time", 1, Time(at(0)));
    saved_template_api::condition::set(&mut after.conditions, new);
    after
}

#[test]
fn what_happens_to_two_revisions_gives_two_events_and_the_same_again_gives_one() {
    let (none, kept) = (SavedTemplateStatus::default(), planned());
    let mut failed = saved();
    failed.capture.as_mut().unwrap().reason = Some("ImageFailed".parse().unwrap());
    let mut gone = replicated();
    gone.regions.iter_mut().for_each(|row| row.state = RegionState::Missing);
    let served = of(&replicated(), 1);
    for (before, after) in
        [(&none, &stopping()), (&none, &saved()), (&none, &replicated()), (&none, &failed), (&served, &gone)]
    {
        let events = |revision| keys(&between(before, &of(after, revision), revision));
        let (first, second) = (events(1), events(2));
        assert!(!first.is_empty(), "{after:?}");
        assert_eq!(first, events(1));
        let both: Vec<_> = first.iter().filter(|key| second.contains(key)).collect();
        assert!(both.is_empty(), "counted as one: {both:?}");
    }
    for (kind, status, one, other) in [
        (ConditionType::Validated, "False", Reason::InstanceNotFound, Reason::StopProtected),
        (ConditionType::DeletionBlocked, "True", Reason::AccessDenied, Reason::SnapshotLocked),
        (ConditionType::SourceRestored, "False", Reason::StartFailed, Reason::InsufficientCapacity),
    ] {
        let events = |reason, revision| {
            let mut after = turned(kind, status, reason);
            after.capture.as_mut().unwrap().revision = revision;
            keys(&between(&kept, &after, revision))
        };
        assert_eq!(events(one, 1).len(), 1, "{kind:?}");
        assert_eq!(events(one, 1), events(one, 1), "{kind:?}");
        assert_ne!(events(one, 1), events(other, 1), "{kind:?}: two causes");
        assert_ne!(events(one, 1), events(one, 2), "{kind:?}: two revisions");
    }
}

#[test]
fn the_action_of_an_event_is_as_long_as_kubernetes_takes_and_holds_no_time() {
    let mut long = replicated();
    let before = SavedTemplateStatus { capture: None, ..long.clone() };
    long.regions[1].reason = Some(RegionReason::DeregistrationProtected);
    long.regions[1].state = RegionState::Failed;
    let events = between(&before, &of(&long, 1_000_000), 1_000_000);
    assert!(events.iter().any(|event| event.reason == "CopyFailed"), "{events:?}");
    for event in events {
        assert!((1..=MAX_ACTION_BYTES).contains(&event.action.len()), "{event:?}");
        assert!(!event.action.contains("2026-"), "{event:?}");
    }
}

#[test]
fn a_change_of_images_that_is_denied_is_an_event_with_the_permission_and_each_region_has_its_own() {
    let denied = |region: &str, code| {
        let step = Step::DeleteSnapshot {
            region: region.parse().unwrap(),
            snapshot: "snap-00000000000000001".parse().unwrap(),
        };
        refused(&step, &Outcome::Refused(Ec2Error::new("DeleteSnapshot", code, "no")), 1)
    };
    let one = denied("us-east-2", "UnauthorizedOperation").unwrap();
    assert!(one.warning && one.message.contains("allow ec2:DeleteSnapshot"), "{one:?}");
    assert_eq!(Some(&one), denied("us-east-2", "UnauthorizedOperation").as_ref());
    assert_ne!(one.action, denied("eu-west-1", "UnauthorizedOperation").unwrap().action);
    for code in ["RequestLimitExceeded", "InternalError", "InvalidSnapshot.InUse"] {
        assert_eq!(denied("us-east-2", code), None, "{code}");
    }
}
