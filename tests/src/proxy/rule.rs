//! Rules: which requests they pick, and what harm comes to those.
use std::time::{Duration, Instant};

use hyper::{Method, Uri};
use rustix::process::Signal;
use serde_json::Value;

/// What a request wants, as the API server's audit log calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// One object.
    Get,
    /// Many objects.
    List,
    /// Changes, as they come.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

impl Verb {
    /// Whether it changes something.
    pub fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Patch | Self::Delete)
    }
}

/// A request that has come to the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it wants.
    pub verb: Verb,
    /// Of what: `leases`, `savedtemplates/status`.
    pub resource: String,
    /// The name of the object, also of one that is to be created.
    pub name: String,
    /// The HTTP status that was replied; none if there was no reply.
    pub replied: Option<u16>,
}

impl Call {
    pub(super) fn of(method: &Method, uri: &Uri, body: &[u8]) -> Self {
        let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
        // /api/v1/… or /apis/<group>/<version>/…
        let skip = if parts.next() == Some("apis") { 2 } else { 1 };
        let mut rest: Vec<&str> = parts.skip(skip).collect();
        if rest.len() > 2 && rest.first() == Some(&"namespaces") {
            rest.drain(..2);
        }
        let mut rest = rest.into_iter();
        let plural = rest.next().unwrap_or_default();
        let mut name = rest.next().unwrap_or_default().to_owned();
        let resource = rest.next().map_or_else(|| plural.to_owned(), |sub| format!("{plural}/{sub}"));
        let watches =
            uri.query().is_some_and(|query| query.split('&').any(|part| part.starts_with("watch=")));
        let verb = match *method {
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::PATCH => Verb::Patch,
            Method::DELETE => Verb::Delete,
            _ if watches => Verb::Watch,
            _ if name.is_empty() => Verb::List,
            _ => Verb::Get,
        };
        if verb == Verb::Create && name.is_empty() {
            let object: Value = serde_json::from_slice(body).unwrap_or_default();
            let told = object.pointer("/metadata/name").and_then(Value::as_str);
            told.unwrap_or_default().clone_into(&mut name);
        }
        Self { verb, resource, name, replied: None }
    }
}

/// On which side of a request's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The API server has not heard of it.
    Before,
    /// It was carried out, and there was no reply yet.
    After,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The connection is closed; the API server never hears of it.
    Refuse,
    /// It is carried out, and the connection closed without a reply.
    LoseReply,
    /// It takes longer.
    Delay(Duration, When),
    /// The door replies with this HTTP status; the API server never hears of it.
    Answer(u16),
    /// A process gets a signal; after SIGKILL there is no reply.
    Signal {
        /// The process.
        pid: u32,
        /// The signal.
        signal: Signal,
        /// Before or after the effect.
        when: When,
    },
    /// A list is answered with what the same list gave when it was last asked for without this rule.
    Replay,
}

/// Picks requests and harms them. What is absent picks every request.
#[derive(Clone, Debug)]
pub struct Rule {
    verbs: Vec<Verb>,
    resource: Option<String>,
    name: Option<String>,
    body: Option<String>,
    first: u32,
    times: Option<u32>,
    lasts: Option<Duration>,
    harm: Harm,
}

const WRITES: [Verb; 4] = [Verb::Create, Verb::Update, Verb::Patch, Verb::Delete];

impl Rule {
    /// For every request.
    pub fn new(harm: Harm) -> Self {
        Self {
            verbs: Vec::new(),
            resource: None,
            name: None,
            body: None,
            first: 1,
            times: None,
            lasts: None,
            harm,
        }
    }

    /// For every write.
    pub fn writes(harm: Harm) -> Self {
        Self { verbs: WRITES.into(), ..Self::new(harm) }
    }

    /// For writes of the status of templates.
    pub fn status_writes(harm: Harm) -> Self {
        Self::writes(harm).of("savedtemplates/status")
    }

    /// For one verb.
    #[must_use]
    pub fn verb(mut self, verb: Verb) -> Self {
        self.verbs = vec![verb];
        self
    }

