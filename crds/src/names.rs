//! How things are called in AWS: names of images, keys of tags, and the digests in them. Pure functions.
//!
//! Names and keys are API: another version, another replica and a rebuilt cluster must find the same things by them.

use crate::{
    ids::{ImageId, InstanceId},
    receipts,
    template::spec::Source,
    text::hex_digest,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The kind whose images say of no kind that owns them.
pub const SAVED_TEMPLATE: &str = "SavedTemplate";

/// Finalizer of a `SavedTemplate` that has changed anything in AWS.
pub const FINALIZER: &str = "savedtemplate.dev/cleanup";

/// Finalizer of a `SavedTemplateClass` that a template names.
pub const CLASS_FINALIZER: &str = "savedtemplate.dev/in-use";

/// Keys of the tags on images, snapshots and instances.
pub mod tag {
    /// What every key of ours begins with.
    pub const PREFIX: &str = "savedtemplate.dev/";
    /// Cluster that owns the thing.
    pub const CLUSTER: &str = "savedtemplate.dev/cluster";
    /// Kind of the object that owns the thing; absent on what a `SavedTemplate` owns.
    pub const KIND: &str = "savedtemplate.dev/kind";
    /// Namespace of the object that owns the thing.
    pub const NAMESPACE: &str = "savedtemplate.dev/namespace";
    /// Name of the object that owns the thing.
    pub const NAME: &str = "savedtemplate.dev/name";
    /// Revision that the thing holds.
    pub const REVISION: &str = "savedtemplate.dev/revision";
    /// Attempt at that revision.
    pub const ATTEMPT: &str = "savedtemplate.dev/attempt";
    /// Capture that made the thing.
    pub const CAPTURE: &str = "savedtemplate.dev/capture";
    /// Digest of the source as the object declared it.
    pub const SOURCE: &str = "savedtemplate.dev/source";
    /// Instance that was saved.
    pub const SOURCE_INSTANCE: &str = "savedtemplate.dev/source-instance";
    /// Role of an image: home, copy or source.
    pub const ROLE: &str = "savedtemplate.dev/role";
    /// Region that the thing was made for.
    pub const REGION: &str = "savedtemplate.dev/region";
    /// Uid of the holder's `kube-system` namespace.
    pub const HOLDER: &str = "savedtemplate.dev/holder";
    /// Cluster that made the thing, where it was handed over.
    pub const ADOPTED_FROM: &str = "savedtemplate.dev/adopted-from";
    /// Set to `true` on an image that stays for good.
    pub const RETAINED: &str = "savedtemplate.dev/retained";
    /// Why the attempt that made the image failed: it is never served, nor adopted.
    pub const FAILED: &str = "savedtemplate.dev/failed";
    /// Set to `true` by whoever allows us to stop an instance.
    pub const ALLOW: &str = "savedtemplate.dev/allow";
    /// What the key of a restart debt begins with, whoever owes it.
    pub const DEBT_PREFIX: &str = "savedtemplate.dev/restart-owed.";
    /// What the key of receipts begins with, whoever wrote them.
    pub const RECEIPT_PREFIX: &str = "savedtemplate.dev/saved.";
}

/// Who owns images: an object of a cluster, by its names and never by its uid, which a restored cluster does not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// Name of the cluster (`--cluster-name`).
    pub cluster: &'a str,
    /// Kind of the object.
    pub kind: &'a str,
    /// Namespace of the object.
    pub namespace: &'a str,
    /// Name of the object.
    pub name: &'a str,
}

