//! What is about to be done to AWS, and what came of it: written before each change.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use crate::ids::Region;

/// One change to AWS, written down before it is asked for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Announced {
    /// Number of the try: how often this very request was announced in a row.
    #[schemars(range(min = 0))]
    pub number: i64,

    /// Kind of the change: `StopInstances`, `CreateImage`.
    #[schemars(length(max = 64))]
    pub step: String,

    /// When it was announced, by EC2's clock.
    pub time: Time,

    /// What tells the request from others: its name, token, ids or record; a digest of what is long.
    #[serde(default)]
    #[schemars(length(max = 2048))]
    pub request: String,

    /// Region that it goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,

    /// What EC2 answered; absent while that is not known, or teaches nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<StepOutcome>,
}

/// What EC2 answered to a change.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StepOutcome {
    /// What it means for the next try.
    pub result: StepResult,

    /// EC2's error code; of `FoundInState`, the state that the machine was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub code: Option<String>,

    /// EC2's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub message: Option<String>,
}

/// What an answer means for the next try.
#[derive(
    Serialize, Deserialize, JsonSchema, IntoStaticStr, EnumIter, Clone, Copy, Debug, PartialEq, Eq, Hash,
)]
pub enum StepResult {
    /// EC2 took it.
    Accepted,
    /// EC2 took it, and the machine was in another state than `running` already.
    FoundInState,
    /// Too many requests: it is tried again.
    Throttled,
    /// The thing is busy, or the call was held back: it is tried again.
    Waiting,
    /// EC2 has no room for it now.
    NoCapacity,
    /// Permissions, credentials or the account do not allow it.
    Denied,
    /// The name of the image is in use.
    NameTaken,
    /// The client token was used for something else.
    TokenUsed,
    /// EC2 does not know what it is about.
    NotFound,
    /// EC2 refused it for another reason, which its code tells.
    Refused,
    /// The answer was lost, or says nothing: it may have been done.
    Unknown,
}
