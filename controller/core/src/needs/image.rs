//! The image of the stopped machine: asked for once, found again by name and tags, waited for without a limit.
use std::time::Duration;

use jiff::SignedDuration;
use saved_template_api::{
    Reason,
    spec::CaptureMode,
    status::{CaptureReason, CaptureStatus, RegionState},
};

use crate::{
    answer::refusal_of,
    capture::{self, same_volumes},
    ec2_error::ErrorClass,
    facts::Facts,
    needs::{requests, upkeep},
    restart::{IMAGE_MARGIN, Record},
    step::{CREATE_IMAGE, Step},
    time::{LATER, SOON, later},
    unmet::Unmet,
    world::{Image, Instance, InstanceState},
    write::Write,
};

/// A name that EC2 calls taken, and that shows nothing for this long, is given up: images were seen to show after two
/// and a half minutes.
const TAKEN_BY_NOBODY: SignedDuration = SignedDuration::from_secs(180);

/// R2 and §6: the machine is stopped; ask for the image, or find the one that was asked for.
pub(crate) fn request(facts: &Facts<'_>) -> Option<Unmet> {
    let claims = facts.is_claim();
    let capture = facts.open_capture().cloned()?;
    if capture.reason.is_some() || facts.home_row().is_some_and(|row| row.image_id.is_some()) {
        return None;
    }
    let record = facts.record()?;
    let instance = facts.instance();
    let back = !claims && instance.is_some_and(|instance| given_back(facts, &record, instance));
    if capture.image_requested_time.is_some() && (capture.restart_record.is_none() || back) {
        return Some(without_image(facts, capture, &record));
    }
    if claims {
        return Some(claim(facts, &capture, &record, instance?));
    }
    let stopped = instance.filter(|instance| instance.state == InstanceState::Stopped)?;
    Some(ask(facts, &capture, &record, stopped))
}

/// The machine is not stopped for the image: its claim is on it, and nobody else has one.
pub(crate) fn claim(
    facts: &Facts<'_>,
    capture: &CaptureStatus,
    record: &Record,
    instance: &Instance,
) -> Unmet {
    let wait = |message: &str| Unmet::waiting(Reason::Capturing, message, SOON);
    if later(facts.now, IMAGE_MARGIN) > record.image_by {
        let message = "EC2 did not take the request for the image in time";
        return upkeep::give_up(facts, CaptureReason::NotTaken, message).unwrap_or_else(|| wait(message));
    }
    ask(facts, capture, record, instance)
}

fn ask(facts: &Facts<'_>, capture: &CaptureStatus, record: &Record, instance: &Instance) -> Unmet {
    let wait = |message: &str| Unmet::waiting(Reason::Capturing, message, SOON);
    if let Some(unmet) = settled(facts, record) {
        return unmet;
    }
    if later(facts.now, IMAGE_MARGIN) > record.image_by {
        return wait("too late to ask for the image: the machine is given back");
    }
    match facts.tagged_value() {
        Some(value) if value == record.to_string() => {}
        Some(value) if value.parse::<Record>().is_ok_and(|tagged| tagged.capture == record.capture) => {
            let message = "the restart record on the machine is an older one";
            return upkeep::rewrite(facts, capture.clone(), record.clone(), Reason::Capturing, message);
        }
        Some(_) | None => return wait("the restart record is not on the machine: it is written again first"),
    }
    if !facts.is_fresh() || facts.pause_left(CREATE_IMAGE, Duration::from_secs(30)).is_some() {
        return wait("waiting for EC2 to show the image");
    }
    if !same_volumes(capture, instance) {
        return expect_other_volumes(facts, capture.clone(), record, instance);
    }
    let request = requests::image_request(facts, capture, instance);
    let mut capture = capture.clone();
    if capture.image_requested_time.is_none() {
        capture.image_requested_time = Some(facts.time());
        let reboots = capture.mode == CaptureMode::Reboot && instance.state == InstanceState::Running;
        capture.disruptions = capture.disruptions.saturating_add(i32::from(reboots));
    }
    let step = Step::CreateImage(Box::new(request));
    let message = format!("asking EC2 for the image of {}", instance.id);
    // The tags may be other ones than those of the plan.
    let applies = Write::applies(facts.subject.spec);
    Unmet::acting(Reason::Capturing, message, step).with(capture).writing([applies])
}

/// The set of volumes is that of this instant: n alone is rewritten, the rest of the record stays.
fn expect_other_volumes(
    facts: &Facts<'_>,
    mut capture: CaptureStatus,
    record: &Record,
    instance: &Instance,
) -> Unmet {
    let volumes = capture::included(instance, &capture.exclude_device_names);
    let volumes: Vec<_> = volumes.map(|volume| volume.volume.clone()).collect();
    if volumes.is_empty() || instance.attachments.iter().any(|volume| !volume.attached) {
        return Unmet::waiting(Reason::Capturing, "a volume is being attached or detached", SOON);
    }
    let rewritten = Record { volumes: volumes.len(), ..record.clone() };
    capture.expected_volumes = volumes;
    upkeep::rewrite(facts, capture, rewritten, Reason::Capturing, "the machine has other volumes than before")
}

