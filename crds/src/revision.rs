//! The number of a revision.

/// The largest number of a revision: seven digits, so that ten receipts fit into the value of one tag.
pub const LARGEST_REVISION: i32 = 1_000_000;
