//! What a process knows, event by event.
use std::time::Duration;

use saved_template_api::status::{CaptureReason, SourceStatus};

use super::*;
use crate::{
    sample::{CAPTURE, imaging, planned as in_plan, record, running, saved, stopping},
    world::InstanceState,
};

fn stop() -> Step {
    Step::Stop { record: record(), force: false }
}

const STARTED: Started = Started { previous: InstanceState::Stopped, launch_time_before: None };

/// What it knows of the capture: whether it is unsent, whether it is sent, and its start.
fn told(memory: &Memory) -> (bool, bool, Option<Started>, Option<Ec2Error>) {
    let mut world = World::unread();
    let source = SourceStatus { instance_id: Some(running().id), ..SourceStatus::default() };
    memory.tell(&SavedTemplateStatus { source: Some(source), ..stopping() }, &mut world);
    (world.unsent, world.sent, world.started, world.start_refused)
}

type Events = fn(&mut Memory, Instant);

/// A process that sent a Stop at `born`.
fn alone(born: Instant) -> Memory {
    let mut memory = Memory::default();
    memory.planned(CAPTURE);
    assert!(memory.sends(&stop(), born));
    memory
}

fn later(born: Instant, seconds: u64) -> Instant {
    born.checked_add(Duration::from_secs(seconds)).unwrap()
}

fn refusal(code: &str) -> Ec2Error {
    Ec2Error::new("StopInstances", code, "no")
}

#[test]
fn a_process_is_alone_with_its_stop_until_kubernetes_answers_or_the_image_is_asked_for() {
    let born = Instant::now();
    let limit = ALONE.as_secs();
    let cases: [(&str, Events, u64, bool); 10] = [
        ("at once", |_, _| {}, limit - 1, false),
        ("silent", |_, _| {}, limit, true),
        ("answered", |memory, born| memory.contact(&stopping(), later(born, 20)), limit + 19, false),
        ("silent since", |memory, born| memory.contact(&stopping(), later(born, 20)), limit + 20, true),
        ("its image is asked for", |memory, born| memory.contact(&imaging(), born), 9000, false),
        (
            "it failed",
            |memory, born| {
                let mut status = stopping();
                let capture = status.capture.as_mut().unwrap();
                capture.reason = Some(CaptureReason::Failed);
                memory.contact(&status, born);
            },
            9000,
            false,
        ),
        ("given up, once", |memory, _| memory.aborted(&record()), 9000, false),
        ("asked about another object", |memory, born| memory.contact(&saved(), later(born, 20)), limit, true),
        ("paid", |memory, _| memory.forget(&record()), 9000, false),
        ("withdrawn", |memory, born| _ = memory.sends(&Step::Untag { record: record() }, born), 9000, false),
    ];
    for (what, events, seconds, is_alone) in cases {
        let mut memory = alone(born);
        events(&mut memory, born);
        let expected = if is_alone { vec![record()] } else { vec![] };
        assert_eq!(memory.alone(later(born, seconds)), expected, "{what}");
    }
}

#[test]
fn a_stop_is_remembered_before_it_is_sent_and_what_is_rewritten_is_remembered_as_it_is_written() {
    let born = Instant::now();
    let forced = record().forced(crate::sample::at(60));
    let rewrite = Step::Tag { record: forced.clone(), receipt: None, replaces: None };
    let mut memory = Memory::default();
    memory.sends(&rewrite, born);
    assert_eq!(memory.records(), [], "a record under which nothing was sent");
    memory.sends(&stop(), born);
    assert_eq!(memory.records(), [record()]);
    memory.sends(&rewrite, born);
    assert_eq!(memory.records(), [forced]);
}

