//! Every mode, and every revision: what is done to the machine, and what can be launched afterwards.
use std::time::Duration;

use ec2sim::{ACCOUNT, Effect, Fault, ImageState, InstanceState, VolumeSeed};
use saved_template_api::{SavedTemplate, names::tag, status::Consistency};
use saved_template_tests::{Lab, is};

use crate::{ALL, HOME, assert_saved_once, images, owes, state, template, user, user_in, with};

const THREE: &str = "  regions: [{name: us-east-2}, {name: us-west-1}]\n";

fn capture(object: &SavedTemplate) -> saved_template_api::status::CaptureStatus {
    object.status.clone().unwrap().capture.unwrap()
}

/// `Ready` for the spec as it is now.
async fn current(lab: &Lab<'_>, name: &str) -> SavedTemplate {
    let wanted = |object: &SavedTemplate| {
        let seen = object.status.as_ref().and_then(|status| status.observed_generation);
        is(object, "Ready", "True", None) && seen == object.metadata.generation
    };
    lab.until(name, Duration::from_secs(120), "Ready for this spec", wanted).await.unwrap()
}

/// Revisions of the available images in a region.
fn revisions(lab: &Lab<'_>, region: &str) -> Vec<String> {
    let available = images(lab, region).into_iter().filter(|image| image.state == ImageState::Available);
    let mut all: Vec<String> = available.map(|image| image.tags[tag::REVISION].clone()).collect();
    all.sort();
    all
}

fn served(object: &SavedTemplate, region: &str) -> Option<i32> {
    let images = object.status.clone().unwrap().images;
    images.iter().find(|row| row.region.as_str() == region).map(|row| row.revision)
}

