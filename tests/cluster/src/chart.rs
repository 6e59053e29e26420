//! The permissions that the chart gives to the controller.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{Cluster, assets};

const RELEASE: &str = "savedtemplate";
const RBAC: [&str; 5] = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];

impl Cluster {
    /// Renders the chart for a namespace, which is created, and applies the service account and its roles, nothing else.
    /// Each value is an argument of `helm template --set`. Returns the name of the service account.
    pub async fn install_rbac(&self, namespace: &str, values: &[&str]) -> Result<String> {
        let helm = assets::tool("helm").context("no helm in .tools/bin or on the path: run `make tools`")?;
        let output = Command::new(helm)
            .args(["template", RELEASE, "--namespace", namespace])
            .arg(assets::root().join("charts/savedtemplate"))
            .args(values.iter().flat_map(|value| ["--set", value]))
            .output()
            .await?;
        ensure!(
            output.status.success(),
            "helm template: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );

        let documents: Vec<Value> = serde_yaml::from_multiple(std::str::from_utf8(&output.stdout)?)?;
        let is_wanted = |object: &Value| text(object, "/kind").is_some_and(|kind| RBAC.contains(&kind));
        let items: Vec<Value> = documents.into_iter().filter(is_wanted).collect();
        let name = items
            .iter()
            .find(|object| text(object, "/kind") == Some("ServiceAccount"))
            .and_then(|object| text(object, "/metadata/name"))
            .context("the chart has no ServiceAccount")?
            .to_owned();
        self.create_namespace(namespace).await?;
        self.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).await?;
        Ok(name)
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str()
}
