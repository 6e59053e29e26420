//! Events: what changed between two statuses, in the words of people who watch.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use saved_template_api::{
    ConditionType, Reason, SavedTemplateStatus,
    condition::{MAX_MESSAGE_BYTES, find},
    status::{Announced, CaptureReason, CaptureStatus, RegionRole, RegionState},
    text::cut,
};

use crate::{
    ec2_error::ErrorClass,
    step::{DELETE_SNAPSHOT, DEREGISTER, Outcome, SET_DESCRIPTION, Step, TAG_IMAGES, UNTAG_IMAGES},
};

/// Most bytes that the action of an event may have.
const MAX_ACTION_BYTES: usize = 128;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whether it is a `Warning`; else `Normal`.
    pub warning: bool,
    /// Its reason.
    pub reason: &'static str,
    /// Its text.
    pub message: String,
    /// Of which revision, and what in particular: events that differ only in their text are counted as one, which keeps
    /// the first text. The same for the same thing, so that what recurs is counted.
    pub action: String,
}

fn event(warning: bool, reason: &'static str, (revision, cause): (i32, &str), message: String) -> Event {
    let action = cut(format!("Revision {revision}: {cause}"), MAX_ACTION_BYTES);
    Event { warning, reason, message: cut(message, MAX_MESSAGE_BYTES), action }
}

fn normal(reason: &'static str, about: (i32, &str), message: String) -> Event {
    event(false, reason, about, message)
}

fn warning(reason: &'static str, about: (i32, &str), message: String) -> Event {
    event(true, reason, about, message)
}

/// What happened between the status that was read and the one that is written, while a revision is wanted.
pub fn between(before: &SavedTemplateStatus, after: &SavedTemplateStatus, revision: i32) -> Vec<Event> {
    let mut events = capture(before, after);
    if let Some(active) = after.active_revision.filter(|active| before.active_revision != Some(*active)) {
        let id = after.image_id.as_ref().map(ToString::to_string).unwrap_or_default();
        events.push(normal(
            "RevisionActivated",
            (active, &id),
            format!("revision {active} ({id}) is served"),
        ));
    }
    events.extend(changes(before, after, revision));
    let deleting = |ready: &Condition| ready.reason == Reason::Deleting.name();
    if !find(&after.conditions, ConditionType::Ready).is_some_and(deleting) {
        events.extend(rows(before, after, revision));
    }
    events.extend(conditions(before, after, revision));
    events
}

/// The object goes: what it leaves, and why.
pub(crate) fn gone(revision: i32, message: &str) -> Event {
    normal("Deleted", (revision, "deleted"), message.to_owned())
}

/// What EC2 refused of a change of images, where somebody has to do something about it.
pub fn refused(step: &Step, outcome: &Outcome, revision: i32) -> Option<Event> {
    let Outcome::Refused(refusal) = outcome else { return None };
    let (reason, region) = match step {
        Step::CopyImage { region, .. } => ("CopyFailed", region),
        Step::TagImages { region, .. }
        | Step::UntagImages { region, .. }
        | Step::SetDescription { region, .. }
        | Step::Deregister { region, .. }
        | Step::DeleteSnapshot { region, .. } => ("ChangeFailed", region),
        Step::Tag { .. }
        | Step::Untag { .. }
        | Step::Stop { .. }
        | Step::CreateImage(_)
        | Step::RemoveReceipt { .. } => return None,
    };
    let cause = format!("{} in {region}, {}", step.name(), refusal.code);
    let text = format!("{region}: {}", refusal.told());
    (refusal.class == ErrorClass::Denied).then(|| warning(reason, (revision, &cause), text))
}

/// How a capture goes.
fn capture(before: &SavedTemplateStatus, after: &SavedTemplateStatus) -> Vec<Event> {
    let mut events = Vec::new();
    let default = CaptureStatus::default();
    let new = after.capture.as_ref().unwrap_or(&default);
    let old = before.capture.as_ref().filter(|old| old.id == new.id).unwrap_or(&default);
    let id = after.source.as_ref().and_then(|source| source.instance_id.as_ref());
    let id = id.map(ToString::to_string).unwrap_or_default();
    let its = format!("capture {}", new.id);
    let about = (new.revision, its.as_str());
    if old.stop_requested_time.is_none() && new.stop_requested_time.is_some() {
        let text = format!("stopping {id}; it is given back by the record on it");
        events.push(normal("StoppingSource", about, text));
    }
    if old.source_stopped_time.is_none() && new.source_stopped_time.is_some() {
        events.push(normal("SourceStopped", about, format!("{id} is stopped")));
    }
    if old.image_requested_time.is_none() && new.image_requested_time.is_some() {
        events.push(normal("ImageRequested", about, format!("asked EC2 for the image of {id}")));
    }
    if old.source_restored_time.is_none() && new.source_restored_time.is_some() {
        let seconds = new.downtime_seconds.unwrap_or(0);
        events.push(normal("SourceRestored", about, format!("{id} runs again after {seconds} s")));
        if seconds > i64::from(new.max_downtime_seconds) {
            events.push(warning("DowntimeExceeded", about, format!("{id} was down for {seconds} s")));
        }
    }
    if old.reason.is_none()
        && let Some(reason) = &new.reason
    {
        let word = if *reason == CaptureReason::StopTimedOut { "StopTimedOut" } else { "CaptureFailed" };
        let cause = format!("{its}, {reason}");
        events.push(warning(word, (new.revision, &cause), new.message.clone().unwrap_or_default()));
    }
    events
}

