//! EC2 as the controller sees it: SDK type in, core type out. The only crate that names the AWS SDK.
//!
//! ```text
//! Clients ──► Ec2 (one region, one use) ──► reads  ────────────────────► SDK client ──► EC2
//!                                     └─► writes ─► batch ─► fence ─┘       └► clock (Date of every reply)
//! ```
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
mod batch;
mod change;
mod clients;
mod clock;
mod convert;
mod describe;
mod errors;
mod fence;
pub mod iam;
mod identity;
mod observer;
mod port;
mod rate_limit;
mod reply_check;
mod upkeep;
#[cfg(test)]
mod wire;

pub use clients::{Clients, Use};
pub use clock::NodeClock;
pub use observer::Observer;
pub use port::Ec2;
