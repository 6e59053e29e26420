//! Small worlds, explored to exhaustion: the real decisions, every order of effects, deaths, naps and lost replies.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]
mod cloud;
mod forger;
mod process;
mod state;
mod worlds;

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex},
};

use saved_template_api::{SavedTemplateSpec, SavedTemplateStatus, names::debt_key, spec::DeletionPolicy};
use saved_template_core::world::InstanceState;
use stateright::{Model, Property};

use crate::{
    cloud::{CLUSTER, ID, Premise, reach},
    forger::{NOTES, Note},
    state::{Budget, Machine, Mind, Object, START, State, Status, Truth},
};

/// Nothing is broken, and when nothing goes wrong any more all comes to rest.
pub(crate) const SOUND: &str = "sound";
/// A world that has more states than this is left there, and not called complete.
pub(crate) const MOST: usize = 6_000_000;
/// Steps within which a world must have come to rest once nothing goes wrong any more.
const RESTS: usize = 1000;

/// A world to explore.
struct World {
    spec: SavedTemplateSpec,
    objects: usize,
    processes: usize,
    budget: Budget,
    /// What may be forged.
    notes: &'static [Note],
    /// From here nothing went wrong any more, and the world came to rest in so many steps.
    resting: Mutex<HashMap<u64, usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Action {
    Look(usize, usize),
    Go(usize),
    GoUnheard(usize),
    Sweep(usize),
    Pay(usize),
    PayUnheard(usize),
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
    fn new(objects: usize, processes: usize, budget: Budget) -> Self {
        Self { spec: process::spec(), objects, processes, budget, notes: &NOTES, resting: Mutex::default() }
    }

    /// One object, which is deleted with its images.
    fn clearing(processes: usize, budget: Budget) -> Self {
        let mut world = Self::new(1, processes, Budget { deletions: 1, ..budget });
        world.spec.deletion_policy = DeletionPolicy::Delete;
        world
    }

    /// What is done without anybody's malice.
    fn fair(&self, state: &State, actions: &mut Vec<Action>) {
        let passes = &state.plans(&self.spec).passes;
        let before = actions.len();
        let mut asleep = Vec::new();
        for (at, mind) in state.minds.iter().enumerate() {
            if mind.asleep {
                asleep.push(Action::Wake(at));
                continue;
            }
            actions.extend(mind.payment.iter().map(|_| Action::Pay(at)));
            actions.extend(mind.pass.iter().map(|_| Action::Go(at)));
            actions.extend(mind.offer.iter().map(|_| Action::Sweep(at)));
            let offers = passes[at].iter().enumerate().filter(|(_, offer)| offer.is_some());
            actions.extend(offers.map(|(object, _)| Action::Look(at, object)));
        }
        if actions.len() == before && state.next(&self.spec).is_some() {
            actions.push(Action::Tick);
        }
        actions.extend(asleep);
    }

    fn step(&self, state: &State, action: Action) -> State {
        let plans = state.plans(&self.spec);
        let mut state = state.clone();
        match action {
            Action::Look(at, object) => {
                let pass = plans.passes[at][object].clone().unwrap();
                if pass.claims && state.claim.is_none_or(|(holder, _)| holder != object) {
                    let idle = pass.decision.step().is_some();
                    state.claim = if idle { Some((object, state.now)) } else { state.claim };
                }
                state.minds[at].pass = Some(pass);
            }
            Action::Sweep(at) => state.minds[at].payment = state.minds[at].offer.take(),
            Action::Go(at) | Action::GoUnheard(at) => {
                let mut mind = std::mem::take(&mut state.minds[at]);
                let pass = mind.pass.take().unwrap();
                state.advance(&mut mind, pass, matches!(action, Action::GoUnheard(_)));
                state.minds[at] = mind;
            }
            Action::Pay(at) | Action::PayUnheard(at) => {
                let mut mind = std::mem::take(&mut state.minds[at]);
                let payment = mind.payment.take().unwrap();
                state.pay(&mut mind, payment, matches!(action, Action::PayUnheard(_)));
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
        if matches!(action, Action::GoUnheard(_) | Action::PayUnheard(_)) {
            state.budget.losses -= 1;
            reach(Premise::ReplyLost);
        }
        state.refresh(&self.spec);
        state
    }

    /// What is wrong with a state, or with what follows from it when nothing goes wrong any more: one fair step after
    /// another the world must come to rest. What is known of a state is not found out again.
    fn fault(&self, state: &State) -> Option<&'static str> {
        let (mut path, mut here) = (Vec::new(), Cow::Borrowed(state));
        let mut steps = loop {
            if here.truth.broken.is_some() {
                return here.truth.broken;
            }
            if let Some(steps) = self.resting.lock().unwrap().get(&here.print) {
                break *steps;
            }
            reach(Premise::FairRuns);
            path.push(here.print);
            let mut fair = Vec::new();
            self.fair(&here, &mut fair);
            if fair.is_empty() {
                match here.unfinished(&self.spec) {
                    None => break 0,
                    unfinished => return unfinished,
                }
            }
            if path.len() > RESTS {
                return Some("it does not come to rest");
            }
            let choice = usize::try_from(here.print % 1024).unwrap() % fair.len();
            here = Cow::Owned(self.step(&here, fair[choice]));
        };
        let mut resting = self.resting.lock().unwrap();
        for print in path.into_iter().rev() {
            steps += 1;
            resting.insert(print, steps);
        }
        (steps > RESTS).then_some("it does not come to rest")
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
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
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.truth.broken.is_some() {
            return;
        }
        self.fair(state, actions);
        let budget = state.budget;
        for (at, mind) in state.minds.iter().enumerate().filter(|(_, mind)| !mind.asleep) {
            let busy = mind.pass.is_some() || mind.payment.is_some();
            if budget.deaths > 0 && (busy || !mind.records.is_empty()) {
                actions.push(Action::Die(at));
            }
            if budget.losses > 0 {
                actions.extend(mind.pass.iter().map(|_| Action::GoUnheard(at)));
                actions.extend(mind.payment.iter().map(|_| Action::PayUnheard(at)));
            }
            if budget.naps > 0 && busy {
                actions.push(Action::Nap(at));
            }
        }
        if budget.stops > 0 {
            actions.push(Action::OwnerStops);
        }
        // Who stopped a machine once may start it again.
        if budget.stops < self.budget.stops && state.machine.state == InstanceState::Stopped {
            actions.push(Action::OwnerStarts);
        }
        if budget.forgeries > 0 {
            let can = self.notes.iter().copied().filter(|note| state.forged(*note).is_some());
            actions.extend(can.map(Action::Forge));
        }
        if budget.rewinds > 0 {
            for (at, object) in state.objects.iter().enumerate() {
                actions.extend((1..=object.past.len()).map(|writes| Action::GoesBack(at, writes)));
            }
        }
        for (at, object) in state.objects.iter().enumerate().filter(|(_, object)| !object.gone) {
            if budget.wipes > 0 && object.status.value.capture.is_some() {
                actions.push(Action::Wipe(at));
            }
            if budget.deletions > 0 && !object.deleting {
                actions.push(Action::Delete(at));
            }
        }
        if budget.strips > 0 && state.machine.tags.contains_key(&debt_key(CLUSTER)) {
            actions.push(Action::Strip);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        Some(self.step(state, action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(SOUND, |world, state: &State| world.fault(state).is_none())]
    }
}
