//! What a process remembers, as `saved_template_core::memory` has it, with seconds for instants.
use saved_template_api::SavedTemplateStatus;
use saved_template_core::{
    restart::Record,
    step::{Outcome, Step},
};

use super::state::Mind;

impl Mind {
    /// What a process reads in the status of an object.
    pub(crate) fn recall(&mut self, status: &SavedTemplateStatus) {
        let Some(capture) = &status.capture else { return };
        let record = capture.restart_record.as_ref().and_then(|debt| debt.parse::<Record>().ok());
        match record {
            Some(record) if capture.stop_requested_time.is_some() => {
                self.records.insert(capture.id.clone(), record);
            }
            Some(_) if capture.reason.is_none() => {}
            _ => {
                self.records.remove(&capture.id);
                self.refused.remove(&capture.id);
                self.custody.remove(&capture.id);
                if capture.completion_time.is_some() {
                    self.started.remove(&capture.id);
                    self.planned.remove(&capture.id);
                    self.sent.remove(&capture.id);
                }
            }
        }
    }

    /// Kubernetes answers: the process that stopped the machine is not alone.
    pub(crate) fn contact(&mut self, status: &SavedTemplateStatus, now: i64) {
        let Some(capture) = status.capture.as_ref().filter(|one| one.restart_record.is_some()) else {
            return;
        };
        if let Some(custody) = self.custody.get_mut(&capture.id) {
            custody.0 = now;
            custody.1 |= capture.image_requested_time.is_some() || capture.reason.is_some();
        }
    }

    /// The plan of a capture is written.
    pub(crate) fn plans(&mut self, capture: &str) {
        self.planned.insert(capture.to_owned());
        self.sent.remove(capture);
    }

    /// A step is about to be sent. Whether no Stop of its capture was.
    pub(crate) fn sends(&mut self, step: &Step, now: i64) -> bool {
        match step {
            Step::Tag { record, .. } => {
                self.records.entry(record.capture.clone()).and_modify(|known| *known = record.clone());
            }
            Step::Untag { record } => self.forget(&record.capture),
            Step::Stop { record, .. } => {
                self.records.insert(record.capture.clone(), record.clone());
                self.custody.insert(record.capture.clone(), (now, false));
                self.sent.insert(record.capture.clone());
                return self.planned.remove(&record.capture);
            }
            Step::CreateImage(_)
            | Step::CopyImage { .. }
            | Step::TagImages { .. }
            | Step::UntagImages { .. }
            | Step::SetDescription { .. }
            | Step::Deregister { .. }
            | Step::DeleteSnapshot { .. }
            | Step::RemoveReceipt { .. } => {}
        }
        false
    }

    /// What EC2 answered: a first Stop that was refused was none.
    pub(crate) fn hears(&mut self, step: &Step, unsent: bool, outcome: &Outcome) {
        if let (Step::Stop { record, .. }, Outcome::Refused(refusal)) = (step, outcome)
            && unsent
            && refusal.is_definite()
        {
            self.plans(&record.capture);
        }
    }

    /// The record is paid, withdrawn or void.
    pub(crate) fn forget(&mut self, capture: &str) {
        self.refused.remove(capture);
        if self.records.remove(capture).is_some() {
            self.custody.remove(capture);
        }
    }
}
