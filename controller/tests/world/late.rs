//! Images that EC2's reply has named, and that its reads show minutes later.
use ec2sim::{ACCOUNT, Effect, Fault, ImageState, Request};
use saved_template_api::{names::tag, status::CaptureReason};
use serde_json::json;

use crate::{
    ec2::HOME,
    lab::Lab,
    life::{FAR, edit, ready, served, spec, status},
    oracle::assert_given_back,
};

impl Lab {
    /// Of one revision a region holds one image that could be launched or will be, but for what a failed attempt left,
    /// which says so itself.
    pub(crate) fn nothing_is_left_over(&self) {
        for (key, place) in self.sim().places() {
            let is_live = |image: &&ec2sim::Image| {
                matches!(image.state, ImageState::Available | ImageState::Pending)
                    && image.tags.contains_key(tag::CLUSTER)
                    && !image.tags.contains_key(tag::FAILED)
            };
            let live: Vec<_> = place.images.values().filter(is_live).collect();
            for image in &live {
                let same = live.iter().filter(|other| other.tags[tag::REVISION] == image.tags[tag::REVISION]);
                assert_eq!(same.count(), 1, "{} {:?}\n{}", key.region, image.name, self.history());
            }
            let is_kept = |shot: &&ec2sim::Snapshot| {
                place.images.get(&shot.image).is_some_and(|image| image.deregistered_at.is_none())
            };
            assert!(
                place.snapshots.values().all(|shot| is_kept(&shot)),
                "{}\n{}",
                key.region,
                self.history()
            );
        }
    }

    fn hide(&mut self, seconds: i64) {
        self.sim().config_mut().visibility_lag = seconds * 1000;
        self.sim().config_mut().copy_name_unique = false;
    }
}

fn assert_saved(lab: &Lab) {
    assert_given_back(lab, "late");
    lab.nothing_is_left_over();
    for region in [HOME, FAR[0], FAR[1]] {
        assert!(served(lab, region).is_some(), "{region}\n{}", lab.history());
    }
}

#[test]
fn images_that_show_late_at_home_and_abroad_are_each_asked_for_once() {
    for (hidden, unique) in [(150, false), (150, true), (600, false), (600, true)] {
        let mut lab = Lab::new(&spec(&json!({})));
        lab.hide(hidden);
        lab.sim().config_mut().copy_name_unique = unique;
        for _ in 0..3000 {
            lab.tick();
            let (_, reason) = lab.condition("Ready");
            assert_ne!(reason, "ImageMissing", "{hidden} {unique}\n{}", lab.history());
        }
        ready(&mut lab);
        assert_saved(&lab);
        let made = (lab.count("StopInstances"), lab.count("CreateImage"), lab.count("CopyImage"));
        assert_eq!(made, (1, 1, 2), "{hidden} {unique}\n{}", lab.history());
        assert_eq!(lab.count("DeregisterImage"), 0, "{hidden} {unique}");
    }
}

#[test]
fn a_process_that_forgets_what_it_waits_for_asks_for_nothing_twice() {
    let mut lab = Lab::new(&spec(&json!({})));
    lab.hide(600);
    for _ in 0..60 {
        lab.run(50);
        lab.reboot();
    }
    ready(&mut lab);
    assert_saved(&lab);
    assert_eq!((lab.count("CreateImage"), lab.count("CopyImage")), (1, 2), "{}", lab.history());
}

#[test]
fn a_copy_that_shows_after_it_was_given_up_is_kept_or_removed_and_one_is_left() {
    for hidden in [1000, 1300, 2500] {
        let mut lab = Lab::new(&spec(&json!({"regions": []})));
        ready(&mut lab);
        lab.run(3000);
        lab.hide(hidden);
        edit(&mut lab, &json!({}));
        lab.run(hidden + 3000);
        ready(&mut lab);
        // What was asked for last shows as late.
        lab.run(hidden + 1000);
        assert!(lab.count("CopyImage") > 2, "the premise: it is asked for again at last");
        assert_saved(&lab);
        assert_eq!((lab.count("StopInstances"), lab.count("CreateImage")), (1, 1), "{}", lab.history());
        let (kept, writes) = (served(&lab, FAR[0]), lab.writes());
        lab.run(3600);
        assert_eq!((served(&lab, FAR[0]), lab.writes()), (kept, writes), "at rest\n{}", lab.history());
    }
}

#[test]
fn the_images_of_an_object_that_is_deleted_or_leaves_a_region_go_also_if_they_show_late() {
    for how in ["deleted", "left", "kept"] {
        let policy = json!({"deletionPolicy": "Delete", "removedRegionPolicy": if how == "kept" { "Retain" } else { "Delete" }});
        let with = |regions: serde_json::Value| {
            let mut more = policy.clone();
            more["regions"] = regions;
            more
        };
        let mut lab = Lab::new(&spec(&with(json!([]))));
        ready(&mut lab);
        lab.run(1000);
        lab.hide(600);
        edit(&mut lab, &policy);
        lab.until(60, "asked for", |lab| lab.count("CopyImage") == 2);
        lab.run(5);
        if how == "deleted" {
            lab.delete();
        } else {
            edit(&mut lab, &with(json!([])));
        }
        lab.run(4000);
        for region in FAR {
            let place = lab.place(region).unwrap();
            for image in place.images.values() {
                if how == "kept" {
                    assert_eq!(
                        image.tags.get(tag::RETAINED).map(String::as_str),
                        Some("true"),
                        "{}",
                        lab.history()
                    );
                } else {
                    assert_eq!(image.state, ImageState::Deregistered, "{how} {region}\n{}", lab.history());
                }
            }
            assert!(how == "kept" || place.snapshots.is_empty(), "{how} {region}\n{}", lab.history());
        }
        assert_eq!(lab.object().is_none(), how == "deleted");
    }
}

