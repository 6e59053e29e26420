//! A process as a list of effects: what it would do next, and one effect at a time.
use std::sync::Arc;

use jiff::Timestamp;
use saved_template_api::{
    ConditionType, SavedTemplateSpec, SavedTemplateStatus,
    condition::find,
    names::{Owner, SAVED_TEMPLATE, debt_key, receipts_key},
    receipts::Receipts,
    spec::DeletionPolicy,
    status::Consistency,
};
use saved_template_core::{
    cloud::FRESH,
    decide::{decide, plans},
    decision::{Finalizer, Next, Question},
    ec2_error::{Ec2Error, UNCLEAR_STATE},
    outcomes::apply,
    restart::{Debt, Evidence, Record, Verdict, found, judge, last_arrival},
    step::Outcome,
    subject::{Subject, Takeover},
    subscription::of,
    world::{ClaimRefused, ClassSeen, Instance, InstanceState, OptIn, Permits, Probe, Started, View, World},
};

use super::{
    cloud::{CLUSTER, ID, Premise, image_id, reach, time},
    state::{Mind, Object, Pass, Payment, Plans, Shot, State, Status, What},
};

/// What `apisim` gives the namespace `kube-system`.
const CLUSTER_UID: &str = "00000000-0000-4000-8000-000000000002";
const ALONE: i64 = 30;
const DOUBT: i64 = 30;
/// An image that was shown, and one that was only named, are believed to be gone after so long.
const GONE_FOR: [i64; 2] = [120, 900];
/// An hour and two days.
const LATER: [i64; 2] = [3600, 172_800];

pub(crate) fn spec() -> SavedTemplateSpec {
    serde_json::from_value(serde_json::json!({
        "source": {"region": "us-west-2", "instanceID": super::cloud::ID},
        "capture": {"maxDowntimeSeconds": 300, "stop": {"timeoutSeconds": 60}},
    }))
    .unwrap()
}

pub(crate) fn subject<'a>(object: &'a Object, spec: &'a SavedTemplateSpec) -> Subject<'a> {
    Subject {
        cluster: CLUSTER,
        namespace: "default",
        name: object.name,
        cluster_uid: CLUSTER_UID,
        takeover: Takeover::NONE,
        generation: 1 + i64::from(object.deleting),
        deleting: object.deleting,
        finalizer: object.finalizer,
        spec,
        status: &object.status.value,
    }
}

fn is_over(status: &SavedTemplateStatus) -> bool {
    status
        .capture
        .as_ref()
        .is_none_or(|capture| capture.completion_time.is_some() && capture.restart_record.is_none())
}

/// What a process hears of a write or a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Heard,
    /// It is made, and the answer does not arrive.
    Unheard,
    /// It is not made, and no answer arrives.
    Dropped,
}

pub(crate) fn fence() -> i64 {
    i64::try_from(FRESH.as_secs()).unwrap()
}

impl State {
    /// After any change: what each process that is awake knows, and what its restart loop would do.
    pub(crate) fn refresh(&mut self, spec: &SavedTemplateSpec) {
        for at in 0..self.minds.len() {
            let mut mind = std::mem::take(&mut self.minds[at]);
            if !mind.asleep {
                self.sight(&mut mind);
                self.miss(&mut mind, spec);
                let free = mind.pass.is_none();
                for object in self.objects.iter().filter(|object| free && !object.gone) {
                    mind.recall(&object.status.value);
                    mind.contact(&object.status.value, self.now);
                }
                mind.offer = if mind.payment.is_none() { self.payment(&mut mind) } else { None };
            }
            self.minds[at] = mind;
        }
        if self.truth.held && !self.is_remembered() {
            (self.truth.held, self.truth.forgotten) = (false, true);
            reach(Premise::Forgotten);
        }
        self.is_late();
        self.check(spec);
        (self.plans, self.print) = (Arc::default(), self.printed());
    }

