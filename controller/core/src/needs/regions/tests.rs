//! What becomes of the images in a region that is taken out of the spec: tables.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, SavedTemplateSpec, SavedTemplateStatus,
    condition::find,
    status::{RegionRole, RegionStatus, RemovedImage},
};

use super::*;
use crate::{
    decide::decide,
    decision::Decision,
    interest::everything,
    refusal::Refusal,
    sample::{OWNER, abroad, at, copied_snapshot, copy, images, made, plain, replicated, saved, subject},
    settle::settle,
    step::Outcome,
    world::{Absence, Image, Snapshot, World},
};

fn without_regions(policy: RemovedRegionPolicy) -> SavedTemplateSpec {
    SavedTemplateSpec { regions: vec![], removed_region_policy: policy, ..plain() }
}

fn decided(
    policy: RemovedRegionPolicy,
    status: &SavedTemplateStatus,
    world: &World,
    seconds: i64,
) -> Decision {
    decide(subject(&without_regions(policy), status), world, at(seconds))
        .into_decision()
        .expect("nothing is asked")
}

fn kept(status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    decided(RemovedRegionPolicy::Retain, status, world, seconds)
}

fn removed(status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    decided(RemovedRegionPolicy::Delete, status, world, seconds)
}

fn row(decision: &Decision) -> Option<&RegionStatus> {
    decision.status.regions.iter().find(|row| row.region.as_str() == "us-east-2")
}

fn message(decision: &Decision) -> &str {
    &find(&decision.status.conditions, ConditionType::Ready).unwrap().message
}

fn marked(image: Image) -> Image {
    let mut image = image;
    image.tags.insert(tag::RETAINED.into(), "true".into());
    image
}

fn marked_shot() -> Snapshot {
    Snapshot { tags: marked(copy()).tags, ..copied_snapshot(1) }
}

/// The copy's region with this in it.
fn holding(seconds: i64, copies: Vec<Image>, snapshots: Vec<Snapshot>) -> World {
    let mut world = images(at(seconds), vec![made()], copies);
    abroad(&mut world).snapshots = Ok(snapshots);
    world
}

fn emptied(seconds: i64, since: i64) -> World {
    let mut world = holding(seconds, vec![], vec![]);
    let absence = Absence { since: at(since), reads: 9 };
    abroad(&mut world).absences.insert(everything(OWNER.namespace, OWNER.name), absence);
    world
}

#[test]
fn what_is_kept_is_marked_whole_before_its_region_is_left_alone() {
    let pending = || Image { state: ImageState::Pending, ..marked(copy()) };
    let (image, shot) = (copy().id.to_string(), copied_snapshot(1).id.to_string());
    for (what, copies, snapshots, marks, retained) in [
        ("nothing marked", vec![copy()], vec![copied_snapshot(1)], vec![image.clone(), shot.clone()], false),
        ("image marked", vec![marked(copy())], vec![copied_snapshot(1)], vec![shot], false),
        ("snapshot marked", vec![copy()], vec![marked_shot()], vec![image], false),
        ("all marked", vec![marked(copy())], vec![marked_shot()], vec![], true),
        ("its snapshots may still show", vec![pending()], vec![], vec![], false),
    ] {
        let decision = kept(&replicated(), &holding(900, copies, snapshots), 900);
        let resources = match &decision.step {
            Some(Step::TagImages { region, resources, tags }) => {
                assert_eq!(region.as_str(), "us-east-2", "{what}");
                assert_eq!(
                    tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>(),
                    [(tag::RETAINED, "true")]
                );
                resources.clone()
            }
            None => vec![],
            Some(other) => panic!("{what}: {other:?}"),
        };
        assert_eq!(resources, marks, "{what}");
        let is_retained = row(&decision).unwrap().state == RegionState::Retained;
        assert_eq!(is_retained, retained, "{what}");
        let ready = find(&decision.status.conditions, ConditionType::Ready).unwrap();
        assert_eq!(ready.status, "True", "what is wanted is there: {what}");
        assert_eq!(ready.message.contains("us-east-2 is no longer"), !retained, "{what}: {}", ready.message);
    }
}

