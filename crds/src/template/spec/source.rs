//! Which machine is saved, or which image is adopted.
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use crate::ids::{ImageId, InstanceId, Region};

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
        .message("spec.source.instanceName has a control character: remove it"),
    validation = Rule::new(
        "!has(self.instanceName) || \
         size(self.instanceName.replace('*', '**').replace('?', '??').replace('\\\\', '\\\\\\\\')) <= 255"
    )
    .message(
        "spec.source.instanceName: EC2 looks for at most 255 characters, where *, ? and \\ count twice; \
         name the machine by instanceID"
    )
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
