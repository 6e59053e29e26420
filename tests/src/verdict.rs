//! Verdicts on the invariants of docs/protocol.md (I1-I15, L1-L4), and the histories that they were given on.
//!
//! With `SAVEDTEMPLATE_NEGATE=I6` each verdict on I6 is turned around: a test that judges it must fail then, or it judges
//! nothing. With `SAVEDTEMPLATE_HISTORIES=<file>` every lab leaves a line there when it ends.
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::OpenOptions,
    io::Write as _,
    sync::OnceLock,
};

use ec2sim::{LogEntry, Millis, Sim};
use saved_template_api::names::tag::DEBT_PREFIX;
use serde::{Deserialize, Serialize};

use crate::OUR_CALLS;

/// The environment variable that names the file of histories.
pub const HISTORIES: &str = "SAVEDTEMPLATE_HISTORIES";

/// The environment variable that names the invariant whose verdicts are turned around.
pub const NEGATE: &str = "SAVEDTEMPLATE_NEGATE";

/// One history that was judged: what EC2 knows of it.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Whether processes were real (`flow`) or the world was in one (`world`).
    pub tier: String,
    /// The test.
    pub test: String,
    /// Which of the test's histories.
    #[serde(default)]
    pub cell: String,
    /// From each effective stop by a controller to `running`, in milliseconds of EC2's clock.
    #[serde(default)]
    pub downtimes: Vec<Millis>,
    /// The effective changes of the controllers, by action.
    #[serde(default)]
    pub calls: BTreeMap<String, usize>,
    /// What was done once too often.
    #[serde(default)]
    pub surplus: BTreeMap<String, usize>,
}

/// The verdict of a test on an invariant.
///
/// # Panics
/// Unless it holds.
#[track_caller]
pub fn assert_holds(invariant: &str, holds: bool, evidence: impl FnOnce() -> String) {
    static NEGATED: OnceLock<Option<OsString>> = OnceLock::new();
    let negated = NEGATED.get_or_init(|| std::env::var_os(NEGATE));
    let wanted = negated.as_ref().is_none_or(|negated| negated.as_os_str() != invariant);
    assert!(holds == wanted, "{invariant}: {}", evidence());
}

/// Leaves the history of a lab in the file, if one is named.
pub(crate) fn note(test: &str, cell: &str, sim: &Sim) {
    let Some(file) = std::env::var_os(HISTORIES) else { return };
    let history = History {
        tier: "flow".to_owned(),
        test: test.to_owned(),
        cell: cell.to_owned(),
        downtimes: downtimes(sim),
        calls: calls(sim),
        surplus: surplus(sim),
    };
    if let Err(error) = append(&file, &history) {
        eprintln!("{HISTORIES}: {error:#}");
    }
}

fn append(file: &OsString, history: &History) -> anyhow::Result<()> {
    let line = serde_json::to_string(history)? + "\n";
    Ok(OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())?)
}

fn ours(sim: &Sim) -> impl Iterator<Item = &LogEntry> {
    sim.log().iter().filter(|entry| entry.is_effective() && entry.agent.contains(OUR_CALLS))
}

/// The effective changes of the controllers, by action.
pub fn calls(sim: &Sim) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for entry in ours(sim) {
        *calls.entry(entry.action.clone()).or_default() += 1;
    }
    calls
}

/// Stops that took a machine down more often than there were records on it, second images of a name in a region, and
/// second deregistrations of an image.
fn surplus(sim: &Sim) -> BTreeMap<String, usize> {
    let mut surplus = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut names = BTreeMap::new();
    for entry in ours(sim) {
        let is_second = match entry.action.as_str() {
            "DeregisterImage" => !seen.insert((&entry.region, &entry.ids)),
            // The same request, sent again with its token, gives the same image.
            "CreateImage" | "CopyImage" => {
                *names.entry((&entry.region, entry.params.get("Name"))).or_insert(&entry.ids) != &entry.ids
            }
            _ => false,
        };
        if is_second {
            *surplus.entry(entry.action.clone()).or_default() += 1;
        }
    }
    let planned = planned(sim);
    for (machine, times) in stopped(sim) {
        let more = times.len().saturating_sub(planned.get(&machine).map_or(0, BTreeSet::len));
        if more > 0 {
            *surplus.entry("StopInstances".to_owned()).or_default() += more;
        }
    }
    surplus
}