    fn is_remembered(&self) -> bool {
        self.owes_truly()
            || self.minds.iter().any(|mind| !mind.records.is_empty())
            || self.objects.iter().any(|one| {
                one.status.value.capture.as_ref().is_some_and(|capture| capture.restart_record.is_some())
            })
    }

    /// What every process would do next.
    pub(crate) fn plans(&self, spec: &SavedTemplateSpec) -> &Plans {
        self.plans.get_or_init(|| {
            let mut look_again = i64::MAX;
            let of = |mind: &Mind| {
                let free = !mind.asleep && mind.pass.is_none();
                let view = free.then(|| Arc::new(self.view(mind)));
                let look = |at| self.look(mind, at, Arc::clone(view.as_ref()?), spec, &mut look_again);
                (0..self.objects.len()).map(look).collect()
            };
            Plans { passes: self.minds.iter().map(of).collect(), look_again }
        })
    }

    /// What a pass over an object would do; none if it would change nothing.
    pub(crate) fn look(
        &self,
        mind: &Mind,
        at: usize,
        view: Arc<View>,
        spec: &SavedTemplateSpec,
        look_again: &mut i64,
    ) -> Option<Pass> {
        let object = &self.objects[at];
        let status = &object.status.value;
        if object.gone {
            return None;
        }
        let subject = subject(object, spec);
        let view = if self.is_read(mind, spec) { view } else { Arc::new(without_machine(&view)) };
        let mut world = World { home: Ok(view), ..World::unread() };
        if let Some(capture) = &status.capture {
            world.started = mind.started.get(&capture.id).copied();
            // Where another one may lead, too, nobody is sure; and of two, one would tell of a refusal and one not, by turns.
            let is_alone = self.minds.len() == 1;
            world.start_refused = mind.refused.get(&capture.id).filter(|_| is_alone).cloned();
            world.unsent = is_alone && mind.planned.contains(&capture.id);
            world.sent = mind.sent.contains(&capture.id);
        }
        let decision = loop {
            match decide(subject, &world, time(self.now)) {
                Next::Do(decision) => break *decision,
                Next::Ask(question) => answers(&question, &mut world),
                Next::Acquire(_) => self.acquire(at, &mut world),
            }
        };
        assert!(decision.steps.len() < 2, "two changes in one region: {:?}", decision.steps);
        *look_again = (*look_again).min(i64::try_from(decision.look_again.as_secs()).unwrap().max(1));
        let idle =
            decision.status == *status && decision.step().is_none() && decision.finalizer == Finalizer::Keep;
        (!idle).then(|| Pass {
            object: at,
            read: Arc::clone(&object.status),
            finalizer: object.finalizer,
            deleting: object.deleting,
            decided: Status::new(decision.status.clone()),
            decision: Arc::new(decision),
            at: self.now,
            stage: 0,
            outcome: None,
            settled: None,
            claims: world.claim.is_some(),
        })
    }

    /// Whether a sweep reads the machine: it carries a record, a record of it is remembered, or an object asks for it.
    fn is_read(&self, mind: &Mind, spec: &SavedTemplateSpec) -> bool {
        let asks = |object: &Object| {
            let mut wanted = of(subject(object, spec), Some(time(self.now)));
            let here = wanted.remove(&spec.source.region);
            !object.gone && here.is_some_and(|here| here.instances.iter().any(|id| id.as_str() == ID))
        };
        let owes = self.machine.tags.contains_key(&debt_key(CLUSTER)) || !mind.records.is_empty();
        owes || self.objects.iter().any(asks)
    }

    /// The claim on the machine, unless another object has it.
    fn acquire(&self, object: usize, world: &mut World) {
        let other = self.claim.filter(|(holder, since)| {
            let held_by = &self.objects[*holder];
            let idle = held_by.gone || is_over(&held_by.status.value);
            *holder != object && !(idle && self.now - since >= DOUBT)
        });
        world.claim = Some(
            other.map_or(Ok(()), |(holder, _)| Err(ClaimRefused::Held(self.objects[holder].name.into()))),
        );
    }

