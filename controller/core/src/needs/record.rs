//! The record is on the machine and the restart loop sees it; until then nothing is stopped. Also its way back.
use std::time::Duration;

use jiff::SignedDuration;
use saved_template_api::{
    Reason,
    condition::cut,
    names,
    spec::CaptureMode,
    status::{CaptureStatus, RegionState},
};

use crate::{
    debt::{Awaits, Record},
    decide::Question,
    fold::fail_as,
    needs::{LATER, SOON, Unmet, image, plan, support},
    quote::quoted,
    receipt,
    refusal::{Class, Refusal},
    scene::{Scene, seconds_between},
    step::{RETAG, Step, TAG, UNTAG},
    world::{Instance, InstanceState},
};

/// R1: two reads of the restart loop's own query, this far apart, must have returned the exact value.
pub(crate) const SEEN_FOR: i64 = 5;
/// A refusal within this many seconds of tagging may be IAM that does not see the tag yet (R1).
const IAM_LAG: i64 = 45;
/// Why an attempt ended whose spec was changed before anything was asked for under it.
pub(crate) const REPLANNED: &str = "Replanned";
/// Why nothing is withdrawn yet.
const UNKNOWN: &str = "making sure that no stop is on its way to the machine";
const PAUSE: Duration = Duration::from_secs(20);
/// A record of another installation on a running machine is dead this long after its `d`.
const DEAD_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// What is no honest record, on a machine that runs, is ignored once it has been seen unchanged for so long.
const STOOD_STILL: SignedDuration = SignedDuration::from_hours(24);

pub(crate) fn need(scene: &mut Scene<'_>) -> Result<Option<Unmet>, Question> {
    let Some(capture) = scene.open_capture().filter(|capture| capture.debt.is_some()).cloned() else {
        return Ok(None);
    };
    let Some(record) = scene.record() else {
        return Ok(None);
    };
    match (&capture.reason, &capture.stop_requested_time) {
        (Some(_), None) => Ok(Some(withdraw(scene, &record))),
        (Some(_), Some(_)) => Ok(Some(abort(scene, &record))),
        (None, Some(_)) => Ok(lost_image(scene).map(|message| give_back(scene, &record, &message))),
        (None, None) if capture.image_requested_time.is_some() => Ok(None),
        (None, None) => planned(scene, &capture, &record).map(Some),
    }
}

/// The status alone names the machine: nothing is done about it.
pub(crate) fn unsupported(scene: &Scene<'_>) -> Option<Unmet> {
    let record = scene.open_capture()?.debt.as_ref()?.parse::<Record>().ok()?;
    let message = format!(
        "the status says that {id} is owed a start, and neither spec.source nor a tag or image in EC2 says that it is this \
         template's: nothing is done about it. If it is, set spec.source.instanceID to {id}",
        id = record.instance
    );
    let is_supported = scene.is_supported(&record);
    (!is_supported).then(|| Unmet { look_again: LATER, ..Unmet::invalid(Reason::SourceChanged, message) })
}

/// The image that the machine waits for is gone: somebody deregistered it.
fn lost_image(scene: &Scene<'_>) -> Option<String> {
    let row = scene.home_row().filter(|row| row.state == RegionState::Missing)?;
    let id = row.image_id.as_ref().map(ToString::to_string).unwrap_or_default();
    Some(row.message.clone().unwrap_or_else(|| format!("{id} is gone")))
}

