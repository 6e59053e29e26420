//! What was seen, put into the status: the facts, before any need is asked.
pub(crate) mod adopted;
mod failure;
mod heal;
pub(crate) mod images;
mod recovered;
pub(crate) mod removed;
mod revisions;
mod warned;

use jiff::SignedDuration;
use saved_template_api::{
    spec::{CaptureMode, RestartWhen},
    status::{
        CaptureReason, CaptureStatus, Consistency, MAX_CHECKS, RegionState, RegionStatus, SourceStatus,
    },
    text::cut,
};

pub(crate) use images::{UNSHOWN_FOR, architecture, lacking};
pub(crate) use warned::{MULTI_ATTACH, is_patient, patience};

use crate::{
    capture::{fail, same_volumes},
    draft::Draft,
    facts::Facts,
    restart::{Awaits, Record, Volumes},
    time::seconds_between,
    world::{Instance, InstanceState, Snapshot},
};

/// Folds the world into the status.
pub(crate) fn observe(draft: &mut Draft<'_>) {
    heal::heal(draft);
    heal::foreign(draft);
    if let Some(instance) = draft.instance() {
        draft.status.source = Some(source(draft, instance));
        recovered::remember(draft, instance);
        recovered::follow(draft);
        times(draft, instance);
    } else if draft.is_gone()
        && let Some(source) = draft.status.source.as_mut()
    {
        source.state = Some(InstanceState::Terminated.as_str().to_owned());
    }
    images(draft);
}

/// The images and what follows from them.
fn images(draft: &mut Draft<'_>) {
    shown(draft);
    barrier(draft);
    close(draft);
    learn(draft);
    revisions::revisions(draft);
    // A capture that is over gives way to the revision that is wanted by now: from here on the rows are those of that one,
    // or its image would be copied under the wanted one's name.
    images::rows(draft);
    if adopted::take(draft) {
        shown(draft);
        revisions::revisions(draft);
    }
    removed::forget(draft);
    revisions::served(draft);
    revisions::summary(draft);
}

/// The rows of the revision that is worked on, as EC2 shows its images.
fn shown(draft: &mut Draft<'_>) {
    images::rows(draft);
    images::home(draft);
    for region in draft.subject.spec.regions.iter().map(|region| region.name.clone()) {
        images::copy(draft, &region);
    }
}

/// What is known of the machine.
pub(crate) fn source(facts: &Facts<'_>, instance: &Instance) -> SourceStatus {
    SourceStatus {
        account_id: Some(instance.account.clone()),
        instance_id: Some(instance.id.clone()),
        original_state: facts.status.source.as_ref().and_then(|source| source.original_state.clone()),
        state: Some(instance.state.as_str().to_owned()),
        architecture: instance.architecture.as_ref().map(|text| architecture(Some(text))),
        platform: instance.platform.clone().map(|text| cut(text, 128)),
        instance_type: instance.instance_type.clone().map(|text| cut(text, 64)),
        original_image_id: instance.image.clone(),
        root_device_type: Some(if instance.ebs_root { "ebs" } else { "instance-store" }.to_owned()),
    }
}

/// When the machine of the open capture stopped, and when it ran again.
fn times(draft: &mut Draft<'_>, instance: &Instance) {
    let (now, fresh, record) = (draft.time(), draft.is_fresh(), draft.record());
    let proof = proof(draft, instance, record.as_ref());
    let Some(capture) = draft.status.capture.as_mut().filter(|capture| capture.completion_time.is_none())
    else {
        return;
    };
    let Some(stop_requested) = capture.stop_requested_time.clone() else {
        return;
    };
    // Somebody else's stop, first read after ours was announced, is none of ours.
    let ours = record.as_ref().is_none_or(|record| !crate::restart::stopped_by_somebody(record, instance));
    if instance.state == InstanceState::Stopped && ours && fresh && capture.source_stopped_time.is_none() {
        capture.source_stopped_time = Some(now.clone());
    }
    let launched_again =
        record.is_some_and(|record| instance.launch_time.is_some_and(|at| at > record.planned));
    if instance.state == InstanceState::Running && launched_again && capture.source_restored_time.is_none() {
        capture.downtime_seconds = Some(seconds_between(stop_requested.0, now.0).max(0));
        capture.source_restored_time = Some(now);
        if proof {
            capture.consistency = Consistency::Stopped;
        }
    }
}

