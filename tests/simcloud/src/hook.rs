//! What a test does to a request on its way.
use std::{sync::Arc, time::Duration};

use ec2sim::{Millis, Reply, Request};

/// A request on its way.
#[derive(Debug, Clone, Copy)]
pub struct Passage<'a> {
    /// The region.
    pub region: &'a str,
    /// The request, with who signed it and the user agent.
    pub request: &'a Request,
    /// Which try of the call it is, from 1.
    pub attempt: u32,
    /// The simulator's time.
    pub at: Millis,
    /// The reply. None before the request has left: its fence is looked at after that.
    pub reply: Option<&'a Reply>,
}

/// What becomes of a request, or of its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The caller dies: its call never returns. Whatever else it does goes on until the test ends that too.
    Kill,
    /// The connection breaks: a request has no effect, a reply is lost.
    Drop,
    /// It takes longer. A request is held before its fence is looked at, as if the caller slept.
    Delay(Duration),
}

/// Looks at every request twice, before it leaves and after it had its effect, and says what becomes of it.
pub type Hook = Arc<dyn Fn(&Passage<'_>) -> Option<Mishap> + Send + Sync>;
