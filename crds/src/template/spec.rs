//! What the author of a `SavedTemplate` wants.

use crate::{ids::Region, revision::LARGEST_REVISION, template::status::SavedTemplateStatus};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

pub(super) mod capture;
mod default;
mod lifecycle;
mod publish;
mod sharing;
mod source;

pub use capture::{
    CaptureMode, CaptureSpec, DEFAULT_MAX_DOWNTIME_SECONDS, InstanceStore, OnStopTimeout, RestartWhen,
    StopSpec,
};
use default::one;
pub use lifecycle::{DeregistrationProtection, InUse, Lifecycle, Retention};
pub use publish::{Publish, PublishedConfigMap, RemovalPolicy, SsmParameter};
pub use sharing::{Sharing, SnapshotAccess, Visibility};
pub use source::{ImageOwnership, Source};

/// Desired state of one template: which machine, which revision, which regions, and who may use it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "savedtemplate.dev",
    version = "v1alpha1",
    kind = "SavedTemplate",
    plural = "savedtemplates",
    singular = "savedtemplate",
    shortname = "stpl",
    category = "savedtemplates",
    namespaced,
    status = "SavedTemplateStatus",
    derive = "PartialEq",
    doc = "An EC2 instance saved as an image, copied to regions and shared with those who may use it.",
    selectable = ".spec.className",
    selectable = ".spec.source.region",
    printcolumn(name = "Instance", type_ = "string", json_path = ".status.source.instanceID"),
    printcolumn(name = "Rev", type_ = "integer", json_path = ".spec.revision"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(
        name = "Validated",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Validated')].reason",
        description = "Whether the next save may begin, or what it is refused for."
    ),
    printcolumn(name = "AMI", type_ = "string", json_path = ".status.imageID"),
    printcolumn(name = "Regions", type_ = "string", json_path = ".status.regionSummary"),
    printcolumn(name = "Saved", type_ = "date", json_path = ".status.images[0].createdTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".status.capture.mode", priority = 1),
    printcolumn(
        name = "Source",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='SourceRestored')].reason",
        priority = 1
    ),
    printcolumn(
        name = "Downtime",
        type_ = "integer",
        json_path = ".status.capture.downtimeSeconds",
        description = "Seconds from the stop of the machine until it ran again.",
        priority = 1
    ),
    printcolumn(name = "Class", type_ = "string", json_path = ".spec.className", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    ),
    validation = Rule::new("size(self.metadata.name) <= 63")
        .message("metadata.name must have at most 63 characters: it becomes the value of a label"),
    validation = Rule::new("has(self.spec.templateName) || size(self.metadata.name) >= 3")
        .message("an image name needs 3 characters: choose a longer metadata.name or set spec.templateName"),
    validation = Rule::new(
        "self.spec.source == oldSelf.spec.source || self.spec.revision != oldSelf.spec.revision || \
         !has(self.status) || !has(self.status.latestRevision) || \
         self.status.latestRevision < oldSelf.spec.revision"
    )
    .message(
        "spec.source may change only together with spec.revision once a capture of this revision has begun: \
         raise spec.revision in the same change"
    ),
    validation = Rule::new(
        "self.spec.source.region == oldSelf.spec.source.region || !has(self.status) || \
         !has(self.status.latestRevision)"
    )
    .message(
        "spec.source.region may not change once a capture has begun: the images, and perhaps a stopped machine, are there; \
         create another object for the other region"
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = crate::schema::refine)]
#[x_kube(
    validation = Rule::new("self.className == oldSelf.className")
        .message("spec.className is immutable: create another object for another class"),
    validation = Rule::new(
        "has(self.templateName) == has(oldSelf.templateName) && \
         (!has(self.templateName) || self.templateName == oldSelf.templateName)"
    )
    .message("spec.templateName is immutable, also in being absent: create another object for another name"),
    validation = Rule::new("!has(self.activeRevision) || self.activeRevision <= self.revision")
        .message("spec.activeRevision must not be greater than spec.revision: pin a revision that was asked for"),
    validation = Rule::new(r"!has(self.description) || self.description.matches('^[ -~]*$')")
        .message("spec.description: EC2 takes printable ASCII on one line and nothing else, replace the other characters"),
    validation = Rule::new("!has(self.regions) || !self.regions.exists(r, r.name == self.source.region)")
        .message("spec.regions must not name spec.source.region: the image is there already, remove that entry"),
    validation = Rule::new(
        "self.sharing.visibility != 'Public' || (self.encryption.mode == 'Inherit' && \
         (!has(self.regions) || self.regions.all(r, !has(r.kmsKeyID))))"
    )
    .message(
        "an encrypted image cannot be public: set spec.encryption.mode to Inherit and remove every kmsKeyID, \
         or set spec.sharing.visibility to Private"
    )
)]
pub struct SavedTemplateSpec {
    /// Name of the `SavedTemplateClass` with the administrator's guard rails. Immutable.
    #[serde(default = "default_class")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub class_name: String,

