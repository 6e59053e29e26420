//! The object goes; the machine is given back first, the images stay.
use std::time::Duration;

use ec2sim::{ACCOUNT, Config, Effect, InstanceState};
use saved_template_tests::{Lab, assert_holds, control_plane, is, quick};

use crate::{ALL, HOME, images, owes, state, tags, template, user, with};

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

/// Images that are there, and snapshots, in every region.
fn left(lab: &Lab<'_>) -> Vec<String> {
    let sim = lab.ec2.sim();
    let places = ALL.iter().filter_map(|region| sim.place(ACCOUNT, region));
    let live = |image: &&ec2sim::Image| image.deregistered_at.is_none();
    places
        .flat_map(|place| {
            let images = place.images.values().filter(live).map(|image| image.id.clone());
            images.chain(place.snapshots.keys().cloned()).collect::<Vec<_>>()
        })
        .collect()
}

const THREE: &str = "  regions: [{name: us-east-2}, {name: us-west-1}]\n  deletionPolicy: Delete\n";

#[tokio::test(flavor = "multi_thread")]
async fn with_policy_delete_images_copies_snapshots_and_the_receipt_go_and_nothing_is_left() {
    let lab = Lab::quick("delete-all").await.unwrap();
    let id = lab.machine("all");
    let _controller = lab.controller().unwrap();
    lab.apply(&with("all", "all", THREE)).await.unwrap();
    lab.ready("all").await.unwrap();
    assert_eq!(left(&lab).len(), 9);
    delete(&lab, "all").await;
    gone(&lab, "all", Duration::from_secs(900)).await;
    assert_holds("I7", left(&lab).is_empty(), || left(&lab).join(", "));
    assert!(tags(&lab, &id).is_empty(), "{:?}", tags(&lab, &id));
    assert_eq!(state(&lab, &id), InstanceState::Running);
    assert_rests(&lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_image_blocks_its_deletion_with_the_way_out_and_retain_lets_the_object_go() {
    let lab = Lab::quick("delete-protected").await.unwrap();
    lab.machine("protected");
    let _controller = lab.controller().unwrap();
    lab.apply(&with("protected", "protected", "  deletionPolicy: Delete\n")).await.unwrap();
    lab.ready("protected").await.unwrap();
    let id = images(&lab, HOME)[0].id.clone();
    user(&lab, "EnableImageDeregistrationProtection", &[("ImageId", &id)]);
    delete(&lab, "protected").await;
    let blocked = |object: &_| is(object, "DeletionBlocked", "True", Some("DeregistrationProtected"));
    let object = lab.until("protected", Duration::from_secs(60), "blocked", blocked).await.unwrap();
    let text =
        saved_template_tests::message(&object, saved_template_api::ConditionType::DeletionBlocked).unwrap();
    assert!(text.contains("kubectl -n delete-protected patch savedtemplate protected"), "{text}");
    let patch = r#"{"spec":{"deletionPolicy":"Retain"}}"#;
    let namespace = lab.namespace.clone();
    let args = ["patch", "stpl", "protected", "-n", &namespace, "--type=merge", "-p", patch];
    assert!(lab.cluster.kubectl(&args).await.unwrap().status.success());
    gone(&lab, "protected", Duration::from_secs(90)).await;
    assert_eq!(left(&lab).len(), 3, "the image and its snapshots stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_snapshot_and_a_missing_permission_block_a_deletion_and_it_goes_on_once_they_are_gone() {
    let lab = Lab::quick("delete-locked").await.unwrap();
    lab.machine("locked");
    let _controller = lab.controller().unwrap();
    lab.apply(&with("locked", "locked", "  deletionPolicy: Delete\n")).await.unwrap();
    lab.ready("locked").await.unwrap();
    let snapshot = lab.ec2.sim().place(ACCOUNT, HOME).unwrap().snapshots.keys().next().unwrap().clone();
    let lock = [("SnapshotId", snapshot.as_str()), ("LockMode", "governance"), ("LockDuration", "1")];
    user(&lab, "LockSnapshot", &lock);
    let deny = Effect::Refuse {
        code: "UnauthorizedOperation".into(),
        message: "You are not authorized to perform this operation".into(),
        status: None,
    };
    lab.ec2.add_fault(ec2sim::Fault::new("DeregisterImage", deny).nth(1));
    delete(&lab, "locked").await;
    let denied = |object: &_| is(object, "DeletionBlocked", "True", Some("AccessDenied"));
    lab.until("locked", Duration::from_secs(60), "denied", denied).await.unwrap();
    let locked = |object: &_| is(object, "DeletionBlocked", "True", Some("SnapshotLocked"));
    lab.until("locked", Duration::from_secs(150), "locked", locked).await.unwrap();
    assert_eq!(left(&lab).len(), 1, "only what is locked is left");
    user(&lab, "UnlockSnapshot", &[("SnapshotId", &snapshot)]);
    gone(&lab, "locked", Duration::from_secs(600)).await;
    assert_holds("I7", left(&lab).is_empty(), || left(&lab).join(", "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminating_namespace_takes_its_templates_and_their_images_with_it() {
    let lab = Lab::quick("delete-namespace").await.unwrap();
    let id = lab.machine("space");
    // The controller lives elsewhere, as it does in a cluster.
    let other = Lab::beside(lab.cluster, "delete-namespace-home", "delete-namespace", quick()).await.unwrap();
    // Of two installations that claim one namespace, each lets its own controller write there alone.
    let args = ["delete", "validatingadmissionpolicybinding", "savedtemplate-delete-namespace"];
    assert!(lab.cluster.kubectl(&args).await.unwrap().status.success());
    let args = ["--namespaces=delete-namespace"];
    let _controller = other.controller_at(other.kubeconfig(), &lab.ec2.url(), &args).unwrap();
    lab.apply(&with("space", "space", "  deletionPolicy: Delete\n")).await.unwrap();
    lab.ready("space").await.unwrap();
    let args = ["delete", "namespace", "delete-namespace", "--wait=false"];
    assert!(lab.cluster.kubectl(&args).await.unwrap().status.success());
    // This control plane has no namespace controller: what that would do first is done by hand.
    delete(&lab, "space").await;
    gone(&lab, "space", Duration::from_secs(600)).await;
    assert_holds("I7", left(&lab).is_empty(), || left(&lab).join(", "));
    assert_eq!(state(&lab, &id), InstanceState::Running);
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

/// No call for 25 s: nothing is looked at any more but what the minutes after an event ask for.
async fn assert_rests(lab: &Lab<'_>) {
    let rests = async {
        loop {
            let before = lab.ec2.sim().log().len();
            tokio::time::timeout(Duration::from_secs(25), std::future::pending::<()>()).await.unwrap_err();
            if lab.ec2.sim().log().len() == before {
                return;
            }
        }
    };
    let rested = tokio::time::timeout(Duration::from_secs(200), rests).await;
    let last = |lab: &Lab<'_>| {
        let sim = lab.ec2.sim();
        sim.log().iter().rev().take(6).map(|one| (one.at, one.action.clone())).collect::<Vec<_>>()
    };
    assert!(rested.is_ok(), "{:?}", last(lab));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_for_an_object_that_went_without_a_finalizer() {
    let lab = Lab::quick("deletion-rest").await.unwrap();
    let _controller = lab.controller().unwrap();
    lab.apply(&with("never", "nobody", "  regions: [{name: us-east-2}]\n")).await.unwrap();
    let told = |object: &_| is(object, "Validated", "False", Some("InstanceNotFound"));
    lab.until("never", Duration::from_secs(60), "told", told).await.unwrap();
    delete(&lab, "never").await;
    gone(&lab, "never", Duration::from_secs(60)).await;
    assert_rests(&lab).await;
}
