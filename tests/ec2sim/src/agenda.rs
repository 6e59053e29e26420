//! What is due, and what happens when it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    clock::{Millis, spoken},
    image::{ImageState, Snapshot, SnapshotState},
    instance::{InstanceState, Reason},
    place::{Key, Place},
    sim::Sim,
};

/// Something that will happen.
#[derive(Clone, Debug)]
pub(crate) enum Due {
    /// An instance reaches a state, unless it went another way since.
    Instance { id: String, epoch: u64, state: InstanceState },
    /// A start falls back.
    StartFails { id: String, epoch: u64 },
    /// A snapshot of an image appears.
    SnapshotAppears { image: String, device: String },
    /// A snapshot is stored, or not.
    SnapshotEnds { snapshot: String },
    /// An image may have become available.
    ImageSettles { image: String },
    /// An image fails.
    ImageFails { image: String, reason: Reason },
}

/// What is due, by its time and then by when it was put down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agenda {
    entries: BTreeMap<(Millis, u64), (Key, Due)>,
    count: u64,
}

impl Agenda {
    pub(crate) fn put(&mut self, at: Millis, key: &Key, due: Due) {
        self.count += 1;
        self.entries.insert((at, self.count), (key.clone(), due));
    }

    pub(crate) fn next(&self) -> Option<Millis> {
        self.entries.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn pop(&mut self, now: Millis) -> Option<(Millis, Key, Due)> {
        let entry = self.entries.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((at, _), (key, due)) = entry.remove_entry();
        Some((at, key, due))
    }
}

impl Sim {
    pub(crate) fn happen(&mut self, at: Millis, key: &Key, due: Due) {
        match due {
            Due::Instance { id, epoch, state } => {
                let is_told_anew = self.config.transition_at_end && state == InstanceState::Stopped;
                let place = self.place_mut(key);
                let Some(instance) = place.instances.get_mut(&id).filter(|instance| instance.epoch == epoch)
                else {
                    return;
                };
                if is_told_anew && instance.transition.starts_with("User initiated") {
                    instance.transition = format!("User initiated ({})", spoken(at));
                }
                place.enter(&id, state, at, "ec2");
            }
            Due::StartFails { id, epoch } => self.fall_back(at, key, &id, epoch),
            Due::SnapshotAppears { image, device } => self.appear(at, key, &image, &device),
            Due::SnapshotEnds { snapshot } => self.end_snapshot(at, key, &snapshot),
            Due::ImageSettles { image } => self.settle(at, key, &image),
            Due::ImageFails { image, reason } => {
                if let Some(image) = self.place_mut(key).images.get_mut(&image)
                    && image.state == ImageState::Pending
                {
                    image.state = ImageState::Failed;
                    image.reason = Some(reason);
                }
            }
        }
    }

    /// A start without the right to the volume's key is accepted and falls back (AWS re:Post, "kms-iam-ec2-permission").
    fn fall_back(&mut self, at: Millis, key: &Key, id: &str, epoch: u64) {
        let place = self.place_mut(key);
        let Some(instance) = place.instances.get_mut(id).filter(|instance| instance.epoch == epoch) else {
            return;
        };
        instance.reason = Some(Reason::new("Client.InternalError", "Client error on launch"));
        instance.transition = format!("Server.InternalError ({})", spoken(at));
        place.enter(id, InstanceState::Stopped, at, "ec2");
    }

    fn appear(&mut self, at: Millis, key: &Key, image: &str, device: &str) {
        let minted = self.mint("snap");
        let source = self.copied(key, image, device);
        let place = self.place_mut(key);
        let Some((snapshot, instance)) = capture(place, at, image, device, minted, source) else {
            let instance = place.images.get(image).filter(|image| !image.no_reboot);
            if let Some(instance) = instance.and_then(|image| image.instance.clone()) {
                place.quiesce(&instance, false, at);
            }
            return;
        };
        let id = snapshot.id.clone();
        let spoilt = place.images.get(image).and_then(|image| image.spoils(device));
        let duration = spoilt.and_then(|spoilt| spoilt.after).unwrap_or(snapshot.duration);
        place.snapshots.insert(id.clone(), snapshot);
        let image = place.images.get_mut(image);
        if let Some(image) = image {
            for mapping in image.mappings.iter_mut().filter(|mapping| mapping.device == device) {
                mapping.snapshot = Some(id.clone());
            }
            let is_whole = image.mappings.iter().all(|mapping| mapping.snapshot.is_some());
            if let Some(instance) = instance
                && is_whole
                && !image.no_reboot
            {
                place.quiesce(&instance, false, at);
            }
        }
        self.agenda.put(at + duration, key, Due::SnapshotEnds { snapshot: id });
    }

