//! Copies: each region on its own, with its token, its tries and its row (§7).
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    Reason,
    ids::{ImageId, Region},
    names,
    status::{CaptureStatus, RegionReason, RegionState, RegionStatus},
};

use crate::{
    capture,
    refusal::{Class, NOT_ENABLED, Refusal},
    scene::{Scene, copy_name},
    step::{CopyRequest, Step},
    time::{LATER, later, passed},
    unmet::{Unmet, Waits},
    world::Image,
};

/// How long a token is trusted; later only absence lets the same copy be asked for again.
const TOKEN_TRUSTED: SignedDuration = SignedDuration::from_mins(10);
/// Absence is believed after this many reads over this long.
const ABSENT: (u32, SignedDuration) = (3, SignedDuration::from_secs(120));
const SHORTEST: SignedDuration = SignedDuration::from_secs(15);
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

pub(crate) fn need(scene: &mut Scene<'_>) -> Option<Unmet> {
    let home = scene.home_row()?.clone();
    let is_good = home.state == RegionState::Available && capture::is_good(scene.capture());
    let source = home.image_id.filter(|_| is_good)?;
    let wanted: Vec<Region> = scene.subject.spec.regions.iter().map(|region| region.name.clone()).collect();
    let mut soonest = LATER;
    for region in &wanted {
        let Some(row) = scene.row(region).cloned() else {
            continue;
        };
        match row.state {
            RegionState::Available | RegionState::Pending | RegionState::Retained => {}
            // Somebody disabled it, and may enable it again: no second one is made.
            RegionState::Missing if row.reason == Some(RegionReason::ImageDisabled) => {}
            RegionState::Waiting | RegionState::Failed | RegionState::Missing => match next(scene, &row) {
                Next::Ask => return Some(ask(scene, &row, &source)),
                Next::Wait(wait) => soonest = soonest.min(wait),
            },
        }
    }
    let waits = if wait_for_somebody(scene, &wanted) { Waits::ForUser } else { Waits::ForUs };
    unfinished(scene, &wanted)
        .map(|(ready, message)| Unmet { waits, ..Unmet::waiting(ready, message, soonest) })
}

