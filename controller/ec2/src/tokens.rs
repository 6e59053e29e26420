//! A share of one of EC2's request buckets, kept on our side so that EC2 need not refuse.
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use saved_template_core::refusal::Refusal;
use tokio::time::{Instant, sleep_until};

/// The longest wait for a token; the write would be too old soon after.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many requests at once, then one in each interval.
#[derive(Debug)]
pub struct Tokens {
    burst: u32,
    interval: Duration,
    /// When the bucket will be full again.
    full: Mutex<Option<Instant>>,
}

impl Tokens {
    /// A full bucket of `burst` tokens, into which one falls in each `interval`.
    pub const fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, full: Mutex::new(None) }
    }

    /// Waits for a token, or says at once that there will be none in time.
    pub(crate) async fn take(&self, operation: &'static str) -> Result<(), Refusal> {
        let turn = self.reserve(Instant::now()).ok_or_else(|| {
            Refusal::new(
                operation,
                "Throttling",
                "held back: this controller's share of the requests is used up",
            )
        })?;
        sleep_until(turn).await;
        Ok(())
    }

    /// The time from which on the caller has a token; none is given away for longer ahead than a write stays fresh.
    pub fn reserve(&self, now: Instant) -> Option<Instant> {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let next = full.map_or(now, |full| full.max(now)).checked_add(self.interval)?;
        let turn = next.checked_sub(self.all()).map_or(now, |turn| turn.max(now));
        if turn.saturating_duration_since(now) > PATIENCE {
            return None;
        }
        *full = Some(next);
        Some(turn)
    }

    /// EC2 throttled: somebody else uses the bucket too, so ours is empty.
    pub fn empty(&self) {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(emptied) = Instant::now().checked_add(self.all()) {
            *full = Some(full.map_or(emptied, |full| full.max(emptied)));
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

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_one_by_one() {
        let (tokens, start) = (Tokens::new(3, SECOND), Instant::now());
        for expected in [0, 0, 0, 1, 2] {
            tokens.take("StartInstances").await.unwrap();
            assert_eq!(start.elapsed().as_secs(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_throttle_the_burst_is_gone() {
        let (tokens, start) = (Tokens::new(3, SECOND), Instant::now());
        tokens.empty();
        tokens.take("StartInstances").await.unwrap();
        assert_eq!(start.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_queues_longer_than_a_write_stays_fresh() {
        let tokens = Tokens::new(1, SECOND);
        let now = Instant::now();
        assert_eq!((0..100).filter_map(|_| tokens.reserve(now)).count(), 11);
    }
}
