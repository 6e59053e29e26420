//! Refusals: the Status that comes instead of an object.

use serde_json::{Map, Value, json};

use crate::{
    json::place,
    kind::{Kind, qualified},
};

/// A reply that is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) details: Value,
    /// How an expired list is gone on with.
    pub(crate) token: Option<String>,
}

/// What is wrong with one field.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
}

impl Cause {
    pub(crate) fn invalid(field: impl Into<String>, value: &str, why: &str) -> Self {
        let message = format!("Invalid value: {value}: {why}");
        Self { reason: "FieldValueInvalid", field: field.into(), message }
    }

    pub(crate) fn required(field: impl Into<String>, why: &str) -> Self {
        let message = format!("Required value: {why}");
        Self { reason: "FieldValueRequired", field: field.into(), message }
    }

    pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> Self {
        let message = format!("Forbidden: {why}");
        Self { reason: "FieldValueForbidden", field: field.into(), message }
    }

    fn value(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }

    fn text(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

impl Refusal {
    /// A refusal with this code, reason and message, such as 429, `TooManyRequests`.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), details: Value::Null, token: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// What kube-apiserver did not think of: its reply has no reason.
    pub(crate) fn unexpected(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    pub(crate) fn not_built(what: &str) -> Self {
        Self::new(501, "NotImplemented", format!("apisim does not know {what} yet"))
    }

    /// A path that nothing serves: the reply is no Status.
    pub(crate) fn no_such_path() -> Self {
        Self::new(404, "", "404 page not found\n")
    }

    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} {name:?} not found", kind.resource());
        Self::new(404, "NotFound", message).about(kind, name)
    }

    pub(crate) fn already_exists(kind: &Kind, name: &str, is_being_deleted: bool) -> Self {
        let going = if is_being_deleted { "object is being deleted: " } else { "" };
        let message = format!("{going}{} {name:?} already exists", kind.resource());
        Self::new(409, "AlreadyExists", message).about(kind, name)
    }

    pub(crate) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.resource());
        Self::new(409, "Conflict", message).about(kind, name)
    }

    /// A conflict that names the kind instead of the resource, as deletions do.
    pub(crate) fn conflict_with_kind(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {why}",
            qualified(&kind.name, &kind.group)
        );
        Self { details: details(name, &kind.group, &kind.name, &[]), ..Self::new(409, "Conflict", message) }
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self { details: json!({}), ..Self::new(405, "MethodNotAllowed", message) }
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// A refusal of an object whose fields are not as they must be; `kind` is what the details call it.
    pub(crate) fn invalid(kind: &str, group: &str, name: &str, causes: &[Cause]) -> Self {
        let texts: Vec<String> = causes.iter().map(Cause::text).collect();
        let list = if let [one] = texts.as_slice() { one.clone() } else { format!("[{}]", texts.join(", ")) };
        let message = format!("{} {name:?} is invalid: {list}", qualified(kind, group));
        let causes: Vec<Value> = causes.iter().map(Cause::value).collect();
        Self { details: details(name, group, kind, &causes), ..Self::new(422, "Invalid", message) }
    }

    pub(crate) fn with_cause(mut self, cause: &Cause) -> Self {
        if let Some(details) = self.details.as_object_mut() {
            details.insert("causes".to_owned(), json!([cause.value()]));
        }
        self
    }

    pub(crate) fn about(self, kind: &Kind, name: &str) -> Self {
        Self { details: details(name, &kind.group, &kind.plural, &[]), ..self }
    }

    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            place(&mut status, &["reason"], self.reason.as_str());
        }
        if !self.details.is_null() {
            place(&mut status, &["details"], self.details.clone());
        }
        if let Some(token) = &self.token {
            place(&mut status, &["metadata", "continue"], token.as_str());
        }
        status
    }
}

/// The details of a Status; what is empty is not written.
pub(crate) fn details(name: &str, group: &str, kind: &str, causes: &[Value]) -> Value {
    let texts = [("name", name), ("group", group), ("kind", kind)];
    let mut details: Map<String, Value> = texts
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(key, text)| (key.to_owned(), text.into()))
        .collect();
    if !causes.is_empty() {
        details.insert("causes".to_owned(), causes.into());
    }
    details.into()
}
