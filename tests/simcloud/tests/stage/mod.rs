//! The port of this crate as a stage; time must be paused.
use std::{sync::MutexGuard, time::Duration};

use ec2sim::{ACCOUNT, Millis, Sim};
use saved_template_core::restart::Signing;
use simcloud::{Caller, Endpoint, Fleet, SimCloud};

use crate::play::{CLUSTER, START, Stage, config};

pub(crate) struct InProcess {
    endpoint: Endpoint,
    /// One for each access key.
    fleets: [(&'static str, Fleet); 2],
}

impl InProcess {
    pub(crate) fn new() -> Self {
        let endpoint = Endpoint::new(Sim::new(config()), START);
        let fleets = [ACCOUNT, crate::play::WEAK].map(|key| {
            let caller = Caller { access_key: key.to_owned(), ..Caller::default() };
            (key, Fleet::new(&endpoint, caller, Signing::off(CLUSTER)))
        });
        Self { endpoint, fleets }
    }
}

impl Stage for InProcess {
    type Cloud = SimCloud;

    fn cloud(&self, access_key: &str, region: &str) -> SimCloud {
        let (_, fleet) = self.fleets.iter().find(|(key, _)| *key == access_key).unwrap();
        fleet.cloud(&region.parse().unwrap())
    }

    fn sim(&self) -> MutexGuard<'_, Sim> {
        self.endpoint.sim()
    }

    async fn reach(&mut self, at: Millis) {
        let left = u64::try_from(at - self.endpoint.now()).unwrap_or_default();
        tokio::time::advance(Duration::from_millis(left)).await;
    }
}
