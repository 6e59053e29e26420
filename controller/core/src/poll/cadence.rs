//! When the next sweep comes.
use std::time::Duration;

use jiff::Timestamp;

use crate::{
    restart::{Awaits, Record},
    world::{Image, Instance, InstanceState},
};

/// R8: after the start of the process.
const FIRST: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_mins(1),
];
/// So long after the last open record a region is still looked at every minute.
const EVENTFUL: Duration = Duration::from_hours(1);
const CALM: Duration = Duration::from_mins(1);
/// A replica without the lease looks at open records this often.
const STANDBY: Duration = Duration::from_secs(15);

/// How often one region is swept: by what is open there, else by how long nothing was. Ages are since the process was born.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    drift: Duration,
    eventful: Option<Duration>,
}

impl Cadence {
    /// A region in which nothing goes on is swept every `drift`.
    pub const fn new(drift: Duration) -> Self {
        Self { drift, eventful: None }
    }

    /// How long after the beginning of a sweep at `age` the next one begins; `wanted` is what objects ask for, `records` how
    /// often each open record is looked at by whoever leads.
    pub fn next(
        &mut self,
        age: Duration,
        leads: bool,
        wanted: impl Iterator<Item = Duration>,
        records: impl Iterator<Item = Duration>,
    ) -> Duration {
        let records = records.map(|pace| if leads { pace } else { STANDBY }).min();
        if records.is_some() {
            self.eventful = Some(age);
        }
        let busy = wanted.filter(|_| leads).chain(records).min();
        let first = FIRST.iter().find(|at| **at > age).map(|at| at.saturating_sub(age));
        let is_eventful = self.eventful.is_some_and(|last| age.saturating_sub(last) < EVENTFUL);
        let idle = first.unwrap_or(if is_eventful { CALM } else { self.drift });
        busy.unwrap_or(idle).min(idle)
    }

    /// R8: how often the record under `debt_key` on a machine is looked at; none if there is no record that can be honest.
    pub fn of_record(
        instance: &Instance,
        debt_key: &str,
        images: &[Image],
        now: Option<Timestamp>,
    ) -> Option<Duration> {
        let record: Record = instance.tags.get(debt_key)?.parse().ok()?;
        if record.instance != instance.id || now.is_some_and(|now| !record.is_plausible(now)) {
            return None;
        }
        let is_imaged = || images.iter().any(|image| record.made(image));
        Some(Duration::from_secs(match instance.state {
            InstanceState::Running => 5,
            InstanceState::Stopped if record.awaits == Awaits::Image && is_imaged() => 15,
            InstanceState::Stopped | InstanceState::Stopping | InstanceState::Pending => 2,
            InstanceState::ShuttingDown | InstanceState::Terminated | InstanceState::Unknown => 30,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{OWNER, at, made, record, running, stopped_at, tagged};
    use saved_template_api::names::debt_key;

    const DRIFT: Duration = Duration::from_secs(300);

    fn next(cadence: &mut Cadence, age: u64, leads: bool, wanted: Option<u64>, records: Option<u64>) -> u64 {
        let seconds = |span: Option<u64>| span.into_iter().map(Duration::from_secs);
        cadence.next(Duration::from_secs(age), leads, seconds(wanted), seconds(records)).as_secs()
    }

    #[test]
    fn the_busiest_wish_sets_the_pace_and_a_process_that_has_just_begun_looks_often() {
        for (age, leads, wanted, records, expected) in [
            (0, true, None, None, 5),
            (5, true, None, None, 10),
            (29, true, None, None, 1),
            (31, true, None, None, 29),
            (60, true, None, None, 300),
            (60, true, Some(2), None, 2),
            (60, true, Some(600), None, 300),
            (60, true, Some(30), Some(5), 5),
            (60, false, Some(2), None, 300),
            (60, false, Some(2), Some(2), 15),
            (57, false, None, Some(2), 3),
        ] {
            let found = next(&mut Cadence::new(DRIFT), age, leads, wanted, records);
            assert_eq!(found, expected, "{age} {leads} {wanted:?} {records:?}");
        }
    }

    #[test]
    fn a_region_stays_in_sight_for_an_hour_after_its_last_open_record() {
        let mut cadence = Cadence::new(DRIFT);
        for (age, records, expected) in
            [(100, Some(2), 2), (200, None, 60), (3699, None, 60), (3700, None, 300), (9000, Some(30), 30)]
        {
            assert_eq!(next(&mut cadence, age, true, None, records), expected, "{age}");
        }
    }

    #[test]
    fn a_record_is_looked_at_as_often_as_its_machine_needs_it() {
        use InstanceState as S;
        let key = debt_key(OWNER.cluster);
        let waits = Record { awaits: Awaits::Image, ..record() };
        let with = |state, record: &Record| {
            let mut machine = Instance { state, ..stopped_at(Some(at(20))) };
            machine.tags.insert(key.clone(), record.to_string());
            machine
        };
        for (machine, images, pace) in [
            (tagged(running()), vec![], Some(5)),
            (with(S::Stopped, &record()), vec![made()], Some(2)),
            (with(S::Stopped, &waits), vec![], Some(2)),
            (with(S::Stopped, &waits), vec![made()], Some(15)),
            (with(S::Stopping, &waits), vec![made()], Some(2)),
            (with(S::Pending, &record()), vec![], Some(2)),
            (with(S::Terminated, &record()), vec![], Some(30)),
            (running(), vec![], None),
            (Instance { id: "i-00000000000000009".parse().unwrap(), ..tagged(running()) }, vec![], None),
        ] {
            let found = Cadence::of_record(&machine, &key, &images, Some(at(30)));
            assert_eq!(found.map(|pace| pace.as_secs()), pace, "{:?} {:?}", machine.state, machine.tags);
        }
        let long_past = Some(at(10_000_000));
        assert_eq!(Cadence::of_record(&tagged(running()), &key, &[], long_past), None);
        assert!(Cadence::of_record(&tagged(running()), &key, &[], None).is_some(), "no clock, no doubt");
    }
}
