//! What is changed of images and snapshots that are there, and what is left as it is: tables.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, SavedTemplateSpec, SavedTemplateStatus,
    condition::find,
    status::{Announced, RegionReason},
};

use super::*;
use crate::{
    decide::decide,
    decision::Decision,
    ec2_error::Ec2Error,
    sample::{
        CAPTURE, CLUSTER_UID, OWNER, abroad, at, at_home, copied_snapshot, copy, images, made, plain,
        replicated, snapshot, spec, subject,
    },
    step::TAG_IMAGES,
    subject::{Subject, Takeover},
    world::{Snapshot, SnapshotState, World},
};

const TWIN: &str = "77777777-1111-2222-3333-444455556666";

/// A template with one tag of the user's, and a description.
fn dressed() -> SavedTemplateSpec {
    spec(
        r#"{"source": {"region": "us-west-2", "instanceName": "earthquake-analysis"}, "regions": [{"name": "us-east-2"}],
            "tags": [{"key": "team", "value": "seismic"}], "description": "quakes"}"#,
    )
}

fn decided(spec: &SavedTemplateSpec, status: &SavedTemplateStatus, world: &World) -> Decision {
    decide(subject(spec, status), world, at(900)).into_decision().expect("nothing is asked")
}

fn in_line(image: Image) -> Image {
    let mut image = tagged(image, "team", "seismic");
    image.description = "quakes".into();
    image
}

fn tagged(image: Image, key: &str, value: &str) -> Image {
    let mut image = image;
    image.tags.insert(key.into(), value.into());
    image
}

fn seen(home: Image, copy: Image) -> World {
    images(at(900), vec![home], vec![copy])
}

fn applied(keys: &[&str]) -> SavedTemplateStatus {
    let applied_tag_keys = keys.iter().map(|key| (*key).to_owned()).collect();
    SavedTemplateStatus { applied_tag_keys, ..replicated() }
}

/// In short: the region of the change, what it is about, and the keys or the text.
fn change(step: Option<&Step>) -> Option<(&str, Vec<String>, Vec<&str>)> {
    match step {
        Some(Step::TagImages { region, resources, tags }) => {
            Some((region.as_str(), resources.clone(), tags.keys().map(String::as_str).collect()))
        }
        Some(Step::UntagImages { region, resources, keys }) => {
            Some((region.as_str(), resources.clone(), keys.iter().map(String::as_str).collect()))
        }
        Some(Step::SetDescription { region, image, description }) => {
            Some((region.as_str(), vec![image.to_string()], vec![description]))
        }
        None => None,
        Some(other) => panic!("{other:?}"),
    }
}

/// The same of all.
fn changes(decision: &Decision) -> Vec<(&str, Vec<String>, Vec<&str>)> {
    decision.steps.iter().filter_map(|step| change(Some(step))).collect()
}

/// Where something is changed.
fn regions(decision: &Decision) -> Vec<&str> {
    changes(decision).into_iter().map(|(region, ..)| region).collect()
}

#[test]
fn what_lacks_a_wanted_tag_gets_all_of_them_and_nothing_else_is_touched() {
    let (home, far) = (made().id.to_string(), copy().id.to_string());
    let line = || seen(in_line(made()), in_line(copy()));
    let all = vec![tag::CLUSTER, tag::HOLDER, "team"];
    let mut no_holder = in_line(copy());
    no_holder.tags.remove(tag::HOLDER);
    let mut shots = line();
    abroad(&mut shots).snapshots = Ok(vec![copied_snapshot(1), copied_snapshot(2)]);
    let shot_ids = vec![copied_snapshot(1).id.to_string(), copied_snapshot(2).id.to_string()];
    for (what, world, expected) in [
        ("in line", line(), None),
        ("home lacks it", seen(made(), in_line(copy())), Some(("us-west-2", vec![home]))),
        ("the copy lacks it", seen(in_line(made()), copy()), Some(("us-east-2", vec![far.clone()]))),
        (
            "another value",
            seen(in_line(made()), tagged(in_line(copy()), "team", "volcanic")),
            Some(("us-east-2", vec![far.clone()])),
        ),
        ("no holder", seen(in_line(made()), no_holder), Some(("us-east-2", vec![far]))),
        ("snapshots lack it", shots, Some(("us-east-2", shot_ids))),
        ("a user's own tag", seen(tagged(in_line(made()), "mine", "x"), in_line(copy())), None),
        ("of a twin", seen(in_line(made()), tagged(copy(), tag::HOLDER, TWIN)), None),
    ] {
        let decision = decided(&dressed(), &applied(&["team"]), &world);
        let expected = expected.map(|(region, ids)| (region, ids, all.clone()));
        assert_eq!(change(decision.step()), expected, "{what}");
        assert!(matches!(decision.step(), None | Some(Step::TagImages { .. })), "{what}");
    }
}

