//! `DescribeImageAttribute`, `DescribeSnapshotAttribute` and `GetImageBlockPublicAccessState`.

use crate::{
    permission::Permission,
    refusal::Refusal,
    sim::{Answer, Call, Sim},
    xml::Xml,
};

fn unknown(attribute: &str) -> Refusal {
    Refusal::value(format!("Value ({attribute}) for parameter attribute is invalid. Unknown attribute."))
}

pub(crate) fn product_codes(xml: &mut Xml, codes: &[String]) {
    xml.items("productCodes", codes, |xml, code| {
        xml.text("productCode", code);
        xml.text("type", "marketplace");
    });
}

fn permissions<'a>(xml: &mut Xml, name: &str, permissions: impl IntoIterator<Item = &'a Permission>) {
    xml.items(name, permissions, |xml, permission| permission.write(xml));
}

impl Sim {
    pub(crate) fn block_public_access(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        call.rehearse()?;
        let is_blocked = self.config.public_access_is_blocked;
        let mut answer = Answer::default();
        answer
            .xml
            .text("imageBlockPublicAccessState", if is_blocked { "block-new-sharing" } else { "unblocked" });
        answer.xml.text("managedBy", "account");
        Ok(answer)
    }

    pub(crate) fn describe_image_attribute(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let id = call.request.required("ImageId")?;
        let attribute = call.request.required("Attribute")?;
        let image = self.own_image(call, id)?;
        call.rehearse()?;
        let mut answer = Answer::default();
        let xml = &mut answer.xml;
        xml.text("imageId", id);
        match attribute {
            "launchPermission" => permissions(xml, attribute, &image.permissions),
            "description" => xml.element(attribute, |xml| {
                if !image.description.is_empty() {
                    xml.text("value", &image.description);
                }
            }),
            "deregistrationProtection" => {
                xml.element(attribute, |xml| xml.text("value", image.protection.spoken(call.now)));
            }
            "productCodes" => product_codes(xml, &image.product_codes),
            // Field-verified (aws/aws-cli#1083), whoever asks.
            "blockDeviceMapping" => {
                return Err(Refusal::new(
                    "AuthFailure",
                    "Unauthorized attempt to access restricted resource",
                ));
            }
            _ => return Err(unknown(attribute)),
        }
        Ok(answer)
    }

    pub(crate) fn describe_snapshot_attribute(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let id = call.request.required("SnapshotId")?;
        let attribute = call.request.required("Attribute")?;
        let snapshot = self.here(call).snapshot(id, call.now, &self.config)?;
        call.rehearse()?;
        let mut answer = Answer::default();
        answer.xml.text("snapshotId", id);
        match attribute {
            "createVolumePermission" => permissions(&mut answer.xml, attribute, &snapshot.permissions),
            "productCodes" => product_codes(&mut answer.xml, &[]),
            _ => return Err(unknown(attribute)),
        }
        Ok(answer)
    }
}
