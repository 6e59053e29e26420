//! The machine stops; or it did not, and it is found out why.
use std::time::Duration;

use jiff::SignedDuration;
use saved_template_api::{
    Reason,
    spec::OnStopTimeout,
    status::{CaptureReason, CaptureStatus, StepResult},
};

use crate::{
    answer::{self, ACCEPTED, was_refused},
    ec2_error::ErrorClass,
    facts::Facts,
    needs::{tagged, upkeep},
    restart::{self, Awaits, Record},
    step::{FORCE_STOP, STOP, Step},
    time::{self, SOON, seconds_between},
    unmet::Unmet,
    world::{Instance, InstanceState},
};

pub(crate) fn need(facts: &Facts<'_>) -> Option<Unmet> {
    let open = facts
        .open_capture()
        .filter(|capture| capture.stop_requested_time.is_some() && capture.reason.is_none());
    let (Some(capture), Some(record)) = (open.cloned(), facts.record()) else {
        return None;
    };
    // A claim owes nothing: nothing is stopped under it, whatever a status says.
    if record.awaits == Awaits::Nothing {
        return None;
    }
    if facts.is_gone() && capture.image_requested_time.is_none() {
        let message = format!("{} was terminated before its image was asked for", record.instance);
        return Some(upkeep::fail(capture, CaptureReason::InstanceTerminated, &message));
    }
    let Some(instance) = facts.instance() else {
        let message = format!("EC2 does not show {}", record.instance);
        return capture.restart_record.is_some().then(|| Unmet::waiting(Reason::Capturing, message, SOON));
    };
    if capture.image_requested_time.is_some() || capture.restart_record.is_none() {
        return None;
    }
    if let Some(unmet) = answered(facts, &capture, &record, instance) {
        return Some(unmet);
    }
    // Our Stop did nothing, and no other one is under way: a status that went back may have forgotten that one.
    let refused =
        facts.world.unsent && facts.announced(STOP).is_some_and(|last| last.number == 1 && was_refused(last));
    match instance.state {
        InstanceState::Stopping | InstanceState::Stopped if refused => {
            let message = format!("{} was stopped by somebody else: it stays stopped", instance.id);
            Some(upkeep::withdraw_stop(facts, capture, &record, CaptureReason::InstanceBusy, &message))
        }
        InstanceState::Running => Some(still_running(facts, &capture, &record, instance)),
        InstanceState::Stopping => stopping(facts, &capture, &record),
        InstanceState::Pending | InstanceState::Unknown => Some(Unmet::waiting(
            Reason::Capturing,
            format!("{} is {}", instance.id, instance.state.as_str()),
            SOON,
        )),
        InstanceState::Stopped if restart::stopped_by_somebody(&record, instance) => {
            Some(somebodys(facts, capture, &record, instance))
        }
        InstanceState::Stopped | InstanceState::ShuttingDown | InstanceState::Terminated => None,
    }
}

/// The record allows the hard stop: sent once the restart loop has found it on the machine again.
fn force(facts: &Facts<'_>, capture: &CaptureStatus, record: &Record) -> Unmet {
    let message = format!("{} is being stopped the hard way", record.instance);
    if facts.now > record.stop_by {
        return Unmet::waiting(Reason::Capturing, message, SOON);
    }
    let text = record.to_string();
    if facts.tagged_value() != Some(text.as_str()) {
        return upkeep::rewrite(facts, capture.clone(), record.clone(), Reason::Capturing, &message);
    }
    let sighting = facts.view().and_then(|view| view.sightings.get(&(record.instance.clone(), text)));
    let is_seen = sighting.is_some_and(|seen| seconds_between(seen.first, seen.last) >= tagged::SEEN_FOR);
    let accepted = facts.announced(FORCE_STOP).is_some_and(|last| last.outcome.as_ref() == Some(&ACCEPTED));
    if accepted
        || !is_seen
        || !facts.is_fresh()
        || facts.pause_left(FORCE_STOP, Duration::from_secs(20)).is_some()
    {
        return Unmet::waiting(Reason::Capturing, message, SOON);
    }
    let step = Step::Stop { record: record.clone(), force: true };
    Unmet::acting(Reason::Capturing, message, step)
}

/// Somebody else's stop: ours disrupted nothing, unless the machine was stopped or ran again under the record before.
fn somebodys(facts: &Facts<'_>, capture: CaptureStatus, record: &Record, instance: &Instance) -> Unmet {
    let message = format!("{} was stopped by somebody else: it stays stopped", instance.id);
    let launched_again = instance.launch_time.is_some_and(|launch| launch > record.planned);
    if capture.source_stopped_time.is_some() || launched_again {
        return upkeep::fail(capture, CaptureReason::Failed, &message);
    }
    upkeep::withdraw_stop(facts, capture, record, CaptureReason::InstanceBusy, &message)
}

