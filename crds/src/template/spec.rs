//! What the author of a `SavedTemplate` wants.

use crate::{
    ids::{AccountId, ImageId, InstanceId, Region},
    template::status::SavedTemplateStatus,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

/// Seconds after which the machine is started, where neither the object nor its class says.
pub const DEFAULT_MAX_DOWNTIME_SECONDS: i32 = 1800;

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
    /// The `SavedTemplateClass` with the administrator's guard rails. Immutable.
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
    #[schemars(range(min = 1))]
    pub revision: i32,

    /// Pins the revision that is served (capture 3, keep serving 2). Absent means `revision`, or, while that has no
    /// image, the newest older one that has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_revision: Option<i32>,

    /// Revisions that are disabled in every region and never active. Taking a number out enables it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(range(min = 1)))]
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

const fn one() -> i32 {
    1
}

/// The machine to save, or the image to adopt: a region and exactly one of the three.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "[has(self.instanceID), has(self.instanceName), has(self.imageID)].filter(x, x).size() == 1"
    )
    .message("set exactly one of instanceID, instanceName and imageID in spec.source"),
    validation = Rule::new("!has(self.imageOwnership) || has(self.imageID)")
        .message("spec.source.imageOwnership says what to do with an existing image: set imageID or remove it"),
    validation = Rule::new(r"!has(self.instanceName) || !self.instanceName.matches('[\\x00-\\x1F\\x7F]')")
        .message("spec.source.instanceName has a control character: remove it")
)]
pub struct Source {
    /// Home region: where the machine is, and where its image is made. Fixed once a capture has begun.
    pub region: Region,

    /// The instance by its id.
    #[serde(rename = "instanceID", default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<InstanceId>,

    /// The instance by its tag `Name`; exactly one live instance of the region must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub instance_name: Option<String>,

    /// An image that exists already: it is adopted, nothing is stopped or created.
    #[serde(rename = "imageID", default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<ImageId>,

    /// Whether the image of `imageID` becomes ours. Absent means `Reference`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_ownership: Option<ImageOwnership>,
}

/// Whether an existing image becomes ours.
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
pub enum ImageOwnership {
    /// Never tagged, shared, deprecated, pruned or deleted; only our copies of it are.
    #[default]
    Reference,
    /// Managed like an image that we made.
    Own,
}

/// How the machine is saved.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CaptureSpec {
    /// What happens to a running machine. Absent means the class's default, else `Stop`. A machine that was stopped
    /// is saved as it is and stays stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CaptureMode>,

    /// When a machine that was stopped is started again.
    #[serde(default)]
    pub restart_when: RestartWhen,

    /// Seconds after which the machine is started, whatever `restartWhen` says. Absent means the class's default,
    /// else 1800.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 300, max = 86400))]
    pub max_downtime_seconds: Option<i32>,

    /// How often one revision may stop or reboot the machine. Raising it, or `revision`, tries again.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10))]
    pub max_disruptions: i32,

    /// How the machine is stopped.
    #[serde(default)]
    pub stop: StopSpec,

    /// What a stop may do to data on instance-store volumes, which it erases.
    #[serde(default)]
    pub instance_store: InstanceStore,

    /// Devices to leave out of the image. The root device cannot be left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40), inner(length(min = 1, max = 32), regex(pattern = "^[A-Za-z0-9/]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub exclude_device_names: Vec<String>,
}

impl Default for CaptureSpec {
    fn default() -> Self {
        Self {
            mode: None,
            restart_when: RestartWhen::default(),
            max_downtime_seconds: None,
            max_disruptions: one(),
            stop: StopSpec::default(),
            instance_store: InstanceStore::default(),
            exclude_device_names: Vec::new(),
        }
    }
}

impl CaptureSpec {
    /// The mode that holds where no class says otherwise.
    pub fn mode_or_default(&self) -> CaptureMode {
        self.mode.unwrap_or_default()
    }

    /// The limit that holds where no class says otherwise.
    pub fn max_downtime_seconds_or_default(&self) -> i32 {
        self.max_downtime_seconds.unwrap_or(DEFAULT_MAX_DOWNTIME_SECONDS)
    }
}

/// What happens to a running machine while it is saved.
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
pub enum CaptureMode {
    /// Stopped, saved with its volumes at rest, and started again.
    #[default]
    Stop,
    /// Rebooted by EC2 while it takes the image.
    Reboot,
    /// Left running: the image is like a disk after a power cut.
    NoReboot,
}

/// What a stopped machine waits for before it is started again.
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
pub enum RestartWhen {
    /// Every snapshot has begun: from then on the volumes may change.
    #[default]
    SnapshotsStarted,
    /// EC2 says that the image is available.
    ImageAvailable,
}

/// How the machine is stopped.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StopSpec {
    /// Seconds that the machine has to stop. More than `maxDowntimeSeconds` − 240 counts as that.
    #[serde(default = "default_stop_timeout")]
    #[schemars(range(min = 60, max = 3600))]
    pub timeout_seconds: i32,

    /// What happens to a machine that has not stopped by then.
    #[serde(default)]
    pub on_timeout: OnStopTimeout,
}

