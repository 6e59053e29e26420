//! What a template needs, in order. The first need that is not met decides what is done, and is the reason of `Ready`.
pub(crate) mod adopt;
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
    refusal::NOT_ENABLED,
    scene::Scene,
    time::LATER,
    unmet::{Unmet, Waits},
};

/// The first unmet need; none when the template is ready.
pub(crate) fn first_unmet(scene: &mut Scene<'_>) -> Option<Unmet> {
    if let Some(unmet) = deletion::need(scene) {
        return Some(unmet);
    }
    if let Err(refusal) = &scene.world.home {
        if refusal.code == NOT_ENABLED {
            return Some(Unmet::invalid(Reason::RegionNotEnabled, refusal.message.clone()));
        }
        let message = format!("cannot read {}: {refusal}", scene.home());
        return Some(Unmet::waiting(Reason::Preflight, message, LATER));
    }
    adopt::fold(scene);
    if let Some(unmet) = record::unsupported(scene) {
        return Some(unmet);
    }
    if let Some(unmet) = record::need(scene) {
        return Some(unmet);
    }
    for need in [stop::need, image::request, support::need, adopt::need] {
        if let Some(unmet) = need(scene) {
            return Some(unmet);
        }
    }
    let plan = plan::need(scene);
    if plan.as_ref().is_some_and(|unmet| unmet.step.is_some() || unmet.lacks.is_some()) {
        return plan;
    }
    rest(scene, plan)
}

/// As long as a machine is owed there is something for us to do, whatever else waits for somebody.
pub(crate) fn while_owed(scene: &Scene<'_>, unmet: Unmet) -> Unmet {
    let owed = scene.open_capture().is_some_and(|capture| capture.restart_record.is_some());
    if owed { Unmet { waits: Waits::ForUs, ..unmet } } else { unmet }
}

/// What is done around the images that are there: nothing of it while the object is suspended, or is another cluster's.
fn rest(scene: &mut Scene<'_>, plan: Option<Unmet>) -> Option<Unmet> {
    let mut first = plan.or_else(|| image::need(scene));
    // What waits, cannot be captured, or is gone for good keeps nothing else from being done.
    for need in [copies::need, regions::need, surplus::need, sync::need, source::need] {
        let before = scene.status.clone();
        let Some(unmet) = need(scene) else { continue };
        if unmet.step.is_some() {
            let Some(held) = withheld(scene, &unmet) else {
                // What is done aside is no reason of its own where something else is missing.
                return Some(match first.filter(|_| unmet.waits == Waits::Aside) {
                    Some(first) => Unmet { step: unmet.step, look_again: unmet.look_again, ..first },
                    None => unmet,
                });
            };
            scene.status = before;
            first = Some(first.unwrap_or(held));
            continue;
        }
        let soonest = first.as_ref().map_or(unmet.look_again, |first| first.look_again.min(unmet.look_again));
        let first_of_all = first.filter(|first| first.waits != Waits::Aside);
        first = Some(Unmet { look_again: soonest, ..first_of_all.unwrap_or(unmet) });
    }
    first
}

/// Why a change is not made: somebody else holds what it is about, or the object is suspended.
fn withheld(scene: &Scene<'_>, unmet: &Unmet) -> Option<Unmet> {
    if let Some(message) = adopt::held_by_other(scene) {
        return Some(Unmet::invalid(Reason::HeldByOtherCluster, message));
    }
    let message = || format!("spec.suspend is true: this waits until it is false: {}", unmet.message);
    scene.subject.spec.suspend.then(|| Unmet::suspended(message()))
}
