//! `CopyImage`: called in the destination region.

use std::collections::BTreeSet;

use crate::{
    change::{
        create::{check_description, check_name, copies_in_progress},
        guard::available,
    },
    image::{Image, ImageState, Mapping, Origin, Protection},
    place::{EMPTY, Key, Token},
    refusal::Refusal,
    sim::{Answer, Call, Sim},
    tags::{self, Tags, is_reserved},
};

/// The volume id that EC2 gives the snapshot of a copy.
pub(crate) const NO_VOLUME: &str = "vol-ffffffff";

impl Sim {
    pub(crate) fn copy_image(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let request = call.request;
        let name = request.required("Name")?.to_owned();
        let source = request.required("SourceImageId")?.to_owned();
        let region = request.required("SourceRegion")?.to_owned();
        check_name(&name)?;
        let description = check_description(request)?;
        let (mut image_tags, snapshot_tags) = tags::specifications(request)?;
        let is_encrypted = request.flag("Encrypted")?;
        let kms_key = request.get("KmsKeyId").filter(|key| !key.is_empty()).map(str::to_owned);
        if kms_key.is_some() && !is_encrypted {
            return Err(Refusal::new(
                "InvalidParameterDependency",
                "The parameter KmsKeyId requires the parameter Encrypted to be set.",
            ));
        }
        if !self.config.regions.iter().any(|known| known.name == region) {
            return Err(Refusal::value(format!("Invalid source region: {region}")));
        }
        let fingerprint = fingerprint(call);
        let token = request.get("ClientToken").filter(|token| !token.is_empty()).map(str::to_owned);
        if let Some(answer) = self.accepted_before(call, token.as_deref(), &fingerprint)? {
            return Ok(answer);
        }
        let home = self.source(call, &source, &region)?;
        if request.flag("CopyImageTags")? {
            for (key, value) in home.tags.iter().filter(|(key, _)| !is_reserved(key)) {
                image_tags.entry(key.clone()).or_insert_with(|| value.clone());
            }
            tags::within_limit(&image_tags)?;
        }
        if self.config.copy_name_unique {
            self.check_free(&call.key, &name, call.now)?;
        }
        let under_way = copies_in_progress(self.place_mut(&call.key));
        let most = self.config.copies_at_once;
        if under_way + home.mappings.len() > most {
            return Err(Refusal::new(
                "ResourceLimitExceeded",
                format!(
                    "Too many snapshot copies in progress. The limit is {most} in this destination region."
                ),
            ));
        }
        call.rehearse()?;

        let default_key = format!("arn:aws:kms:{}:{}:alias/aws/ebs", call.key.region, call.key.account);
        let mut mappings = home.mappings.clone();
        for mapping in &mut mappings {
            mapping.copied = mapping.snapshot.take();
            NO_VOLUME.clone_into(&mut mapping.volume);
            // What is encrypted stays so: "you can't create an unencrypted copy of an encrypted snapshot".
            mapping.kms_key = match (is_encrypted, &kms_key, &mapping.kms_key) {
                (true, Some(key), _) => Some(key.clone()),
                (true, None, _) | (false, _, Some(_)) => Some(default_key.clone()),
                (false, _, None) => None,
            };
        }
        let image = Image {
            id: self.mint("ami"),
            owner: call.key.account.clone(),
            name,
            description,
            state: ImageState::Pending,
            reason: None,
            created_at: call.now,
            available_at: None,
            deregistered_at: None,
            instance: None,
            origin: Some(Origin { image: source, region }),
            ancestor: None,
            no_reboot: true,
            mappings,
            tags: image_tags,
            permissions: BTreeSet::new(),
            deprecated_at: None,
            protection: Protection::Disabled,
            snapshot_tags,
            snapshot_duration: 0,
            ready_at: call.now + self.config.copy,
            doom: None,
            spoilt: None,
            ..home
        };
        if let Some(token) = token {
            let seen = Token { fingerprint, image: image.id.clone(), at: call.now };
            self.place_mut(&call.key).tokens.insert(token, seen);
        }
        Ok(self.begin(call, image))
    }

    fn accepted_before(
        &self,
        call: &Call<'_>,
        token: Option<&str>,
        fingerprint: &str,
    ) -> Result<Option<Answer>, Refusal> {
        let place = self.places.get(&call.key);
        let Some(seen) = token.and_then(|token| place?.tokens.get(token)) else {
            return Ok(None);
        };
        if seen.at + self.config.token_lifetime <= call.now {
            return Ok(None);
        }
        if seen.fingerprint != fingerprint {
            return Err(Refusal::new(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            ));
        }
        call.rehearse()?;
        let mut answer = Answer::default();
        answer.xml.text("imageId", &seen.image);
        answer.ids.push(seen.image.clone());
        Ok(Some(answer))
    }

    fn source(&self, call: &Call<'_>, id: &str, region: &str) -> Result<Image, Refusal> {
        let key = Key { account: call.key.account.clone(), region: region.to_owned() };
        let place = self.places.get(&key).unwrap_or(&EMPTY);
        let shared = self.shared_images(&key).find(|image| image.id == id);
        let image = match shared {
            Some(image) => image,
            None => place.usable_image(id, call.now, &self.config)?,
        };
        available(image)?;
        let from = Key { account: image.owner.clone(), region: region.to_owned() };
        let held = self.places.get(&from).unwrap_or(&EMPTY);
        let is_stored = image
            .mappings
            .iter()
            .all(|mapping| mapping.snapshot.as_ref().is_some_and(|id| held.snapshots.contains_key(id)));
        if !is_stored {
            return Err(Refusal::new(
                "InvalidRequest",
                "The storage for the ami is not available in the source region.",
            ));
        }
        let is_open = |mapping: &Mapping| {
            self.shared_snapshots(&key).any(|snapshot| mapping.snapshot.as_ref() == Some(&snapshot.id))
        };
        // Field-verified (AndrewGuenther/fck-nat#82).
        if shared.is_some() && !image.mappings.iter().all(is_open) {
            return Err(Refusal::new(
                "InvalidRequest",
                "You do not have permission to access the storage of this ami",
            ));
        }
        // "User tags … are visible to the owner only" (EC2 User Guide, "Share an AMI").
        let tags = if shared.is_some() { Tags::new() } else { image.tags.clone() };
        Ok(Image { tags, ..image.clone() })
    }
}

/// The request without its token, in one text.
fn fingerprint(call: &Call<'_>) -> String {
    let mut text = String::new();
    for (name, value) in &call.request.params {
        if !["ClientToken", "DryRun", "Action", "Version"].contains(&name.as_str()) {
            text.extend([name, "=", value, "\n"]);
        }
    }
    text
}
