//! Events: what was written, in words.
use kube::{
    Resource,
    runtime::events::{Event, EventType},
};
use saved_template_api::{SavedTemplate, text::cut};
use saved_template_core::notes::Note;

use crate::context::Context;

/// Publishes the notes. One that cannot be written fails nothing; a terminating namespace refuses them.
pub(crate) async fn tell<C>(object: &SavedTemplate, ctx: &Context<C>, notes: &[Note]) {
    for Note { warning, reason, message, action } in notes {
        let event = Event {
            type_: if *warning { EventType::Warning } else { EventType::Normal },
            reason: (*reason).to_owned(),
            note: Some(cut(message.clone(), 1024)),
            action: action.clone(),
            secondary: None,
        };
        if let Err(error) = ctx.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::debug!(%error, reason, "the event could not be written");
        }
    }
}
