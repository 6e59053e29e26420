//! What this controller never writes was put into the status by hand: it must not make the object wait for ever.
use std::collections::BTreeSet;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use saved_template_api::{
    ids::{ImageId, Region},
    status::{CaptureReason, RegionStatus},
};

use crate::{capture::fail, draft::Draft, facts::Facts, restart::Record, time::later};

/// No time that is written lies further ahead than the longest pause between two tries.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// Images that the status names and that are not this object's by their names, or of another machine: they are
/// forgotten, and so neither served nor copied, tagged or deleted.
pub(super) fn foreign(draft: &mut Draft<'_>) {
    let is_foreign = |draft: &Facts<'_>, id: &ImageId, region: &Region, revision: i32| {
        let view = draft.view_of(region).and_then(|view| view.images.as_deref().ok());
        let shown = view.unwrap_or_default().iter().find(|image| image.id == *id);
        shown.is_some_and(|image| !draft.is_known(image, revision))
    };
    let work = draft.revision();
    let home = draft.home().clone();
    let shown = draft.images().unwrap_or_default().iter();
    let others: BTreeSet<ImageId> =
        shown.filter(|image| draft.is_of_another_machine(image)).map(|image| image.id.clone()).collect();
    let mut status = std::mem::take(&mut draft.status);
    for row in &mut status.regions {
        let revision = row.revision.unwrap_or(work);
        let is_others = |id: &ImageId| row.region == home && others.contains(id);
        let of_others = |id| is_foreign(draft, id, &row.region, revision) || is_others(id);
        if row.image_id.as_ref().is_some_and(of_others) {
            *row = RegionStatus {
                revision: row.revision,
                attempts: row.attempts,
                ..RegionStatus::waiting(row.region.clone(), row.architecture.clone(), row.role)
            };
        }
    }
    status.images.retain(|image| !is_foreign(draft, &image.image_id, &image.region, image.revision));
    for entry in &mut status.revisions {
        let revision = entry.revision;
        entry.images.retain(|image| !is_foreign(draft, &image.image_id, &image.region, revision));
    }
    draft.ownership.knows_only(&status);
    draft.status = status;
}

/// Times far ahead are taken for now, a capture that owes is not over, and one whose record cannot be read is.
pub(super) fn heal(draft: &mut Draft<'_>) {
    let (now, limit) = (draft.time(), Time(later(draft.now, AHEAD)));
    // Until EC2 has answered, the time is that of a node, which may be wrong.
    let is_known = draft.view().is_some();
    let bring_back = |time: &mut Time| {
        if is_known && *time > limit {
            *time = now.clone();
        }
    };
    let status = &mut draft.status;
    for announced in &mut status.announced {
        bring_back(&mut announced.time);
    }
    for row in &mut status.regions {
        for time in [&mut row.announced_time, &mut row.next_attempt_time].into_iter().flatten() {
            bring_back(time);
        }
    }
    for removed in &mut status.removed_images {
        bring_back(&mut removed.requested_time);
    }
    let Some(capture) = status.capture.as_mut() else { return };
    if capture.completion_time.is_some() {
        capture.restart_record.take_if(|debt| debt.parse::<Record>().is_err());
    }
    if capture.restart_record.is_some() {
        capture.completion_time = None;
    }
    // The restart loop cannot use it either: the record on the machine is the one that counts, and is paid without us.
    if capture.restart_record.take_if(|debt| debt.parse::<Record>().is_err()).is_some() {
        let why = "the restart record in the status cannot be read: the one on the machine counts";
        if capture.reason.is_none() {
            fail(capture, CaptureReason::Failed, why);
        }
        capture.completion_time = Some(now.clone());
    }
    let times = [
        &mut capture.start_time,
        &mut capture.stop_requested_time,
        &mut capture.source_stopped_time,
        &mut capture.image_requested_time,
        &mut capture.snapshots_started_time,
        &mut capture.source_restored_time,
        &mut capture.completion_time,
    ];
    for time in times.into_iter().flatten() {
        bring_back(time);
    }
}
