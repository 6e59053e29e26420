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

/// `Date` has whole seconds, and EC2's front ends differ a little: less than this is no news.
const SLACK: Duration = Duration::from_secs(2);

/// EC2's clock in one region.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    anchor: Mutex<Option<(Timestamp, Instant)>>,
}

impl Clock {
    /// The time of the last reply plus monotonic time since, in whole seconds.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> Option<Timestamp> {
        let anchor = *self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        Timestamp::from_second(estimate(anchor?, instant)?.as_second()).ok()
    }

    /// Learns from a reply. While it came EC2's time was between `date` and `date` plus the time that the call took:
    /// an estimate in that range stays, one before it moves forward, one well after it moves back.
    fn learn(&self, date: Timestamp, sent: Instant, received: Instant) {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = date + (received.saturating_duration_since(sent) + SLACK);
        *anchor = match anchor.and_then(|anchor| estimate(anchor, received)) {
            Some(estimate) if date <= estimate && estimate < latest => return,
            Some(_) | None => Some((date, received)),
        };
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

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn there_is_no_time_before_the_first_reply() {
        assert_eq!(Clock::default().now(), None);
    }

    #[test]
    fn time_goes_on_between_replies() {
        let (clock, start) = (Clock::default(), Instant::now());
        let date = parse(DATE).unwrap();
        clock.learn(date, start, start);
        assert_eq!(clock.at(start), Some(date));
        assert_eq!(clock.at(start + Duration::from_millis(1999)), Some(date + seconds(1)));
        assert_eq!(clock.at(start + seconds(300)), Some(date + seconds(300)));
    }

    #[test]
    fn a_date_a_little_behind_moves_nothing_back() {
        let (clock, start) = (Clock::default(), Instant::now());
        let date = parse(DATE).unwrap();
        clock.learn(date, start, start);
        let later = start + Duration::from_millis(1500);
        clock.learn(date, later, later);
        assert_eq!(clock.at(later), Some(date + seconds(1)));
    }

    #[test]
    fn a_newer_date_moves_it_forward_at_once() {
        let (clock, start) = (Clock::default(), Instant::now());
        let date = parse(DATE).unwrap();
        clock.learn(date, start, start);
        clock.learn(date + seconds(1), start, start + Duration::from_millis(100));
        assert_eq!(clock.at(start + Duration::from_millis(100)), Some(date + seconds(1)));
    }

    #[test]
    fn one_front_end_that_is_ahead_does_not_rule_for_ever() {
        let (clock, start) = (Clock::default(), Instant::now());
        let date = parse(DATE).unwrap();
        clock.learn(date + seconds(600), start, start);
        clock.learn(date, start, start);
        assert_eq!(clock.at(start), Some(date));
    }

    #[test]
    fn a_reply_that_was_long_on_its_way_moves_nothing_back() {
        let (clock, start) = (Clock::default(), Instant::now());
        let date = parse(DATE).unwrap();
        clock.learn(date, start, start);
        clock.learn(date, start, start + seconds(15));
        assert_eq!(clock.at(start + seconds(15)), Some(date + seconds(15)));
    }

    #[test]
    fn a_date_that_is_none_is_ignored() {
        assert_eq!(parse("yesterday"), None);
    }
}
