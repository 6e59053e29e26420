//! The real decisions against the simulator's library, in virtual time, dying at every effect.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]
mod adversity;
mod after;
mod chronicle;
mod class;
mod conformance;
mod counts;
mod ec2;
mod ec2_faults;
mod enemy;
mod failed;
mod handwritten;
mod hard;
mod history;
mod history_log;
mod hostile;
mod incident;
mod lab;
mod label;
mod late;
mod life;
mod mishap;
mod model;
mod oracle;
mod people;
mod process;
mod random;
mod refusals;
mod replicas;
#[expect(dead_code, reason = "its search is a test of the core")]
#[path = "../../core/tests/small"]
mod small {
    pub(crate) mod cloud;
    pub(crate) mod forger;
    pub(crate) mod mind;
    pub(crate) mod process;
    pub(crate) mod state;
    pub(crate) mod world;
}
mod trace;
mod truth;
mod upgrade;
mod waiting;
mod walk;

use ec2sim::{Effect, Fault, InstanceState};
use saved_template_api::status::Consistency;

use crate::{
    chronicle::Kill,
    ec2::{HOME, on_instance, tries, untag},
    lab::{CLUSTER, Lab},
};

const PLAIN: &str = r#"{"source": {"region": "us-west-2", "instanceName": "quake"}}"#;
const COPIES: &str = r#"{"source": {"region": "us-west-2", "instanceName": "quake"},
    "regions": [{"name": "us-east-2"}, {"name": "us-west-1"}]}"#;
const PATIENT: &str = r#"{"source": {"region": "us-west-2", "instanceName": "quake"},
    "capture": {"restartWhen": "ImageAvailable"}}"#;
const ALL: [&str; 3] = [HOME, "us-east-2", "us-west-1"];

fn regions(spec: &str) -> &'static [&'static str] {
    if spec == COPIES { &ALL } else { &ALL[..1] }
}

/// What holds at the end of every save that could succeed.
fn assert_saved(lab: &Lab, spec: &str) {
    let history = lab.effects().join("\n");
    assert_eq!(lab.instance().state, InstanceState::Running, "{:?}\n{history}", lab.kills());
    assert!(!lab.owes(), "{:?}\n{history}", lab.kills());
    for region in regions(spec) {
        assert_eq!(lab.images(region), 1, "{region} {:?}\n{history}", lab.kills());
    }
    assert_eq!(lab.instance().downtimes().len(), 1, "{:?}\n{history}", lab.kills());
    let capture = lab.status().capture.clone().unwrap();
    let snapshots = &lab.home().snapshots;
    let at_rest = snapshots.values().all(|snapshot| snapshot.is_at_rest);
    assert!(
        at_rest || capture.consistency != Consistency::Stopped,
        "a lie about consistency: {:?}",
        lab.kills()
    );
}

fn saved(spec: &str, kill: Option<Kill>) -> Lab {
    saved_from(spec, kill, |_| {})
}

/// The same; once the process has died, something is done before the next one begins.
fn saved_from(spec: &str, kill: Option<Kill>, between: impl Fn(&Lab)) -> Lab {
    let mut lab = Lab::new(spec);
    lab.chronicle().kill.extend(kill);
    let mut died = false;
    for _ in 0..3000 {
        if lab.is_ready() {
            break;
        }
        lab.tick();
        if !died && lab.is_dead() {
            died = true;
            between(&lab);
        }
    }
    assert_eq!(died, kill.is_some(), "{kill:?}");
    lab.until(1, "Ready", Lab::is_ready);
    lab.run(60);
    lab
}

#[test]
fn a_save_ends_ready_proven_and_then_writes_nothing() {
    for spec in [PLAIN, COPIES, PATIENT] {
        let mut lab = saved(spec, None);
        assert_saved(&lab, spec);
        let capture = lab.status().capture.clone().unwrap();
        assert_eq!(
            capture.consistency,
            Consistency::Stopped,
            "{spec}\n{}\n{capture:#?}",
            lab.effects().join("\n")
        );
        let copies = regions(spec).len() - 1;
        assert!(
            lab.writes() <= 15 + 6 * copies,
            "{} status writes\n{}",
            lab.writes(),
            lab.effects().join("\n")
        );
        let (writes, calls) = (lab.writes(), lab.effects().len());
        lab.run(3600);
        assert_eq!((lab.writes(), lab.effects().len()), (writes, calls), "at rest nothing is written");
    }
}

