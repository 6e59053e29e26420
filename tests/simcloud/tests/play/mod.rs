//! One table of calls, played to whoever answers the port, and what was answered as text.
//!
//! The calls are ten seconds or more apart, and instants are told by the ten seconds that they lie in: an EC2 whose
//! clock goes on meanwhile answers the same.
use std::{fmt::Debug, sync::MutexGuard, time::Duration};

use ec2sim::{ACCOUNT, Config, Grant, InstanceSeed, LogEntry, Millis, Policy, Request, Sim, VolumeSeed};
use jiff::Timestamp;
use saved_template_api::ids::{ImageId, InstanceId};
use saved_template_core::{
    cloud::{Announced, Cloud},
    ec2_error::Ec2Error,
    step::{CopyRequest, ImageRequest},
    world::{Image, Instance, Snapshot, Tags},
};

mod reads;
mod writes;

pub(crate) const START: Millis = 1_795_000_000_000;
const DAY: Millis = 86_400_000;
pub(crate) const HOME: &str = "us-west-2";
const AWAY: &str = "eu-west-1";
/// A region that the account has not enabled.
const SHUT: &str = "af-south-1";
/// The key of a caller who may only look.
pub(crate) const WEAK: &str = "AKIDWEAK";
pub(crate) const CLUSTER: &str = "lab";

/// Whoever answers, and the simulator behind it.
pub(crate) trait Stage {
    type Cloud: Cloud;

    /// EC2 in a region, for the caller with this key.
    fn cloud(&self, access_key: &str, region: &str) -> Self::Cloud;

    fn sim(&self) -> MutexGuard<'_, Sim>;

    /// Lets the simulator's clock say this.
    fn reach(&mut self, at: Millis) -> impl Future<Output = ()>;
}

/// The settings of the simulator on every stage. Nothing takes whole tens of seconds: what is due comes between two
/// calls, never with one.
pub(crate) fn config() -> Config {
    let policy = r#"{"Statement": [{"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}]}"#;
    Config {
        grants: vec![Grant::to(WEAK, vec![Policy::parse(policy).unwrap()])],
        stop: 35_000,
        start: 25_000,
        image: 305_000,
        copy: 485_000,
        name_release: 65_000,
        deregistered_shown: 65_000,
        page: 5,
        ..Config::default()
    }
}

/// What was asked, and what was answered.
pub(crate) type Rows = Vec<String>;

/// A stage under way.
pub(crate) struct Play<S: Stage> {
    stage: S,
    rows: Rows,
    at: Millis,
    home: S::Cloud,
    away: S::Cloud,
    weak: S::Cloud,
    shut: S::Cloud,
    /// A machine with two volumes.
    machine: InstanceId,
    /// Another, of which everything is special.
    special: InstanceId,
    gone: InstanceId,
}

/// Plays all of it: what was answered, and the calls that came to EC2.
pub(crate) async fn play<S: Stage>(stage: S) -> (Rows, Vec<String>) {
    let (machine, special) = {
        let mut sim = stage.sim();
        let machine = sim.seed(START - DAY, machine());
        for _ in 0..6 {
            let one =
                InstanceSeed { region: HOME.into(), name: Some("herd".into()), ..InstanceSeed::default() };
            sim.seed(START - DAY, one);
        }
        (machine, sim.seed(START - DAY, reads::special()))
    };
    let [home, away, shut] = [HOME, AWAY, SHUT].map(|region| stage.cloud(ACCOUNT, region));
    let weak = stage.cloud(WEAK, HOME);
    let mut play = Play {
        stage,
        rows: Rows::new(),
        at: START,
        home,
        away,
        weak,
        shut,
        machine: machine.parse().unwrap(),
        special: special.parse().unwrap(),
        gone: "i-00000009".parse().unwrap(),
    };
    play.reads().await;
    play.save().await;
    play.refusals().await;
    play.harm().await;
    play.late().await;
    let log = play.stage.sim().log().iter().map(call).collect();
    (play.rows, log)
}

/// A call without what differs between stages: when it came, and the user agent.
fn call(entry: &LogEntry) -> String {
    let LogEntry { ordinal, region, action, params, access_key, outcome, ids, .. } = entry;
    format!("{ordinal} {access_key} {region} {action} {params:?} {outcome:?} {ids:?}")
}

