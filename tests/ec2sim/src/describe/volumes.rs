//! `DescribeVolumes`.

use crate::{
    clock::iso,
    describe::{Listed, finish},
    instance::{Device, Instance, Volume},
    refusal::Refusal,
    sim::{Answer, Call, Sim},
    tags::Tags,
};

/// A volume and where it is attached.
struct Attached {
    volume: Volume,
    to: Vec<(String, Device)>,
}

fn attachments<'a>(instances: impl Iterator<Item = &'a Instance>, volume: &str) -> Vec<(String, Device)> {
    instances
        .flat_map(|instance| instance.devices.iter().map(|device| (instance.id.clone(), device.clone())))
        .filter(|(_, device)| device.volume == volume)
        .collect()
}

impl Listed for Attached {
    const FIELDS: &'static [&'static str] = &[
        "volume-id",
        "status",
        "size",
        "volume-type",
        "encrypted",
        "availability-zone",
        "create-time",
        "multi-attach-enabled",
        "operator.managed",
        "attachment.instance-id",
        "attachment.device",
        "attachment.status",
    ];

    fn key(&self) -> String {
        self.volume.id.clone()
    }

    fn labels(&self) -> &Tags {
        &self.volume.tags
    }

    fn field(&self, name: &str, _: &Call<'_>) -> Vec<String> {
        vec![match name {
            "volume-id" => self.volume.id.clone(),
            "status" => self.status().to_owned(),
            "size" => self.volume.gib.to_string(),
            "volume-type" => self.volume.volume_type.clone(),
            "encrypted" => self.volume.kms_key.is_some().to_string(),
            "availability-zone" => self.volume.zone.clone(),
            "create-time" => iso(self.volume.create_time),
            "operator.managed" => self.volume.operator.is_some().to_string(),
            "multi-attach-enabled" => self.volume.multi_attach.to_string(),
            "attachment.instance-id" => return self.to.iter().map(|(id, _)| id.clone()).collect(),
            "attachment.device" => return self.to.iter().map(|(_, device)| device.name.clone()).collect(),
            "attachment.status" => return self.to.iter().map(|_| "attached".to_owned()).collect(),
            _ => return Vec::new(),
        }]
    }
}

impl Attached {
    fn status(&self) -> &'static str {
        if self.to.is_empty() { "available" } else { "in-use" }
    }
}

impl Sim {
    pub(crate) fn describe_volumes(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let ids = call.request.list("VolumeId");
        let place = self.here(call);
        let volumes: Vec<&Volume> = if ids.is_empty() {
            place.volumes.values().collect()
        } else {
            ids.iter().map(|id| place.volume(id)).collect::<Result<_, _>>()?
        };
        let candidates = volumes
            .into_iter()
            .map(|volume| Attached {
                volume: volume.clone(),
                to: attachments(place.instances.values(), &volume.id),
            })
            .collect();
        let page = self.list::<Attached>(call, 5, ("volumeSet", !ids.is_empty()), candidates)?;
        let mut answer = Answer::default();
        answer.xml.items("volumeSet", &page.entries, |xml, attached| {
            let volume = &attached.volume;
            xml.text("volumeId", &volume.id);
            xml.text("size", volume.gib);
            xml.text("snapshotId", "");
            xml.text("availabilityZone", &volume.zone);
            xml.text("status", attached.status());
            xml.text("createTime", iso(volume.create_time));
            xml.items("attachmentSet", &attached.to, |xml, (instance, device)| {
                xml.text("volumeId", &volume.id);
                xml.text("instanceId", instance);
                xml.text("device", &device.name);
                xml.text("status", "attached");
                xml.text("attachTime", iso(device.attach_time));
                xml.text("deleteOnTermination", device.delete_on_termination);
            });
            xml.tags(&volume.tags);
            xml.text("volumeType", &volume.volume_type);
            xml.text("encrypted", volume.kms_key.is_some());
            xml.maybe("kmsKeyId", volume.kms_key.as_ref());
            xml.text("multiAttachEnabled", volume.multi_attach);
            xml.operator(volume.operator.as_ref());
        });
        Ok(finish(answer, page.next))
    }
}
