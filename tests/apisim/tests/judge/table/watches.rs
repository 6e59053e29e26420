//! Watches.

use serde_json::json;

use super::{THINGS, object, thing};
use crate::step::{METADATA, Step, delete, ended, get, merge, open, post, put, quiet, read};

/// Outside of namespaces, and what other rows made is there: one object.
const WIDES: &str = "/apis/judge.example/v1/wides";

pub(crate) fn steps() -> Vec<Step> {
    [opened(), happened(), heard(), initial(), refused()].into_iter().flatten().collect()
}

fn at(query: &str) -> String {
    format!("{WIDES}?watch=true&{query}")
}

fn wide(name: &str) -> String {
    format!("{WIDES}/{name}")
}

fn opened() -> Vec<Step> {
    vec![
        get("the list before", WIDES).keep("w0"),
        open("from a list on", "list", &at("resourceVersion={w0.rv}&allowWatchBookmarks=true")),
        open(
            "from a list on, with the spelling 1",
            "one",
            &format!("{WIDES}?watch=1&resourceVersion={{w0.rv}}"),
        ),
        open("the metadata", "metadata", &at("resourceVersion={w0.rv}")).accepting(METADATA),
        open("by label", "label", &at("resourceVersion={w0.rv}&labelSelector=color%3Dred")),
        open("by name", "name", &at("resourceVersion={w0.rv}&fieldSelector=metadata.name%3Dv")),
        open("all that is there", "any", &at("resourceVersion=0")),
        open("all that is there, unsaid", "unset", &at("")),
        open("a namespace", "here", &format!("{THINGS}?watch=true&resourceVersion={{w0.rv}}")),
        open("all namespaces", "all", "/apis/judge.example/v1/things?watch=true&resourceVersion={w0.rv}"),
        open("another kind", "other", "/apis/judge.example/v1/plains?watch=true&resourceVersion={w0.rv}"),
    ]
}

fn happened() -> Vec<Step> {
    let made = object("Wide", &json!({"name": "v", "labels": {"color": "red"}}), &json!({"size": 1}));
    let held = json!({"metadata": {"finalizers": ["judge.example/held"]}});
    let status = json!({"status": {"phase": "Seen"}});
    vec![
        post("one is made", WIDES, &made).keep("v0"),
        merge("it changes", &wide("v"), &json!({"spec": {"size": 2}})),
        merge("it does not change", &wide("v"), &json!({"spec": {"size": 2}})),
        merge("its status changes", &format!("{}/status", wide("v")), &status),
        merge("its label changes", &wide("v"), &json!({"metadata": {"labels": {"color": "blue"}}})),
        merge("another changes", &wide("w"), &json!({"metadata": {"labels": {"color": "red"}}})),
        merge("its label changes back", &wide("v"), &json!({"metadata": {"labels": {"color": "red"}}})),
        merge("it is held", &wide("v"), &held),
        delete("it is deleted", &wide("v"), &json!({})).keep("v1"),
        merge("it is let go", &wide("v"), &json!({"metadata": {"finalizers": null}})),
        post("another is made", WIDES, &object("Wide", &json!({"name": "u"}), &json!({}))).keep("u0"),
        put(
            "another is replaced",
            &wide("u"),
            &object("Wide", &json!({"name": "u", "resourceVersion": "{u0.rv}"}), &json!({"size": 1})),
        ),
        delete("another is deleted at once", &wide("u"), &json!({})),
        post("one is made in a namespace", THINGS, &thing(&json!({"name": "here"}), 1)),
        post(
            "one is made in another",
            "/apis/judge.example/v1/namespaces/judge-b/things",
            &thing(&json!({"name": "there"}), 1),
        ),
    ]
}

fn heard() -> Vec<Step> {
    vec![
        read("all of it, from the list on", "list", 12),
        quiet("and no more", "list"),
        read("all of it, with the spelling 1", "one", 12),
        quiet("and no more, with the spelling 1", "one"),
        read("the metadata of it", "metadata", 12),
        quiet("and no more metadata", "metadata"),
        read("what has the label, comes to it and leaves it", "label", 9),
        quiet("and no more of the label", "label"),
        read("what has the name", "name", 8),
        quiet("and no more of the name", "name"),
        read("what was there, and all of it", "any", 13),
        quiet("and no more after what was there", "any"),
        read("what was there, unsaid, and all of it", "unset", 13),
        quiet("and no more, unsaid", "unset"),
        quiet("nothing of another kind", "other"),
        read("what is in the namespace", "here", 1),
        quiet("and nothing of another", "here"),
        read("what is in any namespace", "all", 2),
        quiet("and no more in any", "all"),
        open("from the middle on", "middle", &at("resourceVersion={v1.rv}")),
        read("what came after", "middle", 4),
        quiet("and no more after the middle", "middle"),
        open("from its making on", "made", &at("resourceVersion={v0.rv}&labelSelector=color%3Dred")),
        read("the past goes by labels too", "made", 8),
        quiet("and no more of the past", "made"),
    ]
}

fn initial() -> Vec<Step> {
    let events = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let make = |what, name: &str| post(what, WIDES, &object("Wide", &json!({"name": name}), &json!({})));
    vec![
        make("one more is there", "t"),
        open("a list that is streamed", "stream", &at(&format!("{events}&allowWatchBookmarks=true"))),
        read("what is there, and its end", "stream", 3),
        open(
            "a list that is streamed, as kube asks",
            "kube",
            &at(&format!("{events}&allowWatchBookmarks=true&resourceVersion=0&timeoutSeconds=290")),
        )
        .accepting(METADATA),
        read("the metadata of what is there, and its end", "kube", 3),
        open("a stream without bookmarks", "bare", &at(events)),
        read("what is there, without its end", "bare", 2),
        make("one after the list", "s").keep("s"),
        read("what comes after the list", "stream", 1),
        quiet("and no more in the stream", "stream"),
        read("the metadata of what comes after", "kube", 1),
        quiet("and no more metadata in the stream", "kube"),
        read("what comes after, without bookmarks", "bare", 1),
        quiet("and no more without bookmarks", "bare"),
        open("a watch of a second", "short", &at("resourceVersion={s.rv}&timeoutSeconds=1")),
        ended("it ends by itself", "short"),
        open("a watch from the future", "future", &at("resourceVersion=999999999")),
        make("what the future does not hear of", "r"),
        quiet("nothing comes from the past", "future"),
    ]
}

fn refused() -> Vec<Step> {
    vec![
        open("a version that nobody remembers", "old", &at("resourceVersion=1")),
        read("it is told that it has expired", "old", 1),
        ended("and that is all", "old"),
        open("a version that is none", "none", &at("resourceVersion=x")).refused(500, "").in_other_words(),
        open("initial events without a match", "none", &at("sendInitialEvents=true")).refused(422, "Invalid"),
        open(
            "a match without initial events",
            "none",
            &at("resourceVersion=0&resourceVersionMatch=NotOlderThan"),
        )
        .refused(422, "Invalid"),
        open("a field that cannot be watched", "none", &at("fieldSelector=spec.size%3D1"))
            .refused(400, "BadRequest")
            .in_other_words(),
        open("a watch of what is not there", "none", "/apis/judge.example/v1/nothings?watch=true")
            .refused(404, "")
            .in_other_words(),
    ]
}