#[test]
fn an_image_that_failed_gets_no_tags() {
    let failed = Image { state: ImageState::Failed, ..copy() };
    let mut status = applied(&["team"]);
    status.regions[1].next_attempt_time = Some(Time(at(950)));
    assert_eq!(decided(&dressed(), &status, &seen(in_line(made()), failed)).step(), None);
}

#[test]
fn only_keys_that_we_put_on_are_taken_off_and_they_are_noted_before_they_are_put_on() {
    let first = decided(&dressed(), &applied(&["old"]), &seen(made(), copy()));
    assert_eq!(first.status.applied_tag_keys, ["old", "team"]);
    let far = copy().id.to_string();
    let with = |key| seen(in_line(made()), tagged(in_line(copy()), key, "x"));
    for (what, status, world, keys) in [
        ("ours", applied(&["old", "team"]), with("old"), Some(vec!["old"])),
        ("a user's", applied(&["team"]), with("old"), None),
        ("wanted", applied(&["team"]), with("team"), Some(vec![tag::CLUSTER, tag::HOLDER, "team"])),
        (
            "of a region that is managed again",
            applied(&["team"]),
            with(tag::RETAINED),
            Some(vec![tag::RETAINED]),
        ),
    ] {
        let decision = decided(&dressed(), &status, &world);
        let expected = keys.map(|keys| ("us-east-2", vec![far.clone()], keys));
        assert_eq!(change(decision.step()), expected, "{what}");
    }
    // Two stale keys go at once, each only if it is on something.
    let both = seen(in_line(made()), tagged(tagged(in_line(copy()), "old", "x"), "older", "x"));
    let decision = decided(&dressed(), &applied(&["never", "old", "older", "team"]), &both);
    assert_eq!(change(decision.step()).unwrap().2, ["old", "older"]);
}

#[test]
fn a_key_is_forgotten_only_once_nothing_anywhere_can_have_it() {
    let line = || seen(in_line(made()), in_line(copy()));
    let (mut dark, mut blind) = (line(), line());
    dark.abroad
        .insert("us-east-2".parse().unwrap(), Err(Ec2Error::new("DescribeImages", "InternalError", "no")));
    abroad(&mut blind).snapshots = Err(Ec2Error::new("DescribeSnapshots", "InternalError", "no"));
    let pending = seen(in_line(made()), Image { state: ImageState::Pending, ..in_line(copy()) });
    let lacking = seen(in_line(made()), copy());
    for (what, world, keys) in [
        ("in line", line(), vec!["team"]),
        ("a region is dark", dark, vec!["old", "team"]),
        ("its snapshots cannot be read", blind, vec!["old", "team"]),
        ("a copy is being made", pending, vec!["old", "team"]),
        ("a copy is not in line", lacking, vec!["old", "team"]),
    ] {
        assert_eq!(
            decided(&dressed(), &applied(&["old", "team"]), &world).status.applied_tag_keys,
            keys,
            "{what}"
        );
    }
}