#[tokio::test(flavor = "multi_thread")]
async fn in_mode_reboot_ec2_restarts_the_machine_and_in_mode_noreboot_nothing_happens_to_it() {
    let lab = Lab::quick("whole-modes").await.unwrap();
    let rebooted = lab.machine("rebooted");
    let untouched = lab.machine("untouched");
    let _controller = lab.controller().unwrap();
    lab.apply(&with("rebooted", "rebooted", "  capture: {mode: Reboot}\n")).await.unwrap();
    lab.apply(&with("untouched", "untouched", "  capture: {mode: NoReboot}\n")).await.unwrap();
    let first = lab.ready("rebooted").await.unwrap();
    let second = lab.ready("untouched").await.unwrap();
    let reboots = |id: &str| lab.ec2.sim().place(ACCOUNT, HOME).unwrap().instances[id].reboots;
    assert_eq!((reboots(&rebooted), reboots(&untouched)), (1, 0));
    assert_eq!(
        (lab.count("StopInstances"), lab.count("StartInstances"), lab.count("CreateImage")),
        (0, 0, 2)
    );
    assert_eq!(capture(&first).consistency, Consistency::Rebooted);
    assert_eq!(capture(&second).consistency, Consistency::CrashConsistent);
    assert!(is(&first, "SourceRestored", "True", Some("Restored")));
    assert!(is(&second, "SourceRestored", "True", Some("NeverTouched")));
    lab.until_ec2(Duration::from_secs(60), "the claims are gone", |sim| {
        let machines = &sim.place(ACCOUNT, HOME).unwrap().instances;
        let owes = |id: &str| machines[id].tags.keys().any(|key| key.starts_with(tag::DEBT_PREFIX));
        !owes(&rebooted) && !owes(&untouched)
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_machine_is_saved_as_it_is_and_stays_stopped() {
    let lab = Lab::quick("whole-stopped").await.unwrap();
    let id = lab.machine("asleep");
    user(&lab, "StopInstances", &[("InstanceId.1", &id)]);
    let _controller = lab.controller().unwrap();
    lab.apply(&template("asleep", "asleep")).await.unwrap();
    let object = lab.ready("asleep").await.unwrap();
    assert_eq!(state(&lab, &id), InstanceState::Stopped);
    assert_eq!(
        (lab.count("StopInstances"), lab.count("StartInstances"), lab.count("CreateImage")),
        (1, 0, 1)
    );
    assert_eq!(capture(&object).consistency, Consistency::Stopped);
    assert!(is(&object, "SourceRestored", "True", Some("LeftStopped")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_excluded_device_is_not_in_the_image_and_the_root_or_an_unknown_one_is_refused() {
    let lab = Lab::quick("whole-devices").await.unwrap();
    let id = lab.machine("disks");
    let _controller = lab.controller().unwrap();
    for (name, device) in [("no-root", "/dev/sda1"), ("no-such", "/dev/sdz")] {
        let more = format!("  capture: {{excludeDeviceNames: [{device}]}}\n");
        lab.apply(&with(name, "disks", &more)).await.unwrap();
        let refused = |object: &_| is(object, "Validated", "False", Some("DeviceNotFound"));
        lab.until(name, Duration::from_secs(40), "refused", refused).await.unwrap();
    }
    assert!(lab.changes().is_empty());
    lab.apply(&with("one", "disks", "  capture: {excludeDeviceNames: [/dev/sdf]}\n")).await.unwrap();
    lab.ready("one").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
    assert_eq!(images(&lab, HOME)[0].mappings.len(), 1);
    assert_eq!(lab.ec2.sim().place(ACCOUNT, HOME).unwrap().snapshots.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_hangs_while_it_stops_is_stopped_the_hard_way_where_the_spec_says_force() {
    let lab = Lab::quick("whole-force").await.unwrap();
    let id = lab.machine("hangs");
    lab.ec2.add_fault(Fault::new("StopInstances", Effect::StickStopping).nth(1));
    let _controller = lab.controller().unwrap();
    let more = "  capture: {stop: {timeoutSeconds: 60, onTimeout: Force}}\n";
    lab.apply(&with("hangs", "hangs", more)).await.unwrap();
    let object =
        lab.until("hangs", Duration::from_secs(240), "Ready", |object| is(object, "Ready", "True", None));
    let object = object.await.unwrap();
    assert_eq!(state(&lab, &id), InstanceState::Running);
    assert!(!owes(&lab, &id));
    assert_eq!(
        (lab.count("StopInstances"), lab.count("StartInstances"), lab.count("CreateImage")),
        (2, 1, 1)
    );
    assert_eq!(
        capture(&object).consistency,
        Consistency::Unknown,
        "nobody knows what a hard stop left behind"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn instance_store_data_is_given_up_only_where_the_spec_says_discard() {
    let lab = Lab::quick("whole-store").await.unwrap();
    let seed = ec2sim::InstanceSeed {
        region: HOME.into(),
        name: Some("store".into()),
        instance_type: "m5d.large".into(),
        volumes: vec![VolumeSeed::new("/dev/sda1", 8)],
        ..ec2sim::InstanceSeed::default()
    };
    let id = lab.ec2.seed(seed);
    let _controller = lab.controller().unwrap();
    lab.apply(&template("store", "store")).await.unwrap();
    let refused = |object: &_| is(object, "Validated", "False", Some("InstanceStoreDataLoss"));
    lab.until("store", Duration::from_secs(40), "refused", refused).await.unwrap();
    assert!(lab.changes().is_empty());
    lab.apply(&with("store", "store", "  capture: {instanceStore: Discard}\n")).await.unwrap();
    lab.ready("store").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_up_captures_again_one_down_selects_the_older_images_and_a_pin_holds_them() {
    let lab = Lab::quick("whole-revisions").await.unwrap();
    let id = lab.machine("quake");
    let _controller = lab.controller().unwrap();
    lab.apply(&with("quake", "quake", THREE)).await.unwrap();
    current(&lab, "quake").await;
    lab.apply(&with("quake", "quake", &format!("{THREE}  revision: 2\n  activeRevision: 1\n")))
        .await
        .unwrap();
    let pinned = current(&lab, "quake").await;
    assert_eq!(lab.count("StopInstances"), 2);
    for region in ALL {
        assert_eq!(revisions(&lab, region), ["1", "2"], "{region}");
        assert_eq!(served(&pinned, region), Some(1), "{region}: the pin holds");
    }
    lab.apply(&with("quake", "quake", &format!("{THREE}  revision: 2\n"))).await.unwrap();
    let second = current(&lab, "quake").await;
    assert!(ALL.iter().all(|region| served(&second, region) == Some(2)));
    lab.apply(&with("quake", "quake", &format!("{THREE}  revision: 1\n"))).await.unwrap();
    let back = current(&lab, "quake").await;
    assert!(ALL.iter().all(|region| served(&back, region) == Some(1)));
    let status = back.status.unwrap();
    assert_eq!((status.latest_revision, status.active_revision), (Some(2), Some(1)));
    assert_eq!(lab.count("StopInstances"), 2, "nothing was captured for it");
    assert_eq!(state(&lab, &id), InstanceState::Running);
    lab.apply(&with("quake", "quake", &format!("{THREE}  revision: 4\n"))).await.unwrap();
    current(&lab, "quake").await;
    lab.apply(&with("quake", "quake", &format!("{THREE}  revision: 3\n"))).await.unwrap();
    let missing = |object: &_| is(object, "Ready", "False", Some("RevisionNotFound"));
    lab.until("quake", Duration::from_secs(30), "not found", missing).await.unwrap();
    assert_eq!(lab.count("StopInstances"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_stays_while_the_next_revision_fails_and_after_maxdisruptions_nothing_is_stopped() {
    let lab = Lab::quick("whole-failing").await.unwrap();
    let id = lab.machine("fails");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("fails", "fails")).await.unwrap();
    let before = lab.ready("fails").await.unwrap().status.unwrap().images;
    let fail =
        Effect::FailImage { code: "Client.InternalError".into(), message: "kms".into(), after_ms: None };
    lab.ec2.add_fault(Fault::new("CreateImage", fail));
    lab.apply(&with("fails", "fails", "  revision: 2\n")).await.unwrap();
    let spent = |object: &_| is(object, "ImageAvailable", "False", Some("DisruptionLimitReached"));
    let object = lab.until("fails", Duration::from_secs(90), "given up", spent).await.unwrap();
    assert!(is(&object, "Available", "True", None) && is(&object, "Ready", "False", Some("Failed")));
    assert_eq!(object.status.unwrap().images, before);
    assert_eq!(state(&lab, &id), InstanceState::Running);
    assert_eq!(lab.count("StopInstances"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_template_says_what_would_be_done_and_does_nothing() {
    let lab = Lab::quick("whole-suspend").await.unwrap();
    let id = lab.machine("paused");
    let _controller = lab.controller().unwrap();
    lab.apply(&with("paused", "paused", "  suspend: true\n")).await.unwrap();
    let wanted = |object: &_| {
        is(object, "Ready", "False", Some("Suspended"))
            && is(object, "Validated", "True", Some("PreflightPassed"))
    };
    lab.until("paused", Duration::from_secs(40), "suspended", wanted).await.unwrap();
    assert!(lab.changes().is_empty());
    lab.apply(&template("paused", "paused")).await.unwrap();
    lab.ready("paused").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_typo_is_corrected_and_a_machine_that_goes_after_its_save_changes_nothing() {
    let lab = Lab::quick("whole-typo").await.unwrap();
    let id = lab.machine("right");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("typo", "wrong")).await.unwrap();
    let refused = |object: &_| is(object, "Validated", "False", Some("InstanceNotFound"));
    lab.until("typo", Duration::from_secs(40), "refused", refused).await.unwrap();
    lab.apply(&template("typo", "right")).await.unwrap();
    lab.ready("typo").await.unwrap();
    user(&lab, "TerminateInstances", &[("InstanceId.1", &id)]);
    lab.apply(&with("typo", "right", "  regions: [{name: us-east-2}]\n")).await.unwrap();
    current(&lab, "typo").await;
    assert_eq!((images(&lab, "us-east-2").len(), lab.count("StopInstances")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_come_and_go_without_a_capture_and_tags_and_descriptions_follow_everywhere() {
    let lab = Lab::quick("whole-regions").await.unwrap();
    lab.machine("roams");
    let _controller = lab.controller().unwrap();
    lab.apply(&with("roams", "roams", "  tags: [{key: team, value: geo}, {key: old, value: x}]\n"))
        .await
        .unwrap();
    current(&lab, "roams").await;
    let edited = "  description: two\n  tags: [{key: team, value: quakes}]\n  regions: [{name: us-east-2}, {name: us-west-1}]\n";
    lab.apply(&with("roams", "roams", edited)).await.unwrap();
    current(&lab, "roams").await;
    for region in ALL {
        let sim = lab.ec2.sim();
        let place = sim.place(ACCOUNT, region).unwrap();
        let tags = place.images.values().map(|image| &image.tags);
        for tags in tags.chain(place.snapshots.values().map(|shot| &shot.tags)) {
            assert_eq!(
                (tags.get("team").map(String::as_str), tags.get("old")),
                (Some("quakes"), None),
                "{region}"
            );
        }
        assert!(place.images.values().all(|image| image.description == "two"), "{region}");
    }
    let kept = "  description: two\n  tags: [{key: team, value: quakes}]\n  regions: [{name: us-east-2}]\n";
    lab.apply(&with("roams", "roams", kept)).await.unwrap();
    let object = current(&lab, "roams").await;
    assert_eq!(served(&object, "us-west-1"), None);
    lab.until_ec2(Duration::from_secs(60), "kept for good, beside a template that is ready", |sim| {
        let place = sim.place(ACCOUNT, "us-west-1").unwrap();
        place.images.values().all(|image| image.tags.contains_key(tag::RETAINED))
    })
    .await
    .unwrap();
    let gone = format!("{}  removedRegionPolicy: Delete\n", kept.replace("us-east-2", "us-west-1"));
    lab.apply(&with("roams", "roams", &gone)).await.unwrap();
    let left = |sim: &ec2sim::Sim| {
        let place = sim.place(ACCOUNT, "us-east-2").unwrap();
        place.images.values().all(|image| image.deregistered_at.is_some()) && place.snapshots.is_empty()
    };
    lab.until_ec2(Duration::from_secs(60), "the region is empty", left).await.unwrap();
    lab.until_ec2(Duration::from_secs(60), "the other is ours again", |sim| {
        let place = sim.place(ACCOUNT, "us-west-1").unwrap();
        place.images.values().all(|image| !image.tags.contains_key(tag::RETAINED))
    })
    .await
    .unwrap();
    assert_eq!((lab.count("StopInstances"), lab.count("CopyImage")), (1, 2), "{:?}", lab.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_somebody_removes_is_told_within_the_drift_period_and_a_copy_is_made_again() {
    let lab = Lab::quick("whole-drift").await.unwrap();
    lab.machine("drifts");
    let _controller = lab.controller_with(&["--drift-seconds=60"]).unwrap();
    lab.apply(&with("drifts", "drifts", "  regions: [{name: us-east-2}]\n")).await.unwrap();
    let object = current(&lab, "drifts").await;
    let copy = object.status.unwrap().images[1].image_id.to_string();
    user_in(&lab, "us-east-2", "DeregisterImage", &[("ImageId", &copy)]);
    let told = |object: &_| is(object, "Replicated", "False", None);
    lab.until("drifts", Duration::from_secs(330), "told", told).await.unwrap();
    let object = current(&lab, "drifts").await;
    assert_ne!(object.status.clone().unwrap().images[1].image_id.as_str(), copy);
    let home = object.status.unwrap().image_id.unwrap().to_string();
    user(&lab, "DisableImage", &[("ImageId", &home)]);
    let disabled = |object: &_| is(object, "ImageAvailable", "False", Some("ImageDisabled"));
    let object = lab.until("drifts", Duration::from_secs(120), "disabled", disabled).await.unwrap();
    assert_eq!(served(&object, HOME), None);
    user(&lab, "EnableImage", &[("ImageId", &home)]);
    current(&lab, "drifts").await;
    user(&lab, "DeregisterImage", &[("ImageId", &home)]);
    let missing = |object: &_| is(object, "Ready", "False", Some("ImageMissing"));
    lab.until("drifts", Duration::from_secs(330), "missing", missing).await.unwrap();
    assert_eq!(
        (lab.count("StopInstances"), lab.count("CreateImage")),
        (1, 1),
        "it is never made again by itself"
    );
}
