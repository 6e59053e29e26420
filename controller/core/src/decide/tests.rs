//! What every decision keeps to, whatever was seen; and single states that once went wrong.
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use saved_template_api::{
    ConditionType,
    condition::{MAX_MESSAGE_BYTES, find},
    names,
    status::{Announced, RegionState},
};

use super::*;
use crate::{
    debt::Record,
    sample::{
        CAPTURE, EARLIER_CAPTURE, OWNER, at, image, imaging, owned, plain, planned, record, running,
        snapshot, spec, stopped_at, stopping, subject, tagged, world,
    },
    step::{CREATE_IMAGE, STOP, TAG, UNTAG},
    world::{Absence, Image, ImageState, Instance, InstanceState, Snapshot, SnapshotState},
};

fn decided(spec: &SavedTemplateSpec, status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    decide(subject(spec, status), world, at(seconds)).expect("every question is answered")
}

fn announced(step: &str, seconds: i64, number: i64, settled: Option<&str>) -> Announced {
    Announced {
        number,
        step: step.into(),
        time: Time(at(seconds)),
        request: record().to_string(),
        region: None,
        settled: settled.map(str::to_owned),
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
    assert_ne!(ready, moving || stalled, "{conditions:#?}");
    let owed = decision.status.capture.as_ref().is_some_and(|capture| capture.debt.is_some());
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
        if let Some(step) = &decision.step {
            assert_ne!(decision.status, status, "{step:?} is not announced");
            is_fenced(step, &decision.status, world, seconds);
            let again = decided(spec, &decision.status, world, seconds).step;
            assert_ne!(again.as_ref(), Some(step), "asked for twice with one read");
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
            let record: Record = capture.debt.as_ref().unwrap().parse().unwrap();
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
            status.announced = announced;
            if let Some(capture) = status.capture.as_mut() {
                capture.reason = reason.map(str::to_owned);
                let imaging = capture.image_requested_time.is_some();
                capture.snapshots_started_time = (started && imaging).then(|| Time(at(50)));
                capture.source_restored_time = (back && imaging).then(|| Time(at(90)));
                if unowed && imaging || over && reason.is_some() {
                    capture.debt = None;
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
        let decision = decide(subject, &world, at(seconds)).unwrap();
        keeps_to_conventions(&decision);
        let owed = decision.status.capture.as_ref().is_some_and(|capture| capture.debt.is_some());
        prop_assert!(owed || decision.finalizer == Finalizer::Remove);
        prop_assert!(seconds < 1800 || decision.finalizer == Finalizer::Remove);
        let begins = matches!(decision.step, Some(Step::Stop { .. } | Step::CreateImage(_) | Step::CopyImage { .. }));
        prop_assert!(!begins, "new work");
    }

    #[test]
    fn an_unreadable_world_changes_nothing_on_aws(status in statuses(), seconds in 0..4000_i64) {
        let mut dark = world(at(seconds), vec![], vec![], vec![]);
        let silent = || crate::refusal::Refusal::new("DescribeInstances", "", "no answer");
        dark.abroad.values_mut().for_each(|view| *view = Err(silent()));
        dark.home = Err(silent());
        let decision = decided(&plain(), &status, &dark, seconds);
        keeps_to_conventions(&decision);
        prop_assert_eq!(decision.step, None);
    }
}

#[test]
fn a_stop_refused_after_one_whose_outcome_is_unknown_withdraws_nothing() {
    let mut status = stopping();
    status.announced = Some(announced(STOP, 30, 2, Some("RequestLimitExceeded: later")));
    for state in [InstanceState::Stopping, InstanceState::Running] {
        let machine = Instance { state, ..tagged(running()) };
        let decision = decided(&plain(), &status, &world(at(70), vec![machine], vec![], vec![]), 70);
        assert_eq!(decision.step, None, "{state:?}");
        assert!(decision.status.capture.unwrap().debt.is_some());
    }
}

#[test]
fn a_stop_that_was_refused_each_time_is_withdrawn_and_is_no_disruption() {
    let mut status = stopping();
    status.announced = Some(announced(STOP, 30, 1, Some("UnauthorizedOperation: no")));
    let decision = decided(&plain(), &status, &world(at(70), vec![tagged(running())], vec![], vec![]), 70);
    assert!(matches!(decision.step, Some(Step::Untag { .. })));
    assert_eq!(decision.status.capture.unwrap().disruptions, 0);
    // And the next Stop after a definite refusal counts as the first again.
    let again = decided(&plain(), &status, &world(at(50), vec![tagged(running())], vec![], vec![]), 50);
    assert!(matches!(again.step, Some(Step::Stop { .. })));
    assert_eq!(again.status.announced.unwrap().number, 1);
}

#[test]
fn a_machine_found_stopped_under_a_plan_of_long_ago_was_stopped_by_us_and_is_not_forgotten() {
    let machine = tagged(stopped_at(Some(at(12))));
    let decision = decided(&plain(), &planned(), &world(at(400), vec![machine.clone()], vec![], vec![]), 400);
    assert!(matches!(decision.step, Some(Step::CreateImage(_))), "the save goes on");
    let late = decided(&plain(), &planned(), &world(at(2000), vec![machine], vec![], vec![]), 2000);
    assert_eq!(late.step, None, "the restart loop has it");
    assert!(late.status.capture.unwrap().debt.is_some());
}

#[test]
fn a_plan_that_is_no_longer_wanted_is_withdrawn_before_anything_is_stopped() {
    let edited = spec(
        r#"{"source": {"region": "us-west-2", "instanceName": "earthquake-analysis"}, "suspend": true}"#,
    );
    for seconds in [10, 100] {
        let world = world(at(seconds), vec![tagged(running())], vec![], vec![]);
        let decision = decided(&edited, &planned(), &world, seconds);
        assert!(matches!(decision.step, Some(Step::Untag { .. })), "{:?}", decision.step);
    }
}

#[test]
fn an_image_is_not_missing_two_seconds_after_it_was_accepted_however_long_it_was_absent() {
    let mut status = imaging();
    status.announced = Some(announced(CREATE_IMAGE, 300, 2, None));
    let row = &mut status.regions[0];
    (row.image_id, row.state) = (Some("ami-0123456789abcdef0".parse().unwrap()), RegionState::Pending);
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
        assert_eq!(decision.step.is_none(), is_live, "{seconds}");
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
    assert_eq!(decision.step, None);
}

#[test]
fn a_copy_that_somebody_disabled_is_not_made_twice() {
    let mut status = imaging();
    let capture = status.capture.as_mut().unwrap();
    (capture.debt, capture.completion_time) = (None, Some(Time(at(200))));
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
    assert_eq!(decision.step, None);
    assert_eq!(reason(&decision, ConditionType::Ready).1, "PartiallyReplicated");
}
