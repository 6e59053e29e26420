//! One copy for each region: of two that EC2 made, because one showed too late to be believed, one is taken away.
use saved_template_api::{
    Reason,
    ids::Region,
    status::{RegionRole, RegionState},
};

use crate::{
    facts::Facts,
    needs::removal::{held_up, is_fresh_in, pause_left_of},
    ownership::is_retained,
    step::Step,
    time::SOON,
    unmet::Unmet,
    world::{Image, ImageState},
};

pub(crate) fn need(facts: &Facts<'_>) -> Option<Unmet> {
    let found = facts.wanted().into_iter().find_map(|region| Some((surplus(facts, &region)?, region)));
    let (image, region) = found?;
    if let Some((wait, why)) = held_up(facts) {
        return Some(Unmet::waiting(Reason::Copying, why, wait).aside());
    }
    let id = &image.id;
    let message = format!("{id} in {region} is a second copy, which EC2 showed too late: removing it");
    let step = Step::Deregister { region: region.clone(), image: id.clone() };
    let pause = pause_left_of(facts, &step);
    if pause.is_some() || !is_fresh_in(facts, &region) {
        return Some(Unmet::waiting(Reason::Copying, message, pause.unwrap_or(SOON)).aside());
    }
    Some(Unmet::acting(Reason::Copying, message, step).aside())
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