#[test]
fn the_description_follows_on_what_can_be_launched() {
    let other = |image| Image { description: "before".into(), ..in_line(image) };
    let (home, far) = (made().id.to_string(), copy().id.to_string());
    for (what, world, expected) in [
        ("both", seen(other(made()), other(copy())), vec![("us-west-2", &home), ("us-east-2", &far)]),
        ("home", seen(other(made()), in_line(copy())), vec![("us-west-2", &home)]),
        ("copy", seen(in_line(made()), other(copy())), vec![("us-east-2", &far)]),
        ("pending", seen(in_line(made()), Image { state: ImageState::Pending, ..other(copy()) }), vec![]),
        ("disabled", seen(in_line(made()), Image { state: ImageState::Disabled, ..other(copy()) }), vec![]),
        ("of a twin", seen(in_line(made()), tagged(other(copy()), tag::HOLDER, TWIN)), vec![]),
    ] {
        let decision = decided(&dressed(), &applied(&["team"]), &world);
        let expected = expected.into_iter().map(|(region, id)| (region, vec![id.clone()], vec!["quakes"]));
        assert_eq!(changes(&decision), expected.collect::<Vec<_>>(), "{what}");
    }
    let undressed =
        decided(&plain(), &replicated(), &seen(Image { description: "before".into(), ..made() }, copy()));
    assert!(
        matches!(undressed.step(), Some(Step::SetDescription { description, .. }) if description.is_empty())
    );
}

#[test]
fn a_region_that_waits_holds_up_no_other_and_is_told_with_its_reason() {
    let two = seen(made(), copy());
    let (far, both) = (["us-east-2"], ["us-west-2", "us-east-2"]);
    for (what, until, fresh, acts) in [
        ("neither", None, true, &both[..]),
        ("home waits", Some(901), true, &far),
        ("its time has come", Some(900), true, &both),
        ("long ago", Some(100), true, &both),
        ("home was read before the last change", None, false, &far),
    ] {
        let mut status = replicated();
        let row = &mut status.regions[0];
        (row.reason, row.message) =
            (until.map(|_| RegionReason::AccessDenied), until.map(|_| "no CreateTags".into()));
        row.next_attempt_time = until.map(at).map(Time);
        let mut world = two.clone();
        if !fresh {
            status.announced = vec![announced(crate::step::COPY_IMAGE, "us-west-2", "x", 900)];
            at_home(&mut world).began = at(900);
        }
        let decision = decided(&dressed(), &status, &world);
        assert_eq!(regions(&decision), acts, "{what}");
        assert_eq!(decision.look_again, SOON, "{what}");
    }
    // Only home lacks anything.
    for (until, look) in [(Some(901), LATER), (None, SOON)] {
        let mut status = replicated();
        let row = &mut status.regions[0];
        (row.reason, row.message) =
            (Some("AccessDenied".parse().unwrap()), Some("no CreateTags".parse().unwrap()));
        row.next_attempt_time = until.map(at).map(Time);
        status.announced = vec![announced(TAG_IMAGES, "us-west-2", made().id.as_str(), 898)];
        let decision = decided(&dressed(), &status, &seen(made(), in_line(copy())));
        assert_eq!((decision.step(), decision.look_again), (None, look), "{until:?}");
        let ready = find(&decision.status.conditions, ConditionType::Ready).unwrap();
        assert_eq!(ready.status, "False");
        assert!(
            ready.message.contains("us-west-2") && ready.message.contains("no CreateTags"),
            "{}",
            ready.message
        );
    }
}

fn announced(step: &str, region: &str, request: &str, seconds: i64) -> Announced {
    Announced {
        number: 1,
        step: step.into(),
        time: Time(at(seconds)),
        request: request.into(),
        region: region.parse().unwrap(),
        outcome: None,
    }
}

