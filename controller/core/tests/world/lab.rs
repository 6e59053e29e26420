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
    ConditionType, InstanceId, SavedTemplateSpec, SavedTemplateStatus, condition::find, names::debt_key,
};
use saved_template_core::{
    debt::Record,
    decide::{Decision, Finalizer, Heritage, Question, Subject, decide, needs_world},
    interest,
    refusal::Refusal,
    settle::settle,
    world::{Absence, OptIn, Permits, Probe, Sighting, Started, World},
};

use crate::{
    ec2::{self, HOME, call},
    sight::Haze,
};

pub(crate) const CLUSTER: &str = "lab";
pub(crate) const NAMESPACE: &str = "default";
pub(crate) const NAME: &str = "quake";
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

/// What a process knows and loses.
#[derive(Debug, Default, Clone)]
pub(crate) struct Memory {
    pub(crate) sightings: BTreeMap<(InstanceId, String), Sighting>,
    pub(crate) absences: BTreeMap<String, Absence>,
    pub(crate) records: BTreeMap<String, Record>,
    pub(crate) started: BTreeMap<String, Started>,
    pub(crate) refused: BTreeMap<String, Refusal>,
    pub(crate) custody: BTreeMap<String, (i64, bool)>,
    pub(crate) acted: BTreeMap<String, i64>,
    pub(crate) due: BTreeMap<String, i64>,
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
    /// Every status that was ever written, the oldest first.
    pub(crate) statuses: Vec<SavedTemplateStatus>,
    pub(crate) kill: Vec<Kill>,
    /// Seconds until a process that died is back; none: never.
    pub(crate) back_after: Option<i64>,
    /// A replica without the lease and without Kubernetes: its restart loop alone.
    pub(crate) standby: Option<Memory>,
    /// Regions that do not answer.
    pub(crate) dark: BTreeSet<String>,
    pub(crate) haze: Haze,
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
            statuses: Vec::new(),
            kill: Vec::new(),
            back_after: Some(5),
            standby: None,
            dark: BTreeSet::new(),
            haze: Haze::new(0, 0),
            process: Some(Memory::default()),
            born: START,
        }
    }

    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_second(self.now.div_euclid(1000)).unwrap()
    }

    /// A second passes. A process that died is back some seconds later, knowing nothing.
    pub(crate) fn tick(&mut self) {
        self.now += 1000;
        self.sim.advance(self.now);
        self.haze.keep(&self.sim);
        if let Some(mut standby) = self.standby.take() {
            if (self.now - START) % 15_000 == 0 {
                self.restart(&mut standby, false).unwrap();
            }
            self.standby = Some(standby);
        }
        if self.process.is_none() && self.now >= self.born {
            self.process = Some(Memory::default());
        }
        let Some(mut memory) = self.process.take() else { return };
        let lived = self.restart(&mut memory, true).and_then(|()| self.reconcile(&mut memory));
        if lived.is_ok() {
            self.process = Some(memory);
        } else {
            self.born = self.back_after.map_or(i64::MAX, |seconds| self.now + seconds * 1000);
        }
        self.check();
    }

    /// The process ends and is back at once, knowing nothing.
    pub(crate) fn reboot(&mut self) {
        self.process = Some(Memory::default());
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
        panic!("not {what} after {seconds} s\n{}\n{}", self.story(), object.unwrap_or_default());
    }

    /// One effect: a point at which the process may die.
    fn effect<T>(&mut self, what: &str, act: impl FnOnce(&mut Self) -> T) -> Result<T, Dead> {
        let number = self.effects.len();
        let here = self.kill.iter().find(|kill| kill.effect == number).copied();
        self.effects.push(format!("{} {what}", (self.now - START) / 1000));
        if here.is_some_and(|kill| !kill.after) {
            return Err(Dead);
        }
        let done = act(self);
        if here.is_some() { Err(Dead) } else { Ok(done) }
    }

    pub(crate) fn send(
        &mut self,
        region: &str,
        request: &Request,
    ) -> Result<Result<ec2sim::Reply, Refusal>, Dead> {
        let (now, region) = (self.now, region.to_owned());
        self.effect(&request.action, |lab| call(&mut lab.sim, now, &region, request))
    }

    fn reconcile(&mut self, memory: &mut Memory) -> Result<(), Dead> {
        if !self.api_is_up || self.now < memory.look_at {
            return Ok(());
        }
        let Some(object) = self.object.clone() else { return Ok(()) };
        Self::recall(&object, memory);
        let subject = Subject {
            cluster: CLUSTER,
            namespace: NAMESPACE,
            name: NAME,
            holder: "0a1b2c3d-0000",
            heritage: Heritage::NONE,
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
            let silent = || Refusal::new("DescribeInstances", "", "no answer");
            let dark = self.dark.clone();
            let mut look = |lab: &mut Self, region: &str, asked: &interest::Interest| {
                if dark.contains(region) {
                    return Err(silent());
                }
                Ok(Arc::new(lab.view(region, memory, asked)))
            };
            world.home = look(self, HOME, &here);
            for (region, interest) in &asked {
                let view = look(self, region.as_str(), interest);
                world.abroad.insert(region.clone(), view);
            }
        }
        if let Some(capture) = &object.status.capture {
            world.started = memory.started.get(&capture.id).copied();
            world.start_refused = memory.refused.get(&capture.id).cloned();
        }
        let decision = loop {
            match decide(subject, &world, now) {
                Ok(decision) => break decision,
                Err(question) => self.answer(&question, &mut world),
            }
        };
        Self::comes_to_rest(subject, &world, now, &decision);
        self.carry_out(object, decision, memory)
    }

    /// Decided again with what was written and the same world: the same step never, and soon nothing new.
    fn comes_to_rest(subject: Subject<'_>, world: &World, now: Timestamp, first: &Decision) {
        let (mut before, mut decision) = (subject.status.clone(), first.clone());
        for _ in 0..4 {
            if decision.status == before && decision.step.is_none() {
                return;
            }
            before = decision.status.clone();
            let Ok(next) = decide(Subject { status: &before, ..subject }, world, now) else { return };
            if decision.step.is_some() {
                assert_ne!(next.step, decision.step, "asked for twice with one read");
                return;
            }
            decision = next;
        }
        panic!("a decision does not come to rest: {:?}", decision.status);
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
                    shutdown_terminates: Ok(false),
                    events: Ok(Vec::new()),
                    volumes: Ok(Vec::new()),
                    snapshots: Ok(Vec::new()),
                    pending_images: Ok(Vec::new()),
                    namesakes: Ok(Vec::new()),
                });
            }
            Question::Claim(_) => world.claim = Some(Ok(())),
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
        // Changes wake the object; at rest it is looked at now and then.
        let moving = step.is_some() || find(&status.conditions, ConditionType::Reconciling).is_some();
        memory.look_at = self.now + waits.min(if moving { 2000 } else { 15_000 });
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
        crate::oracle::transitions(&object.status, status);
        object.status = status.clone();
        self.writes += 1;
        self.statuses.push(status.clone());
        let new = object.clone();
        self.effect("status", |lab| lab.object = Some(new))
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
