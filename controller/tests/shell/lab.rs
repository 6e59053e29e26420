//! Controllers as they ship, an API server and EC2 in one process, in tokio's time.
use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use apisim::{ApiServer, Kind};
use clap::Parser;
use ec2sim::{ACCOUNT, Config, InstanceSeed, Millis, Sim, VolumeSeed};
use http::{Request, Response};
use jiff::Timestamp;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
    client::Body,
};
use saved_template_api::{SavedTemplate, SavedTemplateClass, names::debt_key};
use saved_template_controller::{account::Account, args::Args, metrics::Metrics, run::Process};
use saved_template_core::restart::Signing;
use serde_json::json;
use simcloud::{Caller, Clients, Endpoint, Mishap, Passage};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::Service;

pub(crate) const CLUSTER: &str = "lab";
pub(crate) const HOME: &str = "us-west-2";
pub(crate) const START: Millis = 1_795_000_000_000;

/// What happens to one effect of a process, and to the process by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// It dies, and nothing was done.
    DieBefore,
    /// It is done, and the process dies.
    DieAfter,
    /// Nothing was done, and nobody answers.
    Drop,
    /// It is done, and the answer is lost.
    Lose,
    /// The process sleeps for so many seconds before it.
    Sleep(u64),
}

/// What all processes changed, in EC2 and in Kubernetes, and what happens to which of these effects, by its number.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) told: Vec<String>,
    /// How often each object was read by name.
    pub(crate) looks: BTreeMap<String, usize>,
    pub(crate) harms: BTreeMap<usize, Harm>,
}

/// What is out of order around the processes.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    /// The API server answers nobody.
    pub(crate) api: bool,
    /// A region of EC2 that answers nobody.
    pub(crate) region: Option<&'static str>,
    /// How much longer each read of EC2 takes.
    pub(crate) slow: Duration,
}

/// One process's life. Nothing that a dead one sends arrives, and it is told nothing.
#[derive(Clone)]
struct Life {
    alive: Arc<AtomicBool>,
    stop: CancellationToken,
    effects: Arc<Mutex<Effects>>,
    outage: Arc<Mutex<Outage>>,
    /// All that it sends leaves after this.
    asleep: Arc<Mutex<Instant>>,
}

impl Life {
    fn is_over(&self) -> bool {
        !self.alive.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.alive.store(false, Ordering::Relaxed);
        self.stop.cancel();
    }

    /// An effect is about to happen: what happens to it.
    fn begins(&self, what: &str) -> Option<Harm> {
        let mut effects = self.effects.lock().unwrap();
        let effect = effects.told.len();
        effects.told.push(what.to_owned());
        let harm = effects.harms.get(&effect).copied();
        match harm {
            Some(Harm::DieBefore) => self.end(),
            Some(Harm::Sleep(seconds)) => {
                *self.asleep.lock().unwrap() = Instant::now() + Duration::from_secs(seconds);
            }
            Some(Harm::DieAfter | Harm::Drop | Harm::Lose) | None => {}
        }
        harm
    }

