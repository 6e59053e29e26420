//! Verdicts on the invariants of the design (I1-I15, L1-L4), and the histories that they were given on.
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

use ec2sim::{Instance, LogEntry, Millis, Sim};
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
    /// Those of them that were made once too often.
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

/// Stops of a machine that was stopping or stopped already, second images of a name in a region, and second
/// deregistrations of an image. A stop by force is another request.
fn surplus(sim: &Sim) -> BTreeMap<String, usize> {
    let mut surplus = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut names = BTreeMap::new();
    for entry in ours(sim) {
        let is_forced = entry.params.get("Force").is_some_and(|value| value == "true");
        let is_second = match entry.action.as_str() {
            "StopInstances" => !is_forced && !has_stopped(sim, entry),
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
    surplus
}

/// Whether a stop took a machine out of `running`.
fn has_stopped(sim: &Sim, stop: &LogEntry) -> bool {
    let place = sim.place(&stop.account, &stop.region);
    let machines = stop.ids.iter().filter_map(|id| place?.instances.get(id));
    machines.flat_map(Instance::downtimes).any(|(from, _)| from == stop.at)
}

/// How long each machine was down that a controller stopped and that runs again, in milliseconds.
pub fn downtimes(sim: &Sim) -> Vec<Millis> {
    let stops = ours(sim).filter(|entry| entry.action == "StopInstances");
    let mut all = Vec::new();
    for stop in stops {
        let Some(place) = sim.place(&stop.account, &stop.region) else { continue };
        let machines = stop.ids.iter().filter_map(|id| place.instances.get(id));
        let hit = machines.flat_map(Instance::downtimes).filter(|(from, _)| *from == stop.at);
        all.extend(hit.filter_map(|(from, to)| Some(to? - from)));
    }
    all
}
