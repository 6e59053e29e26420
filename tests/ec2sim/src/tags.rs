//! Tags and their rules: at most 50 of a user's, keys up to 128 and values up to 256 characters, `aws:` reserved
//! (EC2 User Guide, "Tag your Amazon EC2 resources").

use std::collections::BTreeMap;

use crate::{
    refusal::Refusal,
    request::{Params, Request, numbered},
};

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

const LIMIT: usize = 50;
const KEY: usize = 128;
const VALUE: usize = 256;

pub(crate) fn is_reserved(key: &str) -> bool {
    key.to_ascii_lowercase().starts_with("aws:")
}

/// `Tag.1.Key` and `Tag.1.Value`, checked.
pub(crate) fn parse(params: &Params) -> Result<Tags, Refusal> {
    let mut tags = Tags::new();
    for tag in numbered(params, "Tag").into_values() {
        let key = tag.get("Key").cloned().unwrap_or_default();
        let value = tag.get("Value").cloned().unwrap_or_default();
        if key.is_empty() {
            return Err(Refusal::value("Tag key cannot be empty"));
        }
        if key.chars().count() > KEY {
            return Err(Refusal::value(format!("Tag key exceeds the maximum length of {KEY} characters")));
        }
        if value.chars().count() > VALUE {
            return Err(Refusal::value(format!(
                "Tag value exceeds the maximum length of {VALUE} characters"
            )));
        }
        if is_reserved(&key) {
            return Err(Refusal::value("Tag keys starting with 'aws:' are reserved for internal use"));
        }
        if tags.contains_key(&key) {
            return Err(Refusal::value(format!("Duplicate tag key '{key}' specified.")));
        }
        tags.insert(key, value);
    }
    within_limit(&tags)?;
    Ok(tags)
}

pub(crate) fn within_limit(tags: &Tags) -> Result<(), Refusal> {
    if tags.keys().filter(|key| !is_reserved(key)).count() > LIMIT {
        return Err(Refusal::new(
            "TagLimitExceeded",
            "The maximum number of Tags for a resource has been reached.",
        ));
    }
    Ok(())
}

/// The tags for an image and for its snapshots; no other type is allowed where images are made.
pub(crate) fn specifications(request: &Request) -> Result<(Tags, Tags), Refusal> {
    let (mut image, mut snapshot) = (None, None);
    for specification in numbered(&request.params, "TagSpecification").into_values() {
        let kind = specification.get("ResourceType").map_or("", String::as_str);
        let tags = parse(&specification)?;
        let slot = match kind {
            "image" => &mut image,
            "snapshot" => &mut snapshot,
            _ => {
                return Err(Refusal::value(format!(
                    "'{kind}' is not a valid taggable resource type for this operation."
                )));
            }
        };
        if slot.replace(tags).is_some() {
            return Err(Refusal::value(format!("Duplicate resource type '{kind}' in tag specification.")));
        }
    }
    Ok((image.unwrap_or_default(), snapshot.unwrap_or_default()))
}
