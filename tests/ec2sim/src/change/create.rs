//! `CreateImage`.

use std::collections::BTreeSet;

use crate::{
    Origin,
    agenda::Due,
    clock::Millis,
    effect::Effect,
    image::{Image, ImageState, Mapping, Protection, Snapshot, SnapshotState, Spoilt},
    instance::{Instance, InstanceState, Reason},
    place::{Key, Place},
    refusal::Refusal,
    request::{Request, boolean, numbered},
    sim::{Answer, Call, Sim},
    tags,
};

/// "Concurrent snapshots per Amazon EBS volume" (EBS quotas): 5, 1 for `st1` and `sc1`.
fn pending_per_volume(volume_type: &str) -> usize {
    if ["st1", "sc1"].contains(&volume_type) { 1 } else { 5 }
}

/// 3 to 128 characters out of those that the API reference lists for `CreateImage`'s Name.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
    if !(3..=128).contains(&name.chars().count()) || !name.chars().all(is_allowed) {
        return Err(Refusal::new(
            "InvalidAMIName.Malformed",
            format!(
                "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', '/' and '_': {name}"
            ),
        ));
    }
    Ok(())
}

pub(crate) fn check_description(request: &Request) -> Result<String, Refusal> {
    let description = request.get("Description").unwrap_or_default();
    check_description_text(description)?;
    Ok(description.to_owned())
}

/// ASCII only: reports from builds whose AMI descriptions had a dash of typography in them.
pub(crate) fn check_description_text(text: &str) -> Result<(), Refusal> {
    if !text.is_ascii() {
        return Err(Refusal::value(format!(
            "Value ({text}) for parameter description is invalid. Character sets beyond ASCII are not supported."
        )));
    }
    if text.chars().count() > 255 {
        return Err(Refusal::value("Description cannot exceed 255 characters"));
    }
    Ok(())
}

/// The devices to image: the instance's own, minus `NoDevice`.
fn mappings(request: &Request, instance: &Instance, place: &Place) -> Result<Vec<Mapping>, Refusal> {
    let mut excluded = BTreeSet::new();
    let mut mappings: Vec<Mapping> = instance
        .devices
        .iter()
        .filter_map(|device| {
            let volume = place.volumes.get(&device.volume)?;
            Some(Mapping {
                device: device.name.clone(),
                volume: volume.id.clone(),
                snapshot: None,
                copied: None,
                gib: volume.gib,
                volume_type: volume.volume_type.clone(),
                delete_on_termination: device.delete_on_termination,
                kms_key: volume.kms_key.clone(),
            })
        })
        .collect();
    for wish in numbered(&request.params, "BlockDeviceMapping").into_values() {
        let device = wish.get("DeviceName").cloned().unwrap_or_default();
        let known = mappings.iter_mut().find(|mapping| mapping.device == device);
        if wish.contains_key("NoDevice") {
            if device == instance.root_device_name {
                return Err(Refusal::new(
                    "InvalidBlockDeviceMapping",
                    format!("The root device {device} cannot be excluded"),
                ));
            }
            if known.is_none() {
                return Err(Refusal::new(
                    "InvalidBlockDeviceMapping",
                    format!("No device is currently mapped at {device}"),
                ));
            }
            excluded.insert(device);
        } else if let Some((mapping, value)) = known.zip(wish.get("Ebs.DeleteOnTermination")) {
            mapping.delete_on_termination = boolean("DeleteOnTermination", value)?;
        }
    }
    mappings.retain(|mapping| !excluded.contains(&mapping.device));
    Ok(mappings)
}

fn check_snapshots(mappings: &[Mapping], place: &Place) -> Result<(), Refusal> {
    for mapping in mappings {
        let is_pending = |snapshot: &&Snapshot| {
            snapshot.volume == mapping.volume && snapshot.state == SnapshotState::Pending
        };
        if place.snapshots.values().filter(is_pending).count() >= pending_per_volume(&mapping.volume_type) {
            return Err(Refusal::new(
                "ConcurrentSnapshotLimitExceeded",
                format!("Maximum allowed in-progress snapshots for volume {} exceeded.", mapping.volume),
            ));
        }
    }
    Ok(())
}

