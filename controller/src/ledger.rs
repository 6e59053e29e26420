//! What this process knows of debts beyond what EC2 shows: stops that it announced, starts that it made, and how
//! long it has been without Kubernetes. Lost with the process; then the tag and the status tell.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use saved_template_api::ids::InstanceId;
use saved_template_core::{
    interest::ALONE,
    refusal::Refusal,
    restart::{Debtor, Record},
    world::Started,
};

/// A stop that this process sent.
#[derive(Debug, Clone, Copy)]
struct Custody {
    last_contact: Instant,
    /// CreateImage was announced, or the capture was aborted: nothing to do without Kubernetes any more.
    over: bool,
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<Debtor, Record>,
    started: BTreeMap<Debtor, Started>,
    refused: BTreeMap<Debtor, Refusal>,
    custody: BTreeMap<String, Custody>,
    planned: BTreeSet<String>,
    sent: BTreeSet<String>,
}

/// The debts of one region as this process remembers them.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<State>);

impl Ledger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// R7: a Stop is announced under the record.
    pub(crate) fn remember(&self, record: &Record) {
        self.state().records.insert(record.debtor(), record.clone());
    }

    /// The status holds another version of a record that is remembered: that one is about to be written.
    pub(crate) fn follow(&self, record: &Record) {
        if let Some(known) = self.state().records.get_mut(&record.debtor()) {
            *known = record.clone();
        }
    }

    /// The record is paid, withdrawn or void.
    pub(crate) fn forget(&self, record: &Record) {
        let mut state = self.state();
        state.refused.remove(&record.debtor());
        if state.records.remove(&record.debtor()).is_some() {
            state.custody.remove(&record.capture);
        }
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.state().records.values().cloned().collect()
    }

    /// This process wrote the plan of a capture: as long as it leads, no Stop can be under way under it unless it sends one.
    pub(crate) fn planned(&self, capture: &str) {
        let mut state = self.state();
        state.planned.insert(capture.to_owned());
        state.sent.remove(capture);
    }

    /// Whether this process planned the capture, has led ever since, and has sent no Stop that EC2 may have taken.
    pub(crate) fn is_unsent(&self, capture: &str) -> bool {
        self.state().planned.contains(capture)
    }

    /// Whether this process sent a Stop under the capture that EC2 may have taken.
    pub(crate) fn is_sent(&self, capture: &str) -> bool {
        self.state().sent.contains(capture)
    }

    /// This process sent the Stop: it answers for the machine until CreateImage is announced.
    pub(crate) fn take_custody(&self, capture: &str) {
        let custody = Custody { last_contact: Instant::now(), over: false };
        let mut state = self.state();
        state.custody.insert(capture.to_owned(), custody);
        state.planned.remove(capture);
        state.sent.insert(capture.to_owned());
    }

    /// Kubernetes answered about the object of the capture.
    pub(crate) fn contact(&self, capture: &str, over: bool) {
        if let Some(custody) = self.state().custody.get_mut(capture) {
            custody.last_contact = Instant::now();
            custody.over |= over;
        }
    }

    /// Another replica leads, or may have while this process slept: what it knows of open captures is hearsay until an
    /// object says so again.
    pub(crate) fn doubt(&self) {
        let mut state = self.state();
        state.records.clear();
        state.custody.clear();
        state.planned.clear();
        state.refused.clear();
    }

    /// R6: the records of stops that this process sent, and about which Kubernetes has been silent for too long.
    pub(crate) fn alone(&self) -> Vec<Record> {
        let state = self.state();
        let alone = |custody: &Custody| !custody.over && custody.last_contact.elapsed() >= ALONE;
        let is_alone = |record: &&Record| state.custody.get(&record.capture).is_some_and(alone);
        state.records.values().filter(is_alone).cloned().collect()
    }

    pub(crate) fn aborted(&self, record: &Record) {
        let mut state = self.state();
        state.records.insert(record.debtor(), record.clone());
        if let Some(custody) = state.custody.get_mut(&record.capture) {
            custody.over = true;
        }
    }

    pub(crate) fn started(&self, record: &Record, started: Started) {
        let mut state = self.state();
        state.refused.remove(&record.debtor());
        state.started.entry(record.debtor()).or_insert(started);
    }

    pub(crate) fn refused(&self, record: &Record, refusal: Refusal) {
        self.state().refused.insert(record.debtor(), refusal);
    }

    /// What became of the start of the machine for the capture.
    pub(crate) fn start_of(
        &self,
        instance: &InstanceId,
        capture: &str,
    ) -> (Option<Started>, Option<Refusal>) {
        let (state, debtor) = (self.state(), (instance.clone(), capture.to_owned()));
        (state.started.get(&debtor).copied(), state.refused.get(&debtor).cloned())
    }

    /// The capture owes nothing any more.
    pub(crate) fn settled(&self, capture: &str) {
        let mut state = self.state();
        state.records.retain(|(_, of), _| of != capture);
        state.refused.retain(|(_, of), _| of != capture);
        state.custody.remove(capture);
    }

    /// The capture is over and written down: nothing of it is asked for any more.
    pub(crate) fn close(&self, capture: &str) {
        self.settled(capture);
        let mut state = self.state();
        state.started.retain(|(_, of), _| of != capture);
        state.planned.remove(capture);
        state.sent.remove(capture);
    }
}

