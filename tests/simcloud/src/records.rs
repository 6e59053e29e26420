//! Restart records on their way to EC2 and back, signed and read as the client of the product does.
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use saved_template_api::ids::{InstanceId, Region};
use saved_template_core::{
    restart::Signing,
    world::{Instance, Tags},
};

/// What was read of the records of one region.
pub(crate) struct Records {
    signing: Signing,
    region: Region,
    /// The signed records as EC2 shows them: a tag is removed by its exact value.
    signed: Mutex<BTreeMap<InstanceId, String>>,
}

impl Records {
    pub(crate) fn new(signing: Signing, region: Region) -> Self {
        Self { signing, region, signed: Mutex::default() }
    }

    fn signed(&self) -> MutexGuard<'_, BTreeMap<InstanceId, String>> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine as the program sees it.
    pub(crate) fn read(&self, mut instance: Instance) -> Instance {
        let mut signed = None;
        for (key, value) in &mut instance.tags {
            let read = self.signing.read(&self.region, key, value);
            if *key == self.signing.debt_key() && read != *value {
                signed = Some(value.clone());
            }
            *value = read;
        }
        match signed {
            Some(value) => self.signed().insert(instance.id.clone(), value),
            None => self.signed().remove(&instance.id),
        };
        instance
    }

    /// The tags as they are written.
    pub(crate) fn write(&self, mut tags: Tags) -> Tags {
        if let Some(record) = tags.get_mut(self.signing.debt_key()) {
            *record = self.signing.write(&self.region, record);
        }
        tags
    }

    /// The value by which a record is removed: that which was read last, or what would be written.
    pub(crate) fn written(&self, instance: &InstanceId, key: &str, record: &str) -> String {
        if key != self.signing.debt_key() {
            return record.to_owned();
        }
        let shown = self.signed().get(instance).cloned();
        let shown = shown.filter(|value| self.signing.read(&self.region, key, value) == record);
        shown.unwrap_or_else(|| self.signing.write(&self.region, record))
    }
}
