//! Whose is it? Before anything is served, copied, adopted, changed or deleted, the owner tags and EC2's own fields must
//! agree (§8). Nothing else compares tags: who may write tags must not be able to say what is ours.
mod asked;
mod estate;

pub use estate::Estate;
pub(crate) use estate::{attempt_of, is_of_failed_attempt, is_retained, revision_of};

#[cfg(test)]
mod tests;
