//! The record is on the machine and the restart loop sees it; until then nothing is stopped. Also its way back.

use saved_template_api::{
    Reason,
    status::{CaptureReason, CaptureStatus, RegionState},
};

use crate::{
    answer::refusal_of,
    decision::Question,
    ec2_error::{Ec2Error, ErrorClass},
    facts::Facts,
    needs::{image, plan, stop, support, tagged, upkeep},
    quote::quoted,
    receipt,
    restart::{Awaits, Record},
    step::{Step, TAG},
    time::{LATER, SOON, seconds_between},
    unmet::{Lack, Unmet},
    world::Instance,
};

/// A refusal within this many seconds of tagging may be IAM that does not see the tag yet (R1).
const IAM_LAG: i64 = 45;

pub(crate) fn need(facts: &Facts<'_>) -> Option<Unmet> {
    let capture = facts.open_capture().filter(|capture| capture.restart_record.is_some()).cloned()?;
    let record = facts.record()?;
    match (&capture.reason, &capture.stop_requested_time) {
        (Some(_), None) => Some(upkeep::withdraw(facts, capture, &record)),
        (Some(_), Some(_)) => Some(upkeep::abort(facts, capture, &record)),
        (None, Some(_)) => {
            lost_image(facts).map(|message| upkeep::give_back(facts, capture, &record, &message))
        }
        (None, None) if capture.image_requested_time.is_some() => None,
        (None, None) => Some(planned(facts, &capture, &record)),
    }
}

/// The status alone names the machine: nothing is done about it.
pub(crate) fn unsupported(facts: &Facts<'_>) -> Option<Unmet> {
    let record = facts.open_capture()?.restart_record.as_ref()?.parse::<Record>().ok()?;
    let message = format!(
        "the status says that {id} is owed a start, and neither spec.source nor a tag or image in EC2 says that it is this \
         template's: nothing is done about it. If it is, set spec.source.instanceID to {id}",
        id = record.instance
    );
    let is_supported = facts.is_supported(&record);
    (!is_supported).then(|| Unmet { look_again: LATER, ..Unmet::invalid(Reason::SourceChanged, message) })
}

/// The image that the machine waits for is gone: somebody deregistered it.
fn lost_image(facts: &Facts<'_>) -> Option<String> {
    let row = facts.home_row().filter(|row| row.state == RegionState::Missing)?;
    let id = row.image_id.as_ref().map(ToString::to_string).unwrap_or_default();
    Some(row.message.clone().unwrap_or_else(|| format!("{id} is gone")))
}

