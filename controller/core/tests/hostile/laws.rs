//! What every decision keeps to, whatever it was shown.
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use saved_template_api::{
    ConditionType, Reason, Region, SavedTemplateSpec, SavedTemplateStatus,
    condition::{MAX_MESSAGE_BYTES, find},
    ids::SnapshotId,
    names::{self, Owner, tag},
    spec::{DeletionPolicy, RemovedRegionPolicy},
    status::Announced,
    text::steers,
};
use saved_template_core::{
    decide::decide,
    decision::Decision,
    restart::Record,
    step::Step,
    subject::{Subject, Takeover},
    subscription,
    world::{Instance, InstanceState, Tags, World},
};
use serde_json::Value;

use super::schema::objections_to_status;

/// Whose the object is.
pub(crate) const OWNER: Owner<'_> =
    Owner { cluster: "lab", kind: names::SAVED_TEMPLATE, namespace: "geo", name: "quake" };
/// Who holds its images.
pub(crate) const CLUSTER_UID: &str = "0a1b2c3d-1111-2222-3333-444455556666";

/// An object as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// What is wanted.
    pub(crate) spec: SavedTemplateSpec,
    /// What was written last, by whomever.
    pub(crate) status: SavedTemplateStatus,
    /// Whether it is being deleted.
    pub(crate) deleting: bool,
    /// Whether it has our finalizer.
    pub(crate) finalizer: bool,
}

impl Object {
    fn decided(&self, world: &World, now: Timestamp) -> Decision {
        let subject = Subject {
            cluster: OWNER.cluster,
            namespace: OWNER.namespace,
            name: OWNER.name,
            cluster_uid: CLUSTER_UID,
            takeover: Takeover::NONE,
            generation: 3,
            deleting: self.deleting,
            finalizer: self.finalizer,
            spec: &self.spec,
            status: &self.status,
        };
        assert!(!subscription::of(subject, Some(now)).is_empty());
        decide(subject, world, now).into_decision().unwrap()
    }
}

/// Decides with one world until nothing changes, and holds each decision against the laws.
pub(crate) fn hold(mut object: Object, world: &World, now: Timestamp) -> usize {
    let mut done: BTreeMap<Region, Vec<Step>> = BTreeMap::new();
    for round in 0..100 {
        let decision = object.decided(world, now);
        presentable(&decision, &object.status);
        let mut regions = BTreeSet::new();
        for step in &decision.steps {
            let region = step.region().unwrap_or(&object.spec.source.region);
            assert!(regions.insert(region), "two changes in {region}: {:?}", decision.steps);
            announced(step, region, &decision.status, &object.status, now);
            let done = done.entry(region.clone()).or_default();
            // A capture and copies go before the upkeep of images, which is then looked at anew.
            if !is_upkeep(step) {
                done.retain(|step| !is_upkeep(step));
            }
            assert!(!done.contains(step), "asked for twice with one read: {step:?}");
            allowed(step, &object, &decision.status, world, now);
            done.push(step.clone());
        }
        if decision.steps.is_empty() && decision.status == object.status {
            return round;
        }
        object.status = decision.status;
    }
    panic!("does not come to rest: {done:#?}\n{:#?}", object.status);
}

/// A change stands in the entry of its region, which is another one than before.
fn announced(
    step: &Step,
    region: &Region,
    status: &SavedTemplateStatus,
    before: &SavedTemplateStatus,
    now: Timestamp,
) {
    let of_region = |status: &SavedTemplateStatus| -> Vec<Announced> {
        status.announced.iter().filter(|last| last.region == *region).cloned().collect()
    };
    let entries = of_region(status);
    let [last] = &entries[..] else { panic!("{step:?} is not announced once: {entries:?}") };
    assert_eq!((last.step.as_str(), last.time.0, &last.outcome), (step.name(), now, &None));
    assert_ne!(entries, of_region(before), "{step:?} is not announced");
}

/// Decides until nothing changes, of an object that no schema has seen.
pub(crate) fn rest(mut object: Object, world: &World, now: Timestamp) {
    for _ in 0..100 {
        let decision = object.decided(world, now);
        if decision.steps.is_empty() && decision.status == object.status {
            return;
        }
        object.status = decision.status;
    }
    panic!("does not come to rest: {:#?}", object.status);
}

const fn is_upkeep(step: &Step) -> bool {
    step.region().is_some() && !matches!(step, Step::CopyImage { .. })
}

