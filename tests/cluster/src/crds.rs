//! The CRDs of the workspace.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
    runtime::wait::{await_condition, conditions::is_crd_established},
};
use tokio::time::timeout;

use crate::{Cluster, assets, client::MANAGER};

const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

impl Cluster {
    /// Applies all files in `crds/` and waits until their kinds are served.
    pub async fn install_crds(&self) -> Result<()> {
        let client = self.client().await?;
        let dir = assets::root().join("crds");
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = fs::read_to_string(&path)?;
                let crd = serde_yaml::from_str(&text).with_context(|| path.display().to_string())?;
                timeout(PATIENCE, install(&client, &crd))
                    .await
                    .with_context(|| path.display().to_string())??;
            }
        }
        Ok(())
    }
}

async fn install(client: &Client, crd: &CustomResourceDefinition) -> Result<()> {
    let crds = Api::<CustomResourceDefinition>::all(client.clone());
    let name = crd.name_any();
    crds.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(crd)).await?;
    await_condition(crds, &name, is_crd_established()).await?;
    for version in crd.spec.versions.iter().filter(|version| version.served) {
        let kind = GroupVersionKind::gvk(&crd.spec.group, &version.name, &crd.spec.names.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, &crd.spec.names.plural);
        let objects = Api::<DynamicObject>::all_with(client.clone(), &resource);
        // The server routes to a new kind a moment after it calls it established.
        let mut ticks = tokio::time::interval(POLL);
        while objects.list(&ListParams::default().limit(1)).await.is_err() {
            ticks.tick().await;
        }
    }
    Ok(())
}
