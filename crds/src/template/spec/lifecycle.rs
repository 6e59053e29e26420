//! How long images stay.
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use super::default::one;

/// What EC2 itself does with the images over time.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Lifecycle {
    /// Days after which EC2 calls an image deprecated. The active revision never is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub deprecate_after_days: Option<i32>,

    /// Whether EC2 refuses to deregister the images.
    #[serde(default)]
    pub deregistration_protection: DeregistrationProtection,
}

/// Whether EC2 refuses to deregister the images.
#[derive(
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    EnumIter,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
)]
pub enum DeregistrationProtection {
    /// It does not.
    #[default]
    None,
    /// It does, until the protection is taken off.
    Enabled,
    /// It does, and for another 24 hours after the protection is taken off.
    EnabledWithCooldown,
}

/// Which older revisions are kept.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.keepLast) || self.keepAtLeast <= self.keepLast")
        .message("spec.retention.keepAtLeast must not be greater than spec.retention.keepLast")
)]
pub struct Retention {
    /// Revisions to keep; an older one goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub keep_last: Option<i32>,

    /// Days after which a revision goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub max_age_days: Option<i32>,

    /// Available revisions that stay, however old.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub keep_at_least: i32,

    /// What holds for a revision that machines still run on.
    #[serde(default)]
    pub in_use: InUse,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep_last: None, max_age_days: None, keep_at_least: one(), in_use: InUse::default() }
    }
}

/// What holds for a revision that machines still run on.
#[derive(
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    EnumIter,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
)]
pub enum InUse {
    /// It stays.
    #[default]
    Keep,
    /// It goes like any other.
    Ignore,
}
