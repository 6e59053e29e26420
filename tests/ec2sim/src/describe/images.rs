//! `DescribeImages`.

use crate::{
    clock::{iso, whole},
    describe::{Listed, finish, owns},
    image::{Image, ImageState},
    refusal::Refusal,
    sim::{Answer, Call, Sim},
    tags::Tags,
    xml::Xml,
};

impl Listed for Image {
    const FIELDS: &'static [&'static str] = &[
        "image-id",
        "name",
        "description",
        "state",
        "owner-id",
        "source-instance-id",
        "source-image-id",
        "source-image-region",
        "creation-date",
        "is-public",
        "root-device-type",
        "architecture",
        "image-type",
        "state-reason-code",
        "block-device-mapping.snapshot-id",
        "block-device-mapping.device-name",
    ];

    fn key(&self) -> String {
        self.id.clone()
    }

    fn labels(&self) -> &Tags {
        &self.tags
    }

    fn field(&self, name: &str, call: &Call<'_>) -> Vec<String> {
        let one = match name {
            "image-id" => Some(self.id.clone()),
            "name" => Some(self.name.clone()),
            "description" => Some(self.description.clone()),
            "state" => Some(self.state.as_str().to_owned()),
            "owner-id" => Some(call.key.account.clone()),
            "source-instance-id" => self.instance.clone(),
            "source-image-id" => self.origin.as_ref().map(|origin| origin.image.clone()),
            "source-image-region" => self.origin.as_ref().map(|origin| origin.region.clone()),
            "creation-date" => Some(iso(whole(self.created_at))),
            "is-public" => Some("false".to_owned()),
            "root-device-type" => Some(self.root_device_type.clone()),
            "architecture" => Some(self.architecture.clone()),
            "image-type" => Some("machine".to_owned()),
            "state-reason-code" => self.reason.as_ref().map(|reason| reason.code.clone()),
            "block-device-mapping.snapshot-id" => return shown_snapshots(self),
            "block-device-mapping.device-name" => {
                return self.mappings.iter().map(|mapping| mapping.device.clone()).collect();
            }
            _ => None,
        };
        one.into_iter().collect()
    }
}

/// A pending image does not show its snapshots.
fn shown_snapshots(image: &Image) -> Vec<String> {
    match image.state {
        ImageState::Pending => Vec::new(),
        ImageState::Available | ImageState::Failed | ImageState::Deregistered => {
            image.mappings.iter().filter_map(|mapping| mapping.snapshot.clone()).collect()
        }
    }
}

impl Sim {
    pub(crate) fn describe_images(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let ids = call.request.list("ImageId");
        let place = self.here(call);
        let mut candidates: Vec<&Image> = if ids.is_empty() {
            place.images.values().collect()
        } else {
            ids.iter().map(|id| place.known_image(id, call.now, &self.config)).collect::<Result<_, _>>()?
        };
        // "Recently deregistered images appear in the returned results for a short interval and then return empty
        // results" (EC2 API, DescribeImages).
        candidates.retain(|image| {
            image.created_at + self.config.visibility_lag <= call.now
                && image.deregistered_at.is_none_or(|at| call.now < at + self.config.deregistered_shown)
                && owns(call)
        });
        let page = self.list(call, 1, ("imagesSet", !ids.is_empty()), candidates)?;
        let mut answer = Answer::default();
        answer.xml.items("imagesSet", &page.entries, |xml, image| write(xml, image, call));
        Ok(finish(answer, page.next))
    }
}

fn write(xml: &mut Xml, image: &Image, call: &Call<'_>) {
    let account = &call.key.account;
    xml.text("imageId", &image.id);
    xml.text("imageLocation", format!("{account}/{}", image.name));
    xml.text("imageState", image.state.as_str());
    xml.text("imageOwnerId", account);
    xml.text("creationDate", iso(whole(image.created_at)));
    xml.text("isPublic", false);
    xml.element("productCodes", |_| {});
    xml.text("architecture", &image.architecture);
    xml.text("imageType", "machine");
    xml.reason(image.reason.as_ref());
    xml.text("name", &image.name);
    if !image.description.is_empty() {
        xml.text("description", &image.description);
    }
    xml.text("rootDeviceType", &image.root_device_type);
    xml.text("rootDeviceName", &image.root_device_name);
    xml.items("blockDeviceMapping", &image.mappings, |xml, mapping| {
        xml.text("deviceName", &mapping.device);
        xml.element("ebs", |xml| {
            if image.state != ImageState::Pending {
                xml.maybe("snapshotId", mapping.snapshot.as_ref());
            }
            xml.text("volumeSize", mapping.gib);
            xml.text("deleteOnTermination", mapping.delete_on_termination);
            xml.text("volumeType", &mapping.volume_type);
            xml.text("encrypted", mapping.kms_key.is_some());
        });
    });
    xml.text("virtualizationType", "hvm");
    xml.tags(&image.tags);
    xml.text("hypervisor", "xen");
    xml.text("enaSupport", true);
    xml.text("platformDetails", "Linux/UNIX");
    xml.text("usageOperation", "RunInstances");
    xml.maybe("sourceInstanceId", image.instance.as_ref());
    if let Some(origin) = &image.origin {
        xml.text("sourceImageId", &origin.image);
        xml.text("sourceImageRegion", &origin.region);
    }
}
