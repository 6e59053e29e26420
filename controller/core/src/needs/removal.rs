//! What is taken away in one region: copies before home, images before the snapshots that they leave (§9).
use std::time::Duration;

use jiff::SignedDuration;
use saved_template_api::{
    Reason,
    ids::{Region, SnapshotId},
    status::{Announced, CaptureStatus, RegionStatus},
};

use crate::{
    answer::IN_USE,
    facts::Facts,
    fold::removed::SHOWN,
    key::Key,
    ownership::is_retained,
    step::{DELETE_SNAPSHOT, Step},
    time::{LATER, SOON, left, passed},
    world::{Image, ImageState, Snapshot},
};

/// A region is believed to be empty after so many sweeps without anything of ours, over so long.
const EMPTY: (u32, SignedDuration) = (3, SignedDuration::from_secs(60));
/// Where EC2's reply was never seen, or what it named never shown, it may show so late.
const SHOWN_UNANSWERED: SignedDuration = SignedDuration::from_mins(16);
/// An image that EC2 is still writing is waited for so long: its snapshots show when it is gone, and nothing but its row
/// would tell whose they are, so they had better go with it.
const WRITTEN: SignedDuration = SignedDuration::from_hours(1);
/// A snapshot that another image uses: EC2 frees it some minutes after its own image is gone, or never. The pauses
/// between so many tries add up to more than five minutes.
const TRIES: i64 = 6;

/// What there is to do in a region.
pub(crate) enum Removal {
    /// Nothing of ours is there, and nothing can show any more.
    Done,
    /// The next change.
    Step(Step),
    /// Something is under way, or may still show.
    Wait(Duration, &'static str),
    /// EC2 refused; it is tried again later, and somebody has to do something.
    Blocked(Duration),
    /// The region cannot be read.
    Unreadable(String),
}

/// What is deleted: never what stays for good, nor what a twin of this cluster holds.
pub(crate) fn images<'a>(facts: &Facts<'a>, region: &Region) -> Option<Vec<&'a Image>> {
    let images = facts.our_images(region)?.into_iter();
    Some(images.filter(|image| !is_retained(&image.tags) && facts.holds(&image.tags)).collect())
}

fn snapshots<'a>(facts: &Facts<'a>, region: &Region) -> Option<Vec<&'a Snapshot>> {
    let snapshots = facts.our_snapshots(region)?.into_iter();
    Some(snapshots.filter(|shot| !is_retained(&shot.tags) && facts.holds(&shot.tags)).collect())
}

pub(crate) fn next(facts: &Facts<'_>, region: &Region) -> Removal {
    let (Some(images), Some(snapshots)) = (images(facts, region), snapshots(facts, region)) else {
        return Removal::Unreadable(unreadable(facts, region));
    };
    let row = facts.row(region);
    if let Some(wait) = row.and_then(|row| blocked(facts, row)) {
        return Removal::Blocked(wait);
    }
    if !facts.is_fresh_in(region) {
        return Removal::Wait(SOON, "what was removed is still shown");
    }
    let is_written = |image: &Image| {
        image.state != ImageState::Pending || image.created.is_none_or(|at| passed(at, WRITTEN, facts.now))
    };
    if let Some(image) = images.iter().find(|image| is_written(image)) {
        return Removal::Step(Step::Deregister { region: region.clone(), image: image.id.clone() });
    }
    if !images.is_empty() {
        return Removal::Wait(LATER, "EC2 is still writing an image; it goes when that is done");
    }
    if let Some(shot) = snapshots.first() {
        return snapshot(facts, region, &shot.id);
    }
    empty(facts, region, row)
}

/// A snapshot that is used by an image of somebody else stays, marked as one that stays.
pub(crate) fn snapshot(facts: &Facts<'_>, region: &Region, id: &SnapshotId) -> Removal {
    let region = region.clone();
    let in_use = facts.announced_in(&region).is_some_and(|last| {
        let code = last.outcome.as_ref().and_then(|outcome| outcome.code.as_deref());
        let used = code == Some(IN_USE);
        used && last.step == DELETE_SNAPSHOT && last.request == id.to_string() && last.number > TRIES
    });
    if in_use {
        let tags = [(saved_template_api::names::tag::RETAINED.to_owned(), "true".to_owned())].into();
        return Removal::Step(Step::TagImages { region, resources: vec![id.to_string()], tags });
    }
    Removal::Step(Step::DeleteSnapshot { region, snapshot: id.clone() })
}