#[test]
fn a_process_killed_before_or_after_any_effect_leaves_one_image_and_a_running_machine() {
    for spec in [PLAIN, COPIES, PATIENT] {
        let effects = saved(spec, None).effects().len();
        assert!(effects >= 12);
        for effect in 0..effects {
            for after in [false, true] {
                let lab = saved(spec, Some(Kill { effect, after }));
                assert_saved(&lab, spec);
                assert_eq!(lab.count("StopInstances"), 1, "{}", lab.history());
            }
        }
    }
}

#[test]
fn a_reply_lost_or_a_call_dropped_makes_nothing_twice() {
    for operation in
        ["CreateTags", "StopInstances", "CreateImage", "StartInstances", "DeleteTags", "CopyImage"]
    {
        for effect in [Effect::ApplyAndDrop, Effect::Drop] {
            let mut lab = Lab::new(COPIES);
            lab.sim().add_fault(Fault::new(operation, effect).nth(1).times(tries(operation)));
            lab.until(3000, "Ready", Lab::is_ready);
            lab.run(60);
            let stops = lab.count("StopInstances");
            assert!(stops == 1 || operation == "StopInstances", "{operation}");
            assert_eq!(lab.instance().state, InstanceState::Running, "{operation}");
            for region in ALL {
                assert_eq!(lab.images(region), 1, "{operation} {region}\n{}", lab.effects().join("\n"));
            }
        }
    }
}

#[test]
fn throttling_and_server_errors_pass() {
    for operation in
        ["CreateTags", "StopInstances", "CreateImage", "StartInstances", "DeleteTags", "CopyImage"]
    {
        for code in ["RequestLimitExceeded", "InternalError"] {
            let mut lab = Lab::new(COPIES);
            let refuse = Effect::Refuse { code: code.into(), message: "later".into(), status: None };
            lab.sim().add_fault(Fault::new(operation, refuse).nth(1).times(2 * tries(operation)));
            lab.until(3000, "Ready", Lab::is_ready);
            lab.run(60);
            assert_saved(&lab, COPIES);
        }
    }
}

/// How many seconds a save of one machine takes until nothing is owed.
const SAVE: i64 = 130;

#[test]
fn with_the_api_server_away_from_any_second_on_the_machine_comes_back() {
    for second in (1..SAVE).step_by(2) {
        let mut lab = Lab::new(PLAIN);
        lab.run(second);
        lab.api(false);
        lab.run(30 + 60 + 30 + 40 + 1100);
        assert_eq!(
            lab.instance().state,
            InstanceState::Running,
            "away from {second}\n{}",
            lab.effects().join("\n")
        );
        assert!(!lab.owes(), "away from {second}\n{}", lab.effects().join("\n"));
        let down: i64 = lab.instance().downtimes().iter().map(|(from, to)| to.unwrap() - from).sum();
        assert!(down <= 150_000, "away from {second}: down for {down} ms");
        lab.api(true);
        lab.run(600);
        assert!(lab.count("StopInstances") <= 1, "away from {second}");
        assert!(
            lab.is_ready() || lab.condition("Stalled").0 == "True",
            "away from {second}: {:?}",
            lab.condition("Ready")
        );
    }
}

#[test]
fn an_object_deleted_at_any_second_goes_once_the_machine_is_back() {
    for second in 1..SAVE {
        let mut lab = Lab::new(PLAIN);
        lab.run(second);
        lab.delete();
        lab.until(1300, "gone", |lab| lab.object().is_none());
        lab.run(60);
        assert_eq!(
            lab.instance().state,
            InstanceState::Running,
            "deleted at {second}\n{}",
            lab.effects().join("\n")
        );
        assert!(!lab.owes(), "deleted at {second}\n{}", lab.effects().join("\n"));
    }
}

#[test]
fn an_object_force_deleted_at_any_second_leaves_a_running_machine() {
    for second in 1..SAVE {
        let mut lab = Lab::new(PLAIN);
        lab.run(second);
        lab.force_delete();
        lab.run(1300);
        assert_eq!(
            lab.instance().state,
            InstanceState::Running,
            "lost at {second}\n{}",
            lab.effects().join("\n")
        );
        assert!(!lab.owes(), "lost at {second}\n{}", lab.effects().join("\n"));
        assert!(lab.count("StopInstances") <= 1);
    }
}

