//! Rows of the preflight that count later: a warning there is what the status remembers.
use saved_template_api::status::{CheckResult, PreflightCheck};

use crate::facts::Facts;

/// The row of volumes with Multi-Attach: their snapshots prove nothing about other writers.
pub(crate) const MULTI_ATTACH: &str = "MultiAttach";

/// The row of a template whose machine waits for the image, whatever its spec says.
pub(crate) const PATIENCE: &str = "RestartWhen";

/// Whether EC2 has failed an image of this template since its machine was started before the image was done.
pub(crate) fn is_patient(facts: &Facts<'_>) -> bool {
    facts.status.preflight.iter().any(|row| row.check == PATIENCE)
}

pub(crate) fn patience() -> PreflightCheck {
    let message = "EC2 failed an image of this template (Client.InstanceTerminated) when its machine was started: it waits \
                   for the image from now on, as with spec.capture.restartWhen ImageAvailable";
    PreflightCheck {
        check: PATIENCE.to_owned(),
        region: None,
        result: CheckResult::Warning,
        message: Some(message.to_owned()),
    }
}

/// Where other machines may write to a volume, its snapshot proves nothing.
pub(super) fn multi_attach(facts: &Facts<'_>) -> bool {
    facts.status.preflight.iter().any(|row| row.check == MULTI_ATTACH)
}
