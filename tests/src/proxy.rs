//! A door in front of the API server: requests pass, wait for each other, or find it shut.
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use hyper::{Method, Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::{
    Client, Config,
    client::Body,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

/// How long a status write waits for another one, while they are paired.
const PATIENCE: Duration = Duration::from_millis(1500);

#[derive(Default)]
struct Rules {
    pairs: AtomicBool,
    shut: AtomicBool,
    waiting: AtomicUsize,
    paired: AtomicUsize,
    arrived: Notify,
    freezes: Mutex<Option<Freeze>>,
}

/// A process that is stopped between a write and its reply.
struct Freeze {
    pid: u32,
    body: String,
    done: bool,
}

/// The door; it closes with this value.
pub struct Proxy {
    kubeconfig: PathBuf,
    rules: Arc<Rules>,
    task: JoinHandle<()>,
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
        let rules = Arc::new(Rules::default());
        let task = tokio::spawn(listen(listener, client, Arc::clone(&rules)));
        Ok(Self { kubeconfig: path, rules, task })
    }

    /// The kubeconfig that leads through this door.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// From now on a status write waits until another one has come too (for 1.5 s at most), and both go at once.
    pub fn pair_status_writes(&self) {
        self.rules.pairs.store(true, Ordering::SeqCst);
    }

    /// How many status writes went together with another.
    pub fn paired(&self) -> usize {
        self.rules.paired.load(Ordering::SeqCst)
    }

    /// Stops the process (SIGSTOP) when the API server has taken a status write that contains `body`, before the
    /// reply arrives: it sleeps after its compare-and-swap.
    pub fn freeze_after(&self, pid: u32, body: &str) {
        *self.rules.freezes() = Some(Freeze { pid, body: body.to_owned(), done: false });
    }

    /// Whether it was stopped.
    pub fn is_frozen(&self) -> bool {
        self.rules.freezes().as_ref().is_some_and(|freeze| freeze.done)
    }

    /// Shuts the door: requests fail at once. Watches that are open go on.
    pub fn shut(&self, shut: bool) {
        self.rules.shut.store(shut, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Rules {
    fn freezes(&self) -> MutexGuard<'_, Option<Freeze>> {
        self.freezes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn freeze(&self, body: &[u8]) -> anyhow::Result<()> {
        let mut freezes = self.freezes();
        let Some(freeze) = freezes.as_mut().filter(|freeze| !freeze.done) else { return Ok(()) };
        if String::from_utf8_lossy(body).contains(&freeze.body) {
            let pid = i32::try_from(freeze.pid).ok().and_then(Pid::from_raw).context("no such process")?;
            kill_process(pid, Signal::STOP)?;
            freeze.done = true;
        }
        Ok(())
    }
}

async fn listen(listener: TcpListener, client: Client, rules: Arc<Rules>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (client, rules) = (client.clone(), Arc::clone(&rules));
        tokio::spawn(async move {
            let pass = service_fn(move |request| pass(request, client.clone(), Arc::clone(&rules)));
            // A connection that breaks is the client's to notice.
            let _broken =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), pass).await;
        });
    }
}

async fn pass(
    request: Request<Incoming>,
    client: Client,
    rules: Arc<Rules>,
) -> anyhow::Result<Response<Body>> {
    anyhow::ensure!(!rules.shut.load(Ordering::SeqCst), "the door is shut");
    let is_status = request.method() == Method::PUT && request.uri().path().ends_with("/status");
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    if is_status && rules.pairs.load(Ordering::SeqCst) {
        pair(&rules).await;
    }
    parts.headers.remove(hyper::header::HOST);
    parts.headers.remove(hyper::header::CONNECTION);
    let response = client.send(Request::from_parts(parts, Body::from(body.to_vec()))).await?;
    if is_status && response.status().is_success() {
        rules.freeze(&body)?;
    }
    Ok(response)
}

async fn pair(rules: &Rules) {
    let arrived = rules.arrived.notified();
    if rules.waiting.fetch_add(1, Ordering::SeqCst) > 0 {
        rules.paired.fetch_add(2, Ordering::SeqCst);
        rules.arrived.notify_waiters();
    } else {
        // Alone for too long is no pair.
        let _elapsed = tokio::time::timeout(PATIENCE, arrived).await;
    }
    rules.waiting.fetch_sub(1, Ordering::SeqCst);
}
