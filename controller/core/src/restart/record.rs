//! The record itself: its times, its text, and what belongs to it.
use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use saved_template_api::{ids::InstanceId, spec::RestartWhen};

use crate::time::{after, later};

/// After the plan, Stop may leave for this long.
const STOP_WITHIN: i64 = 60;
/// The hard stop leaves within this of the plan: the longest `stop.timeoutSeconds`, and what it takes to get there.
const FORCED_WITHIN: i64 = 75 * 60;
/// The hard stop needs this long before `d`.
const FORCED_BEFORE: i64 = 180;
/// `m` leaves this long for the image after the stop timeout.
const IMAGE_AFTER_STOP: i64 = 180;
/// The shortest `stop.timeoutSeconds`.
const SHORTEST_STOP_TIMEOUT: i64 = 60;
/// `m` is this long before `d` at least.
const IMAGE_BEFORE: i64 = 60;
/// The shortest and the longest `maxDowntimeSeconds`.
const SHORTEST_DOWNTIME: i64 = 300;
const LONGEST_DOWNTIME: i64 = 86_400;
/// Clocks of one region do not differ by more.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// How long after `d` a record that nobody remembers is believed.
const TOO_OLD: SignedDuration = SignedDuration::from_hours(72);
/// EC2 attaches no more volumes to one instance ("Amazon EBS volume limits for EC2 instances").
const MOST_VOLUMES: usize = 128;

/// What ends the wait of a stopped machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Awaits {
    /// Every volume has a snapshot: the barrier.
    Snapshots,
    /// The image is available.
    Image,
    /// A claim that owes nothing: the machine is not stopped under it.
    Nothing,
}

impl Awaits {
    /// What ends the wait of a machine that is stopped for a capture.
    pub(crate) const fn of(restart_when: RestartWhen) -> Self {
        match restart_when {
            RestartWhen::SnapshotsStarted => Self::Snapshots,
            RestartWhen::ImageAvailable => Self::Image,
        }
    }
}

impl Awaits {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Snapshots => "snapshots",
            Self::Image => "image",
            Self::Nothing => "nothing",
        }
    }
}

/// A restart debt: one tag on the instance that holds all that is needed to give it back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// `i`: the instance; a record on another one is a copied tag.
    pub instance: InstanceId,
    /// `c`: the capture, 16 hex, new for each disruption.
    pub capture: String,
    /// `o`: first 8 hex of the kube-system namespace's uid; for messages only.
    pub owner: String,
    /// `t`: planned.
    pub planned: Timestamp,
    /// `s`: the last instant to send `StopInstances`.
    pub stop_by: Timestamp,
    /// `m`: no image in sight a minute after this gives the machine back.
    pub image_by: Timestamp,
    /// `d`: the machine is started then, whatever else.
    pub start_by: Timestamp,
    /// `w`: what ends the wait.
    pub awaits: Awaits,
    /// `n`: volumes that must have a snapshot.
    pub volumes: usize,
}

/// Stands before the text of a record that is not authentic: what begins with it is no record.
pub(super) const UNAUTHENTIC: &str = "not authentic: ";

/// Why a record could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unreadable {
    /// We can not have written it.
    Malformed,
    /// It says that a later version wrote it, which may be true.
    Later,
    /// It lacks a signature by a key of this installation, or has a wrong one.
    Unauthentic,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a restart record that this version of the controller can have written",
            Self::Later => "a restart record of a later version of the controller",
            Self::Unauthentic => "a restart record that is not signed with a key of this installation",
        })
    }
}

impl std::error::Error for Unreadable {}

/// The stop timeout that a capture has: the declared one, cut so that the image still fits before `d`.
pub fn stop_timeout(declared_seconds: i32, max_downtime_seconds: i32) -> i64 {
    i64::from(declared_seconds).min(i64::from(max_downtime_seconds).saturating_sub(240))
}

/// A debt: the machine and the capture. The capture alone can be read on the machine, and written onto any other one.
pub type Debtor = (InstanceId, String);

impl Record {
    /// Whose debt it is, whatever becomes of its times.
    pub fn debtor(&self) -> Debtor {
        (self.instance.clone(), self.capture.clone())
    }

    /// A record for a capture that is planned at `now`.
    pub fn plan(
        instance: InstanceId,
        capture: String,
        owner: String,
        now: Timestamp,
        (stop_timeout_seconds, max_downtime_seconds): (i32, i32),
        awaits: Awaits,
        volumes: usize,
    ) -> Self {
        let stop_timeout = stop_timeout(stop_timeout_seconds, max_downtime_seconds);
        Self {
            instance,
            capture,
            owner,
            planned: now,
            stop_by: after(now, STOP_WITHIN),
            image_by: after(now, stop_timeout.saturating_add(IMAGE_AFTER_STOP)),
            start_by: after(now, i64::from(max_downtime_seconds)),
            awaits,
            volumes,
        }
    }

