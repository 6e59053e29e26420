//! Instances that exist from the start, and what others do to them.

use serde::{Deserialize, Serialize};

use crate::{
    clock::{Millis, whole},
    instance::{
        Device, Instance, InstanceState, Lifecycle, Moment, PublicAddress, Reason, ScheduledEvent, Volume,
    },
    place::Key,
    sim::Sim,
    tags::Tags,
};

/// An instance to begin with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct InstanceSeed {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// Its Name tag.
    pub name: Option<String>,
    /// `t3.micro`
    #[serde(rename = "type")]
    pub instance_type: String,
    /// Its volumes; the first is the root device.
    pub volumes: Vec<VolumeSeed>,
    /// Its tags, `aws:` ones among them.
    pub tags: Tags,
    /// `Stopped`, or running.
    pub state: InstanceState,
    /// How it is paid for.
    pub lifecycle: Lifecycle,
    /// `ebs` or `instance-store`
    pub root_device_type: String,
    /// Its instance store devices: `/dev/sdb`.
    pub instance_store: Vec<String>,
    /// Its product codes.
    pub product_codes: Vec<String>,
    /// Whether it has a public address, and whose.
    pub public_address: Option<PublicAddress>,
    /// `default`, `dedicated` or `host`
    pub tenancy: String,
    /// Its dedicated host.
    pub host: Option<String>,
    /// The placement group that it is in.
    pub placement_group: Option<String>,
    /// The Capacity Reservation that it runs in.
    pub reservation: Option<String>,
    /// The Capacity Reservation that it may only run in.
    pub reservation_target: Option<String>,
    /// What EC2 plans for it.
    pub events: Vec<ScheduledEvent>,
    /// The Auto Scaling group that it is a member of.
    pub asg: Option<String>,
    /// The service that manages it.
    pub operator: Option<String>,
    /// Stop protection.
    pub disable_api_stop: bool,
    /// Termination protection.
    pub disable_api_termination: bool,
    /// `stop` or `terminate`
    pub shutdown_behavior: String,
    /// Whether hibernation was configured.
    pub hibernation: bool,
    /// What its next starts will meet.
    pub start_faults: Vec<StartFault>,
}

impl Default for InstanceSeed {
    fn default() -> Self {
        Self {
            account: crate::ACCOUNT.to_owned(),
            region: "us-east-1".to_owned(),
            name: None,
            instance_type: "t3.micro".to_owned(),
            volumes: vec![VolumeSeed::default()],
            tags: Tags::new(),
            state: InstanceState::Running,
            lifecycle: Lifecycle::OnDemand,
            root_device_type: "ebs".to_owned(),
            instance_store: Vec::new(),
            product_codes: Vec::new(),
            public_address: None,
            tenancy: "default".to_owned(),
            host: None,
            placement_group: None,
            reservation: None,
            reservation_target: None,
            events: Vec::new(),
            asg: None,
            operator: None,
            disable_api_stop: false,
            disable_api_termination: false,
            shutdown_behavior: "stop".to_owned(),
            hibernation: false,
            start_faults: Vec::new(),
        }
    }
}

/// A volume to begin with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct VolumeSeed {
    /// `/dev/sda1`
    pub device: String,
    /// Its size.
    pub gib: u32,
    /// `st1`; absent: `gp3`, or `io2` if several instances may hold it.
    #[serde(rename = "type")]
    pub volume_type: Option<String>,
    /// The service that manages it.
    pub operator: Option<String>,
    /// Whether several instances may hold it.
    pub multi_attach: bool,
    /// The key that it is encrypted with.
    pub kms_key: Option<String>,
    /// A volume that exists already.
    pub id: Option<String>,
}

impl Default for VolumeSeed {
    fn default() -> Self {
        Self {
            device: "/dev/sda1".to_owned(),
            gib: 8,
            volume_type: None,
            operator: None,
            multi_attach: false,
            kms_key: None,
            id: None,
        }
    }
}

impl VolumeSeed {
    /// A plain volume.
    pub fn new(device: &str, gib: u32) -> Self {
        Self { device: device.to_owned(), gib, ..Self::default() }
    }
}

/// What a start meets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum StartFault {
    /// It is refused with `InsufficientInstanceCapacity`.
    NoCapacity {
        /// So many times.
        times: u32,
    },
    /// It is refused with `InsufficientInstanceCapacity`.
    NoCapacityUntil {
        /// Until then.
        until: Millis,
    },
    /// It is accepted, and the instance falls back to `stopped` with `Client.InternalError`: a key may not be used.
    FallsBack {
        /// So many times.
        times: u32,
    },
}

