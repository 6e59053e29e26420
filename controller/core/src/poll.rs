//! What one sweep of a region reads, what it counts, whom it wakes, and when the next one comes. No IO, no clock: instants
//! are arguments, EC2's as timestamps and the process's own as the time since it was born.
mod asked;
mod cadence;
mod fingerprint;
mod pending;
mod tally;
mod waits;

pub use asked::Asked;
pub use cadence::Cadence;
pub use fingerprint::fingerprints;
pub use pending::Pending;
pub use tally::{Seen, Tally};
pub use waits::{ReadAt, Waits, Wanted};
