//! A new capture: frozen and written down before the machine hears of it.
use std::time::Duration;

use jiff::SignedDuration;
use saved_template_api::{
    ConditionType, Reason,
    ids::InstanceId,
    names,
    spec::{CaptureMode, RestartWhen},
    status::{
        CaptureReason, CaptureStatus, Consistency, RegionRole, RegionState, RegionStatus, RevisionState,
        RevisionStatus, SourceStatus,
    },
    text,
};

use crate::{
    capture::{self, stop_timeout_of},
    facts::Facts,
    fold,
    needs::{adopt, preflight, requests},
    quote::claimant,
    receipt,
    restart::{Awaits, Record},
    step::Step,
    time::{LATER, SLOWLY, later, left},
    unmet::{Lack, Unmet},
    world::{ClaimRefused, Instance, InstanceState},
    write::Write,
};

/// The schema takes no more.
const MOST_DISRUPTIONS: i32 = 10;

/// §4: somebody else was faster; asked again after this.
const BUSY: Duration = Duration::from_mins(1);

/// Whether the revision still has to be captured, and may be.
pub(crate) fn need(facts: &Facts<'_>) -> Option<Unmet> {
    let has_image = facts.home_row().is_some_and(|row| row.image_id.is_some());
    match facts.capture().cloned().filter(|capture| has_image || !fold::adopted::is_past(capture)) {
        Some(capture) if capture.completion_time.is_none() || capture.reason.is_none() => None,
        None if has_image => None,
        Some(capture) => Some(failed(facts, &capture)),
        None => Some(never_again(facts).unwrap_or_else(|| begin(facts, None))),
    }
}

/// Only a revision that is larger than all before is captured: any other one has its image, or had it.
fn never_again(facts: &Facts<'_>) -> Option<Unmet> {
    let revision = facts.subject.spec.revision;
    let latest = facts.status.latest_revision.filter(|latest| *latest >= revision)?;
    let entry = facts.status.revisions.iter().find(|entry| entry.revision == revision);
    let next = latest.saturating_add(1);
    let id = entry.and_then(|entry| entry.images.first()).map(|image| image.image_id.to_string());
    let lost = entry.is_some_and(|entry| entry.state != RevisionState::Failed) || latest == revision;
    Some(if lost {
        let what = id.map_or_else(|| "its image".to_owned(), |id| format!("its image ({id})"));
        let message = format!(
            "revision {revision} was captured before and {what} is gone: it is not made again by itself; to capture the \
             machine anew, set spec.revision to {next}"
        );
        Unmet::stalled(Reason::ImageMissing, message)
    } else {
        let have: Vec<String> =
            facts.status.revisions.iter().filter(|entry| has_image(entry)).map(number).collect();
        let message = format!(
            "revision {revision} has no image (these have: {}): select one of them, or set spec.revision to {next} to capture",
            if have.is_empty() { "none".to_owned() } else { have.join(", ") }
        );
        Unmet::stalled(Reason::RevisionNotFound, message)
    })
}

fn has_image(entry: &RevisionStatus) -> bool {
    entry.state == RevisionState::Available
}

fn number(entry: &RevisionStatus) -> String {
    entry.revision.to_string()
}

