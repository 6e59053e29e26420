//! The port of this crate as a stage; time must be paused.
use std::{sync::MutexGuard, time::Duration};

use ec2sim::{ACCOUNT, Millis, Sim};
use saved_template_core::restart::Signing;
use simcloud::{Caller, Clients, Endpoint, SimCloud};

use crate::play::{CLUSTER, START, Stage, config};

pub(crate) struct InProcess {
    endpoint: Endpoint,
    /// How much later than the table says a call may come.
    delay: Millis,
    /// One for each access key.
    fleets: [(&'static str, Clients); 2],
}

impl InProcess {
    pub(crate) fn new(delay: Millis) -> Self {
        let endpoint = Endpoint::new(Sim::new(config()), START);
        let fleets = [ACCOUNT, crate::play::WEAK].map(|key| {
            let caller = Caller { access_key: key.to_owned(), ..Caller::default() };
            (key, Clients::new(&endpoint, caller, Signing::off(CLUSTER)))
        });
        Self { endpoint, delay, fleets }
    }
}

impl Stage for InProcess {
    type Cloud = SimCloud;

    fn cloud(&self, access_key: &str, region: &str) -> SimCloud {
        let (_, clients) = self.fleets.iter().find(|(key, _)| *key == access_key).unwrap();
        clients.cloud(&region.parse().unwrap())
    }

    fn sim(&self) -> MutexGuard<'_, Sim> {
        self.endpoint.sim()
    }

    async fn reach(&mut self, at: Millis) {
        // Another one for each call, in no order.
        let late = (at / 1000 * 7919).rem_euclid(self.delay + 1);
        let left = u64::try_from(at + late - self.endpoint.now()).unwrap();
        tokio::time::advance(Duration::from_millis(left)).await;
    }
}
