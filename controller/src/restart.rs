//! The restart loop: gives back every machine that was stopped under a record of this installation.
//!
//! It needs no lease, no object and no API server: between `main` and here nothing awaits Kubernetes. Only this loop
//! sends `StartInstances`, and it never gives up.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use saved_template_api::ids::InstanceId;
use saved_template_core::{
    cloud::{Announced, Cloud, Instances},
    ec2_error::{Ec2Error, IMPLAUSIBLE_RECORD, UNCLEAR_STATE},
    restart::{
        Call, Copy, Debt, Due, Evidence, Pacing, Record, Settled, Told, Unreadable, Verdict, found, judge,
        stopped_by_somebody,
    },
    time::later,
    world::{Instance, InstanceState, Started},
};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::Metrics,
    poller::{Poller, Sweep},
    progress::{Loop, Progress},
    wait::monotonic,
};

/// What a sweep says of absence is at most this old when a write that rests on it leaves.
const SWEPT: jiff::SignedDuration = jiff::SignedDuration::from_secs(20);
/// What was written about a record so long ago shows in every sweep.
const LONGEST: Duration = Duration::from_secs(60);
/// A sweep of this age would be too old before a write that rests on it has left.
const OLD: Duration = Duration::from_secs(10);
/// How often the loop asks whether it is alone.
const TICK: Duration = Duration::from_secs(1);
/// A loop that has not ticked for this long was stopped, and others may have led meanwhile.
const SLEPT: Duration = Duration::from_secs(10);

/// Why a save is given up without its object: Kubernetes may be silent, or EC2 too slow for a decision.
const NOT_WRITTEN: &str =
    "no decision about it could be written to Kubernetes for 30 s before its image was asked for";

/// The restart loop of one region.
pub(crate) struct Restart<C> {
    poller: Arc<Poller<C>>,
    metrics: Metrics,
    pacing: Mutex<Pacing>,
    /// What the last sweep showed and is not paid: each is told once.
    told: Mutex<BTreeSet<Told>>,
}

/// What became of one look at a record.
struct Done {
    place: Place,
    /// When the last write about it was answered.
    sent: Option<Instant>,
}

/// Where a record was read, and its capture.
type Place = (InstanceId, String);

fn place(debt: &Debt) -> Place {
    (debt.place().clone(), debt.record.capture.clone())
}

