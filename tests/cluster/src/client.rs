//! Ways to talk to a cluster: clients, kubeconfigs, kubectl.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use http::Request;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Namespace, ServiceAccount},
};
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

use crate::{Cluster, Place, assets, keys};

/// Who writes what the tests set up.
pub(crate) const MANAGER: &str = "cluster";

impl Cluster {
    /// The admin's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.place.file("admin.kubeconfig")
    }

    /// A new kubeconfig with a token of the service account, good for a day.
    pub async fn kubeconfig_for(&self, namespace: &str, service_account: &str) -> Result<PathBuf> {
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(24 * 60 * 60),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let token = Api::<ServiceAccount>::namespaced(self.client().await?, namespace)
            .create_token_request(service_account, &PostParams::default(), &request)
            .await?
            .status
            .and_then(|status| status.token)
            .context("the API server gave no token")?;
        let text = kubeconfig(&self.place, &token)?;
        self.write(&format!("{namespace}.{service_account}.kubeconfig"), &text)
    }

    /// A new client of the admin. It belongs to the runtime of the caller, like every kube client.
    pub async fn client(&self) -> Result<Client> {
        self.client_for(&self.kubeconfig()).await
    }

    /// A new client of whom the kubeconfig names.
    pub async fn client_for(&self, kubeconfig: &Path) -> Result<Client> {
        Ok(Client::try_from(config(kubeconfig).await?)?)
    }

    /// The kubectl that [`Cluster::kubectl`] runs.
    pub fn kubectl_path(&self) -> Result<PathBuf> {
        assets::binary("kubectl")
    }

    /// Runs kubectl as the admin and returns how it ended, whatever that is.
    pub async fn kubectl(&self, args: &[&str]) -> Result<Output> {
        self.kubectl_with(args, "").await
    }

    /// Runs kubectl as the admin with this standard input.
    pub async fn kubectl_with(&self, args: &[&str], stdin: &str) -> Result<Output> {
        let mut child = Command::new(self.kubectl_path()?)
            .args(args)
            .env("KUBECONFIG", self.kubeconfig())
            // Its cache is kept by address, and addresses come again.
            .env("KUBECACHEDIR", self.place.file("kubectl"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut pipe = child.stdin.take().context("kubectl has no standard input")?;
        let feed = async move {
            // It may end without reading.
            drop(pipe.write_all(stdin.as_bytes()).await);
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        Ok(output?)
    }

    /// `kubectl apply` of one or more documents; returns what it prints.
    pub async fn apply(&self, yaml: &str) -> Result<String> {
        let output = self.kubectl_with(&["apply", "-f", "-"], yaml).await?;
        ensure!(
            output.status.success(),
            "kubectl apply: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Creates a namespace unless it is there.
    pub async fn create_namespace(&self, name: &str) -> Result<()> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        Api::<Namespace>::all(self.client().await?)
            .patch(name, &PatchParams::apply(MANAGER), &Patch::Apply(namespace))
            .await?;
        Ok(())
    }
}

pub(crate) fn write_admin(place: &Place) -> Result<()> {
    let token = fs::read_to_string(place.file("admin.token"))?;
    Ok(fs::write(place.file("admin.kubeconfig"), kubeconfig(place, &token)?)?)
}

/// Whether the API server is ready and has made its first namespaces.
pub(crate) async fn serves(place: &Place) -> bool {
    let probe = async {
        let mut config = config(&place.file("admin.kubeconfig")).await?;
        config.default_retry = false;
        let client = Client::try_from(config)?;
        client.request_text(Request::get("/readyz").body(Vec::new())?).await?;
        let namespaces = Api::<Namespace>::all(client);
        namespaces.get("kube-system").await?;
        namespaces.get("default").await?;
        anyhow::Ok(())
    };
    matches!(timeout(Duration::from_secs(2), probe).await, Ok(Ok(())))
}

async fn config(kubeconfig: &Path) -> Result<Config> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    // The server is on this machine.
    config.proxy_url = None;
    Ok(config)
}

/// JSON, which is YAML too.
fn kubeconfig(place: &Place, token: &str) -> Result<String> {
    let authority = fs::read(place.file("certs/apiserver.crt"))?;
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": {
            "server": place.url(),
            "certificate-authority-data": keys::base64(authority)?,
        }}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "context", "context": {"cluster": "cluster", "user": "user"}}],
        "current-context": "context",
    });
    Ok(format!("{text:#}\n"))
}
