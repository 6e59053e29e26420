//! What becomes of a region that is wanted again while it is emptied: tables.
use saved_template_api::status::{RegionReason, RemovedImage};

use super::*;
use crate::{outcomes::apply, step::Outcome};

/// A region whose image EC2 took away for us at 901, after what was read at 900.
fn emptying() -> SavedTemplateStatus {
    let fewer = removed(&replicated(), &holding(900, vec![copy()], vec![]), 900);
    let step = fewer.step().cloned().unwrap();
    assert!(matches!(step, Step::Deregister { .. }), "{step:?}");
    apply(&fewer.status, &step, &Outcome::Done, at(901)).unwrap()
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
    other.announced = vec![];
    for status in [gone, other] {
        for (began, copies) in [(900, vec![copy()]), (960, vec![copy()]), (960, vec![]), (1019, vec![copy()])]
        {
            let again = wanted_again(&status, copies, vec![], began);
            let regions: Vec<&str> = again.status.images.iter().map(|image| image.region.as_str()).collect();
            assert_eq!((regions, again.step()), (vec!["us-west-2"], None), "{began}");
            assert_eq!(row(&again).unwrap().state, RegionState::Missing, "{began}");
            let ready = find(&again.status.conditions, ConditionType::Ready).unwrap();
            assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "Copying"), "{began}");
            assert!(ready.message.contains("is being emptied first"), "{}", ready.message);
        }
        assert_eq!(
            wanted_again(&status, vec![], vec![], 1020).step(),
            None,
            "it is not believed to be gone yet"
        );
        let asked = wanted_again(&status, vec![], vec![], 1030);
        let Some(Step::CopyImage { request, .. }) = asked.step() else { panic!("{:?}", asked.step()) };
        assert!(request.name.ends_with("-c2"), "another name: {}", request.name);
        // It is EC2's word by then.
        assert_eq!(wanted_again(&status, vec![copy()], vec![], 1020).status.images.len(), 2);
    }
}

#[test]
fn what_an_image_left_that_was_removed_goes_and_what_another_holds_or_somebody_left_stays() {
    let gone = emptying();
    let deletes = |decision: &Decision| match decision.step() {
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
    let held = Image { snapshots: vec![shot.clone()], ..newer.clone() };
    let one = || vec![copied_snapshot(1)];
    for (what, status, copies, shots, goes) in [
        ("asked for again", &gone, vec![], one(), true),
        ("another one is there", &again, vec![newer], one(), true),
        ("another revision", &revised, vec![], one(), true),
        ("the answer was lost", &unanswered, vec![], one(), true),
        ("held by another image", &again, vec![held], one(), false),
        ("for good", &gone, vec![], vec![marked_shot()], false),
        ("it is shown again", &gone, vec![copy()], one(), false),
        ("somebody else took its image away", &replicated(), vec![], one(), false),
    ] {
        let (mut status, mut done) = (status.clone(), Vec::new());
        for seconds in [1020, 1030, 1040] {
            let decision = wanted_again(&status, copies.clone(), shots.clone(), seconds);
            done.extend(deletes(&decision));
            status = decision.status;
        }
        assert_eq!(done.contains(&shot), goes, "{what}");
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
    assert_eq!((kept.status.removed_images.len(), kept.step()), (1, None), "nor is it copied again yet");
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
    assert!(served(&after) && after.step().is_none(), "{:?}", after.step());
    let doubted = row(&after).unwrap();
    assert_eq!((doubted.state, doubted.reason), (RegionState::Available, Some(RegionReason::NotShown)));
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
