//! The server.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use http::{Request, Response, request::Parts};
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use tower::Service;

use crate::{
    body::{self, ReplyBody},
    call::{Call, Verb},
    hook::{Hook, Mishap, Moment},
    kind::Kind,
    list::{is_fresh, list},
    refusal::Refusal,
    state::{End, State},
    store::{Snapshot, path},
    view::View,
    watch::Watch,
    write::{Turn, Written},
};

/// An API server. Its clones are the same server.
#[derive(Clone)]
pub struct ApiServer(Arc<Shared>);

pub(crate) struct Shared {
    kinds: Vec<Kind>,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    state: Mutex<State>,
    hook: Mutex<Option<Hook>>,
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("ApiServer").field("version", &self.version()).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    fn mishap(&self, moment: Moment, call: &Call) -> Option<Mishap> {
        locked(&self.hook).as_mut().and_then(|hook| hook(moment, call))
    }
}

impl ApiServer {
    /// A server of these kinds, whose timestamps come from this clock.
    pub fn new(
        kinds: impl IntoIterator<Item = Kind>,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            kinds: kinds.into_iter().collect(),
            clock: Box::new(clock),
            state: Mutex::new(State::new()),
            hook: Mutex::new(None),
        }))
    }

    /// A client of this server. It belongs to the runtime of the caller, like every kube client.
    pub fn client(&self, default_namespace: &str) -> kube::Client {
        kube::Client::new(self.clone(), default_namespace)
    }

    /// Namespaces that are there from now on, where namespaces are registered.
    ///
    /// # Errors
    ///
    /// One is there already, or has no good name.
    pub fn add_namespaces(&self, names: &[&str]) -> Result<(), Refusal> {
        names.iter().try_for_each(|name| {
            let parts = Request::post("/api/v1/namespaces").body(()).unwrap_or_default().into_parts().0;
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            self.answer(&Call::read(&parts, object.to_string().as_bytes())?).map(drop)
        })
    }

    /// The closure that is asked about every call from now on. It must not wait for a call of this server.
    pub fn on_call(&self, hook: impl FnMut(Moment, &Call) -> Option<Mishap> + Send + 'static) {
        *locked(&self.0.hook) = Some(Box::new(hook));
    }

    /// The version of the last change.
    pub fn version(&self) -> u64 {
        self.0.state().store.version
    }

    /// An object as it is stored, by its resource in the plural.
    pub fn object(&self, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let index = self.0.kinds.iter().position(|kind| kind.plural == plural)?;
        let state = self.0.state();
        state.store.get(&(index, path(namespace, name))).map(|object| object.as_ref().clone())
    }

    /// A copy of all that is stored, to come back to.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.state().store.clone())
    }

    /// Goes back to a snapshot, like an etcd that comes back some seconds older: versions are given again, watches break,
    /// and what happened before is forgotten. Identities are not given again.
    pub fn restore(&self, snapshot: &Snapshot) {
        let mut state = self.0.state();
        state.store = snapshot.0.clone();
        let version = state.store.version;
        state.store.forget(version);
        state.end(End::Broken);
    }

    /// Leaves out some versions and forgets all before, as after writes of others, or where an etcd was restored with care.
    /// A kube-apiserver writes a little by itself when it starts.
    pub fn skip_versions(&self, count: u64) {
        let mut state = self.0.state();
        state.store.version += count;
        let version = state.store.version;
        state.store.forget(version);
    }

    /// Forgets what happened up to a version: who watches or lists from before it is told that it has expired.
    pub fn forget(&self, version: u64) {
        self.0.state().store.forget(version);
    }

    /// Sends a bookmark to every watch that allows them.
    pub fn bookmark(&self) {
        self.0.state().bookmark();
    }

    /// Ends every watch, as a server that goes down in order does.
    pub fn end_watches(&self) {
        self.0.state().end(End::Closed);
    }

    /// Breaks the connection of every watch.
    pub fn break_watches(&self) {
        self.0.state().end(End::Broken);
    }

    /// Withholds what happens from all watches, or lets it through again.
    pub fn hold_watches(&self, held: bool) {
        self.0.state().hold(held);
    }

    /// The number of watches that are open.
    pub fn watches(&self) -> usize {
        self.0.state().watches()
    }

    async fn serve(self, parts: Parts, sent: Body) -> io::Result<Response<ReplyBody>> {
        let sent = sent.collect_bytes().await.map_err(io::Error::other)?;
        let call = match Call::read(&parts, &sent) {
            Ok(call) => call,
            Err(refusal) => return Ok(body::refusal(&refusal)),
        };
        if let Some(mishap) = self.0.mishap(Moment::Before, &call) {
            return befall(mishap).await;
        }
        let reply = self.answer(&call).unwrap_or_else(|refusal| body::refusal(&refusal));
        if let Some(mishap) = self.0.mishap(Moment::After, &call) {
            drop(reply);
            return befall(mishap).await;
        }
        Ok(reply)
    }

    fn answer(&self, call: &Call) -> Result<Response<ReplyBody>, Refusal> {
        let shared = &self.0;
        let (index, kind) = self.find(call)?;
        let (view, now) = (View::of(&call.accept)?, (shared.clock)());
        let mut state = shared.state();
        let mut turn = Turn { kinds: &shared.kinds, index, kind, state: &mut state, call, now };
        let one = |code, object: &Value| Ok(body::object(code, &view.object(object)?));
        let written = |written: Written| one(if written.created { 201 } else { 200 }, &written.object);
        match call.verb {
            Verb::Get => {
                call.param("resourceVersion").map(|text| is_fresh(&turn.state.store, text)).transpose()?;
                one(200, &turn.there()?)
            }
            Verb::List => Ok(body::object(200, &list(&state.store, index, kind, call)?)),
            Verb::Watch => Watch::open(shared, &mut state, index, kind, call).map(body::watch),
            Verb::Create => written(turn.create()?),
            Verb::Update => written(turn.replace()?),
            Verb::Patch => written(turn.patch()?),
            Verb::Delete => Ok(body::object(200, &turn.delete()?)),
        }
    }

    fn find(&self, call: &Call) -> Result<(usize, &Kind), Refusal> {
        let names_it = |kind: &Kind| {
            kind.group == call.group && kind.version == call.version && kind.plural == call.plural
        };
        let found = self.0.kinds.iter().enumerate().find(|(_, kind)| names_it(kind));
        let (index, kind) = found.ok_or_else(Refusal::no_such_path)?;
        let of_all = matches!(call.verb, Verb::List | Verb::Watch);
        let placed =
            if kind.is_namespaced() { call.namespace.is_some() || of_all } else { call.namespace.is_none() };
        if !placed {
            return Err(Refusal::no_such_path());
        }
        match call.subresource.as_deref() {
            None => Ok((index, kind)),
            Some("status") if kind.status => match call.verb {
                Verb::Get | Verb::Update | Verb::Patch => Ok((index, kind)),
                Verb::List | Verb::Watch | Verb::Create | Verb::Delete => Err(Refusal::method_not_allowed()),
            },
            Some(_) => Err(Refusal::not_found(kind, call.name.as_deref().unwrap_or_default())),
        }
    }
}

async fn befall(mishap: Mishap) -> io::Result<Response<ReplyBody>> {
    match mishap {
        Mishap::Refuse(refusal) => Ok(body::refusal(&refusal)),
        Mishap::Break => Err(io::ErrorKind::ConnectionReset.into()),
        Mishap::Hang => std::future::pending().await,
    }
}

impl Service<Request<Body>> for ApiServer {
    type Response = Response<ReplyBody>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Response<ReplyBody>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (parts, sent) = request.into_parts();
        Box::pin(self.clone().serve(parts, sent))
    }
}
