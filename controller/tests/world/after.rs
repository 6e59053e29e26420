//! What becomes of images that are there: regions that come and go, upkeep, loss, adoption, deletion.
use ec2sim::{ACCOUNT, Effect, Fault, InstanceState, Request};
use saved_template_api::{SavedTemplateStatus, names::tag};
use serde_json::json;

use crate::{
    ec2::{HOME, on_instance, tries},
    lab::Lab,
    life::{FAR, available, edit, ready, served, snapshots, spec, status, survives},
};

#[test]
fn a_region_added_later_is_copied_to_without_a_capture() {
    let story = |lab: &mut Lab| {
        ready(lab);
        edit(lab, &json!({}));
        ready(lab);
    };
    survives(&json!({"regions": []}), 2, story, |lab| {
        assert_eq!(
            (lab.count("StopInstances"), lab.images(FAR[0]), lab.images(FAR[1])),
            (1, 1, 1),
            "{}",
            lab.history()
        );
    });
}

#[test]
fn a_region_taken_out_keeps_its_images_for_good_or_loses_them_as_the_policy_says_and_may_return() {
    for (policy, left) in [("Retain", 1), ("Delete", 0)] {
        let story = |lab: &mut Lab| {
            ready(lab);
            let fewer = json!({"regions": [{"name": "us-west-1"}], "removedRegionPolicy": policy});
            edit(lab, &fewer);
            lab.run(1500);
            ready(lab);
        };
        survives(&json!({}), 5, story, |lab| {
            assert_eq!(available(lab, FAR[1]).len(), left, "{policy}\n{}", lab.history());
            assert_eq!(snapshots(lab, FAR[1]), left * 2, "{policy}");
            assert_eq!(available(lab, FAR[0]).len(), 1);
            assert_eq!(served(lab, FAR[1]), None);
            let rows = status(lab).regions.len();
            assert_eq!(rows, 2 + left, "{policy} {:?}", status(lab).regions);
        });
    }
    let mut lab = Lab::new(&spec(&json!({})));
    ready(&mut lab);
    edit(&mut lab, &json!({"regions": []}));
    ready(&mut lab);
    let marked = |lab: &Lab| {
        lab.place(FAR[0]).unwrap().images.values().all(|image| image.tags.contains_key(tag::RETAINED))
    };
    lab.run(60);
    assert!(marked(&lab), "{}", lab.history());
    edit(&mut lab, &json!({}));
    ready(&mut lab);
    assert!(!marked(&lab), "managed again");
    assert_eq!(
        (lab.count("CopyImage"), lab.images(FAR[0])),
        (2, 1),
        "adopted, not copied again\n{}",
        lab.history()
    );
}

#[test]
fn an_image_that_was_deregistered_is_served_by_nobody_when_its_region_is_wanted_again_at_once() {
    for (lag, seed) in [(0, 0), (20, 1), (20, 2), (20, 3), (40, 4), (40, 5), (40, 6)] {
        let mut lab = Lab::new(&spec(&json!({})));
        ready(&mut lab);
        lab.stale_reads(lag, seed);
        let old = served(&lab, FAR[1]).unwrap().1;
        edit(&mut lab, &json!({"regions": [{"name": "us-west-1"}], "removedRegionPolicy": "Delete"}));
        lab.until(600, "taken away", |lab| lab.count("DeregisterImage") == 1);
        edit(&mut lab, &json!({}));
        for _ in 0..900 {
            let is_told = served(&lab, FAR[1]).is_some_and(|image| image.1 == old);
            assert!(!is_told, "{lag} {seed}\n{}", lab.history());
            lab.tick();
        }
        ready(&mut lab);
        let made = (lab.count("CopyImage"), available(&lab, FAR[1]).len());
        assert_eq!(made, (3, 1), "{lag} {seed}\n{}", lab.history());
        lab.nothing_is_left_over();
    }
}

