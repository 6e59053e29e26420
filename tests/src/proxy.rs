//! A door in front of the API server: requests pass, are harmed by rules, wait for each other, or find it shut.
mod pass;
mod rule;
mod watches;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use anyhow::Context as _;
use hyper::{body::Bytes, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::{
    Client, Config,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use rustix::process::Signal;
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinHandle,
};

use rule::Armed;
pub use rule::{Call, Harm, Rule, Verb, When};
pub use watches::Flow;

/// Where the rules of `freeze_after` are.
const SLEEP: &str = "freeze";

/// The door; it closes with this value.
pub struct Proxy {
    kubeconfig: PathBuf,
    state: Arc<State>,
    task: JoinHandle<()>,
}

/// What all connections share.
struct State {
    client: Client,
    pairs: AtomicBool,
    shut: AtomicBool,
    waiting: AtomicUsize,
    paired: AtomicUsize,
    arrived: Notify,
    flow: watch::Sender<Flow>,
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    rules: Vec<Armed>,
    calls: Vec<Call>,
    /// The last page that each list gave, by what was asked for.
    lists: Vec<(String, Page)>,
    withheld: usize,
}

/// A list as it was served once.
#[derive(Clone)]
struct Page {
    kind: String,
    body: Bytes,
}

impl State {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// A door to the API server of `kubeconfig`, whose own kubeconfig lies beside that one.
    pub async fn start(kubeconfig: &Path) -> anyhow::Result<Self> {
        let mut file = Kubeconfig::read_from(kubeconfig)?;
        let mut config = Config::from_custom_kubeconfig(file.clone(), &KubeConfigOptions::default()).await?;
        config.auth_info = AuthInfo::default(); // each request brings its own token
        config.default_retry = false;
        let client = Client::try_from(config)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        for cluster in file.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
            cluster.server = Some(format!("http://{address}"));
            cluster.certificate_authority_data = None;
        }
        let path = kubeconfig.with_extension(format!("through-{}", address.port()));
        std::fs::write(&path, serde_json::to_vec(&file)?).context("kubeconfig of the proxy")?;
        let state = Arc::new(State {
            client,
            pairs: AtomicBool::default(),
            shut: AtomicBool::default(),
            waiting: AtomicUsize::default(),
            paired: AtomicUsize::default(),
            arrived: Notify::new(),
            flow: watch::Sender::new(Flow::On),
            shared: Mutex::default(),
        });
        let task = tokio::spawn(listen(listener, Arc::clone(&state)));
        Ok(Self { kubeconfig: path, state, task })
    }

    /// The kubeconfig that leads through this door.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Puts a rule in force; its number counts the requests from now on. A later rule of the same name replaces it.
    pub fn add(&self, name: &str, rule: Rule) {
        let mut shared = self.state.shared();
        shared.rules.retain(|armed| armed.name != name);
        shared.rules.push(Armed::new(name, rule));
    }

    /// Takes a rule out of force.
    pub fn remove(&self, name: &str) {
        self.state.shared().rules.retain(|armed| armed.name != name);
    }

    /// How many requests a rule has harmed.
    pub fn hits(&self, name: &str) -> u32 {
        let shared = self.state.shared();
        shared.rules.iter().find(|armed| armed.name == name).map_or(0, |armed| armed.hits)
    }

    /// The requests that have come so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.state.shared().calls.clone()
    }

    /// What happens to the events of watches from now on.
    pub fn watches(&self, flow: Flow) {
        self.state.flow.send_replace(flow);
    }

    /// How many events of watches were withheld, lost, or cut off by an expiry.
    pub fn withheld(&self) -> usize {
        self.state.shared().withheld
    }

    /// From now on a status write waits until another one has come too (for 1.5 s at most), and both go at once.
    pub fn pair_status_writes(&self) {
        self.state.pairs.store(true, Ordering::SeqCst);
    }

    /// How many status writes went together with another.
    pub fn paired(&self) -> usize {
        self.state.paired.load(Ordering::SeqCst)
    }

    /// Stops the process (SIGSTOP) when the API server has taken a status write that contains `body`, before the
    /// reply arrives: it sleeps after its compare-and-swap.
    pub fn freeze_after(&self, pid: u32, body: &str) {
        let harm = Harm::Signal { pid, signal: Signal::STOP, when: When::After };
        self.add(SLEEP, Rule::status_writes(harm).with_body(body).times(1));
    }

    /// Whether it was stopped.
    pub fn is_frozen(&self) -> bool {
        self.hits(SLEEP) > 0
    }

    /// Shuts the door: requests fail at once. Watches that are open go on.
    pub fn shut(&self, shut: bool) {
        self.state.shut.store(shut, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let pass = service_fn(move |request| pass::pass(request, Arc::clone(&state)));
            // A connection that breaks is the client's to notice.
            let _broken =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), pass).await;
        });
    }
}
