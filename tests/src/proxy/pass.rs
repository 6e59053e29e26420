//! One request on its way through the door.
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    http::request::Parts,
};
use kube::client::Body;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{
    Page, State,
    rule::{Call, Harm, Verb, When},
    watches,
};
use crate::controller::pause;

/// How long a status write waits for another one, while they are paired.
const PATIENCE: Duration = Duration::from_millis(1500);

pub(super) type Reply = Response<UnsyncBoxBody<Bytes, anyhow::Error>>;

pub(super) async fn pass(request: Request<Incoming>, state: Arc<State>) -> anyhow::Result<Reply> {
    anyhow::ensure!(!state.shut.load(Ordering::SeqCst), "the door is shut");
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let call = Call::of(&parts.method, &parts.uri, &body);
    let (number, harm) = state.meet(&call, &body);
    let reply = harmed(harm, &call, parts, body, &state).await;
    if let (Ok(reply), Some(call)) = (&reply, state.shared().calls.get_mut(number)) {
        call.replied = Some(reply.status().as_u16());
    }
    reply
}

impl State {
    /// Notes a request; the first rule that picks it harms it, and every rule counts it.
    fn meet(&self, call: &Call, body: &[u8]) -> (usize, Option<Harm>) {
        let mut shared = self.shared();
        shared.calls.push(call.clone());
        let number = shared.calls.len() - 1;
        let harms: Vec<Harm> = shared.rules.iter_mut().filter_map(|armed| armed.meet(call, body)).collect();
        (number, harms.into_iter().next())
    }
}

async fn harmed(
    harm: Option<Harm>,
    call: &Call,
    parts: Parts,
    body: Bytes,
    state: &Arc<State>,
) -> anyhow::Result<Reply> {
    if call.verb == Verb::Update
        && call.resource == "savedtemplates/status"
        && state.pairs.load(Ordering::SeqCst)
    {
        pair(state).await;
    }
    match harm {
        None => forward(call, parts, body, state).await,
        Some(Harm::Refuse) => anyhow::bail!("refused by a rule"),
        Some(Harm::LoseReply) => {
            forward(call, parts, body, state).await?;
            anyhow::bail!("the reply is lost by a rule")
        }
        Some(Harm::Answer(code)) => answer(code),
        Some(Harm::Delay(time, When::Before)) => {
            pause(time).await;
            forward(call, parts, body, state).await
        }
        Some(Harm::Delay(time, When::After)) => {
            let reply = forward(call, parts, body, state).await;
            pause(time).await;
            reply
        }
        Some(Harm::Signal { pid, signal, when: When::Before }) => {
            send(pid, signal)?;
            forward(call, parts, body, state).await
        }
        Some(Harm::Signal { pid, signal, when: When::After }) => {
            let reply = forward(call, parts, body, state).await;
            send(pid, signal)?;
            reply
        }
        Some(Harm::Replay) => match recorded(state, &asked(&parts)) {
            Some(page) => {
                Ok(Response::builder().header(header::CONTENT_TYPE, page.kind).body(whole(page.body))?)
            }
            None => forward(call, parts, body, state).await,
        },
    }
}

/// Nobody is left to reply to after SIGKILL: the connection is closed, and what is not yet sent on never will be.
fn send(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no such process")?;
    kill_process(pid, signal)?;
    anyhow::ensure!(signal != Signal::KILL, "killed by a rule");
    Ok(())
}

async fn forward(call: &Call, mut parts: Parts, body: Bytes, state: &Arc<State>) -> anyhow::Result<Reply> {
    let asked = asked(&parts);
    parts.headers.remove(header::HOST);
    parts.headers.remove(header::CONNECTION);
    // What is looked into must not be compressed.
    parts.headers.remove(header::ACCEPT_ENCODING);
    let response = state.client.send(Request::from_parts(parts, Body::from(body.to_vec()))).await?;
    let (head, body) = response.into_parts();
    if call.verb == Verb::Watch && head.status.is_success() {
        return Ok(Response::from_parts(head, watches::through(body, Arc::clone(state))));
    }
    let body = body.collect().await?.to_bytes();
    if call.verb == Verb::List && head.status.is_success() {
        let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let page = Page { kind: kind.unwrap_or("application/json").to_owned(), body: body.clone() };
        let lists = &mut state.shared().lists;
        lists.retain(|(list, _)| *list != asked);
        lists.push((asked, page));
    }
    Ok(Response::from_parts(head, whole(body)))
}

fn whole(body: Bytes) -> UnsyncBoxBody<Bytes, anyhow::Error> {
    Full::new(body).map_err(anyhow::Error::from).boxed_unsync()
}

/// A list and the form that it is wanted in.
fn asked(parts: &Parts) -> String {
    let form = parts.headers.get(header::ACCEPT).and_then(|form| form.to_str().ok());
    format!("{} {}", parts.uri, form.unwrap_or_default())
}

fn recorded(state: &State, asked: &str) -> Option<Page> {
    state.shared().lists.iter().find(|(list, _)| list == asked).map(|(_, page)| page.clone())
}

/// A failure as the API server words it.
fn answer(code: u16) -> anyhow::Result<Reply> {
    let status = StatusCode::from_u16(code)?;
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "by a rule of the test", "reason": reason, "code": code,
    });
    let mut response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    if code == 429 {
        // kube-apiserver asks for a second: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
        response = response.header(header::RETRY_AFTER, "1");
    }
    Ok(response.body(whole(Bytes::from(body.to_string())))?)
}

async fn pair(state: &State) {
    let arrived = state.arrived.notified();
    if state.waiting.fetch_add(1, Ordering::SeqCst) > 0 {
        state.paired.fetch_add(2, Ordering::SeqCst);
        state.arrived.notify_waiters();
    } else {
        // Alone for too long is no pair.
        let _elapsed = tokio::time::timeout(PATIENCE, arrived).await;
    }
    state.waiting.fetch_sub(1, Ordering::SeqCst);
}
