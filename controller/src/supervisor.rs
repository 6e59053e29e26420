//! The loops of the process: one that ends while the process runs ends the process. A record on the machine makes a death
//! safe; a process of which a part is dead gives nothing back and says that it lives.
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::bail;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What was begun may take so long to end after a loop has died; the longest call to EC2 takes 45 s.
const ENDING: Duration = Duration::from_secs(60);

/// Starts the loops and hears of their end.
#[derive(Debug, Clone)]
pub(crate) struct Supervisor {
    tasks: TaskTracker,
    stop: CancellationToken,
    failed: Arc<Mutex<Option<String>>>,
}

impl Supervisor {
    /// A supervisor of loops that `stop` ends.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { tasks: TaskTracker::new(), stop, failed: Arc::default() }
    }

    /// Runs a loop until `stop`. If it ends or panics before, the process stops.
    pub(crate) fn spawn(&self, name: String, task: impl Future<Output = ()> + Send + 'static) {
        let this = self.clone();
        self.tasks.spawn(async move {
            let why = match tokio::spawn(task).await {
                Ok(()) if this.stop.is_cancelled() => return,
                Ok(()) => "ended".to_owned(),
                Err(error) => error.to_string(),
            };
            let message = format!("{name} has died, and the process with it: {why}");
            tracing::error!("{message}");
            this.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
            this.stop.cancel();
        });
    }

    /// Waits until all loops have finished what they began. An error says which of them died.
    pub(crate) async fn finish(&self) -> anyhow::Result<()> {
        self.stop.cancelled().await;
        self.tasks.close();
        let failed = || self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if failed().is_some() {
            // What hangs because of the death is not waited for.
            let _unfinished = tokio::time::timeout(ENDING, self.tasks.wait()).await;
        } else {
            self.tasks.wait().await;
        }
        match failed() {
            Some(message) => bail!(message),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor() -> (Supervisor, CancellationToken) {
        let stop = CancellationToken::new();
        let supervisor = Supervisor::new(stop.clone());
        let running = stop.clone();
        supervisor.spawn("the other loop".to_owned(), async move { running.cancelled().await });
        (supervisor, stop)
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_panics_ends_the_process_and_is_named() {
        let (supervisor, stop) = supervisor();
        supervisor.spawn("the sweep of us-west-2".to_owned(), async { panic!("the year 9999") });
        let error = supervisor.finish().await.unwrap_err().to_string();
        assert!(error.starts_with("the sweep of us-west-2 has died") && error.contains("panic"), "{error}");
        assert!(stop.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_ends_ends_the_process_although_another_hangs() {
        let (supervisor, _) = supervisor();
        supervisor.spawn("the loop that hangs".to_owned(), std::future::pending());
        supervisor.spawn("the HTTP server".to_owned(), async {});
        let error = supervisor.finish().await.unwrap_err().to_string();
        assert!(error.starts_with("the HTTP server has died"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_is_stopped_waits_for_what_its_loops_began() {
        let (supervisor, stop) = supervisor();
        let (begun, end) = (stop.clone(), tokio::time::Instant::now());
        supervisor.spawn("the slow loop".to_owned(), async move {
            begun.cancelled().await;
            let _elapsed = tokio::time::timeout(ENDING * 2, std::future::pending::<()>()).await;
        });
        stop.cancel();
        supervisor.finish().await.unwrap();
        assert_eq!(end.elapsed(), ENDING * 2);
    }
}
