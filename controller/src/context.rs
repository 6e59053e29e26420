//! What every reconcile shares.
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt, runtime::events::Recorder};
use tokio::sync::OnceCell;

use saved_template_core::{cloud::Cloud, key::Key, subject::Takeover, written::Written};

use crate::{
    account::Clock,
    claims::Claims,
    error::{Error, Result},
    metrics::Metrics,
    regions::Regions,
    wait::monotonic,
};

/// The clients and the settings.
pub(crate) struct Context<C> {
    pub(crate) client: Client,
    pub(crate) recorder: Recorder,
    pub(crate) regions: Arc<Regions<C>>,
    pub(crate) metrics: Metrics,
    pub(crate) cluster: String,
    /// `--namespaces`; none: all.
    pub(crate) namespaces: Vec<String>,
    pub(crate) takeover: Takeover,
    pub(crate) claims: Claims,
    pub(crate) cluster_uid: OnceCell<String>,
    pub(crate) written: Mutex<Written>,
    pub(crate) deadline: Duration,
    /// The node's clock, where EC2 has not told its own.
    pub(crate) clock: Clock,
}

impl<C: Cloud> Context<C> {
    /// The status of an object was written.
    pub(crate) fn wrote(&self, key: &Key) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).wrote(key, monotonic());
    }

    /// When to look at an object again.
    pub(crate) fn look_again(&self, key: &Key, look_again: Duration) -> Duration {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.look_again(key, look_again, monotonic())
    }

    /// Has another object looked at.
    pub(crate) fn wake(&self, key: Key) {
        self.regions.wakes.wake(&[(key, Duration::MAX)]);
    }

    /// The object is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.regions.forget(key);
        self.written.lock().unwrap_or_else(PoisonError::into_inner).forget(key);
    }

    /// The uid of `kube-system`: it differs in a twin of the cluster. It survives a restore of etcd, also one beside the live
    /// cluster, from which it tells nothing apart (docs/threat-model.md).
    pub(crate) async fn cluster_uid(&self) -> Result<&str> {
        let ask = async || {
            let namespaces = Api::<Namespace>::all(self.client.clone());
            namespaces.get("kube-system").await?.uid().ok_or(Error::Malformed("kube-system uid"))
        };
        Ok(self.cluster_uid.get_or_try_init(ask).await?)
    }
}
