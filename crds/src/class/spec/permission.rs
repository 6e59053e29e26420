//! Whether something is allowed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

/// Entry of a list of names that allows all.
pub const WILDCARD: &str = "*";

/// Whether something is allowed.
#[derive(
    Serialize, Deserialize, JsonSchema, IntoStaticStr, EnumIter, Clone, Copy, Debug, PartialEq, Eq, Hash,
)]
pub enum Permission {
    /// It is not.
    Forbid,
    /// It is.
    Allow,
}
