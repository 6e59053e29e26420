//! A share of one of EC2's request buckets, kept on our side so that EC2 need not refuse.
use std::time::{Duration, Instant};

/// The longest wait for a turn; the write would be too old soon after.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many requests at once, then one in each interval. Instants are those of the process's own monotonic clock.
#[derive(Debug, Clone)]
pub struct RateLimit {
    burst: u32,
    interval: Duration,
    /// When the bucket will be full again.
    full: Option<Instant>,
}

impl RateLimit {
    /// A full bucket of `burst` turns, into which one falls in each `interval`.
    pub const fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, full: None }
    }

    /// The instant from which on the caller may send; none is given away for longer ahead than a write stays fresh.
    pub fn reserve(&mut self, now: Instant) -> Option<Instant> {
        let next = self.full.map_or(now, |full| full.max(now)).checked_add(self.interval)?;
        let turn = next.checked_sub(self.all()).map_or(now, |turn| turn.max(now));
        if turn.saturating_duration_since(now) > PATIENCE {
            return None;
        }
        self.full = Some(next);
        Some(turn)
    }

    /// EC2 throttled: somebody else uses the bucket too, so ours is empty.
    pub fn empty(&mut self, now: Instant) {
        if let Some(emptied) = now.checked_add(self.all()) {
            self.full = Some(self.full.map_or(emptied, |full| full.max(emptied)));
        }
    }

    /// How long it takes to fill the empty bucket.
    const fn all(&self) -> Duration {
        self.interval.saturating_mul(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Each turn that is reserved, in seconds from now on.
    fn turns(limit: &mut RateLimit, now: Instant, count: usize) -> Vec<u64> {
        let turns = (0..count).filter_map(|_| limit.reserve(now));
        turns.map(|turn| turn.duration_since(now).as_secs()).collect()
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_one_by_one() {
        let (mut limit, now) = (RateLimit::new(3, SECOND), Instant::now());
        assert_eq!(turns(&mut limit, now, 5), [0, 0, 0, 1, 2]);
    }

    #[test]
    fn after_a_throttle_the_burst_is_gone() {
        let (mut limit, now) = (RateLimit::new(3, SECOND), Instant::now());
        limit.empty(now);
        assert_eq!(turns(&mut limit, now, 2), [1, 2]);
        // And what was given away stays given away.
        limit.empty(now);
        assert_eq!(turns(&mut limit, now, 1), [3]);
    }

    #[test]
    fn nobody_queues_longer_than_a_write_stays_fresh() {
        let mut limit = RateLimit::new(1, SECOND);
        assert_eq!(turns(&mut limit, Instant::now(), 100).len(), 11);
    }
}