    /// For how long it sleeps still.
    fn sleeps(&self) -> Option<Duration> {
        let left = self.asleep.lock().unwrap().saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// What becomes of a request to EC2, before it leaves.
    fn sends(&self, passage: &Passage<'_>, harm: Option<Harm>) -> Option<Mishap> {
        let is_dark = self.outage.lock().unwrap().region == Some(passage.region);
        match harm {
            _ if self.is_over() => Some(Mishap::Kill),
            Some(Harm::Drop) => Some(Mishap::Drop),
            _ if is_dark => Some(Mishap::Drop),
            _ => self.sleeps().map(Mishap::Delay),
        }
    }
}

/// A controller that runs; it dies when it is dropped.
pub(crate) struct Controller {
    process: Option<Process>,
    life: Life,
}

impl Controller {
    /// What SIGTERM does: whether it ends within that time.
    pub(crate) async fn ends(mut self, within: Duration) -> bool {
        self.life.stop.cancel();
        tokio::time::timeout(within, self.process.take().unwrap().finish()).await.is_ok()
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.life.is_over()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.life.end();
    }
}

/// The API server as one process sees it, for as long as that lives.
#[derive(Clone)]
struct Mortal {
    api: ApiServer,
    life: Life,
}

impl Service<Request<Body>> for Mortal {
    type Response = Response<apisim::ReplyBody>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (mut api, life) = (self.api.clone(), self.life.clone());
        Box::pin(async move {
            let what = format!("{} {}", request.method(), request.uri().path());
            // An event or a lease is no effect: nothing is decided by them.
            let counts = request.method() != http::Method::GET && what.contains("/savedtemplate.dev/");
            if request.method() == http::Method::GET {
                let name = request.uri().path().rsplit('/').next().unwrap().to_owned();
                *life.effects.lock().unwrap().looks.entry(name).or_default() += 1;
            }
            let lost = || io::Error::new(io::ErrorKind::ConnectionReset, "lost");
            let harm = if counts { life.begins(&what) } else { None };
            if let Some(left) = life.sleeps() {
                tokio::time::sleep(left).await;
            }
            if life.is_over() {
                return std::future::pending().await;
            }
            if harm == Some(Harm::Drop) || life.outage.lock().unwrap().api {
                return Err(lost());
            }
            let reply = api.call(request).await;
            if harm == Some(Harm::DieAfter) {
                life.end();
            }
            if life.is_over() {
                return std::future::pending().await;
            }
            if harm == Some(Harm::Lose) { Err(lost()) } else { reply }
        })
    }
}

