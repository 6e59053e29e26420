//! What a deletion does, in which order, and when the object goes: tables.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, SavedTemplateSpec, SavedTemplateStatus,
    condition::find,
    names,
    status::{Announced, RegionRole},
};

use super::*;
use crate::{
    decide::decide,
    decision::{Decision, Next},
    ec2_error::Ec2Error,
    key::Key,
    outcomes::apply,
    sample::{
        CAPTURE, OWNER, abroad, at, at_home, copied_snapshot, copy, images, imaging, made, outcome, plain,
        planned, record, replicated, running, saved, stopped_at, stopping, subject, tagged, world,
    },
    step::{CREATE_IMAGE, DEREGISTER, Outcome, REMOVE_RECEIPT, TAG},
    subject::Subject,
    world::{Absence, ClaimRefused, Image, Instance, InstanceState, World},
};

fn with(policy: DeletionPolicy) -> SavedTemplateSpec {
    SavedTemplateSpec { deletion_policy: policy, ..plain() }
}

fn going(policy: DeletionPolicy, status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    let spec = with(policy);
    let subject = Subject { deleting: true, ..subject(&spec, status) };
    decide(subject, world, at(seconds)).into_decision().expect("a deletion asks nothing")
}

fn deleted(status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    going(DeletionPolicy::Delete, status, world, seconds)
}

fn announced(step: &str, request: &str, seconds: i64, settled: Option<&str>) -> Announced {
    Announced {
        number: 1,
        step: step.into(),
        time: Time(at(seconds)),
        request: request.into(),
        region: "us-west-2".parse().unwrap(),
        outcome: settled.map(outcome),
    }
}

fn region(name: &str) -> saved_template_api::ids::Region {
    name.parse().unwrap()
}

/// In short: what is removed, and where.
fn removed(decision: &Decision) -> Option<(String, String)> {
    match decision.step() {
        Some(Step::Deregister { region, image }) => Some((region.to_string(), image.to_string())),
        Some(Step::DeleteSnapshot { region, snapshot }) => Some((region.to_string(), snapshot.to_string())),
        None => None,
        Some(other) => panic!("{other:?}"),
    }
}

/// Every region was empty since 400, in many sweeps.
fn emptied(mut world: World) -> World {
    let absence = Absence { since: at(400), reads: 9 };
    at_home(&mut world).absences.insert(Key::template(OWNER.namespace, OWNER.name).to_string(), absence);
    abroad(&mut world).absences.insert(Key::template(OWNER.namespace, OWNER.name).to_string(), absence);
    world
}

#[test]
fn no_older_revision_takes_the_place_of_one_that_was_taken_away() {
    let older = Image {
        id: "ami-00000000000000004".parse().unwrap(),
        tags: {
            let mut tags = made().tags;
            tags.insert(names::tag::REVISION.into(), "1".into());
            tags
        },
        name: made().name,
        ..made()
    };
    let newer = {
        let mut image = Image { name: OWNER.image_name(OWNER.name, 2, 1), ..made() };
        image.tags.insert(names::tag::REVISION.into(), "2".into());
        image
    };
    let spec = SavedTemplateSpec { revision: 2, ..with(DeletionPolicy::Delete) };
    let mut status = saved();
    status.regions[0].revision = Some(2);
    let capture = status.capture.as_mut().unwrap();
    (capture.revision, status.latest_revision) = (2, Some(2));
    let there = images(at(900), vec![newer.clone(), older.clone()], vec![]);
    let alive = decide(subject(&spec, &status), &there, at(901)).into_decision().unwrap();
    let ids = |status: &SavedTemplateStatus| -> Vec<String> {
        status.images.iter().map(|image| image.image_id.to_string()).collect()
    };
    assert_eq!(ids(&alive.status), [newer.id.to_string()]);
    assert_eq!(alive.status.revisions.len(), 2, "{:?}", alive.status.revisions);
    let decide_at = |status: &SavedTemplateStatus, world: &World, seconds| {
        let subject = Subject { deleting: true, ..subject(&spec, status) };
        decide(subject, world, at(seconds)).into_decision().unwrap()
    };
    // The region of the copy that was asked for last is read again before home is touched.
    assert_eq!(decide_at(&alive.status, &there, 902).steps, []);
    let read_again = images(at(902), vec![newer.clone(), older.clone()], vec![]);
    let going = decide_at(&alive.status, &read_again, 903);
    let step = going.step().cloned().expect("the newer one is listed first");
    assert!(matches!(&step, Step::Deregister { image, .. } if *image == newer.id), "{step:?}");
    let gone = apply(&going.status, &step, &Outcome::Done, at(903)).unwrap();
    for (seconds, left) in
        [(904, vec![newer, older.clone()]), (905, vec![older.clone()]), (1400, vec![older])]
    {
        let later = decide_at(&gone, &images(at(seconds), left, vec![]), seconds + 1);
        assert_eq!(ids(&later.status), [""; 0], "{seconds}");
        assert_eq!((later.status.image_id, later.status.active_revision), (None, None), "{seconds}");
        assert!(later.events.iter().all(|event| event.reason != "RevisionActivated"), "{:?}", later.events);
    }
}