    /// The snapshot that a device of a copy is a copy of.
    fn copied(&self, key: &Key, image: &str, device: &str) -> Option<Snapshot> {
        let copy = self.places.get(key)?.images.get(image)?;
        let origin = copy.origin.as_ref()?;
        let mapping = copy.mappings.iter().find(|mapping| mapping.device == device)?;
        let source = mapping.copied.as_ref()?;
        let mut places = self.places.iter().filter(|(home, _)| home.region == origin.region);
        places.find_map(|(_, place)| place.snapshots.get(source)).cloned()
    }

    fn end_snapshot(&mut self, at: Millis, key: &Key, id: &str) {
        let place = self.place_mut(key);
        let Some(snapshot) = place.snapshots.get_mut(id) else {
            return;
        };
        let image = snapshot.image.clone();
        let spoilt = place.images.get(&image).and_then(|image| {
            let mut mappings = image.mappings.iter();
            let mapping = mappings.find(|mapping| mapping.snapshot.as_deref() == Some(id))?;
            image.spoils(&mapping.device)
        });
        if let Some(spoilt) = spoilt {
            snapshot.state = SnapshotState::Error;
            snapshot.message = Some(spoilt.message.clone());
        } else {
            snapshot.state = SnapshotState::Completed;
            snapshot.completed_at = Some(at);
        }
        self.settle(at, key, &image);
    }

    /// An image is available once its time has come and all its snapshots are completed; one in error fails it.
    fn settle(&mut self, at: Millis, key: &Key, id: &str) {
        let place = self.place_mut(key);
        let Some(image) = place.images.get_mut(id).filter(|image| image.state == ImageState::Pending) else {
            return;
        };
        let states: Vec<Option<SnapshotState>> = image
            .mappings
            .iter()
            .map(|mapping| place.snapshots.get(mapping.snapshot.as_ref()?).map(|snapshot| snapshot.state))
            .collect();
        if states.contains(&Some(SnapshotState::Error)) {
            image.state = ImageState::Failed;
            image.reason = Some(Reason::new(
                "Server.InternalError",
                "Internal error: a snapshot could not be completed",
            ));
        } else if at >= image.ready_at && states.iter().all(|state| *state == Some(SnapshotState::Completed))
        {
            image.state = ImageState::Available;
            image.available_at = Some(at);
        }
    }
}

/// A snapshot of a device of an image at this instant, and the instance that it is of. An image that was deregistered
/// meanwhile still gets its snapshots; one that failed, or is doomed to, does not.
fn capture(
    place: &mut Place,
    at: Millis,
    id: &str,
    device: &str,
    minted: String,
    source: Option<Snapshot>,
) -> Option<(Snapshot, Option<String>)> {
    let image = place.images.get_mut(id)?;
    if let Some(doom) = image.doom.take() {
        if image.state == ImageState::Pending {
            image.state = ImageState::Failed;
            image.reason = Some(doom);
        }
        return None;
    }
    if image.state == ImageState::Failed {
        return None;
    }
    let mapping = image.mappings.iter().find(|mapping| mapping.device == device)?;
    let mut snapshot = Snapshot {
        id: minted,
        owner: image.owner.clone(),
        volume: mapping.volume.clone(),
        state: SnapshotState::Pending,
        message: None,
        start_time: at,
        completed_at: None,
        description: String::new(),
        gib: mapping.gib,
        kms_key: mapping.kms_key.clone(),
        tags: image.snapshot_tags.clone(),
        image: id.to_owned(),
        permissions: BTreeSet::new(),
        lock: None,
        captured: 0,
        is_at_rest: true,
        duration: 0,
    };
    if let Some(origin) = &image.origin {
        let Some(source) = source else {
            image.state = ImageState::Failed;
            image.reason =
                Some(Reason::new("Client.InvalidSnapshot.NotFound", "The snapshot does not exist."));
            return None;
        };
        snapshot.description = format!(
            "Copied for DestinationAmi {id} from SourceAmi {} for SourceSnapshot {}. Task created on {at}.",
            origin.image, source.id,
        );
        snapshot.captured = source.captured;
        snapshot.is_at_rest = source.is_at_rest;
        snapshot.duration = (image.ready_at - at).max(0);
        return Some((snapshot, None));
    }
    let instance = image.instance.clone().unwrap_or_default();
    snapshot.description = format!("Created by CreateImage({instance}) for {id} from {}", mapping.volume);
    snapshot.duration = image.snapshot_duration;
    if let Some(volume) = place.volumes.get(&mapping.volume) {
        snapshot.captured = volume.write_clock(at);
        snapshot.is_at_rest = volume.is_at_rest();
    }
    Some((snapshot, Some(instance)))
}
