//! EC2's own time, by the `Date` header of its replies: a node's clock may be minutes off.
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_sdk_ec2::{
    config::{ConfigBag, Intercept, RuntimeComponents},
    error::BoxError,
    primitives::{DateTime, DateTimeFormat},
};
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use jiff::Timestamp;
use saved_template_api::ids::Region;

/// `Date` has whole seconds, and EC2's front ends differ a little: less than this is no news.
const SLACK: Duration = Duration::from_secs(2);

/// A `Date` further than this from the node's clock is not EC2's: a node so far off would not get through TLS either.
const PLAUSIBLE: Duration = Duration::from_hours(24);
/// A `Date` that is not believed is told this often.
const TOLD_AGAIN: Duration = Duration::from_hours(1);

/// The node's clock.
pub type NodeClock = fn() -> Timestamp;

/// EC2's clock in one region.
#[derive(Debug)]
pub(crate) struct Clock {
    region: Region,
    node: NodeClock,
    anchor: Mutex<Option<(Timestamp, Instant)>>,
    told: Mutex<Option<Instant>>,
}

impl Clock {
    /// A clock that nothing has told yet.
    pub(crate) const fn new(region: Region, node: NodeClock) -> Self {
        Self { region, node, anchor: Mutex::new(None), told: Mutex::new(None) }
    }

    /// The time of the last reply plus monotonic time since, in whole seconds.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> Option<Timestamp> {
        let anchor = *self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        Timestamp::from_second(estimate(anchor?, instant)?.as_second()).ok()
    }

    /// Learns from a reply. While it came EC2's time was between `date` and `date` plus the time that the call took:
    /// an estimate in that range stays, one before it moves forward, one well after it moves back. A `Date` that cannot
    /// be EC2's moves nothing: whoever answers it would make every record due, or none.
    fn learn(&self, date: Timestamp, sent: Instant, received: Instant) {
        let node = (self.node)();
        if date.duration_since(node).unsigned_abs() > PLAUSIBLE {
            self.tell(date, node, received);
            return;
        }
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let took = received.saturating_duration_since(sent).saturating_add(SLACK);
        let latest = date.checked_add(took).unwrap_or(Timestamp::MAX);
        *anchor = match anchor.and_then(|anchor| estimate(anchor, received)) {
            Some(estimate) if date <= estimate && estimate < latest => return,
            Some(_) | None => Some((date, received)),
        };
    }

    /// One line for a clock that is off, however many replies say so.
    fn tell(&self, date: Timestamp, node: Timestamp, received: Instant) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| received.saturating_duration_since(told) >= TOLD_AGAIN) {
            *told = Some(received);
            tracing::warn!(
                region = %self.region, %date, %node,
                "a reply's Date is more than a day from the node's clock and is ignored: one of the two is wrong"
            );
        }
    }

    /// The interceptor that feeds this clock.
    pub(crate) fn reader(self: &Arc<Self>) -> Reader {
        Reader(Arc::clone(self))
    }
}

fn estimate((date, instant): (Timestamp, Instant), now: Instant) -> Option<Timestamp> {
    date.checked_add(now.saturating_duration_since(instant)).ok()
}

/// When the attempt under way was sent.
#[derive(Debug)]
struct Sent(Instant);

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

/// Reads `Date` of every reply, refusals included.
#[derive(Debug)]
pub(crate) struct Reader(Arc<Clock>);

impl Intercept for Reader {
    fn name(&self) -> &'static str {
        "Ec2Clock"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        bag.interceptor_state().store_put(Sent(Instant::now()));
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let received = Instant::now();
        let sent = bag.load::<Sent>().map_or(received, |sent| sent.0);
        let date = context.response().headers().get("date").and_then(parse);
        if let Some(date) = date {
            self.0.learn(date, sent, received);
        }
        Ok(())
    }
}

