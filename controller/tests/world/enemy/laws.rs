//! Laws on ground truth: what a call of ours may be about, and what our status may say, judged by EC2's log and stores.
//!
//! Tags, names and statuses are no evidence here. An image is ours if a CreateImage or CopyImage of ours made it, a
//! snapshot if it is of such an image, a record if its value was written by a CreateTags of ours.
use std::collections::{BTreeMap, BTreeSet};

use ec2sim::{ACCOUNT, Instance, InstanceState, LogEntry, Request, Sim};
use saved_template_api::{
    SavedTemplateStatus,
    names::{debt_key, tag},
    status::{Consistency, RegionState},
};
use saved_template_core::restart::Record;

use serde_json::Value;

use crate::{
    chronicle::Chronicle,
    ec2::{AGENT, HOME},
    lab::{CLUSTER, Lab, NAME, START},
    label::{tagged, values},
};

/// From `d` to the machine that runs: a sweep, a pause between tries, a process that is away for a while.
const SWEEP: i64 = 180;
/// What was written into a status by hand is corrected within the period in which drift is looked for, in milliseconds.
const HEALS: i64 = 900_000;
/// A record is believed for so long beyond its `d`.
const REMEMBERED: i64 = 72 * 3600;

/// What is known beside the simulator.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) on: bool,
    /// Machines of other people.
    pub(crate) others: Vec<String>,
    /// By image: who made it, and of which capture.
    made: BTreeMap<String, (usize, String)>,
    pub(crate) wrote: BTreeSet<String>,
    /// The machine of the first capture, by cluster: a twin knows nothing of the other's.
    machines: BTreeMap<usize, String>,
    /// How much of EC2's log is known.
    read: usize,
    /// `d` of the record under which the machine was stopped.
    deadline: Option<i64>,
    /// When a status was written by hand.
    pub(crate) lied: Option<i64>,
}

/// What cannot be known: a record within the bounds that hits the owner's stop. Every condition is one of the bounds.
pub(crate) fn is_perfect(record: &Record, launched: i64, stopped: i64, now: i64) -> bool {
    let (t, s, m, d) = (
        record.planned.as_second(),
        record.stop_by.as_second(),
        record.image_by.as_second(),
        record.start_by.as_second(),
    );
    let bounded = (t + 60..=t + 4500).contains(&s)
        && (t..=d - 60).contains(&m)
        && s < d
        && (t + 300..=t + 86_400).contains(&d)
        && (1..=128).contains(&record.volumes);
    let hits = launched <= t && t - 2 <= stopped && stopped <= s + 16 * 60;
    bounded && hits && now <= d + REMEMBERED
}

impl Watch {
    /// Whether the image that a forgery of this number was put on is none of ours: as they were at the end.
    pub(crate) fn is_of_somebody_else(&self, lab: &Lab) -> bool {
        let log = lab.log().into_iter().filter(|call| call.action == "CreateTags" && call.is_effective());
        let forged = log.filter(|call| call.agent != AGENT && call.at > START);
        forged.flat_map(|call| call.ids).all(|id| !self.made.contains_key(&id))
    }
}

/// Whoever judges: what is known, EC2's store, and whose call it is.
pub(crate) struct Court<'a> {
    pub(crate) sim: &'a Sim,
    pub(crate) chronicle: &'a mut Chronicle,
    /// The number of the cluster that calls.
    pub(crate) cluster: usize,
}

