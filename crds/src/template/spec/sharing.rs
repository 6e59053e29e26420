//! Who may use the images.
use crate::ids::AccountId;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

/// Who may launch the images.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Sharing {
    /// Whether everybody may launch them.
    #[serde(default)]
    pub visibility: Visibility,

    /// AWS accounts that may launch them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub accounts: Vec<AccountId>,

    /// Organizations whose accounts may launch them.
    #[serde(rename = "organizationARNs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 20),
        inner(
            length(max = 128),
            regex(pattern = r"^arn:aws(-[a-z]+)*:organizations::\d{12}:organization/o-[a-z0-9]{10,32}$")
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub organization_arns: Vec<String>,

    /// Organizational units whose accounts may launch them.
    #[serde(rename = "organizationalUnitARNs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 20),
        inner(
            length(max = 192),
            regex(
                pattern = r"^arn:aws(-[a-z]+)*:organizations::\d{12}:ou/o-[a-z0-9]{10,32}/ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}$"
            )
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub organizational_unit_arns: Vec<String>,

    /// Whether they may read the snapshots too, which copying an image needs.
    #[serde(default)]
    pub snapshot_access: SnapshotAccess,
}

/// Whether everybody may launch the images.
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
pub enum Visibility {
    /// Only the owner and those listed.
    #[default]
    Private,
    /// Everybody.
    Public,
}

/// Who may read the snapshots of an image.
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
pub enum SnapshotAccess {
    /// Nobody else.
    #[default]
    None,
    /// The accounts that may launch the image.
    SameAccounts,
}
