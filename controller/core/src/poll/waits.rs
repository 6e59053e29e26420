//! Who waits for a view of what it wants read. Whoever waits holds up nobody: it comes again with the next view, or once it
//! has waited long enough to go on without one.
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::key::Key;

/// Whoever went on without a view, and has not asked for so long, waits for one again.
const AWAY: Duration = Duration::from_mins(1);
/// Whoever comes so much later than its patience was held up itself: nobody knows whether the place was silent.
const LATE: Duration = Duration::from_secs(5);
/// A wait begins anew no more often than this: what is edited with every view is decided about all the same.
const ANEW: u8 = 3;
/// How long a view that was waited for is young enough once it is there. The reading is not counted, or a place that reads
/// slowly would have none; a queue, and all the patience with another place, are shorter.
const LASTS: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy)]
struct Wait {
    since: Instant,
    asked: Instant,
    /// How often it has begun anew.
    anew: u8,
}

/// What the wait of an object is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// What it wanted when it asked before, or less.
    Same,
    /// More than that.
    More,
}

/// When the reading of a view began, and when it was there.
#[derive(Debug, Clone, Copy)]
pub struct ReadAt {
    /// Its beginning.
    pub began: Instant,
    /// Its end.
    pub ended: Instant,
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
    pub fn left(&mut self, key: &Key, patience: Duration, wanted: Wanted, now: Instant) -> Option<Duration> {
        let new = Wait { since: now, asked: now, anew: 0 };
        let wait = self.waiting.entry(key.clone()).or_insert(new);
        let away = now.saturating_duration_since(wait.asked);
        if wait.asked.saturating_duration_since(wait.since) >= patience {
            if away > AWAY {
                *wait = new;
            }
        } else if wait.anew < ANEW && (wanted == Wanted::More || away > patience.saturating_add(LATE)) {
            *wait = Wait { anew: wait.anew.saturating_add(1), ..new };
        }
        wait.asked = now;
        patience.checked_sub(now.saturating_duration_since(wait.since)).filter(|left| !left.is_zero())
    }

    /// Whether a view is young enough for an object, to which it may be so old: so is, for a minute, whatever began while it
    /// waits, and what it has while it waits for another place.
    pub fn accepts(&self, key: &Key, oldest: Duration, read: ReadAt, now: Instant) -> bool {
        let since = self.waiting.get(key).map(|wait| wait.since);
        let mut since = since.into_iter().chain(self.held.get(key).copied());
        let lasts = now.saturating_duration_since(read.ended) <= LASTS;
        now.saturating_duration_since(read.began) <= oldest
            || (lasts && since.any(|since| read.began >= since))
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

    const PATIENCE: Duration = Duration::from_secs(20);

    fn quake() -> Key {
        Key::template("geo", "quake")
    }

    /// How much longer it waits, at each of these seconds.
    fn left(asks: &[(u64, Wanted)]) -> Vec<Option<u64>> {
        let (mut waits, start) = (Waits::default(), Instant::now());
        let mut ask = |(seconds, wanted): &(u64, Wanted)| {
            let left = waits.left(&quake(), PATIENCE, *wanted, start + Duration::from_secs(*seconds));
            left.map(|left| left.as_secs())
        };
        asks.iter().map(&mut ask).collect()
    }

    #[test]
    fn whoever_lacks_a_view_waits_once_and_then_goes_on_without_until_there_is_one() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        for (seconds, served, left) in [
            (0, false, Some(20)),
            (5, false, Some(15)),
            (20, false, None),
            (80, false, None),
            (81, true, Some(20)),
            (82, false, Some(19)),
            (103, false, None),
            // It was not looked at meanwhile.
            (164, false, Some(20)),
        ] {
            let now = start + Duration::from_secs(seconds);
            if served {
                waits.served(&quake());
            }
            let found = waits.left(&quake(), PATIENCE, Wanted::Same, now);
            assert_eq!(found, left.map(Duration::from_secs), "{seconds}");
        }
        let (other, now) = (Key::template("geo", "tremor"), start + Duration::from_secs(164));
        assert_eq!(waits.left(&other, PATIENCE, Wanted::Same, now), Some(PATIENCE));
        assert_eq!(waits.waiting().count(), 2);
    }

    #[test]
    fn whoever_comes_late_or_wants_more_waits_anew_but_not_for_ever() {
        use Wanted::{More, Same};
        for (asks, expected) in [
            (vec![(0, Same), (25, Same)], vec![Some(20), None]),
            (vec![(0, Same), (26, Same), (46, Same)], vec![Some(20), Some(20), None]),
            (vec![(0, Same), (15, More), (34, Same), (35, Same)], vec![Some(20), Some(20), Some(1), None]),
            // It goes on without: what it wants then is not waited for.
            (vec![(0, Same), (20, Same), (21, More), (50, More)], vec![Some(20), None, None, None]),
        ] {
            assert_eq!(left(&asks), expected, "{asks:?}");
        }
        for (wanted, apart, last) in [(More, 2, 26), (Same, 30, 120)] {
            let asks: Vec<_> = (0..100).map(|n| (n * apart, if n == 0 { Same } else { wanted })).collect();
            let given_up = left(&asks).iter().position(Option::is_none).map(|at| asks[at].0);
            assert_eq!(given_up, Some(last), "every {apart} s");
        }
    }

    #[test]
    fn a_view_is_young_enough_by_its_age_or_for_a_minute_if_it_began_while_the_object_waited_for_one() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        let other = Key::template("geo", "tremor");
        let at = |seconds| start + Duration::from_secs(seconds);
        waits.left(&quake(), PATIENCE, Wanted::Same, at(100));
        for (began, ended, now, waits_for_it, does_not) in [
            (99, 100, 103, true, true),
            (99, 100, 104, false, false),
            (100, 101, 105, true, false),
            (101, 110, 170, true, false),
            (101, 110, 171, false, false),
            // However long the reading takes.
            (101, 400, 400, true, false),
            (101, 102, 900, false, false),
        ] {
            let read = ReadAt { began: at(began), ended: at(ended) };
            let accepts = |key| waits.accepts(key, Duration::from_secs(4), read, at(now));
            assert_eq!((accepts(&quake()), accepts(&other)), (waits_for_it, does_not), "{began} at {now}");
        }
    }

    #[test]
    fn a_view_stays_young_enough_for_a_minute_for_whoever_waits_for_that_of_another_place() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        waits.left(&quake(), PATIENCE, Wanted::Same, at(0));
        waits.hold(&quake(), at(1));
        assert_eq!(waits.waiting().count(), 0, "no view of this place wakes it");
        let accepts = |waits: &Waits, began, now| {
            let read = ReadAt { began: at(began), ended: at(began + 3) };
            waits.accepts(&quake(), Duration::from_secs(4), read, at(now))
        };
        assert!(accepts(&waits, 1, 30) && accepts(&waits, 9, 30) && !accepts(&waits, 0, 30));
        assert!(accepts(&waits, 1, 64) && !accepts(&waits, 1, 65) && accepts(&waits, 2, 65));
        waits.served(&quake());
        assert!(!accepts(&waits, 1, 30) && !accepts(&waits, 9, 30));
    }
}
