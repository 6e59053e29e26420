//! Random histories of one or two replicas that are elected: harms at their effects, outages, and people who edit. EC2's
//! store judges.
use std::collections::BTreeMap;

use ec2sim::{ImageState, InstanceState, Request};
use saved_template_api::names::{debt_key, tag};
use serde_json::{Value, json};

use crate::{
    ec2::HOME,
    lab::{CLUSTER, Lab, Replica, account},
    mishap::Harm,
};

/// Numbers that a seed decides.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn seconds(&mut self, bound: usize) -> u64 {
        self.below(bound).try_into().unwrap()
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// What happens meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Incident {
    ApiGoes,
    ApiReturns,
    RegionGoes(&'static str),
    RegionReturns,
    StripRecord,
    Revise,
    Suspend,
    Resume,
    Widen,
    Delete,
}

const REGIONS: [&str; 3] = [HOME, "us-east-2", "us-west-1"];
const HARMS: [Harm; 6] = [Harm::DieBefore, Harm::DieAfter, Harm::Drop, Harm::Lose, Harm::Nap, Harm::Sleep];

/// A history: what is wanted, how many replicas there are, the effects that are harmed, and what happens at which second.
#[derive(Debug)]
struct History {
    spec: Value,
    deletes: bool,
    replicas: usize,
    harms: BTreeMap<usize, Harm>,
    incidents: Vec<(u64, Incident)>,
}

impl History {
    fn new(seed: u64) -> Self {
        let dice = &mut Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut spec = json!({"source": {"region": HOME, "instanceName": "quake"}});
        if dice.below(3) > 0 {
            spec["regions"] = json!([{"name": "us-east-2"}, {"name": "us-west-1"}]);
        }
        spec["capture"] = match dice.below(5) {
            0 => json!({"restartWhen": "ImageAvailable"}),
            1 => json!({"mode": "NoReboot"}),
            2 => json!({"maxDisruptions": 3}),
            _ => json!({}),
        };
        let deletes = dice.below(2) == 0;
        if deletes {
            spec["deletionPolicy"] = json!("Delete");
        }
        let replicas = 1 + dice.below(2);
        let harms = (0..dice.below(3)).map(|_| (dice.below(30), dice.pick(&HARMS))).collect();
        let mut incidents = Vec::new();
        for _ in 0..dice.below(3) {
            let at = 1 + dice.seconds(300);
            let until = at + 5 + dice.seconds(150);
            match dice.below(7) {
                0 => incidents.extend([(at, Incident::ApiGoes), (until, Incident::ApiReturns)]),
                1 => {
                    let region = dice.pick(&REGIONS);
                    incidents.extend([(at, Incident::RegionGoes(region)), (until, Incident::RegionReturns)]);
                }
                2 => incidents.push((at, Incident::StripRecord)),
                3 => incidents.push((at, Incident::Revise)),
                4 => incidents.extend([(at, Incident::Suspend), (until, Incident::Resume)]),
                5 => incidents.push((at, Incident::Widen)),
                _ => incidents.push((at, Incident::Delete)),
            }
        }
        incidents.sort_by_key(|(at, _)| *at);
        Self { spec, deletes, replicas, harms, incidents }
    }

    fn has(&self, incident: Incident) -> bool {
        self.incidents.iter().any(|(_, one)| *one == incident)
    }
}

impl Lab {
    fn meets(&self, incident: Incident) {
        match incident {
            Incident::ApiGoes => self.api(false),
            Incident::ApiReturns => self.api(true),
            Incident::RegionGoes(region) => self.goes_dark(region),
            Incident::RegionReturns => self.answers_again(),
            Incident::StripRecord => {
                let request = Request::new("DeleteTags").with("ResourceId.1", &*self.id);
                self.users(&request.with("Tag.1.Key", debt_key(CLUSTER)));
            }
            Incident::Revise => self.edit(|object| object.spec.revision = 2),
            Incident::Suspend => self.edit(|object| object.spec.suspend = true),
            Incident::Resume => self.edit(|object| object.spec.suspend = false),
            Incident::Widen => {
                let tags = json!([{"key": "team", "value": "quakes"}]);
                self.edit(|object| object.spec.tags = serde_json::from_value(tags).unwrap());
            }
            Incident::Delete => self.delete(),
        }
    }

    /// Images that can be used, by region and revision.
    fn usable(&self) -> BTreeMap<(String, String), usize> {
        let mut found = BTreeMap::new();
        for region in REGIONS {
            let images = self.place(region).into_iter().flat_map(|place| place.images.into_values());
            for image in images.filter(|image| image.deregistered_at.is_none()) {
                let failed = image.tags.contains_key(tag::FAILED);
                if image.state == ImageState::Available && !failed {
                    let revision = image.tags.get(tag::REVISION).cloned().unwrap_or_default();
                    *found.entry((region.to_owned(), revision)).or_default() += 1;
                }
            }
        }
        found
    }

