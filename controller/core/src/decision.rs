//! What a decision says: what to write, what to do, and what is asked before it can be made.
use std::time::Duration;

use saved_template_api::{SavedTemplateStatus, ids::InstanceId};

use crate::{
    events::Event,
    key::Key,
    step::{ImageRequest, Step},
};

/// Something that is asked only where a decision lacks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Fill [`crate::world::World::probe`]; the request is what `CreateImage` is asked with `DryRun`.
    Probe {
        /// The machine.
        instance: InstanceId,
        /// Its instance type.
        instance_type: String,
        /// Its volumes.
        volumes: Vec<saved_template_api::ids::VolumeId>,
        /// The request.
        request: Box<ImageRequest>,
    },
    /// Fill [`crate::world::World::permits`].
    Permits(InstanceId),
    /// Fill [`crate::world::World::class`]: the `SavedTemplateClass` of that name. One that nothing holds yet is woken.
    Class(String),
    /// Fill [`crate::world::World::users`].
    Users {
        /// The name of the class.
        class: String,
        /// Whether every one is wanted, and not only whether there is one.
        all: bool,
    },
}

/// What becomes of our finalizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finalizer {
    /// It stays as it is.
    Keep,
    /// It is added, in the write before the one that announces the first change to AWS.
    Add,
    /// It is removed: the object may go.
    Remove,
}

/// What to write, then what to do, then when to look again.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<Status = SavedTemplateStatus> {
    /// The status to write; it always differs from the one read where there are steps.
    pub status: Status,
    /// What becomes of the finalizer.
    pub finalizer: Finalizer,
    /// The changes to AWS, at most one in each region.
    pub steps: Vec<Step>,
    /// Events to publish once the status is written.
    pub events: Vec<Event>,
    /// Other objects that look again, once the status is written.
    pub wakes: Vec<Key>,
    /// When to look again, if nothing wakes the object before.
    pub look_again: Duration,
}

impl<Status> Decision<Status> {
    /// The first of the changes: the only one where one region alone is concerned.
    pub fn step(&self) -> Option<&Step> {
        self.steps.first()
    }
}

/// What comes next of one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Next<Status = SavedTemplateStatus> {
    /// It is decided.
    Do(Box<Decision<Status>>),
    /// EC2 is asked about this one machine first; then it is decided anew.
    Ask(Question),
    /// The claim on this machine is taken first, that this object alone saves it in this installation, and
    /// [`crate::world::World::claim`] filled; then it is decided anew.
    Acquire(InstanceId),
}

impl<Status> Next<Status> {
    /// The decision, if nothing is lacking for it.
    pub fn into_decision(self) -> Option<Decision<Status>> {
        match self {
            Self::Do(decision) => Some(*decision),
            Self::Ask(_) | Self::Acquire(_) => None,
        }
    }
}
