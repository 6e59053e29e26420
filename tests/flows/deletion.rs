//! The object goes; the machine is given back first, the images stay.
use std::time::Duration;

use ec2sim::{Config, InstanceState};
use saved_template_tests::{Lab, control_plane, is, quick};

use crate::{HOME, images, owes, state, template, with};

async fn gone(lab: &Lab<'_>, name: &str, patience: Duration) {
    let namespace = lab.namespace.clone();
    let object = format!("stpl/{name}");
    let seconds = format!("--timeout={}s", patience.as_secs());
    let wait = ["wait", "--for=delete", &object, "-n", &namespace, &seconds];
    let output = lab.cluster.kubectl(&wait).await.unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        lab.calls().join("\n")
    );
}

async fn delete(lab: &Lab<'_>, name: &str) {
    let namespace = lab.namespace.clone();
    let output =
        lab.cluster.kubectl(&["delete", "stpl", name, "-n", &namespace, "--wait=false"]).await.unwrap();
    assert!(output.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_template_goes_at_once_and_its_images_stay_and_are_adopted_when_it_is_applied_again() {
    let lab = Lab::quick("delete-retain").await.unwrap();
    let id = lab.machine("kept");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("kept", "kept")).await.unwrap();
    lab.ready("kept").await.unwrap();
    let before = lab.changes().len();
    delete(&lab, "kept").await;
    gone(&lab, "kept", Duration::from_secs(20)).await;
    assert_eq!(lab.changes().len(), before, "Retain makes no call");
    lab.apply(&template("kept", "kept")).await.unwrap();
    let object = lab.ready("kept").await.unwrap();
    assert!(is(&object, "Ready", "True", Some("Adopted")));
    assert_eq!(object.status.unwrap().image_id.unwrap().as_str(), images(&lab, HOME)[0].id);
    assert_eq!(images(&lab, HOME).len(), 1);
    assert_eq!(lab.count("StopInstances"), 1, "adopted, not captured again");
    assert_eq!(state(&lab, &id), InstanceState::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_deleted_while_its_machine_is_stopping_goes_after_the_machine_is_back() {
    let config = Config { stop: 12_000, ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "delete-stopping", config).await.unwrap();
    let id = lab.machine("leaving");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("leaving", "leaving")).await.unwrap();
    lab.until_ec2(Duration::from_secs(60), "the machine is stopping", |sim| {
        sim.place(ec2sim::ACCOUNT, HOME).unwrap().instances[&id].state == InstanceState::Stopping
    })
    .await
    .unwrap();
    delete(&lab, "leaving").await;
    let blocked = |object: &_| is(object, "DeletionBlocked", "True", Some("SourceNotRestored"));
    lab.until("leaving", Duration::from_secs(30), "blocked", blocked).await.unwrap();
    gone(&lab, "leaving", Duration::from_secs(150)).await;
    assert_eq!(state(&lab, &id), InstanceState::Running);
    assert!(!owes(&lab, &id));
    assert_eq!(lab.count("CreateImage"), 0, "no new work");
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_delete_is_not_yet_supported_and_the_object_stays_until_it_says_retain() {
    let lab = Lab::quick("delete-policy").await.unwrap();
    lab.machine("policy");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("policy", "policy")).await.unwrap();
    lab.ready("policy").await.unwrap();
    lab.apply(&with("policy", "policy", "  deletionPolicy: Delete\n")).await.unwrap();
    let told = |object: &_| is(object, "Validated", "False", Some("NotYetSupported"));
    lab.until("policy", Duration::from_secs(20), "told", told).await.unwrap();
    delete(&lab, "policy").await;
    let deleting = |object: &_| is(object, "Ready", "False", Some("Deleting")) && told(object);
    let object = lab.until("policy", Duration::from_secs(20), "held", deleting).await.unwrap();
    let text = saved_template_tests::message(&object, saved_template_api::ConditionType::Ready).unwrap();
    assert!(text.contains("kubectl -n delete-policy patch savedtemplate policy"), "{text}");
    lab.apply(&template("policy", "policy")).await.unwrap();
    let patch = r#"{"spec":{"deletionPolicy":"Retain"}}"#;
    let namespace = lab.namespace.clone();
    lab.cluster
        .kubectl(&["patch", "stpl", "policy", "-n", &namespace, "--type=merge", "-p", patch])
        .await
        .unwrap();
    gone(&lab, "policy", Duration::from_secs(20)).await;
    assert_eq!(images(&lab, HOME).len(), 1, "the image stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_never_touched_aws_has_no_finalizer_and_goes_without_a_controller() {
    let lab = Lab::quick("delete-untouched").await.unwrap();
    let controller = lab.controller().unwrap();
    lab.apply(&template("untouched", "no-such-machine")).await.unwrap();
    let refused = |object: &_| is(object, "Validated", "False", Some("InstanceNotFound"));
    lab.until("untouched", Duration::from_secs(40), "refused", refused).await.unwrap();
    drop(controller);
    delete(&lab, "untouched").await;
    gone(&lab, "untouched", Duration::from_secs(10)).await;
}
