//! Statuses that this process wrote, and when: what was just written is read again.
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::key::Key;

/// How soon what was written is read again, and for how long: should the etcd that took the write come back without it, no
/// watch tells.
const READ_AGAIN: Duration = Duration::from_mins(1);
const WATCHED_FOR: Duration = Duration::from_mins(2);

/// When the status of each object was written last.
#[derive(Debug, Default)]
pub struct Written(HashMap<Key, Instant>);

impl Written {
    /// The status was written.
    pub fn wrote(&mut self, key: &Key, now: Instant) {
        self.0.insert(key.clone(), now);
    }

    /// When to look at an object again that a decision would look at after `look_again`.
    pub fn look_again(&mut self, key: &Key, look_again: Duration, now: Instant) -> Duration {
        match self.0.get(key) {
            Some(at) if now.saturating_duration_since(*at) < WATCHED_FOR => look_again.min(READ_AGAIN),
            Some(_) => {
                self.0.remove(key);
                look_again
            }
            None => look_again,
        }
    }

    /// The object is gone.
    pub fn forget(&mut self, key: &Key) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_twice_within_two_minutes_and_what_rests_is_looked_at_rarely() {
        let (mut written, start) = (Written::default(), Instant::now());
        let key = |name: &str| Key::template("geo", name);
        let hours = Duration::from_hours(2);
        // Seconds, whether it was written, what the decision wants, and what comes of it.
        for (seconds, wrote, wants, gets) in [
            (0, false, hours, 7200),
            (10, true, hours, 60),
            // The watch of the write wakes it at once: that pass writes nothing, and must not forget.
            (11, false, hours, 60),
            (12, false, Duration::from_secs(5), 5),
            (71, false, hours, 60),
            (131, false, hours, 7200),
            (140, true, hours, 60),
        ] {
            let now = start + Duration::from_secs(seconds);
            if wrote {
                written.wrote(&key("a"), now);
            }
            let look = written.look_again(&key("a"), wants, now);
            assert_eq!(look, Duration::from_secs(gets), "{seconds}");
            assert_eq!(written.look_again(&key("b"), hours, now), hours, "{seconds}");
        }
        written.forget(&key("a"));
        assert_eq!(written.look_again(&key("a"), hours, start + Duration::from_secs(141)), hours);
    }
}
