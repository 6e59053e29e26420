//! The restart loop: sweep, judge, send. Every process has one; it needs no object and no API server.
use std::collections::BTreeMap;

use saved_template_api::names::{debt_key, tag};
use saved_template_core::{
    cloud::FRESH,
    debt::{Copy, Debt, Evidence, Record, Verdict, found, judge},
    interest::Interest,
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
            Self::Start(_) => "StartInstances",
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
        for Debt { record, copy, instance } in debts {
            let Some(instance) = instance else { continue };
            if memory.acted.get(&record.capture).is_some_and(|at| self.now - at < 5000) {
                continue;
            }
            let started = Started { previous: instance.state, launch_time_before: instance.launch_time };
            let mut then = None;
            let what = match judge(&record, copy, Some(&instance), Evidence::of(&view, &record.instance), now)
            {
                Verdict::Wait | Verdict::Ignore | Verdict::Unclear { .. } | Verdict::Implausible => continue,
                Verdict::Remove(_) if copy == Copy::Remembered => {
                    memory.records.remove(&record.capture);
                    None
                }
                Verdict::Void => {
                    memory.records.remove(&record.capture);
                    None
                }
                Verdict::Start { .. } => {
                    let since = *memory.due.entry(record.capture.clone()).or_insert(self.now);
                    if !leads && self.now - since < COURTESY {
                        continue;
                    }
                    Some(What::Start(started))
                }
                Verdict::Remove(_) => Some(What::Remove),
                Verdict::Rewrite { due } => {
                    then = due.map(|_| started);
                    Some(What::Rewrite)
                }
            };
            memory.acted.insert(record.capture.clone(), self.now);
            let Some(what) = what else { continue };
            self.set_out(Payment { record: record.clone(), what, read: self.now }, memory)?;
            if let Some(started) = then {
                self.set_out(Payment { record, what: What::Start(started), read: self.now }, memory)?;
            }
        }
        Ok(())
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
        let (id, key, capture) = (record.instance.to_string(), debt_key(CLUSTER), record.capture.clone());
        let tags = BTreeMap::from([(key.clone(), record.to_string())]);
        if !matches!(what, What::Abort) {
            self.truth.under = Some(record.clone());
        }
        match what {
            What::Start(before) => {
                match self.send(HOME, what.label(), &ec2::on_instance("StartInstances", &id))? {
                    Ok(reply) => {
                        let previous = ec2::previous(&reply);
                        memory.refused.remove(&capture);
                        memory.started.entry(capture).or_insert(Started { previous, ..before });
                    }
                    Err(refusal) => _ = memory.refused.insert(capture, refusal),
                }
            }
            What::Remove => {
                if self.send(HOME, what.label(), &ec2::untag(&id, &key, &record.to_string()))?.is_ok() {
                    memory.records.remove(&capture);
                }
            }
            What::Rewrite => _ = self.send(HOME, what.label(), &ec2::tag(&id, &tags))?,
            What::Abort => {
                if self.send(HOME, what.label(), &ec2::tag(&id, &tags))?.is_ok() {
                    memory.records.insert(capture.clone(), record);
                    memory.custody.insert(capture, (self.now, true));
                }
            }
        }
        Ok(())
    }

    /// The process sent the Stop and Kubernetes is silent: the capture is given up by the record alone.
    fn abort_alone(&mut self, memory: &mut Memory) -> Result<(), Halt> {
        let alone = |(_, (contact, over)): &(&String, &(i64, bool))| !over && self.now - contact >= ALONE;
        let alone: Vec<String> =
            memory.custody.iter().filter(alone).map(|(capture, _)| capture.clone()).collect();
        for capture in alone {
            let Some(record) = memory.records.get(&capture).cloned() else { continue };
            let aborted = record.aborted(self.time());
            self.set_out(Payment { record: aborted, what: What::Abort, read: self.now }, memory)?;
        }
        Ok(())
    }
}