    /// What the restart loop would do.
    pub(crate) fn payment(&self, mind: &mut Mind) -> Option<Payment> {
        let instance = self.instance();
        let paid = |record, what| Payment {
            record,
            what,
            read: self.now,
            launched: self.machine.launched,
            state: self.machine.state,
            starts: false,
        };
        let alone = mind.custody.iter().find(|(_, (contact, over))| !over && self.now - contact >= ALONE);
        if let Some(record) = alone.and_then(|(capture, _)| mind.records.get(capture)) {
            reach(Premise::Alone);
            return Some(paid(record.aborted(time(self.now)), What::Abort));
        }
        // What is forgotten gives the tag its say in the next sweep.
        loop {
            let known = mind.records.len();
            let payment = self.debts(mind, &instance);
            // A call is not tried again at once; what follows from it is no other try.
            let again = |what| mind.acted.is_some_and(|(did, at)| did == what && self.now - at < 5);
            let payment = payment.filter(|(_, what, _)| !again(*what));
            let payment = payment.map(|(record, what, starts)| Payment { starts, ..paid(record, what) });
            if payment.is_some() || mind.records.len() == known {
                return payment;
            }
        }
    }

    /// What is done about the first record that anything is to be done about.
    fn debts(&self, mind: &mut Mind, instance: &Instance) -> Option<(Record, What, bool)> {
        let remembered: Vec<Record> = mind.records.values().cloned().collect();
        let (debts, _) =
            found(std::slice::from_ref(instance), &debt_key(CLUSTER), &remembered, time(self.now));
        if debts.is_empty() {
            return None;
        }
        let view = self.view(mind);
        for debt in debts {
            let there = debt.on_machine(&debt_key(CLUSTER));
            let Debt { record, copy, .. } = debt;
            let evidence = Evidence::of(&view, &record.instance);
            let (what, starts) = match judge(&record, copy, Some(instance), evidence, time(self.now)) {
                Verdict::Wait | Verdict::Ignore | Verdict::Void => continue,
                Verdict::Unclear(_) | Verdict::Implausible => {
                    let held = Ec2Error::new("StartInstances", UNCLEAR_STATE, "");
                    mind.refused.insert(record.capture, held);
                    continue;
                }
                Verdict::Remove(_) => {
                    let Some(there) = there else {
                        mind.forget(&record.capture);
                        continue;
                    };
                    return Some((there, What::Remove, false));
                }
                Verdict::Start { .. } => (What::Start, false),
                Verdict::Rewrite { due } => (What::Rewrite, due.is_some()),
            };
            return Some((record, what, starts));
        }
        None
    }

    /// Whether the next write of a pass would be taken.
    pub(crate) fn is_current(&self, pass: &Pass) -> bool {
        let object = &self.objects[pass.object];
        let same = Arc::ptr_eq(&object.status, &pass.read) && object.finalizer == pass.finalizer;
        match pass.stage {
            0 | 1 => same && object.deleting == pass.deleting,
            2 => true,
            _ => self.settled(pass).is_some(),
        }
    }

    /// What EC2 answered, on the status that is there by now: true as long as that announces the same.
    pub(crate) fn settled(&self, pass: &Pass) -> Option<Arc<Status>> {
        let object = &self.objects[pass.object];
        if Arc::ptr_eq(&object.status, &pass.decided) {
            return pass.settled.clone();
        }
        let same = !object.gone && object.status.value.announced == pass.decided.value.announced;
        let (step, outcome) = (pass.decision.step()?, pass.outcome.as_ref().filter(|_| same)?);
        apply(&object.status.value, step, outcome, time(pass.at)).map(Status::new)
    }

