//! What an administrator allows.

use crate::class::status::SavedTemplateClassStatus;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

mod auth;
mod described;
mod images;
mod instances;
mod limits;
mod not_enforced;
mod permission;
mod selector;
mod sharing;
mod tags;
mod unknown;

pub use auth::Auth;
pub use images::{Adoption, ImageMatch, Images, InheritedWatermarks, KmsKey, Watermarks};
pub use instances::{InstanceMatch, Instances, SelectorTag};
pub use limits::{Defaults, InstanceSize, Launch, Limits};
pub use permission::{Permission, WILDCARD};
pub use selector::NamespaceSelector;
pub use sharing::{Hygiene, Publish, Sharing};
pub use tags::{ProjectTag, ProjectTagFrom, Tags};
pub use unknown::Unknown;

/// Guard rails for the templates that name the class: absent allows nothing, `*` allows all.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "savedtemplate.dev",
    version = "v1alpha1",
    kind = "SavedTemplateClass",
    plural = "savedtemplateclasses",
    singular = "savedtemplateclass",
    shortname = "stplclass",
    category = "savedtemplates",
    status = "SavedTemplateClassStatus",
    derive = "PartialEq",
    doc = "An administrator's guard rails for the templates that name it: which namespaces, machines and regions.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    ),
    validation = Rule::new("size(self.metadata.name) <= 63 && !self.metadata.name.contains('.')")
        .message(
            "metadata.name must be a DNS label of at most 63 characters: spec.className of a template takes no other"
        )
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = crate::schema::refine, transform = described::tell)]
#[x_kube(
    validation = Rule::new("has(self.auth) == has(oldSelf.auth)")
        .message(
            "spec.auth may be neither added nor removed: images and stopped machines are in the account of before; create \
             another class"
        ),
    validation = Rule::new(
        "!has(self.auth) || !has(oldSelf.auth) || \
         self.auth.roleARN.split(':')[4] == oldSelf.auth.roleARN.split(':')[4]"
    )
    .message("spec.auth.roleARN may change only within its account: create another class for another account"),
    validation = Rule::new("!self.allowedRegions.exists(r, r == '*') || size(self.allowedRegions) == 1")
        .message("spec.allowedRegions: * allows every region, remove it or the others")
)]
pub struct SavedTemplateClassSpec {
    /// Namespaces whose templates may name the class; `{}` means every namespace.
    #[schemars(schema_with = "selector::schema")]
    pub namespace_selector: NamespaceSelector,

    /// AWS role that is assumed for the templates of the class. Absent means the controller's own identity. It may
    /// change within its account, and be neither added nor removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,

    /// Machines that may be saved; absent allows none.
    #[serde(default)]
    pub instances: Instances,

    /// Images that may be adopted, and names of those that are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Images>,

    /// Watermarks of the images that are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermarks: Option<Watermarks>,

    /// Regions that templates may name, their home region included; `*` alone means every region.
    #[schemars(
        length(max = 40),
        inner(length(max = 24), regex(pattern = r"^(\*|([a-z]{2}|[a-z]{4})(-[a-z]+)+-\d)$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_regions: Vec<String>,

    /// KMS keys that templates may name, compared after an id or an alias is resolved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["region".into(), "keyARN".into()]))]
    pub kms_keys: Vec<KmsKey>,

    /// Those whom templates may share images with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Sharing>,

    /// Places where templates may publish ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Publish>,

    /// Tags that images get, and those that templates may add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,

    /// Values of fields that a template leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Defaults>,

    /// Words for those who launch the images; nothing here launches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<Launch>,

    /// Bounds of what templates may ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// Fields of a newer version.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}
