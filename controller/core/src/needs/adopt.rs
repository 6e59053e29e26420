//! What is there already is ours to serve, before anything is asked about the machine.
use std::cmp::Reverse;

use saved_template_api::{
    Reason,
    names::{self, tag},
    status::{CaptureStatus, RegionRole, RegionState, RegionStatus, RevisionState},
};

use crate::{
    ownership::{attempt_of, is_of_failed_attempt, revision_of},
    quote::{flag, quoted},
    scene::Scene,
    unmet::Unmet,
    world::{Image, ImageState},
};

/// The home image of the wanted revision: by owner tags and EC2's own fields (§8). What a failed attempt left is none;
/// an attempt is followed by another only if it failed, so that of two images the later attempt's is the good one.
fn home_image<'a>(scene: &Scene<'a>) -> Option<&'a Image> {
    let revision = scene.subject.spec.revision;
    let known = scene.status.revisions.iter().find(|entry| entry.revision == revision);
    if known.is_some_and(|entry| entry.state == RevisionState::Failed) {
        return None;
    }
    let usable = |image: &&Image| {
        revision_of(&image.tags) == Some(revision)
            && !is_of_failed_attempt(&image.tags)
            && matches!(image.state, ImageState::Pending | ImageState::Available | ImageState::Disabled)
    };
    let images = scene.our_images(scene.home())?.into_iter().filter(usable);
    images.min_by_key(|image| {
        (image.state == ImageState::Disabled, Reverse(attempt_of(&image.tags)), image.created)
    })
}

/// Whether the image of the wanted revision is known, or a capture of it is to bring one, or has failed.
fn is_answered(scene: &Scene<'_>) -> bool {
    let has_image = scene.home_row().is_some_and(|row| row.image_id.is_some());
    has_image || scene.capture().is_some_and(|capture| !is_past(capture))
}

/// Whether a capture made its image. Where the row does not name it any more, another revision was wanted in between.
pub(crate) const fn is_past(capture: &CaptureStatus) -> bool {
    capture.completion_time.is_some() && capture.reason.is_none()
}

/// Takes an image over that no capture of this status made: the object was applied again, its status was lost, or an
/// older revision is wanted.
pub(crate) fn fold(scene: &mut Scene<'_>) {
    if is_answered(scene) {
        return;
    }
    let Some(image) = home_image(scene).filter(|image| is_declared_source(scene, image)) else {
        return;
    };
    let region = scene.home().clone();
    let architecture = crate::fold::architecture(image.architecture.as_ref());
    let mut row = RegionStatus::waiting(region.clone(), architecture, RegionRole::Home);
    row.revision = Some(scene.subject.spec.revision);
    row.image_id = Some(image.id.clone());
    row.attempts = attempt_of(&image.tags);
    row.state = RegionState::Pending;
    scene.status.regions.retain(|old| old.region != region);
    scene.status.regions.insert(0, row);
    crate::fold::images(scene);
}

/// Whether it was made of the source that is declared: by its tag, and by the machine that EC2 names. A declared name
/// stands for the machine of the first capture.
fn is_declared_source(scene: &Scene<'_>, image: &Image) -> bool {
    let spec = &scene.subject.spec.source;
    let declared = spec.instance_id.clone().or_else(|| scene.pinned());
    let is_machine = declared.is_none_or(|declared| image.source_instance.as_ref() == Some(&declared));
    let digest = names::source_digest(spec);
    is_machine && image.tags.get(tag::SOURCE).is_some_and(|source| *source == digest)
}

/// An image of this revision exists that is not this object's to take.
pub(crate) fn need(scene: &mut Scene<'_>) -> Option<Unmet> {
    if is_answered(scene) {
        return None;
    }
    let image = home_image(scene)?;
    let next = scene.status.latest_revision.unwrap_or(0).max(scene.subject.spec.revision).saturating_add(1);
    let message = format!(
        "{} is revision {} of this template, made from another source: set spec.revision to {next} to capture the new one",
        image.id, scene.subject.spec.revision
    );
    (!is_declared_source(scene, image)).then(|| Unmet::invalid(Reason::RevisionTaken, message))
}

/// Something of ours is held by a twin of this cluster: it is read, and not changed. What the status names counts whatever
/// else its tags say: who may write tags must not be able to set a twin free.
pub(crate) fn held_by_other(scene: &Scene<'_>) -> Option<String> {
    let regions = scene.regions_ever();
    let images = regions.iter().filter_map(|region| Some((region, scene.ours_or_named(region)?)));
    let images = images.flat_map(|(region, images)| images.into_iter().map(move |image| (region, image)));
    let mut held = images.filter_map(|(region, image)| {
        let holder = image.tags.get(tag::HOLDER).filter(|_| !scene.holds(&image.tags))?;
        Some((region, image, holder))
    });
    let (region, image, holder) = held.next()?;
    let more = held.count();
    let more = if more == 0 { String::new() } else { format!(", and so are {more} more") };
    Some(format!(
        "{} in {region} is held by another cluster of the same name (kube-system uid {}){more}: it is left as it is, and \
         nothing is captured. If that cluster is gone for good, start the controller with {}",
        image.id,
        quoted(holder),
        flag("--take-over", holder)
    ))
}

#[cfg(test)]
mod tests;
