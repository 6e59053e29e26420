//! Limits on what objects make us ask EC2 about their machines: answers are kept, and questions wait for their turn.
//!
//! Whoever may write an object can edit it, or delete it and create it anew, as often as he likes; EC2's request buckets are
//! the whole account's. Instants are those of the process's own monotonic clock.
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, Instant},
};

use crate::{
    decision::Question,
    ec2_error::ErrorClass,
    key::Key,
    rate_limit::RateLimit,
    world::{Instance, Probe},
};

/// An object asks no sooner again, whatever it asks. Younger answers are what a plan rests on.
pub(crate) const PACE: Duration = Duration::from_secs(5);
/// Answers of which none stands in the way are good for this long, as long as nothing is planned.
const KEPT: Duration = Duration::from_mins(1);
/// In one region: so many at once, then one in each second. EC2 counts the `DryRun` of CreateImage as it counts CreateImage.
const BURST: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(1);
/// When all turns of the near future are given away. Of many who are turned away each comes again later by so much for each
/// other one: two thousand that came back every ten seconds would leave no time for those that have a turn, or a machine.
const LATER: Duration = Duration::from_secs(10);
const SPACING: Duration = Duration::from_millis(250);
const LATEST: Duration = Duration::from_mins(5);
/// Objects that are remembered at once.
const MOST: usize = 4096;

/// What becomes of a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// It was answered before.
    Kept(Box<Probe>),
    /// It is asked now.
    Ask,
    /// It is asked when so much time has passed.
    Wait(Duration),
}

/// What the answers are needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// The status: what has changed within a minute is told a minute later.
    Telling,
    /// A plan, after which the machine is stopped.
    Planning,
}

/// The answers and turns of one region.
#[derive(Debug)]
pub struct Turns {
    limit: RateLimit,
    rows: HashMap<Key, Row>,
    crowd: Crowd,
}

/// How many were turned away within the last [`LATER`], and within the one before.
#[derive(Debug, Default)]
struct Crowd {
    since: Option<Instant>,
    now: u32,
    before: u32,
}

impl Crowd {
    /// When somebody who is turned away comes again.
    fn turn_away(&mut self, now: Instant) -> Duration {
        let age = self.since.map(|since| now.saturating_duration_since(since));
        if age.is_none_or(|age| age >= LATER) {
            let is_next = age.is_some_and(|age| age < LATER.saturating_mul(2));
            (self.since, self.before, self.now) = (Some(now), if is_next { self.now } else { 0 }, 0);
        }
        self.now = self.now.saturating_add(1);
        SPACING.saturating_mul(self.now.max(self.before)).clamp(LATER, LATEST)
    }
}

#[derive(Debug)]
struct Row {
    turn: Instant,
    /// Whether the turn is still to come.
    open: bool,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    print: u64,
    at: Instant,
    lasts: Duration,
    probe: Probe,
}

impl Default for Turns {
    fn default() -> Self {
        Self { limit: RateLimit::new(BURST, INTERVAL), rows: HashMap::new(), crowd: Crowd::default() }
    }
}

/// All that answers depend on, as one number: what is asked, and the machine that it is asked of.
pub fn print(question: &Question, instances: &[Instance]) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{question:?}").hash(&mut hasher);
    if let Question::Probe { instance, .. } = question {
        instances.iter().find(|one| one.id == *instance).hash(&mut hasher);
    }
    hasher.finish()
}

impl Turns {
    /// Whether the object may ask now, and if not, what it gets.
    pub fn turn(&mut self, key: &Key, print: u64, purpose: For, now: Instant) -> Turn {
        let age = |then: Instant| now.saturating_duration_since(then);
        if let Some(row) = self.rows.get_mut(key) {
            if let Some(kept) = &row.kept
                && kept.print == print
                && age(kept.at) < if purpose == For::Planning { PACE } else { kept.lasts }
            {
                return Turn::Kept(Box::new(kept.probe.clone()));
            }
            let left = if row.open { Duration::ZERO } else { PACE.saturating_sub(age(row.turn)) };
            let left = left.max(row.turn.saturating_duration_since(now));
            if !left.is_zero() {
                return Turn::Wait(left);
            }
            if row.open {
                row.open = false;
                row.turn = now;
                return Turn::Ask;
            }
        } else if self.rows.len() >= MOST {
            self.rows.retain(|_, row| age(row.turn) < KEPT);
            if self.rows.len() >= MOST {
                return Turn::Wait(self.crowd.turn_away(now));
            }
        }
        let Some(turn) = self.limit.reserve(now) else {
            return Turn::Wait(self.crowd.turn_away(now));
        };
        let left = turn.saturating_duration_since(now);
        let row = self.rows.entry(key.clone()).or_insert(Row { turn, open: false, kept: None });
        (row.turn, row.open) = (turn, !left.is_zero());
        if row.open { Turn::Wait(left) } else { Turn::Ask }
    }

    /// Remembers what EC2 has answered.
    pub fn keep(&mut self, key: &Key, print: u64, probe: &Probe, now: Instant) {
        if probe.create_image.as_ref().is_err_and(|refusal| refusal.class == ErrorClass::Throttle) {
            self.limit.empty(now);
        }
        if let Some(row) = self.rows.get_mut(key) {
            row.kept = Some(Kept { print, at: now, lasts: KEPT, probe: probe.clone() });
        }
    }

    /// Something in the answers stands in the way: whoever has mended it does not wait.
    pub fn stands_in_the_way(&mut self, key: &Key) {
        if let Some(kept) = self.rows.get_mut(key).and_then(|row| row.kept.as_mut()) {
            kept.lasts = PACE;
        }
    }

    /// Drops the answers to an object that is gone, but not its turn: one that is created anew waits for it.
    pub fn forget(&mut self, key: &Key) {
        if let Some(row) = self.rows.get_mut(key) {
            row.kept = None;
        }
    }
}

#[cfg(test)]
mod tests;
