//! The places that are worked in, each a region of an account: for each one reader and one restart loop, started once.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use saved_template_api::ids::{AccountId, Region};
use saved_template_core::{
    cloud::Cloud,
    ec2_error::{Ec2Error, NOT_ENABLED},
    key::Key,
    place::Place,
    subscription::Subscription,
    turns::Turns,
    world::OptIn,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    account::Connect, args::Args, metrics::Metrics, poller::Poller, progress::Progress, restart::Restart,
    supervisor::Supervisor, wait, wakes::Wakes,
};

/// One place: its reader, and the client that reconciles write with.
pub(crate) struct RegionHandle<C> {
    pub(crate) poller: Arc<Poller<C>>,
    pub(crate) cloud: C,
    turns: Mutex<Turns>,
}

impl<C> RegionHandle<C> {
    /// The turns in which objects make us ask about their machines.
    pub(crate) fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Cloud> RegionHandle<C> {
    /// The handle of another region of the same account.
    pub(crate) fn beside(&self, region: &Region, regions: &Regions<C>) -> Arc<Self> {
        regions.handle(&self.cloud.place().beside(region))
    }
}

/// Every place that is read.
pub(crate) struct Regions<C> {
    connect: Connect<C>,
    cluster: String,
    adopt_from: Vec<String>,
    /// `--regions`.
    named: Vec<Region>,
    drift: Duration,
    metrics: Metrics,
    progress: Progress,
    pub(crate) wakes: Arc<Wakes>,
    leading: watch::Receiver<bool>,
    handles: Mutex<BTreeMap<Place, Arc<RegionHandle<C>>>>,
    /// What an account has enabled, once EC2 has told: under none the controller's own.
    enabled: Mutex<BTreeMap<Option<AccountId>, BTreeSet<Region>>>,
    supervisor: Supervisor,
    stop: CancellationToken,
}

/// How often the account is asked for its regions: at first, and once they are known.
const RETRY: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_hours(1);
/// A region of each partition that nobody has to opt in to ("AWS Regions", AWS General Reference).
const PARTITIONS: [&str; 4] = ["us-east-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"];
/// Regions that are read while nobody tells which ones there are: about as many as AWS has.
const UNTOLD: usize = 40;

impl<C: Cloud> Regions<C> {
    pub(crate) fn new(
        connect: Connect<C>,
        args: &Args,
        metrics: Metrics,
        progress: Progress,
        leading: watch::Receiver<bool>,
        (supervisor, stop): (Supervisor, CancellationToken),
    ) -> Arc<Self> {
        Arc::new(Self {
            connect,
            cluster: args.cluster_name.clone(),
            adopt_from: args.adopt_from.clone(),
            named: args.regions.clone(),
            drift: args.drift(),
            metrics,
            progress,
            wakes: Arc::default(),
            leading,
            handles: Mutex::default(),
            enabled: Mutex::default(),
            supervisor,
            stop,
        })
    }

    /// The handle of a place; its loops are started the first time.
    pub(crate) fn handle(&self, place: &Place) -> Arc<RegionHandle<C>> {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = handles.entry(place.clone()).or_insert_with(|| {
            let (sweeping, writing) = (self.connect)(place);
            let (wakes, leading) = (Arc::clone(&self.wakes), self.leading.clone());
            let from = &self.adopt_from;
            let poller = Arc::new(Poller::new(sweeping, &self.cluster, from, self.drift, wakes, leading));
            let reading = Arc::clone(&poller);
            let (stop, progress) = (self.stop.clone(), self.progress.clone());
            self.supervisor.spawn(format!("the sweep loop of {place}"), async move {
                reading.run(&progress, &stop).await;
            });
            let restart = Restart::new(Arc::clone(&poller), self.metrics.clone());
            self.supervisor.spawn(
                format!("the restart loop of {place}"),
                restart.run(self.progress.clone(), self.stop.clone()),
            );
            Arc::new(RegionHandle { poller, cloud: writing, turns: Mutex::default() })
        });
        Arc::clone(handle)
    }

    pub(crate) fn all(&self) -> Vec<Arc<RegionHandle<C>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Whether a process that knows nothing sweeps a place, and so gives its machines back.
    pub(crate) fn covers(&self, place: &Place) -> bool {
        self.named.is_empty() || self.named.contains(&place.region)
    }

    /// Nothing is read for an object where it wants nothing.
    pub(crate) fn unsubscribe(&self, key: &Key, wanted: &BTreeMap<Place, Subscription>) {
        for handle in self.all().iter().filter(|handle| !wanted.contains_key(handle.cloud.place())) {
            handle.poller.unsubscribe(key);
        }
    }

    /// Nothing is read for an object that is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.unsubscribe(key, &BTreeMap::new());
        self.all().iter().for_each(|handle| handle.turns().forget(key));
    }