/// What EC2's answer to the Stop means, where it is not "in progress". While the outcome of an earlier try is unknown,
/// an answer proves nothing: that one may still arrive.
fn answered(
    facts: &Facts<'_>,
    capture: &CaptureStatus,
    record: &Record,
    instance: &Instance,
) -> Option<Unmet> {
    let announced = facts.announced(STOP).filter(|announced| announced.number == 1)?.clone();
    let outcome = announced.outcome.as_ref()?;
    if outcome.result == StepResult::FoundInState {
        let text = format!(
            "{} was {} already when the stop arrived: it stays as somebody wants it, and is saved as it is",
            record.instance,
            outcome.code.as_deref().unwrap_or_default()
        );
        return Some(upkeep::withdraw_stop(
            facts,
            capture.clone(),
            record,
            CaptureReason::InstanceBusy,
            &text,
        ));
    }
    let refusal = answer::refusal(outcome, "StopInstances")?;
    let too_late = facts.now > record.stop_by;
    let word = match refusal.reason() {
        Some(Reason::AccessDenied) if !too_late => return None,
        Some(reason) => CaptureReason::of(reason),
        None if refusal.class == ErrorClass::Unknown || !too_late => return None,
        None => refusal.passing(),
    };
    if !is_untouched(facts, record, instance) {
        let message = format!("{}; making sure that no other stop was taken", refusal.told());
        let waits = matches!(instance.state, InstanceState::Running | InstanceState::Pending);
        return waits.then(|| Unmet::waiting(Reason::Capturing, message, SOON));
    }
    Some(upkeep::withdraw_stop(facts, capture.clone(), record, word, &refusal.told()))
}

/// Whether no Stop of ours has done anything: this process knows, or what EC2 shows tells. The status alone proves nothing:
/// it may be one of before the Stop that EC2 took.
fn is_untouched(facts: &Facts<'_>, record: &Record, instance: &Instance) -> bool {
    facts.world.unsent
        || match instance.state {
            InstanceState::Stopping | InstanceState::Stopped => {
                restart::stopped_by_somebody(record, instance)
            }
            InstanceState::Running | InstanceState::Pending => facts.is_known_unstopped(record),
            InstanceState::ShuttingDown | InstanceState::Terminated => true,
            InstanceState::Unknown => false,
        }
}

fn still_running(facts: &Facts<'_>, capture: &CaptureStatus, record: &Record, instance: &Instance) -> Unmet {
    if instance.launch_time.is_some_and(|launch| launch > record.planned) {
        let message = format!("{} was started before its image was asked for", instance.id);
        return upkeep::fail(capture.clone(), CaptureReason::Failed, &message);
    }
    let waiting = Unmet::waiting(Reason::Capturing, format!("waiting for {} to stop", instance.id), SOON);
    if !facts.is_fresh() || facts.pause_left(STOP, Duration::from_secs(20)).is_some() {
        return waiting;
    }
    let covered = facts.tagged_value() == Some(record.to_string().as_str());
    let as_planned = instance.launch_time == capture.launch_time.as_ref().map(|at| at.0);
    if facts.now <= record.stop_by && covered && as_planned {
        return stop(facts, capture.clone(), record);
    }
    waiting
}

fn stopping(facts: &Facts<'_>, capture: &CaptureStatus, record: &Record) -> Option<Unmet> {
    if record.is_forced() {
        return Some(force(facts, capture, record));
    }
    let requested = capture.stop_requested_time.as_ref()?.0;
    // T is in the record: m = t + T + 180.
    let timeout = seconds_between(record.planned, record.image_by).saturating_sub(180).max(0);
    let late = time::passed(requested, SignedDuration::from_secs(timeout), facts.now);
    if late && capture.on_stop_timeout == OnStopTimeout::Force && record.may_force(facts.now) {
        let message =
            format!("{} has not stopped in {timeout} s: it is stopped the hard way", record.instance);
        let forced = record.forced(facts.now);
        return Some(upkeep::rewrite(facts, capture.clone(), forced, Reason::Capturing, &message));
    }
    if late {
        let message = format!(
            "{} has not stopped in {timeout} s and is still stopping: the save is given up, and the machine is started once it has stopped",
            record.instance
        );
        return upkeep::give_up(facts, CaptureReason::StopTimedOut, &message);
    }
    let message = format!("{} is stopping", record.instance);
    Some(Unmet::waiting(Reason::Capturing, message, SOON))
}

/// The write that announces the stop: from here on the record is a debt.
pub(crate) fn stop(facts: &Facts<'_>, mut capture: CaptureStatus, record: &Record) -> Unmet {
    if capture.stop_requested_time.is_none() {
        capture.stop_requested_time = Some(facts.time());
        capture.disruptions = capture.disruptions.saturating_add(1);
    }
    let message = format!("stopping {}", record.instance);
    let step = Step::Stop { record: record.clone(), force: false };
    Unmet::acting(Reason::Capturing, message, step).with(capture)
}

#[cfg(test)]
mod tests;
