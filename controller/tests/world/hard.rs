//! A guest that takes its time to shut down: the hard stop comes when its time is over, and at nobody's word.
use ec2sim::InstanceState;
use jiff::SignedDuration;
use saved_template_api::names::debt_key;
use saved_template_core::restart::Record;
use serde_json::json;

use crate::{
    ec2::{HOME, tag},
    lab::{CLUSTER, Lab},
};

/// A machine that shuts down for five minutes, of which ten are allowed, in the moment it begins to.
fn stopping(on_timeout: &str) -> Lab {
    let stop = json!({"timeoutSeconds": 600, "onTimeout": on_timeout});
    let source = json!({"region": HOME, "instanceName": "quake"});
    let spec = json!({"source": source, "deletionPolicy": "Retain", "capture": {"stop": stop}});
    let mut lab = Lab::new(&spec.to_string());
    lab.sim().config_mut().stop = 300_000;
    lab.until(120, "stopping", |lab| lab.instance().state == InstanceState::Stopping);
    lab
}

fn assert_never_forced(lab: &Lab, what: &str) {
    assert_eq!(lab.count("StopInstances"), 1, "{what}\n{}", lab.history());
    assert_eq!(lab.instance().state, InstanceState::Running, "{what}\n{}", lab.history());
    assert!(!lab.owes(), "{what}\n{}", lab.history());
}

#[test]
fn a_minute_without_kubernetes_gives_the_save_up_and_stops_no_guest_the_hard_way() {
    for on_timeout in ["Abort", "Force"] {
        let mut lab = stopping(on_timeout);
        lab.api(false);
        lab.run(60);
        lab.api(true);
        lab.run(5);
        let capture = lab.object().and_then(|object| object.status.capture.clone()).unwrap();
        let message = capture.message.unwrap_or_default();
        assert!(message.contains("was given up"), "{on_timeout}: {message}");
        lab.run(1200);
        assert_never_forced(&lab, on_timeout);
        assert_eq!(lab.images(HOME), 0, "{on_timeout}\n{}", lab.history());
    }
}

#[test]
fn no_tag_stops_a_guest_the_hard_way_before_its_time_or_against_the_spec() {
    type Forgery = fn(&Record) -> Record;
    let forgeries: [(&str, Forgery); 3] = [
        ("after half its time", |record| record.forced(record.planned + SignedDuration::from_secs(300))),
        ("before d", |record| record.forced(record.start_by - SignedDuration::from_secs(300))),
        ("given up", |record| record.aborted(record.planned)),
    ];
    for on_timeout in ["Abort", "Force"] {
        for (what, forgery) in forgeries {
            let mut lab = stopping(on_timeout);
            lab.run(5);
            let ours: Record = lab.instance().tags[&debt_key(CLUSTER)].parse().unwrap();
            let (id, forged) = (lab.id.clone(), forgery(&ours));
            lab.user(&tag(&id, &[(debt_key(CLUSTER), forged.to_string())].into()));
            lab.run(1200);
            assert_never_forced(&lab, &format!("{what}, {on_timeout}"));
        }
    }
}

/// Bare metal was seen to take twenty minutes, and nothing says whether EC2 tells when a stop began or when it ended.
#[test]
fn a_machine_that_stops_for_twenty_minutes_comes_back_whenever_ec2_says_that_it_stopped() {
    for at_end in [false, true] {
        let stop = json!({"timeoutSeconds": 1300, "onTimeout": "Abort"});
        let source = json!({"region": HOME, "instanceName": "quake"});
        let capture = json!({"stop": stop, "maxDowntimeSeconds": 3600});
        let mut lab = Lab::new(&json!({"source": source, "capture": capture}).to_string());
        (lab.sim().config_mut().stop, lab.sim().config_mut().transition_at_end) = (1_200_000, at_end);
        lab.run(3000);
        assert_eq!(lab.instance().state, InstanceState::Running, "{at_end}\n{}", lab.history());
        assert!(lab.is_ready(), "{at_end}: {:?}\n{}", lab.condition("Ready"), lab.history());
    }
}