/// Changes of what was there already.
fn changes(before: &SavedTemplateStatus, after: &SavedTemplateStatus, revision: i32) -> Vec<Event> {
    let new = after.announced.iter().filter(|new| new.number == 1 && !before.announced.contains(new));
    new.filter_map(|new| change(before, after, new, revision)).collect()
}

fn change(
    before: &SavedTemplateStatus,
    after: &SavedTemplateStatus,
    new: &Announced,
    revision: i32,
) -> Option<Event> {
    let place = &new.region;
    let unchanged = before.observed_generation == after.observed_generation
        && find(&before.conditions, ConditionType::Ready).is_some_and(|ready| ready.status == "True");
    let cause = format!("{} in {place}", new.step);
    let removal = format!("{} in {place}", new.request);
    // What is not served any more is kept or taken away: that is no drift.
    let is_served = after.images.iter().any(|image| image.region == *place);
    Some(match new.step.as_str() {
        TAG_IMAGES | UNTAG_IMAGES | SET_DESCRIPTION if unchanged && is_served => {
            let text =
                format!("tags or descriptions in {place} were brought back into line: {}", new.request);
            warning("DriftCorrected", (revision, &cause), text)
        }
        DEREGISTER => {
            normal("ImageDeregistered", (revision, &removal), format!("{removal}, with its snapshots"))
        }
        DELETE_SNAPSHOT => normal("SnapshotDeleted", (revision, &removal), removal.clone()),
        _ => return None,
    })
}

fn rows(before: &SavedTemplateStatus, after: &SavedTemplateStatus, revision: i32) -> Vec<Event> {
    let mut events = Vec::new();
    for row in &after.regions {
        let old = before.regions.iter().find(|old| old.region == row.region);
        let (was, had) = (old.map(|old| old.state), old.and_then(|old| old.image_id.as_ref()));
        let id = row.image_id.as_ref().map(ToString::to_string).unwrap_or_default();
        let region = &row.region;
        let attempt = format!("{region}, attempt {}", row.attempts);
        let cause = format!("{region}, {id} {}", row.reason.map(<&str>::from).unwrap_or_default());
        let cause = cause.trim_end();
        let (its, revision) = ((row.revision.unwrap_or(revision), cause), row.revision.unwrap_or(revision));
        let message = || row.message.clone().unwrap_or_default();
        let removed =
            after.removed_images.iter().any(|removed| Some(&removed.image_id) == row.image_id.as_ref());
        events.extend(match (row.role, row.state) {
            (RegionRole::Copy, _) if old.map_or(0, |old| old.attempts) < row.attempts => {
                let text = format!("asked for the copy in {attempt}");
                Some(normal("CopyStarted", (revision, &attempt), text))
            }
            (RegionRole::Home, RegionState::Available) if was != Some(RegionState::Available) => {
                let adopted =
                    after.capture.as_ref().is_none_or(|capture| Some(capture.revision) != row.revision);
                let reason = if adopted { "Adopted" } else { "ImageAvailable" };
                Some(normal(reason, its, format!("{id} is available in {region}")))
            }
            (RegionRole::Copy, RegionState::Available) if was != Some(RegionState::Available) => {
                Some(normal("CopyAvailable", its, format!("{id} is available in {region}")))
            }
            (RegionRole::Copy, RegionState::Failed) if was != Some(RegionState::Failed) => {
                Some(warning("CopyFailed", its, format!("{id} in {region}: {}", message())))
            }
            (RegionRole::Home, RegionState::Missing)
                if had.is_some() && was != Some(RegionState::Missing) && !removed =>
            {
                Some(warning("ImageMissing", its, format!("{id} in {region} is disabled or gone")))
            }
            (RegionRole::Copy, RegionState::Missing)
                if had.is_some() && was != Some(RegionState::Missing) && !removed =>
            {
                Some(warning("ImageMissing", its, format!("the copy in {region}: {}", message())))
            }
            (
                RegionRole::Home | RegionRole::Copy,
                RegionState::Waiting
                | RegionState::Pending
                | RegionState::Available
                | RegionState::Failed
                | RegionState::Missing
                | RegionState::Retained,
            ) => None,
        });
    }
    events
}

/// Conditions that turned for the worse.
fn conditions(before: &SavedTemplateStatus, after: &SavedTemplateStatus, revision: i32) -> Vec<Event> {
    let turned = |kind, status: &str| {
        let new = find(&after.conditions, kind).filter(|new| new.status == status)?;
        let old = find(&before.conditions, kind);
        old.is_none_or(|old| old.status != new.status || old.reason != new.reason).then_some(new)
    };
    let mut events = Vec::new();
    if let Some(new) = turned(ConditionType::Validated, "False") {
        events.push(warning(
            "PreflightFailed",
            (revision, &new.reason),
            format!("{}: {}", new.reason, new.message),
        ));
    }
    if let Some(new) = turned(ConditionType::DeletionBlocked, "True") {
        events.push(warning("DeletionBlocked", (revision, &new.reason), new.message.clone()));
    }
    if let Some(new) = turned(ConditionType::SourceRestored, "False") {
        let capture = after.capture.as_ref();
        let cause = format!("capture {}, {}", capture.map_or("", |capture| &capture.id), new.reason);
        let about = (capture.map_or(revision, |capture| capture.revision), cause.as_str());
        match new.reason.as_str() {
            "InsufficientCapacity" | "StartFailed" => {
                events.push(warning("RestartFailed", about, new.message.clone()));
            }
            "DowntimeExceeded" => events.push(warning("DowntimeExceeded", about, new.message.clone())),
            _ => {}
        }
    }
    events
}

#[cfg(test)]
mod tests;