impl Owner<'_> {
    /// Name of the image of one attempt at one revision.
    pub fn image_name(&self, template: &str, revision: i32, attempt: i32) -> String {
        let owner = self.digest(12);
        if attempt < 2 {
            format!("{template}-r{revision}-{owner}")
        } else {
            format!("{template}-r{revision}-{owner}-a{attempt}")
        }
    }

    /// Under which the receipts on an instance name this object.
    pub fn receipt_object(&self) -> String {
        self.digest(receipts::DIGITS)
    }

    /// Key of the receipt of this object alone, as it was written before the receipts of a machine were one tag.
    pub fn old_receipt_key(&self) -> String {
        format!("{}{}", tag::RECEIPT_PREFIX, self.digest(8))
    }

    /// Whether a name is that of an image of this owner, of whatever template name: of this attempt at this revision.
    pub fn named(&self, name: &str, revision: i32, attempt: i32) -> bool {
        let prefix = name.strip_suffix(&self.image_name("", revision, attempt));
        prefix.is_some_and(|template| !template.is_empty())
    }

    fn digest(&self, digits: usize) -> String {
        let Self { cluster, kind, namespace, name } = self;
        // As it was when there was one kind alone: names of images and receipts of then are found again.
        let text = if *kind == SAVED_TEMPLATE {
            format!("{cluster}/{namespace}/{name}")
        } else {
            format!("{cluster}/{kind}/{namespace}/{name}")
        };
        hex_digest(&text, digits)
    }
}

/// Key of the restart debt on an instance: one for each installation.
pub fn debt_key(cluster: &str) -> String {
    format!("{}{}", tag::DEBT_PREFIX, hex_digest(cluster, 8))
}

/// Whether a name is one that some installation gives to an image that it makes of a machine. Whoever tags an image can
/// not change its name.
pub fn is_image_name(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_digest = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut words = name.rsplit('-').peekable();
    words.next_if(|word| word.strip_prefix('a').is_some_and(number));
    let digest = words.next().is_some_and(is_digest);
    let revision = words.next().and_then(|word| word.strip_prefix('r')).is_some_and(number);
    digest && revision && words.any(|word| !word.is_empty())
}

/// Key of the receipts on an instance: one for each installation.
pub fn receipts_key(cluster: &str) -> String {
    format!("{}{}", tag::RECEIPT_PREFIX, hex_digest(cluster, 8))
}

