//! What EC2 knows: read from the simulator's stores and log, never from a status.
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use ec2sim::{ACCOUNT, Image, ImageState, Instance, LogEntry, Millis, Outcome, Sim, Snapshot};

use crate::{
    OUR_CALLS,
    demo::{
        screen::seconds,
        stage::{Play, Stage},
    },
};

/// Something that happened in EC2.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fact {
    pub(super) at: Millis,
    pub(super) who: String,
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// What became of one machine.
pub(super) struct Truth {
    pub(super) instance: Instance,
    /// Images of the machine, in its region.
    pub(super) images: Vec<Image>,
    /// Copies of them, with their regions.
    pub(super) copies: Vec<(String, Image)>,
    /// Snapshots of those images.
    pub(super) snapshots: Vec<Snapshot>,
    /// Effective calls for this machine.
    pub(super) stops: usize,
    pub(super) creates: usize,
    /// How often each image was asked to be copied, in sum.
    pub(super) copy_calls: usize,
}

impl Truth {
    /// From the first `stopping` until it ran again; nothing if it did not.
    pub(super) fn downtime(&self) -> Option<Millis> {
        let downtimes = self.instance.downtimes();
        downtimes
            .iter()
            .map(|(from, to)| to.map(|to| to - from))
            .sum::<Option<Millis>>()
            .filter(|sum| *sum > 0)
    }

    /// When it ran again.
    pub(super) fn ran_again(&self) -> Option<Millis> {
        self.instance.downtimes().last()?.1
    }

    /// When its image became available.
    pub(super) fn available(&self) -> Option<Millis> {
        self.images.iter().find(|image| image.state == ImageState::Available)?.available_at
    }

    pub(super) fn at_rest(&self) -> usize {
        self.snapshots.iter().filter(|snapshot| snapshot.is_at_rest).count()
    }
}

/// What became of each machine of the stage.
pub(super) fn all(stage: &Stage) -> anyhow::Result<Vec<Truth>> {
    let now = stage.ec2.now();
    let mut sim = stage.ec2.sim();
    sim.advance(now);
    stage.plays.iter().map(|play| of(&sim, play)).collect()
}

fn of(sim: &Sim, play: &Play) -> anyhow::Result<Truth> {
    let home = sim.place(ACCOUNT, play.home()).context("EC2 knows no such region")?;
    let instance = home.instances.get(&play.instance).context("EC2 knows no such machine")?.clone();
    let is_ours = |image: &&Image| image.origin.is_none() && image.instance.as_ref() == Some(&instance.id);
    let images: Vec<Image> = home.images.values().filter(is_ours).cloned().collect();
    let is_of = |id: &str| images.iter().any(|image| image.id == id);
    let copies = sim.places().iter().flat_map(|(key, place)| {
        let copies = place.images.values();
        let copies = copies.filter(|copy| copy.origin.as_ref().is_some_and(|origin| is_of(&origin.image)));
        copies.map(|copy| (key.region.clone(), copy.clone()))
    });
    let copies = copies.collect();
    let snapshots = home.snapshots.values().filter(|snapshot| is_of(&snapshot.image)).cloned().collect();
    let count = |action: &str, concerns: &dyn Fn(&LogEntry) -> bool| {
        let log = sim.log().iter();
        log.filter(|entry| entry.action == action && entry.is_effective() && concerns(entry)).count()
    };
    let has = |name: &str, entry: &LogEntry, wanted: &dyn Fn(&str) -> bool| {
        entry.params.iter().any(|(key, value)| key.starts_with(name) && wanted(value))
    };
    let machine = |entry: &LogEntry| has("InstanceId", entry, &|id| id == instance.id);
    let stops = count("StopInstances", &machine);
    let creates = count("CreateImage", &machine);
    let copy_calls = count("CopyImage", &|entry| has("SourceImageId", entry, &is_of));
    Ok(Truth { instance, images, copies, snapshots, stops, creates, copy_calls })
}

/// Everything that happened to machines and images so far, oldest first. `names` are templates by instance.
pub(super) fn facts(sim: &Sim, names: &BTreeMap<String, String>) -> Vec<Fact> {
    let mut facts = Vec::new();
    for (key, place) in sim.places() {
        for instance in place.instances.values() {
            let who = names.get(&instance.id).unwrap_or(&instance.id);
            let moves = instance.history.windows(2).filter_map(|pair| match pair {
                [from, to] => Some((from, to)),
                _ => None,
            });
            let downtimes = instance.downtimes();
            let after = |at: Millis| {
                let ended = downtimes.iter().find(|(_, to)| *to == Some(at));
                ended
                    .map(|(from, _)| format!(": was down for {}, simulated", seconds(at - from)))
                    .unwrap_or_default()
            };
            facts.extend(moves.map(|(from, to)| Fact {
                at: to.at,
                who: who.clone(),
                kind: "machine",
                text: format!(
                    "{} {} → {}{}",
                    instance.id,
                    from.state.as_str(),
                    to.state.as_str(),
                    after(to.at)
                ),
            }));
        }
        for image in place.images.values() {
            let who = image.tags.get("savedtemplate.dev/name").unwrap_or(&image.id);
            let fact = |at, text: String| Fact { at, who: who.clone(), kind: "image", text };
            let id = format!("{} {}", key.region, image.id);
            let is_copy = if image.origin.is_some() { " (a copy)" } else { "" };
            facts.push(fact(image.created_at, format!("{id} pending{is_copy}")));
            facts.extend(image.available_at.map(|at| fact(at, format!("{id} available{is_copy}"))));
            let begun = place.snapshots.values().filter(|snapshot| snapshot.image == image.id);
            let begun: Vec<Millis> = begun.map(|snapshot| snapshot.start_time).collect();
            if let Some(last) = begun.iter().max()
                && image.origin.is_none()
                && begun.len() == image.mappings.len()
            {
                let volumes = begun.len();
                facts
                    .push(fact(*last, format!("{id} {volumes}/{volumes} snapshots have begun: the barrier")));
            }
        }
    }
    facts.sort();
    facts
}

/// How often one operation was called.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) calls: usize,
    pub(super) dry_runs: usize,
    pub(super) refused: usize,
}

/// The controller's calls by operation, and how many regions they went to.
pub(super) fn calls(sim: &Sim) -> (BTreeMap<String, Tally>, usize) {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let ours = || sim.log().iter().filter(|entry| entry.agent.contains(OUR_CALLS));
    for entry in ours() {
        let tally = tallies.entry(entry.action.clone()).or_default();
        match (entry.dry_run, &entry.outcome) {
            (true, _) => tally.dry_runs += 1,
            (false, Outcome::Refused { .. }) => tally.refused += 1,
            (false, Outcome::Ok | Outcome::Dropped | Outcome::Lost { .. }) => tally.calls += 1,
        }
    }
    let regions: BTreeSet<&str> = ours().map(|entry| entry.region.as_str()).collect();
    (tallies, regions.len())
}
