//! Whom there is a reason to look at: each object once, the most urgent first, and nobody is forgotten.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::key::Key;

/// The objects that are to be looked at, as many as there are at most.
#[derive(Debug, Default)]
pub struct Pending {
    order: BTreeSet<(Duration, Key)>,
    urgencies: BTreeMap<Key, Duration>,
}

impl Pending {
    /// An object is to be looked at: the sooner, the more often it wants to be. Of two reasons the more urgent one counts.
    pub fn add(&mut self, key: Key, urgency: Duration) {
        let known = self.urgencies.get(&key).copied();
        if known.is_some_and(|known| known <= urgency) {
            return;
        }
        if let Some(known) = known {
            self.order.remove(&(known, key.clone()));
        }
        self.urgencies.insert(key.clone(), urgency);
        self.order.insert((urgency, key));
    }

    /// The urgency of the next one.
    pub fn urgency(&self) -> Option<Duration> {
        self.order.first().map(|(urgency, _)| *urgency)
    }

    /// The next one, which is pending no more.
    pub fn take(&mut self) -> Option<Key> {
        let (_, key) = self.order.pop_first()?;
        self.urgencies.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_is_pending_once_by_its_most_urgent_reason() {
        let mut pending = Pending::default();
        for (name, seconds) in [("a", 60), ("b", 15), ("c", 2), ("a", 2), ("c", 15), ("b", 15)] {
            pending.add(Key::template("geo", name), Duration::from_secs(seconds));
        }
        assert_eq!(pending.urgency(), Some(Duration::from_secs(2)));
        let names: Vec<_> = std::iter::from_fn(|| pending.take()).map(|key| key.name).collect();
        assert_eq!(names, ["a", "c", "b"]);
        assert_eq!(pending.urgency(), None);
        pending.add(Key::template("geo", "a"), Duration::MAX);
        assert_eq!(
            pending.take().map(|key| key.name).as_deref(),
            Some("a"),
            "what was taken is pending again"
        );
    }
}
