//! What the needs ask: is this image or snapshot ours, and this machine? Asked of everything that was read and is known.
use saved_template_api::{
    ids::{ImageId, InstanceId, Region},
    names::{self, tag},
};

use super::tagged::{MOST_ATTEMPTS, attempt_of, is, is_of_template, is_retained, revision_of, without_copy};
use crate::{
    facts::Facts,
    fold::images::is_gone,
    receipt,
    restart::{
        Record,
        evidence::{created_for, made_for},
    },
    world::{Image, ImageState, Instance, Snapshot, Tags},
};

impl<'a> Facts<'a> {
    /// The image of the capture of the record, by its tags, its name and EC2's own fields.
    pub(crate) fn is_of_capture(&self, image: &Image, record: &Record) -> bool {
        let account = self.account();
        self.ownership.owns(&image.tags)
            && is(&image.tags, tag::ROLE, "home")
            && is(&image.tags, tag::REGION, self.home().as_str())
            && image.name == self.expected_name(self.home())
            && record.made(image)
            && (account.is_none() || image.owner.is_none() || image.owner.as_ref() == account)
    }

    /// An image that the status names, as EC2 shows it: of this object and revision by its name, whatever became of its
    /// tags. A status, too, can be written by somebody else.
    pub(crate) fn is_known(&self, image: &Image, revision: i32) -> bool {
        // What was inherited keeps its first name, also once the controller is no longer told from whom.
        let inherited = || {
            let first = image.tags.get(tag::ADOPTED_FROM)?;
            let owner = self.ownership.owner(first);
            let name = owner.image_name(&self.ownership.template_name, revision, attempt_of(&image.tags));
            (self.ownership.owns(&image.tags) && without_copy(&image.name) == name).then_some(())
        };
        self.ownership.is_name_of(&image.name, revision) || inherited().is_some()
    }

    /// Whether EC2 shows by now that an image of the open capture, taken for its own while it was pending, is of another
    /// machine.
    pub(crate) fn is_of_another_machine(&self, image: &Image) -> bool {
        let of_capture = self
            .open_capture()
            .is_some_and(|capture| image.tags.get(tag::CAPTURE).is_none_or(|there| *there == capture.id));
        let is_its = |record: Record| image.source_instance == Some(record.instance);
        of_capture && image.state == ImageState::Available && !self.record().is_none_or(is_its)
    }

    /// The machine of the newest image of this object, by what nobody can write: the name, and the source that EC2 shows.
    pub(crate) fn imaged_machine(&self) -> Option<InstanceId> {
        let revision = |image: &Image| {
            let inherited =
                || self.ownership.is_home_image(image).then(|| revision_of(&image.tags)).flatten();
            self.ownership.revision_in(&image.name).or_else(inherited)
        };
        let images = self.images()?.iter().filter(|image| image.source_instance.is_some());
        let newest =
            images.filter_map(|image| Some((revision(image)?, image))).max_by_key(|(revision, _)| *revision);
        newest.and_then(|(_, image)| image.source_instance.clone())
    }

    /// The machine that a declared name stands for since the first capture: whoever may tag can give the name to another
    /// one. Naming another source in the manifest is another matter.
    pub(crate) fn pinned(&self) -> Option<InstanceId> {
        let declared = names::source_digest(&self.subject.spec.source);
        let planned = self.status.capture.as_ref().and_then(|capture| capture.source_digest.as_ref());
        if planned.is_some_and(|planned| *planned != declared) {
            return None;
        }
        // What EC2 says of our images counts before what the status says.
        let shown = self.imaged_machine();
        let captured = || self.status.revisions.iter().find_map(|entry| entry.source_instance_id.clone());
        let last = || self.status.capture.as_ref().and(self.status.source.as_ref())?.instance_id.clone();
        shown.or_else(captured).or_else(last)
    }

    /// A copy of `source` that is ours.
    pub(crate) fn is_copy(&self, image: &Image, source: &ImageId, region: &Region) -> bool {
        self.ownership.is_image(image, region)
            && image.source_image.as_ref() == Some(source)
            && revision_of(&image.tags) == Some(self.edition().0)
    }

    /// An image of this object, of whatever revision and state.
    pub(crate) fn is_ours(&self, image: &Image, region: &Region) -> bool {
        self.ownership.is_made(image, region)
    }

