//! The images of the revision that is worked on: one row for each region.
use std::{collections::BTreeSet, time::Duration};

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ids::{ImageId, Region},
    spec::DeletionPolicy,
    status::{Consistency, RegionReason, RegionRole, RegionState, RegionStatus},
    text::cut,
};

use crate::{
    draft::Draft,
    ec2_error::NOT_ENABLED,
    facts::Facts,
    fold::failure::explained,
    restart::Volumes,
    time::{later, passed, pause},
    world::{Image, ImageState, Snapshot, SnapshotState},
};

/// An architecture that EC2 names, as far as the status has room for it.
pub(crate) fn architecture(named: Option<&String>) -> String {
    cut(named.cloned().unwrap_or_else(|| ARCHITECTURE.to_owned()), 12)
}

/// The architecture of what EC2 says nothing else of.
const ARCHITECTURE: &str = "x86_64";

/// One row for home, one for each wanted region. A row of another revision begins anew; one that is no longer wanted
/// stays until its region is settled.
pub(super) fn rows(draft: &mut Draft<'_>) {
    let of_source = draft.status.source.as_ref().and_then(|source| source.architecture.clone());
    let architecture = of_source.or_else(|| draft.home_row().map(|row| row.architecture.clone()));
    if architecture.is_some() {
        forget_unusable(draft);
        make_room(draft);
        begin_anew(draft);
    }
    let lacking = lacking(draft, architecture.as_deref());
    draft.status.regions.extend(lacking);
}

/// The rows that are not there yet. Of what is deleted, every region that was ever used has one: what is removed there is
/// told in it.
pub(crate) fn lacking(facts: &Facts<'_>, architecture: Option<&str>) -> Vec<RegionStatus> {
    let deletes = facts.subject.deleting && facts.subject.spec.deletion_policy == DeletionPolicy::Delete;
    let (regions, room) = if deletes {
        (facts.regions_ever(), MOST_ROWS.saturating_sub(facts.status.regions.len()))
    } else {
        (facts.wanted(), MOST_ROWS)
    };
    let Some(architecture) = architecture.or(deletes.then_some(ARCHITECTURE)) else { return Vec::new() };
    let missing = regions.into_iter().filter(|region| facts.row(region).is_none());
    let row = |region: Region| {
        let role = if region == *facts.home() { RegionRole::Home } else { RegionRole::Copy };
        RegionStatus::waiting(region, architecture.to_owned(), role)
    };
    missing.map(row).take(room).collect()
}

fn begin_anew(draft: &mut Draft<'_>) {
    let (home, work, deleting) = (draft.home().clone(), draft.revision(), draft.subject.deleting);
    for region in draft.wanted() {
        let role = if region == home { RegionRole::Home } else { RegionRole::Copy };
        let Some(row) = draft.row_mut(&region) else { continue };
        // What is being deleted is named until it is gone, of whatever revision.
        let other = !deleting && row.revision.is_some_and(|revision| revision != work);
        if other || row.role != role || row.state == RegionState::Retained {
            *row = RegionStatus::waiting(region, row.architecture.clone(), role);
        }
    }
}

/// A region that does not exist, or is not enabled, and is no longer wanted: nothing was ever asked for there.
fn forget_unusable(draft: &mut Draft<'_>) {
    let (wanted, abroad) = (draft.wanted(), &draft.world.abroad);
    let is_unusable = |region: &Region| {
        let refusal = abroad.get(region).and_then(|view| view.as_ref().err());
        refusal.is_some_and(|refusal| refusal.code == NOT_ENABLED)
    };
    let status = &mut draft.status;
    let older = status.revisions.iter().flat_map(|revision| &revision.images).map(|image| &image.region);
    let named: BTreeSet<Region> =
        status.images.iter().map(|image| &image.region).chain(older).cloned().collect();
    status.regions.retain(|row| {
        let asked = row.image_id.is_some() || row.announced_time.is_some() || row.attempts > 0;
        wanted.contains(&row.region) || asked || named.contains(&row.region) || !is_unusable(&row.region)
    });
}

/// The status holds so many rows, one for each region.
pub(crate) const MOST_ROWS: usize = 50;

/// Rows of regions that are no longer wanted give way: first those that only tell what stays, or where nothing was
/// asked for.
fn make_room(draft: &mut Draft<'_>) {
    let mut seen = BTreeSet::new();
    draft.status.regions.retain(|row| seen.insert(row.region.clone()));
    let wanted = draft.wanted();
    let lacking = wanted.iter().filter(|region| draft.row(region).is_none()).count();
    let rows = &mut draft.status.regions;
    let worth = |row: &RegionStatus| {
        let asked = row.image_id.is_some() || row.attempts > 0;
        (wanted.contains(&row.region), asked && row.state != RegionState::Retained)
    };
    while rows.len().saturating_add(lacking) > MOST_ROWS
        && let Some((at, _)) = rows.iter().enumerate().min_by_key(|(_, row)| worth(row))
    {
        rows.remove(at);
    }
}

