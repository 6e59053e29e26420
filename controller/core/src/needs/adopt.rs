//! What is there already is ours to serve, before anything is asked about the machine.
use saved_template_api::{Reason, names::tag};

use crate::{
    facts::Facts,
    fold::adopted::{home_image, is_answered, is_declared_source},
    quote::{flag, quoted},
    unmet::Unmet,
};

/// An image of this revision exists that is not this object's to take.
pub(crate) fn need(facts: &Facts<'_>) -> Option<Unmet> {
    if is_answered(facts) {
        return None;
    }
    let image = home_image(facts)?;
    let next = facts.status.latest_revision.unwrap_or(0).max(facts.subject.spec.revision).saturating_add(1);
    let message = format!(
        "{} is revision {} of this template, made from another source: set spec.revision to {next} to capture the new one",
        image.id, facts.subject.spec.revision
    );
    (!is_declared_source(facts, image)).then(|| Unmet::invalid(Reason::RevisionTaken, message))
}

/// Something of ours is held by a twin of this cluster: it is read, and not changed. What the status names counts whatever
/// else its tags say: who may write tags must not be able to set a twin free.
pub(crate) fn held_by_other(facts: &Facts<'_>) -> Option<String> {
    let regions = facts.regions_ever();
    let images = regions.iter().filter_map(|region| Some((region, facts.ours_or_named(region)?)));
    let images = images.flat_map(|(region, images)| images.into_iter().map(move |image| (region, image)));
    let mut held = images.filter_map(|(region, image)| {
        let holder = image.tags.get(tag::HOLDER).filter(|_| !facts.holds(&image.tags))?;
        Some((region, image, holder))
    });
    let (region, image, holder) = held.next()?;
    let more = held.count();
    let more = if more == 0 { String::new() } else { format!(", and so are {more} more") };
    Some(format!(
        "{} in {region} is held by another cluster of the same name (kube-system uid {}){more}: it is left as it is, and \
         nothing is captured. If that cluster is gone for good, start the controller with {}",
        image.id,
        quoted(holder),
        flag("--take-over", holder)
    ))
}

#[cfg(test)]
mod tests;
