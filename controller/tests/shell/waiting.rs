//! Who is looked at and read for, and how often: what is waited for, and what is not.
use std::time::Duration;

use ec2sim::{Effect, Fault};
use serde_json::json;

use crate::{COPIES, lab::Lab};

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// How often EC2 was asked for machines of that name.
fn asked_for(lab: &Lab, name: &str) -> usize {
    let sim = lab.endpoint.sim();
    let asks = |entry: &&ec2sim::LogEntry| entry.params.values().any(|value| value == name);
    sim.log().iter().filter(|entry| entry.action == "DescribeInstances").filter(asks).count()
}

#[tokio::test(start_paused = true)]
async fn a_name_that_ec2_would_not_look_for_is_no_reason_to_look_at_its_template_in_every_sweep() {
    let lab = Lab::new();
    let refuse =
        Effect::Refuse { code: "InvalidParameterValue".into(), message: "a bad name".into(), status: None };
    lab.endpoint
        .sim()
        .add_fault(Fault::new("DescribeInstances", refuse).param("Filter.*.Value.*", "unspeakable"));
    lab.permit("default").await;
    let _controller = lab.controller();
    let source = json!({"region": "us-west-2", "instanceName": "unspeakable"});
    lab.apply_as(json!({"name": "bad"}), json!({"source": source, "regions": [{"name": "us-east-2"}]})).await;
    lab.apply(COPIES).await;
    pass(20).await;
    lab.looks("bad");
    let sweeps = asked_for(&lab, "quake");
    // Another machine is being saved: its region is swept every two seconds.
    pass(120).await;
    assert!(lab.downtimes() == 1 && asked_for(&lab, "unspeakable") > 0, "{sweeps}");
    let looks = lab.looks("bad");
    assert!((1..=10).contains(&looks), "{looks} looks in two minutes");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_for_an_object_that_wants_nothing_and_it_is_looked_at_no_more() {
    let lab = Lab::new();
    lab.permit("default").await;
    let _controller = lab.controller();
    let source = json!({"region": "us-west-2", "instanceName": "absent"});
    let metadata = json!({"name": "quake", "finalizers": ["example.org/other"]});
    lab.apply_as(metadata, json!({"source": source, "deletionPolicy": "Retain"})).await;
    pass(60).await;
    assert!(asked_for(&lab, "absent") > 0);
    lab.delete("namespaces/default/savedtemplates", "quake").await;
    pass(60).await;
    assert!(lab.there().is_some(), "somebody else holds it");
    let (asked, _) = (asked_for(&lab, "absent"), lab.looks("quake"));
    pass(3600).await;
    assert_eq!(asked_for(&lab, "absent"), asked);
    let looks = lab.looks("quake");
    assert!(looks <= 2, "{looks} looks in an hour");
}
