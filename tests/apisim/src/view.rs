//! Views: what of an object a caller wants to see.

use serde_json::{Value, json};

use crate::{kind::Kind, meta, refusal::Refusal};

const META: &str = "meta.k8s.io/v1";

/// What a caller accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    Full,
    Metadata,
    MetadataList,
}

impl View {
    /// The first thing in the Accept header that is known here.
    pub(crate) fn of(accept: &str) -> Result<Self, Refusal> {
        if accept.is_empty() {
            return Ok(Self::Full);
        }
        accept.split(',').find_map(Self::one).ok_or_else(|| {
            let message = "only the following media types are accepted: application/json, application/yaml, \
                application/cbor, application/vnd.kubernetes.protobuf";
            Refusal::new(406, "NotAcceptable", message)
        })
    }

    fn one(entry: &str) -> Option<Self> {
        let mut parts = entry.split(';').map(str::trim);
        let media = parts.next()?;
        if !["application/json", "application/*", "*/*"].contains(&media) {
            return None;
        }
        match parts.find_map(|part| part.strip_prefix("as=")) {
            None => Some(Self::Full),
            Some("PartialObjectMetadata") => Some(Self::Metadata),
            Some("PartialObjectMetadataList") => Some(Self::MetadataList),
            Some(_) => None,
        }
    }

    /// One object, where one was asked for.
    pub(crate) fn object(self, object: &Value) -> Result<Value, Refusal> {
        match self {
            Self::Full => Ok(object.clone()),
            Self::Metadata => Ok(partial(object)),
            Self::MetadataList => {
                Err(Refusal::unexpected("you requested PartialObjectMetadataList, but the object is no list"))
            }
        }
    }

    /// One object of an event.
    pub(crate) fn event(self, object: &Value) -> Value {
        if self == Self::Full { object.clone() } else { partial(object) }
    }

    pub(crate) fn list<'a>(
        self,
        kind: &Kind,
        metadata: &Value,
        objects: impl Iterator<Item = &'a Value>,
    ) -> Result<Value, Refusal> {
        match self {
            Self::Full => {
                let items: Vec<Value> = objects.map(|object| item(kind, object)).collect();
                let name = format!("{}List", kind.name);
                Ok(
                    json!({"apiVersion": kind.api_version(), "kind": name, "metadata": metadata, "items": items}),
                )
            }
            Self::MetadataList => {
                let items: Vec<Value> = objects.map(partial).collect();
                // An empty list of metadata is null.
                let items = if items.is_empty() { Value::Null } else { items.into() };
                let name = "PartialObjectMetadataList";
                Ok(json!({"apiVersion": META, "kind": name, "metadata": metadata, "items": items}))
            }
            Self::Metadata => Err(Refusal::new(
                406,
                "NotAcceptable",
                "you requested PartialObjectMetadata, but the requested object is a list (*unstructured.UnstructuredList)",
            )),
        }
    }

    /// The object of a bookmark.
    pub(crate) fn bookmark(self, kind: &Kind, version: u64, ends_initial: bool) -> Value {
        let (name, api) = if self == Self::Full {
            (kind.name.as_str(), kind.api_version())
        } else {
            ("PartialObjectMetadata", META.to_owned())
        };
        let mut object =
            json!({"kind": name, "apiVersion": api, "metadata": {"resourceVersion": version.to_string()}});
        if ends_initial {
            meta::set(&mut object, "annotations", json!({"k8s.io/initial-events-end": "true"}));
        }
        object
    }
}

fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": object.get("metadata")})
}

/// What kube-apiserver itself serves does not say in a list what it is.
fn item(kind: &Kind, object: &Value) -> Value {
    let mut item = object.clone();
    if let Some(fields) = item.as_object_mut().filter(|_| !kind.is_custom()) {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    item
}
