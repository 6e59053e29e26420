//! Logs: JSON for a collector, text for a terminal.
use std::{
    collections::HashMap,
    io::IsTerminal,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tracing::{Event, Level, Metadata, Subscriber, callsite::Identifier};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::FilterExt,
    fmt,
    layer::{self, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::args::{Args, LogFormat};

/// Starts logging to standard error.
pub fn start(args: &Args) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&args.log).context("--log is not a filter")?;
    let is_json = match args.log_format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = if is_json { lines.json().boxed() } else { lines.boxed() };
    let started =
        tracing_subscriber::registry().with(lines.with_filter(filter.and(Outages::default()))).try_init();
    started.context("logging has been started before")
}

/// A complaint of a library that has not been heard for so long is a new one.
const QUIET: Duration = Duration::from_mins(1);

/// Lets a library say once what it says at each of the hundreds of calls that an outage fails.
#[derive(Default)]
struct Outages {
    last: Mutex<HashMap<Identifier, Instant>>,
}

impl Outages {
    fn is_new(&self, complaint: Identifier, now: Instant) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).insert(complaint, now);
        last.is_none_or(|last| now.saturating_duration_since(last) >= QUIET)
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> layer::Filter<S> for Outages {
    fn enabled(&self, _: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &layer::Context<'_, S>) -> bool {
        let of = event.metadata();
        let is_ours = of.target().starts_with("saved_template");
        is_ours || *of.level() > Level::WARN || self.is_new(of.callsite(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_library_says_once_what_fails_at_every_call_and_we_say_all_that_is_ours() {
        let lines = Lines::default();
        let written = lines.clone();
        let layer = fmt::layer().with_ansi(false).with_writer(move || written.clone());
        let filter = EnvFilter::new("info").and(Outages::default());
        tracing::subscriber::with_default(
            tracing_subscriber::registry().with(layer.with_filter(filter)),
            || {
                for call in 0..300 {
                    tracing::error!(target: "kube_client::client::builder", call, "failed with error");
                    tracing::info!(target: "kube_runtime::controller", "is said as often as it happens");
                    tracing::warn!(call, "ours");
                }
                tracing::warn!(target: "kube_client::client", "another complaint");
            },
        );
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let count = |words: &str| text.lines().filter(|line| line.contains(words)).count();
        assert_eq!(count("failed with error"), 1, "{text}");
        assert_eq!((count("ours"), count("as often"), count("another complaint")), (300, 300, 1));
    }

    #[test]
    fn a_complaint_is_new_again_once_it_was_quiet_for_a_minute() {
        let outages = Outages::default();
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            let site = tracing::callsite!(name: "x", kind: tracing::metadata::Kind::EVENT, fields: a);
            let (of, start) = (tracing::Callsite::metadata(site).callsite(), Instant::now());
            let told = |seconds| outages.is_new(of.clone(), start + Duration::from_secs(seconds));
            assert_eq!([0, 5, 59, 110, 171].map(told), [true, false, false, false, true]);
        });
    }
}
