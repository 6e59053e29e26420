//! All conditions, in one place, from the status as it stands and the first unmet need.
use saved_template_api::{
    ConditionStatus, ConditionType, Reason, condition,
    spec::DeletionPolicy,
    status::{Consistency, RegionReason, RegionRole, RegionState, RegionStatus},
};

use crate::{
    capture,
    needs::{adopt, copies, deletion, removal},
    restored,
    scene::Scene,
    time::{self},
    unmet::{Unmet, Waits},
};

use ConditionStatus::{False, True, Unknown};

type Row = (ConditionStatus, Reason, String);

/// Writes every condition for the generation that was decided upon.
pub(crate) fn write(scene: &mut Scene<'_>, unmet: Option<&Unmet>) {
    scene.status.observed_generation = Some(scene.subject.generation);
    // One writer: what is not ours was put there by hand, and would take the room of what is.
    scene.status.conditions.retain(|condition| condition.type_.parse::<ConditionType>().is_ok());
    let ready = ready(scene, unmet);
    let rows = [
        (ConditionType::Ready, ready.clone()),
        (ConditionType::Available, available(scene)),
        (ConditionType::Validated, validated(scene, unmet)),
        (ConditionType::SourceRestored, source(scene)),
        (ConditionType::ImageAvailable, image(scene, unmet)),
        (ConditionType::Replicated, replicated(scene)),
        (ConditionType::Shared, (True, Reason::NotShared, "shared with nobody".into())),
        (ConditionType::Published, (True, Reason::NothingToPublish, "nothing to publish".into())),
    ];
    for (kind, row) in rows {
        put(scene, kind, row);
    }
    let moving = unmet.map(|unmet| unmet.waits);
    let abnormal = [
        (ConditionType::Reconciling, moving == Some(Waits::ForUs)),
        (ConditionType::Stalled, moving == Some(Waits::ForUser)),
    ];
    for (kind, holds) in abnormal {
        if holds {
            put(scene, kind, (True, ready.1, ready.2.clone()));
        } else {
            condition::remove(&mut scene.status.conditions, kind);
        }
    }
    match deletion_blocked(scene) {
        Some(row) => put(scene, ConditionType::DeletionBlocked, row),
        None => condition::remove(&mut scene.status.conditions, ConditionType::DeletionBlocked),
    }
}

fn put(scene: &mut Scene<'_>, kind: ConditionType, (status, reason, message): Row) {
    let new = kind.with(status, reason, message, scene.subject.generation, scene.time());
    condition::set(&mut scene.status.conditions, new);
}

fn ready(scene: &Scene<'_>, unmet: Option<&Unmet>) -> Row {
    if let Some(unmet) = unmet.filter(|unmet| unmet.waits != Waits::Aside) {
        return (False, unmet.ready, unmet.message.clone());
    }
    let aside = unmet.map(|unmet| format!("; {}", unmet.message)).unwrap_or_default();
    let id = scene.status.image_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let (revision, summary) =
        (scene.subject.spec.revision, scene.status.region_summary.clone().unwrap_or_default());
    let served = scene.status.active_revision.filter(|active| *active != revision);
    let pinned = served
        .map(|active| format!("; revision {active} is served (spec.activeRevision)"))
        .unwrap_or_default();
    let row = scene.home_row().and_then(|row| row.image_id.as_ref()).map(ToString::to_string);
    let id = row.unwrap_or(id);
    let entry = scene.status.revisions.iter().find(|entry| entry.revision == revision);
    let consistency = entry.map_or(Consistency::Adopted, |entry| entry.consistency);
    if consistency != Consistency::Adopted {
        let consistency: &str = consistency.into();
        let text = format!(
            "revision {revision} is {id} (consistency {consistency}), {summary} regions{pinned}{aside}"
        );
        return (True, Reason::Saved, text);
    }
    let created = scene.status.images.first().and_then(|image| image.created_time.as_ref());
    let date = created.map(|time| format!(" of {}", time.0)).unwrap_or_default();
    let next = scene.status.latest_revision.unwrap_or(revision).saturating_add(1);
    let text = format!(
        "revision {revision} is the existing {id}{date}, {summary} regions; nothing was captured: set spec.revision to {next} to \
         capture the machine anew{pinned}{aside}"
    );
    (True, Reason::Adopted, text)
}

fn available(scene: &Scene<'_>) -> Row {
    let serves = |region: &saved_template_api::ids::Region| {
        scene.status.images.iter().any(|image| image.region == *region)
    };
    let missing: Vec<&str> = std::iter::once(scene.home())
        .chain(scene.subject.spec.regions.iter().map(|region| &region.name))
        .filter(|region| !serves(region))
        .map(saved_template_api::ids::Region::as_str)
        .collect();
    if scene.status.images.is_empty() {
        (False, Reason::NoImage, "no image is available yet".into())
    } else if missing.is_empty() {
        (True, Reason::ImagesAvailable, "an image is available in home and in each region".into())
    } else {
        (False, Reason::RegionMissing, format!("no image yet in {}", missing.join(", ")))
    }
}

