//! When a copy is asked for, under which name and token, and what is told of it: tables.
use saved_template_api::{
    ConditionType, SavedTemplateSpec, SavedTemplateStatus,
    condition::find,
    status::{RegionRole, RegionState as S},
};

use super::*;
use crate::{
    decide::decide,
    decision::Decision,
    ec2_error::Ec2Error,
    sample::{
        CAPTURE, OWNER, abroad, at, copy, images, made, plain, replicated, saved, subject, three, twice,
    },
    step::{COPY_IMAGE, Step},
    world::{Absence, ImageState, World},
};

fn decided(spec: &SavedTemplateSpec, status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    decide(subject(spec, status), world, at(seconds)).into_decision().expect("every question is answered")
}

/// The copy that is asked for, with the row that announces it.
fn asked(status: &SavedTemplateStatus, world: &World, seconds: i64) -> Option<(CopyRequest, RegionStatus)> {
    let mut decision = decided(&plain(), status, world, seconds);
    let Some(Step::CopyImage { region, request }) = decision.steps.pop() else { return None };
    let row = decision.status.regions.into_iter().find(|row| row.region == region);
    Some((*request, row.unwrap()))
}

fn told(decision: &Decision, kind: ConditionType) -> (String, String) {
    let found = find(&decision.status.conditions, kind).unwrap();
    (found.reason.clone(), found.message.clone())
}

fn only_home(seconds: i64) -> World {
    images(at(seconds), vec![made()], vec![])
}

#[test]
fn a_copy_keeps_its_number_and_token_while_its_outcome_is_unknown_and_another_one_has_its_own() {
    let base = OWNER.image_name(OWNER.name, 1, 1);
    let second = format!("{base}-c2");
    let first = asked(&saved(), &only_home(400), 400).unwrap().0.token;
    assert!(first.len() == 64 && first.chars().all(|digit| digit.is_ascii_hexdigit()), "{first}");
    for (state, attempts, announced, number, name) in [
        (S::Waiting, 0, None, 1, &base),
        (S::Waiting, 1, Some(300), 1, &base),
        (S::Waiting, 1, None, 2, &second),
        (S::Failed, 1, Some(300), 2, &second),
        (S::Missing, 1, Some(300), 2, &second),
        (S::Waiting, 2, Some(300), 2, &second),
    ] {
        let mut status = saved();
        let row = &mut status.regions[1];
        (row.state, row.attempts, row.announced_time) = (state, attempts, announced.map(at).map(Time));
        let (request, row) = asked(&status, &only_home(400), 400).unwrap();
        let what = format!("{state:?} {attempts} {announced:?}");
        assert_eq!((row.attempts, &request.name), (number, name), "{what}");
        assert_eq!(request.token == first, number == 1, "{what}");
        assert_eq!((row.state, row.image_id), (S::Waiting, None), "{what}");
    }
}

#[test]
fn copies_are_asked_for_side_by_side_each_with_its_own_row_announcement_and_token() {
    let spec = twice();
    let world = three(at(400), vec![made()], vec![], vec![]);
    let decision = decided(&spec, &saved(), &world, 400);
    let token = |step: &Step| {
        let Step::CopyImage { region, request } = step else { panic!("{step:?}") };
        (region.to_string(), request.token.clone())
    };
    let [(first, one), (second, other)] = &decision.steps.iter().map(token).collect::<Vec<_>>()[..] else {
        panic!("{:?}", decision.steps)
    };
    assert_eq!((first.as_str(), second.as_str()), ("us-east-2", "eu-west-1"));
    assert_ne!(one, other);
    // Each has its own row and its own announcement.
    for (region, token) in [(first, one), (second, other)] {
        let row = decision.status.regions.iter().find(|row| row.region.as_str() == region).unwrap();
        assert_eq!((row.attempts, &row.announced_time), (1, &Some(Time(at(400)))), "{region}");
        let last = decision.status.announced.iter().find(|last| last.region.as_str() == region).unwrap();
        assert_eq!((last.step.as_str(), &last.request), (COPY_IMAGE, token), "{region}");
    }
    assert_eq!(decision.status.announced.len(), 2);
    assert_eq!(decided(&spec, &decision.status, &world, 401).steps, [], "with one read");
}

