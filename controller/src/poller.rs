//! The one reader of a region: shared sweeps that every reconcile and the restart loop read from.
//!
//! The cost grows with time and pages, not with the number of objects. A change that a sweep sees wakes the object
//! that it concerns.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use saved_template_api::names;
use saved_template_core::{
    cloud::Cloud,
    ec2_error::Ec2Error,
    key::Key,
    memory::Memory,
    poll::{Asked, Cadence, ReadAt, Seen, Tally, Waits, Wanted, fingerprints},
    restart::{Awaits, Record},
    subscription::Subscription,
    world::{Instance, InstanceState, View},
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    progress::{Loop, Progress},
    reads::{self, Known, Refused},
    wait::monotonic,
    wakes::Wakes,
};

/// One sweep. What was not asked for is an error in the view, never empty.
pub(crate) struct Sweep {
    pub(crate) view: Arc<View>,
    /// Every machine that could be read. A query of one object that fails keeps no debt of another from being paid.
    pub(crate) machines: Vec<Instance>,
    began: Instant,
    ended: Instant,
    asked: Asked,
    refused: Refused,
}

impl Sweep {
    /// The monotonic instant at which the first read began.
    pub(crate) const fn began(&self) -> Instant {
        self.began
    }

    fn read_at(&self) -> ReadAt {
        ReadAt { began: self.began.into_std(), ended: self.ended.into_std() }
    }
}

/// What the poller has for an object.
pub(crate) enum Reading {
    /// A view; or why EC2 would not look for what it names, which no other view will show.
    Found(Result<Arc<View>, Ec2Error>),
    /// None yet: how much longer the object waits. It is woken by the first sweep that has one.
    Later(Duration),
    /// None for all of its patience: the region is taken for one that does not answer.
    Silent(Ec2Error),
}

#[derive(Default)]
struct State {
    subscriptions: BTreeMap<Key, Subscription>,
    tally: Tally,
    fingerprints: BTreeMap<Key, u64>,
    waits: Waits,
    /// Names that EC2 would not look for.
    refused: Known,
    /// What could not be read, by operation.
    unread: BTreeMap<&'static str, Ec2Error>,
}

/// The reader of one region.
pub(crate) struct Poller<C> {
    pub(crate) cloud: C,
    memory: Mutex<Memory>,
    /// The cluster tags whose images are read: ours, and that of the cluster whose heir we are.
    owners: Vec<String>,
    debt_key: String,
    drift: Duration,
    state: Mutex<State>,
    sweeps: watch::Sender<Option<Arc<Sweep>>>,
    trigger: Notify,
    wakes: Arc<Wakes>,
    leading: watch::Receiver<bool>,
}

/// No two sweeps begin closer to each other than this.
const GAP: Duration = Duration::from_millis(500);

