//! The object goes (§9): no new work, the debt paid, then what `deletionPolicy` says, then the finalizer.
use std::{collections::BTreeSet, time::Duration};

use saved_template_api::{
    Reason,
    ids::{ImageId, Region},
    spec::DeletionPolicy,
    status::{CaptureReason, RegionRole, RegionStatus},
};

use crate::{
    decision::Finalizer,
    fold::MOST_ROWS,
    needs::{
        adopt, record,
        removal::{self, Removal},
        upkeep,
    },
    ownership::{is_retained, revision_of},
    receipt,
    scene::Scene,
    step::Step,
    time::{LATER, SLOWLY, SOON},
    unmet::{Lack, Unmet},
    world::{Image, ImageState, Snapshot},
};

pub(crate) fn need(scene: &mut Scene<'_>) -> Option<Unmet> {
    if !scene.subject.deleting {
        return None;
    }
    let owed = scene.open_capture().is_some_and(|capture| capture.restart_record.is_some());
    if owed && scene.subject.finalizer && !is_overdue(scene) {
        return Some(pay_first(scene));
    }
    if !scene.subject.finalizer {
        return Some(Unmet::waiting(Reason::Deleting, "nothing of this object is in AWS", SOON));
    }
    match scene.subject.spec.deletion_policy {
        DeletionPolicy::Retain => Some(gone(&kept(scene))),
        DeletionPolicy::Delete => match images(scene) {
            Some(unmet) => Some(unmet),
            None => Some(receipt(scene)),
        },
    }
}

fn gone(message: &str) -> Unmet {
    Unmet { finalizer: Finalizer::Remove, ..Unmet::waiting(Reason::Deleting, message, SOON) }
}

/// A debt holds the object until the machine's limit has passed; then the tag and the restart loop remain.
fn is_overdue(scene: &Scene<'_>) -> bool {
    scene.record().is_some_and(|record| scene.now >= record.start_by)
}

fn pay_first(scene: &mut Scene<'_>) -> Unmet {
    if let Some(unmet) = record::unsupported(scene) {
        return Unmet { ready: Reason::Deleting, invalid: None, ..unmet };
    }
    let unmet = upkeep::give_up(
        scene,
        CaptureReason::Deleted,
        "the object was deleted before the image was asked for",
    );
    let step = unmet.and_then(|unmet| unmet.step);
    let message = "the machine is given back before the object goes";
    Unmet { step, ..Unmet::waiting(Reason::Deleting, message, SOON) }
}

/// Everything of ours in every region that was ever used: copies, then home.
fn images(scene: &mut Scene<'_>) -> Option<Unmet> {
    if let Some(message) = adopt::held_by_other(scene) {
        return Some(Unmet::stalled(Reason::Deleting, message));
    }
    let home = scene.home().clone();
    let regions = scene.regions_ever();
    for region in &regions {
        if scene.row(region).is_none() && scene.status.regions.len() < MOST_ROWS {
            let role = if *region == home { RegionRole::Home } else { RegionRole::Copy };
            let row = RegionStatus::waiting(region.clone(), "x86_64".to_owned(), role);
            scene.status.regions.push(row);
        }
    }
    let (copies, homes): (Vec<_>, Vec<_>) = regions.into_iter().partition(|region| *region != home);
    let copying = copies.iter().any(|region| {
        let pending = |image: &&Image| image.state == ImageState::Pending;
        scene.our_images(region).is_none_or(|images| images.iter().any(pending))
    });
    if let Some((wait, why)) = removal::held_up(scene) {
        return Some(Unmet::waiting(Reason::Deleting, why, wait));
    }
    let mut waits: Option<(Duration, String)> = None;
    let mut hindered: Vec<String> = Vec::new();
    for region in copies.iter().chain(&homes) {
        // The source of a copy is not touched while EC2 reads it.
        if *region == home && copying {
            waits.get_or_insert((SOON, format!("{home} waits for the copies")));
            continue;
        }
        match removal::next(scene, region) {
            Removal::Done => {}
            Removal::Step(step) => {
                if let Some(left) = removal::pause_left_of(scene, &step) {
                    waits.get_or_insert((left, format!("{region}: {} is tried again", step.name())));
                    continue;
                }
                if let Step::Deregister { region, image } = &step {
                    keep_in_mind(scene, region, image);
                }
                return Some(act(scene, step));
            }
            Removal::Wait(wait, why) => _ = waits.get_or_insert((wait, format!("{region}: {why}"))),
            Removal::Blocked(wait) => {
                let row = scene.row(region).and_then(|row| row.message.clone()).unwrap_or_default();
                hindered.push(format!("{region}: {row}"));
                waits.get_or_insert((wait.min(SLOWLY), String::new()));
            }
            Removal::Unreadable(why) => {
                hindered.push(why);
                waits.get_or_insert((LATER, String::new()));
            }
        }
    }
    if !hindered.is_empty() {
        let look_again = waits.map_or(LATER, |(wait, _)| wait);
        let retain = retain(scene);
        let message =
            format!("{}; to keep what is left and let the object go: {retain}", hindered.join("; "));
        return Some(Unmet::waiting(Reason::Deleting, beside(message, scene), look_again));
    }
    waits.map(|(wait, why)| Unmet::waiting(Reason::Deleting, beside(why, scene), wait))
}

