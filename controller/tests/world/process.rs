//! A controller as it ships, and one life of it: nothing that a dead process sends arrives, and it is told nothing.
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use apisim::{ApiServer, Refusal, ReplyBody};
use clap::Parser;
use ec2sim::{Effect, Fault};
use http::{Method, Request, Response};
use jiff::Timestamp;
use kube::client::Body;
use saved_template_controller::{account::Account, args::Args, metrics::Metrics, run::Process};
use saved_template_core::restart::Signing;
use serde_json::Value;
use simcloud::{Caller, Clients, Endpoint, Mishap, Passage};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::{
    chronicle::{Chronicle, Fate},
    ec2::{AGENT, HOME},
    enemy::laws::Court,
    lab::{CLUSTER, NAME, NAMESPACE},
    label::{self, Announcement},
    mishap::Harm,
    oracle,
    trace::{Deed, Lot},
};

/// One cluster: its API server, and its number.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) api: ApiServer,
    pub(crate) number: usize,
}

impl Cluster {
    /// The template as it is stored.
    pub(crate) fn stored(&self) -> Option<Value> {
        self.api.object("savedtemplates", Some(NAMESPACE), NAME)
    }

    pub(crate) fn status(&self) -> Value {
        self.stored().map(|mut object| object["status"].take()).unwrap_or_default()
    }
}

/// What a process is and knows, as far as its calls tell.
#[derive(Debug, Default)]
struct Mind {
    is_dead: bool,
    /// All that it sends leaves after this.
    asleep: Option<Instant>,
    /// What it announced and has not sent.
    announced: Vec<Announcement>,
    /// Whether it sent something that it had announced, since it last wrote a status.
    is_answered: bool,
    /// Captures whose record it read in a status, or wrote.
    captures: BTreeSet<String>,
    /// What happens to calls that are on their way.
    fates: BTreeMap<String, Fate>,
}

/// One process's life.
#[derive(Clone)]
pub(crate) struct Life {
    mind: Arc<Mutex<Mind>>,
    stop: CancellationToken,
    cluster: Cluster,
    endpoint: Endpoint,
    chronicle: Arc<Mutex<Chronicle>>,
    /// Whether it has no Kubernetes.
    is_alone: bool,
}