    /// The next effect of a pass.
    pub(crate) fn advance(&mut self, mind: &mut Mind, mut pass: Pass, answer: Answer) {
        if answer == Answer::Dropped && pass.stage != 2 {
            return;
        }
        if !self.is_current(&pass) {
            return reach(Premise::Conflict);
        }
        match pass.stage {
            0 | 1 => {
                self.keep(pass.object);
                if pass.stage == 0 && pass.decision.finalizer == Finalizer::Remove {
                    return self.goes(pass.object);
                }
                let object = &mut self.objects[pass.object];
                if pass.stage == 0 && pass.decision.finalizer == Finalizer::Add {
                    (object.finalizer, pass.finalizer, pass.stage) = (true, true, 1);
                } else {
                    self.announced(&pass);
                    if answer == Answer::Heard {
                        self.written(mind, &pass);
                    }
                    pass.stage = 2;
                    if pass.decision.step().is_none() {
                        return;
                    }
                }
                if answer == Answer::Unheard {
                    return;
                }
            }
            2 => {
                let step = pass.decision.step().cloned().unwrap();
                let unsent = mind.sends(&step, pass.at);
                let lost = || Outcome::Refused(Ec2Error::new(step.name(), "", "lost"));
                let outcome = if self.now - pass.at > fence() {
                    reach(Premise::HeldBack);
                    Outcome::Refused(Ec2Error::late(step.name()))
                } else if answer == Answer::Dropped {
                    lost()
                } else {
                    let outcome = self.act(&step);
                    if answer == Answer::Unheard { lost() } else { outcome }
                };
                mind.hears(&step, unsent, &outcome);
                pass.settled = apply(&pass.decided.value, &step, &outcome, time(pass.at)).map(Status::new);
                (pass.outcome, pass.stage) = (Some(outcome), 3);
                if pass.settled.is_none() {
                    return;
                }
            }
            _ => {
                let settled = self.settled(&pass).unwrap();
                self.keep(pass.object);
                self.objects[pass.object].status = settled;
                return;
            }
        }
        mind.pass = Some(pass);
    }

    fn announced(&mut self, pass: &Pass) {
        let status = &pass.decided.value;
        if let Some(capture) = &status.capture
            && !self.captures.iter().any(|(known, ..)| *known == capture.id)
        {
            self.captures.push((capture.id.clone(), pass.object, 0));
        }
        self.objects[pass.object].status = Arc::clone(&pass.decided);
    }

    /// Kubernetes has told the process that it took the status.
    fn written(&mut self, mind: &mut Mind, pass: &Pass) {
        let status = &pass.decided.value;
        mind.contact(status, self.now);
        if let Some(capture) = plans(&pass.read.value, status) {
            mind.plans(capture);
        }
        if is_over(status)
            && !is_over(&pass.read.value)
            && self.claim.is_some_and(|(holder, _)| holder == pass.object)
        {
            self.claim = None;
        }
    }

    /// A pass begins: one that decided upon the claim on the machine has it.
    pub(crate) fn claims(&mut self, pass: &Pass) {
        if pass.claims
            && self.claim.is_none_or(|(holder, _)| holder != pass.object)
            && pass.decision.step().is_some()
        {
            self.claim = Some((pass.object, self.now));
        }
    }

    /// Kubernetes removes an object that is deleted and has no finalizer.
    fn goes(&mut self, at: usize) {
        let debt = self.objects[at]
            .status
            .value
            .capture
            .as_ref()
            .and_then(|capture| capture.restart_record.as_ref());
        let record = debt.and_then(|debt| debt.parse::<Record>().ok());
        let owed = record.is_some_and(|record| {
            record.capture == self.cluster_uid && self.now < record.start_by.as_second()
        });
        if self.truth.held && owed {
            self.breaks("gone while a machine is owed");
        }
        self.objects[at].gone = true;
        self.claim = self.claim.filter(|(holder, _)| *holder != at);
        self.objects[at].status = Status::new(SavedTemplateStatus::default());
        reach(Premise::Gone);
    }

    pub(crate) fn delete(&mut self, at: usize) {
        self.keep(at);
        self.objects[at].deleting = true;
        if !self.objects[at].finalizer {
            // Nobody can know of it any more.
            self.truth.unkept |= self.truth.went_back;
            self.goes(at);
        }
    }