/// A region whose image EC2 took away for us at 901, after what was read at 900.
fn emptying() -> SavedTemplateStatus {
    let fewer = removed(&replicated(), &holding(900, vec![copy()], vec![]), 900);
    let step = fewer.step.unwrap();
    assert!(matches!(step, Step::Deregister { .. }), "{step:?}");
    settle(&fewer.status, &step, &Outcome::Done, at(901)).unwrap()
}

fn wanted_again(
    status: &SavedTemplateStatus,
    copies: Vec<Image>,
    shots: Vec<Snapshot>,
    began: i64,
) -> Decision {
    let spec = SavedTemplateSpec { removed_region_policy: RemovedRegionPolicy::Delete, ..plain() };
    let is_shown = copies.iter().any(|image| image.id == copy().id);
    let mut world = holding(began, copies, shots);
    if !is_shown {
        let absence = Absence { since: at(905), reads: 3 };
        abroad(&mut world).absences.insert(copy().id.to_string(), absence);
    }
    decide(subject(&spec, status), &world, at(began + 1)).into_decision().unwrap()
}

#[test]
fn a_region_that_is_wanted_again_while_it_is_emptied_serves_and_asks_for_nothing_until_reads_are_new() {
    // The last but one: another change in the region meanwhile.
    let gone = emptying();
    let mut other = gone.clone();
    other.announced = None;
    for status in [gone, other] {
        for (began, copies) in [(900, vec![copy()]), (960, vec![copy()]), (960, vec![]), (1019, vec![copy()])]
        {
            let again = wanted_again(&status, copies, vec![], began);
            let regions: Vec<&str> = again.status.images.iter().map(|image| image.region.as_str()).collect();
            assert_eq!((regions, again.step.as_ref()), (vec!["us-west-2"], None), "{began}");
            let ready = find(&again.status.conditions, ConditionType::Ready).unwrap();
            assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "Copying"), "{began}");
            assert!(ready.message.contains("is being emptied first"), "{}", ready.message);
        }
        assert_eq!(
            wanted_again(&status, vec![], vec![], 1020).step,
            None,
            "it is not believed to be gone yet"
        );
        let asked = wanted_again(&status, vec![], vec![], 1030);
        let Some(Step::CopyImage { request, .. }) = &asked.step else { panic!("{:?}", asked.step) };
        assert!(request.name.ends_with("-c2"), "another name: {}", request.name);
        // It is EC2's word by then.
        assert_eq!(wanted_again(&status, vec![copy()], vec![], 1020).status.images.len(), 2);
    }
}

#[test]
fn what_an_image_left_that_was_removed_goes_and_what_another_holds_or_somebody_left_stays() {
    let gone = emptying();
    let deletes = |decision: &Decision| match &decision.step {
        Some(Step::DeleteSnapshot { snapshot, .. }) => Some(snapshot.clone()),
        _ => None,
    };
    let shot = copied_snapshot(1).id;
    let mut again = gone.clone();
    let (row, newer) =
        (&mut again.regions[1], Image { id: "ami-00000000000000008".parse().unwrap(), ..copy() });
    (row.state, row.image_id, row.attempts) = (RegionState::Available, Some(newer.id.clone()), 2);
    let mut revised = gone.clone();
    revised.regions[1] =
        RegionStatus::waiting("us-east-2".parse().unwrap(), "x86_64".into(), RegionRole::Copy);
    // Its answer was lost: the row still has it.
    let mut unanswered = gone.clone();
    unanswered.regions[1].state = RegionState::Available;
    for (what, status, copies) in [
        ("asked for again", &gone, vec![]),
        ("another one is there", &again, vec![newer.clone()]),
        ("another revision", &revised, vec![]),
        ("the answer was lost", &unanswered, vec![]),
    ] {
        let (mut status, mut done) = (status.clone(), Vec::new());
        for seconds in [1020, 1030, 1040] {
            let decision = wanted_again(&status, copies.clone(), vec![copied_snapshot(1)], seconds);
            done.extend(deletes(&decision));
            status = decision.status;
        }
        assert!(done.contains(&shot), "{what}");
    }
    let held = Image { snapshots: vec![shot.clone()], ..newer };
    for (what, status, copies, shots) in [
        ("held by another image", &gone, vec![held], vec![copied_snapshot(1)]),
        ("for good", &gone, vec![], vec![marked_shot()]),
        ("it is shown again", &gone, vec![copy()], vec![copied_snapshot(1)]),
        ("somebody else took its image away", &replicated(), vec![], vec![copied_snapshot(1)]),
    ] {
        let decision = wanted_again(status, copies, shots, 1020);
        assert_eq!(deletes(&decision), None, "{what}");
    }
    // It is named until nothing is left, and for as long as its snapshots may show.
    for (seconds, shots, named) in [
        (1020, vec![], true),
        (1199, vec![], true),
        (1200, vec![], false),
        (1200, vec![copied_snapshot(1)], true),
        (1200, vec![marked_shot()], false),
        (9000, vec![copied_snapshot(1)], true),
    ] {
        let later = wanted_again(&gone, vec![], shots, seconds);
        assert_eq!(later.status.removed_images.len() == 1, named, "{seconds}");
    }
    // Counted anew, since the process forgot, or a read showed the image.
    let mut world = holding(1201, vec![], vec![copied_snapshot(1)]);
    let anew = Absence { since: at(1200), reads: 1 };
    abroad(&mut world).absences.insert(copy().id.to_string(), anew);
    let kept = decide(subject(&plain(), &gone), &world, at(1202)).into_decision().unwrap();
    assert_eq!(
        (kept.status.removed_images.len(), kept.step.as_ref()),
        (1, None),
        "nor is it copied again yet"
    );
    assert_eq!(
        wanted_again(&gone, vec![copy()], vec![], 1200).status.removed_images,
        [],
        "it was not taken away"
    );
}