    /// Why a place is not read: a manifest may name any, and each that is read costs two loops.
    pub(crate) fn refused(&self, place: &Place) -> Option<Ec2Error> {
        let region = &place.region;
        let enabled = self.enabled.lock().unwrap_or_else(PoisonError::into_inner);
        let text = if let Some(enabled) = enabled.get(&place.account().cloned()) {
            (!enabled.contains(region)).then(|| {
                let text = format!(
                    "{region} does not exist or is not enabled for this account: enable it, or take it out of the manifest"
                );
                (NOT_ENABLED, text)
            })
        } else {
            let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
            (handles.len() >= UNTOLD && !handles.contains_key(place)).then(|| {
                let text = format!(
                    "{UNTOLD} regions are read already, and EC2 does not tell whether {region} is one: permit ec2:DescribeRegions"
                );
                ("", text)
            })
        };
        text.map(|(code, text)| Ec2Error::new("DescribeRegions", code, text))
    }

    /// Starts the loops of the regions named by the flag, else of all that the account has enabled. The `configured` one
    /// waits for nobody to tell which these are: a machine of it may be due.
    pub(crate) async fn open(&self, named: &[Region], configured: Option<&Region>) {
        for region in named.iter().chain(configured.filter(|_| named.is_empty())) {
            self.handle(&Place::own(region.clone()));
        }
        while !self.stop.is_cancelled() {
            let pause = match self.ask(named, configured).await {
                Ok(enabled) => {
                    for region in enabled.iter().filter(|_| named.is_empty()) {
                        self.handle(&Place::own(region.clone()));
                    }
                    self.enabled.lock().unwrap_or_else(PoisonError::into_inner).insert(None, enabled);
                    AGAIN
                }
                Err(error) => {
                    tracing::error!(
                        %error,
                        "the account's regions cannot be read, so that machines are given back in --regions and in the configured region only"
                    );
                    RETRY
                }
            };
            wait::unless_cancelled(pause, &self.stop).await;
        }
    }

    /// Any region of the partition can say which ones there are, if its use is allowed.
    async fn ask(&self, named: &[Region], configured: Option<&Region>) -> anyhow::Result<BTreeSet<Region>> {
        let anywhere = PARTITIONS.into_iter().filter_map(|name| Region::parse(name).ok());
        let handles = self.all();
        let own = handles.iter().map(|handle| handle.cloud.place()).filter(|place| place.account().is_none());
        let open: Vec<Region> = own.map(|place| place.region.clone()).collect();
        let mut asked = BTreeSet::new();
        let mut refused = None;
        for region in named.iter().chain(configured).cloned().chain(open).chain(anywhere) {
            if !asked.insert(region.clone()) {
                continue;
            }
            let (cloud, _) = (self.connect)(&Place::own(region));
            match cloud.regions().await {
                Ok(known) => {
                    let enabled = known.into_iter().filter(|(_, opt_in)| *opt_in == OptIn::Enabled);
                    return Ok(enabled.map(|(region, _)| region).collect());
                }
                Err(refusal) => refused = refused.or(Some(refusal)),
            }
        }
        Err(refused.map_or_else(|| anyhow::anyhow!("no region to ask"), Into::into))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use ec2sim::{Config, Sim};
    use saved_template_core::restart::Signing;
    use simcloud::{Caller, Clients, Endpoint};

    use super::*;

    #[tokio::test]
    async fn while_nobody_tells_which_regions_there_are_forty_are_read_and_no_more() {
        let stop = CancellationToken::new();
        // No loop asks anybody.
        stop.cancel();
        let endpoint = Endpoint::new(Sim::new(Config::default()), 0);
        let clients = Clients::new(&endpoint, Caller::default(), Signing::off("lab"));
        let (_, leading) = watch::channel(true);
        let regions = Regions::new(
            Box::new(move |place| (clients.cloud(&place.region), clients.cloud(&place.region))),
            &Args::parse_from(["controller", "--cluster-name=lab"]),
            Metrics::new(),
            Progress::default(),
            leading,
            (Supervisor::new(stop.clone()), stop),
        );
        let letter = |number: u8| char::from(b'a' + number);
        let region = |number: u8| {
            Place::own(format!("us-{}{}-1", letter(number / 10), letter(number % 10)).parse().unwrap())
        };
        for number in 1..=40 {
            assert_eq!(regions.refused(&region(number)), None);
            regions.handle(&region(number));
        }
        let refusal = regions.refused(&region(41)).unwrap();
        assert!(refusal.message.contains("permit ec2:DescribeRegions"), "{refusal}");
        assert_eq!(regions.refused(&region(40)), None, "it is read already");
        regions.enabled.lock().unwrap().insert(None, [region(41).region].into());
        assert_eq!(regions.refused(&region(41)), None, "it is told that there is one");
        assert_eq!(regions.refused(&region(40)).unwrap().code, NOT_ENABLED);
    }
}
