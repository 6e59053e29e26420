//! Lists, in pages.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    call::Call,
    json::place,
    kind::Kind,
    refusal::{Cause, Refusal},
    selector::Selector,
    store::Store,
    view::View,
};

const EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new \
    list without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
    results. Continuing with the provided token results in an inconsistent list. Objects that were created, modified, or \
    deleted between the time the first chunk was returned and now may show up in the list.";

/// The list that a call asks for.
pub(crate) fn list(store: &Store, index: usize, kind: &Kind, call: &Call) -> Result<Value, Refusal> {
    let view = View::of(&call.accept)?;
    let selector = Selector::read(kind, call)?;
    let limit = limit(call)?;
    let (version, after) = start(store, call)?;
    let objects = store.at(index, version).ok_or_else(|| too_old(store, call, version, after.as_ref()))?;
    let rest: Vec<(&String, &Arc<Value>)> = objects
        .iter()
        .filter(|(path, object)| after.as_ref().is_none_or(|after| *path > after) && selector.picks(object))
        .collect();
    let page = rest.get(..limit.min(rest.len())).unwrap_or(&rest);
    let mut metadata = json!({"resourceVersion": version.to_string()});
    let left = rest.len() - page.len();
    if let (1.., Some((last, _))) = (left, page.last()) {
        place(&mut metadata, &["continue"], token(version, last));
        if !selector.is_selective() {
            place(&mut metadata, &["remainingItemCount"], left);
        }
    }
    view.list(kind, &metadata, page.iter().map(|(_, object)| object.as_ref()))
}

fn limit(call: &Call) -> Result<usize, Refusal> {
    let Some(text) = call.param("limit") else { return Ok(usize::MAX) };
    match text.parse() {
        Ok(0) => Ok(usize::MAX),
        Ok(limit) => Ok(limit),
        Err(_) => Err(Refusal::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))),
    }
}

/// The version that is listed, and the last object of the page before.
fn start(store: &Store, call: &Call) -> Result<(u64, Option<String>), Refusal> {
    let asked = call.param("resourceVersion");
    let matching = call.param("resourceVersionMatch");
    if matching.is_some() && asked.is_none() {
        let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        return Err(bad_options(&Cause::forbidden("resourceVersionMatch", why)));
    }
    let exact = match matching {
        None | Some("NotOlderThan") => false,
        Some("Exact") => true,
        Some(other) => return Err(Refusal::not_built(&format!("the match {other:?}"))),
    };
    if let Some(token) = call.param("continue") {
        if asked.is_some_and(|version| version != "0") {
            let message = "specifying resource version is not allowed when using continue";
            return Err(Refusal::bad_request(message));
        }
        let (version, last) = read(token)
            .ok_or_else(|| Refusal::bad_request("continue key is not valid: it is none of apisim"))?;
        return Ok((version, Some(last)));
    }
    let Some(asked) = asked else { return Ok((store.version, None)) };
    let version = reached(store, asked)?;
    Ok((if exact { version } else { store.version }, None))
}

/// A version that a list names, which must be there by now.
fn reached(store: &Store, text: &str) -> Result<u64, Refusal> {
    let version = text.parse().map_err(|_| {
        let value = format!("{text:?}");
        let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
        Refusal::bad_request(format!("resourceVersion: Invalid value: {value}: {why}"))
    })?;
    if version > store.version { Err(too_new(version, store.version)) } else { Ok(version) }
}

/// Whether what is there is not older than a GET wants it.
pub(crate) fn is_fresh(store: &Store, text: &str) -> Result<(), Refusal> {
    number(text)?;
    reached(store, text).map(drop)
}

/// A version that a watch names.
pub(crate) fn number(text: &str) -> Result<u64, Refusal> {
    text.parse().map_err(|_| Refusal::unexpected(format!("no resourceVersion: {text:?}")))
}

/// A version that is not there yet.
fn too_new(asked: u64, current: u64) -> Refusal {
    let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
    Refusal {
        details: json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        }),
        ..Refusal::new(504, "Timeout", message)
    }
}

pub(crate) fn bad_options(cause: &Cause) -> Refusal {
    Refusal::invalid("ListOptions", "meta.k8s.io", "", std::slice::from_ref(cause))
}

fn too_old(store: &Store, call: &Call, version: u64, after: Option<&String>) -> Refusal {
    if call.param("continue").is_some() {
        // With the token in it, the list can be gone on with as it is now.
        let mut refusal = Refusal::expired(EXPIRED);
        refusal.token = after.map(|last| token(store.version, last));
        return refusal;
    }
    Refusal::expired(format!("The resourceVersion for the provided list is too old: {version}"))
}

fn token(version: u64, last: &str) -> String {
    format!("{version}:{last}")
}

fn read(token: &str) -> Option<(u64, String)> {
    let (version, last) = token.split_once(':')?;
    Some((version.parse().ok()?, last.to_owned()))
}