/// Whether every copy that is not there waits for somebody to let us make it, look for it, or use a key.
fn wait_for_somebody(scene: &Scene<'_>, wanted: &[Region]) -> bool {
    wanted.iter().all(|region| {
        let Some(row) = scene.row(region) else { return false };
        let is_closed =
            unread(scene, region).is_some_and(|why| why.class == Class::Denied || why.code == NOT_ENABLED);
        row.state == RegionState::Available
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
fn next(scene: &Scene<'_>, row: &RegionStatus) -> Next {
    let Some(view) = scene.world.abroad.get(&row.region).and_then(|view| view.as_ref().ok()) else {
        return Next::Wait(LATER);
    };
    if view.images.is_err() {
        return Next::Wait(LATER);
    }
    if let Some(wait) = row.next_attempt_time.as_ref().and_then(|time| until(scene, time.0)) {
        return Next::Wait(wait);
    }
    let Some(announced) = row.announced_time.as_ref().filter(|_| row.state == RegionState::Waiting) else {
        return Next::Ask;
    };
    // Its outcome is unknown: EC2 may show it late.
    if view.began <= announced.0 {
        return Next::Wait(Duration::from_secs(2));
    }
    if !passed(announced.0, TOKEN_TRUSTED, scene.now) {
        return Next::Ask;
    }
    let (reads, span) = ABSENT;
    let absent = view
        .absences
        .get(&scene.expected_name(&row.region))
        .is_some_and(|absence| absence.reads >= reads && passed(absence.since, span, scene.now));
    if absent { Next::Ask } else { Next::Wait(LATER) }
}

fn until(scene: &Scene<'_>, time: jiff::Timestamp) -> Option<Duration> {
    Duration::try_from(time.duration_since(scene.now)).ok().filter(|left| !left.is_zero())
}

fn ask(scene: &mut Scene<'_>, row: &RegionStatus, source: &ImageId) -> Unmet {
    let repeats = row.state == RegionState::Waiting && row.announced_time.is_some();
    let attempts = if repeats { row.attempts } else { row.attempts.saturating_add(1) };
    let fresh = RegionStatus { attempts, ..row.clone() };
    let Some(request) = request(scene, &fresh, source) else {
        return Unmet::waiting(Reason::Copying, "the capture of the image is not known", LATER);
    };
    let revision = scene.home_row().and_then(|home| home.revision);
    let now = scene.now;
    let first = row.announced_time.as_ref().filter(|_| repeats).map_or(now, |first| first.0);
    // Should the outcome stay unknown, the next try waits as long again as since the first.
    let wait = now.duration_since(first).clamp(SHORTEST, LONGEST);
    let spec = scene.subject.spec;
    scene.applies(spec.tags.iter().map(|tag| tag.key.as_str()));
    if let Some(row) = scene.row_mut(&fresh.region) {
        row.attempts = attempts;
        row.revision = revision;
        (row.image_id, row.progress_percent) = (None, None);
        row.state = RegionState::Waiting;
        (row.announced_time, row.next_attempt_time) = (Some(Time(first)), Some(Time(later(now, wait))));
    }
    let region = fresh.region;
    let message = format!("copying {source} to {region}");
    Unmet::acting(scene, Reason::Copying, message, Step::CopyImage { region, request: Box::new(request) })
}

/// The request of a row's attempt. The token is that of the copy, not of its tags and description: should they be
/// edited while a reply is lost, EC2 answers that it had accepted the copy, and they are brought into line afterwards.
pub(crate) fn request(scene: &Scene<'_>, row: &RegionStatus, source: &ImageId) -> Option<CopyRequest> {
    let capture = frozen(scene)?;
    let adopted = home_image(scene).and_then(|image| image.source_instance.clone());
    let instance = scene.instance_id().or(adopted).map(|id| id.to_string()).unwrap_or_default();
    let tags = scene.tags(&capture, &instance, "copy", &row.region);
    let base = scene.owner().image_name(scene.template_name(), capture.revision, capture.attempts);
    let name = copy_name(base, row.attempts);
    let request = CopyRequest {
        source: source.clone(),
        source_region: scene.home().clone(),
        name,
        description: scene.subject.spec.description.clone().unwrap_or_default(),
        image_tags: tags.clone(),
        snapshot_tags: tags,
        token: String::new(),
    };
    let text = format!("{}/{}/{}/{}/{}", capture.id, row.region, row.attempts, request.source, request.name);
    let token = names::hex_digest(&text, 64);
    Some(CopyRequest { token, ..request })
}

fn home_image<'a>(scene: &Scene<'a>) -> Option<&'a Image> {
    let id = scene.home_row()?.image_id.clone()?;
    scene.images()?.iter().find(|image| image.id == id)
}

/// What the copies repeat: the capture, or what the adopted image says of it.
fn frozen(scene: &Scene<'_>) -> Option<CaptureStatus> {
    if let Some(capture) = scene.capture() {
        return Some(capture.clone());
    }
    let image = home_image(scene)?;
    let tag = |key: &str| image.tags.get(key).cloned().unwrap_or_default();
    Some(CaptureStatus {
        id: tag(names::tag::CAPTURE),
        revision: scene.subject.spec.revision,
        attempts: tag(names::tag::ATTEMPT).parse().unwrap_or(1),
        ..CaptureStatus::default()
    })
}

/// What is not available yet, in words.
pub(crate) fn unfinished(scene: &Scene<'_>, wanted: &[Region]) -> Option<(Reason, String)> {
    let rows: Vec<&RegionStatus> = wanted.iter().filter_map(|region| scene.row(region)).collect();
    let open: Vec<&&RegionStatus> = rows.iter().filter(|row| row.state != RegionState::Available).collect();
    if open.is_empty() && rows.len() == wanted.len() {
        return None;
    }
    let broken = |row: &RegionStatus| row.reason.is_some() || unreadable(scene, &row.region).is_some();
    let all_broken = !open.is_empty() && open.iter().all(|row| broken(row));
    let words: Vec<String> = open.iter().map(|row| words(scene, row)).collect();
    let done = rows.len().saturating_sub(open.len());
    let which = if words.is_empty() { String::new() } else { format!(": {}", words.join("; ")) };
    let message = format!("{done}/{} copies available{which}", wanted.len());
    Some((if all_broken { Reason::PartiallyReplicated } else { Reason::Copying }, message))
}

fn unread<'s>(scene: &'s Scene<'_>, region: &Region) -> Option<&'s Refusal> {
    match scene.world.abroad.get(region)? {
        Ok(view) => view.images.as_ref().err(),
        Err(refusal) => Some(refusal),
    }
}

fn unreadable(scene: &Scene<'_>, region: &Region) -> Option<String> {
    unread(scene, region).map(Refusal::told)
}

fn words(scene: &Scene<'_>, row: &RegionStatus) -> String {
    let region = &row.region;
    if let Some(reason) = &row.reason {
        let why = row.message.as_ref().map(|message| format!(" ({message})"));
        return format!("{region} {reason}{}", why.unwrap_or_default());
    }
    if let Some(why) = unreadable(scene, region) {
        return format!("{region} cannot be read ({why})");
    }
    match row.state {
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
