//! One copy for each region: of two that EC2 made, because one showed too late to be believed, one is taken away.
use saved_template_api::{
    Reason,
    ids::Region,
    status::{RegionRole, RegionState},
};

use crate::{
    facts::Facts,
    needs::removal::pause_left_of,
    ownership::is_retained,
    step::Step,
    time::SOON,
    unmet::Unmet,
    world::{Image, ImageState},
};

pub(crate) fn need(facts: &Facts<'_>) -> Option<Unmet> {
    let found = facts.wanted().into_iter().filter_map(|region| Some((surplus(facts, &region)?, region)));
    let (mut steps, mut soonest, mut messages) = (Vec::new(), None, Vec::new());
    for (image, region) in found {
        let id = &image.id;
        messages.push(format!("{id} in {region} is a second copy, which EC2 showed too late: removing it"));
        let step = Step::Deregister { region: region.clone(), image: id.clone() };
        let pause = pause_left_of(facts, &step);
        if pause.is_some() || !facts.is_fresh_in(&region) {
            soonest = soonest.min(pause).or(pause);
        } else {
            steps.push(step);
        }
    }
    let waiting = Unmet::waiting(Reason::Copying, messages.into_iter().next()?, soonest.unwrap_or(SOON));
    Some(Unmet { steps, ..waiting }.aside())
}

/// A copy of ours beside the one that the row names and that can be launched: of the same image, and under a name that
/// this row has asked for.
fn surplus<'a>(facts: &Facts<'a>, region: &Region) -> Option<&'a Image> {
    let row = facts.row(region).filter(|row| row.role == RegionRole::Copy)?;
    let kept = row.image_id.as_ref().filter(|_| row.state == RegionState::Available)?;
    let source = facts.home_row()?.image_id.as_ref()?;
    let images = facts.our_images(region)?;
    images.iter().find(|image| image.id == *kept && image.state == ImageState::Available)?;
    let served = |image: &Image| facts.status.images.iter().any(|served| served.image_id == image.id);
    images.into_iter().find(|image| {
        image.id != *kept
            && image.state == ImageState::Available
            && facts.is_copy(image, source, region)
            && facts.asked_for(region).any(|name| name == image.name)
            && !is_retained(&image.tags)
            && facts.holds(&image.tags)
            && !served(image)
    })
}

#[cfg(test)]
mod tests;
