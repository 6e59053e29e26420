//! All conditions, in one place, from the status as it stands and the first unmet need.
use saved_template_api::{
    ConditionStatus, ConditionType, Reason, condition,
    spec::DeletionPolicy,
    status::{Consistency, RegionReason, RegionRole, RegionState, RegionStatus},
};

use crate::{
    capture,
    draft::Draft,
    facts::Facts,
    needs::{adopt, copies, deletion, removal},
    restored,
    time::{self},
    unmet::{Unmet, Waits},
};

use ConditionStatus::{False, True, Unknown};

type Row = (ConditionStatus, Reason, String);

/// Writes every condition for the generation that was decided upon.
pub(crate) fn write(draft: &mut Draft<'_>, unmet: Option<&Unmet>) {
    draft.status.observed_generation = Some(draft.subject.generation);
    // One writer: what is not ours was put there by hand, and would take the room of what is.
    draft.status.conditions.retain(|condition| condition.type_.parse::<ConditionType>().is_ok());
    let ready = ready(draft, unmet);
    let rows = [
        (ConditionType::Ready, ready.clone()),
        (ConditionType::Available, available(draft)),
        (ConditionType::Validated, validated(draft, unmet)),
        (ConditionType::SourceRestored, source(draft)),
        (ConditionType::ImageAvailable, image(draft, unmet)),
        (ConditionType::Replicated, replicated(draft)),
        (ConditionType::Shared, (True, Reason::NotShared, "shared with nobody".into())),
        (ConditionType::Published, (True, Reason::NothingToPublish, "nothing to publish".into())),
    ];
    for (kind, row) in rows {
        put(draft, kind, row);
    }
    let moving = unmet.map(|unmet| unmet.waits);
    let abnormal = [
        (ConditionType::Reconciling, moving == Some(Waits::ForUs)),
        (ConditionType::Stalled, moving == Some(Waits::ForUser)),
    ];
    for (kind, holds) in abnormal {
        if holds {
            put(draft, kind, (True, ready.1, ready.2.clone()));
        } else {
            condition::remove(&mut draft.status.conditions, kind);
        }
    }
    match deletion_blocked(draft) {
        Some(row) => put(draft, ConditionType::DeletionBlocked, row),
        None => condition::remove(&mut draft.status.conditions, ConditionType::DeletionBlocked),
    }
}

fn put(draft: &mut Draft<'_>, kind: ConditionType, (status, reason, message): Row) {
    let new = kind.with(status, reason, message, draft.subject.generation, draft.time());
    condition::set(&mut draft.status.conditions, new);
}

fn ready(facts: &Facts<'_>, unmet: Option<&Unmet>) -> Row {
    if let Some(unmet) = unmet.filter(|unmet| unmet.waits != Waits::Aside) {
        return (False, unmet.ready, unmet.message.clone());
    }
    let aside = unmet.map(|unmet| format!("; {}", unmet.message)).unwrap_or_default();
    let id = facts.status.image_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let (revision, summary) =
        (facts.subject.spec.revision, facts.status.region_summary.clone().unwrap_or_default());
    let served = facts.status.active_revision.filter(|active| *active != revision);
    let pinned = served
        .map(|active| format!("; revision {active} is served (spec.activeRevision)"))
        .unwrap_or_default();
    let row = facts.home_row().and_then(|row| row.image_id.as_ref()).map(ToString::to_string);
    let id = row.unwrap_or(id);
    let entry = facts.status.revisions.iter().find(|entry| entry.revision == revision);
    let consistency = entry.map_or(Consistency::Adopted, |entry| entry.consistency);
    if consistency != Consistency::Adopted {
        let consistency: &str = consistency.into();
        let text = format!(
            "revision {revision} is {id} (consistency {consistency}), {summary} regions{pinned}{aside}"
        );
        return (True, Reason::Saved, text);
    }
    let created = facts.status.images.first().and_then(|image| image.created_time.as_ref());
    let date = created.map(|time| format!(" of {}", time.0)).unwrap_or_default();
    let next = facts.status.latest_revision.unwrap_or(revision).saturating_add(1);
    let text = format!(
        "revision {revision} is the existing {id}{date}, {summary} regions; nothing was captured: set spec.revision to {next} to \
         capture the machine anew{pinned}{aside}"
    );
    (True, Reason::Adopted, text)
}

