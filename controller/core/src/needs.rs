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
pub(crate) mod source;
pub(crate) mod stop;
pub(crate) mod support;
pub(crate) mod surplus;
pub(crate) mod sync;

use std::time::Duration;

use saved_template_api::Reason;

use crate::{
    decide::{Finalizer, Question},
    refusal::NOT_ENABLED,
    scene::Scene,
    step::Step,
};

/// Who has to act before the need can be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    /// This controller, EC2 or time: `Reconciling`.
    ForUs,
    /// Somebody who changes the spec, the machine or the permissions: `Stalled`.
    ForUser,
    /// Nobody: it is wished so (`spec.suspend`). Neither `Reconciling` nor `Stalled`.
    ForWish,
    /// This controller, with what nothing of the spec asks for any more: the template is ready meanwhile.
    Aside,
}

/// A need that is not met.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unmet {
    /// The reason of `Ready`.
    pub(crate) ready: Reason,
    /// What happened, to which thing, and what to do next.
    pub(crate) message: String,
    pub(crate) waits: Waits,
    /// The reason of `Validated`, where the next capture is what cannot begin.
    pub(crate) invalid: Option<Reason>,
    pub(crate) finalizer: Finalizer,
    pub(crate) step: Option<Step>,
    pub(crate) look_again: Duration,
}

/// How soon the world is looked at again while a machine is down, and while one is not.
pub(crate) const SOON: Duration = Duration::from_secs(2);
pub(crate) const LATER: Duration = Duration::from_secs(15);
pub(crate) const SLOWLY: Duration = Duration::from_mins(5);

impl Unmet {
    /// Something moves by itself: look again after `look_again`.
    pub(crate) fn waiting(ready: Reason, message: impl Into<String>, look_again: Duration) -> Self {
        Self {
            ready,
            message: message.into(),
            waits: Waits::ForUs,
            invalid: None,
            finalizer: Finalizer::Keep,
            step: None,
            look_again,
        }
    }

    /// Nothing moves, and nothing is wrong: that is what somebody wants.
    pub(crate) fn suspended(message: impl Into<String>) -> Self {
        Self { waits: Waits::ForWish, ..Self::waiting(Reason::Suspended, message, SLOWLY) }
    }

    /// The same, beside what makes the template ready.
    pub(crate) fn aside(self) -> Self {
        Self { waits: Waits::Aside, ..self }
    }

    /// Nothing moves until somebody changes something.
    pub(crate) fn stalled(ready: Reason, message: impl Into<String>) -> Self {
        Self { waits: Waits::ForUser, ..Self::waiting(ready, message, SLOWLY) }
    }

    /// The next capture cannot begin as things are.
    pub(crate) fn invalid(reason: Reason, message: impl Into<String>) -> Self {
        Self { invalid: Some(reason), ..Self::stalled(Reason::Preflight, message) }
    }

    /// The step is announced in the status and then done.
    pub(crate) fn acting(
        scene: &mut Scene<'_>,
        ready: Reason,
        message: impl Into<String>,
        step: Step,
    ) -> Self {
        scene.announce(&step);
        Self { step: Some(step), ..Self::waiting(ready, message, SOON) }
    }
}

/// The first unmet need; none when the template is ready.
pub(crate) fn first_unmet(scene: &mut Scene<'_>) -> Result<Option<Unmet>, Question> {
    if let Some(unmet) = deletion::need(scene)? {
        return Ok(Some(unmet));
    }
    if let Err(refusal) = &scene.world.home {
        if refusal.code == NOT_ENABLED {
            return Ok(Some(Unmet::invalid(Reason::RegionNotEnabled, refusal.message.clone())));
        }
        let message = format!("cannot read {}: {refusal}", scene.home());
        return Ok(Some(Unmet::waiting(Reason::Preflight, message, LATER)));
    }
    adopt::fold(scene);
    if let Some(unmet) = record::unsupported(scene) {
        return Ok(Some(unmet));
    }
    if let Some(unmet) = record::need(scene)? {
        return Ok(Some(unmet));
    }
    for need in [stop::need, image::request, support::need, adopt::need] {
        if let Some(unmet) = need(scene) {
            return Ok(Some(unmet));
        }
    }
    let plan = plan::need(scene)?;
    if plan.as_ref().is_some_and(|unmet| unmet.step.is_some()) {
        return Ok(plan);
    }
    Ok(rest(scene, plan))
}

/// As long as a machine is owed there is something for us to do, whatever else waits for somebody.
pub(crate) fn while_owed(scene: &Scene<'_>, unmet: Unmet) -> Unmet {
    let owed = scene.open_capture().is_some_and(|capture| capture.debt.is_some());
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
