//! The real side.

use std::time::Duration;

use anyhow::{Context as _, Result};
use cluster::{Cluster, Options};
use http::Request;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::wait::{await_condition, conditions::is_crd_established},
};
use serde_json::{Value, json};
use tokio::time::timeout;

/// A cluster that knows the kinds of the table.
pub(crate) async fn start() -> Result<Cluster> {
    let cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client().await?;
    for (plural, kind, scope, status) in [
        ("things", "Thing", "Namespaced", true),
        ("plains", "Plain", "Namespaced", false),
        ("wides", "Wide", "Cluster", true),
    ] {
        timeout(Duration::from_secs(30), install(&client, &definition(plural, kind, scope, status), plural))
            .await
            .context(plural)??;
    }
    Ok(cluster)
}

/// A client that tells each answer as it comes: with the retries of its defaults, some would come minutes later.
pub(crate) async fn client(cluster: &Cluster) -> Result<Client> {
    let file = Kubeconfig::read_from(cluster.kubeconfig())?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// A kind of which anything may be written.
fn definition(plural: &str, kind: &str, scope: &str, status: bool) -> Value {
    // What objects are selected by has a type.
    let color = json!({"type": "object", "properties": {"color": {"type": "string"}}, "x-kubernetes-preserve-unknown-fields": true});
    let selectable = if plural == "plains" { json!([{"jsonPath": ".spec.color"}]) } else { json!([]) };
    let subresources = if status { json!({"status": {}}) } else { json!({}) };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.judge.example")},
        "spec": {
            "group": "judge.example", "scope": scope, "names": {"plural": plural, "kind": kind},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": subresources, "selectableFields": selectable,
                "schema": {"openAPIV3Schema": {
                    "type": "object", "properties": {"spec": color}, "x-kubernetes-preserve-unknown-fields": true,
                }},
            }],
        },
    })
}

async fn install(client: &Client, definition: &Value, plural: &str) -> Result<()> {
    let crd: CustomResourceDefinition = serde_json::from_value(definition.clone())?;
    let crds = Api::<CustomResourceDefinition>::all(client.clone());
    crds.create(&PostParams::default(), &crd).await?;
    await_condition(crds, &format!("{plural}.judge.example"), is_crd_established()).await?;
    // The server routes to a new kind a moment after it calls it established.
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        let list = Request::get(format!("/apis/judge.example/v1/{plural}")).body(Vec::new())?;
        if client.request_text(list).await.is_ok() {
            return Ok(());
        }
    }
}
