//! Watches on their way through the door, event by event.
use std::sync::Arc;

use futures::stream;
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use kube::client::Body;
use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::State;

/// What happens to the events of all watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// They pass.
    On,
    /// They wait until they flow again: the watch is frozen.
    Withheld,
    /// They are lost; the watch stays open and tells nobody.
    Lost,
    /// Each watch ends with `410 Gone`, also one that is opened meanwhile: it must be listed again.
    Expired,
}

/// The body of a watch, through the door.
pub(super) fn through(body: Body, state: Arc<State>) -> UnsyncBoxBody<Bytes, anyhow::Error> {
    let (send, receive) = mpsc::channel(16);
    tokio::spawn(relay(body, state, send));
    let frames = stream::unfold(receive, async |mut receive| {
        let line: anyhow::Result<Bytes> = receive.recv().await?;
        Some((line.map(Frame::data), receive))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Passes events on until the API server or the client ends it.
async fn relay(mut body: Body, state: Arc<State>, send: mpsc::Sender<anyhow::Result<Bytes>>) {
    let mut flow = state.flow.subscribe();
    let mut begun = Vec::new();
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = expiry(&mut flow) => {
                state.shared().withheld += 1;
                let _left = send.send(Ok(expired())).await;
                return;
            }
            () = send.closed() => return,
        };
        let Some(frame) = frame else { return };
        let data = match frame.map(Frame::into_data) {
            Ok(Ok(data)) => data,
            Ok(Err(_trailers)) => continue,
            Err(error) => {
                let _left = send.send(Err(error.into())).await;
                return;
            }
        };
        begun.extend_from_slice(&data);
        while let Some(end) = begun.iter().position(|byte| *byte == b'\n') {
            let event: Vec<u8> = begun.drain(..=end).collect();
            if !event_through(event, &state, &mut flow, &send).await {
                return;
            }
        }
    }
}

/// Whether the watch goes on.
async fn event_through(
    event: Vec<u8>,
    state: &State,
    flow: &mut watch::Receiver<Flow>,
    send: &mpsc::Sender<anyhow::Result<Bytes>>,
) -> bool {
    let now = *flow.borrow();
    if now != Flow::On {
        state.shared().withheld += 1;
    }
    let then = match now {
        Flow::Withheld => match flow.wait_for(|flow| *flow != Flow::Withheld).await {
            Ok(flow) => *flow,
            Err(_closed) => return false,
        },
        Flow::On | Flow::Lost | Flow::Expired => now,
    };
    match then {
        Flow::On | Flow::Withheld => send.send(Ok(Bytes::from(event))).await.is_ok(),
        Flow::Lost => true,
        Flow::Expired => {
            let _left = send.send(Ok(expired())).await;
            false
        }
    }
}

async fn expiry(flow: &mut watch::Receiver<Flow>) {
    // A door that is gone expires nothing; its connections are gone as well.
    let _gone = flow.wait_for(|flow| *flow == Flow::Expired).await.is_err();
}

fn expired() -> Bytes {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410,
    });
    Bytes::from(format!("{}\n", json!({"type": "ERROR", "object": status})))
}
