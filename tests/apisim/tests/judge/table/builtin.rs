//! Kinds that kube-apiserver itself serves, as far as the controller uses them. It adds defaults to some, so that only
//! what the controller wrote is compared.

use serde_json::{Value, json};

use crate::step::{
    APPLY, METADATA, STRATEGIC, Step, delete, get, merge, open, patch, post, put, quiet, read,
};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/judge-a/leases";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/judge-a/events";
const CONFIG_MAPS: &str = "/api/v1/namespaces/judge-a/configmaps";
const OF_LEASE: &[&str] = &[
    "/apiVersion",
    "/kind",
    "/metadata/name",
    "/metadata/uid",
    "/metadata/resourceVersion",
    "/metadata/generation",
    "/metadata/annotations",
    "/metadata/creationTimestamp",
    "/spec/holderIdentity",
    "/spec/leaseDurationSeconds",
    "/spec/leaseTransitions",
];

pub(crate) fn steps() -> Vec<Step> {
    [claims(), election(), events(), config_maps(), namespaces()].into_iter().flatten().collect()
}

fn lease(metadata: &Value, holder: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata,
        "spec": {"holderIdentity": holder},
    })
}

fn one(name: &str) -> String {
    format!("{LEASES}/{name}")
}

/// The calls of `claims.rs`, and what else a Lease allows.
fn claims() -> Vec<Step> {
    let name = |version: &str| json!({"name": "c", "resourceVersion": version});
    let when = json!({"preconditions": {"uid": "{c0.uid}", "resourceVersion": "{c0.rv}"}});
    let annotated = json!({"name": "c", "annotations": {"judge.example/of": "x"}});
    vec![
        get("the claims before", LEASES).only(&["/kind", "/items"]).keep("c"),
        open("claims are watched", "leases", &format!("{LEASES}?watch=true&resourceVersion={{c.rv}}"))
            .accepting(METADATA),
        post("a claim is made", LEASES, &lease(&annotated, "one")).only(OF_LEASE).keep("c0"),
        post("a claim is made again", LEASES, &lease(&json!({"name": "c"}), "two"))
            .refused(409, "AlreadyExists"),
        get("whose claim it is", &one("c")).only(OF_LEASE),
        get("a claim that is not there", &one("absent")).refused(404, "NotFound"),
        get("claims in a list do not say what they are", LEASES)
            .only(&["/items/0/kind", "/items/0/metadata"]),
        put("a claim is replaced without a version", &one("c"), &lease(&name(""), "two"))
            .refused(422, "Invalid"),
        put("a claim is replaced", &one("c"), &lease(&name("{c0.rv}"), "two")).only(OF_LEASE).keep("c1"),
        put("a claim is replaced again", &one("c"), &lease(&name("{c0.rv}"), "three"))
            .refused(409, "Conflict"),
        put("a claim that is not there is made by a PUT", &one("p"), &lease(&json!({"name": "p"}), "one"))
            .code(201)
            .only(OF_LEASE),
        delete("a claim of before is not deleted", &one("c"), &when).refused(409, "Conflict"),
        delete(
            "a claim is deleted",
            &one("c"),
            &json!({"preconditions": {"uid": "{c0.uid}", "resourceVersion": "{c1.rv}"}}),
        ),
        delete("a claim that is gone", &one("c"), &when).refused(404, "NotFound"),
        read("what is heard of claims", "leases", 4),
        quiet("and no more of claims", "leases"),
    ]
}

