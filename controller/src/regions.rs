//! The regions of the account: for each one reader and one restart loop, started once.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use saved_template_api::ids::Region;
use saved_template_core::{
    cloud::Cloud,
    key::Key,
    refusal::{NOT_ENABLED, Refusal},
    turns::Turns,
    world::OptIn,
};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    account::Connect, args::Args, metrics::Metrics, progress::Progress, restart::Restart,
    supervisor::Supervisor, survey::Survey, wait,
};

/// One region: its reader, and the client that reconciles write with.
pub(crate) struct Desk<C> {
    pub(crate) survey: Arc<Survey<C>>,
    pub(crate) cloud: C,
    turns: Mutex<Turns>,
}

impl<C> Desk<C> {
    /// The turns in which objects make us ask about their machines.
    pub(crate) fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every region that is read.
pub(crate) struct Regions<C> {
    connect: Connect<C>,
    cluster: String,
    adopt_from: Vec<String>,
    /// `--regions`.
    named: Vec<Region>,
    drift: Duration,
    metrics: Metrics,
    progress: Progress,
    pub(crate) wake: broadcast::Sender<Key>,
    leading: watch::Receiver<bool>,
    desks: Mutex<BTreeMap<Region, Arc<Desk<C>>>>,
    /// What the account has enabled, once EC2 has told.
    enabled: Mutex<Option<BTreeSet<Region>>>,
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
/// Wakes in flight; one that is lost is made up for by the object's own next look.
const WAKES: usize = 4096;

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
            wake: broadcast::Sender::new(WAKES),
            leading,
            desks: Mutex::default(),
            enabled: Mutex::default(),
            supervisor,
            stop,
        })
    }

    /// The desk of a region; its loops are started the first time.
    pub(crate) fn desk(&self, region: &Region) -> Arc<Desk<C>> {
        let mut desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        let desk = desks.entry(region.clone()).or_insert_with(|| {
            let (sweeping, writing) = (self.connect)(region);
            let (wake, leading) = (self.wake.clone(), self.leading.clone());
            let from = &self.adopt_from;
            let survey = Arc::new(Survey::new(sweeping, &self.cluster, from, self.drift, wake, leading));
            let reading = Arc::clone(&survey);
            let (stop, progress) = (self.stop.clone(), self.progress.clone());
            self.supervisor.spawn(format!("the sweep loop of {region}"), async move {
                reading.run(&progress, &stop).await;
            });
            let restart = Restart::new(Arc::clone(&survey), self.metrics.clone());
            self.supervisor.spawn(
                format!("the restart loop of {region}"),
                restart.run(self.progress.clone(), self.stop.clone()),
            );
            Arc::new(Desk { survey, cloud: writing, turns: Mutex::default() })
        });
        Arc::clone(desk)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Desk<C>>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Whether a process that knows nothing sweeps a region, and so gives its machines back.
    pub(crate) fn covers(&self, region: &Region) -> bool {
        self.named.is_empty() || self.named.contains(region)
    }

    /// Nothing is read for an object that is gone.
    pub(crate) fn forget(&self, key: &Key) {
        for desk in self.all() {
            desk.survey.drop_interest(key);
            desk.turns().forget(key);
        }
    }

    /// Why a region is not read: a manifest may name any, and each that is read costs two loops.
    pub(crate) fn refused(&self, region: &Region) -> Option<Refusal> {
        let enabled = self.enabled.lock().unwrap_or_else(PoisonError::into_inner);
        let text = if let Some(enabled) = enabled.as_ref() {
            (!enabled.contains(region)).then(|| {
                let text = format!(
                    "{region} does not exist or is not enabled for this account: enable it, or take it out of the manifest"
                );
                (NOT_ENABLED, text)
            })
        } else {
            let desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
            (desks.len() >= UNTOLD && !desks.contains_key(region)).then(|| {
                let text = format!(
                    "{UNTOLD} regions are read already, and EC2 does not tell whether {region} is one: permit ec2:DescribeRegions"
                );
                ("", text)
            })
        };
        text.map(|(code, text)| Refusal::new("DescribeRegions", code, text))
    }

    /// Starts the loops of the regions named by the flag, else of all that the account has enabled. The `configured` one
    /// waits for nobody to tell which these are: a machine of it may be due.
    pub(crate) async fn open(&self, named: &[Region], configured: Option<&Region>) {
        for region in named.iter().chain(configured.filter(|_| named.is_empty())) {
            self.desk(region);
        }
        while !self.stop.is_cancelled() {
            let pause = match self.ask(named, configured).await {
                Ok(enabled) => {
                    for region in enabled.iter().filter(|_| named.is_empty()) {
                        self.desk(region);
                    }
                    *self.enabled.lock().unwrap_or_else(PoisonError::into_inner) = Some(enabled);
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
        let open: Vec<Region> =
            self.desks.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        let mut asked = BTreeSet::new();
        let mut refused = None;
        for region in named.iter().chain(configured).cloned().chain(open).chain(anywhere) {
            if !asked.insert(region.clone()) {
                continue;
            }
            let (cloud, _) = (self.connect)(&region);
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
    use simcloud::{Caller, Endpoint, Fleet};

    use super::*;

    #[tokio::test]
    async fn while_nobody_tells_which_regions_there_are_forty_are_read_and_no_more() {
        let stop = CancellationToken::new();
        // No loop asks anybody.
        stop.cancel();
        let endpoint = Endpoint::new(Sim::new(Config::default()), 0);
        let fleet = Fleet::new(&endpoint, Caller::default(), Signing::off("lab"));
        let (_, leading) = watch::channel(true);
        let regions = Regions::new(
            Box::new(move |region| (fleet.cloud(region), fleet.cloud(region))),
            &Args::parse_from(["controller", "--cluster-name=lab"]),
            Metrics::new(),
            Progress::default(),
            leading,
            (Supervisor::new(stop.clone()), stop),
        );
        let letter = |number: u8| char::from(b'a' + number);
        let region = |number: u8| {
            Region::parse(format!("us-{}{}-1", letter(number / 10), letter(number % 10))).unwrap()
        };
        for number in 1..=40 {
            assert_eq!(regions.refused(&region(number)), None);
            regions.desk(&region(number));
        }
        let refusal = regions.refused(&region(41)).unwrap();
        assert!(refusal.message.contains("permit ec2:DescribeRegions"), "{refusal}");
        assert_eq!(regions.refused(&region(40)), None, "it is read already");
        *regions.enabled.lock().unwrap() = Some([region(41)].into());
        assert_eq!(regions.refused(&region(41)), None, "it is told that there is one");
        assert_eq!(regions.refused(&region(40)).unwrap().code, NOT_ENABLED);
    }
}
