//! What is found and served without a capture, and what is not: tables.
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, SavedTemplateSpec, SavedTemplateStatus,
    condition::find,
    names::tag,
    status::{RegionState as S, RevisionState, RevisionStatus},
};

use crate::{
    decide::decide,
    decision::Decision,
    sample::{EARLIER_CAPTURE, OWNER, at, images, made, plain, planned, saved, spec, subject},
    world::{Image, ImageState, World},
};

fn decided(spec: &SavedTemplateSpec, status: &SavedTemplateStatus, images_there: Vec<Image>) -> Decision {
    let world: World = images(at(900), images_there, vec![]);
    decide(subject(spec, status), &world, at(900)).into_decision().expect("every question is answered")
}

fn validated(decision: &Decision) -> &str {
    &find(&decision.status.conditions, ConditionType::Validated).unwrap().reason
}

/// An image of another attempt, as `made` else.
fn another(attempt: i32, created: Timestamp) -> Image {
    let mut image = made();
    image.id = format!("ami-{attempt:017x}").parse().unwrap();
    image.name = OWNER.image_name(OWNER.name, 1, attempt);
    image.created = Some(created);
    image.tags.insert(tag::ATTEMPT.into(), attempt.to_string());
    image.tags.insert(tag::CAPTURE.into(), EARLIER_CAPTURE.into());
    image
}

fn of_another_source(image: Image) -> Image {
    let mut image = image;
    image.tags.insert(tag::SOURCE.into(), "0000000000000000".into());
    image
}

#[test]
fn only_an_image_of_the_wanted_revision_that_may_be_served_is_adopted() {
    let state = |state| vec![Image { state, ..made() }];
    let wants = |revision: i32| SavedTemplateSpec { revision, ..plain() };
    let mut second = made();
    second.tags.insert(tag::REVISION.into(), "2".into());
    second.name = OWNER.image_name(OWNER.name, 2, 1);
    for (what, spec, there, adopted) in [
        ("available", plain(), state(ImageState::Available), true),
        ("pending", plain(), state(ImageState::Pending), true),
        ("disabled", plain(), state(ImageState::Disabled), true),
        ("failed", plain(), state(ImageState::Failed), false),
        ("unknown", plain(), state(ImageState::Unknown), false),
        ("another revision is wanted", wants(2), state(ImageState::Available), false),
        ("another revision is there", plain(), vec![second.clone()], false),
        ("that revision is wanted", wants(2), vec![second], true),
    ] {
        let decision = decided(&spec, &SavedTemplateStatus::default(), there);
        let home = decision.status.regions.first().and_then(|row| row.image_id.clone());
        assert_eq!(home.is_some(), adopted, "{what}");
    }
}

#[test]
fn a_revision_that_the_status_calls_failed_is_not_adopted() {
    for (revision, state, adopted) in [
        (1, RevisionState::Failed, false),
        (1, RevisionState::Available, true),
        (1, RevisionState::Missing, true),
        (2, RevisionState::Failed, true),
    ] {
        let status = SavedTemplateStatus {
            revisions: vec![RevisionStatus::new(revision, state)],
            ..SavedTemplateStatus::default()
        };
        let decision = decided(&plain(), &status, vec![made()]);
        let home = decision.status.regions.first().and_then(|row| row.image_id.clone());
        assert_eq!(home.is_some(), adopted, "{revision} {state:?}");
    }
}

#[test]
fn an_adopted_image_brings_its_attempt_and_takes_nothing_from_the_other_regions() {
    let mut status = SavedTemplateStatus { capture: None, ..planned() };
    let row = &mut status.regions[1];
    (row.attempts, row.next_attempt_time) = (2, Some(Time(at(950))));
    let copy = row.clone();
    let decision = decided(&plain(), &status, vec![another(3, at(31))]);
    let [home, other] = decision.status.regions.as_slice() else { panic!("{:?}", decision.status.regions) };
    assert_eq!((home.attempts, home.state, home.revision), (3, S::Available, Some(1)));
    assert_eq!(home.image_id, Some(another(3, at(31)).id));
    assert_eq!(*other, copy);
}

#[test]
fn while_a_capture_or_its_image_is_known_no_other_image_takes_its_place() {
    let later = another(2, at(60));
    let decision = decided(&plain(), &saved(), vec![made(), later.clone()]);
    assert_eq!(decision.status.image_id, Some(made().id));
    // The status has lost the capture, not the row.
    let mut adopted = SavedTemplateStatus { capture: None, ..saved() };
    adopted.regions[0].attempts = 1;
    for other in [later.clone(), of_another_source(later.clone())] {
        let decision = decided(&plain(), &adopted, vec![made(), other]);
        assert_eq!(decision.status.image_id, Some(made().id));
        assert_ne!(validated(&decision), "RevisionTaken");
    }
    // The capture is known, its image not yet.
    for other in [later.clone(), of_another_source(later)] {
        let decision = decided(&plain(), &planned(), vec![other]);
        assert_eq!(decision.status.regions[0].image_id, None);
        assert_ne!(validated(&decision), "RevisionTaken");
    }
}

#[test]
fn a_revision_that_was_made_from_another_source_is_neither_served_nor_made_again() {
    let wants = |revision: i32| SavedTemplateSpec { revision, ..plain() };
    let mut unmarked = made();
    unmarked.tags.remove(tag::SOURCE);
    for (what, spec, image, taken) in [
        ("this source", plain(), made(), false),
        ("another", plain(), of_another_source(made()), true),
        ("nobody knows", plain(), unmarked, true),
        ("another, of another revision", wants(2), of_another_source(made()), false),
    ] {
        let decision = decided(&spec, &SavedTemplateStatus::default(), vec![image]);
        assert_eq!(validated(&decision) == "RevisionTaken", taken, "{what}: {}", validated(&decision));
        if taken {
            assert_eq!((decision.step(), &decision.status.capture), (None, &None), "{what}");
            let ready = find(&decision.status.conditions, ConditionType::Ready).unwrap();
            assert!(ready.message.contains("spec.revision to 2"), "{}", ready.message);
        }
    }
    let by_id = spec(r#"{"source": {"region": "us-west-2", "instanceID": "i-0123456789abcdef0"}}"#);
    assert_eq!(validated(&decided(&by_id, &SavedTemplateStatus::default(), vec![made()])), "RevisionTaken");
}

/// Revision 1 was saved; then another one was wanted for a while, and never captured: the row began anew.
fn back_again(instance: &str) -> SavedTemplateStatus {
    let mut status = saved();
    status.source.as_mut().unwrap().instance_id = Some(instance.parse().unwrap());
    let row = &mut status.regions[0];
    (row.image_id, row.state, row.revision) = (None, S::Waiting, None);
    (status.latest_revision, status.image_id) = (Some(1), None);
    status
}

#[test]
fn a_revision_that_is_wanted_again_is_found_although_its_row_began_anew_and_the_machine_is_another() {
    for instance in ["i-0123456789abcdef0", "i-0fedcba9876543210"] {
        let decision = decided(&plain(), &back_again(instance), vec![made()]);
        assert_eq!(decision.status.regions[0].image_id, Some(made().id), "{instance}");
        assert_eq!(decision.status.image_id, Some(made().id));
        // Without its image there is nothing to wait for.
        let decision = decided(&plain(), &back_again(instance), vec![]);
        let ready = find(&decision.status.conditions, ConditionType::Ready).unwrap();
        assert_eq!((decision.step(), ready.reason.as_str()), (None, "ImageMissing"));
    }
}
