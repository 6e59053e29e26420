//! Does a step that the status announces. What comes back is an outcome, never an error.
use saved_template_api::{ids::InstanceId, receipts::Receipt};
use saved_template_core::{
    cloud::{Announced, Cloud, Instances},
    ec2_error::Ec2Error,
    receipt,
    restart::Record,
    step::{Outcome, Step},
    world::{InstanceState, Tags},
};

use crate::{
    regions::{RegionHandle, Regions},
    wait::monotonic,
};

/// Sends the step to EC2, in the region that it is for.
pub(crate) async fn act<C: Cloud>(
    step: &Step,
    announced: Announced,
    home: &RegionHandle<C>,
    regions: &Regions<C>,
) -> Outcome {
    let unsent = home.poller.memory().sends(step, monotonic());
    let outcome = match step {
        Step::Tag { record, receipt, replaces } => {
            tag(record, receipt.as_ref(), replaces.as_deref(), announced, home).await
        }
        Step::Untag { record } => {
            let key = home.poller.debt_key();
            done(home.cloud.untag(&record.instance, key, &record.to_string(), announced).await)
        }
        Step::Stop { record, force } => match home.cloud.stop(&record.instance, *force, announced).await {
            Ok(previous) => Outcome::Stopped { previous },
            Err(refusal) => Outcome::Refused(refusal),
        },
        Step::CreateImage(request) => image(home.cloud.create_image(request, announced).await),
        Step::CopyImage { region, request } => {
            let handle = home.beside(region, regions);
            let outcome = image(handle.cloud.copy_image(request, announced).await);
            handle.poller.trigger();
            outcome
        }
        Step::TagImages { region, resources, tags } => {
            let handle = home.beside(region, regions);
            upkeep(&handle, handle.cloud.tag_resources(resources, tags.clone(), announced).await)
        }
        Step::UntagImages { region, resources, keys } => {
            let handle = home.beside(region, regions);
            upkeep(&handle, handle.cloud.untag_resources(resources, keys, announced).await)
        }
        Step::SetDescription { region, image, description } => {
            let handle = home.beside(region, regions);
            upkeep(&handle, handle.cloud.set_description(image, description, announced).await)
        }
        Step::Deregister { region, image } => {
            let handle = home.beside(region, regions);
            let result = handle.cloud.deregister(image, announced).await;
            for (snapshot, why) in result.iter().flatten() {
                tracing::warn!(%image, %snapshot, why, "snapshot was not deleted with its image: it is deleted by itself");
            }
            upkeep(&handle, result.map(|_| ()))
        }
        Step::DeleteSnapshot { region, snapshot } => {
            let handle = home.beside(region, regions);
            upkeep(&handle, handle.cloud.delete_snapshot(snapshot, announced).await)
        }
        Step::RemoveReceipt { instance, key, value, left } => {
            remove_receipt(instance, (key, value), left.as_ref(), announced, home).await
        }
    };
    home.poller.memory().hears(step, unsent, &outcome);
    home.poller.trigger();
    report(step, &outcome);
    outcome
}

/// The instance's tags are read right before: a record of another capture under our key is a debt, and stays.
async fn tag<C: Cloud>(
    record: &Record,
    receipt: Option<&(String, Receipt)>,
    replaces: Option<&str>,
    announced: Announced,
    home: &RegionHandle<C>,
) -> Outcome {
    let id = &record.instance;
    let key = home.poller.debt_key();
    let there = match tags_of(id, home).await {
        Ok(there) => there,
        Err(refusal) => return Outcome::Refused(refusal),
    };
    let other = there.get(key).filter(|value| is_anothers(value, record, replaces));
    if let Some(value) = other {
        return Outcome::Busy { value: value.clone() };
    }
    let mut tags = Tags::from([(key.to_owned(), record.to_string())]);
    tags.extend(receipt.map(|receipt| receipt::tag(receipt, &there)));
    done(home.cloud.tag(id, tags, announced).await)
}

/// The tag is read right before: where it has another value by now, the next pass decides anew.
async fn remove_receipt<C: Cloud>(
    id: &InstanceId,
    (key, value): (&str, &str),
    left: Option<&String>,
    announced: Announced,
    home: &RegionHandle<C>,
) -> Outcome {
    match tags_of(id, home).await {
        Ok(there) if there.get(key).is_some_and(|there| there == value) => {}
        Ok(_) => return Outcome::Done,
        Err(refusal) => return Outcome::Refused(refusal),
    }
    done(match left {
        Some(left) => home.cloud.tag(id, [(key.to_owned(), left.clone())].into(), announced).await,
        None => home.cloud.untag(id, key, value, announced).await,
    })
}

async fn tags_of<C: Cloud>(id: &InstanceId, home: &RegionHandle<C>) -> Result<Tags, Ec2Error> {
    let found = home.cloud.instances(Instances::Ids(vec![id.clone()])).await?;
    let instance = found.into_iter().find(|instance| instance.id == *id);
    instance.map(|instance| instance.tags).ok_or_else(|| {
        Ec2Error::new("CreateTags", "InvalidInstanceID.NotFound", format!("EC2 does not show {id}"))
    })
}

/// Only the record of this capture may be overwritten, and what this one replaces: the plan before, or a value that nobody
/// can be owed by.
fn is_anothers(value: &str, record: &Record, replaces: Option<&str>) -> bool {
    let there = value.parse::<Record>().ok();
    let is_planned_anew = there
        .is_some_and(|there| there.capture == record.capture || Some(there.capture.as_str()) == replaces);
    !is_planned_anew && replaces != Some(value)
}

/// A change of what is there in one region: the next sweep shows it.
fn upkeep<C: Cloud>(handle: &RegionHandle<C>, result: Result<(), Ec2Error>) -> Outcome {
    handle.poller.trigger();
    done(result)
}

fn done(result: Result<(), Ec2Error>) -> Outcome {
    result.map_or_else(Outcome::Refused, |()| Outcome::Done)
}

fn image(result: Result<saved_template_api::ids::ImageId, Ec2Error>) -> Outcome {
    result.map_or_else(Outcome::Refused, Outcome::Image)
}

fn report(step: &Step, outcome: &Outcome) {
    let step = step.name();
    match outcome {
        Outcome::Done => tracing::info!(step, "done"),
        Outcome::Stopped { previous: InstanceState::Running } => tracing::info!(step, "machine is stopping"),
        Outcome::Stopped { previous } => {
            tracing::warn!(step, previous = previous.as_str(), "machine was not running");
        }
        Outcome::Image(image) => tracing::info!(step, %image, "accepted"),
        Outcome::Busy { value } => tracing::warn!(step, value, "another restart record is on the machine"),
        Outcome::Refused(refusal) => tracing::warn!(step, %refusal, "refused"),
    }
}

/// The instant before the announcement is written: the call leaves within 20 s of it or not at all.
pub(crate) fn announcing(now: jiff::Timestamp) -> Announced {
    Announced { at: now, instant: monotonic() }
}