/// Only an image that the status names makes the snapshots ours that are left when it is gone: one that was lost with its
/// status is named again. Of an image that is pending, they may show minutes later, and nothing but the row may tell.
fn keep_in_mind(scene: &mut Scene<'_>, region: &Region, image: &ImageId) {
    let images = scene.our_images(region).unwrap_or_default();
    let Some(shown) = images.into_iter().find(|one| one.id == *image) else { return };
    let (now, is_pending) = (scene.time(), shown.state == ImageState::Pending);
    if let Some(row) = scene.row_mut(region).filter(|row| is_pending || row.image_id.is_none()) {
        row.image_id = Some(image.clone());
        row.revision = revision_of(&shown.tags);
        row.announced_time = Some(now).filter(|_| is_pending).or_else(|| row.announced_time.take());
    }
}

/// Then the receipt on the machine, if that is still there, under the claim on it.
fn receipt(scene: &mut Scene<'_>) -> Unmet {
    let source = scene.status.source.as_ref().and_then(|source| source.instance_id.clone());
    let instance = source.and_then(|source| scene.instances().iter().find(|instance| instance.id == source));
    let step = instance.and_then(|instance| Some((&instance.id, receipt::removal(scene, instance)?)));
    let Some((id, step)) = step else {
        let left = left(scene);
        return gone(left.as_deref().unwrap_or("nothing is left in any region"));
    };
    if removal::pause_left_of(scene, &step).is_some() {
        return Unmet::waiting(Reason::Deleting, "the receipt on the machine goes", SOON);
    }
    match &scene.world.claim {
        None => Unmet::lacking(Lack::Claim(id.clone())),
        Some(Ok(())) => act(scene, step),
        Some(Err(_)) => {
            let message = "the machine is being saved by another template: the receipt on it goes after that";
            Unmet::waiting(Reason::Deleting, message, LATER)
        }
    }
}

/// What is waited for, and what stays whatever comes of it.
fn beside(why: String, scene: &Scene<'_>) -> String {
    match left(scene) {
        Some(left) => format!("{why}; {left}"),
        None => why,
    }
}

/// Most things that a message names one by one.
const NAMED: usize = 10;

fn listed(things: &[String]) -> String {
    let named: Vec<&str> = things.iter().map(String::as_str).take(NAMED).collect();
    let more = things.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", named.join(", "))
}

/// What an object leaves that deletes nothing.
fn kept(scene: &Scene<'_>) -> String {
    let rows = scene.status.regions.iter().filter_map(|row| Some((row.image_id.as_ref()?, &row.region)));
    let older = scene.status.revisions.iter().flat_map(|revision| &revision.images);
    let all = rows.chain(older.map(|image| (&image.image_id, &image.region)));
    let all: BTreeSet<String> = all.map(|(id, region)| format!("{id} in {region}")).collect();
    let all: Vec<String> = all.into_iter().collect();
    if all.is_empty() {
        "deletionPolicy is Retain: there are no images to stay".to_owned()
    } else {
        format!("deletionPolicy is Retain: these stay, with their snapshots: {}", listed(&all))
    }
}

/// What the deletion leaves, and why.
fn left(scene: &Scene<'_>) -> Option<String> {
    let (mut retained, mut used, mut unproven) = (Vec::new(), Vec::new(), Vec::new());
    for region in scene.regions_ever() {
        let images = scene.our_images(&region).unwrap_or_default();
        let images: Vec<_> = images.into_iter().filter(|image| is_retained(&image.tags)).collect();
        let maps = |shot: &Snapshot| images.iter().any(|image| image.snapshots.contains(&shot.id));
        let shots = scene.our_snapshots(&region).unwrap_or_default();
        let shots = shots.into_iter().filter(|shot| is_retained(&shot.tags) && !maps(shot));
        used.extend(shots.map(|shot| format!("{} in {region}", shot.id)));
        retained.extend(images.iter().map(|image| format!("{} in {region}", image.id)));
        unproven.extend(scene.unproven(&region).into_iter().map(|id| format!("{id} in {region}")));
    }
    let parts = [
        ("images of regions that were taken out under removedRegionPolicy Retain are left", retained),
        ("snapshots are left that stay for good, or that another image uses", used),
        ("these are left, since what EC2 says does not show that they are this template's own", unproven),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, things)| !things.is_empty())
        .map(|(why, things)| format!("{why}: {}", listed(things)))
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

pub(crate) fn retain(scene: &Scene<'_>) -> String {
    format!(
        "kubectl -n {} patch savedtemplate {} --type merge -p '{{\"spec\":{{\"deletionPolicy\":\"Retain\"}}}}'",
        scene.subject.namespace, scene.subject.name
    )
}

fn act(scene: &mut Scene<'_>, step: Step) -> Unmet {
    let region = step.region().cloned();
    let message = format!("{} in {}", step.name(), region.as_ref().unwrap_or(scene.home()));
    Unmet::acting(scene, Reason::Deleting, message, step)
}

#[cfg(test)]
mod tests;
