//! Watches.

use std::{
    collections::VecDeque,
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    call::Call,
    kind::Kind,
    list,
    refusal::{Cause, Refusal},
    selector::Selector,
    server::Shared,
    state::{End, News, State},
    store::{Change, versioned},
    view::View,
};

/// A watch, from its first event to its end.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    feed: u64,
    kind: Kind,
    selector: Selector,
    view: View,
    bookmarks: bool,
    /// What happened up to this version is known to whoever watches.
    after: u64,
    first: VecDeque<Value>,
    timeout: Option<Pin<Box<Sleep>>>,
    /// Nothing comes any more.
    over: bool,
}

impl fmt::Debug for Watch {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Watch").field("feed", &self.feed).field("after", &self.after).finish_non_exhaustive()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.state().close(self.feed);
    }
}

/// Where a watch begins.
enum Start {
    /// With all that is there; the end of that is marked if it is asked for.
    Present {
        marked: bool,
    },
    After(u64),
}

impl Start {
    fn read(call: &Call) -> Result<Self, Refusal> {
        let asked = call.param("resourceVersion").map(list::number).transpose()?;
        let matching = call.param("resourceVersionMatch");
        if call.flag("sendInitialEvents") {
            if matching != Some("NotOlderThan") {
                let field = "resourceVersionMatch";
                let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                return Err(list::bad_options(&Cause::forbidden(field, why)));
            }
            return Ok(Self::Present { marked: true });
        }
        if matching.is_some() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            return Err(list::bad_options(&Cause::forbidden("resourceVersionMatch", why)));
        }
        match asked.unwrap_or_default() {
            0 if call.query.contains_key("sendInitialEvents") => Err(Refusal::not_built("that parameter")),
            0 => Ok(Self::Present { marked: false }),
            version => Ok(Self::After(version)),
        }
    }
}

impl Watch {
    /// The watch that a call asks for.
    pub(crate) fn open(
        shared: &Arc<Shared>,
        state: &mut State,
        index: usize,
        kind: &Kind,
        call: &Call,
    ) -> Result<Self, Refusal> {
        let view = match View::of(&call.accept)? {
            View::MetadataList => return Err(Refusal::new(406, "NotAcceptable", "events are no lists")),
            view @ (View::Full | View::Metadata) => view,
        };
        let selector = Selector::read(kind, call)?;
        let bookmarks = call.flag("allowWatchBookmarks");
        let (mut first, mut news, mut after, mut over) =
            (VecDeque::new(), VecDeque::new(), state.store.version, false);
        match Start::read(call)? {
            Start::Present { marked } => {
                let present = state.store.at(index, after).unwrap_or_default();
                let picked = present.values().filter(|object| selector.picks(object));
                first.extend(picked.map(|object| event("ADDED", &view.event(object))));
                if marked && bookmarks {
                    first.push_back(event("BOOKMARK", &view.bookmark(kind, after, true)));
                }
            }
            Start::After(version) => {
                after = version;
                if let Some(changes) = state.store.since(index, version) {
                    news.extend(changes.into_iter().map(News::Change));
                } else {
                    let message = format!("too old resource version: {version} ({})", state.store.forgotten);
                    first.push_back(event("ERROR", &Refusal::expired(message).status()));
                    over = true;
                }
            }
        }
        let timeout =
            call.param("timeoutSeconds").and_then(|text| text.parse().ok()).filter(|time| *time > 0);
        Ok(Self {
            shared: Arc::clone(shared),
            feed: state.open(index, news),
            kind: kind.clone(),
            selector,
            view,
            bookmarks,
            after,
            first,
            timeout: timeout.map(|time| Box::pin(sleep_until(Instant::now() + Duration::from_secs(time)))),
            over,
        })
    }

    /// The next event, as a line.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Vec<u8>>>> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let (held, version) = (state.held, state.store.version);
        let Some(feed) = state.feed(self.feed) else { return Poll::Ready(None) };
        match feed.end {
            Some(End::Closed) => return Poll::Ready(None),
            Some(End::Broken) => {
                feed.end = Some(End::Closed);
                return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
            }
            None => {}
        }
        if !held {
            while let Some(news) = feed.news.pop_front() {
                self.first.extend(self.told(&news));
            }
            if let Some(event) = self.first.pop_front() {
                return Poll::Ready(Some(Ok(line(&event))));
            }
            if self.over {
                return Poll::Ready(None);
            }
        }
        if self.timeout.as_mut().is_some_and(|timeout| timeout.as_mut().poll(context).is_ready()) {
            self.timeout = None;
            self.over = true;
            let last = self.told(&News::Version(version)).filter(|_| !held);
            return Poll::Ready(last.map(|event| Ok(line(&event))));
        }
        feed.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn told(&self, news: &News) -> Option<Value> {
        match news {
            News::Change(change) => self.change(change),
            News::Version(version) => {
                self.bookmarks.then(|| event("BOOKMARK", &self.view.bookmark(&self.kind, *version, false)))
            }
        }
    }

    /// A change as whoever watches sees it: what is picked no more is gone.
    fn change(&self, change: &Change) -> Option<Value> {
        if change.version <= self.after {
            return None;
        }
        let before = change.before.as_ref().filter(|object| self.selector.picks(object));
        let after = change.after.as_ref().filter(|object| self.selector.picks(object));
        match (before, after) {
            (None, Some(object)) => Some(event("ADDED", &self.view.event(object))),
            (Some(_), Some(object)) => Some(event("MODIFIED", &self.view.event(object))),
            (Some(object), None) => {
                let object = versioned(object.as_ref().clone(), change.version);
                Some(event("DELETED", &self.view.event(&object)))
            }
            (None, None) => None,
        }
    }
}

fn event(name: &str, object: &Value) -> Value {
    json!({"type": name, "object": object})
}

fn line(event: &Value) -> Vec<u8> {
    format!("{event}\n").into_bytes()
}
