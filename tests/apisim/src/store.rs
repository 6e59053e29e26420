//! The store: objects by kind and key, and what happened to them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde_json::Value;

use crate::{apply::Owners, meta};

/// An object's place: the number of its kind, and its namespace and name as etcd orders them.
pub(crate) type Key = (usize, String);

/// A change of one object.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: Key,
    pub(crate) before: Option<Arc<Value>>,
    pub(crate) after: Option<Arc<Value>>,
}

/// What etcd holds, and the past that it still knows.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// The version of the last change.
    pub(crate) version: u64,
    /// What happened up to this version is forgotten.
    pub(crate) forgotten: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    past: VecDeque<Arc<Change>>,
    /// Who applied which field, by object; never shown.
    pub(crate) owners: BTreeMap<Key, Owners>,
}

/// A copy of all that the server holds, as of one moment.
#[derive(Clone, Debug)]
pub struct Snapshot(pub(crate) Store);

/// The part of a key that says where an object of a kind is.
pub(crate) fn path(namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

impl Store {
    /// The first versions stand for what a real server has written before anybody asks it.
    pub(crate) const fn new() -> Self {
        Self {
            version: 100,
            forgotten: 100,
            objects: BTreeMap::new(),
            past: VecDeque::new(),
            owners: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// Puts an object there, or removes it, under the next version, which it gets.
    pub(crate) fn change(&mut self, key: Key, after: Option<Value>) -> Arc<Change> {
        self.version += 1;
        let version = self.version;
        let after = after.map(|object| Arc::new(versioned(object, version)));
        let before = if let Some(object) = &after {
            self.objects.insert(key.clone(), Arc::clone(object))
        } else {
            self.owners.remove(&key);
            self.objects.remove(&key)
        };
        let change = Arc::new(Change { version, key, before, after });
        self.past.push_back(Arc::clone(&change));
        change
    }

    /// What happened to objects of a kind after a version; nothing if that is forgotten.
    pub(crate) fn since(&self, kind: usize, version: u64) -> Option<Vec<Arc<Change>>> {
        let changes = self.past.iter().filter(|change| change.key.0 == kind && change.version > version);
        (version >= self.forgotten).then(|| changes.cloned().collect())
    }

    /// The objects of a kind as they were at a version, in the order of their keys; nothing if that is forgotten.
    pub(crate) fn at(&self, kind: usize, version: u64) -> Option<BTreeMap<String, Arc<Value>>> {
        let mut objects: BTreeMap<String, Arc<Value>> = self
            .objects
            .range((kind, String::new())..(kind + 1, String::new()))
            .map(|((_, path), object)| (path.clone(), Arc::clone(object)))
            .collect();
        if version >= self.version {
            return Some(objects);
        }
        for change in self.since(kind, version)?.iter().rev() {
            match &change.before {
                Some(object) => objects.insert(change.key.1.clone(), Arc::clone(object)),
                None => objects.remove(&change.key.1),
            };
        }
        Some(objects)
    }

    /// Forgets what happened up to a version.
    pub(crate) fn forget(&mut self, version: u64) {
        self.forgotten = self.forgotten.max(version.min(self.version));
        while self.past.front().is_some_and(|change| change.version <= self.forgotten) {
            self.past.pop_front();
        }
    }
}

/// The object with this version.
pub(crate) fn versioned(mut object: Value, version: u64) -> Value {
    meta::set(&mut object, "resourceVersion", version.to_string());
    object
}
