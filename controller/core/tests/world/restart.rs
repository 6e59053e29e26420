//! The restart loop: sweep, judge, send. Every process has one; it needs no object and no API server.
use std::collections::BTreeMap;

use saved_template_api::names::{debt_key, tag};
use saved_template_core::{
    cloud::FRESH,
    interest::Interest,
    restart::{self, Debt, Evidence, Record, Verdict, found, judge},
    world::Started,
};

use crate::{
    ec2::{self, HOME},
    lab::{CLUSTER, Halt, Lab, Memory},
};

/// R8: a replica without the lease starts a machine this much later.
const COURTESY: i64 = 20_000;
/// R6: how long a process that stopped a machine may be without Kubernetes.
const ALONE: i64 = 30_000;

/// After a start was accepted, EC2 is given this long to show it.
const ACCEPTED: i64 = 10_000;
/// What was not tried for so long is over.
const FORGOTTEN: i64 = 120_000;
const START: &str = "StartInstances";

fn start_of(record: &Record) -> (&'static str, String) {
    (START, format!("{} {}", record.instance, record.capture))
}

fn pause(tries: u32) -> i64 {
    i64::try_from(restart::pause(tries).as_millis()).unwrap()
}

/// While a record is open a sweep is this old at most.
const SWEEP: i64 = 5000;

/// One call of the loop, and the read that it rests on.
#[derive(Debug, Clone)]
pub(crate) struct Payment {
    record: Record,
    what: What,
    read: i64,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// With the machine as it was seen.
    Start(Started),
    Remove,
    Rewrite,
    Abort,
}

impl What {
    const fn label(self) -> &'static str {
        match self {
            Self::Start(_) => START,
            Self::Remove => "RemoveRecord",
            Self::Rewrite => "RestoreRecord",
            Self::Abort => "AbortAlone",
        }
    }
}

impl Lab {
    /// Every record, tagged or remembered, is judged and paid.
    pub(crate) fn restart(&mut self, memory: &mut Memory, leads: bool) -> Result<(), Halt> {
        if self.jumps && leads && self.now < memory.sweep_at {
            return Ok(());
        }
        let (now, key) = (self.time(), debt_key(CLUSTER));
        let place = self.sim.place(ec2sim::ACCOUNT, HOME);
        let is_record = |key: &String| key.starts_with(tag::DEBT_PREFIX);
        let tagged =
            place.is_some_and(|place| place.instances.values().any(|one| one.tags.keys().any(is_record)));
        if !tagged && memory.records.is_empty() {
            memory.sightings.clear();
            memory.sweep_at = self.now + 60_000;
            return Ok(());
        }
        memory.sweep_at = self.now + SWEEP;
        let absences = memory.absences.clone();
        let view = self.view(HOME, memory, &Interest { snapshots: true, ..Interest::default() });
        memory.absences = absences;
        self.abort_alone(memory)?;
        let instances = view.instances.as_deref().unwrap_or_default();
        let remembered: Vec<Record> = memory.records.values().cloned().collect();
        let (debts, _) = found(instances, &key, &remembered);
        for debt in debts {
            let there = debt.on_machine(&key);
            let Debt { record, copy, instance } = debt;
            let Some(instance) = instance else { continue };
            let started = Started { previous: instance.state, launch_time_before: instance.launch_time };
            let calls =
                match judge(&record, copy, Some(&instance), Evidence::of(&view, &record.instance), now) {
                    Verdict::Wait | Verdict::Ignore | Verdict::Unclear { .. } | Verdict::Implausible => {
                        continue;
                    }
                    Verdict::Remove(_) if there.is_none() => {
                        memory.forget(&record);
                        [None, None]
                    }
                    Verdict::Void => {
                        memory.forget(&record);
                        [None, None]
                    }
                    Verdict::Start { .. } => [self.may_start(&record, started, leads, memory), None],
                    Verdict::Remove(_) => [self.may_write(&record, What::Remove, memory), None],
                    Verdict::Rewrite { due } => {
                        let start = due.and_then(|_| self.may_start(&record, started, leads, memory));
                        [self.may_write(&record, What::Rewrite, memory), start]
                    }
                };
            for what in calls.into_iter().flatten() {
                let removed = there.clone().filter(|_| matches!(what, What::Remove));
                let record = removed.unwrap_or_else(|| record.clone());
                self.set_out(Payment { record, what, read: self.now }, memory)?;
            }
        }
        Ok(())
    }

