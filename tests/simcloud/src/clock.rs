//! EC2's clock as a client learns it: the `Date` of the last reply plus the monotonic time since.
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::{Timestamp, civil, tz::TimeZone};
use tokio::time::Instant;

use crate::xml::whole;

/// Less than this is no news.
const SLACK: Duration = Duration::from_secs(2);

/// A `Date` further than this from the node's clock is not EC2's.
const PLAUSIBLE: Duration = Duration::from_hours(24);

/// EC2's clock in one region.
#[derive(Debug, Default)]
pub(crate) struct Clock(Mutex<Option<(Timestamp, Instant)>>);

impl Clock {
    /// In whole seconds; none before the first reply.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        let anchor = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        whole(estimate(anchor?, Instant::now())?)
    }

    /// Learns from a reply as the client of the product does; `node` is the node's clock.
    pub(crate) fn learn(&self, date: Timestamp, node: Timestamp, sent: Instant) {
        if date.duration_since(node).unsigned_abs() > PLAUSIBLE {
            return;
        }
        let received = Instant::now();
        let took = received.saturating_duration_since(sent).saturating_add(SLACK);
        let latest = date.checked_add(took).unwrap_or(Timestamp::MAX);
        let mut anchor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *anchor = match anchor.and_then(|anchor| estimate(anchor, received)) {
            Some(estimate) if date <= estimate && estimate < latest => return,
            Some(_) | None => Some((date, received)),
        };
    }
}

fn estimate((date, instant): (Timestamp, Instant), now: Instant) -> Option<Timestamp> {
    date.checked_add(now.saturating_duration_since(instant)).ok()
}

/// `Tue, 24 Nov 2026 07:46:58 GMT`
pub(crate) fn parse(date: &str) -> Option<Timestamp> {
    let time = civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", date).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn time_goes_on_between_replies_and_a_far_date_moves_nothing() {
        let (clock, date) = (Clock::default(), parse("Tue, 24 Nov 2026 07:46:58 GMT").unwrap());
        assert_eq!(clock.now(), None);
        clock.learn(date + 25 * 3600 * SECOND, date, Instant::now());
        assert_eq!(clock.now(), None);
        clock.learn(date, date, Instant::now());
        tokio::time::advance(Duration::from_millis(1999)).await;
        assert_eq!(clock.now(), Some(date + SECOND));
        clock.learn(date, date, Instant::now());
        assert_eq!(clock.now(), Some(date + SECOND), "a little behind is no news");
        clock.learn(date + 3 * SECOND, date, Instant::now());
        assert_eq!(clock.now(), Some(date + 3 * SECOND));
        clock.learn(date - 60 * SECOND, date, Instant::now());
        assert_eq!(clock.now(), Some(date - 60 * SECOND));
        assert_eq!(parse("yesterday"), None);
    }
}
