//! Calls: requests as far as their path, their query and their body say what they are.

use std::collections::BTreeMap;

use http::{HeaderMap, Method, header, request::Parts};
use serde_json::Value;

use crate::refusal::Refusal;

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// GET of one object.
    Get,
    /// GET of a collection.
    List,
    /// GET of what happens to a collection.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH of any kind.
    Patch,
    /// DELETE of one object.
    Delete,
}

/// A call, as a hook sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What it does.
    pub verb: Verb,
    /// The group of the resource; empty for the core.
    pub group: String,
    /// The version of the resource.
    pub version: String,
    /// The resource, in the plural.
    pub plural: String,
    /// The namespace; absent outside of namespaces and for all of them.
    pub namespace: Option<String>,
    /// The object; absent for collections.
    pub name: Option<String>,
    /// The subresource, such as `status`.
    pub subresource: Option<String>,
    /// The parameters after the `?`.
    pub query: BTreeMap<String, String>,
    /// What was sent; null where nothing was, or where it is no JSON.
    pub body: Value,
    pub(crate) accept: String,
    pub(crate) content_type: String,
    pub(crate) malformed: Option<String>,
}

impl Call {
    /// Reads a request.
    pub(crate) fn read(parts: &Parts, body: &[u8]) -> Result<Self, Refusal> {
        let place = Place::read(parts.uri.path()).ok_or_else(Refusal::no_such_path)?;
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let watches = query.get("watch").is_some_and(|value| value == "true" || value == "1");
        let verb = match (&parts.method, &place.name) {
            (&Method::GET, Some(_)) if watches => return Err(Refusal::not_built("watches of one path")),
            (&Method::GET, Some(_)) => Verb::Get,
            (&Method::GET, None) if watches => Verb::Watch,
            (&Method::GET, None) => Verb::List,
            (&Method::POST, None) => Verb::Create,
            (&Method::PUT, Some(_)) => Verb::Update,
            (&Method::PATCH, Some(_)) => Verb::Patch,
            (&Method::DELETE, Some(_)) => Verb::Delete,
            (&Method::DELETE, None) => return Err(Refusal::not_built("deletions of collections")),
            _ => return Err(Refusal::method_not_allowed()),
        };
        if query.contains_key("dryRun") {
            return Err(Refusal::not_built("dry runs"));
        }
        let (body, malformed) = match serde_json::from_slice(body) {
            Ok(body) => (body, None),
            Err(_) if body.is_empty() => (Value::Null, None),
            Err(error) => (Value::Null, Some(error.to_string())),
        };
        Ok(Self {
            verb,
            group: place.group,
            version: place.version,
            plural: place.plural,
            namespace: place.namespace,
            name: place.name,
            subresource: place.subresource,
            query,
            body,
            accept: header(&parts.headers, header::ACCEPT),
            content_type: header(&parts.headers, header::CONTENT_TYPE),
            malformed,
        })
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.param(name).is_some_and(|value| value == "true" || value == "1")
    }

    /// What was sent, where something must have been.
    pub(crate) fn sent(&self) -> Result<&Value, Refusal> {
        match &self.malformed {
            Some(error) => Err(Refusal::bad_request(format!("the body cannot be read: {error}"))),
            None => Ok(&self.body),
        }
    }
}

fn header(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// What a path names.
struct Place {
    group: String,
    version: String,
    plural: String,
    namespace: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
}

impl Place {
    fn read(path: &str) -> Option<Self> {
        let mut parts = path.split('/').filter(|part| !part.is_empty()).map(str::to_owned);
        let group = match parts.next()?.as_str() {
            "api" => String::new(),
            "apis" => parts.next()?,
            _ => return None,
        };
        let version = parts.next()?;
        let rest: Vec<String> = parts.collect();
        let (namespace, rest) = match rest.as_slice() {
            [first, namespace, rest @ ..] if first == "namespaces" && is_inside(rest) => {
                (Some(namespace.clone()), rest.to_vec())
            }
            _ => (None, rest),
        };
        let mut rest = rest.into_iter();
        let place = Self {
            group,
            version,
            plural: rest.next()?,
            namespace,
            name: rest.next(),
            subresource: rest.next(),
        };
        rest.next().is_none().then_some(place)
    }
}

/// Whether what follows a namespace is something in it, and not a part of the namespace itself.
fn is_inside(rest: &[String]) -> bool {
    rest.first().is_some_and(|plural| plural != "status" && plural != "finalize")
}