/// A copy or image in flight appears later, and so do the snapshots of a pending image that was deregistered.
fn empty(facts: &Facts<'_>, region: &Region, row: Option<&RegionStatus>) -> Removal {
    let answered = row.is_some_and(|row| row.image_id.is_some());
    let created = if region == facts.home() {
        let capture = facts.status.capture.as_ref();
        let asked = |capture: &CaptureStatus| {
            let first = capture.image_requested_time.clone()?;
            // Without an answer it was asked for again, at the latest when the machine was given back.
            let last = capture.source_restored_time.clone().filter(|_| !answered);
            Some(last.map_or(first.clone(), |last| last.max(first)))
        };
        capture.and_then(asked).or_else(|| row.and_then(|row| row.announced_time.clone()))
    } else {
        row.and_then(|row| row.announced_time.clone())
    };
    let was_shown = answered && !row.is_some_and(RegionStatus::is_unshown);
    let span = if was_shown { SHOWN } else { SHOWN_UNANSWERED };
    if created.is_some_and(|at| !passed(at.0, span, facts.now)) {
        return Removal::Wait(LATER, "an image that was asked for a short while ago may still show");
    }
    let key = Key::template(facts.subject.namespace, facts.subject.name).to_string();
    let (reads, long) = EMPTY;
    let absence = facts.view_of(region).and_then(|view| view.absences.get(&key));
    let gone =
        absence.is_some_and(|absence| absence.reads >= reads && passed(absence.since, long, facts.now));
    if gone {
        Removal::Done
    } else {
        Removal::Wait(Duration::from_secs(5), "making sure that nothing is left")
    }
}

/// The pause after a refusal that somebody has to do something about.
fn blocked(facts: &Facts<'_>, row: &RegionStatus) -> Option<Duration> {
    row.reason.as_ref()?;
    let until = row.next_attempt_time.as_ref()?.0;
    Duration::try_from(until.duration_since(facts.now)).ok().filter(|left| !left.is_zero())
}

/// The pause between two tries of one change.
pub(crate) fn pause_left_of(facts: &Facts<'_>, step: &Step) -> Option<Duration> {
    let last = facts.announced_in(step.region().unwrap_or(facts.home()))?;
    let same = last.step == step.name() && last.request == crate::step::request_text(step);
    let pause = crate::time::pause(last.number, Duration::from_secs(5), Duration::from_mins(5));
    left(last.time.0, pause, facts.now).filter(|_| same)
}

/// Whether the change was refused, and not yet as often as holds up what comes after it.
pub(crate) fn is_tried_again_first(facts: &Facts<'_>, region: &Region, step: &Step) -> bool {
    let was_refused = |last: &Announced| last.outcome.is_some() && last.number <= TRIES;
    pause_left_of(facts, step).is_some() && facts.announced_in(region).is_some_and(was_refused)
}

fn unreadable(facts: &Facts<'_>, region: &Region) -> String {
    let view = if region == facts.home() { Some(&facts.world.home) } else { facts.world.abroad.get(region) };
    let why = match view {
        Some(Err(refusal)) => refusal.to_string(),
        Some(Ok(view)) => {
            let images = view.images.as_ref().err();
            images.or(view.snapshots.as_ref().err()).map(ToString::to_string).unwrap_or_default()
        }
        None => "not read yet".to_owned(),
    };
    format!("{region} cannot be read: {why}")
}

/// Why a removal was refused, in the words of `DeletionBlocked`.
pub(crate) fn why_blocked(row: &RegionStatus) -> Option<Reason> {
    let reason = row.reason?.reason()?;
    let blocks = [
        Reason::DeregistrationProtected,
        Reason::SnapshotLocked,
        Reason::ImageInUse,
        Reason::AccessDenied,
        Reason::RequestRefused,
    ];
    blocks.contains(&reason).then_some(reason)
}

#[cfg(test)]
mod tests;
