//! How soon a call about a record is tried again. Instants are those of the process's own monotonic clock.
use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use super::{judge::pause, record::Record};
use crate::time::later;

/// R8: a replica without the lease starts a machine this much later.
const STANDBY: SignedDuration = SignedDuration::from_secs(20);
/// After a start was accepted, EC2 is given this long to show it.
const ACCEPTED: Duration = Duration::from_secs(10);
/// What was not tried for so long is over.
const OVER: Duration = Duration::from_mins(2);

/// A call about a record: each has pauses of its own between its tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// `StartInstances`.
    Start,
    /// `DeleteTags`: it has done its work.
    Remove,
    /// `CreateTags`: it was stripped.
    Rewrite,
    /// `CreateTags`: its capture is given up.
    Abort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tries {
    /// Starts that were refused; of the other calls, those that were sent: a read that lags shows none of them.
    count: u32,
    /// None where a start is only due, and was not tried.
    last: Option<Instant>,
    first_due: Option<Timestamp>,
}

/// The tries of one region: of a start by machine and capture, of the other calls by the text of the record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pacing(BTreeMap<(Call, String), Tries>);

/// Under which the tries of the start for a record are counted: an abort makes no other start of it.
fn start_of(record: &Record) -> (Call, String) {
    (Call::Start, format!("{} {}", record.instance, record.capture))
}

impl Pacing {
    /// Whether the start is sent now: not within the pause after the last one, and by a replica without the lease not
    /// within its courtesy after the machine fell due. `since` is when that was by EC2's own times; else it is counted from
    /// its first sight.
    pub fn may_start(
        &mut self,
        record: &Record,
        since: Option<Timestamp>,
        now: Timestamp,
        leads: bool,
        at: Instant,
    ) -> bool {
        let known = self.0.get(&start_of(record)).copied();
        let (count, last) = known.map_or((0, None), |known| (known.count, known.last));
        let first_due = since.or(known.and_then(|known| known.first_due)).unwrap_or(now);
        let wait = if count == 0 { ACCEPTED } else { pause(count) };
        let is_paused = last.is_some_and(|last| at.saturating_duration_since(last) < wait);
        let is_early = !leads && now < later(first_due, STANDBY);
        if is_early || !is_paused {
            let last = if is_early { last } else { Some(at) };
            self.0.insert(start_of(record), Tries { count, last, first_due: Some(first_due) });
        }
        !is_early && !is_paused
    }

    /// EC2 took the start.
    pub fn started(&mut self, record: &Record, at: Instant) {
        self.note(record, at, |_| 0);
    }

    /// EC2 refused the start, or its reply was lost.
    pub fn refused(&mut self, record: &Record, at: Instant) {
        self.note(record, at, |count| count.saturating_add(1));
    }

    fn note(&mut self, record: &Record, at: Instant, count: impl FnOnce(u32) -> u32) {
        if let Some(tries) = self.0.get_mut(&start_of(record)) {
            (tries.count, tries.last) = (count(tries.count), Some(at));
        }
    }

    /// Whether a change of tags is sent now: whether the last one went through, a read that lags does not tell.
    pub fn may_write(&mut self, call: Call, record: &Record, at: Instant) -> bool {
        let age = |known: &Tries| known.last.map_or(Duration::MAX, |last| at.saturating_duration_since(last));
        self.0.retain(|(call, _), known| *call == Call::Start || age(known) < OVER);
        let known = self.0.entry((call, record.to_string()));
        let count = match &known {
            Entry::Occupied(known) if age(known.get()) < pause(known.get().count) => return false,
            Entry::Occupied(known) => known.get().count,
            Entry::Vacant(_) => 0,
        };
        known.insert_entry(Tries { count: count.saturating_add(1), last: Some(at), first_due: None });
        true
    }

    /// The record has done its work.
    pub fn over(&mut self, record: &Record) {
        self.0.remove(&start_of(record));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{at, record};

    fn after(born: Instant, seconds: u64) -> Instant {
        born.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn a_start_is_tried_again_ten_seconds_after_it_was_taken_and_ever_later_after_it_was_refused() {
        let (born, mut pacing) = (Instant::now(), Pacing::default());
        let mut sent = Vec::new();
        for second in 0..200 {
            let now = after(born, second);
            let clock = at(i64::try_from(second).unwrap());
            if pacing.may_start(&record(), Some(at(0)), clock, true, now) {
                sent.push(second);
                if second < 100 { pacing.refused(&record(), now) } else { pacing.started(&record(), now) }
            }
        }
        assert_eq!(sent, [0, 5, 15, 35, 75, 135, 145, 155, 165, 175, 185, 195]);
    }

    #[test]
    fn an_abort_makes_no_other_start_of_a_record_and_another_capture_does() {
        let (born, mut pacing) = (Instant::now(), Pacing::default());
        let start = |pacing: &mut Pacing, record: &Record| pacing.may_start(record, None, at(60), true, born);
        assert!(start(&mut pacing, &record()));
        assert!(!start(&mut pacing, &record().aborted(at(30))));
        assert!(start(&mut pacing, &Record { capture: "f".repeat(16), ..record() }));
        pacing.over(&record());
        assert!(start(&mut pacing, &record()));
    }

    #[test]
    fn a_replica_without_the_lease_gives_the_leader_twenty_seconds_from_when_the_machine_is_due() {
        let born = Instant::now();
        for (what, since, first, seconds, starts) in [
            ("EC2 tells since when", Some(at(100)), 100, 119, false),
            ("EC2 tells since when, and it is long ago", Some(at(100)), 120, 120, true),
            ("counted from its first sight", None, 105, 124, false),
            ("counted from its first sight", None, 105, 125, true),
        ] {
            let mut pacing = Pacing::default();
            let at_once = pacing.may_start(&record(), since, at(first), false, born);
            assert_eq!(at_once, first == seconds && starts, "{what}");
            if first != seconds {
                let found = pacing.may_start(&record(), since, at(seconds), false, born);
                assert_eq!(found, starts, "{what} {seconds}");
            }
            let mut leader = Pacing::default();
            assert!(leader.may_start(&record(), since, at(first), true, born), "{what}");
        }
    }

    #[test]
    fn a_change_of_tags_is_sent_again_ever_later_until_it_was_not_wanted_for_two_minutes() {
        let (born, mut pacing) = (Instant::now(), Pacing::default());
        let sent = |pacing: &mut Pacing, call, seconds: std::ops::Range<u64>| {
            let mut sent = seconds.collect::<Vec<_>>();
            sent.retain(|second| pacing.may_write(call, &record(), after(born, *second)));
            sent
        };
        assert_eq!(sent(&mut pacing, Call::Remove, 0..100), [0, 5, 15, 35, 75]);
        assert_eq!(sent(&mut pacing, Call::Rewrite, 100..110), [100, 105], "another call");
        assert_eq!(sent(&mut pacing, Call::Remove, 194..206), [194], "75 + 120 have not passed");
        assert_eq!(sent(&mut pacing, Call::Remove, 314..330), [314, 319, 329], "it begins anew");
    }
}