#[test]
fn tags_and_description_edited_later_are_those_of_every_image_and_snapshot_and_only_ours_are_taken_off() {
    let first = json!({"tags": [{"key": "team", "value": "geo"}, {"key": "old", "value": "x"}], "description": "one"});
    let second = json!({"tags": [{"key": "team", "value": "quakes"}], "description": "two"});
    let story = |lab: &mut Lab| {
        ready(lab);
        let id = lab.home().images.keys().next().unwrap().clone();
        lab.user(&crate::ec2::tag(&id, &[("mine".to_owned(), "stays".to_owned())].into()));
        edit(lab, &second);
        ready(lab);
        lab.run(30);
    };
    survives(&first, 5, story, |lab| {
        for region in [HOME, FAR[0], FAR[1]] {
            let place = lab.place(region).unwrap();
            let all = place.images.values().map(|image| &image.tags);
            for tags in all.chain(place.snapshots.values().map(|shot| &shot.tags)) {
                assert_eq!(
                    tags.get("team").map(String::as_str),
                    Some("quakes"),
                    "{region}\n{}",
                    lab.history()
                );
                assert_eq!(tags.get("old"), None, "{region}\n{}", lab.history());
            }
            assert!(
                place.images.values().all(|image| image.description == "two"),
                "{region}\n{}",
                lab.history()
            );
        }
        let home = lab.home().images.into_values().next().unwrap();
        assert_eq!(home.tags["mine"], "stays");
        assert_eq!(status(lab).applied_tag_keys, ["team"]);
    });
}

#[test]
fn a_lost_copy_is_told_and_made_again_and_a_lost_home_image_is_told_only() {
    let mut lab = Lab::new(&spec(&json!({})));
    ready(&mut lab);
    let id = served(&lab, FAR[0]).unwrap().1;
    let reply =
        lab.sim().call(lab.now(), ACCOUNT, FAR[0], &Request::new("DeregisterImage").with("ImageId", &id));
    assert_eq!(reply.code, None);
    lab.until(400, "told", |lab| lab.condition("Replicated").0 == "False");
    ready(&mut lab);
    let again = served(&lab, FAR[0]).unwrap().1;
    assert_ne!(again, id);
    assert_eq!((lab.count("CopyImage"), lab.count("StopInstances")), (3, 1));
}

#[test]
fn an_object_deleted_with_policy_delete_at_any_second_leaves_nothing_anywhere() {
    for second in (1..420).step_by(7) {
        let mut lab = Lab::new(&spec(&json!({"deletionPolicy": "Delete"})));
        lab.run(second);
        lab.delete();
        lab.until(4000, "gone", |lab| lab.object().is_none());
        lab.run(1200);
        assert_eq!(lab.instance().state, InstanceState::Running, "at {second}\n{}", lab.history());
        assert!(
            !lab.instance().tags.keys().any(|key| key.starts_with(tag::PREFIX)),
            "at {second}\n{}",
            lab.history()
        );
        for region in [HOME, FAR[0], FAR[1]] {
            let place = lab.place(region);
            let live = place.map_or(0, |place| {
                place.images.values().filter(|image| image.deregistered_at.is_none()).count()
            });
            assert_eq!((live, snapshots(&lab, region)), (0, 0), "{region} at {second}\n{}", lab.history());
        }
    }
}

#[test]
fn images_that_were_adopted_are_deleted_with_their_object_where_the_policy_says_so() {
    let mut lab = Lab::new(&spec(&json!({})));
    ready(&mut lab);
    lab.delete();
    lab.until(60, "gone", |lab| lab.object().is_none());
    lab.applies(&spec(&json!({"deletionPolicy": "Delete"})));
    ready(&mut lab);
    lab.delete();
    lab.until(4000, "gone", |lab| lab.object().is_none());
    for region in [HOME, FAR[0], FAR[1]] {
        assert_eq!(
            (available(&lab, region).len(), snapshots(&lab, region)),
            (0, 0),
            "{region}\n{}",
            lab.history()
        );
    }
}

#[test]
fn a_machine_that_cannot_be_captured_again_keeps_nothing_else_from_being_brought_into_line() {
    let mut lab = Lab::new(&spec(&json!({})));
    ready(&mut lab);
    let id = lab.id.clone();
    lab.user(&on_instance("TerminateInstances", &id));
    edit(&mut lab, &json!({"revision": 2, "description": "two", "regions": [{"name": "us-west-1"}]}));
    lab.run(900);
    assert_eq!(lab.condition("Validated").0, "False");
    assert_eq!(served(&lab, HOME).unwrap().0, 1);
    let image = lab.home().images.into_values().next().unwrap();
    assert_eq!(image.description, "two", "{}", lab.history());
    let kept = lab.place(FAR[1]).unwrap().images.values().all(|image| image.tags.contains_key(tag::RETAINED));
    assert!(kept, "{}", lab.history());
}

