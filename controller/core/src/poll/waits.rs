//! Who waits for a view of what it wants read. Whoever waits holds up nobody: it comes again with the next view, or once it
//! has waited long enough to go on without one.
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::key::Key;

/// Whoever has not asked for so long has not waited: nothing made it look.
const AWAY: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy)]
struct Wait {
    since: Instant,
    asked: Instant,
}

/// The objects that wait in one place, and since when.
#[derive(Debug, Default)]
pub struct Waits {
    waiting: BTreeMap<Key, Wait>,
    /// Objects that have their view here and wait for that of another place: when their view began.
    held: BTreeMap<Key, Instant>,
}

impl Waits {
    /// An object finds no view: how much longer it waits for one. None once it has waited for all of `patience`: from then on
    /// it goes on without, until it is [served](Self::served).
    pub fn left(&mut self, key: &Key, patience: Duration, now: Instant) -> Option<Duration> {
        let new = Wait { since: now, asked: now };
        let wait = self.waiting.entry(key.clone()).or_insert(new);
        if now.saturating_duration_since(wait.asked) > AWAY {
            *wait = new;
        }
        wait.asked = now;
        patience.checked_sub(now.saturating_duration_since(wait.since)).filter(|left| !left.is_zero())
    }

    /// Whether a view that began then is young enough for an object, to which it may be so old: whatever began while it
    /// waits is, also where reading takes longer than that; so is what it has while it waits for another place.
    pub fn accepts(&self, key: &Key, oldest: Duration, began: Instant, now: Instant) -> bool {
        let is_young = now.saturating_duration_since(began) <= oldest;
        let since = self.waiting.get(key).map(|wait| wait.since);
        is_young || since.into_iter().chain(self.held.get(key).copied()).any(|since| began >= since)
    }

    /// An object has a view that began then, and waits for that of another place.
    pub fn hold(&mut self, key: &Key, began: Instant) {
        self.waiting.remove(key);
        self.held.insert(key.clone(), began);
    }

    /// An object has every view that it wants.
    pub fn served(&mut self, key: &Key) {
        self.waiting.remove(key);
        self.held.remove(key);
    }

    /// Nobody waits any more.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.held.clear();
    }

    /// Those that have no view here yet.
    pub fn waiting(&self) -> impl Iterator<Item = &Key> {
        self.waiting.keys()
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
            (80, false, None),
            (81, true, Some(20)),
            (82, false, Some(19)),
            // It was not looked at meanwhile.
            (143, false, Some(20)),
        ] {
            let now = start + Duration::from_secs(seconds);
            if served {
                waits.served(&key);
            }
            assert_eq!(waits.left(&key, patience, now), left.map(Duration::from_secs), "{seconds}");
        }
        assert_eq!(waits.left(&other, patience, start + Duration::from_secs(143)), Some(patience));
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

    #[test]
    fn a_view_stays_young_enough_for_whoever_waits_for_that_of_another_place() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        let (key, at) = (Key::template("geo", "quake"), |seconds| start + Duration::from_secs(seconds));
        waits.left(&key, Duration::from_secs(20), at(0));
        waits.hold(&key, at(1));
        assert_eq!(waits.waiting().count(), 0, "no view of this place wakes it");
        let accepts = |waits: &Waits, began| waits.accepts(&key, Duration::from_secs(4), at(began), at(30));
        assert!(accepts(&waits, 1) && accepts(&waits, 9) && !accepts(&waits, 0));
        waits.served(&key);
        assert!(!accepts(&waits, 1) && !accepts(&waits, 9));
    }
}
