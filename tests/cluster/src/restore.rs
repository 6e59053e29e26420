//! Backups of etcd, and clusters that are put back to them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::{Cluster, servers, servers::Failure};

/// What etcd had stored at one moment. It is gone with its cluster.
#[derive(Debug)]
pub struct Backup(PathBuf);

impl Cluster {
    /// Copies what etcd has stored, while it stands still.
    pub fn back_up(&self, name: &str) -> Result<Backup> {
        let to = self.place.file(&format!("backup-{name}"));
        let mut servers = self.servers();
        servers.etcd().signal(Signal::STOP)?;
        let copied = copy(&self.place.data(), &to);
        servers.etcd().signal(Signal::CONT)?;
        copied.map(|()| Backup(to))
    }

    /// Puts the cluster back to what it was: etcd and the API server are killed, and started with the older data.
    pub async fn restore(&self, backup: &Backup) -> Result<()> {
        {
            let mut servers = self.servers();
            servers.stop_apiserver();
            servers.etcd().kill();
        }
        fs::remove_dir_all(self.place.data())?;
        copy(&backup.0, &self.place.data())?;
        let etcd = servers::etcd(&self.place).await.map_err(Failure::into_error)?;
        *self.servers().etcd() = etcd;
        self.start_apiserver().await
    }
}

/// Without the holes: etcd reserves much more than it writes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let output = Command::new("cp").args(["--archive", "--sparse=always"]).args([from, to]).output()?;
    ensure!(output.status.success(), "cp: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    to.is_dir().then_some(()).context("nothing was copied")
}
