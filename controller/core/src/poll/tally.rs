//! What was seen again, and what was looked for in vain: counted from sweep to sweep.
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use saved_template_api::{
    ids::{InstanceId, Region},
    names::tag::DEBT_PREFIX,
};

use super::asked::Asked;
use crate::{
    ec2_error::Ec2Error,
    world::{Absence, Image, Instance, Sighting, Snapshot},
};

/// What one sweep read.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'s> {
    /// Every instance.
    pub instances: &'s Result<Vec<Instance>, Ec2Error>,
    /// Every image.
    pub images: &'s Result<Vec<Image>, Ec2Error>,
    /// Every snapshot.
    pub snapshots: &'s Result<Vec<Snapshot>, Ec2Error>,
    /// What the restart loop's own query returned: only that proves that it finds a record (R1).
    pub owing: &'s [Instance],
}

/// The counts of one region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Each value of a restart record, by its machine.
    pub sightings: BTreeMap<(InstanceId, String), Sighting>,
    /// What was looked for in vain.
    pub absences: BTreeMap<String, Absence>,
}

impl Tally {
    /// Counts one sweep that began at `began`; `debt_key` is that of our own records. A list that could not be read counts
    /// nothing.
    pub fn count(
        &mut self,
        region: &Region,
        debt_key: &str,
        asked: &Asked,
        began: Timestamp,
        seen: &Seen<'_>,
    ) {
        let Seen { instances, images, snapshots, owing } = *seen;
        if let Ok(instances) = instances {
            self.see(debt_key, began, instances, owing);
            let seen = instances.iter().map(|instance| instance.id.as_str()).collect();
            self.miss(asked.instances.iter(), &seen, began);
        }
        if let Ok(images) = images {
            let seen = images.iter().map(|image| image.name.as_str()).collect();
            self.miss(asked.image_names.iter(), &seen, began);
            let seen = images.iter().map(|image| image.id.as_str()).collect();
            self.miss(asked.image_ids.iter(), &seen, began);
        }
        if let (Ok(images), Ok(snapshots)) = (images, snapshots) {
            let left =
                asked.emptied.iter().filter(|(_, ownership)| ownership.is_left(region, images, snapshots));
            let left = left.map(|(key, _)| key.as_str()).collect();
            self.miss(asked.emptied.keys(), &left, began);
        }
        let sets = [&asked.instances, &asked.image_names, &asked.image_ids];
        let is_asked =
            |what: &String| asked.emptied.contains_key(what) || sets.iter().any(|set| set.contains(what));
        self.absences.retain(|what, _| is_asked(what));
    }

    fn see(&mut self, debt_key: &str, began: Timestamp, instances: &[Instance], owing: &[Instance]) {
        let ours = owing
            .iter()
            .filter_map(|instance| Some((instance.id.clone(), instance.tags.get(debt_key)?.clone())));
        // Those of other installations, on machines that are read: how long they have stood still.
        let others = instances.iter().flat_map(|instance| {
            let is_others = |key: &String| key.starts_with(DEBT_PREFIX) && key != debt_key;
            let foreign = instance.tags.iter().filter(move |(key, _)| is_others(key));
            foreign.map(|(_, value)| (instance.id.clone(), value.clone()))
        });
        let before = std::mem::take(&mut self.sightings);
        let first = |seen: &(InstanceId, String)| before.get(seen).map_or(began, |sighting| sighting.first);
        self.sightings = ours
            .chain(others)
            .map(|seen| {
                let first = first(&seen);
                (seen, Sighting { first, last: began })
            })
            .collect();
    }

