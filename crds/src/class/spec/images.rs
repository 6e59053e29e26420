//! Which images may be adopted, how those that are made are called, marked and encrypted.

use crate::ids::{AccountId, Region};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use super::{instances::SelectorTag, unknown::Unknown};

/// Images that may be adopted, and names of those that are made.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.tags) || (has(self.match) && self.match == 'Tagged')")
        .message("spec.images.tags are asked for only with match Tagged: set it or remove the tags")
)]
pub struct Images {
    /// Images that `source.imageID` of a template may name. Absent means `None`.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<ImageMatch>,

    /// Tags that such an image must have, each of them; `${namespace}` in a value is the template's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".into()]))]
    pub tags: Vec<SelectorTag>,

    /// Other accounts whose shared images it may name; those are copied, never changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub owners: Vec<AccountId>,

    /// Text before the template's name in the name of every image; `${namespace}` in it is the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 88), regex(pattern = r"^([A-Za-z0-9()./_-]|\$\{namespace\})+$"))]
    pub name_prefix: Option<String>,

    /// Images of ours that a new template may take over. Absent means `Known`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,

    /// Fields of a newer version.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}

/// Images that a template may name.
#[derive(
    Serialize, Deserialize, JsonSchema, IntoStaticStr, EnumIter, Clone, Copy, Debug, PartialEq, Eq, Hash,
)]
pub enum ImageMatch {
    /// None.
    None,
    /// Those that have every tag of `tags`.
    Tagged,
    /// All of this account and of `owners`.
    Any,
}

/// Images of ours that a new template may take over.
#[derive(
    Serialize, Deserialize, JsonSchema, IntoStaticStr, EnumIter, Clone, Copy, Debug, PartialEq, Eq, Hash,
)]
pub enum Adoption {
    /// None.
    Forbid,
    /// Those that a status names, or a receipt on the machine.
    Known,
    /// All with its cluster, namespace, name and source.
    Allow,
}

/// Watermarks of the images that are made.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Watermarks {
    /// Watermarks that every image gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 5), inner(length(min = 1, max = 128), regex(pattern = "^[ -~]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub attach: Vec<String>,

    /// What happens to the watermarks of the image that the machine was launched from. Absent means `Detach`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited: Option<InheritedWatermarks>,

    /// Fields of a newer version.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}

/// What happens to watermarks that an image inherits.
#[derive(
    Serialize, Deserialize, JsonSchema, IntoStaticStr, EnumIter, Clone, Copy, Debug, PartialEq, Eq, Hash,
)]
pub enum InheritedWatermarks {
    /// They are taken off: they approved the image of before, not what was installed since.
    Detach,
    /// They stay.
    Keep,
}

/// One KMS key that templates may name.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.keyARN == '*' || self.keyARN.contains(':kms:' + self.region + ':')")
        .message("spec.kmsKeys: a key is used in its own region only, name that one")
)]
pub struct KmsKey {
    /// Region of the key.
    pub region: Region,

    /// ARN of the key; `*` means every key of the region.
    #[serde(rename = "keyARN")]
    #[schemars(
        length(max = 160),
        regex(pattern = r"^(\*|arn:aws(-[a-z]+)*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+)$")
    )]
    pub key_arn: String,
}
