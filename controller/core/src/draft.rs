//! Draft of the status of one object: the only place where a status is changed.
use std::ops::{Deref, DerefMut};

use jiff::Timestamp;
use saved_template_api::{
    SavedTemplateStatus,
    ids::Region,
    status::{Announced, MAX_REMOVED_IMAGES, RegionStatus, RemovedImage},
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

    /// Writes down what is about to be done: the number of the try and its time, so that the status always differs.
    pub(crate) fn announce(&mut self, step: &Step) {
        let request = request_text(step);
        // A Stop that was definitely refused leaves nothing under way: the next one is the first again (R6).
        let over = |last: &Announced| last.step == STOP && was_refused(last);
        let same = |last: &Announced| last.step == step.name() && last.request == request && !over(last);
        let number = match &self.status.announced {
            Some(last) if same(last) => last.number.saturating_add(1),
            // The status may have forgotten that one was sent: what EC2 answers proves nothing then.
            Some(_) | None if matches!(step, Step::Stop { force: false, .. }) && !self.world.unsent => 2,
            Some(_) | None => 1,
        };
        let region = step.region().cloned();
        let time = self.time();
        if let Step::Deregister { region, image } = step {
            let removed = &mut self.status.removed_images;
            // An earlier try that was not refused may have been taken.
            if removed.iter().all(|known| known.image_id != *image) {
                // The oldest makes room.
                removed.truncate(MAX_REMOVED_IMAGES - 1);
                let (image_id, region, requested_time) = (image.clone(), region.clone(), time.clone());
                removed.insert(0, RemovedImage { image_id, region, requested_time });
            }
        }
        self.status.announced =
            Some(Announced { number, step: step.name().to_owned(), time, request, region, outcome: None });
    }

    /// The row of a region.
    pub(crate) fn row_mut(&mut self, region: &Region) -> Option<&mut RegionStatus> {
        self.status.regions.iter_mut().find(|row| row.region == *region)
    }
}
