//! What `settled` of an announcement says of EC2's answer.
use saved_template_api::status::Announced;

use crate::refusal::Refusal;

/// What `settled` says where EC2 took the hard stop: one is enough.
pub(crate) const ACCEPTED: &str = "accepted";

/// What `settled` begins with where the first Stop found the machine in another state than `running`.
pub(crate) const PREVIOUS_STATE: &str = "previousState";

/// EC2's code where a snapshot is used by an image.
pub(crate) const IN_USE: &str = "InvalidSnapshot.InUse";

/// Whether EC2 answered, and did nothing.
pub(crate) fn was_refused(announced: &Announced) -> bool {
    let answer = announced.settled.as_deref().and_then(|text| text.split_once(": "));
    answer.is_some_and(|(code, message)| {
        code != PREVIOUS_STATE && Refusal::new("", code, message).is_definite()
    })
}
