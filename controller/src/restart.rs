//! The restart loop: gives back every machine that was stopped under a record of this installation.
//!
//! It needs no lease, no object and no API server: between `main` and here nothing awaits Kubernetes. Only this loop
//! sends `StartInstances`, and it never gives up.
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use saved_template_api::ids::InstanceId;
use saved_template_core::{
    cloud::{Announced, Cloud, Instances},
    debt::{
        Copy, Debt, Due, Evidence, Record, Settled, Told, Unreadable, Verdict, found, judge, later, pause,
        stopped_by_somebody,
    },
    refusal::{IMPLAUSIBLE_RECORD, Refusal, UNCLEAR_STATE},
    world::{Instance, InstanceState, Started},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    ledger::TICK,
    metrics::Metrics,
    progress::{Loop, Progress},
    survey::{Survey, Sweep},
};

/// R8: a replica without the lease starts a machine this much later.
const STANDBY: jiff::SignedDuration = jiff::SignedDuration::from_secs(20);
/// What a sweep says of absence is at most this old when a write that rests on it leaves.
const SWEPT: jiff::SignedDuration = jiff::SignedDuration::from_secs(20);
/// After a start was accepted, EC2 is given this long to show it.
const ACCEPTED: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(60);
/// A sweep of this age would be too old before a write that rests on it has left.
const OLD: Duration = Duration::from_secs(10);
/// A loop that ticks every second and has not for this long was stopped, and others may have led meanwhile.
const SLEPT: Duration = Duration::from_secs(10);

/// Why a save is given up without its object: Kubernetes may be silent, or EC2 too slow for a decision.
const NOT_WRITTEN: &str =
    "no decision about it could be written to Kubernetes for 30 s before its image was asked for";

/// A call about a record: each has pauses of its own between its tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Call {
    Start,
    Remove,
    Rewrite,
    Abort,
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    /// Starts that were refused; of the other calls, those that were sent: a read that lags shows none of them.
    refused: u32,
    last: Instant,
    first_due: Option<Timestamp>,
}

/// The restart loop of one region.
pub(crate) struct Restart<C> {
    survey: Arc<Survey<C>>,
    metrics: Metrics,
    /// Of a start by machine and capture, of the other calls by the record.
    tries: Mutex<BTreeMap<(Call, String), Tries>>,
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

/// Under which the tries of the start for a record are counted: an abort makes no other start of it.
fn start_of(record: &Record) -> (Call, String) {
    (Call::Start, format!("{} {}", record.instance, record.capture))
}

impl<C: Cloud> Restart<C> {
    pub(crate) fn new(survey: Arc<Survey<C>>, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { survey, metrics, tries: Mutex::default(), told: Mutex::default() })
    }

