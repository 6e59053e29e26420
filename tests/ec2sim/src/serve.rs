//! The simulator behind HTTP, with a real clock.

mod body;
mod control;
mod http;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    thread::JoinHandle,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use tokio::sync::oneshot;

use crate::{
    clock::Millis,
    config::Config,
    fault::Fault,
    request::{Reply, Request},
    seed::InstanceSeed,
    sim::Sim,
};

/// What a server starts with.
#[derive(Clone, Debug, Default)]
pub struct ServerConfig {
    /// The port on the loopback interface; 0: any free one.
    pub port: u16,
    /// How far the simulator's clock is ahead of the machine's, in milliseconds.
    pub offset: Millis,
    /// The simulator's settings.
    pub sim: Config,
}

impl From<Config> for ServerConfig {
    fn from(sim: Config) -> Self {
        Self { sim, ..Self::default() }
    }
}

/// The simulator and its clock, shared by all connections.
#[derive(Debug)]
pub(crate) struct Shared {
    sim: Mutex<Sim>,
    offset: AtomicI64,
}

impl Shared {
    pub(crate) fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX);
        now.saturating_add(self.offset.load(Ordering::Relaxed))
    }

    pub(crate) fn sim(&self) -> MutexGuard<'_, Sim> {
        self.sim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As of now.
    pub(crate) fn add_fault(&self, fault: Fault) {
        let now = self.now();
        let mut sim = self.sim();
        sim.advance(now);
        sim.add_fault(fault);
    }

    pub(crate) fn set_offset(&self, offset: Millis) {
        self.offset.store(offset, Ordering::Relaxed);
    }
}

/// A running server on a thread of its own; it ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on the loopback interface.
    ///
    /// # Errors
    /// If the port is taken, or no thread can be had.
    pub fn start(config: impl Into<ServerConfig>) -> anyhow::Result<Self> {
        let config = config.into();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).context("no port")?;
        listener.set_nonblocking(true).context("no listener")?;
        let address = listener.local_addr().context("no address")?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("no runtime")?;
        let shared =
            Arc::new(Shared { sim: Mutex::new(Sim::new(config.sim)), offset: AtomicI64::new(config.offset) });
        let (end, ended) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("ec2sim".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = http::serve(listener, served) => {}
                        _ = ended => {}
                    }
                });
                runtime.shutdown_background();
            })
            .context("no thread")?;
        Ok(Self { shared, address, end: Some(end), thread: Some(thread) })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The simulator, locked: no call is answered meanwhile.
    pub fn sim(&self) -> MutexGuard<'_, Sim> {
        self.shared.sim()
    }

    /// The simulator's clock.
    pub fn now(&self) -> Millis {
        self.shared.now()
    }

    /// Sets how far the simulator's clock is ahead of the machine's.
    pub fn set_offset(&self, offset: Millis) {
        self.shared.set_offset(offset);
    }

    /// Makes an instance.
    pub fn seed(&self, seed: InstanceSeed) -> String {
        self.sim().seed(self.now(), seed)
    }

    /// Puts a rule in force.
    pub fn add_fault(&self, fault: Fault) {
        self.shared.add_fault(fault);
    }

    /// One call without HTTP, now.
    pub fn call(&self, account: &str, region: &str, request: &Request) -> Reply {
        self.sim().call(self.now(), account, region, request)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A server whose thread panicked has ended too.
            drop(thread.join());
        }
    }
}
