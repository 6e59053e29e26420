//! Which machines may be saved.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use super::{permission::Permission, unknown::Unknown};

/// Machines that may be saved.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.tags) || self.match == 'Tagged'")
        .message("spec.instances.tags are asked for only with match Tagged: set it or remove the tags")
)]
pub struct Instances {
    /// Machines that the class covers.
    #[serde(rename = "match", default)]
    pub matches: InstanceMatch,

    /// Tags that a machine must have, each of them; `${namespace}` in a value is the template's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".into()]))]
    pub tags: Vec<SelectorTag>,

    /// Permission to name a machine by its tag `Name`. Absent means `Allow` with `match: Any`, else `Forbid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_name: Option<Permission>,

    /// Fields of a newer version.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}

/// Machines that a class covers.
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
pub enum InstanceMatch {
    /// Those that have every tag of `tags`; without `tags`, none. Not enforced in this version: such a class is not Ready.
    #[default]
    Tagged,
    /// All.
    Any,
}

/// One tag that is asked for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SelectorTag {
    /// Key of the tag.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[^\x00-\x1F\x7F]+$"))]
    pub key: String,

    /// Value of the tag.
    #[schemars(length(max = 256), regex(pattern = r"^[^\x00-\x1F\x7F]*$"))]
    pub value: String,
}
