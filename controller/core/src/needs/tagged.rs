//! The restart records on a machine, of whatever installation: what is alive, what is stale, what cannot be honest.
use jiff::SignedDuration;
use saved_template_api::{names, text::cut};

use crate::{
    facts::Facts,
    restart::Record,
    time::passed,
    world::{Instance, InstanceState},
};

/// R1: two reads of the restart loop's own query, this far apart, must have returned the exact value.
pub(crate) const SEEN_FOR: i64 = 5;

/// A record of another installation on a running machine is dead this long after its `d`.
const DEAD_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// What is no honest record, on a machine that runs, is ignored once it has been seen unchanged for so long.
const STOOD_STILL: SignedDuration = SignedDuration::from_hours(24);

/// A live record of another installation: its machine does not run, or its limit has not long passed (§4).
pub(crate) fn foreign_record<'a>(
    facts: &Facts<'_>,
    instance: &'a Instance,
) -> Option<(&'a String, &'a String)> {
    let ours = facts.debt_key();
    let live = |value: &str| {
        let over = value.parse::<Record>().is_ok_and(|record| passed(record.start_by, DEAD_AFTER, facts.now));
        instance.state != InstanceState::Running || !(over || is_stale(facts, instance, value))
    };
    let mut foreign =
        instance.tags.iter().filter(|(key, _)| key.starts_with(names::tag::DEBT_PREFIX) && **key != ours);
    foreign.find(|(_, value)| live(value))
}

/// The key of a record on the machine that nobody can be owed by: it runs, and the value is no record of it that can be
/// honest, and has stood still for a day.
pub(crate) fn stale(facts: &Facts<'_>, instance: &Instance) -> Option<String> {
    let records = instance.tags.iter().filter(|(key, _)| key.starts_with(names::tag::DEBT_PREFIX));
    let mut stale = records.filter(|(_, value)| is_stale(facts, instance, value));
    stale.next().map(|(key, _)| cut(key.clone(), 64))
}

/// Whether a value is a record of this machine that can be honest.
pub(crate) fn is_honest(facts: &Facts<'_>, instance: &Instance, value: &str) -> bool {
    let record = value.parse::<Record>();
    record.is_ok_and(|record| record.instance == instance.id && record.is_plausible(facts.now))
}

pub(super) fn is_stale(facts: &Facts<'_>, instance: &Instance, value: &str) -> bool {
    let seen = facts.view().and_then(|view| view.sightings.get(&(instance.id.clone(), value.to_owned())));
    let stood_still = seen.is_some_and(|seen| seen.last.duration_since(seen.first) >= STOOD_STILL);
    instance.state == InstanceState::Running && !is_honest(facts, instance, value) && stood_still
}