    /// Of one resource: `leases`, `savedtemplates/status`.
    #[must_use]
    pub fn of(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    /// Of objects whose name begins so.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// With this somewhere in the body.
    #[must_use]
    pub fn with_body(mut self, part: &str) -> Self {
        self.body = Some(part.to_owned());
        self
    }

    /// From the n-th on, counted from 1, once.
    #[must_use]
    pub fn nth(mut self, nth: u32) -> Self {
        self.first = nth;
        self.times(1)
    }

    /// For so many requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// For so long, from the first request that it harms.
    #[must_use]
    pub fn lasting(mut self, time: Duration) -> Self {
        self.lasts = Some(time);
        self.times = None;
        self
    }

    fn picks(&self, call: &Call, body: &[u8]) -> bool {
        (self.verbs.is_empty() || self.verbs.contains(&call.verb))
            && self.resource.as_ref().is_none_or(|resource| *resource == call.resource)
            && self.name.as_ref().is_none_or(|name| call.name.starts_with(name.as_str()))
            && self.body.as_ref().is_none_or(|part| String::from_utf8_lossy(body).contains(part.as_str()))
    }
}

/// A rule in force.
pub(super) struct Armed {
    pub(super) name: String,
    rule: Rule,
    seen: u32,
    pub(super) hits: u32,
    since: Option<Instant>,
}

impl Armed {
    pub(super) fn new(name: &str, rule: Rule) -> Self {
        Self { name: name.to_owned(), rule, seen: 0, hits: 0, since: None }
    }

    /// Counts a request, and gives the harm that comes to it.
    pub(super) fn meet(&mut self, call: &Call, body: &[u8]) -> Option<Harm> {
        if !self.rule.picks(call, body) {
            return None;
        }
        self.seen += 1;
        let spent = self.rule.times.is_some_and(|times| self.hits >= times)
            || self.rule.lasts.zip(self.since).is_some_and(|(time, since)| since.elapsed() > time);
        if self.seen < self.rule.first || spent {
            return None;
        }
        self.since.get_or_insert_with(Instant::now);
        self.hits += 1;
        Some(self.rule.harm.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &Method, uri: &str, body: &str) -> (Verb, String, String) {
        let call = Call::of(method, &uri.parse().unwrap(), body.as_bytes());
        (call.verb, call.resource, call.name)
    }

    #[test]
    fn a_request_is_told_by_its_verb_its_resource_and_its_name() {
        let base = "/apis/savedtemplate.dev/v1alpha1/namespaces/lab/savedtemplates";
        let told = |verb, resource: &str, name: &str| (verb, resource.to_owned(), name.to_owned());
        assert_eq!(
            call(&Method::PUT, &format!("{base}/ml/status?"), "{}"),
            told(Verb::Update, "savedtemplates/status", "ml")
        );
        assert_eq!(
            call(&Method::GET, &format!("{base}?&limit=50"), ""),
            told(Verb::List, "savedtemplates", "")
        );
        assert_eq!(
            call(&Method::GET, &format!("{base}?&watch=true&resourceVersion=7"), ""),
            told(Verb::Watch, "savedtemplates", "")
        );
        assert_eq!(
            call(&Method::GET, "/api/v1/namespaces/kube-system", ""),
            told(Verb::Get, "namespaces", "kube-system")
        );
        let leases = "/apis/coordination.k8s.io/v1/namespaces/lab/leases";
        assert_eq!(
            call(&Method::POST, leases, r#"{"metadata":{"name":"claim-1"}}"#),
            told(Verb::Create, "leases", "claim-1")
        );
        assert_eq!(
            call(&Method::DELETE, &format!("{leases}/claim-1"), ""),
            told(Verb::Delete, "leases", "claim-1")
        );
    }

    #[test]
    fn a_rule_harms_the_nth_request_that_it_picks_once() {
        let write = Call::of(&Method::PUT, &"/apis/g/v1/namespaces/n/things/a/status".parse().unwrap(), b"");
        let read = Call::of(&Method::GET, &"/apis/g/v1/namespaces/n/things/a".parse().unwrap(), b"");
        let mut armed = Armed::new("second", Rule::writes(Harm::Refuse).of("things/status").nth(2));
        let met: Vec<bool> =
            [&write, &read, &write, &write].map(|call| armed.meet(call, b"").is_some()).into();
        assert_eq!((met, armed.hits), (vec![false, false, true, false], 1));
    }
}
