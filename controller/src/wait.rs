//! Time as the loops see it: the one clock that they read, and the only pauses, each of which ends at shutdown.
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The monotonic clock of the process, which is tokio's: a test that holds time still holds the controller still.
pub(crate) fn monotonic() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// Waits for `pause`, or until the process stops.
pub(crate) async fn unless_cancelled(pause: Duration, stop: &CancellationToken) {
    // An elapsed timeout is the normal end of a pause.
    let _elapsed = tokio::time::timeout(pause, stop.cancelled()).await;
}
