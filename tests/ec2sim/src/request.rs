//! Calls and replies as plain data.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{clock::Millis, refusal::Refusal};

/// Parameters of the EC2 Query protocol: `InstanceId.1`, `Filter.1.Value.2`.
pub type Params = BTreeMap<String, String>;

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// `StopInstances`
    pub action: String,
    /// Its parameters.
    pub params: Params,
    /// Who signed it.
    pub access_key: String,
    /// The User-Agent header.
    pub agent: String,
}

impl Request {
    /// A call without parameters.
    pub fn new(action: &str) -> Self {
        Self { action: action.to_owned(), ..Self::default() }
    }

    /// The same call with one more parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    /// The same call by another caller.
    #[must_use]
    pub fn by(mut self, agent: &str) -> Self {
        agent.clone_into(&mut self.agent);
        self
    }

    /// The same call with another signature.
    #[must_use]
    pub fn signed_by(mut self, access_key: &str) -> Self {
        access_key.clone_into(&mut self.access_key);
        self
    }

    /// Whether it asks for permission only.
    pub fn is_dry_run(&self) -> bool {
        self.params.get("DryRun").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| Refusal::missing(name))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        self.get(name).map_or(Ok(false), |value| boolean(name, value))
    }

    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        list(&self.params, name)
    }
}

pub(crate) fn boolean(name: &str, value: &str) -> Result<bool, Refusal> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Refusal::value(format!("Invalid value '{value}' for {name}. Value is not a valid Boolean"))),
    }
}

/// The values of `Name.1`, `Name.2`, in the order of their numbers.
pub(crate) fn list(params: &Params, name: &str) -> Vec<String> {
    numbered(params, name).into_values().filter_map(|mut group| group.remove("")).collect()
}

/// `Name.1.Key` as the group 1 with the parameter `Key`; `Name.1` itself has the empty name.
pub(crate) fn numbered(params: &Params, name: &str) -> BTreeMap<u32, Params> {
    let mut groups: BTreeMap<u32, Params> = BTreeMap::new();
    for (key, value) in params {
        let Some(rest) = key.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) else {
            continue;
        };
        let (number, field) = rest.split_once('.').unwrap_or((rest, ""));
        if let Ok(number) = number.parse() {
            groups.entry(number).or_default().insert(field.to_owned(), value.clone());
        }
    }
    groups
}

/// What came of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, XML.
    pub body: String,
    /// EC2's code, if the call was refused.
    pub code: Option<String>,
    /// The ids that the call made or touched.
    pub ids: Vec<String>,
    /// Whether the connection is closed instead of an answer.
    pub is_closed: bool,
    /// How long the answer is held back.
    pub delay: Millis,
    /// A process to kill before the connection is closed.
    pub kill: Option<i32>,
    /// A process to put to sleep before the answer, and for how long.
    pub freeze: Option<(i32, Option<Millis>)>,
    /// Whether there is never an answer, nor an end of the connection.
    pub is_swallowed: bool,
    /// Whether the connection breaks in the middle of the body.
    pub breaks: bool,
    /// How much later the second half of the body arrives.
    pub drips: Option<Millis>,
    /// Another `Date` than the time of the answer.
    pub date: Option<String>,
}

impl Reply {
    /// The text of the first element of that name.
    pub fn text(&self, element: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!("<{element}>"))?;
        rest.split_once(&format!("</{element}>")).map(|(text, _)| text)
    }

    /// The texts of all elements of that name.
    pub fn texts(&self, element: &str) -> Vec<&str> {
        let end = format!("</{element}>");
        self.body
            .split(&format!("<{element}>"))
            .skip(1)
            .filter_map(|rest| rest.split_once(&end).map(|(text, _)| text))
            .collect()
    }
}
