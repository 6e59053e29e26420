//! Restart records: what they say, what EC2 holds of their captures, and when a machine that we stopped is started again.
//!
//! The record and its rules R0-R8 are those of docs/protocol.md; each rule is named where it stands.
//! Both copies of a record, the tag and the one in the status, are judged by [`judge`].
pub(crate) mod evidence;
mod found;
mod judge;
mod pacing;
mod record;
mod signature;

pub use evidence::{Evidence, Volumes};
pub use found::{Debt, Told, found};
pub use judge::{
    Copy, Due, IMAGE_MARGIN, Settled, UNTAGGED_AFTER, Unclear, Verdict, is_gone, judge, last_arrival, pause,
    stopped_by_somebody,
};
pub use pacing::{Call, Pacing};
pub use record::{Awaits, Debtor, Record, Unreadable, stop_timeout};
pub use signature::{BadKeys, Signing};
