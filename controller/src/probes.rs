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
/// When all turns of the near future are given away.
const LATER: Duration = Duration::from_secs(10);
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
        Self { tokens: Tokens::new(BURST, INTERVAL), rows: Mutex::default() }
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
                return Turn::Wait(LATER);
            }
        }
        let Some(turn) = self.tokens.reserve(now) else {
            return Turn::Wait(LATER);
        };
        let left = turn.saturating_duration_since(now);
        let row = rows.entry(key.clone()).or_insert(Row { turn, open: false, kept: None });
        (row.turn, row.open) = (turn, !left.is_zero());
        if row.open { Turn::Wait(left) } else { Turn::Ask }
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
