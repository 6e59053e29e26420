//! Small worlds, explored to exhaustion: the real decisions, every order of effects, deaths, naps and lost replies.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]
mod cloud;
mod forger;
mod mind;
mod process;
mod state;
mod world;
mod worlds;

use std::borrow::Cow;

use saved_template_api::names::debt_key;
use saved_template_core::world::InstanceState;
use stateright::{Model, Property};

use crate::{
    cloud::{CLUSTER, Premise, reach},
    process::Answer,
    state::State,
    world::{Action, World},
};

/// Nothing is broken, and when nothing goes wrong any more all comes to rest.
pub(crate) const SOUND: &str = "sound";
/// A world that has more states than this is left there, and not called complete.
pub(crate) const MOST: usize = 6_000_000;
/// Steps within which a world must have come to rest once nothing goes wrong any more.
const RESTS: usize = 1000;

impl World {
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
        vec![self.begins()]
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
                actions.extend(mind.pass.iter().map(|_| Action::Go(at, Answer::Unheard)));
                actions.extend(mind.payment.iter().map(|_| Action::Pay(at, Answer::Unheard)));
                // A write that is not made ends the pass; one that announces was as well never decided.
                let told = mind.pass.iter().filter(|pass| pass.stage >= 2);
                actions.extend(told.map(|_| Action::Go(at, Answer::Dropped)));
                actions.extend(mind.payment.iter().map(|_| Action::Pay(at, Answer::Dropped)));
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