    /// Judges every record after every sweep, for as long as the process runs.
    pub(crate) async fn run(self: Arc<Self>, progress: Progress, stop: CancellationToken) {
        let mut sweeps = self.survey.subscribe();
        let mut paying: JoinSet<Done> = JoinSet::new();
        let mut busy: BTreeSet<Place> = BTreeSet::new();
        let mut acted: BTreeMap<Place, Instant> = BTreeMap::new();
        let mut awake = Instant::now();
        loop {
            let changed = tokio::select! {
                changed = tokio::time::timeout(TICK, sweeps.changed()) => changed.is_ok(),
                () = stop.cancelled() => break,
            };
            if !self.survey.leads() || awake.elapsed() > SLEPT {
                self.survey.ledger.doubt();
            }
            awake = Instant::now();
            progress.round(self.survey.cloud.region(), Loop::Restart);
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
            for record in self.survey.ledger.alone() {
                if busy.insert((record.instance.clone(), record.capture.clone())) {
                    paying.spawn(Arc::clone(&self).abort(record));
                }
            }
            let sweep = sweeps.borrow_and_update().clone().filter(|_| changed);
            for debt in sweep.iter().flat_map(|sweep| self.debts(&sweep.machines)) {
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
    fn debts(&self, instances: &[Instance]) -> Vec<Debt> {
        let (debts, told) = found(instances, self.survey.debt_key(), &self.survey.ledger.records());
        let on_machines = debts.iter().filter(|debt| debt.copy != Copy::Remembered).count();
        self.metrics.owed(self.survey.cloud.region().as_str(), on_machines);
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
        let Some(now) = self.survey.cloud.now() else {
            tracing::error!(instance = %place.0, "EC2's replies have no Date: whether the machine is due cannot be told");
            return Done { place, sent: None };
        };
        let evidence = Evidence::of(&sweep.view, &debt.record.instance);
        let judged = |debt: &Debt, now| judge(&debt.record, debt.copy, debt.instance.as_ref(), evidence, now);
        let mut verdict = judged(&debt, now);
        let mut debt = debt;
        let mut announced = Announced { at: sweep.view.began, instant: sweep.began() };
        if !matches!(verdict, Verdict::Wait | Verdict::Ignore) && sweep.began().elapsed() > OLD {
            announced = Announced { at: now, instant: Instant::now() };
            let Some(again) = self.again(debt).await else {
                return Done { place, sent: None };
            };
            debt = again;
            // What was looked for in vain was looked for when the sweep began.
            verdict = judged(&debt, now.min(later(sweep.view.began, SWEPT)));
        }
        let there = debt.on_machine(self.survey.debt_key());
        let Debt { record, instance, .. } = debt;
        match verdict {
            Verdict::Wait | Verdict::Ignore => return Done { place, sent: None },
            Verdict::Void => self.survey.ledger.forget(&record),
            Verdict::Unclear { code } => {
                let message = format!(
                    "{} is stopped with the reason {code:?}, which is not known: start it by hand if it should run",
                    record.instance
                );
                self.survey.ledger.refused(&record, Refusal::new("StartInstances", UNCLEAR_STATE, message));
                self.metrics.restart("unclear");
            }
            Verdict::Start { due, since } => {
                if self.may_start(&record, since, now) {
                    self.start(&record, instance.as_ref(), due, announced).await;
                }
            }
            Verdict::Remove(why) => {
                let Some(there) = there else {
                    // Nothing is on the machine; the status's copy goes when its object is next looked at.
                    self.survey.ledger.forget(&record);
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
                self.survey
                    .ledger
                    .refused(&record, Refusal::new("StartInstances", IMPLAUSIBLE_RECORD, message));
                self.metrics.restart("implausible");
                return Done { place, sent: None };
            }
        }
        Done { place, sent: Some(Instant::now()) }
    }

    /// The machine as it is now, where a sweep took so long that nothing may rest on it any more. None if its record is
    /// another one by now, or if it cannot be read.
    async fn again(&self, debt: Debt) -> Option<Debt> {
        let id = &debt.record.instance;
        let shown = self.survey.cloud.instances(Instances::One(id.clone())).await;
        let shown = shown
            .inspect_err(|refusal| tracing::warn!(instance = %id, %refusal, "cannot be read again"))
            .ok()?;
        let instance = shown.into_iter().find(|instance| instance.id == *id);
        let remembered = if debt.copy == Copy::Tag { Vec::new() } else { vec![debt.record.clone()] };
        let (debts, _) = found(instance.as_slice(), self.survey.debt_key(), &remembered);
        debts.into_iter().find(|there| there.record == debt.record && there.copy == debt.copy)
    }

    /// The pause between tries, and the standby's courtesy.
    fn may_start(&self, record: &Record, since: Option<Timestamp>, now: Timestamp) -> bool {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let place = start_of(record);
        let known = tries.get(&place).copied();
        let first_due = since.or(known.and_then(|known| known.first_due)).unwrap_or(now);
        let paused = known.is_some_and(|known| {
            let pause = if known.refused == 0 { ACCEPTED } else { pause(known.refused) };
            known.first_due.is_some() && known.last.elapsed() < pause
        });
        if !self.survey.leads() && now < later(first_due, STANDBY) {
            // Remembered without a try, so that a due time that EC2 does not tell is counted from its first sight.
            let long_ago = Instant::now().checked_sub(LONGEST).unwrap_or_else(Instant::now);
            tries.entry(place).or_insert(Tries { refused: 0, last: long_ago, first_due: Some(first_due) });
            return false;
        }
        if !paused {
            let refused = known.map_or(0, |known| known.refused);
            tries.insert(place, Tries { refused, last: Instant::now(), first_due: Some(first_due) });
        }
        !paused
    }

    /// The pause between tries of a change of tags: whether the last one went through, a read that lags does not tell.
    fn may_write(&self, call: Call, record: &Record) -> bool {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        // What was not tried for so long is over.
        tries.retain(|(call, _), known| {
            *call == Call::Start || known.last.elapsed() < LONGEST.saturating_mul(2)
        });
        let known = tries.entry((call, record.to_string()));
        let sent = match &known {
            Entry::Occupied(known) if known.get().last.elapsed() < pause(known.get().refused) => {
                return false;
            }
            Entry::Occupied(known) => known.get().refused,
            Entry::Vacant(_) => 0,
        };
        known.insert_entry(Tries { refused: sent.saturating_add(1), last: Instant::now(), first_due: None });
        true
    }

    async fn start(&self, record: &Record, instance: Option<&Instance>, due: Due, announced: Announced) {
        let launch_time_before = instance.and_then(|instance| instance.launch_time);
        let (id, capture) = (&record.instance, &record.capture);
        match self.survey.cloud.start(id, announced).await {
            Ok(previous) => {
                tracing::info!(instance = %id, capture, ?due, previous = previous.as_str(), "machine started");
                self.metrics.restart("started");
                self.survey.ledger.started(record, Started { previous, launch_time_before });
                self.note(record, |tries| tries.refused = 0);
            }
            Err(refusal) => {
                tracing::error!(instance = %id, capture, ?due, %refusal, "machine could not be started: it is tried again");
                self.metrics.restart("refused");
                self.survey.ledger.refused(record, refusal);
                self.note(record, |tries| tries.refused = tries.refused.saturating_add(1));
            }
        }
        self.survey.poke();
    }

    fn note(&self, record: &Record, change: impl FnOnce(&mut Tries)) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tries) = tries.get_mut(&start_of(record)) {
            tries.last = Instant::now();
            change(tries);
        }
    }

    async fn remove(&self, record: &Record, why: Settled, announced: Announced) {
        let (id, value) = (&record.instance, record.to_string());
        match self.survey.cloud.untag(id, self.survey.debt_key(), &value, announced).await {
            Ok(()) => {
                tracing::info!(instance = %id, capture = record.capture, ?why, "restart record removed");
                self.metrics.restart("settled");
                self.survey.ledger.forget(record);
                self.tries.lock().unwrap_or_else(PoisonError::into_inner).remove(&start_of(record));
                self.survey.poke();
            }
            Err(refusal) => {
                tracing::warn!(instance = %id, %refusal, "restart record could not be removed: it is tried again");
            }
        }
    }

    async fn rewrite(&self, record: &Record, announced: Announced) {
        let tags = [(self.survey.debt_key().to_owned(), record.to_string())].into();
        match self.survey.cloud.tag(&record.instance, tags, announced).await {
            Ok(()) => {
                tracing::warn!(instance = %record.instance, capture = record.capture, "restart record was not on the machine and is written again");
                self.metrics.restart("rewritten");
                self.survey.poke();
            }
            Err(refusal) => {
                tracing::error!(instance = %record.instance, %refusal, "restart record could not be written again");
            }
        }
    }

    /// What the record is by now, read right before it is overwritten: that of another capture stays.
    async fn on_machine(&self, record: &Record) -> Result<Record, String> {
        let id = record.instance.clone();
        let found = self.survey.cloud.instances(Instances::Ids(vec![id])).await;
        let found = found.map_err(|refusal| refusal.to_string())?;
        let instance = found.iter().find(|instance| instance.id == record.instance);
        let value = instance.and_then(|instance| instance.tags.get(self.survey.debt_key()));
        // Nobody else's can be on a machine that we stopped and that has not run since.
        let is_held = instance.is_some_and(|instance| {
            matches!(instance.state, InstanceState::Stopping | InstanceState::Stopped)
                && !stopped_by_somebody(record, instance)
        });
        match value.map(|value| value.parse::<Record>()) {
            Some(Ok(there)) if record.followed_by(&there) => Ok(there),
            Some(Ok(_)) if is_held => Ok(record.clone()),
            Some(Ok(there)) => Err(format!("the machine carries the record of capture {}", there.capture)),
            Some(Err(_)) | None => Ok(record.clone()),
        }
    }

    /// R6: this process stopped the machine and cannot reach Kubernetes: the capture ends, the machine comes back.
    async fn abort(self: Arc<Self>, record: Record) -> Done {
        let capture = record.capture.clone();
        let place = (record.instance.clone(), capture.clone());
        let Some(now) = self.survey.cloud.now() else {
            return Done { place, sent: None };
        };
        if !self.may_write(Call::Abort, &record) {
            return Done { place, sent: None };
        }
        let announced = Announced { at: now, instant: Instant::now() };
        let record = match self.on_machine(&record).await {
            Ok(record) => record,
            Err(why) => {
                tracing::error!(instance = %record.instance, capture, why, "the save could not be given up: it is tried again");
                return Done { place, sent: None };
            }
        };
        let aborted = record.aborted(now);
        let tags = [(self.survey.debt_key().to_owned(), aborted.to_string())].into();
        match self.survey.cloud.tag(&record.instance, tags, announced).await {
            Ok(()) => {
                tracing::warn!(instance = %record.instance, capture, why = NOT_WRITTEN, "the save is given up, the machine is given back");
                self.metrics.restart("aborted");
                self.survey.ledger.aborted(&aborted);
            }
            Err(refusal) => {
                tracing::error!(instance = %record.instance, %refusal, "the save could not be given up: it is tried again");
            }
        }
        Done { place, sent: Some(Instant::now()) }
    }
}
