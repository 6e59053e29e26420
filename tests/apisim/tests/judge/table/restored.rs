//! What is there after an older etcd came back.

use serde_json::{Value, json};

use super::object;
use crate::step::{Step, ended, get, merge, open, post, put, quiet, read};

const WIDES: &str = "/apis/judge.example/v1/wides";

fn at(name: &str) -> String {
    format!("{WIDES}/{name}")
}

fn watch(version: &str) -> String {
    format!("{WIDES}?watch=true&resourceVersion={{{version}.rv}}")
}

fn wide(name: &str) -> Value {
    object("Wide", &json!({"name": name}), &json!({"size": 1}))
}

fn grow(what: &'static str, name: &str, size: u32) -> Step {
    merge(what, &at(name), &json!({"spec": {"size": size}}))
}

pub(crate) fn before() -> Vec<Step> {
    vec![
        post("one is made that is kept", WIDES, &wide("kept")).keep("old"),
        grow("it changes", "kept", 2).keep("kept"),
        open("a watch from before the snapshot", "before", &watch("old")),
        read("it hears of the change", "before", 1),
    ]
}

/// So much is lost that the versions after it do not come again while the rest is asked: kube-apiserver writes a little by
/// itself when it starts.
const LOST: u32 = 200;

pub(crate) fn lost() -> Vec<Step> {
    let mut steps: Vec<Step> =
        (10..10 + LOST).map(|size| grow("a change that is lost", "kept", size)).collect();
    steps.extend([
        grow("the last change of it that is lost", "kept", 3).keep("lost"),
        post("one is made that is lost", WIDES, &wide("gone")).keep("gone"),
        grow("it changes and is lost", "gone", 2),
        get("the list that is lost", WIDES).keep("list"),
        read("the watch hears of all that", "before", 203),
    ]);
    steps
}

pub(crate) fn after() -> Vec<Step> {
    let on = |version: &str, size| {
        let metadata = json!({"name": "kept", "resourceVersion": format!("{{{version}.rv}}")});
        object("Wide", &metadata, &json!({"size": size}))
    };
    let steps = vec![
        ended("the watch ends", "before"),
        get("what was kept is as it was", &at("kept")),
        get("what was made later is not there", &at("gone")).refused(404, "NotFound"),
        put("a write on the version that was lost", &at("kept"), &on("lost", 9)).refused(409, "Conflict"),
        put("a write for the one that was lost", &at("gone"), &on("gone", 9)).refused(400, "BadRequest"),
        merge("a patch of the one that was lost", &at("gone"), &json!({"spec": {"size": 9}}))
            .refused(404, "NotFound"),
        get("the list that was lost, at least", &format!("{WIDES}?resourceVersion={{list.rv}}"))
            .refused(504, "Timeout"),
        open("a watch from the version that was lost", "lost", &watch("list")),
        open("a watch from before the snapshot", "old", &watch("old")),
        read("it is told that it has expired", "old", 1),
        open("a watch from the snapshot on", "kept", &watch("kept")),
        read("it has expired too", "kept", 1),
        get("a new list", WIDES).keep("new"),
        open("a watch from the new list on", "new", &watch("new")),
        put("a write on the version that was kept", &at("kept"), &on("kept", 4)).keep("now"),
        post("one of the lost name is made", WIDES, &wide("gone")),
        read("the new watch hears of both", "new", 2),
        quiet("and of nothing else", "new"),
        quiet("the watch from the lost version hears nothing", "lost"),
        get("the list after all", WIDES),
    ];
    steps.into_iter().map(Step::at_any_version).collect()
}
