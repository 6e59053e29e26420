//! Calls, and what becomes of them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use apisim::{Mishap, Moment, Refusal, Verb};
use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::{Namespace, ObjectReference},
    events::v1::Event as Report,
};
use kube::{
    Api, Client, Error, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::time::timeout;

use crate::lab::{START, code, make, map, maps, say, server};

#[tokio::test(start_paused = true)]
async fn times_come_from_the_clock_of_the_caller() {
    let server = server();
    tokio::time::advance(Duration::from_millis(61_500)).await;
    let made = make(&maps(&server), "a").await.metadata.creation_timestamp.unwrap();
    assert_eq!(made.0, Timestamp::from_second(START + 61).unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_same_calls_get_the_same_replies() {
    let tell = async || {
        let server = server();
        let api = maps(&server);
        let (one, two) = (make(&api, "a").await, make(&api, "b").await);
        let list = api.list(&ListParams::default().limit(1)).await.unwrap();
        format!("{one:?} {two:?} {list:?} {:?}", say(&api, "a", "more").await)
    };
    assert_eq!(tell().await, tell().await);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_has_no_effect_and_a_lost_reply_has_one() {
    let server = server();
    let api = maps(&server);
    make(&api, "a").await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    server.on_call(move |moment, call| {
        heard.lock().unwrap().push((moment, call.verb, call.name.clone()));
        match (moment, call.body.pointer("/data/word")?.as_str()?) {
            (Moment::Before, "refused") => {
                Some(Mishap::Refuse(Refusal::new(429, "TooManyRequests", "slow down")))
            }
            (Moment::Before, "broken before") | (Moment::After, "broken after") => Some(Mishap::Break),
            _ => None,
        }
    });
    let word = || server.object("configmaps", Some("default"), "a").unwrap()["data"]["word"].clone();
    assert_eq!(code(say(&api, "a", "refused").await), 429);
    assert!(matches!(say(&api, "a", "broken before").await, Err(Error::Service(_))));
    assert_eq!(word(), "said");
    assert!(matches!(say(&api, "a", "broken after").await, Err(Error::Service(_))));
    assert_eq!(word(), "broken after");
    let name = || Some("a".to_owned());
    assert_eq!(
        asked.lock().unwrap()[..2],
        [(Moment::Before, Verb::Patch, name()), (Moment::Before, Verb::Patch, name())]
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_does_so_for_ever_and_holds_up_no_other() {
    let server = server();
    let api = maps(&server);
    server.on_call(|moment, call| {
        (moment == Moment::After && call.verb == Verb::Create).then_some(Mishap::Hang)
    });
    assert!(timeout(Duration::from_hours(24), api.create(&PostParams::default(), &map("a"))).await.is_err());
    assert_eq!(api.get("a").await.unwrap().name_any(), "a");
}

#[tokio::test(start_paused = true)]
async fn the_recorder_of_kube_writes_an_event_and_counts_it() {
    let client: Client = server().client("default");
    let reporter = Reporter { controller: "judge".into(), instance: Some("one".into()) };
    let recorder = Recorder::new(client.clone(), reporter);
    let about = ObjectReference {
        namespace: Some("default".into()),
        name: Some("a".into()),
        ..ObjectReference::default()
    };
    let event = Event {
        type_: EventType::Normal,
        reason: "Stopped".into(),
        note: None,
        action: "Stop".into(),
        secondary: None,
    };
    for _ in 0..3 {
        recorder.publish(&event, &about).await.unwrap();
    }
    let written =
        Api::<Report>::default_namespaced(client.clone()).list(&ListParams::default()).await.unwrap();
    let counts: Vec<_> =
        written.iter().map(|event| event.series.as_ref().map(|series| series.count)).collect();
    assert_eq!(counts, [Some(3)]);
    let namespace = Api::<Namespace>::all(client).get("kube-system").await.unwrap();
    assert!(namespace.uid().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_it_does_not_know_it_says() {
    let api = maps(&server());
    let api = &api;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    assert_eq!(code(api.create(&dry, &map("a")).await), 501);
    let sets = ListParams::default().labels("color in (red, blue)");
    assert_eq!(code(api.list(&sets).await), 501);
    assert_eq!(code(api.delete_collection(&DeleteParams::default(), &sets).await), 501);
}
