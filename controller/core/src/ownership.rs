//! Whose is it? Before anything is served, copied, adopted, changed or deleted, the owner tags and EC2's own fields must
//! agree (§8): who may write tags must not be able to say what is ours. Elsewhere tags are compared only of what is ours already.
mod asked;
mod tagged;

pub use tagged::Ownership;
pub(crate) use tagged::{attempt_of, is_of_failed_attempt, is_retained, revision_of};

#[cfg(test)]
mod tests;
