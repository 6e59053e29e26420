//! What is about to be done to AWS, and what came of it: written before each change.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use strum::{EnumIter, IntoStaticStr};

use crate::{
    ids::Region,
    text::{cut, hex_digest},
};

/// Most regions whose last change is kept: home, and fifty more.
pub const MAX_ANNOUNCED: usize = 51;

/// Most bytes of the name of a step.
pub const MAX_STEP_BYTES: usize = 32;

/// Most bytes of what tells a request from others: there is one for each region.
pub const MAX_REQUEST_BYTES: usize = 96;

/// Most bytes of EC2's code for what it said of a change.
pub const MAX_CODE_BYTES: usize = 64;

/// Most bytes of what EC2 said of a change.
pub const MAX_OUTCOME_BYTES: usize = 160;

/// One change to AWS, written down before it is asked for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct Announced {
    /// Region that it goes to.
    pub region: Region,

    /// Number of the try: how often this very request was announced in a row.
    #[schemars(range(min = 0))]
    pub number: i64,

    /// Kind of the change: `StopInstances`, `CreateImage`.
    #[schemars(length(max = MAX_STEP_BYTES))]
    pub step: String,

    /// When it was announced, by EC2's clock.
    pub time: Time,

    /// What tells the request from others: its name, token, ids or record; a digest of what is long.
    #[serde(default)]
    #[schemars(length(max = MAX_REQUEST_BYTES))]
    pub request: String,

    /// What EC2 answered; absent while that is not known, or teaches nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<StepOutcome>,
}

impl Announced {
    /// The text of a request: as it is, or where it is long its beginning and a digest of all of it.
    pub fn request_text(whole: String) -> String {
        const SHOWN: usize = MAX_REQUEST_BYTES - 50;
        if whole.len() <= MAX_REQUEST_BYTES {
            return whole;
        }
        let (digest, bytes) = (hex_digest(&whole, 16), whole.len());
        format!("{} ({digest} of {bytes} bytes)", cut(whole, SHOWN))
    }

    /// What the version before wrote, where the schema took longer texts.
    fn shortened(self) -> Self {
        let outcome = self.outcome.map(|outcome| StepOutcome {
            code: outcome.code.map(|code| cut(code, MAX_CODE_BYTES)),
            message: outcome.message.map(|message| cut(message, MAX_OUTCOME_BYTES)),
            ..outcome
        });
        let step = cut(self.step, MAX_STEP_BYTES);
        Self { step, request: Self::request_text(self.request), outcome, ..self }
    }
}

/// The list; or one object, as the version before wrote it, which is kept where it says its region. A change at home, of
/// which it never did, is forgotten as by an etcd that comes back older.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Announced>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        List(Vec<Announced>),
        One(Box<Announced>),
        AtHome {},
    }
    Ok(match Stored::deserialize(deserializer)? {
        Stored::List(list) => list,
        Stored::One(one) => vec![one.shortened()],
        Stored::AtHome {} => Vec::new(),
    })
}

/// What EC2 answered to a change.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StepOutcome {
    /// What it means for the next try.
    pub result: StepResult,

    /// EC2's error code; of `FoundInState`, the state that the machine was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_CODE_BYTES))]
    pub code: Option<String>,

    /// EC2's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_OUTCOME_BYTES))]
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
