//! The whole policy: what was seen and the time in, what to write and what to do out.
use std::time::Duration;

use jiff::Timestamp;
use saved_template_api::{SavedTemplateStatus, spec::DeletionPolicy};

use crate::{
    conditions,
    decision::{Decision, Finalizer, Next},
    draft::Draft,
    events,
    facts::Facts,
    fold, needs,
    restart::Record,
    subject::Subject,
    time,
    unmet::Lack,
    world::World,
};

/// Whether deciding needs any view of EC2: an object that owes nothing and goes away does not.
pub fn needs_world(subject: &Subject<'_>) -> bool {
    let owes = subject.status.capture.as_ref().is_some_and(|capture| capture.restart_record.is_some());
    let deletes = subject.spec.deletion_policy == DeletionPolicy::Delete;
    !subject.deleting || (subject.finalizer && (owes || deletes))
}

/// Whether anything but the status says that a record's machine is this object's.
pub fn is_supported(subject: Subject<'_>, world: &World, record: &Record) -> bool {
    Facts::new(subject, world, record.planned).is_supported(record)
}

/// The capture that a decision plans, if the status that it rests on has another one.
pub fn plans<'d>(before: &SavedTemplateStatus, decision: &'d SavedTemplateStatus) -> Option<&'d str> {
    let new = decision.capture.as_ref().filter(|capture| capture.completion_time.is_none())?;
    let is_known = before.capture.as_ref().is_some_and(|old| old.id == new.id);
    (!is_known).then_some(new.id.as_str())
}

/// Chooses the first unmet need, or says what is lacking to do so.
pub fn decide(subject: Subject<'_>, world: &World, now: Timestamp) -> Next {
    let mut draft = Draft::new(subject, world, now);
    fold::observe(&mut draft);
    let said = needs::first_unmet(&draft);
    let unmet = said.unmet.map(|unmet| needs::while_owed(&draft, unmet));
    match unmet.as_ref().and_then(|unmet| unmet.lacks.clone()) {
        Some(Lack::Answer(question)) => return Next::Ask(question),
        Some(Lack::Claim(instance)) => return Next::Acquire(instance),
        None => {}
    }
    draft.apply(said.writes);
    if let Some(unmet) = &unmet {
        draft.apply(unmet.writes.clone());
    }
    draft.announce(unmet.as_ref().map_or(&[], |unmet| &unmet.steps));
    conditions::write(&mut draft, unmet.as_ref());
    let mut events = events::between(subject.status, &draft.status, subject.spec.revision);
    if let Some(unmet) = unmet.as_ref().filter(|unmet| unmet.finalizer == Finalizer::Remove) {
        events.push(events::gone(subject.spec.revision, &unmet.message));
    }
    let at_rest = if draft.doubts() || draft.removes() { time::LATER } else { RARELY };
    let (finalizer, steps, look_again) = match unmet {
        Some(unmet) => (unmet.finalizer, unmet.steps, unmet.look_again),
        None => (Finalizer::Keep, Vec::new(), at_rest),
    };
    // Whoever is to delete images must hear of the deletion, also of those that were adopted.
    let deletes = subject.spec.deletion_policy == DeletionPolicy::Delete;
    let has_image = draft.status.regions.iter().any(|row| row.image_id.is_some());
    let add = !subject.finalizer && !subject.deleting && (!steps.is_empty() || (deletes && has_image));
    let finalizer = if add { Finalizer::Add } else { finalizer };
    let look_again = look_again.min(RARELY);
    Next::Do(Box::new(Decision {
        status: draft.into_status(),
        finalizer,
        steps,
        events,
        wakes: Vec::new(),
        look_again,
    }))
}

/// How often an object that lacks nothing is looked at without a reason; a sweep that sees a change wakes it before.
const RARELY: Duration = Duration::from_hours(2);

#[cfg(test)]
mod ended;
#[cfg(test)]
mod finalizer;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod mended;
#[cfg(test)]
mod order;
#[cfg(test)]
mod regions;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod words;