fn available(facts: &Facts<'_>) -> Row {
    let serves = |region: &saved_template_api::ids::Region| {
        facts.status.images.iter().any(|image| image.region == *region)
    };
    let missing: Vec<&str> = std::iter::once(facts.home())
        .chain(facts.subject.spec.regions.iter().map(|region| &region.name))
        .filter(|region| !serves(region))
        .map(saved_template_api::ids::Region::as_str)
        .collect();
    if facts.status.images.is_empty() {
        (False, Reason::NoImage, "no image is available yet".into())
    } else if missing.is_empty() {
        (True, Reason::ImagesAvailable, "an image is available in home and in each region".into())
    } else {
        (False, Reason::RegionMissing, format!("no image yet in {}", missing.join(", ")))
    }
}

/// Of the next capture: whether it could begin.
fn validated(facts: &Facts<'_>, unmet: Option<&Unmet>) -> Row {
    if let Some((reason, unmet)) = unmet.and_then(|unmet| Some((unmet.invalid?, unmet))) {
        let status = if reason == Reason::NotChecked { Unknown } else { False };
        return (status, reason, unmet.message.clone());
    }
    let failed = facts.capture().is_some_and(|capture| capture.reason.is_some());
    let captured = !failed && facts.home_row().is_some_and(|row| row.image_id.is_some());
    let no_capture = |unmet: &Unmet| matches!(unmet.ready, Reason::ImageMissing | Reason::RevisionNotFound);
    if captured || unmet.is_some_and(no_capture) {
        return (
            True,
            Reason::NothingToCapture,
            format!(
                "revision {} {}",
                facts.subject.spec.revision,
                if captured { "has its image" } else { "is not captured again" }
            ),
        );
    }
    let suspended = unmet.is_some_and(|unmet| unmet.ready == Reason::Suspended);
    if facts.capture().is_some() || (suspended && !facts.status.preflight.is_empty()) {
        return (True, Reason::PreflightPassed, "the machine may be saved".into());
    }
    let message = unmet.map_or_else(|| "not checked yet".to_owned(), |unmet| unmet.message.clone());
    (Unknown, Reason::NotChecked, message)
}

fn source(facts: &Facts<'_>) -> Row {
    let Some(capture) = facts.capture() else {
        return (True, Reason::NeverTouched, "the machine was not touched".into());
    };
    let (reason, message) = restored::source_restored(facts, capture);
    let good = matches!(reason, Reason::NeverTouched | Reason::Restored | Reason::LeftStopped);
    let lost = reason == Reason::InstanceTerminated && capture.restart_record.is_none();
    (
        if good {
            True
        } else if lost {
            Unknown
        } else {
            False
        },
        reason,
        message,
    )
}