fn planned(scene: &mut Scene<'_>, capture: &CaptureStatus, record: &Record) -> Result<Unmet, Question> {
    let text = record.to_string();
    let waiting = |message: &str| Unmet::waiting(Reason::Capturing, message, SOON);
    if let Some(message) = support::refusal(scene) {
        return Ok(end(scene, Reason::NotYetSupported, &message).unwrap_or_else(|| waiting(&message)));
    }
    if scene.subject.spec.suspend {
        let unmet = plan::suspended(scene);
        return Ok(end(scene, Reason::Suspended, &unmet.message).unwrap_or(unmet));
    }
    let Some(instance) = scene.instance() else {
        return Ok(waiting("EC2 does not show the machine"));
    };
    let as_planned = instance.launch_time == capture.launch_time.as_ref().map(|at| at.0);
    if scene.tagged_value().is_some_and(|value| value != text && !is_stale(scene, instance, value)) {
        let message = "another restart record of this installation is on the machine: it is paid first";
        return Ok(end(scene, Reason::InstanceBusy, message).unwrap_or_else(|| waiting(message)));
    }
    if scene.now > record.stop_by && as_planned {
        if !scene.is_known_unstopped(record) {
            return Ok(waiting(UNKNOWN));
        }
        if plan::is_of_another_spec(scene, capture) {
            let message =
                "the spec was changed before anything was asked for under the plan: it is planned anew";
            return Ok(give_up(scene, REPLANNED, message).unwrap_or_else(|| waiting(message)));
        }
        return Ok(plan::again(scene, capture, instance));
    }
    match scene.tagged_value() {
        Some(value) if value == text => {}
        Some(value) if as_planned && is_stale(scene, instance, value) => {
            return Ok(tag(scene, record, Some(value.to_owned())));
        }
        None if as_planned => return Ok(tag(scene, record, None)),
        Some(_) | None => {}
    }
    if let Some((key, _)) = foreign_record(scene, instance) {
        let message =
            format!("another installation is saving {}: it carries the tag {}", instance.id, quoted(key));
        return Ok(end(scene, Reason::InstanceBusy, &message).unwrap_or_else(|| waiting(&message)));
    }
    let sighting = scene.view().and_then(|view| view.sightings.get(&(instance.id.clone(), text)));
    let original = scene.status.source.as_ref().and_then(|source| source.original_state.clone());
    if original.as_deref() != Some(instance.state.as_str()) || !as_planned {
        let message = format!(
            "{} is {}: somebody stopped or restarted it since the plan",
            instance.id,
            instance.state.as_str()
        );
        return Ok(end(scene, Reason::InstanceBusy, &message).unwrap_or_else(|| waiting(&message)));
    }
    if sighting.is_none_or(|seen| seconds_between(seen.first, seen.last) < SEEN_FOR) {
        if let Some(step) = receipt::fold(scene, instance) {
            let message = "the receipts on the machine become one tag";
            return Ok(Unmet::acting(scene, Reason::Capturing, message, step));
        }
        return Ok(waiting("the restart record is on the machine; waiting until it is found again"));
    }
    if record.awaits == Awaits::Nothing {
        return Ok(image::claim(scene, capture, record, instance));
    }
    let Some(permits) = scene.world.permits.clone() else {
        return Err(Question::Permits(instance.id.clone()));
    };
    if let Err(refusal) = permits.start.and(permits.stop) {
        return Ok(not_permitted(scene, record, &refusal));
    }
    Ok(stop(scene, record))
}

/// The write that announces the stop: from here on the record is a debt.
pub(crate) fn stop(scene: &mut Scene<'_>, record: &Record) -> Unmet {
    let now = scene.time();
    if let Some(capture) =
        scene.status.capture.as_mut().filter(|capture| capture.stop_requested_time.is_none())
    {
        capture.stop_requested_time = Some(now);
        capture.disruptions = capture.disruptions.saturating_add(1);
    }
    let message = format!("stopping {}", record.instance);
    Unmet::acting(scene, Reason::Capturing, message, Step::Stop { record: record.clone(), force: false })
}

fn tag(scene: &mut Scene<'_>, record: &Record, replaces: Option<String>) -> Unmet {
    let refused = scene.announced(TAG).and_then(|announced| announced.settled.clone());
    if let Some((code, message)) = refused.as_deref().and_then(|text| text.split_once(": ")) {
        let refusal = Refusal::new("CreateTags", code, message);
        let reason = refusal.reason().filter(|_| refusal.is_definite());
        if let Some(unmet) = reason.and_then(|reason| end(scene, reason, &told(&refusal))) {
            return unmet;
        }
    }
    if scene.pause_left(TAG, PAUSE).is_some() || !scene.is_fresh() {
        return Unmet::waiting(
            Reason::Capturing,
            "waiting for the restart record to show on the machine",
            SOON,
        );
    }
    let step = Step::Tag { record: record.clone(), receipt: Some(receipt::of(scene)), replaces };
    Unmet::acting(scene, Reason::Capturing, "writing the restart record to the machine", step)
}

/// A live record of another installation: its machine does not run, or its limit has not long passed (§4).
pub(crate) fn foreign_record<'a>(
    scene: &Scene<'_>,
    instance: &'a Instance,
) -> Option<(&'a String, &'a String)> {
    let ours = scene.debt_key();
    let live = |value: &str| {
        let over = value.parse::<Record>().is_ok_and(|record| passed(record.start_by, DEAD_AFTER, scene.now));
        instance.state != InstanceState::Running || !(over || is_stale(scene, instance, value))
    };
    let mut foreign =
        instance.tags.iter().filter(|(key, _)| key.starts_with(names::tag::DEBT_PREFIX) && **key != ours);
    foreign.find(|(_, value)| live(value))
}

/// The key of a record on the machine that nobody can be owed by: it runs, and the value is no record of it that can be
/// honest, and has stood still for a day.
pub(crate) fn stale(scene: &Scene<'_>, instance: &Instance) -> Option<String> {
    let records = instance.tags.iter().filter(|(key, _)| key.starts_with(names::tag::DEBT_PREFIX));
    let mut stale = records.filter(|(_, value)| is_stale(scene, instance, value));
    stale.next().map(|(key, _)| cut(key.clone(), 64))
}

