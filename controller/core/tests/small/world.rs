//! A small world: who may do what in a state, and what comes of it.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use saved_template_api::{SavedTemplateSpec, SavedTemplateStatus, names::debt_key, spec::DeletionPolicy};
use saved_template_core::world::InstanceState;

use super::{
    cloud::{CLUSTER, ID, Premise, reach},
    forger::{NOTES, Note},
    process::{self, Answer},
    state::{Budget, Machine, Mind, Object, START, State, Status, Truth},
};

/// A world to explore.
pub(crate) struct World {
    pub(crate) spec: SavedTemplateSpec,
    pub(crate) objects: usize,
    pub(crate) processes: usize,
    pub(crate) budget: Budget,
    /// What may be forged.
    pub(crate) notes: &'static [Note],
    /// From here nothing went wrong any more, and the world came to rest in so many steps.
    pub(crate) resting: Mutex<HashMap<u64, usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Look(usize, usize),
    Go(usize, Answer),
    Sweep(usize),
    Pay(usize, Answer),
    Die(usize),
    Nap(usize),
    Wake(usize),
    OwnerStops,
    OwnerStarts,
    Wipe(usize),
    Delete(usize),
    Strip,
    GoesBack(usize, usize),
    Forge(Note),
    Tick,
}

impl World {
    pub(crate) fn new(objects: usize, processes: usize, budget: Budget) -> Self {
        Self { spec: process::spec(), objects, processes, budget, notes: &NOTES, resting: Mutex::default() }
    }

    /// One object, which is deleted with its images.
    pub(crate) fn clearing(processes: usize, budget: Budget) -> Self {
        let mut world = Self::new(1, processes, Budget { deletions: 1, ..budget });
        world.spec.deletion_policy = DeletionPolicy::Delete;
        world
    }

    /// What is done without anybody's malice.
    pub(crate) fn fair(&self, state: &State, actions: &mut Vec<Action>) {
        let passes = &state.plans(&self.spec).passes;
        let before = actions.len();
        let mut asleep = Vec::new();
        for (at, mind) in state.minds.iter().enumerate() {
            if mind.asleep {
                asleep.push(Action::Wake(at));
                continue;
            }
            actions.extend(mind.payment.iter().map(|_| Action::Pay(at, Answer::Heard)));
            actions.extend(mind.pass.iter().map(|_| Action::Go(at, Answer::Heard)));
            actions.extend(mind.offer.iter().map(|_| Action::Sweep(at)));
            let offers = passes[at].iter().enumerate().filter(|(_, offer)| offer.is_some());
            actions.extend(offers.map(|(object, _)| Action::Look(at, object)));
        }
        if actions.len() == before && state.next(&self.spec).is_some() {
            actions.push(Action::Tick);
        }
        actions.extend(asleep);
    }

    pub(crate) fn step(&self, state: &State, action: Action) -> State {
        let plans = state.plans(&self.spec);
        let mut state = state.clone();
        match action {
            Action::Look(at, object) => {
                let pass = plans.passes[at][object].clone().unwrap();
                state.claims(&pass);
                state.minds[at].pass = Some(pass);
            }
            Action::Sweep(at) => state.minds[at].payment = state.minds[at].offer.take(),
            Action::Go(at, answer) => {
                let mut mind = std::mem::take(&mut state.minds[at]);
                let pass = mind.pass.take().unwrap();
                state.advance(&mut mind, pass, answer);
                state.minds[at] = mind;
            }
            Action::Pay(at, answer) => {
                let mut mind = std::mem::take(&mut state.minds[at]);
                let payment = mind.payment.take().unwrap();
                state.pay(&mut mind, payment, answer);
                state.minds[at] = mind;
            }
            Action::Die(at) => {
                state.minds[at] = Mind::default();
                state.budget.deaths -= 1;
            }
            Action::Nap(at) => {
                state.minds[at].asleep = true;
                state.budget.naps -= 1;
            }
            Action::Wake(at) => state.minds[at].asleep = false,
            Action::OwnerStops => {
                state.owner_stops();
                state.budget.stops -= 1;
            }
            Action::OwnerStarts => state.owner_starts(),
            Action::Wipe(at) => {
                state.wipe(at);
                state.budget.wipes -= 1;
            }
            Action::Delete(at) => {
                state.delete(at);
                state.budget.deletions -= 1;
            }
            Action::Strip => {
                state.machine.tags.remove(&debt_key(CLUSTER));
                state.truth.stripped = true;
                state.budget.strips -= 1;
            }
            Action::GoesBack(at, writes) => {
                state.goes_back(at, writes);
                state.budget.rewinds -= 1;
                if state.budget.rewinds == 0 {
                    state.objects.iter_mut().for_each(|object| object.past.clear());
                }
            }
            Action::Forge(note) => {
                state.forges(note);
                state.budget.forgeries -= 1;
            }
            Action::Tick => {
                state.now = state.next(&self.spec).unwrap();
                state.apply();
            }
        }
        if let Action::Go(_, answer) | Action::Pay(_, answer) = action
            && answer != Answer::Heard
        {
            state.budget.losses -= 1;
            reach(Premise::ReplyLost);
        }
        state.refresh(&self.spec);
        state
    }

    /// Nothing has been done yet.
    pub(crate) fn begins(&self) -> State {
        let status = SavedTemplateStatus { observed_generation: Some(-1), ..SavedTemplateStatus::default() };
        let status = Status::new(status);
        let object = |name| Object {
            name,
            status: status.clone(),
            finalizer: false,
            deleting: false,
            gone: false,
            past: Vec::new(),
        };
        let mut state = State {
            now: START,
            machine: Machine {
                state: InstanceState::Running,
                launched: START - 100_000,
                stopped: None,
                settles: None,
                tags: [("Name".to_owned(), ID.to_owned())].into(),
            },
            shots: Vec::new(),
            objects: ["quake", "tremor"][..self.objects].iter().map(|name| object(*name)).collect(),
            minds: vec![Mind::default(); self.processes],
            claim: None,
            captures: Vec::new(),
            truth: Truth::default(),
            owner_stopped: None,
            watched: self.budget.forgeries > 0,
            wrote: Vec::new(),
            limit: None,
            cluster_uid: String::new(),
            budget: self.budget,
            plans: Arc::default(),
            print: 0,
        };
        state.refresh(&self.spec);
        state
    }
}
