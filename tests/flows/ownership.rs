//! Whose is it: objects applied again, twins of a cluster, forged tags, and two who save one machine.
use std::time::Duration;

use ec2sim::{ACCOUNT, InstanceState};
use saved_template_api::{ConditionType, names};
use saved_template_tests::{Lab, is, message};

use crate::{HOME, images, state, template, user, with};

#[tokio::test(flavor = "multi_thread")]
async fn an_object_deleted_and_applied_again_adopts_its_images_and_says_how_to_capture_anew() {
    let lab = Lab::quick("own-again").await.unwrap();
    lab.machine("again");
    let _controller = lab.controller().unwrap();
    lab.apply(&with("again", "again", "  regions: [{name: us-east-2}]\n")).await.unwrap();
    let first = lab.ready("again").await.unwrap();
    let args = ["delete", "stpl", "again", "-n", "own-again", "--timeout=60s"];
    assert!(lab.cluster.kubectl(&args).await.unwrap().status.success());
    lab.apply(&with("again", "again", "  regions: [{name: us-east-2}]\n")).await.unwrap();
    let second = lab.ready("again").await.unwrap();
    assert_eq!(second.status.clone().unwrap().images, first.status.unwrap().images);
    assert!(is(&second, "Ready", "True", Some("Adopted")));
    assert!(message(&second, ConditionType::Ready).unwrap().contains("set spec.revision to 2"));
    assert_eq!((lab.count("StopInstances"), lab.count("CopyImage")), (1, 1));
    let args = ["delete", "stpl", "again", "-n", "own-again", "--timeout=60s"];
    assert!(lab.cluster.kubectl(&args).await.unwrap().status.success());
    lab.machine("other");
    lab.apply(&template("again", "other")).await.unwrap();
    let taken = |object: &_| is(object, "Validated", "False", Some("RevisionTaken"));
    let object = lab.until("again", Duration::from_secs(40), "taken", taken).await.unwrap();
    assert!(message(&object, ConditionType::Validated).unwrap().contains("spec.revision to 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_whose_image_is_gone_is_not_made_again_because_the_receipt_on_the_machine_says_so() {
    let lab = Lab::quick("own-receipt").await.unwrap();
    lab.machine("once");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("once", "once")).await.unwrap();
    lab.ready("once").await.unwrap();
    let args = ["delete", "stpl", "once", "-n", "own-receipt", "--timeout=60s"];
    assert!(lab.cluster.kubectl(&args).await.unwrap().status.success());
    let image = images(&lab, HOME)[0].id.clone();
    user(&lab, "DeregisterImage", &[("ImageId", &image), ("DeleteAssociatedSnapshots", "true")]);
    lab.apply(&template("once", "once")).await.unwrap();
    let missing = |object: &_| is(object, "ImageAvailable", "False", Some("ImageMissing"));
    let object = lab.until("once", Duration::from_secs(60), "missing", missing).await.unwrap();
    assert!(message(&object, ConditionType::Ready).unwrap().contains("aws ec2 delete-tags"));
    assert_eq!(lab.count("StopInstances"), 1);
    lab.apply(&with("once", "once", "  revision: 2\n")).await.unwrap();
    lab.ready("once").await.unwrap();
    assert_eq!(lab.count("StopInstances"), 2);
}

/// Rewrites a tag on every image and snapshot at home, as if another cluster had made them.
fn retag(lab: &Lab<'_>, key: &str, value: &str) {
    let ids: Vec<String> = {
        let sim = lab.ec2.sim();
        let place = sim.place(ACCOUNT, HOME).unwrap();
        place.images.keys().chain(place.snapshots.keys()).cloned().collect()
    };
    for id in ids {
        user(lab, "CreateTags", &[("ResourceId.1", id.as_str()), ("Tag.1.Key", key), ("Tag.1.Value", value)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s64_what_a_twin_of_the_cluster_holds_is_read_only_until_it_is_taken_over() {
    let lab = Lab::quick("own-twin").await.unwrap();
    lab.machine("twin");
    let controller = lab.controller().unwrap();
    lab.apply(&template("twin", "twin")).await.unwrap();
    lab.ready("twin").await.unwrap();
    let twin = "11111111-2222-3333-4444-555555555555";
    retag(&lab, names::tag::HOLDER, twin);
    lab.apply(&with("twin", "twin", "  revision: 2\n")).await.unwrap();
    let held = |object: &_| is(object, "Validated", "False", Some("HeldByOtherCluster"));
    let object = lab.until("twin", Duration::from_secs(90), "held", held).await.unwrap();
    let text = message(&object, ConditionType::Validated).unwrap();
    assert!(text.contains(&format!("--take-over={twin}")), "{text}");
    assert_eq!(lab.count("StopInstances"), 1);
    lab.apply(&with("twin", "twin", "  revision: 2\n  deletionPolicy: Delete\n")).await.unwrap();
    let args = ["delete", "stpl", "twin", "-n", "own-twin", "--wait=false"];
    assert!(lab.cluster.kubectl(&args).await.unwrap().status.success());
    let blocked = |object: &_| is(object, "DeletionBlocked", "True", Some("OwnedByAnotherCluster"));
    lab.until("twin", Duration::from_secs(60), "blocked", blocked).await.unwrap();
    assert_eq!(images(&lab, HOME).iter().filter(|image| image.deregistered_at.is_none()).count(), 1);
    drop(controller);
    let _heir = lab.controller_with(&[&format!("--take-over={twin}")]).unwrap();
    lab.until_ec2(Duration::from_secs(60), "the heir deletes it", |sim| {
        sim.place(ACCOUNT, HOME).unwrap().images.values().all(|image| image.deregistered_at.is_some())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_another_cluster_name_take_the_revision_and_are_adopted_where_that_is_asked_for() {
    let lab = Lab::quick("own-heir").await.unwrap();
    lab.machine("heir");
    let first = lab.controller().unwrap();
    lab.apply(&template("heir", "heir")).await.unwrap();
    let images_before = lab.ready("heir").await.unwrap().status.unwrap().images;
    drop(first);
    let args = [
        "patch",
        "stpl",
        "heir",
        "-n",
        "own-heir",
        "--subresource=status",
        "--type=json",
        "-p",
        r#"[{"op":"replace","path":"/status","value":{"observedGeneration":-1}}]"#,
    ];
    let wiped = lab.cluster.kubectl(&args).await.unwrap();
    assert!(wiped.status.success(), "{}", String::from_utf8_lossy(&wiped.stderr));
    let stranger = lab.controller_named("successor", &[]).unwrap();
    let taken = |object: &_| is(object, "Validated", "False", Some("RevisionTaken"));
    let object = lab.until("heir", Duration::from_secs(60), "taken", taken).await.unwrap();
    let text = message(&object, ConditionType::Validated).unwrap();
    assert!(text.contains("--adopt-from=lab") && text.contains("spec.revision to 2"), "{text}");
    drop(stranger);
    let _heir = lab.controller_named("successor", &["--adopt-from=lab"]).unwrap();
    let object = lab.ready("heir").await.unwrap();
    assert_eq!(object.status.unwrap().images, images_before);
    lab.until_ec2(Duration::from_secs(30), "the tags say so", |sim| {
        let tags = &sim.place(ACCOUNT, HOME).unwrap().images.values().next().unwrap().tags;
        tags[names::tag::CLUSTER] == "successor" && tags[names::tag::ADOPTED_FROM] == "lab"
    })
    .await
    .unwrap();
    assert_eq!(lab.count("StopInstances"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s63_and_s65_forged_owner_tags_and_a_users_own_copy_are_neither_adopted_nor_deleted() {
    let lab = Lab::quick("own-forged").await.unwrap();
    let id = lab.machine("forged");
    let _controller = lab.controller().unwrap();
    lab.apply(&with("forged", "forged", "  deletionPolicy: Delete\n")).await.unwrap();
    lab.ready("forged").await.unwrap();
    let ours = images(&lab, HOME)[0].clone();
    user(&lab, "CreateImage", &[("InstanceId", &id), ("Name", "a-backup"), ("NoReboot", "true")]);
    let copied = [("SourceImageId", ours.id.as_str()), ("SourceRegion", HOME), ("Name", "my-own-copy")];
    user(&lab, "CopyImage", &copied);
    let strangers: Vec<String> =
        images(&lab, HOME).into_iter().filter(|image| image.id != ours.id).map(|image| image.id).collect();
    assert_eq!(strangers.len(), 2);
    for image in &strangers {
        for (key, value) in &ours.tags {
            let params = [("ResourceId.1", image.as_str()), ("Tag.1.Key", key), ("Tag.1.Value", value)];
            user(&lab, "CreateTags", &params);
        }
    }
    let args = ["delete", "stpl", "forged", "-n", "own-forged", "--timeout=900s"];
    assert!(lab.cluster.kubectl(&args).await.unwrap().status.success());
    let live: Vec<String> = images(&lab, HOME)
        .into_iter()
        .filter(|image| image.deregistered_at.is_none())
        .map(|image| image.id)
        .collect();
    assert_eq!(live, strangers, "{:?}", lab.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_templates_on_one_machine_save_it_one_after_the_other() {
    let lab = Lab::quick("own-two").await.unwrap();
    let id = lab.machine("shared");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("left", "shared")).await.unwrap();
    lab.apply(&template("right", "shared")).await.unwrap();
    lab.until("left", Duration::from_secs(240), "Ready", |object| is(object, "Ready", "True", None))
        .await
        .unwrap();
    lab.until("right", Duration::from_secs(240), "Ready", |object| is(object, "Ready", "True", None))
        .await
        .unwrap();
    assert_eq!(state(&lab, &id), InstanceState::Running);
    assert_eq!(lab.count("StopInstances"), 2);
    let sim = lab.ec2.sim();
    let downtimes = sim.place(ACCOUNT, HOME).unwrap().instances[&id].downtimes();
    assert_eq!(downtimes.len(), 2);
    assert!(downtimes[0].1.unwrap() < downtimes[1].0, "one at a time: {downtimes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s70_two_installations_on_one_machine_save_it_one_after_the_other_and_a_backup_tool_is_waited_for() {
    let lab = Lab::quick("own-s70").await.unwrap();
    let other = Lab::on(lab.cluster, "own-s70-other", saved_template_tests::quick()).await.unwrap();
    let id = lab.machine("shared");
    user(&lab, "CreateImage", &[("InstanceId", &id), ("Name", "nightly-backup"), ("NoReboot", "true")]);
    let _first = lab.controller().unwrap();
    let _second = other.controller_of("elsewhere", other.kubeconfig(), &lab.ec2.url(), &[]).unwrap();
    lab.apply(&template("ours", "shared")).await.unwrap();
    other.apply(&template("theirs", "shared")).await.unwrap();
    lab.until("ours", Duration::from_secs(300), "Ready", |object| is(object, "Ready", "True", None))
        .await
        .unwrap();
    other
        .until("theirs", Duration::from_secs(300), "Ready", |object| is(object, "Ready", "True", None))
        .await
        .unwrap();
    assert_eq!(state(&lab, &id), InstanceState::Running);
    assert_eq!(lab.count("StopInstances"), 2, "{:?}", lab.calls());
    let images = images(&lab, HOME);
    assert!(images.len() == 3 && images.iter().all(|image| image.state == ec2sim::ImageState::Available));
    let sim = lab.ec2.sim();
    let downtimes = sim.place(ACCOUNT, HOME).unwrap().instances[&id].downtimes();
    assert!(downtimes.len() == 2 && downtimes[0].1.unwrap() < downtimes[1].0, "one at a time: {downtimes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s78_a_name_that_moves_to_another_machine_is_refused_until_the_machine_itself_is_named() {
    let lab = Lab::quick("owner-moved").await.unwrap();
    let old = lab.machine("moved");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("moved", "moved")).await.unwrap();
    lab.ready("moved").await.unwrap();
    user(&lab, "CreateTags", &[("ResourceId.1", &old), ("Tag.1.Key", "Name"), ("Tag.1.Value", "retired")]);
    let new = lab.machine("moved");
    let before = lab.changes().len();
    lab.apply(&with("moved", "moved", "  revision: 2\n")).await.unwrap();
    let refused = |object: &_| is(object, "Validated", "False", Some("SourceChanged"));
    let object = lab.until("moved", Duration::from_secs(60), "refused", refused).await.unwrap();
    let text = message(&object, ConditionType::Validated).unwrap();
    assert!(text.contains(&old) && text.contains(&new) && text.contains("spec.source.instanceID"), "{text}");
    assert_eq!(lab.changes().len(), before, "{}", lab.evidence());

    let source = format!("instanceID: {new}");
    let named = with("moved", "moved", "  revision: 2\n").replace("instanceName: moved", &source);
    lab.apply(&named).await.unwrap();
    let saved = |object: &saved_template_api::SavedTemplate| {
        let images = object.status.as_ref().map(|status| status.images.as_slice()).unwrap_or_default();
        images.iter().any(|image| image.revision == 2) && is(object, "Ready", "True", None)
    };
    lab.until("moved", Duration::from_secs(120), "saved", saved).await.unwrap();
    let of_new = |image: &ec2sim::Image| image.instance.as_ref() == Some(&new);
    assert_eq!(images(&lab, HOME).iter().filter(|image| of_new(image)).count(), 1);
    assert_eq!(state(&lab, &old), InstanceState::Running);
    assert_eq!(state(&lab, &new), InstanceState::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn s91_a_machine_that_many_objects_have_saved_is_saved_again_with_as_many_tags_as_before() {
    let lab = Lab::quick("owner-receipts").await.unwrap();
    let key = names::receipts_key("lab");
    let others: Vec<String> = (0..10).map(|number| format!("{number:016x}=r1")).collect();
    // As many tags as leave room for the record alone.
    let mut tags: Vec<(String, String)> =
        (0..47).map(|number| (format!("tag-{number}"), String::new())).collect();
    tags.push((key.clone(), others.join(" ")));
    let id = lab.ec2.seed(ec2sim::InstanceSeed {
        region: HOME.to_owned(),
        name: Some("popular".to_owned()),
        volumes: vec![ec2sim::VolumeSeed::new("/dev/sda1", 8)],
        tags: tags.into_iter().collect(),
        ..ec2sim::InstanceSeed::default()
    });
    let tagged = || lab.ec2.sim().place(ACCOUNT, HOME).unwrap().instances[&id].tags.clone();
    let before = tagged();
    let _controller = lab.controller().unwrap();
    lab.apply(&template("popular", "popular")).await.unwrap();
    lab.ready("popular").await.unwrap();
    crate::assert_saved_once(&lab, &id, &[HOME]);
    let after = tagged();
    assert!(before.keys().eq(after.keys()), "{after:?}");
    let listed: Vec<&str> = after[&key].split(' ').collect();
    assert_eq!(listed.len(), 10, "{listed:?}");
    assert!(!others.contains(&listed[0].to_owned()), "the newest is first: {listed:?}");
    assert_eq!(listed[1..], others[..9], "and the oldest has gone");
}