/// What is written can be written, read and believed.
fn presentable(decision: &Decision, before: &SavedTemplateStatus) {
    assert_eq!(objections_to_status(&decision.status), Vec::<String>::new());
    let mut texts = BTreeSet::new();
    steering("status", &serde_json::to_value(&decision.status).unwrap(), &mut texts);
    let mut were = BTreeSet::new();
    steering("status", &serde_json::to_value(before).unwrap(), &mut were);
    let new = texts
        .iter()
        .find(|(path, text)| path.contains(".conditions") || !were.contains(&(path.clone(), text.clone())));
    assert_eq!(new, None, "a text that steers a terminal or a log");
    for event in &decision.events {
        assert!(!event.message.contains(steers) && event.message.len() <= MAX_MESSAGE_BYTES, "{event:?}");
    }
    assert!(!decision.look_again.is_zero() && decision.look_again.as_secs() <= 7200);
    let conditions = &decision.status.conditions;
    let is = |kind| find(conditions, kind).is_some_and(|condition| condition.status == "True");
    let (ready, moving, stalled) =
        (is(ConditionType::Ready), is(ConditionType::Reconciling), is(ConditionType::Stalled));
    let suspended =
        find(conditions, ConditionType::Ready).is_some_and(|ready| ready.reason == Reason::Suspended.name());
    assert!(ready != (moving || stalled || suspended) && !(moving && stalled), "{conditions:#?}");
    assert!(!(suspended && stalled), "what is wished is no failure: {conditions:#?}");
    let owed = decision.status.capture.as_ref().is_some_and(|capture| capture.restart_record.is_some());
    assert!(!(ready && owed), "Ready while a machine is owed: {:#?}", decision.status);
    assert_eq!(decision.status.observed_generation, Some(3));
    assert!(conditions.iter().all(|condition| condition.message.len() <= MAX_MESSAGE_BYTES));
}

/// Texts for people that have a character which steers a terminal or a log.
fn steering(path: &str, value: &Value, found: &mut BTreeSet<(String, String)>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| steering(&format!("{path}.{name}"), member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| steering(path, item, found)),
        Value::String(text) if !path.ends_with(".appliedTagKeys") && text.contains(steers) => {
            found.insert((path.to_owned(), text.clone()));
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// R1, R2, R6 and §8: what may be sent, to what, and when.
fn allowed(step: &Step, object: &Object, status: &SavedTemplateStatus, world: &World, now: Timestamp) {
    let tagged = |instance: &Instance| instance.tags.get(&names::debt_key(OWNER.cluster)).cloned();
    match step {
        Step::Stop { record, force } => {
            let machine = machine(world, record);
            let state = if *force { InstanceState::Stopping } else { InstanceState::Running };
            assert_eq!((tagged(machine), machine.state), (Some(record.to_string()), state));
            assert!(now <= record.stop_by);
            assert_eq!(status.capture.as_ref().unwrap().restart_record, Some(record.to_string()));
        }
        Step::CreateImage(request) => {
            let record: Record =
                status.capture.as_ref().unwrap().restart_record.as_ref().unwrap().parse().unwrap();
            assert_eq!(record.instance, request.instance);
            assert_eq!(tagged(machine(world, &record)), Some(record.to_string()));
        }
        Step::Tag { .. } | Step::CopyImage { .. } => {}
        Step::Untag { .. } => assert!(status.capture.as_ref().unwrap().stop_requested_time.is_none()),
        Step::TagImages { region, resources, tags } => {
            let known = [tag::CLUSTER, tag::HOLDER, tag::RETAINED, tag::FAILED];
            let wanted = |key: &String| {
                object.spec.tags.iter().any(|tag| tag.key == *key) || known.contains(&key.as_str())
            };
            assert!(tags.keys().all(wanted), "{tags:?}");
            if let Some(why) = tags.get(tag::FAILED) {
                let capture = object.status.capture.as_ref().unwrap();
                assert!(status.capture.as_ref().unwrap().reason.is_some());
                assert!(why.len() <= 64 && why.chars().all(|letter| letter.is_ascii_alphanumeric()));
                let of_it =
                    |id: &String| ours_tags(world, object, region, id).get(tag::CAPTURE) == Some(&capture.id);
                assert!(resources.iter().all(of_it), "{resources:?}");
            }
            for id in resources {
                ours(world, object, region, id);
            }
        }
        Step::UntagImages { region, resources, keys } => {
            assert!(
                keys.iter().all(|key| *key == tag::RETAINED || !key.starts_with(tag::PREFIX)),
                "{keys:?}"
            );
            for id in resources {
                ours(world, object, region, id);
            }
        }
        Step::SetDescription { region, image, .. } => ours(world, object, region, image.as_str()),
        Step::Deregister { region, image } => {
            removable(object, region);
            assert_ne!(
                ours_tags(world, object, region, image.as_str()).get(tag::RETAINED).map(String::as_str),
                Some("true")
            );
            ours(world, object, region, image.as_str());
        }
        Step::DeleteSnapshot { region, snapshot } => {
            if !was_left(object, world, region, snapshot) {
                removable(object, region);
            }
            assert_ne!(
                ours_tags(world, object, region, snapshot.as_str()).get(tag::RETAINED).map(String::as_str),
                Some("true")
            );
            ours(world, object, region, snapshot.as_str());
        }
        Step::RemoveReceipt { instance, key, value, left } => {
            let instances = world.home.as_ref().unwrap().instances.as_ref().unwrap();
            let tags = &instances.iter().find(|one| one.id == *instance).unwrap().tags;
            assert_eq!(tags.get(key), Some(value), "only what was read there");
            if *key == OWNER.old_receipt_key() {
                let is_folded = tags.get(&names::receipts_key(OWNER.cluster)).is_some_and(|list| {
                    list.split(' ').any(|entry| entry.starts_with(&OWNER.receipt_object()))
                });
                assert!(left.is_none() && (object.deleting || is_folded), "{left:?}");
            } else {
                assert!(object.deleting && *key == names::receipts_key(OWNER.cluster));
                assert_eq!(world.claim, Some(Ok(())), "the list is written under the claim");
                for entry in left.iter().flat_map(|left| left.split(' ')) {
                    assert!(!entry.starts_with(&OWNER.receipt_object()));
                    assert!(value.split(' ').any(|there| there == entry), "{entry} was not there");
                }
            }
        }
    }
    let of_images = step.region().is_some() && !object.deleting;
    assert!(!(of_images && object.spec.suspend), "suspended, and {step:?}");
}

fn machine<'w>(world: &'w World, record: &Record) -> &'w Instance {
    let instances = world.home.as_ref().unwrap().instances.as_ref().unwrap();
    instances.iter().find(|instance| instance.id == record.instance).unwrap()
}

