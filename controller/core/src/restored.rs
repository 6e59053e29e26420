//! Where the machine of a capture is on its way down and back.
use saved_template_api::{
    Reason,
    spec::{CaptureMode, RestartWhen},
    status::CaptureStatus,
};

use crate::{
    ec2_error::{Ec2Error, ErrorClass, IMPLAUSIBLE_RECORD, UNCLEAR_STATE, speaks_of_keys},
    facts::Facts,
    time::seconds_between,
    world::InstanceState,
};

/// A guest that has not shut down after some minutes is powered off by EC2.
const SLOW_STOP_SECONDS: i64 = 240;

/// Where the machine is on its way down and back.
pub(crate) fn source_restored(facts: &Facts<'_>, capture: &CaptureStatus) -> (Reason, String) {
    let id = facts.instance_id().map(|id| id.to_string()).unwrap_or_default();
    if facts.was_stopped() {
        return (Reason::LeftStopped, format!("{id} was stopped before, and stays stopped"));
    }
    if capture.mode == CaptureMode::Reboot && capture.image_requested_time.is_some() {
        let back = capture.snapshots_started_time.is_some() || capture.completion_time.is_some();
        return if back {
            (Reason::Restored, format!("{id} runs again: EC2 rebooted it"))
        } else {
            (Reason::Stopping, format!("{id} is being rebooted by EC2"))
        };
    }
    let Some(requested) = &capture.stop_requested_time else {
        let left = facts.instance().is_some_and(|instance| instance.state == InstanceState::Stopped);
        return if left && capture.reason.is_some() {
            (Reason::LeftStopped, format!("{id} was stopped by somebody else and stays stopped"))
        } else {
            (Reason::NeverTouched, format!("{id} was not touched"))
        };
    };
    if let Some(seconds) = capture.downtime_seconds.filter(|_| capture.source_restored_time.is_some()) {
        let stopped = capture.source_stopped_time.as_ref();
        let cut_off =
            stopped.is_some_and(|stopped| seconds_between(requested.0, stopped.0) > SLOW_STOP_SECONDS);
        let late = if cut_off { "; a stop of minutes may have cut the guest off" } else { "" };
        return (Reason::Restored, format!("{id} runs again after {seconds} s{late}"));
    }
    if facts.is_gone() {
        return (Reason::InstanceTerminated, format!("{id} was terminated: there is nothing to give back"));
    }
    if capture.restart_record.is_none() {
        return (
            Reason::LeftStopped,
            format!("{id} was stopped by somebody else meanwhile and stays stopped"),
        );
    }
    if let Some(refusal) = &facts.world.start_refused {
        return refused(facts, &id, refusal);
    }
    let down = seconds_between(requested.0, facts.now);
    if down > i64::from(capture.max_downtime_seconds) {
        return (
            Reason::DowntimeExceeded,
            format!("{id} is down for longer than maxDowntimeSeconds; it is being started"),
        );
    }
    match facts.instance().map(|instance| instance.state) {
        Some(InstanceState::Stopped) if capture.snapshots_started_time.is_some() => {
            match capture.restart_when {
                RestartWhen::SnapshotsStarted => (Reason::Starting, format!("{id} is being started")),
                RestartWhen::ImageAvailable => {
                    (Reason::Stopped, format!("{id} is stopped until its image is available (restartWhen)"))
                }
            }
        }
        Some(InstanceState::Stopped) => (Reason::Stopped, format!("{id} is stopped")),
        Some(InstanceState::Pending) => (Reason::Starting, format!("{id} is starting")),
        Some(InstanceState::Running | InstanceState::Stopping | InstanceState::Unknown) | None => {
            (Reason::Stopping, format!("{id} is being stopped"))
        }
        Some(InstanceState::ShuttingDown | InstanceState::Terminated) => (Reason::InstanceTerminated, id),
    }
}

/// A start that does not succeed is tried for ever; the message says what helps.
fn refused(facts: &Facts<'_>, id: &str, refusal: &Ec2Error) -> (Reason, String) {
    let start = format!("aws ec2 start-instances --region {} --instance-ids {id}", facts.home());
    // EC2 was not asked: its owner decides.
    if [UNCLEAR_STATE, IMPLAUSIBLE_RECORD].contains(&refusal.code.as_str()) {
        return (Reason::StartFailed, format!("{} ({start})", refusal.message));
    }
    let state = facts.instance().and_then(|instance| instance.state_reason.as_deref()).unwrap_or_default();
    let of_keys = speaks_of_keys(&refusal.code) || speaks_of_keys(&refusal.message) || speaks_of_keys(state);
    let tried = format!("{id} could not be started: {refusal}. It is tried again for ever");
    let text = match refusal.class {
        ErrorClass::Capacity => {
            let text = format!(
                "{id} stays stopped: {refusal}. It is tried again for ever; to help, free capacity or change the instance type, or try {start}"
            );
            return (Reason::InsufficientCapacity, text);
        }
        ErrorClass::Denied | ErrorClass::Caller if of_keys => format!(
            "{tried}; to help, allow ec2:StartInstances and the keys of its volumes (kms:CreateGrant), or try {start}"
        ),
        ErrorClass::Denied if refusal.lacks_permission() => format!(
            "{tried}; to help, allow ec2:StartInstances and, where its volumes are encrypted, their keys (kms:CreateGrant), or try {start}"
        ),
        ErrorClass::Denied => {
            format!("{tried}; to help, see that the controller's credentials are valid, or try {start}")
        }
        ErrorClass::Unknown | ErrorClass::Late => {
            format!("{id} is not started yet: EC2 does not answer ({refusal}). It is tried again for ever")
        }
        ErrorClass::Throttle => {
            format!("{id} is not started yet: EC2 asks to slow down ({refusal}). It is tried again for ever")
        }
        ErrorClass::Wait => format!(
            "{id} is not started yet: EC2 is not ready for it ({refusal}). It is tried again for ever"
        ),
        ErrorClass::NotFound | ErrorClass::NameTaken | ErrorClass::TokenUsed | ErrorClass::Caller => {
            format!("{tried}; to help, remove the cause that EC2 names, or try {start}")
        }
    };
    (Reason::StartFailed, text)
}
