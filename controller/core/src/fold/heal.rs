//! What this controller never writes was put into the status by hand: it must not make the object wait for ever.
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use saved_template_api::Reason;

use crate::{
    debt::{Record, later},
    fold::fail,
    scene::Scene,
};

/// No time that is written lies further ahead than the longest pause between two tries.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// Times far ahead are taken for now, a capture that owes is not over, and one whose record cannot be read is.
pub(super) fn heal(scene: &mut Scene<'_>) {
    let (now, limit) = (scene.time(), Time(later(scene.now, AHEAD)));
    // Until EC2 has answered, the time is that of a node, which may be wrong.
    let is_known = scene.view().is_some();
    let bring_back = |time: &mut Time| {
        if is_known && *time > limit {
            *time = now.clone();
        }
    };
    let status = &mut scene.status;
    if let Some(announced) = status.announced.as_mut() {
        bring_back(&mut announced.time);
    }
    for row in &mut status.regions {
        for time in [&mut row.announced_time, &mut row.next_attempt_time].into_iter().flatten() {
            bring_back(time);
        }
    }
    let Some(capture) = status.capture.as_mut() else { return };
    if capture.completion_time.is_some() {
        capture.debt.take_if(|debt| debt.parse::<Record>().is_err());
    }
    if capture.debt.is_some() {
        capture.completion_time = None;
    }
    // The restart loop cannot use it either: the record on the machine is the one that counts, and is paid without us.
    if capture.debt.take_if(|debt| debt.parse::<Record>().is_err()).is_some() {
        let why = "the restart record in the status cannot be read: the one on the machine counts";
        if capture.reason.is_none() {
            fail(capture, Reason::Failed, why);
        }
        capture.completion_time = Some(now.clone());
    }
    let times = [
        &mut capture.start_time,
        &mut capture.stop_requested_time,
        &mut capture.source_stopped_time,
        &mut capture.image_requested_time,
        &mut capture.snapshots_started_time,
        &mut capture.source_restored_time,
        &mut capture.completion_time,
    ];
    for time in times.into_iter().flatten() {
        bring_back(time);
    }
}
