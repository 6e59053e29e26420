//! One pass of a reconcile: get, observe, decide, record, act, outcomes. Between any two of them the process may sleep.
use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use saved_template_api::{ConditionType, SavedTemplateStatus, condition::find};
use saved_template_core::{
    cloud::FRESH,
    decide::{decide, is_supported, needs_world, plans},
    decision::{Decision, Finalizer, Next, Question},
    ec2_error::Ec2Error,
    outcomes::apply_all,
    step::{Outcome, Step},
    subject::{Subject, Takeover},
    subscription,
    world::{ClassSeen, OptIn, Permits, Probe, World},
};

use crate::{
    ec2::{self, HOME, call},
    lab::{CLUSTER, Halt, Lab, Memory, NAME, NAMESPACE, Object},
};

/// What is left of a pass.
#[derive(Debug, Clone)]
pub(crate) struct Pass {
    /// The object as this process read it, or wrote it last.
    object: Object,
    decision: Decision,
    /// By EC2's clock, before the announcement.
    announced: i64,
    next: Stage,
}

#[derive(Debug, Clone)]
enum Stage {
    Finalizer,
    Announce,
    /// The next change, after those that were answered.
    Act(Vec<(Step, Outcome)>),
    Settle(Box<SavedTemplateStatus>),
}

impl Pass {
    /// The name of the next effect, for mishaps.
    fn label(&self) -> Option<String> {
        match (&self.next, self.decision.finalizer) {
            (Stage::Finalizer, Finalizer::Keep) => None,
            (Stage::Finalizer, Finalizer::Add) => Some("finalizer".into()),
            (Stage::Finalizer, Finalizer::Remove) => Some("finalizer off".into()),
            (Stage::Announce, _) if self.object.status == self.decision.status => None,
            (Stage::Announce, _) => Some(self.announcement()),
            (Stage::Act(answers), _) => {
                self.decision.steps.get(answers.len()).map(|step| step.name().to_owned())
            }
            (Stage::Settle(_), _) => Some("settle".into()),
        }
    }

    fn announcement(&self) -> String {
        let names: BTreeSet<&str> = self.decision.steps.iter().map(Step::name).collect();
        let names: Vec<&str> = names.into_iter().collect();
        if names.is_empty() { "status".into() } else { format!("announce {}", names.join(", ")) }
    }
}

impl Lab {
    pub(crate) fn reconcile(&mut self, memory: &mut Memory) -> Result<(), Halt> {
        if !self.api_is_up || self.now < memory.look_at {
            return Ok(());
        }
        let Some(object) = self.object.clone() else {
            memory.look_at = if self.jumps { i64::MAX } else { 0 };
            return Ok(());
        };
        let subject = Subject {
            cluster: CLUSTER,
            namespace: NAMESPACE,
            name: NAME,
            cluster_uid: self.cluster_uid,
            takeover: Takeover::NONE,
            generation: object.generation,
            deleting: object.deleting,
            finalizer: object.finalizer,
            spec: &object.spec,
            status: &object.status,
        };
        let now = self.time();
        let mut world = self.observe(subject, now, memory);
        if let Some(capture) = &object.status.capture {
            memory.of_stops.recall(capture, |record| is_supported(subject, &world, record));
        }
        memory.of_stops.tell(&object.status, &mut world);
        // Where another one may lead, too, nobody is sure.
        world.unsent &= self.processes.len() == 1;
        let decision = loop {
            match decide(subject, &world, now) {
                Next::Do(decision) => break *decision,
                Next::Ask(question) => self.answer(&question, &mut world),
                Next::Acquire(_) => world.claim = Some(Ok(())),
            }
        };
        // Costly; among very many histories now and then is enough.
        if !self.jumps || self.sim.now() % 4000 == 0 {
            Self::comes_to_rest(subject, &world, now, &decision);
        }
        Self::announces(&decision, &object.status);
        let announced = self.now;
        self.carry(Pass { object, decision, announced, next: Stage::Finalizer }, memory)
    }

    fn observe(&mut self, subject: Subject<'_>, now: Timestamp, memory: &mut Memory) -> World {
        let mut world = World::unread();
        if !needs_world(&subject) {
            return world;
        }
        let mut asked = subscription::of(subject, Some(now));
        let here = asked.remove(&ec2::region(HOME)).unwrap();
        let silent = || Ec2Error::new("DescribeInstances", "", "no answer");
        let dark = self.dark.clone();
        let mut look = |lab: &mut Self, region: &str, asked: &subscription::Subscription| {
            if dark.contains(region) {
                return Err(silent());
            }
            Ok(Arc::new(lab.view(region, memory, asked)))
        };
        world.home = look(self, HOME, &here);
        for (region, subscription) in &asked {
            let view = look(self, region.as_str(), subscription);
            world.abroad.insert(region.clone(), view);
        }
        world
    }

    /// At most one change in each region, each announced there by a status that differs.
    fn announces(decision: &Decision, before: &SavedTemplateStatus) {
        let home = ec2::region(HOME);
        let mut regions = BTreeSet::new();
        for step in &decision.steps {
            let region = step.region().unwrap_or(&home);
            assert!(regions.insert(region), "two changes in {region}: {:?}", decision.steps);
            let last = decision.status.announced.iter().find(|last| last.region == *region);
            assert_eq!(last.map(|last| last.step.as_str()), Some(step.name()), "announced in {region}");
        }
        assert!(
            decision.steps.is_empty() || decision.status != *before,
            "announced by a status that differs"
        );
    }

