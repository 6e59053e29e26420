//! What regions do side by side, one change at a time in each: tables.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    SavedTemplateSpec,
    ids::Region,
    spec::{RegionSpec, RemovedRegionPolicy},
    status::{Announced, MAX_ANNOUNCED, RegionRole, RegionStatus},
};

use super::*;
use crate::{
    ec2_error::Ec2Error,
    outcomes::apply,
    sample::{
        AWAY, at, copied_snapshot, copy, copy_away, made, outcome, plain, replicated_twice, saved, subject,
        three, twice,
    },
    step::{COPY_IMAGE, DEREGISTER, Outcome, Step, TAG_IMAGES},
    world::{Image, ImageState},
};

const HOME: &str = "us-west-2";
const FAR: &str = "us-east-2";

fn decided(spec: &SavedTemplateSpec, status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    decide(subject(spec, status), world, at(seconds)).into_decision().expect("every question is answered")
}

fn deleted(status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    let spec = SavedTemplateSpec { deletion_policy: DeletionPolicy::Delete, ..twice() };
    let subject = Subject { deleting: true, ..subject(&spec, status) };
    decide(subject, world, at(seconds)).into_decision().expect("a deletion asks nothing")
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

/// In short: what is done, and where; each of it is what the status announces of that region.
fn done(decision: &Decision) -> Vec<(&'static str, &str)> {
    for step in &decision.steps {
        let is_of = |last: &&Announced| Some(&last.region) == step.region();
        let all: Vec<&Announced> = decision.status.announced.iter().filter(is_of).collect();
        let [last] = all[..] else { panic!("{step:?} {all:?}") };
        assert_eq!(last.step, step.name());
    }
    let steps = decision.steps.iter();
    steps.map(|step| (step.name(), step.region().map_or("", |region| region.as_str()))).collect()
}

#[test]
fn tags_are_brought_into_line_in_all_regions_at_once() {
    let with = |image: Image| {
        let mut image = image;
        image.tags.insert("team".into(), "seismic".into());
        image
    };
    let tags = serde_json::from_str(r#"[{"key": "team", "value": "seismic"}]"#).unwrap();
    let spec = SavedTemplateSpec { tags, ..twice() };
    let (home, far, away) = (|| vec![made()], || vec![copy()], || vec![copy_away()]);
    for (what, world, regions) in [
        ("none has it", three(at(900), home(), far(), away()), vec![HOME, FAR, AWAY]),
        ("home has it", three(at(900), vec![with(made())], far(), away()), vec![FAR, AWAY]),
        (
            "all have it",
            three(at(900), vec![with(made())], vec![with(copy())], vec![with(copy_away())]),
            vec![],
        ),
    ] {
        let decision = decided(&spec, &replicated_twice(), &world, 900);
        let expected: Vec<_> = regions.iter().map(|region| (TAG_IMAGES, *region)).collect();
        assert_eq!(done(&decision), expected, "{what}");
        assert_eq!(decision.status.announced.len(), regions.len(), "{what}");
        assert_eq!(decided(&spec, &decision.status, &world, 901).steps, [], "with one read: {what}");
    }
}

#[test]
fn of_two_changes_in_one_region_the_first_is_made_alone() {
    let second = {
        let name = format!("{}-c2", copy().name);
        Image { id: "ami-00000000000000009".parse().unwrap(), name, ..copy() }
    };
    let mut status = replicated_twice();
    status.regions[1].attempts = 2;
    let tags = serde_json::from_str(r#"[{"key": "team", "value": "seismic"}]"#).unwrap();
    let spec = SavedTemplateSpec { tags, ..twice() };
    let world = three(at(900), vec![made()], vec![copy(), second], vec![copy_away()]);
    // The second copy goes before anything in its region is brought into line; the others are.
    let decision = decided(&spec, &status, &world, 900);
    assert_eq!(done(&decision), [(DEREGISTER, FAR), (TAG_IMAGES, HOME), (TAG_IMAGES, AWAY)]);
}

#[test]
fn what_was_refused_or_is_not_shown_in_one_region_holds_up_no_other() {
    let tags = serde_json::from_str(r#"[{"key": "team", "value": "seismic"}]"#).unwrap();
    let dressed = SavedTemplateSpec { tags, ..twice() };
    let fewer = SavedTemplateSpec { removed_region_policy: RemovedRegionPolicy::Delete, ..plain() };
    let fewer = SavedTemplateSpec { regions: vec![], ..fewer };
    let mut copied = replicated_twice();
    for row in &mut copied.regions[1..] {
        *row = RegionStatus::waiting(row.region.clone(), "x86_64".into(), RegionRole::Copy);
    }
    let there = three(at(900), vec![made()], vec![copy()], vec![copy_away()]);
    let none = three(at(900), vec![made()], vec![], vec![]);
    let busy = Some("RequestLimitExceeded: no");
    for (what, spec, status, world, step, request) in [
        ("tags", &dressed, &replicated_twice(), &there, TAG_IMAGES, copy().id.to_string()),
        ("removal", &fewer, &replicated_twice(), &there, DEREGISTER, copy().id.to_string()),
        ("copies", &twice(), &copied, &none, COPY_IMAGE, String::new()),
    ] {
        let free = decided(spec, status, world, 900);
        let all = done(&free);
        assert!(all.contains(&(step, FAR)) && all.contains(&(step, AWAY)), "{what}: {all:?}");
        let others: Vec<_> = all.iter().copied().filter(|(_, region)| *region != FAR).collect();
        for (how, last, blocked) in [
            ("refused a moment ago", Some((898, busy)), false),
            ("not shown", Some((900, None)), false),
            ("somebody has to act", None, true),
        ] {
            let mut status = status.clone();
            let last = last.map(|(at, settled)| announced(step, FAR, &request, at, settled));
            let row = &mut status.regions[1];
            if let Some(last) = last.as_ref().filter(|_| step == COPY_IMAGE) {
                (row.attempts, row.announced_time) = (1, Some(last.time.clone()));
                row.next_attempt_time = Some(Time(at(915)));
            }
            if blocked {
                (row.reason, row.next_attempt_time) =
                    (Some("AccessDenied".parse().unwrap()), Some(Time(at(950))));
            }
            status.announced = last.into_iter().collect();
            assert_eq!(done(&decided(spec, &status, world, 900)), others, "{what}: {how}");
        }
    }
}

#[test]
fn a_deletion_empties_the_regions_of_copies_side_by_side_and_home_after_them() {
    let (far, away) = ((DEREGISTER, FAR), (DEREGISTER, AWAY));
    let both = || three(at(900), vec![made()], vec![copy()], vec![copy_away()]);
    let first = deleted(&replicated_twice(), &both(), 900);
    assert_eq!(done(&first), [far, away]);
    let removed: Vec<Region> =
        first.status.removed_images.iter().map(|removed| removed.region.clone()).collect();
    assert_eq!(removed.len(), 2, "both are named until nothing of them is left: {removed:?}");
    // One is refused, the other is not: each answer is kept in its own region.
    let refused = Outcome::Refused(Ec2Error::new("DeregisterImage", "RequestLimitExceeded", "no"));
    let answered = apply(&first.status, &first.steps[0], &refused, at(901)).unwrap();
    let answered = apply(&answered, &first.steps[1], &Outcome::Done, at(901)).unwrap();
    let outcome = |region: &str| {
        let last = answered.announced.iter().find(|last| last.region.as_str() == region).unwrap();
        last.outcome.is_some()
    };
    assert_eq!((outcome(FAR), outcome(AWAY)), (true, false));
    for (what, seconds, world, status, next) in [
        ("not read since", 901, both(), &answered, vec![]),
        ("not read since, by nobody's answer", 901, both(), &first.status, vec![]),
        ("the refused one waits", 903, three(at(902), vec![made()], vec![copy()], vec![]), &answered, vec![]),
        ("and is tried again", 906, three(at(905), vec![made()], vec![copy()], vec![]), &answered, vec![far]),
        (
            "both are gone",
            906,
            three(at(905), vec![made()], vec![], vec![]),
            &answered,
            vec![(DEREGISTER, HOME)],
        ),
        (
            "EC2 still writes one",
            906,
            three(at(905), vec![made()], vec![], vec![Image { state: ImageState::Pending, ..copy_away() }]),
            &first.status,
            vec![],
        ),
    ] {
        assert_eq!(done(&deleted(status, &world, seconds)), next, "{what}");
    }
    // What a copy left goes before home as well.
    let mut left = three(at(905), vec![made()], vec![], vec![]);
    crate::sample::abroad(&mut left).snapshots = Ok(vec![copied_snapshot(1)]);
    assert_eq!(done(&deleted(&answered, &left, 906)), [("DeleteSnapshot", FAR)]);
}

#[test]
fn the_last_change_of_each_region_is_kept_and_of_no_more_than_home_and_fifty() {
    let region = |n: usize| -> Region {
        let word = ["north", "south", "east", "west", "central", "northeast"][n / 10];
        format!("eu-{word}-{}", n % 10).parse().unwrap()
    };
    let wanted = |range: std::ops::Range<usize>| -> Vec<RegionSpec> {
        let named = range.map(|n| format!(r#"{{"name": "{}"}}"#, region(n)));
        serde_json::from_str(&format!("[{}]", named.collect::<Vec<_>>().join(","))).unwrap()
    };
    let spec = SavedTemplateSpec { regions: wanted(0..49), ..plain() };
    let mut world = three(at(900), vec![made()], vec![], vec![]);
    let view = world.abroad.values().next().unwrap().clone();
    world.abroad = (0..60).map(|n| (region(n), view.clone())).collect();
    let mut status = saved();
    status.regions.truncate(1);
    status.announced = vec![announced(TAG_IMAGES, HOME, "x", 890, None)];
    let first = decided(&spec, &status, &world, 900);
    assert_eq!(first.steps.len(), 49);
    let regions = |decision: &Decision| -> Vec<Region> {
        decision.status.announced.iter().map(|last| last.region.clone()).collect()
    };
    assert_eq!(regions(&first).len(), 50, "home's is kept");
    // A region that the object has nothing to do with is forgotten, and so is the oldest where there is no room.
    let mut status = first.status;
    status.announced.push(announced(TAG_IMAGES, "ap-south-1", "x", 899, None));
    status.announced.push(announced(TAG_IMAGES, "ap-south-2", "x", 899, None));
    for row in &mut status.regions[1..] {
        (row.next_attempt_time, row.announced_time) = (Some(Time(at(2000))), None);
    }
    status.regions.truncate(40);
    let other = SavedTemplateSpec { regions: wanted(10..60), ..plain() };
    let second = decided(&other, &status, &world, 901);
    let asked: Vec<&Region> = second.steps.iter().filter_map(Step::region).collect();
    let kept = regions(&second);
    assert!(!asked.is_empty() && asked.iter().all(|region| kept.contains(region)), "{asked:?} {kept:?}");
    let mut once = kept.clone();
    once.dedup();
    assert_eq!(once, kept, "one for each region, in their order");
    assert!(kept.len() <= MAX_ANNOUNCED, "{}", kept.len());
    assert!(kept.iter().all(|region| !region.as_str().starts_with("ap-")), "{kept:?}");
}
