//! The port of this crate against the client of the product: the same table of calls, to the one in virtual time and to
//! the other over HTTP, each with a simulator of its own. The answers are the same, and so are the calls that came to EC2.
//!
//! Builds the SDK: `cargo test -p simcloud --features judge --test judge`.
#[cfg(test)]
mod play;
#[cfg(test)]
mod stage;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, MutexGuard};

    use aws_config::{BehaviorVersion, SdkConfig};
    use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
    use ec2sim::{ACCOUNT, Millis, Server, Sim};
    use jiff::Timestamp;
    use saved_template_core::restart::Signing;
    use saved_template_ec2::{Clients, Ec2, Use};

    use crate::{
        play::{CLUSTER, START, Stage, WEAK, config, play},
        stage::InProcess,
    };

    /// The client of the product, and a server whose clock is put forward before each call.
    struct OverHttp {
        server: Server,
        offset: Millis,
        /// What its clock was set to last.
        at: Millis,
        /// One for each access key.
        fleets: [(&'static str, Clients); 2],
    }

    /// The node's clock: within a day of the table's time.
    fn node() -> Timestamp {
        Timestamp::from_millisecond(START).unwrap()
    }

    impl OverHttp {
        fn new() -> Self {
            let server = Server::start(config()).unwrap();
            let fleets = [ACCOUNT, WEAK].map(|key| {
                let credentials = Credentials::new(key, "simulated", None, None, "tests");
                let config = SdkConfig::builder()
                    .behavior_version(BehaviorVersion::latest())
                    .credentials_provider(SharedCredentialsProvider::new(credentials))
                    .endpoint_url(server.url())
                    // The table's time is not the node's, and the SDK tries an AuthFailure again where its clock is off.
                    .disable_clock_skew_correction(true)
                    .build();
                (key, Clients::new(config, Arc::new(|_, _| ()), node, Signing::off(CLUSTER)))
            });
            let offset = START - server.now();
            server.set_offset(offset);
            Self { server, offset, at: START, fleets }
        }
    }

    impl Stage for OverHttp {
        type Cloud = Ec2;

        fn cloud(&self, access_key: &str, region: &str) -> Ec2 {
            let (_, clients) = self.fleets.iter().find(|(key, _)| *key == access_key).unwrap();
            clients.ec2(&region.parse().unwrap(), Use::Reconcile)
        }

        fn sim(&self) -> MutexGuard<'_, Sim> {
            let mut sim = self.server.sim();
            sim.advance(self.server.now());
            sim
        }

        async fn reach(&mut self, at: Millis) {
            let now = self.server.now();
            // Instants are told by tens of seconds, and what is due comes five seconds from each call.
            assert!(now - self.at < 4_000, "a call took {} ms: this machine is too busy", now - self.at);
            (self.at, self.offset) = (at, self.offset + at - now);
            self.server.set_offset(self.offset);
        }
    }

    /// The first place where two lists differ.
    fn difference(ours: &[String], theirs: &[String]) -> Option<String> {
        let longest = ours.len().max(theirs.len());
        let at = (0..longest).find(|at| ours.get(*at) != theirs.get(*at))?;
        Some(format!("in process: {:?}\nover HTTP:  {:?}", ours.get(at), theirs.get(at)))
    }

    #[test]
    fn the_port_in_process_answers_as_the_client_of_the_product_does_and_asks_the_same_of_ec2() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let paused = runtime.enable_time().start_paused(true).build().unwrap();
        let (rows, calls) = paused.block_on(async { Box::pin(play(InProcess::new(0))).await });
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (their_rows, their_calls) = runtime.block_on(Box::pin(play(OverHttp::new())));
        let rows = difference(&rows, &their_rows);
        let calls = difference(&calls, &their_calls);
        assert_eq!((rows, calls), (None, None));
    }
}
