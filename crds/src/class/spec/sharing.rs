//! Who may be let in, and where ids may be made known.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use super::{permission::Permission, unknown::Unknown};

/// Those whom templates may share images with.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Sharing {
    /// Permission to share with everybody. Absent means `Forbid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<Permission>,

    /// AWS accounts; `*` means every account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1000), inner(length(max = 12), regex(pattern = r"^(\*|\d{12})$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_accounts: Vec<String>,

    /// Organizations; `*` means every organization.
    #[serde(rename = "allowedOrganizationARNs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 20),
        inner(
            length(max = 128),
            regex(
                pattern = r"^(\*|arn:aws(-[a-z]+)*:organizations::\d{12}:organization/o-[a-z0-9]{10,32})$"
            )
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_organization_arns: Vec<String>,

    /// Organizational units; `*` means every unit.
    #[serde(rename = "allowedOrganizationalUnitARNs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 20),
        inner(
            length(max = 192),
            regex(
                pattern = r"^(\*|arn:aws(-[a-z]+)*:organizations::\d{12}:ou/o-[a-z0-9]{10,32}/ou-[0-9a-z]{4,32}-[0-9a-z]{8,32})$"
            )
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_organizational_unit_arns: Vec<String>,

    /// Word of somebody, for each revision, that it holds no secrets. Absent means `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hygiene: Option<Hygiene>,

    /// Fields of a newer version.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}

/// What somebody must have said of a revision before it is shared.
#[derive(
    Serialize, Deserialize, JsonSchema, IntoStaticStr, EnumIter, Clone, Copy, Debug, PartialEq, Eq, Hash,
)]
pub enum Hygiene {
    /// Nothing.
    None,
    /// That it holds no secrets.
    Required,
}

/// Places where templates may publish ids.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Publish {
    /// Beginnings of names of SSM parameters, each with a slash at its end; `*` means every name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 20),
        inner(length(max = 512), regex(pattern = r"^(\*|[A-Za-z0-9_./-]*/)$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub ssm_parameter_prefixes: Vec<String>,

    /// Permission to publish in a `ConfigMap`. Absent means `Forbid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<Permission>,

    /// Fields of a newer version.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}
