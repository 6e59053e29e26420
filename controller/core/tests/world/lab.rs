//! One object, one or two processes, and EC2, in virtual time: one second at a time.
//!
//! The loops are those of the controller without its plumbing: reconcile is get, observe, decide, record, act, settle;
//! restart is sweep, judge, send. `Describe` is read from the simulator's store; writes are calls to the simulator.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ec2sim::{ACCOUNT, Config, InstanceSeed, Request, Sim, VolumeSeed};
use jiff::Timestamp;
use saved_template_api::{
    InstanceId, SavedTemplateSpec, SavedTemplateStatus,
    names::{debt_key, tag},
};
use saved_template_core::{
    debt::{Copy, Evidence, Record, Verdict, judge},
    decide::{Decision, Finalizer, Question, Subject, decide, needs_world},
    interest,
    refusal::Refusal,
    settle::settle,
    step::{Outcome, Step},
    world::{Absence, OptIn, Permits, Probe, Sighting, Started, View, World},
};

use crate::ec2::{self, HOME, call};

pub(crate) const CLUSTER: &str = "lab";
pub(crate) const START: i64 = 1_795_000_000_000;

/// The process ended in the middle of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dead;

/// Where a process is killed: before or after the n-th effect of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) effect: usize,
    pub(crate) after: bool,
}

#[derive(Debug, Default, Clone)]
struct Memory {
    sightings: BTreeMap<(InstanceId, String), Sighting>,
    absences: BTreeMap<String, Absence>,
    records: BTreeMap<String, Record>,
    started: BTreeMap<String, Started>,
    custody: BTreeMap<String, (i64, bool)>,
    acted: BTreeMap<String, i64>,
    look_at: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) spec: SavedTemplateSpec,
    pub(crate) status: SavedTemplateStatus,
    pub(crate) generation: i64,
    pub(crate) deleting: bool,
    pub(crate) finalizer: bool,
}

pub(crate) struct Lab {
    pub(crate) sim: Sim,
    pub(crate) now: i64,
    pub(crate) id: String,
    pub(crate) object: Option<Object>,
    pub(crate) api_is_up: bool,
    pub(crate) effects: Vec<String>,
    pub(crate) writes: usize,
    pub(crate) kill: Option<Kill>,
    process: Option<Memory>,
    born: i64,
}

impl Lab {
    pub(crate) fn new(spec: &str) -> Self {
        let config = Config {
            stop: 30_000,
            start: 20_000,
            snapshot_lag: 4_000,
            snapshot: 60_000,
            image: 120_000,
            copy: 90_000,
            ..Config::default()
        };
        let mut sim = Sim::new(config);
        let seed = InstanceSeed {
            region: HOME.into(),
            name: Some("quake".into()),
            volumes: vec![VolumeSeed::new("/dev/sda1", 8), VolumeSeed::new("/dev/sdf", 20)],
            ..InstanceSeed::default()
        };
        let id = sim.seed(START - 86_400_000, seed);
        let spec = serde_json::from_str(spec).unwrap();
        let status = SavedTemplateStatus { observed_generation: Some(-1), ..SavedTemplateStatus::default() };
        let object = Object { spec, status, generation: 1, deleting: false, finalizer: false };
        Self {
            sim,
            now: START,
            id,
            object: Some(object),
            api_is_up: true,
            effects: Vec::new(),
            writes: 0,
            kill: None,
            process: Some(Memory::default()),
            born: START,
        }
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_second(self.now.div_euclid(1000)).unwrap()
    }

    /// A second passes. A process that died is back five seconds later, knowing nothing.
    pub(crate) fn tick(&mut self) {
        self.now += 1000;
        self.sim.advance(self.now);
        if self.process.is_none() && self.now >= self.born {
            self.process = Some(Memory::default());
        }
        let Some(mut memory) = self.process.take() else { return };
        let lived = self.restart(&mut memory).and_then(|()| self.reconcile(&mut memory));
        if lived.is_ok() {
            self.process = Some(memory);
        } else {
            self.born = self.now + 5000;
        }
    }

