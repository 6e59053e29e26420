//! What every decision keeps to, whatever was seen; and single states that once went wrong.
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use saved_template_api::{
    ConditionType, SavedTemplateSpec,
    condition::{MAX_MESSAGE_BYTES, find},
    names::{self, tag},
    spec::{CaptureMode, OnStopTimeout},
    status::{Announced, Consistency, RegionState},
};

use super::*;
use crate::{
    restart::{Awaits, Record},
    sample::{
        CAPTURE, EARLIER_CAPTURE, OWNER, at, image, imaging, outcome, owned, plain, planned, record, running,
        saved, snapshot, spec, stopped_at, stopping, subject, tagged, world,
    },
    step::{CREATE_IMAGE, STOP, Step, TAG, UNTAG},
    world::{
        Absence, Image, ImageState, Instance, InstanceState, Sighting, Snapshot, SnapshotState, Started,
    },
};

fn decided(spec: &SavedTemplateSpec, status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    decide(subject(spec, status), world, at(seconds)).into_decision().expect("every question is answered")
}

fn announced(step: &str, seconds: i64, number: i64, settled: Option<&str>) -> Announced {
    Announced {
        number,
        step: step.into(),
        time: Time(at(seconds)),
        request: record().to_string(),
        region: "us-west-2".parse().unwrap(),
        outcome: settled.map(outcome),
    }
}

fn reason(decision: &Decision, kind: ConditionType) -> (String, String) {
    let found = find(&decision.status.conditions, kind).unwrap();
    (found.status.clone(), found.reason.clone())
}

/// Conditions as kstatus and the API conventions want them.
fn keeps_to_conventions(decision: &Decision) {
    let conditions = &decision.status.conditions;
    let is = |kind| find(conditions, kind).is_some_and(|condition| condition.status == "True");
    let (ready, moving, stalled) =
        (is(ConditionType::Ready), is(ConditionType::Reconciling), is(ConditionType::Stalled));
    assert!(!(moving && stalled), "{conditions:#?}");
    let suspended = reason(decision, ConditionType::Ready).1 == "Suspended";
    assert!(!(suspended && stalled), "what is wished is no failure: {conditions:#?}");
    assert_ne!(ready, moving || stalled || suspended, "{conditions:#?}");
    let owed = decision.status.capture.as_ref().is_some_and(|capture| capture.restart_record.is_some());
    assert!(!(owed && ready), "Ready while a machine is owed");
    assert!(!decision.look_again.is_zero());
    assert_eq!(decision.status.observed_generation, Some(3));
    for kind in [
        ConditionType::Ready,
        ConditionType::Available,
        ConditionType::Validated,
        ConditionType::SourceRestored,
        ConditionType::ImageAvailable,
        ConditionType::Replicated,
        ConditionType::Shared,
        ConditionType::Published,
    ] {
        let condition = find(conditions, kind).unwrap_or_else(|| panic!("{kind:?} is missing"));
        assert_eq!(condition.observed_generation, Some(3));
        assert!(condition.message.len() <= MAX_MESSAGE_BYTES);
        let known =
            if condition.status == "True" { kind.reasons_for_true() } else { kind.reasons_otherwise() };
        assert!(known.iter().any(|reason| reason.name() == condition.reason), "{kind:?} {condition:?}");
    }
}

/// Decides until nothing changes: a few facts may follow from each other, but never without end.
fn comes_to_rest(spec: &SavedTemplateSpec, first: &SavedTemplateStatus, world: &World, seconds: i64) {
    let mut status = first.clone();
    for _ in 0..5 {
        let decision = decided(spec, &status, world, seconds);
        keeps_to_conventions(&decision);
        if let Some(step) = decision.step() {
            assert_ne!(decision.status, status, "{step:?} is not announced");
            is_fenced(step, &decision.status, world, seconds);
            let again = decided(spec, &decision.status, world, seconds).steps;
            assert!(decision.steps.iter().all(|step| !again.contains(step)), "asked for twice with one read");
            return;
        }
        if decision.status == status {
            return;
        }
        status = decision.status;
    }
    panic!("does not come to rest: {status:#?}");
}

