//! The images: the rows of the work, and the rows that consumers read.
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    Reason,
    condition::cut,
    ids::{ImageId, Region},
    names::tag,
    status::{
        Consistency, RegionImage, RegionRole, RegionState, RegionStatus, RevisionImage, RevisionState,
        RevisionStatus,
    },
};

use crate::{
    debt::later,
    fold::is_good,
    needs::record::passed,
    scene::{Scene, pause},
    world::{Image, ImageState, Snapshot, SnapshotState},
};

/// One row for home, one for each wanted region; a row that is no longer wanted stays.
pub(super) fn rows(scene: &mut Scene<'_>) {
    let of_source = scene.status.source.as_ref().and_then(|source| source.architecture.clone());
    let Some(architecture) = of_source.or_else(|| scene.home_row().map(|row| row.architecture.clone()))
    else {
        return;
    };
    let home = scene.home().clone();
    let wanted = scene.subject.spec.regions.iter().map(|region| (region.name.clone(), RegionRole::Copy));
    for (region, role) in std::iter::once((home, RegionRole::Home)).chain(wanted.collect::<Vec<_>>()) {
        if scene.row(&region).is_none() {
            scene.status.regions.push(RegionStatus::waiting(region, architecture.clone(), role));
        }
    }
}

fn state_of(image: &Image) -> RegionState {
    match image.state {
        ImageState::Available => RegionState::Available,
        ImageState::Failed | ImageState::Deregistered => RegionState::Failed,
        ImageState::Pending | ImageState::Unknown => RegionState::Pending,
        ImageState::Disabled => RegionState::Missing,
    }
}

/// The image of the current capture, or the one that was adopted.
pub(super) fn home(scene: &mut Scene<'_>) {
    let Some(images) = scene.images() else { return };
    let known = scene.home_row().and_then(|row| row.image_id.clone());
    let record = scene.record();
    let account = scene.account();
    let mine = |image: &Image| account.is_none() || image.owner.is_none() || image.owner.as_ref() == account;
    let found = images.iter().find(|image| match &known {
        Some(id) => image.id == *id,
        None => {
            record.as_ref().is_some_and(|record| scene.owns(&image.tags) && record.made(image) && mine(image))
        }
    });
    let shots = scene.snapshots();
    let held = |shot: &&Snapshot| record.as_ref().is_some_and(|record| record.holds(shot));
    let held: Vec<_> = shots.unwrap_or_default().iter().filter(held).collect();
    let progress = found.map(|image| progress(image, held.iter().copied()));
    if found.is_none() && known.is_some() {
        lost(scene, &scene.home().clone(), false);
    }
    let revision = scene.capture().map(|capture| capture.revision);
    let region = scene.home().clone();
    let (Some(image), Some(row)) = (found, scene.row_mut(&region)) else {
        return;
    };
    row.revision = row.revision.or(revision);
    show(row, image, progress);
    let open = scene.status.capture.as_mut().filter(|capture| capture.completion_time.is_none());
    let claimed = open.filter(|capture| capture.consistency == Consistency::Stopped);
    if let Some(capture) = claimed.filter(|_| image.state == ImageState::Available && shots.is_some()) {
        let of_the_barrier = image.snapshots.iter().all(|id| held.iter().any(|shot| shot.id == *id));
        if image.snapshots.len() != capture.expected_volumes.len() || !of_the_barrier {
            capture.consistency = Consistency::Unknown;
        }
    }
}

