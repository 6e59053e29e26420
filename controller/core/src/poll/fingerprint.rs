//! What a sweep shows of each object, as one number: a number that moved wakes the object.
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::{
    key::Key,
    subscription::Subscription,
    world::{Tags, View},
};
use saved_template_api::names::{SAVED_TEMPLATE, tag};

/// The fingerprint of every object that wants something read. One pass over the view, not one per object.
pub fn fingerprints(view: &View, subscriptions: &BTreeMap<Key, Subscription>) -> BTreeMap<Key, u64> {
    let mut owned: BTreeMap<Key, u64> = BTreeMap::new();
    for image in view.images.as_deref().unwrap_or_default() {
        add(&mut owned, &image.tags, image);
    }
    for snapshot in view.snapshots.as_deref().unwrap_or_default() {
        add(&mut owned, &snapshot.tags, snapshot);
    }
    let instances = view.instances.as_deref().unwrap_or_default();
    let mut by_id: BTreeMap<&str, u64> = BTreeMap::new();
    let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
    for instance in instances {
        let print = hash(instance);
        by_id.insert(instance.id.as_str(), print);
        if let Some(name) = instance.tags.get("Name") {
            mix(by_name.entry(name).or_default(), print);
        }
    }
    let readable = (view.instances.is_ok(), view.images.is_ok(), view.snapshots.is_ok());
    let print = |key: &Key, subscription: &Subscription| {
        let ids: Vec<_> = subscription.instances.iter().map(|id| by_id.get(id.as_str())).collect();
        let names: Vec<_> = subscription.names.iter().map(|name| by_name.get(name.as_str())).collect();
        hash(&(owned.get(key), ids, names, readable))
    };
    subscriptions.iter().map(|(key, subscription)| (key.clone(), print(key, subscription))).collect()
}

fn add(owned: &mut BTreeMap<Key, u64>, tags: &Tags, thing: &impl Hash) {
    let is_of_template = tags.get(tag::KIND).is_none_or(|kind| kind == SAVED_TEMPLATE);
    if let (Some(namespace), Some(name), true) =
        (tags.get(tag::NAMESPACE), tags.get(tag::NAME), is_of_template)
    {
        mix(owned.entry(Key::template(namespace, name)).or_default(), hash(thing));
    }
}

/// The order in which EC2 lists things carries no meaning.
fn mix(sum: &mut u64, print: u64) {
    *sum = sum.wrapping_add(print);
}

fn hash(thing: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}
