//! The one error type of a reconcile, and what each error means for trying again.
//!
//! What the user can mend is a condition; what EC2 refuses is in the status. Only plumbing is an error.
use std::time::Duration;

use kube::runtime::controller::Action;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a reconcile stopped early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Kubernetes API refused or dropped a call.
    #[error("kubernetes: {0}")]
    Kube(#[source] Box<kube::Error>),
    /// The object lacks what the API server always sets.
    #[error("object has no {0}")]
    Malformed(&'static str),
    /// It is not yet the object's turn to have EC2 asked about its machine, or it waits for a view: nothing is decided.
    #[error("waits for {} ms", .0.as_millis())]
    Later(Duration),
    /// The reconcile took longer than it may.
    #[error("reconcile took too long")]
    Late(#[from] tokio::time::error::Elapsed),
}

impl Error {
    /// A bounded label for metrics and logs: never the object, never the message.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kube(_) if self.is_conflict() => "conflict",
            Self::Kube(_) => "kube",
            Self::Malformed(_) => "malformed",
            Self::Later(_) => "later",
            Self::Late(_) => "late",
        }
    }

    /// When to try again. A conflict means that somebody wrote first: look at once.
    pub(crate) fn retry(&self) -> Action {
        match self {
            Self::Kube(_) if self.is_conflict() => Action::requeue(Duration::from_millis(200)),
            Self::Kube(_) | Self::Late(_) => Action::requeue(Duration::from_secs(5)),
            Self::Later(left) => Action::requeue(*left),
            Self::Malformed(_) => Action::await_change(),
        }
    }

    /// Whether somebody wrote between our read and our write.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Kube(error) if matches!(&**error, kube::Error::Api(status) if status.is_conflict()))
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Kube(Box::new(error))
    }
}