    /// The start of a machine that is due, unless another process goes first or its pause is not over.
    fn may_start(&self, record: &Record, seen: Started, leads: bool, memory: &mut Memory) -> Option<What> {
        let since = *memory.due.entry(record.debtor()).or_insert(self.now);
        let what = What::Start(seen);
        let place = start_of(record);
        let known = memory.tries.get(&place).copied();
        let is_paused = known.is_some_and(|(refused, last)| {
            self.now - last < if refused == 0 { ACCEPTED } else { pause(refused) }
        });
        if is_paused || (!leads && self.now - since < COURTESY) {
            return None;
        }
        memory.tries.insert(place, (known.map_or(0, |(refused, _)| refused), self.now));
        Some(what)
    }

    /// A change of tags, unless its pause is not over: whether the last one went through, a read that lags does not tell.
    fn may_write(&self, record: &Record, what: What, memory: &mut Memory) -> Option<What> {
        memory.tries.retain(|(call, _), (_, last)| *call == START || self.now - *last < FORGOTTEN);
        let tries = memory.tries.entry((what.label(), record.to_string())).or_insert((0, 0));
        if tries.0 > 0 && self.now - tries.1 < pause(tries.0) {
            return None;
        }
        *tries = (tries.0 + 1, self.now);
        Some(what)
    }

    /// One call, or the process falls asleep right before it.
    fn set_out(&mut self, payment: Payment, memory: &mut Memory) -> Result<(), Halt> {
        if let Some(seconds) = self.mishaps.nap(payment.what.label()) {
            memory.asleep = self.now + seconds * 1000;
            memory.payment = Some(Box::new(payment));
            return Err(Halt::Asleep);
        }
        self.pay(payment, memory)
    }

    /// One call, unless the read that it rests on is too old.
    pub(crate) fn pay(&mut self, payment: Payment, memory: &mut Memory) -> Result<(), Halt> {
        let Payment { record, what, read } = payment;
        if self.now - read > i64::try_from(FRESH.as_millis()).unwrap() {
            return Ok(());
        }
        let (id, key) = (record.instance.to_string(), debt_key(CLUSTER));
        let tags = BTreeMap::from([(key.clone(), record.to_string())]);
        if !matches!(what, What::Abort) {
            self.truth.under = Some(record.clone());
        }
        match what {
            What::Start(before) => {
                match self.send(HOME, what.label(), &ec2::on_instance("StartInstances", &id))? {
                    Ok(reply) => {
                        let previous = ec2::previous(&reply);
                        memory.refused.remove(&record.debtor());
                        memory.tries.insert(start_of(&record), (0, self.now));
                        memory.started.entry(record.debtor()).or_insert(Started { previous, ..before });
                    }
                    Err(refusal) => {
                        let tries = memory.tries.entry(start_of(&record)).or_default();
                        *tries = (tries.0 + 1, self.now);
                        memory.refused.insert(record.debtor(), refusal);
                    }
                }
            }
            What::Remove => {
                if self.send(HOME, what.label(), &ec2::untag(&id, &key, &record.to_string()))?.is_ok() {
                    memory.forget(&record);
                    memory.tries.remove(&start_of(&record));
                }
            }
            What::Rewrite => _ = self.send(HOME, what.label(), &ec2::tag(&id, &tags))?,
            What::Abort => {
                if self.send(HOME, what.label(), &ec2::tag(&id, &tags))?.is_ok() {
                    memory.custody.insert(record.capture.clone(), (self.now, true));
                    memory.records.insert(record.debtor(), record);
                }
            }
        }
        Ok(())
    }

    /// The process sent the Stop and Kubernetes is silent: the capture is given up by the record alone.
    fn abort_alone(&mut self, memory: &mut Memory) -> Result<(), Halt> {
        let alone = |(contact, over): &(i64, bool)| !over && self.now - contact >= ALONE;
        let is_alone = |record: &&Record| memory.custody.get(&record.capture).is_some_and(alone);
        let alone: Vec<Record> = memory.records.values().filter(is_alone).cloned().collect();
        for record in alone {
            if self.may_write(&record, What::Abort, memory).is_none() {
                continue;
            }
            let aborted = record.aborted(self.time());
            self.set_out(Payment { record: aborted, what: What::Abort, read: self.now }, memory)?;
        }
        Ok(())
    }
}
