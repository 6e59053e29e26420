//! What is taken away in a region, in which order, and when it counts as empty: tables.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, SavedTemplateSpec, SavedTemplateStatus,
    condition::find,
    names::tag,
    spec::DeletionPolicy,
    status::{Announced, RegionState},
};

use super::*;
use crate::{
    decide::decide,
    decision::{Decision, Finalizer},
    ec2_error::Ec2Error,
    sample::{
        CAPTURE, CLUSTER_UID, OWNER, abroad, at, at_home, copied_snapshot, copy, images, made, outcome,
        plain, replicated, saved, snapshot, subject,
    },
    step::{COPY_IMAGE, DEREGISTER, TAG_IMAGES, UNTAG_IMAGES},
    subject::Subject,
    world::{Absence, SnapshotState, Tags, World},
};

fn deleted(spec: &SavedTemplateSpec, status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    let spec = SavedTemplateSpec { deletion_policy: DeletionPolicy::Delete, ..spec.clone() };
    let subject = Subject { deleting: true, ..subject(&spec, status) };
    decide(subject, world, at(seconds)).into_decision().expect("a deletion asks nothing")
}

/// The same, of an object without copies.
fn home_deleted(status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    let spec = SavedTemplateSpec { regions: vec![], ..plain() };
    let mut status = status.clone();
    status.regions.truncate(1);
    deleted(&spec, &status, world, seconds)
}

fn announced(step: &str, region: &str, request: &str, seconds: i64, settled: Option<&str>) -> Announced {
    Announced {
        number: 1,
        step: step.into(),
        time: Time(at(seconds)),
        request: request.into(),
        region: region.parse().unwrap(),
        outcome: settled.map(outcome),
    }
}

fn emptied(mut world: World, since: i64, reads: u32) -> World {
    let absence = Absence { since: at(since), reads };
    let key = Key::template(OWNER.namespace, OWNER.name).to_string();
    at_home(&mut world).absences.insert(key.clone(), absence);
    abroad(&mut world).absences.insert(key, absence);
    world
}

