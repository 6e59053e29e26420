//! Patches.

use serde_json::Value;

use crate::{
    apply,
    json::merge,
    meta,
    refusal::{Cause, Refusal},
    write::{Turn, Written},
};

impl Turn<'_> {
    /// PATCH.
    pub(crate) fn patch(&mut self) -> Result<Written, Refusal> {
        let media = self.call.content_type.split(';').next().unwrap_or_default().trim();
        match media {
            "application/merge-patch+json" => self.merge_patch(),
            // Kinds that are registered have no lists with keys outside of their metadata.
            "application/strategic-merge-patch+json" if !self.kind.is_custom() => {
                if self.call.sent()?.get("metadata").is_some() {
                    return Err(Refusal::not_built("strategic patches of metadata"));
                }
                self.merge_patch()
            }
            "application/apply-patch+yaml" => self.apply_patch(),
            "application/json-patch+json" => Err(Refusal::not_built("JSON patches")),
            _ => {
                let strategic =
                    if self.kind.is_custom() { "" } else { "application/strategic-merge-patch+json, " };
                let message = format!(
                    "the body of the request was in an unknown format - accepted media types include: \
                     application/json-patch+json, application/merge-patch+json, {strategic}application/apply-patch+yaml"
                );
                Err(Refusal::new(415, "UnsupportedMediaType", message))
            }
        }
    }

    fn merge_patch(&mut self) -> Result<Written, Refusal> {
        let patch = self.call.sent()?;
        let old = self.there()?;
        if !patch.is_object() {
            return Err(Refusal::bad_request("the patch is no object"));
        }
        let mut new = old.clone();
        merge(&mut new, patch);
        let new = self.patched(new)?;
        self.update(new, &old).map(|object| Written { object, created: false })
    }

    /// An object that a patch made, as far as it is still one of this kind and name.
    fn patched(&self, mut new: Value) -> Result<Value, Refusal> {
        if let Err(refusal) = meta::tidy(&mut new) {
            let cause = Cause::invalid("patch", "\"\"", &refusal.message);
            return Err(Refusal::invalid("", "", "", &[cause]));
        }
        let new = self.decoded(new)?;
        self.check_name(&new)?;
        Ok(new)
    }

    fn apply_patch(&mut self) -> Result<Written, Refusal> {
        let patch = self.call.sent()?.clone();
        let manager = self.call.param("fieldManager").ok_or_else(|| {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            Refusal::invalid("PatchOptions", "meta.k8s.io", "", &[cause])
        })?;
        if let Some(field) = ["labels", "annotations", "finalizers", "ownerReferences"]
            .into_iter()
            .find(|field| meta::field(&patch, field).is_some())
        {
            return Err(Refusal::not_built(&format!("metadata.{field} that is applied")));
        }
        let Ok(old) = self.there() else {
            let object = self.decoded(patch)?;
            self.check_name(&object)?;
            let leaves = apply::leaves(&object);
            let written = self.insert(object)?;
            let key = self.key(self.name());
            apply::take(self.state.store.owners.entry(key).or_default(), manager, leaves.into_keys());
            return Ok(written);
        };
        let key = self.key(self.name());
        let before = self.state.store.owners.get(&key).cloned().unwrap_or_default();
        let mut owners = before.clone();
        let new = apply::applied(&mut owners, manager, self.call.flag("force"), &old, &patch)?;
        let new = self.patched(new)?;
        let mut object = self.update(new, &old)?;
        if object == old && owners != before {
            object = self.touch(object);
        }
        if self.state.store.get(&key).is_some() {
            self.state.store.owners.insert(key, owners);
        }
        Ok(Written { object, created: false })
    }
}