#[test]
fn an_image_that_may_be_there_is_not_given_up_for_one_read_when_its_deregistration_is_minutes_ago() {
    // Announced, and never sent, or refused: nobody knows.
    let mut status = replicated();
    status.removed_images = vec![RemovedImage {
        image_id: copy().id,
        region: "us-east-2".parse().unwrap(),
        requested_time: Time(at(900)),
    }];
    let served = |decision: &Decision| decision.status.images.len() == 2;
    let before = wanted_again(&status, vec![copy()], vec![], 1025);
    assert!(served(&before));
    assert_eq!(before.look_again, LATER, "it is looked for until nothing is left");
    let mut world = holding(1030, vec![], vec![copied_snapshot(1)]);
    let once = Absence { since: at(1030), reads: 1 };
    abroad(&mut world).absences.insert(copy().id.to_string(), once);
    let after = decide(subject(&plain(), &before.status), &world, at(1031)).into_decision().unwrap();
    assert!(served(&after) && after.step.is_none(), "{:?}", after.step);
    // What is not served is not Ready.
    let mut unserved = before.status;
    unserved.images.truncate(1);
    unserved.removed_images[0].requested_time = Time(at(1000));
    let settling = wanted_again(&unserved, vec![copy()], vec![], 1040);
    let ready = find(&settling.status.conditions, ConditionType::Ready).unwrap();
    assert_eq!((served(&settling), ready.status.as_str()), (false, "False"), "{}", ready.message);
}

#[test]
fn a_time_that_is_still_to_come_hides_nothing() {
    let mut status = replicated();
    status.regions[1].state = RegionState::Missing;
    let removed = RemovedImage {
        image_id: copy().id,
        region: "us-east-2".parse().unwrap(),
        requested_time: Time(at(3000)),
    };
    status.removed_images = vec![removed];
    assert_eq!(wanted_again(&status, vec![copy()], vec![], 900).status.images.len(), 2);
}

#[test]
fn a_region_that_was_left_alone_shows_its_image_and_no_trouble_and_stays_so() {
    let mut status = replicated();
    let before = &mut status.regions[1];
    (before.reason, before.message) = (Some("CopyFailed".parse().unwrap()), Some("no".parse().unwrap()));
    before.next_attempt_time = Some(Time(at(100)));
    let world = holding(900, vec![marked(copy())], vec![marked_shot()]);
    let decision = kept(&status, &world, 900);
    let after = row(&decision).unwrap();
    assert_eq!((after.state, after.image_id.clone()), (RegionState::Retained, Some(copy().id)));
    assert_eq!((&after.reason, &after.message, &after.next_attempt_time), (&None, &None, &None));
    // Neither the policy of a later day nor what is there changes anything of it.
    for world in [world, holding(900, vec![copy()], vec![copied_snapshot(1)])] {
        for again in [kept(&decision.status, &world, 900), removed(&decision.status, &world, 900)] {
            assert_eq!(again.step, None);
            assert_eq!(row(&again), row(&decision));
        }
    }
}

