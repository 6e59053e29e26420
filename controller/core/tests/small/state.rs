//! The state of a small world: one machine, its record and images, one or two objects, two processes.
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, OnceLock},
};

use jiff::Timestamp;
use saved_template_api::{SavedTemplateStatus, names::tag};
use saved_template_core::{
    decision::Decision,
    ec2_error::Ec2Error,
    restart::Record,
    step::Outcome,
    world::{InstanceState, Started, Tags},
};
use serde_json::Value;

/// When the world begins, in seconds.
pub(crate) const START: i64 = 1_795_000_000;
/// No decision tells ages beyond this apart.
const OLD: i64 = 1200;

/// A status and what tells it from others: its words, and its times apart from them.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(crate) value: SavedTemplateStatus,
    words: String,
    times: Vec<i64>,
}

impl Status {
    pub(crate) fn new(status: SavedTemplateStatus) -> Arc<Self> {
        let (mut words, mut times) = (String::new(), Vec::new());
        flatten(&serde_json::to_value(&status).unwrap(), &mut words, &mut times);
        Arc::new(Self { value: status, words, times })
    }
}

/// Messages and the times at which conditions changed are for people: no decision reads them.
fn flatten(value: &Value, words: &mut String, times: &mut Vec<i64>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if key != "message" && key != "lastTransitionTime" {
                    words.push_str(key);
                    flatten(value, words, times);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| flatten(value, words, times)),
        Value::String(text) => {
            if let Ok(record) = text.parse::<Record>() {
                words.push_str(&record.capture);
                times.extend(spans(&record));
            } else if let Ok(time) = text.parse::<Timestamp>() {
                times.push(time.as_second());
            } else {
                words.push_str(text);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => words.push_str(&value.to_string()),
    }
    words.push(';');
}

fn spans(record: &Record) -> [i64; 4] {
    [record.planned, record.stop_by, record.image_by, record.start_by].map(Timestamp::as_second)
}

/// An object in Kubernetes.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) name: &'static str,
    pub(crate) status: Arc<Status>,
    pub(crate) finalizer: bool,
    pub(crate) deleting: bool,
    pub(crate) gone: bool,
    /// What Kubernetes may go back to, the newest first.
    pub(crate) past: Vec<Self>,
}

/// The machine as EC2 has it.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) state: InstanceState,
    pub(crate) launched: i64,
    pub(crate) stopped: Option<i64>,
    /// When it reaches the state that it is on its way to.
    pub(crate) settles: Option<i64>,
    pub(crate) tags: BTreeMap<String, String>,
}

/// An image, and its snapshots once they have begun.
#[derive(Debug, Clone)]
pub(crate) struct Shot {
    pub(crate) name: String,
    pub(crate) tags: Arc<Tags>,
    pub(crate) asked: i64,
    pub(crate) begun: Option<i64>,
    pub(crate) available: bool,
    pub(crate) at_rest: bool,
    /// When the image was deregistered.
    pub(crate) deregistered: Option<i64>,
    /// Its snapshot is deleted.
    pub(crate) deleted: bool,
}

impl Shot {
    pub(crate) fn is_of(&self, object: &str) -> bool {
        self.tags.get(tag::NAME).is_some_and(|name| name == object)
    }

    /// Whether the image, or a snapshot that has begun, is there.
    pub(crate) fn is_left(&self) -> bool {
        self.deregistered.is_none() || (self.begun.is_some() && !self.deleted)
    }
}

/// What is left of a pass.
#[derive(Debug, Clone)]
pub(crate) struct Pass {
    pub(crate) object: usize,
    pub(crate) read: Arc<Status>,
    pub(crate) finalizer: bool,
    pub(crate) deleting: bool,
    pub(crate) decision: Arc<Decision>,
    pub(crate) decided: Arc<Status>,
    pub(crate) at: i64,
    /// 0: the finalizer; 1: the announcement; 2: the call; 3: what it taught.
    pub(crate) stage: u8,
    /// What EC2 answered to the call, and the status that says so.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) settled: Option<Arc<Status>>,
    /// It was decided upon the claim on the machine.
    pub(crate) claims: bool,
}

/// A call of the restart loop, decided upon a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payment {
    pub(crate) record: Record,
    pub(crate) what: What,
    pub(crate) read: i64,
    pub(crate) launched: i64,
    pub(crate) state: InstanceState,
    /// A start follows at once.
    pub(crate) starts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Start,
    Remove,
    Rewrite,
    Abort,
}

