//! `SavedTemplateClass`: what is said of a class, and that none goes while a template names it.
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    SavedTemplateClass, SavedTemplateClassStatus, class::ClassReason, condition, names::CLASS_FINALIZER,
};

use crate::{
    decision::{Decision, Finalizer, Next, Question},
    kind::{Kind, SubjectOf},
    world::{ClassSeen, Users, World},
};

/// A class that is to go is looked at so often: nothing tells that the last template that names it is gone.
const GOING: Duration = Duration::from_secs(15);
/// After its finalizer was taken off: a template may have begun to name it meanwhile.
const RELEASED: Duration = Duration::from_secs(2);
/// What is in use may go out of use. A template that begins to name it wakes it.
const RARELY: Duration = Duration::from_hours(1);

impl Kind for SavedTemplateClass {
    const KIND: &'static str = "SavedTemplateClass";
    const FINALIZER: &'static str = CLASS_FINALIZER;

    fn decide(subject: SubjectOf<'_, Self>, world: &World, now: Timestamp) -> Next<SavedTemplateClassStatus> {
        // Every template that waits for this generation hears of it.
        let is_news = subject.status.observed_generation != Some(subject.generation);
        let Some(users) = &world.users else {
            // So does each that waits for it to be held.
            let all = is_news || !subject.finalizer;
            return Next::Ask(Question::Users { class: subject.name.to_owned(), all });
        };
        let finalizer = match users {
            // What is to go takes no finalizer any more.
            Users::Known(users) if !users.is_empty() && !subject.finalizer && !subject.deleting => {
                Finalizer::Add
            }
            Users::Known(users) if users.is_empty() && subject.finalizer => Finalizer::Remove,
            Users::Known(_) | Users::Untold => Finalizer::Keep,
        };
        let look_again = match finalizer {
            Finalizer::Remove => RELEASED,
            // Without our finalizer it is held by somebody else, and its end is an event.
            Finalizer::Add | Finalizer::Keep if subject.deleting && subject.finalizer => GOING,
            Finalizer::Add | Finalizer::Keep => RARELY,
        };
        let wakes = match users {
            Users::Known(users) if is_news || finalizer == Finalizer::Add => users.clone(),
            Users::Known(_) | Users::Untold => Vec::new(),
        };
        let (steps, events) = (Vec::new(), Vec::new());
        let status = status(subject, now);
        Next::Do(Box::new(Decision { status, finalizer, steps, events, wakes, look_again }))
    }
}

fn status(subject: SubjectOf<'_, SavedTemplateClass>, now: Timestamp) -> SavedTemplateClassStatus {
    let (reason, message) = ready(subject);
    let mut conditions = subject.status.conditions.clone();
    // One writer: what is not ours was put there by hand.
    let written = reason.conditions(&message, subject.generation, &Time(now));
    conditions.retain(|old| written.iter().any(|new| new.type_ == old.type_));
    for new in written {
        condition::set(&mut conditions, new);
    }
    SavedTemplateClassStatus { observed_generation: Some(subject.generation), conditions }
}

fn ready(subject: SubjectOf<'_, SavedTemplateClass>) -> (ClassReason, String) {
    let (name, not_enforced) = (subject.name, subject.spec.not_enforced());
    if subject.deleting {
        // In the same words whoever writes: two controllers that see different namespaces would write over each other for ever.
        let text = format!(
            "it is being deleted, and goes once no SavedTemplate names it: kubectl get savedtemplates --all-namespaces \
             --field-selector spec.className={name}. Where none does and no controller may list them in all namespaces, take \
             {CLASS_FINALIZER} out of metadata.finalizers"
        );
        (ClassReason::InUse, text)
    } else if not_enforced.is_empty() {
        (ClassReason::Accepted, "all that it says is enforced: templates may name it".to_owned())
    } else {
        (ClassReason::NotYetSupported, unsupported(&not_enforced))
    }
}

/// What is said of fields that nothing enforces yet.
pub(crate) fn unsupported(fields: &[String]) -> String {
    let fields = fields.join(", ");
    format!("nothing may rest on what this version does not enforce: {fields}. Take it out of the class")
}

/// What a template sees of the class that it names.
pub fn seen(class: Option<&SavedTemplateClass>) -> ClassSeen {
    let Some(class) = class else { return ClassSeen::Missing };
    if class.metadata.deletion_timestamp.is_some() {
        return ClassSeen::Going;
    }
    let is_held = class.metadata.finalizers.iter().flatten().any(|name| name == CLASS_FINALIZER);
    if is_held { ClassSeen::Held { not_enforced: class.spec.not_enforced() } } else { ClassSeen::Unheld }
}

#[cfg(test)]
mod tests;