impl Life {
    fn mind(&self) -> MutexGuard<'_, Mind> {
        self.mind.lock().unwrap()
    }

    fn chronicle(&self) -> MutexGuard<'_, Chronicle> {
        self.chronicle.lock().unwrap()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.mind().is_dead
    }

    pub(crate) fn end(&self) {
        self.mind().is_dead = true;
        self.stop.cancel();
    }

    /// It dies of what it does.
    fn dies(&self) {
        if !self.is_over() {
            self.chronicle().trace.tells(self.endpoint.now(), Deed::Death, Lot::Heard);
        }
        self.end();
    }

    /// Whether it has seen the record of this capture, and so may remember it.
    pub(crate) fn knows(&self, capture: &str) -> bool {
        let mind = self.mind();
        !mind.is_dead && mind.captures.contains(capture)
    }

    fn falls_asleep(&self, fate: Fate) {
        if fate.sleeps > 0 {
            self.mind().asleep = Some(Instant::now() + Duration::from_secs(fate.sleeps));
        }
    }

    /// For how long it sleeps still.
    fn sleeps(&self) -> Option<Duration> {
        let left = self.mind().asleep?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// How much longer a read takes.
    fn slow(&self, is_read: bool) -> Option<Duration> {
        let slow = self.chronicle().slow;
        (is_read && !slow.is_zero()).then_some(slow)
    }

    /// An effect was made: the API server may go back by it.
    fn is_made(&self, fate: Fate) {
        if self.cluster.number == 0 {
            self.chronicle().keeps(&self.cluster);
            let now = self.endpoint.now();
            if self.chronicle().may_jump((now, fate.effect), &self.cluster) {
                self.dies();
            }
        }
        if fate.harm == Some(Harm::DieAfter) {
            self.dies();
        }
    }

    /// What becomes of a call to EC2: before it leaves, and once it had its effect.
    fn calls(&self, passage: &Passage<'_>) -> Option<Mishap> {
        let action = passage.request.action.as_str();
        let is_read = action.starts_with("Describe") || passage.request.is_dry_run();
        let key = format!("{} {action} {:?}", passage.region, passage.request.params);
        if passage.reply.is_none() {
            let fate = match passage.attempt {
                _ if is_read || self.is_over() => None,
                1 => Some(self.begins(passage, key)),
                _ => self.mind().fates.get(&key).copied(),
            };
            let code = fate.and_then(|fate| match fate.harm {
                Some(Harm::Throttle) => Some("RequestLimitExceeded"),
                Some(Harm::ServerError) => Some("InternalError"),
                _ => None,
            });
            if let Some(code) = code {
                let refusal = Effect::Refuse { code: code.into(), message: "injected".into(), status: None };
                self.endpoint.sim().add_fault(Fault::new(action, refusal).nth(1));
            }
            let is_dark = self.chronicle().dark.contains(passage.region);
            if fate.is_some_and(|fate| fate.harm == Some(Harm::Drop)) && !self.is_over() {
                self.tells(passage, Lot::Dropped);
            }
            return match fate.and_then(|fate| fate.harm) {
                _ if self.is_over() => Some(Mishap::Kill),
                Some(Harm::Drop) => Some(Mishap::Drop),
                _ if is_dark => Some(Mishap::Drop),
                _ => self.sleeps().or_else(|| self.slow(is_read)).map(Mishap::Delay),
            };
        }
        let fate = if is_read { None } else { self.mind().fates.remove(&key) };
        if !is_read {
            self.has_effect();
        }
        if let Some(fate) = fate {
            self.tells(passage, Lot::of(fate.harm));
            self.is_made(fate);
            self.mind().fates.insert(key, fate);
        }
        match fate.and_then(|fate| fate.harm) {
            _ if self.is_over() => Some(Mishap::Kill),
            Some(Harm::Lose) => Some(Mishap::Drop),
            _ => None,
        }
    }

    /// What EC2 was asked for; a client that asks again asks for the same.
    fn tells(&self, passage: &Passage<'_>, lot: Lot) {
        if passage.attempt == 1 {
            let ids = passage.reply.map(|reply| reply.ids.clone()).unwrap_or_default();
            let deed = Deed::Call(passage.request.clone(), ids);
            self.chronicle().trace.tells(passage.at, deed, lot);
        }
    }

    fn begins(&self, passage: &Passage<'_>, key: String) -> Fate {
        let (request, region) = (passage.request, passage.region);
        let mut chronicle = self.chronicle();
        let label = {
            let mut mind = self.mind();
            let is_known = |record: &str| chronicle.watch.wrote.contains(record);
            let label = label::of_change(request, region, &mind.announced, is_known);
            let announced = mind.announced.iter().position(|(at, step)| at == region && step == label);
            if let Some(at) = announced {
                mind.announced.remove(at);
                mind.is_answered = true;
            }
            label
        };
        let fate = chronicle.begins(passage.at, label, &request.action);
        let status = self.cluster.status();
        let sim = self.endpoint.sim();
        chronicle.judged(|chronicle| {
            Court { sim: &sim, chronicle, cluster: self.cluster.number }.lawful(region, request, &status);
        });
        if let Some(capture) = chronicle.truth.under.as_ref().map(|record| record.capture.clone()) {
            self.mind().captures.insert(capture);
        }
        drop((sim, chronicle));
        if fate.harm == Some(Harm::DieBefore) {
            self.dies();
        }
        self.falls_asleep(fate);
        self.mind().fates.insert(key, fate);
        fate
    }

    /// What EC2's log has of our calls since.
    fn has_effect(&self) {
        let (mut chronicle, sim) = (self.chronicle(), self.endpoint.sim());
        chronicle.judged(|chronicle| {
            Court { sim: &sim, chronicle, cluster: self.cluster.number }.learn();
        });
    }

    /// A write to Kubernetes begins: what it is called.
    fn writes(&self, method: &Method, path: &str, body: &[u8]) -> (String, &'static str) {
        if path.contains("/savedtemplateclasses/") {
            return ("class".to_owned(), "class");
        }
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        if *method == Method::PUT && path.ends_with("/status") {
            let (before, after) = (self.cluster.status(), &sent["status"]);
            let announced = label::announced(&before, after);
            let is_answer = self.mind().is_answered;
            let name = label::of_status(&announced, is_answer);
            let mut chronicle = self.chronicle();
            chronicle.judged(|chronicle| {
                let status = serde_json::from_value(after.clone()).unwrap();
                let before = serde_json::from_value(before).unwrap_or_default();
                // Where versions are given again a write may meet another object than the one that was read.
                if !chronicle.past.went_back {
                    oracle::transitions(&before, &status);
                }
                let sim = self.endpoint.sim();
                Court { sim: &sim, chronicle, cluster: self.cluster.number }.lawful_status(&status);
            });
            let mut mind = self.mind();
            (mind.announced, mind.is_answered) = (announced, false);
            return (name, "status");
        }
        let is_held = sent["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        let name = if is_held { "finalizer" } else { "finalizer off" };
        (name.to_owned(), name)
    }

    /// What the template says that is owed.
    fn reads(&self) {
        let capture = self.cluster.status()["capture"].take();
        if let Some(id) = capture["id"].as_str().filter(|_| capture["restartRecord"].is_string()) {
            self.mind().captures.insert(id.to_owned());
        }
    }
}

/// A controller that runs; it dies when it is dropped.
pub(crate) struct Controller {
    process: Option<Process>,
    pub(crate) life: Life,
}

impl Controller {
    /// What SIGTERM does: whether it ends within that time.
    pub(crate) async fn ends(mut self, within: Duration) -> bool {
        self.life.stop.cancel();
        tokio::time::timeout(within, self.process.take().unwrap().finish()).await.is_ok()
    }

    /// Begins a life; within a runtime. It leads if it is told to, or else never.
    pub(crate) fn begin(
        cluster: &Cluster,
        endpoint: &Endpoint,
        chronicle: &Arc<Mutex<Chronicle>>,
        (name, leads): (&str, Leads),
    ) -> Self {
        let life = Life {
            mind: Arc::default(),
            stop: CancellationToken::new(),
            cluster: cluster.clone(),
            endpoint: endpoint.clone(),
            chronicle: Arc::clone(chronicle),
            is_alone: leads == Leads::Never,
        };
        let caller = life.clone();
        let clients = Clients::new(
            endpoint,
            Caller { agent: AGENT.to_owned(), ..Caller::default() },
            Signing::off(CLUSTER),
        )
        .with_hook(Arc::new(move |passage| caller.calls(passage)));
        let clock = {
            let endpoint = endpoint.clone();
            move || Timestamp::from_second(endpoint.now().div_euclid(1000)).unwrap()
        };
        let account = Account {
            connect: Box::new(move |place| (clients.cloud(&place.region), clients.cloud(&place.region))),
            configured: HOME.parse().ok(),
            identity: Box::pin(async { Ok("arn:aws:sts::123456789012:assumed-role/lab/lab".to_owned()) }),
            clock: Arc::new(clock),
        };
        let args = Args::parse_from([
            "controller",
            &format!("--cluster-name={CLUSTER}"),
            "--regions=us-west-2,us-east-2,us-west-1",
            &format!("--identity={name}"),
            &format!("--leader-elect={}", leads != Leads::Always),
        ]);
        let client = kube::Client::new(Mortal { life: life.clone() }, "default");
        let process = Process::start(&args, client, account, Metrics::new(), life.stop.clone());
        Self { process: Some(process), life }
    }
}

/// Whether a process reconciles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leads {
    /// It thinks that it alone leads.
    Always,
    /// While it holds the Lease.
    Elected,
    /// It reaches no Kubernetes.
    Never,
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.life.end();
    }
}

