//! A real kube-apiserver and etcd on loopback ports, for tests and the demo.
//!
//! The binaries come from `$KUBEBUILDER_ASSETS` or from `make tools`. Each [`Cluster`] keeps its data, certificates,
//! kubeconfigs and logs in one temporary folder. Servers and folder are gone when the [`Cluster`] is dropped, and also
//! when the process that started it is killed: every server runs on a [`leash`].

mod assets;
mod chart;
mod client;
mod crds;
mod keys;
pub mod leash;
mod ports;
mod restore;
mod servers;
mod sweeper;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    ports::Ports,
    servers::{Failure, Servers},
    sweeper::Sweeper,
};

pub use crate::{
    assets::{root, tool},
    chart::{render, render_authority, render_class},
    restore::Backup,
};

const ATTEMPTS: usize = 5;

/// What a cluster runs beside etcd and the API server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Runs kube-controller-manager: deletion of namespaces, garbage collection, aggregated roles, Deployments.
    pub controller_manager: bool,
    /// More flags of kube-apiserver.
    pub apiserver_args: Vec<String>,
}

/// A running control plane. All methods take `&self`, so that one cluster can serve all tests of a binary.
#[derive(Debug)]
pub struct Cluster {
    // The order matters: fields are dropped from the top, the servers before their folder.
    servers: Mutex<Servers>,
    place: Place,
    _sweeper: Sweeper,
}

/// Where a cluster lives.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) ports: Ports,
    pub(crate) options: Options,
}

impl Place {
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.api)
    }

    /// What etcd has stored.
    pub(crate) fn data(&self) -> PathBuf {
        self.file("etcd")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Cluster {
    /// Starts etcd and the API server and returns when it serves.
    pub async fn start(options: Options) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let dir = tempfile::Builder::new().prefix("cluster-").tempdir()?;
            let sweeper = Sweeper::start(dir.path())?;
            let place = Place { dir: dir.keep(), ports: Ports::free()?, options: options.clone() };
            match Servers::start(&place).await {
                Ok(servers) => {
                    return Ok(Self { servers: Mutex::new(servers), place, _sweeper: sweeper });
                }
                Err(Failure::PortTaken) => {}
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        bail!("no free ports in {ATTEMPTS} attempts")
    }

    /// Ends the servers and removes their data, like dropping the cluster.
    pub fn stop(self) {}

    /// The folder of data, kubeconfigs and logs (`etcd.log`, `kube-apiserver.log`, …); tests may add files.
    pub fn dir(&self) -> &Path {
        &self.place.dir
    }

    /// The address of the API server.
    pub fn url(&self) -> String {
        self.place.url()
    }

    /// The pids of the servers that were started and not stopped.
    pub fn pids(&self) -> Vec<u32> {
        self.servers().pids()
    }

    /// Kills the API server: every connection breaks at once, etcd keeps what was written.
    pub fn stop_apiserver(&self) {
        self.servers().stop_apiserver();
    }

    /// Starts the API server again on its port and returns when it serves.
    pub async fn start_apiserver(&self) -> Result<()> {
        let mut apiserver = servers::apiserver(&self.place)?;
        servers::ready(&self.place, &mut apiserver).await.map_err(Failure::into_error)?;
        self.servers().set_apiserver(apiserver);
        Ok(())
    }

    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.place.file(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}
