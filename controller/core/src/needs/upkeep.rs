//! The restart record of an open capture on its way back: withdrawn, given up, rewritten.
use std::time::Duration;

use saved_template_api::{
    Reason,
    spec::CaptureMode,
    status::{CaptureReason, CaptureStatus},
};

use crate::{
    answer::refusal_of,
    capture,
    ec2_error::ErrorClass,
    facts::Facts,
    restart::Record,
    step::{RETAG, Step, TAG, UNTAG},
    time::SOON,
    unmet::Unmet,
};

/// Why nothing is withdrawn yet.
pub(super) const UNKNOWN: &str = "making sure that no stop is on its way to the machine";

/// The pause between two tries of a write to the machine's tags.
pub(super) const PAUSE: Duration = Duration::from_secs(20);

/// R6: gives the capture up. Nothing stopped: the record is withdrawn; else it is rewritten with `m := now`.
/// None where CreateImage is out and only its end can be waited for.
pub(crate) fn give_up(facts: &Facts<'_>, reason: CaptureReason, message: &str) -> Option<Unmet> {
    let record = facts.record()?;
    let mut capture = facts.capture().cloned()?;
    let last = facts.announced(crate::step::CREATE_IMAGE);
    let answer = last.and_then(|last| Some((last.number, refusal_of(last, "CreateImage")?)));
    let refused = answer.as_ref().is_some_and(|(_, refusal)| refusal.class != ErrorClass::Unknown);
    // While the outcome of an earlier try is unknown, a refusal of a later one proves nothing.
    let for_certain = answer.is_some_and(|(number, refusal)| number == 1 && refusal.is_definite());
    let has_image = facts.home_row().is_some_and(|row| row.image_id.is_some());
    if capture.image_requested_time.is_some() && (has_image || !refused) {
        return None;
    }
    let stopped = capture.stop_requested_time.is_some();
    if !stopped && !facts.is_known_unstopped(&record) {
        return Some(Unmet::waiting(Reason::Capturing, format!("{message}; {UNKNOWN}"), SOON));
    }
    if capture.reason.is_none() {
        capture::fail(&mut capture, reason, message);
    }
    if for_certain && !stopped && capture.image_requested_time.take().is_some() {
        // Nothing was imaged, and nothing was rebooted.
        let rebooted = capture.mode == CaptureMode::Reboot && !facts.was_stopped();
        capture.disruptions = capture.disruptions.saturating_sub(i32::from(rebooted)).max(0);
    }
    Some(if stopped { abort(facts, capture, &record) } else { withdraw(facts, capture, &record) })
}

/// Takes the Stop back that EC2 refused, or that came after somebody else's: it disrupted nothing.
pub(crate) fn withdraw_stop(
    facts: &Facts<'_>,
    mut capture: CaptureStatus,
    record: &Record,
    reason: CaptureReason,
    message: &str,
) -> Unmet {
    capture.stop_requested_time = None;
    capture.source_stopped_time = None;
    capture.disruptions = capture.disruptions.saturating_sub(1).max(0);
    capture::fail(&mut capture, reason, message);
    withdraw(facts, capture, record)
}

/// First the status, then `DeleteTags` by value until it is gone.
pub(super) fn withdraw(facts: &Facts<'_>, capture: CaptureStatus, record: &Record) -> Unmet {
    let message = capture.message.clone().unwrap_or_default();
    let ready = if capture.image_requested_time.is_some() { Reason::Failed } else { Reason::Preflight };
    let on_machine = facts.tagged_value().and_then(|value| value.parse::<Record>().ok());
    let ours = on_machine.filter(|tagged| tagged.capture == record.capture);
    let may_still_arrive = facts.announced(TAG).is_some();
    let unmet = if facts.pause_left(UNTAG, PAUSE).is_some() || (ours.is_none() && !may_still_arrive) {
        Unmet::waiting(ready, message, SOON)
    } else {
        let step = Step::Untag { record: ours.unwrap_or_else(|| record.clone()) };
        Unmet::acting(ready, message, step)
    };
    unmet.with(capture)
}

pub(super) fn abort(facts: &Facts<'_>, capture: CaptureStatus, record: &Record) -> Unmet {
    let message = capture.message.clone().unwrap_or_default();
    give_back(facts, capture, record, &message)
}

/// The restart loop gives the machine back a minute after the `m` that is written here.
pub(super) fn give_back(facts: &Facts<'_>, capture: CaptureStatus, record: &Record, message: &str) -> Unmet {
    let launched = facts.instance().and_then(|instance| instance.launch_time);
    if launched.is_some_and(|launched| launched > record.planned) {
        return Unmet::waiting(Reason::RestoringSource, message, SOON).with(capture);
    }
    rewrite(facts, capture, record.aborted(facts.now), Reason::RestoringSource, message)
}

/// The record becomes this one, in the status and on the machine: written until it is seen there.
pub(crate) fn rewrite(
    facts: &Facts<'_>,
    mut capture: CaptureStatus,
    record: Record,
    ready: Reason,
    message: &str,
) -> Unmet {
    let text = record.to_string();
    let written = facts.tagged_value() == Some(text.as_str());
    let known = facts.capture().is_some_and(|known| known.restart_record.as_ref() == Some(&text));
    capture.restart_record = Some(text);
    let unmet = if written || (known && (facts.pause_left(RETAG, PAUSE).is_some() || !facts.is_fresh())) {
        Unmet::waiting(ready, message, SOON)
    } else {
        Unmet::acting(ready, message, Step::Tag { record, receipt: None, replaces: None })
    };
    unmet.with(capture)
}

/// The attempt has no image that could be served. Its image and snapshots stay.
pub(crate) fn fail(mut capture: CaptureStatus, reason: CaptureReason, message: &str) -> Unmet {
    capture::fail(&mut capture, reason, message);
    Unmet::waiting(Reason::Failed, message, SOON).with(capture)
}
