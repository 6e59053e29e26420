//! What EC2 is asked for.
use saved_template_api::{spec::CaptureMode, status::CaptureStatus};

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
