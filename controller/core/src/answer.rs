//! What EC2 answered to what was announced, as the status keeps it.
use saved_template_api::{
    status::{Announced, MAX_CODE_BYTES, MAX_OUTCOME_BYTES, StepOutcome, StepResult},
    text::cut,
};

use crate::{
    refusal::{Class, Refusal},
    world::InstanceState,
};

/// EC2's code where a snapshot is used by an image.
pub(crate) const IN_USE: &str = "InvalidSnapshot.InUse";

/// EC2 took it.
pub(crate) const ACCEPTED: StepOutcome =
    StepOutcome { result: StepResult::Accepted, code: None, message: None };

/// A Stop found the machine in this state.
pub(crate) fn found(state: InstanceState) -> StepOutcome {
    StepOutcome { result: StepResult::FoundInState, code: Some(state.as_str().to_owned()), message: None }
}

/// What EC2 refused, or did not answer.
pub(crate) fn refused(refusal: &Refusal) -> StepOutcome {
    let Refusal { class, code, message, .. } = refusal;
    StepOutcome {
        result: match class {
            Class::Throttle => StepResult::Throttled,
            // What was held back was not sent.
            Class::Wait | Class::Late => StepResult::Waiting,
            Class::Capacity => StepResult::NoCapacity,
            Class::Denied => StepResult::Denied,
            Class::NameTaken => StepResult::NameTaken,
            Class::TokenUsed => StepResult::TokenUsed,
            Class::NotFound => StepResult::NotFound,
            Class::Caller => StepResult::Refused,
            Class::Unknown => StepResult::Unknown,
        },
        code: Some(cut(code.clone(), MAX_CODE_BYTES)).filter(|code| !code.is_empty()),
        message: Some(cut(message.clone(), MAX_OUTCOME_BYTES)).filter(|message| !message.is_empty()),
    }
}

/// The refusal of a call of `operation` that a status remembers; none where EC2 took it.
pub(crate) fn refusal(outcome: &StepOutcome, operation: &'static str) -> Option<Refusal> {
    let class = match outcome.result {
        StepResult::Accepted | StepResult::FoundInState => return None,
        StepResult::Throttled => Class::Throttle,
        StepResult::Waiting => Class::Wait,
        StepResult::NoCapacity => Class::Capacity,
        StepResult::Denied => Class::Denied,
        StepResult::NameTaken => Class::NameTaken,
        StepResult::TokenUsed => Class::TokenUsed,
        StepResult::NotFound => Class::NotFound,
        StepResult::Refused => Class::Caller,
        StepResult::Unknown => Class::Unknown,
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Some(Refusal { class, ..Refusal::new(operation, text(&outcome.code), text(&outcome.message)) })
}

/// The refusal of what was announced, if it was refused, or its answer was lost.
pub(crate) fn refusal_of(announced: &Announced, operation: &'static str) -> Option<Refusal> {
    refusal(announced.outcome.as_ref()?, operation)
}

/// Whether EC2 answered, and did nothing.
pub(crate) fn was_refused(announced: &Announced) -> bool {
    refusal_of(announced, "").is_some_and(|refusal| refusal.is_definite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_comes_back_from_a_status_as_it_was_and_what_was_held_back_was_not_sent() {
        for (refusal, class) in [
            (Refusal::new("StopInstances", "RequestLimitExceeded", "no"), Class::Throttle),
            (Refusal::new("StopInstances", "IncorrectState", "no"), Class::Wait),
            (Refusal::new("StopInstances", "InsufficientInstanceCapacity", "no"), Class::Capacity),
            (Refusal::new("StopInstances", "UnauthorizedOperation", "no"), Class::Denied),
            (Refusal::new("StopInstances", "InvalidAMIName.Duplicate", "no"), Class::NameTaken),
            (Refusal::new("StopInstances", "IdempotentParameterMismatch", "no"), Class::TokenUsed),
            (Refusal::new("StopInstances", "InvalidInstanceID.NotFound", "no"), Class::NotFound),
            (Refusal::new("StopInstances", "SomethingNew", "no"), Class::Caller),
            (Refusal::new("StopInstances", "", "reset"), Class::Unknown),
            (Refusal::new("StopInstances", "SomethingNew", "no").with_status(502), Class::Unknown),
            (Refusal::late("StopInstances"), Class::Wait),
        ] {
            let back = super::refusal(&refused(&refusal), "StopInstances");
            assert_eq!(back, Some(Refusal { class, ..refusal.clone() }), "{refusal}");
            assert_eq!(back.unwrap().is_definite(), refusal.is_definite(), "{refusal}");
        }
        for taken in [ACCEPTED, found(InstanceState::Stopped)] {
            assert_eq!(super::refusal(&taken, "StopInstances"), None);
        }
    }
}
