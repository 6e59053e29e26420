//! What a newer version wrote into a class: older controllers run beside its CRD, after a rollback or during an upgrade.

use std::collections::BTreeMap;

/// Fields of one part of a class that this version does not know, with their values. The schema does not have them.
pub type Unknown = BTreeMap<String, serde_json::Value>;