#[test]
fn a_status_lost_at_any_second_never_stops_the_machine_twice() {
    for second in 1..SAVE {
        let mut lab = Lab::new(PLAIN);
        lab.run(second);
        let stopped = lab.count("StopInstances");
        lab.edit(|object| object.status = saved_template_api::SavedTemplateStatus::default());
        lab.run(2400);
        assert_eq!(
            lab.instance().state,
            InstanceState::Running,
            "wiped at {second}\n{}",
            lab.effects().join("\n")
        );
        let settled = lab.is_ready() || lab.condition("Stalled").0 == "True";
        assert!(settled, "wiped at {second}: {:?}\n{}", lab.condition("Ready"), lab.effects().join("\n"));
        assert!(
            lab.count("StopInstances") <= stopped.max(1),
            "wiped at {second}\n{}",
            lab.effects().join("\n")
        );
        assert!(lab.images(HOME) <= 1);
    }
}

#[test]
fn a_record_stripped_at_any_second_is_written_again_or_was_not_needed() {
    for second in 1..SAVE {
        let mut lab = Lab::new(PLAIN);
        lab.run(second);
        let key = saved_template_api::names::debt_key(CLUSTER);
        if let Some(value) = lab.instance().tags.get(&key).cloned() {
            let id = lab.id.clone();
            lab.user(&untag(&id, &key, &value));
        }
        lab.until(3000, "Ready", Lab::is_ready);
        lab.run(60);
        assert_saved(&lab, PLAIN);
    }
}

#[test]
fn a_machine_terminated_at_any_second_ends_the_save_and_is_told() {
    for second in 1..SAVE {
        let mut lab = Lab::new(PLAIN);
        lab.run(second);
        let id = lab.id.clone();
        lab.user(&on_instance("TerminateInstances", &id));
        lab.run(1500);
        let settled = lab.is_ready() || lab.condition("Stalled").0 == "True";
        assert!(settled, "at {second}: {:?}\n{}", lab.condition("Ready"), lab.effects().join("\n"));
        assert!(lab.count("StartInstances") <= 1, "at {second}");
    }
}

#[test]
fn a_user_who_starts_the_machine_meanwhile_keeps_it_and_consistency_is_not_claimed_without_proof() {
    for second in 30..100 {
        let mut lab = Lab::new(PLAIN);
        lab.run(second);
        if lab.instance().state != InstanceState::Stopped {
            continue;
        }
        let id = lab.id.clone();
        lab.user(&on_instance("StartInstances", &id));
        lab.run(2000);
        assert_eq!(lab.instance().state, InstanceState::Running, "at {second}");
        let settled = lab.is_ready() || lab.condition("Stalled").0 == "True";
        assert!(settled, "at {second}: {:?}\n{}", lab.condition("Ready"), lab.effects().join("\n"));
        assert_eq!(lab.count("StopInstances"), 1);
        let capture = lab.status().capture.clone().unwrap();
        let snapshots = &lab.home().snapshots;
        let at_rest = !snapshots.is_empty() && snapshots.values().all(|snapshot| snapshot.is_at_rest);
        assert!(at_rest || capture.consistency != Consistency::Stopped, "at {second}");
    }
}

#[test]
fn snapshots_that_never_begin_give_the_machine_back_at_d_and_the_image_is_not_served() {
    let mut lab = Lab::new(PLAIN);
    lab.sim().add_fault(Fault::new("CreateImage", Effect::NoSnapshots).nth(1));
    lab.run(2400);
    assert_eq!(lab.instance().state, InstanceState::Running);
    let (from, to) = lab.instance().downtimes()[0];
    assert!((to.unwrap() - from) / 1000 <= 1800 + 60);
    assert_eq!(lab.condition("Stalled").0, "True");
    assert!(lab.status().images.is_empty());
    assert_eq!(lab.count("StopInstances"), 1);
}

#[test]
fn a_stop_that_sticks_is_given_up_and_the_machine_comes_back_when_it_lets_go() {
    let mut lab = Lab::new(PLAIN);
    lab.sim().config_mut().stop = 1_000_000;
    lab.run(2500);
    assert_eq!(lab.instance().state, InstanceState::Running, "{}", lab.effects().join("\n"));
    assert_eq!(lab.count("CreateImage"), 0, "too late for an image");
    assert!(!lab.owes());
    assert_eq!(lab.condition("Stalled").0, "True");
}
