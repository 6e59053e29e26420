//! The images, region by region.
use crate::ids::{ImageId, Region};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use super::reason::RegionReason;

/// Most bytes of the message in a row of `regions`.
pub const MAX_ROW_MESSAGE_BYTES: usize = 320;

/// One image that is ready to use.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct RegionImage {
    /// Region of the image.
    pub region: Region,

    /// Processor architecture, as EC2 calls it: `x86_64`, `arm64`.
    #[schemars(length(max = 12))]
    pub architecture: String,

    /// Revision that the image holds.
    #[schemars(range(min = 1))]
    pub revision: i32,

    /// Id of the image.
    #[serde(rename = "imageID")]
    pub image_id: ImageId,

    /// When EC2 made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_time: Option<Time>,
}

/// The work in one region.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
// A row has one writer, and is written whole: managedFields need not name its fields.
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct RegionStatus {
    /// The region.
    pub region: Region,

    /// Processor architecture, as EC2 calls it: `x86_64`, `arm64`.
    #[schemars(length(max = 12))]
    pub architecture: String,

    /// Revision that is worked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub revision: Option<i32>,

    /// Whether the machine is here or a copy goes here.
    pub role: RegionRole,

    /// The image, once EC2 has named it.
    #[serde(rename = "imageID", default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<ImageId>,

    /// The plain image that an encrypted one is made from; not written in this version.
    #[serde(rename = "stagingImageID", default, skip_serializing_if = "Option::is_none")]
    pub staging_image_id: Option<ImageId>,

    /// How far the image is.
    pub state: RegionState,

    /// Progress in steps of 25; absent until EC2 shows the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub progress_percent: Option<i32>,

    /// Key that encrypts the image; not written in this version.
    #[serde(rename = "kmsKeyID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub kms_key_id: Option<String>,

    /// With whom the image is shared; not written in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<Shares>,

    /// How often the image was asked for.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub attempts: i32,

    /// Why the state is not `Available`, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RegionReason>,

    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ROW_MESSAGE_BYTES))]
    pub message: Option<String>,

    /// When the image is asked for again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,

    /// When a copy was last announced, or EC2 last named the image of the region, by EC2's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced_time: Option<Time>,
}

impl RegionStatus {
    /// A region in which nothing has begun.
    pub const fn waiting(region: Region, architecture: String, role: RegionRole) -> Self {
        Self {
            region,
            architecture,
            revision: None,
            role,
            image_id: None,
            staging_image_id: None,
            state: RegionState::Waiting,
            progress_percent: None,
            kms_key_id: None,
            shares: None,
            attempts: 0,
            reason: None,
            message: None,
            next_attempt_time: None,
            announced_time: None,
        }
    }

    /// Whether a reply of EC2 has named the image, and no read has shown it yet.
    pub const fn is_unshown(&self) -> bool {
        self.image_id.is_some()
            && matches!(self.state, RegionState::Pending)
            && self.progress_percent.is_none()
    }
}

/// Whether the machine is in a region or a copy goes there.
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
pub enum RegionRole {
    /// The machine is here.
    #[default]
    Home,
    /// A copy goes here.
    Copy,
}

/// How far the image of one region is.
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
pub enum RegionState {
    /// Not asked for yet.
    #[default]
    Waiting,
    /// EC2 is making it.
    Pending,
    /// It can be launched.
    Available,
    /// EC2 gave up on it.
    Failed,
    /// It was there, and is gone or disabled.
    Missing,
    /// The region is no longer wanted; its image stays.
    Retained,
}

/// With whom an image is shared.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Shares {
    /// Accounts, organizations and units that may launch it.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub count: i32,

    /// Whether these are the ones that the spec lists.
    #[serde(default)]
    pub in_sync: bool,
}
