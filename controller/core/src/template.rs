//! `SavedTemplate`: the kind whose decisions are [`crate::decide`]'s.
use std::{collections::BTreeMap, time::Instant};

use jiff::Timestamp;
use saved_template_api::{
    SavedTemplate, SavedTemplateSpec, SavedTemplateStatus,
    ids::{InstanceId, Region},
    names::{FINALIZER, SAVED_TEMPLATE},
    status::{Announced, CheckResult},
};

use crate::{
    claim,
    decide::{self, is_supported, needs_world, plans},
    decision::Next,
    events::{self, Event},
    kind::Kind,
    memory::Memory,
    outcomes::apply_all,
    place::Place,
    step::{Outcome, Step},
    subject::Subject,
    subscription::{self, Subscription},
    world::World,
};

impl Kind for SavedTemplate {
    const KIND: &'static str = SAVED_TEMPLATE;
    const FINALIZER: &'static str = FINALIZER;

    fn decide(subject: Subject<'_>, world: &World, now: Timestamp) -> Next {
        decide::decide(subject, world, now)
    }

    fn home(spec: &SavedTemplateSpec) -> Option<Place> {
        Some(Place::own(spec.source.region.clone()))
    }

    fn subscriptions(subject: Subject<'_>, now: Option<Timestamp>) -> BTreeMap<Region, Subscription> {
        if needs_world(&subject) { subscription::of(subject, now) } else { BTreeMap::new() }
    }

    fn recall(subject: Subject<'_>, memory: &mut Memory, world: &mut World) {
        if let Some(capture) = &subject.status.capture {
            memory.recall(capture, |record| is_supported(subject, world, record));
        }
        memory.tell(subject.status, world);
    }

    fn written(before: &SavedTemplateStatus, after: &SavedTemplateStatus, memory: &mut Memory, at: Instant) {
        memory.contact(after, at);
        if let Some(capture) = plans(before, after) {
            memory.planned(capture);
        }
    }

    fn machine(status: &SavedTemplateStatus) -> Option<&InstanceId> {
        status.source.as_ref()?.instance_id.as_ref()
    }

    fn is_over(status: &SavedTemplateStatus) -> bool {
        claim::is_over(status)
    }

    fn announced(status: &SavedTemplateStatus) -> &[Announced] {
        &status.announced
    }

    fn apply_outcomes(
        status: &SavedTemplateStatus,
        answers: &[(Step, Outcome)],
        now: Timestamp,
    ) -> Option<SavedTemplateStatus> {
        apply_all(status, answers, now)
    }

    fn refused(spec: &SavedTemplateSpec, step: &Step, outcome: &Outcome) -> Option<Event> {
        events::refused(step, outcome, spec.revision)
    }

    fn is_hindered(status: &SavedTemplateStatus) -> bool {
        status.preflight.iter().any(|row| row.result == CheckResult::Failed)
    }
}
