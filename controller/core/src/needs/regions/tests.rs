//! What becomes of the images in a region that is taken out of the spec: tables.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, SavedTemplateSpec, SavedTemplateStatus,
    condition::find,
    status::{RegionRole, RegionStatus},
};

use super::*;
use crate::{
    decide::decide,
    decision::Decision,
    ec2_error::Ec2Error,
    key::Key,
    sample::{OWNER, abroad, at, copied_snapshot, copy, images, made, plain, replicated, saved, subject},
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
    abroad(&mut world).absences.insert(Key::template(OWNER.namespace, OWNER.name).to_string(), absence);
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
        let resources = match decision.step() {
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
            assert_eq!(again.step(), None);
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
            assert_eq!(decision.step(), None);
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
    assert!(matches!(first.step(), Some(Step::Deregister { image, .. }) if *image == copy().id));
    let second = removed(&replicated(), &holding(900, vec![], vec![copied_snapshot(1)]), 900);
    assert!(matches!(second.step(), Some(Step::DeleteSnapshot { .. })), "{:?}", second.step());
    assert!(row(&first).is_some() && row(&second).is_some());
}

#[test]
fn a_region_that_cannot_be_read_keeps_its_row_and_is_named() {
    let refusal = || Ec2Error::new("DescribeImages", "InternalError", "no");
    let (mut blind, mut dark) = (holding(900, vec![], vec![]), holding(900, vec![], vec![]));
    abroad(&mut blind).snapshots = Err(refusal());
    dark.abroad.insert("us-east-2".parse().unwrap(), Err(refusal()));
    for world in [blind, dark] {
        for policy in [RemovedRegionPolicy::Retain, RemovedRegionPolicy::Delete] {
            let decision = decided(policy, &replicated(), &world, 900);
            assert_eq!((decision.step(), decision.look_again), (None, LATER));
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
        status.announced = vec![saved_template_api::status::Announced {
            number: 1,
            step: crate::step::TAG_IMAGES.into(),
            time: Time(at(last)),
            request: copy().id.to_string(),
            region: "us-east-2".parse().unwrap(),
            outcome: None,
        }];
        let mut world = holding(900, vec![copy()], vec![]);
        abroad(&mut world).began = at(began);
        assert_eq!(kept(&status, &world, 900).step().is_some(), marks, "{began} {last}");
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
        assert_eq!((decision.step(), decision.look_again.as_secs()), (None, look));
        assert!(message(&decision).contains(&format!("{named} is protected")), "{}", message(&decision));
        // The first waits for somebody, the second has something to do.
        status.regions[2].next_attempt_time = None;
        let mut there = copy();
        there.tags.insert(tag::REGION.into(), "eu-west-1".into());
        let mut view = images(at(900), vec![], vec![there]).abroad.into_values().next().unwrap();
        std::sync::Arc::make_mut(view.as_mut().unwrap()).began = at(900);
        world.abroad.insert("eu-west-1".parse().unwrap(), view);
        let step = removed(&status, &world, 900).steps.pop();
        assert!(matches!(step, Some(Step::Deregister { ref region, .. }) if region.as_str() == "eu-west-1"));
    }
}

/// A region that was never used, and whose view is this refusal.
fn mistyped(code: &str) -> (SavedTemplateStatus, World) {
    let mut status = saved();
    status.regions[1] = RegionStatus::waiting("us-est-2".parse().unwrap(), "x86_64".into(), RegionRole::Copy);
    let mut world = images(at(900), vec![made()], vec![]);
    let view = Err(Ec2Error::new("DescribeRegions", code, "does not exist"));
    world.abroad.insert("us-est-2".parse().unwrap(), view);
    (status, world)
}

#[test]
fn a_mistyped_region_that_was_corrected_is_forgotten_and_one_that_may_hold_something_is_not() {
    use crate::ec2_error::NOT_ENABLED;
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
    let (status, world) = mistyped(crate::ec2_error::NOT_ENABLED);
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
    let unread = || Err(Ec2Error::new("DescribeImages", "RequestLimitExceeded", "later"));
    world.abroad = ["us-east-2", "us-west-1"].map(|region| (region.parse().unwrap(), unread())).into();
    let decision = kept(&status, &world, 900);
    assert!(message(&decision).contains("us-east-2 is no longer"), "{}", message(&decision));
}

mod again;