const fn default_stop_timeout() -> i32 {
    600
}

impl Default for StopSpec {
    fn default() -> Self {
        Self { timeout_seconds: default_stop_timeout(), on_timeout: OnStopTimeout::default() }
    }
}

/// What happens to a machine that does not stop in time.
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
pub enum OnStopTimeout {
    /// The save is given up and the machine started.
    #[default]
    Abort,
    /// The machine is stopped the hard way; the image does not count as `Stopped`.
    Force,
}

/// What a stop may do to data on instance-store volumes.
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
pub enum InstanceStore {
    /// A machine that has such volumes is not stopped.
    #[default]
    Refuse,
    /// Their data may be lost.
    Discard,
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

/// Who may launch the images.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Sharing {
    /// Whether everybody may launch them.
    #[serde(default)]
    pub visibility: Visibility,

    /// AWS accounts that may launch them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub accounts: Vec<AccountId>,

    /// Organizations whose accounts may launch them.
    #[serde(rename = "organizationARNs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 20),
        inner(
            length(max = 128),
            regex(pattern = r"^arn:aws(-[a-z]+)*:organizations::\d{12}:organization/o-[a-z0-9]{10,32}$")
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub organization_arns: Vec<String>,

    /// Organizational units whose accounts may launch them.
    #[serde(rename = "organizationalUnitARNs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 20),
        inner(
            length(max = 192),
            regex(
                pattern = r"^arn:aws(-[a-z]+)*:organizations::\d{12}:ou/o-[a-z0-9]{10,32}/ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}$"
            )
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub organizational_unit_arns: Vec<String>,

    /// Whether they may read the snapshots too, which copying an image needs.
    #[serde(default)]
    pub snapshot_access: SnapshotAccess,
}

/// Whether everybody may launch the images.
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
pub enum Visibility {
    /// Only the owner and those listed.
    #[default]
    Private,
    /// Everybody.
    Public,
}

/// Who may read the snapshots of an image.
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
pub enum SnapshotAccess {
    /// Nobody else.
    #[default]
    None,
    /// The accounts that may launch the image.
    SameAccounts,
}

/// Where the id of the image is made known.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Publish {
    /// SSM parameters of type `aws:ec2:image`, of the same name in home and in each region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub ssm_parameters: Vec<SsmParameter>,

    /// A `ConfigMap` in this namespace with one key `<region>.<architecture>` for each image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<PublishedConfigMap>,

    /// Launch templates that get a new default version with our image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["region".into(), "launchTemplateID".into()]))]
    pub launch_templates: Vec<LaunchTemplate>,

    /// What happens to what is no longer wanted here.
    #[serde(default)]
    pub removal_policy: RemovalPolicy,
}

/// One SSM parameter.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SsmParameter {
    /// Name of the parameter, such as `/golden/seismic-ml`.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9_./-]+$"))]
    pub name: String,
}

/// A `ConfigMap` that holds the ids.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PublishedConfigMap {
    /// Name of the `ConfigMap`.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// One launch template.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LaunchTemplate {
    /// Region of the launch template.
    pub region: Region,

    /// Id of the launch template.
    #[serde(rename = "launchTemplateID")]
    #[schemars(length(max = 20), regex(pattern = "^lt-([0-9a-f]{8}|[0-9a-f]{17})$"))]
    pub launch_template_id: String,
}

/// What happens to something published that is no longer wanted.
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
pub enum RemovalPolicy {
    /// It stays as it is.
    #[default]
    Retain,
    /// It is deleted if it is ours.
    Delete,
}

/// One tag.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.key.lowerAscii().startsWith('aws:') && !self.key.startsWith('savedtemplate.dev/')")
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

/// What EC2 itself does with the images over time.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Lifecycle {
    /// Days after which EC2 calls an image deprecated. The active revision never is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub deprecate_after_days: Option<i32>,

    /// Whether EC2 refuses to deregister the images.
    #[serde(default)]
    pub deregistration_protection: DeregistrationProtection,
}

/// Whether EC2 refuses to deregister the images.
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
pub enum DeregistrationProtection {
    /// It does not.
    #[default]
    None,
    /// It does, until the protection is taken off.
    Enabled,
    /// It does, and for another 24 hours after the protection is taken off.
    EnabledWithCooldown,
}

/// Which older revisions are kept.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.keepLast) || self.keepAtLeast <= self.keepLast")
        .message("spec.retention.keepAtLeast must not be greater than spec.retention.keepLast")
)]
pub struct Retention {
    /// Revisions to keep; an older one goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub keep_last: Option<i32>,

    /// Days after which a revision goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub max_age_days: Option<i32>,

    /// Available revisions that stay, however old.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub keep_at_least: i32,

    /// What holds for a revision that machines still run on.
    #[serde(default)]
    pub in_use: InUse,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep_last: None, max_age_days: None, keep_at_least: one(), in_use: InUse::default() }
    }
}

/// What holds for a revision that machines still run on.
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
pub enum InUse {
    /// It stays.
    #[default]
    Keep,
    /// It goes like any other.
    Ignore,
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