fn machine() -> InstanceSeed {
    InstanceSeed {
        region: HOME.into(),
        name: Some("quake".into()),
        volumes: vec![VolumeSeed::new("/dev/sda1", 8), VolumeSeed::new("/dev/sdf", 20)],
        ..InstanceSeed::default()
    }
}

impl<S: Stage> Play<S> {
    /// Time passes before the next call. A client whose real time stood still meanwhile learns it before a write does.
    async fn pass(&mut self, seconds: Millis) {
        self.at += seconds * 1000;
        self.stage.reach(self.at).await;
        if seconds > 10 {
            self.home.regions().await.unwrap();
        }
    }

    /// The next row.
    async fn next(&mut self) {
        self.pass(10).await;
    }

    fn note<T: Debug>(&mut self, what: &str, result: Result<T, Ec2Error>) -> Option<T> {
        let number = self.rows.len();
        self.rows.push(match &result {
            Ok(value) => format!("{number} {what}: {value:?}"),
            // Where there was no answer, the words are those of whoever lost it.
            Err(refusal) if refusal.code.is_empty() => {
                format!("{number} {what}: {} {:?}", refusal.operation, refusal.class)
            }
            Err(refusal) => format!("{number} {what}: {refusal:?}"),
        });
        result.ok()
    }

    /// A call by somebody else, which EC2 takes.
    fn user(&self, region: &str, request: &Request) {
        let reply = self.stage.sim().call(self.at, ACCOUNT, region, request);
        assert_eq!(reply.code, None, "{}", reply.body);
    }

    fn image(&self) -> ImageRequest {
        ImageRequest {
            instance: self.machine.clone(),
            name: "quake-r1".into(),
            description: "saved & kept".into(),
            image_tags: tags(&[("a", "1"), ("b", "<2>")]),
            snapshot_tags: tags(&[("c", "3")]),
            reboot: false,
            excluded_devices: Vec::new(),
        }
    }

    fn copy(&self, source: &ImageId) -> CopyRequest {
        CopyRequest {
            source: source.clone(),
            source_region: self.home.region().clone(),
            name: "quake-r1".into(),
            description: String::new(),
            image_tags: tags(&[("a", "1")]),
            snapshot_tags: tags(&[("c", "3")]),
            token: "token".into(),
        }
    }
}

/// Announced so many seconds ago by each clock: the one that EC2 in this region has told, and ours.
fn ago(cloud: &impl Cloud, by_ec2: u64, by_us: u64) -> Announced {
    let now = cloud.now().unwrap_or_else(|| Timestamp::from_millisecond(START).unwrap());
    let instant = tokio::time::Instant::now().into_std();
    Announced {
        at: now - Duration::from_secs(by_ec2),
        instant: instant.checked_sub(Duration::from_secs(by_us)).unwrap(),
    }
}

fn fresh(cloud: &impl Cloud) -> Announced {
    ago(cloud, 0, 0)
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The ten seconds that an instant lies in.
fn tens(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second().div_euclid(10) * 10).unwrap()
}

fn machines(result: Result<Vec<Instance>, Ec2Error>) -> Result<Vec<Instance>, Ec2Error> {
    let told = |mut one: Instance| {
        one.launch_time = one.launch_time.map(tens);
        one.transition_time = one.transition_time.map(tens);
        for attachment in &mut one.attachments {
            attachment.since = attachment.since.map(tens);
        }
        one
    };
    result.map(|all| all.into_iter().map(told).collect())
}

fn images(result: Result<Vec<Image>, Ec2Error>) -> Result<Vec<Image>, Ec2Error> {
    let told = |one: Image| Image { created: one.created.map(tens), ..one };
    result.map(|all| all.into_iter().map(told).collect())
}

/// Progress is told in tenths. EC2 writes the instant of a copy into the description.
fn snapshots(result: Result<Vec<Snapshot>, Ec2Error>) -> Result<Vec<Snapshot>, Ec2Error> {
    let told = |one: Snapshot| Snapshot {
        started: one.started.map(tens),
        progress: one.progress / 10,
        description: one.description.split(" Task created on ").next().unwrap_or_default().to_owned(),
        ..one
    };
    result.map(|all| all.into_iter().map(told).collect())
}