    /// The record that ends the capture at `now`: the machine is given back a minute later.
    #[must_use]
    pub fn aborted(&self, now: Timestamp) -> Self {
        Self { image_by: self.image_by.min(now.max(self.planned)), ..self.clone() }
    }

    /// The record under which a machine that does not stop is stopped the hard way (R6): new `s` and `m`.
    #[must_use]
    pub fn forced(&self, now: Timestamp) -> Self {
        let image_by = after(now, 240).min(after(self.start_by, -IMAGE_BEFORE));
        Self { stop_by: after(now, STOP_WITHIN), image_by, ..self.clone() }
    }

    /// The record of the hard stop that has this `s`.
    pub(super) fn forced_with(&self, stop_by: Timestamp) -> Self {
        self.forced(after(stop_by, -STOP_WITHIN))
    }

    /// Whether the hard stop can have been planned by `now` with this `s`: once, after the stop timeout that `m` tells of, and
    /// not over an abort, which ends the wait for the stop. An abort that came late looks like a plan with a shorter timeout.
    pub(super) fn may_be_forced_with(&self, stop_by: Timestamp, now: Timestamp) -> bool {
        let (patience, planned) = (after(self.image_by, -IMAGE_AFTER_STOP), after(stop_by, -STOP_WITHIN));
        let is_aborted = patience < after(self.planned, SHORTEST_STOP_TIMEOUT);
        !self.is_forced() && !is_aborted && (patience..=after(now, STOP_WITHIN)).contains(&planned)
    }

    /// R6: whether the hard stop may still be planned at `now`: three minutes remain to `d`.
    pub fn may_force(&self, now: Timestamp) -> bool {
        after(now, FORCED_BEFORE) <= self.start_by && self.forced(now).is_possible()
    }

    /// Whether [`Self::plan`], [`Self::forced`] and [`Self::aborted`] can have made it: anybody who may tag the instance
    /// can have written anything.
    fn is_possible(&self) -> bool {
        let (t, s, m, d) = (self.planned, self.stop_by, self.image_by, self.start_by);
        (after(t, STOP_WITHIN)..=after(t, FORCED_WITHIN)).contains(&s)
            && t <= m
            && m <= after(d, -IMAGE_BEFORE)
            && s < d
            && (after(t, SHORTEST_DOWNTIME)..=after(t, LONGEST_DOWNTIME)).contains(&d)
            && (1..=MOST_VOLUMES).contains(&self.volumes)
    }

    /// Whether it may be honest at `now`. While any replica lives no debt gets three days old, and none is planned ahead;
    /// a tag can have been written by anybody.
    pub fn is_plausible(&self, now: Timestamp) -> bool {
        self.planned <= later(now, AHEAD) && now <= later(self.start_by, TOO_OLD)
    }

    /// Whether the hard stop was planned: only then is `s` later than a minute after `t`.
    pub fn is_forced(&self) -> bool {
        self.stop_by > after(self.planned, STOP_WITHIN)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "v1 i={} c={} o={} t={} s={} m={} d={} w={} n={}",
            self.instance,
            self.capture,
            self.owner,
            self.planned.as_second(),
            self.stop_by.as_second(),
            self.image_by.as_second(),
            self.start_by.as_second(),
            self.awaits.as_str(),
            self.volumes,
        )
    }
}

impl FromStr for Record {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        if text.starts_with(UNAUTHENTIC) {
            return Err(Unreadable::Unauthentic);
        }
        Self::read(text).ok_or_else(|| if is_later(text) { Unreadable::Later } else { Unreadable::Malformed })
    }
}

/// Whether a text says that it is of a version above ours: `v2 …`.
fn is_later(text: &str) -> bool {
    let version = text.strip_prefix('v').and_then(|rest| rest.split_once(' ')).map(|(version, _)| version);
    version.is_some_and(|version| version.parse::<u16>().is_ok_and(|version| version > 1))
}

impl Record {
    fn read(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix("v1 ")?.split(' ');
        let mut word = |key: &str| words.next()?.strip_prefix(key).filter(|value| !value.is_empty());
        let time = |text: &str| Timestamp::from_second(text.parse().ok()?).ok();
        let hex = |text: &str, length: usize| {
            let good = text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            good.then(|| text.to_owned())
        };
        let record = Self {
            instance: word("i=")?.parse().ok()?,
            capture: hex(word("c=")?, 16)?,
            owner: hex(word("o=")?, 8)?,
            planned: time(word("t=")?)?,
            stop_by: time(word("s=")?)?,
            image_by: time(word("m=")?)?,
            start_by: time(word("d=")?)?,
            awaits: match word("w=")? {
                "snapshots" => Awaits::Snapshots,
                "image" => Awaits::Image,
                "nothing" => Awaits::Nothing,
                _ => return None,
            },
            volumes: word("n=")?.parse().ok()?,
        };
        (words.next().is_none() && record.is_possible()).then_some(record)
    }
}
