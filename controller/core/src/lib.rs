//! Every decision of the SavedTemplate controller, as pure functions of what was seen and the time.
//!
//! ```text
//! Subject + World ──► decide ──► Decision {status, step, look_again}      one reconcile
//! Record + Instance + Evidence ──► restart::judge ──► Verdict                the restart loop
//! ```
//! This crate depends on neither tokio, kube's client nor an AWS SDK: it cannot do IO.
mod answer;
mod capture;
pub mod claim;
pub mod class;
pub mod cloud;
pub mod conditions;
pub mod decide;
pub mod decision;
mod draft;
pub mod ec2_error;
pub mod events;
mod facts;
pub mod filters;
mod fold;
pub mod key;
pub mod kind;
pub mod memory;
mod needs;
pub mod outcomes;
pub mod ownership;
pub mod place;
pub mod poll;
mod quote;
pub mod rate_limit;
pub mod receipt;
pub mod records;
pub mod restart;
mod restored;
pub mod step;
pub mod subject;
pub mod subscription;
mod template;
pub mod time;
pub mod turns;
mod unmet;
pub mod world;
mod write;
pub mod written;

#[cfg(test)]
mod sample;
