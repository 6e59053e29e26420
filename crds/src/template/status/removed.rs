//! What was taken away, until nothing of it is left.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{ImageId, Region};

/// Most images that are named so.
pub const MAX_REMOVED_IMAGES: usize = 50;

/// An image that EC2 was asked to deregister.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct RemovedImage {
    /// Id of the image.
    #[serde(rename = "imageID")]
    pub image_id: ImageId,

    /// Region of the image.
    pub region: Region,

    /// When it was first to be deregistered and not refused, by EC2's clock.
    pub requested_time: Time,
}