/// One account, one cluster.
pub(crate) struct Lab {
    pub(crate) endpoint: Endpoint,
    pub(crate) api: ApiServer,
    pub(crate) id: String,
    pub(crate) effects: Arc<Mutex<Effects>>,
    pub(crate) outage: Arc<Mutex<Outage>>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::of_a_chart(true)
    }

    /// A cluster whose chart is of before there were classes, or of after.
    pub(crate) fn of_a_chart(classes: bool) -> Self {
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
        let endpoint = Endpoint::new(sim, START);
        let clock = {
            let endpoint = endpoint.clone();
            move || Timestamp::from_second(endpoint.now().div_euclid(1000)).unwrap()
        };
        let template =
            Kind::custom("savedtemplate.dev", "v1alpha1", "savedtemplates", "SavedTemplate").with_status();
        let template = template.selectable_by("spec.className");
        let class =
            Kind::custom("savedtemplate.dev", "v1alpha1", "savedtemplateclasses", "SavedTemplateClass");
        let class = class.in_cluster().with_status();
        let mut kinds = vec![template, Kind::leases(), Kind::events(), Kind::namespaces()];
        kinds.extend(classes.then_some(class));
        let api = ApiServer::new(kinds, clock);
        api.add_namespaces(&["default", "kube-system"]).unwrap();
        Self { endpoint, api, id, effects: Arc::default(), outage: Arc::default() }
    }

    pub(crate) fn controller(&self) -> Controller {
        self.replica("only")
    }

    /// A controller of this name: the Lease tells replicas apart by it.
    pub(crate) fn replica(&self, name: &str) -> Controller {
        let life = Life {
            alive: Arc::new(AtomicBool::new(true)),
            stop: CancellationToken::new(),
            effects: Arc::clone(&self.effects),
            outage: Arc::clone(&self.outage),
            asleep: Arc::new(Mutex::new(Instant::now())),
        };
        let (mortal, last) = (life.clone(), Mutex::new(BTreeMap::new()));
        let hook = move |passage: &Passage<'_>| {
            let action = &passage.request.action;
            let is_dry = passage.request.params.get("DryRun").is_some_and(|dry| dry == "true");
            if action.starts_with("Describe") || is_dry {
                let slow = mortal.outage.lock().unwrap().slow;
                let sent = passage.reply.is_none().then(|| mortal.sends(passage, None)).flatten();
                let is_slow = passage.reply.is_none() && !slow.is_zero();
                return sent.or(is_slow.then_some(Mishap::Delay(slow)));
            }
            let key = format!("{action} {:?}", passage.request.params);
            let mut last = last.lock().unwrap();
            if passage.reply.is_none() {
                let harm = mortal.begins(action);
                last.insert(key, harm);
                return mortal.sends(passage, harm);
            }
            let harm = last.remove(&key).flatten();
            if harm == Some(Harm::DieAfter) {
                mortal.end();
            }
            match harm {
                _ if mortal.is_over() => Some(Mishap::Kill),
                Some(Harm::Lose) => Some(Mishap::Drop),
                _ => None,
            }
        };
        let clients =
            Clients::new(&self.endpoint, Caller::default(), Signing::off(CLUSTER)).with_hook(Arc::new(hook));
        let endpoint = self.endpoint.clone();
        let account = Account {
            connect: Box::new(move |place| (clients.cloud(&place.region), clients.cloud(&place.region))),
            configured: HOME.parse().ok(),
            identity: Box::pin(async { Ok("arn:aws:sts::123456789012:assumed-role/lab/lab".to_owned()) }),
            clock: Arc::new(move || Timestamp::from_second(endpoint.now().div_euclid(1000)).unwrap()),
        };
        let args = Args::parse_from([
            "controller",
            "--cluster-name=lab",
            "--regions=us-west-2,us-east-2,us-west-1",
            &format!("--identity={name}"),
        ]);
        let client = kube::Client::new(Mortal { api: self.api.clone(), life: life.clone() }, "default");
        let process = Process::start(&args, client, account, Metrics::new(), life.stop.clone());
        Controller { process: Some(process), life }
    }

    /// The class that the chart installs.
    pub(crate) async fn permit(&self, name: &str) {
        self.permit_with(name, json!({})).await;
    }

    /// The same, with these fields too, whether or not this version knows them.
    pub(crate) async fn permit_with(&self, name: &str, fields: serde_json::Value) {
        let mut spec =
            json!({"namespaceSelector": {}, "allowedRegions": ["*"], "instances": {"match": "Any"}});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let object = json!({
            "apiVersion": "savedtemplate.dev/v1alpha1", "kind": "SavedTemplateClass", "metadata": {"name": name},
            "spec": spec,
        });
        let request = Request::post("/apis/savedtemplate.dev/v1alpha1/savedtemplateclasses");
        let request = request.header("content-type", "application/json");
        let request = request.body(object.to_string().into_bytes()).unwrap();
        self.api.client("default").request::<serde_json::Value>(request).await.unwrap();
    }

    pub(crate) async fn apply(&self, spec: &str) {
        self.apply_as(json!({"name": "quake"}), serde_json::from_str(spec).unwrap()).await;
    }

    pub(crate) async fn apply_as(&self, mut metadata: serde_json::Value, spec: serde_json::Value) {
        metadata["namespace"] = json!("default");
        let object = json!({
            "apiVersion": "savedtemplate.dev/v1alpha1", "kind": "SavedTemplate", "metadata": metadata, "spec": spec,
        });
        let object: SavedTemplate = serde_json::from_value(object).unwrap();
        let api: Api<SavedTemplate> = Api::default_namespaced(self.api.client("default"));
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    /// The class of that name, while there is one.
    pub(crate) fn class(&self, name: &str) -> Option<SavedTemplateClass> {
        let object = self.api.object("savedtemplateclasses", None, name)?;
        Some(serde_json::from_value(object).unwrap())
    }

    /// Deletes a class, or the template.
    pub(crate) async fn delete(&self, what: &str, name: &str) {
        let path = format!("/apis/savedtemplate.dev/v1alpha1/{what}/{name}");
        let request = Request::delete(path).body(Vec::new()).unwrap();
        self.api.client("default").request::<serde_json::Value>(request).await.unwrap();
    }

    /// The reason and the message of a condition of the template.
    pub(crate) fn said(&self, kind: &str) -> (String, String) {
        let conditions = self.object().status.unwrap_or_default().conditions;
        let said = conditions.into_iter().find(|condition| condition.type_ == kind);
        said.map(|said| (said.reason, said.message)).unwrap_or_default()
    }

    /// The template, while it is there.
    pub(crate) fn there(&self) -> Option<SavedTemplate> {
        let object = self.api.object("savedtemplates", Some("default"), "quake")?;
        Some(serde_json::from_value(object).unwrap())
    }

    /// Somebody changes these fields of its spec, while it is there.
    pub(crate) async fn edit(&self, fields: serde_json::Value) {
        let api: Api<SavedTemplate> = Api::default_namespaced(self.api.client("default"));
        let patch = Patch::Merge(json!({"spec": fields}));
        let edited = api.patch("quake", &PatchParams::default(), &patch).await;
        assert!(edited.is_ok() || self.there().is_none());
    }

    pub(crate) fn object(&self) -> SavedTemplate {
        let object = self.api.object("savedtemplates", Some("default"), "quake").unwrap();
        serde_json::from_value(object).unwrap()
    }

    /// The status as the version before would have written it: one announcement, without a region where it is of home.
    pub(crate) async fn write_as_before(&self) {
        let mut object = self.api.object("savedtemplates", Some("default"), "quake").unwrap();
        let Some(list) = object["status"]["announced"].as_array() else { return };
        let mut latest = list.iter().max_by_key(|one| one["time"].to_string()).unwrap().clone();
        if latest["region"] == HOME {
            latest.as_object_mut().unwrap().remove("region");
        }
        object["status"]["announced"] = latest;
        let path = "/apis/savedtemplate.dev/v1alpha1/namespaces/default/savedtemplates/quake/status";
        let request = Request::put(path).header("content-type", "application/json");
        let request = request.body(object.to_string().into_bytes()).unwrap();
        self.api.client("default").request::<serde_json::Value>(request).await.unwrap();
    }

    pub(crate) fn is_ready(&self) -> bool {
        let status = self.object().status.unwrap_or_default();
        status.conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    }

    /// Runs a controller that is killed there, and five seconds later another one, until the template is ready.
    /// How many it took.
    pub(crate) async fn saved(&self, harm: Option<(usize, Harm)>, between: impl AsyncFn(&Self)) -> usize {
        self.effects.lock().unwrap().harms = harm.into_iter().collect();
        let (mut controller, mut lives) = (self.controller(), 1);
        let end = self.endpoint.now() + 3_000_000;
        while !self.is_ready() || self.owes() {
            assert!(self.endpoint.now() < end, "{harm:?}: {:#?}", self.object().status);
            tokio::time::sleep(Duration::from_secs(1)).await;
            if controller.is_dead() {
                tokio::time::sleep(Duration::from_secs(5)).await;
                between(self).await;
                (controller, lives) = (self.controller(), lives + 1);
            }
        }
        lives
    }

    pub(crate) fn owes(&self) -> bool {
        let sim = self.endpoint.sim();
        sim.place(ACCOUNT, HOME).unwrap().instances[&self.id].tags.contains_key(&debt_key(CLUSTER))
    }

    pub(crate) fn images(&self, region: &str) -> usize {
        self.endpoint.sim().place(ACCOUNT, region).map_or(0, |place| place.images.len())
    }

    pub(crate) fn count(&self, action: &str) -> usize {
        let sim = self.endpoint.sim();
        sim.log()
            .iter()
            .filter(|entry| entry.action == action && !entry.dry_run && entry.is_effective())
            .count()
    }

    /// The calls that changed something in EC2, whoever made them.
    pub(crate) fn changes(&self) -> usize {
        let sim = self.endpoint.sim();
        let is_change = |action: &str| !action.starts_with("Describe");
        sim.log()
            .iter()
            .filter(|entry| is_change(&entry.action) && !entry.dry_run && entry.is_effective())
            .count()
    }

    /// How often an object of that name was read since the last time.
    pub(crate) fn looks(&self, name: &str) -> usize {
        self.effects.lock().unwrap().looks.insert(name.to_owned(), 0).unwrap_or_default()
    }

    pub(crate) fn calls(&self) -> usize {
        self.endpoint.sim().log().len()
    }

    pub(crate) fn downtimes(&self) -> usize {
        let sim = self.endpoint.sim();
        sim.place(ACCOUNT, HOME).unwrap().instances[&self.id].downtimes().len()
    }
}
