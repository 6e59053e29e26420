//! What consumers read, and the history: which revisions there are, and which of them is served.
use std::{cmp::Reverse, collections::BTreeMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ids::{ImageId, Region},
    spec::DeletionPolicy,
    status::{
        Consistency, RegionImage, RegionRole, RegionState, RevisionImage, RevisionState, RevisionStatus,
    },
};

use crate::{
    capture::is_good,
    draft::Draft,
    facts::Facts,
    fold::images::{self, architecture},
    ownership::{attempt_of, is_of_failed_attempt, revision_of},
    world::{Image, ImageState},
};

/// How many revisions the status holds.
const KEPT: usize = 20;

/// And how many images of each.
const KEPT_IMAGES: usize = 41;

/// What is known of the revisions: from the rows of the one that is worked on, and from the tags of all images.
pub(super) fn revisions(draft: &mut Draft<'_>) {
    let mut all: BTreeMap<i32, RevisionStatus> =
        draft.status.revisions.drain(..).map(|entry| (entry.revision, entry)).collect();
    for region in draft.regions_ever() {
        let mut images = draft.our_images(&region).unwrap_or_default();
        images.sort_by_key(|image| (Reverse(attempt_of(&image.tags)), image.created));
        for image in images {
            let usable = matches!(image.state, ImageState::Available | ImageState::Disabled)
                && !is_of_failed_attempt(&image.tags)
                && (region == *draft.home() || is_copy_of(image, &all));
            if let Some(revision) = revision_of(&image.tags).filter(|_| usable) {
                let new = || RevisionStatus {
                    consistency: Consistency::Adopted,
                    ..RevisionStatus::new(revision, RevisionState::Missing)
                };
                seen(all.entry(revision).or_insert_with(new), image, &region, draft);
            }
        }
    }
    for entry in all.values_mut() {
        entry.images.retain(|image| is_named(draft, image));
        entry.state = judged(draft, entry);
    }
    if let Some(entry) = working(draft) {
        let known = all.remove(&entry.revision);
        all.insert(entry.revision, merged(entry, known));
    }
    // A revision that left nothing is kept only as long as the status says that it was once begun. What only an image
    // tells raises nothing beyond what is wanted: anybody may have made it, and no larger revision could ever be captured.
    let newest = all.keys().copied().next_back().unwrap_or(0).min(draft.subject.spec.revision);
    let active = draft.status.active_revision;
    let rest: Vec<RevisionStatus> = all.into_values().rev().collect();
    let (mine, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|entry| Some(entry.revision) == active);
    draft.status.revisions = mine.into_iter().chain(others).take(KEPT).collect();
    draft.status.revisions.sort_by_key(|entry| Reverse(entry.revision));
    if newest > 0 {
        draft.status.latest_revision = Some(newest.max(draft.status.latest_revision.unwrap_or(0)));
    }
}

/// Whether a copy is one of the home image of its revision.
fn is_copy_of(image: &Image, all: &BTreeMap<i32, RevisionStatus>) -> bool {
    let entry = revision_of(&image.tags).and_then(|revision| all.get(&revision));
    entry.is_some_and(|entry| {
        entry
            .images
            .iter()
            .any(|known| Some(&known.image_id) == image.source_image.as_ref() || known.image_id == image.id)
    })
}

fn seen(entry: &mut RevisionStatus, image: &Image, region: &Region, facts: &Facts<'_>) {
    if let Some(known) = entry.images.iter().find(|known| known.region == *region) {
        if known.image_id == image.id || image.state != ImageState::Available {
            return;
        }
        // The older of two stays; one that is gone makes room.
        if !is_gone(facts, &known.image_id, region) {
            return;
        }
    }
    entry.images.retain(|known| known.region != *region);
    if region == facts.home() {
        entry.source_instance_id = entry.source_instance_id.take().or_else(|| image.source_instance.clone());
        entry.created_time = image.created.map(Time);
    }
    let architecture = architecture(image.architecture.as_ref());
    entry.images.push(RevisionImage { region: region.clone(), architecture, image_id: image.id.clone() });
    let home = facts.home();
    entry.images.sort_by_key(|image| (image.region != *home, image.region.clone()));
    entry.images.truncate(KEPT_IMAGES);
}

