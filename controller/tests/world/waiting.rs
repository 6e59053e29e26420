//! Who is looked at and read for, and how often: what is waited for, and what is not.
use std::time::Duration;

use ec2sim::{Effect, Fault};
use serde_json::json;

use crate::{COPIES, lab::Lab, saved};

/// How often EC2 was asked for machines of that name.
fn asked_for(lab: &Lab, name: &str) -> usize {
    let asks = |entry: &&ec2sim::LogEntry| entry.params.values().any(|value| value == name);
    lab.log().iter().filter(|entry| entry.action == "DescribeInstances").filter(asks).count()
}

#[test]
fn a_machine_is_saved_in_time_although_each_read_of_several_regions_is_slow() {
    for slow in [700, 1500, 3000] {
        let mut lab = saved(COPIES, None);
        lab.run(60);
        lab.chronicle().slow = Duration::from_millis(slow);
        lab.edit(|object| object.spec.revision = 2);
        lab.run(1200);
        assert_eq!(lab.instance().downtimes().len(), 2, "{slow} ms: {:#?}", lab.status().capture);
        assert!(lab.is_ready() && !lab.owes(), "{slow} ms: {:#?}", lab.status());
    }
}

#[test]
fn a_name_that_ec2_would_not_look_for_is_no_reason_to_look_at_its_template_in_every_sweep() {
    let mut lab = Lab::new(COPIES);
    let refuse =
        Effect::Refuse { code: "InvalidParameterValue".into(), message: "a bad name".into(), status: None };
    let fault = Fault::new("DescribeInstances", refuse).param("Filter.*.Value.*", "unspeakable");
    lab.sim().add_fault(fault);
    let source = json!({"region": "us-west-2", "instanceName": "unspeakable"});
    let spec = json!({"source": source, "regions": [{"name": "us-east-2"}]});
    lab.applies_as(0, &json!({"name": "bad"}), &serde_json::from_value(spec).unwrap());
    lab.run(20);
    lab.looks("bad");
    // Another machine is being saved: its region is swept every two seconds.
    lab.run(120);
    assert!(lab.instance().downtimes().len() == 1 && asked_for(&lab, "unspeakable") > 0);
    let looks = lab.looks("bad");
    assert!((1..=10).contains(&looks), "{looks} looks in two minutes");
}

#[test]
fn nothing_is_read_for_an_object_that_wants_nothing_and_it_is_looked_at_no_more() {
    let (sim, id) = crate::lab::account();
    let mut lab = Lab::empty(sim, id, true);
    lab.permits(0);
    let source = json!({"region": "us-west-2", "instanceName": "absent"});
    let spec = json!({"source": source, "deletionPolicy": "Retain"});
    let metadata = json!({"name": "quake", "finalizers": ["example.org/other"]});
    lab.applies_as(0, &metadata, &serde_json::from_value(spec).unwrap());
    lab.run(60);
    assert!(asked_for(&lab, "absent") > 0);
    lab.delete();
    lab.run(60);
    assert!(lab.object().is_some(), "somebody else holds it");
    let (asked, _) = (asked_for(&lab, "absent"), lab.looks("quake"));
    lab.run(3600);
    assert_eq!(asked_for(&lab, "absent"), asked);
    let looks = lab.looks("quake");
    assert!(looks <= 2, "{looks} looks in an hour");
}
