//! Which records there are to judge: those on machines, and those that are remembered. One machine has one.
use std::collections::BTreeSet;

use jiff::Timestamp;
use saved_template_api::ids::InstanceId;

use super::{
    judge::Copy,
    record::{Record, Unreadable},
};
use crate::world::Instance;

/// One record, where it was read, and the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debt {
    /// The record.
    pub record: Record,
    /// Where it was read.
    pub copy: Copy,
    /// The machine that it was read on, or that it is about; none if EC2 does not show it.
    pub instance: Option<Instance>,
}

impl Debt {
    /// The machine that it was read on: a copied tag has the capture of the original, and must not stand in its way.
    pub fn place(&self) -> &InstanceId {
        self.instance.as_ref().map_or(&self.record.instance, |instance| &instance.id)
    }

    /// What is to be taken off the machine under `key` once the debt is settled; none if nothing of it is there. An abort by a
    /// process that had slept may have put an earlier state of the record back.
    pub fn on_machine(&self, key: &str) -> Option<Record> {
        if self.copy != Copy::Remembered {
            return Some(self.record.clone());
        }
        let there: Record = self.instance.as_ref()?.tags.get(key)?.parse().ok()?;
        self.record.differs_in_limits(&there).then_some(there)
    }
}

/// A value under our key that is not paid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// No record that we can have written.
    Unreadable {
        /// The machine that carries it.
        instance: InstanceId,
        /// What it says.
        value: String,
        /// Why it is none.
        why: Unreadable,
    },
    /// Not the record under which we stopped the machine, which has not run since: that one counts, and is written again.
    Overruled {
        /// The machine that carries it.
        instance: InstanceId,
        /// What it says.
        value: String,
    },
}

/// The records under `key` on these machines, as they were read at `now`, and the `remembered` ones, under each of which a
/// Stop was announced.
pub fn found(
    instances: &[Instance],
    key: &str,
    remembered: &[Record],
    now: Timestamp,
) -> (Vec<Debt>, Vec<Told>) {
    let (mut debts, mut told) = (Vec::new(), Vec::new());
    let mut stands: BTreeSet<InstanceId> = BTreeSet::new();
    for instance in instances {
        let Some(value) = instance.tags.get(key) else { continue };
        let record = match value.parse::<Record>() {
            Ok(record) => record,
            Err(why) => {
                told.push(Told::Unreadable { instance: instance.id.clone(), value: value.clone(), why });
                continue;
            }
        };
        let mut ours = remembered.iter().filter(|known| known.instance == instance.id).peekable();
        let is_about_another = record.instance != instance.id;
        let copy = if is_about_another || ours.peek().is_none() {
            Copy::Tag
        } else if ours.clone().any(|known| known.followed_by(&record, now)) {
            Copy::Both
        } else {
            // Where reads lag, an earlier state of ours is still shown.
            if !ours.any(|known| known.differs_in_limits(&record)) {
                told.push(Told::Overruled { instance: instance.id.clone(), value: value.clone() });
            }
            continue;
        };
        // What is no record of this machine does not stand for the one that it had.
        if !is_about_another {
            stands.insert(instance.id.clone());
        }
        debts.push(Debt { record, copy, instance: Some(instance.clone()) });
    }
    for record in remembered.iter().filter(|record| !stands.contains(&record.instance)) {
        let instance = instances.iter().find(|instance| instance.id == record.instance).cloned();
        debts.push(Debt { record: record.clone(), copy: Copy::Remembered, instance });
    }
    (debts, told)
}

impl Record {
    /// Whether a remembered record can have become this one by `now` without this process knowing: a hard stop moves `s` and
    /// `m` on, an abort brings `m` forward. Anybody may have written what differs otherwise; `n` changes with the status alone.
    pub fn followed_by(&self, tag: &Self, now: Timestamp) -> bool {
        let is_forced = tag.stop_by > self.stop_by;
        let latest = if is_forced { self.forced_with(tag.stop_by) } else { self.clone() };
        self.differs_in_limits(tag)
            && (!is_forced || self.may_be_forced_with(tag.stop_by, now))
            && tag.stop_by == latest.stop_by
            && tag.image_by <= latest.image_by
    }