/// The state of a revision that is not worked on.
fn judged(facts: &Facts<'_>, entry: &RevisionStatus) -> RevisionState {
    if entry.state == RevisionState::Failed {
        return RevisionState::Failed;
    }
    let home = entry.images.iter().find(|image| image.region == *facts.home());
    match home {
        Some(image) => match state_of(facts, &image.image_id, facts.home()) {
            Some(ImageState::Disabled) => RevisionState::Missing,
            Some(ImageState::Available) => RevisionState::Available,
            _ => entry.state,
        },
        None if matches!(entry.state, RevisionState::Available | RevisionState::Revoked) => {
            RevisionState::Missing
        }
        None => entry.state,
    }
}

fn merged(mut entry: RevisionStatus, known: Option<RevisionStatus>) -> RevisionStatus {
    let Some(known) = known else { return entry };
    // Copies in regions without a row of this revision are still images of it.
    for image in known.images {
        if !entry.images.iter().any(|own| own.region == image.region) {
            entry.images.push(image);
        }
    }
    entry.images.truncate(KEPT_IMAGES);
    if entry.consistency == Consistency::Adopted {
        entry.consistency = known.consistency;
    }
    entry.source_instance_id = entry.source_instance_id.or(known.source_instance_id);
    entry.created_time = known.created_time.or(entry.created_time);
    entry
}

/// The revision that is worked on, or whose capture has just ended, from its rows.
fn working(facts: &Facts<'_>) -> Option<RevisionStatus> {
    let home = facts.home_row()?;
    let revision = home.revision?;
    let capture = facts.status.capture.as_ref().filter(|capture| capture.revision == revision);
    if revision != facts.revision() && capture.is_none() {
        return None;
    }
    let state = match home.state {
        _ if capture.is_some_and(|capture| capture.reason.is_some()) => RevisionState::Failed,
        RegionState::Available if is_good(capture) => RevisionState::Available,
        RegionState::Failed => RevisionState::Failed,
        RegionState::Missing => RevisionState::Missing,
        RegionState::Waiting if capture.is_none() => return None,
        RegionState::Available | RegionState::Waiting | RegionState::Pending | RegionState::Retained => {
            RevisionState::Capturing
        }
    };
    let mine = |row: &&saved_template_api::status::RegionStatus| {
        row.state == RegionState::Available && row.revision == Some(revision)
    };
    let images = facts.status.regions.iter().filter(mine).filter_map(|row| {
        Some(RevisionImage {
            region: row.region.clone(),
            architecture: row.architecture.clone(),
            image_id: row.image_id.clone()?,
        })
    });
    Some(RevisionStatus {
        revision,
        state,
        source_instance_id: capture
            .and(facts.status.source.as_ref())
            .and_then(|source| source.instance_id.clone()),
        consistency: capture.map_or(Consistency::Adopted, |capture| capture.consistency),
        created_time: created(facts, home.image_id.as_ref(), facts.home()),
        images: images.collect(),
    })
}

fn found<'a>(facts: &Facts<'a>, id: &ImageId, region: &Region) -> Option<&'a Image> {
    facts.view_of(region)?.images.as_deref().ok()?.iter().find(|image| image.id == *id)
}

fn state_of(facts: &Facts<'_>, id: &ImageId, region: &Region) -> Option<ImageState> {
    found(facts, id, region).map(|image| image.state)
}

fn created(facts: &Facts<'_>, id: Option<&ImageId>, region: &Region) -> Option<Time> {
    found(facts, id?, region)?.created.map(Time)
}

/// Whether a revision still names an image: until it is gone, and where it is to be taken away, until all of it is: what
/// EC2 wrote about it on a snapshot shows whose that is.
fn is_named(facts: &Facts<'_>, image: &RevisionImage) -> bool {
    let leaves = facts.subject.deleting || !facts.wanted().contains(&image.region);
    leaves || !is_gone(facts, &image.image_id, &image.region)
}