    /// Before a write: what Kubernetes may go back to.
    pub(crate) fn keep(&mut self, at: usize) {
        if self.budget.rewinds > 0 {
            let object = Object { past: Vec::new(), ..self.objects[at].clone() };
            self.objects[at].past.insert(0, object);
            self.objects[at].past.truncate(2);
        }
    }

    /// Kubernetes is what it was some writes ago, a version that was read then included; processes keep what they know.
    pub(crate) fn goes_back(&mut self, at: usize, writes: usize) {
        self.objects[at] = self.objects[at].past[writes - 1].clone();
        self.truth.went_back = true;
        reach(Premise::WentBack);
    }

    pub(crate) fn wipe(&mut self, at: usize) {
        let name = self.objects[at].name;
        let of_gone = |shot: &Shot| shot.is_of(name) && shot.deregistered.is_some() && !shot.deleted;
        self.truth.unkept |= self.shots.iter().any(of_gone);
        self.objects[at].status = Status::new(SavedTemplateStatus::default());
        reach(Premise::StatusLost);
    }

    /// The call of a restart loop.
    pub(crate) fn pay(&mut self, mind: &mut Mind, payment: Payment, answer: Answer) {
        let Payment { record, what, read, launched, starts, .. } = payment.clone();
        if starts {
            mind.payment = Some(Payment { what: What::Start, starts: false, ..payment });
        }
        let (capture, lost) = (record.capture.clone(), answer != Answer::Heard);
        if self.now - read > fence() {
            if what == What::Start {
                mind.refused.insert(capture, Ec2Error::late("StartInstances"));
            }
            return reach(Premise::HeldBack);
        }
        mind.acted = Some((what, self.now));
        if what == What::Start && lost {
            mind.refused.insert(capture.clone(), Ec2Error::new("StartInstances", "", "lost"));
        }
        if answer == Answer::Dropped {
            return;
        }
        match what {
            What::Start => {
                let previous = self.start(&record);
                let launch_time_before = Some(time(launched));
                if !lost {
                    mind.refused.remove(&capture);
                    mind.started.entry(capture).or_insert(Started { previous, launch_time_before });
                }
            }
            What::Remove => {
                self.untag(&record.to_string());
                if !lost {
                    mind.forget(&capture);
                }
            }
            What::Rewrite => {
                reach(Premise::Rewritten);
                self.tag(&record.to_string());
            }
            What::Abort => {
                self.tag(&record.to_string());
                if !lost {
                    mind.records.insert(capture.clone(), record);
                    mind.custody.insert(capture, (self.now, true));
                }
            }
        }
    }

