//! Who waits for a view of what it wants read. Whoever waits holds up nobody: it comes again with the next view, or once it
//! has waited long enough to go on without one.
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::key::Key;

/// The objects that wait, and since when.
#[derive(Debug, Default)]
pub struct Waits(BTreeMap<Key, Instant>);

impl Waits {
    /// An object finds no view: how much longer it waits for one. None once it has waited for all of `patience`: from then on
    /// it goes on without, until it is [served](Self::served).
    pub fn left(&mut self, key: &Key, patience: Duration, now: Instant) -> Option<Duration> {
        let since = *self.0.entry(key.clone()).or_insert(now);
        patience.checked_sub(now.saturating_duration_since(since)).filter(|left| !left.is_zero())
    }

    /// Whether a view that began then is young enough for an object, to which it may be so old: whatever began while it
    /// waits is, also where reading takes longer than that.
    pub fn accepts(&self, key: &Key, oldest: Duration, began: Instant, now: Instant) -> bool {
        let is_young = now.saturating_duration_since(began) <= oldest;
        is_young || self.0.get(key).is_some_and(|since| began >= *since)
    }

    /// An object has its view.
    pub fn served(&mut self, key: &Key) {
        self.0.remove(key);
    }

    /// Nobody waits any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Those that have no view yet.
    pub fn waiting(&self) -> impl Iterator<Item = &Key> {
        self.0.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_lacks_a_view_waits_once_and_then_goes_on_without_until_there_is_one() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        let (key, other) = (Key::template("geo", "quake"), Key::template("geo", "tremor"));
        let patience = Duration::from_secs(20);
        for (seconds, served, left) in [
            (0, false, Some(20)),
            (5, false, Some(15)),
            (20, false, None),
            (300, false, None),
            (301, true, Some(20)),
            (302, false, Some(19)),
        ] {
            let now = start + Duration::from_secs(seconds);
            if served {
                waits.served(&key);
            }
            assert_eq!(waits.left(&key, patience, now), left.map(Duration::from_secs), "{seconds}");
        }
        assert_eq!(waits.left(&other, patience, start + Duration::from_secs(303)), Some(patience));
        assert_eq!(waits.waiting().count(), 2);
    }

    #[test]
    fn a_view_is_young_enough_by_its_age_or_if_it_began_while_the_object_waited_for_one() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        let (key, other) = (Key::template("geo", "quake"), Key::template("geo", "tremor"));
        let at = |seconds| start + Duration::from_secs(seconds);
        waits.left(&key, Duration::from_secs(20), at(100));
        for (began, now, waits_for_it, does_not) in
            [(99, 103, true, true), (99, 104, false, false), (100, 105, true, false), (101, 900, true, false)]
        {
            let accepts = |key| waits.accepts(key, Duration::from_secs(4), at(began), at(now));
            assert_eq!((accepts(&key), accepts(&other)), (waits_for_it, does_not), "{began} at {now}");
        }
    }
}
