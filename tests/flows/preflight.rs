//! What cannot be saved is refused before the first write, with a message that says what to do.
use std::time::Duration;

use ec2sim::{Effect, Fault, InstanceSeed, InstanceState, Lifecycle, VolumeSeed};
use saved_template_api::{ConditionType, SavedTemplate, text};
use saved_template_tests::{Lab, is, message};

use crate::{images, owes, state, template, user, with};

fn seed(name: &str) -> InstanceSeed {
    InstanceSeed {
        region: "us-west-2".to_owned(),
        name: Some(name.to_owned()),
        volumes: vec![VolumeSeed::new("/dev/sda1", 8)],
        ..InstanceSeed::default()
    }
}

async fn refused(lab: &Lab<'_>, name: &str, reason: &str) -> SavedTemplate {
    let wanted = |object: &_| is(object, "Validated", "False", Some(reason));
    lab.until(name, Duration::from_secs(40), reason, wanted).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_that_must_not_be_stopped_are_refused_before_any_write_to_ec2() {
    let lab = Lab::quick("preflight-machines").await.unwrap();
    let cases = [
        ("spot", "SpotInstance", "Spot", InstanceSeed { lifecycle: Lifecycle::SpotOneTime, ..seed("spot") }),
        (
            "grouped",
            "AutoScalingMember",
            "detach it",
            InstanceSeed { asg: Some("web".into()), ..seed("grouped") },
        ),
        (
            "protected",
            "StopProtected",
            "--no-disable-api-stop",
            InstanceSeed { disable_api_stop: true, ..seed("protected") },
        ),
        (
            "store",
            "InstanceStoreDataLoss",
            "spec.capture.instanceStore Discard",
            InstanceSeed { instance_type: "m5d.large".into(), ..seed("store") },
        ),
        (
            "node",
            "ClusterNode",
            "NoReboot",
            InstanceSeed { tags: [("eks:nodegroup-name".into(), "a".into())].into(), ..seed("node") },
        ),
        (
            "apple",
            "InstanceNotSupported",
            "Mac",
            InstanceSeed { instance_type: "mac2.metal".into(), ..seed("apple") },
        ),
        (
            "labelled",
            "TooManyTags",
            "remove some",
            InstanceSeed {
                tags: (0..48).map(|n| (format!("tag-{n}"), String::new())).collect(),
                ..seed("labelled")
            },
        ),
        (
            "managed",
            "ManagedInstance",
            "AWS service",
            InstanceSeed { operator: Some("eks".into()), ..seed("managed") },
        ),
        (
            "ancient",
            "UnsupportedRootDevice",
            "EBS",
            InstanceSeed { root_device_type: "instance-store".into(), ..seed("ancient") },
        ),
    ];
    let _controller = lab.controller().unwrap();
    for (name, _, _, seed) in &cases {
        lab.ec2.seed(seed.clone());
        lab.apply(&template(name, name)).await.unwrap();
    }
    lab.ec2.seed(seed("twin"));
    lab.ec2.seed(seed("twin"));
    lab.apply(&template("twins", "twin")).await.unwrap();
    lab.apply(&template("nobody", "nobody")).await.unwrap();
    lab.apply(&with("far-away", "spot", "  regions: [{name: af-south-1}]\n")).await.unwrap();
    for (name, reason, help, _) in &cases {
        let object = refused(&lab, name, reason).await;
        let text = message(&object, ConditionType::Validated).unwrap();
        assert!(text.contains(help), "{name}: {text}");
        assert!(
            is(&object, "Stalled", "True", Some("Preflight"))
                && is(&object, "Ready", "False", Some("Preflight"))
        );
        assert!(is(&object, "SourceRestored", "True", Some("NeverTouched")));
    }
    let gone = lab.ec2.seed(seed("gone"));
    crate::user(&lab, "TerminateInstances", &[("InstanceId.1", &gone)]);
    let by_id = template("gone", "gone").replace("instanceName: gone", &format!("instanceID: {gone}"));
    lab.apply(&by_id).await.unwrap();
    refused(&lab, "gone", "InstanceTerminated").await;
    refused(&lab, "twins", "InstanceAmbiguous").await;
    refused(&lab, "nobody", "InstanceNotFound").await;
    let ours = |entry: &&ec2sim::LogEntry| entry.agent.contains(saved_template_tests::OUR_CALLS);
    assert_eq!(lab.changes().iter().filter(ours).count(), 0, "{:?}", lab.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_is_not_enabled_a_taken_name_and_a_missing_permission_are_told_before_the_machine_is_touched()
 {
    let lab = Lab::quick("preflight-regions").await.unwrap();
    let id = lab.ec2.seed(seed("fine"));
    let _controller = lab.controller().unwrap();
    lab.apply(&with("not-enabled", "fine", "  regions: [{name: af-south-1}]\n")).await.unwrap();
    let object = refused(&lab, "not-enabled", "RegionNotEnabled").await;
    assert!(message(&object, ConditionType::Validated).unwrap().contains("af-south-1"));

    let deny = Effect::Refuse {
        code: "UnauthorizedOperation".into(),
        message: "You are not authorized".into(),
        status: None,
    };
    lab.ec2.add_fault(Fault::new("CreateImage", deny).dry_runs());
    lab.apply(&template("denied", "fine")).await.unwrap();
    let object = refused(&lab, "denied", "AccessDenied").await;
    assert!(message(&object, ConditionType::Validated).unwrap().contains("CreateImage"));
    assert!(lab.changes().is_empty(), "{:?}", lab.calls());
    assert_eq!(state(&lab, &id), InstanceState::Running);

    lab.ec2.sim().clear_faults();
    // What waits for somebody is looked at every five minutes, and whenever it is touched.
    lab.apply(&with("denied", "fine", "  description: asked again\n")).await.unwrap();
    lab.ready("denied").await.unwrap();

    // A name of ours that somebody else has.
    let name = images(&lab, "us-west-2")[0].name.replace("denied", "taken");
    let name = name.replace(&name[name.len() - 12..], &text::hex_digest("lab/preflight-regions/taken", 12));
    let params = [("InstanceId", id.as_str()), ("Name", name.as_str()), ("NoReboot", "true")];
    crate::user(&lab, "CreateImage", &params);
    lab.until_ec2(Duration::from_secs(30), "it is available", |sim| {
        let images = sim.place(ec2sim::ACCOUNT, "us-west-2").unwrap().images.values();
        images.filter(|image| image.state == ec2sim::ImageState::Available).count() == 2
    })
    .await
    .unwrap();
    lab.apply(&template("taken", "fine")).await.unwrap();
    let object = refused(&lab, "taken", "NameConflict").await;
    assert!(message(&object, ConditionType::Validated).unwrap().contains("templateName"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_to_stop_that_is_missing_withdraws_the_record_and_leaves_the_machine_running() {
    let lab = Lab::quick("preflight-permits").await.unwrap();
    let id = lab.ec2.seed(seed("fine"));
    let deny = Effect::Refuse {
        code: "UnauthorizedOperation".into(),
        message: "You are not authorized".into(),
        status: None,
    };
    lab.ec2.add_fault(Fault::new("StartInstances", deny).dry_runs());
    let _controller = lab.controller().unwrap();
    lab.apply(&template("unstartable", "fine")).await.unwrap();
    let object = lab
        .until("unstartable", Duration::from_secs(90), "AccessDenied", |object| {
            is(object, "Validated", "False", Some("AccessDenied"))
        })
        .await
        .unwrap();
    assert!(message(&object, ConditionType::Validated).unwrap().contains("StartInstances"));
    lab.until_ec2(Duration::from_secs(30), "the record is withdrawn", |sim| {
        let tags = &sim.place(ec2sim::ACCOUNT, "us-west-2").unwrap().instances[&id].tags;
        !tags.keys().any(|key| key.starts_with("savedtemplate.dev/restart-owed."))
    })
    .await
    .unwrap();
    assert_eq!(lab.count("StopInstances"), 0);
    assert!(!owes(&lab, &id));
    assert!(is(&object, "SourceRestored", "True", Some("NeverTouched")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_not_built_yet_is_named_before_any_write_to_ec2() {
    let lab = Lab::quick("preflight-fields").await.unwrap();
    lab.ec2.seed(seed("fine"));
    let _controller = lab.controller().unwrap();
    let cases = [
        ("sharing", "  sharing: {accounts: [\"210987654321\"]}\n", "spec.sharing"),
        ("project", "  projectName: quakes\n", "spec.projectName"),
        ("retention", "  retention: {keepLast: 2}\n", "spec.retention"),
        ("encrypt", "  encryption: {mode: Encrypt}\n", "spec.encryption"),
    ];
    for (name, more, _) in cases {
        lab.apply(&with(&format!("field-{name}"), "fine", more)).await.unwrap();
    }
    for (name, _, field) in cases {
        let object = refused(&lab, &format!("field-{name}"), "NotYetSupported").await;
        let text = message(&object, ConditionType::Validated).unwrap();
        assert!(text.contains(field), "{text}");
        assert!(object.metadata.finalizers.unwrap_or_default().is_empty());
    }
    assert!(lab.changes().is_empty(), "{:?}", lab.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_was_mistyped_and_corrected_leaves_nothing_behind() {
    let lab = Lab::quick("preflight-typo").await.unwrap();
    let _machine = lab.ec2.seed(seed("typo"));
    let _controller = lab.controller().unwrap();
    lab.apply(&with("typo", "typo", "  regions: [{name: us-est-2}]\n")).await.unwrap();
    refused(&lab, "typo", "RegionNotEnabled").await;
    lab.apply(&with("typo", "typo", "  regions: [{name: us-east-2}]\n")).await.unwrap();
    lab.ready("typo").await.unwrap();
    assert_eq!((images(&lab, "us-west-2").len(), images(&lab, "us-east-2").len()), (1, 1));
    // Also when it is made on an object that is saved.
    lab.apply(&with("typo", "typo", "  regions: [{name: us-east-2}, {name: eu-wst-1}]\n")).await.unwrap();
    let told = |object: &_| is(object, "Ready", "False", None);
    lab.until("typo", Duration::from_secs(60), "told", told).await.unwrap();
    lab.apply(&with("typo", "typo", "  regions: [{name: us-east-2}]\n")).await.unwrap();
    let object = lab.ready("typo").await.unwrap();
    assert_eq!(object.status.unwrap().regions.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn s93_a_machine_in_a_region_that_the_controller_does_not_cover_is_refused_and_no_write_is_sent() {
    let lab = Lab::quick("preflight-uncovered").await.unwrap();
    let region = "eu-west-1";
    lab.ec2.seed(InstanceSeed { region: region.into(), ..seed("uncovered") });
    let controller = lab.controller().unwrap();
    let manifest = template("uncovered", "uncovered").replace("us-west-2", region);
    lab.apply(&manifest).await.unwrap();
    let object = refused(&lab, "uncovered", "RegionNotCovered").await;
    let text = message(&object, ConditionType::Validated).unwrap();
    assert!(text.contains(region) && text.contains("--regions"), "{text}");
    assert!(is(&object, "SourceRestored", "True", Some("NeverTouched")));
    assert_eq!(lab.calls(), Vec::<String>::new());
    drop(controller);
    // The premise: it is refused for its region, and for nothing else.
    let _covers = lab.controller_with(&["--regions=eu-west-1"]).unwrap();
    lab.ready("uncovered").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_rests_on_what_ec2_answers_now_and_not_on_what_it_answered_while_the_object_was_suspended() {
    let lab = Lab::quick("preflight-fresh").await.unwrap();
    let id = lab.machine("later");
    let _controller = lab.controller().unwrap();
    lab.apply(&with("later", "later", "  suspend: true\n")).await.unwrap();
    let told = |object: &SavedTemplate| is(object, "Ready", "False", Some("Suspended"));
    lab.until("later", Duration::from_secs(60), "suspended", told).await.unwrap();
    // Older than an answer that a plan may rest on, and not so old that it is not good enough to be told.
    let _elapsed = tokio::time::timeout(Duration::from_secs(8), std::future::pending::<()>()).await;
    user(&lab, "ModifyInstanceAttribute", &[("InstanceId", &id), ("DisableApiStop.Value", "true")]);
    lab.apply(&with("later", "later", "  suspend: false\n")).await.unwrap();
    refused(&lab, "later", "StopProtected").await;
    assert_eq!((lab.count("CreateTags"), lab.count("StopInstances")), (0, 0), "{:?}", lab.calls());
}
