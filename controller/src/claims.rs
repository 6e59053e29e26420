//! One save at a time per machine (§4): a Lease for each, created and never overwritten, that has no end of its own.
//!
//! What a save may do to a machine is fenced by the record on it; the claim keeps two objects of this installation from
//! getting that far.
use std::sync::{Mutex, PoisonError};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, PostParams, Preconditions},
};
use saved_template_api::{
    SavedTemplate,
    ids::{InstanceId, Region},
    text::hex_digest,
};

use saved_template_core::{
    claim::{Doubts, is_over},
    key::Key,
    world::ClaimRefused,
};

use crate::wait::monotonic;

/// The claims of this installation.
pub(crate) struct Claims {
    client: Client,
    leases: Api<Lease>,
    doubts: Mutex<Doubts>,
}

fn name(region: &Region, instance: &InstanceId) -> String {
    format!("savedtemplate-claim-{}", hex_digest(&format!("{region}/{instance}"), 16))
}

impl Claims {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        let leases = Api::namespaced(client.clone(), namespace);
        Self { client, leases, doubts: Mutex::default() }
    }

    /// Claims a machine for an object, or says why not.
    pub(crate) async fn claim(
        &self,
        key: &Key,
        region: &Region,
        instance: &InstanceId,
    ) -> Result<(), ClaimRefused> {
        let name = name(region, instance);
        let unsure = |error: kube::Error| {
            tracing::warn!(claim = name, %error, "a claim could not be made");
            ClaimRefused::Unknown(
                "its Lease could not be read or made (the controller's log says why)".to_owned(),
            )
        };
        for _ in 0..2 {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(name.clone()),
                    annotations: Some(
                        [("savedtemplate.dev/instance".into(), format!("{region}/{instance}"))].into(),
                    ),
                    ..ObjectMeta::default()
                },
                spec: Some(LeaseSpec { holder_identity: Some(key.to_string()), ..LeaseSpec::default() }),
            };
            match self.leases.create(&PostParams::default(), &lease).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(error) => return Err(unsure(error)),
            }
            let Some(there) = self.leases.get_opt(&name).await.map_err(unsure)? else { continue };
            let other = there.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
            if other == key.to_string() {
                return Ok(());
            }
            // The error names the other object, which may be in a namespace that the reader of this one may not see.
            let unread = |error: kube::Error| {
                tracing::warn!(claim = name, holder = other, %error, "what has a claim cannot be read");
                ClaimRefused::Unknown(format!(
                    "what has the Lease {name} in the controller's namespace cannot be read. If it is in a namespace that \
                     the controller does not watch any more, and no restart record is on the machine, delete that Lease"
                ))
            };
            if !self.is_stale(&name, &there, &other).await.map_err(unread)? {
                return Err(ClaimRefused::Held(other));
            }
            self.delete(&name, &there).await.map_err(unsure)?;
        }
        Err(ClaimRefused::Unknown("others are as quick: it is tried again".to_owned()))
    }

    /// The save is over: whoever waits may begin. One that is not released is found stale.
    pub(crate) async fn release(&self, key: &Key, region: &Region, instance: &InstanceId) {
        let name = name(region, instance);
        let released = async {
            let Some(there) = self.leases.get_opt(&name).await? else { return Ok(()) };
            let holds =
                there.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref()) == Some(&key.to_string());
            if holds { self.delete(&name, &there).await } else { Ok(()) }
        };
        if let Err(error) = released.await {
            tracing::warn!(name, %error, "a claim could not be released");
        }
    }

    /// Whether the holder is gone, or has neither a capture under way nor a debt, in two looks.
    async fn is_stale(&self, name: &str, lease: &Lease, other: &str) -> kube::Result<bool> {
        let idle = match other.split_once('/') {
            Some((namespace, name)) => {
                let api = Api::<SavedTemplate>::namespaced(self.client.clone(), namespace);
                let status = api.get_opt(name).await?.map(|object| object.status.unwrap_or_default());
                status.is_none_or(|status| is_over(&status))
            }
            None => true,
        };
        let mut doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(doubts.is_stale(name, lease.uid(), idle, monotonic()))
    }

    /// Deletes this very claim, and no later one of the same name.
    async fn delete(&self, name: &str, lease: &Lease) -> kube::Result<()> {
        let preconditions = Preconditions { uid: lease.uid(), resource_version: lease.resource_version() };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.leases.delete(name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }
}
