//! Events: what was written, in words.
use kube::{
    Resource,
    runtime::events::{self, EventType},
};
use saved_template_api::text::cut;
use saved_template_core::events::Event;

use crate::context::Context;

/// Publishes events of an object. One that cannot be written fails nothing; a terminating namespace refuses them.
pub(crate) async fn publish<K: Resource<DynamicType = ()>, C>(
    object: &K,
    ctx: &Context<C>,
    events: &[Event],
) {
    for Event { warning, reason, message, action } in events {
        let event = events::Event {
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
