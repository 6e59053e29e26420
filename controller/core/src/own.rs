//! Whose is it? Before anything is adopted, changed or deleted, the owner tags and EC2's own fields must agree (§8).
use saved_template_api::{
    ids::{ImageId, InstanceId, Region},
    names::{Owner, tag},
};

use crate::{
    decide::Subject,
    scene::Scene,
    world::{Image, ImageState, Snapshot, Tags},
};

/// The revision that the tags name.
pub(crate) fn revision_of(tags: &Tags) -> Option<i32> {
    tags.get(tag::REVISION)?.parse().ok().filter(|revision| *revision > 0)
}

/// The attempt that the tags name.
pub(crate) fn attempt_of(tags: &Tags) -> i32 {
    tags.get(tag::ATTEMPT).and_then(|text| text.parse().ok()).unwrap_or(1).clamp(1, 99_999)
}

/// Whether it stays for good.
pub(crate) fn is_retained(tags: &Tags) -> bool {
    tags.get(tag::RETAINED).is_some_and(|value| value == "true")
}

/// Whether it is marked as what a failed attempt left.
pub(crate) fn is_of_failed_attempt(tags: &Tags) -> bool {
    tags.contains_key(tag::FAILED)
}

fn is(tags: &Tags, key: &str, value: &str) -> bool {
    tags.get(key).is_some_and(|found| found == value)
}

/// What makes an image or a snapshot that of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estate {
    /// Our cluster name, and that of the cluster whose heir we are.
    clusters: Vec<String>,
    namespace: String,
    name: String,
    template_name: String,
    home: Region,
}

impl Estate {
    /// The estate of an object.
    pub fn of(subject: &Subject<'_>) -> Self {
        let heritage = subject.heritage.cluster.iter().cloned();
        Self {
            clusters: std::iter::once(subject.cluster.to_owned()).chain(heritage).collect(),
            namespace: subject.namespace.to_owned(),
            name: subject.name.to_owned(),
            template_name: subject.spec.template_name.as_deref().unwrap_or(subject.name).to_owned(),
            home: subject.spec.source.region.clone(),
        }
    }

    /// Whether the owner tags say that it is of this object.
    pub(crate) fn owns(&self, tags: &Tags) -> bool {
        tags.get(tag::CLUSTER).is_some_and(|cluster| self.clusters.contains(cluster))
            && is(tags, tag::NAMESPACE, &self.namespace)
            && is(tags, tag::NAME, &self.name)
    }

    /// The name that an image with these tags must have.
    fn computed_name(&self, tags: &Tags) -> Option<String> {
        // What was inherited keeps the name that its first owner gave it.
        let cluster = tags.get(tag::ADOPTED_FROM).or_else(|| tags.get(tag::CLUSTER))?;
        let owner = Owner { cluster, namespace: &self.namespace, name: &self.name };
        Some(owner.image_name(&self.template_name, revision_of(tags)?, attempt_of(tags)))
    }

    /// An image that `CreateImage` made for this object.
    fn is_home_image(&self, image: &Image) -> bool {
        let source = image.source_instance.as_ref().map(InstanceId::as_str);
        self.owns(&image.tags)
            && is(&image.tags, tag::ROLE, "home")
            && is(&image.tags, tag::REGION, self.home.as_str())
            && source.is_some_and(|source| is(&image.tags, tag::SOURCE_INSTANCE, source))
            && self.computed_name(&image.tags).is_some_and(|name| image.name == name)
    }

    /// An image that `CopyImage` made for this object in this region.
    fn is_copied_image(&self, image: &Image, region: &Region) -> bool {
        self.owns(&image.tags)
            && is(&image.tags, tag::ROLE, "copy")
            && is(&image.tags, tag::REGION, region.as_str())
            && image.source_image.is_some()
            && image.source_region.as_ref() == Some(&self.home)
            && self.computed_name(&image.tags).is_some_and(|name| image.name.starts_with(&name))
    }

    fn is_image(&self, image: &Image, region: &Region) -> bool {
        let made = if *region == self.home {
            self.is_home_image(image)
        } else {
            self.is_copied_image(image, region)
        };
        made && image.state != ImageState::Deregistered
    }

    fn is_snapshot(&self, shot: &Snapshot, images: &[&Image]) -> bool {
        let mapped = || images.iter().any(|image| image.snapshots.contains(&shot.id));
        self.owns(&shot.tags) && (is_described(shot) || mapped())
    }

    /// Whether anything of it is left in a region, but for what stays for good.
    pub fn is_left(&self, region: &Region, images: &[Image], snapshots: &[Snapshot]) -> bool {
        let ours: Vec<&Image> = images.iter().filter(|image| self.is_image(image, region)).collect();
        let shots = snapshots.iter().filter(|shot| self.is_snapshot(shot, &ours)).map(|shot| &shot.tags);
        shots.chain(ours.iter().map(|image| &image.tags)).any(|tags| !is_retained(tags))
    }
}

/// EC2 writes what a snapshot was made for; the tags name the same machine.
fn is_described(shot: &Snapshot) -> bool {
    let instance = shot.tags.get(tag::SOURCE_INSTANCE).map(String::as_str).unwrap_or_default();
    let made = format!("Created by CreateImage({instance}) for ami-");
    shot.description.starts_with(&made) || shot.description.starts_with("Copied for DestinationAmi ami-")
}

impl<'a> Scene<'a> {
    /// A copy of `source` that is ours.
    pub(crate) fn is_copy(&self, image: &Image, source: &ImageId, region: &Region) -> bool {
        self.estate.is_image(image, region)
            && image.source_image.as_ref() == Some(source)
            && revision_of(&image.tags) == Some(self.edition().0)
    }

    /// Our images in a region, of whatever revision; none if they could not be read.
    pub(crate) fn our_images(&self, region: &Region) -> Option<Vec<&'a Image>> {
        let images = self.view_of(region)?.images.as_deref().ok()?;
        Some(images.iter().filter(|image| self.estate.is_image(image, region)).collect())
    }

    /// Our snapshots in a region; none if they could not be read.
    pub(crate) fn our_snapshots(&self, region: &Region) -> Option<Vec<&'a Snapshot>> {
        let images = self.our_images(region)?;
        let snapshots = self.view_of(region)?.snapshots.as_deref().ok()?;
        Some(snapshots.iter().filter(|shot| self.estate.is_snapshot(shot, &images)).collect())
    }
}
