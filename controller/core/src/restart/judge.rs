//! When an instance that we stopped must be started again (R0-R8), from its record and what EC2 shows.
use std::{fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    evidence::{Evidence, Volumes},
    record::{Awaits, Record},
};
use crate::{
    time::{self, after, later},
    world::{Absence, Image, ImageState, Instance, InstanceState, Snapshot, SnapshotState},
};

/// A signed request lives 15 minutes; one more for clocks.
const STOP_MAY_ARRIVE: SignedDuration = SignedDuration::from_mins(16);
/// CreateImage leaves this long before `m` at the latest; the restart loop acts this long after it.
pub const IMAGE_MARGIN: SignedDuration = SignedDuration::from_secs(60);
/// EC2 calls an id unknown this often, over this long, before it is believed.
const GONE: (u32, SignedDuration) = (3, SignedDuration::from_secs(60));
/// A snapshot of the capture that lacks its tags counts by volume, time and description.
pub const UNTAGGED_AFTER: SignedDuration = SignedDuration::from_secs(20);

/// The last instant at which a Stop under the record can arrive.
pub fn last_arrival(record: &Record) -> Timestamp {
    later(record.stop_by, STOP_MAY_ARRIVE)
}

/// Whether an id was unknown to EC2 often enough, for long enough, to be believed (R5).
pub fn is_gone(absence: Option<Absence>, now: Timestamp) -> bool {
    let (reads, span) = GONE;
    absence.is_some_and(|absence| absence.reads >= reads && now.duration_since(absence.since) >= span)
}

/// The pause after so many tries of a call about a record: 5 s, doubling to a minute.
pub fn pause(tries: u32) -> Duration {
    time::pause(i64::from(tries), Duration::from_secs(5), Duration::from_mins(1))
}

/// Whether a stopped machine was stopped by somebody else (R3).
pub fn stopped_by_somebody(record: &Record, instance: &Instance) -> bool {
    matches!(whose_stop(record, instance), Whose::Somebody)
}

/// Where a copy of the record was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// The tag is on the instance with this exact value, and nothing else tells of it.
    Tag,
    /// The same, and the status, or this process, remembers that a Stop was announced under it.
    Both,
    /// Remembered, and not on the instance: its tag is gone, or another value is in its place.
    Remembered,
}

/// Why a machine is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Due {
    /// `d` has passed.
    Deadline,
    /// The image of this capture failed, or one of its snapshots did.
    CaptureFailed,
    /// The barrier holds.
    SnapshotsStarted,
    /// The image is available.
    ImageAvailable,
    /// Nothing of this capture is in sight a minute after `m`.
    NothingInSight,
    /// An earlier start failed.
    StartFailed,
}

/// Why a record has done its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settled {
    /// Runs again since after the plan (R5).
    Paid,
    /// Was never stopped, and no Stop can arrive any more (R5).
    Unused,
    /// Somebody else stopped the machine: it stays as they want it (R3).
    StoppedBySomebody,
    /// A claim whose capture is past the machine (R0).
    ClaimOver,
}

/// What the restart loop does about one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing now.
    Wait,
    /// `StartInstances`. `since` is when it fell due by EC2's own times, where they tell.
    Start {
        /// Why.
        due: Due,
        /// Since when.
        since: Option<Timestamp>,
    },
    /// `DeleteTags` by value.
    Remove(Settled),
    /// The machine is owed but its tag is gone: `CreateTags`; where it is due, `StartInstances` right after.
    Rewrite {
        /// Why it is due, if it is, and since when.
        due: Option<(Due, Option<Timestamp>)>,
    },
    /// The instance will never run again: nothing to send, nothing owed.
    Void,
    /// A copied tag: not about this instance.
    Ignore,
    /// Whether we stopped it cannot be told: hold the record, start nothing, tell.
    Unclear(Unclear),
    /// So old, or so far ahead, that no honest record can be: hold it, start nothing, tell.
    Implausible,
}

