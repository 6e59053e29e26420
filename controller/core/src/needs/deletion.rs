//! The object goes (§9): no new work, the debt paid, then what `deletionPolicy` says, then the finalizer.
use std::{collections::BTreeSet, time::Duration};

use saved_template_api::{
    Reason,
    ids::{ImageId, Region},
    spec::DeletionPolicy,
    status::{CaptureReason, RegionStatus},
};

use crate::{
    decision::Finalizer,
    facts::Facts,
    needs::{
        adopt, record,
        removal::{self, Removal},
        upkeep,
    },
    ownership::{is_retained, revision_of},
    receipt,
    step::Step,
    time::{LATER, SLOWLY, SOON},
    unmet::{Lack, Unmet, together},
    world::{Image, ImageState, Snapshot},
    write::Write,
};

pub(crate) fn need(facts: &Facts<'_>) -> Option<Unmet> {
    if !facts.subject.deleting {
        return None;
    }
    let owed = facts.open_capture().is_some_and(|capture| capture.restart_record.is_some());
    if owed && facts.subject.finalizer && !is_overdue(facts) {
        return Some(pay_first(facts));
    }
    if !facts.subject.finalizer {
        let message = "this controller is done with it: something else holds the object by its finalizer";
        // Its end is an event.
        return Some(Unmet::waiting(Reason::Deleting, message, Duration::MAX));
    }
    match facts.subject.spec.deletion_policy {
        DeletionPolicy::Retain => Some(gone(&kept(facts))),
        DeletionPolicy::Delete => match images(facts) {
            Some(unmet) => Some(unmet),
            None => Some(receipt(facts)),
        },
    }
}

fn gone(message: &str) -> Unmet {
    Unmet { finalizer: Finalizer::Remove, ..Unmet::waiting(Reason::Deleting, message, SOON) }
}

/// A debt holds the object until the machine's limit has passed; then the tag and the restart loop remain.
fn is_overdue(facts: &Facts<'_>) -> bool {
    facts.record().is_some_and(|record| facts.now >= record.start_by)
}

fn pay_first(facts: &Facts<'_>) -> Unmet {
    if let Some(unmet) = record::unsupported(facts) {
        return Unmet { ready: Reason::Deleting, invalid: None, ..unmet };
    }
    let unmet = upkeep::give_up(
        facts,
        CaptureReason::Deleted,
        "the object was deleted before the image was asked for",
    );
    let message = "the machine is given back before the object goes";
    let waiting = Unmet::waiting(Reason::Deleting, message, SOON);
    unmet.map_or(waiting.clone(), |unmet| Unmet { steps: unmet.steps, writes: unmet.writes, ..waiting })
}

/// Everything of ours in every region that was ever used: copies, then home.
fn images(facts: &Facts<'_>) -> Option<Unmet> {
    if let Some(message) = adopt::held_by_other(facts) {
        return Some(Unmet::stalled(Reason::Deleting, message));
    }
    let home = facts.home().clone();
    let regions = facts.regions_ever();
    let (copies, homes): (Vec<_>, Vec<_>) = regions.into_iter().partition(|region| *region != home);
    let mut waits: Option<(Duration, String)> = None;
    let mut hindered: Vec<String> = Vec::new();
    let mut steps: Vec<Unmet> = Vec::new();
    for region in copies.iter().chain(&homes) {
        if *region == home && (!steps.is_empty() || copies.iter().any(|copy| holds_up_home(facts, copy))) {
            waits.get_or_insert((SOON, format!("{home} waits for the copies")));
            continue;
        }
        match removal::next(facts, region) {
            Removal::Done => {}
            Removal::Step(step) => {
                if let Some(left) = removal::pause_left_of(facts, &step) {
                    waits.get_or_insert((left, format!("{region}: {} is tried again", step.name())));
                    continue;
                }
                let row = if let Step::Deregister { region, image } = &step {
                    kept_in_mind(facts, region, image)
                } else {
                    None
                };
                steps.push(act(facts, step).writing(row));
            }
            Removal::Wait(wait, why) => _ = waits.get_or_insert((wait, format!("{region}: {why}"))),
            Removal::Blocked(wait) => {
                let row = facts.row(region).and_then(|row| row.message.clone()).unwrap_or_default();
                hindered.push(format!("{region}: {row}"));
                waits.get_or_insert((wait.min(SLOWLY), String::new()));
            }
            Removal::Unreadable(why) => {
                hindered.push(why);
                waits.get_or_insert((LATER, String::new()));
            }
        }
    }
    if let Some(unmet) = together(steps, &home) {
        return Some(unmet);
    }
    if !hindered.is_empty() {
        let look_again = waits.map_or(LATER, |(wait, _)| wait);
        let retain = retain(facts);
        let message =
            format!("{}; to keep what is left and let the object go: {retain}", hindered.join("; "));
        return Some(Unmet::waiting(Reason::Deleting, beside(message, facts), look_again));
    }
    waits.map(|(wait, why)| Unmet::waiting(Reason::Deleting, beside(why, facts), wait))
}

