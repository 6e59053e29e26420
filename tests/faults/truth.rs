//! What is true after a history, by EC2's stores and log.
use std::collections::{BTreeMap, BTreeSet};

use ec2sim::{ACCOUNT, Image, ImageState, Instance, InstanceState, LogEntry, Sim};
use saved_template_tests::{Lab, OUR_CALLS, assert_holds};

use crate::{ALL, HOME};

/// What cannot be taken back: how often each was done.
pub(crate) type Deeds = BTreeMap<&'static str, usize>;

fn ours<'a>(sim: &'a Sim, action: &'a str) -> impl Iterator<Item = &'a LogEntry> {
    let is_ours = move |entry: &&LogEntry| entry.action == action && entry.agent.contains(OUR_CALLS);
    sim.log().iter().filter(is_ours).filter(|entry| entry.is_effective())
}

/// A Stop counts if the machine left `running`, a copy by its image: EC2 answers a repeated request with the first result.
pub(crate) fn deeds(sim: &Sim) -> Deeds {
    let made = |action: &str| {
        let ids: BTreeSet<(&str, &str)> = ours(sim, action)
            .flat_map(|entry| entry.ids.iter().map(|id| (entry.region.as_str(), id.as_str())))
            .filter(|(_, id)| id.starts_with("ami-"))
            .collect();
        ids.len()
    };
    let machines = sim.places().values().flat_map(|place| place.instances.values());
    let stops = machines.flat_map(|machine| &machine.history);
    [
        ("StopInstances", stops.filter(|moment| moment.state == InstanceState::Stopping).count()),
        ("CreateImage", made("CreateImage")),
        ("CopyImage", made("CopyImage")),
        ("DeregisterImage", made("DeregisterImage")),
    ]
    .into()
}

/// The world now, by EC2's clock.
pub(crate) fn look<T>(lab: &Lab<'_>, at: impl FnOnce(&Sim) -> T) -> T {
    let now = lab.ec2.now();
    let mut sim = lab.ec2.sim();
    sim.advance(now);
    at(&sim)
}

pub(crate) fn machine(sim: &Sim, id: &str) -> Instance {
    sim.place(ACCOUNT, HOME).unwrap().instances[id].clone()
}

/// The keys of our tags on the machine that begin so.
pub(crate) fn tags(sim: &Sim, id: &str, begin: &str) -> Vec<String> {
    let begin = format!("savedtemplate.dev/{begin}");
    machine(sim, id).tags.into_iter().filter(|(key, _)| key.starts_with(&begin)).map(|(key, _)| key).collect()
}

/// The machine runs and nobody owes it anything.
pub(crate) fn is_given_back(sim: &Sim, id: &str) -> bool {
    machine(sim, id).state == InstanceState::Running && tags(sim, id, "restart-owed.").is_empty()
}

/// Images that are there, and snapshots, in every region.
pub(crate) fn left(sim: &Sim) -> Vec<String> {
    let places = ALL.iter().filter_map(|region| sim.place(ACCOUNT, region));
    places
        .flat_map(|place| {
            let live = place.images.values().filter(|image| image.deregistered_at.is_none());
            let images = live.map(|image| image.id.clone());
            images.chain(place.snapshots.keys().cloned()).collect::<Vec<_>>()
        })
        .collect()
}

/// The machine is back, each region has one available image and the snapshots of that image, and no deed was done more
/// often than in the reference.
pub(crate) fn assert_saved(lab: &Lab<'_>, id: &str, regions: &[&str], reference: &Deeds) {
    assert_given_back(lab, id);
    for region in regions {
        let (images, strays) = look(lab, |sim| {
            let place = sim.place(ACCOUNT, region).unwrap();
            let images: Vec<Image> = place.images.values().cloned().collect();
            let used: BTreeSet<&String> = images
                .iter()
                .flat_map(|image| &image.mappings)
                .filter_map(|one| one.snapshot.as_ref())
                .collect();
            let strays: Vec<String> =
                place.snapshots.keys().filter(|id| !used.contains(id)).cloned().collect();
            (images, strays)
        });
        let available = images.iter().filter(|image| image.state == ImageState::Available).count();
        let count = images.len();
        assert_holds("I6", (count, available) == (1, 1), || {
            format!("{region} has {count} images, {available} available\n{}", lab.evidence())
        });
        assert_holds("I7", strays.is_empty(), || format!("{region}: {strays:?} are of no image"));
    }
    let at_rest = look(lab, |sim| {
        sim.place(ACCOUNT, HOME).unwrap().snapshots.values().all(|snapshot| snapshot.is_at_rest)
    });
    assert_holds("I5", at_rest, || {
        format!("a snapshot was taken while the machine wrote\n{}", lab.evidence())
    });
    assert_not_more(lab, reference);
}

/// Nothing is left anywhere, the machine runs, and nothing of ours is on it.
pub(crate) fn assert_deleted(lab: &Lab<'_>, id: &str, reference: &Deeds) {
    assert_given_back(lab, id);
    let (left, tags) = look(lab, |sim| (left(sim), tags(sim, id, "")));
    assert_holds("I7", left.is_empty(), || format!("left: {left:?}\n{}", lab.evidence()));
    assert_holds("I7", tags.is_empty(), || format!("on the machine: {tags:?}\n{}", lab.evidence()));
    assert_not_more(lab, reference);
}

pub(crate) fn assert_given_back(lab: &Lab<'_>, id: &str) {
    let (state, owed) = look(lab, |sim| (machine(sim, id).state, tags(sim, id, "restart-owed.")));
    assert_holds("I1", state == InstanceState::Running, || format!("{state:?}\n{}", lab.evidence()));
    assert_holds("I13", owed.is_empty(), || format!("{owed:?} is still there\n{}", lab.evidence()));
}

fn assert_not_more(lab: &Lab<'_>, reference: &Deeds) {
    let deeds = look(lab, deeds);
    for (action, count) in &deeds {
        let wanted = reference.get(action).copied().unwrap_or(0);
        let invariant = if *action == "StopInstances" { "I9" } else { "I6" };
        assert_holds(invariant, *count <= wanted, || {
            format!("{action} was done {count} times, {wanted} times in the reference\n{}", lab.evidence())
        });
    }
}