    /// The next instant at which anything may be decided otherwise.
    pub(crate) fn next(&self, spec: &SavedTemplateSpec) -> Option<i64> {
        let mut times: Vec<i64> = self.due().collect();
        let second = |time: Timestamp| time.as_second();
        let tagged = self.machine.tags.get(&debt_key(CLUSTER)).and_then(|value| value.parse::<Record>().ok());
        let noted = self.objects.iter().filter_map(|object| {
            object.status.value.capture.as_ref()?.restart_record.as_ref()?.parse::<Record>().ok()
        });
        let remembered = self.minds.iter().flat_map(|mind| mind.records.values().cloned());
        for record in tagged.into_iter().chain(noted).chain(remembered) {
            let (stop, image) = (second(record.stop_by), second(record.image_by));
            times.extend([stop + 1, image - 59, image, image + 60, second(record.start_by)]);
            times.push(second(last_arrival(&record)) + 1);
        }
        for object in &self.objects {
            let status = &object.status.value;
            for announced in &status.announced {
                times.extend([1, 5, 10, 20, 40].map(|age| second(announced.time.0) + age));
            }
            let capture = status.capture.as_ref();
            times.extend(capture.and_then(|one| Some(second(one.source_restored_time.as_ref()?.0) + 60)));
            let over = capture.filter(|one| one.reason.is_some());
            let over = over.and_then(|one| Some(second(one.completion_time.as_ref()?.0)));
            times.extend(over.into_iter().flat_map(|over| [over + 60, over + 300]));
            if object.deleting {
                let asked = capture.and_then(|one| one.image_requested_time.as_ref());
                let restored = capture.and_then(|one| one.source_restored_time.as_ref());
                let late = asked.into_iter().chain(restored).map(|at| second(at.0));
                times.extend(late.flat_map(|at| [at + 300, at + 960]));
            }
        }
        for mind in &self.minds {
            times.extend(mind.sighting.iter().map(|(_, first, _)| first + 5));
            times.extend(mind.acted.map(|(_, at)| at + 5));
            times.extend(mind.emptied.into_iter().flatten().map(|since| since + 60));
            let decided = mind.pass.as_ref().map(|pass| pass.at);
            let read = mind.payment.as_ref().map(|payment| payment.read);
            times.extend(decided.into_iter().chain(read).map(|at| at + fence() + 1));
        }
        times.extend(self.shots.iter().filter_map(|shot| Some(shot.begun? + 1)));
        let gone = self.shots.iter().filter_map(|shot| shot.deregistered);
        times.extend(gone.flat_map(|at| GONE_FOR.map(|seconds| at + seconds)));
        times.extend(self.limits());
        if self.watched {
            let since = self.minds.iter().filter_map(|mind| Some(mind.sighting.as_ref()?.1 + 86_400));
            times.extend(since.collect::<Vec<_>>());
            times.retain(|time| time - self.now < 400_000);
        }
        times.extend(self.claim.map(|(_, since)| since + DOUBT));
        let next = times.into_iter().filter(|time| *time > self.now).min();
        let unsettled = || self.objects.iter().any(|object| !is_settled(object));
        let again = || Some(self.plans(spec).look_again).filter(|again| unsettled() && *again < 3600);
        next.or_else(|| again().map(|again| self.now + again))
    }

    fn check(&mut self, spec: &SavedTemplateSpec) {
        let down = matches!(self.machine.state, InstanceState::Stopping | InstanceState::Stopped);
        for at in 0..self.objects.len() {
            let object = self.objects[at].clone();
            let status = &object.status.value;
            let ready = is(&object, ConditionType::Ready);
            let its = status.capture.as_ref().is_some_and(|capture| capture.id == self.cluster_uid);
            if its && self.truth.held && down {
                reach(Premise::HeldDown);
            }
            if ready && its && self.truth.held && down {
                self.breaks("Ready while a machine is owed");
            }
            if is(&object, ConditionType::Stalled)
                && status.capture.as_ref().is_some_and(|one| one.restart_record.is_some())
            {
                self.breaks("Stalled while a machine is owed");
            }
            if ready {
                reach(Premise::ReadySeen);
            }
            if is(&object, ConditionType::Stalled) {
                reach(Premise::StalledSeen);
            }
            // A deletion that began is forgotten with the rest.
            let wanted = !object.deleting && !self.truth.went_back;
            let stays = wanted || spec.deletion_policy == DeletionPolicy::Retain;
            if stays && self.shots.iter().any(|shot| shot.is_of(object.name) && shot.deregistered.is_some()) {
                self.breaks("an image was deleted that is to stay");
            }
            let capture = status.capture.as_ref().filter(|one| one.consistency == Consistency::Stopped);
            if let Some(capture) = capture {
                reach(Premise::ProvenAtRest);
                let key = saved_template_api::names::tag::CAPTURE;
                let its = self.shots.iter().filter(|shot| shot.tags.get(key) == Some(&capture.id));
                if its.clone().count() == 0 || its.clone().any(|shot| !shot.at_rest) {
                    self.breaks("Stopped is claimed of volumes that were not at rest");
                }
            }
            if !status.images.is_empty() {
                reach(Premise::Served);
            }
            let served = status.images.iter().map(|image| image.image_id.as_str().to_owned());
            let available = |id: &str| {
                let at = usize::from_str_radix(id.trim_start_matches("ami-"), 16).unwrap();
                self.shots.get(at).is_some_and(|shot| {
                    shot.available && (shot.deregistered.is_none() || self.truth.went_back)
                })
            };
            if !object.deleting && served.into_iter().any(|id| !available(&id)) {
                self.breaks("an image is served that is not available");
            }
        }
    }

