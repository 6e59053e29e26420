//! Objects that are created and read, and paths that lead nowhere.

use serde_json::json;

use super::{PLAINS, THINGS, at, object, thing};
use crate::step::{METADATA, METADATA_LIST, Step, get, post};

const NAMESPACES: &str = "/api/v1/namespaces";

pub(crate) fn steps() -> Vec<Step> {
    [namespaces(), created(), refused(), unacceptable(), read(), nowhere()].into_iter().flatten().collect()
}

fn namespaces() -> Vec<Step> {
    let namespace = |name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    vec![
        post("a namespace is made", NAMESPACES, &namespace("judge-a")),
        post("a second namespace is made", NAMESPACES, &namespace("judge-b")),
        post("a namespace is made again", NAMESPACES, &namespace("judge-a")).refused(409, "AlreadyExists"),
        post("a namespace with a dot", NAMESPACES, &namespace("a.b")).refused(422, "Invalid"),
    ]
}

fn created() -> Vec<Step> {
    let meddling = json!({
        "apiVersion": "judge.example/v1", "kind": "Thing",
        "metadata": {
            "name": "a", "uid": "11111111-2222-4333-8444-555555555555", "generation": 7,
            "creationTimestamp": "2001-01-01T00:00:00Z", "deletionTimestamp": "2001-01-01T00:00:00Z",
            "deletionGracePeriodSeconds": 5, "labels": {"color": "red"}, "annotations": {}, "finalizers": [],
            "unheard": "of",
        },
        "spec": {"size": 1, "list": [1, 2]}, "status": {"phase": "Made"},
    });
    let named = thing(&json!({"generateName": "made-"}), 1);
    vec![
        get("a list of nothing", THINGS),
        post("an object that says what only the server may say", THINGS, &meddling).keep("a"),
        get("the object that was made", &at("a")),
        post("an object that is there", THINGS, &thing(&json!({"name": "a"}), 2)).refused(409, "AlreadyExists"),
        post("an object without a subresource keeps its status", PLAINS, &json!({
            "apiVersion": "judge.example/v1", "kind": "Plain", "metadata": {"name": "p"}, "status": {"phase": "Made"},
        }))
        .keep("p"),
        post("an object outside of namespaces", "/apis/judge.example/v1/wides", &object(
            "Wide", &json!({"name": "w"}), &json!({}),
        )),
        post("a name that is generated", "/apis/judge.example/v1/namespaces/judge-b/things", &named)
            .only(&["/metadata/generateName", "/metadata/generation", "/metadata/namespace"]),
        post("the namespace is said twice", THINGS, &thing(&json!({"name": "b", "namespace": "judge-a"}), 1))
            .keep("b"),
    ]
}

fn refused() -> Vec<Step> {
    let metadata = |what, metadata| post(what, THINGS, &thing(&metadata, 1)).refused(422, "Invalid");
    let bad = |what, body| post(what, THINGS, &body).refused(400, "BadRequest").in_other_words();
    let nowhere = "/apis/judge.example/v1/namespaces/nowhere/things";
    vec![
        metadata("no name", json!({})),
        metadata("a name with capitals", json!({"name": "Bad_Name"})),
        metadata("a name that is too long", json!({"name": "n".repeat(254)})),
        metadata("a label with a bad key", json!({"name": "x", "labels": {"a/b/c": "d"}})),
        metadata("a label with a bad value", json!({"name": "x", "labels": {"a": "-"}})),
        metadata("an annotation with a bad key", json!({"name": "x", "annotations": {"-": "d"}})),
        metadata("a finalizer with a bad name", json!({"name": "x", "finalizers": ["judge.example/"]})),
        metadata("two things that are wrong", json!({"name": "-", "labels": {"a": "-"}})),
        bad("labels that are no texts", thing(&json!({"name": "x", "labels": {"a": 1}}), 1)),
        post("another kind", THINGS, &object("Plain", &json!({"name": "x"}), &json!({})))
            .refused(422, "Invalid"),
        bad(
            "another version",
            json!({
                "apiVersion": "judge.example/v2", "kind": "Thing", "metadata": {"name": "x"},
            }),
        ),
        bad("no kind", json!({"apiVersion": "judge.example/v1", "metadata": {"name": "x"}})),
        bad("no JSON", json!({})).sending("{"),
        post(
            "another namespace than the path's",
            THINGS,
            &thing(&json!({"name": "x", "namespace": "judge-b"}), 1),
        )
        .refused(400, "BadRequest"),
        post("a namespace that is not there", nowhere, &thing(&json!({"name": "x"}), 1))
            .refused(404, "NotFound"),
        post(
            "a version before there is an object",
            THINGS,
            &thing(&json!({"name": "x", "resourceVersion": "5"}), 1),
        )
        .refused(500, "")
        .in_other_words(),
    ]
}

/// What is not acceptable has no effect: it is not there afterwards.
fn unacceptable() -> Vec<Step> {
    let made = thing(&json!({"name": "unseen"}), 1);
    vec![
        post("an answer that no one can write", THINGS, &made)
            .accepting("text/csv")
            .refused(406, "NotAcceptable")
            .in_other_words(),
        get("what was not made", &at("unseen")).refused(404, "NotFound"),
    ]
}

fn read() -> Vec<Step> {
    let gone = get("an object that is not there", &at("absent")).refused(404, "NotFound");
    let as_list = get("an object as a list of metadata", &at("a")).accepting(METADATA_LIST);
    vec![
        gone,
        get("the status of an object", &format!("{}/status", at("a"))),
        get("the status of what is not there", &format!("{}/status", at("absent"))).refused(404, "NotFound"),
        get("an object at any version", &format!("{}?resourceVersion=0", at("a"))),
        get("an object not older than itself", &format!("{}?resourceVersion={{a.rv}}", at("a"))),
        get("an object of the future", &format!("{}?resourceVersion=999999999", at("a")))
            .refused(504, "Timeout"),
        get("an object at a version that is none", &format!("{}?resourceVersion=x", at("a")))
            .refused(500, "")
            .in_other_words(),
        get("the metadata of an object", &at("a")).accepting(METADATA),
        as_list.refused(500, "").in_other_words(),
        get("an object as no one can write it", &at("a"))
            .accepting("text/csv")
            .refused(406, "NotAcceptable")
            .in_other_words(),
        get("the first that can be written counts", &at("a")).accepting(
            "text/csv, application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json",
        ),
    ]
}

fn nowhere() -> Vec<Step> {
    let nowhere = |what, path: &str| get(what, path).refused(404, "").in_other_words();
    vec![
        nowhere("a resource that is not there", "/apis/judge.example/v1/namespaces/judge-a/nothings/x"),
        nowhere("a group that is not there", "/apis/absent.example/v1/things"),
        nowhere("a version that is not there", "/apis/judge.example/v2/namespaces/judge-a/things/a"),
        get("a status where there is none", &format!("{PLAINS}/p/status")).refused(404, "NotFound"),
        get("another subresource", &format!("{}/scale", at("a"))).refused(404, "NotFound"),
        nowhere("an object in no namespace", "/apis/judge.example/v1/things/a"),
        nowhere(
            "an object in a namespace that has none",
            "/apis/judge.example/v1/namespaces/judge-a/wides/w",
        ),
    ]
}
