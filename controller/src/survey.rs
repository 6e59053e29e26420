//! The one reader of a region: shared sweeps that every reconcile and the restart loop read from.
//!
//! The cost grows with time and pages, not with the number of objects. A change that a sweep sees wakes the object
//! that it concerns.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use saved_template_api::names;
use saved_template_core::{
    cloud::Cloud,
    interest::{Interest, everything},
    refusal::Refusal,
    restart::Record,
    world::{Absence, Image, Instance, InstanceState, Sighting, Snapshot, View},
};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    key::Key,
    ledger::Ledger,
    prints,
    progress::{Loop, Progress},
    reads::{self, Asked, Known, Refused},
};

/// One sweep. What was not asked for is an error in the view, never empty.
pub(crate) struct Sweep {
    pub(crate) view: Arc<View>,
    /// Every machine that could be read. A query of one object that fails keeps no debt of another from being paid.
    pub(crate) machines: Vec<Instance>,
    began: Instant,
    asked: Asked,
    refused: Refused,
}

impl Sweep {
    /// The monotonic instant at which the first read began.
    pub(crate) const fn began(&self) -> Instant {
        self.began
    }

    fn covers(&self, interest: &Interest) -> bool {
        let all = |asked: &BTreeSet<String>, wanted: Vec<&str>| wanted.iter().all(|one| asked.contains(*one));
        self.asked.images
            && (self.asked.snapshots || !interest.snapshots)
            && all(&self.asked.instances, interest.instances.iter().map(AsRef::as_ref).collect())
            && all(&self.asked.names, interest.names.iter().map(String::as_str).collect())
            && all(&self.asked.image_ids, interest.images.iter().map(AsRef::as_ref).collect())
            && all(&self.asked.image_names, interest.image_names.iter().map(String::as_str).collect())
            && all(&self.asked.volumes, interest.volumes.iter().map(AsRef::as_ref).collect())
    }
}

#[derive(Default)]
struct State {
    interests: HashMap<Key, Interest>,
    absences: BTreeMap<String, Absence>,
    sightings: BTreeMap<(saved_template_api::InstanceId, String), Sighting>,
    prints: HashMap<Key, u64>,
    eventful: Option<Instant>,
    sweeping: Option<Instant>,
    /// Names that EC2 would not look for.
    refused: Known,
    /// What could not be read, by operation.
    unread: BTreeMap<&'static str, Refusal>,
}

/// The reader of one region.
pub(crate) struct Survey<C> {
    pub(crate) cloud: C,
    pub(crate) ledger: Ledger,
    /// The cluster tags whose images are read: ours, and that of the cluster whose heir we are.
    owners: Vec<String>,
    debt_key: String,
    drift: Duration,
    state: Mutex<State>,
    sweeps: watch::Sender<Option<Arc<Sweep>>>,
    poke: Notify,
    wake: broadcast::Sender<Key>,
    leading: watch::Receiver<bool>,
}

/// A region whose sweep has not ended for the second of these is waited for as long as the first.
const SILENT: Duration = Duration::from_secs(2);
const SILENT_AFTER: Duration = Duration::from_secs(30);
/// No two sweeps begin closer to each other than this.
const GAP: Duration = Duration::from_millis(500);
/// R8: after the start of the process.
const FIRST: [u64; 5] = [0, 5, 15, 30, 60];
const EVENTFUL: Duration = Duration::from_hours(1);
/// A replica without the lease looks at open records this often.
const STANDBY: Duration = Duration::from_secs(15);

