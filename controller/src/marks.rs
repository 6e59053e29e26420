//! Labels, annotations and owners are other people's marks on an object: no decision rests on them, and who sets them five
//! times a second makes nobody look at a machine.
use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
};

use kube::{api::ObjectMeta, runtime::watcher::Event};
use saved_template_core::key::Key;

use crate::object::{Metadata, Object};

/// What is known of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// What its owner or the controller changes.
    own: u64,
    /// What anybody changes.
    marks: u64,
}

/// The marks of the objects of one watch.
#[derive(Debug, Default)]
pub(crate) struct Marks(HashMap<Key, Seen>);

impl Marks {
    /// Whether the event is news to a decision: all but a change of marks alone. A status that was written changes neither
    /// part, and wakes.
    pub(crate) fn wakes<K: Object>(&mut self, event: &Event<Metadata<K>>) -> bool {
        match event {
            Event::Apply(object) => {
                let now = seen(&object.metadata);
                let before = self.0.insert(K::key(object), now.clone());
                before.is_none_or(|before| before.own != now.own || before.marks == now.marks)
            }
            Event::InitApply(object) => {
                self.0.insert(K::key(object), seen(&object.metadata));
                true
            }
            Event::Delete(object) => {
                self.0.remove(&K::key(object));
                true
            }
            Event::Init => {
                self.0.clear();
                true
            }
            Event::InitDone => true,
        }
    }
}

fn seen(meta: &ObjectMeta) -> Seen {
    let deleting = meta.deletion_timestamp.as_ref().map(|time| time.0);
    let owners: Vec<&str> = meta.owner_references.iter().flatten().map(|owner| owner.uid.as_str()).collect();
    let text = |map: &Option<BTreeMap<String, String>>| hash(map);
    Seen {
        own: hash(&(&meta.uid, meta.generation, &meta.finalizers, deleting)),
        marks: hash(&(text(&meta.labels), text(&meta.annotations), owners)),
    }
}

fn hash(thing: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use saved_template_api::SavedTemplate;
    use serde_json::{Value, json};

    use super::*;

    fn object(more: &Value) -> Metadata<SavedTemplate> {
        let mut metadata =
            json!({"namespace": "n", "name": "a", "uid": "1", "generation": 1, "resourceVersion": "7"});
        for (field, value) in more.as_object().unwrap() {
            metadata[field] = value.clone();
        }
        serde_json::from_value(json!({
            "apiVersion": "savedtemplate.dev/v1alpha1", "kind": "SavedTemplate", "metadata": metadata,
        }))
        .unwrap()
    }

    #[test]
    fn labels_annotations_and_owners_wake_nothing() {
        let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "2"}]);
        for (field, value) in [
            ("annotations", json!({"touched": "5"})),
            ("labels", json!({"team": "b"})),
            ("ownerReferences", owner),
        ] {
            let mut marks = Marks::default();
            assert!(marks.wakes(&Event::Apply(object(&json!({})))), "the first sight of an object");
            assert!(!marks.wakes(&Event::Apply(object(&json!({field: value})))), "{field}");
            assert!(!marks.wakes(&Event::Apply(object(&json!({})))), "{field} is taken away");
        }
    }

    #[test]
    fn all_else_wakes_also_beside_a_label() {
        for (field, value) in [
            ("generation", json!(2)),
            ("finalizers", json!(["x"])),
            ("deletionTimestamp", json!("2026-11-24T07:46:58Z")),
            ("uid", json!("2")),
            ("resourceVersion", json!("8")),
        ] {
            let mut marks = Marks::default();
            marks.wakes(&Event::Apply(object(&json!({}))));
            assert!(marks.wakes(&Event::Apply(object(&json!({field: value.clone()})))), "{field}");
            if field != "resourceVersion" {
                let mut marks = Marks::default();
                marks.wakes(&Event::Apply(object(&json!({}))));
                let beside = json!({field: value, "labels": {"a": "b"}});
                assert!(marks.wakes(&Event::Apply(object(&beside))), "{field} and a label");
            }
        }
    }

    #[test]
    fn a_watch_that_begins_again_wakes_everything() {
        let mut marks = Marks::default();
        let other = object(&json!({"labels": {"a": "b"}}));
        marks.wakes(&Event::Apply(object(&json!({}))));
        assert!(marks.wakes::<SavedTemplate>(&Event::Init) && marks.wakes(&Event::InitApply(other.clone())));
        assert!(marks.wakes::<SavedTemplate>(&Event::InitDone) && marks.wakes(&Event::Delete(other)));
        assert!(marks.0.is_empty());
    }
}