    /// Nothing is left to be done, and no time to be waited for: what does not hold then.
    pub(crate) fn unfinished(&self, spec: &SavedTemplateSpec) -> Option<&'static str> {
        reach(Premise::AtRest);
        let wanted = if self.truth.wants_rest { InstanceState::Stopped } else { InstanceState::Running };
        if self.machine.state != wanted && !self.truth.forgotten {
            return Some("at the end the machine is not as its owner wants it");
        }
        if self.owes_truly() {
            return Some("at the end a record is left");
        }
        if !self.objects.iter().all(is_settled) {
            return Some("at the end an object is neither Ready nor Stalled");
        }
        // A deletion that Kubernetes has forgotten took images away: their absence is believed in the end.
        let served = self.objects.iter().flat_map(|object| &object.status.value.images);
        let gone = |(at, shot): (usize, &Shot)| shot.deregistered.map(|_| image_id(at));
        let gone: Vec<_> = self.shots.iter().enumerate().filter_map(gone).collect();
        if served.map(|image| &image.image_id).any(|id| gone.contains(id)) {
            return Some("at the end an image is served that is gone");
        }
        let deletes = spec.deletion_policy == DeletionPolicy::Delete;
        for object in self.objects.iter().filter(|object| object.gone && deletes) {
            let owner =
                Owner { cluster: CLUSTER, kind: SAVED_TEMPLATE, namespace: "default", name: object.name };
            let receipts = self.machine.tags.get(&receipts_key(CLUSTER));
            let receipt =
                receipts.and_then(|value| Receipts::parse(value).revision_of(&owner.receipt_object()));
            let images = self.shots.iter().any(|shot| shot.is_of(object.name) && shot.is_left());
            if !self.truth.unkept && (images || receipt.is_some()) {
                return Some("at the end something is left of an object that is gone");
            }
        }
        for later in LATER {
            let mut later = Self { now: self.now + later, ..self.clone() };
            later.refresh(spec);
            let passes = later.plans(spec).passes.iter().flatten().any(Option::is_some);
            if passes || later.minds.iter().any(|mind| mind.offer.is_some()) {
                return Some("at rest, and later something is written");
            }
        }
        None
    }
}

fn is(object: &Object, kind: ConditionType) -> bool {
    find(&object.status.value.conditions, kind).is_some_and(|condition| condition.status == "True")
}

fn is_settled(object: &Object) -> bool {
    object.gone || is(object, ConditionType::Ready) || is(object, ConditionType::Stalled)
}

fn without_machine(view: &View) -> View {
    View { instances: Ok(Vec::new()), ..view.clone() }
}

fn answers(question: &Question, world: &mut World) {
    match question {
        Question::Probe { .. } => {
            world.probe = Some(Probe {
                stop_protected: Ok(false),
                instance_store: Ok(false),
                regions: Ok([("us-west-2".parse().unwrap(), OptIn::Enabled)].into()),
                create_image: Ok(()),
                shutdown_terminates: Ok(false),
                events: Ok(Vec::new()),
                volumes: Ok(Vec::new()),
                snapshots: Ok(Vec::new()),
                pending_images: Ok(Vec::new()),
                namesakes: Ok(Vec::new()),
            });
        }
        Question::Permits(_) => world.permits = Some(Permits { stop: Ok(()), start: Ok(()) }),
        Question::Class(_) => world.class = Some(ClassSeen::Held { not_enforced: Vec::new() }),
        // A class asks that.
        Question::Users { .. } => {}
    }
}