fn is_gone(facts: &Facts<'_>, id: &ImageId, region: &Region) -> bool {
    found(facts, id, region).is_none() && images::is_gone(facts, id, region)
}

/// The rows that consumers read. A row moves to another revision in one write, when that region's image is available;
/// until then it stays, and so it does whatever becomes of a capture.
pub(super) fn served(draft: &mut Draft<'_>) {
    let spec = draft.subject.spec;
    let target = spec.active_revision.unwrap_or(spec.revision);
    let deletes = draft.subject.deleting && spec.deletion_policy == DeletionPolicy::Delete;
    let mut images = Vec::new();
    for region in draft.wanted() {
        let old = draft.status.images.iter().find(|old| old.region == region);
        let stays = |old: &&RegionImage| match state_of(draft, &old.image_id, &region) {
            Some(ImageState::Available) => true,
            Some(_) => false,
            None if draft.is_settling(&region) && draft.is_removed(&old.image_id) => false,
            None => !is_gone(draft, &old.image_id, &region),
        };
        // Where images are being taken away none takes the place of another, nor comes back by an old read.
        let chosen = if deletes || draft.is_settling(&region) {
            old.filter(stays).cloned()
        } else {
            of_revision(draft, &region, target)
                .or_else(|| old.filter(stays).cloned())
                .or_else(|| newest_before(draft, &region, target).filter(|_| spec.active_revision.is_none()))
        };
        images.extend(chosen.map(|new| match old {
            Some(old) if old.image_id == new.image_id => {
                RegionImage { revision: new.revision, ..old.clone() }
            }
            _ => new,
        }));
    }
    draft.status.images = images;
    let home = draft.status.images.iter().find(|image| image.region == *draft.home()).cloned();
    draft.status.image_id = home.as_ref().map(|image| image.image_id.clone());
    draft.status.active_revision = home.map(|image| image.revision);
}

/// The image of a revision that can be used in a region.
fn of_revision(facts: &Facts<'_>, region: &Region, revision: i32) -> Option<RegionImage> {
    let row = facts.row(region).filter(|row| {
        row.revision == Some(revision) && row.state == RegionState::Available && is_good(facts.capture())
    });
    let image = |architecture: &str, id: &ImageId, created_time| RegionImage {
        region: region.clone(),
        architecture: architecture.to_owned(),
        revision,
        image_id: id.clone(),
        created_time,
    };
    if let Some((row, id)) = row.and_then(|row| Some((row, row.image_id.as_ref()?))) {
        return Some(image(&row.architecture, id, created(facts, Some(id), region)));
    }
    // Where the home image is gone, the copies of it are as good as before.
    let good =
        |entry: &&RevisionStatus| matches!(entry.state, RevisionState::Available | RevisionState::Missing);
    let entry = facts.status.revisions.iter().find(|entry| entry.revision == revision).filter(good)?;
    let of_region = entry.images.iter().find(|image| image.region == *region)?;
    let available = state_of(facts, &of_region.image_id, region) == Some(ImageState::Available);
    available.then(|| {
        image(&of_region.architecture, &of_region.image_id, created(facts, Some(&of_region.image_id), region))
    })
}

/// While the wanted revision has no image: the newest older one that has.
fn newest_before(facts: &Facts<'_>, region: &Region, target: i32) -> Option<RegionImage> {
    let older = facts.status.revisions.iter().map(|entry| entry.revision).filter(|number| *number < target);
    older.filter_map(|revision| of_revision(facts, region, revision)).max_by_key(|image| image.revision)
}

pub(super) fn summary(draft: &mut Draft<'_>) {
    let wanted = draft.wanted();
    let done = draft.status.regions.iter().filter(|row| {
        let good = row.role != RegionRole::Home || is_good(draft.capture());
        row.state == RegionState::Available && good && wanted.contains(&row.region)
    });
    let text = format!("{}/{}", done.count(), wanted.len());
    draft.status.region_summary = Some(text);
}
