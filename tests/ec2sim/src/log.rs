//! What was called, and what came of it.

use serde::Serialize;

use crate::{clock::Millis, request::Params};

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// Its number, from 1.
    pub ordinal: u64,
    /// When it had its effect.
    pub at: Millis,
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// `StopInstances`
    pub action: String,
    /// Its parameters.
    pub params: Params,
    /// Whether it asked for permission only.
    pub dry_run: bool,
    /// Who signed it.
    pub access_key: String,
    /// The User-Agent header.
    pub agent: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The ids that it made or touched.
    pub ids: Vec<String>,
}

impl LogEntry {
    /// Whether it changed something: accepted, no dry run, no Describe or Get call, the answer lost or not.
    pub fn is_effective(&self) -> bool {
        !["Describe", "Get"].iter().any(|verb| self.action.starts_with(verb))
            && match &self.outcome {
                Outcome::Ok | Outcome::Lost { code: None } => !self.dry_run,
                Outcome::Refused { .. } | Outcome::Dropped | Outcome::Lost { code: Some(_) } => false,
            }
    }
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Outcome {
    /// It was accepted.
    Ok,
    /// It was refused.
    Refused {
        /// EC2's code.
        code: String,
    },
    /// It had no effect, and no answer.
    Dropped,
    /// It was carried out, and the answer was lost.
    Lost {
        /// EC2's code, if it was refused.
        code: Option<String>,
    },
}
