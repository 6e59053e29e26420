//! What an object is called.
use std::fmt;

use saved_template_api::names::SAVED_TEMPLATE;

/// An object, by kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its kind, as Kubernetes spells it.
    pub kind: &'static str,
    /// Its namespace; empty where its kind has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The `SavedTemplate` of that name.
    pub fn template(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: SAVED_TEMPLATE, namespace: namespace.into(), name: name.into() }
    }
}

/// `namespace/name` of a `SavedTemplate`, as claims and counts have named it since the first version; else
/// `kind/namespace/name`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name } = self;
        if *kind == SAVED_TEMPLATE {
            write!(f, "{namespace}/{name}")
        } else {
            write!(f, "{kind}/{namespace}/{name}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_claims_and_counts_were_called_before_there_was_a_second_kind_they_are_called_still() {
        let key = Key::template("geo", "quake");
        assert_eq!(key.to_string(), "geo/quake");
        assert_eq!(
            Key { kind: "SavedTemplateClass", namespace: String::new(), ..key }.to_string(),
            "SavedTemplateClass//quake"
        );
    }
}
