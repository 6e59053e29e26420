//! The state: the store, and whoever watches it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    task::Waker,
};

use serde_json::Value;

use crate::store::{Change, Key, Store};

/// All that changes in a server.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    /// No identity is given again, whatever is restored.
    uids: u64,
    feeds: BTreeMap<u64, Feed>,
    next: u64,
    /// Watches hear nothing for now.
    pub(crate) held: bool,
}

/// What one watch has not read yet.
#[derive(Debug)]
pub(crate) struct Feed {
    kind: usize,
    pub(crate) news: VecDeque<News>,
    pub(crate) end: Option<End>,
    pub(crate) waker: Option<Waker>,
}

/// What a watch hears.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Change(Arc<Change>),
    /// All up to this version was told.
    Version(u64),
}

/// How a watch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Broken,
}

impl State {
    pub(crate) const fn new() -> Self {
        Self { store: Store::new(), uids: 0, feeds: BTreeMap::new(), next: 0, held: false }
    }

    /// A new identity.
    pub(crate) fn uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.uids)
    }

    /// Letters that end a generated name.
    pub(crate) fn suffix(&mut self) -> String {
        self.uids += 1;
        format!("{:05x}", self.uids)
    }

    /// Changes an object and tells the watches.
    pub(crate) fn change(&mut self, key: Key, after: Option<Value>) -> Option<Arc<Value>> {
        let change = self.store.change(key, after);
        for feed in self.feeds.values_mut().filter(|feed| feed.kind == change.key.0) {
            feed.hear(News::Change(Arc::clone(&change)));
        }
        change.after.clone()
    }

    pub(crate) fn open(&mut self, kind: usize, news: VecDeque<News>) -> u64 {
        self.next += 1;
        self.feeds.insert(self.next, Feed { kind, news, end: None, waker: None });
        self.next
    }

    pub(crate) fn close(&mut self, feed: u64) {
        self.feeds.remove(&feed);
    }

    pub(crate) fn feed(&mut self, feed: u64) -> Option<&mut Feed> {
        self.feeds.get_mut(&feed)
    }

    pub(crate) fn watches(&self) -> usize {
        self.feeds.len()
    }

    pub(crate) fn bookmark(&mut self) {
        let version = self.store.version;
        self.feeds.values_mut().for_each(|feed| feed.hear(News::Version(version)));
    }

    pub(crate) fn end(&mut self, end: End) {
        for feed in self.feeds.values_mut() {
            feed.end = Some(end);
            feed.wake();
        }
    }

    pub(crate) fn hold(&mut self, held: bool) {
        self.held = held;
        self.feeds.values_mut().for_each(Feed::wake);
    }
}

impl Feed {
    fn hear(&mut self, news: News) {
        self.news.push_back(news);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