#[test]
fn a_process_knows_whether_it_sent_a_stop_until_the_capture_is_over_also_once_another_one_leads() {
    let born = Instant::now();
    let known = |memory: &Memory| (told(memory).0, told(memory).1);
    let mut memory = Memory::default();
    assert_eq!(known(&memory), (false, false), "a process that knows nothing");
    memory.planned(CAPTURE);
    assert_eq!(known(&memory), (true, false));
    for (answer, first, unsent) in [
        (Outcome::Refused(refusal("IncorrectInstanceState")), true, true),
        // A first Stop was refused for certain; the next is the first again.
        (Outcome::Refused(refusal("")), true, false),
        (Outcome::Refused(refusal("IncorrectInstanceState")), false, false),
        (Outcome::Stopped { previous: InstanceState::Running }, false, false),
    ] {
        assert_eq!(memory.sends(&stop(), born), first, "{answer:?}");
        assert_eq!(known(&memory), (false, true), "{answer:?}");
        memory.hears(&stop(), first, &answer);
        assert_eq!(known(&memory), (unsent, !unsent), "{answer:?}");
    }
    memory.doubt();
    assert_eq!(known(&memory), (false, true), "its own act, not hearsay");
    let mut over = saved().capture.unwrap();
    over.id = CAPTURE.into();
    memory.recall(&over, |_| true);
    assert_eq!(known(&memory), (false, false));
}

#[test]
fn what_a_status_owes_is_remembered_if_anything_else_says_so_and_what_it_owes_no_more_is_forgotten() {
    let stopped = stopping().capture.unwrap();
    let unstopped = in_plan().capture.unwrap();
    let failed = CaptureStatus { reason: Some("Failed".parse().unwrap()), ..in_plan().capture.unwrap() };
    let paid = CaptureStatus { restart_record: None, ..stopped.clone() };
    for (what, capture, supported, before, after) in [
        ("a Stop is announced", &stopped, true, false, true),
        ("nothing else says so", &stopped, false, false, false),
        ("no Stop is announced", &unstopped, true, false, false),
        ("no Stop is announced by a status that went back", &unstopped, true, true, true),
        ("it failed before a Stop", &failed, true, true, false),
        ("it owes nothing", &paid, true, true, false),
    ] {
        let mut memory = if before { alone(Instant::now()) } else { Memory::default() };
        memory.recall(capture, |_| supported);
        assert_eq!(memory.records() == [record()], after, "{what}");
        assert_eq!(memory.records().is_empty(), !after, "{what}");
    }
}

#[test]
fn a_start_is_known_until_its_capture_is_over_and_the_first_answer_counts() {
    let mut memory = alone(Instant::now());
    memory.refused(&record(), &refusal("InsufficientInstanceCapacity"));
    assert_eq!(told(&memory).3, Some(refusal("InsufficientInstanceCapacity")));
    memory.started(&record(), STARTED);
    memory.started(&record(), Started { previous: InstanceState::Running, ..STARTED });
    assert_eq!((told(&memory).2, told(&memory).3), (Some(STARTED), None));
    memory.doubt();
    assert_eq!((memory.records(), told(&memory).2), (Vec::new(), Some(STARTED)), "its own act, not hearsay");
    memory.recall(&CaptureStatus { restart_record: None, ..stopping().capture.unwrap() }, |_| true);
    assert_eq!(told(&memory).2, Some(STARTED), "until its completion is written");
}

#[test]
fn a_record_on_another_machine_that_has_the_capture_of_ours_changes_nothing_of_what_is_known_of_ours() {
    let born = Instant::now();
    let forged = Record { instance: "i-0fedcba9876543210".parse().unwrap(), ..record() };
    let mut memory = alone(born);
    memory.started(&forged, STARTED);
    memory.refused(&forged, &refusal("UnclearStateReason"));
    memory.forget(&forged);
    assert_eq!((memory.records(), memory.alone(later(born, 60))), (vec![record()], vec![record()]));
    assert_eq!((told(&memory).2, told(&memory).3), (None, None));
    memory.forget(&record());
    assert_eq!((memory.records(), memory.alone(later(born, 60))), (Vec::new(), Vec::new()));
}
