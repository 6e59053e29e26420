//! Writes down what was decided: a compare-and-swap on what was read. A stale cache or a second leader loses here, before
//! EC2 hears anything.
use std::future::Future;

use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use saved_template_core::decision::Finalizer;
use serde_json::json;

use crate::{
    error::{Error, Result},
    object::Object,
};

/// How often one decision is written on a later version.
const TRIES: usize = 5;

/// Writes `status`, unless it is what was read.
pub(crate) async fn status<K: Object>(api: &Api<K>, object: &K, status: &K::Status) -> Result<K> {
    if object.status() == Some(status) {
        return Ok(object.clone());
    }
    let name = &object.name_any();
    let write = |mut new: K| async move {
        new.meta_mut().managed_fields = None;
        *new.status_mut() = Some(status.clone());
        Ok(api.replace_status(name, &PostParams::default(), &new).await?)
    };
    swap(api, object, write).await
}

/// Writes what EC2 answered to the changes that the status announces: true whatever is wanted by now, and so also on a
/// version whose spec somebody has changed since.
pub(crate) async fn answer<K: Object>(
    api: &Api<K>,
    object: &K,
    settled: impl Fn(&K::Status) -> Option<K::Status>,
) -> Result<()> {
    let announced = |object: &K| (object.uid(), object.status().map(|status| K::announced(status).to_vec()));
    let mut on = object.clone();
    for _ in 0..TRIES {
        let Some(new) = on.status().and_then(&settled) else { return Ok(()) };
        match status(api, &on, &new).await {
            Err(lost) if lost.is_conflict() => {
                on = api.get(&object.name_any()).await?;
                if announced(&on) != announced(object) {
                    return Err(lost);
                }
            }
            done => return done.map(drop),
        }
    }
    let Some(new) = on.status().and_then(&settled) else { return Ok(()) };
    status(api, &on, &new).await.map(drop)
}

/// Adds or removes our finalizer.
pub(crate) async fn finalizer<K: Object>(api: &Api<K>, object: &K, change: Finalizer) -> Result<K> {
    let mut finalizers = object.finalizers().to_vec();
    match change {
        Finalizer::Keep => return Ok(object.clone()),
        Finalizer::Add => finalizers.push(K::FINALIZER.to_owned()),
        Finalizer::Remove => finalizers.retain(|name| name != K::FINALIZER),
    }
    let (name, finalizers) = (&object.name_any(), &finalizers);
    let write = |on: K| async move {
        let version = on.resource_version().ok_or(Error::Malformed("resourceVersion"))?;
        let patch = json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}});
        Ok(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?)
    };
    swap(api, object, write).await
}

/// Writes on the version that was read, or on a later one that says the same to a decision: observing takes seconds, and
/// whoever annotates the object more often than that would keep every decision from being written down.
async fn swap<K: Object, F: Future<Output = Result<K>>>(
    api: &Api<K>,
    object: &K,
    write: impl Fn(K) -> F,
) -> Result<K> {
    let mut on = object.clone();
    for _ in 0..TRIES {
        match write(on).await {
            Err(lost) if lost.is_conflict() => {
                on = api.get(&object.name_any()).await?;
                if !says_the_same(object, &on) {
                    return Err(lost);
                }
            }
            done => return done,
        }
    }
    write(on).await
}

/// Whether all that a decision rests on is as it was.
fn says_the_same<K: Object>(read: &K, now: &K) -> bool {
    let (was, is) = (read.meta(), now.meta());
    was.uid == is.uid
        && was.generation == is.generation
        && was.deletion_timestamp == is.deletion_timestamp
        && was.finalizers == is.finalizers
        && read.spec() == now.spec()
        && read.status() == now.status()
}

#[cfg(test)]
mod tests {
    use saved_template_api::{SavedTemplate, names::FINALIZER};

    use super::*;

    fn object(metadata: &serde_json::Value, revision: i32, message: &str) -> SavedTemplate {
        serde_json::from_value(json!({
            "apiVersion": "savedtemplate.dev/v1alpha1", "kind": "SavedTemplate", "metadata": metadata,
            "spec": {"source": {"region": "us-west-2", "instanceName": "a"}, "revision": revision},
            "status": {"capture": {"id": "0123456789abcdef", "message": message}},
        }))
        .unwrap()
    }

    #[test]
    fn a_decision_is_written_over_somebody_elses_annotations_and_over_nothing_else() {
        let read = object(&json!({"name": "a", "uid": "1", "generation": 1, "resourceVersion": "7"}), 1, "x");
        let annotated = json!({
            "name": "a", "uid": "1", "generation": 1, "resourceVersion": "8",
            "annotations": {"count": "1"}, "labels": {"team": "b"},
        });
        assert!(says_the_same(&read, &object(&annotated, 1, "x")));
        assert!(!says_the_same(&read, &object(&annotated, 2, "x")), "another spec");
        assert!(!says_the_same(&read, &object(&annotated, 1, "y")), "another leader wrote the status");
        for (field, value) in [
            ("uid", json!("2")),
            ("generation", json!(2)),
            ("deletionTimestamp", json!("2026-11-24T07:46:58Z")),
            ("finalizers", json!([FINALIZER])),
        ] {
            let mut other = annotated.clone();
            other[field] = value;
            assert!(!says_the_same(&read, &object(&other, 1, "x")), "{field}");
        }
    }
}
