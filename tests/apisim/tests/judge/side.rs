//! A side: one of the two servers, and what is remembered of its answers.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use http::{Request, header};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::step::{Ask, Step};

const PATIENCE: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_millis(400);

pub(crate) struct Side {
    client: Client,
    kept: BTreeMap<String, String>,
    watches: BTreeMap<&'static str, Stream>,
}

/// A watch, and what of it was not read as an event yet.
struct Stream {
    body: Body,
    text: Vec<u8>,
}

impl Side {
    pub(crate) const fn new(client: Client) -> Self {
        Self { client, kept: BTreeMap::new(), watches: BTreeMap::new() }
    }

    /// Does one step, and returns what came of it, or why nothing did.
    pub(crate) async fn take(&mut self, step: &Step) -> Value {
        let answer = self.answer(&step.ask).await;
        let answer = answer.unwrap_or_else(|error| json!({"code": 0, "body": error.to_string()}));
        if let Some(name) = step.keep {
            for (field, pointer) in [
                ("rv", "/body/metadata/resourceVersion"),
                ("uid", "/body/metadata/uid"),
                ("continue", "/body/metadata/continue"),
            ] {
                let value = answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                self.kept.insert(format!("{{{name}.{field}}}"), value.to_owned());
            }
        }
        answer
    }

    async fn answer(&mut self, ask: &Ask) -> Result<Value> {
        match ask {
            Ask::Call { method, path, body, content, accept } => {
                let (code, body) = self.send(method, path, body, content, accept).await?;
                Ok(json!({"code": code, "body": whole(body).await?}))
            }
            Ask::Open { watch, path, accept } => {
                let (code, body) = self.send("GET", path, "", "", accept).await?;
                if code != 200 {
                    return Ok(json!({"code": code, "body": whole(body).await?}));
                }
                self.watches.insert(watch, Stream { body, text: Vec::new() });
                Ok(json!({"code": code}))
            }
            Ask::Read { watch, count } => {
                let stream = self.watches.get_mut(watch).context("no such watch")?;
                let mut events = Vec::new();
                while events.len() < *count {
                    let next = timeout(PATIENCE, stream.next()).await;
                    let Ok(next) = next else { bail!("only {} events came: {events:?}", events.len()) };
                    events.push(next?.with_context(|| format!("it ended after {events:?}"))?);
                }
                Ok(json!({"code": 200, "events": events}))
            }
            Ask::Quiet { watch } => {
                let mut stream = self.watches.remove(watch).context("no such watch")?;
                match timeout(SILENCE, stream.next()).await {
                    Err(_) => Ok(json!({"code": 200})),
                    Ok(event) => bail!("it was not quiet: {event:?}"),
                }
            }
            Ask::Ended { watch } => {
                let mut stream = self.watches.remove(watch).context("no such watch")?;
                // A connection that breaks is an end too.
                let next =
                    timeout(PATIENCE, stream.next()).await.context("it did not end")?.unwrap_or_default();
                ensure!(next.is_none(), "there was more: {next:?}");
                Ok(json!({"code": 200}))
            }
        }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: &str,
        content: &str,
        accept: &str,
    ) -> Result<(u16, Body)> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.filled(path))
            .header(header::ACCEPT, accept)
            .header(header::ACCEPT_ENCODING, "identity");
        if !content.is_empty() {
            request = request.header(header::CONTENT_TYPE, content);
        }
        let request = request.body(Body::from(self.filled(body).into_bytes()))?;
        let reply = timeout(PATIENCE, self.client.send(request)).await??;
        Ok((reply.status().as_u16(), reply.into_body()))
    }

    fn filled(&self, text: &str) -> String {
        self.kept.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

/// A body that ends, as JSON if it is some.
async fn whole(body: Body) -> Result<Value> {
    let bytes = timeout(PATIENCE, body.collect()).await??.to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

impl Stream {
    /// The next event. Bookmarks are skipped, which the server sends when it likes to, but not the one that ends a list.
    async fn next(&mut self) -> Result<Option<Value>> {
        while let Some(line) = self.line().await? {
            let event: Value = serde_json::from_slice(&line)?;
            let at_will = event.pointer("/object/metadata/annotations").is_none();
            if event.get("type") != Some(&json!("BOOKMARK")) || !at_will {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    async fn line(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let rest = self.text.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.text, rest)));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    self.text.extend(frame?.into_data().map_err(|_| anyhow::anyhow!("no data"))?);
                }
            }
        }
    }
}
