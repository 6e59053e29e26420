//! Restart records on their way to EC2 and back: signed when they are written, and read without their signature where they
//! are authentic. The rest of the program knows no signatures.
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use saved_template_api::ids::{InstanceId, Region};

use crate::{
    restart::Signing,
    world::{Instance, Tags},
};

/// How the records of the installation are signed, and what was read of them in one region.
pub struct Records {
    signing: Signing,
    region: Region,
    /// The signed records as EC2 shows them: a tag is removed by its exact value.
    signed: Mutex<BTreeMap<InstanceId, String>>,
}

impl Records {
    /// Nothing was read yet.
    pub fn new(signing: Signing, region: Region) -> Self {
        Self { signing, region, signed: Mutex::default() }
    }

    fn signed(&self) -> MutexGuard<'_, BTreeMap<InstanceId, String>> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine as the program sees it.
    pub fn read(&self, mut instance: Instance) -> Instance {
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
    pub fn write(&self, mut tags: Tags) -> Tags {
        if let Some(record) = tags.get_mut(self.signing.debt_key()) {
            *record = self.signing.write(&self.region, record);
        }
        tags
    }

    /// The value by which a record is removed: that which was read last, or what would be written.
    pub fn written(&self, instance: &InstanceId, key: &str, record: &str) -> String {
        if key != self.signing.debt_key() {
            return record.to_owned();
        }
        let shown = self.signed().get(instance).cloned();
        let shown = shown.filter(|value| self.signing.read(&self.region, key, value) == record);
        shown.unwrap_or_else(|| self.signing.write(&self.region, record))
    }
}
