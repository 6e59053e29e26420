//! What a sweep shows: what was asked for and no more, perhaps as it was some seconds ago.
use std::collections::{BTreeMap, VecDeque};

use ec2sim::{ACCOUNT, Place, Sim};
use jiff::Timestamp;
use saved_template_api::names::{debt_key, tag};
use saved_template_core::{
    ec2_error::Ec2Error,
    key::Key,
    poll::{Asked, Seen, Tally},
    restart::Record,
    subscription::Subscription,
    world::{Image, Instance, View},
};

use crate::{
    ec2,
    lab::{CLUSTER, Lab, Memory, NAME, NAMESPACE},
};

/// EC2's answers are up to `lag` seconds old, each list by its own whim.
#[derive(Debug)]
pub(crate) struct StaleReads {
    lag: i64,
    chance: u64,
    /// How many calls there were when it was kept last.
    calls: usize,
    /// What there was since when, the newest first.
    past: VecDeque<(i64, BTreeMap<String, Place>)>,
}

impl StaleReads {
    pub(crate) fn new(lag: i64, seed: u64) -> Self {
        Self { lag, chance: seed, calls: 0, past: VecDeque::new() }
    }

    pub(crate) const fn lag(&self) -> i64 {
        self.lag
    }

    /// `moved`: something was due in EC2 since the last time.
    pub(crate) fn keep(&mut self, sim: &Sim, now: i64, moved: bool) {
        if self.lag == 0 {
            return;
        }
        let calls = std::mem::replace(&mut self.calls, sim.log().len());
        let moved = moved || calls != self.calls || self.past.is_empty();
        let same = |last: &BTreeMap<String, Place>| {
            sim.places().iter().all(|(key, place)| last.get(&key.region) == Some(place))
        };
        if moved && !self.past.front().is_some_and(|(_, last)| same(last)) {
            let places = sim.places().iter().map(|(key, place)| (key.region.clone(), place.clone()));
            self.past.push_front((now, places.collect()));
        }
        let oldest = now - self.lag * 1000;
        let needed = self.past.iter().position(|(since, _)| *since <= oldest);
        self.past.truncate(needed.map_or(usize::MAX, |at| at + 1));
    }

    fn place<'a>(&'a mut self, sim: &'a Sim, region: &str, now: i64) -> Option<&'a Place> {
        if self.past.is_empty() {
            return sim.place(ACCOUNT, region);
        }
        let age = i64::try_from(draw(&mut self.chance)).unwrap() % (self.lag + 1) * 1000;
        let (_, places) = self.past.iter().find(|(since, _)| *since <= now - age).or(self.past.back())?;
        places.get(region)
    }
}

/// The next number of a sequence that its seed decides.
pub(crate) fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

impl Lab {
    pub(crate) fn view(&mut self, region: &str, memory: &mut Memory, asked: &Subscription) -> View {
        let began = self.time();
        let key = debt_key(CLUSTER);
        let instances =
            self.stale_reads.place(&self.sim, region, self.now).map(ec2::instances).unwrap_or_default();
        let owing: Vec<Instance> =
            instances.iter().filter(|one| one.tags.contains_key(&key)).cloned().collect();
        let owed = !owing.is_empty();
        let remembered = memory.of_stops.records();
        // What nobody asked for is not read: a decision that waits for it would wait for ever.
        let wanted = |one: &Instance| {
            let recorded = one.tags.get(&key).and_then(|value| value.parse::<Record>().ok());
            recorded.is_some()
                || asked.instances.contains(&one.id)
                || one.tags.get("Name").is_some_and(|name| asked.names.contains(name))
                || remembered.iter().any(|record| record.instance == one.id)
        };
        let instances: Vec<Instance> = instances.into_iter().filter(wanted).collect();
        let images = self.stale_reads.place(&self.sim, region, self.now).map(ec2::images).unwrap_or_default();
        let shown_from = Timestamp::from_millisecond(self.now - self.sim.config().visibility_lag).unwrap();
        let shown = |made: Option<Timestamp>| made.is_none_or(|made| made <= shown_from);
        let named = |image: &Image| {
            image.tags.get(tag::CLUSTER).is_some_and(|cluster| cluster == CLUSTER)
                || asked.image_names.contains(&image.name)
                || asked.images.contains(&image.id)
        };
        let images: Vec<Image> =
            images.into_iter().filter(named).filter(|image| shown(image.created)).collect();
        let snapshots = if asked.snapshots || owed {
            let all =
                self.stale_reads.place(&self.sim, region, self.now).map(ec2::snapshots).unwrap_or_default();
            Ok(all.into_iter().filter(|shot| shown(shot.started)).collect())
        } else {
            Err(Ec2Error::new("DescribeSnapshots", "", "not read"))
        };
        let object = Key::template(NAMESPACE, NAME);
        let asked = Asked::by([(&object, asked)].into_iter());
        let (instances, images) = (Ok(instances), Ok(images));
        let seen = Seen { instances: &instances, images: &images, snapshots: &snapshots, owing: &owing };
        let tally = memory.tallies.entry(region.to_owned()).or_default();
        tally.count(&ec2::region(region), &key, &asked, began, &seen);
        let Tally { sightings, absences } = tally.clone();
        View { began, instances, images, snapshots, sightings, absences }
    }
}
