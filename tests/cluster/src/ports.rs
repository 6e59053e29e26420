//! Free ports of 127.0.0.1.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    net::{Ipv4Addr, TcpListener},
};

use anyhow::{Context as _, Result};

/// The ports of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) peer: u16,
    pub(crate) api: u16,
}

impl Ports {
    /// Ports that are free now. Somebody else may take one before its server does.
    pub(crate) fn free() -> Result<Self> {
        let (etcd, peer, api) = (listen()?, listen()?, listen()?);
        let port = |listener: TcpListener| listener.local_addr().map(|address| address.port());
        Ok(Self { etcd: port(etcd)?, peer: port(peer)?, api: port(api)? })
    }
}

/// Below the range that outgoing connections take theirs from, so that a port stays free while its server is down.
fn listen() -> Result<TcpListener> {
    (0..100)
        .filter_map(|_| u16::try_from(20_000 + RandomState::new().build_hasher().finish() % 12_000).ok())
        .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .context("no free port between 20000 and 32000")
}