fn parse(date: &str) -> Option<Timestamp> {
    let date = DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?;
    Timestamp::from_second(date.secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Tue, 24 Nov 2026 07:46:58 GMT";

    fn clock() -> Clock {
        Clock::new("us-west-2".parse().unwrap(), || parse(DATE).unwrap())
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn there_is_no_time_before_the_first_reply() {
        assert_eq!(clock().now(), None);
    }

    #[test]
    fn time_goes_on_between_replies() {
        let (clock, start) = (clock(), Instant::now());
        let date = parse(DATE).unwrap();
        clock.learn(date, start, start);
        assert_eq!(clock.at(start), Some(date));
        assert_eq!(clock.at(start + Duration::from_millis(1999)), Some(date + seconds(1)));
        assert_eq!(clock.at(start + seconds(300)), Some(date + seconds(300)));
    }

    #[test]
    fn a_date_a_little_behind_moves_nothing_back() {
        let (clock, start) = (clock(), Instant::now());
        let date = parse(DATE).unwrap();
        clock.learn(date, start, start);
        let later = start + Duration::from_millis(1500);
        clock.learn(date, later, later);
        assert_eq!(clock.at(later), Some(date + seconds(1)));
    }

    #[test]
    fn a_newer_date_moves_it_forward_at_once() {
        let (clock, start) = (clock(), Instant::now());
        let date = parse(DATE).unwrap();
        clock.learn(date, start, start);
        clock.learn(date + seconds(1), start, start + Duration::from_millis(100));
        assert_eq!(clock.at(start + Duration::from_millis(100)), Some(date + seconds(1)));
    }

    #[test]
    fn one_front_end_that_is_ahead_does_not_rule_for_ever() {
        let (clock, start) = (clock(), Instant::now());
        let date = parse(DATE).unwrap();
        clock.learn(date + seconds(600), start, start);
        clock.learn(date, start, start);
        assert_eq!(clock.at(start), Some(date));
    }

    #[test]
    fn a_reply_that_was_long_on_its_way_moves_nothing_back() {
        let (clock, start) = (clock(), Instant::now());
        let date = parse(DATE).unwrap();
        clock.learn(date, start, start);
        clock.learn(date, start, start + seconds(15));
        assert_eq!(clock.at(start + seconds(15)), Some(date + seconds(15)));
    }

    #[test]
    fn a_date_more_than_a_day_from_the_nodes_clock_moves_nothing_and_stops_nothing() {
        for far in [
            "Thu, 30 Dec 9999 22:00:00 GMT",
            "Sat, 01 Jan 8000 00:00:00 GMT",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Wed, 25 Nov 2026 07:46:59 GMT",
            "Mon, 23 Nov 2026 07:46:57 GMT",
        ] {
            let (clock, start) = (clock(), Instant::now());
            let far = parse(far).unwrap();
            clock.learn(far, start, start + seconds(45));
            assert_eq!(clock.at(start), None, "{far}: nothing is known yet");
            let date = parse(DATE).unwrap();
            clock.learn(date, start, start);
            clock.learn(far, start, start + seconds(1));
            assert_eq!(clock.at(start + seconds(1)), Some(date + seconds(1)), "{far}");
        }
    }

    #[test]
    fn a_date_within_a_day_of_the_nodes_clock_rules() {
        for near in ["Wed, 25 Nov 2026 07:46:58 GMT", "Mon, 23 Nov 2026 07:46:58 GMT"] {
            let (clock, start) = (clock(), Instant::now());
            clock.learn(parse(near).unwrap(), start, start);
            assert_eq!(clock.at(start), parse(near));
        }
    }

    #[test]
    fn the_end_of_time_stops_no_clock() {
        let clock = Clock::new("us-west-2".parse().unwrap(), || Timestamp::MAX);
        let (end, start) = (parse("Thu, 30 Dec 9999 21:59:59 GMT").unwrap(), Instant::now());
        clock.learn(end, start, start + seconds(60));
        clock.learn(end, start, start + seconds(86_400));
        assert_eq!(clock.at(start + seconds(60)), Some(end));
    }

    #[test]
    fn a_date_that_is_not_believed_is_told_once_an_hour() {
        let (clock, start) = (clock(), Instant::now());
        let told = || *clock.told.lock().unwrap();
        let far = parse("Thu, 01 Jan 1970 00:00:00 GMT").unwrap();
        for (after, expected) in [(0, 0), (1, 0), (3599, 0), (3600, 3600), (3601, 3600)] {
            clock.learn(far, start, start + seconds(after));
            assert_eq!(told(), Some(start + seconds(expected)), "{after}");
        }
    }

    #[test]
    fn a_date_that_is_none_is_ignored() {
        assert_eq!((parse("yesterday"), parse("Fri, 31 Dec 9999 23:59:59 GMT")), (None, None));
    }
}
