//! Calls that change something.

mod attribute;
mod copy;
mod create;
mod deprecate;
pub(crate) mod guard;
mod power;
mod retire;
mod share;
mod tagging;

use crate::instance::Reason;

pub(crate) fn user_shutdown() -> Reason {
    Reason::new("Client.UserInitiatedShutdown", "User initiated shutdown")
}
