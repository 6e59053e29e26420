//! The port to EC2 (`saved_template_core::cloud::Cloud`), answered by the simulator in the same process: no socket, no
//! SDK, no thread, and no time but tokio's.
//!
//! ```text
//! Clients (one process) ──► SimCloud (one region) ──► fence, hook ──► Endpoint ──► Sim
//! ```
//!
//! A call is the request that `saved-template-ec2` sends, with the same parameters, and goes through the simulator's
//! public entry: IAM, faults, throttles and replicas apply. What comes back is read as that crate reads it, its two
//! attempts, its 20 s for each and its fence included; `tests/judge.rs` holds the two against each other.
//!
//! Not here: the batcher (a call for one machine is a request of its own, it leaves at once, and it ends with its
//! caller), our share of EC2's request buckets, the SDK's quota of retries, and the time that a connection takes. A
//! list is asked for in pages all the same, so that one of the simulator that is short of them is no short list.
//!
//! Of the simulator's faults, `Kill` kills the caller whatever the process id, as [`Mishap::Kill`] does; `Freeze` does
//! nothing: [`Mishap::Delay`] is what sleeps.

mod call;
mod clients;
mod clock;
mod cloud;
mod convert;
mod endpoint;
mod errors;
mod fence;
mod hook;
mod region_client;
#[cfg(test)]
mod tests;
mod xml;

pub use crate::{
    clients::{Caller, Clients},
    cloud::SimCloud,
    endpoint::Endpoint,
    hook::{Hook, Mishap, Passage},
};
