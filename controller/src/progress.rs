//! Whether each loop comes round. An EC2 that refuses or hangs keeps none from it: a round is progress, success is not.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use saved_template_core::place::Place;
use tokio::time::Instant;

/// More than the longest round: five minutes between two sweeps, or a sweep of which each read is at its bound.
const OVERDUE: Duration = Duration::from_mins(10);

/// The loops of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loop {
    /// The reader.
    Sweep,
    /// What gives machines back.
    Restart,
}

impl Loop {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sweep => "sweep",
            Self::Restart => "restart",
        }
    }
}

/// When each loop came round last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<BTreeMap<(Place, Loop), Instant>>>);

impl Progress {
    /// The loop comes round.
    pub(crate) fn round(&self, place: &Place, which: Loop) {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.insert((place.clone(), which), Instant::now());
    }

    /// Which loops have not come round for too long, in words; none if all do.
    pub(crate) fn stuck(&self) -> Option<String> {
        let rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck: Vec<String> = rounds
            .iter()
            .filter(|(_, round)| round.elapsed() >= OVERDUE)
            .map(|((place, which), round)| {
                let (which, seconds) = (which.as_str(), round.elapsed().as_secs());
                format!("the {which} loop of {place} has not come round for {seconds} s")
            })
            .collect();
        (!stuck.is_empty()).then(|| stuck.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_has_not_come_round_for_ten_minutes_is_named_with_its_region() {
        let progress = Progress::default();
        let [here, there] = ["us-west-2", "eu-west-1"].map(|name| Place::own(name.parse().unwrap()));
        for region in [&here, &there] {
            progress.round(region, Loop::Sweep);
            progress.round(region, Loop::Restart);
        }
        assert_eq!(progress.stuck(), None);
        tokio::time::advance(Duration::from_secs(599)).await;
        progress.round(&here, Loop::Sweep);
        progress.round(&here, Loop::Restart);
        progress.round(&there, Loop::Restart);
        assert_eq!(progress.stuck(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(
            progress.stuck().as_deref(),
            Some("the sweep loop of eu-west-1 has not come round for 600 s")
        );
        progress.round(&there, Loop::Sweep);
        assert_eq!(progress.stuck(), None);
    }
}