    /// Our images in a region, of whatever revision; none if they could not be read.
    pub(crate) fn our_images(&self, region: &Region) -> Option<Vec<&'a Image>> {
        let images = self.view_of(region)?.images.as_deref().ok()?;
        Some(images.iter().filter(|image| self.ownership.is_image(image, region)).collect())
    }

    /// Our images in a region, and those that the status names, whatever became of their tags; none if they could not be read.
    pub(crate) fn ours_or_named(&self, region: &Region) -> Option<Vec<&'a Image>> {
        let images = self.view_of(region)?.images.as_deref().ok()?.iter();
        let is_named = |image: &Image| self.ownership.images.contains(&image.id);
        Some(images.filter(|image| is_named(image) || self.ownership.is_image(image, region)).collect())
    }

    /// Our snapshots in a region; none if they could not be read.
    pub(crate) fn our_snapshots(&self, region: &Region) -> Option<Vec<&'a Snapshot>> {
        let images = self.our_images(region)?;
        let snapshots = self.view_of(region)?.snapshots.as_deref().ok()?;
        Some(snapshots.iter().filter(|shot| self.ownership.is_snapshot(shot, &images)).collect())
    }

    /// Whether a region shows an image that was not deregistered; none where it cannot be read.
    pub(crate) fn shows(&self, id: &ImageId, region: &Region) -> Option<bool> {
        let images = self.view_of(region)?.images.as_deref().ok()?;
        Some(images.iter().any(|image| image.id == *id && image.state != ImageState::Deregistered))
    }

    /// Snapshots that images left which EC2 was asked to deregister, and which are believed to be gone: ours, held here, of no
    /// other image, and not to stay. None where the region cannot be read.
    pub(crate) fn left_in(&self, region: &Region) -> Option<Vec<&'a Snapshot>> {
        let images = self.view_of(region)?.images.as_deref().ok()?;
        let was_removed = |id: &str| {
            let removed = self.removed_in(region).find(|removed| removed.image_id.as_str() == id);
            removed.is_some_and(|removed| {
                self.shows(&removed.image_id, region) == Some(false)
                    && is_gone(self, &removed.image_id, region)
            })
        };
        let is_mapped = |shot: &Snapshot| {
            let mut there = images.iter().filter(|image| image.state != ImageState::Deregistered);
            there.any(|image| image.snapshots.contains(&shot.id))
        };
        let snapshots = self.our_snapshots(region)?.into_iter();
        let left = snapshots.filter(|shot| {
            !is_retained(&shot.tags)
                && self.holds(&shot.tags)
                && made_for(shot).is_some_and(was_removed)
                && !is_mapped(shot)
        });
        Some(left.collect())
    }

    /// What in a region is left since nothing of EC2's shows that it is ours, although the status or our tags say so.
    pub(crate) fn unproven(&self, region: &Region) -> Vec<String> {
        let Some(view) = self.view_of(region) else { return Vec::new() };
        let (Ok(images), Ok(snapshots)) = (&view.images, &view.snapshots) else { return Vec::new() };
        self.ownership.unproven(region, images, snapshots)
    }

    /// §6: the largest attempt at a revision in the tags of anything that can be ours.
    pub(crate) fn attempts_at(&self, revision: i32) -> i32 {
        let images = self.images().unwrap_or_default().iter();
        let images =
            images.filter(|image| self.ownership.is_name_of(&image.name, revision)).map(|image| &image.tags);
        let shots = self.snapshots().unwrap_or_default().iter();
        let shots = shots.filter(|shot| created_for(shot).is_some()).map(|shot| &shot.tags);
        images
            .chain(shots)
            .filter(|tags| self.ownership.owns(tags) && revision_of(tags) == Some(revision))
            .map(attempt_of)
            .filter(|attempt| *attempt <= MOST_ATTEMPTS)
            .max()
            .unwrap_or(0)
    }

    /// Another cluster's image of a template of this namespace and name: its name holds a digest of that cluster.
    pub(crate) fn is_namesakes(&self, image: &Image) -> bool {
        let Some((cluster, revision)) = image.tags.get(tag::CLUSTER).zip(revision_of(&image.tags)) else {
            return false;
        };
        !self.ownership.clusters.contains(cluster)
            && is_of_template(&image.tags)
            && is(&image.tags, tag::NAMESPACE, self.subject.namespace)
            && is(&image.tags, tag::NAME, self.subject.name)
            && self.ownership.owner(cluster).named(
                without_copy(&image.name),
                revision,
                attempt_of(&image.tags),
            )
    }

    /// Whether something was another cluster's, whose heir this installation is.
    pub(crate) fn is_inherited(&self, tags: &Tags) -> bool {
        tags.get(tag::CLUSTER).is_some_and(|cluster| self.subject.takeover.clusters.contains(cluster))
    }

    /// Whether something that we own is ours to change: no twin of this cluster holds it.
    pub(crate) fn holds(&self, tags: &Tags) -> bool {
        let takeover = self.subject.takeover.cluster_uid.as_ref();
        let uid = tags.get(tag::HOLDER);
        uid.is_none_or(|uid| uid == self.subject.cluster_uid || Some(uid) == takeover)
            || self.is_inherited(tags)
    }

    /// Whether anything but the status says that the machine of a record is this object's: the spec, or what is on the
    /// machine, or an image of it. Whoever can write the status must not be able to name any machine.
    pub(crate) fn is_supported(&self, record: &Record) -> bool {
        let spec = &self.subject.spec.source;
        let is_declared = |instance: &Instance| {
            let named =
                instance.tags.get("Name").is_some_and(|name| Some(name) == spec.instance_name.as_ref());
            named && self.pinned().is_none_or(|pinned| pinned == instance.id)
        };
        let is_tagged = |instance: &Instance| {
            let tagged = instance.tags.get(&self.debt_key()).and_then(|value| value.parse::<Record>().ok());
            tagged.is_some_and(|tagged| tagged.capture == record.capture)
                || receipt::begun(self, instance).is_some()
        };
        let shown = || self.instances().iter().find(|instance| instance.id == record.instance);
        let is_imaged =
            || self.images().unwrap_or_default().iter().any(|image| self.is_of_capture(image, record));
        spec.instance_id.as_ref() == Some(&record.instance)
            || shown().is_some_and(|instance| is_declared(instance) || is_tagged(instance))
            || is_imaged()
    }
}
