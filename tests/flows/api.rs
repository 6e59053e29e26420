//! The API itself, on a real API server: rules, sizes, kstatus, health, shutdown.
use std::time::Duration;

use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
    core::DynamicObject,
    discovery::ApiResource,
};
use saved_template_api::{CASES, CLASS_CASES, SavedTemplate, SavedTemplateClass};
use saved_template_tests::{Lab, control_plane, is};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::template;

#[derive(Deserialize)]
struct Case {
    name: String,
    old: Option<Value>,
    new: Value,
    refused: Option<String>,
}

fn dynamic(kind: &ApiResource, mut manifest: Value) -> DynamicObject {
    manifest["apiVersion"] = json!(kind.api_version);
    manifest["kind"] = json!(kind.kind);
    serde_json::from_value(manifest).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_takes_and_refuses_on_a_real_api_server_what_the_table_says() {
    let cluster = control_plane().await.unwrap();
    cluster.create_namespace("api-cel").await.unwrap();
    let client = cluster.client().await.unwrap();
    let (template, class) =
        (ApiResource::erase::<SavedTemplate>(&()), ApiResource::erase::<SavedTemplateClass>(&()));
    let templates: Api<DynamicObject> = Api::namespaced_with(client.clone(), "api-cel", &template);
    let classes: Api<DynamicObject> = Api::all_with(client, &class);
    come_out_as_the_table_says(&templates, &template, CASES, 40).await;
    come_out_as_the_table_says(&classes, &class, CLASS_CASES, 25).await;
}

async fn come_out_as_the_table_says(api: &Api<DynamicObject>, kind: &ApiResource, table: &str, least: usize) {
    let cases: Vec<Case> = serde_yaml::from_str(table).unwrap();
    assert!(cases.len() >= least);
    for case in cases {
        let new = dynamic(kind, case.new.clone());
        let post = PostParams::default();
        let outcome = match &case.old {
            None => api.create(&PostParams { dry_run: true, ..post }, &new).await,
            Some(old) => {
                let old = dynamic(kind, old.clone());
                let mut made = api.create(&post, &old).await.unwrap();
                if let Some(status) = old.data.get("status") {
                    made.data["status"] = status.clone();
                    made = api.replace_status(&made.name_any(), &post, &made).await.unwrap();
                }
                let mut new = new;
                new.metadata.resource_version = made.resource_version();
                let outcome =
                    api.replace(&made.name_any(), &PostParams { dry_run: true, ..post }, &new).await;
                api.delete(&made.name_any(), &DeleteParams::default()).await.unwrap();
                outcome
            }
        };
        match (&case.refused, outcome) {
            (None, Ok(_)) => {}
            (Some(fragment), Err(error)) => {
                assert!(error.to_string().contains(fragment.as_str()), "{}: {error}", case.name);
            }
            (None, Err(error)) => panic!("{}: {error}", case.name),
            (Some(fragment), Ok(_)) => panic!("{}: taken, and should say {fragment:?}", case.name),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_legal_object_is_stored_and_stays_under_400_kb() {
    let cluster = control_plane().await.unwrap();
    cluster.create_namespace("api-largest").await.unwrap();
    let api: Api<SavedTemplate> = Api::namespaced(cluster.client().await.unwrap(), "api-largest");
    for letter in ['a', '🌋'] {
        let mut object = saved_template_api::largest::largest(letter).unwrap();
        object.metadata.namespace = Some("api-largest".to_owned());
        let mut made = api.create(&PostParams::default(), &object).await.unwrap();
        made.status.clone_from(&object.status);
        let stored = api.replace_status(&made.name_any(), &PostParams::default(), &made).await.unwrap();
        let bytes = serde_json::to_vec(&stored).unwrap().len();
        println!("{letter}: {bytes} bytes with managedFields");
        assert!(bytes > 200_000, "{letter}: {bytes} bytes: not the largest");
        assert!(bytes < 400_000, "{letter}: {bytes} bytes with managedFields");
        api.delete(&made.name_any(), &kube::api::DeleteParams::default()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_no_controller_has_seen_is_in_progress_for_kstatus() {
    let cluster = control_plane().await.unwrap();
    cluster.create_namespace("api-fresh").await.unwrap();
    let api: Api<SavedTemplate> = Api::namespaced(cluster.client().await.unwrap(), "api-fresh");
    let fresh: SavedTemplate = serde_yaml::from_str(&template("fresh", "nothing")).unwrap();
    let made = api.create(&PostParams::default(), &fresh).await.unwrap();
    assert_eq!(made.status.unwrap().observed_generation, Some(-1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_conditions_follow_kstatus_at_every_moment_of_a_save() {
    let lab = Lab::quick("api-kstatus").await.unwrap();
    lab.machine("watched");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("watched", "watched")).await.unwrap();
    let mut seen = Vec::new();
    let ready = loop {
        let object = lab.until("watched", Duration::from_secs(120), "there", |_| true).await.unwrap();
        let status = object.status.clone().unwrap_or_default();
        if status.observed_generation != Some(-1) {
            let (reconciling, stalled) =
                (is(&object, "Reconciling", "True", None), is(&object, "Stalled", "True", None));
            let ready = is(&object, "Ready", "True", None);
            assert!(!(reconciling && stalled), "never both");
            assert!(ready != (reconciling || stalled), "ready, or one of the two");
            assert_eq!(status.observed_generation, object.metadata.generation);
            for kind in [
                "Ready",
                "Available",
                "Validated",
                "SourceRestored",
                "ImageAvailable",
                "Replicated",
                "Shared",
                "Published",
            ] {
                assert!(
                    status.conditions.iter().any(|condition| condition.type_ == kind),
                    "{kind} is always there"
                );
            }
            let word =
                status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap().reason.clone();
            if seen.last() != Some(&word) {
                seen.push(word);
            }
            if ready {
                break object;
            }
        }
    };
    assert_eq!(seen.last().map(String::as_str), Some("Saved"), "{seen:?}");
    assert!(seen.iter().any(|word| word == "Capturing"), "{seen:?}");
    let version = ready.resource_version();
    tokio::time::timeout(Duration::from_secs(8), std::future::pending::<()>()).await.unwrap_err();
    let later = lab.get("watched").await.unwrap().unwrap();
    assert_eq!(later.resource_version(), version, "a ready object is not written again");
}

async fn http(address: &str, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: controller\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    (reply.split(' ').nth(1).unwrap().parse().unwrap(), reply)
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_are_served_and_sigterm_ends_the_process_in_order() {
    let lab = Lab::quick("api-health").await.unwrap();
    lab.machine("metered");
    let mut controller = lab.controller().unwrap();
    let address = controller.address().await.unwrap();
    assert_eq!(http(&address, "/livez").await.0, 200);
    lab.apply(&template("metered", "metered")).await.unwrap();
    lab.ready("metered").await.unwrap();
    assert_eq!(http(&address, "/readyz").await.0, 200);
    let (status, metrics) = http(&address, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "savedtemplate_leader 1",
        "savedtemplate_ec2_calls_total{operation=\"StopInstances\",outcome=\"ok\"} ",
        "savedtemplate_restarts_total{kind=\"started\"} 1",
        "savedtemplate_reconcile_duration_seconds_count",
    ] {
        assert!(metrics.contains(line), "{line} is missing:\n{metrics}");
    }
    let ended = controller.process().stop(Duration::from_secs(15)).await.unwrap();
    assert!(ended.success(), "{ended}:\n{}", controller.output());
}
