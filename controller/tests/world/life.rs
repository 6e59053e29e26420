//! The life of a template in virtual time, as far as the machine goes: modes, disruptions, revisions, suspension. Each is
//! also killed before and after every effect.
use ec2sim::{Effect, Fault, ImageState, InstanceState, Request};
use saved_template_api::{SavedTemplateStatus, names::tag, status::Consistency};
use serde_json::{Value, json};

use crate::{
    ec2::{HOME, on_instance},
    lab::Lab,
};

pub(super) const FAR: [&str; 2] = ["us-west-1", "us-east-2"];

pub(super) fn spec(more: &Value) -> String {
    let mut spec = json!({
        "source": {"region": "us-west-2", "instanceName": "quake"},
        "regions": [{"name": "us-west-1"}, {"name": "us-east-2"}],
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec.to_string()
}

pub(super) fn edit(lab: &mut Lab, more: &Value) {
    lab.edit(|object| object.spec = serde_json::from_str(&spec(more)).unwrap());
}

pub(super) fn ready(lab: &mut Lab) {
    let is_current = |lab: &Lab| {
        let object = lab.object().unwrap();
        lab.is_ready() && object.status.observed_generation == Some(object.generation)
    };
    lab.until(4000, "Ready", is_current);
}

pub(super) fn status(lab: &Lab) -> SavedTemplateStatus {
    lab.status()
}

/// What somebody could launch in a region, and what it holds: revision by image id.
pub(super) fn available(lab: &Lab, region: &str) -> Vec<(String, String)> {
    let place = lab.place(region);
    let images = place.into_iter().flat_map(|place| place.images.into_values());
    let images = images.filter(|image| image.state == ImageState::Available);
    images.map(|image| (image.id.clone(), image.tags[tag::REVISION].clone())).collect()
}

pub(super) fn snapshots(lab: &Lab, region: &str) -> usize {
    lab.place(region).map_or(0, |place| place.snapshots.len())
}

pub(super) fn served(lab: &Lab, region: &str) -> Option<(i32, String)> {
    let row = status(lab).images.into_iter().find(|row| row.region.as_str() == region)?;
    Some((row.revision, row.image_id.to_string()))
}

impl Lab {
    /// A copy says of itself what the image says that it is a copy of.
    pub(crate) fn copies_are_of_their_revision(&self) {
        let home = self.home();
        for copy in self.places().into_values().flat_map(|place| place.images.into_values()) {
            let Some(origin) = &copy.origin else { continue };
            let source = &home.images[&origin.image];
            for key in [tag::REVISION, tag::CAPTURE, tag::ATTEMPT] {
                assert_eq!(copy.tags.get(key), source.tags.get(key), "{key} of a copy\n{}", self.history());
            }
        }
    }
}

/// Runs `story` unharmed, then again with a death before and after each of its effects.
pub(super) fn survives(more: &Value, step: usize, story: impl Fn(&mut Lab), verdict: impl Fn(&Lab)) {
    let mut lab = Lab::new(&spec(more));
    story(&mut lab);
    verdict(&lab);
    for effect in (0..lab.effects().len()).step_by(step) {
        for after in [false, true] {
            let mut lab = Lab::new(&spec(more));
            lab.kill(effect, after);
            story(&mut lab);
            verdict(&lab);
        }
    }
}

#[test]
fn a_machine_is_rebooted_by_ec2_and_never_stopped_in_mode_reboot() {
    survives(&json!({"capture": {"mode": "Reboot"}}), 1, ready, |lab| {
        assert_eq!((lab.count("StopInstances"), lab.count("StartInstances")), (0, 0), "{}", lab.history());
        assert_eq!((lab.instance().reboots, lab.images(HOME)), (1, 1), "{}", lab.history());
        let capture = status(lab).capture.clone().unwrap();
        assert_eq!((capture.consistency, capture.disruptions), (Consistency::Rebooted, 1));
        assert_eq!(lab.condition("SourceRestored").1, "Restored");
    });
}

#[test]
fn a_machine_is_not_disturbed_at_all_in_mode_noreboot() {
    survives(&json!({"capture": {"mode": "NoReboot"}}), 1, ready, |lab| {
        assert_eq!((lab.count("StopInstances"), lab.count("StartInstances")), (0, 0), "{}", lab.history());
        assert_eq!((lab.instance().reboots, lab.images(HOME)), (0, 1), "{}", lab.history());
        assert!(!lab.owes() || lab.effects().len() > 5);
        let capture = status(lab).capture.clone().unwrap();
        assert_eq!((capture.consistency, capture.disruptions), (Consistency::CrashConsistent, 0));
        assert_eq!(lab.condition("SourceRestored").1, "NeverTouched");
    });
}

#[test]
fn a_machine_that_was_stopped_is_saved_as_it_is_and_stays_stopped() {
    for mode in ["Stop", "Reboot", "NoReboot"] {
        let story = |lab: &mut Lab| {
            let id = lab.id.clone();
            lab.user(&on_instance("StopInstances", &id));
            lab.run(40);
            ready(lab);
            lab.run(900);
        };
        survives(&json!({"capture": {"mode": mode}}), 3, story, |lab| {
            assert_eq!(lab.instance().state, InstanceState::Stopped, "{}", lab.history());
            assert_eq!(
                (lab.count("StopInstances"), lab.count("StartInstances")),
                (1, 0),
                "{}",
                lab.history()
            );
            assert_eq!(lab.images(HOME), 1, "{}", lab.history());
            assert!(!lab.owes(), "{}", lab.history());
            assert_eq!(lab.condition("SourceRestored").1, "LeftStopped");
            assert_eq!(
                status(lab).capture.clone().unwrap().consistency,
                Consistency::Stopped,
                "{}",
                lab.history()
            );
        });
    }
}

#[test]
fn an_excluded_device_has_no_snapshot_and_the_barrier_does_not_wait_for_it() {
    let more = json!({"capture": {"excludeDeviceNames": ["/dev/sdf"]}});
    survives(&more, 4, ready, |lab| {
        assert_eq!((snapshots(lab, HOME), lab.instance().downtimes().len()), (1, 1), "{}", lab.history());
        assert_eq!(lab.instance().state, InstanceState::Running);
        // The proof dies with the process that sent the start.
        let consistency = status(lab).capture.clone().unwrap().consistency;
        let unharmed = lab.kills().is_empty();
        assert!(consistency == Consistency::Stopped || (!unharmed && consistency == Consistency::Unknown));
    });
}

#[test]
fn a_machine_that_does_not_stop_in_time_is_given_back_or_stopped_the_hard_way_as_the_spec_says() {
    for (policy, forced) in [("Abort", false), ("Force", true)] {
        let more = json!({"capture": {"stop": {"timeoutSeconds": 60, "onTimeout": policy}}});
        let mut lab = Lab::new(&spec(&more));
        if forced {
            lab.sim().add_fault(Fault::new("StopInstances", Effect::StickStopping).nth(1));
        } else {
            lab.sim().config_mut().stop = 400_000;
        }
        lab.run(3000);
        assert_eq!(lab.instance().state, InstanceState::Running, "{policy}\n{}", lab.history());
        assert!(!lab.owes(), "{policy}");
        assert_eq!(lab.count("StopInstances"), if forced { 2 } else { 1 }, "{policy}\n{}", lab.history());
        if forced {
            assert!(lab.is_ready(), "{:?}\n{}", lab.condition("Ready"), lab.history());
            assert_eq!(status(&lab).capture.clone().unwrap().consistency, Consistency::Unknown);
        } else {
            assert_eq!(lab.condition("ImageAvailable").1, "DisruptionLimitReached", "{}", lab.history());
            assert_eq!(lab.images(HOME), 0);
        }
    }
}

#[test]
fn a_failed_revision_disrupts_the_machine_as_often_as_maxdisruptions_says_and_no_more() {
    for most in [1, 2, 3] {
        let mut lab = Lab::new(&spec(&json!({"capture": {"maxDisruptions": most}})));
        let fail = Effect::FailImage { code: "Client.Bad".into(), message: "x".into(), after_ms: None };
        lab.sim().add_fault(Fault::new("CreateImage", fail));
        lab.run(8000);
        assert_eq!(lab.instance().downtimes().len(), most, "{}", lab.history());
        assert_eq!(lab.condition("ImageAvailable").1, "DisruptionLimitReached", "{}", lab.history());
        lab.sim().clear_faults();
        edit(&mut lab, &json!({"capture": {"maxDisruptions": most + 1}}));
        ready(&mut lab);
        assert_eq!(lab.instance().downtimes().len(), most + 1, "{}", lab.history());
    }
}

#[test]
fn a_larger_revision_captures_again_and_a_smaller_one_selects_the_older_images_without_a_capture() {
    let story = |lab: &mut Lab| {
        ready(lab);
        edit(lab, &json!({"revision": 2}));
        ready(lab);
        edit(lab, &json!({"revision": 1}));
        ready(lab);
    };
    survives(&json!({}), 3, story, |lab| {
        assert_eq!(lab.count("StopInstances"), 2, "{}", lab.history());
        for region in [HOME, FAR[0], FAR[1]] {
            let all = available(lab, region);
            assert_eq!(all.len(), 2, "{region} {all:?}\n{}", lab.history());
            let first = all.iter().find(|(_, revision)| revision == "1").unwrap();
            assert_eq!(served(lab, region), Some((1, first.0.clone())), "{}", lab.history());
        }
        assert_eq!(status(lab).latest_revision, Some(2));
        assert_eq!(status(lab).revisions.len(), 2);
        assert_eq!(lab.condition("Ready").1, "Saved");
    });
}

#[test]
fn what_is_served_is_never_touched_by_a_capture_that_runs_or_fails_and_moves_region_by_region() {
    let mut lab = Lab::new(&spec(&json!({})));
    ready(&mut lab);
    let before = status(&lab).images.clone();
    let fail = Effect::FailImage { code: "Client.Bad".into(), message: "x".into(), after_ms: None };
    lab.sim().add_fault(Fault::new("CreateImage", fail));
    edit(&mut lab, &json!({"revision": 2}));
    lab.run(1500);
    assert_eq!(status(&lab).images, before);
    assert_eq!(lab.condition("Available").0, "True");
    assert_eq!(lab.condition("Ready").0, "False");
    lab.sim().clear_faults();
    lab.goes_dark(FAR[0]);
    edit(&mut lab, &json!({"revision": 3}));
    lab.run(1500);
    assert_eq!(served(&lab, HOME).unwrap().0, 3);
    assert_eq!(served(&lab, FAR[0]).unwrap().0, 1, "its copy cannot be made");
    assert_eq!(served(&lab, FAR[1]).unwrap().0, 3);
    for status in &lab.statuses() {
        assert!(status.images.len() == 3 || status.images.len() < 3 && status.latest_revision < Some(2));
    }
}

#[test]
fn a_revision_asked_for_while_another_is_captured_gets_no_copy_of_the_image_of_that_one() {
    for second in (1..260).step_by(3) {
        for (first, then) in [(1, 2), (2, 1)] {
            let mut lab = Lab::new(&spec(&json!({"revision": first, "capture": {"mode": "NoReboot"}})));
            lab.run(second);
            edit(&mut lab, &json!({"revision": then, "capture": {"mode": "NoReboot"}}));
            lab.until(4000, "settled", |lab| {
                let object = lab.object().unwrap();
                crate::oracle::is_settled(lab) && object.status.observed_generation == Some(object.generation)
            });
            let what =
                format!("{first} to {then} at {second}: {:?}\n{}", lab.condition("Ready"), lab.history());
            assert!(lab.is_ready() || then < first, "{what}");
            lab.copies_are_of_their_revision();
        }
    }
}

#[test]
fn an_active_revision_pins_what_is_served_while_the_next_one_is_captured() {
    let mut lab = Lab::new(&spec(&json!({})));
    ready(&mut lab);
    let first = served(&lab, HOME).unwrap();
    edit(&mut lab, &json!({"revision": 2, "activeRevision": 1}));
    ready(&mut lab);
    assert_eq!(served(&lab, HOME).unwrap(), first);
    assert_eq!(available(&lab, FAR[0]).len(), 2, "the copies of revision 2 are there");
    edit(&mut lab, &json!({"revision": 2}));
    ready(&mut lab);
    assert!([HOME, FAR[0], FAR[1]].iter().all(|region| served(&lab, region).unwrap().0 == 2));
}

#[test]
fn a_revision_that_never_was_is_not_found_and_one_that_is_gone_is_never_made_again() {
    let mut lab = Lab::new(&spec(&json!({"revision": 3})));
    ready(&mut lab);
    edit(&mut lab, &json!({"revision": 2}));
    lab.run(300);
    assert_eq!(lab.condition("Ready").1, "RevisionNotFound");
    assert_eq!(served(&lab, HOME).unwrap().0, 3, "what is served stays");
    edit(&mut lab, &json!({"revision": 3}));
    ready(&mut lab);
    let id = served(&lab, HOME).unwrap().1;
    lab.user(&Request::new("DeregisterImage").with("ImageId", &id));
    lab.run(900);
    assert_eq!(lab.condition("Ready").1, "ImageMissing", "{}", lab.history());
    assert_eq!(lab.condition("ImageAvailable").1, "ImageMissing");
    assert_eq!(served(&lab, HOME), None, "what is gone is not served");
    assert_eq!(served(&lab, FAR[0]).unwrap().0, 3, "its copy is");
    lab.edit(|object| object.status = SavedTemplateStatus::default());
    lab.run(1500);
    assert_eq!(lab.condition("Ready").1, "ImageMissing", "the receipt on the machine says so");
    assert_eq!(lab.count("StopInstances"), 1);
}

#[test]
fn a_suspended_template_is_checked_and_nothing_is_done() {
    let mut lab = Lab::new(&spec(&json!({"suspend": true})));
    lab.run(600);
    assert_eq!(lab.condition("Ready").1, "Suspended");
    assert_eq!(lab.condition("Validated"), ("True".into(), "PreflightPassed".into()));
    let is_change = |effect: &str| !effect.ends_with("status") && !effect.ends_with("class");
    assert_eq!(lab.effects().iter().filter(|effect| is_change(effect)).count(), 0);
    edit(&mut lab, &json!({}));
    ready(&mut lab);
    edit(&mut lab, &json!({"suspend": true, "description": "new", "regions": []}));
    let effects = lab.effects().iter().filter(|effect| is_change(effect)).count();
    lab.run(600);
    assert_eq!(lab.condition("Ready").1, "Suspended");
    assert_eq!(lab.effects().iter().filter(|effect| is_change(effect)).count(), effects);
}

#[test]
fn a_template_suspended_at_any_second_gives_its_machine_back_and_goes_on_where_it_was() {
    for second in (1..200).step_by(3) {
        let mut lab = Lab::new(&spec(&json!({})));
        lab.run(second);
        edit(&mut lab, &json!({"suspend": true}));
        lab.run(900);
        assert_eq!(lab.instance().state, InstanceState::Running, "at {second}\n{}", lab.history());
        assert!(!lab.owes(), "at {second}\n{}", lab.history());
        edit(&mut lab, &json!({}));
        ready(&mut lab);
        assert_eq!(lab.count("StopInstances"), 1, "at {second}\n{}", lab.history());
    }
}

#[test]
fn a_template_suspended_while_its_machine_waits_for_the_image_is_not_called_stalled_before_it_is_back() {
    for second in 150..200 {
        let patient = json!({"capture": {"restartWhen": "ImageAvailable"}, "suspend": true});
        let mut lab = Lab::new(&spec(&json!({"capture": {"restartWhen": "ImageAvailable"}})));
        lab.run(second);
        edit(&mut lab, &patient);
        // The oracle looks at every second: never both stalled and owed.
        lab.run(120);
        // Where both copies were asked for before, nothing is left to be withheld.
        let ready = lab.condition("Ready").1;
        assert!(["Suspended", "Saved"].contains(&ready.as_str()), "at {second}: {ready}\n{}", lab.history());
        assert_eq!(lab.instance().state, InstanceState::Running);
    }
}
