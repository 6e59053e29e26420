//! Tags that images get.

use crate::template::spec::Tag;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use super::unknown::Unknown;

/// Tags that images get, and those that templates may add.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Tags {
    /// Tags that every image and snapshot gets; they win over the template's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".into()]))]
    pub forced: Vec<Tag>,

    /// Keys of the tags that a template may set; `*` in a key is any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 50),
        inner(length(min = 1, max = 128), regex(pattern = r"^[^\x00-\x1F\x7F]+$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_keys: Vec<String>,

    /// Tag with the name of the project that pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_tag: Option<ProjectTag>,

    /// Fields of a newer version.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}

/// Tag with the name of the project that pays.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "!self.key.lowerAscii().startsWith('aws:') && !self.key.lowerAscii().startsWith('savedtemplate.dev/')"
    )
    .message("spec.tags.projectTag.key must not begin with aws: or savedtemplate.dev/: choose another key")
)]
pub struct ProjectTag {
    /// Key of the tag.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[^\x00-\x1F\x7F]+$"))]
    pub key: String,

    /// Name that is its value.
    pub from: ProjectTagFrom,
}

/// Name that is the value of the project's tag.
#[derive(
    Serialize, Deserialize, JsonSchema, IntoStaticStr, EnumIter, Clone, Copy, Debug, PartialEq, Eq, Hash,
)]
pub enum ProjectTagFrom {
    /// That of the template's namespace.
    Namespace,
    /// The template's `projectName`.
    Spec,
}