/// The API server as one process sees it, for as long as that lives.
#[derive(Clone)]
struct Mortal {
    life: Life,
}

impl Service<Request<Body>> for Mortal {
    type Response = Response<ReplyBody>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.life.clone().carries(request))
    }
}

impl Life {
    #[expect(clippy::disallowed_methods, reason = "virtual time")]
    async fn awakes(&self) {
        if let Some(left) = self.sleeps() {
            tokio::time::sleep(left).await;
        }
    }

    /// A call to the API server.
    async fn carries(self, request: Request<Body>) -> io::Result<Response<ReplyBody>> {
        let lost = || io::Error::new(io::ErrorKind::ConnectionReset, "lost");
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.map_err(io::Error::other)?;
        let path = parts.uri.path().to_owned();
        // An event or a lease is no effect: nothing is decided by them.
        let is_ours = path.contains("/savedtemplate.dev/");
        let is_write = is_ours && parts.method != Method::GET;
        if self.is_over() {
            return std::future::pending().await;
        }
        self.awakes().await;
        if self.is_alone || self.chronicle().api_is_away {
            return Err(lost());
        }
        let mut fate = None;
        if is_write {
            let (label, what) = self.writes(&parts.method, &path, &body);
            let began = self.chronicle().begins(self.endpoint.now(), &label, &label);
            self.falls_asleep(began);
            if began.harm == Some(Harm::DieBefore) {
                self.dies();
            }
            self.awakes().await;
            fate = Some((began, what));
        }
        if self.is_over() {
            return std::future::pending().await;
        }
        let harm = fate.and_then(|(fate, _)| fate.harm);
        if harm == Some(Harm::Drop) || self.chronicle().api_is_away {
            if let Some((_, what)) = fate {
                self.is_written((what, Lot::Dropped), None);
            }
            return Err(lost());
        }
        self.chronicle().refusal = match harm {
            Some(Harm::Throttle) => Some(Refusal::new(429, "TooManyRequests", "injected")),
            Some(Harm::ServerError) => Some(Refusal::new(500, "InternalError", "injected")),
            _ => None,
        };
        let is_get = parts.method == Method::GET && is_ours;
        if let Some(name) = path.rsplit('/').next().filter(|_| is_get) {
            *self.chronicle().looks.entry(name.to_owned()).or_default() += 1;
        }
        let reply = self.cluster.api.clone().call(Request::from_parts(parts, body.into())).await;
        if is_get {
            self.reads();
        }
        if let Some((fate, what)) = fate {
            self.is_written((what, Lot::of(harm)), reply.as_ref().ok());
            self.is_made(fate);
        }
        if self.is_over() {
            return std::future::pending().await;
        }
        if harm == Some(Harm::Lose) { Err(lost()) } else { reply }
    }

    fn is_written(&self, (what, lot): (&str, Lot), reply: Option<&Response<ReplyBody>>) {
        let mut chronicle = self.chronicle();
        if self.cluster.number == 0 {
            chronicle.trace.wrote((self.endpoint.now(), what, lot), &self.cluster, reply);
        }
        let Some(reply) = reply else { return };
        if reply.status() == 409 {
            chronicle.note("conflict");
        }
        if what == "status" && reply.status().is_success() && self.cluster.number == 0 {
            chronicle.writes += 1;
            chronicle.statuses.extend(serde_json::from_value(self.cluster.status()).ok());
        }
    }
}
