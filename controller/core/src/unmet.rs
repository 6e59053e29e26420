//! A need that is not met: why, who has to act, and what is done about it.
use std::time::Duration;

use saved_template_api::{
    Reason,
    ids::{InstanceId, Region},
    status::{CaptureStatus, MAX_ANNOUNCED},
};

use crate::{
    decision::{Finalizer, Question},
    step::Step,
    time::{SLOWLY, SOON},
    write::Write,
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
    /// What is written in any case, before the step is announced.
    pub(crate) writes: Vec<Write>,
    /// The changes to AWS, at most one in each region.
    pub(crate) steps: Vec<Step>,
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
            writes: Vec::new(),
            steps: Vec::new(),
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

    /// The change is announced in the status and then made.
    pub(crate) fn acting(ready: Reason, message: impl Into<String>, step: Step) -> Self {
        Self { steps: vec![step], ..Self::waiting(ready, message, SOON) }
    }

    /// The same, and this is written with it, after what is written already.
    #[must_use]
    pub(crate) fn writing(mut self, writes: impl IntoIterator<Item = Write>) -> Self {
        self.writes.extend(writes);
        self
    }

    /// The same, and the capture is this one.
    #[must_use]
    pub(crate) fn with(self, capture: CaptureStatus) -> Self {
        self.writing([Write::Capture(Box::new(capture))])
    }
}

/// What a need says that may want something written although it is met.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Said {
    /// What is written in any case.
    pub(crate) writes: Vec<Write>,
    pub(crate) unmet: Option<Unmet>,
}

impl From<Option<Unmet>> for Said {
    fn from(unmet: Option<Unmet>) -> Self {
        Self { writes: Vec::new(), unmet }
    }
}

impl From<Unmet> for Said {
    fn from(unmet: Unmet) -> Self {
        Some(unmet).into()
    }
}

/// Of several needs the first that acts gives the reason, else the first that waits; what is done aside is no reason
/// where something is missing. In each region the first change is made.
pub(crate) fn together(all: Vec<Unmet>, home: &Region) -> Option<Unmet> {
    let look_again = all.iter().map(|unmet| unmet.look_again).min()?;
    let rank = |unmet: &&Unmet| match (unmet.waits == Waits::Aside, unmet.steps.is_empty()) {
        (false, false) => 0,
        (false, true) => 1,
        (true, false) => 2,
        (true, true) => 3,
    };
    let first = all.iter().min_by_key(rank)?.clone();
    let (mut steps, mut writes): (Vec<Step>, Vec<Write>) = (Vec::new(), Vec::new());
    for unmet in all {
        // Rows are written by what asks for a copy alone, which goes before all else in its region.
        writes.extend(unmet.writes);
        for step in unmet.steps {
            let region = step.region().unwrap_or(home);
            let is_free = steps.iter().all(|taken| taken.region().unwrap_or(home) != region);
            if is_free && steps.len() < MAX_ANNOUNCED {
                steps.push(step);
            }
        }
    }
    Some(Unmet { writes, steps, look_again, ..first })
}
