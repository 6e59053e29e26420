use std::collections::BTreeMap;

use super::*;
use crate::ec2_error::Ec2Error;

fn key(name: &str) -> Key {
    Key::template("team", name)
}

fn good() -> Probe {
    Probe {
        stop_protected: Ok(false),
        shutdown_terminates: Ok(false),
        events: Ok(Vec::new()),
        instance_store: Ok(false),
        regions: Ok(BTreeMap::new()),
        create_image: Ok(()),
        volumes: Ok(Vec::new()),
        snapshots: Ok(Vec::new()),
        pending_images: Ok(Vec::new()),
        namesakes: Ok(Vec::new()),
    }
}

/// Asks, and keeps the answer where the question was asked of EC2. Whether it was.
fn ask(turns: &mut Turns, name: &str, print: u64, now: Instant) -> bool {
    let asked = turns.turn(&key(name), print, For::Telling, now) == Turn::Ask;
    if asked {
        turns.keep(&key(name), print, &good(), now);
    }
    asked
}

fn later(start: Instant, milliseconds: u64) -> Instant {
    start.checked_add(Duration::from_millis(milliseconds)).unwrap()
}

#[test]
fn the_same_question_is_asked_once_a_minute_however_often_the_object_is_looked_at() {
    let (mut turns, start) = (Turns::default(), Instant::now());
    let asked = (0..1200).filter(|tenth| ask(&mut turns, "one", 1, later(start, tenth * 100))).count();
    assert_eq!(asked, 2, "in two minutes");
}

#[test]
fn an_object_whose_every_edit_is_another_question_asks_once_in_five_seconds() {
    let (mut turns, start) = (Turns::default(), Instant::now());
    let asked = (0..600).filter(|tenth| ask(&mut turns, "one", *tenth, later(start, tenth * 100))).count();
    assert_eq!(asked, 12, "in one minute");
}

#[test]
fn an_object_that_is_deleted_and_created_anew_asks_no_sooner_than_one_that_is_edited() {
    let (mut turns, start) = (Turns::default(), Instant::now());
    let asked = (0..600).filter(|tenth| {
        turns.forget(&key("one"));
        ask(&mut turns, "one", 1, later(start, tenth * 100))
    });
    assert_eq!(asked.count(), 12, "in one minute");
}

#[test]
fn objects_with_ever_new_names_ask_once_a_second_together() {
    let (mut turns, start) = (Turns::default(), Instant::now());
    let asked =
        (0..3000).filter(|count| ask(&mut turns, &format!("no-{count}"), 1, later(start, count * 20)));
    assert!((1..=70).contains(&asked.count()), "in one minute, ten of them at once");
}

#[test]
fn who_waits_for_its_turn_gets_it_however_many_come_after() {
    let (mut turns, start) = (Turns::default(), Instant::now());
    for count in 0..10 {
        assert!(ask(&mut turns, &format!("first-{count}"), 1, start));
    }
    let Turn::Wait(left) = turns.turn(&key("waits"), 1, For::Telling, start) else {
        panic!("the burst is used up");
    };
    for count in 0..100 {
        assert!(!ask(&mut turns, &format!("after-{count}"), 1, start));
    }
    assert!(!ask(&mut turns, "waits", 1, start), "it is not its turn yet");
    assert!(ask(&mut turns, "waits", 2, start.checked_add(left).unwrap()), "also with another question");
}

#[test]
fn a_plan_rests_on_answers_of_the_last_five_seconds() {
    let (mut turns, start) = (Turns::default(), Instant::now());
    assert!(ask(&mut turns, "one", 1, start));
    let planning = |turns: &mut Turns, now| turns.turn(&key("one"), 1, For::Planning, now);
    assert_eq!(planning(&mut turns, later(start, 4900)), Turn::Kept(Box::new(good())));
    assert!(!ask(&mut turns, "one", 1, later(start, 5000)), "good enough to be told");
    assert_eq!(planning(&mut turns, later(start, 5000)), Turn::Ask);
}

#[test]
fn an_answer_that_stands_in_the_way_is_asked_again_after_five_seconds() {
    let (mut turns, start) = (Turns::default(), Instant::now());
    assert!(ask(&mut turns, "one", 1, start));
    turns.stands_in_the_way(&key("one"));
    assert!(!ask(&mut turns, "one", 1, later(start, 4900)));
    assert!(ask(&mut turns, "one", 1, later(start, 5000)));
}

#[test]
fn after_a_throttle_nobody_asks_at_once() {
    let (mut turns, start) = (Turns::default(), Instant::now());
    assert_eq!(turns.turn(&key("one"), 1, For::Telling, start), Turn::Ask);
    let throttled = Ec2Error::new("CreateImage", "RequestLimitExceeded", "Request limit exceeded.");
    turns.keep(&key("one"), 1, &Probe { create_image: Err(throttled), ..good() }, start);
    assert!(!ask(&mut turns, "two", 1, start));
}

#[test]
fn what_is_remembered_is_bounded_and_whoever_comes_then_waits() {
    let (mut turns, start) = (Turns::default(), Instant::now());
    let row = || Row { turn: start, open: false, kept: None };
    let full = (0..MOST).map(|count| (key(&format!("no-{count}")), row())).collect();
    turns.rows = full;
    assert_eq!(turns.turn(&key("one"), 1, For::Telling, start), Turn::Wait(LATER));
    assert_eq!(turns.turn(&key("one"), 1, For::Telling, later(start, 60_000)), Turn::Ask);
    assert_eq!(turns.rows.len(), 1);
}

#[test]
fn a_crowd_that_is_turned_away_does_not_come_back_every_ten_seconds_and_a_few_do() {
    for (many, most_looks) in [(20, 200), (2000, 8000)] {
        let (mut turns, start) = (Turns::default(), Instant::now());
        let mut due = vec![0_u64; many];
        let (mut looks, mut asked) = (0, 0);
        for tenth in 0..1200 {
            for (count, due) in due.iter_mut().enumerate().filter(|(_, due)| **due <= tenth) {
                looks += 1;
                match turns.turn(&key(&format!("no-{count}")), tenth, For::Telling, later(start, tenth * 100))
                {
                    Turn::Wait(left) => *due = tenth + u64::try_from(left.as_millis()).unwrap().div_ceil(100),
                    Turn::Ask => (asked, *due) = (asked + 1, 6000),
                    Turn::Kept(_) => panic!("nothing was kept"),
                }
            }
        }
        assert!(looks < most_looks, "{many}: {looks} looks in two minutes");
        assert!(asked >= many.min(120), "{many}: every turn is taken, {asked}");
    }
}
