//! The body of an answer: whole, broken off in the middle, or in two halves.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// Why a connection ends without an answer: hyper closes it when its service or its body fails.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed by a fault rule")
    }
}

impl std::error::Error for Closed {}

/// What comes between the halves.
type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A text whose length is told first.
pub(crate) struct Text {
    first: Option<Bytes>,
    wait: Option<Wait>,
    second: Option<Bytes>,
    is_broken: bool,
}

impl Text {
    pub(crate) fn new(text: String) -> Self {
        let first = Some(Bytes::from(text)).filter(|bytes| !bytes.is_empty());
        Self { first, wait: None, second: None, is_broken: false }
    }

    fn halved(mut self) -> Self {
        if let Some(first) = &mut self.first {
            self.second = Some(first.split_off(first.len() / 2));
        }
        self
    }

    /// The same, but only half of it comes; a moment later the connection breaks, when that half is on its way.
    pub(crate) fn broken(self) -> Self {
        Self { is_broken: true, ..self.dripping(Box::pin(tokio::task::yield_now())) }
    }

    /// The same, but the second half comes after the first.
    pub(crate) fn dripping(self, wait: Wait) -> Self {
        Self { wait: Some(wait), ..self.halved() }
    }
}

impl Body for Text {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(context));
            self.wait = None;
        }
        if self.is_broken {
            return Poll::Ready(Some(Err(Closed)));
        }
        Poll::Ready(self.second.take().map(|second| Ok(Frame::data(second))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.second.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let halves = self.first.iter().chain(&self.second);
        SizeHint::with_exact(halves.map(|half| u64::try_from(half.len()).unwrap_or(u64::MAX)).sum())
    }
}