#[test]
fn a_copy_whose_reply_was_lost_is_asked_for_again_after_as_long_as_it_is_old_within_limits() {
    for (first, now, next) in
        [(None, 300, 315), (Some(300), 301, 316), (Some(300), 400, 500), (Some(300), 899, 1199)]
    {
        let mut status = saved();
        let row = &mut status.regions[1];
        (row.attempts, row.announced_time) = (i32::from(first.is_some()), first.map(at).map(Time));
        let (_, row) = asked(&status, &only_home(now), now).unwrap();
        assert_eq!(row.next_attempt_time, Some(Time(at(next))), "{now}");
        assert_eq!(
            row.announced_time,
            Some(Time(at(first.unwrap_or(now)))),
            "the age is that of the first try"
        );
    }
}

#[test]
fn a_region_waits_until_its_next_try_and_is_looked_at_then() {
    for (now, asks, look) in [(390, false, 10), (399, false, 1), (400, true, 2), (401, true, 2)] {
        let mut status = saved();
        let row = &mut status.regions[1];
        (row.attempts, row.next_attempt_time) = (1, Some(Time(at(400))));
        (row.reason, row.message) = (Some("AccessDenied".parse().unwrap()), Some("no".parse().unwrap()));
        let decision = decided(&plain(), &status, &only_home(now), now);
        assert_eq!(decision.step().is_some(), asks, "{now}");
        assert_eq!(decision.look_again, Duration::from_secs(look), "{now}");
    }
}

#[test]
fn a_copy_is_asked_for_again_only_by_what_was_read_after_it_was_asked_for() {
    for (began, asks) in [(319, false), (320, false), (321, true)] {
        let mut status = saved();
        let row = &mut status.regions[1];
        (row.attempts, row.announced_time) = (1, Some(Time(at(320))));
        assert_eq!(asked(&status, &only_home(began), 400).is_some(), asks, "{began}");
    }
}

#[test]
fn a_copy_that_is_gone_is_made_anew_and_one_that_is_disabled_is_not() {
    let id = copy().id;
    for (state, absent, made_anew) in [
        (Some(ImageState::Disabled), None, false),
        (Some(ImageState::Available), None, false),
        (Some(ImageState::Pending), None, false),
        (None, None, false),
        (None, Some(Absence { since: at(700), reads: 9 }), true),
    ] {
        let copies = state.map(|state| Image { state, ..copy() }).into_iter().collect();
        let mut world = images(at(900), vec![made()], copies);
        abroad(&mut world).absences = absent.map(|absence| (id.to_string(), absence)).into_iter().collect();
        let name = asked(&replicated(), &world, 900).map(|(request, _)| request.name);
        let anew = format!("{}-c2", OWNER.image_name(OWNER.name, 1, 1));
        assert_eq!(name, made_anew.then_some(anew), "{state:?} {absent:?}");
    }
}

#[test]
fn what_a_reply_named_is_believed_for_a_quarter_of_an_hour_and_what_was_shown_for_two_minutes() {
    for (progress, seconds, state) in [
        (Some(0), 300 + 119, S::Pending),
        (Some(0), 300 + 120, S::Missing),
        (None, 300 + 899, S::Pending),
        (None, 300 + 900, S::Missing),
    ] {
        let mut status = saved();
        let row = &mut status.regions[1];
        (row.image_id, row.state) = (Some(copy().id), S::Pending);
        (row.attempts, row.announced_time, row.progress_percent) = (1, Some(Time(at(300))), progress);
        let mut unseen = images(at(seconds), vec![made()], vec![]);
        let absence = Absence { since: at(301), reads: 90 };
        abroad(&mut unseen).absences.insert(copy().id.to_string(), absence);
        // An absence counts from when EC2 had taken the request, or later.
        let decision = decided(&plain(), &status, &unseen, seconds + 1);
        let found = &decision.status.regions[1];
        let asked = matches!(decision.step(), Some(Step::CopyImage { .. }));
        assert_eq!(asked, state == S::Missing, "{progress:?} {seconds}");
        assert_eq!(found.state == S::Pending, !asked, "{progress:?} {seconds}");
    }
}

