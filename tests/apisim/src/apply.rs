//! Server-side apply, as far as a Lease needs it: who owns which field, and who is in conflict about it. A list is one
//! field; fields of the metadata have no owners.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{call::Call, json::merge, refusal::Refusal};

/// Who wrote a field: a name, and whether by an apply.
type Owner = (String, bool);
/// The owners of each field, by its path.
pub(crate) type Owners = BTreeMap<Vec<String>, BTreeSet<Owner>>;

/// Who a call says that it is.
pub(crate) fn manager(call: &Call) -> &str {
    call.param("fieldManager").unwrap_or("unknown")
}

/// The fields of an object that are no objects themselves.
pub(crate) fn leaves(object: &Value) -> BTreeMap<Vec<String>, Value> {
    let mut found = BTreeMap::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        if !["metadata", "apiVersion", "kind"].contains(&key.as_str()) {
            collect(vec![key.clone()], value, &mut found);
        }
    }
    found
}

fn collect(path: Vec<String>, value: &Value, found: &mut BTreeMap<Vec<String>, Value>) {
    match value.as_object() {
        Some(fields) => {
            for (key, value) in fields {
                collect([path.as_slice(), std::slice::from_ref(key)].concat(), value, found);
            }
        }
        None => drop(found.insert(path, value.clone())),
    }
}

/// Whoever changes a field without an apply is its only owner from then on.
pub(crate) fn updated(owners: &mut Owners, manager: &str, old: &Value, new: &Value) {
    let (before, after) = (leaves(old), leaves(new));
    owners.retain(|path, _| after.contains_key(path));
    for (path, value) in after {
        if before.get(&path) != Some(&value) {
            owners.insert(path, BTreeSet::from([(manager.to_owned(), false)]));
        }
    }
}

/// Makes whoever applied the only owner of these fields.
pub(crate) fn take(owners: &mut Owners, manager: &str, paths: impl Iterator<Item = Vec<String>>) {
    owners.extend(paths.map(|path| (path, BTreeSet::from([(manager.to_owned(), true)]))));
}

/// The object with what is applied to it.
pub(crate) fn applied(
    owners: &mut Owners,
    manager: &str,
    force: bool,
    old: &Value,
    patch: &Value,
) -> Result<Value, Refusal> {
    let me = (manager.to_owned(), true);
    let (before, wanted) = (leaves(old), leaves(patch));
    let mut conflicts = Vec::new();
    for (path, value) in &wanted {
        let there = owners.entry(path.clone()).or_default();
        if before.get(path) == Some(value) {
            there.insert(me.clone());
            continue;
        }
        conflicts
            .extend(there.iter().filter(|owner| **owner != me).map(|owner| (owner.clone(), path.clone())));
        *there = BTreeSet::from([me.clone()]);
    }
    if !conflicts.is_empty() && !force {
        return Err(conflict(&conflicts));
    }
    let mut new = old.clone();
    merge(&mut new, patch);
    let left: Vec<Vec<String>> = owners.keys().filter(|path| !wanted.contains_key(*path)).cloned().collect();
    for path in left {
        let Some(there) = owners.get_mut(&path) else { continue };
        if there.remove(&me) && there.is_empty() {
            owners.remove(&path);
            remove(&mut new, &path);
        }
    }
    Ok(new)
}

fn remove(object: &mut Value, path: &[String]) {
    match path {
        [] => {}
        [last] => {
            if let Some(fields) = object.as_object_mut() {
                fields.remove(last);
            }
        }
        [first, rest @ ..] => {
            if let Some(inner) = object.get_mut(first) {
                remove(inner, rest);
            }
        }
    }
}

fn conflict(conflicts: &[(Owner, Vec<String>)]) -> Refusal {
    let cause = |((manager, _), path): &(Owner, Vec<String>)| {
        let field = format!(".{}", path.join("."));
        json!({
            "reason": "FieldManagerConflict", "message": format!("conflict with {manager:?}"), "field": field,
        })
    };
    let causes: Vec<Value> = conflicts.iter().map(cause).collect();
    let message =
        format!("Apply failed with {} conflict{}", causes.len(), if causes.len() == 1 { "" } else { "s" });
    Refusal { details: json!({"causes": causes}), ..Refusal::new(409, "Conflict", message) }
}