/// The source of a copy is not touched while EC2 reads it, nor before what was done about the copy is shown. A change that
/// EC2 refused is tried again first, but not for ever.
fn holds_up_home(facts: &Facts<'_>, region: &Region) -> bool {
    let pending = |image: &&Image| image.state == ImageState::Pending;
    let is_read = facts.our_images(region).is_some_and(|images| !images.iter().any(pending));
    let waits = || match removal::next(facts, region) {
        Removal::Step(step) => removal::is_tried_again_first(facts, region, &step),
        Removal::Done | Removal::Wait(..) | Removal::Blocked(_) | Removal::Unreadable(_) => false,
    };
    !is_read || !facts.is_fresh_in(region) || waits()
}

/// Only an image that the status names makes the snapshots ours that are left when it is gone: one that was lost with its
/// status is named again. Of an image that is pending, they may show minutes later, and nothing but the row may tell.
fn kept_in_mind(facts: &Facts<'_>, region: &Region, image: &ImageId) -> Option<Write> {
    let shown = facts.our_images(region)?.into_iter().find(|one| one.id == *image)?;
    let is_pending = shown.state == ImageState::Pending;
    let row = facts.row(region).filter(|row| is_pending || row.image_id.is_none())?.clone();
    let announced = if is_pending { Some(facts.time()) } else { row.announced_time.clone() };
    Some(Write::Row(Box::new(RegionStatus {
        image_id: Some(image.clone()),
        revision: revision_of(&shown.tags),
        announced_time: announced,
        ..row
    })))
}

/// Then the receipt on the machine, if that is still there, under the claim on it.
fn receipt(facts: &Facts<'_>) -> Unmet {
    let source = facts.status.source.as_ref().and_then(|source| source.instance_id.clone());
    let instance = source.and_then(|source| facts.instances().iter().find(|instance| instance.id == source));
    let step = instance.and_then(|instance| Some((&instance.id, receipt::removal(facts, instance)?)));
    let Some((id, step)) = step else {
        let left = left(facts);
        return gone(left.as_deref().unwrap_or("nothing is left in any region"));
    };
    if removal::pause_left_of(facts, &step).is_some() {
        return Unmet::waiting(Reason::Deleting, "the receipt on the machine goes", SOON);
    }
    match &facts.world.claim {
        None => Unmet::lacking(Lack::Claim(id.clone())),
        Some(Ok(())) => act(facts, step),
        Some(Err(_)) => {
            let message = "the machine is being saved by another template: the receipt on it goes after that";
            Unmet::waiting(Reason::Deleting, message, LATER)
        }
    }
}

/// What is waited for, and what stays whatever comes of it.
fn beside(why: String, facts: &Facts<'_>) -> String {
    match left(facts) {
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
fn kept(facts: &Facts<'_>) -> String {
    let rows = facts.status.regions.iter().filter_map(|row| Some((row.image_id.as_ref()?, &row.region)));
    let older = facts.status.revisions.iter().flat_map(|revision| &revision.images);
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
fn left(facts: &Facts<'_>) -> Option<String> {
    let (mut retained, mut used, mut unproven) = (Vec::new(), Vec::new(), Vec::new());
    for region in facts.regions_ever() {
        let images = facts.our_images(&region).unwrap_or_default();
        let images: Vec<_> = images.into_iter().filter(|image| is_retained(&image.tags)).collect();
        let maps = |shot: &Snapshot| images.iter().any(|image| image.snapshots.contains(&shot.id));
        let shots = facts.our_snapshots(&region).unwrap_or_default();
        let shots = shots.into_iter().filter(|shot| is_retained(&shot.tags) && !maps(shot));
        used.extend(shots.map(|shot| format!("{} in {region}", shot.id)));
        retained.extend(images.iter().map(|image| format!("{} in {region}", image.id)));
        unproven.extend(facts.unproven(&region).into_iter().map(|id| format!("{id} in {region}")));
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

pub(crate) fn retain(facts: &Facts<'_>) -> String {
    format!(
        "kubectl -n {} patch savedtemplate {} --type merge -p '{{\"spec\":{{\"deletionPolicy\":\"Retain\"}}}}'",
        facts.subject.namespace, facts.subject.name
    )
}

fn act(facts: &Facts<'_>, step: Step) -> Unmet {
    let region = step.region().cloned();
    let message = format!("{} in {}", step.name(), region.as_ref().unwrap_or(facts.home()));
    Unmet::acting(Reason::Deleting, message, step)
}

#[cfg(test)]
mod tests;