    /// Snapshots that no image maps.
    fn leaked(&self) -> Vec<String> {
        let mut leaked = Vec::new();
        for place in REGIONS.into_iter().filter_map(|region| self.place(region)) {
            let images = place.images.values().filter(|image| image.deregistered_at.is_none());
            let mapped: Vec<&String> = images
                .flat_map(|image| &image.mappings)
                .filter_map(|mapping| mapping.snapshot.as_ref())
                .collect();
            leaked.extend(place.snapshots.keys().filter(|id| !mapped.contains(id)).cloned());
        }
        leaked
    }
}

/// Lives a history, lets three hours pass in which nothing goes wrong, and judges. How many effects there were, and which
/// harms were met.
fn live(seed: u64) -> (usize, Vec<Harm>) {
    let history = History::new(seed);
    let (sim, id) = account();
    let mut lab = Lab::empty(sim, id, true);
    lab.permits(0);
    lab.applies(&history.spec.to_string());
    lab.chronicle().harms.clone_from(&history.harms);
    let names = &["one", "two"][..history.replicas];
    lab.replicas = names.iter().map(|name| Replica::elected(name)).collect();
    let mut incidents = history.incidents.iter();
    let mut next = incidents.next();
    for second in 0..900 {
        while let Some((_, incident)) = next.filter(|(at, _)| *at <= second) {
            lab.meets(*incident);
            next = incidents.next();
        }
        lab.tick();
    }
    let met = {
        let mut chronicle = lab.chronicle();
        chronicle.harms.clear();
        chronicle.met.clone()
    };
    lab.run(3 * 3600);
    let written = lab.effects().len();
    lab.run(1800);
    let told = lab.effects();
    let story = || {
        format!("{seed}: {history:#?}\n{}\n{:#?}", told.join("\n"), lab.object().map(|it| it.status.clone()))
    };

    let state = lab.instance().state;
    assert_eq!((state, lab.owes()), (InstanceState::Running, false), "the machine is back\n{}", story());
    assert_eq!(told.len(), written, "at rest nothing is written\n{}", story());
    let usable = lab.usable();
    assert!(usable.values().all(|images| *images == 1), "a second image: {usable:?}\n{}", story());
    let allowed = if history.spec["capture"]["maxDisruptions"] == 3 { 3 } else { 1 };
    let revisions = 1 + usize::from(history.has(Incident::Revise));
    assert!(lab.count("StopInstances") <= allowed * revisions, "disrupted too often\n{}", story());
    assert_eq!(lab.leaked(), Vec::<String>::new(), "leaked\n{}", story());
    let gone = lab.object().is_none();
    assert_eq!(gone, history.has(Incident::Delete), "it goes, and only if it is deleted\n{}", story());
    if gone && history.deletes {
        assert!(usable.is_empty(), "images stay after a deletion: {usable:?}\n{}", story());
    }
    if !gone {
        for image in lab.status().images {
            let place = (image.region.to_string(), image.revision.to_string());
            assert!(
                usable.contains_key(&place),
                "an image is served that is not there: {place:?}\n{}",
                story()
            );
        }
    }
    (told.len(), met)
}

/// Names the history that fails.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SEED={}", self.0);
        }
    }
}

/// The effects of these histories, and how often each harm was met.
fn histories(seeds: std::ops::Range<u64>) -> (usize, BTreeMap<String, usize>) {
    let mut sum = (0, BTreeMap::new());
    for seed in seeds {
        let _named = Named(seed);
        let (effects, met) = live(seed);
        sum.0 += effects;
        for harm in met {
            *sum.1.entry(format!("{harm:?}")).or_default() += 1;
        }
    }
    sum
}

#[test]
fn random_histories_end_with_the_machine_back_one_image_of_each_revision_and_nothing_left() {
    let (effects, met) = histories(0..40);
    assert!(effects > 400 && met.len() == HARMS.len(), "{effects} effects, {met:?}");
}

#[test]
#[ignore = "minutes; `make model` runs it"]
fn many_more_histories() {
    let (effects, met) = histories(0..2000);
    println!("replicas: 2000 histories, {effects} effects, harms met: {met:?}, 0 violations");
}

/// One history: `SEED=7 cargo test -p saved-template-controller --test world -- --ignored --exact replicas::replay`.
#[test]
#[ignore = "for whoever looks for what went wrong"]
#[expect(clippy::disallowed_methods, reason = "names a history")]
fn replay() {
    let seed = std::env::var("SEED").unwrap().parse().unwrap();
    println!("{:?}", histories(seed..seed + 1));
}
