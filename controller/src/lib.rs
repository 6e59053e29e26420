//! The SavedTemplate controller: everything that talks to Kubernetes, and the loops.
//!
//! ```text
//!                       ┌────────────── poller (per region) ──────────────┐
//!  SavedTemplate ──► reconcile:  observe ─► decide ─► persist ─► act ─► EC2 │ one sweep serves all
//!                                  ▲          pure      CAS  one a region   │
//!                                  └────────────────────────────────────────┘
//!  EC2 tags ───────► restart:    observe ─► ours? due? ─► StartInstances ─► paid?    needs no Kubernetes at all
//! ```
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
pub mod account;
mod act;
pub mod args;
mod claims;
mod classes;
mod context;
pub mod error;
mod events;
mod lease;
pub mod logging;
mod marks;
pub mod metrics;
mod object;
mod observe;
mod persist;
mod poller;
mod progress;
mod reads;
mod reconcile;
mod regions;
mod restart;
pub mod run;
mod server;
mod supervisor;
mod wait;
mod wakes;
