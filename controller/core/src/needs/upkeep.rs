//! The restart record of an open capture on its way back: withdrawn, given up, rewritten.
use std::time::Duration;

use saved_template_api::{Reason, spec::CaptureMode, status::CaptureReason, text::cut};

use crate::{
    answer::refusal_of,
    capture,
    refusal::Class,
    restart::Record,
    scene::Scene,
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
pub(crate) fn give_up(scene: &mut Scene<'_>, reason: CaptureReason, message: &str) -> Option<Unmet> {
    let record = scene.record()?;
    let last = scene.announced(crate::step::CREATE_IMAGE);
    let answer = last.and_then(|last| Some((last.number, refusal_of(last, "CreateImage")?)));
    let refused = answer.as_ref().is_some_and(|(_, refusal)| refusal.class != Class::Unknown);
    // While the outcome of an earlier try is unknown, a refusal of a later one proves nothing.
    let for_certain = answer.is_some_and(|(number, refusal)| number == 1 && refusal.is_definite());
    let (was_stopped, is_known_unstopped) = (scene.was_stopped(), scene.is_known_unstopped(&record));
    let has_image = scene.home_row().is_some_and(|row| row.image_id.is_some());
    let capture = scene.status.capture.as_mut()?;
    if capture.image_requested_time.is_some() && (has_image || !refused) {
        return None;
    }
    let stopped = capture.stop_requested_time.is_some();
    if !stopped && !is_known_unstopped {
        return Some(Unmet::waiting(Reason::Capturing, format!("{message}; {UNKNOWN}"), SOON));
    }
    if capture.reason.is_none() {
        capture.reason = Some(reason);
        capture.message = Some(cut(message.to_owned(), 512));
    }
    if for_certain
        && !was_stopped
        && !stopped
        && capture.mode == CaptureMode::Reboot
        && capture.image_requested_time.is_some()
    {
        // Nothing was rebooted.
        capture.disruptions = capture.disruptions.saturating_sub(1).max(0);
    }
    Some(if stopped { abort(scene, &record) } else { withdraw(scene, &record) })
}

/// Takes the Stop back that EC2 refused, or that came after somebody else's: it disrupted nothing.
pub(crate) fn withdraw_stop(
    scene: &mut Scene<'_>,
    record: &Record,
    reason: CaptureReason,
    message: &str,
) -> Unmet {
    if let Some(capture) = scene.status.capture.as_mut() {
        capture.stop_requested_time = None;
        capture.source_stopped_time = None;
        capture.disruptions = capture.disruptions.saturating_sub(1).max(0);
        capture::fail(capture, reason, message);
    }
    withdraw(scene, record)
}

/// First the status, then `DeleteTags` by value until it is gone.
pub(super) fn withdraw(scene: &mut Scene<'_>, record: &Record) -> Unmet {
    let message = scene.capture().and_then(|capture| capture.message.clone()).unwrap_or_default();
    let waiting = Unmet::waiting(Reason::Preflight, message.clone(), SOON);
    let on_machine = scene.tagged_value().and_then(|value| value.parse::<Record>().ok());
    let ours = on_machine.filter(|tagged| tagged.capture == record.capture);
    let may_still_arrive = scene.announced(TAG).is_some();
    if scene.pause_left(UNTAG, PAUSE).is_some() || (ours.is_none() && !may_still_arrive) {
        return waiting;
    }
    let step = Step::Untag { record: ours.unwrap_or_else(|| record.clone()) };
    Unmet::acting(scene, Reason::Preflight, message, step)
}

pub(super) fn abort(scene: &mut Scene<'_>, record: &Record) -> Unmet {
    let message = scene.capture().and_then(|capture| capture.message.clone()).unwrap_or_default();
    give_back(scene, record, &message)
}

/// The restart loop gives the machine back a minute after the `m` that is written here.
pub(super) fn give_back(scene: &mut Scene<'_>, record: &Record, message: &str) -> Unmet {
    let launched = scene.instance().and_then(|instance| instance.launch_time);
    if launched.is_some_and(|launched| launched > record.planned) {
        return Unmet::waiting(Reason::RestoringSource, message, SOON);
    }
    rewrite(scene, record.aborted(scene.now), Reason::RestoringSource, message)
}

/// The record becomes this one, in the status and on the machine: written until it is seen there.
pub(crate) fn rewrite(scene: &mut Scene<'_>, record: Record, ready: Reason, message: &str) -> Unmet {
    let text = record.to_string();
    let written = scene.tagged_value() == Some(text.as_str());
    let known = scene.capture().is_some_and(|capture| capture.restart_record.as_ref() == Some(&text));
    if let Some(capture) = scene.status.capture.as_mut() {
        capture.restart_record = Some(text);
    }
    if written || (known && (scene.pause_left(RETAG, PAUSE).is_some() || !scene.is_fresh())) {
        return Unmet::waiting(ready, message, SOON);
    }
    Unmet::acting(scene, ready, message, Step::Tag { record, receipt: None, replaces: None })
}

/// The attempt has no image that could be served. Its image and snapshots stay.
pub(crate) fn fail(scene: &mut Scene<'_>, reason: CaptureReason, message: &str) -> Unmet {
    if let Some(capture) = scene.status.capture.as_mut() {
        capture::fail(capture, reason, message);
    }
    Unmet::waiting(Reason::Failed, message, SOON)
}
