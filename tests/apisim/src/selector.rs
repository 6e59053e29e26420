//! Selectors: which objects a list or a watch is about.

use serde_json::Value;

use crate::{call::Call, kind::Kind, meta, refusal::Refusal};

/// What picks objects.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    namespace: Option<String>,
    labels: Vec<Term>,
    fields: Vec<Term>,
}

#[derive(Clone, Debug)]
struct Term {
    key: String,
    value: String,
    equal: bool,
}

impl Selector {
    pub(crate) fn read(kind: &Kind, call: &Call) -> Result<Self, Refusal> {
        let labels = terms(call.param("labelSelector"))?;
        let fields = terms(call.param("fieldSelector"))?;
        let is_known = |term: &&Term| match term.key.as_str() {
            "metadata.name" => true,
            "metadata.namespace" => kind.is_namespaced(),
            other => kind.selectable.iter().any(|field| field == other),
        };
        if let Some(term) = fields.iter().find(|term| !is_known(term)) {
            return Err(Refusal::bad_request(format!("field label not supported: {}", term.key)));
        }
        Ok(Self { namespace: call.namespace.clone(), labels, fields })
    }

    /// Whether it picks by labels or fields.
    pub(crate) fn is_selective(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }

    pub(crate) fn picks(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"].get("labels").and_then(|labels| labels.get(key)?.as_str());
        let here = |namespace: &String| meta::text(object, "namespace") == namespace;
        // What is not there is selected as an empty text.
        let field = |key: &str| {
            object.pointer(&format!("/{}", key.replace('.', "/"))).and_then(Value::as_str).unwrap_or_default()
        };
        self.namespace.as_ref().is_none_or(here)
            && self.labels.iter().all(|term| (label(&term.key) == Some(&*term.value)) == term.equal)
            && self.fields.iter().all(|term| (field(&term.key) == term.value) == term.equal)
    }
}

fn terms(text: Option<&str>) -> Result<Vec<Term>, Refusal> {
    text.into_iter().flat_map(|text| text.split(',')).map(term).collect()
}

fn term(text: &str) -> Result<Term, Refusal> {
    let (key, value, equal) = if let Some((key, value)) = text.split_once("!=") {
        (key, value, false)
    } else if let Some((key, value)) = text.split_once("==") {
        (key, value, true)
    } else if let Some((key, value)) = text.split_once('=') {
        (key, value, true)
    } else {
        return Err(Refusal::not_built("selectors but equality"));
    };
    if key.contains(['(', ' ', '!']) || value.contains(['(', ')', ' ']) {
        return Err(Refusal::not_built("selectors but equality"));
    }
    Ok(Term { key: key.to_owned(), value: value.to_owned(), equal })
}
