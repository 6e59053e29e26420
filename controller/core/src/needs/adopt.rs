//! What is there already is ours to serve, before anything is asked about the machine.
use saved_template_api::{
    Reason,
    names::{self, tag},
    status::{RegionRole, RegionState, RegionStatus},
};

use crate::{
    needs::Unmet,
    scene::Scene,
    world::{Image, ImageState},
};

/// The home image of this revision, by owner tags and EC2's own fields (§8).
fn home_image<'a>(scene: &Scene<'a>) -> Option<&'a Image> {
    let revision = scene.subject.spec.revision.to_string();
    let tagged = |image: &Image, key: &str, value: &str| image.tags.get(key).is_some_and(|tag| tag == value);
    let named = |image: &Image| {
        let attempt = image.tags.get(tag::ATTEMPT).and_then(|text| text.parse().ok()).unwrap_or(1);
        image.name == scene.owner().image_name(scene.template_name(), scene.subject.spec.revision, attempt)
    };
    let of_its_instance = |image: &Image| {
        let source = image.source_instance.as_ref().map(saved_template_api::ids::InstanceId::as_str);
        source.is_some_and(|source| tagged(image, tag::SOURCE_INSTANCE, source))
    };
    let usable = |image: &&Image| {
        scene.owns(&image.tags)
            && tagged(image, tag::REVISION, &revision)
            && tagged(image, tag::ROLE, "home")
            && matches!(image.state, ImageState::Pending | ImageState::Available)
            && named(image)
            && of_its_instance(image)
    };
    scene.images()?.iter().filter(usable).min_by_key(|image| image.created)
}

/// Takes an image over that no capture of this status made: the object was applied again, or its status lost.
pub(crate) fn fold(scene: &mut Scene<'_>) {
    let has_image = scene.home_row().is_some_and(|row| row.image_id.is_some());
    if scene.capture().is_some() || has_image {
        return;
    }
    let Some(image) =
        home_image(scene).filter(|image| is_declared_source(scene, image) && is_held(scene, image))
    else {
        return;
    };
    let region = scene.home().clone();
    let architecture = image.architecture.clone().unwrap_or_else(|| "x86_64".to_owned());
    let revision = scene.subject.spec.revision;
    let mut row = RegionStatus::waiting(region.clone(), architecture, RegionRole::Home);
    row.revision = Some(revision);
    row.image_id = Some(image.id.clone());
    row.attempts = image.tags.get(tag::ATTEMPT).and_then(|text| text.parse().ok()).unwrap_or(1);
    row.state =
        if image.state == ImageState::Available { RegionState::Available } else { RegionState::Pending };
    scene.status.regions.retain(|old| old.region != region);
    scene.status.regions.insert(0, row);
    scene.status.latest_revision = Some(revision.max(scene.status.latest_revision.unwrap_or(0)));
    crate::fold::images(scene);
}

fn is_declared_source(scene: &Scene<'_>, image: &Image) -> bool {
    image
        .tags
        .get(tag::SOURCE)
        .is_some_and(|source| *source == names::source_digest(&scene.subject.spec.source))
}

fn is_held(scene: &Scene<'_>, image: &Image) -> bool {
    image.tags.get(tag::HOLDER).is_some_and(|holder| holder == scene.subject.holder)
}

/// An image of this revision exists that is not this object's to take.
pub(crate) fn need(scene: &mut Scene<'_>) -> Option<Unmet> {
    if scene.capture().is_some() || scene.home_row().is_some_and(|row| row.image_id.is_some()) {
        return None;
    }
    let image = home_image(scene)?;
    if !is_declared_source(scene, image) {
        let message = format!(
            "{} is revision {} of this template, made from another source: set a larger spec.revision to capture the new one",
            image.id, scene.subject.spec.revision
        );
        return Some(Unmet::invalid(Reason::RevisionTaken, message));
    }
    let holder = image.tags.get(tag::HOLDER).cloned().unwrap_or_default();
    let message = format!(
        "{} was made by a twin of this cluster (kube-system uid {holder}): it is left alone, and nothing is captured",
        image.id
    );
    (!is_held(scene, image)).then(|| Unmet::invalid(Reason::HeldByOtherCluster, message))
}