/// Ids of what is removed or marked.
fn touched(decision: &Decision) -> Vec<String> {
    match decision.step() {
        Some(Step::Deregister { image, .. }) => vec![image.to_string()],
        Some(Step::DeleteSnapshot { snapshot, .. }) => vec![snapshot.to_string()],
        Some(Step::TagImages { resources, .. }) => resources.clone(),
        None => vec![],
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn what_stays_for_good_and_what_others_hold_is_not_deleted() {
    let shot = || Snapshot { tags: made().tags, ..snapshot(1, CAPTURE, at(33), SnapshotState::Completed) };
    let marked = |tags: &Tags, value: &str| {
        let mut tags = tags.clone();
        tags.insert(tag::RETAINED.into(), value.into());
        tags
    };
    for (value, deleted) in [(None, true), (Some("true"), false), (Some("false"), true)] {
        let tags = |tags: Tags| value.map_or(tags.clone(), |value| marked(&tags, value));
        let image = Image { tags: tags(made().tags), ..made() };
        let only_image = images(at(900), vec![image], vec![]);
        let mut only_shot = images(at(900), vec![], vec![]);
        at_home(&mut only_shot).snapshots = Ok(vec![Snapshot { tags: tags(shot().tags), ..shot() }]);
        for world in [only_image, only_shot] {
            let decision = home_deleted(&saved(), &world, 900);
            assert_eq!(decision.step().is_some(), deleted, "{value:?}");
        }
    }
    // A snapshot says itself who holds it.
    for (holder, deleted) in [(CLUSTER_UID, true), ("77777777-1111-2222-3333-444455556666", false)] {
        let mut shot = shot();
        shot.tags.insert(tag::HOLDER.into(), holder.into());
        let mut world = images(at(900), vec![], vec![]);
        at_home(&mut world).snapshots = Ok(vec![shot]);
        assert_eq!(home_deleted(&saved(), &world, 900).step().is_some(), deleted, "{holder}");
    }
}

#[test]
fn images_go_before_snapshots_and_one_that_ec2_still_writes_is_waited_for_for_an_hour() {
    let other = |state| {
        let mut other = Image { id: "ami-00000000000000009".parse().unwrap(), state, ..made() };
        other.tags.insert(tag::REVISION.into(), "2".into());
        other.name = OWNER.image_name(OWNER.name, 2, 1);
        other
    };
    let (first, second) = (made().id.to_string(), "ami-00000000000000009");
    let written = made().created.unwrap().duration_since(at(0)).as_secs();
    for (seconds, images_there, goes) in [
        (900, vec![other(ImageState::Pending), made()], Some(first.as_str())),
        (900, vec![other(ImageState::Pending)], None),
        (written + 3599, vec![other(ImageState::Pending)], None),
        (written + 3600, vec![other(ImageState::Pending)], Some(second)),
        (900, vec![Image { created: None, ..other(ImageState::Pending) }], Some(second)),
        (900, vec![made(), other(ImageState::Available)], Some(first.as_str())),
        (900, vec![made(), other(ImageState::Failed)], Some(first.as_str())),
        (900, vec![other(ImageState::Disabled)], Some(second)),
        (900, vec![], Some("snap-00000000000000001")),
    ] {
        let mut world = images(at(seconds), images_there, vec![]);
        let shot = crate::sample::snapshot(1, crate::sample::CAPTURE, at(33), SnapshotState::Completed);
        at_home(&mut world).snapshots = Ok(vec![Snapshot { tags: made().tags, ..shot }]);
        let decision = home_deleted(&saved(), &world, seconds);
        assert_eq!(touched(&decision), Vec::from_iter(goes), "{seconds}");
        assert_eq!(decision.finalizer, Finalizer::Keep);
    }
}

#[test]
fn a_snapshot_that_an_image_of_somebody_else_uses_is_marked_and_left_after_six_tries() {
    let used = "InvalidSnapshot.InUse: by ami-00000000000000077";
    let (it, another) = (copied_snapshot(1).id.to_string(), "snap-00000000000000009");
    for (what, number, request, settled, marks) in [
        ("six tries", 6, it.as_str(), Some(used), false),
        ("seven tries", 7, &it, Some(used), true),
        ("eight tries", 8, &it, Some(used), true),
        ("another snapshot", 7, another, Some(used), false),
        ("another reason", 7, &it, Some("RequestLimitExceeded: no"), false),
        ("no answer", 7, &it, None, false),
    ] {
        let mut status = replicated();
        let last = announced(DELETE_SNAPSHOT, "us-east-2", request, 900, settled);
        status.announced = vec![Announced { number, ..last }];
        let mut world = images(at(1200), vec![], vec![]);
        abroad(&mut world).snapshots = Ok(vec![copied_snapshot(1)]);
        let decision = deleted(&plain(), &status, &world, 1200);
        match decision.step() {
            Some(Step::TagImages { resources, tags, .. }) if marks => {
                assert_eq!(resources.join(" "), it, "{what}");
                assert_eq!(tags.get(tag::RETAINED).map(String::as_str), Some("true"), "{what}");
            }
            Some(Step::DeleteSnapshot { snapshot, .. }) if !marks => {
                assert_eq!(snapshot.to_string(), it, "{what}");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn the_same_change_is_tried_again_after_a_pause_that_doubles() {
    for (number, last, again) in
        [(1, 896, false), (1, 895, true), (2, 891, false), (2, 890, true), (5, 821, false), (5, 820, true)]
    {
        let mut status = saved();
        let tried = announced(DEREGISTER, "us-west-2", made().id.as_str(), last, None);
        status.announced = vec![Announced { number, ..tried }];
        let decision = home_deleted(&status, &images(at(900), vec![made()], vec![]), 900);
        assert_eq!(decision.step().is_some(), again, "{number} {last}");
    }
    // What was done before to another image holds this one up no longer than it takes to be shown.
    let mut status = saved();
    status.announced = vec![announced(DEREGISTER, "us-west-2", "ami-00000000000000009", 899, None)];
    for (began, acts) in [(898, false), (899, false), (900, true)] {
        let decision = home_deleted(&status, &images(at(began), vec![made()], vec![]), 900);
        assert_eq!(decision.step().is_some(), acts, "{began}");
    }
    status.announced = vec![announced(TAG_IMAGES, "us-west-2", made().id.as_str(), 899, None)];
    let decision = home_deleted(&status, &images(at(900), vec![made()], vec![]), 900);
    assert!(decision.step().is_some(), "another change of the same image");
}

#[test]
fn a_change_that_ec2_refused_is_tried_again_before_anything_else_is_begun_but_not_for_ever() {
    let busy = Some("RequestLimitExceeded: no");
    for (what, number, settled, protected, acts_at_home) in [
        ("answered well", 3, None, false, true),
        ("refused", 3, busy, false, false),
        ("refused six times", 6, busy, false, false),
        ("refused seven times", 7, busy, false, true),
        ("somebody has to act", 3, busy, true, true),
    ] {
        let mut status = replicated();
        let tried = announced(DEREGISTER, "us-east-2", copy().id.as_str(), 895, settled);
        status.announced = vec![Announced { number, ..tried }];
        if protected {
            let row = &mut status.regions[1];
            (row.reason, row.next_attempt_time) =
                (Some("AccessDenied".parse().unwrap()), Some(Time(at(960))));
        }
        let decision = deleted(&plain(), &status, &images(at(900), vec![made()], vec![copy()]), 900);
        let at_home = touched(&decision) == [made().id.to_string()];
        assert_eq!(at_home, acts_at_home, "{what}: {:?}", decision.step());
        assert_eq!(decision.step().is_some(), acts_at_home, "{what}");
    }
}

#[test]
fn a_refusal_that_somebody_has_to_act_on_pauses_its_region_until_the_instant_that_its_row_names() {
    for (reason, until, acts) in [
        (Some("DeregistrationProtected"), Some(901), false),
        (Some("DeregistrationProtected"), Some(900), true),
        (Some("DeregistrationProtected"), None, true),
        (None, Some(901), true),
    ] {
        let mut status = saved();
        let row = &mut status.regions[0];
        (row.reason, row.next_attempt_time) =
            (reason.map(|word: &str| word.parse().unwrap()), until.map(at).map(Time));
        let decision = home_deleted(&status, &images(at(900), vec![made()], vec![]), 900);
        assert_eq!(decision.step().is_some(), acts, "{reason:?} {until:?}");
        let blocked = find(&decision.status.conditions, ConditionType::DeletionBlocked);
        assert_eq!(blocked.map(|condition| condition.reason.as_str()), reason);
    }
}

#[test]
fn nothing_is_removed_by_a_read_that_is_older_than_the_last_change_in_that_region() {
    for (step, region, began, removes) in [
        (COPY_IMAGE, "us-east-2", 899, None),
        (COPY_IMAGE, "us-east-2", 900, None),
        (COPY_IMAGE, "us-east-2", 901, Some(copy().id)),
        (UNTAG_IMAGES, "us-east-2", 900, None),
        (COPY_IMAGE, "eu-west-1", 899, Some(copy().id)),
    ] {
        let mut status = replicated();
        status.announced = vec![announced(step, region, "x", 900, None)];
        let mut world = images(at(905), vec![], vec![copy()]);
        abroad(&mut world).began = at(began);
        let decision = deleted(&plain(), &status, &world, 905);
        let removed: Vec<String> = removes.iter().map(ToString::to_string).collect();
        assert_eq!(touched(&decision), removed, "{step} {region} {began}");
    }
}

#[test]
fn home_is_empty_only_once_an_image_that_was_asked_for_can_no_longer_show() {
    // Asked for at 41; without an answer it was asked for again, at the latest when the machine was given back.
    for (answered, restored, seconds, goes) in [
        (true, 600, 340, false),
        (true, 600, 341, true),
        (false, 600, 600 + 959, false),
        (false, 600, 600 + 960, true),
        (false, 30, 1000, false),
        (false, 30, 1001, true),
    ] {
        let mut status = saved();
        let capture = status.capture.as_mut().unwrap();
        capture.source_restored_time = Some(Time(at(restored)));
        let row = &mut status.regions[0];
        row.image_id = row.image_id.take().filter(|_| answered);
        let world = emptied(images(at(seconds), vec![], vec![]), 100, 9);
        let decision = home_deleted(&status, &world, seconds);
        assert_eq!(decision.step(), None);
        assert_eq!(decision.finalizer == Finalizer::Remove, goes, "{answered} {restored} {seconds}");
    }
}

#[test]
fn the_region_of_a_copy_is_empty_only_once_a_copy_that_was_asked_for_can_no_longer_show() {
    // Shown; named in a reply and never shown; not answered.
    let (shown, named, unanswered) = ((true, Some(0)), (true, None), (false, None));
    for (attempts, announced, (answered, progress), seconds, goes) in [
        (1, Some(2000), shown, 2299, false),
        (1, Some(2000), shown, 2300, true),
        (1, Some(2000), named, 2000 + 959, false),
        (1, Some(2000), named, 2000 + 960, true),
        (1, Some(2000), unanswered, 2000 + 959, false),
        (1, Some(2000), unanswered, 2000 + 960, true),
        (3, Some(2000), unanswered, 2300, false),
        (1, None, unanswered, 2000, true),
        (0, None, unanswered, 2000, true),
    ] {
        let mut status = replicated();
        let row = &mut status.regions[1];
        (row.attempts, row.announced_time) = (attempts, announced.map(at).map(Time));
        row.progress_percent = progress;
        (row.state, row.image_id) = (
            if answered { RegionState::Pending } else { RegionState::Waiting },
            row.image_id.take().filter(|_| answered),
        );
        let world = emptied(images(at(seconds), vec![], vec![]), 100, 9);
        let decision = deleted(&plain(), &status, &world, seconds);
        assert_eq!(decision.step(), None);
        assert_eq!(
            decision.finalizer == Finalizer::Remove,
            goes,
            "{attempts} {announced:?} {answered} {seconds}"
        );
    }
}

#[test]
fn a_region_that_cannot_be_read_keeps_the_object_and_is_named_with_the_reason() {
    let refusal = |operation| Ec2Error::new(operation, "UnauthorizedOperation", "not allowed");
    let all = || emptied(images(at(900), vec![], vec![]), 100, 9);
    let (mut home, mut home_images, mut shots) = (all(), all(), all());
    home.home = Err(refusal("DescribeInstances"));
    at_home(&mut home_images).images = Err(refusal("DescribeImages"));
    at_home(&mut shots).snapshots = Err(refusal("DescribeSnapshots"));
    let (mut far, mut far_images, mut far_shots, mut never) = (all(), all(), all(), all());
    far.abroad.insert("us-east-2".parse().unwrap(), Err(refusal("DescribeInstances")));
    abroad(&mut far_images).images = Err(refusal("DescribeImages"));
    abroad(&mut far_shots).snapshots = Err(refusal("DescribeSnapshots"));
    never.abroad.clear();
    for (world, named) in [
        (home, "us-west-2 cannot be read: DescribeInstances: UnauthorizedOperation"),
        (home_images, "us-west-2 cannot be read: DescribeImages: UnauthorizedOperation"),
        (shots, "us-west-2 cannot be read: DescribeSnapshots: UnauthorizedOperation"),
        (far, "us-east-2 cannot be read: DescribeInstances: UnauthorizedOperation"),
        (far_images, "us-east-2 cannot be read: DescribeImages: UnauthorizedOperation"),
        (far_shots, "us-east-2 cannot be read: DescribeSnapshots: UnauthorizedOperation"),
        (never, "us-east-2 cannot be read: not read yet"),
    ] {
        let decision = deleted(&plain(), &replicated(), &world, 900);
        assert_eq!((decision.step(), decision.finalizer), (None, Finalizer::Keep), "{named}");
        let ready = find(&decision.status.conditions, ConditionType::Ready).unwrap();
        assert!(ready.message.contains(named), "{}", ready.message);
    }
}
