use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use cluster::{Cluster, Options};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Error,
    api::{DeleteParams, ObjectMeta, PostParams},
};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::holder;

/// One cluster for all tests that leave it as it is. It ends with the process.
pub(crate) async fn shared() -> Result<&'static Cluster> {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    let options = Options { controller_manager: true, ..Options::default() };
    CLUSTER.get_or_try_init(|| Cluster::start(options)).await
}

pub(crate) fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([("word".to_owned(), "kept".to_owned())])),
        ..ConfigMap::default()
    }
}

pub(crate) fn is_forbidden<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Api(status)) if status.is_forbidden())
}

#[tokio::test]
async fn kubectl_and_a_client_see_the_same_object() -> Result<()> {
    let cluster = shared().await?;
    cluster.create_namespace("objects").await?;
    let yaml =
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: one, namespace: objects}, data: {word: said}}";
    assert_eq!(cluster.apply(yaml).await?, "configmap/one created\n");
    let config_maps = Api::<ConfigMap>::namespaced(cluster.client().await?, "objects");
    assert_eq!(config_maps.get("one").await?.data.context("no data")?["word"], "said");

    config_maps.create(&PostParams::default(), &config_map("two")).await?;
    let args = ["-n", "objects", "get", "configmap", "two", "-o", "jsonpath={.data.word}"];
    assert_eq!(cluster.kubectl(&args).await?.stdout, b"kept");
    Ok(())
}

#[tokio::test]
async fn what_kubectl_refuses_is_told() -> Result<()> {
    let cluster = shared().await?;
    assert!(!cluster.kubectl(&["get", "configmap", "absent"]).await?.status.success());
    let error = cluster.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: Bad_Name}}").await;
    assert!(error.is_err_and(|error| error.to_string().contains("Bad_Name")));
    Ok(())
}

#[tokio::test]
async fn the_crds_of_the_workspace_are_served() -> Result<()> {
    let cluster = shared().await?;
    cluster.install_crds().await?;
    cluster.install_crds().await.context("the second time")?;
    let output = cluster.kubectl(&["get", "savedtemplates", "--all-namespaces"]).await?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test]
async fn the_controller_manager_finishes_the_deletion_of_a_namespace() -> Result<()> {
    let cluster = shared().await?;
    cluster.create_namespace("short-lived").await?;
    let namespaces = Api::<Namespace>::all(cluster.client().await?);
    namespaces.delete("short-lived", &DeleteParams::default()).await?;
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    while namespaces.get_opt("short-lived").await?.is_some() {
        assert!(Instant::now() < deadline, "still terminating");
        ticks.tick().await;
    }
    Ok(())
}

#[tokio::test]
async fn an_outage_of_the_api_server_keeps_the_data_and_the_end_leaves_nothing() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let (dir, url) = (cluster.dir().to_path_buf(), cluster.url());
    let config_maps = Api::<ConfigMap>::namespaced(cluster.client().await?, "default");
    config_maps.create(&PostParams::default(), &config_map("old")).await?;

    cluster.stop_apiserver();
    assert!(matches!(config_maps.get("old").await, Err(Error::Service(_) | Error::HyperError(_))));
    cluster.start_apiserver().await?;

    assert_eq!(cluster.url(), url);
    assert_eq!(config_maps.get("old").await?.data, config_map("old").data);
    config_maps.create(&PostParams::default(), &config_map("new")).await?;

    let pids = cluster.pids();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| holder::is_alive(*pid)));
    cluster.stop();
    assert!(!pids.iter().any(|pid| holder::is_alive(*pid)));
    assert!(!dir.exists());
    Ok(())
}

#[tokio::test]
async fn a_killed_test_leaves_neither_servers_nor_files() -> Result<()> {
    if let Some(note) = holder::note() {
        let cluster = Cluster::start(Options { controller_manager: true, ..Options::default() }).await?;
        let pids: Vec<String> = cluster.pids().iter().map(u32::to_string).collect();
        return holder::hold(&note, &format!("{}\n{}", cluster.dir().display(), pids.join("\n")));
    }
    let dir = TempDir::new()?;
    let note = dir.path().join("note");
    let test = "control::a_killed_test_leaves_neither_servers_nor_files";
    let left = holder::kill(holder::again(test, &note)?.spawn()?, &note)?;
    let (dir, pids) = left.split_once('\n').context("no pids")?;
    let pids = pids.lines().map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    assert_eq!(pids.len(), 3);
    assert!(holder::within(Duration::from_secs(10), || !pids.iter().any(|pid| holder::is_alive(*pid))));
    assert!(holder::within(Duration::from_secs(20), || !Path::new(dir).exists()));
    Ok(())
}

#[tokio::test]
async fn missing_binaries_are_explained() -> Result<()> {
    if let Some(note) = holder::note() {
        let error = Cluster::start(Options::default()).await.err().context("it started")?;
        return Ok(std::fs::write(note, error.to_string())?);
    }
    let dir = TempDir::new()?;
    let note = dir.path().join("note");
    let mut process = holder::again("control::missing_binaries_are_explained", &note)?;
    assert!(process.env("KUBEBUILDER_ASSETS", dir.path()).status()?.success());
    assert!(std::fs::read_to_string(note)?.contains("make tools"));
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_is_put_back_knows_what_it_knew_then() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let config_maps = Api::<ConfigMap>::namespaced(cluster.client().await?, "default");
    config_maps.create(&PostParams::default(), &config_map("before")).await?;
    let backup = cluster.back_up("before")?;
    let known = config_maps.get("before").await?;
    config_maps.delete("before", &DeleteParams::default()).await?;
    config_maps.create(&PostParams::default(), &config_map("after")).await?;
    // More than once: a backup is only read.
    for _ in 0..2 {
        cluster.restore(&backup).await?;
        assert_eq!(config_maps.get("before").await?, known);
        assert!(config_maps.get_opt("after").await?.is_none());
        assert_eq!(config_maps.list(&kube::api::ListParams::default()).await?.items.len(), 1);
    }
    config_maps.create(&PostParams::default(), &config_map("after")).await?;
    Ok(())
}