/// §5: volumes at rest, shown by the reply to our start, the launch times and the snapshots' times.
fn proof(facts: &Facts<'_>, instance: &Instance, record: Option<&Record>) -> bool {
    let (Some(record), Some(started), Some(capture)) = (record, facts.world.started, facts.capture()) else {
        return false;
    };
    let (Some(planned_launch), Some(stopped), Some(launched)) =
        (capture.launch_time.as_ref(), capture.source_stopped_time.as_ref(), instance.launch_time)
    else {
        return false;
    };
    let (shots, images) = (facts.snapshots().unwrap_or_default(), facts.images().unwrap_or_default());
    let volumes = Volumes::Expected(&capture.expected_volumes);
    let at_rest = |shot: &Snapshot| shot.started.is_some_and(|at| at >= stopped.0 && at < launched);
    !record.is_forced()
        && started.previous == InstanceState::Stopped
        && started.launch_time_before == Some(planned_launch.0)
        && record.barrier(shots, images, volumes).is_some()
        && shots.iter().filter(|shot| record.holds(shot, images, volumes)).all(at_rest)
        && same_volumes(capture, instance)
        && !warned::multi_attach(facts)
}

/// The instant from which the machine may run again: every volume has its snapshot.
fn barrier(draft: &mut Draft<'_>) {
    let images = draft.images().unwrap_or_default();
    let volumes = draft.expected_volumes();
    let reached = draft
        .record()
        .zip(draft.snapshots())
        .and_then(|(record, shots)| record.barrier(shots, images, Volumes::Expected(&volumes)));
    let restored = draft.capture().is_some_and(|capture| capture.source_restored_time.is_some());
    let launched = draft.instance().and_then(|instance| instance.launch_time).filter(|_| restored);
    // That a stopped machine stayed stopped is shown by a read that began after the last snapshot.
    let since = draft.view().filter(|_| draft.was_stopped()).map(|view| view.began);
    let holds = reached.is_some_and(|last| {
        since.is_none_or(|began| began > last)
            && (!restored || launched.is_some_and(|launched| last < launched))
    });
    let (now, claim) = (draft.time(), claim(draft));
    if let Some(capture) = draft.status.capture.as_mut() {
        let waits = capture.image_requested_time.is_some() && capture.snapshots_started_time.is_none();
        if holds && waits && capture.completion_time.is_none() {
            capture.snapshots_started_time = Some(now);
            capture.consistency = claim.unwrap_or(capture.consistency);
        }
    }
}

/// What is known of the volumes of a machine that was not stopped for its image, once every snapshot has begun.
fn claim(facts: &Facts<'_>) -> Option<Consistency> {
    let (capture, instance) = (facts.open_capture()?, facts.instance()?);
    if !facts.is_claim() || !same_volumes(capture, instance) {
        return None;
    }
    if facts.was_stopped() {
        // Stopped before, stopped in a read that began after the last snapshot, and never launched between.
        let at_rest = instance.state == InstanceState::Stopped
            && instance.launch_time == capture.launch_time.as_ref().map(|at| at.0)
            && !warned::multi_attach(facts);
        return at_rest.then_some(Consistency::Stopped);
    }
    match capture.mode {
        CaptureMode::Reboot => Some(Consistency::Rebooted),
        CaptureMode::NoReboot => Some(Consistency::CrashConsistent),
        CaptureMode::Stop => None,
    }
}

/// Snapshots show late; after this long the machine has been given back without them.
const SHOWN_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// Drops the status's copy of the debt once the machine has settled, and ends the capture.
fn close(draft: &mut Draft<'_>) {
    let (now, gone, owed) = (draft.time(), draft.is_gone(), owes(draft));
    let row = draft.home_row().cloned();
    let home = row.as_ref().map(|row| row.state);
    let state = draft.instance().map(|instance| instance.state);
    let (shots_are_read, claims) = (draft.snapshots().is_some(), draft.is_claim());
    let late = is_late(draft);
    let Some(capture) = draft.status.capture.as_mut().filter(|capture| capture.completion_time.is_none())
    else {
        return;
    };
    if !owed {
        capture.restart_record = None;
    }
    let is_available = home == Some(RegionState::Available);
    let over = capture
        .source_restored_time
        .as_ref()
        .map_or(capture.restart_record.is_none() && is_available, |back| {
            now.0.duration_since(back.0) >= SHOWN_WITHIN
        });
    if capture.reason.is_some() {
        // It has failed already.
    } else if home == Some(RegionState::Failed) {
        let why = row.as_ref().map(failure).unwrap_or_default();
        fail(capture, CaptureReason::ImageFailed, &why);
    } else if capture.restart_record.is_none() && capture.image_requested_time.is_none() {
        let (reason, message) = ended(capture, gone, state, claims);
        fail(capture, reason, message);
    } else if row.as_ref().is_some_and(|row| row.image_id.is_some())
        && capture.snapshots_started_time.is_none()
        && over
        && !late
        && shots_are_read
    {
        let (reason, text) = if claims {
            (CaptureReason::ImageFailed, "its volumes changed while they were read: the image is not served")
        } else {
            let text =
                "the machine was given back before every volume had its snapshot: the image is not served";
            (CaptureReason::DowntimeExceeded, text)
        };
        fail(capture, reason, text);
    }
    let is_over = match home {
        _ if capture.reason.is_some() => true,
        Some(RegionState::Available) => capture.snapshots_started_time.is_some() && shots_are_read,
        Some(RegionState::Failed | RegionState::Missing) => true,
        Some(RegionState::Waiting | RegionState::Pending | RegionState::Retained) | None => false,
    };
    if capture.restart_record.is_none() && is_over {
        capture.completion_time = Some(now);
    }
}