    /// Decided again with what was written and the same world: the same change never, and soon nothing new.
    fn comes_to_rest(subject: Subject<'_>, world: &World, now: Timestamp, first: &Decision) {
        let (mut before, mut decision) = (subject.status.clone(), first.clone());
        for _ in 0..4 {
            if decision.status == before && decision.steps.is_empty() {
                return;
            }
            before = decision.status.clone();
            let next = decide(Subject { status: &before, ..subject }, world, now).into_decision();
            let Some(next) = next else { return };
            if !decision.steps.is_empty() {
                let twice = next.steps.iter().find(|step| decision.steps.contains(step));
                assert_eq!(twice, None, "asked for twice with one read");
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
            Question::Permits(id) => {
                let now = self.now;
                let mut ask = |action| {
                    let request = ec2::on_instance(action, id.as_str()).with("DryRun", "true");
                    call(&mut self.sim, now, HOME, &request).map(|_| ())
                };
                world.permits = Some(Permits { stop: ask("StopInstances"), start: ask("StartInstances") });
            }
            Question::Class(_) => world.class = Some(ClassSeen::Held { not_enforced: Vec::new() }),
            // A class asks that.
            Question::Users { .. } => {}
        }
    }

    /// Goes on with a pass until it is over, or the process sleeps or dies.
    pub(crate) fn carry(&mut self, mut pass: Pass, memory: &mut Memory) -> Result<(), Halt> {
        loop {
            if let Some(seconds) = pass.label().and_then(|label| self.mishaps.nap(&label)) {
                memory.asleep = self.now + seconds * 1000;
                memory.pass = Some(Box::new(pass));
                return Err(Halt::Asleep);
            }
            if !self.advance(&mut pass, memory)? {
                return Ok(());
            }
        }
    }

    /// One effect of a pass; whether there is another.
    fn advance(&mut self, pass: &mut Pass, memory: &mut Memory) -> Result<bool, Halt> {
        match std::mem::replace(&mut pass.next, Stage::Finalizer) {
            Stage::Finalizer => {
                pass.next = Stage::Announce;
                self.finalizer(pass)
            }
            Stage::Announce => {
                let status = pass.decision.status.clone();
                let label = pass.announcement();
                let planned = plans(&pass.object.status, &status).map(str::to_owned);
                self.put(&mut pass.object, &status, &label)?;
                self.contact(pass, memory);
                if let Some(capture) = planned {
                    memory.of_stops.planned(&capture);
                }
                pass.next = Stage::Act(Vec::new());
                Ok(!pass.decision.steps.is_empty())
            }
            Stage::Act(mut answers) => {
                let step = pass.decision.steps[answers.len()].clone();
                let outcome = if self.now - pass.announced > i64::try_from(FRESH.as_millis()).unwrap() {
                    Outcome::Refused(Ec2Error::late("call"))
                } else {
                    self.act(&step, memory)?
                };
                answers.push((step, outcome));
                if answers.len() < pass.decision.steps.len() {
                    pass.next = Stage::Act(answers);
                    return Ok(true);
                }
                // The pass knows one `now`, as the controller's.
                let at = Timestamp::from_second(pass.announced.div_euclid(1000)).unwrap();
                let settled = apply_all(&pass.decision.status, &answers, at);
                let more = settled.is_some();
                pass.next = settled.map_or(Stage::Finalizer, |status| Stage::Settle(Box::new(status)));
                Ok(more)
            }
            Stage::Settle(status) => {
                self.put(&mut pass.object, &status, "settle")?;
                Ok(false)
            }
        }
    }

    fn finalizer(&mut self, pass: &mut Pass) -> Result<bool, Halt> {
        let current = self.is_current(&pass.object);
        match pass.decision.finalizer {
            Finalizer::Keep => {
                let goes = pass.object.deleting && !pass.object.finalizer;
                if goes && current {
                    self.object = None;
                }
                Ok(!goes)
            }
            Finalizer::Add if current => {
                let version = &mut pass.object.version;
                self.write("finalizer", "finalizer", |lab| {
                    lab.object.as_mut().unwrap().finalizer = true;
                    *version = lab.keep_version();
                })?;
                pass.object.finalizer = true;
                Ok(true)
            }
            Finalizer::Remove if current => {
                self.write("finalizer off", "finalizer off", |lab| lab.object = None)?;
                Ok(false)
            }
            Finalizer::Add | Finalizer::Remove => Err(Halt::Lost),
        }
    }

    /// Kubernetes took what was decided; and when the object is looked at again.
    fn contact(&mut self, pass: &Pass, memory: &mut Memory) {
        let Decision { status, steps, look_again, .. } = &pass.decision;
        memory.of_stops.contact(status, self.instant());
        let waits = i64::try_from(look_again.as_secs()).unwrap().max(1) * 1000;
        // Changes wake the object; at rest it is looked at now and then.
        let moving = !steps.is_empty() || find(&status.conditions, ConditionType::Reconciling).is_some();
        let longest = match (self.jumps, moving) {
            (false, true) => 2000,
            (false, false) | (true, true) => 15_000,
            (true, false) => 300_000,
        };
        memory.look_at = self.now + waits.min(longest);
    }

    /// A compare-and-swap on what was read.
    fn put(&mut self, object: &mut Object, status: &SavedTemplateStatus, label: &str) -> Result<(), Halt> {
        if object.status == *status {
            return Ok(());
        }
        if !self.is_current(object) {
            self.mishaps.note("conflict");
            return Err(Halt::Lost);
        }
        self.lawful_status(status);
        crate::oracle::transitions(&object.status, status);
        object.status = status.clone();
        self.writes += 1;
        if !self.jumps {
            self.statuses.push(status.clone());
        }
        self.write(label, "status", |lab| {
            lab.object.as_mut().unwrap().status = status.clone();
            object.version = lab.keep_version();
        })
    }
}
