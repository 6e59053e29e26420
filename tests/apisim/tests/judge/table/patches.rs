//! Objects that are patched.

use serde_json::json;

use super::{THINGS, at, thing};
use crate::step::{METADATA, STRATEGIC, Step, get, merge, patch, post};

pub(crate) fn steps() -> Vec<Step> {
    [changed(), refused()].into_iter().flatten().collect()
}

fn changed() -> Vec<Step> {
    let on = |what, body| merge(what, &at("m"), &body);
    let finalizer = "judge.example/held";
    vec![
        post("an object to patch", THINGS, &thing(&json!({"name": "m"}), 1)).keep("m0"),
        on(
            "a patch of the spec is a new generation",
            json!({"spec": {"color": "red", "deep": {"a": 1, "b": 2}}}),
        )
        .keep("m1"),
        on("a patch that says nothing new is no change", json!({"spec": {"color": "red"}})),
        on("an empty patch is no change", json!({})),
        on("null removes", json!({"spec": {"color": null, "deep": {"a": null}}})).keep("m2"),
        on("null removes nothing that is not there", json!({"spec": {"color": null}})),
        on("a label", json!({"metadata": {"labels": {"color": "red"}}})).keep("m3"),
        on("a label is taken away", json!({"metadata": {"labels": {"color": null}}})).keep("m4"),
        on(
            "the version that it has",
            json!({"metadata": {"resourceVersion": "{m4.rv}"}, "spec": {"size": 2}}),
        )
        .keep("m5"),
        on(
            "a finalizer, as the controller adds it",
            json!({
                "metadata": {"resourceVersion": "{m5.rv}", "finalizers": [finalizer]},
            }),
        )
        .keep("m6"),
        on("the finalizer is removed", json!({"metadata": {"resourceVersion": "{m6.rv}", "finalizers": []}})),
        on("a status is not patched here", json!({"status": {"phase": "Forged"}})),
        on(
            "generation and times are not patched",
            json!({
                "metadata": {"generation": 99, "creationTimestamp": "2001-01-01T00:00:00Z"},
            }),
        ),
        on("the metadata that comes of it", json!({"metadata": {"annotations": {"a": "b"}}}))
            .accepting(METADATA),
        get("what came of it", &at("m")),
    ]
}

fn refused() -> Vec<Step> {
    let on = |what, body, code, reason| merge(what, &at("m"), &body).refused(code, reason);
    let absent = json!({"spec": {"size": 2}});
    vec![
        on(
            "an old version",
            json!({"metadata": {"resourceVersion": "{m5.rv}"}, "spec": {"size": 3}}),
            409,
            "Conflict",
        ),
        on(
            "an old version, and nothing new",
            json!({"metadata": {"resourceVersion": "{m5.rv}"}}),
            409,
            "Conflict",
        ),
        on(
            "a version that is removed",
            json!({"metadata": {"resourceVersion": null}, "spec": {"size": 3}}),
            422,
            "Invalid",
        ),
        on("the uid of another", json!({"metadata": {"uid": "{a.uid}"}}), 422, "Invalid"),
        on("another name", json!({"metadata": {"name": "n"}}), 400, "BadRequest").in_other_words(),
        on("another namespace", json!({"metadata": {"namespace": "judge-b"}}), 400, "BadRequest")
            .in_other_words(),
        on("another kind", json!({"kind": "Plain"}), 422, "Invalid"),
        on("a bad finalizer", json!({"metadata": {"finalizers": ["judge.example/"]}}), 422, "Invalid"),
        on(
            "a time of deletion",
            json!({"metadata": {"deletionTimestamp": "2001-01-01T00:00:00Z"}}),
            422,
            "Invalid",
        )
        .in_other_words(),
        on("labels that are no texts", json!({"metadata": {"labels": {"a": 1}}}), 422, "Invalid")
            .in_other_words(),
        on("a list", json!([]), 400, "BadRequest").in_other_words(),
        on("no JSON", json!({}), 400, "BadRequest").sending("{").in_other_words(),
        merge("an object that is not there", &at("absent"), &absent).refused(404, "NotFound"),
        patch(STRATEGIC, "a strategic patch of a custom resource", &at("m"), &absent)
            .refused(415, "UnsupportedMediaType"),
        patch("application/json", "a patch of no kind", &at("m"), &absent)
            .refused(415, "UnsupportedMediaType"),
    ]
}
