//! `DescribeImages`.

use crate::{
    clock::{iso, whole},
    describe::{Listed, Seen, attribute::product_codes, finish, is_meant},
    image::{Image, ImageState},
    permission::Permission,
    refusal::Refusal,
    sim::{Answer, Call, Sim},
    tags::Tags,
    xml::Xml,
};

impl Listed for Seen<'_, Image> {
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
        "product-code",
        "root-device-type",
        "architecture",
        "image-type",
        "state-reason-code",
        "block-device-mapping.snapshot-id",
        "block-device-mapping.device-name",
    ];

    fn key(&self) -> String {
        self.what.id.clone()
    }

    fn labels(&self) -> &Tags {
        self.tags
    }

    fn field(&self, name: &str, _: &Call<'_>) -> Vec<String> {
        let image = self.what;
        let one = match name {
            "image-id" => Some(image.id.clone()),
            "name" => Some(image.name.clone()),
            "description" => Some(image.description.clone()),
            "state" => Some(image.state.as_str().to_owned()),
            "owner-id" => Some(image.owner.clone()),
            "source-instance-id" => image.instance.clone(),
            "source-image-id" => image.source().map(|source| source.image.clone()),
            "source-image-region" => image.source().map(|source| source.region.clone()),
            "creation-date" => Some(iso(whole(image.created_at))),
            "is-public" => Some(is_public(image).to_string()),
            "product-code" => return image.product_codes.clone(),
            "root-device-type" => Some(image.root_device_type.clone()),
            "architecture" => Some(image.architecture.clone()),
            "image-type" => Some("machine".to_owned()),
            "state-reason-code" => image.reason.as_ref().map(|reason| reason.code.clone()),
            "block-device-mapping.snapshot-id" => return shown_snapshots(image),
            "block-device-mapping.device-name" => {
                return image.mappings.iter().map(|mapping| mapping.device.clone()).collect();
            }
            _ => None,
        };
        one.into_iter().collect()
    }
}

fn is_public(image: &Image) -> bool {
    image.permissions.contains(&Permission::Everybody)
}

/// A pending image does not show its snapshots.
fn shown_snapshots(image: &Image) -> Vec<String> {
    match image.state {
        ImageState::Pending => Vec::new(),
        ImageState::Available | ImageState::Disabled | ImageState::Failed | ImageState::Deregistered => {
            image.mappings.iter().filter_map(|mapping| mapping.snapshot.clone()).collect()
        }
    }
}

impl Sim {
    pub(crate) fn describe_images(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let ids = call.request.list("ImageId");
        let with_disabled = call.request.flag("IncludeDisabled")?;
        let place = self.here(call);
        let mut candidates: Vec<&Image> = if ids.is_empty() {
            place.images.values().chain(self.shared_images(&call.key)).collect()
        } else {
            let find = |id: &String| {
                let mut shared = self.shared_images(&call.key);
                let shared = shared.find(|image| image.id == *id);
                shared.map_or_else(|| place.known_image(id, call.now, &self.config), Ok)
            };
            ids.iter().map(find).collect::<Result<_, _>>()?
        };
        // "Recently deregistered images appear in the returned results for a short interval and then return empty
        // results" (EC2 API, DescribeImages).
        candidates.retain(|image| {
            (with_disabled || image.state != ImageState::Disabled)
                && image.created_at + self.config.visibility_lag <= call.now
                && image.deregistered_at.is_none_or(|at| call.now < at + self.config.deregistered_shown)
                && is_meant(call, &image.owner)
                && self.is_executable(call, image)
        });
        let mut candidates: Vec<_> =
            candidates.into_iter().map(|image| Seen::by(call, image, &image.owner, &image.tags)).collect();
        candidates.sort_by_key(Listed::key);
        let page = self.list(call, 1, ("imagesSet", !ids.is_empty()), candidates)?;
        let mut answer = Answer::default();
        answer.xml.items("imagesSet", &page.entries, |xml, seen| write(xml, seen, call));
        Ok(finish(answer, page.next))
    }

    /// "Scopes the images by users with explicit launch permissions" (EC2 API, DescribeImages).
    fn is_executable(&self, call: &Call<'_>, image: &Image) -> bool {
        let users = call.request.list("ExecutableBy");
        let me = &call.key.account;
        users.is_empty()
            || users.iter().any(|user| match user.as_str() {
                "all" => is_public(image),
                "self" => self.names(&image.permissions, me),
                user if user == me => self.names(&image.permissions, me),
                user => image.permissions.contains(&Permission::User(user.to_owned())),
            })
    }
}

fn write(xml: &mut Xml, seen: &Seen<'_, Image>, call: &Call<'_>) {
    let image = seen.what;
    let account = &image.owner;
    xml.text("imageId", &image.id);
    xml.text("imageLocation", format!("{account}/{}", image.name));
    xml.text("imageState", image.state.as_str());
    xml.text("imageOwnerId", account);
    xml.text("creationDate", iso(whole(image.created_at)));
    xml.text("isPublic", is_public(image));
    product_codes(xml, &image.product_codes);
    xml.text("architecture", &image.architecture);
    xml.text("imageType", "machine");
    xml.reason(image.reason.as_ref());
    xml.text("name", &image.name);
    if !image.description.is_empty() {
        xml.text("description", &image.description);
    }
    xml.text("rootDeviceType", &image.root_device_type);
    xml.text("rootDeviceName", &image.root_device_name);
    xml.element("blockDeviceMapping", |xml| devices(xml, image));
    xml.text("virtualizationType", "hvm");
    xml.tags(seen.tags);
    xml.text("hypervisor", "xen");
    xml.text("enaSupport", true);
    xml.text("platformDetails", "Linux/UNIX");
    xml.text("usageOperation", "RunInstances");
    xml.maybe("sourceInstanceId", image.instance.as_ref());
    if let Some(source) = image.source() {
        xml.text("sourceImageId", &source.image);
        xml.text("sourceImageRegion", &source.region);
    }
    xml.maybe("deprecationTime", image.deprecated_at.map(iso));
    xml.text("deregistrationProtection", image.protection.spoken(call.now));
}

fn devices(xml: &mut Xml, image: &Image) {
    for mapping in &image.mappings {
        xml.element("item", |xml| {
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
    }
    for (number, device) in image.instance_store.iter().enumerate() {
        xml.element("item", |xml| {
            xml.text("deviceName", device);
            xml.text("virtualName", format!("ephemeral{number}"));
        });
    }
}
