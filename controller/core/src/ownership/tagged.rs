//! What makes an image or a snapshot that of one object: the owner tags and EC2's own fields together (§8).
use std::collections::BTreeSet;

use jiff::Timestamp;
use saved_template_api::{
    ids::{ImageId, Region, VolumeId},
    names::{Owner, SAVED_TEMPLATE, tag},
    revision::LARGEST_REVISION,
    status::{CaptureStatus, SavedTemplateStatus},
};

use crate::{
    restart::evidence::{is_of_backup_service, made_for},
    subject::Subject,
    time::after,
    world::{Image, ImageState, Snapshot, Tags},
};

/// Nobody makes so many attempts at one revision: a larger number was written by somebody else.
pub(super) const MOST_ATTEMPTS: i32 = 1000;

/// The revision that the tags name, if the schema takes it: a tag may hold any number.
pub(crate) fn revision_of(tags: &Tags) -> Option<i32> {
    tags.get(tag::REVISION)?.parse().ok().filter(|revision| (1..=LARGEST_REVISION).contains(revision))
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

pub(super) fn is(tags: &Tags, key: &str, value: &str) -> bool {
    tags.get(key).is_some_and(|found| found == value)
}

/// Whether the owner is a `SavedTemplate`: what says of no kind is of the first one.
pub(super) fn is_of_template(tags: &Tags) -> bool {
    tags.get(tag::KIND).is_none_or(|kind| kind == SAVED_TEMPLATE)
}

/// What makes an image or a snapshot that of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// Our cluster name, and those of the clusters whose heir we are.
    pub(super) clusters: Vec<String>,
    namespace: String,
    name: String,
    pub(super) template_name: String,
    home: Region,
    /// The images that the status names: what EC2 wrote about them on a snapshot makes it ours.
    pub(super) images: BTreeSet<ImageId>,
    /// The capture of the status, and the volumes that it expects.
    capture: Option<Expected>,
}

/// The capture of the status: what a snapshot of it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Expected {
    capture: String,
    volumes: Vec<VolumeId>,
    /// When it was planned.
    since: Option<Timestamp>,
    /// When its machine was given back.
    until: Option<Timestamp>,
}

impl Expected {
    fn of(capture: &CaptureStatus) -> Self {
        let restored = capture.source_restored_time.as_ref().or(capture.completion_time.as_ref());
        Self {
            capture: capture.id.clone(),
            volumes: capture.expected_volumes.clone(),
            since: capture.start_time.as_ref().map(|time| time.0),
            until: restored.map(|time| time.0),
        }
    }

    fn contains(&self, shot: &Snapshot) -> bool {
        let in_time = shot.started.zip(self.since).is_some_and(|(started, since)| {
            started >= after(since, -2) && self.until.is_none_or(|until| started <= until)
        });
        in_time && is(&shot.tags, tag::CAPTURE, &self.capture) && self.volumes.contains(&shot.volume)
    }
}

/// Every image that a status names.
fn images_of(status: &SavedTemplateStatus) -> BTreeSet<ImageId> {
    let rows = status.regions.iter().filter_map(|row| row.image_id.as_ref());
    let served = status.images.iter().map(|image| &image.image_id);
    let older = status.revisions.iter().flat_map(|revision| &revision.images);
    // What was asked to go may be named by nothing else any more.
    let removed = status.removed_images.iter().map(|removed| &removed.image_id);
    rows.chain(served).chain(older.map(|image| &image.image_id)).chain(removed).cloned().collect()
}

impl Ownership {
    /// The ownership of an object.
    pub fn of(subject: &Subject<'_>) -> Self {
        let takeover = subject.takeover.clusters.iter().cloned();
        let status = subject.status;
        Self {
            clusters: std::iter::once(subject.cluster.to_owned()).chain(takeover).collect(),
            namespace: subject.namespace.to_owned(),
            name: subject.name.to_owned(),
            template_name: subject.spec.template_name.as_deref().unwrap_or(subject.name).to_owned(),
            home: subject.spec.source.region.clone(),
            images: images_of(status),
            capture: status.capture.as_ref().map(Expected::of),
        }
    }

    /// Forgets the images that the status does not name any more.
    pub(crate) fn knows_only(&mut self, status: &SavedTemplateStatus) {
        self.images = images_of(status);
    }

    pub(super) fn owner<'o>(&'o self, cluster: &'o str) -> Owner<'o> {
        Owner { cluster, kind: SAVED_TEMPLATE, namespace: &self.namespace, name: &self.name }
    }

    /// Whether the owner tags say that it is of this object. Alone they prove nothing.
    pub(super) fn owns(&self, tags: &Tags) -> bool {
        tags.get(tag::CLUSTER).is_some_and(|cluster| self.clusters.contains(cluster))
            && is_of_template(tags)
            && is(tags, tag::NAMESPACE, &self.namespace)
            && is(tags, tag::NAME, &self.name)
    }

    /// The name that an image with these tags must have. What was inherited keeps the name that its first owner gave it,
    /// if that is one of those whose heir we are.
    pub(super) fn computed_name(&self, tags: &Tags) -> Option<String> {
        let cluster = tags.get(tag::ADOPTED_FROM).or_else(|| tags.get(tag::CLUSTER))?;
        let known = self.clusters.contains(cluster);
        known.then(|| {
            self.owner(cluster).image_name(
                &self.template_name,
                revision_of(tags).unwrap_or(0),
                attempt_of(tags),
            )
        })
    }

