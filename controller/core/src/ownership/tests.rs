//! Whose is it, row by row: each thing that is ours, and what differs from it in one tag or one of EC2's own fields.
use saved_template_api::{
    SavedTemplateSpec, SavedTemplateStatus,
    ids::Region,
    names::{self, Owner, tag},
    revision::LARGEST_REVISION,
    spec::{DeletionPolicy, Source},
};

use super::*;
use crate::{
    decide::decide,
    facts::Facts,
    restart::Record,
    sample::{
        CAPTURE, EARLIER_CAPTURE, OWNER, at, copied_snapshot, copy, imaging, made, plain, planned, record,
        running, saved, snapshot, spec, stopped_at, subject, tagged, world,
    },
    step::Step,
    subject::{Subject, Takeover},
    world::{Image, ImageState, Instance, Snapshot, SnapshotState, Tags},
};

const AWAY: &str = "us-east-2";

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn with(image: Image, key: &str, value: &str) -> Image {
    let mut image = image;
    image.tags.insert(key.to_owned(), value.to_owned());
    image
}

fn without(image: Image, key: &str) -> Image {
    let mut image = image;
    image.tags.remove(key);
    image
}

fn ownership(status: &SavedTemplateStatus) -> Ownership {
    Ownership::of(&subject(&plain(), status))
}

