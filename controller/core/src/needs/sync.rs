//! Tags and descriptions of everything that is there follow the spec, in every wanted region.
use std::collections::BTreeSet;

use saved_template_api::{
    Reason,
    ids::Region,
    names::tag,
    status::{RegionState, RemovedImage},
};

use crate::{
    facts::Facts,
    needs::removal::pause_left_of,
    ownership::{is_of_failed_attempt, is_retained},
    restart::evidence::made_for,
    step::Step,
    time::{LATER, SOON},
    unmet::{Said, Unmet, Waits, together},
    world::{Image, ImageState, Snapshot, Tags},
    write::Write,
};

/// `CreateTags` and `DeleteTags` take so many resources.
const MOST: usize = 1000;

pub(crate) fn need(facts: &Facts<'_>) -> Said {
    let mut all: Vec<Unmet> = Vec::new();
    let mut in_line = true;
    for region in facts.wanted() {
        match next(facts, &region) {
            Some(step) => {
                in_line = false;
                all.push(brought(facts, &region, step));
            }
            None => {
                in_line &=
                    facts.our_snapshots(&region).is_some() && facts.removed_in(&region).next().is_none();
            }
        }
    }
    let is_there = |region: &Region| facts.row(region).is_some_and(|row| row.state == RegionState::Available);
    if in_line && facts.wanted().iter().all(is_there) {
        // Nothing has a key that is no longer wanted, and nothing that has one may still show: none is left to be taken off.
        let wanted = facts.subject.spec.tags.iter().map(|tag| tag.key.clone());
        return Said { writes: vec![Write::HasOnly(wanted.collect())], unmet: None };
    }
    together(all, facts.home()).into()
}

/// A change that brings a region into line, or why it waits.
fn brought(facts: &Facts<'_>, region: &Region, step: Step) -> Unmet {
    let row = facts.row(region);
    let until = row.and_then(|row| row.next_attempt_time.as_ref());
    let blocked = until.is_some_and(|until| until.0 > facts.now);
    let message = format!("bringing tags and descriptions in {region} into line: {}", step.name());
    if blocked || !facts.is_fresh_in(region) || pause_left_of(facts, &step).is_some() {
        let why = row.and_then(|row| row.message.clone());
        let message = why.map_or(message.clone(), |why| format!("{message} ({why})"));
        let waiting = Unmet::waiting(Reason::Copying, message, if blocked { LATER } else { SOON });
        return Unmet { waits: if blocked { Waits::ForUser } else { Waits::ForUs }, ..waiting };
    }
    let keys = |tags: &Tags| tags.keys().filter(|key| !key.starts_with(tag::PREFIX)).cloned().collect();
    let applies =
        if let Step::TagImages { tags, .. } = &step { Some(Write::Applies(keys(tags))) } else { None };
    Unmet::acting(Reason::Copying, message, step).writing(applies)
}

/// One thing of ours.
struct Thing<'a> {
    id: String,
    tags: &'a Tags,
}

fn things<'a>(facts: &Facts<'a>, region: &Region) -> Option<Vec<Thing<'a>>> {
    let images = facts.our_images(region)?.into_iter();
    let images = images.filter(|image| image.state != ImageState::Failed);
    let images = images.map(|image| Thing { id: image.id.to_string(), tags: &image.tags });
    // What an image left that was removed goes, and is not tagged.
    let stays = |shot: &&Snapshot| {
        made_for(shot).is_none_or(|made| {
            facts.removed_in(region).all(|RemovedImage { image_id: id, .. }| {
                id.as_str() != made || facts.shows(id, region) != Some(false)
            })
        })
    };
    let snapshots = facts.our_snapshots(region)?.into_iter().filter(stays);
    let snapshots = snapshots.map(|shot| Thing { id: shot.id.to_string(), tags: &shot.tags });
    Some(images.chain(snapshots).filter(|thing| facts.holds(thing.tags)).collect())
}

/// The image of a failed attempt says so itself: the status can be lost, and nobody may serve it then.
fn failed(facts: &Facts<'_>, region: &Region) -> Option<Step> {
    let capture = facts.status.capture.as_ref()?;
    let reason = capture.reason?;
    let its = |image: &&Image| {
        image.tags.get(tag::CAPTURE) == Some(&capture.id)
            && !is_of_failed_attempt(&image.tags)
            && image.state != ImageState::Failed
            && facts.holds(&image.tags)
    };
    let image = facts.our_images(region)?.into_iter().find(its)?;
    let tags = [(tag::FAILED.to_owned(), reason.to_string())].into();
    Some(Step::TagImages { region: region.clone(), resources: vec![image.id.to_string()], tags })
}

/// The next change in a region; none if it is in line, or cannot be read.
fn next(facts: &Facts<'_>, region: &Region) -> Option<Step> {
    let things = things(facts, region)?;
    let inherited = things.iter().filter(|thing| facts.is_inherited(thing.tags));
    let from = inherited.clone().find_map(|thing| thing.tags.get(tag::CLUSTER));
    let its = |thing: &&Thing<'_>| thing.tags.get(tag::CLUSTER) == from;
    let resources: Vec<String> = inherited.filter(its).map(|thing| thing.id.clone()).take(MOST).collect();
    if let Some(from) = from {
        let tags = [
            (tag::CLUSTER, facts.subject.cluster),
            (tag::HOLDER, facts.subject.cluster_uid),
            (tag::ADOPTED_FROM, from.as_str()),
        ];
        let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        return Some(Step::TagImages { region: region.clone(), resources, tags });
    }
    if let Some(step) = failed(facts, region) {
        return Some(step);
    }
    let spec = facts.subject.spec;
    let users = spec.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone()));
    let own = [(tag::CLUSTER, facts.subject.cluster), (tag::HOLDER, facts.subject.cluster_uid)];
    let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let wanted: Tags = users.chain(own).collect();
    let lacks = |thing: &&Thing<'_>| wanted.iter().any(|(key, value)| thing.tags.get(key) != Some(value));
    let resources: Vec<String> =
        things.iter().filter(lacks).map(|thing| thing.id.clone()).take(MOST).collect();
    if !resources.is_empty() {
        return Some(Step::TagImages { region: region.clone(), resources, tags: wanted });
    }
    let stale = facts.status.applied_tag_keys.iter().filter(|key| !wanted.contains_key(*key)).cloned();
    // What was kept when its region was taken out is managed again.
    let stale: BTreeSet<String> = stale.chain([tag::RETAINED.to_owned()]).collect();
    let has_stale = |thing: &&Thing<'_>| stale.iter().any(|key| thing.tags.contains_key(key));
    let stained: Vec<&Thing<'_>> = things.iter().filter(has_stale).take(MOST).collect();
    if !stained.is_empty() {
        let there = |key: &&String| stained.iter().any(|thing| thing.tags.contains_key(*key));
        let keys: Vec<String> = stale.iter().filter(there).cloned().collect();
        let resources = stained.iter().map(|thing| thing.id.clone()).collect();
        return Some(Step::UntagImages { region: region.clone(), resources, keys });
    }
    let description = spec.description.clone().unwrap_or_default();
    let images = facts.our_images(region)?;
    let other = images.iter().find(|image| {
        image.state == ImageState::Available
            && !is_retained(&image.tags)
            && facts.holds(&image.tags)
            && image.description != description
    })?;
    Some(Step::SetDescription { region: region.clone(), image: other.id.clone(), description })
}

#[cfg(test)]
mod tests;
