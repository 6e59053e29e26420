//! The class that a template names is there, is held, and promises nothing that this version does not keep. Asked before
//! anything of the machine is written down.
use saved_template_api::Reason;

use crate::{
    class::unsupported,
    decision::Question,
    facts::Facts,
    time::LATER,
    unmet::{Lack, Unmet},
    world::ClassSeen,
};

pub(crate) fn need(facts: &Facts<'_>) -> Option<Unmet> {
    let name = &facts.subject.spec.class_name;
    let Some(seen) = &facts.world.class else {
        return Some(Unmet::lacking(Lack::Answer(Question::Class(name.clone()))));
    };
    let missing = |why: &str| {
        let message = format!(
            "{why}: whoever administers the cluster creates it, or make this template anew with another spec.className"
        );
        Unmet { look_again: LATER, ..Unmet::invalid(Reason::ClassNotFound, message) }
    };
    let unknown = |message: String, look_again| Unmet {
        invalid: Some(Reason::NotChecked),
        ..Unmet::waiting(Reason::Preflight, message, look_again)
    };
    Some(match seen {
        ClassSeen::Missing => missing(&format!("there is no SavedTemplateClass {name}")),
        ClassSeen::NoSuchKind => {
            let message = format!(
                "this cluster knows no SavedTemplateClass, and the template names {name}: install the CRD \
                 savedtemplateclasses.savedtemplate.dev (helm upgrade with the chart of this version, crds.install=true)"
            );
            Unmet { look_again: LATER, ..Unmet::invalid(Reason::ClassNotFound, message) }
        }
        ClassSeen::Going => missing(&format!("the SavedTemplateClass {name} is being deleted")),
        ClassSeen::Unheld => {
            // It wakes this template; where nobody may put its finalizer on, that is not asked for every second.
            let message = format!(
                "the SavedTemplateClass {name} does not carry its finalizer yet, which keeps it while it is in use"
            );
            unknown(message, LATER)
        }
        ClassSeen::Unread(why) => {
            unknown(format!("the SavedTemplateClass {name} cannot be read: {why}"), LATER)
        }
        ClassSeen::Held { not_enforced } if !not_enforced.is_empty() => {
            let message = format!("the SavedTemplateClass {name}: {}", unsupported(not_enforced));
            Unmet { look_again: LATER, ..Unmet::invalid(Reason::NotYetSupported, message) }
        }
        ClassSeen::Held { .. } => return None,
    })
}

#[cfg(test)]
mod tests;