const fn state_of(image: &Image) -> RegionState {
    match image.state {
        ImageState::Available => RegionState::Available,
        ImageState::Failed | ImageState::Deregistered => RegionState::Failed,
        ImageState::Pending | ImageState::Unknown => RegionState::Pending,
        ImageState::Disabled => RegionState::Missing,
    }
}

/// The image of the current capture, or the one that was adopted.
pub(super) fn home(draft: &mut Draft<'_>) {
    let Some(images) = draft.images() else { return };
    let region = draft.home().clone();
    let known = draft.home_row().and_then(|row| row.image_id.clone());
    let record = draft.record();
    let of_capture =
        |image: &&Image| record.as_ref().is_some_and(|record| draft.is_of_capture(image, record));
    let found = match &known {
        Some(id) => images.iter().find(|image| image.id == *id),
        None => images.iter().find(of_capture),
    };
    let shots = draft.snapshots();
    let volumes = draft.expected_volumes();
    let held = |shot: &&Snapshot| {
        record.as_ref().is_some_and(|record| record.holds(shot, images, Volumes::Expected(&volumes)))
    };
    let held: Vec<_> = shots.unwrap_or_default().iter().filter(held).collect();
    let progress = found.map(|image| progress(image, held.iter().copied()));
    if found.is_none() && known.is_some() {
        lost(draft, &region);
    }
    let launched = record
        .as_ref()
        .and_then(|record| Some((record, draft.instance()?.launch_time?)))
        .and_then(|(record, launch)| (launch > record.planned).then_some(launch));
    let (revision, settles) = (draft.revision(), draft.is_settling(&region));
    let (Some(image), Some(row)) = (found, draft.row_mut(&region)) else {
        return;
    };
    row.revision = row.revision.or(Some(revision).filter(|revision| *revision > 0));
    if !settles || row.state == RegionState::Available {
        show(row, image, progress);
    }
    let open = draft.status.capture.as_mut().filter(|capture| capture.completion_time.is_none());
    // Those of the barrier may have been others: what the image maps must itself have begun before the machine ran.
    let in_time =
        |shot: &Snapshot| shot.started.is_some_and(|at| launched.is_none_or(|launched| at < launched));
    let claimed = open.filter(|capture| capture.consistency != Consistency::Unknown);
    if let Some(capture) = claimed.filter(|_| image.state == ImageState::Available && shots.is_some()) {
        let of_the_barrier =
            image.snapshots.iter().all(|id| held.iter().any(|shot| shot.id == *id && in_time(shot)));
        if image.snapshots.len() != capture.expected_volumes.len() || !of_the_barrier {
            capture.consistency = Consistency::Unknown;
        }
    }
}

pub(super) fn copy(draft: &mut Draft<'_>, region: &Region) {
    let Some(images) = draft.images_in(region) else {
        return;
    };
    let Some(source) = draft.home_row().and_then(|row| row.image_id.clone()) else {
        return;
    };
    let known = draft.row(region).and_then(|row| row.image_id.clone());
    let ours = |image: &&Image| {
        let current = image.state != ImageState::Failed || image.name == draft.expected_name(region);
        draft.is_copy(image, &source, region) && current
    };
    let any = || images.iter().filter(ours).min_by_key(|image| image.created);
    let found = match &known {
        None => any(),
        // An earlier one that shows first is as good as the one that was named last.
        Some(id) => images
            .iter()
            .find(|image| image.id == *id)
            .or_else(|| any().filter(|_| draft.row(region).is_some_and(RegionStatus::is_unshown))),
    };
    let shots = draft.our_snapshots(region).unwrap_or_default();
    let progress = found.map(|image| {
        let its = shots.iter().filter(|shot| shot.description.contains(image.id.as_str()));
        progress(image, its.copied())
    });
    let revision = draft.home_row().and_then(|row| row.revision);
    let now = draft.now;
    if found.is_none() && known.is_some() {
        lost(draft, region);
    }
    let settles = draft.is_settling(region);
    let (Some(image), Some(row)) = (found, draft.row_mut(region)) else {
        return;
    };
    if settles && row.state != RegionState::Available {
        return;
    }
    row.revision = revision;
    show(row, image, progress);
    if row.state == RegionState::Failed && row.next_attempt_time.is_none() {
        // Somebody has to do something about a key first.
        let shortest = if row.reason == Some(RegionReason::KeyNotUsable) { 10 * 60 } else { 30 };
        let wait = pause(i64::from(row.attempts), Duration::from_secs(shortest), Duration::from_mins(30));
        let wait = SignedDuration::try_from(wait).unwrap_or_default();
        row.next_attempt_time = Some(Time(later(now, wait)));
    }
}

