//! What the port answers, held against the simulator's own state.
use std::time::Duration;

use ec2sim::{ACCOUNT, Config, InstanceSeed, Millis, Place, Request, Sim, VolumeSeed};
use jiff::Timestamp;
use saved_template_api::ids::{InstanceId, Region};
use saved_template_core::{
    cloud::{Announced, Cloud},
    restart::Signing,
    step::{CopyRequest, ImageRequest},
    world::Tags,
};
use tokio::time::{Instant, advance};

use crate::{Caller, Clients, Endpoint, Hook, SimCloud};

mod harm;
mod reads;
mod writes;

const START: Millis = 1_795_000_000_000;
const HOME: &str = "us-west-2";
const AWAY: &str = "eu-west-1";

struct Lab {
    endpoint: Endpoint,
    clients: Clients,
    cloud: SimCloud,
    id: InstanceId,
}

impl Lab {
    fn new() -> Self {
        Self::of(Config::default())
    }

    fn of(config: Config) -> Self {
        Self::hooked(config, None)
    }

    /// A machine with two volumes.
    fn hooked(config: Config, hook: Option<Hook>) -> Self {
        let mut sim = Sim::new(config);
        let seed = InstanceSeed {
            region: HOME.into(),
            name: Some("quake".into()),
            volumes: vec![VolumeSeed::new("/dev/sda1", 8), VolumeSeed::new("/dev/sdf", 20)],
            ..InstanceSeed::default()
        };
        let id = sim.seed(START - 86_400_000, seed).parse().unwrap();
        let endpoint = Endpoint::new(sim, START);
        let clients = Clients::new(&endpoint, Caller::default(), Signing::off("lab"));
        let clients = match hook {
            Some(hook) => clients.with_hook(hook),
            None => clients,
        };
        let cloud = clients.cloud(&region(HOME));
        Self { endpoint, clients, cloud, id }
    }

    fn place(&self, region: &str) -> Place {
        self.endpoint.sim().place(ACCOUNT, region).cloned().unwrap_or_default()
    }

    fn instance(&self) -> ec2sim::Instance {
        self.place(HOME).instances[self.id.as_str()].clone()
    }

    /// A call by somebody else, which EC2 takes.
    fn user(&self, request: &Request) {
        let now = self.endpoint.now();
        let reply = self.endpoint.sim().call(now, ACCOUNT, HOME, request);
        assert_eq!(reply.code, None, "{}", reply.body);
    }

    /// How many calls of an operation came to EC2, dry runs among them.
    fn count(&self, action: &str) -> usize {
        self.endpoint.sim().log().iter().filter(|entry| entry.action == action).count()
    }

    async fn pass(&self, seconds: u64) {
        advance(Duration::from_secs(seconds)).await;
        drop(self.endpoint.sim());
    }

    fn image(&self) -> ImageRequest {
        ImageRequest {
            instance: self.id.clone(),
            name: "quake-r1".into(),
            description: "saved".into(),
            image_tags: tags(&[("a", "1"), ("b", "2")]),
            snapshot_tags: tags(&[("c", "3")]),
            reboot: false,
            excluded_devices: Vec::new(),
        }
    }
}

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Announced this moment.
fn fresh(cloud: &SimCloud) -> Announced {
    let at = cloud.now().unwrap_or(Timestamp::from_millisecond(START).unwrap());
    Announced { at, instant: Instant::now().into_std() }
}

fn copy_of(source: &saved_template_api::ids::ImageId) -> CopyRequest {
    CopyRequest {
        source: source.clone(),
        source_region: region(HOME),
        name: "quake-r1".into(),
        description: String::new(),
        image_tags: tags(&[("a", "1")]),
        snapshot_tags: Tags::new(),
        token: "token".into(),
    }
}

fn seconds(millis: Millis) -> Timestamp {
    Timestamp::from_second(millis.div_euclid(1000)).unwrap()
}