#[test]
fn an_earlier_copy_that_shows_while_the_one_that_was_named_last_does_not_is_taken() {
    let mut status = saved();
    let row = &mut status.regions[1];
    (row.image_id, row.state) = (Some("ami-00000000000000009".parse().unwrap()), S::Pending);
    (row.attempts, row.announced_time) = (2, Some(Time(at(300))));
    for (progress, taken) in [(None, true), (Some(25), false)] {
        status.regions[1].progress_percent = progress;
        let seen = images(at(400), vec![made()], vec![copy()]);
        let decision = decided(&plain(), &status, &seen, 400);
        let is_taken = decision.status.regions[1].image_id == Some(copy().id);
        assert_eq!((is_taken, decision.step()), (taken, None), "{progress:?}");
    }
}

#[test]
fn a_copy_that_failed_for_its_key_waits_for_somebody_and_is_tried_again_slowly() {
    let key =
        "Client.InternalError: arn:aws:kms:us-east-2:123456789012:key/1234abcd is not accessible by KMS";
    for (reason, stalls, pause) in [(key, true, 600), ("Server.InternalError: no", false, 30)] {
        let state_reason = Some(reason.to_owned());
        let failed = Image { state: ImageState::Failed, state_reason, ..copy() };
        let mut status = replicated();
        status.regions[1].state = S::Pending;
        let decision = decided(&plain(), &status, &images(at(400), vec![made()], vec![failed]), 400);
        let row = &decision.status.regions[1];
        assert_eq!(row.next_attempt_time, Some(Time(at(400 + pause))), "{reason}");
        assert_eq!(find(&decision.status.conditions, ConditionType::Stalled).is_some(), stalls, "{reason}");
        let (_, message) = told(&decision, ConditionType::Ready);
        assert_eq!(message.contains("kms:CreateGrant"), stalls, "{message}");
        assert!(!message.contains("arn:"), "{message}");
        assert!(asked(&decision.status, &only_home(400 + pause), 400 + pause).is_some(), "{reason}");
    }
}

#[test]
fn the_copy_of_an_adopted_image_repeats_what_that_image_says() {
    let (capture, attempt, revision) = (names::tag::CAPTURE, names::tag::ATTEMPT, names::tag::REVISION);
    for number in [1, 2] {
        let mut home = made();
        home.name = OWNER.image_name(OWNER.name, 1, number);
        home.tags.insert(attempt.into(), number.to_string());
        let world = images(at(400), vec![home], vec![]);
        let (request, row) = asked(&SavedTemplateStatus::default(), &world, 400).unwrap();
        assert_eq!((request.source, request.source_region.as_str()), (made().id, "us-west-2"));
        assert_eq!(request.name, OWNER.image_name(OWNER.name, 1, number));
        let number = number.to_string();
        for (key, value) in [
            (capture, CAPTURE),
            (attempt, &number),
            (revision, "1"),
            (names::tag::ROLE, "copy"),
            (names::tag::REGION, "us-east-2"),
            (names::tag::SOURCE_INSTANCE, "i-0123456789abcdef0"),
        ] {
            assert_eq!(request.image_tags.get(key).map(String::as_str), Some(value), "{key}");
        }
        assert_eq!(request.snapshot_tags, request.image_tags);
        assert_eq!((row.revision, row.role), (Some(1), RegionRole::Copy));
    }
}

