//! Deletions.

use serde_json::{Value, json};

use crate::{
    json::place,
    meta,
    refusal::{Refusal, details},
    write::Turn,
};

impl Turn<'_> {
    /// DELETE: the object as it waits for its finalizers, or that it is gone.
    pub(crate) fn delete(&mut self) -> Result<Value, Refusal> {
        let options = self.call.sent()?.clone();
        let policy = options.get("propagationPolicy").and_then(Value::as_str).unwrap_or("Background");
        let policy = self.call.param("propagationPolicy").unwrap_or(policy);
        if policy != "Background" {
            return Err(Refusal::not_built(&format!("the propagation policy {policy}")));
        }
        let old = self.there()?;
        self.check_preconditions(options.get("preconditions"), &old)?;
        let key = self.key(self.name());
        if meta::finalizers(&old).is_empty() && !self.kind.is_namespace() {
            self.state.change(key, None);
            return Ok(self.gone(&old));
        }
        if meta::is_being_deleted(&old) {
            return Ok(old);
        }
        let mut new = old;
        meta::set(&mut new, "deletionTimestamp", meta::time(self.now));
        if self.kind.is_namespace() {
            place(&mut new, &["status", "phase"], "Terminating");
        } else {
            meta::set(&mut new, "deletionGracePeriodSeconds", 0);
        }
        if let Some(generation) = meta::number(&new, "generation") {
            meta::set(&mut new, "generation", generation + 1);
        }
        Ok(self.state.change(key, Some(new)).map(|object| object.as_ref().clone()).unwrap_or_default())
    }

    fn check_preconditions(&self, wanted: Option<&Value>, old: &Value) -> Result<(), Refusal> {
        for (name, field, why) in
            [("UID", "uid", "deleted and then recreated"), ("ResourceVersion", "resourceVersion", "modified")]
        {
            let (wanted, there) =
                (wanted.and_then(|wanted| wanted.get(field)?.as_str()), meta::text(old, field));
            if let Some(wanted) = wanted.filter(|wanted| *wanted != there) {
                let why = format!(
                    "the {name} in the precondition ({wanted}) does not match the {name} in record ({there}). The object \
                     might have been {why}"
                );
                return Err(Refusal::conflict_with_kind(self.kind, self.name(), &why));
            }
        }
        Ok(())
    }

    fn gone(&self, old: &Value) -> Value {
        let mut details = details(self.name(), &self.kind.group, &self.kind.plural, &[]);
        place(&mut details, &["uid"], meta::text(old, "uid"));
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
    }
}