    pub(crate) fn run(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.tick();
        }
    }

    /// Runs until `wanted`, or says what went on instead.
    pub(crate) fn until(&mut self, seconds: i64, what: &str, wanted: impl Fn(&Self) -> bool) {
        for _ in 0..seconds {
            if wanted(self) {
                return;
            }
            self.tick();
        }
        let object = self.object.as_ref().map(|object| format!("{:#?}", object.status));
        panic!(
            "not {what} after {seconds} s; kill {:?}\n{}\n{}",
            self.kill,
            self.effects.join("\n"),
            object.unwrap_or_default()
        );
    }

    /// One effect: a point at which the process may die.
    fn effect<T>(&mut self, what: &str, act: impl FnOnce(&mut Self) -> T) -> Result<T, Dead> {
        let number = self.effects.len();
        let here = self.kill.filter(|kill| kill.effect == number);
        self.effects.push(format!("{} {what}", (self.now - START) / 1000));
        if here.is_some_and(|kill| !kill.after) {
            return Err(Dead);
        }
        let done = act(self);
        if here.is_some() { Err(Dead) } else { Ok(done) }
    }

    fn send(&mut self, region: &str, request: &Request) -> Result<Result<ec2sim::Reply, Refusal>, Dead> {
        let (now, region) = (self.now, region.to_owned());
        self.effect(&request.action, |lab| call(&mut lab.sim, now, &region, request))
    }

    fn view(&self, region: &str, memory: &mut Memory, asked: &interest::Interest) -> View {
        let began = self.time();
        let place = self.sim.place(ACCOUNT, region);
        let instances = place.map(ec2::instances).unwrap_or_default();
        let images: Vec<_> = place.map(ec2::images).unwrap_or_default();
        let key = debt_key(CLUSTER);
        if region == HOME {
            let values =
                instances.iter().filter_map(|one| Some((one.id.clone(), one.tags.get(&key)?.clone())));
            let before = std::mem::take(&mut memory.sightings);
            memory.sightings = values
                .map(|seen| {
                    let first = before.get(&seen).map_or(began, |sighting| sighting.first);
                    (seen, Sighting { first, last: began })
                })
                .collect();
        }
        for name in &asked.image_names {
            let what = format!("{region}/{name}");
            if images.iter().any(|image| image.name == *name) {
                memory.absences.remove(&what);
            } else {
                let absence = memory.absences.entry(what).or_insert(Absence { since: began, reads: 0 });
                absence.reads += 1;
            }
        }
        let here = format!("{region}/");
        let absences = memory
            .absences
            .iter()
            .filter_map(|(what, absence)| Some((what.strip_prefix(&here)?.to_owned(), *absence)))
            .collect();
        let unread = || Refusal::new("DescribeSnapshots", "", "not read");
        let owed = instances.iter().any(|one| one.tags.contains_key(&key));
        // What nobody asked for is not read: a decision that waits for it would wait for ever.
        let machine = |one: &saved_template_core::world::Instance| {
            one.tags.contains_key(&key)
                || asked.instances.contains(&one.id)
                || one.tags.get("Name").is_some_and(|name| asked.names.contains(name))
                || memory.records.values().any(|record| record.instance == one.id)
        };
        let named = |image: &saved_template_core::world::Image| {
            image.tags.get(tag::CLUSTER).is_some_and(|cluster| cluster == CLUSTER)
                || asked.image_names.contains(&image.name)
        };
        View {
            began,
            instances: Ok(instances.into_iter().filter(machine).collect()),
            images: Ok(images.into_iter().filter(named).collect()),
            snapshots: if asked.snapshots || owed {
                Ok(place.map(ec2::snapshots).unwrap_or_default())
            } else {
                Err(unread())
            },
            sightings: memory.sightings.clone(),
            absences,
        }
    }

    fn reconcile(&mut self, memory: &mut Memory) -> Result<(), Dead> {
        if !self.api_is_up || self.now < memory.look_at {
            return Ok(());
        }
        let Some(object) = self.object.clone() else { return Ok(()) };
        Self::recall(&object, memory);
        let subject = Subject {
            cluster: CLUSTER,
            namespace: "default",
            name: "quake",
            holder: "0a1b2c3d-0000",
            generation: object.generation,
            deleting: object.deleting,
            finalizer: object.finalizer,
            spec: &object.spec,
            status: &object.status,
        };
        let now = self.time();
        let mut world = World::unread();
        if needs_world(&subject) {
            let mut asked = interest::of(subject, Some(now));
            let here = asked.remove(&ec2::region(HOME)).unwrap();
            world.home = Ok(Arc::new(self.view(HOME, memory, &here)));
            for (region, interest) in &asked {
                let view = self.view(region.as_str(), memory, interest);
                world.abroad.insert(region.clone(), Ok(Arc::new(view)));
            }
        }
        if let Some(capture) = &object.status.capture {
            world.started = memory.started.get(&capture.id).copied();
        }
        let decision = loop {
            match decide(subject, &world, now) {
                Ok(decision) => break decision,
                Err(question) => self.answer(&question, &mut world),
            }
        };
        self.carry_out(object, decision, memory)
    }

    fn answer(&mut self, question: &Question, world: &mut World) {
        match question {
            Question::Probe { .. } => {
                let regions = self.sim.config().regions.iter();
                let enabled = regions.map(|region| (ec2::region(&region.name), OptIn::Enabled)).collect();
                world.probe = Some(Probe {
                    stop_protected: Ok(false),
                    instance_store: Ok(false),
                    regions: Ok(enabled),
                    create_image: Ok(()),
                    multi_attach: Ok(Vec::new()),
                });
            }
            Question::Permits(id) => {
                let now = self.now;
                let mut ask = |action| {
                    let request = ec2::on_instance(action, id.as_str()).with("DryRun", "true");
                    call(&mut self.sim, now, HOME, &request).map(|_| ())
                };
                world.permits = Some(Permits { stop: ask("StopInstances"), start: ask("StartInstances") });
            }
        }
    }

    fn recall(object: &Object, memory: &mut Memory) {
        let Some(capture) = &object.status.capture else { return };
        let record = capture.debt.as_ref().and_then(|debt| debt.parse::<Record>().ok());
        if let Some(record) = record.filter(|_| capture.stop_requested_time.is_some()) {
            memory.records.insert(capture.id.clone(), record);
        } else {
            memory.records.remove(&capture.id);
            memory.custody.remove(&capture.id);
        }
    }

    fn carry_out(&mut self, mut object: Object, decision: Decision, memory: &mut Memory) -> Result<(), Dead> {
        let Decision { status, finalizer, step, look_again, .. } = decision;
        if step.is_some() {
            assert_ne!(status, object.status, "a step is announced by a status that differs");
        }
        match finalizer {
            Finalizer::Keep => {}
            Finalizer::Add => {
                self.effect("finalizer", |lab| lab.object.as_mut().unwrap().finalizer = true)?;
            }
            Finalizer::Remove => return self.effect("finalizer off", |lab| lab.object = None),
        }
        if object.deleting && !object.finalizer && finalizer == Finalizer::Keep {
            self.object = None;
            return Ok(());
        }
        object.finalizer |= finalizer == Finalizer::Add;
        self.put(&mut object, &status)?;
        if let Some(capture) = status.capture.as_ref() {
            let over = capture.image_requested_time.is_some() || capture.reason.is_some();
            if let Some(custody) = memory.custody.get_mut(&capture.id) {
                *custody = (self.now, custody.1 || over);
            }
        }
        let waits = i64::try_from(look_again.as_secs()).unwrap().max(1) * 1000;
        memory.look_at = self.now + waits.min(2000);
        let Some(step) = step else { return Ok(()) };
        let outcome = self.act(&step, memory)?;
        if let Some(settled) = settle(&status, &step, &outcome, self.time()) {
            self.put(&mut object, &settled)?;
        }
        Ok(())
    }

    fn put(&mut self, object: &mut Object, status: &SavedTemplateStatus) -> Result<(), Dead> {
        if object.status == *status {
            return Ok(());
        }
        object.status = status.clone();
        self.writes += 1;
        let new = object.clone();
        self.effect("status", |lab| lab.object = Some(new))
    }

    fn act(&mut self, step: &Step, memory: &mut Memory) -> Result<Outcome, Dead> {
        let key = debt_key(CLUSTER);
        let refused =
            |result: Result<ec2sim::Reply, Refusal>| result.map_or_else(Outcome::Refused, |_| Outcome::Done);
        Ok(match step {
            Step::Tag { record, receipt, .. } => {
                let mut tags = BTreeMap::from([(key, record.to_string())]);
                tags.extend(receipt.clone());
                refused(self.send(HOME, &ec2::tag(record.instance.as_str(), &tags))?)
            }
            Step::Untag { record } => {
                memory.records.remove(&record.capture);
                refused(self.send(HOME, &ec2::untag(record.instance.as_str(), &key, &record.to_string()))?)
            }
            Step::Stop { record } => {
                memory.records.insert(record.capture.clone(), record.clone());
                memory.custody.insert(record.capture.clone(), (self.now, false));
                let before = ec2::state(self.instance().state);
                match self.send(HOME, &ec2::on_instance("StopInstances", record.instance.as_str()))? {
                    Ok(_) => Outcome::Stopped { previous: before },
                    Err(refusal) => Outcome::Refused(refusal),
                }
            }
            Step::CreateImage(request) => match self.send(HOME, &ec2::create_image(request))? {
                Ok(reply) => Outcome::Image(ec2::image_id(&reply)),
                Err(refusal) => Outcome::Refused(refusal),
            },
            Step::CopyImage { region, request } => {
                match self.send(region.as_str(), &ec2::copy_image(request))? {
                    Ok(reply) => Outcome::Image(ec2::image_id(&reply)),
                    Err(refusal) => Outcome::Refused(refusal),
                }
            }
        })
    }

    /// Every record, tagged or remembered, is judged and paid.
    fn restart(&mut self, memory: &mut Memory) -> Result<(), Dead> {
        let asked = interest::Interest { snapshots: true, ..interest::Interest::default() };
        let view = self.view(HOME, memory, &asked);
        let (now, key) = (self.time(), debt_key(CLUSTER));
        let alone: Vec<String> = memory
            .custody
            .iter()
            .filter(|(_, (contact, over))| !over && self.now - contact >= 30_000)
            .map(|(capture, _)| capture.clone())
            .collect();
        for capture in alone {
            let Some(record) = memory.records.get(&capture).cloned() else { continue };
            let aborted = record.aborted(now);
            let tags = BTreeMap::from([(key.clone(), aborted.to_string())]);
            if self.send(HOME, &ec2::tag(record.instance.as_str(), &tags))?.is_ok() {
                memory.records.insert(capture.clone(), aborted);
                memory.custody.insert(capture, (self.now, true));
            }
        }
        let mut debts = Vec::new();
        let mut tagged = BTreeSet::new();
        for instance in view.instances.as_deref().unwrap_or_default() {
            if let Some(record) = instance.tags.get(&key).and_then(|value| value.parse::<Record>().ok()) {
                tagged.insert(instance.id.clone());
                debts.push((record, Copy::Tag, instance.clone()));
            }
        }
        for record in memory.records.values().filter(|record| !tagged.contains(&record.instance)) {
            let instance =
                view.instances.as_deref().unwrap_or_default().iter().find(|one| one.id == record.instance);
            debts.extend(instance.map(|instance| (record.clone(), Copy::Remembered, instance.clone())));
        }
        for (record, copy, instance) in debts {
            if memory.acted.get(&record.capture).is_some_and(|at| self.now - at < 5000) {
                continue;
            }
            let id = record.instance.to_string();
            let verdict = judge(&record, copy, Some(&instance), Evidence::of(&view, &record.instance), now);
            match verdict {
                Verdict::Wait | Verdict::Ignore | Verdict::Unclear { .. } => continue,
                Verdict::Void => _ = memory.records.remove(&record.capture),
                Verdict::Start { .. } => {
                    let before =
                        Started { previous: instance.state, launch_time_before: instance.launch_time };
                    if self.send(HOME, &ec2::on_instance("StartInstances", &id))?.is_ok() {
                        memory.started.entry(record.capture.clone()).or_insert(before);
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

    pub(crate) fn instance(&self) -> &ec2sim::Instance {
        &self.sim.place(ACCOUNT, HOME).unwrap().instances[&self.id]
    }

    /// A call by somebody else.
    pub(crate) fn user(&mut self, request: &Request) {
        let reply = self.sim.call(self.now, ACCOUNT, HOME, request);
        assert_eq!(reply.code, None, "{}", reply.body);
    }

    pub(crate) fn count(&self, action: &str) -> usize {
        let log = self.sim.log().iter();
        log.filter(|entry| entry.action == action && !entry.dry_run && entry.is_effective()).count()
    }

    pub(crate) fn condition(&self, kind: &str) -> (String, String) {
        let status = self.object.as_ref().map(|object| object.status.clone()).unwrap_or_default();
        let found = status.conditions.into_iter().find(|condition| condition.type_ == kind);
        found.map(|condition| (condition.status, condition.reason)).unwrap_or_default()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.condition("Ready").0 == "True"
    }

    pub(crate) fn owes(&self) -> bool {
        self.instance().tags.contains_key(&debt_key(CLUSTER))
    }

    pub(crate) fn images(&self, region: &str) -> usize {
        self.sim.place(ACCOUNT, region).map_or(0, |place| place.images.len())
    }
}
