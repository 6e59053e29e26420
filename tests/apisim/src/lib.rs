//! A Kubernetes API server in memory, for tests in virtual time: what kube-apiserver answers, without sockets, threads
//! and a clock of its own.
//!
//! [`ApiServer`] is a service of requests, from which kube makes its client. It holds objects as JSON, by the kinds that
//! its caller registers. The same requests in the same order, at the same times, get the same replies.
//!
//! A client that kube makes from a `Config` tries again by itself what is answered with 429, 503 or 504;
//! [`ApiServer::client`] does not.
//!
//! What it does not do: it validates metadata only, so no schema, no CEL, no defaults and no pruning; there is no
//! authorization and no admission but that of namespaces; it knows one version of each kind; nothing is collected when
//! its owner goes, and a namespace that is deleted stays as Terminating. `metadata.managedFields` is never shown. What
//! nobody has asked of it yet (dry runs, JSON patches, sets in selectors, collections to delete) is answered with 501, so
//! that it is not taken for what the real one says.
//!
//! `tests/judge` asks it and a real kube-apiserver the same, and compares.

mod apply;
mod body;
mod call;
mod hook;
mod json;
mod kind;
mod list;
mod meta;
mod names;
mod patch;
mod refusal;
mod remove;
mod selector;
mod server;
mod state;
mod store;
mod view;
mod watch;
mod write;

pub use crate::{
    body::ReplyBody,
    call::{Call, Verb},
    hook::{Mishap, Moment},
    kind::Kind,
    refusal::Refusal,
    server::ApiServer,
    store::Snapshot,
};
