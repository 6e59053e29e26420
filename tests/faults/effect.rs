//! What a history does to the world, one by one, and the three ways in which one of them goes wrong.
use std::{collections::BTreeMap, fmt};

use ec2sim::{Fault, Sim};
use saved_template_tests::{Call, Harm, Lab, OUR_CALLS, Proxy, Rule, Verb, When};

/// The rule of a cell.
const CELL: &str = "cell";
/// Leader election writes by the clock, not for what is saved.
const LEADER: &str = "savedtemplate-controller";
const CLAIM: &str = "savedtemplate-claim-";

/// The n-th of its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Effect {
    pub(crate) kind: Kind,
    pub(crate) nth: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A change of EC2.
    Ec2(String),
    /// A write to Kubernetes: verb, resource, the beginning of the name, a part of the body.
    Kubernetes(Verb, String, &'static str, &'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    KilledBefore,
    KilledAfter,
    ReplyLost,
}

pub(crate) const MODES: [Mode; 3] = [Mode::KilledBefore, Mode::KilledAfter, Mode::ReplyLost];

/// One effect, and what happens at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) effect: Effect,
    pub(crate) mode: Mode,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::KilledBefore => "killed before",
            Mode::KilledAfter => "killed after",
            Mode::ReplyLost => "reply lost",
        };
        match &self.effect.kind {
            Kind::Ec2(action) => write!(f, "{action} {}, {mode}", self.effect.nth),
            Kind::Kubernetes(verb, resource, _, body) => {
                let says = body.trim_matches('"').replace("\":\"", " ");
                let says = if says.is_empty() { says } else { format!(" with {says}") };
                let verb = format!("{verb:?}").to_lowercase();
                write!(f, "{verb} {resource}{says} {}, {mode}", self.effect.nth)
            }
        }
    }
}

impl Kind {
    pub(crate) fn status_that_says(part: &'static str) -> Self {
        Self::Kubernetes(Verb::Update, "savedtemplates/status".to_owned(), "", part)
    }

    pub(crate) fn finalizers() -> Self {
        Self::Kubernetes(Verb::Patch, "savedtemplates".to_owned(), "", "")
    }

    pub(crate) fn claim(verb: Verb) -> Self {
        Self::Kubernetes(verb, "leases".to_owned(), CLAIM, "")
    }

    fn of(call: &Call) -> Option<Self> {
        let name = if call.resource == "leases" { CLAIM } else { "" };
        let is_effect = call.verb.writes() && call.name != LEADER;
        is_effect.then(|| Self::Kubernetes(call.verb, call.resource.clone(), name, ""))
    }
}

/// What the world has seen so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mark {
    calls: usize,
    changes: usize,
}

impl Mark {
    pub(crate) fn now(lab: &Lab<'_>, proxy: &Proxy) -> Self {
        Self { calls: proxy.calls().len(), changes: lab.changes().len() }
    }
}

/// How many effects of each kind there were since.
pub(crate) fn effects(lab: &Lab<'_>, proxy: &Proxy, since: Mark) -> BTreeMap<Kind, u32> {
    let calls = proxy.calls();
    let written = calls.iter().skip(since.calls).filter_map(Kind::of);
    let after = lab.changes().into_iter().skip(since.changes);
    let changed = after.filter(|entry| entry.agent.contains(OUR_CALLS)).map(|entry| Kind::Ec2(entry.action));
    let mut effects = BTreeMap::new();
    for kind in written.chain(changed) {
        *effects.entry(kind).or_default() += 1;
    }
    effects
}

/// Every effect in every way. Where references differ in a number, the smallest is sure to be reached.
pub(crate) fn cells(references: &[BTreeMap<Kind, u32>]) -> Vec<Cell> {
    let sure = |kind: &Kind| references.iter().filter_map(|one| one.get(kind)).min().copied();
    let in_all = |kind: &&Kind| references.iter().all(|one| one.contains_key(*kind));
    let kinds = references[0].keys().filter(in_all);
    let effects =
        kinds.flat_map(|kind| (1..=sure(kind).unwrap_or(0)).map(|nth| Effect { kind: kind.clone(), nth }));
    effects.flat_map(|effect| MODES.map(|mode| Cell { effect: effect.clone(), mode })).collect()
}

impl Cell {
    pub(crate) fn new(kind: Kind, nth: u32, mode: Mode) -> Self {
        Self { effect: Effect { kind, nth }, mode }
    }

    pub(crate) fn kills(&self) -> bool {
        self.mode != Mode::ReplyLost
    }

    /// From now on the effect goes wrong, for the process `pid`.
    pub(crate) fn arm(&self, pid: u32, lab: &Lab<'_>, proxy: &Proxy) {
        let Effect { kind, nth } = &self.effect;
        match kind {
            Kind::Ec2(action) => {
                let kill = |when| ec2sim::Effect::Kill { pid: i32::try_from(pid).unwrap(), when };
                let harm = match self.mode {
                    Mode::KilledBefore => kill(ec2sim::When::Before),
                    Mode::KilledAfter => kill(ec2sim::When::After),
                    Mode::ReplyLost => ec2sim::Effect::ApplyAndDrop,
                };
                lab.ec2.add_fault(Fault::new(action, harm).nth(*nth));
            }
            Kind::Kubernetes(verb, resource, name, body) => {
                let kill = |when| Harm::Signal { pid, signal: cluster::leash::Signal::KILL, when };
                let harm = match self.mode {
                    Mode::KilledBefore => kill(When::Before),
                    Mode::KilledAfter => kill(When::After),
                    Mode::ReplyLost => Harm::LoseReply,
                };
                let rule = Rule::new(harm).verb(*verb).of(resource).named(name).with_body(body);
                proxy.add(CELL, rule.nth(*nth));
            }
        }
    }

    /// Whether it has gone wrong.
    pub(crate) fn is_hit(&self, sim: &Sim, proxy: &Proxy) -> bool {
        match self.effect.kind {
            Kind::Ec2(_) => sim.faults().iter().any(|armed| armed.hits > 0),
            Kind::Kubernetes(..) => proxy.hits(CELL) > 0,
        }
    }
}
