//! The object goes (§9): no new work, the debt paid, then what `deletionPolicy` says, then the finalizer.
use std::time::Duration;

use saved_template_api::{
    Reason,
    spec::DeletionPolicy,
    status::{RegionRole, RegionStatus},
};

use crate::{
    decide::{Finalizer, Question},
    fold::MOST_ROWS,
    needs::{
        LATER, SLOWLY, SOON, Unmet, adopt, record,
        removal::{self, Removal},
    },
    receipt,
    scene::Scene,
    step::Step,
    world::ImageState,
};

pub(crate) fn need(scene: &mut Scene<'_>) -> Result<Option<Unmet>, Question> {
    if !scene.subject.deleting {
        return Ok(None);
    }
    let owed = scene.open_capture().is_some_and(|capture| capture.debt.is_some());
    if owed && scene.subject.finalizer && !is_overdue(scene) {
        return Ok(Some(pay_first(scene)));
    }
    if !scene.subject.finalizer {
        return Ok(Some(Unmet::waiting(Reason::Deleting, "nothing of this object is in AWS", SOON)));
    }
    match scene.subject.spec.deletion_policy {
        DeletionPolicy::Retain => Ok(Some(gone("the images stay (deletionPolicy Retain)"))),
        DeletionPolicy::Delete => match images(scene) {
            Some(unmet) => Ok(Some(unmet)),
            None => receipt(scene).map(Some),
        },
    }
}

fn gone(message: &str) -> Unmet {
    Unmet { finalizer: Finalizer::Remove, ..Unmet::waiting(Reason::Deleting, message, SOON) }
}

/// A debt holds the object until the machine's limit has passed; then the tag and the restart loop remain.
fn is_overdue(scene: &Scene<'_>) -> bool {
    scene.record().is_some_and(|record| scene.now >= record.start_by)
}

fn pay_first(scene: &mut Scene<'_>) -> Unmet {
    if let Some(unmet) = record::unsupported(scene) {
        return Unmet { ready: Reason::Deleting, invalid: None, ..unmet };
    }
    let unmet = record::give_up(scene, "Deleted", "the object was deleted before the image was asked for");
    let step = unmet.and_then(|unmet| unmet.step);
    let message = "the machine is given back before the object goes";
    Unmet { step, ..Unmet::waiting(Reason::Deleting, message, SOON) }
}

/// Everything of ours in every region that was ever used: copies, then home.
fn images(scene: &mut Scene<'_>) -> Option<Unmet> {
    if let Some(message) = adopt::held_by_other(scene) {
        return Some(Unmet::stalled(Reason::Deleting, message));
    }
    let home = scene.home().clone();
    let regions = scene.regions_ever();
    for region in &regions {
        if scene.row(region).is_none() && scene.status.regions.len() < MOST_ROWS {
            let role = if *region == home { RegionRole::Home } else { RegionRole::Copy };
            let row = RegionStatus::waiting(region.clone(), "x86_64".to_owned(), role);
            scene.status.regions.push(row);
        }
    }
    let (copies, homes): (Vec<_>, Vec<_>) = regions.into_iter().partition(|region| *region != home);
    let copying = copies.iter().any(|region| {
        let pending = |image: &&crate::world::Image| image.state == ImageState::Pending;
        scene.our_images(region).is_none_or(|images| images.iter().any(pending))
    });
    if let Some((wait, why)) = removal::held_up(scene) {
        return Some(Unmet::waiting(Reason::Deleting, why, wait));
    }
    let mut waits: Option<(Duration, String)> = None;
    let mut hindered: Vec<String> = Vec::new();
    for region in copies.iter().chain(&homes) {
        // The source of a copy is not touched while EC2 reads it.
        if *region == home && copying {
            waits.get_or_insert((SOON, format!("{home} waits for the copies")));
            continue;
        }
        match removal::next(scene, region) {
            Removal::Done => {}
            Removal::Step(step) => {
                if let Some(left) = removal::pause_left_of(scene, &step) {
                    waits.get_or_insert((left, format!("{region}: {} is tried again", step.name())));
                    continue;
                }
                return Some(act(scene, step));
            }
            Removal::Wait(wait, why) => _ = waits.get_or_insert((wait, format!("{region}: {why}"))),
            Removal::Blocked(wait) => {
                let row = scene.row(region).and_then(|row| row.message.clone()).unwrap_or_default();
                hindered.push(format!("{region}: {row}"));
                waits.get_or_insert((wait.min(SLOWLY), String::new()));
            }
            Removal::Unreadable(why) => {
                hindered.push(why);
                waits.get_or_insert((LATER, String::new()));
            }
        }
    }
    if !hindered.is_empty() {
        let look_again = waits.map_or(LATER, |(wait, _)| wait);
        let retain = retain(scene);
        let message =
            format!("{}; to keep what is left and let the object go: {retain}", hindered.join("; "));
        return Some(Unmet::waiting(Reason::Deleting, message, look_again));
    }
    waits.map(|(wait, why)| Unmet::waiting(Reason::Deleting, why, wait))
}

/// Then the receipt on the machine, if that is still there, under the claim on it.
fn receipt(scene: &mut Scene<'_>) -> Result<Unmet, Question> {
    let source = scene.status.source.as_ref().and_then(|source| source.instance_id.clone());
    let instance = source.and_then(|source| scene.instances().iter().find(|instance| instance.id == source));
    let step = instance.and_then(|instance| Some((&instance.id, receipt::removal(scene, instance)?)));
    let Some((id, step)) = step else {
        return Ok(gone(&left(scene)));
    };
    if removal::pause_left_of(scene, &step).is_some() {
        return Ok(Unmet::waiting(Reason::Deleting, "the receipt on the machine goes", SOON));
    }
    match &scene.world.claim {
        None => Err(Question::Claim(id.clone())),
        Some(Ok(())) => Ok(act(scene, step)),
        Some(Err(_)) => {
            let message = "the machine is being saved by another template: the receipt on it goes after that";
            Ok(Unmet::waiting(Reason::Deleting, message, LATER))
        }
    }
}

/// What the deletion leaves, and why.
fn left(scene: &Scene<'_>) -> String {
    let regions = scene.regions_ever();
    let unproven =
        regions.iter().map(|region| (region, scene.unproven(region))).filter(|(_, count)| *count > 0);
    let places: Vec<String> = unproven.map(|(region, count)| format!("{count} in {region}")).collect();
    if places.is_empty() {
        return "nothing is left in any region".to_owned();
    }
    format!(
        "snapshots with the tags of this template are left, since nothing that EC2 says shows that they are its own: {}",
        places.join(", ")
    )
}

pub(crate) fn retain(scene: &Scene<'_>) -> String {
    format!(
        "kubectl -n {} patch savedtemplate {} --type merge -p '{{\"spec\":{{\"deletionPolicy\":\"Retain\"}}}}'",
        scene.subject.namespace, scene.subject.name
    )
}

fn act(scene: &mut Scene<'_>, step: Step) -> Unmet {
    let region = step.region().cloned();
    let message = format!("{} in {}", step.name(), region.as_ref().unwrap_or(scene.home()));
    Unmet::acting(scene, Reason::Deleting, message, step)
}

#[cfg(test)]
mod tests;