/// A capture ended without an image: it is tried again only while it may disrupt the machine.
fn failed(facts: &Facts<'_>, capture: &CaptureStatus) -> Unmet {
    let message = capture.message.clone().unwrap_or_default();
    let is_terminated = capture.reason == Some(CaptureReason::InstanceTerminated);
    if capture.disruptions >= facts.subject.spec.capture.max_disruptions {
        if is_terminated {
            let next = next_revision(facts);
            let text = format!(
                "{message}: name a machine that exists in spec.source, and set spec.revision to {next}"
            );
            return Unmet::invalid(Reason::InstanceTerminated, text);
        }
        let text = format!(
            "{message}. The machine was disrupted {} time(s), as often as one revision may: {}",
            capture.disruptions,
            another(facts, capture.disruptions)
        );
        return Unmet::stalled(Reason::Failed, text);
    }
    let ended = capture.completion_time.as_ref().map_or(facts.now, |time| time.0);
    let pause = match capture.reason {
        Some(CaptureReason::Suspended) => Duration::ZERO,
        Some(
            CaptureReason::InstanceBusy
            | CaptureReason::Throttled
            | CaptureReason::NotTaken
            | CaptureReason::Replanned,
        ) => BUSY,
        _ => SLOWLY.saturating_mul(u32::try_from(capture.attempts).unwrap_or(1).clamp(1, 12)),
    };
    if let Some(left) = left(ended, pause, facts.now) {
        let again = later(ended, SignedDuration::try_from(pause).unwrap_or_default());
        let told = |reason: &Reason| ConditionType::Validated.reasons_otherwise().contains(reason);
        let known = capture.reason.and_then(CaptureReason::reason).filter(told);
        let unmet = match known {
            None => Unmet::waiting(Reason::Failed, format!("{message}; tried again at {again}"), left),
            // Somebody else is done with the machine some time.
            Some(Reason::InstanceBusy) => {
                let text = format!("{message}; tried again at {again}");
                Unmet { invalid: known, ..Unmet::waiting(Reason::Preflight, text, left) }
            }
            Some(reason) if is_terminated => {
                let text =
                    format!("{message}: name a machine that exists in spec.source; it goes on at {again}");
                Unmet::invalid(reason, text)
            }
            Some(reason) => {
                Unmet::invalid(reason, format!("{message}; once that is mended it goes on at {again}"))
            }
        };
        return Unmet { look_again: left, ..unmet };
    }
    begin(facts, Some(capture))
}

/// How somebody lets a revision that may not disrupt the machine again be tried once more.
fn another(facts: &Facts<'_>, disruptions: i32) -> String {
    let next = next_revision(facts);
    let raised = disruptions.saturating_add(1);
    let raise = format!("to try once more, set spec.revision to {next}");
    if raised <= MOST_DISRUPTIONS {
        format!("{raise}, or spec.capture.maxDisruptions to {raised}")
    } else {
        raise
    }
}

fn next_revision(facts: &Facts<'_>) -> i32 {
    facts.status.latest_revision.unwrap_or(0).max(facts.subject.spec.revision).saturating_add(1)
}

fn begin(facts: &Facts<'_>, last: Option<&CaptureStatus>) -> Unmet {
    if let Some(message) = adopt::held_by_other(facts) {
        return Unmet::invalid(Reason::HeldByOtherCluster, message);
    }
    // What cannot be read may hold the image of this revision, and its number.
    let refusals = facts.view().map(|view| [view.images.as_ref().err(), view.snapshots.as_ref().err()]);
    if let Some(refusal) = refusals.into_iter().flatten().flatten().next() {
        return preflight::unreadable(refusal);
    }
    let (checked, writes) = preflight::check(facts);
    let unmet = match checked {
        Ok(instance) => checked_out(facts, instance, last),
        Err(unmet) => unmet,
    };
    // What was found out is written first: the plan builds on it.
    Unmet { writes: writes.into_iter().chain(unmet.writes).collect(), ..unmet }
}

/// The machine may be saved: the claim on it is taken, and the capture planned.
fn checked_out(facts: &Facts<'_>, instance: &Instance, last: Option<&CaptureStatus>) -> Unmet {
    if facts.subject.spec.suspend {
        return suspended(facts);
    }
    match &facts.world.claim {
        None => return Unmet::lacking(Lack::Claim(instance.id.clone())),
        Some(Err(refused)) => return not_claimed(facts, &instance.id, refused),
        Some(Ok(())) => {}
    }
    // What stands under our key and nobody can be owed by makes room.
    let stale = instance.tags.get(&facts.debt_key()).cloned();
    write(facts, instance, requests::next_attempt(facts), last.map_or(0, |last| last.disruptions), stale)
}

fn not_claimed(facts: &Facts<'_>, instance: &InstanceId, refused: &ClaimRefused) -> Unmet {
    let (invalid, message) = match refused {
        ClaimRefused::Held(holder) => {
            let other = claimant(holder, facts.subject.namespace);
            (Reason::InstanceBusy, format!("{instance} is being saved by {other}: waiting until it is done"))
        }
        ClaimRefused::Unknown(why) => {
            (Reason::NotChecked, format!("whether another template saves {instance} is not known: {why}"))
        }
    };
    Unmet { invalid: Some(invalid), ..Unmet::waiting(Reason::Preflight, message, LATER) }
}