/// What a process knows and loses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mind {
    pub(crate) pass: Option<Pass>,
    pub(crate) payment: Option<Payment>,
    pub(crate) asleep: bool,
    pub(crate) records: BTreeMap<String, Record>,
    pub(crate) started: BTreeMap<String, Started>,
    /// Starts that were not taken, or whose answer did not arrive, and such as are not tried.
    pub(crate) refused: BTreeMap<String, Ec2Error>,
    /// The value seen on the machine, first and last.
    pub(crate) sighting: Option<(String, i64, i64)>,
    /// The last call of its restart loop.
    pub(crate) acted: Option<(What, i64)>,
    /// Since when it has seen nothing of an object that is to have nothing left.
    pub(crate) emptied: [Option<i64>; 2],
    pub(crate) custody: BTreeMap<String, (i64, bool)>,
    /// Captures that it planned, and under which it sent no Stop.
    pub(crate) planned: BTreeSet<String>,
    /// Captures under which it sent a Stop.
    pub(crate) sent: BTreeSet<String>,
    /// The call that its restart loop would make.
    pub(crate) offer: Option<Payment>,
}

/// What every process would do next with every object; decided once for each state, and only if somebody asks.
#[derive(Debug)]
pub(crate) struct Plans {
    /// By process and object: the pass that would change anything.
    pub(crate) passes: Vec<Vec<Option<Pass>>>,
    /// How soon anybody would look again where nothing else tells when.
    pub(crate) look_again: i64,
}

/// How many more of each may happen.
#[derive(Debug, Clone, Copy, Default, Hash)]
pub(crate) struct Budget {
    pub(crate) deaths: u8,
    pub(crate) losses: u8,
    pub(crate) naps: u8,
    /// The owner's stops; who stopped a machine once may start it again.
    pub(crate) stops: u8,
    /// A status that is lost, as by an etcd restored from a backup.
    pub(crate) wipes: u8,
    pub(crate) deletions: u8,
    /// Kubernetes goes back by one or two writes.
    pub(crate) rewinds: u8,
    /// Somebody writes a record onto the machine.
    pub(crate) forgeries: u8,
    /// Another tool takes the record off the machine.
    pub(crate) strips: u8,
}

/// What really happened, for the invariants.
#[derive(Debug, Clone, Default, Hash, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "what happened, not modes")]
pub(crate) struct Truth {
    pub(crate) wants_rest: bool,
    /// The owner's stop was one of which EC2 keeps no evidence.
    pub(crate) unknowable: bool,
    pub(crate) held: bool,
    /// Another tool took the record off the machine.
    pub(crate) stripped: bool,
    /// It is down, we did it, and no copy of its record is left anywhere.
    pub(crate) forgotten: bool,
    /// Kubernetes went back; then an object was deleted whose finalizer it had forgotten. Or an image went that Kubernetes
    /// had forgotten by then: nothing shows whose its snapshots are, and they are told.
    pub(crate) went_back: bool,
    pub(crate) unkept: bool,
    pub(crate) broken: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) now: i64,
    pub(crate) machine: Machine,
    pub(crate) shots: Vec<Shot>,
    pub(crate) objects: Vec<Object>,
    pub(crate) minds: Vec<Mind>,
    /// Which object claims the machine, and since when.
    pub(crate) claim: Option<(usize, i64)>,
    /// Captures in the order of their plans, their object, and how often the machine was stopped under each.
    pub(crate) captures: Vec<(String, usize, u8)>,
    pub(crate) truth: Truth,
    pub(crate) owner_stopped: Option<i64>,
    /// Somebody may forge: what we wrote is kept, and until when the machine is down at the longest.
    pub(crate) watched: bool,
    pub(crate) wrote: Vec<String>,
    pub(crate) limit: Option<i64>,
    /// The capture under which we stopped it last.
    pub(crate) cluster_uid: String,
    pub(crate) budget: Budget,
    pub(crate) plans: Arc<OnceLock<Plans>>,
    /// What tells it from other states: ages and no absolute time.
    pub(crate) print: u64,
}

impl State {
    fn age(&self, time: i64) -> i64 {
        (self.now - time).clamp(-OLD, OLD)
    }

    /// Captures are told apart by their order, not by their digest, which is made of the time.
    fn words(&self, text: &str) -> String {
        let mut words = text.to_owned();
        for (at, (capture, ..)) in self.captures.iter().enumerate() {
            if words.contains(capture.as_str()) {
                words = words.replace(capture.as_str(), &format!("#{at}"));
            }
        }
        words
    }

