//! What the machine's owner wants, and what we did to it: kept beside the simulator, from the calls alone.
use std::collections::BTreeMap;

use ec2sim::{InstanceState, LogEntry, Place};
use saved_template_api::names::debt_key;
use saved_template_core::restart::{Record, last_arrival};

use crate::{ec2::AGENT, lab::CLUSTER};

/// What the owner wants of the machine.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    #[default]
    Runs,
    Rests,
    Gone,
}

/// The last stop by the owner.
#[derive(Debug, Clone, Copy)]
struct Stopped {
    at: i64,
    launch: i64,
    /// The machine was stopping or stopped by us: EC2 keeps no trace of the owner's call.
    unseen: bool,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Truth {
    pub(crate) wish: Wish,
    last: Option<Stopped>,
    /// The record under which we call.
    pub(crate) under: Option<Record>,
    /// How often we brought the machine down, by capture.
    pub(crate) stops: BTreeMap<String, u32>,
    /// When we brought it down, but for when its owner then wanted it down.
    pub(crate) downs: Vec<i64>,
    /// The capture that brought it down last.
    pub(crate) by: String,
    /// It is down, and we did it.
    pub(crate) held: bool,
    /// It is down, we did it, and no copy of its record is left anywhere.
    pub(crate) forgotten: bool,
    /// The record under which we start is forged, and nobody can tell it from ours.
    pub(crate) deceived: bool,
    /// How often an owner's stop could not be known, and how often we started the machine then.
    pub(crate) unknowable: u64,
    pub(crate) unknowing: u64,
    pub(crate) reached: BTreeMap<&'static str, u64>,
}

fn record(place: &Place, id: &str) -> Option<Record> {
    place.instances[id].tags.get(&debt_key(CLUSTER))?.parse().ok()
}

impl Truth {
    /// After a call of ours that EC2 took.
    pub(crate) fn ours(&mut self, call: &LogEntry, place: &Place, id: &str) {
        let instance = &place.instances[id];
        let moved =
            instance.history.iter().rev().find(|moment| moment.at == call.at && moment.cause == AGENT);
        match (call.action.as_str(), moved.map(|moment| moment.state)) {
            ("StopInstances", Some(InstanceState::Stopping)) => {
                let record = self.under.clone().unwrap();
                let launched = instance.launch_time.div_euclid(1000);
                let planned = record.planned.as_second();
                assert!(launched <= planned, "stopped a machine that was launched after the plan");
                self.by.clone_from(&record.capture);
                let stops = self.stops.entry(record.capture).or_default();
                *stops += 1;
                assert_eq!(*stops, 1, "a second stop under one plan");
                assert_ne!(self.wish, Wish::Rests, "running against its owner's will, and we stop it");
                self.held = true;
                self.downs.push(call.at);
                *self.reached.entry("stopped by us").or_default() += 1;
            }
            ("StartInstances", Some(InstanceState::Pending | InstanceState::Running)) => {
                self.held = false;
                *self.reached.entry("started by us").or_default() += 1;
                if self.wish == Wish::Rests {
                    assert!(self.could_not_know() || self.deceived, "started against its owner's will");
                    self.unknowing += 1;
                    self.wish = Wish::Runs;
                }
            }
            _ => {}
        }
    }

    /// "What cannot be known": a stop of a machine that we hold, or one in the window of a record.
    fn could_not_know(&self) -> bool {
        let Some(last) = self.last else { return false };
        let in_window = self.under.as_ref().is_some_and(|record| {
            let at = last.at.div_euclid(1000);
            last.launch.div_euclid(1000) <= record.planned.as_second()
                && at >= record.planned.as_second() - 2
                && at <= last_arrival(record).as_second()
        });
        last.unseen || in_window
    }

    /// After a call of the owner's that EC2 took.
    pub(crate) fn owners(&mut self, action: &str, before: InstanceState, place: &Place, id: &str, now: i64) {
        let down = matches!(before, InstanceState::Stopping | InstanceState::Stopped);
        match action {
            "StopInstances" => {
                let launch = place.instances[id].launch_time;
                if !down || self.held {
                    self.last = Some(Stopped { at: now, launch, unseen: down });
                    self.unknowable += u64::from(down || record(place, id).is_some());
                    *self.reached.entry("stopped by its owner").or_default() += 1;
                }
                if self.held {
                    self.downs.pop();
                }
                (self.wish, self.held) = (Wish::Rests, false);
            }
            "StartInstances" => (self.wish, self.held) = (Wish::Runs, false),
            "TerminateInstances" => (self.wish, self.held) = (Wish::Gone, false),
            _ => {}
        }
    }
}
