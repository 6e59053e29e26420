//! What EC2 refuses, fails or never shows.
use ec2sim::{ACCOUNT, Effect, Fault, InstanceState, StartFault};

use crate::{
    ALL, COPIES, PATIENT, PLAIN,
    ec2::HOME,
    lab::Lab,
    oracle::{assert_given_back, is_settled},
};

fn refuse(operation: &str, code: &str) -> Fault {
    Fault::new(operation, Effect::Refuse { code: code.into(), message: "no".into(), status: None })
}

#[test]
fn a_copy_that_ec2_cannot_make_is_asked_for_with_pauses_and_holds_up_no_other() {
    for code in ["InternalError", "RequestLimitExceeded", "UnauthorizedOperation", "ResourceLimitExceeded"] {
        for regions in [vec!["us-east-2"], vec!["us-east-2", "us-west-1"]] {
            let mut lab = Lab::new(COPIES);
            for region in &regions {
                lab.sim().add_fault(refuse("CopyImage", code).region(region));
            }
            lab.run(3900);
            let asked = lab.asked("CopyImage");
            assert!(asked <= 65 * regions.len(), "{code}: {asked} calls in an hour\n{}", lab.history());
            if regions.len() == 1 {
                assert_eq!(lab.images("us-west-1"), 1, "{code}");
            }
            assert_ne!(lab.condition("Replicated").0, "True", "{code}");
            lab.sim().clear_faults();
            lab.until(1300, "Ready", Lab::is_ready);
            for region in ALL {
                assert_eq!(lab.images(region), 1, "{code} {region}\n{}", lab.history());
            }
        }
    }
}

#[test]
fn a_region_that_does_not_answer_holds_up_nothing_else() {
    let mut lab = Lab::new(COPIES);
    lab.goes_dark("us-east-2");
    lab.until(600, "copied where it can be", |lab| lab.condition("Available").1 == "RegionMissing");
    lab.run(300);
    assert_given_back(&lab, "dark");
    assert_eq!((lab.images("us-west-1"), lab.images("us-east-2")), (1, 0));
    lab.answers_again();
    lab.until(600, "Ready", Lab::is_ready);
}

#[test]
fn a_copy_that_fails_is_made_again_under_another_name_without_stopping_anything() {
    let mut lab = Lab::new(COPIES);
    let fail = Effect::FailImage {
        code: "Client.InternalError".into(),
        message: "a bad disk".into(),
        after_ms: None,
    };
    lab.sim().add_fault(Fault::new("CopyImage", fail).region("us-east-2").nth(1).times(2));
    lab.until(1800, "Ready", Lab::is_ready);
    assert_eq!(lab.images("us-east-2"), 3, "two that failed and a good one");
    assert_eq!((lab.images("us-west-1"), lab.count("StopInstances")), (1, 1));
}

#[test]
fn snapshots_that_begin_after_the_machine_was_given_back_make_no_image_that_is_served() {
    for second in [20, 80, 1000, 1850] {
        let mut lab = Lab::new(COPIES);
        lab.sim().config_mut().snapshot_lag = 1_900_000;
        lab.sim().config_mut().start_before_capture_fails_image = false;
        lab.until(100, "asked for", |lab| lab.count("CreateImage") == 1);
        lab.run(second);
        lab.api(false);
        lab.run(3000 - second);
        lab.api(true);
        lab.run(600);
        assert_given_back(&lab, "late");
        assert!(lab.status().images.is_empty(), "{second}");
        assert_eq!(lab.count("CopyImage"), 0, "{second}");
        assert_eq!(lab.condition("Stalled").0, "True", "{second}");
    }
}

#[test]
fn a_start_without_capacity_or_permission_is_tried_for_ever_and_told() {
    let faults =
        [("InsufficientInstanceCapacity", "InsufficientCapacity"), ("UnauthorizedOperation", "StartFailed")];
    for (code, reason) in faults {
        let mut lab = Lab::new(PLAIN);
        lab.sim().add_fault(refuse("StartInstances", code));
        lab.run(1800);
        assert_eq!(lab.instance().state, InstanceState::Stopped);
        assert_eq!(lab.condition("SourceRestored"), ("False".into(), reason.into()));
        assert_eq!(lab.condition("Reconciling").0, "True");
        lab.sim().clear_faults();
        lab.until(600, "Ready", Lab::is_ready);
        assert_given_back(&lab, code);
    }
    let mut lab = Lab::new(PLAIN);
    let id = lab.id.clone();
    lab.sim().fault_starts(ACCOUNT, HOME, &id, StartFault::FallsBack { times: 3 });
    lab.until(900, "Ready", Lab::is_ready);
    assert_given_back(&lab, "falls back");
}

#[test]
fn a_call_that_is_never_permitted_leaves_the_machine_running_and_says_so() {
    for operation in ["CreateTags", "StopInstances", "CreateImage"] {
        for code in ["UnauthorizedOperation", "OperationNotPermitted"] {
            let mut lab = Lab::new(PLAIN);
            lab.sim().add_fault(refuse(operation, code));
            lab.run(1300);
            assert_given_back(&lab, operation);
            assert!(is_settled(&lab), "{operation} {code} {:?}\n{}", lab.condition("Ready"), lab.history());
            assert!(lab.count("StopInstances") <= 1);
            let (_, reason) = lab.condition("Validated");
            let told =
                operation == "CreateImage" || !matches!(reason.as_str(), "InstanceBusy" | "PreflightPassed");
            assert!(told, "{operation} {code} {reason}");
        }
    }
}

#[test]
fn an_image_or_a_snapshot_that_fails_gives_the_machine_back_and_stops_nothing_again() {
    let fail = |after_ms| Effect::FailImage {
        code: "Server.InternalError".into(),
        message: "disk".into(),
        after_ms,
    };
    let effects = [
        fail(Some(1000)),
        fail(Some(30_000)),
        fail(None),
        Effect::FailSnapshots { device: Some("/dev/sdf".into()), message: "kms".into(), after_ms: None },
        Effect::NoSnapshots,
    ];
    for spec in [PLAIN, PATIENT] {
        for effect in effects.clone() {
            let mut lab = Lab::new(spec);
            lab.sim().add_fault(Fault::new("CreateImage", effect.clone()).nth(1));
            lab.run(3600);
            assert_given_back(&lab, &format!("{effect:?}"));
            assert_eq!(lab.condition("Stalled").0, "True", "{effect:?} {:?}", lab.condition("Ready"));
            assert_eq!(lab.condition("ImageAvailable").1, "DisruptionLimitReached", "{effect:?}");
            assert_eq!((lab.count("StopInstances"), lab.count("CreateImage")), (1, 1));
            assert!(lab.status().images.is_empty());
        }
    }
}