/// Of the next capture: whether it could begin.
fn validated(scene: &Scene<'_>, unmet: Option<&Unmet>) -> Row {
    if let Some((reason, unmet)) = unmet.and_then(|unmet| Some((unmet.invalid?, unmet))) {
        let status = if reason == Reason::NotChecked { Unknown } else { False };
        return (status, reason, unmet.message.clone());
    }
    let captured = scene.home_row().is_some_and(|row| row.image_id.is_some());
    let no_capture = |unmet: &Unmet| matches!(unmet.ready, Reason::ImageMissing | Reason::RevisionNotFound);
    if captured || unmet.is_some_and(no_capture) {
        return (
            True,
            Reason::NothingToCapture,
            format!(
                "revision {} {}",
                scene.subject.spec.revision,
                if captured { "has its image" } else { "is not captured again" }
            ),
        );
    }
    let suspended = unmet.is_some_and(|unmet| unmet.ready == Reason::Suspended);
    if scene.capture().is_some() || (suspended && !scene.status.preflight.is_empty()) {
        return (True, Reason::PreflightPassed, "the machine may be saved".into());
    }
    let message = unmet.map_or_else(|| "not checked yet".to_owned(), |unmet| unmet.message.clone());
    (Unknown, Reason::NotChecked, message)
}

fn source(scene: &Scene<'_>) -> Row {
    let Some(capture) = scene.capture() else {
        return (True, Reason::NeverTouched, "the machine was not touched".into());
    };
    let (reason, message) = restored::source_restored(scene, capture);
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

fn image(scene: &Scene<'_>, unmet: Option<&Unmet>) -> Row {
    let has_row = scene.home_row().is_some_and(|row| row.image_id.is_some());
    if let Some(unmet) = unmet.filter(|unmet| unmet.ready == Reason::ImageMissing && !has_row) {
        return (False, Reason::ImageMissing, unmet.message.clone());
    }
    let ended = scene.capture().filter(|capture| capture.reason.is_some());
    if let Some(capture) = ended {
        let message = capture.message.clone().unwrap_or_default();
        let spent = capture.completion_time.is_some()
            && capture.disruptions >= scene.subject.spec.capture.max_disruptions;
        let reason = if spent {
            Reason::DisruptionLimitReached
        } else if capture.stop_requested_time.is_none() {
            Reason::NotRequested
        } else {
            Reason::ImageFailed
        };
        return (False, reason, message);
    }
    let row = scene.home_row();
    let id = row.and_then(|row| row.image_id.as_ref()).map(ToString::to_string);
    match (row.map(|row| row.state), id) {
        (Some(RegionState::Available), Some(id)) if capture::is_good(scene.capture()) => {
            let reason = if scene.capture().is_some() { Reason::Available } else { Reason::Adopted };
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
        (_, None) if scene.capture().is_some_and(|capture| capture.image_requested_time.is_some()) => {
            (False, Reason::Pending, "the image is asked for".into())
        }
        (_, _) => (False, Reason::NotRequested, "no image was asked for".into()),
    }
}

fn replicated(scene: &Scene<'_>) -> Row {
    let wanted: Vec<_> = scene.subject.spec.regions.iter().map(|region| region.name.clone()).collect();
    if wanted.is_empty() {
        return (True, Reason::NoRegionsRequested, "no copies are wanted".into());
    }
    let Some((ready, message)) = copies::unfinished(scene, &wanted) else {
        return (True, Reason::AllRegions, format!("{} copies are available", wanted.len()));
    };
    let rows = scene.status.regions.iter().filter(|row| row.role == RegionRole::Copy);
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

fn deletion_blocked(scene: &Scene<'_>) -> Option<Row> {
    not_restored(scene).or_else(|| not_removed(scene))
}

fn not_removed(scene: &Scene<'_>) -> Option<Row> {
    let deletes = scene.subject.spec.deletion_policy == DeletionPolicy::Delete;
    if !scene.subject.deleting || !deletes {
        return None;
    }
    if let Some(message) = adopt::held_by_other(scene) {
        return Some((True, Reason::OwnedByAnotherCluster, message));
    }
    let why =
        |row: &RegionStatus| Some((removal::why_blocked(row)?, row.message.clone().unwrap_or_default()));
    let hindered: Vec<(Reason, String)> = scene.status.regions.iter().filter_map(why).collect();
    let (reason, _) = hindered.first()?;
    let words: Vec<&str> = hindered.iter().map(|(_, message)| message.as_str()).collect();
    let text = format!(
        "{}; to keep what is left and let the object go: {}",
        words.join("; "),
        deletion::retain(scene)
    );
    Some((True, *reason, text))
}

fn not_restored(scene: &Scene<'_>) -> Option<Row> {
    if scene.is_claim() {
        return None;
    }
    let capture = scene.open_capture().filter(|capture| capture.restart_record.is_some())?;
    let record = scene.record()?;
    let blocks = scene.subject.deleting && scene.now < record.start_by;
    let (reason, message) = restored::source_restored(scene, capture);
    let limit = time::later(record.start_by, jiff::SignedDuration::ZERO);
    blocks.then(|| {
        let text = format!(
            "{}: {message}; the object goes once the machine is back, at {limit} at the latest",
            reason.name()
        );
        (True, Reason::SourceNotRestored, text)
    })
}