impl<C: Cloud> Restart<C> {
    pub(crate) fn new(poller: Arc<Poller<C>>, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { poller, metrics, pacing: Mutex::default(), told: Mutex::default() })
    }

    /// Judges every record after every sweep, for as long as the process runs.
    pub(crate) async fn run(self: Arc<Self>, progress: Progress, stop: CancellationToken) {
        let mut sweeps = self.poller.subscribe();
        let mut paying: JoinSet<Done> = JoinSet::new();
        let mut busy: BTreeSet<Place> = BTreeSet::new();
        let mut acted: BTreeMap<Place, Instant> = BTreeMap::new();
        let mut awake = Instant::now();
        loop {
            let changed = tokio::select! {
                changed = tokio::time::timeout(TICK, sweeps.changed()) => changed.is_ok(),
                () = stop.cancelled() => break,
            };
            if !self.poller.leads() || awake.elapsed() > SLEPT {
                self.poller.memory().doubt();
            }
            awake = Instant::now();
            progress.round(self.poller.cloud.place(), Loop::Restart);
            while let Some(paid) = paying.try_join_next() {
                let Done { place, sent } = match paid {
                    Ok(done) => done,
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => continue,
                };
                busy.remove(&place);
                if let Some(at) = sent {
                    acted.insert(place, at);
                }
            }
            if paying.is_empty() {
                busy.clear();
            }
            for record in self.poller.memory().alone(monotonic()) {
                if busy.insert((record.instance.clone(), record.capture.clone())) {
                    paying.spawn(Arc::clone(&self).abort(record));
                }
            }
            let sweep = sweeps.borrow_and_update().clone().filter(|_| changed);
            for debt in sweep.iter().flat_map(|sweep| self.debts(sweep)) {
                // A view older than our last write about this record shows the world before it.
                let stale = |sweep: &Sweep| acted.get(&place(&debt)).is_some_and(|at| sweep.began() <= *at);
                if let Some(sweep) = sweep.as_ref().filter(|sweep| !stale(sweep))
                    && busy.insert(place(&debt))
                {
                    paying.spawn(Arc::clone(&self).pay(debt, Arc::clone(sweep)));
                }
            }
            acted.retain(|_, at| at.elapsed() < LONGEST);
        }
        // What was begun is finished: a write in flight is never cut off by the end of the process.
        while paying.join_next().await.is_some() {}
    }

    /// Every record: those on machines, and those that this process remembers. What is not paid is told.
    fn debts(&self, sweep: &Sweep) -> Vec<Debt> {
        let (key, remembered) = (self.poller.debt_key(), self.poller.memory().records());
        let (debts, told) = found(&sweep.machines, key, &remembered, sweep.view.began);
        // Also those that are not paid: a machine may be down under one.
        let on_machines = sweep.machines.iter().filter(|instance| instance.tags.contains_key(key)).count();
        self.metrics.owed(&self.poller.cloud.place().to_string(), on_machines);
        self.tell(told.into_iter().collect());
        debts
    }

    /// Logs and counts each value that is not paid once, for as long as it is there.
    fn tell(&self, untold: BTreeSet<Told>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for new in untold.difference(&told) {
            match new {
                Told::Unreadable { instance, value, why } => {
                    self.metrics.restart(match why {
                        Unreadable::Malformed => "unreadable",
                        Unreadable::Later => "later",
                        Unreadable::Unauthentic => "unauthentic",
                    });
                    tracing::error!(%instance, value, %why, "a restart record that cannot be read is not paid");
                }
                Told::Overruled { instance, value } => {
                    self.metrics.restart("overruled");
                    tracing::error!(%instance, value, "a restart record is not the one under which the machine was stopped, and is not paid");
                }
            }
        }
        *told = untold;
    }

    async fn pay(self: Arc<Self>, debt: Debt, sweep: Arc<Sweep>) -> Done {
        let place = place(&debt);
        let Some(now) = self.poller.cloud.now() else {
            tracing::error!(instance = %place.0, "EC2's replies have no Date: whether the machine is due cannot be told");
            return Done { place, sent: None };
        };
        let evidence = Evidence::of(&sweep.view, &debt.record.instance);
        let judged = |debt: &Debt, now| judge(&debt.record, debt.copy, debt.instance.as_ref(), evidence, now);
        let mut verdict = judged(&debt, now);
        let mut debt = debt;
        let mut announced = Announced { at: sweep.view.began, instant: sweep.began().into_std() };
        if !matches!(verdict, Verdict::Wait | Verdict::Ignore) && sweep.began().elapsed() > OLD {
            announced = Announced { at: now, instant: monotonic() };
            let Some(again) = self.again(debt, now).await else {
                return Done { place, sent: None };
            };
            debt = again;
            // What was looked for in vain was looked for when the sweep began.
            verdict = judged(&debt, now.min(later(sweep.view.began, SWEPT)));
        }
        let there = debt.on_machine(self.poller.debt_key());
        let Debt { record, instance, .. } = debt;
        match verdict {
            Verdict::Wait | Verdict::Ignore => return Done { place, sent: None },
            Verdict::Void => self.poller.memory().forget(&record),
            Verdict::Unclear(why) => {
                let message = format!("{} {why}: start it by hand if it should run", record.instance);
                self.hold(&record, UNCLEAR_STATE, "unclear", message);
            }
            Verdict::Start { due, since } => {
                if self.may_start(&record, since, now) {
                    self.start(&record, instance.as_ref(), due, announced).await;
                }
            }
            Verdict::Remove(why) => {
                let Some(there) = there else {
                    // Nothing is on the machine; the status's copy goes when its object is next looked at.
                    self.poller.memory().forget(&record);
                    return Done { place, sent: None };
                };
                if !self.may_write(Call::Remove, &record) {
                    return Done { place, sent: None };
                }
                self.remove(&there, why, announced).await;
            }
            Verdict::Rewrite { due } => {
                // The policy may allow the start only while the record is on the machine.
                if self.may_write(Call::Rewrite, &record) {
                    self.rewrite(&record, announced).await;
                }
                if let Some((due, since)) = due
                    && self.may_start(&record, since, now)
                {
                    self.start(&record, instance.as_ref(), due, announced).await;
                }
            }
            Verdict::Implausible => {
                let message = format!(
                    "{} carries a restart record that cannot be honest by its times: it is not started; if it should run, start it by hand",
                    record.instance
                );
                self.hold(&record, IMPLAUSIBLE_RECORD, "implausible", message);
                return Done { place, sent: None };
            }
        }
        Done { place, sent: Some(Instant::now()) }
    }

    /// The machine as it is now, where a sweep took so long that nothing may rest on it any more. None if its record is
    /// another one by now, or if it cannot be read.
    async fn again(&self, debt: Debt, now: Timestamp) -> Option<Debt> {
        let id = &debt.record.instance;
        let shown = self.poller.cloud.instances(Instances::One(id.clone())).await;
        let shown = shown
            .inspect_err(|refusal| tracing::warn!(instance = %id, %refusal, "cannot be read again"))
            .ok()?;
        let instance = shown.into_iter().find(|instance| instance.id == *id);
        let remembered = if debt.copy == Copy::Tag { Vec::new() } else { vec![debt.record.clone()] };
        let (debts, _) = found(instance.as_slice(), self.poller.debt_key(), &remembered, now);
        debts.into_iter().find(|there| there.record == debt.record && there.copy == debt.copy)
    }

    /// Nothing is started under the record: said once.
    fn hold(&self, record: &Record, code: &str, outcome: &'static str, message: String) {
        let refusal = Ec2Error::new("StartInstances", code, message);
        if self.poller.memory().refused(record, &refusal) {
            tracing::error!(instance = %record.instance, capture = record.capture, why = refusal.message, "a machine is not started");
            self.metrics.restart(outcome);
        }
    }

    fn pacing(&self) -> MutexGuard<'_, Pacing> {
        self.pacing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_start(&self, record: &Record, since: Option<Timestamp>, now: Timestamp) -> bool {
        self.pacing().may_start(record, since, now, self.poller.leads(), monotonic())
    }

    fn may_write(&self, call: Call, record: &Record) -> bool {
        self.pacing().may_write(call, record, monotonic())
    }

    async fn start(&self, record: &Record, instance: Option<&Instance>, due: Due, announced: Announced) {
        let launch_time_before = instance.and_then(|instance| instance.launch_time);
        let (id, capture) = (&record.instance, &record.capture);
        match self.poller.cloud.start(id, announced).await {
            Ok(previous) => {
                tracing::info!(instance = %id, capture, ?due, previous = previous.as_str(), "machine started");
                self.metrics.restart("started");
                self.poller.memory().started(record, Started { previous, launch_time_before });
                self.pacing().started(record, monotonic());
            }
            Err(refusal) => {
                tracing::error!(instance = %id, capture, ?due, %refusal, "machine could not be started: it is tried again");
                self.metrics.restart("refused");
                self.poller.memory().refused(record, &refusal);
                self.pacing().refused(record, monotonic());
            }
        }
        self.poller.trigger();
    }

    async fn remove(&self, record: &Record, why: Settled, announced: Announced) {
        let (id, value) = (&record.instance, record.to_string());
        match self.poller.cloud.untag(id, self.poller.debt_key(), &value, announced).await {
            Ok(()) => {
                tracing::info!(instance = %id, capture = record.capture, ?why, "restart record removed");
                self.metrics.restart("settled");
                self.poller.memory().forget(record);
                self.pacing().over(record);
                self.poller.trigger();
            }
            Err(refusal) => {
                tracing::warn!(instance = %id, %refusal, "restart record could not be removed: it is tried again");
            }
        }
    }

    async fn rewrite(&self, record: &Record, announced: Announced) {
        let tags = [(self.poller.debt_key().to_owned(), record.to_string())].into();
        match self.poller.cloud.tag(&record.instance, tags, announced).await {
            Ok(()) => {
                tracing::warn!(instance = %record.instance, capture = record.capture, "restart record was not on the machine and is written again");
                self.metrics.restart("rewritten");
                self.poller.trigger();
            }
            Err(refusal) => {
                tracing::error!(instance = %record.instance, %refusal, "restart record could not be written again");
            }
        }
    }

    /// What the record is by now, read right before it is overwritten: that of another capture stays.
    async fn on_machine(&self, record: &Record, now: Timestamp) -> Result<Record, String> {
        let id = record.instance.clone();
        let found = self.poller.cloud.instances(Instances::Ids(vec![id])).await;
        let found = found.map_err(|refusal| refusal.to_string())?;
        let instance = found.iter().find(|instance| instance.id == record.instance);
        let value = instance.and_then(|instance| instance.tags.get(self.poller.debt_key()));
        // Nobody else's can be on a machine that we stopped and that has not run since.
        let is_held = instance.is_some_and(|instance| {
            matches!(instance.state, InstanceState::Stopping | InstanceState::Stopped)
                && !stopped_by_somebody(record, instance)
        });
        match value.map(|value| value.parse::<Record>()) {
            Some(Ok(there)) if record.followed_by(&there, now) => Ok(there),
            Some(Ok(_)) if is_held => Ok(record.clone()),
            Some(Ok(there)) => Err(format!("the machine carries the record of capture {}", there.capture)),
            Some(Err(_)) | None => Ok(record.clone()),
        }
    }

    /// R6: this process stopped the machine and cannot reach Kubernetes: the capture ends, the machine comes back.
    async fn abort(self: Arc<Self>, record: Record) -> Done {
        let capture = record.capture.clone();
        let place = (record.instance.clone(), capture.clone());
        let Some(now) = self.poller.cloud.now() else {
            return Done { place, sent: None };
        };
        if !self.may_write(Call::Abort, &record) {
            return Done { place, sent: None };
        }
        let announced = Announced { at: now, instant: monotonic() };
        let record = match self.on_machine(&record, now).await {
            Ok(record) => record,
            Err(why) => {
                tracing::error!(instance = %record.instance, capture, why, "the save could not be given up: it is tried again");
                return Done { place, sent: None };
            }
        };
        let aborted = record.aborted(now);
        let tags = [(self.poller.debt_key().to_owned(), aborted.to_string())].into();
        match self.poller.cloud.tag(&record.instance, tags, announced).await {
            Ok(()) => {
                tracing::warn!(instance = %record.instance, capture, why = NOT_WRITTEN, "the save is given up, the machine is given back");
                self.metrics.restart("aborted");
                self.poller.memory().aborted(&aborted);
            }
            Err(refusal) => {
                tracing::error!(instance = %record.instance, %refusal, "the save could not be given up: it is tried again");
            }
        }
        Done { place, sent: Some(Instant::now()) }
    }
}
