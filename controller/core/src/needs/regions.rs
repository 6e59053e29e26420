//! Regions that are no longer wanted: what is there is kept for good, or taken away (`removedRegionPolicy`).
use std::time::Duration;

use saved_template_api::{
    Reason,
    ids::Region,
    names::tag,
    spec::RemovedRegionPolicy,
    status::{RegionState, RegionStatus},
};

use crate::{
    facts::Facts,
    needs::removal::{self, Removal, pause_left_of},
    ownership::is_retained,
    step::Step,
    time::{LATER, SOON},
    unmet::{Said, Unmet, together},
    world::ImageState,
    write::Write,
};

/// What is settled is written whatever else is to be done.
pub(crate) fn need(facts: &Facts<'_>) -> Said {
    let wanted = facts.wanted();
    let leaves = |row: &&RegionStatus| {
        if wanted.contains(&row.region) {
            !facts.is_settling(&row.region) && facts.left_in(&row.region).is_some_and(|left| !left.is_empty())
        } else {
            row.state != RegionState::Retained
        }
    };
    let left: Vec<Region> =
        facts.status.regions.iter().filter(leaves).map(|row| row.region.clone()).collect();
    if left.is_empty() {
        return Said::default();
    }
    let mut writes = Vec::new();
    let mut all: Vec<Unmet> = Vec::new();
    for region in left {
        let is_wanted = wanted.contains(&region);
        let next = match facts.subject.spec.removed_region_policy {
            _ if is_wanted => removed(facts, &region),
            RemovedRegionPolicy::Retain => keep(facts, &region),
            RemovedRegionPolicy::Delete => removal::next(facts, &region),
        };
        let why_at_all = if is_wanted {
            format!("what an image left in {region} that was removed")
        } else {
            format!("{region} is no longer in spec.regions")
        };
        let wait =
            |wait: Duration, why: &str| Unmet::waiting(Reason::Copying, format!("{why_at_all}: {why}"), wait);
        let unmet = match next {
            Removal::Done => {
                writes.push(settled(facts, &region));
                continue;
            }
            Removal::Step(step) => {
                let acts = || {
                    let message = format!("{why_at_all}: {}", step.name());
                    Unmet::acting(Reason::Copying, message, step.clone())
                };
                let pauses = |left| wait(left, &format!("{} is tried again", step.name()));
                pause_left_of(facts, &step).map_or_else(acts, pauses)
            }
            Removal::Wait(left, why) => wait(left, why),
            Removal::Blocked(left) => {
                wait(left, &facts.row(&region).and_then(|row| row.message.clone()).unwrap_or_default())
            }
            Removal::Unreadable(why) => wait(LATER, &why),
        };
        all.push(unmet.aside());
    }
    // Of those that only wait, the soonest is told.
    all.sort_by_key(|unmet| unmet.look_again);
    Said { writes, unmet: together(all, facts.home()) }
}

/// What an image left that was taken away before its region was wanted again.
fn removed(facts: &Facts<'_>, region: &Region) -> Removal {
    match facts.left_in(region).as_deref() {
        Some([shot, ..]) if facts.is_fresh_in(region) => removal::snapshot(facts, region, &shot.id),
        Some(_) | None => Removal::Wait(SOON, "what was removed is still shown"),
    }
}

/// Marked as what stays for good; from then on nothing of it is changed.
fn keep(facts: &Facts<'_>, region: &Region) -> Removal {
    let (Some(images), Some(snapshots)) = (facts.our_images(region), facts.our_snapshots(region)) else {
        return Removal::Unreadable(format!("{region} cannot be read"));
    };
    if !facts.is_fresh_in(region) {
        return Removal::Wait(SOON, "what was marked is not shown yet");
    }
    let images = images
        .iter()
        .filter(|image| facts.holds(&image.tags))
        .map(|image| (image.id.to_string(), &image.tags));
    let snapshots =
        snapshots.iter().filter(|shot| facts.holds(&shot.tags)).map(|shot| (shot.id.to_string(), &shot.tags));
    let unmarked = images.chain(snapshots).filter(|(_, tags)| !is_retained(tags)).map(|(id, _)| id);
    let resources: Vec<String> = unmarked.take(1000).collect();
    if !resources.is_empty() {
        let tags = [(tag::RETAINED.to_owned(), "true".to_owned())].into();
        return Removal::Step(Step::TagImages { region: region.clone(), resources, tags });
    }
    // The snapshots of a pending copy may show later than it: they are to be marked too.
    let ours = facts.our_images(region).unwrap_or_default();
    if ours.iter().any(|image| image.state == ImageState::Pending) {
        return Removal::Wait(LATER, "its copy is still being made, and stays");
    }
    // A copy that was asked for and is not shown yet is marked when it is.
    match facts.row(region) {
        Some(row) if row.announced_time.is_some() && (row.image_id.is_none() || row.is_unshown()) => {
            removal::next(facts, region)
        }
        Some(_) | None => Removal::Done,
    }
}

/// The row of a region whose images stay remains, to say so; else it goes.
fn settled(facts: &Facts<'_>, region: &Region) -> Write {
    let stays =
        facts.our_images(region).is_some_and(|images| images.iter().any(|image| is_retained(&image.tags)));
    match facts.row(region).filter(|_| stays) {
        None => Write::NoRow(region.clone()),
        Some(row) => Write::Row(Box::new(RegionStatus {
            state: RegionState::Retained,
            reason: None,
            message: None,
            next_attempt_time: None,
            announced_time: None,
            ..row.clone()
        })),
    }
}

#[cfg(test)]
mod tests;