fn image(facts: &Facts<'_>, unmet: Option<&Unmet>) -> Row {
    let has_row = facts.home_row().is_some_and(|row| row.image_id.is_some());
    if let Some(unmet) = unmet.filter(|unmet| unmet.ready == Reason::ImageMissing && !has_row) {
        return (False, Reason::ImageMissing, unmet.message.clone());
    }
    let ended = facts.capture().filter(|capture| capture.reason.is_some());
    if let Some(capture) = ended {
        let message = capture.message.clone().unwrap_or_default();
        let spent = capture.completion_time.is_some()
            && capture.disruptions >= facts.subject.spec.capture.max_disruptions;
        let reason = if spent {
            Reason::DisruptionLimitReached
        } else if capture.image_requested_time.is_none() {
            Reason::NotRequested
        } else {
            Reason::ImageFailed
        };
        return (False, reason, message);
    }
    let row = facts.home_row();
    let id = row.and_then(|row| row.image_id.as_ref()).map(ToString::to_string);
    match (row.map(|row| row.state), id) {
        (Some(RegionState::Available), Some(id)) if capture::is_good(facts.capture()) => {
            let reason = if facts.capture().is_some() { Reason::Available } else { Reason::Adopted };
            (True, reason, format!("{id} is available"))
        }
        (Some(RegionState::Missing), Some(id)) => {
            let disabled = row.and_then(|row| row.reason) == Some(RegionReason::ImageDisabled);
            let message = row.and_then(|row| row.message.clone()).unwrap_or_else(|| format!("{id} is gone"));
            (False, if disabled { Reason::ImageDisabled } else { Reason::ImageMissing }, message)
        }
        (Some(RegionState::Failed), Some(id)) => (False, Reason::ImageFailed, format!("{id} failed")),
        (
            Some(
                RegionState::Available | RegionState::Pending | RegionState::Waiting | RegionState::Retained,
            ),
            Some(id),
        ) => (False, Reason::Pending, format!("{id} is pending")),
        (_, None) if facts.capture().is_some_and(|capture| capture.image_requested_time.is_some()) => {
            (False, Reason::Pending, "the image is asked for".into())
        }
        (_, _) => (False, Reason::NotRequested, "no image was asked for".into()),
    }
}

fn replicated(facts: &Facts<'_>) -> Row {
    let wanted: Vec<_> = facts.subject.spec.regions.iter().map(|region| region.name.clone()).collect();
    if wanted.is_empty() {
        return (True, Reason::NoRegionsRequested, "no copies are wanted".into());
    }
    let Some((ready, message)) = copies::unfinished(facts, &wanted) else {
        return (True, Reason::AllRegions, format!("{} copies are available", wanted.len()));
    };
    let rows = facts.status.regions.iter().filter(|row| row.role == RegionRole::Copy);
    let done = rows.clone().any(|row| row.state == RegionState::Available);
    let throttled = rows.clone().any(|row| row.reason == Some(RegionReason::Throttled));
    let none_asked = rows.clone().all(|row| row.attempts == 0);
    let reason = if ready != Reason::PartiallyReplicated || (none_asked && !done && !throttled) {
        Reason::Copying
    } else if done {
        Reason::PartiallyReplicated
    } else if throttled {
        Reason::Throttled
    } else {
        Reason::CopyFailed
    };
    (False, reason, message)
}

fn deletion_blocked(facts: &Facts<'_>) -> Option<Row> {
    not_restored(facts).or_else(|| not_removed(facts))
}

fn not_removed(facts: &Facts<'_>) -> Option<Row> {
    let deletes = facts.subject.spec.deletion_policy == DeletionPolicy::Delete;
    if !facts.subject.deleting || !deletes {
        return None;
    }
    if let Some(message) = adopt::held_by_other(facts) {
        return Some((True, Reason::OwnedByAnotherCluster, message));
    }
    let why =
        |row: &RegionStatus| Some((removal::why_blocked(row)?, row.message.clone().unwrap_or_default()));
    let hindered: Vec<(Reason, String)> = facts.status.regions.iter().filter_map(why).collect();
    let (reason, _) = hindered.first()?;
    let words: Vec<&str> = hindered.iter().map(|(_, message)| message.as_str()).collect();
    let text = format!(
        "{}; to keep what is left and let the object go: {}",
        words.join("; "),
        deletion::retain(facts)
    );
    Some((True, *reason, text))
}

fn not_restored(facts: &Facts<'_>) -> Option<Row> {
    if facts.is_claim() {
        return None;
    }
    let capture = facts.open_capture().filter(|capture| capture.restart_record.is_some())?;
    let record = facts.record()?;
    let blocks = facts.subject.deleting && facts.now < record.start_by;
    let (reason, message) = restored::source_restored(facts, capture);
    let limit = time::later(record.start_by, jiff::SignedDuration::ZERO);
    blocks.then(|| {
        let text = format!(
            "{}: {message}; the object goes once the machine is back, at {limit} at the latest",
            reason.name()
        );
        (True, Reason::SourceNotRestored, text)
    })
}