impl Court<'_> {
    fn instance(&self) -> &Instance {
        &self.sim.place(ACCOUNT, HOME).unwrap().instances[&self.chronicle.id]
    }

    fn is_down(&self) -> bool {
        matches!(self.instance().state, InstanceState::Stopping | InstanceState::Stopped)
    }

    fn is_made(&self, image: &str) -> bool {
        self.chronicle.watch.made.get(image).is_some_and(|(holder, _)| *holder == self.cluster)
    }

    fn is_of_made(&self, region: &str, id: &str) -> bool {
        if id.starts_with("ami-") {
            return self.is_made(id);
        }
        let place = self.sim.place(ACCOUNT, region);
        place.and_then(|place| place.snapshots.get(id)).is_none_or(|shot| self.is_made(&shot.image))
    }

    /// The machine that the object is about: named by its spec, and after the first capture that one.
    fn is_source(&self, id: &str) -> bool {
        let (place, watch) = (self.sim.place(ACCOUNT, HOME).unwrap(), &self.chronicle.watch);
        // An object that is made anew, once all is deleted, knows nothing.
        let is_left =
            |image: &&String| place.images.get(*image).is_some_and(|image| image.deregistered_at.is_none());
        let pinned =
            watch.machines.get(&self.cluster).filter(|_| watch.made.keys().any(|image| is_left(&image)));
        if let Some(machine) = pinned {
            return machine == id;
        }
        let instances = &place.instances;
        id == self.chronicle.id
            || instances.get(id).and_then(|one| one.tags.get("Name")).is_some_and(|name| name == NAME)
    }

    /// Before a call of ours, where the status of its cluster is this.
    pub(crate) fn lawful(&mut self, region: &str, request: &Request, status: &Value) {
        let records = self.records(request, status);
        if let Some(record) = records.first() {
            self.chronicle.truth.under = Some(record.clone());
        }
        if let Some(value) = tagged(request, &debt_key(CLUSTER)).filter(|_| request.action == "CreateTags") {
            self.chronicle.watch.wrote.insert(value);
        }
        if !self.chronicle.watch.on {
            return;
        }
        let ids: Vec<&String> = ["ResourceId", "ImageId", "SnapshotId", "SourceImageId"]
            .iter()
            .flat_map(|part| values(request, part))
            .collect();

        for id in ids.iter().filter(|id| !id.starts_with("i-")) {
            let home = if request.action == "CopyImage" { HOME } else { region };
            assert!(
                self.is_of_made(home, id),
                "{} of {id}, which no call of cluster {} made",
                request.action,
                self.cluster
            );
        }
        let machines = ids.into_iter().filter(|id| id.starts_with("i-")).chain(values(request, "InstanceId"));
        for id in machines {
            match request.action.as_str() {
                "StartInstances" => self.starts(id, &records),
                "DeleteTags" => {}
                action => {
                    assert!(self.is_source(id), "{action} of {id}, which is not this object's machine");
                }
            }
        }
        if request.action == "StopInstances" {
            let record = self.chronicle.truth.under.as_ref().unwrap();
            assert!(self.chronicle.watch.wrote.contains(&record.to_string()), "stopped under {record}");
            if self.instance().state == InstanceState::Running {
                self.chronicle.watch.deadline = Some(record.start_by.as_second());
            }
        }
    }

    /// The records under which a machine may be stopped or started by this call: of the status, on the machine now or a short
    /// time ago, and remembered. One of ours comes first.
    fn records(&self, request: &Request, status: &Value) -> Vec<Record> {
        if !["StopInstances", "StartInstances"].contains(&request.action.as_str()) {
            return Vec::new();
        }
        let told = status["capture"]["restartRecord"].as_str().map(str::to_owned);
        if request.action == "StopInstances" {
            return told.and_then(|value| value.parse().ok()).into_iter().collect();
        }
        let (key, watch) = (debt_key(CLUSTER), &self.chronicle.watch);
        let Some(id) = values(request, "InstanceId").next() else { return Vec::new() };
        let there = self.sim.place(ACCOUNT, HOME).unwrap().instances[id].tags.get(&key).cloned();
        let since = self.sim.now() - 60_000;
        let calls = self.sim.log().iter().rev().take_while(|call| call.at >= since);
        let tags =
            calls.filter(|call| call.action == "CreateTags" && call.params.values().any(|one| one == id));
        let past = tags.filter_map(|call| {
            let (at, _) = call.params.iter().find(|(at, value)| at.ends_with(".Key") && **value == key)?;
            call.params.get(&format!("{}.Value", at.strip_suffix(".Key")?)).cloned()
        });
        let remembered = self.chronicle.truth.under.as_ref().map(Record::to_string);
        let all = there.into_iter().chain(told).chain(past).chain(remembered);
        let mut all: Vec<Record> = all.filter_map(|value| value.parse().ok()).collect();
        all.retain(|record| record.instance.as_str() == id);
        all.sort_by_key(|record| !watch.wrote.contains(&record.to_string()));
        all
    }

    /// Only a record that we wrote starts a machine, or one that nobody can tell from ours.
    fn starts(&mut self, id: &str, records: &[Record]) {
        let wrote = &self.chronicle.watch.wrote;
        let ours = records.iter().any(|record| wrote.contains(&record.to_string()));
        let instance = &self.sim.place(ACCOUNT, HOME).unwrap().instances[id];
        let stopped = instance.history.iter().rev().find(|moment| moment.state == InstanceState::Stopping);
        let stopped = stopped.map_or(i64::MIN, |moment| moment.at.div_euclid(1000));
        let launched = instance.launch_time.div_euclid(1000);
        let is_its = *id == self.chronicle.id;
        if ours || is_its && self.chronicle.truth.held || instance.state != InstanceState::Stopped {
            return;
        }
        let now = self.sim.now().div_euclid(1000);
        let perfect = records.iter().find(|record| is_perfect(record, launched, stopped, now));
        assert!(perfect.is_some(), "{id} is started under a record that is not ours: {records:?}");
        self.chronicle.truth.deceived = is_its;
        self.chronicle.note("a forged record within the bounds was paid");
    }

    /// What the log has since it was read last: what each call of ours did, whether its answer arrived or not.
    pub(crate) fn learn(&mut self) {
        let log = self.sim.log();
        for entry in &log[self.chronicle.watch.read..] {
            if entry.agent == AGENT && entry.is_effective() {
                self.did(entry);
            }
        }
        self.chronicle.watch.read = log.len();
    }

    fn did(&mut self, entry: &LogEntry) {
        let (place, id) = (self.sim.place(ACCOUNT, HOME).unwrap(), self.chronicle.id.clone());
        if entry.params.values().any(|value| *value == id) {
            self.chronicle.truth.ours(entry, place, &id);
        }
        let request = Request { params: entry.params.clone(), ..Request::new(&entry.action) };
        if entry.action == "DeleteTags" && entry.ids.contains(&id) {
            let taken = tagged(&request, &debt_key(CLUSTER)).and_then(|value| value.parse::<Record>().ok());
            let owed = taken.is_some_and(|record| record.capture == self.chronicle.truth.by);
            let left = owed && !self.owes_truly() && self.chronicle.truth.held && self.is_down();
            assert!(!left, "the record of a machine that we hold down was taken off");
        }
        if !["CreateImage", "CopyImage"].contains(&entry.action.as_str()) {
            return;
        }
        let capture = tagged(&request, tag::CAPTURE).unwrap_or_default();
        let made = entry.ids.iter().filter(|id| id.starts_with("ami-"));
        let made: Vec<_> = made.map(|id| (id.clone(), (self.cluster, capture.clone()))).collect();
        assert!(!made.is_empty(), "{entry:?}");
        self.chronicle.watch.made.extend(made);
        if let Some(id) = request.params.get("InstanceId") {
            self.chronicle.watch.machines.entry(self.cluster).or_insert_with(|| id.clone());
        }
    }

    /// What we say that somebody may launch.
    pub(crate) fn lawful_status(&self, status: &SavedTemplateStatus) {
        let watch = &self.chronicle.watch;
        if !watch.on || watch.lied.is_some_and(|at| self.sim.now() - at < HEALS) {
            return;
        }
        let rows = status.regions.iter().filter(|row| row.state == RegionState::Available);
        let served = status.images.iter().map(|row| &row.image_id).chain(&status.image_id);
        for id in served.chain(rows.filter_map(|row| row.image_id.as_ref())) {
            // What a namesake holds is adopted for reading.
            assert!(watch.made.contains_key(id.as_str()), "{id} is served, and no call of ours made it");
        }
    }

    /// What holds at every second.
    pub(crate) fn watched(&mut self, status: Option<&SavedTemplateStatus>) {
        if !self.chronicle.truth.held {
            self.chronicle.watch.deadline = None;
        }
        let now = self.sim.now().div_euclid(1000);
        let late = self.chronicle.watch.deadline.is_some_and(|limit| now > limit + SWEEP);
        let held = self.chronicle.truth.held && self.instance().state == InstanceState::Stopped;
        assert!(!(late && held), "down for us beyond its limit");
        let capture = status.and_then(|status| status.capture.as_ref());
        let Some(capture) = capture.filter(|one| one.consistency == Consistency::Stopped) else { return };
        let made = &self.chronicle.watch.made;
        let of_it = |image: &str| made.get(image).is_some_and(|(_, one)| *one == capture.id);
        let home = self.sim.place(ACCOUNT, HOME).unwrap();
        let torn = home.snapshots.values().find(|shot| of_it(&shot.image) && !shot.is_at_rest);
        assert!(torn.is_none(), "Stopped is claimed of {torn:?}");
    }

    /// Whether the record on the machine is that of the stop which holds it, and one that we wrote.
    pub(crate) fn owes_truly(&self) -> bool {
        let (watch, truth) = (&self.chronicle.watch, &self.chronicle.truth);
        let value = self.instance().tags.get(&debt_key(CLUSTER));
        let held = value.and_then(|value| value.parse::<Record>().ok());
        held.is_some_and(|record| record.capture == truth.by)
            && value.is_some_and(|value| !watch.on || watch.wrote.contains(value))
    }
}
