//! Writes: objects that are created, replaced and patched.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    apply,
    call::{Call, Verb},
    json::place,
    kind::Kind,
    meta,
    refusal::{Cause, Refusal},
    state::State,
    store::{Key, path},
};

const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// One call that writes.
pub(crate) struct Turn<'a> {
    pub(crate) kinds: &'a [Kind],
    pub(crate) index: usize,
    pub(crate) kind: &'a Kind,
    pub(crate) state: &'a mut State,
    pub(crate) call: &'a Call,
    pub(crate) now: Timestamp,
}

/// An object as it was written, and whether it is new.
pub(crate) struct Written {
    pub(crate) object: Value,
    pub(crate) created: bool,
}

impl Turn<'_> {
    pub(crate) fn key(&self, name: &str) -> Key {
        (self.index, path(self.call.namespace.as_deref(), name))
    }

    pub(crate) fn name(&self) -> &str {
        self.call.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn there(&self) -> Result<Value, Refusal> {
        let object = self.state.store.get(&self.key(self.name()));
        object.map(|object| object.as_ref().clone()).ok_or_else(|| Refusal::not_found(self.kind, self.name()))
    }

    /// POST.
    pub(crate) fn create(&mut self) -> Result<Written, Refusal> {
        let object = self.decoded(self.call.sent()?.clone())?;
        self.insert(object)
    }

    /// PUT.
    pub(crate) fn replace(&mut self) -> Result<Written, Refusal> {
        let object = self.decoded(self.call.sent()?.clone())?;
        self.check_name(&object)?;
        let Ok(old) = self.there() else {
            if self.kind.upsert && self.call.subresource.is_none() {
                return self.insert(object);
            }
            return Err(Refusal::not_found(self.kind, self.name()));
        };
        self.update(object, &old).map(|object| Written { object, created: false })
    }

    /// What was sent, as an object of this kind and this namespace.
    pub(crate) fn decoded(&self, mut object: Value) -> Result<Value, Refusal> {
        meta::tidy(&mut object)?;
        let expected = self.kind.api_version();
        for (field, expected) in [("apiVersion", expected.as_str()), ("kind", &self.kind.name)] {
            match object.get(field).and_then(Value::as_str).unwrap_or_default() {
                "" if self.kind.is_custom() => {
                    let message = format!("Object '{field}' is missing in the body");
                    return Err(Refusal::bad_request(message));
                }
                "" => place(&mut object, &[field], expected),
                found if found == expected => {}
                found if field == "kind" && self.kind.is_custom() => {
                    let cause = Cause::invalid("kind", &format!("{found:?}"), &format!("must be {expected}"));
                    let name = meta::text(&object, "name");
                    return Err(Refusal::invalid(found, &self.kind.group, name, &[cause]));
                }
                found if field == "kind" => {
                    let Kind { name, version, .. } = self.kind;
                    let message = format!("{found} in version {version:?} cannot be handled as a {name}");
                    return Err(Refusal::bad_request(message));
                }
                found => {
                    let message = format!(
                        "the API version in the data ({found}) does not match the expected API version ({expected})"
                    );
                    return Err(Refusal::bad_request(message));
                }
            }
        }
        let (of_object, of_call) =
            (meta::text(&object, "namespace"), self.call.namespace.as_deref().unwrap_or_default());
        if !of_object.is_empty() && of_object != of_call {
            let message =
                "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Refusal::bad_request(message));
        }
        if !of_call.is_empty() {
            meta::set(&mut object, "namespace", of_call);
        }
        Ok(object)
    }

    pub(crate) fn check_name(&self, object: &Value) -> Result<(), Refusal> {
        let (found, name) = (meta::text(object, "name"), self.name());
        if found.is_empty() {
            let message = format!(
                "the name of the object ({name} based on URL) was undeterminable: name must be provided"
            );
            return Err(Refusal::bad_request(message));
        }
        if found != name {
            let message =
                format!("the name of the object ({found}) does not match the name on the URL ({name})");
            return Err(Refusal::bad_request(message));
        }
        Ok(())
    }

    pub(crate) fn insert(&mut self, mut object: Value) -> Result<Written, Refusal> {
        self.check_namespace(meta::text(&object, "name"))?;
        if meta::version(&object)? != 0 && self.call.verb == Verb::Create {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Refusal::unexpected(message));
        }
        let base = meta::text(&object, "generateName").to_owned();
        if meta::text(&object, "name").is_empty() && !base.is_empty() {
            let name = format!("{base}{}", self.state.suffix());
            meta::set(&mut object, "name", name);
        }
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion"] {
            meta::unset(&mut object, field);
        }
        let uid = self.state.uid();
        meta::set(&mut object, "uid", uid);
        meta::set(&mut object, "creationTimestamp", meta::time(self.now));
        if self.kind.is_custom() {
            meta::set(&mut object, "generation", 1);
        }
        if let Some(fields) = object.as_object_mut().filter(|_| self.kind.status) {
            fields.remove("status");
        }
        let name = meta::text(&object, "name").to_owned();
        if self.kind.is_namespace() {
            place(&mut object, &["metadata", "labels", "kubernetes.io/metadata.name"], name.as_str());
            place(&mut object, &["spec"], json!({"finalizers": ["kubernetes"]}));
            place(&mut object, &["status"], json!({"phase": "Active"}));
        }
        let causes = meta::faults(self.kind, &object);
        if !causes.is_empty() {
            return Err(Refusal::invalid(&self.kind.name, &self.kind.group, &name, &causes));
        }
        let key = self.key(&name);
        if let Some(there) = self.state.store.get(&key) {
            return Err(Refusal::already_exists(self.kind, &name, meta::is_being_deleted(there)));
        }
        Ok(Written { object: self.put(key, &Value::Null, object), created: true })
    }

    /// Whether something may be created in the namespace of the call, which the admission of kube-apiserver asks.
    fn check_namespace(&self, name: &str) -> Result<(), Refusal> {
        let Some(namespace) = self.call.namespace.as_deref() else { return Ok(()) };
        let Some(index) = self.kinds.iter().position(Kind::is_namespace) else { return Ok(()) };
        let there = self.kinds.get(index).zip(Some(self.state.store.get(&(index, namespace.to_owned()))));
        match there {
            Some((kind, None)) => Err(Refusal::not_found(kind, namespace)),
            Some((_, Some(object))) if object.pointer("/status/phase") == Some(&json!("Terminating")) => {
                let message = format!(
                    "{} {name:?} is forbidden: unable to create new content in namespace {namespace} because it is being \
                     terminated",
                    self.kind.resource()
                );
                let cause = Cause {
                    reason: "NamespaceTerminating",
                    field: "metadata.namespace".to_owned(),
                    message: format!("namespace {namespace} is being terminated"),
                };
                Err(Refusal::new(403, "Forbidden", message).about(self.kind, name).with_cause(&cause))
            }
            Some((_, Some(_))) | None => Ok(()),
        }
    }

    /// Puts `new` in the place of `old`, as far as the call may.
    pub(crate) fn update(&mut self, mut new: Value, old: &Value) -> Result<Value, Refusal> {
        let name = self.name().to_owned();
        self.check_versions(&mut new, old, &name)?;
        let of_status = self.call.subresource.is_some();
        if of_status {
            new = with_status_of(old.clone(), &new);
        } else if self.kind.status {
            new = with_status_of(new, old);
        }
        for field in ["creationTimestamp", "generation"] {
            meta::copy(&mut new, old, field);
        }
        if meta::text(&new, "uid").is_empty() {
            meta::copy(&mut new, old, "uid");
        }
        if meta::is_being_deleted(old) {
            meta::copy(&mut new, old, "deletionTimestamp");
            meta::copy(&mut new, old, "deletionGracePeriodSeconds");
        }
        let causes = meta::faults_of_change(&new, old);
        if !causes.is_empty() {
            return Err(Refusal::invalid(&self.kind.name, &self.kind.group, &name, &causes));
        }
        if let Some(generation) = meta::number(old, "generation")
            && !of_status
            && wish(self.kind, &new) != wish(self.kind, old)
        {
            meta::set(&mut new, "generation", generation + 1);
        }
        let key = self.key(&name);
        if meta::is_being_deleted(old) && meta::finalizers(&new).is_empty() {
            self.state.change(key, None);
            return Ok(new);
        }
        Ok(if new == *old { new } else { self.put(key, old, new) })
    }

    /// Writes an object as it is, under a new version: who owns its fields has changed.
    pub(crate) fn touch(&mut self, object: Value) -> Value {
        let key = self.key(self.name());
        self.put(key, &object.clone(), object)
    }

    fn check_versions(&self, new: &mut Value, old: &Value, name: &str) -> Result<(), Refusal> {
        let (uid, there) = (meta::text(new, "uid"), meta::text(old, "uid"));
        if self.call.verb == Verb::Update && !uid.is_empty() && uid != there {
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {there}");
            return Err(Refusal::conflict(self.kind, name, &why));
        }
        match meta::version(new)? {
            0 if self.kind.unconditional => meta::copy(new, old, "resourceVersion"),
            0 => {
                let cause =
                    Cause::invalid("metadata.resourceVersion", "0", "must be specified for an update");
                return Err(Refusal::invalid(&self.kind.plural, &self.kind.group, name, &[cause]));
            }
            version if version != meta::version(old)? => {
                return Err(Refusal::conflict(self.kind, name, MODIFIED));
            }
            _ => {}
        }
        Ok(())
    }

    fn put(&mut self, key: Key, old: &Value, new: Value) -> Value {
        let owners = self.state.store.owners.entry(key.clone()).or_default();
        apply::updated(owners, apply::manager(self.call), old, &new);
        self.state.change(key, Some(new)).map(|object| object.as_ref().clone()).unwrap_or_default()
    }
}

/// `object` with the status of another.
fn with_status_of(mut object: Value, other: &Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        match other.get("status") {
            Some(status) => fields.insert("status".to_owned(), status.clone()),
            None => fields.remove("status"),
        };
    }
    object
}

/// What an object says of what is wanted: a change of it makes a new generation.
fn wish<'a>(kind: &Kind, object: &'a Value) -> Vec<(&'a String, &'a Value)> {
    let is_wish = |key: &str| key != "metadata" && (key != "status" || !kind.status);
    object.as_object().into_iter().flatten().filter(|(key, _)| is_wish(key)).collect()
}