    /// Whether the name is one that we, or those whose heirs we are, give to an image of this object and revision, or to
    /// a copy of it. EC2 keeps the name; it cannot be written as a tag can.
    pub(super) fn is_name_of(&self, name: &str, revision: i32) -> bool {
        let base = without_copy(name);
        let prefix = format!("{}-r{revision}-", self.template_name);
        let attempt =
            base.strip_prefix(&prefix).and_then(|rest| rest.split_once("-a")).map(|(_, number)| number);
        let attempt = attempt.map_or(Some(1), |number| number.parse().ok());
        attempt.is_some_and(|attempt| {
            self.clusters
                .iter()
                .any(|cluster| self.owner(cluster).image_name(&self.template_name, revision, attempt) == base)
        })
    }

    /// The revision in a name that we, or those whose heirs we are, give to an image of this object.
    pub(super) fn revision_in(&self, name: &str) -> Option<i32> {
        let rest = name.strip_prefix(&self.template_name)?.strip_prefix("-r")?;
        let revision = rest.split_once('-')?.0.parse().ok()?;
        self.is_name_of(name, revision).then_some(revision)
    }

    /// An image that `CreateImage` made for this object, of whatever state.
    pub(super) fn is_home_image(&self, image: &Image) -> bool {
        let source = match &image.source_instance {
            Some(source) => is(&image.tags, tag::SOURCE_INSTANCE, source.as_str()),
            // EC2 shows it late.
            None => image.state == ImageState::Pending,
        };
        self.owns(&image.tags)
            && is(&image.tags, tag::ROLE, "home")
            && is(&image.tags, tag::REGION, self.home.as_str())
            && source
            && revision_of(&image.tags).is_some()
            && self.computed_name(&image.tags).is_some_and(|name| image.name == name)
    }

    /// An image that `CopyImage` made for this object in this region, of whatever state.
    pub(super) fn is_copied_image(&self, image: &Image, region: &Region) -> bool {
        self.owns(&image.tags)
            && is(&image.tags, tag::ROLE, "copy")
            && is(&image.tags, tag::REGION, region.as_str())
            && image.source_image.is_some()
            && image.source_region.as_ref() == Some(&self.home)
            && revision_of(&image.tags).is_some()
            && self.computed_name(&image.tags).is_some_and(|name| without_copy(&image.name) == name)
    }

    pub(super) fn is_made(&self, image: &Image, region: &Region) -> bool {
        if *region == self.home { self.is_home_image(image) } else { self.is_copied_image(image, region) }
    }

    pub(super) fn is_image(&self, image: &Image, region: &Region) -> bool {
        self.is_made(image, region) && image.state != ImageState::Deregistered
    }

    /// A snapshot is ours only by what EC2 wrote: one of our images maps it, or it was taken for an image that is ours or
    /// that the status names; or nothing is written on it, and it is of the capture that the status knows and of one of its
    /// volumes.
    pub(super) fn is_snapshot(&self, shot: &Snapshot, images: &[&Image]) -> bool {
        let mapped = || images.iter().any(|image| image.snapshots.contains(&shot.id));
        let made_for = made_for(shot);
        let described = || {
            made_for.is_some_and(|id| {
                images.iter().any(|image| image.id.as_str() == id)
                    || self.images.iter().any(|image| image.as_str() == id)
            })
        };
        // What is written on it speaks louder: EC2 writes of which image it is, and others why they took it.
        let expected = || {
            let its = self.capture.as_ref().is_some_and(|expected| expected.contains(shot));
            shot.description.is_empty() && !is_of_backup_service(&shot.tags) && its
        };
        self.owns(&shot.tags) && (mapped() || described() || expected())
    }

    /// Whether anything of it is left in a region, but for what stays for good.
    pub fn is_left(&self, region: &Region, images: &[Image], snapshots: &[Snapshot]) -> bool {
        let ours: Vec<&Image> = images.iter().filter(|image| self.is_image(image, region)).collect();
        let shots = snapshots.iter().filter(|shot| self.is_snapshot(shot, &ours)).map(|shot| &shot.tags);
        shots.chain(ours.iter().map(|image| &image.tags)).any(|tags| !is_retained(tags))
    }

    /// Images that the status names or the owner tags are on, and snapshots with the owner tags, that nothing of EC2's
    /// shows to be ours: they are left.
    pub(super) fn unproven(&self, region: &Region, images: &[Image], snapshots: &[Snapshot]) -> Vec<String> {
        let (ours, others): (Vec<&Image>, Vec<&Image>) =
            images.iter().partition(|image| self.is_image(image, region));
        let claimed = |image: &&Image| {
            image.state != ImageState::Deregistered
                && (self.images.contains(&image.id) || self.owns(&image.tags))
        };
        let others = others.into_iter().filter(claimed).map(|image| image.id.to_string());
        let shots = snapshots.iter().filter(|shot| self.owns(&shot.tags) && !self.is_snapshot(shot, &ours));
        others.chain(shots.map(|shot| shot.id.to_string())).collect()
    }
}

/// The name of a copy without what tells its second and later attempts apart.
pub(super) fn without_copy(name: &str) -> &str {
    match name.rsplit_once("-c") {
        Some((base, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            base
        }
        Some(_) | None => name,
    }
}
