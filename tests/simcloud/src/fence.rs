//! The fence of one write: it holds the write back when its announcement is too old, and knows whether any attempt may
//! have been carried out.
use saved_template_core::{
    cloud::{Announced, FRESH},
    ec2_error::{Ec2Error, ErrorClass},
};
use tokio::time::Instant;

use crate::{clock::Clock, errors::Answer};

/// The fence of one write, checked before each attempt.
pub(crate) struct Fence<'a> {
    announced: Announced,
    clock: &'a Clock,
    is_held: bool,
    is_unsure: bool,
}

impl<'a> Fence<'a> {
    pub(crate) const fn new(announced: Announced, clock: &'a Clock) -> Self {
        Self { announced, clock, is_held: false, is_unsure: false }
    }

    /// By either clock: EC2's, and the monotonic one, which is tokio's.
    pub(crate) fn is_late(&self) -> bool {
        let now = Instant::now().into_std();
        let old = now.saturating_duration_since(self.announced.instant) > FRESH;
        let limit = self.announced.at.checked_add(FRESH);
        old || self.clock.now().is_some_and(|now| limit.is_ok_and(|limit| now > limit))
    }

    pub(crate) fn note(&mut self, answer: &Answer) {
        let is_held = *answer == Answer::Held;
        self.is_held |= is_held;
        self.is_unsure |= !is_held && !answer.is_refusal();
    }

    /// What a failed write means: definite if no attempt was sent or each was refused, unknown otherwise.
    pub(crate) fn judge(&self, refusal: Ec2Error) -> Ec2Error {
        if self.is_unsure && refusal.is_definite() {
            Ec2Error { class: ErrorClass::Unknown, ..refusal }
        } else if self.is_unsure || !refusal.code.is_empty() {
            refusal
        } else if self.is_held {
            Ec2Error::late(refusal.operation)
        } else {
            Ec2Error { class: ErrorClass::Late, ..refusal }
        }
    }
}