/// How often the loop asks whether it is alone.
pub(crate) const TICK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use saved_template_core::restart::Awaits;

    use super::*;

    fn record() -> Record {
        let (instance, planned) =
            ("i-0123456789abcdef0".parse().unwrap(), "2026-11-24T07:46:58Z".parse().unwrap());
        Record::plan(
            instance,
            "0123456789abcdef".into(),
            "0a1b2c3d".into(),
            planned,
            (600, 1800),
            Awaits::Snapshots,
            1,
        )
    }

    /// A ledger whose Stop was sent so long ago that its process would be alone by now.
    fn alone() -> Ledger {
        let (ledger, record) = (Ledger::default(), record());
        ledger.remember(&record);
        ledger.take_custody(&record.capture);
        ledger.state().custody.get_mut(&record.capture).unwrap().last_contact =
            Instant::now().checked_sub(ALONE).unwrap();
        ledger
    }

    #[test]
    fn a_process_is_alone_with_its_stop_until_kubernetes_answers_or_the_image_is_asked_for() {
        assert_eq!(alone().alone(), [record()]);
        let answered = alone();
        answered.contact(&record().capture, false);
        assert_eq!(answered.alone(), []);
        assert_eq!(answered.records(), [record()], "and is remembered all the same");
        let aborted = alone();
        aborted.aborted(&record());
        assert_eq!(aborted.alone(), [], "once is enough");
    }

    #[test]
    fn a_record_on_another_machine_that_has_the_capture_of_ours_changes_nothing_of_what_is_known_of_ours() {
        let forged = Record { instance: "i-0fedcba9876543210".parse().unwrap(), ..record() };
        let (ledger, ours) = (alone(), record());
        let started = Started {
            previous: saved_template_core::world::InstanceState::Stopped,
            launch_time_before: None,
        };
        ledger.started(&forged, started);
        ledger.refused(&forged, Refusal::new("StartInstances", "UnclearStateReason", "of another machine"));
        ledger.forget(&forged);
        assert_eq!((ledger.records(), ledger.alone()), (vec![ours.clone()], vec![ours.clone()]));
        assert_eq!(ledger.start_of(&ours.instance, &ours.capture), (None, None));
        ledger.forget(&ours);
        assert_eq!((ledger.records(), ledger.alone()), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_process_knows_whether_it_sent_a_stop_until_the_capture_is_over_also_once_another_one_leads() {
        let ledger = Ledger::default();
        let known = |ledger: &Ledger| (ledger.is_unsent("c"), ledger.is_sent("c"));
        assert_eq!(known(&ledger), (false, false), "a process that knows nothing");
        ledger.planned("c");
        assert_eq!(known(&ledger), (true, false));
        ledger.take_custody("c");
        assert_eq!(known(&ledger), (false, true));
        ledger.planned("c");
        assert_eq!(known(&ledger), (true, false), "EC2 has refused it");
        ledger.take_custody("c");
        ledger.doubt();
        assert_eq!(known(&ledger), (false, true), "its own act, not hearsay");
        ledger.close("c");
        assert_eq!(known(&ledger), (false, false));
    }

    #[test]
    fn a_replica_that_does_not_lead_forgets_the_stops_and_records_and_keeps_the_starts() {
        let ledger = alone();
        let started = Started {
            previous: saved_template_core::world::InstanceState::Stopped,
            launch_time_before: None,
        };
        ledger.started(&record(), started);
        ledger.doubt();
        assert_eq!((ledger.alone(), ledger.records()), (Vec::new(), Vec::new()));
        assert_eq!(
            ledger.start_of(&record().instance, &record().capture).0,
            Some(started),
            "its own act, not hearsay"
        );
    }
}