#[test]
fn the_conditions_tell_copies_that_move_from_copies_that_wait_for_somebody() {
    let spec = twice();
    let (moving, refused) = (("Copying", "Copying"), ("PartiallyReplicated", "CopyFailed"));
    let partly = ("PartiallyReplicated", "PartiallyReplicated");
    for (first, second, (ready, replicated)) in [
        ((S::Waiting, Some("AccessDenied")), (S::Waiting, Some("CopyFailed")), refused),
        ((S::Waiting, Some("AccessDenied")), (S::Waiting, None), moving),
        ((S::Waiting, None), (S::Waiting, Some("AccessDenied")), moving),
        ((S::Available, None), (S::Waiting, Some("AccessDenied")), partly),
        ((S::Available, None), (S::Waiting, None), moving),
    ] {
        let mut status = crate::sample::replicated();
        let row = RegionStatus::waiting("eu-west-1".parse().unwrap(), "x86_64".into(), RegionRole::Copy);
        status.regions.push(row);
        for (row, (state, reason)) in status.regions[1..].iter_mut().zip([first, second]) {
            (row.state, row.reason, row.attempts) =
                (state, reason.map(|word: &str| word.parse().unwrap()), 1);
            (row.next_attempt_time, row.announced_time) = (Some(Time(at(500))), None);
            row.image_id = row.image_id.take().filter(|_| state == S::Available);
        }
        let copies = if first.0 == S::Available { vec![copy()] } else { vec![] };
        let mut world = images(at(400), vec![made()], copies);
        let empty = only_home(400).abroad.into_values().next().unwrap();
        world.abroad.insert("eu-west-1".parse().unwrap(), empty);
        let decision = decided(&spec, &status, &world, 400);
        assert_eq!(decision.step(), None);
        assert_eq!(told(&decision, ConditionType::Ready).0, ready, "{first:?} {second:?}");
        assert_eq!(told(&decision, ConditionType::Replicated).0, replicated, "{first:?} {second:?}");
    }
    let decision = decided(&plain(), &replicated(), &images(at(400), vec![made()], vec![copy()]), 400);
    assert_eq!(told(&decision, ConditionType::Replicated).0, "AllRegions");
    assert_eq!(told(&decision, ConditionType::Ready).0, "Saved");
    let fresh = decided(&plain(), &SavedTemplateStatus::default(), &images(at(400), vec![], vec![]), 400);
    assert_eq!(told(&fresh, ConditionType::Replicated).0, "Copying", "no row yet is no copy");
}

#[test]
fn a_region_that_cannot_be_read_is_named_with_the_reason_and_gets_no_copy() {
    let refusal = || Ec2Error::new("DescribeImages", "UnauthorizedOperation", "not allowed");
    let mut parts = only_home(400);
    abroad(&mut parts).images = Err(refusal());
    let mut whole = only_home(400);
    whole.abroad.insert("us-east-2".parse().unwrap(), Err(refusal()));
    let mut never = only_home(400);
    never.abroad.clear();
    for (world, told_why) in [(parts, true), (whole, true), (never, false)] {
        let decision = decided(&plain(), &saved(), &world, 400);
        assert_eq!(decision.step(), None);
        let (ready, message) = told(&decision, ConditionType::Ready);
        assert_eq!(ready == "PartiallyReplicated", told_why, "{message}");
        let names_it =
            message.contains("us-east-2 cannot be read") && message.contains("UnauthorizedOperation");
        assert_eq!(names_it, told_why, "{message}");
    }
}

#[test]
fn the_announcement_of_a_copy_is_in_the_status_before_it_is_sent() {
    let decision = decided(&plain(), &saved(), &only_home(400), 400);
    let [announced] = &decision.status.announced[..] else { panic!("{:?}", decision.status.announced) };
    assert_eq!((announced.step.as_str(), &announced.time), (COPY_IMAGE, &Time(at(400))));
    assert_eq!(announced.region.as_str(), "us-east-2");
}