/// Images are taken away of a deleted object, or where its region is no longer wanted; never at home else.
fn removable(object: &Object, region: &Region) {
    let wanted = object.spec.regions.iter().any(|wanted| wanted.name == *region)
        || *region == object.spec.source.region;
    let deleted = object.deleting && object.spec.deletion_policy == DeletionPolicy::Delete;
    // A kept region is emptied only of what shows late.
    let left = !wanted
        && (object.spec.removed_region_policy == RemovedRegionPolicy::Delete
            || known_to_show(object, region));
    assert!(deleted || left, "{region}");
}

/// What an image left that was removed, and is not shown, goes also where the region is wanted again.
fn was_left(object: &Object, world: &World, region: &Region, snapshot: &SnapshotId) -> bool {
    let view = if *region == object.spec.source.region { &world.home } else { &world.abroad[region] };
    let view = view.as_ref().unwrap();
    let shot = view.snapshots.iter().flatten().find(|shot| shot.id == *snapshot).unwrap();
    object.status.removed_images.iter().any(|removed| {
        removed.region == *region
            && shot.description.contains(removed.image_id.as_str())
            && view.images.iter().flatten().all(|image| image.id != removed.image_id)
    })
}

fn known_to_show(object: &Object, region: &Region) -> bool {
    object.status.regions.iter().any(|row| row.region == *region && row.announced_time.is_some())
}

fn ours_tags(world: &World, object: &Object, region: &Region, id: &str) -> Tags {
    let view = if *region == object.spec.source.region { &world.home } else { &world.abroad[region] };
    let view = view.as_ref().unwrap();
    let image = view.images.iter().flatten().find(|image| image.id.as_str() == id).map(|image| &image.tags);
    let shot = view.snapshots.iter().flatten().find(|shot| shot.id.as_str() == id).map(|shot| &shot.tags);
    image.or(shot).unwrap().clone()
}

/// §8: the owner tags name this object and this holder, and EC2's own fields do not contradict them.
fn ours(world: &World, object: &Object, region: &Region, id: &str) {
    let tags = ours_tags(world, object, region, id);
    let is = |key: &str, value: &str| tags.get(key).is_some_and(|found| found == value);
    assert!(
        is(tag::CLUSTER, OWNER.cluster) && is(tag::NAMESPACE, OWNER.namespace) && is(tag::NAME, OWNER.name),
        "{id}: {tags:?}"
    );
    assert!(tags.get(tag::HOLDER).is_none_or(|holder| holder == CLUSTER_UID), "{id}: {tags:?}");
    let home = *region == object.spec.source.region;
    let view = if home { &world.home } else { &world.abroad[region] };
    if let Some(image) = view.as_ref().unwrap().images.iter().flatten().find(|image| image.id.as_str() == id)
    {
        assert!(
            is(tag::REGION, region.as_str()) && is(tag::ROLE, if home { "home" } else { "copy" }),
            "{image:?}"
        );
        let revision: i32 = tags[tag::REVISION].parse().unwrap();
        let digest = OWNER.image_name("", revision, 1);
        if !tags.contains_key(tag::ADOPTED_FROM) {
            assert!(image.name.contains(&digest), "{image:?}");
        }
        if home {
            assert_eq!(
                tags.get(tag::SOURCE_INSTANCE),
                image.source_instance.as_ref().map(ToString::to_string).as_ref()
            );
        } else {
            assert_eq!(image.source_region.as_ref(), Some(&object.spec.source.region));
        }
    }
}
