//! What one process remembers of the machines that it stopped, beyond what EC2 shows: stops that it announced, starts that
//! it made, and how long it has been without Kubernetes. Lost with the process; then the tag and the status tell.
//!
//! Instants are those of the process's own monotonic clock.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use saved_template_api::{
    ids::InstanceId,
    status::{CaptureStatus, SavedTemplateStatus},
};

use crate::{
    ec2_error::Ec2Error,
    restart::{Debtor, Record},
    step::{Outcome, Step},
    subscription::ALONE,
    world::{Started, World},
};

/// A stop that this process sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Custody {
    last_contact: Instant,
    /// CreateImage was announced, or the capture was aborted: nothing to do without Kubernetes any more.
    over: bool,
}

/// The restart records of one region as one process remembers them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    records: BTreeMap<Debtor, Record>,
    started: BTreeMap<Debtor, Started>,
    refused: BTreeMap<Debtor, Ec2Error>,
    custody: BTreeMap<String, Custody>,
    /// Captures that it planned, and under which it sent no Stop.
    planned: BTreeSet<String>,
    /// Captures under which it sent a Stop that EC2 may have taken.
    sent: BTreeSet<String>,
}

impl Memory {
    /// The records under which a Stop was announced.
    pub fn records(&self) -> Vec<Record> {
        self.records.values().cloned().collect()
    }

    /// R7: what the status says of the debt, this process remembers too, if anything in the spec or in EC2 says the same. A
    /// status that knows of no Stop may be older than what this process has sent.
    pub fn recall(&mut self, capture: &CaptureStatus, is_supported: impl FnOnce(&Record) -> bool) {
        let record = capture.restart_record.as_ref().and_then(|debt| debt.parse::<Record>().ok());
        match record {
            Some(record) if capture.stop_requested_time.is_some() => {
                if is_supported(&record) {
                    self.remember(&record);
                }
            }
            Some(_) if capture.reason.is_none() => {}
            _ if capture.completion_time.is_some() => self.close(&capture.id),
            _ => self.settled(&capture.id),
        }
    }

    /// What it knows of the capture of a status, for a decision.
    pub fn tell(&self, status: &SavedTemplateStatus, world: &mut World) {
        let Some(capture) = &status.capture else { return };
        world.unsent = self.planned.contains(&capture.id);
        world.sent = self.sent.contains(&capture.id);
        let machine = status.source.as_ref().and_then(|source| source.instance_id.clone());
        if let Some(machine) = machine {
            (world.started, world.start_refused) = self.start_of(machine, &capture.id);
        }
    }

    /// The plan of a capture is written: as long as this process leads, no Stop can be under way under it unless it sends one.
    pub fn planned(&mut self, capture: &str) {
        self.planned.insert(capture.to_owned());
        self.sent.remove(capture);
    }

    /// Kubernetes took what was decided about a status: the process that stopped its machine is not alone (R6).
    pub fn contact(&mut self, status: &SavedTemplateStatus, at: Instant) {
        let Some(capture) = status.capture.as_ref().filter(|capture| capture.restart_record.is_some()) else {
            return;
        };
        if let Some(custody) = self.custody.get_mut(&capture.id) {
            custody.last_contact = at;
            custody.over |= capture.image_requested_time.is_some() || capture.reason.is_some();
        }
    }

    /// A step is about to be sent: what it may do is remembered first. Answers whether the capture of a Stop had none before.
    pub fn sends(&mut self, step: &Step, at: Instant) -> bool {
        match step {
            Step::Tag { record, .. } => {
                // The status holds another version of what is remembered: that one is about to be written.
                self.records.entry(record.debtor()).and_modify(|known| *known = record.clone());
                false
            }
            Step::Untag { record } => {
                self.forget(record);
                false
            }
            Step::Stop { record, .. } => {
                self.remember(record);
                // It answers for the machine until CreateImage is announced.
                self.custody.insert(record.capture.clone(), Custody { last_contact: at, over: false });
                self.sent.insert(record.capture.clone());
                self.planned.remove(&record.capture)
            }
            Step::CreateImage(_)
            | Step::CopyImage { .. }
            | Step::TagImages { .. }
            | Step::UntagImages { .. }
            | Step::SetDescription { .. }
            | Step::Deregister { .. }
            | Step::DeleteSnapshot { .. }
            | Step::RemoveReceipt { .. } => false,
        }
    }

    /// EC2's answer to a step; `unsent` is what [`Self::sends`] answered. A first Stop that was refused was none.
    pub fn hears(&mut self, step: &Step, unsent: bool, outcome: &Outcome) {
        if let (Step::Stop { record, .. }, Outcome::Refused(refusal)) = (step, outcome)
            && unsent
            && refusal.is_definite()
        {
            self.planned(&record.capture);
        }
    }

    fn remember(&mut self, record: &Record) {
        self.records.insert(record.debtor(), record.clone());
    }

    /// The record is paid, withdrawn or void.
    pub fn forget(&mut self, record: &Record) {
        self.refused.remove(&record.debtor());
        if self.records.remove(&record.debtor()).is_some() {
            self.custody.remove(&record.capture);
        }
    }

    /// Another replica leads, or may have while this process slept: what it knows of open captures is hearsay until an
    /// object says so again. What it did itself it knows.
    pub fn doubt(&mut self) {
        self.records.clear();
        self.custody.clear();
        self.planned.clear();
        self.refused.clear();
    }

    /// R6: the records of stops that this process sent, and about which Kubernetes has been silent for too long.
    pub fn alone(&self, now: Instant) -> Vec<Record> {
        let alone =
            |custody: &Custody| !custody.over && now.saturating_duration_since(custody.last_contact) >= ALONE;
        let is_alone = |record: &&Record| self.custody.get(&record.capture).is_some_and(alone);
        self.records.values().filter(is_alone).cloned().collect()
    }

    /// The save was given up without Kubernetes, once.
    pub fn aborted(&mut self, record: &Record) {
        self.remember(record);
        if let Some(custody) = self.custody.get_mut(&record.capture) {
            custody.over = true;
        }
    }

    /// EC2 took the start for a record.
    pub fn started(&mut self, record: &Record, started: Started) {
        self.refused.remove(&record.debtor());
        self.started.entry(record.debtor()).or_insert(started);
    }

    /// The start for a record was refused, or is not tried. Answers whether that is news.
    pub fn refused(&mut self, record: &Record, refusal: &Ec2Error) -> bool {
        let known = self.refused.insert(record.debtor(), refusal.clone());
        known.is_none_or(|known| known != *refusal)
    }

    /// What became of the start of the machine for the capture.
    fn start_of(&self, instance: InstanceId, capture: &str) -> (Option<Started>, Option<Ec2Error>) {
        let debtor = (instance, capture.to_owned());
        (self.started.get(&debtor).copied(), self.refused.get(&debtor).cloned())
    }

    /// The capture owes nothing any more.
    fn settled(&mut self, capture: &str) {
        self.records.retain(|(_, of), _| of != capture);
        self.refused.retain(|(_, of), _| of != capture);
        self.custody.remove(capture);
    }

    /// The capture is over and written down: nothing of it is asked for any more.
    fn close(&mut self, capture: &str) {
        self.settled(capture);
        self.started.retain(|(_, of), _| of != capture);
        self.planned.remove(capture);
        self.sent.remove(capture);
    }
}

#[cfg(test)]
mod tests;
