//! The Kubernetes API of `SavedTemplate` and `SavedTemplateClass`: types, names and the generated CRDs.
//!
//! This crate says what an object may hold and how things are called. It talks to nobody: no client, no runtime,
//! no AWS. `cargo test` holds `savedtemplates.yaml` and `savedtemplateclasses.yaml` equal to these types; `BLESS=1`
//! rewrites them.

pub mod class;
pub mod condition;
pub mod ids;
#[doc(hidden)]
pub mod largest;
pub mod names;
pub mod receipts;
pub mod revision;
mod schema;
pub mod template;
pub mod text;

pub use class::{ClassReason, SavedTemplateClass, SavedTemplateClassSpec, SavedTemplateClassStatus};
pub use condition::{ConditionStatus, ConditionType, Reason};
pub use ids::{AccountId, ImageId, InstanceId, Malformed, Region, SnapshotId, VolumeId};
pub use names::Owner;
pub use template::spec;
pub use template::status;
pub use template::{SavedTemplate, SavedTemplateSpec, SavedTemplateStatus};

/// Objects that the API server takes or refuses, one of each for every rule (YAML; its head explains it).
#[doc(hidden)]
pub const CASES: &str = include_str!("../tests/cases.yaml");

/// The same for classes.
#[doc(hidden)]
pub const CLASS_CASES: &str = include_str!("../tests/class-cases.yaml");
