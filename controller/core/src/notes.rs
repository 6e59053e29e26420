//! Events: what changed between two statuses, in the words of people who watch.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use saved_template_api::{
    ConditionType, Reason, SavedTemplateStatus,
    condition::{MAX_MESSAGE_BYTES, cut, find},
    ids::Region,
    status::{CaptureStatus, RegionRole, RegionState},
};

use crate::step::{DELETE_SNAPSHOT, DEREGISTER, SET_DESCRIPTION, TAG_IMAGES, UNTAG_IMAGES};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether it is a `Warning`; else `Normal`.
    pub warning: bool,
    /// Its reason.
    pub reason: &'static str,
    /// Its text.
    pub message: String,
    /// What it is about, where one object has several: events that differ only in their text are counted as one.
    pub about: Option<Region>,
}

fn normal(reason: &'static str, message: String) -> Note {
    Note { warning: false, reason, message: cut(message, MAX_MESSAGE_BYTES), about: None }
}

fn warning(reason: &'static str, message: String) -> Note {
    Note { warning: true, reason, message: cut(message, MAX_MESSAGE_BYTES), about: None }
}

/// What happened between the status that was read and the one that is written.
pub fn between(before: &SavedTemplateStatus, after: &SavedTemplateStatus) -> Vec<Note> {
    let mut notes = Vec::new();
    let default = CaptureStatus::default();
    let new = after.capture.as_ref().unwrap_or(&default);
    let old = before.capture.as_ref().filter(|old| old.id == new.id).unwrap_or(&default);
    let id = after.source.as_ref().and_then(|source| source.instance_id.as_ref());
    let id = id.map(ToString::to_string).unwrap_or_default();
    if old.stop_requested_time.is_none() && new.stop_requested_time.is_some() {
        notes.push(normal("StoppingSource", format!("stopping {id}; it is given back by the record on it")));
    }
    if old.source_stopped_time.is_none() && new.source_stopped_time.is_some() {
        notes.push(normal("SourceStopped", format!("{id} is stopped")));
    }
    if old.image_requested_time.is_none() && new.image_requested_time.is_some() {
        notes.push(normal("ImageRequested", format!("asked EC2 for the image of {id}")));
    }
    if old.source_restored_time.is_none() && new.source_restored_time.is_some() {
        let seconds = new.downtime_seconds.unwrap_or(0);
        notes.push(normal("SourceRestored", format!("{id} runs again after {seconds} s")));
        if seconds > i64::from(new.max_downtime_seconds) {
            notes.push(warning("DowntimeExceeded", format!("{id} was down for {seconds} s")));
        }
    }
    if old.reason.is_none()
        && let Some(reason) = &new.reason
    {
        let word = if reason == "StopTimedOut" { "StopTimedOut" } else { "CaptureFailed" };
        notes.push(warning(word, new.message.clone().unwrap_or_default()));
    }
    if let Some(active) = after.active_revision.filter(|active| before.active_revision != Some(*active)) {
        let id = after.image_id.as_ref().map(ToString::to_string).unwrap_or_default();
        notes.push(normal("RevisionActivated", format!("revision {active} ({id}) is served")));
    }
    notes.extend(changes(before, after));
    let deleting = |ready: &Condition| ready.reason == Reason::Deleting.name();
    if !find(&after.conditions, ConditionType::Ready).is_some_and(deleting) {
        notes.extend(rows(before, after));
    }
    notes.extend(conditions(before, after));
    notes
}

/// Changes of what was there already.
fn changes(before: &SavedTemplateStatus, after: &SavedTemplateStatus) -> Option<Note> {
    let new =
        after.announced.as_ref().filter(|new| before.announced.as_ref() != Some(*new) && new.number == 1)?;
    let region = new.region.clone();
    let place = region.as_ref().map(ToString::to_string).unwrap_or_default();
    let unchanged = before.observed_generation == after.observed_generation
        && find(&before.conditions, ConditionType::Ready).is_some_and(|ready| ready.status == "True");
    let note = match new.step.as_str() {
        TAG_IMAGES | UNTAG_IMAGES | SET_DESCRIPTION if unchanged => {
            let text =
                format!("tags or descriptions in {place} were brought back into line: {}", new.request);
            warning("DriftCorrected", text)
        }
        DEREGISTER => normal("ImageDeregistered", format!("{} in {place}, with its snapshots", new.request)),
        DELETE_SNAPSHOT => normal("SnapshotDeleted", format!("{} in {place}", new.request)),
        _ => return None,
    };
    Some(Note { about: region, ..note })
}