impl<C: Cloud> Survey<C> {
    pub(crate) fn new(
        cloud: C,
        cluster: &str,
        heritage: &[String],
        drift: Duration,
        wake: broadcast::Sender<Key>,
        leading: watch::Receiver<bool>,
    ) -> Self {
        Self {
            cloud,
            ledger: Ledger::default(),
            owners: std::iter::once(cluster.to_owned()).chain(heritage.iter().cloned()).collect(),
            debt_key: names::debt_key(cluster),
            drift,
            state: Mutex::default(),
            sweeps: watch::Sender::new(None),
            poke: Notify::new(),
            wake,
            leading,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    pub(crate) fn poke(&self) {
        self.poke.notify_one();
    }

    /// The object wants nothing read any more.
    pub(crate) fn drop_interest(&self, key: &Key) {
        let mut state = self.state();
        state.interests.remove(key);
        state.prints.remove(key);
    }

    /// What was wanted read while this replica led before: objects may have gone since.
    pub(crate) fn drop_interests(&self) {
        let mut state = self.state();
        (state.interests, state.prints) = Default::default();
    }

    /// A view that holds what `interest` names: the last sweep if it does, else the next one.
    pub(crate) async fn read(
        &self,
        key: &Key,
        interest: &Interest,
        patience: Duration,
    ) -> Result<Arc<View>, Refusal> {
        let oldest = interest.cadence.map_or(Duration::from_mins(1), |cadence| cadence.saturating_mul(2));
        // Whatever begins from now on is young enough, also where a sweep takes longer than that.
        let earliest = Instant::now().checked_sub(oldest);
        let is_young = |sweep: &Sweep| earliest.is_none_or(|earliest| sweep.began >= earliest);
        let patience = if self.is_silent() { patience.min(SILENT) } else { patience };
        let mut sweeps = self.sweeps.subscribe();
        let known = self.state().interests.insert(key.clone(), interest.clone());
        let next = async {
            if known.as_ref() != Some(interest) && interest.cadence.is_some() {
                self.poke.notify_one();
            }
            loop {
                let sweep = sweeps.borrow_and_update().clone();
                if let Some(sweep) = sweep.filter(|sweep| is_young(sweep) && sweep.covers(interest)) {
                    let refused = interest.names.iter().find_map(|name| sweep.refused.get(name));
                    return Some(refused.map_or_else(|| Ok(Arc::clone(&sweep.view)), |why| Err(why.clone())));
                }
                self.poke.notify_one();
                sweeps.changed().await.ok()?;
            }
        };
        let unread =
            || Refusal::new("DescribeInstances", "", format!("{} has not answered yet", self.cloud.region()));
        tokio::time::timeout(patience, next).await.ok().flatten().unwrap_or_else(|| Err(unread()))
    }

    /// Whether a sweep does not end: whoever waits for it keeps others from being looked at.
    fn is_silent(&self) -> bool {
        self.state().sweeping.is_some_and(|since| since.elapsed() > SILENT_AFTER)
    }

    /// Sweeps for as long as the process runs.
    pub(crate) async fn run(&self, progress: &Progress, stop: &CancellationToken) {
        let born = Instant::now();
        while !stop.is_cancelled() {
            progress.round(self.cloud.region(), Loop::Sweep);
            let began = Instant::now();
            self.state().sweeping = Some(began);
            let sweep = tokio::select! {
                sweep = self.sweep() => sweep,
                () = stop.cancelled() => return,
            };
            let cadence = self.cadence(&sweep, born);
            self.tell(&sweep);
            self.publish(sweep);
            tokio::select! {
                () = crate::wait::unless_cancelled(cadence.saturating_sub(began.elapsed()).max(GAP), stop) => {}
                () = self.poked(began) => {}
            }
        }
    }

    async fn poked(&self, began: Instant) {
        self.poke.notified().await;
        let gap = GAP.saturating_sub(began.elapsed());
        let _elapsed = tokio::time::timeout(gap, std::future::pending::<()>()).await;
    }

    fn asked(&self) -> Asked {
        let state = self.state();
        let mut asked = Asked::default();
        let leading = *self.leading.borrow();
        for (key, interest) in state.interests.iter().filter(|_| leading) {
            if let Some(estate) = &interest.emptied {
                asked.emptied.insert(everything(&key.namespace, &key.name), estate.clone());
            }
            asked.image_ids.extend(interest.images.iter().map(ToString::to_string));
            asked.instances.extend(interest.instances.iter().map(ToString::to_string));
            asked.names.extend(interest.names.iter().cloned());
            asked.image_names.extend(interest.image_names.iter().cloned());
            asked.volumes.extend(interest.volumes.iter().map(ToString::to_string));
            asked.images = true;
            asked.snapshots |= interest.snapshots;
        }
        asked.instances.extend(self.ledger.records().iter().map(|record| record.instance.to_string()));
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
        let (sightings, absences) = self.account(&asked, began_at, &seen);
        let view = View { began: began_at, instances, images, snapshots, sightings, absences };
        Sweep { view: Arc::new(view), machines, began, asked, refused }
    }

    /// EC2's time when `began` was, once a first reply has told it.
    fn estimate(&self, began: Instant) -> Option<Timestamp> {
        let elapsed = SignedDuration::try_from(began.elapsed()).ok()?;
        self.cloud.now()?.checked_sub(SignedDuration::from_secs(elapsed.as_secs().saturating_add(1))).ok()
    }

    fn is_claim(&self, instance: &Instance) -> bool {
        let record = instance.tags.get(&self.debt_key).and_then(|value| value.parse::<Record>().ok());
        record.is_some_and(|record| record.awaits == saved_template_core::restart::Awaits::Nothing)
    }

    /// Counts what was seen again, and what was looked for in vain.
    fn account(
        &self,
        asked: &Asked,
        began: Timestamp,
        seen: &Seen<'_>,
    ) -> (BTreeMap<(saved_template_api::InstanceId, String), Sighting>, BTreeMap<String, Absence>) {
        let Seen { instances, images, snapshots, owing } = *seen;
        let mut state = self.state();
        if let Ok(instances) = instances {
            let ours = owing.iter().filter_map(|instance| {
                Some((instance.id.clone(), instance.tags.get(&self.debt_key)?.clone()))
            });
            // Those of other installations, on machines that are read: how long they have stood still.
            let others = instances.iter().flat_map(|instance| {
                let is_others =
                    |key: &String| key.starts_with(names::tag::DEBT_PREFIX) && *key != self.debt_key;
                let foreign = instance.tags.iter().filter(move |(key, _)| is_others(key));
                foreign.map(|(_, value)| (instance.id.clone(), value.clone()))
            });
            let values = ours.chain(others);
            let before = std::mem::take(&mut state.sightings);
            state.sightings = values
                .map(|seen| {
                    let first = before.get(&seen).map_or(began, |sighting| sighting.first);
                    (seen, Sighting { first, last: began })
                })
                .collect();
            let seen: BTreeSet<&str> = instances.iter().map(|instance| instance.id.as_str()).collect();
            count(&mut state.absences, &asked.instances, &seen, began);
        }
        if let Ok(images) = images {
            let seen: BTreeSet<&str> = images.iter().map(|image| image.name.as_str()).collect();
            count(&mut state.absences, &asked.image_names, &seen, began);
            let seen: BTreeSet<&str> = images.iter().map(|image| image.id.as_str()).collect();
            count(&mut state.absences, &asked.image_ids, &seen, began);
        }
        if let (Ok(images), Ok(snapshots)) = (images, snapshots) {
            let region = self.cloud.region();
            let left = asked.emptied.iter().filter(|(_, estate)| estate.is_left(region, images, snapshots));
            let left: BTreeSet<&str> = left.map(|(key, _)| key.as_str()).collect();
            count(&mut state.absences, &asked.emptied.keys().cloned().collect(), &left, began);
        }
        let sets = [&asked.instances, &asked.image_names, &asked.image_ids];
        let is_asked =
            |what: &String| asked.emptied.contains_key(what) || sets.iter().any(|set| set.contains(what));
        state.absences.retain(|what, _| is_asked(what));
        (state.sightings.clone(), state.absences.clone())
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
            let now = prints::of(&sweep.view, &state.interests);
            let changed: Vec<Key> = now
                .iter()
                .filter(|(key, print)| state.prints.get(key) != Some(print))
                .map(|(key, _)| key.clone())
                .collect();
            state.prints = now;
            state.sweeping = None;
            changed
        };
        self.sweeps.send_replace(Some(Arc::new(sweep)));
        for key in changed {
            // Nobody listens while another replica leads.
            let _listeners = self.wake.send(key);
        }
    }

    /// How long until the next sweep.
    fn cadence(&self, sweep: &Sweep, born: Instant) -> Duration {
        let leading = *self.leading.borrow();
        let mut state = self.state();
        let records: Vec<Duration> =
            self.open_records(sweep).map(|pace| if leading { pace } else { STANDBY }).collect();
        if !records.is_empty() {
            state.eventful = Some(Instant::now());
        }
        let wanted = state.interests.values().filter(|_| leading).filter_map(|interest| interest.cadence);
        let busy = wanted.chain(records).min();
        let age = born.elapsed();
        let first = FIRST
            .iter()
            .map(|seconds| Duration::from_secs(*seconds))
            .find(|at| *at > age)
            .map(|at| at.saturating_sub(age));
        let eventful = state.eventful.is_some_and(|last| last.elapsed() < EVENTFUL);
        let idle = first.unwrap_or(if eventful { Duration::from_mins(1) } else { self.drift });
        busy.unwrap_or(idle).min(idle)
    }

    /// R8: how often each open record is looked at.
    fn open_records<'v>(&'v self, sweep: &'v Sweep) -> impl Iterator<Item = Duration> + 'v {
        sweep.machines.iter().filter_map(|instance| {
            let record: Record = instance.tags.get(&self.debt_key)?.parse().ok()?;
            let is_honest = self.cloud.now().is_none_or(|now| record.is_plausible(now));
            if record.instance != instance.id || !is_honest {
                return None;
            }
            let waits_for_image = record.awaits == saved_template_core::restart::Awaits::Image;
            let imaged =
                sweep.view.images.as_deref().unwrap_or_default().iter().any(|image| record.made(image));
            Some(match instance.state {
                InstanceState::Running => Duration::from_secs(5),
                InstanceState::Stopped if waits_for_image && imaged => Duration::from_secs(15),
                InstanceState::Stopped | InstanceState::Stopping | InstanceState::Pending => {
                    Duration::from_secs(2)
                }
                InstanceState::ShuttingDown | InstanceState::Terminated | InstanceState::Unknown => {
                    Duration::from_secs(30)
                }
            })
        })
    }
}

/// What one sweep read.
#[derive(Clone, Copy)]
struct Seen<'s> {
    instances: &'s Result<Vec<Instance>, Refusal>,
    images: &'s Result<Vec<Image>, Refusal>,
    snapshots: &'s Result<Vec<Snapshot>, Refusal>,
    owing: &'s [Instance],
}

fn count(
    absences: &mut BTreeMap<String, Absence>,
    asked: &BTreeSet<String>,
    seen: &BTreeSet<&str>,
    began: Timestamp,
) {
    for what in asked {
        if seen.contains(what.as_str()) {
            absences.remove(what);
        } else {
            let absence = absences.entry(what.clone()).or_insert(Absence { since: began, reads: 0 });
            absence.reads = absence.reads.saturating_add(1);
        }
    }
}
