//! One object, one or two controllers as they ship, and EC2, in virtual time, looked at once a second.
use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use apisim::{ApiServer, Kind, Mishap};
use ec2sim::{ACCOUNT, Config, InstanceSeed, LogEntry, Millis, Place, Sim, VolumeSeed};

use jiff::Timestamp;
use saved_template_api::{
    SavedTemplateSpec, SavedTemplateStatus,
    names::{FINALIZER, debt_key},
};
use serde_json::{Value, json};
use simcloud::Endpoint;
use tokio::runtime::Runtime;

use crate::{
    chronicle::{Chronicle, Kill},
    ec2::HOME,
    enemy::laws::Court,
    mishap::Mishaps,
    process::{Cluster, Controller, Leads},
    truth::Truth,
};

pub(crate) const CLUSTER: &str = "lab";
pub(crate) const NAMESPACE: &str = "default";
pub(crate) const NAME: &str = "quake";
pub(crate) const START: i64 = 1_795_000_000_000;

/// A process, or the place of one that died and when it is back.
pub(crate) struct Replica {
    /// The cluster that it serves.
    cluster: usize,
    leads: Leads,
    name: &'static str,
    pub(crate) running: Option<Controller>,
    born: Millis,
}

impl Replica {
    const fn new(cluster: usize, leads: Leads) -> Self {
        Self { cluster, leads, name: "only", running: None, born: 0 }
    }

    /// One that leads while it holds the Lease.
    pub(crate) const fn elected(name: &'static str) -> Self {
        Self { cluster: 0, leads: Leads::Elected, name, running: None, born: 0 }
    }
}

/// The template, as a test reads and writes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    pub(crate) spec: SavedTemplateSpec,
    pub(crate) status: SavedTemplateStatus,
    pub(crate) generation: i64,
    pub(crate) deleting: bool,
    pub(crate) finalizer: bool,
}

pub(crate) struct Lab {
    /// What runs in it ends before it.
    pub(crate) replicas: Vec<Replica>,
    pub(crate) runtime: Runtime,
    endpoint: Endpoint,
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) id: String,
    chronicle: Arc<Mutex<Chronicle>>,
    /// Seconds until a process that died is back; none: never.
    pub(crate) back_after: Option<i64>,
    /// The region of the machine as it was when only others had anything there.
    pub(crate) others: Option<Place>,
    /// Whether the status was written by hand: what it says of images is not held against EC2's store.
    pub(crate) poisoned: bool,
    seen: RefCell<(u64, Option<Arc<Object>>)>,
    /// The last version of Kubernetes, and the last call to EC2, at which all was as it must be.
    pub(crate) checked: (u64, usize),
    /// How many effects there were, and since when.
    moved: (usize, Millis),
}

/// EC2 with the machine in it.
pub(crate) fn account() -> (Sim, String) {
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
        name: Some(NAME.into()),
        volumes: vec![VolumeSeed::new("/dev/sda1", 8), VolumeSeed::new("/dev/sdf", 20)],
        ..InstanceSeed::default()
    };
    let id = sim.seed(START - 86_400_000, seed);
    (sim, id)
}

fn cluster(
    (number, classes): (usize, bool),
    endpoint: &Endpoint,
    chronicle: &Arc<Mutex<Chronicle>>,
) -> Cluster {
    let custom = |plural, kind| Kind::custom("savedtemplate.dev", "v1alpha1", plural, kind).with_status();
    let template = custom("savedtemplates", "SavedTemplate").selectable_by("spec.className");
    let class = custom("savedtemplateclasses", "SavedTemplateClass").in_cluster();
    let mut kinds = vec![template, Kind::leases(), Kind::events(), Kind::namespaces()];
    kinds.extend(classes.then_some(class));
    let endpoint = endpoint.clone();
    let api = ApiServer::new(kinds, move || Timestamp::from_second(endpoint.now().div_euclid(1000)).unwrap());
    // The uid of kube-system tells clusters apart.
    let names = ["default", "another", "third"];
    api.add_namespaces(&names[..=number]).unwrap();
    api.add_namespaces(&["kube-system"]).unwrap();
    let chronicle = Arc::clone(chronicle);
    api.on_call(move |moment, _| {
        let refusal = chronicle.lock().unwrap().refusal.take();
        refusal.filter(|_| moment == apisim::Moment::Before).map(Mishap::Refuse)
    });
    Cluster { api, number }
}