impl Sim {
    pub(crate) fn create_image(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let request = call.request;
        let id = request.required("InstanceId")?.to_owned();
        let name = request.required("Name")?.to_owned();
        let no_reboot = request.flag("NoReboot")?;
        check_name(&name)?;
        let description = check_description(request)?;
        let (image_tags, snapshot_tags) = tags::specifications(request)?;
        let instance = self.here(call).instance(&id, call.now, &self.config)?.clone();
        if instance.root_device_type != "ebs" {
            return Err(Refusal::value(format!(
                "The instance '{id}' is not an EBS-backed instance: its root device is an instance store"
            )));
        }
        match instance.state {
            InstanceState::Running | InstanceState::Stopping | InstanceState::Stopped => {}
            InstanceState::Pending | InstanceState::ShuttingDown | InstanceState::Terminated => {
                return Err(Refusal::value(format!(
                    "The instance '{id}' cannot be imaged. Instance is not in state 'running' or 'stopping' or 'stopped'"
                )));
            }
        }
        let place = self.place_mut(&call.key);
        let mappings = mappings(request, &instance, place)?;
        check_snapshots(&mappings, place)?;
        self.check_free(&call.key, &name, call.now)?;
        call.rehearse()?;

        let ready_at = call.now + self.config.image;
        let image = self.mint("ami");
        let is_rebooted = !no_reboot && instance.state == InstanceState::Running;
        let image = Image {
            id: image,
            owner: call.key.account.clone(),
            name,
            description,
            state: ImageState::Pending,
            reason: None,
            created_at: call.now,
            available_at: None,
            deregistered_at: None,
            instance: Some(id.clone()),
            origin: None,
            ancestor: self
                .config
                .ancestors
                .then(|| Origin { image: instance.image.clone(), region: call.key.region.clone() }),
            no_reboot: !is_rebooted,
            mappings,
            root_device_type: "ebs".to_owned(),
            root_device_name: instance.root_device_name,
            architecture: instance.architecture,
            tags: image_tags,
            permissions: BTreeSet::new(),
            deprecated_at: None,
            protection: Protection::Disabled,
            product_codes: instance.product_codes,
            instance_store: instance.instance_store,
            snapshot_tags,
            snapshot_duration: self.config.snapshot,
            ready_at,
            doom: None,
            spoilt: None,
        };
        if is_rebooted && !call.effects.contains(&Effect::NoSnapshots) {
            // The guest is shut down, its volumes at rest until their snapshots have started.
            let place = self.place_mut(&call.key);
            place.quiesce(&id, true, call.now);
            if let Some(instance) = place.instances.get_mut(&id) {
                instance.reboots += 1;
            }
        }
        Ok(self.begin(call, image))
    }

    pub(crate) fn check_free(&self, key: &Key, name: &str, now: Millis) -> Result<(), Refusal> {
        let holder = self.places.get(key).and_then(|place| place.holder_of_name(name, now, &self.config));
        holder.map_or(Ok(()), |holder| {
            Err(Refusal::new(
                "InvalidAMIName.Duplicate",
                format!("AMI name {name} is already in use by AMI {}", holder.id),
            ))
        })
    }

    /// Puts a pending image down, and what will become of it.
    pub(crate) fn begin(&mut self, call: &Call<'_>, mut image: Image) -> Answer {
        let id = image.id.clone();
        let mut has_snapshots = true;
        for effect in call.effects {
            match effect {
                Effect::NoSnapshots => has_snapshots = false,
                Effect::FailImage { code, message, after_ms } => {
                    let at = after_ms.map_or(image.ready_at, |after| call.now + after);
                    let reason = Reason::new(code, message);
                    // Before the image would settle at the same instant.
                    self.agenda.put(at - 1, &call.key, Due::ImageFails { image: id.clone(), reason });
                }
                Effect::FailSnapshots { device, message, after_ms } => {
                    let (device, message) = (device.clone(), message.clone());
                    image.spoilt = Some(Spoilt { device, message, after: *after_ms });
                }
                Effect::Refuse { .. }
                | Effect::Delay { .. }
                | Effect::Drop
                | Effect::Swallow
                | Effect::ApplyAndDrop
                | Effect::ApplyAndTruncate
                | Effect::ApplyAndReset
                | Effect::ApplyAndRefuse { .. }
                | Effect::ApplyAndDrip { .. }
                | Effect::Date { .. }
                | Effect::Kill { .. }
                | Effect::Freeze { .. }
                | Effect::EmptyPage
                | Effect::RepeatPage
                | Effect::Rewrite { .. }
                | Effect::Omit { .. }
                | Effect::ShuffleTags
                | Effect::StickStopping => {}
            }
        }
        if has_snapshots {
            let mut at = call.now + self.config.snapshot_lag;
            for mapping in &image.mappings {
                let due = Due::SnapshotAppears { image: id.clone(), device: mapping.device.clone() };
                self.agenda.put(at, &call.key, due);
                at += self.config.snapshot_stagger;
            }
            self.agenda.put(image.ready_at, &call.key, Due::ImageSettles { image: id.clone() });
        }
        let mut answer = Answer::default();
        answer.xml.text("imageId", &id);
        answer.ids.push(id.clone());
        self.place_mut(&call.key).images.insert(id, image);
        answer
    }
}

/// The snapshots of an image that have appeared.
pub(crate) fn snapshots(image: &Image) -> impl Iterator<Item = &String> {
    image.mappings.iter().filter_map(|mapping| mapping.snapshot.as_ref())
}

/// How many snapshots of copies are not yet stored.
pub(crate) fn copies_in_progress(place: &Place) -> usize {
    place
        .images
        .values()
        .filter(|image| image.origin.is_some() && image.state == ImageState::Pending)
        .map(|image| image.mappings.len())
        .sum()
}