#[test]
fn a_copy_that_was_shown_and_is_deregistered_is_made_anew_within_minutes() {
    let mut lab = Lab::new(&spec(&json!({})));
    ready(&mut lab);
    lab.run(1000);
    let (_, copy) = served(&lab, FAR[0]).unwrap();
    let now = lab.now();
    let request = Request::new("DeregisterImage").with("ImageId", &copy);
    assert_eq!(lab.sim().call(now, ACCOUNT, FAR[0], &request).code, None);
    lab.until(480, "asked for again", |lab| lab.count("CopyImage") == 3);
    ready(&mut lab);
    assert_ne!(served(&lab, FAR[0]).unwrap().1, copy);
}

#[test]
fn an_image_whose_reply_was_lost_and_that_shows_after_two_and_a_half_minutes_is_found() {
    let mut lab = Lab::new(&spec(&json!({})));
    lab.hide(150);
    lab.sim().add_fault(Fault::new("CreateImage", Effect::ApplyAndDrop).nth(1));
    ready(&mut lab);
    assert_saved(&lab);
    assert_eq!(status(&lab).capture.as_ref().unwrap().attempts, 1, "{}", lab.history());
    assert_eq!((lab.count("CreateImage"), lab.count("CopyImage")), (1, 2), "{}", lab.history());
}

/// Whether everything of ours in a region has the tag.
fn has_tag(lab: &Lab, region: &str, key: &str) -> bool {
    let place = lab.place(region).unwrap();
    let shots = place.snapshots.values().map(|shot| &shot.tags);
    place.images.values().map(|image| &image.tags).chain(shots).all(|tags| tags.contains_key(key))
}

#[test]
fn a_tag_that_vanishes_twice_is_put_back_twice() {
    let mut lab = Lab::new(&spec(&json!({"tags": [{"key": "team", "value": "seismic"}]})));
    ready(&mut lab);
    for times in 1..=2 {
        let (_, image) = served(&lab, FAR[0]).unwrap();
        let now = lab.now();
        let gone = Request::new("DeleteTags").with("ResourceId.1", &image).with("Tag.1.Key", "team");
        assert_eq!(lab.sim().call(now, ACCOUNT, FAR[0], &gone).code, None);
        assert!(!has_tag(&lab, FAR[0], "team"), "the premise");
        lab.until(600, "put back", |lab| has_tag(lab, FAR[0], "team"));
        ready(&mut lab);
        let put = lab.log().into_iter().filter(|call| call.action == "CreateTags" && call.region == FAR[0]);
        assert_eq!(put.count(), times, "{}", lab.history());
    }
    assert_eq!((lab.count("CreateImage"), lab.count("CopyImage")), (1, 2));
}

#[test]
fn snapshots_that_can_be_tagged_only_after_three_minutes_are_in_line_then_and_nothing_is_copied_again() {
    let mut lab = Lab::new(&spec(&json!({})));
    ready(&mut lab);
    let code = "InvalidSnapshot.NotFound".to_owned();
    let late = Effect::Refuse { code, message: "The snapshot does not exist.".into(), status: None };
    lab.sim().add_fault(Fault::new("CreateTags", late).region(FAR[0]).for_ms(180_000));
    edit(&mut lab, &json!({"tags": [{"key": "team", "value": "seismic"}]}));
    lab.run(170);
    assert!(!has_tag(&lab, FAR[0], "team"), "the premise");
    lab.until(600, "in line", |lab| [HOME, FAR[0], FAR[1]].iter().all(|region| has_tag(lab, region, "team")));
    ready(&mut lab);
    assert_saved(&lab);
    assert_eq!((lab.count("CreateImage"), lab.count("CopyImage")), (1, 2), "{}", lab.history());
}

#[test]
fn a_save_that_the_snapshot_quota_ends_without_a_stop_counts_no_disruption_and_names_the_quota() {
    let mut lab = Lab::new(&spec(&json!({"capture": {"mode": "NoReboot"}})));
    let (code, message) =
        ("Client.SnapshotLimitExceeded".into(), "Maximum allowed snapshots exceeded".into());
    lab.sim()
        .add_fault(Fault::new("CreateImage", Effect::FailImage { code, message, after_ms: None }).nth(1));
    lab.run(300);
    let capture = status(&lab).capture.clone().unwrap();
    assert_eq!((capture.reason, capture.disruptions), (Some(CaptureReason::ImageFailed), 0));
    let message = capture.message.unwrap();
    assert!(message.contains("aws service-quotas") && message.contains("us-west-2"), "{message}");
    assert_eq!(lab.count("StopInstances"), 0);
}