#[test]
fn a_machine_that_is_owed_is_given_back_before_its_object_goes() {
    for policy in [DeletionPolicy::Retain, DeletionPolicy::Delete] {
        for (seconds, gives_back, goes) in
            [(100, true, false), (779, true, false), (1799, false, false), (1800, false, true)]
        {
            let world = world(at(seconds), vec![tagged(stopped_at(Some(at(12))))], vec![], vec![]);
            let decision = going(policy, &stopping(), &world, seconds);
            let deletes = policy == DeletionPolicy::Delete;
            let removes = decision.finalizer == Finalizer::Remove;
            assert_eq!(removes, goes && !deletes, "{policy:?} {seconds}");
            let aborts = matches!(decision.step(), Some(Step::Tag { .. }));
            assert_eq!(aborts, gives_back, "{policy:?} {seconds}: {:?}", decision.step());
        }
    }
}

#[test]
fn what_was_begun_is_taken_back_as_far_as_it_had_come() {
    let machine = || tagged(stopped_at(Some(at(12))));
    let gives_back = || Some(Step::Tag { record: record().aborted(at(100)), receipt: None, replaces: None });
    let mut tagging = planned();
    tagging.announced = vec![announced(TAG, &record().to_string(), 50, None)];
    let mut refused = imaging();
    refused.announced = vec![announced(CREATE_IMAGE, "quake", 60, Some("UnauthorizedOperation: no"))];
    let withdraws = || Some(Step::Untag { record: record() });
    for (what, status, machine, step) in [
        ("planned", planned(), running(), None),
        ("on the machine", planned(), tagged(running()), withdraws()),
        ("perhaps on the machine", tagging, running(), withdraws()),
        ("stopped", stopping(), machine(), gives_back()),
        ("its image is refused", refused, machine(), gives_back()),
        ("its image is asked for", imaging(), machine(), None),
    ] {
        let decision = deleted(&status, &world(at(100), vec![machine], vec![], vec![]), 100);
        assert_eq!(decision.step(), step.as_ref(), "{what}");
        assert_eq!(decision.finalizer, Finalizer::Keep, "{what}");
    }
}

#[test]
fn copies_go_before_the_image_that_they_were_made_of() {
    let (home, abroad) = (("us-west-2", made().id), ("us-east-2", copy().id));
    let pending = || Image { state: ImageState::Pending, ..copy() };
    for (what, copies, tried_in_vain, first) in [
        ("both", vec![copy()], false, Some(&abroad)),
        ("pending", vec![pending()], false, None),
        ("available, and stays for now", vec![copy()], true, Some(&home)),
        ("pending, and stays for now", vec![pending()], true, None),
        ("none", vec![], false, Some(&home)),
    ] {
        let mut status = replicated();
        if tried_in_vain {
            let busy = announced(DEREGISTER, copy().id.as_str(), 880, Some("RequestLimitExceeded: no"));
            status.announced = vec![Announced { number: 7, region: region("us-east-2"), ..busy }];
        }
        let decision = deleted(&status, &images(at(900), vec![made()], copies), 900);
        let first = first.map(|(region, image)| ((*region).to_owned(), image.to_string()));
        assert_eq!(removed(&decision), first, "{what}");
        assert_eq!(decision.finalizer, Finalizer::Keep, "{what}");
    }
}

