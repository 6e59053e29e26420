//! Copies: each region on its own, with its token, its tries and its row (§7).
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    Reason,
    ids::{ImageId, Region},
    names,
    status::{CaptureStatus, RegionReason, RegionState, RegionStatus},
    text,
};

use crate::{
    capture,
    ec2_error::{Ec2Error, ErrorClass, NOT_ENABLED},
    facts::{Facts, copy_name},
    fold::images::is_gone,
    step::{CopyRequest, Step},
    time::{LATER, SOON, later, passed},
    unmet::{Unmet, Waits},
    world::Image,
    write::Write,
};

/// How long a token is trusted; later only absence lets the same copy be asked for again.
const TOKEN_TRUSTED: SignedDuration = SignedDuration::from_mins(10);
/// Absence is believed after this many reads over this long.
const ABSENT: (u32, SignedDuration) = (3, SignedDuration::from_secs(120));
const SHORTEST: SignedDuration = SignedDuration::from_secs(15);
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

pub(crate) fn need(facts: &Facts<'_>) -> Option<Unmet> {
    let home = facts.home_row()?.clone();
    let is_good = home.state == RegionState::Available && capture::is_good(facts.capture());
    let source = home.image_id.filter(|_| is_good)?;
    let wanted: Vec<Region> = facts.subject.spec.regions.iter().map(|region| region.name.clone()).collect();
    let mut soonest = LATER;
    let (mut steps, mut writes) = (Vec::new(), Vec::new());
    for region in &wanted {
        let Some(row) = facts.row(region).cloned() else {
            continue;
        };
        match row.state {
            RegionState::Available | RegionState::Pending | RegionState::Retained => {}
            // Somebody disabled it, and may enable it again: no second one is made.
            RegionState::Missing if row.reason == Some(RegionReason::ImageDisabled) => {}
            RegionState::Waiting | RegionState::Failed | RegionState::Missing => match next(facts, &row) {
                Next::Ask => {
                    let Some((step, row)) = ask(facts, &row, &source) else {
                        let message = "the capture of the image is not known";
                        return Some(Unmet::waiting(Reason::Copying, message, LATER));
                    };
                    steps.push(step);
                    writes.push(row);
                }
                Next::Wait(wait) => soonest = soonest.min(wait),
            },
        }
    }
    if !steps.is_empty() {
        let regions: Vec<&str> = steps.iter().filter_map(Step::region).map(Region::as_str).collect();
        let message = format!("copying {source} to {}", regions.join(", "));
        let waiting = Unmet::waiting(Reason::Copying, message, SOON);
        let applies = Write::applies(facts.subject.spec);
        return Some(Unmet { steps, ..waiting }.writing([applies]).writing(writes));
    }
    let waits = if wait_for_somebody(facts, &wanted) { Waits::ForUser } else { Waits::ForUs };
    unfinished(facts, &wanted)
        .map(|(ready, message)| Unmet { waits, ..Unmet::waiting(ready, message, soonest) })
}

/// Whether every copy that is not there waits for somebody to let us make it, look for it, or use a key.
fn wait_for_somebody(facts: &Facts<'_>, wanted: &[Region]) -> bool {
    wanted.iter().all(|region| {
        let Some(row) = facts.row(region) else { return false };
        let is_closed = unread(facts, region)
            .is_some_and(|why| why.class == ErrorClass::Denied || why.code == NOT_ENABLED);
        (row.state == RegionState::Available && !facts.is_settling(region))
            || row.reason == Some(RegionReason::KeyNotUsable)
            || is_denied(row)
            || is_closed
    })
}

fn is_denied(row: &RegionStatus) -> bool {
    row.reason == Some(RegionReason::AccessDenied)
}

enum Next {
    Ask,
    Wait(Duration),
}

/// Whether the row's copy may be asked for now.
fn next(facts: &Facts<'_>, row: &RegionStatus) -> Next {
    let Some(view) = facts.world.abroad.get(&row.region).and_then(|view| view.as_ref().ok()) else {
        return Next::Wait(LATER);
    };
    if view.images.is_err() || facts.is_settling(&row.region) {
        return Next::Wait(LATER);
    }
    let is_doubted = |id: &ImageId| facts.is_removed(id) && !is_gone(facts, id, &row.region);
    if row.image_id.as_ref().is_some_and(is_doubted) {
        return Next::Wait(LATER);
    }
    if let Some(wait) = row.next_attempt_time.as_ref().and_then(|time| until(facts, time.0)) {
        return Next::Wait(wait);
    }
    let Some(announced) = row.announced_time.as_ref().filter(|_| row.state == RegionState::Waiting) else {
        return Next::Ask;
    };
    // Its outcome is unknown: EC2 may show it late.
    if view.began <= announced.0 {
        return Next::Wait(Duration::from_secs(2));
    }
    if !passed(announced.0, TOKEN_TRUSTED, facts.now) {
        return Next::Ask;
    }
    let (reads, span) = ABSENT;
    let absent = view
        .absences
        .get(&facts.expected_name(&row.region))
        .is_some_and(|absence| absence.reads >= reads && passed(absence.since, span, facts.now));
    if absent { Next::Ask } else { Next::Wait(LATER) }
}

fn until(facts: &Facts<'_>, time: jiff::Timestamp) -> Option<Duration> {
    Duration::try_from(time.duration_since(facts.now)).ok().filter(|left| !left.is_zero())
}

