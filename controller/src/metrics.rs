//! What Prometheus sees. No label comes from an object.
use std::{
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::error::Error;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Call {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InRegion {
    region: String,
}

/// Every metric of the process.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    duration: Histogram,
    errors: Family<Kind, Counter>,
    calls: Family<Call, Counter>,
    leader: Gauge,
    debts: Family<InRegion, Gauge<i64, AtomicI64>>,
    restarts: Family<Kind, Counter>,
}

impl Metrics {
    /// Metrics at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("savedtemplate");
        let metrics = Self {
            registry: Arc::default(),
            duration: Histogram::new([0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0]),
            errors: Family::default(),
            calls: Family::default(),
            leader: Gauge::default(),
            debts: Family::default(),
            restarts: Family::default(),
        };
        let of = &metrics;
        registry.register_with_unit(
            "reconcile_duration",
            "Time one reconcile took",
            Unit::Seconds,
            of.duration.clone(),
        );
        registry.register("reconcile_errors", "Reconciles that failed, by kind", of.errors.clone());
        registry.register("ec2_calls", "Calls to EC2, by operation and outcome", of.calls.clone());
        registry.register("leader", "1 while this replica reconciles", of.leader.clone());
        registry.register(
            "restart_debts",
            "Machines that carry a restart record, by region",
            of.debts.clone(),
        );
        registry.register("restarts", "What the restart loop did, by kind", of.restarts.clone());
        Self { registry: Arc::new(registry), ..metrics }
    }

    pub(crate) fn reconciled(&self, took: Duration, error: Option<&Error>) {
        self.duration.observe(took.as_secs_f64());
        if let Some(error) = error {
            self.errors.get_or_create(&Kind { kind: error.kind() }).inc();
        }
    }

    /// Counts a call to AWS that has ended, by its outcome.
    pub fn called(&self, operation: &'static str, outcome: &'static str) {
        self.calls.get_or_create(&Call { operation, outcome }).inc();
    }

    pub(crate) fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    pub(crate) fn owed(&self, region: &str, machines: usize) {
        let machines = i64::try_from(machines).unwrap_or(i64::MAX);
        self.debts.get_or_create(&InRegion { region: region.to_owned() }).set(machines);
    }

    pub(crate) fn restart(&self, kind: &'static str) {
        self.restarts.get_or_create(&Kind { kind }).inc();
    }

    pub(crate) fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
