//! The restart loop: sweep, judge, send. Every process has one; it needs no object and no API server.
use std::collections::{BTreeMap, BTreeSet};

use saved_template_api::names::debt_key;
use saved_template_core::{
    debt::{Copy, Evidence, Record, Verdict, judge},
    interest::Interest,
    world::Started,
};

use crate::{
    ec2::{self, HOME},
    lab::{CLUSTER, Dead, Lab, Memory},
};

/// R8: a replica without the lease starts a machine this much later.
const COURTESY: i64 = 20_000;
/// R6: how long a process that stopped a machine may be without Kubernetes.
const ALONE: i64 = 30_000;

impl Lab {
    /// Every record, tagged or remembered, is judged and paid.
    pub(crate) fn restart(&mut self, memory: &mut Memory, leads: bool) -> Result<(), Dead> {
        let (now, key) = (self.time(), debt_key(CLUSTER));
        let place = self.sim.place(ec2sim::ACCOUNT, HOME);
        let tagged =
            place.is_some_and(|place| place.instances.values().any(|one| one.tags.contains_key(&key)));
        if !tagged && memory.records.is_empty() {
            memory.sightings.clear();
            return Ok(());
        }
        let absences = memory.absences.clone();
        let view = self.view(HOME, memory, &Interest { snapshots: true, ..Interest::default() });
        memory.absences = absences;
        self.abort_alone(memory, &key)?;
        let instances = view.instances.as_deref().unwrap_or_default();
        let mut debts = Vec::new();
        let mut tagged = BTreeSet::new();
        for instance in instances {
            if let Some(record) = instance.tags.get(&key).and_then(|value| value.parse::<Record>().ok()) {
                tagged.insert(instance.id.clone());
                debts.push((record, Copy::Tag, instance.clone()));
            }
        }
        for record in memory.records.values().filter(|record| !tagged.contains(&record.instance)) {
            let instance = instances.iter().find(|one| one.id == record.instance);
            debts.extend(instance.map(|instance| (record.clone(), Copy::Remembered, instance.clone())));
        }
        for (record, copy, instance) in debts {
            if memory.acted.get(&record.capture).is_some_and(|at| self.now - at < 5000) {
                continue;
            }
            let id = record.instance.to_string();
            match judge(&record, copy, Some(&instance), Evidence::of(&view, &record.instance), now) {
                Verdict::Wait | Verdict::Ignore | Verdict::Unclear { .. } => continue,
                Verdict::Void => _ = memory.records.remove(&record.capture),
                Verdict::Start { .. } => {
                    let since = *memory.due.entry(record.capture.clone()).or_insert(self.now);
                    if !leads && self.now - since < COURTESY {
                        continue;
                    }
                    let before =
                        Started { previous: instance.state, launch_time_before: instance.launch_time };
                    match self.send(HOME, &ec2::on_instance("StartInstances", &id))? {
                        Ok(reply) => {
                            let previous = ec2::previous(&reply);
                            memory.refused.remove(&record.capture);
                            memory
                                .started
                                .entry(record.capture.clone())
                                .or_insert(Started { previous, ..before });
                        }
                        Err(refusal) => _ = memory.refused.insert(record.capture.clone(), refusal),
                    }
                }
                Verdict::Remove(_) if copy == Copy::Remembered => _ = memory.records.remove(&record.capture),
                Verdict::Remove(_) => {
                    if self.send(HOME, &ec2::untag(&id, &key, &record.to_string()))?.is_ok() {
                        memory.records.remove(&record.capture);
                    }
                }
                Verdict::Rewrite => {
                    let tags = BTreeMap::from([(key.clone(), record.to_string())]);
                    _ = self.send(HOME, &ec2::tag(&id, &tags))?;
                }
            }
            memory.acted.insert(record.capture.clone(), self.now);
        }
        Ok(())
    }

    /// The process sent the Stop and Kubernetes is silent: the capture is given up by the record alone.
    fn abort_alone(&mut self, memory: &mut Memory, key: &str) -> Result<(), Dead> {
        let alone = |(_, (contact, over)): &(&String, &(i64, bool))| !over && self.now - contact >= ALONE;
        let alone: Vec<String> =
            memory.custody.iter().filter(alone).map(|(capture, _)| capture.clone()).collect();
        for capture in alone {
            let Some(record) = memory.records.get(&capture).cloned() else { continue };
            let aborted = record.aborted(self.time());
            let tags = BTreeMap::from([(key.to_owned(), aborted.to_string())]);
            if self.send(HOME, &ec2::tag(record.instance.as_str(), &tags))?.is_ok() {
                memory.records.insert(capture.clone(), aborted);
                memory.custody.insert(capture, (self.now, true));
            }
        }
        Ok(())
    }
}
