//! Hooks: what the caller does to requests.

use crate::{call::Call, refusal::Refusal};

/// The moments of a request at which its hook is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing has been done yet.
    Before,
    /// All is done, whatever came of it; the reply is not sent yet.
    After,
}

/// What happens to a request instead of what is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It is refused.
    Refuse(Refusal),
    /// Its connection breaks.
    Break,
    /// No reply ever comes.
    Hang,
}

/// Whoever is asked.
pub(crate) type Hook = Box<dyn FnMut(Moment, &Call) -> Option<Mishap> + Send>;
