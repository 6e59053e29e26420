//! What a template needs, in order. The first need that is not met decides what is done, and is the reason of `Ready`.
pub(crate) mod adopt;
pub(crate) mod class;
pub(crate) mod copies;
pub(crate) mod deletion;
pub(crate) mod image;
pub(crate) mod plan;
pub(crate) mod preflight;
pub(crate) mod record;
pub(crate) mod regions;
pub(crate) mod removal;
pub(crate) mod requests;
pub(crate) mod source;
pub(crate) mod stop;
pub(crate) mod support;
pub(crate) mod surplus;
pub(crate) mod sync;
pub(crate) mod tagged;
pub(crate) mod upkeep;

use saved_template_api::Reason;

use crate::{
    ec2_error::{ErrorClass, NOT_ENABLED},
    facts::Facts,
    time::LATER,
    unmet::{Said, Unmet, Waits, together},
};

/// The first unmet need; none when the template is ready.
pub(crate) fn first_unmet(facts: &Facts<'_>) -> Said {
    if let Some(unmet) = deletion::need(facts) {
        return unmet.into();
    }
    if let Err(refusal) = &facts.world.home {
        if refusal.code == NOT_ENABLED {
            return Unmet::invalid(Reason::RegionNotEnabled, refusal.message.clone()).into();
        }
        let message = format!("cannot read {}: {refusal}", facts.home());
        if refusal.class == ErrorClass::Caller {
            let message =
                format!("{message}. Correct spec.source, or name the machine by spec.source.instanceID");
            return Unmet { look_again: LATER, ..Unmet::invalid(Reason::RequestRefused, message) }.into();
        }
        return Unmet::waiting(Reason::NotChecked, message, LATER).into();
    }
    let before = [record::unsupported, record::need, stop::need, image::request, support::need, adopt::need];
    if let Some(unmet) = before.iter().find_map(|need| need(facts)) {
        return unmet.into();
    }
    let plan = plan::need(facts);
    if plan.as_ref().is_some_and(|unmet| !unmet.steps.is_empty() || unmet.lacks.is_some()) {
        return plan.into();
    }
    rest(facts, plan)
}

/// As long as a machine is owed there is something for us to do, whatever else waits for somebody.
pub(crate) fn while_owed(facts: &Facts<'_>, unmet: Unmet) -> Unmet {
    let owed = facts.open_capture().is_some_and(|capture| capture.restart_record.is_some());
    if owed { Unmet { waits: Waits::ForUs, ..unmet } } else { unmet }
}

/// What is done around the images that are there, in all regions side by side: nothing of it while the object is
/// suspended, or is another cluster's.
fn rest(facts: &Facts<'_>, plan: Option<Unmet>) -> Said {
    // What waits, cannot be captured, or is gone for good keeps nothing else from being done.
    let needs: [fn(&Facts<'_>) -> Said; 5] = [
        |facts| copies::need(facts).into(),
        regions::need,
        |facts| surplus::need(facts).into(),
        sync::need,
        |facts| source::need(facts).into(),
    ];
    let mut all: Vec<Unmet> = plan.or_else(|| image::need(facts)).into_iter().collect();
    let mut writes = Vec::new();
    for need in needs {
        let said = need(facts);
        let held = said.unmet.as_ref().filter(|unmet| !unmet.steps.is_empty());
        if let Some(held) = held.and_then(|unmet| withheld(facts, unmet)) {
            if all.is_empty() {
                all.push(held);
            }
            continue;
        }
        writes.extend(said.writes);
        all.extend(said.unmet);
    }
    Said { writes, unmet: together(all, facts.home()) }
}

/// Why a change is not made: somebody else holds what it is about, or the object is suspended.
fn withheld(facts: &Facts<'_>, unmet: &Unmet) -> Option<Unmet> {
    if let Some(message) = adopt::held_by_other(facts) {
        return Some(Unmet::invalid(Reason::HeldByOtherCluster, message));
    }
    let message = || format!("spec.suspend is true: this waits until it is false: {}", unmet.message);
    facts.subject.spec.suspend.then(|| Unmet::suspended(message()))
}