#[test]
fn an_image_is_not_taken_from_under_copies_that_cannot_be_seen() {
    let mut dark = images(at(900), vec![made()], vec![]);
    abroad(&mut dark).images = Err(Ec2Error::new("DescribeImages", "InternalError", "no"));
    let decision = deleted(&replicated(), &dark, 900);
    assert_eq!((decision.step(), decision.finalizer), (None, Finalizer::Keep));
    let message = find(&decision.status.conditions, ConditionType::Ready).unwrap().message.clone();
    assert!(message.contains("us-east-2 cannot be read: DescribeImages: InternalError"), "{message}");
    let keep = "kubectl -n geo patch savedtemplate quake";
    assert!(message.contains(keep) && message.contains(r#""deletionPolicy":"Retain""#), "{message}");
}

#[test]
fn what_hinders_one_region_is_told_with_the_way_out_and_keeps_no_other_from_being_emptied() {
    let mut status = replicated();
    for (row, message) in status.regions.iter_mut().zip(["home is protected", "the copy is protected"]) {
        (row.reason, row.next_attempt_time) =
            (Some("DeregistrationProtected".parse().unwrap()), Some(Time(at(930))));
        row.message = Some(message.into());
    }
    let both = images(at(900), vec![made()], vec![copy()]);
    let decision = deleted(&status, &both, 900);
    assert_eq!((decision.step(), decision.look_again), (None, Duration::from_secs(30)));
    let ready = find(&decision.status.conditions, ConditionType::Ready).unwrap();
    for text in ["home is protected", "the copy is protected", "kubectl -n geo patch savedtemplate quake"] {
        assert!(ready.message.contains(text), "{}", ready.message);
    }
    let blocked = find(&decision.status.conditions, ConditionType::DeletionBlocked).unwrap();
    assert_eq!(blocked.reason, "DeregistrationProtected");
    status.regions[0].next_attempt_time = None;
    assert_eq!(removed(&deleted(&status, &both, 900)).unwrap().0, "us-west-2");
}

#[test]
fn every_region_that_is_emptied_has_one_row_to_tell_of_it_and_the_status_keeps_its_limit() {
    let bare = deleted(&SavedTemplateStatus::default(), &images(at(900), vec![made()], vec![copy()]), 900);
    let roles: Vec<_> = bare.status.regions.iter().map(|row| (row.region.to_string(), row.role)).collect();
    assert_eq!(roles, [("us-west-2".into(), RegionRole::Home), ("us-east-2".into(), RegionRole::Copy)]);
    let saved = deleted(&replicated(), &images(at(900), vec![made()], vec![copy()]), 900);
    assert_eq!(saved.status.regions.len(), 2);
    for (others, rows) in [(48, 50), (49, 50), (50, 50)] {
        let row = |n: usize| {
            let region =
                region(&format!("eu-{}-{}", ["north", "south", "east", "west", "central"][n / 10], n % 10));
            RegionStatus::waiting(region, "x86_64".into(), RegionRole::Copy)
        };
        let status =
            SavedTemplateStatus { regions: (0..others).map(row).collect(), ..SavedTemplateStatus::default() };
        let decision = deleted(&status, &images(at(900), vec![made()], vec![]), 900);
        assert_eq!(decision.status.regions.len(), rows, "{others}");
    }
}

#[test]
fn the_receipt_is_the_last_thing_to_go_and_holds_up_nothing() {
    let key = names::receipts_key(OWNER.cluster);
    let value = format!("{}=r1", OWNER.receipt_object());
    let step =
        Step::RemoveReceipt { instance: running().id, key: key.clone(), value: value.clone(), left: None };
    let request = format!("{key}={value}");
    let last = |seconds, settled| Some(announced(REMOVE_RECEIPT, &request, seconds, settled));
    let terminated = InstanceState::Terminated;
    for (what, state, has, announced, removes, goes) in [
        ("first", InstanceState::Running, true, None, true, false),
        ("stopped", InstanceState::Stopped, true, None, true, false),
        ("none", InstanceState::Running, false, None, false, true),
        ("machine is gone", terminated, true, None, false, true),
        ("under way", InstanceState::Running, true, last(896, None), false, false),
        ("again", InstanceState::Running, true, last(895, None), true, false),
        ("busy", InstanceState::Running, true, last(890, Some("RequestLimitExceeded: no")), true, false),
        ("denied", InstanceState::Running, true, last(899, Some("UnauthorizedOperation: no")), false, true),
        ("refused", InstanceState::Running, true, last(890, Some("InvalidParameter: no")), false, true),
    ] {
        let mut status = replicated();
        status.announced = announced.into_iter().collect();
        let mut machine = Instance { state, ..running() };
        if has {
            machine.tags.insert(key.clone(), value.clone());
        }
        let other = Instance { id: "i-00000000000000001".parse().unwrap(), ..running() };
        let mut world = emptied(images(at(900), vec![], vec![]));
        at_home(&mut world).instances = Ok(vec![other, machine]);
        let decision = deleted(&status, &world, 900);
        assert_eq!(decision.step(), removes.then_some(&step), "{what}");
        assert_eq!(decision.finalizer == Finalizer::Remove, goes, "{what}");
    }
}

/// Nothing but this on the machine, read at 900.
fn with_receipts(tags: &[(&String, &String)]) -> World {
    let mut machine = running();
    machine.tags.extend(tags.iter().map(|(key, value)| ((*key).clone(), (*value).clone())));
    let mut world = emptied(images(at(900), vec![], vec![]));
    at_home(&mut world).instances = Ok(vec![machine]);
    world
}

#[test]
fn the_receipts_of_other_objects_stay_and_what_is_none_goes_with_ours() {
    let (key, old) = (names::receipts_key(OWNER.cluster), OWNER.old_receipt_key());
    let ours = format!("{}=r3", OWNER.receipt_object());
    let (one, two) = ("0123456789abcdef=r1", "fedcba9876543210=r1000000");
    let alone = format!("r2 {CAPTURE}");
    for (value, left) in [
        (ours.clone(), None),
        (format!("{ours} {one} {two}"), Some(format!("{one} {two}"))),
        (format!("{one} {ours} {two}"), Some(format!("{one} {two}"))),
        (format!("{one} {ours} forged=r9 {two}=r1"), Some(one.to_owned())),
    ] {
        let decision = deleted(&replicated(), &with_receipts(&[(&key, &value), (&old, &alone)]), 900);
        let (instance, key) = (running().id, key.clone());
        assert_eq!(decision.steps, [Step::RemoveReceipt { instance, key, value, left }]);
    }
    // That of the earlier form goes as well; what is not ours is left alone.
    let decision = deleted(&replicated(), &with_receipts(&[(&key, &one.to_owned()), (&old, &alone)]), 900);
    let step = Step::RemoveReceipt { instance: running().id, key: old.clone(), value: alone, left: None };
    assert_eq!(decision.steps, [step]);
    let decision = deleted(
        &replicated(),
        &with_receipts(&[(&key, &one.to_owned()), (&old, &"somebody's".to_owned())]),
        900,
    );
    assert_eq!((decision.step(), decision.finalizer), (None, Finalizer::Remove));
}

#[test]
fn the_list_of_receipts_is_changed_under_the_claim_on_the_machine_alone() {
    let value = format!("{}=r3 0123456789abcdef=r1", OWNER.receipt_object());
    let mut world = with_receipts(&[(&names::receipts_key(OWNER.cluster), &value)]);
    let (spec, status) = (with(DeletionPolicy::Delete), replicated());
    let subject = || Subject { deleting: true, ..subject(&spec, &status) };
    world.claim = None;
    assert_eq!(decide(subject(), &world, at(900)), Next::Acquire(running().id));
    world.claim = Some(Err(ClaimRefused::Held("geo/another".into())));
    let decision = decide(subject(), &world, at(900)).into_decision().unwrap();
    assert_eq!((decision.step(), decision.finalizer), (None, Finalizer::Keep));
}

#[test]
fn with_policy_retain_an_object_goes_without_a_word_to_ec2() {
    let mut dark = images(at(900), vec![made()], vec![copy()]);
    dark.home = Err(Ec2Error::new("DescribeImages", "AccessDenied", "no"));
    for world in [images(at(900), vec![made()], vec![copy()]), dark] {
        let decision = going(DeletionPolicy::Retain, &replicated(), &world, 900);
        assert_eq!((decision.step(), decision.finalizer), (None, Finalizer::Remove));
    }
}

#[test]
fn an_object_whose_finalizer_is_gone_changes_nothing_any_more() {
    let spec = with(DeletionPolicy::Delete);
    for status in [replicated(), stopping()] {
        let subject = Subject { deleting: true, finalizer: false, ..subject(&spec, &status) };
        let world = images(at(900), vec![made()], vec![copy()]);
        let decision = decide(subject, &world, at(900)).into_decision().unwrap();
        assert_eq!((decision.step(), decision.finalizer), (None, Finalizer::Keep));
    }
}

#[test]
fn a_deletion_says_what_it_leaves_and_why_while_it_lasts_and_in_its_last_event() {
    let retained = |mut tags: crate::world::Tags| {
        tags.insert(names::tag::RETAINED.into(), "true".into());
        tags
    };
    let kept = Image { tags: retained(copy().tags), ..copy() };
    let mut used = copied_snapshot(1);
    used.tags = retained(used.tags);
    let mut doubtful = copied_snapshot(2);
    (doubtful.description, doubtful.volume) =
        ("made by somebody".into(), "vol-00000000000000009".parse().unwrap());
    for (what, copies, snapshots, says) in [
        ("nothing", vec![], vec![], None),
        ("taken out", vec![kept], vec![], Some("removedRegionPolicy Retain are left: ami-00000000000000002")),
        ("used", vec![], vec![used], Some("another image uses: snap-00000000000000001 in us-east-2")),
        (
            "not proven",
            vec![],
            vec![doubtful],
            Some("are this template's own: snap-00000000000000002 in us-east-2"),
        ),
    ] {
        let mut seen = images(at(900), vec![], copies);
        abroad(&mut seen).snapshots = Ok(snapshots);
        let message = |decision: &Decision| {
            find(&decision.status.conditions, ConditionType::Ready).unwrap().message.clone()
        };
        let waits = deleted(&replicated(), &seen, 900);
        assert_eq!(waits.finalizer, Finalizer::Keep, "{what}");
        assert!(says.is_none_or(|says| message(&waits).contains(says)), "{what}: {}", message(&waits));
        let goes = deleted(&replicated(), &emptied(seen), 900);
        assert_eq!(goes.finalizer, Finalizer::Remove, "{what}: {}", message(&goes));
        let told = goes.events.iter().find(|note| note.reason == "Deleted").unwrap();
        assert!(told.message.contains(says.unwrap_or("nothing is left in any region")), "{what}: {told:?}");
    }
    let goes = going(DeletionPolicy::Retain, &replicated(), &images(at(900), vec![], vec![]), 900);
    let told = goes.events.iter().find(|note| note.reason == "Deleted").unwrap();
    for id in [made().id, copy().id] {
        assert!(told.message.contains(id.as_str()) && told.message.contains("Retain"), "{told:?}");
    }
}

#[test]
fn what_somebody_else_alone_holds_is_not_looked_at_every_few_seconds() {
    let (spec, status) = (plain(), SavedTemplateStatus::default());
    let held = Subject { deleting: true, finalizer: false, ..subject(&spec, &status) };
    let decision =
        decide(held, &World::unread(), at(900)).into_decision().expect("every question is answered");
    assert_eq!((decision.finalizer, decision.steps.len()), (Finalizer::Keep, 0));
    assert!(decision.look_again >= Duration::from_hours(1), "{:?}", decision.look_again);
}
