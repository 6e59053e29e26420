//! The restart loop: sweep, judge, send. Every process has one; it needs no object and no API server.
use std::collections::BTreeMap;

use jiff::Timestamp;
use saved_template_api::names::{debt_key, tag};
use saved_template_core::{
    cloud::FRESH,
    restart::{Call, Debt, Evidence, Record, Verdict, found, judge},
    subscription::Subscription,
    world::Started,
};

use crate::{
    ec2::{self, HOME},
    lab::{CLUSTER, Halt, Lab, Memory},
};

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
        if !tagged && memory.of_stops.records().is_empty() {
            memory.tallies.entry(HOME.to_owned()).or_default().sightings.clear();
            memory.sweep_at = self.now + 60_000;
            return Ok(());
        }
        memory.sweep_at = self.now + SWEEP;
        let absences = memory.tallies.entry(HOME.to_owned()).or_default().absences.clone();
        // One sweep serves all: the machine that its object asks for is in it.
        let instances = vec![self.id.parse().unwrap()];
        let view =
            self.view(HOME, memory, &Subscription { instances, snapshots: true, ..Subscription::default() });
        memory.tallies.entry(HOME.to_owned()).or_default().absences = absences;
        self.abort_alone(memory)?;
        let instances = view.instances.as_deref().unwrap_or_default();
        let remembered = memory.of_stops.records();
        let (debts, _) = found(instances, &key, &remembered, view.began);
        for debt in debts {
            let there = debt.on_machine(&key);
            let Debt { record, copy, instance } = debt;
            let Some(instance) = instance else { continue };
            let started = Started { previous: instance.state, launch_time_before: instance.launch_time };
            let calls =
                match judge(&record, copy, Some(&instance), Evidence::of(&view, &record.instance), now) {
                    Verdict::Wait | Verdict::Ignore | Verdict::Unclear(_) | Verdict::Implausible => {
                        continue;
                    }
                    Verdict::Remove(_) if there.is_none() => {
                        memory.of_stops.forget(&record);
                        [None, None]
                    }
                    Verdict::Void => {
                        memory.of_stops.forget(&record);
                        [None, None]
                    }
                    Verdict::Start { since, .. } => {
                        [self.may_start(&record, since, started, leads, memory), None]
                    }
                    Verdict::Remove(_) => [self.may_write(&record, What::Remove, memory), None],
                    Verdict::Rewrite { due } => {
                        let start =
                            due.and_then(|(_, since)| self.may_start(&record, since, started, leads, memory));
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
    fn may_start(
        &self,
        record: &Record,
        since: Option<Timestamp>,
        seen: Started,
        leads: bool,
        memory: &mut Memory,
    ) -> Option<What> {
        let may = memory.pacing.may_start(record, since, self.time(), leads, self.instant());
        may.then_some(What::Start(seen))
    }

    /// A change of tags, unless its pause is not over.
    fn may_write(&self, record: &Record, what: What, memory: &mut Memory) -> Option<What> {
        let call = match what {
            What::Start(_) => Call::Start,
            What::Remove => Call::Remove,
            What::Rewrite => Call::Rewrite,
            What::Abort => Call::Abort,
        };
        memory.pacing.may_write(call, record, self.instant()).then_some(what)
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
                        memory.pacing.started(&record, self.instant());
                        memory.of_stops.started(&record, Started { previous, ..before });
                    }
                    Err(refusal) => {
                        memory.pacing.refused(&record, self.instant());
                        _ = memory.of_stops.refused(&record, &refusal);
                    }
                }
            }
            What::Remove => {
                if self.send(HOME, what.label(), &ec2::untag(&id, &key, &record.to_string()))?.is_ok() {
                    memory.of_stops.forget(&record);
                    memory.pacing.over(&record);
                }
            }
            What::Rewrite => _ = self.send(HOME, what.label(), &ec2::tag(&id, &tags))?,
            What::Abort => {
                if self.send(HOME, what.label(), &ec2::tag(&id, &tags))?.is_ok() {
                    memory.of_stops.aborted(&record);
                }
            }
        }
        Ok(())
    }

    /// The process sent the Stop and Kubernetes is silent: the capture is given up by the record alone.
    fn abort_alone(&mut self, memory: &mut Memory) -> Result<(), Halt> {
        let alone = memory.of_stops.alone(self.instant());
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
