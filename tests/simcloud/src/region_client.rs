//! One call: its attempts, its hook, its fence.
use std::time::Duration;

use ec2sim::{Millis, Reply, Request};
use jiff::Timestamp;
use saved_template_core::{cloud::Announced, ec2_error::Ec2Error, place::Place, records::Records};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    call::Call,
    clients::Caller,
    clock::{self, Clock},
    endpoint::Endpoint,
    errors::{Answer, incomplete, unreadable},
    fence::Fence,
    hook::{Hook, Mishap, Passage},
    xml::{Node, Unreadable, whole},
};

/// As many attempts as the SDK is told to make.
const ATTEMPTS: u32 = 2;
/// The SDK draws its pause from the second after a failure: this is its middle.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest that one attempt may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// A list of more pages than this is no list of EC2's.
const PAGES: usize = 10_000;

/// What every call needs.
pub(crate) struct RegionClient {
    pub(crate) place: Place,
    pub(crate) endpoint: Endpoint,
    pub(crate) caller: Caller,
    pub(crate) hook: Option<Hook>,
    pub(crate) clock: Clock,
    pub(crate) records: Records,
}

impl RegionClient {
    /// A call that changes nothing.
    pub(crate) async fn read(&self, call: &Call) -> Result<Node, Ec2Error> {
        self.send(call, None).await.read(call.operation)
    }

    /// A call that changes something.
    pub(crate) async fn write(&self, call: &Call, announced: Announced) -> Result<Node, Ec2Error> {
        let mut fence = Fence::new(announced, &self.clock);
        let answer = self.send(call, Some(&mut fence)).await;
        answer.read(call.operation).map_err(|refusal| fence.judge(refusal))
    }

    /// All pages of a list.
    pub(crate) async fn list<T>(
        &self,
        call: Call,
        entries: impl Fn(&Node) -> Result<Vec<T>, Unreadable> + Send,
    ) -> Result<Vec<T>, Ec2Error>
    where
        T: Send,
    {
        let (mut call, mut found) = (call.with("MaxResults", "1000"), Vec::new());
        let mut last = String::new();
        for _ in 0..PAGES {
            let page = self.read(&call).await?;
            found.extend(entries(&page).map_err(unreadable(call.operation))?);
            let next = page.text("nextToken").unwrap_or_default();
            if next.is_empty() {
                return Ok(found);
            }
            // The SDK asks for no page twice.
            if next == last {
                break;
            }
            next.clone_into(&mut last);
            call = call.with("NextToken", next);
        }
        Err(incomplete(call.operation, "end"))
    }

    async fn send(&self, call: &Call, mut fence: Option<&mut Fence<'_>>) -> Answer {
        let request = call.request(&self.caller.access_key, &self.caller.agent);
        let most = if call.is_once { 1 } else { ATTEMPTS };
        let mut attempt = 1;
        loop {
            let answer = self.attempt(&request, attempt, fence.as_deref()).await;
            if let Some(fence) = &mut fence {
                fence.note(&answer);
            }
            if attempt == most || !answer.is_retried() {
                return answer;
            }
            pause(PAUSE).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, request: &Request, attempt: u32, fence: Option<&Fence<'_>>) -> Answer {
        let mishap = self.look(request, attempt, None);
        match mishap {
            Some(Mishap::Kill) => std::future::pending().await,
            Some(Mishap::Delay(time)) => pause(time).await,
            Some(Mishap::Drop) | None => {}
        }
        if fence.is_some_and(Fence::is_late) {
            return Answer::Held;
        }
        if mishap == Some(Mishap::Drop) {
            return broken();
        }
        let sent = Instant::now();
        let end = sent.checked_add(PATIENCE).unwrap_or(sent);
        let Ok(reply) = timeout_at(end, self.carry(request)).await else { return slow() };
        match self.look(request, attempt, Some(&reply)) {
            Some(Mishap::Kill) => std::future::pending().await,
            Some(Mishap::Delay(time)) if timeout_at(end, pause(time)).await.is_err() => return slow(),
            Some(Mishap::Drop) => return broken(),
            Some(Mishap::Delay(_)) | None => {}
        }
        if reply.kill.is_some() {
            std::future::pending::<()>().await;
        }
        if reply.is_closed {
            return broken();
        }
        self.learn(&reply, sent);
        if reply.breaks {
            let status = reply.status;
            return Answer::Lost(format!(
                "EC2's answer (HTTP status {status}) could not be read: it broke off"
            ));
        }
        Answer::of(reply)
    }

    fn look(&self, request: &Request, attempt: u32, reply: Option<&Reply>) -> Option<Mishap> {
        let (region, at) = (self.place.region.as_str(), self.endpoint.now());
        self.hook.as_ref().and_then(|hook| hook(&Passage { region, request, attempt, at, reply }))
    }

    /// The simulator's own way with a request, its faults among it.
    async fn carry(&self, request: &Request) -> Reply {
        let (account, region) = (self.caller.account.as_str(), self.place.region.as_str());
        let admission = self.endpoint.sim().admit(self.endpoint.now(), account, region, request);
        wait(admission.delay()).await;
        let now = self.endpoint.now();
        let reply = self.endpoint.sim().carry_out(now, account, region, request, &admission);
        wait(reply.delay).await;
        if reply.is_swallowed {
            std::future::pending::<()>().await;
        }
        wait(reply.drips.unwrap_or_default()).await;
        reply
    }

    fn learn(&self, reply: &Reply, sent: Instant) {
        let node = self.endpoint.time();
        let date: Option<Timestamp> = reply.date.as_deref().map_or_else(|| whole(node), clock::parse);
        if let Some(date) = date {
            self.clock.learn(date, node, sent);
        }
    }
}

fn slow() -> Answer {
    Answer::Lost("EC2 did not answer in time".to_owned())
}

fn broken() -> Answer {
    Answer::Lost("the connection to EC2 failed: it was closed".to_owned())
}

async fn pause(time: Duration) {
    if let Some(end) = Instant::now().checked_add(time) {
        sleep_until(end).await;
    }
}

async fn wait(ms: Millis) {
    if let Ok(ms @ 1..) = u64::try_from(ms) {
        pause(Duration::from_millis(ms)).await;
    }
}
