//! Limits on what objects make us ask EC2 about their machines: answers are kept, and questions wait for their turn.
//!
//! Whoever may write an object can edit it, or delete it and create it anew, as often as he likes; EC2's request buckets are
//! the whole account's.
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use saved_template_core::{
    decision::Question,
    refusal::Class,
    world::{Instance, Probe},
};
use saved_template_ec2::Tokens;
use tokio::time::Instant;

use saved_template_core::key::Key;

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
pub(crate) enum Turn {
    /// It was answered before.
    Kept(Box<Probe>),
    /// It is asked now.
    Ask,
    /// It is asked when so much time has passed.
    Wait(Duration),
}

/// What the answers are needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// The status: what has changed within a minute is told a minute later.
    Telling,
    /// A plan, after which the machine is stopped.
    Planning,
}

/// The answers and turns of one region.
pub(crate) struct Probes {
    tokens: Tokens,
    rows: Mutex<HashMap<Key, Row>>,
    crowd: Mutex<Crowd>,
}

/// How many were turned away within the last [`LATER`], and within the one before.
#[derive(Default)]
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

struct Row {
    turn: Instant,
    /// Whether the turn is still to come.
    open: bool,
    kept: Option<Kept>,
}

struct Kept {
    print: u64,
    at: Instant,
    lasts: Duration,
    probe: Probe,
}

impl Default for Probes {
    fn default() -> Self {
        Self { tokens: Tokens::new(BURST, INTERVAL), rows: Mutex::default(), crowd: Mutex::default() }
    }
}

/// All that answers depend on, as one number: what is asked, and the machine that it is asked of.
pub(crate) fn print(question: &Question, instances: &[Instance]) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{question:?}").hash(&mut hasher);
    if let Question::Probe { instance, .. } = question {
        instances.iter().find(|one| one.id == *instance).hash(&mut hasher);
    }
    hasher.finish()
}

impl Probes {
    /// Whether the object may ask now, and if not, what it gets.
    pub(crate) fn turn(&self, key: &Key, print: u64, purpose: For, now: Instant) -> Turn {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |then: Instant| now.saturating_duration_since(then);
        if let Some(row) = rows.get_mut(key) {
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
        } else if rows.len() >= MOST {
            rows.retain(|_, row| age(row.turn) < KEPT);
            if rows.len() >= MOST {
                return self.away(now);
            }
        }
        let Some(turn) = self.tokens.reserve(now) else {
            return self.away(now);
        };
        let left = turn.saturating_duration_since(now);
        let row = rows.entry(key.clone()).or_insert(Row { turn, open: false, kept: None });
        (row.turn, row.open) = (turn, !left.is_zero());
        if row.open { Turn::Wait(left) } else { Turn::Ask }
    }

    fn away(&self, now: Instant) -> Turn {
        Turn::Wait(self.crowd.lock().unwrap_or_else(PoisonError::into_inner).turn_away(now))
    }

    /// Remembers what EC2 has answered.
    pub(crate) fn keep(&self, key: &Key, print: u64, probe: &Probe, now: Instant) {
        if probe.create_image.as_ref().is_err_and(|refusal| refusal.class == Class::Throttle) {
            self.tokens.empty();
        }
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.get_mut(key) {
            row.kept = Some(Kept { print, at: now, lasts: KEPT, probe: probe.clone() });
        }
    }

    /// Something in the answers stands in the way: whoever has mended it does not wait.
    pub(crate) fn stands_in_the_way(&self, key: &Key) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = rows.get_mut(key).and_then(|row| row.kept.as_mut()) {
            kept.lasts = PACE;
        }
    }

    /// Drops the answers to an object that is gone, but not its turn: one that is created anew waits for it.
    pub(crate) fn forget(&self, key: &Key) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.get_mut(key) {
            row.kept = None;
        }
    }
}

#[cfg(test)]
mod tests;
