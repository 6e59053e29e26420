//! What was taken away is named until nothing of it is left: its snapshots may show later than it went.
use jiff::SignedDuration;
use saved_template_api::status::{RegionState, RemovedImage};

use crate::{draft::Draft, facts::Facts, fold::images::is_gone, restart::evidence::made_for, time::later};

/// How long after an image was asked for, or was to go, it or its snapshots may still show.
pub(crate) const SHOWN: SignedDuration = SignedDuration::from_mins(5);

pub(super) fn forget(draft: &mut Draft<'_>) {
    let mut removed = draft.status.removed_images.clone();
    removed.retain(|removed| is_left(draft, removed));
    draft.status.removed_images = removed;
}

/// Whether anything of an image is left, or may be. One that is still shown was not taken away.
fn is_left(facts: &Facts<'_>, removed: &RemovedImage) -> bool {
    let (id, region) = (&removed.image_id, &removed.region);
    let is_kept = facts.row(region).is_none_or(|row| row.state == RegionState::Retained);
    if is_kept && !facts.wanted().contains(region) {
        // It is not read any more.
        return facts.now < later(facts.last_asked(removed), SHOWN);
    }
    let Some(view) = facts.view_of(region) else { return true };
    let may_show = view.began < later(facts.last_asked(removed), SHOWN);
    match (facts.shows(id, region), facts.left_in(region)) {
        (Some(true), _) => may_show,
        // One that is not believed to be gone yet may have left something.
        (Some(false), Some(left)) => {
            may_show
                || !is_gone(facts, id, region)
                || left.iter().any(|shot| made_for(shot) == Some(id.as_str()))
        }
        _ => true,
    }
}
