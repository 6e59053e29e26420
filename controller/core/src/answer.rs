//! What EC2 answered to what was announced, as the status keeps it.
use saved_template_api::{
    status::{Announced, MAX_CODE_BYTES, MAX_OUTCOME_BYTES, StepOutcome, StepResult},
    text::cut,
};

use crate::{
    ec2_error::{Ec2Error, ErrorClass},
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
pub(crate) fn refused(refusal: &Ec2Error) -> StepOutcome {
    let Ec2Error { class, code, message, .. } = refusal;
    StepOutcome {
        result: match class {
            ErrorClass::Throttle => StepResult::Throttled,
            // What was held back was not sent.
            ErrorClass::Wait | ErrorClass::Late => StepResult::Waiting,
            ErrorClass::Capacity => StepResult::NoCapacity,
            ErrorClass::Denied => StepResult::Denied,
            ErrorClass::NameTaken => StepResult::NameTaken,
            ErrorClass::TokenUsed => StepResult::TokenUsed,
            ErrorClass::NotFound => StepResult::NotFound,
            ErrorClass::Caller => StepResult::Refused,
            ErrorClass::Unknown => StepResult::Unknown,
        },
        code: Some(cut(code.clone(), MAX_CODE_BYTES)).filter(|code| !code.is_empty()),
        message: Some(cut(message.clone(), MAX_OUTCOME_BYTES)).filter(|message| !message.is_empty()),
    }
}

/// The refusal of a call of `operation` that a status remembers; none where EC2 took it.
pub(crate) fn refusal(outcome: &StepOutcome, operation: &'static str) -> Option<Ec2Error> {
    let class = match outcome.result {
        StepResult::Accepted | StepResult::FoundInState => return None,
        StepResult::Throttled => ErrorClass::Throttle,
        StepResult::Waiting => ErrorClass::Wait,
        StepResult::NoCapacity => ErrorClass::Capacity,
        StepResult::Denied => ErrorClass::Denied,
        StepResult::NameTaken => ErrorClass::NameTaken,
        StepResult::TokenUsed => ErrorClass::TokenUsed,
        StepResult::NotFound => ErrorClass::NotFound,
        StepResult::Refused => ErrorClass::Caller,
        StepResult::Unknown => ErrorClass::Unknown,
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Some(Ec2Error { class, ..Ec2Error::new(operation, text(&outcome.code), text(&outcome.message)) })
}

/// The refusal of what was announced, if it was refused, or its answer was lost.
pub(crate) fn refusal_of(announced: &Announced, operation: &'static str) -> Option<Ec2Error> {
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
            (Ec2Error::new("StopInstances", "RequestLimitExceeded", "no"), ErrorClass::Throttle),
            (Ec2Error::new("StopInstances", "IncorrectState", "no"), ErrorClass::Wait),
            (Ec2Error::new("StopInstances", "InsufficientInstanceCapacity", "no"), ErrorClass::Capacity),
            (Ec2Error::new("StopInstances", "UnauthorizedOperation", "no"), ErrorClass::Denied),
            (Ec2Error::new("StopInstances", "InvalidAMIName.Duplicate", "no"), ErrorClass::NameTaken),
            (Ec2Error::new("StopInstances", "IdempotentParameterMismatch", "no"), ErrorClass::TokenUsed),
            (Ec2Error::new("StopInstances", "InvalidInstanceID.NotFound", "no"), ErrorClass::NotFound),
            (Ec2Error::new("StopInstances", "SomethingNew", "no"), ErrorClass::Caller),
            (Ec2Error::new("StopInstances", "", "reset"), ErrorClass::Unknown),
            (Ec2Error::new("StopInstances", "SomethingNew", "no").with_status(502), ErrorClass::Unknown),
            (Ec2Error::late("StopInstances"), ErrorClass::Wait),
        ] {
            let back = super::refusal(&refused(&refusal), "StopInstances");
            assert_eq!(back, Some(Ec2Error { class, ..refusal.clone() }), "{refusal}");
            assert_eq!(back.unwrap().is_definite(), refusal.is_definite(), "{refusal}");
        }
        for taken in [ACCEPTED, found(InstanceState::Stopped)] {
            assert_eq!(super::refusal(&taken, "StopInstances"), None);
        }
    }
}
