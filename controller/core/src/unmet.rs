//! A need that is not met: why, who has to act, and what is done about it.
use std::time::Duration;

use saved_template_api::{Reason, ids::InstanceId};

use crate::{
    decision::{Finalizer, Question},
    scene::Scene,
    step::Step,
    time::{SLOWLY, SOON},
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

/// What has to be known, or held, before it can be said what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lack {
    Answer(Question),
    Claim(InstanceId),
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
    /// Where this is set, the rest says nothing yet, and nothing is written.
    pub(crate) lacks: Option<Lack>,
}

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
            lacks: None,
        }
    }

    /// What to do is not known yet.
    pub(crate) fn lacking(lack: Lack) -> Self {
        Self { lacks: Some(lack), ..Self::waiting(Reason::NotChecked, String::new(), SOON) }
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
