//! Small worlds, explored to exhaustion: the real decisions, every order of effects, deaths, naps and lost replies.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]
mod cloud;
mod process;
mod state;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::atomic::Ordering::Relaxed,
    time::Instant,
};

use saved_template_api::{SavedTemplateSpec, SavedTemplateStatus};
use saved_template_core::world::InstanceState;
use stateright::{Checker, Model, Property};

use crate::{
    cloud::{ID, PREMISES, Premise, REACHED, reach},
    state::{Machine, Mind, Object, START, State, Status, Truth},
};

/// A world that has more states than this is left there, and not called complete.
const MOST: usize = 3_000_000;

/// A world to explore.
struct World {
    spec: SavedTemplateSpec,
    objects: usize,
    processes: usize,
    /// Deaths, lost replies, naps, stops by the owner.
    budget: [u8; 4],
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
    Tick,
}

impl World {
    fn new(objects: usize, processes: usize, budget: [u8; 4]) -> Self {
        Self { spec: process::spec(), objects, processes, budget }
    }

    /// What is done without anybody's malice.
    fn fair(state: &State, actions: &mut Vec<Action>) {
        for (at, mind) in state.minds.iter().enumerate() {
            if mind.asleep {
                actions.push(Action::Wake(at));
                continue;
            }
            actions.extend(mind.payment.iter().map(|_| Action::Pay(at)));
            actions.extend(mind.pass.iter().map(|_| Action::Go(at)));
            actions.extend(mind.offer.iter().map(|_| Action::Sweep(at)));
            let offers = mind.offers.iter().enumerate().filter(|(_, offer)| offer.is_some());
            actions.extend(offers.map(|(object, _)| Action::Look(at, object)));
        }
        let idle = |mind: &Mind| {
            let none = mind.pass.is_none() && mind.payment.is_none() && mind.offer.is_none();
            mind.asleep || (none && mind.offers.iter().all(Option::is_none))
        };
        if state.minds.iter().all(idle) && state.next().is_some() {
            actions.push(Action::Tick);
        }
    }

