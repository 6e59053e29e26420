//! Who hears of the calls that are made.
use std::sync::Arc;

/// Hears of every finished call: the EC2 operation, and `ok` or the class of the refusal.
pub type Observer = Arc<dyn Fn(&'static str, &'static str) + Send + Sync>;
