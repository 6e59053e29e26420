//! `ModifyImageAttribute` and `ModifySnapshotAttribute`.

use crate::{
    change::create::check_description_text,
    image::{Image, ImageState},
    permission::{Permission, changes},
    refusal::Refusal,
    sim::{Answer, Call, Sim},
};

/// An image that can be changed: "The AMI ID … is currently pending" (SUSE-Enceladus/ec2imgutils#45).
pub(crate) fn settled(image: &Image) -> Result<(), Refusal> {
    match image.state {
        ImageState::Available | ImageState::Disabled => Ok(()),
        ImageState::Pending | ImageState::Failed | ImageState::Deregistered => Err(unavailable(image)),
    }
}

pub(crate) fn unavailable(image: &Image) -> Refusal {
    Refusal::new(
        "InvalidAMIID.Unavailable",
        format!(
            "The AMI ID '{}' is currently {} and may not be used for this operation",
            image.id,
            image.state.as_str()
        ),
    )
}

/// "You can't share an AMI publicly that has encrypted volumes or snapshots of encrypted volumes", nor one with product
/// codes (EC2 User Guide, "Make your AMI publicly available"); the code is not verified.
fn may_be_public(image: &Image) -> Result<(), Refusal> {
    let why = if image.mappings.iter().any(|mapping| mapping.kms_key.is_some()) {
        "it has encrypted snapshots"
    } else if !image.product_codes.is_empty() {
        "it has product codes"
    } else {
        return Ok(());
    };
    Err(Refusal::new(
        "OperationNotPermitted",
        format!("The AMI '{}' can't be shared publicly: {why}.", image.id),
    ))
}

impl Sim {
    /// One attribute at a time. A disabled image cannot be shared (EC2 API, DisableImage).
    pub(crate) fn modify_image_attribute(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let request = call.request;
        let id = request.required("ImageId")?;
        let named = request.get("Attribute").filter(|name| !name.is_empty());
        let by_name = request.get("Value").filter(|_| named == Some("description"));
        let description = request.get("Description.Value").or(by_name);
        if let Some(name) = named.filter(|name| !["description", "launchPermission"].contains(name)) {
            return Err(Refusal::value(format!("Value ({name}) for parameter attribute is invalid.")));
        }
        let permissions = changes(request, "LaunchPermission", true, "InvalidAMIAttributeItemValue")?;
        let image = self.own_image(call, id)?;
        settled(image)?;
        match (&description, &permissions) {
            (None, None) => {
                return Err(Refusal::new("InvalidParameterCombination", "No attributes specified."));
            }
            (Some(_), Some(_)) => {
                return Err(Refusal::new(
                    "InvalidParameterCombination",
                    "Fields for multiple attribute types specified",
                ));
            }
            (Some(text), None) => check_description_text(text)?,
            (None, Some(changes)) => {
                if image.state == ImageState::Disabled && !changes.add.is_empty() {
                    return Err(unavailable(image));
                }
                if changes.add.contains(&Permission::Everybody) {
                    if self.config.public_access_is_blocked {
                        return Err(Refusal::new(
                            "OperationNotPermitted",
                            "You can't publicly share this image. Block public access for AMIs is enabled.",
                        ));
                    }
                    may_be_public(image)?;
                }
            }
        }
        call.rehearse()?;
        if let Some(image) = self.place_mut(&call.key).images.get_mut(id) {
            if let Some(text) = description {
                text.clone_into(&mut image.description);
            }
            if let Some(changes) = permissions {
                changes.apply(&mut image.permissions);
            }
        }
        let mut answer = Answer::yes();
        answer.ids.push(id.to_owned());
        Ok(answer)
    }

    /// A snapshot under the account's default key cannot be shared, and an encrypted one not publicly (EBS User Guide,
    /// "Share an Amazon EBS snapshot"); the code is not verified.
    pub(crate) fn modify_snapshot_attribute(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let request = call.request;
        let id = request.required("SnapshotId")?;
        if let Some(name) = request.get("Attribute").filter(|name| *name != "createVolumePermission") {
            return Err(Refusal::value(format!("Value ({name}) for parameter attribute is invalid.")));
        }
        let permissions = changes(request, "CreateVolumePermission", false, "InvalidParameterValue")?;
        let snapshot = self.here(call).snapshot(id, call.now, &self.config)?;
        let Some(permissions) = permissions else {
            return Err(Refusal::new("InvalidParameterCombination", "No attributes specified."));
        };
        if let Some(key) = snapshot.kms_key.as_ref().filter(|_| !permissions.add.is_empty()) {
            let is_default = key.ends_with("alias/aws/ebs");
            if is_default || permissions.add.contains(&Permission::Everybody) {
                return Err(Refusal::new(
                    "OperationNotPermitted",
                    if is_default {
                        "Encrypted snapshots with EBS default key cannot be shared"
                    } else {
                        "Encrypted snapshots cannot be shared publicly"
                    },
                ));
            }
        }
        call.rehearse()?;
        if let Some(snapshot) = self.place_mut(&call.key).snapshots.get_mut(id) {
            permissions.apply(&mut snapshot.permissions);
        }
        let mut answer = Answer::yes();
        answer.ids.push(id.to_owned());
        Ok(answer)
    }
}
