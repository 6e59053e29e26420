//! `DescribeInstances` and `DescribeSpotInstanceRequests`.

use crate::{
    clock::iso,
    describe::{Listed, attribute::product_codes, finish},
    instance::{Instance, InstanceState, Lifecycle, PublicAddress},
    place::{Place, is_shown},
    refusal::Refusal,
    sim::{Answer, Call, Sim},
    tags::Tags,
    xml::Xml,
};

impl Listed for Instance {
    const FIELDS: &'static [&'static str] = &[
        "instance-id",
        "instance-state-name",
        "instance-state-code",
        "instance-type",
        "instance-lifecycle",
        "image-id",
        "launch-time",
        "owner-id",
        "root-device-type",
        "availability-zone",
        "architecture",
        "operator.managed",
        "tenancy",
        "host-id",
        "ip-address",
        "product-code",
        "event.code",
        "state-reason-code",
        "block-device-mapping.volume-id",
        "block-device-mapping.device-name",
    ];

    fn key(&self) -> String {
        self.id.clone()
    }

    fn labels(&self) -> &Tags {
        &self.tags
    }

    fn field(&self, name: &str, call: &Call<'_>) -> Vec<String> {
        let devices = self.devices.iter();
        let one = match name {
            "instance-id" => self.id.clone(),
            "instance-state-name" => self.state.as_str().to_owned(),
            "instance-state-code" => self.state.code().to_string(),
            "instance-type" => self.instance_type.clone(),
            "image-id" => self.image.clone(),
            "launch-time" => iso(self.launch_time),
            "owner-id" => call.key.account.clone(),
            "root-device-type" => self.root_device_type.clone(),
            "availability-zone" => self.zone.clone(),
            "architecture" => self.architecture.clone(),
            "tenancy" => self.tenancy.clone(),
            "host-id" => return self.host.iter().cloned().collect(),
            "ip-address" => return self.address.iter().cloned().collect(),
            "product-code" => return self.product_codes.clone(),
            "event.code" => return self.events.iter().map(|event| event.code.clone()).collect(),
            "operator.managed" => self.operator.is_some().to_string(),
            "block-device-mapping.volume-id" => return devices.map(|device| device.volume.clone()).collect(),
            "block-device-mapping.device-name" => return devices.map(|device| device.name.clone()).collect(),
            "state-reason-code" => return self.reason.iter().map(|reason| reason.code.clone()).collect(),
            "instance-lifecycle" => match self.lifecycle {
                Lifecycle::OnDemand => return Vec::new(),
                Lifecycle::SpotOneTime | Lifecycle::SpotPersistent => "spot".to_owned(),
            },
            _ => return Vec::new(),
        };
        vec![one]
    }
}

impl Sim {
    /// The instances that a call names, or all that are shown.
    pub(crate) fn candidates(&self, call: &Call<'_>) -> Result<(Vec<&Instance>, bool), Refusal> {
        let ids = call.request.list("InstanceId");
        if !ids.is_empty() {
            return Ok((self.look_up(&call.key, &ids, call.now)?, true));
        }
        let shown =
            self.here(call).instances.values().filter(|instance| is_shown(instance, call.now, &self.config));
        Ok((shown.collect(), false))
    }

    pub(crate) fn describe_instances(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (candidates, is_named) = self.candidates(call)?;
        let page = self.list(call, 5, ("instancesSet", is_named), candidates)?;
        let place = self.here(call);
        let mut answer = Answer::default();
        answer.xml.items("reservationSet", &page.entries, |xml, instance| {
            xml.text("reservationId", instance.id.replacen("i-", "r-", 1));
            xml.text("ownerId", &call.key.account);
            xml.element("groupSet", |_| {});
            xml.items("instancesSet", [instance], |xml, instance| {
                write(xml, instance, place, &call.key.account);
            });
        });
        Ok(finish(answer, page.next))
    }

    pub(crate) fn describe_spot_requests(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let wanted = call.request.list("SpotInstanceRequestId");
        let place = self.here(call);
        let known = |id: &String| place.instances.values().any(|i| i.spot_request.as_ref() == Some(id));
        if let Some(id) = wanted.iter().find(|id| !known(id)) {
            return Err(Refusal::new(
                "InvalidSpotInstanceRequestID.NotFound",
                format!("The spot instance request ID '{id}' does not exist"),
            ));
        }
        let candidates = place
            .instances
            .values()
            .filter(|instance| instance.spot_request.is_some())
            .filter(|instance| {
                wanted.is_empty() || instance.spot_request.as_ref().is_some_and(|id| wanted.contains(id))
            })
            .collect();
        let page =
            self.list::<&Instance>(call, 5, ("spotInstanceRequestIdSet", !wanted.is_empty()), candidates)?;
        let mut answer = Answer::default();
        answer.xml.items("spotInstanceRequestSet", &page.entries, |xml, instance| {
            xml.maybe("spotInstanceRequestId", instance.spot_request.as_ref());
            let is_one_time = instance.lifecycle == Lifecycle::SpotOneTime;
            xml.text("type", if is_one_time { "one-time" } else { "persistent" });
            let is_stopped = instance.state == InstanceState::Stopped;
            xml.text("state", if is_stopped { "disabled" } else { "active" });
            xml.element("status", |xml| {
                xml.text("code", if is_stopped { "instance-stopped-by-user" } else { "fulfilled" });
                xml.text("message", "");
                xml.text("updateTime", iso(instance.launch_time));
            });
            xml.text("instanceId", &instance.id);
            xml.text("createTime", iso(instance.launch_time));
            xml.text("instanceInterruptionBehavior", if is_one_time { "terminate" } else { "stop" });
        });
        Ok(finish(answer, page.next))
    }
}