impl Lab {
    /// The machine alone in its account, a template of this spec, and a controller.
    pub(crate) fn new(spec: &str) -> Self {
        let (sim, id) = account();
        Self::of(spec, sim, id)
    }

    /// The same in this account.
    pub(crate) fn of(spec: &str, sim: Sim, id: String) -> Self {
        let lab = Self::empty(sim, id, true);
        lab.permits(0);
        lab.applies(spec);
        lab
    }

    /// A cluster in which there is nothing yet, perhaps of a chart of before there were classes.
    pub(crate) fn empty(sim: Sim, id: String, classes: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let runtime = runtime.unwrap();
        let inside = runtime.enter();
        let endpoint = Endpoint::new(sim, START);
        drop(inside);
        let chronicle = Chronicle { id: id.clone(), start: START, ..Chronicle::default() };
        let chronicle = Arc::new(Mutex::new(chronicle));
        let clusters = vec![cluster((0, classes), &endpoint, &chronicle)];
        Self {
            replicas: vec![Replica::new(0, Leads::Always)],
            runtime,
            endpoint,
            clusters,
            id,
            chronicle,
            back_after: Some(5),
            others: None,
            poisoned: false,
            seen: RefCell::default(),
            checked: (0, 0),
            moved: (0, START),
        }
    }

