//! The only pauses in the process: each ends at shutdown.
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Waits for `pause`, or until the process stops.
pub(crate) async fn unless_cancelled(pause: Duration, stop: &CancellationToken) {
    // An elapsed timeout is the normal end of a pause.
    let _elapsed = tokio::time::timeout(pause, stop.cancelled()).await;
}