/// R1, R2, R6: what may be sent, and when.
fn is_fenced(step: &Step, status: &SavedTemplateStatus, world: &World, seconds: i64) {
    let machine = &world.home.as_ref().unwrap().instances.as_ref().unwrap()[0];
    let value = machine.tags.get(&names::debt_key(OWNER.cluster));
    let capture = status.capture.as_ref().unwrap();
    match step {
        Step::Stop { record, .. } => {
            assert_eq!(value, Some(&record.to_string()));
            assert!(machine.state == InstanceState::Running && at(seconds) <= record.stop_by);
            assert_eq!(machine.launch_time, capture.launch_time.as_ref().map(|time| time.0));
        }
        Step::CreateImage(_) => {
            let record: Record = capture.restart_record.as_ref().unwrap().parse().unwrap();
            assert_eq!(value, Some(&record.to_string()));
            assert_eq!(machine.state, InstanceState::Stopped);
            assert!(at(seconds + 60) <= record.image_by);
        }
        Step::Untag { .. } => assert!(capture.stop_requested_time.is_none(), "withdrawn under a Stop"),
        Step::Tag { receipt: Some(_), .. } => assert!(capture.stop_requested_time.is_none()),
        Step::Tag { receipt: None, .. }
        | Step::CopyImage { .. }
        | Step::TagImages { .. }
        | Step::UntagImages { .. }
        | Step::SetDescription { .. }
        | Step::Deregister { .. }
        | Step::DeleteSnapshot { .. }
        | Step::RemoveReceipt { .. } => {}
    }
}

fn machines() -> impl Strategy<Value = Instance> {
    use InstanceState as S;
    let states =
        [S::Pending, S::Running, S::Stopping, S::Stopped, S::ShuttingDown, S::Terminated, S::Unknown];
    let codes = [
        None,
        Some("Client.UserInitiatedShutdown"),
        Some("Server.InternalError"),
        Some("Client.InstanceInitiatedShutdown"),
        Some("New.Code"),
    ];
    let values = [
        None,
        Some(record().to_string()),
        Some(record().aborted(at(20)).to_string()),
        Some("v1 nonsense".into()),
        Some(Record { capture: EARLIER_CAPTURE.into(), ..record() }.to_string()),
    ];
    (
        proptest::sample::select(states.to_vec()),
        proptest::sample::select(codes.to_vec()),
        proptest::sample::select(values.to_vec()),
        prop_oneof![Just(-9000), -5..3000_i64],
        proptest::option::of(-5..3000_i64),
    )
        .prop_map(|(state, code, value, launch, moved)| {
            let mut machine = Instance {
                state,
                launch_time: Some(at(launch)),
                state_reason: code.map(str::to_owned),
                transition_time: moved.map(at),
                ..running()
            };
            machine.tags.extend(value.map(|value| (names::debt_key(OWNER.cluster), value)));
            machine
        })
}

fn images() -> impl Strategy<Value = Vec<Image>> {
    use ImageState as S;
    let states = proptest::sample::select(vec![
        S::Pending,
        S::Available,
        S::Failed,
        S::Deregistered,
        S::Disabled,
        S::Unknown,
    ]);
    let ours = (states.clone(), any::<bool>()).prop_map(|(state, ours)| {
        let image = owned(image(if ours { CAPTURE } else { EARLIER_CAPTURE }, state));
        let held = if state == S::Available {
            vec!["snap-00000000000000001".parse().unwrap(), "snap-00000000000000002".parse().unwrap()]
        } else {
            vec![]
        };
        Image { snapshots: held, ..image }
    });
    proptest::option::of(ours).prop_map(|image| image.into_iter().collect())
}

fn shots() -> impl Strategy<Value = Vec<Snapshot>> {
    use SnapshotState as S;
    let one = (
        1..3_u8,
        proptest::sample::select(vec![S::Pending, S::Completed, S::Error, S::Unknown]),
        30..2500_i64,
    );
    proptest::collection::vec(one.prop_map(|(n, state, start)| snapshot(n, CAPTURE, at(start), state)), 0..4)
}