    fn status(&self, status: &Status, hasher: &mut impl Hasher) {
        self.words(&status.words).hash(hasher);
        for time in &status.times {
            self.age(*time).hash(hasher);
        }
    }

    fn record(&self, record: &Record, hasher: &mut impl Hasher) {
        self.words(&record.capture).hash(hasher);
        (record.awaits, record.volumes).hash(hasher);
        for time in spans(record) {
            self.age(time).hash(hasher);
        }
    }

    fn value(&self, value: &str, hasher: &mut impl Hasher) {
        match value.parse::<Record>() {
            Ok(record) => self.record(&record, hasher),
            Err(_) => self.words(value).hash(hasher),
        }
    }

    fn mind(&self, mind: &Mind, hasher: &mut impl Hasher) {
        mind.asleep.hash(hasher);
        if let Some(pass) = &mind.pass {
            (pass.object, pass.stage, pass.finalizer, pass.deleting, pass.claims, self.age(pass.at))
                .hash(hasher);
            pass.decision.step().map(saved_template_core::step::Step::name).hash(hasher);
            self.status(&pass.read, hasher);
            self.status(&pass.decided, hasher);
            pass.outcome.as_ref().map(std::mem::discriminant).hash(hasher);
            pass.settled.iter().for_each(|status| self.status(status, hasher));
        }
        if let Some(payment) = &mind.payment {
            (payment.what, payment.starts, payment.state, self.age(payment.read), self.age(payment.launched))
                .hash(hasher);
            self.record(&payment.record, hasher);
        }
        mind.records.values().for_each(|record| self.record(record, hasher));
        for (capture, started) in &mind.started {
            (self.words(capture), started.previous).hash(hasher);
            started.launch_time_before.map(|time| self.age(time.as_second())).hash(hasher);
        }
        for (capture, refusal) in &mind.refused {
            (self.words(capture), &refusal.code).hash(hasher);
        }
        if let Some((value, first, last)) = &mind.sighting {
            self.value(value, hasher);
            // Five seconds between the two are enough.
            let counts = if self.watched { 86_400 } else { 5 };
            ((last - first).min(counts), self.age(*last)).hash(hasher);
        }
        mind.acted.map(|(what, at)| (what, self.age(at).min(6))).hash(hasher);
        mind.emptied.map(|since| since.map(|at| self.age(at).min(60))).hash(hasher);
        for captures in [&mind.planned, &mind.sent] {
            captures.len().hash(hasher);
            for capture in captures {
                self.words(capture).hash(hasher);
            }
        }
        for (capture, (contact, over)) in &mind.custody {
            (self.words(capture), self.age(*contact).min(31), over).hash(hasher);
        }
    }
}

impl State {
    /// Everything that a decision or an invariant can tell apart.
    pub(crate) fn printed(&self) -> u64 {
        let hasher = &mut DefaultHasher::new();
        let machine = &self.machine;
        (machine.state, self.age(machine.launched), machine.stopped.map(|at| self.age(at))).hash(hasher);
        machine.settles.map(|at| self.age(at)).hash(hasher);
        for (key, value) in &machine.tags {
            key.hash(hasher);
            self.value(value, hasher);
        }
        for shot in &self.shots {
            (&shot.name, shot.available, shot.at_rest, self.age(shot.asked)).hash(hasher);
            (shot.deregistered.map(|at| self.age(at)), shot.deleted).hash(hasher);
            shot.begun.map(|at| self.age(at)).hash(hasher);
            shot.tags.get(tag::FAILED).hash(hasher);
            let capture = shot.tags.get(tag::CAPTURE);
            capture.map(|capture| self.words(capture)).hash(hasher);
        }
        for object in self.objects.iter().flat_map(|object| std::iter::once(object).chain(&object.past)) {
            (object.finalizer, object.deleting, object.gone).hash(hasher);
            self.status(&object.status, hasher);
        }
        self.minds.iter().for_each(|mind| self.mind(mind, hasher));
        let claim = self.claim.map(|(object, at)| (object, self.age(at).min(31)));
        (claim, self.budget, &self.truth, self.owner_stopped.map(|at| self.age(at))).hash(hasher);
        self.wrote.iter().for_each(|value| self.value(value, hasher));
        self.limit.map(|limit| self.age(limit)).hash(hasher);
        self.words(&self.cluster_uid).hash(hasher);
        self.captures.iter().for_each(|(_, object, stops)| (object, stops).hash(hasher));
        hasher.finish()
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.print.hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}
