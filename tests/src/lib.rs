//! The lab that flows and demo run in: a real kube-apiserver, a simulated EC2, and the real controller as a process
//! that talks to both as it would in a cluster.
pub mod conditions;
mod controller;
pub mod demo;
pub mod faults;
pub mod features;
mod lab;
mod proxy;
pub mod table;
pub mod verdict;
mod witness;

pub use controller::{Controller, binary};
pub use lab::{Lab, OUR_CALLS, control_plane, is, message, quick, shown};
pub use proxy::{Call, Flow, Harm, Proxy, Rule, Verb, When};
pub use verdict::assert_holds;