/// Why it cannot be told whose stop it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unclear {
    /// `StateReason.Code` is not one that we know.
    Reason(String),
    /// Its last start failed before the record was written, as far as EC2 tells.
    StartFailedBefore(String),
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reason(code) if code.is_empty() => write!(f, "is stopped, and EC2 does not say why"),
            Self::Reason(code) => write!(f, "is stopped with the reason {code:?}, which is not known"),
            Self::StartFailedBefore(code) => {
                write!(
                    f,
                    "is stopped since a start failed ({code}), as it seems before this record was written"
                )
            }
        }
    }
}

/// Judges one record about one instance (R0, R3, R4, R5, R7).
pub fn judge(
    record: &Record,
    copy: Copy,
    instance: Option<&Instance>,
    evidence: Evidence<'_>,
    now: Timestamp,
) -> Verdict {
    let Some(instance) = instance else {
        return if is_gone(evidence.absence, now) { Verdict::Void } else { Verdict::Wait };
    };
    if instance.id != record.instance {
        return Verdict::Ignore;
    }
    let started_since = instance.launch_time.is_some_and(|launch| launch > record.planned);
    let is_believed = copy != Copy::Tag || record.is_plausible(now);
    match instance.state {
        InstanceState::ShuttingDown | InstanceState::Terminated => Verdict::Void,
        _ if record.awaits == Awaits::Nothing => judge_claim(record, instance, evidence, now),
        InstanceState::Running if started_since => Verdict::Remove(Settled::Paid),
        InstanceState::Running if now > last_arrival(record) => Verdict::Remove(Settled::Unused),
        InstanceState::Running
        | InstanceState::Pending
        | InstanceState::Stopping
        | InstanceState::Unknown => Verdict::Wait,
        InstanceState::Stopped if !is_believed => Verdict::Implausible,
        InstanceState::Stopped => judge_stopped(record, copy, instance, evidence, now),
    }
}

fn judge_claim(record: &Record, instance: &Instance, evidence: Evidence<'_>, now: Timestamp) -> Verdict {
    let imaged = evidence.barrier(record, Volumes::Of(instance)).is_some();
    let failed = capture_failed(record, instance, evidence);
    if imaged || failed || now >= later(record.image_by, IMAGE_MARGIN) {
        Verdict::Remove(Settled::ClaimOver)
    } else {
        Verdict::Wait
    }
}

fn judge_stopped(
    record: &Record,
    copy: Copy,
    instance: &Instance,
    evidence: Evidence<'_>,
    now: Timestamp,
) -> Verdict {
    let start = match whose_stop(record, instance) {
        Whose::Somebody => return Verdict::Remove(Settled::StoppedBySomebody),
        Whose::Unclear(code) => return Verdict::Unclear(Unclear::Reason(code)),
        // Who may tag a machine chooses `t` of what nobody remembers: such a start must have failed after it.
        Whose::FailedStart if copy == Copy::Tag && !failed_since(record, instance, now) => {
            let code = instance.state_reason.clone().unwrap_or_default();
            return Verdict::Unclear(Unclear::StartFailedBefore(code));
        }
        Whose::FailedStart => Some((Due::StartFailed, None)),
        // Who stopped it, or since when it ran, may be missing in one reply: what is not told is waited for until `d`.
        Whose::Ours if is_told(instance) || now >= record.start_by => due(record, instance, evidence, now),
        Whose::Ours => None,
    };
    match (copy, start) {
        (Copy::Remembered, due) => Verdict::Rewrite { due },
        (Copy::Tag | Copy::Both, Some((due, since))) => Verdict::Start { due, since },
        (Copy::Tag | Copy::Both, None) => Verdict::Wait,
    }
}

enum Whose {
    Ours,
    FailedStart,
    Somebody,
    Unclear(String),
}