fn statuses() -> impl Strategy<Value = SavedTemplateStatus> {
    let steps = [
        None,
        Some(announced(TAG, 1, 1, None)),
        Some(announced(STOP, 10, 1, None)),
        Some(announced(STOP, 20, 3, Some("InternalError: x"))),
        Some(announced(STOP, 10, 1, Some("UnauthorizedOperation: no"))),
        Some(announced(STOP, 10, 1, Some("previousState: stopped"))),
        Some(announced(CREATE_IMAGE, 41, 1, Some("InvalidAMIName.Duplicate: taken"))),
        Some(announced(CREATE_IMAGE, 41, 2, Some("InvalidParameter: no"))),
        Some(announced(UNTAG, 30, 1, None)),
    ];
    let reasons = [None, None, None, Some("Deleted"), Some("InstanceBusy"), Some("ImageFailed")];
    let begun =
        proptest::sample::select(vec![SavedTemplateStatus::default(), planned(), stopping(), imaging()]);
    (
        begun,
        proptest::sample::select(steps.to_vec()),
        proptest::sample::select(reasons.to_vec()),
        any::<[bool; 5]>(),
    )
        .prop_map(|(mut status, announced, reason, [started, back, over, unowed, known])| {
            status.announced = announced.into_iter().collect();
            if let Some(capture) = status.capture.as_mut() {
                capture.reason = reason.map(|word: &str| word.parse().unwrap());
                let imaging = capture.image_requested_time.is_some();
                capture.snapshots_started_time = (started && imaging).then(|| Time(at(50)));
                capture.source_restored_time = (back && imaging).then(|| Time(at(90)));
                if unowed && imaging || over && reason.is_some() {
                    capture.restart_record = None;
                    capture.completion_time = over.then(|| Time(at(200)));
                }
                if known && imaging {
                    status.regions[0].image_id = Some("ami-0123456789abcdef0".parse().unwrap());
                    status.regions[0].state = RegionState::Pending;
                }
            }
            status
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decide_is_total_fenced_conventional_and_comes_to_rest(
        machine in machines(), images in images(), shots in shots(), status in statuses(), seconds in 0..4000_i64, age in 0..60_i64,
    ) {
        let world = world(at(seconds - age), vec![machine], images, shots);
        comes_to_rest(&plain(), &status, &world, seconds);
    }

    #[test]
    fn a_deleted_object_goes_or_waits_for_its_machine_and_no_longer_than_its_limit(
        machine in machines(), images in images(), shots in shots(), status in statuses(), seconds in 0..4000_i64,
    ) {
        let world = world(at(seconds), vec![machine], images, shots);
        let spec = plain();
        let subject = Subject { deleting: true, ..subject(&spec, &status) };
        let decision = decide(subject, &world, at(seconds)).into_decision().unwrap();
        keeps_to_conventions(&decision);
        let owed = decision.status.capture.as_ref().is_some_and(|capture| capture.restart_record.is_some());
        prop_assert!(owed || decision.finalizer == Finalizer::Remove);
        prop_assert!(seconds < 1800 || decision.finalizer == Finalizer::Remove);
        let begins = matches!(decision.step(), Some(Step::Stop { .. } | Step::CreateImage(_) | Step::CopyImage { .. }));
        prop_assert!(!begins, "new work");
    }

    #[test]
    fn an_unreadable_world_changes_nothing_on_aws(status in statuses(), seconds in 0..4000_i64) {
        let mut dark = world(at(seconds), vec![], vec![], vec![]);
        let silent = || crate::ec2_error::Ec2Error::new("DescribeInstances", "", "no answer");
        dark.abroad.values_mut().for_each(|view| *view = Err(silent()));
        dark.home = Err(silent());
        let decision = decided(&plain(), &status, &dark, seconds);
        keeps_to_conventions(&decision);
        prop_assert_eq!(decision.step(), None);
    }
}

#[test]
fn a_stop_refused_after_one_whose_outcome_is_unknown_withdraws_nothing() {
    let mut status = stopping();
    status.announced = vec![announced(STOP, 30, 2, Some("RequestLimitExceeded: later"))];
    for state in [InstanceState::Stopping, InstanceState::Running] {
        let machine = Instance { state, ..tagged(running()) };
        let decision = decided(&plain(), &status, &world(at(70), vec![machine], vec![], vec![]), 70);
        assert_eq!(decision.step(), None, "{state:?}");
        assert!(decision.status.capture.unwrap().restart_record.is_some());
    }
}

#[test]
fn a_stop_that_was_refused_each_time_is_withdrawn_and_is_no_disruption() {
    let mut status = stopping();
    status.announced = vec![announced(STOP, 30, 1, Some("UnauthorizedOperation: no"))];
    let decision = decided(&plain(), &status, &world(at(70), vec![tagged(running())], vec![], vec![]), 70);
    assert!(matches!(decision.step(), Some(Step::Untag { .. })));
    assert_eq!(decision.status.capture.unwrap().disruptions, 0);
    // And the next Stop after a definite refusal counts as the first again.
    let again = decided(&plain(), &status, &world(at(50), vec![tagged(running())], vec![], vec![]), 50);
    assert!(matches!(again.step(), Some(Step::Stop { .. })));
    assert_eq!(again.status.announced[0].number, 1);
}

#[test]
fn a_first_stop_that_found_the_machine_stopped_is_taken_back_and_a_repeated_one_proves_nothing() {
    let machine = tagged(stopped_at(Some(at(9))));
    let seen = world(at(40), vec![machine], vec![], vec![]);
    let after = |number| {
        let mut status = stopping();
        status.announced = vec![announced(STOP, 10, number, Some("previousState: stopped"))];
        decided(&plain(), &status, &seen, 40)
    };
    let first = after(1);
    assert!(matches!(first.step(), Some(Step::Untag { .. })), "{:?}", first.step());
    let capture = first.status.capture.unwrap();
    assert_eq!((capture.reason.map(<&str>::from), capture.disruptions), (Some("InstanceBusy"), 0));
    assert!(matches!(after(2).step(), Some(Step::CreateImage(_))), "an earlier try of ours stopped it");
}

#[test]
fn a_stop_is_the_first_only_for_the_process_that_planned_it_and_has_sent_none() {
    for (unsent, number) in [(true, 1), (false, 2)] {
        let seen = World { unsent, ..world(at(10), vec![tagged(running())], vec![], vec![]) };
        let mut status = planned();
        status.source.as_mut().unwrap().original_state = Some("running".into());
        let decision = decided(&plain(), &status, &seen, 10);
        assert!(matches!(decision.step(), Some(Step::Stop { .. })), "{:?}", decision.step());
        assert_eq!(decision.status.announced[0].number, number, "{unsent}");
    }
}

#[test]
fn the_image_of_a_capture_has_its_own_name_and_no_other_of_that_form() {
    let taken = |name: String| {
        let made = Image { name, ..owned(image(CAPTURE, ImageState::Pending)) };
        let seen = world(at(60), vec![tagged(stopped_at(Some(at(12))))], vec![made], vec![]);
        decided(&plain(), &imaging(), &seen, 60).status.regions[0].image_id.is_some()
    };
    assert!(taken(OWNER.image_name(OWNER.name, 1, 1)));
    for other in [
        OWNER.image_name(OWNER.name, 1, 2),
        OWNER.image_name(OWNER.name, 2, 1),
        OWNER.image_name("other", 1, 1),
        names::Owner { name: "tremor", ..OWNER }.image_name(OWNER.name, 1, 1),
    ] {
        assert!(!taken(other.clone()), "{other}");
    }
}

#[test]
fn a_machine_found_stopped_under_a_plan_of_long_ago_was_stopped_by_us_and_is_not_forgotten() {
    let machine = tagged(stopped_at(Some(at(12))));
    let by_a_fresh_process =
        |seconds| World { unsent: false, ..world(at(seconds), vec![machine.clone()], vec![], vec![]) };
    let decision = decided(&plain(), &planned(), &by_a_fresh_process(400), 400);
    assert!(matches!(decision.step(), Some(Step::CreateImage(_))), "the save goes on");
    let sooner = decided(&plain(), &planned(), &by_a_fresh_process(40), 40);
    assert!(matches!(sooner.step(), Some(Step::CreateImage(_))), "a status that went back some seconds, too");
    let sure = World { unsent: true, ..by_a_fresh_process(40) };
    let owners = decided(&plain(), &planned(), &sure, 40);
    assert!(
        matches!(owners.step(), Some(Step::Untag { .. })),
        "whoever planned it and sent no Stop knows better"
    );
    let late = decided(&plain(), &planned(), &by_a_fresh_process(2000), 2000);
    assert_eq!(late.step(), None, "the restart loop has it");
    assert!(late.status.capture.unwrap().restart_record.is_some());
}

#[test]
fn a_stop_that_went_back_with_the_status_is_counted_by_who_sent_it_though_its_record_was_paid_and_taken_off()
{
    let back = Instance { launch_time: Some(at(25)), ..running() };
    for (sent, disruptions) in [(true, 1), (false, 0)] {
        let seen = World { unsent: false, sent, ..world(at(181), vec![back.clone()], vec![], vec![]) };
        let capture = decided(&plain(), &planned(), &seen, 181).status.capture.unwrap();
        assert_eq!(capture.disruptions, disruptions, "sent: {sent}");
        assert_eq!(capture.stop_requested_time.is_some(), sent);
    }
}

#[test]
fn a_plan_that_is_no_longer_wanted_is_withdrawn_before_anything_is_stopped() {
    let edited = spec(
        r#"{"source": {"region": "us-west-2", "instanceName": "earthquake-analysis"}, "suspend": true}"#,
    );
    for seconds in [10, 100] {
        let world = world(at(seconds), vec![tagged(running())], vec![], vec![]);
        let decision = decided(&edited, &planned(), &world, seconds);
        assert!(matches!(decision.step(), Some(Step::Untag { .. })), "{:?}", decision.step());
    }
}

#[test]
fn an_image_is_not_missing_two_seconds_after_it_was_accepted_however_long_it_was_absent() {
    let mut status = imaging();
    status.announced = vec![announced(CREATE_IMAGE, 300, 2, None)];
    let row = &mut status.regions[0];
    (row.image_id, row.state) = (Some("ami-0123456789abcdef0".parse().unwrap()), RegionState::Pending);
    row.progress_percent = Some(0);
    let mut unseen = world(at(302), vec![tagged(stopped_at(Some(at(12))))], vec![], vec![]);
    let view = Arc::make_mut(unseen.home.as_mut().unwrap());
    view.absences.insert("ami-0123456789abcdef0".into(), Absence { since: at(41), reads: 90 });
    assert_eq!(decided(&plain(), &status, &unseen, 302).status.regions[0].state, RegionState::Pending);
    Arc::make_mut(unseen.home.as_mut().unwrap()).began = at(430);
    assert_eq!(decided(&plain(), &status, &unseen, 430).status.regions[0].state, RegionState::Missing);
}

#[test]
fn a_dead_record_of_another_installation_stands_in_nobodys_way_and_a_live_one_does() {
    let key = names::debt_key("other");
    for (seconds, state, is_live) in [
        (100, InstanceState::Running, true),
        (1800 + 899, InstanceState::Running, true),
        (1800 + 900, InstanceState::Running, false),
    ] {
        let mut machine = Instance { state, ..running() };
        machine.tags.insert(key.clone(), record().to_string());
        let world = world(at(seconds), vec![machine], vec![], vec![]);
        let decision = decided(&plain(), &SavedTemplateStatus::default(), &world, seconds);
        assert_eq!(decision.step().is_none(), is_live, "{seconds}");
        let (_, why) = reason(&decision, ConditionType::Validated);
        assert_eq!(why == "InstanceBusy", is_live, "{why}");
    }
}

#[test]
fn an_adopted_image_that_fails_is_told_and_nothing_is_stopped() {
    let mut made = owned(image(CAPTURE, ImageState::Pending));
    made.tags.insert(names::tag::SOURCE.into(), names::source_digest(&plain().source));
    made.tags.insert(names::tag::SOURCE_INSTANCE.into(), "i-0123456789abcdef0".into());
    let seen = |image: Image| world(at(100), vec![running()], vec![image], vec![]);
    let adopted = decided(&plain(), &SavedTemplateStatus::default(), &seen(made.clone()), 100);
    assert_eq!(reason(&adopted, ConditionType::Ready).1, "WaitingForImage");
    let failed = seen(Image { state: ImageState::Failed, ..made });
    let decision = decided(&plain(), &adopted.status, &failed, 100);
    assert_eq!(reason(&decision, ConditionType::Stalled).0, "True");
    assert_eq!(decision.step(), None);
}

#[test]
fn a_copy_that_somebody_disabled_is_not_made_twice() {
    let mut status = imaging();
    let capture = status.capture.as_mut().unwrap();
    (capture.restart_record, capture.completion_time) = (None, Some(Time(at(200))));
    (capture.snapshots_started_time, capture.source_restored_time) = (Some(Time(at(45))), Some(Time(at(70))));
    for (row, id) in status.regions.iter_mut().zip(["ami-0123456789abcdef0", "ami-00000000000000002"]) {
        (row.image_id, row.state, row.attempts) = (Some(id.parse().unwrap()), RegionState::Available, 1);
    }
    let mut seen =
        world(at(900), vec![running()], vec![owned(image(CAPTURE, ImageState::Available))], vec![]);
    let copy =
        Image { id: "ami-00000000000000002".parse().unwrap(), ..owned(image(CAPTURE, ImageState::Disabled)) };
    let view = seen.abroad.values_mut().next().unwrap().as_mut().unwrap();
    Arc::make_mut(view).images = Ok(vec![copy]);
    let decision = decided(&plain(), &status, &seen, 900);
    assert_eq!(decision.step(), None);
    assert_eq!(reason(&decision, ConditionType::Ready).1, "PartiallyReplicated");
}

/// The plan of a machine that was in this state.
fn planned_while(state: InstanceState) -> SavedTemplateStatus {
    let mut status = planned();
    status.source.as_mut().unwrap().original_state = Some(state.as_str().to_owned());
    status
}

#[test]
fn a_machine_is_stopped_only_once_its_record_was_found_twice_five_seconds_apart() {
    for (seen, stops) in [(None, false), (Some((8, 8)), false), (Some((8, 12)), false), (Some((8, 13)), true)]
    {
        let mut world = world(at(13), vec![tagged(running())], vec![], vec![]);
        let sighting = |(first, last)| {
            let sighting = Sighting { first: at(first), last: at(last) };
            ((record().instance, record().to_string()), sighting)
        };
        Arc::make_mut(world.home.as_mut().unwrap()).sightings = seen.map(sighting).into_iter().collect();
        let decision = decided(&plain(), &planned_while(InstanceState::Running), &world, 13);
        assert_eq!(matches!(decision.step(), Some(Step::Stop { .. })), stops, "{seen:?}");
    }
}

#[test]
fn a_stop_is_repeated_only_while_its_record_is_on_the_machine() {
    let mut status = stopping();
    status.announced = vec![announced(STOP, 10, 1, None)];
    for (machine, stops) in [(tagged(running()), true), (running(), false)] {
        let decision = decided(&plain(), &status, &world(at(20), vec![machine], vec![], vec![]), 20);
        assert_eq!(matches!(decision.step(), Some(Step::Stop { .. })), stops);
    }
}

#[test]
fn a_hard_stop_leaves_three_minutes_before_the_limit_at_the_latest() {
    let mut status = stopping();
    status.capture.as_mut().unwrap().on_stop_timeout = OnStopTimeout::Force;
    let machine = Instance { state: InstanceState::Stopping, ..tagged(running()) };
    for (seconds, why) in [(609, None), (610, None), (1800 - 180, None), (1800 - 179, Some("StopTimedOut"))] {
        let seen = world(at(seconds), vec![machine.clone()], vec![], vec![]);
        let decision = decided(&plain(), &status, &seen, seconds);
        let capture = decision.status.capture.unwrap();
        assert_eq!(capture.reason.map(<&str>::from), why, "{seconds}");
        let record: Record = capture.restart_record.unwrap().parse().unwrap();
        assert_eq!(record.is_forced(), seconds > 609 && why.is_none(), "{seconds}");
    }
}

#[test]
fn the_image_is_asked_for_a_minute_before_m_at_the_latest() {
    for (seconds, asks) in [(50, true), (780 - 60, true), (780 - 59, false), (1000, false)] {
        let seen = world(at(seconds), vec![tagged(stopped_at(Some(at(20))))], vec![], vec![]);
        let decision = decided(&plain(), &stopping(), &seen, seconds);
        assert_eq!(matches!(decision.step(), Some(Step::CreateImage(_))), asks, "{seconds}");
    }
}

#[test]
fn a_stopped_machine_is_imaged_without_a_reboot_in_every_mode() {
    use CaptureMode as M;
    let claim = Record { awaits: Awaits::Nothing, ..record() }.to_string();
    for (mode, state, reboots) in [
        (M::Stop, InstanceState::Stopped, false),
        (M::Reboot, InstanceState::Stopped, false),
        (M::NoReboot, InstanceState::Stopped, false),
        (M::NoReboot, InstanceState::Running, false),
        (M::Reboot, InstanceState::Running, true),
    ] {
        let mut status = planned_while(state);
        let capture = status.capture.as_mut().unwrap();
        (capture.mode, capture.restart_record) = (mode, Some(claim.clone()));
        let mut machine = Instance { state, ..stopped_at(None) };
        machine.tags.insert(names::debt_key(OWNER.cluster), claim.clone());
        let decision = decided(&plain(), &status, &world(at(13), vec![machine], vec![], vec![]), 13);
        let Some(Step::CreateImage(request)) = decision.step() else {
            panic!("{mode:?} {:?}", decision.step())
        };
        assert_eq!(request.reboot, reboots, "{mode:?} {state:?}");
    }
    let seen = world(at(50), vec![tagged(stopped_at(Some(at(20))))], vec![], vec![]);
    let asked = decided(&plain(), &stopping(), &seen, 50);
    let Some(Step::CreateImage(request)) = asked.step() else {
        panic!("the image of a machine that we stopped")
    };
    assert!(!request.reboot);
}

#[test]
fn stopped_is_claimed_only_with_the_reply_to_our_own_start() {
    let reply = |previous, launched| Some(Started { previous, launch_time_before: Some(at(launched)) });
    for (started, claimed) in [
        (reply(InstanceState::Stopped, -9000), Consistency::Stopped),
        (reply(InstanceState::Stopped, 42), Consistency::Unknown),
        (reply(InstanceState::Pending, -9000), Consistency::Unknown),
        (None, Consistency::Unknown),
    ] {
        let machine = Instance { launch_time: Some(at(60)), ..tagged(running()) };
        let shots = [45, 46].iter().zip(1..);
        let shots = shots.map(|(&time, n)| snapshot(n, CAPTURE, at(time), SnapshotState::Pending)).collect();
        let image = owned(image(CAPTURE, ImageState::Pending));
        let seen = World { started, ..world(at(70), vec![machine], vec![image], shots) };
        let capture = decided(&plain(), &imaging(), &seen, 70).status.capture.unwrap();
        assert!(capture.source_restored_time.is_some() && capture.snapshots_started_time.is_some());
        assert_eq!(capture.consistency, claimed, "{started:?}");
    }
}

/// What an earlier save left, available.
fn left() -> Image {
    let mut image = owned(image(CAPTURE, ImageState::Available));
    image.tags.insert(names::tag::SOURCE.into(), names::source_digest(&plain().source));
    image
}

/// What is not quite that: one tag, or one of EC2's own fields, says something else.
fn forgeries() -> Vec<Image> {
    let tags = [
        names::tag::CLUSTER,
        names::tag::NAMESPACE,
        names::tag::NAME,
        names::tag::REVISION,
        names::tag::ROLE,
        names::tag::REGION,
        names::tag::SOURCE_INSTANCE,
    ];
    let without = tags.iter().map(|key| {
        let mut image = left();
        image.tags.remove(*key);
        image
    });
    let other = tags.iter().map(|key| {
        let mut image = left();
        image.tags.insert((*key).to_owned(), "7".to_owned());
        image
    });
    let fields = [
        Image { name: "nightly backup".into(), ..left() },
        Image { source_instance: None, ..left() },
        Image { source_instance: Some("i-0fedcba9876543210".parse().unwrap()), ..left() },
    ];
    without.chain(other).chain(fields).collect()
}

#[test]
fn an_image_is_ours_only_if_its_tags_and_ec2s_own_fields_agree() {
    let adopts = |image: Image| {
        let seen = world(at(100), vec![running()], vec![image], vec![]);
        decided(&plain(), &SavedTemplateStatus::default(), &seen, 100).status.image_id.is_some()
    };
    assert!(adopts(left()));
    for image in forgeries() {
        assert!(!adopts(image.clone()), "{image:?}");
    }
}

/// What a deletion with policy `Delete` does first.
fn deletes(images: Vec<Image>, snapshots: Vec<Snapshot>) -> Option<Step> {
    deletes_of(&SavedTemplateStatus::default(), images, snapshots)
}

fn deletes_of(status: &SavedTemplateStatus, images: Vec<Image>, snapshots: Vec<Snapshot>) -> Option<Step> {
    let spec = spec(
        r#"{"source": {"region": "us-west-2", "instanceName": "earthquake-analysis"}, "deletionPolicy": "Delete"}"#,
    );
    let subject = Subject { deleting: true, ..subject(&spec, status) };
    decide(subject, &world(at(9000), vec![running()], images, snapshots), at(9000))
        .into_decision()
        .unwrap()
        .steps
        .pop()
}

#[test]
fn a_deletion_takes_nothing_that_only_looks_like_ours() {
    assert!(matches!(deletes(vec![left()], vec![]), Some(Step::Deregister { .. })));
    for image in forgeries() {
        assert_eq!(deletes(vec![image.clone()], vec![]), None, "{image:?}");
    }
    // Its image is gone: the status knows it, or the capture and its volumes.
    let shot = Snapshot { tags: left().tags, ..snapshot(1, CAPTURE, at(33), SnapshotState::Completed) };
    let undescribed = Snapshot { description: String::new(), ..shot.clone() };
    for ours in [shot.clone(), undescribed.clone()] {
        let step = deletes_of(&saved(), vec![], vec![ours.clone()]);
        assert!(matches!(step, Some(Step::DeleteSnapshot { .. })), "{step:?} {ours:?}");
    }
    let of = |description: &str| Snapshot { description: description.into(), ..undescribed.clone() };
    let with = |change: &dyn Fn(&mut Snapshot)| {
        let mut shot = of("Created by CreateImage(i-0123456789abcdef0) for ami-00000000000000009");
        shot.tags.insert(tag::CAPTURE.into(), "f".repeat(16));
        change(&mut shot);
        shot
    };
    for (what, status, foreign) in [
        ("a kept backup of the same machine", saved(), with(&|_| {})),
        (
            "a copied backup",
            saved(),
            with(&|shot| {
                shot.description =
                    "Copied for DestinationAmi ami-00000000000000009 from SourceAmi ami-1".into();
            }),
        ),
        ("made by hand", saved(), with(&|shot| shot.description = "before the upgrade".into())),
        (
            "of the capture, and of another volume",
            saved(),
            with(&|shot| {
                shot.tags.insert(tag::CAPTURE.into(), CAPTURE.into());
                shot.volume = "vol-00000000000000009".parse().unwrap();
            }),
        ),
        ("another object's", saved(), Snapshot { tags: forgeries().remove(2).tags, ..shot.clone() }),
        ("of a status that was lost", SavedTemplateStatus::default(), shot),
    ] {
        assert_eq!(deletes_of(&status, vec![], vec![foreign]), None, "{what}");
    }
}

#[test]
fn an_object_goes_only_once_every_region_was_empty_for_a_minute_and_nothing_can_show_any_more() {
    let spec = spec(
        r#"{"source": {"region": "us-west-2", "instanceName": "earthquake-analysis"}, "deletionPolicy": "Delete"}"#,
    );
    let everything = crate::key::Key::template(OWNER.namespace, OWNER.name).to_string();
    // The image was asked for at 41.
    for (seconds, answered, since, reads, goes) in [
        (1000, true, 940, 3, true),
        (1000, true, 940, 2, false),
        (1000, true, 941, 9, false),
        (340, true, 100, 9, false),
        (341, true, 100, 9, true),
        (1000, false, 100, 9, false),
        (1001, false, 100, 9, true),
    ] {
        let mut status = imaging();
        let capture = status.capture.as_mut().unwrap();
        (capture.restart_record, capture.completion_time) = (None, Some(Time(at(200))));
        status.regions.truncate(1);
        status.regions[0].image_id = answered.then(|| left().id);
        let mut seen = world(at(seconds), vec![running()], vec![], vec![]);
        let view = Arc::make_mut(seen.home.as_mut().unwrap());
        view.absences.insert(everything.clone(), Absence { since: at(since), reads });
        let subject = Subject { deleting: true, ..subject(&spec, &status) };
        let decision = decide(subject, &seen, at(seconds)).into_decision().unwrap();
        assert_eq!(decision.step(), None);
        assert_eq!(decision.finalizer == Finalizer::Remove, goes, "{seconds} {answered} {since} {reads}");
    }
}

#[test]
fn what_a_twin_of_this_cluster_holds_is_served_and_never_changed() {
    let mut held = left();
    held.tags.insert(names::tag::HOLDER.into(), "77777777-1111-2222-3333-444455556666".into());
    let seen = world(at(100), vec![running()], vec![held.clone()], vec![]);
    let decision = decided(&plain(), &SavedTemplateStatus::default(), &seen, 100);
    assert_eq!(decision.status.image_id, Some(held.id.clone()));
    assert_eq!(decision.step(), None);
    assert_eq!(reason(&decision, ConditionType::Validated).1, "HeldByOtherCluster");
    assert_eq!(deletes(vec![held], vec![]), None);
}

#[test]
fn a_copy_without_a_reply_is_asked_for_again_after_ten_minutes_only_if_it_is_absent() {
    let mut status = imaging();
    let capture = status.capture.as_mut().unwrap();
    (capture.restart_record, capture.completion_time) = (None, Some(Time(at(200))));
    (capture.snapshots_started_time, capture.source_restored_time) = (Some(Time(at(45))), Some(Time(at(70))));
    let home = &mut status.regions[0];
    (home.image_id, home.state) = (Some(left().id), RegionState::Available);
    let copy = &mut status.regions[1];
    (copy.attempts, copy.announced_time, copy.next_attempt_time) =
        (1, Some(Time(at(300))), Some(Time(at(310))));
    let asks = |seconds, absence: Option<Absence>| {
        let mut seen = world(at(seconds), vec![running()], vec![left()], vec![]);
        let view = seen.abroad.values_mut().next().unwrap().as_mut().unwrap();
        let name = OWNER.image_name(OWNER.name, 1, 1);
        Arc::make_mut(view).absences = absence.map(|absence| (name, absence)).into_iter().collect();
        match decided(&plain(), &status, &seen, seconds).steps.pop() {
            Some(Step::CopyImage { request, .. }) => Some(request.token),
            _ => None,
        }
    };
    let absent = |since, reads| Some(Absence { since: at(since), reads });
    let token = asks(899, None);
    assert!(token.is_some(), "within ten minutes the token answers for it");
    assert_eq!(asks(900, None), None);
    assert_eq!(asks(900, absent(310, 2)), None);
    assert_eq!(asks(900, absent(781, 9)), None);
    assert_eq!(asks(900, absent(780, 3)), token, "the same copy");
}