fn planned(facts: &Facts<'_>, capture: &CaptureStatus, record: &Record) -> Unmet {
    let text = record.to_string();
    let waiting = |message: &str| Unmet::waiting(Reason::Capturing, message, SOON);
    if let Some(message) = support::refusal(facts) {
        return end(facts, CaptureReason::NotYetSupported, &message).unwrap_or_else(|| waiting(&message));
    }
    if facts.subject.spec.suspend {
        let unmet = plan::suspended(facts);
        return end(facts, CaptureReason::Suspended, &unmet.message).unwrap_or(unmet);
    }
    let Some(instance) = facts.instance() else {
        return waiting("EC2 does not show the machine");
    };
    let as_planned = instance.launch_time == capture.launch_time.as_ref().map(|at| at.0);
    if facts.tagged_value().is_some_and(|value| value != text && !tagged::is_stale(facts, instance, value)) {
        let message = "another restart record of this installation is on the machine: it is paid first";
        return end(facts, CaptureReason::InstanceBusy, message).unwrap_or_else(|| waiting(message));
    }
    if facts.now > record.stop_by && as_planned {
        if !facts.is_known_unstopped(record) {
            return waiting(upkeep::UNKNOWN);
        }
        if let Some(message) = saved_elsewhere(facts, instance) {
            return end(facts, CaptureReason::InstanceBusy, &message).unwrap_or_else(|| waiting(&message));
        }
        // What a plan rests on is asked when a capture begins: the class, and whether the machine may be saved.
        let message = "nothing was asked for under the plan in time: it is planned anew";
        return end(facts, CaptureReason::Replanned, message).unwrap_or_else(|| waiting(message));
    }
    match facts.tagged_value() {
        Some(value) if value == text => {}
        Some(value) if as_planned && tagged::is_stale(facts, instance, value) => {
            return tag(facts, record, Some(value.to_owned()));
        }
        None if as_planned => return tag(facts, record, None),
        Some(_) | None => {}
    }
    if let Some(message) = saved_elsewhere(facts, instance) {
        return end(facts, CaptureReason::InstanceBusy, &message).unwrap_or_else(|| waiting(&message));
    }
    let sighting = facts.view().and_then(|view| view.sightings.get(&(instance.id.clone(), text)));
    let original = facts.status.source.as_ref().and_then(|source| source.original_state.clone());
    if original.as_deref() != Some(instance.state.as_str()) || !as_planned {
        let message = format!(
            "{} is {}: somebody stopped or restarted it since the plan",
            instance.id,
            instance.state.as_str()
        );
        return end(facts, CaptureReason::InstanceBusy, &message).unwrap_or_else(|| waiting(&message));
    }
    if sighting.is_none_or(|seen| seconds_between(seen.first, seen.last) < tagged::SEEN_FOR) {
        if let Some(step) = receipt::fold(facts, instance) {
            let message = "the receipts on the machine become one tag";
            return Unmet::acting(Reason::Capturing, message, step);
        }
        return waiting("the restart record is on the machine; waiting until it is found again");
    }
    if record.awaits == Awaits::Nothing {
        return image::claim(facts, capture, record, instance);
    }
    let Some(permits) = &facts.world.permits else {
        return Unmet::lacking(Lack::Answer(Question::Permits(instance.id.clone())));
    };
    if let Err(refusal) = permits.start.as_ref().and(permits.stop.as_ref()) {
        return not_permitted(facts, record, refusal);
    }
    stop::stop(facts, capture.clone(), record)
}

/// Who else saves the machine.
fn saved_elsewhere(facts: &Facts<'_>, instance: &Instance) -> Option<String> {
    let (key, _) = tagged::foreign_record(facts, instance)?;
    Some(format!("another installation is saving {}: it carries the tag {}", instance.id, quoted(key)))
}

fn tag(facts: &Facts<'_>, record: &Record, replaces: Option<String>) -> Unmet {
    let refused = facts.announced(TAG).and_then(|announced| refusal_of(announced, "CreateTags"));
    if let Some(refusal) = refused {
        let reason = refusal.reason().filter(|_| refusal.is_definite());
        if let Some(unmet) = reason.and_then(|reason| end(facts, CaptureReason::of(reason), &refusal.told()))
        {
            return unmet;
        }
    }
    if facts.pause_left(TAG, upkeep::PAUSE).is_some() || !facts.is_fresh() {
        return Unmet::waiting(
            Reason::Capturing,
            "waiting for the restart record to show on the machine",
            SOON,
        );
    }
    let step = Step::Tag { record: record.clone(), receipt: Some(receipt::of(facts)), replaces };
    Unmet::acting(Reason::Capturing, "writing the restart record to the machine", step)
}

/// Ends a capture with a reason: withdrawn where nothing was stopped, else aborted.
fn end(facts: &Facts<'_>, reason: CaptureReason, message: &str) -> Option<Unmet> {
    upkeep::give_up(facts, reason, message)
}

fn not_permitted(facts: &Facts<'_>, record: &Record, refusal: &Ec2Error) -> Unmet {
    let lag = seconds_between(record.planned, facts.now) < IAM_LAG;
    let wait = Unmet::waiting(Reason::Capturing, format!("waiting for permission: {refusal}"), SOON);
    if refusal.passes() || (refusal.class == ErrorClass::Denied && lag) {
        return wait;
    }
    let ended = refusal.reason().and_then(|reason| end(facts, CaptureReason::of(reason), &refusal.told()));
    ended.unwrap_or(wait)
}

#[cfg(test)]
mod tests;