const FAILED_STARTS: &[&str] = &[
    "Client.InternalError",
    "Client.VolumeLimitExceeded",
    "Client.InvalidSnapshot.NotFound",
    "Server.InternalError",
    "Server.InsufficientInstanceCapacity",
];
const STOPS_OF_OTHERS: &[&str] =
    &["Client.InstanceInitiatedShutdown", "Client.UserInitiatedHibernate", "Server.ScheduledStop"];

/// R3: who stopped the machine.
fn whose_stop(record: &Record, instance: &Instance) -> Whose {
    let code = instance.state_reason.as_deref().unwrap_or_default();
    if FAILED_STARTS.contains(&code) {
        return Whose::FailedStart;
    }
    if STOPS_OF_OTHERS.contains(&code) || code.starts_with("Server.Spot") {
        return Whose::Somebody;
    }
    let started_since = instance.launch_time.is_some_and(|launch| launch > record.planned);
    // Whether EC2 tells when a stop began or when it ended is not known: one that the plan is patient with ends before `m`.
    let window = after(record.planned, -2)..=last_arrival(record).max(record.image_by);
    let in_window = instance.transition_time.is_none_or(|time| window.contains(&time));
    match code {
        // A reply without the reason says nothing against the record.
        "Client.UserInitiatedShutdown" | "" if in_window && !started_since => Whose::Ours,
        "Client.UserInitiatedShutdown" => Whose::Somebody,
        _ => Whose::Unclear(code.to_owned()),
    }
}

/// Whether the start that failed can have been that of the record. EC2 may give no time of the transition: then `d` is
/// waited for.
fn failed_since(record: &Record, instance: &Instance, now: Timestamp) -> bool {
    let since = after(record.planned, -2);
    instance.launch_time.is_some_and(|launch| launch > record.planned)
        || instance.transition_time.map_or(now >= record.start_by, |time| time >= since)
}

fn is_told(instance: &Instance) -> bool {
    instance.launch_time.is_some() && instance.state_reason.as_deref().is_some_and(|code| !code.is_empty())
}

fn capture_failed(record: &Record, instance: &Instance, evidence: Evidence<'_>) -> bool {
    let gone = |image: &Image| matches!(image.state, ImageState::Failed | ImageState::Deregistered);
    let broken = |snapshot: &Snapshot| snapshot.state == SnapshotState::Error;
    evidence.images.unwrap_or_default().iter().any(|image| record.made(image) && gone(image))
        || evidence.snapshots_of(record, Volumes::Of(instance)).any(broken)
}

/// R4: whether a machine that we stopped is due, and since when.
fn due(
    record: &Record,
    instance: &Instance,
    evidence: Evidence<'_>,
    now: Timestamp,
) -> Option<(Due, Option<Timestamp>)> {
    let volumes = Volumes::Of(instance);
    if now >= record.start_by {
        return Some((Due::Deadline, Some(record.start_by)));
    }
    if capture_failed(record, instance, evidence) {
        return Some((Due::CaptureFailed, None));
    }
    // A second later than the last snapshot, so that the launch is provably after it: EC2 gives launch times in seconds.
    let barrier = evidence.barrier(record, volumes).filter(|last| now > *last);
    if let Some(since) = barrier.filter(|_| record.awaits == Awaits::Snapshots) {
        return Some((Due::SnapshotsStarted, Some(since)));
    }
    let (images, _) = (evidence.images?, evidence.snapshots?);
    if images.iter().any(|image| record.made(image) && image.state == ImageState::Available) {
        return Some((Due::ImageAvailable, None));
    }
    // Snapshots that are still to come are waited for; an image that is gone never comes, though its snapshots stay.
    let snapshots_to_come = barrier.is_none() && evidence.snapshots_of(record, volumes).next().is_some();
    let in_sight = snapshots_to_come || images.iter().any(|image| record.made(image));
    let given_up = later(record.image_by, IMAGE_MARGIN);
    (!in_sight && now >= given_up).then_some((Due::NothingInSight, Some(given_up)))
}

#[cfg(test)]
mod tests;
