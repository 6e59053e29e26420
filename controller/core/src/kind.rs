//! What a kind of object is to the shell, which keeps every kind as its manifest says.
use std::{collections::BTreeMap, time::Instant};

use jiff::Timestamp;
use kube::core::object::{HasSpec, HasStatus};
use saved_template_api::{
    ids::{InstanceId, Region},
    status::Announced,
};

use crate::{
    decision::Next,
    events::Event,
    memory::Memory,
    place::Place,
    step::{Outcome, Step},
    subject::Subject,
    subscription::Subscription,
    world::World,
};

/// A [`Subject`] of the kind.
pub type SubjectOf<'a, K> = Subject<'a, <K as HasSpec>::Spec, <K as HasStatus>::Status>;

/// A kind of object. What only a kind with something in AWS has is nothing unless it says so.
pub trait Kind: HasSpec<Spec: PartialEq> + HasStatus<Status: Clone + Default + PartialEq> {
    /// Its name, as Kubernetes spells it.
    const KIND: &'static str;
    /// The finalizer that holds an object until what depends on it is done.
    const FINALIZER: &'static str;

    /// What to write and what to do, or what has to be known first.
    fn decide(subject: SubjectOf<'_, Self>, world: &World, now: Timestamp) -> Next<Self::Status>;

    /// The place whose clock, records and machines its decisions are about.
    fn home(_spec: &Self::Spec) -> Option<Place> {
        None
    }

    /// What is read of EC2 for it, by region of the account of its home.
    fn subscriptions(
        _subject: SubjectOf<'_, Self>,
        _now: Option<Timestamp>,
    ) -> BTreeMap<Region, Subscription> {
        BTreeMap::new()
    }

    /// What the process remembers and the status says of its machine are brought together.
    fn recall(_subject: SubjectOf<'_, Self>, _memory: &mut Memory, _world: &mut World) {}

    /// The API server took the status.
    fn written(_before: &Self::Status, _after: &Self::Status, _memory: &mut Memory, _at: Instant) {}

    /// The machine that it may hold the claim on.
    fn machine(_status: &Self::Status) -> Option<&InstanceId> {
        None
    }

    /// Whether it is done with that machine.
    fn is_over(_status: &Self::Status) -> bool {
        true
    }

    /// The changes that the status announces.
    fn announced(_status: &Self::Status) -> &[Announced] {
        &[]
    }

    /// The status with what EC2 answered; none if that teaches nothing.
    fn apply_outcomes(
        _status: &Self::Status,
        _answers: &[(Step, Outcome)],
        _now: Timestamp,
    ) -> Option<Self::Status> {
        None
    }

    /// The event of a step that was refused.
    fn refused(_spec: &Self::Spec, _step: &Step, _outcome: &Outcome) -> Option<Event> {
        None
    }

    /// Whether what stands in the way of the object may be mended from one second to the next.
    fn is_hindered(_status: &Self::Status) -> bool {
        false
    }
}
