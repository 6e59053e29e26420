//! Laws on ground truth: what a call of ours may be about, and what our status may say, judged by EC2's log and stores.
//!
//! Tags, names and statuses are no evidence here. An image is ours if a CreateImage or CopyImage of ours made it, a
//! snapshot if it is of such an image, a record if its value was written by a CreateTags of ours.
use std::collections::{BTreeMap, BTreeSet};

use ec2sim::{ACCOUNT, InstanceState, Request};
use saved_template_api::{
    SavedTemplateStatus,
    names::{debt_key, tag},
    status::{Consistency, RegionState},
};
use saved_template_core::restart::Record;

use crate::{
    ec2::HOME,
    lab::{CLUSTER, Lab, NAME, START},
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
    made: BTreeMap<String, (&'static str, String)>,
    wrote: BTreeSet<String>,
    /// The machine of the first capture, by cluster: a twin knows nothing of the other's.
    machines: BTreeMap<&'static str, String>,
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
        let log = lab.sim.log().iter().filter(|call| call.action == "CreateTags" && call.is_effective());
        let forged = log.filter(|call| call.agent != crate::ec2::AGENT && call.at > START);
        forged.flat_map(|call| &call.ids).all(|id| !self.made.contains_key(id))
    }
}

fn values(request: &Request, part: &str) -> Vec<String> {
    let named = request.params.iter().filter(|(key, _)| key.starts_with(part));
    named.map(|(_, value)| value.clone()).collect()
}

/// The value of a tag that the request puts on something.
fn tagged(request: &Request, key: &str) -> Option<String> {
    let (at, _) = request.params.iter().find(|(at, value)| at.ends_with(".Key") && *value == key)?;
    let value = format!("{}.Value", at.strip_suffix(".Key")?);
    request.params.iter().find(|(at, _)| **at == value).map(|(_, value)| value.clone())
}

impl Lab {
    fn is_made(&self, image: &str) -> bool {
        self.watch.made.get(image).is_some_and(|(holder, _)| *holder == self.cluster_uid)
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
        let place = self.sim.place(ACCOUNT, HOME).unwrap();
        // An object that is made anew, once all is deleted, knows nothing.
        let is_left =
            |image: &&String| place.images.get(*image).is_some_and(|image| image.deregistered_at.is_none());
        let pinned = self
            .watch
            .machines
            .get(self.cluster_uid)
            .filter(|_| self.watch.made.keys().any(|image| is_left(&image)));
        if let Some(machine) = pinned {
            return machine == id;
        }
        let instances = &place.instances;
        id == self.id
            || instances.get(id).and_then(|one| one.tags.get("Name")).is_some_and(|name| name == NAME)
    }

    /// Before a call of ours.
    pub(crate) fn lawful(&mut self, region: &str, request: &Request) {
        if !self.watch.on || request.params.get("DryRun").is_some_and(|dry| dry == "true") {
            return;
        }
        let ids: Vec<String> = ["ResourceId", "ImageId", "SnapshotId", "SourceImageId"]
            .iter()
            .flat_map(|part| values(request, part))
            .collect();

        for id in ids.iter().filter(|id| !id.starts_with("i-")) {
            let home = if request.action == "CopyImage" { HOME } else { region };
            assert!(
                self.is_of_made(home, id),
                "{} of {id}, which no call of {} made
{}",
                request.action,
                self.cluster_uid,
                self.history()
            );
        }
        let machines =
            ids.iter().filter(|id| id.starts_with("i-")).cloned().chain(values(request, "InstanceId"));
        for id in machines {
            match request.action.as_str() {
                "StartInstances" => self.starts(&id),
                "DeleteTags" => {}
                action => {
                    assert!(
                        self.is_source(&id),
                        "{action} of {id}, which is not this object's machine\n{}",
                        self.history()
                    );
                }
            }
        }
        if let Some(value) = tagged(request, &debt_key(CLUSTER)).filter(|_| request.action == "CreateTags") {
            self.watch.wrote.insert(value);
        }
        if request.action == "StopInstances" {
            let record = self.truth.under.as_ref().unwrap();
            assert!(
                self.watch.wrote.contains(&record.to_string()),
                "stopped under {record}\n{}",
                self.history()
            );
            if self.instance().state == InstanceState::Running {
                self.watch.deadline = Some(record.start_by.as_second());
            }
        }
    }