    pub(crate) fn chronicle(&self) -> MutexGuard<'_, Chronicle> {
        self.chronicle.lock().unwrap()
    }

    pub(crate) fn now(&self) -> Millis {
        // Outside of a runtime tokio's clock is the real one.
        let _inside = self.runtime.enter();
        self.endpoint.now()
    }

    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_second(self.now().div_euclid(1000)).unwrap()
    }

    /// EC2, locked: nobody is answered meanwhile.
    pub(crate) fn sim(&self) -> MutexGuard<'_, Sim> {
        let _inside = self.runtime.enter();
        self.endpoint.sim()
    }

    /// One region of EC2, as it is.
    pub(crate) fn place(&self, region: &str) -> Option<Place> {
        self.sim().place(ACCOUNT, region).cloned()
    }

    pub(crate) fn places(&self) -> BTreeMap<ec2sim::Key, Place> {
        self.sim().places().clone()
    }

    pub(crate) fn home(&self) -> Place {
        self.place(HOME).unwrap()
    }

    pub(crate) fn log(&self) -> Vec<LogEntry> {
        self.sim().log().to_vec()
    }

    pub(crate) fn instance(&self) -> ec2sim::Instance {
        self.sim().place(ACCOUNT, HOME).unwrap().instances[&self.id].clone()
    }

    pub(crate) fn truth(&self) -> Truth {
        self.chronicle().truth.clone()
    }

    pub(crate) fn mishaps(&self) -> Mishaps {
        self.chronicle().mishaps.clone()
    }

    pub(crate) fn effects(&self) -> Vec<String> {
        self.chronicle().effects.clone()
    }

    /// How many effects have this name.
    pub(crate) fn asked(&self, name: &str) -> usize {
        let is_it = |effect: &&String| effect.split_once(' ').is_some_and(|(_, it)| it == name);
        self.chronicle().effects.iter().filter(is_it).count()
    }

    pub(crate) fn writes(&self) -> usize {
        self.chronicle().writes
    }

    pub(crate) fn statuses(&self) -> Vec<SavedTemplateStatus> {
        self.chronicle().statuses.clone()
    }

    pub(crate) fn others_machines(&self) -> Vec<String> {
        self.chronicle().watch.others.clone()
    }

    /// The template, while it is there.
    pub(crate) fn object(&self) -> Option<Arc<Object>> {
        let version = self.clusters[0].api.version();
        let mut seen = self.seen.borrow_mut();
        if seen.0 != version {
            let read = self.clusters[0].stored().map(|stored| {
                let meta = &stored["metadata"];
                let is_ours = |name: &Value| name == FINALIZER;
                Arc::new(Object {
                    generation: meta["generation"].as_i64().unwrap_or_default(),
                    deleting: meta["deletionTimestamp"].is_string(),
                    finalizer: meta["finalizers"].as_array().is_some_and(|all| all.iter().any(is_ours)),
                    spec: serde_json::from_value(stored["spec"].clone()).unwrap(),
                    status: serde_json::from_value(stored["status"].clone()).unwrap_or_default(),
                })
            });
            *seen = (version, read);
        }
        seen.1.clone()
    }

    /// The status, empty where there is no object.
    pub(crate) fn status(&self) -> SavedTemplateStatus {
        self.object().map(|object| object.status.clone()).unwrap_or_default()
    }

    /// Nobody is answered by the API server from now on, or everybody again.
    pub(crate) fn api(&self, is_up: bool) {
        self.chronicle().api_is_away = !is_up;
    }

    pub(crate) fn goes_dark(&self, region: &str) {
        self.chronicle().dark.insert(region.to_owned());
    }

    pub(crate) fn answers_again(&self) {
        self.chronicle().dark.clear();
    }

    /// Reads are up to so many seconds old, each by its own whim.
    pub(crate) fn stale_reads(&self, lag: i64, seed: u64) {
        let mut ages: Vec<Millis> = (0..=lag).map(|age| age * 1000).collect();
        let first = usize::try_from(seed).unwrap() % ages.len();
        ages.rotate_left(first);
        self.sim().config_mut().replicas = if lag == 0 { Vec::new() } else { ages };
    }

    pub(crate) fn kills(&self) -> Vec<Kill> {
        self.chronicle().kill.clone()
    }

    pub(crate) fn kill(&self, effect: usize, after: bool) {
        self.chronicle().kill.push(Kill { effect, after });
    }

    /// Another machine is the one that is looked at.
    pub(crate) fn moves_to(&mut self, id: String) {
        self.id.clone_from(&id);
        self.chronicle().id = id;
    }

    pub(crate) fn note(&self, what: &'static str) {
        self.chronicle().note(what);
    }

    /// Another whole controller that thinks that it leads.
    pub(crate) fn adds_a_twin(&mut self) {
        self.replicas.push(Replica::new(0, Leads::Always));
    }

    /// A replica that reaches no Kubernetes: its restart loop alone.
    pub(crate) fn adds_a_standby(&mut self) {
        self.replicas.push(Replica::new(0, Leads::Never));
    }

    /// Another cluster comes up now, and an object of the same spec in it.
    pub(crate) fn is_doubled(&mut self) {
        let (Some(object), 1) = (self.object(), self.clusters.len()) else { return };
        self.clusters.push(cluster((1, true), &self.endpoint, &self.chronicle));
        self.permits(1);
        self.applies_as(1, &json!({"name": NAME}), &object.spec);
        self.replicas.push(Replica::new(1, Leads::Always));
        self.note("a namesake in another cluster");
    }

    /// Whether a process that began is dead.
    pub(crate) fn is_dead(&self) -> bool {
        self.replicas.iter().filter_map(|one| one.running.as_ref()).any(|one| one.life.is_over())
    }

    /// The processes end, and are not back before the next reboot.
    pub(crate) fn stops_all(&mut self) {
        for replica in &mut self.replicas {
            (replica.running, replica.born) = (None, Millis::MAX);
        }
    }

    /// The processes end and are back at once, knowing nothing.
    pub(crate) fn reboot(&mut self) {
        for replica in &mut self.replicas {
            (replica.running, replica.born) = (None, 0);
        }
    }

    /// A second passes.
    pub(crate) fn tick(&mut self) {
        self.passes(1);
    }

    /// Some seconds pass: one, and more where nothing has happened for a minute, but not beyond `end`.
    fn tick_until(&mut self, end: Millis) {
        let now = self.now();
        let (effects, moved) = self.moved;
        let told = self.chronicle().effects.len();
        if told != effects {
            self.moved = (told, now);
        }
        let waits = self.replicas.iter().any(|one| one.running.is_none() && one.born < Millis::MAX);
        let quiet = told == effects && now - moved > 60_000 && !waits && !self.chronicle().truth.held;
        let left = (end - now + 999).div_euclid(1000).max(1);
        self.passes(if quiet { left.min(5) } else { 1 });
    }

    fn passes(&mut self, seconds: i64) {
        let now = self.now();
        let (back, kills_all) = (self.back_after, std::mem::take(&mut self.chronicle().kills_all));
        for replica in &mut self.replicas {
            if replica.running.as_ref().is_some_and(|running| running.life.is_over() || kills_all) {
                let after = if kills_all { Some(5) } else { back };
                replica.born = after.map_or(Millis::MAX, |after| now + after * 1000);
                replica.running = None;
            }
            if replica.running.is_none() && now >= replica.born {
                let _inside = self.runtime.enter();
                let cluster = &self.clusters[replica.cluster];
                let who = (replica.name, replica.leads);
                replica.running = Some(Controller::begin(cluster, &self.endpoint, &self.chronicle, who));
            }
        }
        self.sleeps(Duration::from_secs(seconds.unsigned_abs()));
        let (holds, owes, capture) = {
            let (chronicle, sim) = (&mut *self.chronicle(), self.sim());
            chronicle.judged(|chronicle| Court { sim: &sim, chronicle, cluster: 0 }.learn());
            let owes = Court { sim: &sim, chronicle, cluster: 0 }.owes_truly();
            (chronicle.truth.held, owes, chronicle.truth.by.clone())
        };
        if holds && !owes && !self.is_remembered(&capture) {
            let truth = &mut self.chronicle().truth;
            (truth.held, truth.forgotten) = (false, true);
        }
        self.check();
        let broken = std::mem::take(&mut self.chronicle().broken);
        assert!(broken.is_empty(), "{}\n{}", broken.join("\n"), self.history());
    }

    #[expect(clippy::disallowed_methods, reason = "virtual time")]
    fn sleeps(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// Whether the record of the stop that holds the machine is in a status, or perhaps in the memory of a process.
    fn is_remembered(&self, held: &str) -> bool {
        let told = self.clusters.iter().filter_map(Cluster::stored).any(|object| {
            let capture = &object["status"]["capture"];
            capture["id"] == *held && capture["restartRecord"].is_string()
        });
        told || self.replicas.iter().filter_map(|one| one.running.as_ref()).any(|one| one.life.knows(held))
    }

    pub(crate) fn run(&mut self, seconds: i64) {
        let end = self.now() + seconds * 1000;
        while self.now() < end {
            self.tick_until(end);
        }
    }

    /// Runs until `wanted`, or says what went on instead.
    pub(crate) fn until(&mut self, seconds: i64, what: &str, wanted: impl Fn(&Self) -> bool) {
        let end = self.now() + seconds * 1000;
        while self.now() < end {
            if wanted(self) {
                return;
            }
            self.tick_until(end);
        }
        let object = self.object().map(|object| format!("{:#?}", object.status));
        panic!("not {what} after {seconds} s\n{}\n{}", self.history(), object.unwrap_or_default());
    }

    pub(crate) fn count(&self, action: &str) -> usize {
        let sim = self.sim();
        let log = sim.log().iter();
        log.filter(|entry| entry.action == action && !entry.dry_run && entry.is_effective()).count()
    }

    pub(crate) fn condition(&self, kind: &str) -> (String, String) {
        let Some(object) = self.object() else { return Default::default() };
        let found = object.status.conditions.iter().find(|condition| condition.type_ == kind);
        found.map(|found| (found.status.clone(), found.reason.clone())).unwrap_or_default()
    }

    /// The reason and the message of a condition.
    pub(crate) fn said(&self, kind: &str) -> (String, String) {
        let said = self.status().conditions.into_iter().find(|condition| condition.type_ == kind);
        said.map(|said| (said.reason, said.message)).unwrap_or_default()
    }

    /// The calls that changed something in EC2, whoever made them.
    pub(crate) fn changes(&self) -> usize {
        self.log().iter().filter(|call| !call.dry_run && call.is_effective()).count()
    }

    /// How often an object of that name was read since the last time.
    pub(crate) fn looks(&self, name: &str) -> usize {
        self.chronicle().looks.insert(name.to_owned(), 0).unwrap_or_default()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.condition("Ready").0 == "True"
    }

    pub(crate) fn owes(&self) -> bool {
        self.instance().tags.contains_key(&debt_key(CLUSTER))
    }

    pub(crate) fn images(&self, region: &str) -> usize {
        self.sim().place(ACCOUNT, region).map_or(0, |place| place.images.len())
    }
}
