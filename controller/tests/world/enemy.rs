//! Players who are no accident: a cluster that forgets, and people who write tags and statuses that are not theirs.
//!
//! What is held against each history is the simulator's truth, and never a tag or a status.
mod cases;
pub(crate) mod hunt;
pub(crate) mod laws;
pub(crate) mod rewind;
pub(crate) mod status;
pub(crate) mod tags;