    /// Whether another record differs in nothing but `s` and `m`.
    fn differs_in_limits(&self, other: &Self) -> bool {
        *other == Self { stop_by: other.stop_by, image_by: other.image_by, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        restart::Awaits,
        sample::{OWNER, at, record, running, stopped_at},
        time::after,
    };
    use saved_template_api::names;

    fn with(value: &str) -> Instance {
        let mut machine = stopped_at(Some(at(20)));
        machine.tags.insert(names::debt_key(OWNER.cluster), value.to_owned());
        machine
    }

    #[test]
    fn what_is_taken_off_a_machine_is_what_it_carries_of_the_debt_and_nothing_else() {
        let key = names::debt_key(OWNER.cluster);
        let forced = record().forced(at(60));
        for (remembered, value, taken) in [
            (None, record().to_string(), Some(record())),
            (Some(record()), record().to_string(), Some(record())),
            // Somebody slept through the hard stop, and aborted under the record as it knew it.
            (Some(forced.clone()), record().aborted(at(90)).to_string(), Some(record().aborted(at(90)))),
            (Some(forced.clone()), Record { volumes: 3, ..record() }.to_string(), None),
            (Some(forced.clone()), Record { capture: "f".repeat(16), ..record() }.to_string(), None),
            (Some(forced), "nonsense".to_owned(), None),
        ] {
            let (debts, _) = found(&[with(&value)], &key, remembered.as_slice(), at(800));
            assert_eq!(debts.len(), 1, "{value}");
            assert_eq!(debts[0].on_machine(&key), taken, "{value}");
        }
    }

    fn copies(value: &str, remembered: &[Record]) -> (Vec<(String, Copy)>, usize) {
        let (debts, told) = found(&[with(value)], &names::debt_key(OWNER.cluster), remembered, at(800));
        (debts.into_iter().map(|debt| (debt.record.capture, debt.copy)).collect(), told.len())
    }

    #[test]
    fn no_other_value_stands_for_the_record_under_which_the_machine_was_stopped() {
        let ours = record();
        let text = |record: &Record| record.to_string();
        let other = Record { capture: "f".repeat(16), ..ours.clone() };
        let longer = Record { start_by: at(86_000), ..ours.clone() };
        let sooner = Record { start_by: at(300), image_by: at(240), ..ours.clone() };
        let aborted = ours.aborted(at(100));
        let more = Record { volumes: 3, ..ours.clone() };
        for (what, value, copy, told) in [
            ("the same", text(&ours), Copy::Both, 0),
            ("given up", text(&aborted), Copy::Both, 0),
            ("stopped the hard way", text(&ours.forced(at(700))), Copy::Both, 0),
            ("another number of volumes", text(&more), Copy::Remembered, 1),
            ("a claim", text(&Record { awaits: Awaits::Nothing, ..ours.clone() }), Copy::Remembered, 1),
            (
                "waits for the image",
                text(&Record { awaits: Awaits::Image, ..ours.clone() }),
                Copy::Remembered,
                1,
            ),
            ("another capture's", text(&other), Copy::Remembered, 1),
            ("ours with a later limit", text(&longer), Copy::Remembered, 1),
            ("ours with an earlier limit", text(&sooner), Copy::Remembered, 1),
            ("rubbish", "rubbish".to_owned(), Copy::Remembered, 1),
        ] {
            let expected = (vec![(ours.capture.clone(), copy)], told);
            assert_eq!(copies(&value, std::slice::from_ref(&ours)), expected, "{what}");
        }
        assert_eq!(copies(&text(&other), &[]), (vec![(other.capture.clone(), Copy::Tag)], 0));
        assert_eq!(copies("rubbish", &[]), (Vec::new(), 1));
    }

    #[test]
    fn what_differs_from_the_remembered_record_in_other_limits_than_a_hard_stop_or_an_abort_sets_does_not_count()
     {
        let ours = record();
        let (forced, given_up) = (ours.forced(at(700)), ours.aborted(at(100)));
        let later = Record { image_by: after(ours.image_by, 300), ..ours.clone() };
        let hasty = Record { stop_by: after(ours.stop_by, -50), ..ours.clone() };
        let waiting = Record { image_by: after(forced.image_by, 300), ..forced.clone() };
        // The guest has the shortest time that a manifest can give it: a minute.
        let quick = Record { image_by: after(ours.planned, 60 + 180), ..ours.clone() };
        for (what, known, tag, copy, told) in [
            ("given up", &ours, &given_up, Copy::Both, 0),
            ("stopped the hard way by another leader", &ours, &forced, Copy::Both, 0),
            (
                "stopped the hard way after the shortest timeout",
                &quick,
                &quick.forced(at(700)),
                Copy::Both,
                0,
            ),
            ("the same, and given up", &ours, &forced.aborted(at(800)), Copy::Both, 0),
            ("a hard stop before the guest had its time", &ours, &ours.forced(at(599)), Copy::Remembered, 0),
            ("a hard stop that is not due yet", &ours, &ours.forced(at(861)), Copy::Remembered, 0),
            (
                "a hard stop after the save was given up",
                &given_up,
                &given_up.forced(at(700)),
                Copy::Remembered,
                0,
            ),
            ("a second hard stop", &forced, &forced.forced(at(790)), Copy::Remembered, 0),
            ("an old read of before the hard stop", &forced, &ours, Copy::Remembered, 0),
            ("an old read of before the abort", &given_up, &ours, Copy::Remembered, 0),
            ("a later m", &ours, &later, Copy::Remembered, 0),
            ("a later m than a hard stop sets", &ours, &waiting, Copy::Remembered, 0),
            ("an earlier s, for which our stop came too late", &ours, &hasty, Copy::Remembered, 1),
        ] {
            let found = copies(&tag.to_string(), std::slice::from_ref(known));
            assert_eq!(found, (vec![(known.capture.clone(), copy)], told), "{what}");
        }
    }

    #[test]
    fn a_copied_tag_stands_for_nothing_and_is_judged_where_it_is() {
        let elsewhere = Record { instance: "i-00000000000000009".parse().unwrap(), ..record() };
        let remembered = [record()];
        let (debts, told) =
            found(&[with(&elsewhere.to_string())], &names::debt_key(OWNER.cluster), &remembered, at(800));
        let places: Vec<_> = debts.iter().map(|debt| (debt.place(), debt.copy)).collect();
        assert_eq!(places, [(&running().id, Copy::Tag), (&running().id, Copy::Remembered)]);
        assert_eq!(told, []);
    }

    #[test]
    fn a_record_that_was_stripped_is_judged_by_its_own_machine() {
        let mut bare = stopped_at(Some(at(20)));
        bare.tags.clear();
        let other = Instance { id: "i-00000000000000009".parse().unwrap(), ..bare.clone() };
        let key = names::debt_key(OWNER.cluster);
        for (machines, judged) in [(vec![other.clone(), bare.clone()], Some(bare)), (vec![other], None)] {
            let (debts, _) = found(&machines, &key, &[record()], at(800));
            let seen: Vec<_> = debts.into_iter().map(|debt| (debt.copy, debt.instance)).collect();
            assert_eq!(seen, [(Copy::Remembered, judged)]);
        }
    }

    #[test]
    fn a_claim_that_is_remembered_counts_like_any_other() {
        let claim = Record { awaits: Awaits::Nothing, ..record() };
        assert_eq!(copies(&claim.to_string(), std::slice::from_ref(&claim)).0, [(claim.capture, Copy::Both)]);
    }
}
