//! Calls that change something.

mod attribute;
mod copy;
mod create;
mod power;
mod retire;
mod tagging;

use crate::instance::Reason;

pub(crate) fn user_shutdown() -> Reason {
    Reason::new("Client.UserInitiatedShutdown", "User initiated shutdown")
}
