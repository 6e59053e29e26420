//! A capture and its machine: which volumes it is of, whether its image may be served, and how long a stop may take.
use saved_template_api::{
    spec::{CaptureSpec, StopSpec},
    status::{CaptureReason, CaptureStatus},
    text::cut,
};

use crate::world::{Attachment, Instance};

/// Bare metal was seen to take 15 to 20 minutes to stop.
pub(crate) const METAL_STOPS_IN: i32 = 1200;

/// The volumes of the image: those attached, without the devices that are left out.
pub(crate) fn included<'i>(
    instance: &'i Instance,
    excluded: &'i [String],
) -> impl Iterator<Item = &'i Attachment> {
    instance.attachments.iter().filter(|volume| !excluded.contains(&volume.device))
}

/// Whether the volumes attached now are those that the capture expected.
pub(crate) fn same_volumes(capture: &CaptureStatus, instance: &Instance) -> bool {
    let volumes: Vec<_> = included(instance, &capture.exclude_device_names).collect();
    let mut attached: Vec<_> = volumes.iter().map(|volume| &volume.volume).collect();
    attached.sort();
    let mut expected: Vec<_> = capture.expected_volumes.iter().collect();
    expected.sort();
    volumes.iter().all(|volume| volume.attached) && attached == expected
}

/// The attempt has no image that could be served. What EC2 made of it stays.
pub(crate) fn fail(capture: &mut CaptureStatus, reason: CaptureReason, message: &str) {
    capture.reason = Some(reason);
    capture.message = Some(cut(message.to_owned(), 512));
}

/// Whether the image of a capture may be served: it has not failed, and every volume's snapshot began in time.
pub(crate) fn is_good(capture: Option<&CaptureStatus>) -> bool {
    capture.is_none_or(|capture| capture.reason.is_none() && capture.snapshots_started_time.is_some())
}

pub(crate) fn is_metal(instance: &Instance) -> bool {
    instance.instance_type.as_deref().is_some_and(|kind| kind.contains(".metal"))
}

/// The stop timeout that a capture of this machine is planned with: the default does not fit bare metal.
pub(crate) fn stop_timeout_of(capture: &CaptureSpec, instance: &Instance) -> i32 {
    let declared = capture.stop.timeout_seconds;
    let is_default = declared == StopSpec::default().timeout_seconds;
    if is_default && is_metal(instance) { declared.max(METAL_STOPS_IN) } else { declared }
}