/// The request of a copy, and the row that says so.
fn ask(facts: &Facts<'_>, row: &RegionStatus, source: &ImageId) -> Option<(Step, Write)> {
    let repeats = row.state == RegionState::Waiting && row.announced_time.is_some();
    let attempts = if repeats { row.attempts } else { row.attempts.saturating_add(1) };
    let fresh = RegionStatus { attempts, ..row.clone() };
    let request = request(facts, &fresh, source)?;
    let now = facts.now;
    let first = row.announced_time.as_ref().filter(|_| repeats).map_or(now, |first| first.0);
    // Should the outcome stay unknown, the next try waits as long again as since the first.
    let wait = now.duration_since(first).clamp(SHORTEST, LONGEST);
    let announced = RegionStatus {
        revision: facts.home_row().and_then(|home| home.revision),
        image_id: None,
        progress_percent: None,
        state: RegionState::Waiting,
        announced_time: Some(Time(first)),
        next_attempt_time: Some(Time(later(now, wait))),
        ..fresh
    };
    let region = announced.region.clone();
    let step = Step::CopyImage { region, request: Box::new(request) };
    Some((step, Write::Row(Box::new(announced))))
}

/// The request of a row's attempt. The token is that of the copy, not of its tags and description: should they be
/// edited while a reply is lost, EC2 answers that it had accepted the copy, and they are brought into line afterwards.
pub(crate) fn request(facts: &Facts<'_>, row: &RegionStatus, source: &ImageId) -> Option<CopyRequest> {
    let capture = frozen(facts)?;
    let adopted = home_image(facts).and_then(|image| image.source_instance.clone());
    let instance = facts.instance_id().or(adopted).map(|id| id.to_string()).unwrap_or_default();
    let tags = facts.tags(&capture, &instance, "copy", &row.region);
    let base = facts.owner().image_name(facts.template_name(), capture.revision, capture.attempts);
    let name = copy_name(base, row.attempts);
    let request = CopyRequest {
        source: source.clone(),
        source_region: facts.home().clone(),
        name,
        description: facts.subject.spec.description.clone().unwrap_or_default(),
        image_tags: tags.clone(),
        snapshot_tags: tags,
        token: String::new(),
    };
    let text = format!("{}/{}/{}/{}/{}", capture.id, row.region, row.attempts, request.source, request.name);
    let token = text::hex_digest(&text, 64);
    Some(CopyRequest { token, ..request })
}

fn home_image<'a>(facts: &Facts<'a>) -> Option<&'a Image> {
    let id = facts.home_row()?.image_id.clone()?;
    facts.images()?.iter().find(|image| image.id == id)
}

/// What the copies repeat: the capture, or what the adopted image says of it.
fn frozen(facts: &Facts<'_>) -> Option<CaptureStatus> {
    if let Some(capture) = facts.capture() {
        return Some(capture.clone());
    }
    let image = home_image(facts)?;
    let tag = |key: &str| image.tags.get(key).cloned().unwrap_or_default();
    Some(CaptureStatus {
        id: tag(names::tag::CAPTURE),
        revision: facts.subject.spec.revision,
        attempts: tag(names::tag::ATTEMPT).parse().unwrap_or(1),
        ..CaptureStatus::default()
    })
}

/// What is not available yet, in words.
pub(crate) fn unfinished(facts: &Facts<'_>, wanted: &[Region]) -> Option<(Reason, String)> {
    let rows: Vec<&RegionStatus> = wanted.iter().filter_map(|region| facts.row(region)).collect();
    let serves = |region: &Region| facts.status.images.iter().any(|image| image.region == *region);
    let is_open = |row: &&&RegionStatus| {
        row.state != RegionState::Available || (facts.is_settling(&row.region) && !serves(&row.region))
    };
    let open: Vec<&&RegionStatus> = rows.iter().filter(is_open).collect();
    if open.is_empty() && rows.len() == wanted.len() {
        return None;
    }
    let broken = |row: &RegionStatus| row.reason.is_some() || unreadable(facts, &row.region).is_some();
    let all_broken = !open.is_empty() && open.iter().all(|row| broken(row));
    let words: Vec<String> = open.iter().map(|row| words(facts, row)).collect();
    let done = rows.len().saturating_sub(open.len());
    let which = if words.is_empty() { String::new() } else { format!(": {}", words.join("; ")) };
    let message = format!("{done}/{} copies available{which}", wanted.len());
    Some((if all_broken { Reason::PartiallyReplicated } else { Reason::Copying }, message))
}

fn unread<'s>(facts: &'s Facts<'_>, region: &Region) -> Option<&'s Ec2Error> {
    match facts.world.abroad.get(region)? {
        Ok(view) => view.images.as_ref().err(),
        Err(refusal) => Some(refusal),
    }
}

fn unreadable(facts: &Facts<'_>, region: &Region) -> Option<String> {
    unread(facts, region).map(Ec2Error::told)
}

fn words(facts: &Facts<'_>, row: &RegionStatus) -> String {
    let region = &row.region;
    if let Some(reason) = &row.reason {
        let why = row.message.as_ref().map(|message| format!(" ({message})"));
        return format!("{region} {reason}{}", why.unwrap_or_default());
    }
    if let Some(why) = unreadable(facts, region) {
        return format!("{region} cannot be read ({why})");
    }
    match row.state {
        _ if facts.is_settling(region) => format!("{region} is being emptied first"),
        RegionState::Pending if row.is_unshown() => format!("{region} asked for, not shown yet"),
        RegionState::Pending => format!("{region} {}%", row.progress_percent.unwrap_or(0)),
        RegionState::Waiting | RegionState::Available => format!("{region} waiting"),
        RegionState::Failed => format!("{region} failed"),
        RegionState::Missing => format!("{region} missing"),
        RegionState::Retained => format!("{region} retained"),
    }
}

#[cfg(test)]
mod tests;
