//! What was done, in order and with its content: by processes and to them.
use apisim::ReplyBody;
use ec2sim::{Millis, Request};
use http::Response;
use serde_json::Value;

use crate::{mishap::Harm, process::Cluster};

/// One thing that was done.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// The status is this.
    Status(Value),
    /// Our finalizer is on, or off.
    Finalizer(bool),
    /// A change of EC2, and the ids that it made or touched.
    Call(Request, Vec<String>),
    /// A process died.
    Death,
    /// The API server went back by so many writes.
    GoesBack(usize),
    OwnerStops,
    OwnerStarts,
    Wipe,
    Strip,
    Delete,
}

/// What became of something that a process did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lot {
    Heard,
    /// It was done, and the process is not told.
    Unheard,
    /// It was not done, and the process is not told.
    Dropped,
}

impl Lot {
    pub(crate) fn of(harm: Option<Harm>) -> Self {
        match harm {
            Some(Harm::Drop) => Self::Dropped,
            Some(Harm::Lose) => Self::Unheard,
            _ => Self::Heard,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) at: Millis,
    pub(crate) deed: Deed,
    pub(crate) lot: Lot,
}

/// All that was done, where anybody wants to know.
#[derive(Debug, Default)]
pub(crate) struct Trace(Option<Vec<Entry>>);

impl Trace {
    pub(crate) fn begins(&mut self) {
        self.0 = Some(Vec::new());
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn take(&mut self) -> Vec<Entry> {
        self.0.take().unwrap_or_default()
    }

    pub(crate) fn tells(&mut self, at: Millis, deed: Deed, lot: Lot) {
        if let Some(trace) = &mut self.0 {
            trace.push(Entry { at, deed, lot });
        }
    }

    /// A write of the template, and the reply: one that was refused did nothing.
    pub(crate) fn wrote(
        &mut self,
        (at, what, lot): (Millis, &str, Lot),
        cluster: &Cluster,
        reply: Option<&Response<ReplyBody>>,
    ) {
        let is_done = lot == Lot::Dropped || reply.is_some_and(|reply| reply.status().is_success());
        if !self.is_on() || !is_done {
            return;
        }
        let deed = match what {
            "status" => Deed::Status(cluster.status()),
            "finalizer" => Deed::Finalizer(true),
            "finalizer off" => Deed::Finalizer(false),
            _ => return,
        };
        self.tells(at, deed, lot);
    }
}
