//! Saving a machine, end to end.
use std::time::Duration;

use ec2sim::{ACCOUNT, Config, Effect, Fault};
use saved_template_api::{ConditionType, status::Consistency};
use saved_template_tests::{Lab, control_plane, is, message, quick};

use crate::{ALL, HOME, assert_saved_once, images, quickstart, template, with};

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_saved_given_back_and_copied_to_two_regions() {
    let config = Config { image: 20_000, ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "save-quickstart", config).await.unwrap();
    let id = lab.machine("earthquake-analysis");
    let _controller = lab.controller().unwrap();
    lab.apply(&quickstart(&lab)).await.unwrap();
    let object = lab.ready("seismic-ml").await.unwrap();
    assert_saved_once(&lab, &id, &ALL);
    let status = object.status.clone().unwrap();
    for region in ALL {
        let row = status.images.iter().find(|row| row.region.as_str() == region).unwrap();
        assert_eq!(row.image_id.as_str(), images(&lab, region)[0].id);
    }
    assert_eq!(status.images[0].region.as_str(), HOME, "home comes first");
    let source = status.source.clone().unwrap();
    {
        let made = &images(&lab, HOME)[0];
        let sim = lab.ec2.sim();
        let place = sim.place(ACCOUNT, HOME).unwrap();
        assert_eq!(source.instance_id.unwrap().as_str(), id);
        assert_eq!(
            source.original_image_id.map(|id| id.to_string()),
            Some(place.instances[&id].image.clone())
        );
        assert_eq!(
            (made.instance.as_ref(), &made.tags["savedtemplate.dev/source-instance"]),
            (Some(&id), &id)
        );
        let asked = status.capture.clone().unwrap().image_requested_time.unwrap().0.as_millisecond();
        assert!((asked - made.created_at).abs() < 5000, "{asked} {}", made.created_at);
    }
    assert_eq!(status.region_summary.as_deref(), Some("3/3"));
    assert_eq!(status.capture.unwrap().consistency, Consistency::Stopped);
    assert_eq!(lab.count("CreateImage") + lab.count("CopyImage"), 3);
    assert_eq!(lab.count("StartInstances"), 1);

    let image = &images(&lab, HOME)[0];
    let restored = lab.ec2.sim().place(ACCOUNT, HOME).unwrap().instances[&id].downtimes()[0].1.unwrap();
    assert!(restored < image.available_at.unwrap(), "the machine was back before its image was available");
    let tag = |key: &str| image.tags.get(key).cloned().unwrap_or_default();
    assert_eq!(tag("savedtemplate.dev/cluster"), "lab");
    assert_eq!(tag("savedtemplate.dev/name"), "seismic-ml");
    assert_eq!(image.tags, image.snapshot_tags, "snapshots carry the same tags from birth");

    let waited = ["wait", "-n", &lab.namespace, "--for=condition=Ready", "stpl/seismic-ml", "--timeout=5s"];
    assert!(lab.cluster.kubectl(&waited).await.unwrap().status.success(), "kubectl wait");
    let shown = lab.cluster.kubectl(&["get", "stpl", "-n", &lab.namespace]).await.unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("Saved") && shown.contains(&image.id) && shown.contains("3/3"), "{shown}");
    let events = lab.cluster.kubectl(&["get", "events.events.k8s.io", "-n", &lab.namespace]).await.unwrap();
    let events = String::from_utf8(events.stdout).unwrap();
    for reason in ["StoppingSource", "SourceStopped", "ImageRequested", "SourceRestored", "CopyAvailable"] {
        assert!(events.contains(reason), "{reason} is missing:\n{events}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_restart_when_image_available_the_machine_waits_for_its_image() {
    let lab = Lab::quick("save-patient").await.unwrap();
    let id = lab.machine("patient");
    let _controller = lab.controller().unwrap();
    lab.apply(&with("patient", "patient", "  capture: {restartWhen: ImageAvailable}\n")).await.unwrap();
    lab.ready("patient").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
    let restored = lab.ec2.sim().place(ACCOUNT, HOME).unwrap().instances[&id].downtimes()[0].1.unwrap();
    assert!(restored > images(&lab, HOME)[0].available_at.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_named_by_id_is_saved_with_description_and_tags_on_images_and_snapshots() {
    let lab = Lab::quick("save-tags").await.unwrap();
    let id = lab.machine("other-name");
    let _controller = lab.controller().unwrap();
    let manifest = format!(
        "apiVersion: savedtemplate.dev/v1alpha1\nkind: SavedTemplate\nmetadata: {{name: tagged}}\nspec:\n  \
         templateName: golden/ml\n  description: the golden one\n  source: {{region: us-west-2, instanceID: {id}}}\n  \
         regions: [{{name: us-east-2}}]\n  tags: [{{key: team, value: seismology}}]\n"
    );
    lab.apply(&manifest).await.unwrap();
    lab.ready("tagged").await.unwrap();
    for region in [HOME, "us-east-2"] {
        let image = &images(&lab, region)[0];
        assert!(image.name.starts_with("golden/ml-r1-"), "{}", image.name);
        assert_eq!(image.description, "the golden one");
        let sim = lab.ec2.sim();
        let place = sim.place(ACCOUNT, region).unwrap();
        let snapshots: Vec<_> = place.snapshots.values().collect();
        assert_eq!(snapshots.len(), 2);
        assert!(
            snapshots
                .iter()
                .all(|snapshot| snapshot.tags.get("team").is_some_and(|team| team == "seismology"))
        );
        assert_eq!(image.tags.get("team").map(String::as_str), Some("seismology"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failing_region_holds_up_neither_the_machine_nor_the_other_region() {
    let lab = Lab::quick("save-region").await.unwrap();
    let id = lab.machine("earthquake-analysis");
    // A missing permission is waited for at a slower pace.
    let refuse = Effect::Refuse {
        code: "InvalidRequest".into(),
        message: "the request is refused".into(),
        status: None,
    };
    lab.ec2.add_fault(Fault::new("CopyImage", refuse).region("us-west-1"));
    let _controller = lab.controller().unwrap();
    lab.apply(&quickstart(&lab)).await.unwrap();
    let partly = |object: &_| is(object, "Replicated", "False", Some("PartiallyReplicated"));
    let object =
        lab.until("seismic-ml", Duration::from_secs(120), "partly replicated", partly).await.unwrap();
    assert!(message(&object, ConditionType::Replicated).unwrap().contains("us-west-1 CopyFailed"));
    assert_saved_once(&lab, &id, &[HOME, "us-east-2"]);
    assert!(is(&object, "SourceRestored", "True", None));
    lab.ec2.sim().clear_faults();
    lab.ready("seismic-ml").await.unwrap();
    assert_saved_once(&lab, &id, &ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_fails_is_made_again_in_its_region_alone() {
    let lab = Lab::quick("save-copy-fails").await.unwrap();
    let id = lab.machine("earthquake-analysis");
    let fail = Effect::FailImage {
        code: "Client.KeyFailed".into(),
        message: "the key is off".into(),
        after_ms: None,
    };
    lab.ec2.add_fault(Fault::new("CopyImage", fail).region("us-east-2").nth(1));
    let _controller = lab.controller().unwrap();
    lab.apply(&quickstart(&lab)).await.unwrap();
    lab.ready("seismic-ml").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME, "us-west-1"]);
    assert_eq!(images(&lab, "us-east-2").len(), 2, "the failed one stays, the second one serves");
    assert_eq!(lab.count("CopyImage"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_create_image_makes_one_image() {
    let lab = Lab::quick("save-lost-reply").await.unwrap();
    let id = lab.machine("lossy");
    lab.ec2.add_fault(Fault::new("CreateImage", Effect::ApplyAndDrop).nth(1));
    let _controller = lab.controller().unwrap();
    lab.apply(&template("lossy", "lossy")).await.unwrap();
    lab.ready("lossy").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_copy_image_makes_one_copy() {
    let lab = Lab::quick("save-lost-copy").await.unwrap();
    let id = lab.machine("earthquake-analysis");
    lab.ec2.add_fault(Fault::new("CopyImage", Effect::ApplyAndDrop).nth(1));
    let _controller = lab.controller().unwrap();
    lab.apply(&quickstart(&lab)).await.unwrap();
    lab.ready("seismic-ml").await.unwrap();
    assert_saved_once(&lab, &id, &ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_fails_gives_the_machine_back_and_says_why() {
    let lab = Lab::quick("save-image-fails").await.unwrap();
    let id = lab.machine("doomed");
    let fail = Effect::FailImage {
        code: "Server.InternalError".into(),
        message: "disk on fire".into(),
        after_ms: None,
    };
    lab.ec2.add_fault(Fault::new("CreateImage", fail).nth(1));
    let _controller = lab.controller().unwrap();
    lab.apply(&template("doomed", "doomed")).await.unwrap();
    let stalled = |object: &_| {
        is(object, "Stalled", "True", Some("Failed")) && is(object, "SourceRestored", "True", None)
    };
    let object = lab.until("doomed", Duration::from_secs(120), "failed", stalled).await.unwrap();
    assert!(is(&object, "ImageAvailable", "False", Some("DisruptionLimitReached")));
    assert!(message(&object, ConditionType::Ready).unwrap().contains("disk on fire"));
    assert_eq!(crate::state(&lab, &id), ec2sim::InstanceState::Running);
    assert_eq!(lab.count("StopInstances"), 1, "never a second stop by itself");
    assert!(object.status.unwrap().images.is_empty(), "a failed image is not served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_ec2_will_not_start_is_tried_until_it_runs_and_the_condition_says_what_helps() {
    let lab = Lab::quick("save-capacity").await.unwrap();
    let id = lab.machine("scarce");
    let refuse = Effect::Refuse {
        code: "InsufficientInstanceCapacity".into(),
        message: "Insufficient capacity".into(),
        status: None,
    };
    lab.ec2.add_fault(Fault::new("StartInstances", refuse));
    let _controller = lab.controller().unwrap();
    lab.apply(&template("scarce", "scarce")).await.unwrap();
    let short = |object: &_| is(object, "SourceRestored", "False", Some("InsufficientCapacity"));
    let object = lab.until("scarce", Duration::from_secs(90), "short of capacity", short).await.unwrap();
    let text = message(&object, ConditionType::SourceRestored).unwrap();
    assert!(text.contains("aws ec2 start-instances --region us-west-2"), "{text}");
    let tries = |lab: &Lab<'_>| lab.changes().iter().filter(|entry| entry.action == "StartInstances").count();
    let before = tries(&lab);
    lab.until_ec2(Duration::from_secs(40), "it was tried again", |sim| {
        sim.log().iter().filter(|entry| entry.action == "StartInstances" && !entry.dry_run).count() > before
    })
    .await
    .unwrap();
    assert!(
        is(&lab.get("scarce").await.unwrap().unwrap(), "Ready", "False", None),
        "not Ready while a machine is owed"
    );
    lab.ec2.sim().clear_faults();
    lab.ready("scarce").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
}
