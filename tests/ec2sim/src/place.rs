//! What one account has in one region.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    clock::Millis,
    config::Config,
    image::{Image, ImageState, Snapshot},
    instance::{Instance, InstanceState, Moment, PublicAddress, Volume},
    refusal::Refusal,
    tags::Tags,
};

/// An account and a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
}

/// A client token that `CopyImage` has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Token {
    pub(crate) fingerprint: String,
    pub(crate) image: String,
    pub(crate) at: Millis,
}

/// What there is where nothing was ever made.
pub(crate) static EMPTY: Place = Place {
    instances: BTreeMap::new(),
    volumes: BTreeMap::new(),
    images: BTreeMap::new(),
    snapshots: BTreeMap::new(),
    tokens: BTreeMap::new(),
    retagged: BTreeMap::new(),
};

/// What one account has in one region, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Instances.
    pub instances: BTreeMap<String, Instance>,
    /// Volumes.
    pub volumes: BTreeMap<String, Volume>,
    /// Images, the deregistered among them.
    pub images: BTreeMap<String, Image>,
    /// Snapshots.
    pub snapshots: BTreeMap<String, Snapshot>,
    pub(crate) tokens: BTreeMap<String, Token>,
    /// Changes of tags, and what the tags were before each.
    #[serde(skip)]
    pub(crate) retagged: BTreeMap<String, Vec<(Millis, Tags)>>,
}

fn check(id: &str, prefix: &str, code: &str) -> Result<(), Refusal> {
    let is_well_formed =
        id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')).is_some_and(|rest| {
            (rest.len() == 8 || rest.len() == 17) && rest.chars().all(|digit| digit.is_ascii_hexdigit())
        });
    if is_well_formed { Ok(()) } else { Err(Refusal::new(code, format!("Invalid id: \"{id}\""))) }
}

