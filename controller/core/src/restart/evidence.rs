//! What EC2 holds of one capture, as far as its record and EC2's own fields tell: all that the restart loop has.
use std::collections::BTreeSet;

use jiff::Timestamp;
use saved_template_api::{
    ids::{InstanceId, VolumeId},
    names::{self, tag},
};

use super::record::Record;
use crate::{
    time::after,
    world::{Absence, Image, ImageState, Instance, Snapshot, SnapshotState, Tags, View},
};

/// The volumes whose snapshots count: those of a plan, or those attached to the machine.
#[derive(Debug, Clone, Copy)]
pub enum Volumes<'a> {
    /// Those that the plan expects.
    Expected(&'a [VolumeId]),
    /// Those of the machine as it was seen.
    Of(&'a Instance),
}

impl Volumes<'_> {
    fn contain(self, volume: &VolumeId) -> bool {
        match self {
            Self::Expected(expected) => expected.contains(volume),
            Self::Of(instance) => instance.attachments.iter().any(|attached| attached.volume == *volume),
        }
    }
}

/// What is known of a record's capture. A part that could not be read is `None`: no evidence either way.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Images of this installation in the region.
    pub images: Option<&'a [Image]>,
    /// Snapshots of this installation in the region.
    pub snapshots: Option<&'a [Snapshot]>,
    /// How often the instance id was looked for in vain.
    pub absence: Option<Absence>,
}

impl<'a> Evidence<'a> {
    /// The evidence in a region's view.
    pub fn of(view: &'a View, instance: &InstanceId) -> Self {
        Self {
            images: view.images.as_deref().ok(),
            snapshots: view.snapshots.as_deref().ok(),
            absence: view.absences.get(instance.as_ref()).copied(),
        }
    }

    /// The snapshots of the record's capture.
    pub(super) fn snapshots_of(
        self,
        record: &Record,
        volumes: Volumes<'_>,
    ) -> impl Iterator<Item = &'a Snapshot> {
        let images = self.images.unwrap_or_default();
        self.snapshots.unwrap_or_default().iter().filter(move |shot| record.holds(shot, images, volumes))
    }

    pub(super) fn barrier(self, record: &Record, volumes: Volumes<'_>) -> Option<Timestamp> {
        record.barrier(self.snapshots?, self.images.unwrap_or_default(), volumes)
    }
}

/// What EC2 writes on a snapshot that `CreateImage` takes: the instance and the image.
pub(crate) fn created_for(snapshot: &Snapshot) -> Option<(&str, &str)> {
    let (instance, rest) =
        snapshot.description.strip_prefix("Created by CreateImage(")?.split_once(") for ")?;
    Some((instance, rest.split(' ').next()?))
}

/// The id of the image that EC2 took a snapshot for, as it writes it.
pub(crate) fn made_for(snapshot: &Snapshot) -> Option<&str> {
    created_for(snapshot).map(|(_, image)| image).or_else(|| copied_for(snapshot))
}

/// The image that EC2 writes on a snapshot that `CopyImage` makes.
fn copied_for(snapshot: &Snapshot) -> Option<&str> {
    snapshot.description.strip_prefix("Copied for DestinationAmi ")?.split(' ').next()
}

/// Whether AWS Backup or Data Lifecycle Manager took it: nobody else can write or remove a tag that begins with `aws:`.
pub(crate) fn is_of_backup_service(tags: &Tags) -> bool {
    tags.keys().any(|key| key.starts_with("aws:backup:") || key.starts_with("aws:dlm:"))
}

impl Record {
    /// Whether an image is that of this capture: its tag says so, and nothing that EC2 wrote says otherwise.
    pub fn made(&self, image: &Image) -> bool {
        image.tags.get(tag::CAPTURE).is_some_and(|capture| *capture == self.capture)
            && self.can_have_made(image)
    }

    /// Whether EC2's own fields let an image be that of this capture: they cannot be written by whoever writes tags.
    fn can_have_made(&self, image: &Image) -> bool {
        let source = match &image.source_instance {
            Some(source) => *source == self.instance,
            // EC2 shows it late; a copied or registered image never has it.
            None => image.state == ImageState::Pending,
        };
        // `SourceImageId` says nothing: EC2 shows there from which AMI the machine was launched.
        source
            && names::is_image_name(&image.name)
            && image.created.is_none_or(|created| created >= after(self.planned, -2))
    }

    /// Whether a snapshot is of this capture. EC2 writes on it for which image it was taken, and when: that must agree
    /// with the tag, and stands for one that was lost. Backup tools take images and snapshots of the same machine.
    pub fn holds(&self, snapshot: &Snapshot, images: &[Image], volumes: Volumes<'_>) -> bool {
        let capture = snapshot.tags.get(tag::CAPTURE);
        if capture.is_some_and(|capture| *capture != self.capture)
            || snapshot.started.is_some_and(|started| started < self.planned)
        {
            return false;
        }
        let expected = || capture.is_some() && volumes.contain(&snapshot.volume);
        let Some((instance, image)) = created_for(snapshot) else {
            return expected() && !is_of_backup_service(&snapshot.tags);
        };
        if instance != self.instance.as_str() {
            return false;
        }
        match images.iter().find(|shown| shown.id.as_str() == image) {
            Some(shown) => {
                let untagged = || !shown.tags.contains_key(tag::CAPTURE) && self.can_have_made(shown);
                snapshot.started.is_some() && (self.made(shown) || untagged())
            }
            // Its image is not shown yet; if another one is that of this capture, it is not.
            None => expected() && !images.iter().any(|shown| self.made(shown)),
        }
    }

    /// The barrier: `n` distinct volumes have a snapshot of this capture, taken since the plan.
    /// Answers when the last of them was started.
    pub fn barrier(
        &self,
        snapshots: &[Snapshot],
        images: &[Image],
        volumes: Volumes<'_>,
    ) -> Option<Timestamp> {
        let mut taken = BTreeSet::new();
        let mut last = self.planned;
        for snapshot in snapshots.iter().filter(|snapshot| self.holds(snapshot, images, volumes)) {
            let good = matches!(snapshot.state, SnapshotState::Pending | SnapshotState::Completed);
            if let Some(started) = snapshot.started.filter(|_| good) {
                taken.insert(&snapshot.volume);
                last = last.max(started);
            }
        }
        (taken.len() >= self.volumes).then_some(last)
    }
}