/// The calls of kube-lease-manager.
fn election() -> Vec<Step> {
    let by = |manager: &str| format!("{}?fieldManager={manager}", one("e"));
    let spec = |spec: Value| json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec});
    let holder = |holder: &str| spec(json!({"holderIdentity": holder, "leaseDurationSeconds": 15}));
    let time = "2026-11-24T07:46:58.123456Z";
    let renewed = spec(json!({"renewTime": time, "leaseDurationSeconds": 15}));
    let released = spec(json!({"renewTime": null, "holderIdentity": null, "leaseDurationSeconds": null}));
    let empty = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "e"}});
    vec![
        post("a lease that nobody has", LEASES, &empty).only(OF_LEASE),
        patch(APPLY, "one takes it", &by("one"), &holder("one")).only(OF_LEASE),
        patch(APPLY, "one takes it again", &by("one"), &holder("one")).only(OF_LEASE),
        patch(STRATEGIC, "one counts", &by("one"), &spec(json!({"leaseTransitions": 1}))).only(OF_LEASE),
        patch(APPLY, "another may not take it", &by("two"), &holder("two"))
            .refused(409, "Conflict")
            .in_other_words(),
        patch(STRATEGIC, "one renews it", &by("one"), &renewed).only(OF_LEASE),
        patch(APPLY, "another may not take it either", &by("two"), &holder("two"))
            .refused(409, "Conflict")
            .in_other_words(),
        patch(STRATEGIC, "one lets go of it", &by("one"), &released).only(OF_LEASE),
        patch(APPLY, "another takes it", &by("two"), &holder("two")).only(OF_LEASE),
        patch(APPLY, "one takes it by force", &format!("{}&force=true", by("one")), &holder("one"))
            .only(OF_LEASE),
        patch(APPLY, "what is applied no more is gone", &by("one"), &spec(json!({"holderIdentity": "one"})))
            .only(OF_LEASE),
        patch(
            APPLY,
            "what is not there is not applied without its name",
            &format!("{}?fieldManager=one", one("f")),
            &holder("one"),
        )
        .refused(400, "BadRequest")
        .in_other_words(),
        patch(
            APPLY,
            "what is not there is applied",
            &format!("{}?fieldManager=one", one("f")),
            &lease(&json!({"name": "f"}), "one"),
        )
        .code(201)
        .only(OF_LEASE),
        patch(APPLY, "an apply says who applies", &one("f"), &holder("one"))
            .refused(422, "Invalid")
            .in_other_words(),
        patch(STRATEGIC, "a lease that is not there", &one("absent"), &renewed).refused(404, "NotFound"),
        get("what came of the lease", &one("e")).only(OF_LEASE),
    ]
}

/// The calls of kube's recorder.
fn events() -> Vec<Step> {
    let only: &[&str] =
        &["/apiVersion", "/kind", "/metadata/name", "/metadata/generation", "/note", "/series/count"];
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "a.1", "namespace": "judge-a"},
        "action": "Stop", "reason": "Stopped", "note": "it stopped", "type": "Normal",
        "eventTime": "2026-11-24T07:46:58.123456Z", "reportingController": "judge", "reportingInstance": "one",
        "regarding": {"apiVersion": "judge.example/v1", "kind": "Thing", "name": "a", "namespace": "judge-a"},
    });
    let mut again = event.clone();
    again["series"] = json!({"count": 2, "lastObservedTime": "2026-11-24T07:47:58.123456Z"});
    vec![
        post("an event", EVENTS, &event).only(only),
        merge("the event again", &format!("{EVENTS}/a.1"), &again).only(only),
        merge("an event that is gone", &format!("{EVENTS}/a.2"), &again)
            .refused(404, "NotFound")
            .only(&["/code"]),
    ]
}

fn config_maps() -> Vec<Step> {
    let map = |word: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "k"}, "data": {"word": word},
        })
    };
    vec![
        post("a ConfigMap", CONFIG_MAPS, &map("one")),
        put("a ConfigMap is replaced without a version", &format!("{CONFIG_MAPS}/k"), &map("two")).keep("k"),
        put("the same ConfigMap again is no change", &format!("{CONFIG_MAPS}/k"), &map("two")),
        put("a ConfigMap that is not there", &format!("{CONFIG_MAPS}/absent"), &{
            let mut map = map("one");
            map["metadata"]["name"] = json!("absent");
            map
        })
        .refused(404, "NotFound"),
        patch(
            STRATEGIC,
            "a ConfigMap is patched",
            &format!("{CONFIG_MAPS}/k"),
            &json!({"data": {"more": "said"}}),
        ),
    ]
}

fn namespaces() -> Vec<Step> {
    let (path, only): (_, &[&str]) = ("/api/v1/namespaces/judge-b", &["/metadata", "/status/phase"]);
    let thing = json!({"apiVersion": "judge.example/v1", "kind": "Thing", "metadata": {"name": "late"}});
    let things = "/apis/judge.example/v1/namespaces/judge-b/things";
    vec![
        get("a namespace", path).only(only),
        delete("a namespace goes when it is empty", path, &json!({})).only(only),
        post("nothing is made in it", things, &thing).refused(403, "Forbidden"),
        merge(
            "what is in it may change",
            "/apis/judge.example/v1/namespaces/judge-b/plains/l1",
            &json!({
                "spec": {"size": 9},
            }),
        ),
        delete("what is in it may go", "/apis/judge.example/v1/namespaces/judge-b/plains/l1", &json!({})),
        get("the namespace is still there", path).only(only),
    ]
}