/// Everything that can be checked is good, and nothing is done.
pub(crate) fn suspended(facts: &Facts<'_>) -> Unmet {
    let message =
        format!("spec.suspend is true: revision {} waits until it is false", facts.subject.spec.revision);
    Unmet::suspended(message)
}

fn write(
    facts: &Facts<'_>,
    instance: &Instance,
    attempts: i32,
    disruptions: i32,
    replaces: Option<String>,
) -> Unmet {
    let spec = facts.subject.spec;
    let max_downtime_seconds = spec.capture.max_downtime_seconds_or_default();
    let id = capture_id(facts, attempts);
    let mode = spec.capture.mode_or_default();
    let stops = mode == CaptureMode::Stop && instance.state != InstanceState::Stopped;
    let restart_when =
        if fold::is_patient(facts) { RestartWhen::ImageAvailable } else { spec.capture.restart_when };
    let awaits = if stops { Awaits::of(restart_when) } else { Awaits::Nothing };
    let owner = facts.subject.cluster_uid.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    let limits = (stop_timeout_of(&spec.capture, instance), max_downtime_seconds);
    let excluded = spec.capture.exclude_device_names.clone();
    let volumes: Vec<_> =
        capture::included(instance, &excluded).map(|volume| volume.volume.clone()).collect();
    let record =
        Record::plan(instance.id.clone(), id.clone(), owner, facts.now, limits, awaits, volumes.len());
    let capture = CaptureStatus {
        id,
        revision: spec.revision,
        attempts,
        disruptions,
        mode,
        restart_when,
        max_downtime_seconds,
        exclude_device_names: excluded,
        on_stop_timeout: spec.capture.stop.on_timeout,
        expected_volumes: volumes,
        restart_record: Some(record.to_string()),
        source_digest: Some(names::source_digest(&spec.source)),
        consistency: Consistency::Unknown,
        launch_time: instance.launch_time.map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time),
        start_time: Some(facts.time()),
        created_by: Some(concat!("savedtemplate/", env!("CARGO_PKG_VERSION")).to_owned()),
        ..CaptureStatus::default()
    };
    let latest = spec.revision.max(facts.status.latest_revision.unwrap_or(0));
    let source = SourceStatus {
        original_state: Some(instance.state.as_str().to_owned()),
        ..fold::source(facts, instance)
    };
    let known = facts.home_row().cloned();
    let home = RegionStatus {
        image_id: None,
        state: RegionState::Waiting,
        revision: Some(spec.revision),
        progress_percent: None,
        reason: None,
        message: None,
        attempts,
        ..known.unwrap_or_else(|| {
            RegionStatus::waiting(
                facts.home().clone(),
                fold::architecture(instance.architecture.as_ref()),
                RegionRole::Home,
            )
        })
    };
    let step = Step::Tag { receipt: Some(receipt::of(facts)), record, replaces };
    Unmet::acting(Reason::Capturing, "writing the restart record to the machine", step).with(capture).writing(
        [
            Write::LatestRevision(latest),
            Write::Source(Box::new(source)),
            Write::Row(Box::new(home)),
            Write::applies(spec),
        ],
    )
}

/// New for each disruption; of two leaders with one read, the compare-and-swap picks one.
fn capture_id(facts: &Facts<'_>, attempts: i32) -> String {
    let subject = &facts.subject;
    let number = facts.announced_in(facts.home()).map_or(0, |announced| announced.number);
    let last = facts.status.capture.as_ref().map(|capture| capture.id.clone()).unwrap_or_default();
    let text = format!(
        "{}/{}/{}/{}/{}/{attempts}/{number}/{last}/{}",
        subject.cluster,
        subject.namespace,
        subject.name,
        subject.cluster_uid,
        subject.spec.revision,
        facts.now.as_second()
    );
    text::hex_digest(&text, 16)
}

#[cfg(test)]
mod tests;