#[test]
fn a_deletion_killed_before_or_after_any_effect_leaves_nothing_anywhere() {
    let story = |lab: &mut Lab| {
        ready(lab);
        lab.delete();
        lab.until(4000, "gone", |lab| lab.object().is_none());
    };
    survives(&json!({"deletionPolicy": "Delete"}), 1, story, |lab| {
        for region in [HOME, FAR[0], FAR[1]] {
            assert_eq!(
                (available(lab, region).len(), snapshots(lab, region)),
                (0, 0),
                "{region}\n{}",
                lab.history()
            );
        }
        assert_eq!(lab.instance().state, InstanceState::Running);
    });
}

#[test]
fn the_home_image_is_not_deleted_while_a_region_of_its_copies_cannot_be_read() {
    let mut lab = Lab::new(&spec(&json!({"deletionPolicy": "Delete"})));
    ready(&mut lab);
    lab.goes_dark(FAR[0]);
    lab.delete();
    lab.run(900);
    assert_eq!((available(&lab, HOME).len(), available(&lab, FAR[1]).len()), (1, 0), "{}", lab.history());
    lab.answers_again();
    lab.until(4000, "gone", |lab| lab.object().is_none());
    for region in [HOME, FAR[0], FAR[1]] {
        assert_eq!((available(&lab, region).len(), snapshots(&lab, region)), (0, 0), "{region}");
    }
}

#[test]
fn images_that_were_kept_when_their_region_was_taken_out_outlive_the_object() {
    let mut lab = Lab::new(&spec(&json!({"deletionPolicy": "Delete"})));
    ready(&mut lab);
    edit(&mut lab, &json!({"deletionPolicy": "Delete", "regions": [{"name": FAR[0]}]}));
    ready(&mut lab);
    lab.run(60);
    lab.delete();
    lab.until(4000, "gone", |lab| lab.object().is_none());
    for (region, left) in [(HOME, 0), (FAR[0], 0), (FAR[1], 1)] {
        let there = (available(&lab, region).len(), snapshots(&lab, region));
        assert_eq!(there, (left, 2 * left), "{region}\n{}", lab.history());
    }
}

#[test]
fn an_object_applied_again_adopts_its_images_with_every_revision_and_captures_nothing() {
    let mut lab = Lab::new(&spec(&json!({})));
    ready(&mut lab);
    edit(&mut lab, &json!({"revision": 2}));
    ready(&mut lab);
    let images = status(&lab).images.clone();
    lab.edit(|object| object.status = SavedTemplateStatus::default());
    ready(&mut lab);
    assert_eq!(lab.condition("Ready").1, "Adopted");
    assert_eq!(status(&lab).images, images);
    assert_eq!(status(&lab).latest_revision, Some(2));
    assert_eq!(status(&lab).revisions.len(), 2);
    assert_eq!(lab.count("StopInstances"), 2);
    lab.edit(|object| object.status = SavedTemplateStatus::default());
    edit(&mut lab, &json!({}));
    ready(&mut lab);
    assert_eq!(served(&lab, HOME).unwrap().0, 1, "revision 1 is selected");
    assert_eq!(lab.count("StopInstances"), 2, "and not captured again");
}

#[test]
fn a_machine_terminated_after_its_save_changes_nothing() {
    let mut lab = Lab::new(&spec(&json!({})));
    ready(&mut lab);
    let id = lab.id.clone();
    lab.user(&on_instance("TerminateInstances", &id));
    lab.run(2000);
    assert!(lab.is_ready());
    edit(&mut lab, &json!({"regions": [{"name": "us-west-1"}]}));
    ready(&mut lab);
    assert_eq!(lab.condition("Available").0, "True");
}

#[test]
fn s72_a_copy_whose_reply_was_lost_is_not_made_twice_though_description_and_tags_are_edited_meanwhile() {
    for (effect, unique, lag) in
        [(Effect::ApplyAndDrop, true, 0), (Effect::ApplyAndDrop, false, 240), (Effect::Drop, true, 0)]
    {
        for wait in [0, 1, 5, 20, 120] {
            let mut lab = Lab::new(&spec(&json!({"tags": [{"key": "a", "value": "1"}]})));
            // Whether EC2 refuses a copy by a name in use is not known; the token must do.
            lab.sim().config_mut().copy_name_unique = unique;
            lab.sim().add_fault(Fault::new("CopyImage", effect.clone()).region(FAR[1]).nth(1).times(2));
            // Before the image is available: both copies are asked for as soon as it is seen to be.
            lab.until(400, "given back", |lab| lab.condition("SourceRestored").1 == "Restored");
            assert_eq!((lab.count("CreateImage"), lab.count("CopyImage")), (1, 0));
            // So old that the copy is asked for again before it shows.
            lab.stale_reads(lag, 7);
            lab.until(2000, "asked for", |lab| lab.asked("CopyImage") == 2);
            lab.run(wait);
            edit(&mut lab, &json!({"tags": [{"key": "a", "value": "2"}], "description": "two"}));
            ready(&mut lab);
            for region in FAR {
                assert_eq!(lab.images(region), 1, "{region}\n{}", lab.history());
                let image = lab.place(region).unwrap().images.into_values().next().unwrap();
                assert_eq!((image.description.as_str(), image.tags["a"].as_str()), ("two", "2"), "{region}");
            }
        }
    }
}