    /// Name that every image begins with; absent means `metadata.name`. Immutable, also in being absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 88), regex(pattern = r"^[A-Za-z0-9()./_-]+$"))]
    pub template_name: Option<String>,

    /// Text that is shown with the images, and kept in sync on them. EC2 takes printable ASCII only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub description: Option<String>,

    /// The save that is wanted. Raising it is the only thing that captures the machine again; lowering it selects an
    /// older image.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = LARGEST_REVISION))]
    pub revision: i32,

    /// Pins the revision that is served (capture 3, keep serving 2). Absent means `revision`, or, while that has no
    /// image, the newest older one that has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = LARGEST_REVISION))]
    pub active_revision: Option<i32>,

    /// Revisions that are disabled in every region and never active. Taking a number out enables it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(range(min = 1, max = LARGEST_REVISION)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub revoked_revisions: Vec<i32>,

    /// No new capture and no change in AWS for this object, except giving a machine back, finishing a capture that
    /// stopped one, and deletion.
    #[serde(default)]
    pub suspend: bool,

    /// The machine to save, or the image to adopt.
    pub source: Source,

    /// How the machine is saved.
    #[serde(default)]
    pub capture: CaptureSpec,

    /// Whether the images are encrypted with a key of their own.
    #[serde(default)]
    pub encryption: Encryption,

    /// Regions to copy the image to. The home region is not one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub regions: Vec<RegionSpec>,

    /// What happens to the image in a region that is taken out of `regions`.
    #[serde(default)]
    pub removed_region_policy: RemovedRegionPolicy,

    /// Who may launch the images. Authoritative: what is not listed is revoked.
    #[serde(default)]
    pub sharing: Sharing,

    /// Where the id of the image is made known.
    #[serde(default)]
    pub publish: Publish,

    /// Tags on images and snapshots in every region, from birth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 29))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".into()]))]
    pub tags: Vec<Tag>,

    /// The project that pays, as a tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub project_name: Option<String>,

    /// What EC2 itself does with the images over time.
    #[serde(default)]
    pub lifecycle: Lifecycle,

    /// Which older revisions are kept. Without `keepLast` and `maxAgeDays`, all.
    #[serde(default)]
    pub retention: Retention,

    /// What happens to the images when this object is deleted. May be changed while it is being deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

fn default_class() -> String {
    "default".to_owned()
}

/// Encryption of the images, beginning in the home region.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.kmsKeyID) || self.mode == 'Encrypt'")
        .message("spec.encryption.kmsKeyID needs spec.encryption.mode Encrypt: set it or remove the key")
)]
pub struct Encryption {
    /// Whether the image is encrypted anew.
    #[serde(default)]
    pub mode: EncryptionMode,

    /// Key in the home region: id, alias or ARN. Absent means the account's default key for EBS.
    #[serde(rename = "kmsKeyID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 320), regex(pattern = r"^[A-Za-z0-9:/_-]+$"))]
    pub kms_key_id: Option<String>,
}

/// Whether the image is encrypted anew.
#[derive(
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    EnumIter,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
)]
pub enum EncryptionMode {
    /// As the volumes of the machine are.
    #[default]
    Inherit,
    /// With `kmsKeyID`; the plain image is deleted when the encrypted one is available.
    Encrypt,
}

/// One region to copy the image to.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RegionSpec {
    /// Name of the region.
    pub name: Region,

    /// Key in that region that encrypts the copy: id, alias or ARN. Absent means as the image is.
    #[serde(rename = "kmsKeyID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 320), regex(pattern = r"^[A-Za-z0-9:/_-]+$"))]
    pub kms_key_id: Option<String>,
}

/// What happens to the image in a region that is no longer wanted.
#[derive(
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    EnumIter,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
)]
pub enum RemovedRegionPolicy {
    /// It is tagged `retained=true`, never changed again, and adopted if the region returns.
    #[default]
    Retain,
    /// It is deleted with its snapshots.
    Delete,
}

/// One tag.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.key.lowerAscii().startsWith('aws:') && !self.key.lowerAscii().startsWith('savedtemplate.dev/')")
        .message("tag keys that begin with aws: or savedtemplate.dev/ are reserved: choose another key"),
    validation = Rule::new(r"!self.key.matches('[\\x00-\\x1F\\x7F]') && !self.value.matches('[\\x00-\\x1F\\x7F]')")
        .message("a tag has a control character in its key or value: remove it")
)]
pub struct Tag {
    /// Key of the tag.
    #[schemars(length(min = 1, max = 128))]
    pub key: String,

    /// Value of the tag.
    #[schemars(length(max = 256))]
    pub value: String,
}

/// What happens to the images when the object is deleted.
#[derive(
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    EnumIter,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
)]
pub enum DeletionPolicy {
    /// They stay.
    #[default]
    Retain,
    /// They are deleted with their snapshots, in every region.
    Delete,
}