#[test]
fn what_another_cluster_left_becomes_ours_only_by_order_and_keeps_its_name() {
    let inherited = |image: Image| {
        let mut image = tagged(tagged(in_line(image), tag::CLUSTER, "old"), tag::HOLDER, TWIN);
        let owner = saved_template_api::names::Owner { cluster: "old", ..OWNER };
        image.name = owner.image_name(OWNER.name, 1, 1);
        image
    };
    let adopted = |image: Image| {
        let image = tagged(tagged(inherited(image), tag::CLUSTER, OWNER.cluster), tag::HOLDER, CLUSTER_UID);
        tagged(image, tag::ADOPTED_FROM, "old")
    };
    let spec = dressed();
    let heir = Takeover { clusters: vec!["old".into()], cluster_uid: None };
    let keys = vec![tag::ADOPTED_FROM, tag::CLUSTER, tag::HOLDER];
    let (home, far) = (("us-west-2", made().id.to_string()), ("us-east-2", copy().id.to_string()));
    for (what, takeover, world, expected) in [
        ("theirs", &heir, seen(inherited(made()), inherited(copy())), vec![&home, &far]),
        ("the copy is", &heir, seen(adopted(made()), inherited(copy())), vec![&far]),
        ("ours by now", &heir, seen(adopted(made()), adopted(copy())), vec![]),
        (
            "of a cluster whose heir nobody is",
            Takeover::NONE,
            seen(inherited(made()), inherited(copy())),
            vec![],
        ),
        ("always ours", &heir, seen(in_line(made()), in_line(copy())), vec![]),
    ] {
        let status = applied(&["team"]);
        let subject = Subject { takeover, ..subject(&spec, &status) };
        let decision = decide(subject, &world, at(900)).into_decision().unwrap();
        let expected = expected.into_iter().map(|(region, id)| (*region, vec![id.clone()], keys.clone()));
        assert_eq!(changes(&decision), expected.collect::<Vec<_>>(), "{what}");
        for step in &decision.steps {
            let Step::TagImages { tags, .. } = step else { panic!("{what}: {step:?}") };
            assert_eq!(
                (tags[tag::CLUSTER].as_str(), tags[tag::HOLDER].as_str()),
                (OWNER.cluster, CLUSTER_UID)
            );
            assert_eq!(tags[tag::ADOPTED_FROM], "old");
        }
    }
}

#[test]
fn the_image_of_a_failed_attempt_says_why_itself() {
    let spec = SavedTemplateSpec { regions: vec![], ..plain() };
    let marked = |reason: &str| tagged(made(), tag::FAILED, reason);
    for (what, reason, image, says) in [
        ("good", None, made(), None),
        ("failed", Some("DowntimeExceeded"), made(), Some("DowntimeExceeded")),
        ("marked", Some("DowntimeExceeded"), marked("DowntimeExceeded"), None),
        ("EC2 says so", Some("ImageFailed"), Image { state: ImageState::Failed, ..made() }, None),
        ("of a twin", Some("DowntimeExceeded"), tagged(made(), tag::HOLDER, TWIN), None),
        (
            "of another capture",
            Some("DowntimeExceeded"),
            tagged(made(), tag::CAPTURE, "fedcba9876543210"),
            None,
        ),
    ] {
        let mut status = replicated();
        status.regions.truncate(1);
        status.capture.as_mut().unwrap().reason = reason.map(|word: &str| word.parse().unwrap());
        let mut world = images(at(900), vec![image], vec![]);
        let shot = Snapshot { tags: made().tags, ..snapshot(1, CAPTURE, at(33), SnapshotState::Completed) };
        at_home(&mut world).snapshots = Ok(vec![shot]);
        let decision = decided(&spec, &status, &world);
        match (decision.step(), says) {
            (Some(Step::TagImages { resources, tags, .. }), Some(says)) => {
                assert_eq!(*resources, [made().id.to_string()], "{what}");
                assert_eq!(*tags, [(tag::FAILED.to_owned(), says.to_owned())].into(), "{what}");
            }
            (step, says) => assert_eq!((step, says), (None, None), "{what}"),
        }
    }
}
