//! Statuses that are written.

use serde_json::{Value, json};

use super::{PLAINS, at, thing};
use crate::step::{Step, get, merge, put};

fn of_a(version: &str, phase: &str) -> Value {
    let mut object = thing(&json!({"name": "a", "resourceVersion": version}), 77);
    object["metadata"]["labels"] = json!({"color": "forged"});
    object["metadata"]["finalizers"] = json!(["judge.example/forged"]);
    object["status"] = json!({"phase": phase, "list": [{"x": 1}]});
    object
}

pub(crate) fn steps() -> Vec<Step> {
    let path = format!("{}/status", at("a"));
    let mut named = of_a("{a5.rv}", "First");
    named["metadata"]["name"] = json!("b");
    let mut without = of_a("{s2.rv}", "");
    without.as_object_mut().map(|fields| fields.remove("status"));
    let plain = json!({"apiVersion": "judge.example/v1", "kind": "Plain", "metadata": {"name": "p"}});
    let absent = thing(&json!({"name": "absent", "resourceVersion": "{a5.rv}"}), 1);
    vec![
        put("a status without a version", &path, &of_a("", "First")).refused(422, "Invalid"),
        put("a status on an old version", &path, &of_a("{a4.rv}", "First")).refused(409, "Conflict"),
        put("the status of another name", &path, &named).refused(400, "BadRequest"),
        put("the status of what is not there", &format!("{}/status", at("absent")), &absent)
            .refused(404, "NotFound"),
        put("only the status is written", &path, &of_a("{a5.rv}", "First")).keep("s1"),
        put("the same status again is no change", &path, &of_a("{s1.rv}", "First")),
        put("another status", &path, &of_a("{s1.rv}", "Second")).keep("s2"),
        put("a status that is left out is gone", &path, &without).keep("s3"),
        merge("a status is patched", &path, &json!({
            "metadata": {"labels": {"color": "forged"}}, "spec": {"size": 78}, "status": {"phase": "Patched"},
        }))
        .keep("s4"),
        merge("a status is patched on an old version", &path, &json!({
            "metadata": {"resourceVersion": "{s3.rv}"}, "status": {"phase": "Lost"},
        }))
        .refused(409, "Conflict"),
        merge("the same patch of a status is no change", &path, &json!({"status": {"phase": "Patched"}})),
        put("no status without the subresource", &format!("{PLAINS}/p/status"), &plain)
            .refused(404, "NotFound"),
        get("what came of it all", &at("a")),
    ]
}
