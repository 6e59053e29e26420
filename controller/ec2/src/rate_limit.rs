//! The wait for a turn of a rate limit.
use std::sync::{Mutex, MutexGuard, PoisonError};

use saved_template_core::{ec2_error::Ec2Error, rate_limit::RateLimit};
use tokio::time::{Instant, sleep_until};

/// The limit that all writes of one client share.
#[derive(Debug)]
pub(crate) struct Limited(Mutex<RateLimit>);

impl Limited {
    pub(crate) const fn by(limit: RateLimit) -> Self {
        Self(Mutex::new(limit))
    }

    fn limit(&self) -> MutexGuard<'_, RateLimit> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn, or says at once that there will be none in time.
    pub(crate) async fn take(&self, operation: &'static str) -> Result<(), Ec2Error> {
        let turn = self.limit().reserve(Instant::now().into_std()).ok_or_else(|| {
            Ec2Error::new(
                operation,
                "Throttling",
                "held back: this controller's share of the requests is used up",
            )
        })?;
        sleep_until(turn.into()).await;
        Ok(())
    }

    /// EC2 throttled.
    pub(crate) fn empty(&self) {
        self.limit().empty(Instant::now().into_std());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_has_no_turn_waits_for_it() {
        let (limited, start) = (Limited::by(RateLimit::new(1, Duration::from_secs(1))), Instant::now());
        for expected in [0, 1, 2] {
            limited.take("StartInstances").await.unwrap();
            assert_eq!(start.elapsed().as_secs(), expected);
        }
        limited.empty();
        limited.take("StartInstances").await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 3);
    }
}