/// Digest of the source as declared: JSON with sorted keys, without absent fields.
pub fn source_digest(source: &Source) -> String {
    let Source { region, instance_id, instance_name, image_id, image_ownership } = source;
    let fields = [
        ("region", Some(region.as_str())),
        ("instanceID", instance_id.as_ref().map(InstanceId::as_str)),
        ("instanceName", instance_name.as_deref()),
        ("imageID", image_id.as_ref().map(ImageId::as_str)),
        ("imageOwnership", image_ownership.map(Into::into)),
    ];
    let sorted: BTreeMap<&str, &str> =
        fields.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let members: Vec<String> = sorted
        .into_iter()
        .map(|(key, value)| format!("{}:{}", Value::from(key), Value::from(value)))
        .collect();
    hex_digest(&format!("{{{}}}", members.join(",")), 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::Region, template::spec::ImageOwnership};

    const OWNER: Owner<'_> =
        Owner { cluster: "lab", kind: SAVED_TEMPLATE, namespace: "geo-lab", name: "seismic-ml" };

    fn source() -> Source {
        Source {
            region: Region::parse("us-west-2").unwrap(),
            instance_id: None,
            instance_name: Some("earthquake-analysis".to_owned()),
            image_id: None,
            image_ownership: None,
        }
    }

    // Digests are of `printf … | sha256sum`.

    #[test]
    fn the_first_attempt_has_no_number_in_its_name() {
        assert_eq!(OWNER.image_name("seismic-ml", 3, 1), "seismic-ml-r3-4152581f1783");
        assert_eq!(OWNER.image_name("seismic-ml", 3, 2), "seismic-ml-r3-4152581f1783-a2");
    }

    #[test]
    fn the_name_of_an_image_tells_its_owner_revision_and_attempt_and_no_other() {
        for (name, revision, attempt, is) in [
            ("seismic-ml-r3-4152581f1783", 3, 1, true),
            ("other-r3-4152581f1783", 3, 1, true),
            ("seismic-ml-r3-4152581f1783-a2", 3, 2, true),
            ("seismic-ml-r3-4152581f1783-a2", 3, 1, false),
            ("seismic-ml-r3-4152581f1783", 13, 1, false),
            ("seismic-ml-r3-4152581f1784", 3, 1, false),
            ("-r3-4152581f1783", 3, 1, false),
            ("AwsBackup_i-0123456789abcdef0", 3, 1, false),
        ] {
            assert_eq!(OWNER.named(name, revision, attempt), is, "{name} {revision} {attempt}");
            assert!(!is || is_image_name(name), "{name}");
        }
        for name in [
            "",
            "-r3-4152581f1783",
            "x-r3-4152581f178",
            "x-r-4152581f1783",
            "x-3-4152581f1783",
            "x-r3-4152581f1783-a",
        ] {
            assert!(!is_image_name(name), "{name}");
        }
    }

    #[test]
    fn the_longest_name_is_one_that_ec2_takes() {
        let longest = OWNER.image_name(&"t".repeat(88), i32::MAX, 99_999);
        assert!(longest.len() <= 128, "{longest}");
    }

    #[test]
    fn every_installation_has_its_own_debt_and_receipts_and_every_object_its_own_entry() {
        assert_eq!(debt_key("lab"), "savedtemplate.dev/restart-owed.a51146d3");
        assert_eq!(receipts_key("lab"), "savedtemplate.dev/saved.a51146d3");
        assert_eq!(OWNER.receipt_object(), "4152581f17833ff1");
        assert_eq!(OWNER.old_receipt_key(), "savedtemplate.dev/saved.4152581f");
        assert_ne!(debt_key("lab"), debt_key("lab2"));
        assert_ne!(receipts_key("lab"), receipts_key("lab2"));
        let another = Owner { name: "seismic", ..OWNER };
        assert_ne!(OWNER.receipt_object(), another.receipt_object());
        assert_ne!(OWNER.old_receipt_key(), another.old_receipt_key());
        let of_another_kind = Owner { kind: "SavedMachine", ..OWNER };
        assert_ne!(OWNER.receipt_object(), of_another_kind.receipt_object());
        assert_ne!(OWNER.image_name("t", 1, 1), of_another_kind.image_name("t", 1, 1));
    }

    #[test]
    fn the_digest_of_a_source_is_that_of_its_json_with_sorted_keys() {
        // {"instanceName":"earthquake-analysis","region":"us-west-2"}
        assert_eq!(source_digest(&source()), "c8b3b12654fc247e");
    }

    #[test]
    fn every_field_of_the_source_counts() {
        let image = || Some("ami-0123456789abcdef0".parse().unwrap());
        let sources = [
            source(),
            Source { region: Region::parse("us-east-1").unwrap(), ..source() },
            Source { instance_name: Some("earthquake\"analysis".to_owned()), ..source() },
            Source { instance_id: Some("i-01234567".parse().unwrap()), instance_name: None, ..source() },
            Source { image_id: image(), instance_name: None, ..source() },
            Source {
                image_id: image(),
                image_ownership: Some(ImageOwnership::Reference),
                instance_name: None,
                ..source()
            },
        ];
        let digests: std::collections::BTreeSet<_> = sources.iter().map(source_digest).collect();
        assert_eq!(digests.len(), sources.len());
    }

    #[test]
    fn the_digest_of_a_source_is_that_of_what_kubernetes_holds() {
        let source = Source { image_ownership: Some(ImageOwnership::Own), ..source() };
        let held: BTreeMap<String, Value> =
            serde_json::from_value(serde_json::to_value(&source).unwrap()).unwrap();
        assert_eq!(source_digest(&source), hex_digest(&serde_json::to_string(&held).unwrap(), 16));
    }
}
