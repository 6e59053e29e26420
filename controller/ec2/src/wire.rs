//! A scripted EC2 below the SDK's client: it answers what it is told and keeps what it is sent.
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider, http::HttpRequest, http::HttpResponse};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use saved_template_api::ids::{ImageId, InstanceId, Region, SnapshotId};
use saved_template_core::{cloud::Announced, restart::Signing, world::Tags};

use crate::{Clients, Ec2, Use};

mod hostile;
mod preflight;
mod reads;
mod replies;
mod upkeep;
mod writes;

/// One scripted answer.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The operation's own reply with this content.
    Done(String),
    /// A reply of this status and body.
    Reply(u16, String),
    /// A page of a list, and the token of one that was never asked for.
    Endless,
    /// The connection breaks after the request was sent.
    Lost,
    /// No answer ever.
    Hangs,
}

impl Answer {
    pub(crate) fn ok(body: &str) -> Self {
        Self::Done(body.to_owned())
    }

    pub(crate) fn refused(status: u16, code: &str, message: &str) -> Self {
        let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        Self::Reply(status, format!("<Response><Errors>{error}</Errors><RequestID>r</RequestID></Response>"))
    }
}

/// The fields of one request.
pub(crate) type Form = BTreeMap<String, String>;

#[derive(Debug, Clone, Default)]
pub(crate) struct Wire {
    script: Arc<Mutex<VecDeque<Answer>>>,
    /// What is answered when the script is at its end.
    always: Option<Answer>,
    sent: Arc<Mutex<Vec<Form>>>,
    date: Arc<Mutex<Option<String>>>,
    counted: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    pub(crate) fn new(script: impl IntoIterator<Item = Answer>) -> Self {
        let wire = Self::default();
        *wire.script.lock().unwrap() = script.into_iter().collect();
        wire
    }

    /// The same answer to everything.
    pub(crate) fn always(answer: Answer) -> Self {
        Self { always: Some(answer), ..Self::default() }
    }

    /// `Date` of the replies from now on.
    pub(crate) fn date(&self, date: &str) {
        *self.date.lock().unwrap() = Some(date.to_owned());
    }

    pub(crate) fn sent(&self) -> Vec<Form> {
        self.sent.lock().unwrap().clone()
    }

    pub(crate) fn counted(&self) -> Vec<String> {
        self.counted.lock().unwrap().clone()
    }

    pub(crate) fn clients(&self) -> Clients {
        let credentials = Credentials::new("123456789012", "secret", None, None, "tests");
        self.fleet_with(Some(SharedCredentialsProvider::new(credentials)))
    }

    pub(crate) fn fleet_with(&self, credentials: Option<SharedCredentialsProvider>) -> Clients {
        self.fleet_signing(credentials, Signing::off("lab"))
    }

    /// EC2 as it is shared by the clients of an installation that signs its records.
    pub(crate) fn signing(&self, signing: Signing) -> Clients {
        let credentials = Credentials::new("123456789012", "secret", None, None, "tests");
        self.fleet_signing(Some(SharedCredentialsProvider::new(credentials)), signing)
    }

    fn fleet_signing(&self, credentials: Option<SharedCredentialsProvider>, signing: Signing) -> Clients {
        let connector = SharedHttpConnector::new(self.clone());
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(aws_config::Region::new("us-west-2"))
            .http_client(http_client_fn(move |_, _| connector.clone()));
        config.set_credentials_provider(credentials);
        let counted = Arc::clone(&self.counted);
        let observer = move |operation: &str, outcome: &str| {
            counted.lock().unwrap().push(format!("{operation} {outcome}"));
        };
        Clients::new(config.build(), Arc::new(observer), node, signing)
    }

    pub(crate) fn ec2(&self) -> Ec2 {
        self.clients().ec2(&region(), Use::Reconcile)
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().unwrap_or_default();
        let form = form(std::str::from_utf8(body).unwrap());
        let action = form["Action"].clone();
        let number = {
            let mut sent = self.sent.lock().unwrap();
            sent.push(form);
            sent.len()
        };
        let scripted = self.script.lock().unwrap().pop_front();
        let answer =
            scripted.or_else(|| self.always.clone()).expect("a request that the script does not know");
        let date = self.date.lock().unwrap().clone();
        HttpConnectorFuture::new(async move {
            let (status, body): (u16, String) = match answer {
                Answer::Done(body) => (200, format!("<{action}Response>{body}</{action}Response>")),
                Answer::Endless => {
                    (200, format!("<{action}Response><nextToken>{number}</nextToken></{action}Response>"))
                }
                Answer::Reply(status, body) => (status, body),
                Answer::Lost => return Err(ConnectorError::io("connection reset".into())),
                Answer::Hangs => std::future::pending().await,
            };
            let mut reply = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
            if let Some(date) = date {
                reply.headers_mut().insert("date", date);
            }
            Ok(reply)
        })
    }
}

/// The node's clock, as [`announced`] has it.
pub(crate) fn node() -> jiff::Timestamp {
    "2026-11-24T07:46:58Z".parse().unwrap()
}

fn form(body: &str) -> Form {
    let pair = |pair: &str| pair.split_once('=').map(|(key, value)| (decode(key), decode(value)));
    body.split('&').filter_map(pair).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(if byte == b'+' { b' ' } else { byte });
        }
    }
    String::from_utf8(bytes).unwrap()
}

pub(crate) fn region() -> Region {
    "us-west-2".parse().unwrap()
}

pub(crate) fn instance() -> InstanceId {
    "i-0123456789abcdef0".parse().unwrap()
}

pub(crate) fn image() -> ImageId {
    "ami-0123456789abcdef0".parse().unwrap()
}

pub(crate) fn snapshot() -> SnapshotId {
    "snap-0123456789abcdef0".parse().unwrap()
}

pub(crate) fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Announced so long ago.
pub(crate) fn announced(ago: u64) -> Announced {
    Announced { at: node(), instant: Instant::now().checked_sub(Duration::from_secs(ago)).unwrap() }
}

/// The fields of a request whose names begin so, without the version.
pub(crate) fn fields<'a>(form: &'a Form, prefix: &str) -> Vec<(&'a str, &'a str)> {
    form.iter()
        .filter(|(key, _)| key.starts_with(prefix))
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}