fn write(xml: &mut Xml, instance: &Instance, place: &Place, account: &str) {
    xml.text("instanceId", &instance.id);
    xml.text("imageId", &instance.image);
    xml.element("instanceState", |xml| {
        xml.text("code", instance.state.code());
        xml.text("name", instance.state.as_str());
    });
    xml.text("privateDnsName", "");
    xml.text("dnsName", "");
    xml.text("reason", &instance.transition);
    xml.text("amiLaunchIndex", 0);
    product_codes(xml, &instance.product_codes);
    xml.text("instanceType", &instance.instance_type);
    xml.text("launchTime", iso(instance.launch_time));
    xml.element("placement", |xml| {
        xml.text("availabilityZone", &instance.zone);
        xml.text("groupName", instance.placement_group.as_deref().unwrap_or_default());
        xml.text("tenancy", &instance.tenancy);
        xml.maybe("hostId", instance.host.as_ref());
        xml.maybe("affinity", instance.host.as_ref().map(|_| "default"));
    });
    // "capacityReservationId: The ID of the Capacity Reservation" (EC2 API, Instance): of the one that it runs in.
    let runs = matches!(instance.state, InstanceState::Running | InstanceState::Pending);
    xml.maybe("capacityReservationId", instance.reservation.as_ref().filter(|_| runs));
    xml.element("capacityReservationSpecification", |xml| match &instance.reservation_target {
        Some(id) => xml.element("capacityReservationTarget", |xml| xml.text("capacityReservationId", id)),
        None => xml.text("capacityReservationPreference", "open"),
    });
    xml.element("monitoring", |xml| xml.text("state", "disabled"));
    xml.text("sourceDestCheck", true);
    xml.element("groupSet", |_| {});
    xml.reason(instance.reason.as_ref());
    xml.text("architecture", &instance.architecture);
    xml.text("rootDeviceType", &instance.root_device_type);
    xml.text("rootDeviceName", &instance.root_device_name);
    xml.items("blockDeviceMapping", &instance.devices, |xml, device| {
        xml.text("deviceName", &device.name);
        xml.element("ebs", |xml| {
            xml.text("volumeId", &device.volume);
            xml.text(
                "status",
                if place.volumes.contains_key(&device.volume) { "attached" } else { "detached" },
            );
            xml.text("attachTime", iso(device.attach_time));
            xml.text("deleteOnTermination", device.delete_on_termination);
            let volume = place.volumes.get(&device.volume);
            if let Some(operator) = volume.and_then(|volume| volume.operator.as_ref()) {
                xml.operator(Some(operator));
            }
        });
    });
    xml.text("virtualizationType", "hvm");
    xml.text("clientToken", "");
    xml.tags(&instance.tags);
    xml.text("hypervisor", "xen");
    xml.text("ebsOptimized", false);
    match instance.lifecycle {
        Lifecycle::OnDemand => {}
        Lifecycle::SpotOneTime | Lifecycle::SpotPersistent => xml.text("instanceLifecycle", "spot"),
    }
    xml.maybe("spotInstanceRequestId", instance.spot_request.as_ref());
    xml.element("hibernationOptions", |xml| {
        xml.text("configured", instance.hibernation);
    });
    xml.text("platformDetails", "Linux/UNIX");
    xml.text("usageOperation", "RunInstances");
    xml.operator(instance.operator.as_ref());
    xml.maybe("ipAddress", instance.address.as_ref());
    xml.items("networkInterfaceSet", [()], |xml, ()| interface(xml, instance, account));
}

/// The one interface: an address that is not Elastic belongs to `amazon` (EC2 API, InstanceNetworkInterfaceAssociation).
fn interface(xml: &mut Xml, instance: &Instance, account: &str) {
    xml.text("networkInterfaceId", instance.id.replacen("i-", "eni-", 1));
    xml.text("ownerId", account);
    xml.text("status", "in-use");
    xml.text("sourceDestCheck", true);
    if let (Some(address), Some(addressing)) = (&instance.address, instance.addressing) {
        xml.element("association", |xml| {
            xml.text("publicIp", address);
            xml.text("publicDnsName", "");
            xml.text(
                "ipOwnerId",
                match addressing {
                    PublicAddress::Auto => "amazon",
                    PublicAddress::Elastic => account,
                },
            );
        });
    }
}