/// Whether an image that EC2 has named shows no snapshot yet, and may still do so.
fn is_late(facts: &Facts<'_>) -> bool {
    let requested = facts.open_capture().and_then(|capture| capture.image_requested_time.as_ref());
    let volumes = facts.expected_volumes();
    let shots = facts.record().zip(facts.snapshots()).zip(facts.images());
    let is_shown = shots.is_some_and(|((record, shots), images)| {
        shots.iter().any(|shot| record.holds(shot, images, Volumes::Expected(&volumes)))
    });
    !is_shown && requested.is_some_and(|at| facts.now.duration_since(at.0) < UNSHOWN_FOR)
}

/// §5: where the barrier was not enough for EC2, the next machine waits for its image. The status remembers it.
fn learn(draft: &mut Draft<'_>) {
    let too_early = |capture: &CaptureStatus| {
        let touched = capture.message.as_ref().is_some_and(|why| why.contains("Client.InstanceTerminated"));
        touched
            && capture.reason == Some(CaptureReason::ImageFailed)
            && capture.restart_when == RestartWhen::SnapshotsStarted
            && capture.source_restored_time.is_some()
    };
    if draft.status.capture.as_ref().is_some_and(too_early) && !is_patient(draft) {
        draft.status.preflight.truncate(MAX_CHECKS.saturating_sub(1));
        draft.status.preflight.push(patience());
    }
}

/// What EC2 says of an image that failed.
fn failure(row: &RegionStatus) -> String {
    let id = row.image_id.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("image {id} failed: {}", row.message.as_deref().unwrap_or("no reason given"))
}

/// Why a capture is over whose machine has settled before its image was asked for.
fn ended(
    capture: &mut CaptureStatus,
    gone: bool,
    state: Option<InstanceState>,
    claims: bool,
) -> (CaptureReason, &'static str) {
    if claims && !gone {
        (CaptureReason::InstanceBusy, "the record on the machine was gone before the image was asked for")
    } else if gone {
        (CaptureReason::InstanceTerminated, "the machine was terminated before its image was asked for")
    } else if capture.source_restored_time.is_some() {
        (CaptureReason::Failed, "the machine was given back before its image was asked for")
    } else if state == Some(InstanceState::Running) {
        // No Stop reached it, and none can any more: nothing was disrupted.
        capture.stop_requested_time = None;
        capture.disruptions = capture.disruptions.saturating_sub(1).max(0);
        (CaptureReason::NotTaken, "no stop reached the machine")
    } else {
        (CaptureReason::InstanceBusy, "the machine was stopped by somebody else, and stays stopped")
    }
}

/// Whether the record still counts: it is on the machine, or the machine has not settled without it.
fn owes(facts: &Facts<'_>) -> bool {
    let Some(capture) = facts.open_capture() else {
        return false;
    };
    if facts.is_gone() {
        return false;
    }
    let (Some(record), Some(instance)) = (facts.record(), facts.instance()) else {
        return capture.restart_record.is_some();
    };
    if capture.restart_record.is_none() {
        return false;
    }
    let tagged = facts.tagged_value().and_then(|value| value.parse::<Record>().ok());
    if tagged.is_some_and(|tagged| tagged.capture == record.capture) || !facts.is_fresh() {
        return true;
    }
    // The tag is gone. Without a Stop nothing is owed; with one, only the machine itself can tell.
    match instance.state {
        _ if record.awaits == Awaits::Nothing && capture.image_requested_time.is_some() => false,
        _ if capture.stop_requested_time.is_none() => capture.reason.is_none(),
        InstanceState::Running => {
            let launched_again = instance.launch_time.is_some_and(|at| at > record.planned);
            let no_stop_can_come = facts.now > crate::restart::last_arrival(&record);
            !(launched_again || no_stop_can_come)
        }
        InstanceState::Stopped => !crate::restart::stopped_by_somebody(&record, instance),
        InstanceState::Pending | InstanceState::Stopping | InstanceState::Unknown => true,
        InstanceState::ShuttingDown | InstanceState::Terminated => false,
    }
}
