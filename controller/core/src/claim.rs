//! Claims on machines (§4): when the holder of one is done with it, and when one that was left behind is given up.
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use saved_template_api::SavedTemplateStatus;

/// A claim whose holder does nothing with it is given up after two looks this far apart.
const DOUBT: Duration = Duration::from_secs(30);

/// Whether no capture is under way: the machine may be saved by another object.
pub fn is_over(status: &SavedTemplateStatus) -> bool {
    let capture = status.capture.as_ref();
    capture.is_none_or(|capture| capture.completion_time.is_some() && capture.restart_record.is_none())
}

/// Claims that looked stale, by name: which one it was, and since when.
#[derive(Debug, Default)]
pub struct Doubts(BTreeMap<String, (Option<String>, Instant)>);

impl Doubts {
    /// Whether this very claim, whose holder is `idle`, was so long ago too.
    pub fn is_stale(&mut self, name: &str, uid: Option<String>, idle: bool, now: Instant) -> bool {
        let known = self.0.get(name).filter(|(known, _)| idle && *known == uid);
        let stale = known.is_some_and(|(_, since)| now.saturating_duration_since(*since) >= DOUBT);
        if !idle || stale {
            self.0.remove(name);
        } else if known.is_none() {
            self.0.insert(name.to_owned(), (uid, now));
        }
        stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_given_up_after_two_looks_at_the_same_one_without_anything_done_between() {
        let mut doubts = Doubts::default();
        let start = Instant::now();
        for (seconds, uid, idle, stale) in [
            (0, "a", true, false),
            (29, "a", true, false),
            (30, "a", true, true),
            // The next one of that name is another claim.
            (31, "b", true, false),
            (40, "b", false, false),
            (62, "b", true, false),
            (80, "c", true, false),
            (109, "c", true, false),
            (110, "c", true, true),
        ] {
            let now = start.checked_add(Duration::from_secs(seconds)).unwrap();
            assert_eq!(doubts.is_stale("machine", Some(uid.to_owned()), idle, now), stale, "{seconds}");
        }
    }

    #[test]
    fn a_capture_that_ended_is_over_once_its_record_is_settled() {
        let mut status = crate::sample::planned();
        assert!(!is_over(&status) && is_over(&SavedTemplateStatus::default()));
        let time = status.capture.as_ref().and_then(|capture| capture.start_time.clone());
        let capture = status.capture.as_mut().unwrap();
        capture.completion_time = time;
        assert!(!is_over(&status), "its machine is owed a start");
        status.capture.as_mut().unwrap().restart_record = None;
        assert!(is_over(&status));
    }
}