/// Whether a value is a record of this machine that can be honest.
pub(crate) fn is_honest(scene: &Scene<'_>, instance: &Instance, value: &str) -> bool {
    let record = value.parse::<Record>();
    record.is_ok_and(|record| record.instance == instance.id && record.is_plausible(scene.now))
}

fn is_stale(scene: &Scene<'_>, instance: &Instance, value: &str) -> bool {
    let seen = scene.view().and_then(|view| view.sightings.get(&(instance.id.clone(), value.to_owned())));
    let stood_still = seen.is_some_and(|seen| seen.last.duration_since(seen.first) >= STOOD_STILL);
    instance.state == InstanceState::Running && !is_honest(scene, instance, value) && stood_still
}

fn not_permitted(scene: &mut Scene<'_>, record: &Record, refusal: &Refusal) -> Unmet {
    let lag = seconds_between(record.planned, scene.now) < IAM_LAG;
    let wait = Unmet::waiting(Reason::Capturing, format!("waiting for permission: {refusal}"), SOON);
    if refusal.passes() || (refusal.class == Class::Denied && lag) {
        return wait;
    }
    let ended = refusal.reason().and_then(|reason| end(scene, reason, &told(refusal)));
    ended.unwrap_or(wait)
}

/// What EC2 refused, and what helps where it was not allowed.
pub(crate) fn told(refusal: &Refusal) -> String {
    told_within(refusal, usize::MAX)
}

/// The same, of at most so many bytes: what helps is never cut off.
pub(crate) fn told_within(refusal: &Refusal, most: usize) -> String {
    let help = if refusal.lacks_permission() {
        format!("; allow ec2:{} to the controller's identity (README, IAM)", refusal.operation)
    } else if refusal.class == Class::Denied {
        "; see that the controller's credentials are valid and that the account may do this".to_owned()
    } else {
        String::new()
    };
    format!("{}{help}", cut(refusal.to_string(), most.saturating_sub(help.len())))
}

/// Ends a capture with a reason: withdrawn where nothing was stopped, else aborted.
fn end(scene: &mut Scene<'_>, reason: Reason, message: &str) -> Option<Unmet> {
    give_up(scene, reason.name(), message)
}

/// R6: gives the capture up. Nothing stopped: the record is withdrawn; else it is rewritten with `m := now`.
/// None where CreateImage is out and only its end can be waited for.
pub(crate) fn give_up(scene: &mut Scene<'_>, reason: &str, message: &str) -> Option<Unmet> {
    let record = scene.record()?;
    let last = scene.announced(crate::step::CREATE_IMAGE);
    let answer = last.and_then(|last| Some((last.number, last.settled.as_deref()?.split_once(": ")?)));
    let answer = answer.map(|(number, (code, text))| (number, Refusal::new("CreateImage", code, text)));
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
        capture.reason = Some(reason.to_owned());
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
pub(crate) fn withdraw_stop(scene: &mut Scene<'_>, record: &Record, word: &str, message: &str) -> Unmet {
    if let Some(capture) = scene.status.capture.as_mut() {
        capture.stop_requested_time = None;
        capture.source_stopped_time = None;
        capture.disruptions = capture.disruptions.saturating_sub(1).max(0);
        fail_as(capture, word, message);
    }
    withdraw(scene, record)
}

/// First the status, then `DeleteTags` by value until it is gone.
fn withdraw(scene: &mut Scene<'_>, record: &Record) -> Unmet {
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

fn abort(scene: &mut Scene<'_>, record: &Record) -> Unmet {
    let message = scene.capture().and_then(|capture| capture.message.clone()).unwrap_or_default();
    give_back(scene, record, &message)
}

/// The restart loop gives the machine back a minute after the `m` that is written here.
fn give_back(scene: &mut Scene<'_>, record: &Record, message: &str) -> Unmet {
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
    let known = scene.capture().is_some_and(|capture| capture.debt.as_ref() == Some(&text));
    if let Some(capture) = scene.status.capture.as_mut() {
        capture.debt = Some(text);
    }
    if written || (known && (scene.pause_left(RETAG, PAUSE).is_some() || !scene.is_fresh())) {
        return Unmet::waiting(ready, message, SOON);
    }
    Unmet::acting(scene, ready, message, Step::Tag { record, receipt: None, replaces: None })
}

/// Whether a span has passed since `since`.
pub(crate) fn passed(since: jiff::Timestamp, span: SignedDuration, now: jiff::Timestamp) -> bool {
    now.duration_since(since) >= span
}

#[cfg(test)]
mod tests;
