//! The table: what is asked of both sides, in this order.

mod builtin;
mod create;
mod deletion;
mod lists;
mod patches;
pub(crate) mod restored;
mod status;
mod update;
mod watches;

use serde_json::{Value, json};

use crate::step::Step;

/// Things of the first namespace: custom resources with a status subresource.
const THINGS: &str = "/apis/judge.example/v1/namespaces/judge-a/things";
/// Plain things: custom resources without one.
const PLAINS: &str = "/apis/judge.example/v1/namespaces/judge-a/plains";

pub(crate) fn steps() -> Vec<Step> {
    [
        create::steps(),
        update::steps(),
        status::steps(),
        patches::steps(),
        deletion::steps(),
        lists::steps(),
        watches::steps(),
        builtin::steps(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// An object of the test's group.
fn object(kind: &str, metadata: &Value, spec: &Value) -> Value {
    json!({"apiVersion": "judge.example/v1", "kind": kind, "metadata": metadata, "spec": spec})
}

fn thing(metadata: &Value, size: u32) -> Value {
    object("Thing", metadata, &json!({"size": size}))
}

/// The path of a thing.
fn at(name: &str) -> String {
    format!("{THINGS}/{name}")
}