/// What EC2's answer to the last try means, where it is not "try again".
fn settled(facts: &Facts<'_>, record: &Record) -> Option<Unmet> {
    let refusal = refusal_of(facts.announced(CREATE_IMAGE)?, "CreateImage")?;
    let reason = match refusal.class {
        ErrorClass::Throttle
        | ErrorClass::Unknown
        | ErrorClass::Wait
        | ErrorClass::Late
        | ErrorClass::NotFound => return None,
        ErrorClass::NameTaken => return name_taken(facts, record),
        ErrorClass::Denied => CaptureReason::AccessDenied,
        ErrorClass::Capacity | ErrorClass::Caller | ErrorClass::TokenUsed => CaptureReason::ImageFailed,
    };
    upkeep::give_up(facts, reason, &refusal.told())
}

/// §8: whose image has the name. Ours was found already; a foreign one ends the attempt, and so does nobody's.
fn name_taken(facts: &Facts<'_>, record: &Record) -> Option<Unmet> {
    let name = facts.expected_name(facts.home());
    let foreign: Option<&Image> =
        facts.images()?.iter().find(|image| image.name == name && !facts.is_of_capture(image, record));
    if let Some(id) = foreign.map(|image| image.id.clone()) {
        let text = format!("the name {name} is taken by {id}: another attempt takes another name");
        return upkeep::give_up(facts, CaptureReason::NameConflict, &text);
    }
    let absence = facts.view()?.absences.get(&name)?;
    let nobody = facts.now.duration_since(facts.absent_since(*absence, facts.home())) >= TAKEN_BY_NOBODY;
    if nobody {
        let text = format!(
            "EC2 says that the name {name} is in use, and shows no image of that name: another attempt takes another name"
        );
        return upkeep::give_up(facts, CaptureReason::NameConflict, &text);
    }
    Some(Unmet::waiting(Reason::Capturing, format!("looking for the image that has the name {name}"), SOON))
}

fn given_back(facts: &Facts<'_>, record: &Record, instance: &Instance) -> bool {
    let launched_again = instance.launch_time.is_some_and(|at| at > record.planned);
    launched_again && facts.is_fresh() && instance.state == InstanceState::Running
}

/// The machine runs again and no image is known: it may only be late to show, until m + 60.
fn without_image(facts: &Facts<'_>, capture: CaptureStatus, record: &Record) -> Unmet {
    if facts.now < later(record.image_by, IMAGE_MARGIN) || facts.images().is_none() {
        return Unmet::waiting(Reason::Capturing, "the machine is back; looking for its image", SOON);
    }
    upkeep::fail(capture, CaptureReason::ImageFailed, "EC2 never showed the image that was asked for")
}

/// The image is available. A pending image is waited for without a limit: EC2 may take 24 hours.
pub(crate) fn need(facts: &Facts<'_>) -> Option<Unmet> {
    let row = facts.home_row().cloned()?;
    let shown = row.image_id.as_ref().map(ToString::to_string).unwrap_or_default();
    match row.state {
        RegionState::Available if capture::is_good(facts.capture()) => None,
        RegionState::Missing => {
            let why = row.message.clone().unwrap_or_else(|| format!("{shown} is gone"));
            let next = facts.status.latest_revision.unwrap_or(0).saturating_add(1);
            let text =
                format!("{why}; it is not made again by itself: set spec.revision to {next} to capture anew");
            Some(Unmet::stalled(Reason::ImageMissing, text))
        }
        RegionState::Failed => {
            let why = row.message.unwrap_or_default();
            let next = facts.status.latest_revision.unwrap_or(0).saturating_add(1);
            let text = format!(
                "{shown} failed ({why}) and is not made again by itself: set spec.revision to {next} to capture anew"
            );
            Some(Unmet::stalled(Reason::Failed, text))
        }
        RegionState::Waiting | RegionState::Pending | RegionState::Available | RegionState::Retained => {
            let percent = row.progress_percent.unwrap_or(0);
            let message = if row.state == RegionState::Available {
                format!("image {shown} is available; whether it is good is seen from its snapshots")
            } else if row.is_unshown() {
                format!("EC2 has named image {shown}, and does not show it yet")
            } else {
                format!("image {shown} is pending, {percent}% or more")
            };
            Some(Unmet::waiting(Reason::WaitingForImage, message, LATER))
        }
    }
}

#[cfg(test)]
mod tests;