    /// Only a record that we wrote starts a machine, or one that nobody can tell from ours.
    fn starts(&mut self, id: &str) {
        let record = self.truth.under.clone().unwrap();
        let ours = self.watch.wrote.contains(&record.to_string());
        let instance = &self.sim.place(ACCOUNT, HOME).unwrap().instances[id];
        let stopped = instance.history.iter().rev().find(|moment| moment.state == InstanceState::Stopping);
        let stopped = stopped.map_or(i64::MIN, |moment| moment.at.div_euclid(1000));
        let launched = instance.launch_time.div_euclid(1000);
        if ours || id == self.id && self.truth.held || instance.state != InstanceState::Stopped {
            return;
        }
        let perfect = is_perfect(&record, launched, stopped, self.now.div_euclid(1000));
        assert!(perfect, "{id} is started under a record that is not ours: {record}\n{}", self.history());
        self.truth.deceived = id == self.id;
        self.mishaps.note("a forged record within the bounds was paid");
    }

    /// After a call of ours, whether its answer arrived or not.
    pub(crate) fn learn(&mut self, request: &Request) {
        let Some(entry) = self.sim.log().last().filter(|entry| self.watch.on && entry.is_effective()) else {
            return;
        };
        if !["CreateImage", "CopyImage"].contains(&entry.action.as_str()) {
            return;
        }
        let capture = tagged(request, tag::CAPTURE).unwrap_or_default();
        let made = entry.ids.iter().filter(|id| id.starts_with("ami-"));
        let made: Vec<_> = made.map(|id| (id.clone(), (self.cluster_uid, capture.clone()))).collect();
        assert!(!made.is_empty(), "{entry:?}");
        self.watch.made.extend(made);
        if let Some(id) = request.params.get("InstanceId") {
            self.watch.machines.entry(self.cluster_uid).or_insert_with(|| id.clone());
        }
    }

    /// What we say that somebody may launch.
    pub(crate) fn lawful_status(&self, status: &SavedTemplateStatus) {
        if !self.watch.on || self.watch.lied.is_some_and(|at| self.now - at < HEALS) {
            return;
        }
        let rows = status.regions.iter().filter(|row| row.state == RegionState::Available);
        let served = status.images.iter().map(|row| &row.image_id).chain(&status.image_id);
        for id in served.chain(rows.filter_map(|row| row.image_id.as_ref())) {
            // What a namesake holds is adopted for reading.
            assert!(
                self.watch.made.contains_key(id.as_str()),
                "{id} is served, and no call of ours made it\n{}",
                self.history()
            );
        }
    }

    /// What holds at every second.
    pub(crate) fn watched(&mut self) {
        if !self.truth.held {
            self.watch.deadline = None;
        }
        let late = self.watch.deadline.is_some_and(|limit| self.now.div_euclid(1000) > limit + SWEEP);
        let held = self.truth.held && self.instance().state == InstanceState::Stopped;
        assert!(!(late && held), "down for us beyond its limit\n{}", self.history());
        let capture = self.object.as_ref().and_then(|object| object.status.capture.as_ref());
        let Some(capture) = capture.filter(|one| one.consistency == Consistency::Stopped && !self.poisoned)
        else {
            return;
        };
        let of_it = |image: &str| self.watch.made.get(image).is_some_and(|(_, one)| *one == capture.id);
        let home = self.sim.place(ACCOUNT, HOME).unwrap();
        let torn = home.snapshots.values().find(|shot| of_it(&shot.image) && !shot.is_at_rest);
        assert!(torn.is_none(), "Stopped is claimed of {torn:?}\n{}", self.history());
    }

    /// Whether the record on the machine is that of the stop which holds it, and one that we wrote.
    pub(crate) fn owes_truly(&self) -> bool {
        let value = self.instance().tags.get(&debt_key(CLUSTER));
        let held = value.and_then(|value| value.parse::<Record>().ok());
        held.is_some_and(|record| record.capture == self.truth.by)
            && value.is_some_and(|value| !self.watch.on || self.watch.wrote.contains(value))
    }
}