#[test]
fn s73_what_was_asked_for_just_before_a_deletion_and_shows_late_is_deleted_too() {
    for effect in [Effect::ApplyAndDrop, Effect::Drop] {
        for operation in ["CopyImage", "CreateImage"] {
            for (wait, lag) in [(0, 0), (2, 0), (10, 0), (0, 60), (10, 60)] {
                let mut lab = Lab::new(&spec(&json!({"deletionPolicy": "Delete"})));
                lab.stale_reads(lag, 7);
                lab.sim().add_fault(Fault::new(operation, effect.clone()).nth(1).times(tries(operation)));
                lab.until(400, "asked for", |lab| lab.asked(operation) > 0);
                lab.run(wait);
                lab.delete();
                lab.until(4000, "gone", |lab| lab.object().is_none());
                lab.run(1200);
                for region in [HOME, FAR[0], FAR[1]] {
                    assert_eq!(
                        (available(&lab, region).len(), snapshots(&lab, region)),
                        (0, 0),
                        "{region}\n{}",
                        lab.history()
                    );
                }
                assert_eq!(lab.instance().state, InstanceState::Running);
            }
        }
    }
}

#[test]
fn s58_after_a_refused_stop_the_record_is_gone_and_hours_later_the_users_own_stop_stands() {
    let mut lab = Lab::new(&spec(&json!({})));
    let code = "OperationNotPermitted".to_owned();
    let refuse = Effect::Refuse { code, message: "may not be stopped: disableApiStop".into(), status: None };
    lab.sim().add_fault(Fault::new("StopInstances", refuse));
    lab.run(120);
    assert!(!lab.owes(), "withdrawn\n{}", lab.history());
    lab.force_delete();
    lab.run(3 * 3600);
    lab.sim().clear_faults();
    let id = lab.id.clone();
    lab.user(&on_instance("StopInstances", &id));
    lab.run(3600);
    assert_eq!((lab.instance().state, lab.count("StartInstances")), (InstanceState::Stopped, 0));
}

#[test]
fn a_region_taken_out_while_its_copy_is_being_made_keeps_the_image_and_every_snapshot() {
    for second in (155..200).step_by(3) {
        let mut lab = Lab::new(&spec(&json!({})));
        lab.run(100);
        // The snapshots of the copies show half a minute after the copies.
        lab.sim().config_mut().snapshot_lag = 30_000;
        lab.run(second - 100);
        edit(&mut lab, &json!({"regions": [{"name": "us-west-1"}]}));
        lab.until(2500, "Ready", Lab::is_ready);
        lab.run(900);
        let Some(place) = lab.place(FAR[1]) else { continue };
        let tags = place.images.values().map(|image| &image.tags);
        for tags in tags.chain(place.snapshots.values().map(|shot| &shot.tags)) {
            assert!(tags.contains_key(tag::RETAINED), "taken out at {second}\n{}", lab.history());
        }
    }
}

#[test]
fn a_tag_key_taken_out_while_the_image_does_not_show_yet_is_on_nothing_in_the_end() {
    for second in 30..60 {
        let tagged = json!({"regions": [], "tags": [{"key": "brief", "value": "x"}]});
        let mut lab = Lab::new(&spec(&tagged));
        lab.stale_reads(8, 7);
        lab.run(second);
        edit(&mut lab, &json!({"regions": []}));
        ready(&mut lab);
        lab.run(120);
        let place = lab.home();
        let tags = place.images.values().map(|image| &image.tags);
        let mut all = tags.chain(place.snapshots.values().map(|shot| &shot.tags));
        assert!(all.all(|tags| !tags.contains_key("brief")), "at {second}\n{}", lab.history());
    }
}
