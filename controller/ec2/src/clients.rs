//! The SDK clients: one for each region and use, made once and shared.
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_config::{
    AppName, BehaviorVersion, SdkConfig, environment::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain, profile::ProfileFileRegionProvider,
};
use aws_sdk_ec2::{
    Client,
    config::{
        Builder,
        retry::{RetryConfig, RetryPartition},
        timeout::TimeoutConfig,
    },
};
use saved_template_api::ids::Region;
use saved_template_core::{place::Place, rate_limit::RateLimit, records::Records, restart::Signing};

use crate::{
    clock::{Clock, NodeClock},
    observer::Observer,
    port::Ec2,
    rate_limit::Limited,
    reply_check::ReplyCheck,
};

/// What a client is used for. Each use has its own retry quota, so that neither exhausts the other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Use {
    /// Captures and the poller.
    Reconcile,
    /// The restart loop.
    Restart,
}

impl Use {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Reconcile => "reconcile",
            Self::Restart => "restart",
        }
    }

    /// The share of EC2's bucket for `StartInstances`: 5 requests at once, then 2 in a second. Reconcile only
    /// asks whether it may (`DryRun`), which EC2 counts too.
    fn starts(self) -> Limited {
        match self {
            Self::Reconcile => Limited::by(RateLimit::new(2, Duration::from_secs(1))),
            Self::Restart => Limited::by(RateLimit::new(3, Duration::from_secs(1))),
        }
    }
}

/// What the clients of one region share.
type Shared = (Arc<Clock>, Arc<Records>);

/// All clients of one AWS account. They share their credentials and, in one region, EC2's clock and what was read of records.
pub struct Clients {
    config: SdkConfig,
    observer: Observer,
    node: NodeClock,
    signing: Signing,
    shared: Mutex<HashMap<Region, Shared>>,
    made: Mutex<HashMap<(Region, Use), Ec2>>,
}

impl Clients {
    /// Reads the configuration that every AWS tool reads. Asks nobody: credentials are fetched on first use.
    pub async fn connect(observer: Observer, node: NodeClock, signing: Signing) -> Self {
        // A region that is given in no file and no variable is not looked up in the instance metadata: each client
        // names its own, and this one only says which STS is asked.
        let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(aws_config::Region::from_static("us-east-1"));
        let config = aws_config::defaults(BehaviorVersion::latest()).region(region).load().await;
        Self::new(config, observer, node, signing)
    }

    /// Clients of this configuration; their region, timeouts and retries are set here.
    pub fn new(config: SdkConfig, observer: Observer, node: NodeClock, signing: Signing) -> Self {
        Self { config, observer, node, signing, shared: Mutex::default(), made: Mutex::default() }
    }

    /// The region that the configuration names; after [`Clients::connect`], us-east-1 where it names none.
    pub fn region(&self) -> Option<Region> {
        self.config.region().and_then(|region| region.as_ref().parse().ok())
    }

    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// EC2 in one region, for one use.
    pub fn ec2(&self, region: &Region, purpose: Use) -> Ec2 {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry((region.clone(), purpose)).or_insert_with(|| self.client(region, purpose)).clone()
    }

    fn client(&self, region: &Region, purpose: Use) -> Ec2 {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let records = Records::new(self.signing.clone(), region.clone());
            (Arc::new(Clock::new(region.clone(), self.node)), Arc::new(records))
        };
        let (clock, records) = shared.entry(region.clone()).or_insert_with(new).clone();
        let name = purpose.as_str();
        let mut settings = Builder::from(&self.config)
            .region(aws_config::Region::new(region.to_string()))
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .retry_partition(RetryPartition::new(format!("savedtemplate-{region}-{name}")))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_millis(3100))
                    .operation_attempt_timeout(Duration::from_secs(20))
                    .operation_timeout(Duration::from_secs(45))
                    .build(),
            )
            .interceptor(clock.reader())
            .interceptor(ReplyCheck);
        settings.set_app_name(AppName::new("savedtemplate").ok());
        let client = Client::from_conf(settings.build());
        let observer = Arc::clone(&self.observer);
        Ec2::new(Place::own(region.clone()), client, (clock, records), observer, purpose.starts())
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("region", &self.config.region()).finish_non_exhaustive()
    }
}
