//! What a failed attempt leaves in EC2: an image that is available, of a machine that ran before its snapshots began.
use ec2sim::{Effect, Fault};
use saved_template_api::{SavedTemplateStatus, status::CaptureReason};
use serde_json::json;

use crate::{
    ec2::HOME,
    lab::Lab,
    life::{FAR, available, edit, ready, served, spec, status},
};

/// A lab whose first attempt failed although EC2 made its image; the id of that image.
fn failed(more: &serde_json::Value) -> (Lab, String) {
    let mut lab = Lab::new(&spec(more));
    let lag = lab.sim().config_mut().snapshot_lag;
    lab.sim().config_mut().start_before_capture_fails_image = false;
    lab.sim().config_mut().snapshot_lag = 1_900_000;
    lab.until(100, "asked for", |lab| lab.count("CreateImage") == 1);
    lab.sim().config_mut().snapshot_lag = lag;
    lab.until(4000, "failed", |lab| {
        let reason = status(lab).capture.as_ref().and_then(|capture| capture.reason);
        reason == Some(CaptureReason::DowntimeExceeded) && !available(lab, HOME).is_empty()
    });
    let id = available(&lab, HOME)[0].0.clone();
    (lab, id)
}

#[test]
fn it_is_never_served_also_after_the_status_was_lost() {
    let (mut lab, spoilt) = failed(&json!({}));
    lab.run(60);
    lab.edit(|object| (object.status, object.finalizer) = (SavedTemplateStatus::default(), false));
    lab.run(900);
    assert_eq!(served(&lab, HOME), None, "{spoilt}\n{}", lab.history());
    assert_eq!(lab.condition("Stalled").0, "True");
    assert_eq!((lab.count("StopInstances"), lab.count("CopyImage")), (1, 0));
    edit(&mut lab, &json!({"revision": 2}));
    ready(&mut lab);
    assert_eq!(served(&lab, HOME).unwrap().0, 2);
}

#[test]
fn the_attempt_after_it_is_served_when_its_revision_is_wanted_again() {
    let (mut lab, spoilt) = failed(&json!({"capture": {"maxDisruptions": 2}}));
    ready(&mut lab);
    let good = served(&lab, HOME).unwrap();
    assert_ne!(good.1, spoilt);
    let at_first = available(&lab, FAR[0]).len();
    for wipes in [false, true] {
        edit(&mut lab, &json!({"capture": {"maxDisruptions": 2}, "revision": 2}));
        ready(&mut lab);
        assert_eq!(served(&lab, HOME).unwrap().0, 2);
        edit(&mut lab, &json!({"capture": {"maxDisruptions": 2}, "revision": 1}));
        if wipes {
            lab.edit(|object| object.status = SavedTemplateStatus::default());
        }
        ready(&mut lab);
        assert_eq!(served(&lab, HOME).unwrap(), good, "status lost: {wipes}\n{}", lab.history());
    }
    assert_eq!(available(&lab, FAR[0]).len(), at_first + 1, "of revision 2");
}

#[test]
fn its_revision_has_no_image_when_it_is_wanted_again_and_it_goes_with_its_object() {
    let (mut lab, spoilt) = failed(&json!({"deletionPolicy": "Delete"}));
    edit(&mut lab, &json!({"deletionPolicy": "Delete", "revision": 2}));
    ready(&mut lab);
    edit(&mut lab, &json!({"deletionPolicy": "Delete", "revision": 1}));
    lab.run(600);
    assert_eq!(served(&lab, HOME).unwrap().0, 2, "{spoilt}\n{}", lab.history());
    assert_eq!(lab.condition("Ready").1, "RevisionNotFound");
    lab.delete();
    lab.until(4000, "gone", |lab| lab.object().is_none());
    assert!(available(&lab, HOME).is_empty());
}

#[test]
fn a_template_whose_image_ec2_failed_since_its_machine_was_started_waits_for_its_images_from_then_on() {
    let told = |lab: &Lab| status(lab).preflight.iter().filter(|row| row.check == "RestartWhen").count();
    let fails = |code: &str| {
        let mut lab = Lab::new(&spec(&json!({})));
        let fail = Effect::FailImage { code: code.into(), message: "m".into(), after_ms: Some(120_000) };
        lab.sim().add_fault(Fault::new("CreateImage", fail).nth(1));
        lab.until(4000, "failed", |lab| lab.condition("Stalled").0 == "True");
        lab
    };
    assert_eq!(told(&fails("Client.InternalError")), 0, "no start was to blame");
    let mut lab = fails("Client.InstanceTerminated");
    assert_eq!(told(&lab), 1, "{}", lab.history());
    for revision in [2, 3] {
        edit(&mut lab, &json!({"revision": revision}));
        ready(&mut lab);
        let id = served(&lab, HOME).unwrap().1;
        let image = &lab.home().images[&id];
        assert!(image.available_at.unwrap() <= lab.instance().launch_time, "{revision}\n{}", lab.history());
        assert_eq!(told(&lab), 1, "{revision}");
    }
}
