//! The processes of a control plane and their flags.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Error, Result, anyhow};

use crate::{
    Place, assets, client, keys,
    leash::{self, Leashed},
};

const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(50);
const CONTROLLERS: &str = "namespace-controller,garbage-collector-controller,clusterrole-aggregation-controller,\
    serviceaccount-controller,serviceaccount-token-controller,deployment-controller,replicaset-controller";

/// Why a control plane did not come up.
#[derive(Debug)]
pub(crate) enum Failure {
    PortTaken,
    Other(Error),
}

impl Failure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::PortTaken => anyhow!("another process has taken the port"),
            Self::Other(error) => error,
        }
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// The running servers, dropped from the top: clients before the server that they need.
#[derive(Debug)]
pub(crate) struct Servers {
    manager: Option<Leashed>,
    apiserver: Option<Leashed>,
    etcd: Leashed,
}

impl Servers {
    pub(crate) async fn start(place: &Place) -> Result<Self, Failure> {
        let token = keys::token()?;
        fs::write(place.file("tokens.csv"), format!("{token},admin,admin,system:masters\n"))?;
        fs::write(place.file("admin.token"), token)?;
        fs::write(place.file("sa.key"), keys::signing()?)?;

        let mut etcd = etcd(place).await?;
        let mut apiserver = apiserver(place)?;
        ready(place, &mut apiserver).await?;
        // If etcd had lost its port, the API server would have found somebody else's etcd there.
        running(&mut etcd)?;
        let manager = if place.options.controller_manager { Some(manager(place)?) } else { None };
        Ok(Self { manager, apiserver: Some(apiserver), etcd })
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        [Some(&self.etcd), self.apiserver.as_ref(), self.manager.as_ref()]
            .into_iter()
            .flatten()
            .map(Leashed::pid)
            .collect()
    }

    pub(crate) const fn etcd(&mut self) -> &mut Leashed {
        &mut self.etcd
    }

    pub(crate) fn stop_apiserver(&mut self) {
        self.apiserver = None;
    }

    pub(crate) fn set_apiserver(&mut self, apiserver: Leashed) {
        self.apiserver = Some(apiserver);
    }
}

/// Starts etcd and returns when it listens.
pub(crate) async fn etcd(place: &Place) -> Result<Leashed, Failure> {
    let client = format!("http://127.0.0.1:{}", place.ports.etcd);
    let peer = format!("http://127.0.0.1:{}", place.ports.peer);
    let mut command = Command::new(assets::binary("etcd")?);
    command
        .arg("--data-dir")
        .arg(place.data())
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")])
        .args(["--unsafe-no-fsync", "--log-level", "warn"]);
    let mut etcd = leash::spawn(&command, &place.file("etcd.log"))?;
    listening(place.ports.etcd, &mut etcd).await?;
    Ok(etcd)
}

/// Starts an API server; [`ready`] tells when it serves.
pub(crate) fn apiserver(place: &Place) -> Result<Leashed> {
    let mut command = Command::new(assets::binary("kube-apiserver")?);
    command
        .args(["--etcd-servers", &format!("http://127.0.0.1:{}", place.ports.etcd)])
        .args(["--bind-address", "127.0.0.1", "--secure-port", &place.ports.api.to_string()])
        // May not be a loopback address, and without an endpoint reconciler nobody uses it.
        .args(["--advertise-address", "192.0.2.1", "--endpoint-reconciler-type", "none"])
        .args(["--service-cluster-ip-range", "10.0.0.0/24"])
        .args(["--service-account-issuer", &place.url()])
        .args(["--authorization-mode", "RBAC"])
        .arg("--cert-dir")
        .arg(place.file("certs"))
        .arg("--service-account-key-file")
        .arg(place.file("sa.key"))
        .arg("--service-account-signing-key-file")
        .arg(place.file("sa.key"))
        .arg("--token-auth-file")
        .arg(place.file("tokens.csv"))
        .args(&place.options.apiserver_args);
    leash::spawn(&command, &place.file("kube-apiserver.log"))
}

fn manager(place: &Place) -> Result<Leashed> {
    let mut command = Command::new(assets::binary("kube-controller-manager")?);
    command
        .arg("--kubeconfig")
        .arg(place.file("admin.kubeconfig"))
        .arg("--service-account-private-key-file")
        .arg(place.file("sa.key"))
        .arg(format!("--controllers={CONTROLLERS}"))
        .args(["--leader-elect=false", "--secure-port", "0"]);
    leash::spawn(&command, &place.file("kube-controller-manager.log"))
}

async fn listening(port: u16, server: &mut Leashed) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    let mut ticks = tokio::time::interval(POLL);
    loop {
        ticks.tick().await;
        running(server)?;
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(());
        }
        in_time(deadline, server)?;
    }
}

/// Writes the admin's kubeconfig and waits until the API server is ready and has made its first namespaces.
pub(crate) async fn ready(place: &Place, server: &mut Leashed) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    let mut ticks = tokio::time::interval(POLL);
    loop {
        ticks.tick().await;
        running(server)?;
        // It makes its certificate when it starts.
        if client::write_admin(place).is_ok() && client::serves(place).await {
            return Ok(());
        }
        in_time(deadline, server)?;
    }
}

fn in_time(deadline: Instant, server: &Leashed) -> Result<()> {
    if Instant::now() < deadline {
        return Ok(());
    }
    Err(anyhow!("not ready after {PATIENCE:?}; its log ends:\n{}", tail(&server.output())))
}

fn running(server: &mut Leashed) -> Result<(), Failure> {
    let Some(status) = server.exited()? else {
        return Ok(());
    };
    let output = server.output();
    if output.contains("address already in use") {
        return Err(Failure::PortTaken);
    }
    Err(Failure::Other(anyhow!("ended at its start ({status}); its log ends:\n{}", tail(&output))))
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