#[test]
fn a_copy_that_may_still_show_keeps_its_row_until_it_cannot_any_more() {
    for (asked, since, seconds, stays) in [
        (None, 100, 900, false),
        (Some(300), 100, 300 + 959, true),
        (Some(300), 100, 300 + 960, false),
        (Some(300), 1201, 1260, true),
    ] {
        let mut status = saved();
        let row = &mut status.regions[1];
        (row.attempts, row.announced_time) = (i32::from(asked.is_some()), asked.map(at).map(Time));
        for policy in [RemovedRegionPolicy::Retain, RemovedRegionPolicy::Delete] {
            let decision = decided(policy, &status, &emptied(seconds, since), seconds);
            assert_eq!(decision.step, None);
            assert_eq!(self::row(&decision).is_some(), stays, "{asked:?} {since} {seconds} {policy:?}");
        }
    }
}

#[test]
fn what_is_taken_away_leaves_no_row_but_for_what_was_to_stay() {
    let mut world = emptied(900, 100);
    assert_eq!(row(&removed(&replicated(), &world, 900)), None);
    abroad(&mut world).images = Ok(vec![marked(copy())]);
    assert_eq!(row(&removed(&replicated(), &world, 900)).unwrap().state, RegionState::Retained);
    let first = removed(&replicated(), &holding(900, vec![copy()], vec![copied_snapshot(1)]), 900);
    assert!(matches!(first.step, Some(Step::Deregister { ref image, .. }) if *image == copy().id));
    let second = removed(&replicated(), &holding(900, vec![], vec![copied_snapshot(1)]), 900);
    assert!(matches!(second.step, Some(Step::DeleteSnapshot { .. })), "{:?}", second.step);
    assert!(row(&first).is_some() && row(&second).is_some());
}

#[test]
fn a_region_that_cannot_be_read_keeps_its_row_and_is_named() {
    let refusal = || Refusal::new("DescribeImages", "InternalError", "no");
    let (mut blind, mut dark) = (holding(900, vec![], vec![]), holding(900, vec![], vec![]));
    abroad(&mut blind).snapshots = Err(refusal());
    dark.abroad.insert("us-east-2".parse().unwrap(), Err(refusal()));
    for world in [blind, dark] {
        for policy in [RemovedRegionPolicy::Retain, RemovedRegionPolicy::Delete] {
            let decision = decided(policy, &replicated(), &world, 900);
            assert_eq!((decision.step.as_ref(), decision.look_again), (None, LATER));
            assert!(row(&decision).is_some(), "{policy:?}");
            let text = message(&decision);
            assert!(text.contains("us-east-2") && text.contains("cannot be read"), "{text}");
        }
    }
}

#[test]
fn nothing_is_marked_twice_before_the_first_mark_can_show() {
    for (began, last, marks) in [(899, 895, true), (899, 896, false), (895, 895, false), (896, 895, true)] {
        let mut status = replicated();
        status.announced = Some(saved_template_api::status::Announced {
            number: 1,
            step: crate::step::TAG_IMAGES.into(),
            time: Time(at(last)),
            request: copy().id.to_string(),
            region: Some("us-east-2".parse().unwrap()),
            outcome: None,
        });
        let mut world = holding(900, vec![copy()], vec![]);
        abroad(&mut world).began = at(began);
        assert_eq!(kept(&status, &world, 900).step.is_some(), marks, "{began} {last}");
    }
}

