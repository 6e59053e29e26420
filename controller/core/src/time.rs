//! Spans and instants: what is added, what has passed, and how soon something is looked at again.
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How soon the world is looked at again while a machine is down, and while one is not.
pub(crate) const SOON: Duration = Duration::from_secs(2);
pub(crate) const LATER: Duration = Duration::from_secs(15);
pub(crate) const SLOWLY: Duration = Duration::from_mins(5);

/// `time` plus `seconds`, at most the largest time there is.
pub(crate) fn after(time: Timestamp, seconds: i64) -> Timestamp {
    time.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// `time` plus `span`, at most the largest time there is.
pub fn later(time: Timestamp, span: SignedDuration) -> Timestamp {
    time.saturating_add(span).unwrap_or(Timestamp::MAX)
}

/// Whether a span has passed since `since`.
pub(crate) fn passed(since: Timestamp, span: SignedDuration, now: Timestamp) -> bool {
    now.duration_since(since) >= span
}

/// The pause after the `number`-th try: `first`, doubling up to `longest`.
pub(crate) fn pause(number: i64, first: Duration, longest: Duration) -> Duration {
    let doublings = u32::try_from(number.saturating_sub(1)).unwrap_or(0).min(10);
    first.saturating_mul(1 << doublings).min(longest)
}

/// What is left of a pause that began at `since`.
pub(crate) fn left(since: Timestamp, pause: Duration, now: Timestamp) -> Option<Duration> {
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    pause.checked_sub(passed).filter(|left| !left.is_zero())
}

/// `later - earlier` in whole seconds.
pub(crate) fn seconds_between(earlier: Timestamp, later: Timestamp) -> i64 {
    let span: SignedDuration = later.duration_since(earlier);
    span.as_secs()
}