/// What is asked of a facts in which these images and snapshots are at home.
fn asked<T>(
    status: &SavedTemplateStatus,
    (machine, images, snapshots): (Instance, Vec<Image>, Vec<Snapshot>),
    ask: impl FnOnce(&Facts<'_>) -> T,
) -> T {
    let seen = world(at(100), vec![machine], images, snapshots);
    let spec = plain();
    ask(&Facts::new(subject(&spec, status), &seen, at(100)))
}

/// A snapshot of the capture with all tags of its image, as EC2 writes it.
fn shot() -> Snapshot {
    Snapshot { tags: made().tags, ..snapshot(1, CAPTURE, at(33), SnapshotState::Completed) }
}

/// What a deletion with policy `Delete` does about what is at home.
fn deletes(status: &SavedTemplateStatus, images: Vec<Image>, snapshots: Vec<Snapshot>) -> Option<Step> {
    let spec = SavedTemplateSpec { deletion_policy: DeletionPolicy::Delete, regions: vec![], ..plain() };
    let subject = Subject { deleting: true, ..subject(&spec, status) };
    decide(subject, &world(at(9000), vec![running()], images, snapshots), at(9000))
        .into_decision()
        .unwrap()
        .steps
        .pop()
}

#[test]
fn a_number_in_a_tag_counts_only_within_what_we_write() {
    let tags = |key: &str, value: &str| Tags::from([(key.to_owned(), value.to_owned())]);
    for (value, revision) in [
        ("1", Some(1)),
        ("1000000", Some(LARGEST_REVISION)),
        ("1000001", None),
        ("0", None),
        ("-1", None),
        ("x", None),
    ] {
        assert_eq!(revision_of(&tags(tag::REVISION, value)), revision, "{value}");
    }
    for (value, attempt) in
        [("1", 1), ("7", 7), ("0", 1), ("-3", 1), ("99999", 99_999), ("100000", 99_999), ("x", 1)]
    {
        assert_eq!(attempt_of(&tags(tag::ATTEMPT, value)), attempt, "{value}");
    }
    for (value, retained) in [("true", true), ("false", false), ("", false)] {
        assert_eq!(is_retained(&tags(tag::RETAINED, value)), retained, "{value}");
    }
    assert!(is_of_failed_attempt(&tags(tag::FAILED, "anything")) && !is_of_failed_attempt(&Tags::new()));
}

#[test]
fn a_copy_is_ours_only_if_its_tags_and_ec2s_own_fields_agree() {
    let keys = [tag::CLUSTER, tag::NAMESPACE, tag::NAME, tag::REVISION, tag::ROLE, tag::REGION];
    let named = |number: i32| Image { name: format!("{}-c{number}", made().name), ..copy() };
    let is_ours = |image: &Image| {
        let (status, seen) = (SavedTemplateStatus::default(), world(at(100), vec![], vec![], vec![]));
        let spec = plain();
        let facts = Facts::new(subject(&spec, &status), &seen, at(100));
        (facts.is_ours(image, &region(AWAY)), facts.is_copy(image, &made().id, &region(AWAY)))
    };
    for ours in [copy(), named(2), named(12)] {
        assert_eq!(is_ours(&ours), (true, true), "{ours:?}");
    }
    let removed = keys.iter().map(|key| without(copy(), key));
    let changed = keys.iter().map(|key| with(copy(), key, "7"));
    let fields = [
        Image { source_image: None, ..copy() },
        Image { source_region: None, ..copy() },
        Image { source_region: Some(region(AWAY)), ..copy() },
        Image { name: "golden".into(), ..copy() },
        Image { name: format!("{}-c", made().name), ..copy() },
        Image { name: format!("{}-cx", made().name), ..copy() },
    ];
    for forged in removed.chain(changed).chain(fields) {
        assert_eq!(is_ours(&forged), (false, false), "{forged:?}");
    }
    let deregistered = Image { state: ImageState::Deregistered, ..copy() };
    assert_eq!(is_ours(&deregistered), (true, false), "ours, and no copy any more");
    let of_another = Image { source_image: Some(id("ami-00000000000000009")), ..copy() };
    assert_eq!(is_ours(&of_another), (true, false), "not a copy of the image that is asked about");
    let older = with(Image { name: OWNER.image_name(OWNER.name, 2, 1), ..copy() }, tag::REVISION, "2");
    assert_eq!(is_ours(&older), (true, false), "not of the revision");
}

#[test]
fn an_image_that_says_whence_it_was_adopted_is_ours_only_if_that_cluster_was_named() {
    let inherited = |cluster: &str| {
        let owner = names::Owner { cluster, ..OWNER };
        with(Image { name: owner.image_name(OWNER.name, 1, 1), ..made() }, tag::ADOPTED_FROM, cluster)
    };
    let takeover = Takeover { cluster_uid: None, clusters: vec!["gone".to_owned()] };
    let (spec, status) = (plain(), SavedTemplateStatus::default());
    let adopts = |image: Image| {
        let seen = world(at(100), vec![running()], vec![image], vec![]);
        let subject = Subject { takeover: &takeover, ..subject(&spec, &status) };
        decide(subject, &seen, at(100)).into_decision().unwrap().status.image_id.is_some()
    };
    assert!(adopts(inherited("gone")));
    assert!(!adopts(inherited("other")), "whoever tags may name any cluster");
    assert!(!adopts(Image { name: made().name, ..inherited("gone") }), "its name is that of its first owner");
}

#[test]
fn a_revision_that_only_an_image_tells_of_raises_the_latest_one_to_no_more_than_what_is_wanted() {
    let image = |revision: i32| {
        let named = Image { name: OWNER.image_name(OWNER.name, revision, 1), ..made() };
        with(named, tag::REVISION, &revision.to_string())
    };
    let spec = SavedTemplateSpec { revision: 3, suspend: true, ..plain() };
    for (revision, latest) in [(2, Some(2)), (3, Some(3)), (4, Some(3)), (LARGEST_REVISION, Some(3))] {
        let seen = world(at(100), vec![running()], vec![image(revision)], vec![]);
        let status = SavedTemplateStatus::default();
        let decided = decide(subject(&spec, &status), &seen, at(100)).into_decision().unwrap();
        assert_eq!(decided.status.latest_revision, latest, "{revision}");
    }
}

#[test]
fn a_region_is_empty_once_nothing_of_ours_is_left_but_what_stays_for_good() {
    let home = region("us-west-2");
    let none = SavedTemplateStatus::default();
    let retained = |image: Image| with(image, tag::RETAINED, "true");
    let shot = shot();
    let kept = Snapshot { tags: retained(made()).tags, ..shot.clone() };
    for (what, images, snapshots, status, left) in [
        ("nothing", vec![], vec![], none.clone(), false),
        ("an image", vec![made()], vec![], none.clone(), true),
        ("an image that stays", vec![retained(made())], vec![], none.clone(), false),
        (
            "a deregistered image",
            vec![Image { state: ImageState::Deregistered, ..made() }],
            vec![],
            none.clone(),
            false,
        ),
        ("somebody's image", vec![Image { name: "golden".into(), ..made() }], vec![], none.clone(), false),
        ("a snapshot of an image that the status knows", vec![], vec![shot.clone()], saved(), true),
        ("a snapshot that stays", vec![], vec![kept], saved(), false),
        ("a snapshot that nothing shows to be ours", vec![], vec![shot.clone()], none.clone(), false),
        (
            "an image that stays and a snapshot",
            vec![retained(made())],
            vec![shot.clone()],
            none.clone(),
            true,
        ),
    ] {
        assert_eq!(ownership(&status).is_left(&home, &images, &snapshots), left, "{what}");
    }
    assert!(ownership(&none).is_left(&region(AWAY), &[copy()], &[]));
    assert!(!ownership(&none).is_left(&home, &[copy()], &[]), "a copy is none at home");
}

#[test]
fn a_snapshot_is_ours_by_an_image_that_maps_it_or_that_it_was_taken_for_or_by_its_capture_and_volume() {
    let none = SavedTemplateStatus::default();
    let made_for = |image: &str| format!("Created by CreateImage(i-0123456789abcdef0) for {image}");
    let of = |description: &str| Snapshot { description: description.to_owned(), ..shot() };
    let other = made_for("ami-00000000000000009");
    let mapping = Image { snapshots: vec![shot().id], ..made() };
    let taken = |second| Snapshot { started: Some(at(second)), ..of("") };
    let elsewhere = Snapshot { volume: id("vol-00000000000000009"), ..of("") };
    let mut earlier = of("");
    earlier.tags.insert(tag::CAPTURE.into(), EARLIER_CAPTURE.into());
    let copied = Snapshot {
        description: "Copied for DestinationAmi ami-0123456789abcdef0 from x".to_owned(),
        ..earlier.clone()
    };
    let mut backup = of("");
    backup.tags.insert("aws:backup:source-resource".into(), "x".into());
    let mut untagged = shot();
    untagged.tags.remove(tag::NAMESPACE);
    for (what, images, snapshot, status, ours) in [
        ("mapped", vec![mapping.clone()], of(&other), &none, true),
        ("taken for an image that is shown", vec![made()], shot(), &none, true),
        ("taken for an image that only the status knows", vec![], shot(), &saved(), true),
        ("copied for an image that only the status knows", vec![], copied, &saved(), true),
        ("of the capture and a volume of it", vec![], of(""), &saved(), true),
        ("taken for another image", vec![made()], of(&other), &none, false),
        ("of the capture, and taken for another image", vec![], of(&other), &saved(), false),
        ("of the capture and another volume", vec![], elsewhere, &saved(), false),
        ("with its tag, and of two seconds before the plan", vec![], taken(-2), &saved(), true),
        ("with its tag, and of before the plan", vec![], taken(-3), &saved(), false),
        ("with its tag, and of after the machine was given back", vec![], taken(9000), &saved(), false),
        ("of another capture", vec![], earlier, &saved(), false),
        ("of a backup tool", vec![], backup, &saved(), false),
        ("of nothing that is known", vec![], shot(), &none, false),
        ("without an owner tag", vec![mapping], untagged.clone(), &saved(), false),
    ] {
        let owned = snapshot.tags.contains_key(tag::NAMESPACE);
        let found = asked(status, (running(), images, vec![snapshot]), |facts| {
            let home = region("us-west-2");
            (facts.our_snapshots(&home).unwrap().len(), facts.unproven(&home))
        });
        let left = if owned && !ours { vec![shot().id.to_string()] } else { vec![] };
        assert_eq!(found, (usize::from(ours), left), "{what}");
    }
    let abroad = asked(&none, (running(), vec![], vec![copied_snapshot(1)]), |facts| {
        facts.unproven(&region("eu-west-1"))
    });
    assert_eq!(abroad, Vec::<String>::new(), "a region that was not read");
}

#[test]
fn an_image_that_the_status_or_a_tag_calls_ours_and_that_ec2_does_not_show_to_be_is_named_as_left() {
    let hidden = Image { source_instance: None, ..made() };
    let pending = Image { state: ImageState::Pending, ..hidden.clone() };
    let gone = Image { state: ImageState::Deregistered, ..hidden.clone() };
    let none = SavedTemplateStatus::default();
    for (what, image, status, left) in [
        ("ours", made(), &saved(), false),
        ("not told yet of which machine", pending, &saved(), false),
        ("never told of which machine", hidden, &none, true),
        ("known, and its owner tag was overwritten", with(made(), tag::CLUSTER, "x"), &saved(), true),
        ("somebody's", with(made(), tag::CLUSTER, "x"), &none, false),
        ("gone", gone, &saved(), false),
    ] {
        let home = region("us-west-2");
        let found = asked(status, (running(), vec![image], vec![]), |facts| facts.unproven(&home));
        assert_eq!(found, if left { vec![made().id.to_string()] } else { vec![] }, "{what}");
    }
}

#[test]
fn what_was_adopted_stays_known_when_the_controller_is_no_longer_told_from_whom() {
    let old = Owner { cluster: "old", ..OWNER };
    let adopted = |name: String| Image { name, ..with(made(), tag::ADOPTED_FROM, "old") };
    let theirs = adopted(old.image_name(OWNER.name, 1, 1));
    for (what, image, known) in [
        ("with its first name", theirs.clone(), true),
        ("of another name", adopted("golden".into()), false),
        ("of another revision", adopted(old.image_name(OWNER.name, 2, 1)), false),
        ("of another owner", with(theirs, tag::NAME, "x"), false),
    ] {
        let none = SavedTemplateStatus::default();
        let found = asked(&none, (running(), vec![], vec![]), |facts| facts.is_known(&image, 1));
        assert_eq!(found, known, "{what}");
    }
}

#[test]
fn an_image_that_a_status_names_and_that_is_not_ours_by_its_name_makes_no_snapshot_ours() {
    let foreign = Image { name: "golden".into(), ..made() };
    let mut of_it = shot();
    of_it.tags.insert(tag::CAPTURE.into(), "f".repeat(16));
    assert!(matches!(deletes(&saved(), vec![], vec![of_it.clone()]), Some(Step::DeleteSnapshot { .. })));
    assert_eq!(deletes(&saved(), vec![foreign], vec![of_it]), None);
}

#[test]
fn an_image_is_known_by_the_name_of_its_revision_whatever_its_attempt_or_copy() {
    let (none, first) = (SavedTemplateStatus::default(), made());
    for (what, name, known) in [
        ("ours", first.name.clone(), true),
        ("a second attempt", OWNER.image_name(OWNER.name, 1, 2), true),
        ("a copy of it", format!("{}-c3", OWNER.image_name(OWNER.name, 1, 2)), true),
        ("another revision", OWNER.image_name(OWNER.name, 2, 1), false),
        ("another template", OWNER.image_name("other", 1, 1), false),
        ("another cluster", names::Owner { cluster: "other", ..OWNER }.image_name(OWNER.name, 1, 1), false),
        ("more than an attempt", format!("{}-a2x", first.name), false),
        ("no name of ours", "golden".to_owned(), false),
    ] {
        let image = Image { name, ..made() };
        let found = asked(&none, (running(), vec![], vec![]), |facts| facts.is_known(&image, 1));
        assert_eq!(found, known, "{what}");
    }
}

#[test]
fn an_image_is_of_the_capture_by_its_tags_its_name_and_its_account() {
    let capturing = imaging();
    let account = |account: Option<&str>| Image { owner: account.map(id), ..made() };
    for (what, image, ours) in [
        ("ours", made(), true),
        ("whose account is not told", account(None), true),
        ("of another account", account(Some("999999999999")), false),
        ("of another owner", with(made(), tag::NAME, "other"), false),
        ("that says of what kind its owner is", with(made(), tag::KIND, "SavedTemplate"), true),
        ("of an owner of another kind", with(made(), tag::KIND, "SavedMachine"), false),
        ("a copy by its tag", with(made(), tag::ROLE, "copy"), false),
        ("of another region by its tag", with(made(), tag::REGION, AWAY), false),
        ("of another name", Image { name: "golden".into(), ..made() }, false),
        ("of another capture", with(made(), tag::CAPTURE, EARLIER_CAPTURE), false),
    ] {
        let found = asked(&capturing, (running(), vec![], vec![]), |facts| {
            assert!(facts.account().is_some(), "the status knows the account");
            facts.is_of_capture(&image, &record())
        });
        assert_eq!(found, ours, "{what}");
    }
}

#[test]
fn the_attempts_at_a_revision_are_those_of_what_can_be_ours() {
    let none = SavedTemplateStatus::default();
    let named = |attempt: i32| {
        with(
            Image { name: OWNER.image_name(OWNER.name, 1, attempt), ..made() },
            tag::ATTEMPT,
            &attempt.to_string(),
        )
    };
    let shot_of = |tags: Tags| Snapshot { tags, ..shot() };
    let by_hand = Snapshot { description: "by hand".into(), ..shot_of(named(4).tags) };
    for (what, images, snapshots, attempts) in [
        ("nothing", vec![], vec![], 0),
        ("the largest", vec![named(2), named(3), named(1)], vec![], 3),
        ("a snapshot that EC2 took for an image", vec![], vec![shot_of(named(4).tags)], 4),
        ("a snapshot that somebody took", vec![], vec![by_hand], 0),
        ("an image of another name", vec![Image { name: "golden".into(), ..named(5) }], vec![], 0),
        ("another owner's", vec![with(named(5), tag::NAME, "other")], vec![], 0),
        ("another revision's", vec![with(named(5), tag::REVISION, "2")], vec![], 0),
        ("as many as there can be", vec![named(1000)], vec![], 1000),
        ("more than there can be", vec![named(1001)], vec![], 0),
    ] {
        assert_eq!(
            asked(&none, (running(), images, snapshots), |facts| facts.attempts_at(1)),
            attempts,
            "{what}"
        );
    }
}

#[test]
fn a_namesakes_image_has_the_name_that_its_cluster_gives_and_our_namespace_and_name() {
    let none = SavedTemplateStatus::default();
    let of = |cluster: &str| {
        let owner = names::Owner { cluster, ..OWNER };
        with(Image { name: owner.image_name(OWNER.name, 1, 1), ..made() }, tag::CLUSTER, cluster)
    };
    for (what, image, namesakes) in [
        ("another cluster's", of("other"), true),
        ("a copy of it", Image { name: format!("{}-c2", of("other").name), ..of("other") }, true),
        ("ours", made(), false),
        ("another namespace's", with(of("other"), tag::NAMESPACE, "x"), false),
        ("another template's", with(of("other"), tag::NAME, "x"), false),
        ("of a name that its cluster does not give", with(of("other"), tag::CLUSTER, "third"), false),
        ("without a cluster", without(of("other"), tag::CLUSTER), false),
        ("without a revision", without(of("other"), tag::REVISION), false),
    ] {
        let found = asked(&none, (running(), vec![], vec![]), |facts| facts.is_namesakes(&image));
        assert_eq!(found, namesakes, "{what}");
    }
}

#[test]
fn what_a_twin_holds_is_not_ours_to_change_unless_it_was_handed_over() {
    let takeover = Takeover { cluster_uid: Some("old".to_owned()), clusters: vec!["gone".to_owned()] };
    let held = |uid: &str| with(made(), tag::HOLDER, uid);
    for (what, image, takeover, holds) in [
        ("our own", made(), Takeover::NONE, true),
        ("held by nobody", without(made(), tag::HOLDER), Takeover::NONE, true),
        ("a twin's", held("old"), Takeover::NONE, false),
        ("a twin's that was taken over", held("old"), &takeover, true),
        ("another twin's", held("third"), &takeover, false),
        ("of a cluster that was inherited", with(held("third"), tag::CLUSTER, "gone"), &takeover, true),
        ("of a cluster that was not inherited", with(held("third"), tag::CLUSTER, "other"), &takeover, false),
    ] {
        let (spec, status, seen) =
            (plain(), SavedTemplateStatus::default(), world(at(100), vec![], vec![], vec![]));
        let subject = Subject { takeover, ..subject(&spec, &status) };
        assert_eq!(Facts::new(subject, &seen, at(100)).holds(&image.tags), holds, "{what}");
    }
}

#[test]
fn a_declared_name_stands_for_the_machine_that_ec2_shows_of_an_image_with_our_name_whatever_its_tags_say() {
    let bare_image = Image { tags: Tags::new(), ..made() };
    for (what, image, pins) in [
        ("ours", made(), true),
        ("its revision forged", with(made(), tag::REVISION, "2147483647"), true),
        ("all tags stripped", bare_image.clone(), true),
        ("another name, and our tags", Image { name: "x".into(), ..made() }, false),
        ("no source yet", Image { source_instance: None, ..bare_image }, false),
    ] {
        let (nothing, seen) = (SavedTemplateStatus::default(), (running(), vec![image], vec![]));
        let pinned = asked(&nothing, seen, |facts| facts.pinned().is_some());
        assert_eq!(pinned, pins, "{what}");
    }
}

#[test]
fn another_source_in_the_manifest_is_pinned_to_no_machine() {
    for (what, declared, pins) in [("the same", plain().source, true), ("another", named("another"), false)] {
        let mut status = planned();
        status.capture.as_mut().unwrap().source_digest = Some(names::source_digest(&declared));
        let seen = (running(), vec![made()], vec![]);
        assert_eq!(asked(&status, seen, |facts| facts.pinned().is_some()), pins, "{what}");
    }
}

fn named(name: &str) -> Source {
    Source { instance_name: Some(name.into()), ..plain().source }
}

#[test]
fn an_image_that_the_status_names_is_a_twins_although_its_revision_was_forged() {
    let forged = with(with(made(), tag::HOLDER, "77777777-1111"), tag::REVISION, "2147483647");
    let mut named = imaging();
    named.regions[0].image_id = Some(forged.id.clone());
    for (status, held) in [(named, true), (SavedTemplateStatus::default(), false)] {
        let seen = (running(), vec![forged.clone()], vec![]);
        let found = asked(&status, seen, |facts| crate::needs::adopt::held_by_other(facts).is_some());
        assert_eq!(found, held);
    }
}

/// A machine without any tag, so that nothing on it says whose it is.
fn bare() -> Instance {
    Instance { tags: Tags::new(), ..stopped_at(Some(at(20))) }
}

#[test]
fn the_machine_of_a_record_is_ours_only_if_the_spec_a_tag_on_it_or_an_image_says_so() {
    let by_id = spec(r#"{"source": {"region": "us-west-2", "instanceID": "i-0123456789abcdef0"}}"#);
    let by_other_id = spec(r#"{"source": {"region": "us-west-2", "instanceID": "i-00000000000000009"}}"#);
    let tags = |pairs: &[(&str, &str)]| {
        let tags = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Instance { tags, ..bare() }
    };
    let other = Instance { id: id("i-00000000000000009"), ..tags(&[("Name", "earthquake-analysis")]) };
    let earlier = Record { capture: EARLIER_CAPTURE.into(), ..record() }.to_string();
    let key = names::debt_key(OWNER.cluster);
    let receipts = format!("{}{}", tag::RECEIPT_PREFIX, key.strip_prefix(tag::DEBT_PREFIX).unwrap());
    let receipt = format!("{}=r1", OWNER.receipt_object());
    let pinned = Image { source_instance: Some(id("i-00000000000000009")), ..made() };
    let pinned = with(pinned, tag::SOURCE_INSTANCE, "i-00000000000000009");
    for (what, spec, machines, images, supported) in [
        ("nothing but the status", &plain(), vec![bare()], vec![], false),
        ("the spec, by id", &by_id, vec![], vec![], true),
        ("the spec, by another id", &by_other_id, vec![bare()], vec![], false),
        ("the name on it", &plain(), vec![tags(&[("Name", "earthquake-analysis")])], vec![], true),
        ("another name on it", &plain(), vec![tags(&[("Name", "x")])], vec![], false),
        ("no name where none is declared", &by_other_id, vec![tags(&[("Name", "x")])], vec![], false),
        ("the name on another machine", &plain(), vec![bare(), other], vec![], false),
        (
            "the name on it, pinned to another machine",
            &plain(),
            vec![tags(&[("Name", "earthquake-analysis")])],
            vec![pinned],
            false,
        ),
        ("its record on it", &plain(), vec![tagged(bare())], vec![], true),
        ("another record on it", &plain(), vec![tags(&[(&key, &earlier)])], vec![], false),
        ("no record on it", &plain(), vec![tags(&[(&key, "rubbish")])], vec![], false),
        ("a receipt on it", &plain(), vec![tags(&[(&receipts, &receipt)])], vec![], true),
        ("the image of its capture", &plain(), vec![bare()], vec![made()], true),
        ("another image", &plain(), vec![bare()], vec![with(made(), tag::CAPTURE, EARLIER_CAPTURE)], false),
    ] {
        let status = imaging();
        let seen = world(at(100), machines, images, vec![]);
        let facts = Facts::new(subject(spec, &status), &seen, at(100));
        assert_eq!(facts.is_supported(&record()), supported, "{what}");
    }
}

#[test]
fn a_snapshot_on_which_somebody_wrote_why_it_was_taken_is_not_ours_by_its_tags() {
    let mut status = saved();
    status.announced = vec![];
    for description in
        ["before the upgrade, keep (ops)", "Created by AWS EBS CSI driver for volume vol-00000000000000001"]
    {
        let foreign = Snapshot {
            id: id("snap-0f000000000000009"),
            description: description.into(),
            started: Some(at(60)),
            ..shot()
        };
        assert_eq!(deletes(&status, vec![], vec![foreign]), None, "{description}");
    }
}

#[test]
fn an_image_of_the_open_capture_is_of_another_machine_once_ec2_shows_it_whole_and_names_another_one() {
    let of = |source: Option<&str>| Image { source_instance: source.map(id), ..made() };
    let other = Some("i-00000000000000009");
    let pending = |image| Image { state: ImageState::Pending, ..image };
    let mut untagged = of(other);
    untagged.tags.remove(tag::CAPTURE);
    for (what, status, image, another) in [
        ("of its machine", imaging(), made(), false),
        ("of another one", imaging(), of(other), true),
        ("of none", imaging(), of(None), true),
        ("of another one, without its tag", imaging(), untagged, true),
        ("of another one, and pending", imaging(), pending(of(other)), false),
        ("of none yet, and pending", imaging(), pending(of(None)), false),
        ("of another capture", imaging(), with(of(other), tag::CAPTURE, EARLIER_CAPTURE), false),
        ("of a capture that is over", saved(), of(other), false),
    ] {
        let seen = world(at(50), vec![running()], vec![], vec![]);
        let spec = plain();
        let facts = Facts::new(subject(&spec, &status), &seen, at(50));
        assert_eq!(facts.is_of_another_machine(&image), another, "{what}");
    }
}

#[test]
fn an_image_that_was_taken_while_it_was_pending_is_not_served_once_ec2_shows_it_to_be_of_another_machine() {
    let capturing = imaging();
    for source in [Some(id("i-00000000000000009")), None] {
        let pending = Image { source_instance: None, state: ImageState::Pending, ..made() };
        let taken = crate::decide::decide(
            subject(&plain(), &capturing),
            &world(at(50), vec![tagged(stopped_at(Some(at(20))))], vec![pending], vec![]),
            at(50),
        )
        .into_decision()
        .unwrap();
        assert_eq!(taken.status.regions[0].image_id, Some(made().id));
        let mut status = taken.status;
        let capture = status.capture.as_mut().unwrap();
        capture.snapshots_started_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(60)));
        capture.source_restored_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(70)));
        capture.restart_record = None;
        let foreign = Image { source_instance: source.clone(), ..made() };
        let seen = crate::sample::images(at(300), vec![foreign], vec![]);
        let after =
            crate::decide::decide(subject(&plain(), &status), &seen, at(300)).into_decision().unwrap();
        assert_eq!(after.status.image_id, None, "{source:?}: served, and {:?}", after.step().map(Step::name));
    }
}
