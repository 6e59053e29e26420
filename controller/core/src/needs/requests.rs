//! What EC2 is asked for.
use saved_template_api::{spec::CaptureMode, status::CaptureStatus};

use crate::{
    scene::Scene,
    step::ImageRequest,
    world::{Instance, InstanceState},
};

/// The request whose snapshots are the barrier.
pub(crate) fn image_request(scene: &Scene<'_>, capture: &CaptureStatus, instance: &Instance) -> ImageRequest {
    let tags = scene.tags(capture, instance.id.as_str(), "home", scene.home());
    ImageRequest {
        instance: instance.id.clone(),
        name: scene.owner().image_name(scene.template_name(), capture.revision, capture.attempts),
        description: scene.subject.spec.description.clone().unwrap_or_default(),
        image_tags: tags.clone(),
        snapshot_tags: tags,
        reboot: capture.mode == CaptureMode::Reboot && instance.state == InstanceState::Running,
        excluded_devices: capture.exclude_device_names.clone(),
    }
}
