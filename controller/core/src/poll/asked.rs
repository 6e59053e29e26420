//! All that anybody wants read of one region.
use std::collections::{BTreeMap, BTreeSet};

use crate::{key::Key, ownership::Ownership, subscription::Subscription};

/// All that anybody wants read of the region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Ids of instances.
    pub instances: BTreeSet<String>,
    /// `Name` tags of instances.
    pub names: BTreeSet<String>,
    /// Ids of images.
    pub image_ids: BTreeSet<String>,
    /// Names of images.
    pub image_names: BTreeSet<String>,
    /// Objects of which nothing is expected to be left, by the key of their absence.
    pub emptied: BTreeMap<String, Ownership>,
    /// Volumes whose snapshots are read without tags.
    pub volumes: BTreeSet<String>,
    /// Whether images are read.
    pub images: bool,
    /// Whether snapshots are read.
    pub snapshots: bool,
}

impl Asked {
    /// What these objects want.
    pub fn by<'i>(subscriptions: impl Iterator<Item = (&'i Key, &'i Subscription)>) -> Self {
        let mut asked = Self::default();
        for (key, subscription) in subscriptions {
            if let Some(ownership) = &subscription.emptied {
                asked.emptied.insert(key.to_string(), ownership.clone());
            }
            asked.image_ids.extend(subscription.images.iter().map(ToString::to_string));
            asked.instances.extend(subscription.instances.iter().map(ToString::to_string));
            asked.names.extend(subscription.names.iter().cloned());
            asked.image_names.extend(subscription.image_names.iter().cloned());
            asked.volumes.extend(subscription.volumes.iter().map(ToString::to_string));
            asked.images = true;
            asked.snapshots |= subscription.snapshots;
        }
        asked
    }

    /// Whether a sweep that was asked for this shows all that `subscription` names.
    pub fn covers(&self, subscription: &Subscription) -> bool {
        let all = |asked: &BTreeSet<String>, wanted: Vec<&str>| wanted.iter().all(|one| asked.contains(*one));
        self.images
            && (self.snapshots || !subscription.snapshots)
            && all(&self.instances, subscription.instances.iter().map(AsRef::as_ref).collect())
            && all(&self.names, subscription.names.iter().map(String::as_str).collect())
            && all(&self.image_ids, subscription.images.iter().map(AsRef::as_ref).collect())
            && all(&self.image_names, subscription.image_names.iter().map(String::as_str).collect())
            && all(&self.volumes, subscription.volumes.iter().map(AsRef::as_ref).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{made, running};

    fn of(subscription: &Subscription) -> Asked {
        let key = Key::template("geo", "quake");
        Asked::by([(&key, subscription)].into_iter())
    }

    #[test]
    fn a_sweep_shows_an_object_no_less_than_it_wants() {
        let whole = || Subscription {
            instances: vec![running().id],
            names: vec!["lab".into()],
            images: vec![made().id],
            image_names: vec!["quake-r1".into()],
            volumes: vec!["vol-00000000000000001".parse().unwrap()],
            snapshots: true,
            ..Subscription::default()
        };
        assert!(of(&whole()).covers(&whole()) && of(&whole()).covers(&Subscription::default()));
        assert!(!Asked::default().covers(&Subscription::default()), "nobody asked for images");
        let lacks: [fn(&mut Subscription); 6] = [
            |one| one.instances.clear(),
            |one| one.names.clear(),
            |one| one.images.clear(),
            |one| one.image_names.clear(),
            |one| one.volumes.clear(),
            |one| one.snapshots = false,
        ];
        for (number, lack) in lacks.into_iter().enumerate() {
            let mut less = whole();
            lack(&mut less);
            assert!(!of(&less).covers(&whole()), "{number}");
            assert!(of(&whole()).covers(&less), "{number}");
        }
    }
}