/// How long an image must be absent before it is believed to be gone, and in how many reads.
const GONE_FOR: SignedDuration = SignedDuration::from_secs(120);
const GONE_READS: u32 = 3;
/// What EC2's reply named exists, and some reads show it minutes later: it is believed for so much longer.
pub(crate) const UNSHOWN_FOR: SignedDuration = SignedDuration::from_mins(15);

/// Whether an image is believed to be gone: looked for by its id, and absent for longer than EC2 may be late.
pub(crate) fn is_gone(facts: &Facts<'_>, id: &ImageId, region: &Region) -> bool {
    let row = facts.row(region).filter(|row| row.image_id.as_ref() == Some(id));
    let patience = if row.is_some_and(RegionStatus::is_unshown) { UNSHOWN_FOR } else { GONE_FOR };
    facts.absence_of(id, region).is_some_and(|absence| {
        let since = row.map_or(absence.since, |_| facts.absent_since(absence, region));
        absence.reads >= GONE_READS && passed(since, patience, facts.now)
    })
}

/// An image that is not shown any more: doubted at the first read without it, believed after several.
fn lost(draft: &mut Draft<'_>, region: &Region) {
    let Some(id) = draft.row(region).and_then(|row| row.image_id.clone()) else { return };
    let deleting = draft.subject.deleting;
    if draft.absence_of(&id, region).is_none() {
        return;
    }
    let gone = is_gone(draft, &id, region);
    let removed = draft.is_removed(&id) && draft.is_settling(region);
    let Some(row) = draft.row_mut(region) else { return };
    match row.state {
        // It is we who remove it.
        _ if deleting && !gone => {}
        // The answer was lost.
        RegionState::Available | RegionState::Pending if removed => {
            row.state = RegionState::Missing;
            (row.reason, row.message, row.next_attempt_time) = (None, None, None);
        }
        RegionState::Pending | RegionState::Available if gone => {
            let message = if row.is_unshown() {
                format!("EC2 named {id} in a reply, and never showed it")
            } else if row.state == RegionState::Pending {
                format!("{id} is gone: EC2 does not show it any more, and it was pending")
            } else {
                format!("{id} is gone: EC2 does not show it any more")
            };
            row.state = RegionState::Missing;
            row.reason = Some(RegionReason::ImageMissing);
            row.message = Some(message);
            row.next_attempt_time = None;
        }
        RegionState::Available => {
            row.reason = Some(RegionReason::NotShown);
            row.message = Some(format!("EC2 did not show {id} when it was last read"));
        }
        // A disabled image that is gone now.
        RegionState::Missing if gone && row.reason == Some(RegionReason::ImageDisabled) => {
            row.reason = Some(RegionReason::ImageMissing);
            row.message = Some(format!("{id} is gone: EC2 does not show it any more"));
        }
        RegionState::Pending
        | RegionState::Waiting
        | RegionState::Failed
        | RegionState::Missing
        | RegionState::Retained => {}
    }
}

fn show(row: &mut RegionStatus, image: &Image, progress: Option<i32>) {
    // A sweep that could not read the snapshots shows no progress: what was seen stays.
    let before = row.progress_percent.filter(|_| row.image_id.as_ref() == Some(&image.id));
    let was_open = row.image_id.as_ref() != Some(&image.id) || row.state != RegionState::Available;
    row.image_id = Some(image.id.clone());
    row.state = state_of(image);
    row.progress_percent = progress.max(before);
    match row.state {
        RegionState::Failed => {
            let told = image.state_reason.as_ref().map(|reason| explained(reason, &row.region));
            let word = told.as_ref().and_then(|(word, _)| *word).filter(|_| row.role == RegionRole::Copy);
            let is_home = row.role == RegionRole::Home;
            let plain = if is_home { RegionReason::ImageFailed } else { RegionReason::CopyFailed };
            row.reason = Some(word.unwrap_or(plain));
            row.message = told.map(|(_, message)| message);
        }
        // What a refused change of tags says of an available image stays.
        RegionState::Available if !was_open && row.reason != Some(RegionReason::NotShown) => {}
        RegionState::Pending | RegionState::Available => {
            (row.reason, row.message, row.next_attempt_time) = (None, None, None);
        }
        RegionState::Missing => {
            row.reason = Some(RegionReason::ImageDisabled);
            let region = &row.region;
            row.message = Some(format!(
                "{0} is disabled: aws ec2 enable-image --region {region} --image-id {0}",
                image.id
            ));
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