/// The captures for which a record was put on each machine.
fn planned(sim: &Sim) -> BTreeMap<String, BTreeSet<&str>> {
    let mut captures: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for entry in ours(sim).filter(|entry| entry.action == "CreateTags") {
        let value = |key: &str| entry.params.get(&key.replace(".Key", ".Value"));
        let records = entry.params.iter().filter(|(_, key)| key.starts_with(DEBT_PREFIX));
        for capture in
            records.filter_map(|(name, _)| value(name)?.split(' ').find(|word| word.starts_with("c=")))
        {
            for id in &entry.ids {
                captures.entry(id.clone()).or_default().insert(capture);
            }
        }
    }
    captures
}

/// When each machine was taken down by one of our stops, and when it ran again.
fn stopped(sim: &Sim) -> BTreeMap<String, BTreeMap<Millis, Option<Millis>>> {
    let mut all: BTreeMap<String, BTreeMap<Millis, Option<Millis>>> = BTreeMap::new();
    for stop in ours(sim).filter(|entry| entry.action == "StopInstances") {
        let Some(place) = sim.place(&stop.account, &stop.region) else { continue };
        for machine in stop.ids.iter().filter_map(|id| place.instances.get(id)) {
            let hit = machine.downtimes().into_iter().filter(|(from, _)| *from == stop.at);
            all.entry(machine.id.clone()).or_default().extend(hit);
        }
    }
    all
}

/// How long each machine was down that a controller stopped and that runs again, in milliseconds.
pub fn downtimes(sim: &Sim) -> Vec<Millis> {
    stopped(sim).into_values().flatten().filter_map(|(from, to)| Some(to? - from)).collect()
}

#[cfg(test)]
mod tests {
    use ec2sim::{ACCOUNT, Config, InstanceSeed, Request, SECOND};

    use super::*;

    const HOME: &str = "us-west-2";

    struct World {
        sim: Sim,
        now: Millis,
        id: String,
    }

    impl World {
        fn new() -> Self {
            let (mut sim, now) = (Sim::new(Config::default()), 1_795_506_418_000);
            let id = sim.seed(now, InstanceSeed { region: HOME.to_owned(), ..InstanceSeed::default() });
            Self { sim, now, id }
        }

        /// A call of ours, and two minutes.
        fn call(&mut self, action: &str, params: &[(&str, &str)]) {
            let mut request = Request::new(action).by(OUR_CALLS);
            for (name, value) in params {
                request = request.with(name, *value);
            }
            let reply = self.sim.call(self.now, ACCOUNT, HOME, &request);
            assert_eq!(reply.code, None, "{}", reply.body);
            self.now += 120 * SECOND;
            self.sim.advance(self.now);
        }

        fn power(&mut self, action: &str) {
            let id = self.id.clone();
            self.call(action, &[("InstanceId.1", &id)]);
        }

        fn plan(&mut self, capture: &str) {
            let (id, value) = (self.id.clone(), format!("v1 i={} c={capture} o=x", self.id));
            let key = format!("{DEBT_PREFIX}a51146d3");
            self.call("CreateTags", &[("ResourceId.1", &id), ("Tag.1.Key", &key), ("Tag.1.Value", &value)]);
        }

        fn image(&mut self, name: &str) {
            let id = self.id.clone();
            self.call("CreateImage", &[("InstanceId", &id), ("Name", name), ("NoReboot", "true")]);
        }
    }

    #[test]
    fn a_machine_may_go_down_once_for_each_record_and_a_stop_without_effect_is_no_stop() {
        let mut world = World::new();
        world.plan("1");
        world.power("StopInstances");
        world.power("StopInstances");
        world.power("StartInstances");
        assert_eq!(surplus(&world.sim), BTreeMap::new());
        assert_eq!(calls(&world.sim)["StopInstances"], 2);
        assert_eq!(downtimes(&world.sim), [260_000]);
        world.plan("1");
        world.power("StopInstances");
        assert_eq!(surplus(&world.sim), [("StopInstances".to_owned(), 1)].into());
        world.plan("2");
        assert_eq!(surplus(&world.sim), BTreeMap::new());
    }

    #[test]
    fn a_name_has_one_image_and_an_image_is_deregistered_once() {
        let mut world = World::new();
        world.image("quake-r1");
        world.image("quake-r2");
        assert_eq!(surplus(&world.sim), BTreeMap::new());
        let made = world.sim.log()[0].ids.iter().find(|id| id.starts_with("ami-")).unwrap().clone();
        world.call("DeregisterImage", &[("ImageId", &made)]);
        assert_eq!(surplus(&world.sim), BTreeMap::new());
        world.image("quake-r1");
        assert_eq!(surplus(&world.sim), [("CreateImage".to_owned(), 1)].into());
    }
}