pub(super) fn copy(scene: &mut Scene<'_>, region: &Region) {
    let Some(images) = scene.images_in(region) else {
        return;
    };
    let Some(source) = scene.home_row().and_then(|row| row.image_id.clone()) else {
        return;
    };
    let known = scene.row(region).and_then(|row| row.image_id.clone());
    let found = images
        .iter()
        .filter(|image| {
            let current = image.state != ImageState::Failed || image.name == scene.expected_name(region);
            let ours = || scene.is_copy(image, &source, region) && current;
            known.as_ref().map_or_else(ours, |id| image.id == *id)
        })
        .min_by_key(|image| image.created);
    let view = scene.world.abroad.get(region).and_then(|view| view.as_ref().ok());
    let shots = view.and_then(|view| view.snapshots.as_deref().ok()).unwrap_or_default();
    let progress = found.map(|image| {
        let ours = shots
            .iter()
            .filter(|shot| scene.owns(&shot.tags) && shot.description.contains(image.id.as_str()));
        progress(image, ours)
    });
    let revision = scene.home_row().and_then(|row| row.revision);
    let now = scene.now;
    if found.is_none() {
        lost(scene, region, images.iter().any(|image| Some(&image.id) == known.as_ref()));
    }
    let (Some(image), Some(row)) = (found, scene.row_mut(region)) else {
        return;
    };
    row.revision = revision;
    show(row, image, progress);
    if row.state == RegionState::Failed && row.next_attempt_time.is_none() {
        let wait = pause(i64::from(row.attempts), Duration::from_secs(30), Duration::from_mins(30));
        let wait = jiff::SignedDuration::try_from(wait).unwrap_or_default();
        row.next_attempt_time = Some(Time(later(now, wait)));
    }
}

/// A pending image that was deregistered under us: absence is believed after several reads.
fn lost(scene: &mut Scene<'_>, region: &Region, seen: bool) {
    let view = if region == scene.home() {
        scene.view()
    } else {
        scene.world.abroad.get(region).and_then(|view| view.as_deref().ok())
    };
    let name = scene.expected_name(region);
    let absence = view.and_then(|view| view.absences.get(&name)).filter(|absence| absence.reads >= 3);
    let gone = !seen
        && absence.is_some_and(|absence| passed(scene.absent_since(*absence, region), GONE_FOR, scene.now));
    if let Some(row) = scene.row_mut(region)
        && gone
        && row.image_id.is_some()
        && row.state == RegionState::Pending
    {
        row.state = RegionState::Missing;
        row.reason = Some(Reason::ImageMissing.name().to_owned());
        row.message = Some("it was deregistered while it was pending".to_owned());
    }
}

/// How long a pending image must be absent.
const GONE_FOR: jiff::SignedDuration = jiff::SignedDuration::from_secs(120);

impl Scene<'_> {
    /// §8: a copy is ours if its owner tags and EC2's own fields agree.
    pub(crate) fn is_copy(&self, image: &Image, source: &ImageId, region: &Region) -> bool {
        let tagged_here = image.tags.get(tag::REGION);
        self.owns(&image.tags)
            && tagged_here.is_some_and(|tag| tag == region.as_str())
            && image.source_image.as_ref() == Some(source)
            && image.source_region.as_ref() == Some(self.home())
            && image.name.starts_with(&self.owner().image_name(self.template_name(), self.edition().0, 1))
            && image.state != ImageState::Deregistered
    }
}

fn show(row: &mut RegionStatus, image: &Image, progress: Option<i32>) {
    // A sweep that could not read the snapshots shows no progress: what was seen stays.
    let before = row.progress_percent.filter(|_| row.image_id.as_ref() == Some(&image.id));
    row.image_id = Some(image.id.clone());
    row.state = state_of(image);
    row.progress_percent = progress.max(before);
    match row.state {
        RegionState::Failed => {
            row.reason = Some(if row.role == RegionRole::Home { "ImageFailed" } else { "CopyFailed" }.into());
            row.message = image.state_reason.clone().map(|text| cut(text, 512));
        }
        RegionState::Pending | RegionState::Available => {
            (row.reason, row.message, row.next_attempt_time) = (None, None, None);
        }
        RegionState::Missing => {
            row.reason = Some(Reason::ImageDisabled.name().to_owned());
            row.message = Some(format!("{} is disabled: aws ec2 enable-image --image-id {0}", image.id));
        }
        RegionState::Waiting | RegionState::Retained => {}
    }
}