impl<C: Cloud> Poller<C> {
    pub(crate) fn new(
        cloud: C,
        cluster: &str,
        takeover: &[String],
        drift: Duration,
        wakes: Arc<Wakes>,
        leading: watch::Receiver<bool>,
    ) -> Self {
        Self {
            cloud,
            memory: Mutex::default(),
            owners: std::iter::once(cluster.to_owned()).chain(takeover.iter().cloned()).collect(),
            debt_key: names::debt_key(cluster),
            drift,
            state: Mutex::default(),
            sweeps: watch::Sender::new(None),
            trigger: Notify::new(),
            wakes,
            leading,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this process remembers of the machines of the region.
    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn debt_key(&self) -> &str {
        &self.debt_key
    }

    pub(crate) fn leads(&self) -> bool {
        *self.leading.borrow()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Arc<Sweep>>> {
        self.sweeps.subscribe()
    }

    /// Asks for a sweep soon: something has just been changed.
    pub(crate) fn trigger(&self) {
        self.trigger.notify_one();
    }

    /// The object wants nothing read any more.
    pub(crate) fn unsubscribe(&self, key: &Key) {
        let mut state = self.state();
        state.subscriptions.remove(key);
        state.fingerprints.remove(key);
        state.waits.served(key);
    }

    /// What was wanted read while this replica led before: objects may have gone since.
    pub(crate) fn unsubscribe_all(&self) {
        let mut state = self.state();
        (state.subscriptions, state.fingerprints) = Default::default();
        state.waits.clear();
    }

    /// A view that holds what `subscription` names, and is young enough for the object.
    pub(crate) fn read(&self, key: &Key, subscription: &Subscription, patience: Duration) -> Reading {
        let (mut state, now) = (self.state(), monotonic());
        let known = state.subscriptions.insert(key.clone(), subscription.clone());
        let accepts = |sweep: &Sweep, oldest| state.waits.accepts(key, oldest, sweep.read_at(), now);
        let found = self.found(subscription, accepts);
        if found.is_none() || (known.as_ref() != Some(subscription) && subscription.cadence.is_some()) {
            self.trigger.notify_one();
        }
        if let Some(view) = found {
            return Reading::Found(view);
        }
        let had = |known| Asked::by(std::iter::once((key, known))).covers(subscription);
        let wanted = if known.as_ref().is_none_or(had) { Wanted::Same } else { Wanted::More };
        let left = state.waits.left(key, patience, wanted, now);
        left.map_or_else(|| Reading::Silent(self.silent()), Reading::Later)
    }

    /// The object has its view here, and waits for that of another place.
    pub(crate) fn hold(&self, key: &Key) {
        let began = self.sweeps.borrow().as_ref().map(|sweep| sweep.began.into_std());
        if let Some(began) = began {
            self.state().waits.hold(key, began);
        }
    }

    /// The object has every view that it wants.
    pub(crate) fn served(&self, key: &Key) {
        self.state().waits.served(key);
    }

    /// The same, waited for.
    pub(crate) async fn next(
        &self,
        subscription: &Subscription,
        patience: Duration,
    ) -> Result<Arc<View>, Ec2Error> {
        let (mut sweeps, since) = (self.sweeps.subscribe(), monotonic());
        let accepts = |sweep: &Sweep, oldest| {
            let began = sweep.began.into_std();
            began >= since || since.duration_since(began) <= oldest
        };
        let next = async {
            loop {
                sweeps.mark_unchanged();
                if let Some(view) = self.found(subscription, accepts) {
                    return Some(view);
                }
                self.trigger.notify_one();
                sweeps.changed().await.ok()?;
            }
        };
        tokio::time::timeout(patience, next).await.ok().flatten().unwrap_or_else(|| Err(self.silent()))
    }

    /// The last sweep, if it has what `subscription` names and its age is accepted.
    fn found(
        &self,
        subscription: &Subscription,
        accepts: impl Fn(&Sweep, Duration) -> bool,
    ) -> Option<Result<Arc<View>, Ec2Error>> {
        let oldest = subscription.cadence.map_or(Duration::from_mins(1), |cadence| cadence.saturating_mul(2));
        let sweep = self.sweeps.borrow().clone()?;
        (accepts(&sweep, oldest) && sweep.asked.covers(subscription)).then(|| {
            let refused = subscription.names.iter().find_map(|name| sweep.refused.get(name));
            refused.map_or_else(|| Ok(Arc::clone(&sweep.view)), |why| Err(why.clone()))
        })
    }

    fn silent(&self) -> Ec2Error {
        Ec2Error::new("DescribeInstances", "", format!("{} has not answered yet", self.cloud.place()))
    }

    /// Sweeps for as long as the process runs.
    pub(crate) async fn run(&self, progress: &Progress, stop: &CancellationToken) {
        let (born, mut cadence) = (Instant::now(), Cadence::new(self.drift));
        while !stop.is_cancelled() {
            progress.round(self.cloud.place(), Loop::Sweep);
            let began = Instant::now();
            let sweep = tokio::select! {
                sweep = self.sweep() => sweep,
                () = stop.cancelled() => return,
            };
            let pause = self.pause(&sweep, born.elapsed(), &mut cadence);
            self.tell(&sweep);
            self.publish(sweep);
            tokio::select! {
                () = crate::wait::unless_cancelled(pause.saturating_sub(began.elapsed()).max(GAP), stop) => {}
                () = self.triggered(began) => {}
            }
        }
    }

    async fn triggered(&self, began: Instant) {
        self.trigger.notified().await;
        let gap = GAP.saturating_sub(began.elapsed());
        let _elapsed = tokio::time::timeout(gap, std::future::pending::<()>()).await;
    }

    fn asked(&self) -> Asked {
        let state = self.state();
        let leading = *self.leading.borrow();
        let mut asked = Asked::by(state.subscriptions.iter().filter(|_| leading));
        drop(state);
        asked.instances.extend(self.memory().records().iter().map(|record| record.instance.to_string()));
        asked
    }

    async fn sweep(&self) -> Sweep {
        let began = Instant::now();
        let at = self.cloud.now();
        let mut asked = self.asked();
        let (owing, failed) = reads::owing(&self.cloud, &self.debt_key).await;
        let mut known = std::mem::take(&mut self.state().refused);
        let others = reads::others(&self.cloud, &asked, &owing, &mut known);
        let others = reads::bounded("DescribeInstances", others).await;
        self.state().refused = known;
        let ((others, refused), failed) = match others {
            Ok(others) => (others, failed),
            Err(refusal) => (Default::default(), failed.or(Some(refusal))),
        };
        let machines = reads::merge(&owing, others);
        let instances = failed.map_or_else(|| Ok(machines.clone()), Err);
        // What the restart loop needs of a stopped machine is read whether or not an object asks.
        let owed =
            owing.iter().any(|instance| instance.state == InstanceState::Stopped || self.is_claim(instance));
        asked.images |= owed;
        asked.snapshots |= owed;
        let (images, snapshots) = tokio::join!(
            reads::bounded("DescribeImages", reads::images(&self.cloud, &self.owners, &asked)),
            reads::bounded("DescribeSnapshots", reads::snapshots(&self.cloud, &self.owners, &asked)),
        );
        let began_at = at.or_else(|| self.estimate(began)).unwrap_or(Timestamp::UNIX_EPOCH);
        let seen = Seen { instances: &instances, images: &images, snapshots: &snapshots, owing: &owing };
        let Tally { sightings, absences } = {
            let tally = &mut self.state().tally;
            tally.count(self.cloud.region(), &self.debt_key, &asked, began_at, &seen);
            tally.clone()
        };
        let view = View { began: began_at, instances, images, snapshots, sightings, absences };
        Sweep { view: Arc::new(view), machines, began, ended: Instant::now(), asked, refused }
    }

    /// EC2's time when `began` was, once a first reply has told it.
    fn estimate(&self, began: Instant) -> Option<Timestamp> {
        let elapsed = SignedDuration::try_from(began.elapsed()).ok()?;
        self.cloud.now()?.checked_sub(SignedDuration::from_secs(elapsed.as_secs().saturating_add(1))).ok()
    }

    fn is_claim(&self, instance: &Instance) -> bool {
        let record = instance.tags.get(&self.debt_key).and_then(|value| value.parse::<Record>().ok());
        record.is_some_and(|record| record.awaits == Awaits::Nothing)
    }

    /// Logs what could not be read, once for as long as the reason is the same.
    fn tell(&self, sweep: &Sweep) {
        let Sweep { view, asked, .. } = sweep;
        let refusals = [
            view.instances.as_ref().err(),
            view.images.as_ref().err().filter(|_| asked.images),
            view.snapshots.as_ref().err().filter(|_| asked.snapshots),
        ];
        let unread: BTreeMap<_, _> =
            refusals.into_iter().flatten().map(|refusal| (refusal.operation, refusal.clone())).collect();
        let before = std::mem::replace(&mut self.state().unread, unread.clone());
        let region = self.cloud.region();
        for (operation, refusal) in &unread {
            if before.get(operation).is_none_or(|before| before.code != refusal.code) {
                tracing::warn!(%region, %refusal, "cannot be read: it is tried again");
            }
        }
        for operation in before.keys().filter(|operation| !unread.contains_key(*operation)) {
            tracing::info!(%region, operation, "can be read again");
        }
    }

    fn publish(&self, sweep: Sweep) {
        let changed = {
            let mut state = self.state();
            let now = fingerprints(&sweep.view, &state.subscriptions);
            let moved = now.iter().filter(|(key, print)| state.fingerprints.get(key) != Some(print));
            let served = |key: &&Key| state.subscriptions.get(key).is_some_and(|it| sweep.asked.covers(it));
            let changed: BTreeSet<&Key> =
                moved.map(|(key, _)| key).chain(state.waits.waiting().filter(served)).collect();
            // Where a machine is down, the view is looked at first, while kube has a place for it (--concurrency). Among those
            // that wait for one it keeps no order.
            let urgency =
                |key| state.subscriptions.get(key).and_then(|it| it.cadence).unwrap_or(Duration::MAX);
            let changed: Vec<_> = changed.into_iter().map(|key| (key.clone(), urgency(key))).collect();
            state.fingerprints = now;
            changed
        };
        self.sweeps.send_replace(Some(Arc::new(sweep)));
        self.wakes.wake(&changed);
    }

    /// How long until the next sweep.
    fn pause(&self, sweep: &Sweep, age: Duration, cadence: &mut Cadence) -> Duration {
        let (leading, now) = (*self.leading.borrow(), self.cloud.now());
        let images = sweep.view.images.as_deref().unwrap_or_default();
        let paces = sweep.machines.iter();
        let paces = paces.filter_map(|one| Cadence::of_record(one, &self.debt_key, images, now));
        let state = self.state();
        let wanted = state.subscriptions.values().filter_map(|subscription| subscription.cadence);
        cadence.next(age, leading, wanted, paces)
    }
}

#[cfg(test)]
mod tests;
