//! Regions that are no longer wanted: what is there is kept for good, or taken away (`removedRegionPolicy`).
use std::time::Duration;

use saved_template_api::{Reason, ids::Region, names::tag, spec::RemovedRegionPolicy, status::RegionState};

use crate::{
    needs::removal::{self, Removal, is_fresh_in, pause_left_of},
    ownership::is_retained,
    scene::Scene,
    step::Step,
    time::{LATER, SOON},
    unmet::Unmet,
    world::ImageState,
};

pub(crate) fn need(scene: &mut Scene<'_>) -> Option<Unmet> {
    let wanted = scene.wanted();
    let left: Vec<Region> = scene
        .status
        .regions
        .iter()
        .filter(|row| !wanted.contains(&row.region) && row.state != RegionState::Retained)
        .map(|row| row.region.clone())
        .collect();
    if left.is_empty() {
        return None;
    }
    if let Some((wait, why)) = removal::held_up(scene) {
        return Some(Unmet::waiting(Reason::Copying, why, wait).aside());
    }
    let mut soonest: Option<(Duration, String)> = None;
    for region in left {
        let next = match scene.subject.spec.removed_region_policy {
            RemovedRegionPolicy::Retain => keep(scene, &region),
            RemovedRegionPolicy::Delete => removal::next(scene, &region),
        };
        let (wait, why) = match next {
            Removal::Done => {
                settled(scene, &region);
                continue;
            }
            Removal::Step(step) => {
                let Some(left) = pause_left_of(scene, &step) else {
                    let message = format!("{region} is no longer in spec.regions: {}", step.name());
                    return Some(Unmet::acting(scene, Reason::Copying, message, step).aside());
                };
                (left, format!("{} is tried again", step.name()))
            }
            Removal::Wait(wait, why) => (wait, why.to_owned()),
            Removal::Blocked(wait) => {
                let why = scene.row(&region).and_then(|row| row.message.clone()).unwrap_or_default();
                (wait, why)
            }
            Removal::Unreadable(why) => (LATER, why),
        };
        let sooner = soonest.as_ref().is_none_or(|(known, _)| wait < *known);
        if sooner {
            soonest = Some((wait, format!("{region} is no longer in spec.regions: {why}")));
        }
    }
    soonest.map(|(wait, why)| Unmet::waiting(Reason::Copying, why, wait).aside())
}

/// Marked as what stays for good; from then on nothing of it is changed.
fn keep(scene: &Scene<'_>, region: &Region) -> Removal {
    let (Some(images), Some(snapshots)) = (scene.our_images(region), scene.our_snapshots(region)) else {
        return Removal::Unreadable(format!("{region} cannot be read"));
    };
    if !is_fresh_in(scene, region) {
        return Removal::Wait(SOON, "what was marked is not shown yet");
    }
    let images = images
        .iter()
        .filter(|image| scene.holds(&image.tags))
        .map(|image| (image.id.to_string(), &image.tags));
    let snapshots =
        snapshots.iter().filter(|shot| scene.holds(&shot.tags)).map(|shot| (shot.id.to_string(), &shot.tags));
    let unmarked = images.chain(snapshots).filter(|(_, tags)| !is_retained(tags)).map(|(id, _)| id);
    let resources: Vec<String> = unmarked.take(1000).collect();
    if !resources.is_empty() {
        let tags = [(tag::RETAINED.to_owned(), "true".to_owned())].into();
        return Removal::Step(Step::TagImages { region: region.clone(), resources, tags });
    }
    // The snapshots of a pending copy may show later than it: they are to be marked too.
    let ours = scene.our_images(region).unwrap_or_default();
    if ours.iter().any(|image| image.state == ImageState::Pending) {
        return Removal::Wait(LATER, "its copy is still being made, and stays");
    }
    // A copy that was asked for and is not shown yet is marked when it is.
    match scene.row(region) {
        Some(row) if row.announced_time.is_some() && (row.image_id.is_none() || row.is_unshown()) => {
            removal::next(scene, region)
        }
        Some(_) | None => Removal::Done,
    }
}

/// The row of a region whose images stay remains, to say so; else it goes.
fn settled(scene: &mut Scene<'_>, region: &Region) {
    let stays =
        scene.our_images(region).is_some_and(|images| images.iter().any(|image| is_retained(&image.tags)));
    if !stays {
        scene.status.regions.retain(|row| row.region != *region);
        return;
    }
    if let Some(row) = scene.row_mut(region) {
        row.state = RegionState::Retained;
        (row.reason, row.message, row.next_attempt_time, row.announced_time) = (None, None, None, None);
    }
}

#[cfg(test)]
mod tests;
