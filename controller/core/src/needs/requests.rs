//! What EC2 is asked for.
use saved_template_api::{
    spec::CaptureMode,
    status::{CaptureReason, CaptureStatus},
};

use crate::{
    facts::Facts,
    step::ImageRequest,
    world::{Instance, InstanceState},
};

/// The request whose snapshots are the barrier.
pub(crate) fn image_request(facts: &Facts<'_>, capture: &CaptureStatus, instance: &Instance) -> ImageRequest {
    let tags = facts.tags(capture, instance.id.as_str(), "home", facts.home());
    ImageRequest {
        instance: instance.id.clone(),
        name: facts.owner().image_name(facts.template_name(), capture.revision, capture.attempts),
        description: facts.subject.spec.description.clone().unwrap_or_default(),
        image_tags: tags.clone(),
        snapshot_tags: tags,
        reboot: capture.mode == CaptureMode::Reboot && instance.state == InstanceState::Running,
        excluded_devices: capture.exclude_device_names.clone(),
    }
}

/// The number of the next attempt at the wanted revision. A plan under which nothing was asked for keeps its number; a name
/// that is or may be taken is not tried again (§6).
pub(crate) fn next_attempt(facts: &Facts<'_>) -> i32 {
    let seen = facts.attempts_at(facts.subject.spec.revision).saturating_add(1);
    let Some(last) = facts.capture().filter(|last| last.reason.is_some()) else { return seen };
    let is_free = last.image_requested_time.is_none() && last.reason != Some(CaptureReason::NameConflict);
    if is_free && seen <= last.attempts { last.attempts } else { last.attempts.saturating_add(1).max(seen) }
}
