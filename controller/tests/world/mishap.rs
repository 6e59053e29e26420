//! What goes wrong at an effect, by its name; and how often each was met.
use std::collections::BTreeMap;

/// Short enough for the fence, and too long for it.
const NAP: u64 = 12;
const SLEEP: u64 = 70;

/// What happens to one effect of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Harm {
    /// The process dies, and nothing was done.
    DieBefore,
    /// It is done, and the process dies.
    DieAfter,
    /// Nothing was done, and nobody answers.
    Drop,
    /// It is done, and the answer is lost.
    Lose,
    /// Refused: too many requests.
    Throttle,
    /// Refused: a server error.
    ServerError,
    /// The process sleeps before it, and wakes while the fence still lets it through.
    Nap,
    /// The process sleeps before it for longer than the fence allows.
    Sleep,
}

impl Harm {
    /// For how many seconds the process sleeps.
    pub(crate) const fn sleeps(self) -> Option<u64> {
        match self {
            Self::Nap => Some(NAP),
            Self::Sleep => Some(SLEEP),
            Self::DieBefore
            | Self::DieAfter
            | Self::Drop
            | Self::Lose
            | Self::Throttle
            | Self::ServerError => None,
        }
    }
}

pub(crate) const HARMS: [Harm; 8] = [
    Harm::DieBefore,
    Harm::DieAfter,
    Harm::Drop,
    Harm::Lose,
    Harm::Throttle,
    Harm::ServerError,
    Harm::Nap,
    Harm::Sleep,
];

/// A harm at the n-th effect of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mishap {
    pub(crate) label: &'static str,
    pub(crate) nth: u32,
    pub(crate) harm: Harm,
}

/// What is still to come, and what was met.
#[derive(Debug, Default, Clone)]
pub(crate) struct Mishaps {
    pub(crate) planned: Vec<Mishap>,
    pub(crate) met: Vec<(&'static str, Harm)>,
    pub(crate) notes: BTreeMap<&'static str, u64>,
    seen: BTreeMap<String, u32>,
}

impl Mishaps {
    /// What happens to this effect, which is about to be made.
    pub(crate) fn strike(&mut self, label: &str) -> Option<Harm> {
        if self.planned.is_empty() {
            return None;
        }
        let seen = self.seen.entry(label.to_owned()).or_default();
        *seen += 1;
        let nth = *seen;
        self.meet(label, nth, |harm| harm.sleeps().is_none())
    }

    /// How many seconds the process sleeps before this effect.
    pub(crate) fn nap(&mut self, label: &str) -> Option<u64> {
        let nth = self.seen.get(label).map_or(1, |seen| seen + 1);
        self.meet(label, nth, |harm| harm.sleeps().is_some())?.sleeps()
    }

    fn meet(&mut self, label: &str, nth: u32, which: impl Fn(Harm) -> bool) -> Option<Harm> {
        let is_it = |one: &Mishap| one.label == label && one.nth == nth && which(one.harm);
        let at = self.planned.iter().position(is_it)?;
        let met = self.planned.remove(at);
        self.met.push((met.label, met.harm));
        Some(met.harm)
    }

    /// Something worth counting was reached.
    pub(crate) fn note(&mut self, what: &'static str) {
        *self.notes.entry(what).or_default() += 1;
    }
}
