//! What all processes did, what happens to them, and what is known beside EC2's store: written by whoever carries a call.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use apisim::Refusal;
use ec2sim::Millis;
use saved_template_api::SavedTemplateStatus;

use crate::{
    enemy::{laws::Watch, rewind::Past},
    mishap::{Harm, Mishaps},
    trace::Trace,
    truth::Truth,
};

/// Where a process is killed: before or after the n-th effect of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) effect: usize,
    pub(crate) after: bool,
}

/// What happens to one effect of a process, and to the process by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Its number.
    pub(crate) effect: usize,
    pub(crate) harm: Option<Harm>,
    /// For how many seconds the process sleeps before it.
    pub(crate) sleeps: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    /// Every change of EC2 and every write to Kubernetes, with its second.
    pub(crate) effects: Vec<String>,
    /// Writes of the template's status.
    pub(crate) writes: usize,
    /// Every status that was ever written, the oldest first.
    pub(crate) statuses: Vec<SavedTemplateStatus>,
    pub(crate) kill: Vec<Kill>,
    /// What happens to an effect, by its number.
    pub(crate) harms: BTreeMap<usize, Harm>,
    /// The harms of these that were met.
    pub(crate) met: Vec<Harm>,
    /// How often each object was read by name.
    pub(crate) looks: BTreeMap<String, usize>,
    /// How much longer each read of EC2 takes.
    pub(crate) slow: Duration,
    pub(crate) mishaps: Mishaps,
    pub(crate) truth: Truth,
    pub(crate) watch: Watch,
    pub(crate) past: Past,
    /// The API server answers nobody.
    pub(crate) api_is_away: bool,
    /// Regions of EC2 that answer nobody.
    pub(crate) dark: BTreeSet<String>,
    /// How the next write to Kubernetes is refused.
    pub(crate) refusal: Option<Refusal>,
    /// Every process is to die.
    pub(crate) kills_all: bool,
    /// Laws that were broken: a panic inside of a process would be the end of that process alone.
    pub(crate) broken: Vec<String>,
    pub(crate) trace: Trace,
    /// The machine.
    pub(crate) id: String,
    pub(crate) start: Millis,
}

impl Chronicle {
    /// Something worth counting was reached.
    pub(crate) fn note(&mut self, what: &'static str) {
        self.mishaps.note(what);
    }

    /// An effect is about to be made: what happens to it.
    pub(crate) fn begins(&mut self, now: Millis, label: &str, what: &str) -> Fate {
        let effect = self.effects.len();
        let numbered = self.harms.remove(&effect);
        self.met.extend(numbered);
        let sleeps = numbered.and_then(Harm::sleeps).or_else(|| self.mishaps.nap(label)).unwrap_or_default();
        let mut harm = numbered.or_else(|| self.mishaps.strike(label));
        let is_made = matches!(harm, None | Some(Harm::DieAfter | Harm::Lose | Harm::Nap | Harm::Sleep));
        if is_made {
            self.effects.push(format!("{} {what}", (now - self.start) / 1000));
            let here = self.kill.iter().find(|kill| kill.effect == effect);
            harm = here.map(|kill| if kill.after { Harm::DieAfter } else { Harm::DieBefore }).or(harm);
        }
        Fate { effect, harm, sleeps }
    }

    /// Judges; a law that is broken is told at the end of the second.
    pub(crate) fn judged(&mut self, judge: impl FnOnce(&mut Self)) {
        let judge = std::panic::AssertUnwindSafe(|| judge(self));
        if let Err(why) = std::panic::catch_unwind(judge) {
            let text = why.downcast_ref::<String>().cloned();
            let text = text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            self.broken.push(text.unwrap_or_default());
        }
    }
}