fn rows(before: &SavedTemplateStatus, after: &SavedTemplateStatus) -> Vec<Note> {
    let mut notes = Vec::new();
    for row in &after.regions {
        let first = notes.len();
        let old = before.regions.iter().find(|old| old.region == row.region);
        let (was, had) = (old.map(|old| old.state), old.and_then(|old| old.image_id.as_ref()));
        let id = row.image_id.as_ref().map(ToString::to_string).unwrap_or_default();
        let region = &row.region;
        match (row.role, row.state) {
            (RegionRole::Copy, _) if old.map_or(0, |old| old.attempts) < row.attempts => {
                notes.push(normal(
                    "CopyStarted",
                    format!("asked for the copy in {region}, attempt {}", row.attempts),
                ));
            }
            (RegionRole::Home, RegionState::Available) if was != Some(RegionState::Available) => {
                let adopted =
                    after.capture.as_ref().is_none_or(|capture| Some(capture.revision) != row.revision);
                notes.push(normal(
                    if adopted { "Adopted" } else { "ImageAvailable" },
                    format!("{id} is available in {region}"),
                ));
            }
            (RegionRole::Copy, RegionState::Available) if was != Some(RegionState::Available) => {
                notes.push(normal("CopyAvailable", format!("{id} is available in {region}")));
            }
            (RegionRole::Copy, RegionState::Failed) if was != Some(RegionState::Failed) => {
                notes.push(warning(
                    "CopyFailed",
                    format!("{id} in {region}: {}", row.message.clone().unwrap_or_default()),
                ));
            }
            (RegionRole::Home, RegionState::Missing)
                if had.is_some() && was != Some(RegionState::Missing) =>
            {
                notes.push(warning("ImageMissing", format!("{id} in {region} is disabled or gone")));
            }
            (RegionRole::Copy, RegionState::Missing)
                if had.is_some() && was != Some(RegionState::Missing) =>
            {
                let message = row.message.clone().unwrap_or_default();
                notes.push(warning("ImageMissing", format!("the copy in {region}: {message}")));
            }
            (
                RegionRole::Home | RegionRole::Copy,
                RegionState::Waiting
                | RegionState::Pending
                | RegionState::Available
                | RegionState::Failed
                | RegionState::Missing
                | RegionState::Retained,
            ) => {}
        }
        for note in notes.iter_mut().skip(first) {
            note.about = Some(region.clone());
        }
    }
    notes
}

/// Conditions that turned for the worse.
fn conditions(before: &SavedTemplateStatus, after: &SavedTemplateStatus) -> Vec<Note> {
    let turned = |kind, status: &str| {
        let new = find(&after.conditions, kind).filter(|new| new.status == status)?;
        let old = find(&before.conditions, kind);
        old.is_none_or(|old| old.status != new.status || old.reason != new.reason).then_some(new)
    };
    let mut notes = Vec::new();
    if let Some(new) = turned(ConditionType::Validated, "False") {
        notes.push(warning("PreflightFailed", format!("{}: {}", new.reason, new.message)));
    }
    if let Some(new) = turned(ConditionType::DeletionBlocked, "True") {
        notes.push(warning("DeletionBlocked", new.message.clone()));
    }
    if let Some(new) = turned(ConditionType::SourceRestored, "False") {
        match new.reason.as_str() {
            "InsufficientCapacity" | "StartFailed" => {
                notes.push(warning("RestartFailed", new.message.clone()));
            }
            "DowntimeExceeded" => notes.push(warning("DowntimeExceeded", new.message.clone())),
            _ => {}
        }
    }
    notes
}
