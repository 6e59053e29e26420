//! An image that no capture of this status made: the object was applied again, its status was lost, or an older revision
//! is wanted.
use std::cmp::Reverse;

use saved_template_api::{
    names::{self, tag},
    status::{CaptureStatus, RegionRole, RegionState, RegionStatus, RevisionState},
};

use crate::{
    draft::Draft,
    facts::Facts,
    fold::images::architecture,
    ownership::{attempt_of, is_of_failed_attempt, revision_of},
    world::{Image, ImageState},
};

/// The home image of the wanted revision: by owner tags and EC2's own fields (§8). What a failed attempt left is none;
/// an attempt is followed by another only if it failed, so that of two images the later attempt's is the good one.
pub(crate) fn home_image<'a>(facts: &Facts<'a>) -> Option<&'a Image> {
    let revision = facts.subject.spec.revision;
    let known = facts.status.revisions.iter().find(|entry| entry.revision == revision);
    let is_failed = known.is_some_and(|entry| entry.state == RevisionState::Failed);
    let failed =
        facts.status.capture.as_ref().filter(|capture| capture.revision == revision && is_over(capture));
    if is_failed && failed.is_none() {
        return None;
    }
    let usable = |image: &&Image| {
        revision_of(&image.tags) == Some(revision)
            && !is_of_failed_attempt(&image.tags)
            && failed.is_none_or(|failed| is_of_later_attempt(image, failed))
            && matches!(image.state, ImageState::Pending | ImageState::Available | ImageState::Disabled)
    };
    let images = facts.our_images(facts.home())?.into_iter().filter(usable);
    images.min_by_key(|image| {
        (image.state == ImageState::Disabled, Reverse(attempt_of(&image.tags)), image.created)
    })
}

/// Whether the image of the wanted revision is known, or a capture of it is to bring one, or has failed.
pub(crate) fn is_answered(facts: &Facts<'_>) -> bool {
    let has_image = facts.home_row().is_some_and(|row| row.image_id.is_some());
    let is_overtaken = |capture| is_over(capture) && home_image(facts).is_some();
    has_image || facts.capture().is_some_and(|capture| !is_past(capture) && !is_overtaken(capture))
}

/// Whether a capture has ended without its image.
const fn is_over(capture: &CaptureStatus) -> bool {
    capture.completion_time.is_some() && capture.reason.is_some()
}

/// Whether an image is of an attempt that a status, which went back to the end of the one before, knows nothing of.
fn is_of_later_attempt(image: &Image, failed: &CaptureStatus) -> bool {
    image.tags.get(tag::CAPTURE).is_some_and(|capture| *capture != failed.id)
        && attempt_of(&image.tags) >= failed.attempts
}

/// Whether a capture made its image. Where the row does not name it any more, another revision was wanted in between.
pub(crate) const fn is_past(capture: &CaptureStatus) -> bool {
    capture.completion_time.is_some() && capture.reason.is_none()
}

/// Takes an image over that no capture of this status made: the object was applied again, its status was lost, or an
/// older revision is wanted.
pub(super) fn take(draft: &mut Draft<'_>) -> bool {
    if draft.subject.deleting || is_answered(draft) {
        return false;
    }
    let Some(image) = home_image(draft).filter(|image| is_declared_source(draft, image)) else {
        return false;
    };
    let region = draft.home().clone();
    let architecture = architecture(image.architecture.as_ref());
    let mut row = RegionStatus::waiting(region.clone(), architecture, RegionRole::Home);
    row.revision = Some(draft.subject.spec.revision);
    row.image_id = Some(image.id.clone());
    row.attempts = attempt_of(&image.tags);
    row.state = RegionState::Pending;
    // One that ended without an image says nothing of this one.
    draft.status.capture.take_if(|capture| is_over(capture));
    draft.status.regions.retain(|old| old.region != region);
    draft.status.regions.insert(0, row);
    true
}

/// Whether it was made of the source that is declared: by its tag, and by the machine that EC2 names. A declared name
/// stands for the machine of the first capture.
pub(crate) fn is_declared_source(facts: &Facts<'_>, image: &Image) -> bool {
    let spec = &facts.subject.spec.source;
    let declared = spec.instance_id.clone().or_else(|| facts.pinned());
    let is_machine = declared.is_none_or(|declared| image.source_instance.as_ref() == Some(&declared));
    let digest = names::source_digest(spec);
    is_machine && image.tags.get(tag::SOURCE).is_some_and(|source| *source == digest)
}
