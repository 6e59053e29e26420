//! EC2 with clocks, for tests and the demo: what EC2 does, not what a controller hopes for.
//!
//! [`Sim`] is plain data: a call goes in with the time that it comes at, a reply comes out, and the same calls at the
//! same times give the same replies. [`Server`] puts it behind EC2's Query protocol, with a real clock.

mod agenda;
mod change;
mod clock;
mod config;
mod describe;
mod effect;
mod fault;
mod filter;
mod garble;
mod iam;
mod image;
mod instance;
mod log;
mod page;
mod permission;
mod place;
mod refusal;
mod replicas;
mod request;
mod seed;
mod serve;
mod shared;
mod sim;
mod state;
mod tags;
mod throttle;
mod xml;

pub use crate::{
    clock::{HOUR, MINUTE, Millis, SECOND},
    config::{Config, OptIn, RegionConfig},
    effect::{Effect, When},
    fault::{Admission, Armed, Fault, Param},
    iam::{Grant, Policy},
    image::{Image, ImageState, Lock, Mapping, Origin, Protection, Snapshot, SnapshotState},
    instance::{
        Device, Instance, InstanceState, Lifecycle, Moment, PublicAddress, Reason, ScheduledEvent, Volume,
    },
    log::{LogEntry, Outcome},
    permission::Permission,
    place::{Key, Place},
    request::{Params, Reply, Request},
    seed::{InstanceSeed, StartFault, VolumeSeed},
    serve::{Server, ServerConfig},
    sim::Sim,
    tags::Tags,
};

/// The account of callers whose access key is not an account.
pub const ACCOUNT: &str = "123456789012";