    fn step(&self, state: &State, action: Action) -> State {
        let mut state = state.clone();
        match action {
            Action::Look(at, object) => {
                let pass = state.minds[at].offers[object].take().unwrap();
                if pass.claims && state.claim.is_none_or(|(holder, _)| holder != object) {
                    let idle = pass.decision.step.is_some();
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
                state.budget[0] -= 1;
            }
            Action::Nap(at) => {
                state.minds[at].asleep = true;
                state.budget[2] -= 1;
            }
            Action::Wake(at) => state.minds[at].asleep = false,
            Action::OwnerStops => {
                state.owner_stops();
                state.budget[3] -= 1;
            }
            Action::OwnerStarts => state.owner_starts(),
            Action::Tick => {
                state.now = state.next().unwrap();
                state.settle();
            }
        }
        if matches!(action, Action::GoUnheard(_) | Action::PayUnheard(_)) {
            state.budget[1] -= 1;
            reach(Premise::ReplyLost);
        }
        state.refresh(&self.spec);
        let mut fair = Vec::new();
        Self::fair(&state, &mut fair);
        if fair.is_empty() {
            state.ends();
        }
        state
    }

    /// Nothing goes wrong from here on: the world comes to rest.
    fn comes_to_rest(&self, state: &State) -> bool {
        reach(Premise::FairRuns);
        let mut state = state.clone();
        for turn in 0..3000 {
            let mut fair = Vec::new();
            Self::fair(&state, &mut fair);
            if fair.is_empty() || state.truth.broken.is_some() {
                return state.truth.broken.is_none();
            }
            state = self.step(&state, fair[turn % fair.len()]);
        }
        false
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let status = SavedTemplateStatus { observed_generation: Some(-1), ..SavedTemplateStatus::default() };
        let status = Status::new(status);
        let object = |name| Object { name, status: status.clone(), finalizer: false };
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
            holder: String::new(),
            budget: self.budget,
        };
        state.refresh(&self.spec);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.truth.broken.is_some() {
            return;
        }
        Self::fair(state, actions);
        let [deaths, losses, naps, stops] = state.budget;
        for (at, mind) in state.minds.iter().enumerate().filter(|(_, mind)| !mind.asleep) {
            let busy = mind.pass.is_some() || mind.payment.is_some();
            if deaths > 0 && (busy || !mind.records.is_empty()) {
                actions.push(Action::Die(at));
            }
            if losses > 0 {
                actions.extend(mind.pass.iter().map(|_| Action::GoUnheard(at)));
                actions.extend(mind.payment.iter().map(|_| Action::PayUnheard(at)));
            }
            if naps > 0 && busy {
                actions.push(Action::Nap(at));
            }
        }
        if stops > 0 {
            actions.push(Action::OwnerStops);
        }
        // Who stopped a machine once may start it again.
        if stops < self.budget[3] && state.machine.state == InstanceState::Stopped {
            actions.push(Action::OwnerStarts);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = self.step(state, action);
        let mut hasher = DefaultHasher::new();
        next.hash(&mut hasher);
        if hasher.finish().is_multiple_of(499) && next.truth.broken.is_none() && !self.comes_to_rest(&next) {
            next.breaks("it does not come to rest");
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("nothing is broken", |_, state: &State| state.truth.broken.is_none())]
    }
}

/// What exploring a world came to.
struct Explored {
    states: usize,
    depth: usize,
    complete: bool,
    broken: Option<String>,
}

fn explore(world: World, most: usize) -> Explored {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = world.checker().threads(cores).target_state_count(most).spawn_bfs().join();
    let broken = checker.discovery("nothing is broken").map(|path| {
        let last = path.last_state().truth.broken;
        let second = path.last_state().now - START;
        format!("{last:?} at second {second} after {:?}", path.into_actions())
    });
    let complete = broken.is_none() && checker.state_count() < most;
    Explored { states: checker.unique_state_count(), depth: checker.max_depth(), complete, broken }
}

fn table(worlds: Vec<(&str, World)>, most: usize) -> usize {
    println!(
        "\n{:58}{:>10}{:>7}{:>10}{:>11}{:>9}",
        "small world", "states", "depth", "complete", "violations", "seconds"
    );
    let (mut sum, mut violations) = (0, Vec::new());
    for (name, world) in worlds {
        let began = Instant::now();
        let Explored { states, depth, complete, broken } = explore(world, most);
        let (count, seconds) = (usize::from(broken.is_some()), began.elapsed().as_secs());
        println!("{name:58}{states:>10}{depth:>7}{complete:>10}{count:>11}{seconds:>9}");
        sum += states;
        violations.extend(broken);
    }
    println!("{:58}{sum:>10}", "all");
    println!("\n{:40}{:>12}", "premise", "times");
    for (premise, times) in PREMISES.iter().zip(&REACHED) {
        println!("{:40}{:>12}", format!("{premise:?}"), times.load(Relaxed));
    }
    assert!(violations.is_empty(), "{violations:#?}");
    sum
}

#[test]
fn small_worlds_of_one_and_two_controllers_hold_every_invariant_in_every_order() {
    table(
        vec![
            ("one controller, a death", World::new(1, 1, [1, 0, 0, 0])),
            ("one controller, a lost reply", World::new(1, 1, [0, 1, 0, 0])),
            ("one controller, the owner stops and starts", World::new(1, 1, [0, 0, 0, 1])),
        ],
        20_000,
    );
}

#[test]
#[ignore = "minutes: make model"]
fn small_worlds_at_length() {
    let states = table(
        vec![
            ("one controller, two deaths, two lost replies", World::new(1, 1, [2, 2, 0, 0])),
            ("one controller, a nap, a lost reply", World::new(1, 1, [0, 1, 1, 0])),
            ("one controller, a death, the owner stops and starts", World::new(1, 1, [1, 0, 0, 1])),
            ("two controllers", World::new(1, 2, [0, 0, 0, 0])),
            ("two controllers, a death", World::new(1, 2, [1, 0, 0, 0])),
            ("two controllers, a lost reply", World::new(1, 2, [0, 1, 0, 0])),
            ("two controllers, a nap", World::new(1, 2, [0, 0, 1, 0])),
            ("two controllers, the owner stops and starts", World::new(1, 2, [0, 0, 0, 1])),
            ("two controllers, a death, a lost reply", World::new(1, 2, [1, 1, 0, 0])),
            ("two templates on one machine", World::new(2, 1, [0, 0, 0, 0])),
            ("two templates, a death", World::new(2, 1, [1, 0, 0, 0])),
            ("two templates, the owner stops and starts", World::new(2, 1, [0, 0, 0, 1])),
        ],
        MOST,
    );
    assert!(states >= 250_000, "{states}");
    let missed = PREMISES.iter().zip(&REACHED).filter(|(_, times)| times.load(Relaxed) == 0);
    let missed: Vec<_> = missed.map(|(premise, _)| premise).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
}
