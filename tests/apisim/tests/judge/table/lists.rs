//! Lists, in pages.

use serde_json::json;

use super::{THINGS, object};
use crate::step::{METADATA, METADATA_LIST, Step, delete, get, merge, post};

/// A namespace of its own: what other rows made is not listed.
const HERE: &str = "/apis/judge.example/v1/namespaces/judge-b/plains";
const ALL: &str = "/apis/judge.example/v1/plains";

pub(crate) fn steps() -> Vec<Step> {
    [made(), pages(), selected(), versions(), refused()].into_iter().flatten().collect()
}

fn made() -> Vec<Step> {
    let make = |what, name: &str, color: &str| {
        let metadata = json!({"name": name, "labels": {"color": color, "place": "here"}});
        post(what, HERE, &object("Plain", &metadata, &json!({"size": 1, "color": color})))
    };
    vec![
        make("the first to list", "l1", "red"),
        make("the second to list", "l2", "blue"),
        make("the third to list", "l3", "red").keep("l3"),
        make("the fourth to list", "l4", "red"),
        make("the fifth to list", "l5", "blue").keep("l5"),
    ]
}

fn pages() -> Vec<Step> {
    let more = object("Plain", &json!({"name": "l21"}), &json!({}));
    vec![
        get("all of them", HERE),
        get("a page", &format!("{HERE}?limit=2")).keep("p1"),
        post("one is made between pages", HERE, &more),
        merge("one changes between pages", &format!("{HERE}/l4"), &json!({"spec": {"size": 2}})),
        delete("one goes between pages", &format!("{HERE}/l3"), &json!({})),
        get("the next page is of the time of the first", &format!("{HERE}?limit=2&continue={{p1.continue}}"))
            .keep("p2"),
        get("the last page", &format!("{HERE}?limit=2&continue={{p2.continue}}")),
        get("the rest in one", &format!("{HERE}?continue={{p1.continue}}")),
        get("a page that takes all", &format!("{HERE}?limit=5")),
        get("no limit", &format!("{HERE}?limit=0")),
        get("a page of metadata", &format!("{HERE}?limit=1")).accepting(METADATA_LIST),
        get("a page of all namespaces", &format!("{ALL}?limit=2")),
        get("all namespaces", ALL).accepting(METADATA_LIST),
        get("a namespace that is not there", "/apis/judge.example/v1/namespaces/nowhere/plains"),
        get(
            "the metadata of a namespace that is not there",
            "/apis/judge.example/v1/namespaces/nowhere/plains",
        )
        .accepting(METADATA_LIST),
    ]
}

fn selected() -> Vec<Step> {
    let by = |what, query: &str| get(what, &format!("{HERE}?{query}")).accepting(METADATA_LIST);
    vec![
        by("by label", "labelSelector=color%3Dred"),
        by("by label, written twice", "labelSelector=color%3D%3Dred"),
        by("by two labels", "labelSelector=color%3Dblue,place%3Dhere"),
        by("by a label that is another", "labelSelector=color!%3Dred"),
        by("a page by label", "labelSelector=place%3Dhere&limit=1"),
        by("by name", "fieldSelector=metadata.name%3Dl2"),
        by("by a name that is another", "fieldSelector=metadata.name!%3Dl2"),
        by("by a name that is not there", "fieldSelector=metadata.name%3Dabsent"),
        by("by a field of the spec", "fieldSelector=spec.color%3Dred"),
        by("by a field that is another", "fieldSelector=spec.color!%3Dred"),
        by("by a field that is absent", "fieldSelector=spec.color%3D"),
        by(
            "a page by a field and a label",
            "fieldSelector=spec.color%3Dred&labelSelector=place%3Dhere&limit=1",
        ),
        by("by namespace", "fieldSelector=metadata.namespace%3Djudge-a"),
    ]
}

fn versions() -> Vec<Step> {
    let at = |what, query: &str| get(what, &format!("{HERE}?{query}")).accepting(METADATA_LIST);
    vec![
        at("at any version", "resourceVersion=0"),
        at("at any version, said", "resourceVersion=0&resourceVersionMatch=NotOlderThan"),
        at("not older than an object", "resourceVersion={l5.rv}&resourceVersionMatch=NotOlderThan"),
        at("at an old version", "resourceVersion={l3.rv}&resourceVersionMatch=Exact"),
        at("a page at an old version", "resourceVersion={l3.rv}&resourceVersionMatch=Exact&limit=2")
            .keep("x1"),
        at("the next page at that version", "limit=2&continue={x1.continue}"),
    ]
}

fn refused() -> Vec<Step> {
    let bad =
        |what, query: &str| get(what, &format!("{HERE}?{query}")).refused(400, "BadRequest").in_other_words();
    vec![
        bad("a limit that is none", "limit=x"),
        bad("a token that is none", "continue=x"),
        bad("a token and a version", "continue={p1.continue}&resourceVersion={l5.rv}"),
        bad("a version that is none", "resourceVersion=x"),
        get("a field that cannot be asked for", &format!("{HERE}?fieldSelector=spec.size%3D1"))
            .refused(400, "BadRequest")
            .in_other_words(),
        get("a match without a version", &format!("{HERE}?resourceVersionMatch=NotOlderThan"))
            .refused(422, "Invalid"),
        get("a version of the future", &format!("{HERE}?resourceVersion=999999999")).refused(504, "Timeout"),
        get("a list as the metadata of one", THINGS)
            .accepting(METADATA)
            .refused(406, "NotAcceptable")
            .in_other_words(),
    ]
}
