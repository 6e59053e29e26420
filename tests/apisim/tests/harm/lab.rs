//! The lab: a server in virtual time, and kube on the other side.

use std::{future::Future, time::Duration};

use apisim::{ApiServer, Kind};
use futures::{Stream, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Error,
    api::{Patch, PatchParams, PostParams},
    runtime::watcher,
};
use serde_json::json;
use tokio::time::{Instant, timeout};

pub(crate) const START: i64 = 1_700_000_000;

pub(crate) fn server() -> ApiServer {
    let kinds = [Kind::config_maps(), Kind::leases(), Kind::events(), Kind::namespaces()];
    let start = Instant::now();
    let server = ApiServer::new(kinds, move || {
        let passed = SignedDuration::try_from(start.elapsed()).unwrap();
        Timestamp::from_second(START).unwrap() + passed
    });
    server.add_namespaces(&["default", "kube-system"]).unwrap();
    server
}

pub(crate) fn maps(server: &ApiServer) -> Api<ConfigMap> {
    Api::default_namespaced(server.client("default"))
}

pub(crate) fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"word": "said"}})).unwrap()
}

pub(crate) async fn make(api: &Api<ConfigMap>, name: &str) -> ConfigMap {
    api.create(&PostParams::default(), &map(name)).await.unwrap()
}

pub(crate) async fn say(api: &Api<ConfigMap>, name: &str, word: &str) -> kube::Result<ConfigMap> {
    api.patch(name, &PatchParams::default(), &Patch::Merge(json!({"data": {"word": word}}))).await
}

pub(crate) fn code<T>(result: kube::Result<T>) -> u16 {
    match result {
        Err(Error::Api(status)) => status.code,
        Err(other) => panic!("no Status: {other}"),
        Ok(_) => 0,
    }
}

/// What comes within a minute.
pub(crate) async fn soon<T>(next: impl Future<Output = T>) -> Option<T> {
    timeout(Duration::from_mins(1), next).await.ok()
}

pub(crate) fn watch(
    api: &Api<ConfigMap>,
) -> impl Stream<Item = watcher::Result<watcher::Event<ConfigMap>>> + use<> {
    watcher(api.clone(), watcher::Config::default().page_size(2))
}

/// The next event of a watcher in a word.
pub(crate) async fn told(
    events: &mut (impl Stream<Item = watcher::Result<watcher::Event<ConfigMap>>> + Unpin),
) -> String {
    match soon(events.next()).await {
        None => "nothing".to_owned(),
        Some(None) => "the end".to_owned(),
        Some(Some(Err(watcher::Error::WatchError(status)))) => format!("error {}", status.code),
        Some(Some(Err(error))) => error.to_string().split(':').next().unwrap_or_default().to_owned(),
        Some(Some(Ok(event))) => event.to_string(),
    }
}

pub(crate) async fn settled(
    events: &mut (impl Stream<Item = watcher::Result<watcher::Event<ConfigMap>>> + Unpin),
) {
    while told(events).await != "InitDone" {}
}
