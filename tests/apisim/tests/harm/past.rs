//! The past: forgotten, or come back.

use kube::{
    Error, ResourceExt as _,
    api::{ListParams, PostParams},
};

use crate::lab::{code, make, maps, say, server, settled, told, watch};

#[tokio::test(start_paused = true)]
async fn whoever_watches_from_a_forgotten_version_lists_again() {
    let server = server();
    let api = maps(&server);
    make(&api, "a").await;
    let mut events = Box::pin(watch(&api));
    settled(&mut events).await;
    server.hold_watches(true);
    say(&api, "a", "withheld").await.unwrap();
    assert_eq!(told(&mut events).await, "nothing");
    server.end_watches();
    server.forget(server.version());
    server.hold_watches(false);
    assert_eq!(told(&mut events).await, "error 410");
    assert_eq!(told(&mut events).await, "Init");
    settled(&mut events).await;
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_forgotten_version_have_expired_and_the_list_can_be_gone_on_with() {
    let server = server();
    let api = maps(&server);
    for name in ["a", "b", "c"] {
        make(&api, name).await;
    }
    let pages = ListParams::default().limit(1);
    let page = api.list(&pages).await.unwrap();
    assert_eq!(page.metadata.remaining_item_count, Some(2));
    make(&api, "d").await;
    let token = page.metadata.continue_.unwrap();
    assert_eq!(api.list(&ListParams::default().continue_token(&token)).await.unwrap().items.len(), 2);
    server.forget(server.version());
    let Err(Error::Api(status)) = api.list(&pages.clone().continue_token(&token)).await else {
        panic!("it has expired")
    };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    let token = status.metadata.unwrap().continue_.unwrap();
    assert_eq!(api.list(&ListParams::default().continue_token(&token)).await.unwrap().items.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_restored_server_knows_nothing_of_what_came_after() {
    let server = server();
    let api = maps(&server);
    let kept = make(&api, "a").await;
    let snapshot = server.snapshot();
    let before = server.version();
    let lost = make(&api, "b").await;
    let said = say(&api, "a", "lost").await.unwrap();
    let mut events = Box::pin(watch(&api));
    settled(&mut events).await;
    assert_eq!(told(&mut events).await, "nothing");

    server.restore(&snapshot);
    assert_eq!(server.version(), before);
    assert_eq!(code(api.get("b").await), 404);
    assert_eq!(api.get("a").await.unwrap(), kept);
    assert_eq!(
        code(api.replace("a", &PostParams::default(), &said).await),
        409,
        "its version is of the future"
    );
    assert_eq!(told(&mut events).await, "watch stream failed");

    let again = make(&api, "b").await;
    assert_eq!(again.resource_version(), lost.resource_version(), "versions are given again");
    assert_ne!(again.uid(), lost.uid(), "identities are not");
    assert_eq!(told(&mut events).await, "nothing", "it watches from a version that is not there again yet");
    say(&api, "a", "once more").await.unwrap();
    assert_eq!(told(&mut events).await, "nothing", "this was that version");
    say(&api, "a", "and again").await.unwrap();
    assert_eq!(told(&mut events).await, "Apply(a)");

    server.restore(&snapshot);
    server.skip_versions(1_000);
    let late = make(&api, "b").await.resource_version().unwrap().parse::<u64>().unwrap();
    assert!(late > before + 1_000);
}
