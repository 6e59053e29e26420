//! Who the controller is in AWS for the templates of a class.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unknown::Unknown;

/// AWS role that is assumed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// ARN of the role.
    #[serde(rename = "roleARN")]
    #[schemars(
        length(max = 640),
        regex(pattern = r"^arn:aws(-[a-z]+)*:iam::\d{12}:role/[A-Za-z0-9+=,.@_/-]+$")
    )]
    pub role_arn: String,

    /// External ID that the role's trust policy asks for.
    #[serde(rename = "externalID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224), regex(pattern = r"^[A-Za-z0-9_+=,.@:/-]+$"))]
    pub external_id: Option<String>,

    /// Fields of a newer version.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}
