//! Watches, and how they end.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ConfigMap};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PartialObjectMeta, PostParams, WatchEvent, WatchParams},
    runtime::watcher,
};
use serde_json::json;
use tokio::time::timeout;

use crate::lab::{make, maps, say, server, settled, soon, told, watch};

#[tokio::test(start_paused = true)]
async fn a_watcher_of_kube_hears_what_happens() {
    let server = server();
    let api = maps(&server);
    for name in ["a", "b", "c"] {
        make(&api, name).await;
    }
    let mut events = Box::pin(watch(&api));
    for event in ["Init", "InitApply(a)", "InitApply(b)", "InitApply(c)", "InitDone"] {
        assert_eq!(told(&mut events).await, event);
    }
    assert_eq!(told(&mut events).await, "nothing");
    say(&api, "b", "more").await.unwrap();
    api.delete("c", &DeleteParams::default()).await.unwrap();
    assert_eq!(told(&mut events).await, "Apply(b)");
    assert_eq!(told(&mut events).await, "Delete(c)");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_of_metadata_that_streams_its_list_hears_the_same() {
    let server = server();
    let api = maps(&server);
    make(&api, "a").await;
    let metadata = Api::<PartialObjectMeta<ConfigMap>>::default_namespaced(server.client("default"));
    let mut events = watcher(metadata, watcher::Config::default().streaming_lists()).boxed();
    for event in ["Init", "InitApply(a)", "InitDone"] {
        assert_eq!(events.next().await.unwrap().unwrap().to_string(), event);
    }
    make(&api, "b").await;
    assert_eq!(events.next().await.unwrap().unwrap().to_string(), "Apply(b)");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_in_its_time_and_is_gone_on_with() {
    let server = server();
    let api = maps(&server);
    let mut events = Box::pin(watch(&api));
    settled(&mut events).await;
    let lost = make(&api, "a").await;
    assert_eq!(told(&mut events).await, "Apply(a)");
    let times = async {
        assert!(timeout(Duration::from_mins(30), events.next()).await.is_err());
        make(&api, "b").await;
        told(&mut events).await
    };
    assert_eq!(times.await, "Apply(b)");
    assert_eq!(server.watches(), 1, "those that ended are closed");
    let short = WatchParams::default().timeout(10);
    let left = api.watch(&short, &lost.resource_version().unwrap()).await.unwrap();
    let left: Vec<WatchEvent<ConfigMap>> = left.try_collect().await.unwrap();
    assert!(matches!(left[..], [WatchEvent::Added(_), WatchEvent::Bookmark(_)]), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_withheld_comes_later() {
    let server = server();
    let api = maps(&server);
    let mut events = Box::pin(watch(&api));
    settled(&mut events).await;
    server.hold_watches(true);
    make(&api, "a").await;
    assert_eq!(told(&mut events).await, "nothing");
    server.forget(server.version());
    server.hold_watches(false);
    assert_eq!(told(&mut events).await, "Apply(a)");
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_is_sent_when_the_caller_says_so_and_only_to_who_allows_it() {
    let server = server();
    let api = maps(&server);
    let version = server.version().to_string();
    let mut allows = api.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    let mut forbids = api.watch(&WatchParams::default().disable_bookmarks(), &version).await.unwrap().boxed();
    let lease = json!({"metadata": {"name": "l"}, "spec": {}});
    let leases = Api::<Lease>::default_namespaced(server.client("default"));
    leases.create(&PostParams::default(), &serde_json::from_value(lease).unwrap()).await.unwrap();
    server.bookmark();
    let Some(Some(Ok(WatchEvent::Bookmark(bookmark)))) = soon(allows.next()).await else {
        panic!("no bookmark")
    };
    assert_eq!(bookmark.metadata.resource_version, server.version().to_string());
    assert!(soon(forbids.next()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_tells_so_once_and_ends() {
    let server = server();
    let api = maps(&server);
    let mut events = api.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    server.break_watches();
    assert!(matches!(soon(events.next()).await, Some(Some(Err(_)))));
    assert!(matches!(soon(events.next()).await, Some(None)));
    drop(events);
    assert_eq!(server.watches(), 0);
}