impl Place {
    /// The instance, if it is still shown.
    pub(crate) fn instance(&self, id: &str, now: Millis, config: &Config) -> Result<&Instance, Refusal> {
        check(id, "i", "InvalidInstanceID.Malformed")?;
        self.instances.get(id).filter(|instance| is_shown(instance, now, config)).ok_or_else(|| {
            Refusal::new("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"))
        })
    }

    /// The image, if it may be used.
    pub(crate) fn usable_image(&self, id: &str, now: Millis, config: &Config) -> Result<&Image, Refusal> {
        let image = self.known_image(id, now, config)?;
        if image.state == ImageState::Deregistered {
            return Err(Refusal::new(
                "InvalidAMIID.Unavailable",
                format!("The image ID '{id}' is no longer available"),
            ));
        }
        Ok(image)
    }

    /// The image, if its id is still known; deregistered ones among them.
    pub(crate) fn known_image(&self, id: &str, now: Millis, config: &Config) -> Result<&Image, Refusal> {
        check(id, "ami", "InvalidAMIID.Malformed")?;
        self.images
            .get(id)
            .filter(|image| {
                image.created_at + config.visibility_lag <= now
                    && image
                        .deregistered_at
                        .is_none_or(|at| now < at + config.deregistered_shown + config.deregistered_empty)
            })
            .ok_or_else(|| {
                Refusal::new("InvalidAMIID.NotFound", format!("The image id '[{id}]' does not exist"))
            })
    }

    pub(crate) fn snapshot(&self, id: &str, now: Millis, config: &Config) -> Result<&Snapshot, Refusal> {
        check(id, "snap", "InvalidSnapshotID.Malformed")?;
        self.snapshots
            .get(id)
            .filter(|snapshot| snapshot.start_time + config.visibility_lag <= now)
            .ok_or_else(|| {
                Refusal::new("InvalidSnapshot.NotFound", format!("The snapshot '{id}' does not exist."))
            })
    }

    pub(crate) fn volume(&self, id: &str) -> Result<&Volume, Refusal> {
        check(id, "vol", "InvalidVolumeID.Malformed")?;
        self.volumes.get(id).ok_or_else(|| {
            Refusal::new("InvalidVolume.NotFound", format!("The volume '{id}' does not exist."))
        })
    }

    /// The tags of whatever the id names.
    pub(crate) fn tagged(&self, id: &str, now: Millis, config: &Config) -> Result<&Tags, Refusal> {
        match id.split_once('-').map_or("", |(prefix, _)| prefix) {
            "i" => self.instance(id, now, config).map(|instance| &instance.tags),
            "ami" => self.usable_image(id, now, config).map(|image| &image.tags),
            "snap" => self.snapshot(id, now, config).map(|snapshot| &snapshot.tags),
            "vol" => self.volume(id).map(|volume| &volume.tags),
            _ => Err(Refusal::new("InvalidID", format!("The ID '{id}' is not valid"))),
        }
    }

    pub(crate) fn tags_of(&self, id: &str) -> Option<&Tags> {
        match id.split_once('-').map_or("", |(prefix, _)| prefix) {
            "i" => self.instances.get(id).map(|instance| &instance.tags),
            "ami" => self.images.get(id).map(|image| &image.tags),
            "snap" => self.snapshots.get(id).map(|snapshot| &snapshot.tags),
            "vol" => self.volumes.get(id).map(|volume| &volume.tags),
            _ => None,
        }
    }

    pub(crate) fn tags_mut(&mut self, id: &str) -> Option<&mut Tags> {
        match id.split_once('-').map_or("", |(prefix, _)| prefix) {
            "i" => self.instances.get_mut(id).map(|instance| &mut instance.tags),
            "ami" => self.images.get_mut(id).map(|image| &mut image.tags),
            "snap" => self.snapshots.get_mut(id).map(|snapshot| &mut snapshot.tags),
            "vol" => self.volumes.get_mut(id).map(|volume| &mut volume.tags),
            _ => None,
        }
    }

    /// The image that holds a name, if any does.
    pub(crate) fn holder_of_name(&self, name: &str, now: Millis, config: &Config) -> Option<&Image> {
        self.images.values().find(|image| {
            image.name == name
                && match image.state {
                    ImageState::Pending | ImageState::Available | ImageState::Disabled => true,
                    ImageState::Failed => config.failed_name_taken,
                    ImageState::Deregistered => {
                        image.deregistered_at.is_some_and(|at| now < at + config.name_release)
                    }
                }
        })
    }

    /// The image that a snapshot is in use by, if any.
    pub(crate) fn user_of_snapshot(&self, snapshot: &str, now: Millis, config: &Config) -> Option<&Image> {
        self.images.values().find(|image| {
            image.mappings.iter().any(|mapping| mapping.snapshot.as_deref() == Some(snapshot))
                && image.deregistered_at.is_none_or(|at| now < at + config.snapshot_release)
        })
    }

    /// Moves an instance on, and lets its guest begin or cease to write.
    pub(crate) fn enter(&mut self, id: &str, state: InstanceState, now: Millis, cause: &str) {
        let Some(instance) = self.instances.get_mut(id) else {
            return;
        };
        instance.state = state;
        instance.epoch += 1;
        instance.history.push(Moment { at: now, state, cause: cause.to_owned() });
        if state == InstanceState::Terminated {
            instance.terminated_at = Some(now);
        }
        let is_at_rest = [InstanceState::Stopped, InstanceState::Terminated].contains(&state);
        if is_at_rest && instance.addressing == Some(PublicAddress::Auto) {
            instance.address = None;
        }
        for device in &instance.devices {
            if let Some(volume) = self.volumes.get_mut(&device.volume) {
                if state.writes() {
                    volume.begin(id, now);
                } else {
                    volume.cease(id, now);
                }
            }
        }
        if state == InstanceState::Terminated {
            for device in std::mem::take(&mut instance.devices) {
                if device.delete_on_termination {
                    self.volumes.remove(&device.volume);
                }
            }
        }
    }

    /// Holds a guest's writes, as during a reboot, or lets them go on.
    pub(crate) fn quiesce(&mut self, id: &str, is_quiet: bool, now: Millis) {
        let Some(instance) = self.instances.get(id) else {
            return;
        };
        for device in &instance.devices {
            if let Some(volume) = self.volumes.get_mut(&device.volume) {
                if is_quiet {
                    volume.cease(id, now);
                } else if instance.state.writes() {
                    volume.begin(id, now);
                }
            }
        }
    }
}

/// Whether an instance is still listed: "Recently terminated instances might appear … usually less than one hour".
pub(crate) fn is_shown(instance: &Instance, now: Millis, config: &Config) -> bool {
    instance.terminated_at.is_none_or(|at| now < at + config.terminated_shown)
}
