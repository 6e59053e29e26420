//! The chart, and the permissions that it gives to the controller and takes from others.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{Cluster, assets};

const RELEASE: &str = "savedtemplate";
const AUTHORITY: [&str; 7] = [
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// The objects that the chart renders for a namespace. Each value is an argument of `helm template --set`.
pub async fn render(namespace: &str, values: &[&str]) -> Result<Vec<Value>> {
    let helm = assets::tool("helm").context("no helm in .tools/bin or on the path: run `make tools`")?;
    let output = Command::new(helm)
        .args(["template", RELEASE, "--namespace", namespace])
        .arg(assets::root().join("charts/savedtemplate"))
        .args(values.iter().flat_map(|value| ["--set", value]))
        .output()
        .await?;
    ensure!(output.status.success(), "helm template: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(serde_yaml::from_multiple(std::str::from_utf8(&output.stdout)?)?)
}

/// What the chart says of who may do what: the service account, its roles and the admission policy. Each value is an
/// argument of `helm template --set`.
pub async fn render_authority(namespace: &str, values: &[&str]) -> Result<Vec<Value>> {
    let documents = render(namespace, &[&["image.repository=none"], values].concat()).await?;
    let is_wanted = |object: &Value| text(object, "/kind").is_some_and(|kind| AUTHORITY.contains(&kind));
    Ok(documents.into_iter().filter(is_wanted).collect())
}

/// The class that the chart makes, of templates that name none.
pub async fn render_class() -> Result<Value> {
    let documents = render(RELEASE, &["image.repository=none", "clusterName=demo"]).await?;
    let is_class = |object: &Value| text(object, "/kind") == Some("SavedTemplateClass");
    documents.into_iter().find(is_class).context("the chart has no SavedTemplateClass")
}

impl Cluster {
    /// Renders what the chart says of who may do what, and applies it in a namespace, which is created. Each value is an
    /// argument of `helm template --set`. Returns the name of the service account.
    pub async fn install_authority(&self, namespace: &str, values: &[&str]) -> Result<String> {
        self.grant(namespace, &render_authority(namespace, values).await?).await
    }

    /// Applies a service account with its roles in a namespace, which is created. Returns its name.
    pub async fn grant(&self, namespace: &str, items: &[Value]) -> Result<String> {
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

    /// Applies the class that the chart makes.
    pub async fn install_class(&self) -> Result<()> {
        self.apply(&render_class().await?.to_string()).await.map(drop)
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str()
}
