//! Reads that lag: a Describe call is answered by one of some replicas, each of which shows the past.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    clock::Millis,
    place::{Key, Place},
    refusal::Refusal,
    sim::{Answer, Call, Sim},
};

/// What there was in each place and since when, the newest first; as far back as any replica shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    places: BTreeMap<Key, VecDeque<(Millis, Place)>>,
    is_begun: bool,
}

impl Past {
    /// Keeps what changed; `age` is that of the oldest replica.
    pub(crate) fn keep(&mut self, places: &BTreeMap<Key, Place>, now: Millis, age: Millis) {
        // What was there before anything was kept was always there.
        let since = if self.is_begun { now } else { Millis::MIN };
        self.is_begun = true;
        for (key, place) in places {
            let past = self.places.entry(key.clone()).or_default();
            if past.front().is_none_or(|(_, last)| last != place) {
                past.push_front((since, place.clone()));
            }
            let needed = past.iter().position(|(since, _)| *since <= now.saturating_sub(age));
            past.truncate(needed.map_or(usize::MAX, |at| at + 1));
        }
    }

    /// Everything as it was at an instant.
    pub(crate) fn at(&self, instant: Millis) -> BTreeMap<Key, Place> {
        let then = |past: &VecDeque<(Millis, Place)>| {
            past.iter().find(|(since, _)| *since <= instant).map(|(_, place)| place.clone())
        };
        self.places.iter().filter_map(|(key, past)| Some((key.clone(), then(past)?))).collect()
    }

    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Sim {
    /// Puts down for the replicas what there is.
    pub(crate) fn keep(&mut self, now: Millis) {
        match self.config.replicas.iter().max() {
            Some(oldest) => self.past.keep(&self.places, now, *oldest),
            None => self.past.forget(),
        }
    }

    /// Reads are answered by one of the replicas, in no order; changes and dry runs see everything as it is.
    pub(crate) fn by_a_replica(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let is_read = call.request.action.starts_with("Describe") && !call.request.is_dry_run();
        if self.config.replicas.is_empty() || !is_read {
            return self.perform(call);
        }
        self.keep(call.now);
        let count = u64::try_from(self.config.replicas.len()).unwrap_or(1);
        let drawn = usize::try_from(self.draw() % count).unwrap_or_default();
        let then = call.now - self.config.replicas.get(drawn).copied().unwrap_or_default();
        let truth = std::mem::replace(&mut self.places, self.past.at(then));
        let key = call.key.clone();
        let result = self.perform(&Call { now: then, key, request: call.request, effects: call.effects });
        self.places = truth;
        result
    }
}
