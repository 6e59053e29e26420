//! What a call does to what, as IAM asks for it.

use crate::{
    clock::Millis,
    iam::condition::Context,
    place::{EMPTY, Key, Place},
    request::{Request, numbered},
    sim::{Call, Sim},
    tags::{self, Tags},
};

/// One action on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) context: Context,
}

impl Check {
    fn new(call: &Call<'_>, action: &str, resource: String) -> Self {
        let region = &call.key.region;
        let check = Self { action: action.to_owned(), resource, context: Context::new() };
        check.with("ec2:Region", region).with("aws:RequestedRegion", region)
    }

    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.context.entry(key.to_lowercase()).or_default().push(value.to_owned());
        self
    }

    fn tagged(self, tags: &Tags) -> Self {
        tags.iter().fold(self, |check, (key, value)| {
            check
                .with(&format!("aws:ResourceTag/{key}"), value)
                .with(&format!("ec2:ResourceTag/{key}"), value)
        })
    }

    fn requesting<'a>(self, tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        tags.into_iter().fold(self, |check, (key, value)| {
            check.with(&format!("aws:RequestTag/{key}"), value).with("aws:TagKeys", key)
        })
    }
}

/// Instances and volumes belong to an account; images and snapshots have none in their ARNs.
fn arn(key: &Key, id: &str) -> String {
    let Key { account, region } = key;
    match id.split_once('-').map_or("", |(prefix, _)| prefix) {
        "i" => format!("arn:aws:ec2:{region}:{account}:instance/{id}"),
        "vol" => format!("arn:aws:ec2:{region}:{account}:volume/{id}"),
        "ami" => format!("arn:aws:ec2:{region}::image/{id}"),
        "snap" => format!("arn:aws:ec2:{region}::snapshot/{id}"),
        _ => format!("arn:aws:ec2:{region}:{account}:*/{id}"),
    }
}

impl Place {
    /// Remembers what tags were until now, for IAM learns of a change late.
    pub(crate) fn remember_tags(&mut self, id: &str, now: Millis) {
        if let Some(tags) = self.tags_mut(id).cloned() {
            self.retagged.entry(id.to_owned()).or_default().push((now, tags));
        }
    }

    /// The tags that IAM knows: those before the first change of the last `latency`.
    fn tags_for_iam(&self, id: &str, now: Millis, latency: Millis) -> Option<&Tags> {
        let changes = self.retagged.get(id).into_iter().flatten();
        let before = changes.into_iter().find(|(at, _)| now < at + latency).map(|(_, tags)| tags);
        before.or_else(|| self.tags_of(id))
    }
}

impl Sim {
    /// An action on something that exists.
    pub(crate) fn existing(&self, call: &Call<'_>, action: &str, id: &str) -> Check {
        self.existing_in(call, &call.key, action, id, true)
    }

    fn existing_in(&self, call: &Call<'_>, key: &Key, action: &str, id: &str, has_tags: bool) -> Check {
        let mut check = Check::new(call, action, arn(key, id));
        let place = self.places.get(key).unwrap_or(&EMPTY);
        let Some(tags) = place.tags_for_iam(id, call.now, self.config.iam_tag_latency) else {
            return check;
        };
        if ["ami-", "snap-"].iter().any(|prefix| id.starts_with(prefix)) {
            check = check.with("ec2:Owner", &key.account);
        }
        if has_tags { check.tagged(tags) } else { check }
    }

    /// Everything that a call must be allowed.
    pub(crate) fn checks(&self, call: &Call<'_>) -> Vec<Check> {
        let (request, action) = (call.request, call.request.action.as_str());
        let one = |name: &str| vec![self.existing(call, action, request.get(name).unwrap_or("*"))];
        match action {
            "StopInstances" | "StartInstances" | "RebootInstances" | "TerminateInstances" => {
                request.list("InstanceId").iter().map(|id| self.existing(call, action, id)).collect()
            }
            "ModifyInstanceAttribute" | "DescribeInstanceAttribute" => one("InstanceId"),
            "DeregisterImage"
            | "DisableImage"
            | "EnableImage"
            | "EnableImageDeregistrationProtection"
            | "DisableImageDeregistrationProtection"
            | "EnableImageDeprecation"
            | "DisableImageDeprecation"
            | "DescribeImageAttribute" => one("ImageId"),
            "ModifyImageAttribute" => {
                one("ImageId").into_iter().map(|check| changing(check, request)).collect()
            }
            "DeleteSnapshot"
            | "LockSnapshot"
            | "UnlockSnapshot"
            | "ModifySnapshotAttribute"
            | "DescribeSnapshotAttribute" => one("SnapshotId"),
            "CreateImage" => {
                let mut checks = one("InstanceId");
                checks.extend(new(call));
                checks
            }
            "CopyImage" => {
                let region = request.get("SourceRegion").unwrap_or_default().to_owned();
                let key = Key { account: call.key.account.clone(), region };
                let id = request.get("SourceImageId").unwrap_or("*");
                let has_tags = self.config.copy_source_has_tags;
                let mut checks = vec![self.existing_in(call, &key, action, id, has_tags)];
                checks.extend(new(call));
                checks
            }
            "CreateTags" | "DeleteTags" => {
                let tags: Vec<(String, String)> = numbered(&request.params, "Tag")
                    .into_values()
                    .map(|mut tag| {
                        (tag.remove("Key").unwrap_or_default(), tag.remove("Value").unwrap_or_default())
                    })
                    .collect();
                let requested = || tags.iter().map(|(key, value)| (key, value));
                let ids = request.list("ResourceId");
                ids.iter().map(|id| self.existing(call, action, id).requesting(requested())).collect()
            }
            _ => vec![Check::new(call, action, "*".to_owned())],
        }
    }
}

/// The attribute that is changed, which may be named or only given; spelled as in the User Guide's example, "Control
/// access to EC2 resources", `ec2:Attribute`.
fn changing(check: Check, request: &Request) -> Check {
    let has_it = |name: &&str| request.params.keys().any(|key| key.starts_with(&format!("{name}.")));
    let given = ["Description", "LaunchPermission", "ImdsSupport"].into_iter().filter(has_it);
    let named = request.get("Attribute").into_iter();
    named.chain(given).fold(check, |check, attribute| check.with("ec2:Attribute", attribute))
}

/// The image and the snapshots that a call makes, and their tags: "if tags are specified in the resource-creating
/// action, Amazon performs additional authorization on the ec2:CreateTags action" (EC2 User Guide, "Grant permission to
/// tag Amazon EC2 resources during creation").
fn new(call: &Call<'_>) -> Vec<Check> {
    let action = call.request.action.as_str();
    let (image, snapshot) = tags::specifications(call.request).unwrap_or_default();
    let mut checks = Vec::new();
    for (kind, tags) in [("image", &image), ("snapshot", &snapshot)] {
        let resource = format!("arn:aws:ec2:{}::{kind}/*", call.key.region);
        checks.push(Check::new(call, action, resource.clone()).requesting(tags));
        if !tags.is_empty() {
            let check = Check::new(call, "CreateTags", resource).requesting(tags);
            checks.push(check.with("ec2:CreateAction", action));
        }
    }
    checks
}
