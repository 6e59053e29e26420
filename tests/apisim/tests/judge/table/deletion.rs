//! Objects that are deleted, at once and when their finalizers let them.

use serde_json::{Value, json};

use super::{THINGS, at, thing};
use crate::step::{Step, delete, get, merge, post, put};

fn when(preconditions: &Value) -> Value {
    json!({"preconditions": preconditions})
}

pub(crate) fn steps() -> Vec<Step> {
    [at_once(), held()].into_iter().flatten().collect()
}

fn at_once() -> Vec<Step> {
    let refused = |what, wanted: Value| delete(what, &at("d"), &when(&wanted)).refused(409, "Conflict");
    vec![
        delete("what is not there", &at("absent"), &json!({})).refused(404, "NotFound"),
        delete("what is not there, with a uid", &at("absent"), &when(&json!({"uid": "{a.uid}"})))
            .refused(404, "NotFound"),
        post("an object to delete", THINGS, &thing(&json!({"name": "d"}), 1)).keep("d0"),
        merge("it changes", &at("d"), &json!({"spec": {"size": 2}})).keep("d1"),
        refused("the uid of another", json!({"uid": "{a.uid}"})),
        refused("an old version", json!({"resourceVersion": "{d0.rv}"})),
        refused(
            "the uid of another, and an old version",
            json!({"uid": "{a.uid}", "resourceVersion": "{d0.rv}"}),
        ),
        refused(
            "the right uid, and an old version",
            json!({"uid": "{d0.uid}", "resourceVersion": "{d0.rv}"}),
        ),
        delete(
            "the right uid and version",
            &at("d"),
            &when(&json!({"uid": "{d0.uid}", "resourceVersion": "{d1.rv}"})),
        ),
        get("it is gone", &at("d")).refused(404, "NotFound"),
        delete("it is deleted again", &at("d"), &json!({})).refused(404, "NotFound"),
        post("another of its name", THINGS, &thing(&json!({"name": "d"}), 1)).keep("d2"),
        put(
            "a write for the one before",
            &at("d"),
            &thing(&json!({"name": "d", "uid": "{d0.uid}", "resourceVersion": "{d1.rv}"}), 5),
        )
        .refused(409, "Conflict")
        .in_other_words(),
        merge(
            "a patch for the one before",
            &at("d"),
            &json!({
                "metadata": {"resourceVersion": "{d1.rv}"}, "spec": {"size": 5},
            }),
        )
        .refused(409, "Conflict"),
        delete("nothing is sent", &at("d"), &json!({})).sending(""),
    ]
}

fn held() -> Vec<Step> {
    let (one, two) = ("judge.example/one", "judge.example/two");
    let on = |what, body| merge(what, &at("h"), &body);
    vec![
        post("an object with finalizers", THINGS, &thing(&json!({"name": "h", "finalizers": [one, two]}), 1))
            .keep("h0"),
        delete("an old version is not deleted", &at("h"), &when(&json!({"resourceVersion": "1"})))
            .refused(409, "Conflict"),
        delete("it waits for its finalizers", &at("h"), &json!({})).keep("h1"),
        get("it is still there", &at("h")),
        delete("it is deleted again", &at("h"), &json!({})),
        delete("it is deleted again with its uid", &at("h"), &when(&json!({"uid": "{h0.uid}"}))),
        delete(
            "it is deleted again with its old version",
            &at("h"),
            &when(&json!({"resourceVersion": "{h0.rv}"})),
        )
        .refused(409, "Conflict"),
        post("its name is not free", THINGS, &thing(&json!({"name": "h"}), 1)).refused(409, "AlreadyExists"),
        on("no finalizer is added", json!({"metadata": {"finalizers": [one, two, "judge.example/three"]}}))
            .refused(422, "Invalid"),
        on(
            "no deletion is taken back",
            json!({
                "metadata": {"deletionTimestamp": null, "deletionGracePeriodSeconds": null},
            }),
        ),
        on("its spec may change", json!({"spec": {"size": 2}})).keep("h2"),
        merge(
            "its status may change",
            &format!("{}/status", at("h")),
            &json!({"status": {"phase": "Going"}}),
        ),
        on("one finalizer goes", json!({"metadata": {"finalizers": [two]}})).keep("h3"),
        on(
            "the last goes on an old version",
            json!({
                "metadata": {"resourceVersion": "{h2.rv}", "finalizers": []},
            }),
        )
        .refused(409, "Conflict"),
        on("the last goes", json!({"metadata": {"resourceVersion": "{h3.rv}", "finalizers": []}})),
        get("it is gone", &at("h")).refused(404, "NotFound"),
        post("one that is put to its end", THINGS, &thing(&json!({"name": "i", "finalizers": [one]}), 1)),
        delete("it waits", &at("i"), &json!({})).keep("i1"),
        put(
            "without finalizers it goes",
            &at("i"),
            &thing(&json!({"name": "i", "resourceVersion": "{i1.rv}"}), 1),
        ),
        get("it is gone too", &at("i")).refused(404, "NotFound"),
    ]
}
