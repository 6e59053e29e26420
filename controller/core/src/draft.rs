//! Draft of the status of one object: the only place where a status is changed.
use std::{
    cmp::Reverse,
    ops::{Deref, DerefMut},
};

use jiff::Timestamp;
use saved_template_api::{
    SavedTemplateStatus,
    ids::Region,
    status::{Announced, MAX_ANNOUNCED, MAX_REMOVED_IMAGES, RegionStatus, RemovedImage},
};

use crate::{
    answer::was_refused,
    facts::Facts,
    step::{STOP, Step, request_text},
    subject::Subject,
    world::World,
    write::Write,
};

/// The status as it will be written, with what is known: whoever holds it may change it.
pub(crate) struct Draft<'a> {
    facts: Facts<'a>,
}

impl<'a> Deref for Draft<'a> {
    type Target = Facts<'a>;

    fn deref(&self) -> &Facts<'a> {
        &self.facts
    }
}

impl DerefMut for Draft<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.facts
    }
}

impl<'a> Draft<'a> {
    /// The status as it was read.
    pub(crate) fn new(subject: Subject<'a>, world: &'a World, now: Timestamp) -> Self {
        Self { facts: Facts::new(subject, world, now) }
    }

    /// The status as it will be written.
    pub(crate) fn into_status(self) -> SavedTemplateStatus {
        self.facts.status
    }

    /// Puts into the status what a need wants written.
    pub(crate) fn apply(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Capture(capture) => self.status.capture = Some(*capture),
                Write::Source(source) => self.status.source = Some(*source),
                Write::LatestRevision(latest) => self.status.latest_revision = Some(latest),
                Write::Preflight(rows) => self.status.preflight = rows,
                Write::Row(row) => match self.row_mut(&row.region) {
                    Some(known) => *known = *row,
                    None => self.status.regions.push(*row),
                },
                Write::NoRow(region) => self.status.regions.retain(|row| row.region != region),
                Write::Applies(keys) => self.applies(keys),
                Write::HasOnly(keys) => self.status.applied_tag_keys = keys,
            }
        }
    }

    fn applies(&mut self, keys: Vec<String>) {
        for key in keys {
            if !self.status.applied_tag_keys.contains(&key) {
                self.status.applied_tag_keys.push(key);
            }
        }
        self.status.applied_tag_keys.truncate(50);
    }

    /// Writes down what is about to be done: the number of each try and its time, so that the status always differs.
    pub(crate) fn announce(&mut self, steps: &[Step]) {
        if steps.is_empty() {
            return;
        }
        let mut new: Vec<Announced> = steps.iter().map(|step| self.announcement(step)).collect();
        for step in steps {
            self.removes(step);
        }
        let known = self.regions_ever();
        let mut others = std::mem::take(&mut self.status.announced);
        others.retain(|last| known.contains(&last.region) && new.iter().all(|new| new.region != last.region));
        // The oldest make room.
        others.sort_by_key(|last| Reverse(last.time.0));
        others.truncate(MAX_ANNOUNCED.saturating_sub(new.len()));
        new.extend(others);
        new.sort_by(|one, other| one.region.cmp(&other.region));
        self.status.announced = new;
    }

    fn announcement(&self, step: &Step) -> Announced {
        let request = request_text(step);
        let region = step.region().unwrap_or(self.home()).clone();
        // A Stop that was definitely refused leaves nothing under way: the next one is the first again (R6).
        let over = |last: &Announced| last.step == STOP && was_refused(last);
        let same = |last: &Announced| last.step == step.name() && last.request == request && !over(last);
        let number = match self.announced_in(&region) {
            Some(last) if same(last) => last.number.saturating_add(1),
            // The status may have forgotten that one was sent: what EC2 answers proves nothing then.
            Some(_) | None if matches!(step, Step::Stop { force: false, .. }) && !self.world.unsent => 2,
            Some(_) | None => 1,
        };
        Announced { region, number, step: step.name().to_owned(), time: self.time(), request, outcome: None }
    }

    /// An image that is deregistered is named until nothing of it is left.
    fn removes(&mut self, step: &Step) {
        let Step::Deregister { region, image } = step else { return };
        let requested_time = self.time();
        let removed = &mut self.status.removed_images;
        // An earlier try that was not refused may have been taken.
        if removed.iter().any(|known| known.image_id == *image) {
            return;
        }
        // The oldest makes room.
        removed.truncate(MAX_REMOVED_IMAGES - 1);
        let (image_id, region) = (image.clone(), region.clone());
        removed.insert(0, RemovedImage { image_id, region, requested_time });
    }

    /// The row of a region.
    pub(crate) fn row_mut(&mut self, region: &Region) -> Option<&mut RegionStatus> {
        self.status.regions.iter_mut().find(|row| row.region == *region)
    }
}
