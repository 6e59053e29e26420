//! The machine is back. The restart loop brings it; here it is only waited for and told.
use saved_template_api::Reason;

use crate::{
    facts::Facts,
    receipt,
    restart::{self, Awaits, Record},
    restored,
    time::SOON,
    unmet::Unmet,
    world::InstanceState,
};

pub(crate) fn need(facts: &Facts<'_>) -> Option<Unmet> {
    let Some(capture) = facts.open_capture().filter(|capture| capture.restart_record.is_some()) else {
        let record = forgotten(facts)?;
        let message = format!(
            "{} is stopped under a record of this template that the status has lost: it is started when it is due",
            record.instance
        );
        return Some(Unmet::waiting(Reason::RestoringSource, message, SOON));
    };
    let (reason, message) = restored::source_restored(facts, capture);
    let ready =
        if capture.stop_requested_time.is_some() { Reason::RestoringSource } else { Reason::Capturing };
    Some(Unmet::waiting(ready, format!("{}: {message}", reason.name()), SOON))
}

/// A debt of which the status knows nothing: it is on a machine that is down, and the receipt that came
/// with it, or an image of its capture, is this object's.
fn forgotten(facts: &Facts<'_>) -> Option<Record> {
    let key = facts.debt_key();
    let images = facts.our_images(facts.home()).unwrap_or_default();
    facts.instances().iter().find_map(|instance| {
        let record: Record = instance.tags.get(&key)?.parse().ok()?;
        let receipt = receipt::is_newest(facts, instance);
        let made = images.iter().any(|image| record.made(image));
        let ours = record.awaits != Awaits::Nothing && record.instance == instance.id && (receipt || made);
        let down = matches!(instance.state, InstanceState::Stopping | InstanceState::Stopped)
            && !restart::stopped_by_somebody(&record, instance);
        (ours && down).then_some(record)
    })
}

#[cfg(test)]
mod tests;
