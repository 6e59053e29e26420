//! The receipts on a machine: that a revision of this object had begun, for whoever has lost the status.
//!
//! The list is read and written back, so two writers could lose an entry: both the plan that adds one and the deletion
//! that takes one out hold the claim on the machine. What is lost nevertheless (a read that lags, a claim that was given
//! up in the very seconds before the write) is evidence of last resort: no machine and no image depends on it.
use saved_template_api::{
    names,
    receipts::{Receipt, Receipts, parse_old},
};

use crate::{
    answer::refusal_of,
    facts::Facts,
    step::{REMOVE_RECEIPT, Step},
    world::{Instance, Tags},
};

/// The tag of receipts on a machine that has these tags, with this receipt in it.
pub fn tag((key, receipt): &(String, Receipt), tags: &Tags) -> (String, String) {
    (key.clone(), listed(tags, key).with(receipt).to_string())
}

/// What the record comes with, and under which key.
pub(crate) fn of(facts: &Facts<'_>) -> (String, Receipt) {
    (key(facts), Receipt { object: facts.owner().receipt_object(), revision: facts.revision() })
}

/// The revision of this object that had begun on a machine, and the key of the tag that says so.
pub(crate) fn begun(facts: &Facts<'_>, instance: &Instance) -> Option<(i32, String)> {
    let (key, old) = (key(facts), facts.owner().old_receipt_key());
    let listed = listed(&instance.tags, &key).revision_of(&facts.owner().receipt_object());
    let alone = instance.tags.get(&old).and_then(|value| parse_old(value));
    [(listed, key), (alone, old)].into_iter().filter_map(|(begun, key)| Some((begun?, key))).max()
}

/// Whether the last record on a machine was written for this object: its receipt came in the same call.
pub(crate) fn is_newest(facts: &Facts<'_>, instance: &Instance) -> bool {
    let receipts = listed(&instance.tags, &key(facts));
    receipts.newest().is_some_and(|newest| newest.object == facts.owner().receipt_object())
}

/// Takes the receipts of this object off a machine. One that cannot be taken off holds up nothing.
pub(crate) fn removal(facts: &Facts<'_>, instance: &Instance) -> Option<Step> {
    let last = facts.announced(REMOVE_RECEIPT).and_then(|last| refusal_of(last, "DeleteTags"));
    let refused = last.is_some_and(|refusal| !refusal.passes());
    if instance.state.is_gone() || refused {
        return None;
    }
    let (key, object) = (key(facts), facts.owner().receipt_object());
    let receipts = listed(&instance.tags, &key);
    if receipts.revision_of(&object).is_none() {
        return old(facts, instance);
    }
    let left = receipts.without(&object);
    let left = (!left.is_empty()).then(|| left.to_string());
    Some(Step::RemoveReceipt {
        instance: instance.id.clone(),
        value: instance.tags.get(&key)?.clone(),
        key,
        left,
    })
}

/// Takes the receipt of the earlier form off, once the list has this object's. It is tried once in a save.
pub(crate) fn fold(facts: &Facts<'_>, instance: &Instance) -> Option<Step> {
    let is_listed =
        listed(&instance.tags, &key(facts)).revision_of(&facts.owner().receipt_object()).is_some();
    if !is_listed || facts.announced(REMOVE_RECEIPT).is_some() {
        return None;
    }
    old(facts, instance)
}

/// The command by which somebody takes the receipt of this object off, and those of other objects stay.
pub(crate) fn command(facts: &Facts<'_>, instance: &Instance, key: &str) -> String {
    let left = listed(&instance.tags, key).without(&facts.owner().receipt_object());
    let (verb, value) =
        if left.is_empty() { ("delete", String::new()) } else { ("create", format!(",Value='{left}'")) };
    format!(
        "aws ec2 {verb}-tags --region {} --resources {} --tags Key={key}{value}",
        facts.home(),
        instance.id
    )
}

fn old(facts: &Facts<'_>, instance: &Instance) -> Option<Step> {
    let key = facts.owner().old_receipt_key();
    let value = instance.tags.get(&key).filter(|value| parse_old(value).is_some())?.clone();
    Some(Step::RemoveReceipt { instance: instance.id.clone(), key, value, left: None })
}

fn key(facts: &Facts<'_>) -> String {
    names::receipts_key(facts.subject.cluster)
}

fn listed(tags: &Tags, key: &str) -> Receipts {
    tags.get(key).map(|value| Receipts::parse(value)).unwrap_or_default()
}