/// Percent of the snapshots, in steps of 25: each step is one write.
fn progress<'s>(image: &Image, snapshots: impl Iterator<Item = &'s Snapshot>) -> i32 {
    if image.state == ImageState::Available {
        return 100;
    }
    let of = |shot: &Snapshot| {
        if shot.state == SnapshotState::Completed { 100 } else { i32::from(shot.progress) }
    };
    let parts: Vec<i32> = snapshots.map(of).collect();
    let count = i32::try_from(parts.len()).unwrap_or(i32::MAX).max(1);
    let mean = parts.iter().sum::<i32>().checked_div(count).unwrap_or(0);
    // 100 is said by the image alone.
    mean.checked_div(25).unwrap_or(0).saturating_mul(25).clamp(0, 75)
}

/// The rows that consumers read: a row moves in one write, when that region's image is available.
pub(super) fn served(scene: &mut Scene<'_>) {
    let created = |scene: &Scene<'_>, row: &RegionStatus| {
        let images = if row.role == RegionRole::Home { scene.images() } else { scene.images_in(&row.region) };
        let image = images?.iter().find(|image| Some(&image.id) == row.image_id.as_ref())?;
        image.created.map(Time)
    };
    let good = is_good(scene.capture());
    for row in scene.status.regions.clone() {
        let (RegionState::Available, Some(id), Some(revision)) =
            (row.state, row.image_id.clone(), row.revision)
        else {
            continue;
        };
        let old = scene.status.images.iter().find(|old| old.region == row.region).cloned();
        if !good || old.as_ref().is_some_and(|old| old.image_id == id) {
            continue;
        }
        let created_time = created(scene, &row);
        let (region, architecture) = (row.region.clone(), row.architecture.clone());
        scene.status.images.retain(|old| old.region != row.region);
        scene.status.images.push(RegionImage { region, architecture, revision, image_id: id, created_time });
    }
    let home = scene.home();
    let rank = |image: &RegionImage| (image.region != *home, image.region.clone());
    scene.status.images.sort_by_key(rank);
    let home_image = scene.status.images.iter().find(|image| image.region == *home);
    scene.status.image_id = home_image.map(|image| image.image_id.clone());
    scene.status.active_revision = home_image.map(|image| image.revision);
}

pub(super) fn revisions(scene: &mut Scene<'_>) {
    let Some(revision) = scene.home_row().and_then(|row| row.revision) else {
        return;
    };
    let state = match scene.home_row().map(|row| row.state) {
        _ if scene.capture().is_some_and(|capture| capture.reason.is_some()) => RevisionState::Failed,
        Some(RegionState::Available) if is_good(scene.capture()) => RevisionState::Available,
        Some(RegionState::Failed) => RevisionState::Failed,
        Some(RegionState::Missing) => RevisionState::Missing,
        Some(
            RegionState::Available | RegionState::Waiting | RegionState::Pending | RegionState::Retained,
        )
        | None => RevisionState::Capturing,
    };
    let consistency = scene.capture().map_or(Consistency::Adopted, |capture| capture.consistency);
    let images =
        scene.status.images.iter().filter(|image| image.revision == revision).map(|image| RevisionImage {
            region: image.region.clone(),
            architecture: image.architecture.clone(),
            image_id: image.image_id.clone(),
        });
    let row = RevisionStatus {
        revision,
        state,
        source_instance_id: scene.instance_id(),
        consistency,
        created_time: scene.status.images.first().and_then(|image| image.created_time.clone()),
        images: images.collect(),
    };
    scene.status.revisions.retain(|old| old.revision != revision);
    scene.status.revisions.insert(0, row);
}

pub(super) fn summary(scene: &mut Scene<'_>) {
    let wanted = scene.subject.spec.regions.len().saturating_add(1);
    let serves = |region: &Region| scene.status.images.iter().any(|image| image.region == *region);
    let wanted_regions = scene.subject.spec.regions.iter().map(|region| &region.name).chain([scene.home()]);
    let available = wanted_regions.filter(|region| serves(region)).count();
    scene.status.region_summary = Some(format!("{available}/{wanted}"));
}