impl Sim {
    /// Makes an instance; a running one was launched a whole minute ago, and writes from now on.
    pub fn seed(&mut self, now: Millis, seed: InstanceSeed) -> String {
        let now = self.advance(now);
        let id = self.mint("i");
        let launched = whole(now) - crate::clock::MINUTE;
        let key = Key { account: seed.account, region: seed.region };
        let zone = format!("{}a", key.region);
        let mut devices = Vec::new();
        for volume in seed.volumes {
            let known = volume.id.clone().filter(|id| self.place_mut(&key).volumes.contains_key(id));
            let volume_id = match known {
                Some(id) => id,
                None => self.seed_volume(&key, launched, &zone, &volume),
            };
            devices.push(Device {
                name: volume.device,
                volume: volume_id,
                attach_time: launched,
                delete_on_termination: devices.is_empty(),
            });
        }
        let mut tags = seed.tags;
        tags.extend(seed.name.map(|name| ("Name".to_owned(), name)));
        tags.extend(seed.asg.map(|group| ("aws:autoscaling:groupName".to_owned(), group)));
        let spot_request = match seed.lifecycle {
            Lifecycle::OnDemand => None,
            Lifecycle::SpotOneTime | Lifecycle::SpotPersistent => {
                Some(self.mint("sir").chars().take(12).collect())
            }
        };
        let address = seed.public_address.map(|_| self.mint_address());
        let image = self.mint("ami");
        let root = devices.first().map_or_else(|| "/dev/sda1".to_owned(), |device| device.name.clone());
        let running = Moment { at: launched, state: InstanceState::Running, cause: "seed".to_owned() };
        let instance = Instance {
            id: id.clone(),
            instance_type: seed.instance_type,
            image,
            state: InstanceState::Running,
            launch_time: launched,
            reason: None,
            transition: String::new(),
            root_device_type: seed.root_device_type,
            root_device_name: root,
            lifecycle: seed.lifecycle,
            spot_request,
            operator: seed.operator,
            disable_api_stop: seed.disable_api_stop,
            disable_api_termination: seed.disable_api_termination,
            shutdown_behavior: seed.shutdown_behavior,
            hibernation: seed.hibernation,
            devices,
            instance_store: seed.instance_store,
            product_codes: seed.product_codes,
            addressing: seed.public_address,
            address,
            tenancy: seed.tenancy,
            host: seed.host,
            placement_group: seed.placement_group,
            reservation: seed.reservation,
            reservation_target: seed.reservation_target,
            events: seed.events,
            tags,
            zone,
            architecture: "x86_64".to_owned(),
            start_faults: seed.start_faults,
            is_stuck: false,
            reboots: 0,
            history: vec![running],
            terminated_at: None,
            epoch: 0,
        };
        let place = self.place_mut(&key);
        place.instances.insert(id.clone(), instance);
        if seed.state == InstanceState::Stopped {
            place.enter(&id, InstanceState::Stopped, now, "seed");
            if let Some(instance) = place.instances.get_mut(&id) {
                instance.reason = Some(crate::change::user_shutdown());
                instance.transition = format!("User initiated ({})", crate::clock::spoken(launched + 1_000));
            }
        } else {
            place.quiesce(&id, false, now);
        }
        id
    }

    fn seed_volume(&mut self, key: &Key, at: Millis, zone: &str, seed: &VolumeSeed) -> String {
        let id = self.mint("vol");
        let volume = Volume {
            id: id.clone(),
            gib: seed.gib,
            volume_type: seed
                .volume_type
                .clone()
                .unwrap_or_else(|| if seed.multi_attach { "io2" } else { "gp3" }.to_owned()),
            operator: seed.operator.clone(),
            kms_key: seed.kms_key.clone(),
            multi_attach: seed.multi_attach,
            create_time: at,
            zone: zone.to_owned(),
            tags: Tags::new(),
            written: 0,
            writers: std::collections::BTreeMap::new(),
        };
        self.place_mut(key).volumes.insert(id.clone(), volume);
        id
    }

    /// Attaches a new volume to an instance.
    pub fn attach(
        &mut self,
        now: Millis,
        account: &str,
        region: &str,
        id: &str,
        seed: &VolumeSeed,
    ) -> String {
        let now = self.advance(now);
        let key = Key { account: account.to_owned(), region: region.to_owned() };
        let volume = self.seed_volume(&key, now, &format!("{region}a"), seed);
        let place = self.place_mut(&key);
        if let Some(instance) = place.instances.get_mut(id) {
            instance.devices.push(Device {
                name: seed.device.clone(),
                volume: volume.clone(),
                attach_time: whole(now),
                delete_on_termination: false,
            });
        }
        place.quiesce(id, false, now);
        volume
    }

    /// Detaches a volume from an instance.
    pub fn detach(&mut self, now: Millis, account: &str, region: &str, id: &str, volume: &str) {
        let now = self.advance(now);
        let key = Key { account: account.to_owned(), region: region.to_owned() };
        let place = self.place_mut(&key);
        if let Some(volume) = place.volumes.get_mut(volume) {
            volume.cease(id, now);
        }
        if let Some(instance) = place.instances.get_mut(id) {
            instance.devices.retain(|device| device.volume != volume);
        }
    }

    /// Stops a running instance other than by `StopInstances`: from inside (`Client.InstanceInitiatedShutdown`) or by a
    /// service (`Server.ScheduledStop`). The transition reason has no time then.
    pub fn stop_otherwise(&mut self, now: Millis, account: &str, region: &str, id: &str, reason: Reason) {
        let now = self.advance(now);
        let key = Key { account: account.to_owned(), region: region.to_owned() };
        let cause = reason.code.clone();
        let Some(instance) = self.place_mut(&key).instances.get_mut(id) else {
            return;
        };
        let ends = cause == "Client.InstanceInitiatedShutdown" && instance.shutdown_behavior == "terminate";
        instance.reason = Some(reason);
        instance.transition = String::new();
        self.disturb(&key, id, ends);
        if ends {
            self.begin_terminating(&key, id, now, &cause);
        } else {
            self.begin_stopping(&key, id, now, &cause);
        }
    }

    /// What the next starts of an instance will meet, after what was said before.
    pub fn fault_starts(&mut self, account: &str, region: &str, id: &str, fault: StartFault) {
        let key = Key { account: account.to_owned(), region: region.to_owned() };
        if let Some(instance) = self.place_mut(&key).instances.get_mut(id) {
            instance.start_faults.push(fault);
        }
    }

    /// Plans something for an instance; `DescribeInstanceStatus` shows it.
    pub fn schedule(&mut self, account: &str, region: &str, id: &str, event: ScheduledEvent) {
        let key = Key { account: account.to_owned(), region: region.to_owned() };
        if let Some(instance) = self.place_mut(&key).instances.get_mut(id) {
            instance.events.push(event);
        }
    }
}
