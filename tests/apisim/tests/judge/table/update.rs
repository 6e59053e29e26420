//! Objects that are replaced.

use serde_json::{Value, json};

use super::{PLAINS, at, thing};
use crate::step::{Step, get, put};

fn a(version: &str, size: u32) -> Value {
    let metadata = json!({"name": "a", "resourceVersion": version, "labels": {"color": "red"}});
    thing(&metadata, size)
}

pub(crate) fn steps() -> Vec<Step> {
    [refused(), changed()].into_iter().flatten().collect()
}

fn refused() -> Vec<Step> {
    let named = |what, metadata, reason: (u16, &'static str)| {
        put(what, &at("a"), &thing(&metadata, 2)).refused(reason.0, reason.1)
    };
    let (bad, conflict, invalid) = ((400, "BadRequest"), (409, "Conflict"), (422, "Invalid"));
    vec![
        put("what is not there is not replaced", &at("absent"), &thing(&json!({"name": "absent"}), 1))
            .refused(404, "NotFound"),
        put(
            "what is not there is not replaced at a version either",
            &at("absent"),
            &thing(&json!({"name": "absent", "resourceVersion": "{a.rv}"}), 1),
        )
        .refused(404, "NotFound"),
        named("no version", json!({"name": "a"}), invalid),
        named("an old version", json!({"name": "a", "resourceVersion": "1"}), conflict),
        named("a version of the future", json!({"name": "a", "resourceVersion": "999999999"}), conflict),
        named("a version that is none", json!({"name": "a", "resourceVersion": "x"}), (500, ""))
            .in_other_words(),
        named("another name", json!({"name": "b", "resourceVersion": "{a.rv}"}), bad),
        named("no name", json!({"resourceVersion": "{a.rv}"}), bad).in_other_words(),
        named(
            "another namespace",
            json!({"name": "a", "namespace": "judge-b", "resourceVersion": "{a.rv}"}),
            bad,
        ),
        named(
            "the uid of another",
            json!({"name": "a", "uid": "{b.uid}", "resourceVersion": "{a.rv}"}),
            conflict,
        )
        .in_other_words(),
        named("the uid of another, and no version", json!({"name": "a", "uid": "{b.uid}"}), conflict)
            .in_other_words(),
        named(
            "a time of deletion",
            json!({"name": "a", "resourceVersion": "{a.rv}", "deletionTimestamp": "2001-01-01T00:00:00Z"}),
            invalid,
        )
        .in_other_words(),
        named(
            "a bad label",
            json!({"name": "a", "resourceVersion": "{a.rv}", "labels": {"a": "-"}}),
            invalid,
        ),
        named(
            "another version and a bad label",
            json!({
                "name": "a", "resourceVersion": "1", "labels": {"a": "-"},
            }),
            conflict,
        ),
        put("no object", &at("a"), &json!([])).refused(400, "BadRequest").in_other_words(),
    ]
}

fn changed() -> Vec<Step> {
    let mut listed = a("{a.rv}", 1);
    listed["spec"]["list"] = json!([1, 2]);
    let mut with_status = a("{a3.rv}", 3);
    with_status["status"] = json!({"phase": "Forged"});
    let mut meddling = a("{a3.rv}", 3);
    meddling["metadata"]["generation"] = json!(99);
    meddling["metadata"]["creationTimestamp"] = json!("2001-01-01T00:00:00Z");
    let mut labelled = a("{a3.rv}", 3);
    labelled["metadata"]["labels"] = json!({"color": "blue"});
    labelled["metadata"]["finalizers"] = json!([]);
    let mut extra = labelled.clone();
    extra["metadata"]["resourceVersion"] = json!("{a4.rv}");
    extra["extra"] = json!("field");
    let plain = |version: &str, phase: &str| {
        json!({
            "apiVersion": "judge.example/v1", "kind": "Plain", "metadata": {"name": "p", "resourceVersion": version},
            "status": {"phase": phase},
        })
    };
    vec![
        put("the same again is no change", &at("a"), &listed),
        put("another spec is a new generation", &at("a"), &a("{a.rv}", 2)).keep("a2"),
        put("the version before is no more", &at("a"), &a("{a.rv}", 3)).refused(409, "Conflict"),
        put("the right uid", &at("a"), &{
            let mut object = a("{a2.rv}", 3);
            object["metadata"]["uid"] = json!("{a2.uid}");
            object
        })
        .keep("a3"),
        put("a status is not written here", &at("a"), &with_status),
        put("nor are generation and time of creation", &at("a"), &meddling),
        put("labels are no new generation", &at("a"), &labelled).keep("a4"),
        put("a field beside the spec is", &at("a"), &extra).keep("a5"),
        get("what came of it", &at("a")),
        put(
            "without a subresource, the status is written",
            &format!("{PLAINS}/p"),
            &plain("{p.rv}", "Changed"),
        ),
    ]
}