    fn miss<'a>(&mut self, asked: impl Iterator<Item = &'a String>, seen: &BTreeSet<&str>, began: Timestamp) {
        for what in asked {
            if seen.contains(what.as_str()) {
                self.absences.remove(what);
            } else {
                let absence = self.absences.entry(what.clone()).or_insert(Absence { since: began, reads: 0 });
                absence.reads = absence.reads.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ownership::Ownership,
        sample::{OWNER, at, made, plain, record, running, saved, subject, tagged},
    };
    use saved_template_api::names::debt_key;

    fn home() -> Region {
        "us-west-2".parse().unwrap()
    }

    fn unread<T>() -> Result<T, Ec2Error> {
        Err(Ec2Error::new("Describe", "", "no answer"))
    }

    /// One sweep: instances, images, snapshots, and what the restart loop's query returned.
    type Sweep = (
        Result<Vec<Instance>, Ec2Error>,
        Result<Vec<Image>, Ec2Error>,
        Result<Vec<Snapshot>, Ec2Error>,
        Vec<Instance>,
    );

    fn counted(tally: &mut Tally, asked: &Asked, second: i64, sweep: &Sweep) {
        let (instances, images, snapshots, owing) = sweep;
        let seen = Seen { instances, images, snapshots, owing };
        tally.count(&home(), &debt_key(OWNER.cluster), asked, at(second), &seen);
    }

    #[test]
    fn an_absence_begins_with_the_first_read_that_lacks_it_and_ends_with_one_that_shows_it() {
        let (id, image) = (running().id.to_string(), made());
        let asked = Asked {
            instances: [id.clone()].into(),
            image_ids: [image.id.to_string()].into(),
            image_names: [image.name.clone()].into(),
            ..Asked::default()
        };
        let whats = [id, image.id.to_string(), image.name.clone()];
        let nothing: Sweep = (Ok(vec![]), Ok(vec![]), unread(), vec![]);
        let all: Sweep = (Ok(vec![running()]), Ok(vec![image]), unread(), vec![]);
        let mut tally = Tally::default();
        for (second, sweep, absence) in [
            (1, &nothing, Some((1, 1))),
            (2, &nothing, Some((1, 2))),
            (3, &(unread(), unread(), unread(), vec![]), Some((1, 2))),
            (4, &all, None),
            (5, &nothing, Some((5, 1))),
        ] {
            counted(&mut tally, &asked, second, sweep);
            for what in &whats {
                let found = tally.absences.get(what).map(|absence| (absence.since, absence.reads));
                assert_eq!(found, absence.map(|(since, reads)| (at(since), reads)), "{what} at {second}");
            }
        }
        counted(&mut tally, &Asked::default(), 6, &nothing);
        assert_eq!(tally.absences, BTreeMap::new(), "nobody asks any more");
    }

    #[test]
    fn an_object_is_gone_from_a_region_only_if_images_and_snapshots_could_be_read_and_nothing_of_it_is_there()
    {
        let (spec, status) = (plain(), saved());
        let ownership = Ownership::of(&subject(&spec, &status));
        let asked = Asked { emptied: [("geo/quake".to_owned(), ownership)].into(), ..Asked::default() };
        for (what, sweep, reads) in [
            ("nothing", (Ok(vec![]), Ok(vec![]), Ok(vec![]), vec![]), Some(1)),
            ("its image", (Ok(vec![]), Ok(vec![made()]), Ok(vec![]), vec![]), None),
            ("no snapshots read", (Ok(vec![]), Ok(vec![]), unread(), vec![]), None),
            ("no images read", (Ok(vec![]), unread(), Ok(vec![]), vec![]), None),
        ] {
            let mut tally = Tally::default();
            counted(&mut tally, &asked, 1, &sweep);
            assert_eq!(tally.absences.get("geo/quake").map(|absence| absence.reads), reads, "{what}");
        }
    }

    #[test]
    fn our_record_is_sighted_where_the_restart_loop_finds_it_and_anothers_wherever_it_is_read() {
        let text = record().to_string();
        let another = debt_key("another cluster");
        let mut foreign = running();
        foreign.tags.insert(another, "v1 of another".to_owned());
        let key = (running().id, text.clone());
        let mut tally = Tally::default();
        let shown = tagged(running());
        let times = |tally: &Tally, key: &(InstanceId, String)| {
            tally.sightings.get(key).map(|seen| (seen.first, seen.last))
        };
        for (second, owing, seen) in [
            (1, vec![], None),
            (2, vec![shown.clone()], Some((2, 2))),
            (7, vec![shown.clone()], Some((2, 7))),
            (8, vec![], None),
            (9, vec![shown.clone()], Some((9, 9))),
        ] {
            let sweep = (Ok(vec![shown.clone()]), unread(), unread(), owing);
            counted(&mut tally, &Asked::default(), second, &sweep);
            assert_eq!(times(&tally, &key), seen.map(|(first, last)| (at(first), at(last))), "{second}");
        }
        let other = (running().id, "v1 of another".to_owned());
        for (second, sweep, seen) in [
            (10, (Ok(vec![foreign.clone()]), unread(), unread(), vec![]), Some((10, 10))),
            (11, (unread(), unread(), unread(), vec![]), Some((10, 10))),
            (12, (Ok(vec![foreign]), unread(), unread(), vec![]), Some((10, 12))),
            (13, (Ok(vec![]), unread(), unread(), vec![]), None),
        ] {
            counted(&mut tally, &Asked::default(), second, &sweep);
            assert_eq!(times(&tally, &other), seen.map(|(first, last)| (at(first), at(last))), "{second}");
        }
    }
}