#[test]
fn of_several_regions_the_one_that_is_due_first_is_looked_at_first_and_none_holds_up_another() {
    for (first, second, look, named) in
        [(Some(930), Some(910), 10, "eu-west-1"), (Some(910), Some(930), 10, "us-east-2")]
    {
        let mut status = replicated();
        let mut row = status.regions[1].clone();
        row.region = "eu-west-1".parse().unwrap();
        row.role = RegionRole::Copy;
        status.regions.push(row);
        for (row, until) in status.regions[1..].iter_mut().zip([first, second]) {
            row.reason = Some("DeregistrationProtected".parse().unwrap());
            (row.message, row.next_attempt_time) =
                (Some(format!("{} is protected", row.region)), until.map(at).map(Time));
        }
        let mut world = holding(900, vec![], vec![]);
        let view = world.abroad.values().next().unwrap().clone();
        world.abroad.insert("eu-west-1".parse().unwrap(), view);
        let decision = removed(&status, &world, 900);
        assert_eq!((decision.step.as_ref(), decision.look_again.as_secs()), (None, look));
        assert!(message(&decision).contains(&format!("{named} is protected")), "{}", message(&decision));
        // The first waits for somebody, the second has something to do.
        status.regions[2].next_attempt_time = None;
        let mut there = copy();
        there.tags.insert(tag::REGION.into(), "eu-west-1".into());
        let mut view = images(at(900), vec![], vec![there]).abroad.into_values().next().unwrap();
        std::sync::Arc::make_mut(view.as_mut().unwrap()).began = at(900);
        world.abroad.insert("eu-west-1".parse().unwrap(), view);
        let step = removed(&status, &world, 900).step;
        assert!(matches!(step, Some(Step::Deregister { ref region, .. }) if region.as_str() == "eu-west-1"));
    }
}

/// A region that was never used, and whose view is this refusal.
fn mistyped(code: &str) -> (SavedTemplateStatus, World) {
    let mut status = saved();
    status.regions[1] = RegionStatus::waiting("us-est-2".parse().unwrap(), "x86_64".into(), RegionRole::Copy);
    let mut world = images(at(900), vec![made()], vec![]);
    let view = Err(Refusal::new("DescribeRegions", code, "does not exist"));
    world.abroad.insert("us-est-2".parse().unwrap(), view);
    (status, world)
}

#[test]
fn a_mistyped_region_that_was_corrected_is_forgotten_and_one_that_may_hold_something_is_not() {
    use crate::refusal::NOT_ENABLED;
    let stays = |change: &dyn Fn(&mut SavedTemplateStatus), code: &str| {
        let (mut status, world) = mistyped(code);
        change(&mut status);
        let decision = kept(&status, &world, 900);
        let left = decision.status.regions.iter().any(|row| row.region.as_str() == "us-est-2");
        assert_eq!(message(&decision).contains("us-est-2"), left, "{}", message(&decision));
        left
    };
    assert!(!stays(&|_| {}, NOT_ENABLED));
    assert!(stays(&|_| {}, "RequestLimitExceeded"), "it may only be unreadable");
    assert!(stays(&|status| status.regions[1].attempts = 1, NOT_ENABLED));
    assert!(stays(&|status| status.regions[1].announced_time = Some(Time(at(300))), NOT_ENABLED));
    assert!(stays(&|status| status.regions[1].image_id = Some(copy().id), NOT_ENABLED));
    let image = saved_template_api::status::RevisionImage {
        region: "us-est-2".parse().unwrap(),
        architecture: "x86_64".into(),
        image_id: copy().id,
    };
    let mut older = saved_template_api::status::RevisionStatus::new(
        1,
        saved_template_api::status::RevisionState::Available,
    );
    older.images = vec![image];
    assert!(stays(&|status| status.revisions = vec![older.clone()], NOT_ENABLED));
}

#[test]
fn a_mistyped_region_that_is_still_wanted_keeps_its_row() {
    let (status, world) = mistyped(crate::refusal::NOT_ENABLED);
    let spec = crate::sample::spec(
        r#"{"source": {"region": "us-west-2", "instanceName": "earthquake-analysis"}, "regions": [{"name": "us-est-2"}]}"#,
    );
    let decision = decide(subject(&spec, &status), &world, at(900)).into_decision().unwrap();
    assert!(decision.status.regions.iter().any(|row| row.region.as_str() == "us-est-2"));
    assert!(message(&decision).contains("us-est-2"), "{}", message(&decision));
}

#[test]
fn of_two_regions_that_wait_as_long_the_first_is_named() {
    let mut status = replicated();
    let second = RegionStatus { region: "us-west-1".parse().unwrap(), ..status.regions[1].clone() };
    status.regions.push(second);
    let mut world = images(at(900), vec![made()], vec![]);
    let unread = || Err(Refusal::new("DescribeImages", "RequestLimitExceeded", "later"));
    world.abroad = ["us-east-2", "us-west-1"].map(|region| (region.parse().unwrap(), unread())).into();
    let decision = kept(&status, &world, 900);
    assert!(message(&decision).contains("us-east-2 is no longer"), "{}", message(&decision));
}
