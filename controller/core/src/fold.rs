//! What was seen, put into the status: the facts, before any need is asked.
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    Reason,
    condition::cut,
    ids::Region,
    status::{
        CaptureStatus, Consistency, RegionImage, RegionRole, RegionState, RegionStatus, RevisionImage,
        RevisionState, RevisionStatus, SourceStatus,
    },
};

use crate::{
    debt::Record,
    needs::record::passed,
    scene::{Scene, pause, seconds_between},
    world::{Image, ImageState, Instance, InstanceState, Snapshot, SnapshotState},
};

/// Folds the world into the status.
pub(crate) fn observe(scene: &mut Scene<'_>) {
    if let Some(instance) = scene.instance() {
        source(scene, instance);
        follow(scene);
        times(scene, instance);
    }
    images(scene);
}

/// The images and what follows from them.
pub(crate) fn images(scene: &mut Scene<'_>) {
    rows(scene);
    home(scene);
    for region in scene.subject.spec.regions.iter().map(|region| region.name.clone()) {
        copy(scene, &region);
    }
    barrier(scene);
    close(scene);
    served(scene);
    revisions(scene);
    summary(scene);
}

/// What is known of the machine.
pub(crate) fn source(scene: &mut Scene<'_>, instance: &Instance) {
    let original_state = scene.status.source.as_ref().and_then(|source| source.original_state.clone());
    scene.status.source = Some(SourceStatus {
        account_id: Some(instance.account.clone()),
        instance_id: Some(instance.id.clone()),
        original_state,
        state: Some(instance.state.as_str().to_owned()),
        architecture: instance.architecture.clone(),
        platform: instance.platform.clone(),
        instance_type: instance.instance_type.clone(),
        original_image_id: instance.image.clone(),
        root_device_type: Some(if instance.ebs_root { "ebs" } else { "instance-store" }.to_owned()),
    });
}

/// An abort that was written to the machine while Kubernetes was silent is the truth of the record.
fn follow(scene: &mut Scene<'_>) {
    let on_machine = scene.tagged_value().and_then(|value| value.parse::<Record>().ok());
    let (Some(tagged), Some(record)) = (on_machine, scene.record()) else {
        return;
    };
    if let Some(capture) = scene.status.capture.as_mut().filter(|capture| capture.debt.is_some())
        && tagged.capture == record.capture
        && tagged.image_by < record.image_by
    {
        capture.debt = Some(tagged.to_string());
    }
}

/// When the machine of the open capture stopped, and when it ran again.
fn times(scene: &mut Scene<'_>, instance: &Instance) {
    let (now, fresh, record) = (scene.time(), scene.is_fresh(), scene.record());
    let proof = proof(scene, instance, record.as_ref());
    let Some(capture) = scene.status.capture.as_mut().filter(|capture| capture.completion_time.is_none())
    else {
        return;
    };
    let Some(stop_requested) = capture.stop_requested_time.clone() else {
        return;
    };
    if instance.state == InstanceState::Stopped && fresh && capture.source_stopped_time.is_none() {
        capture.source_stopped_time = Some(now.clone());
    }
    let launched_again =
        record.is_some_and(|record| instance.launch_time.is_some_and(|at| at > record.planned));
    if instance.state == InstanceState::Running && launched_again && capture.source_restored_time.is_none() {
        capture.downtime_seconds = Some(seconds_between(stop_requested.0, now.0).max(0));
        capture.source_restored_time = Some(now);
        if proof {
            capture.consistency = Consistency::Stopped;
        }
    }
}

/// §5: volumes at rest, shown by the reply to our start, the launch times and the snapshots' times.
fn proof(scene: &Scene<'_>, instance: &Instance, record: Option<&Record>) -> bool {
    let (Some(record), Some(started), Some(capture)) = (record, scene.world.started, scene.capture()) else {
        return false;
    };
    let (Some(planned_launch), Some(stopped), Some(launched)) =
        (capture.launch_time.as_ref(), capture.source_stopped_time.as_ref(), instance.launch_time)
    else {
        return false;
    };
    let shots = scene.snapshots().unwrap_or_default();
    let at_rest = |shot: &Snapshot| shot.started.is_some_and(|at| at >= stopped.0 && at < launched);
    let multi_attach =
        scene.status.preflight.iter().any(|row| row.check == crate::needs::preflight::MULTI_ATTACH);
    started.previous == InstanceState::Stopped
        && started.launch_time_before == Some(planned_launch.0)
        && record.barrier(shots).is_some()
        && shots.iter().filter(|shot| record.holds(shot)).all(at_rest)
        && same_volumes(capture, instance)
        && !multi_attach
}

/// Whether the volumes attached now are those that the capture expected.
pub(crate) fn same_volumes(capture: &CaptureStatus, instance: &Instance) -> bool {
    let mut attached: Vec<_> = instance.attachments.iter().filter(|volume| volume.attached).collect();
    attached.sort_by(|a, b| a.volume.cmp(&b.volume));
    let mut expected: Vec<_> = capture.expected_volumes.iter().collect();
    expected.sort();
    attached.len() == instance.attachments.len() && attached.iter().map(|volume| &volume.volume).eq(expected)
}

/// One row for home, one for each wanted region; a row that is no longer wanted stays.
fn rows(scene: &mut Scene<'_>) {
    let of_source = scene.status.source.as_ref().and_then(|source| source.architecture.clone());
    let Some(architecture) = of_source.or_else(|| scene.home_row().map(|row| row.architecture.clone()))
    else {
        return;
    };
    let home = scene.home().clone();
    let wanted = scene.subject.spec.regions.iter().map(|region| (region.name.clone(), RegionRole::Copy));
    for (region, role) in std::iter::once((home, RegionRole::Home)).chain(wanted.collect::<Vec<_>>()) {
        if scene.row(&region).is_none() {
            scene.status.regions.push(RegionStatus::waiting(region, architecture.clone(), role));
        }
    }
}

fn state_of(image: &Image) -> RegionState {
    match image.state {
        ImageState::Available => RegionState::Available,
        ImageState::Failed | ImageState::Deregistered => RegionState::Failed,
        ImageState::Pending | ImageState::Unknown => RegionState::Pending,
        ImageState::Disabled => RegionState::Missing,
    }
}

/// The image of the current capture, or the one that was adopted.
fn home(scene: &mut Scene<'_>) {
    let Some(images) = scene.images() else { return };
    let known = scene.home_row().and_then(|row| row.image_id.clone());
    let record = scene.record();
    let account = scene.account();
    let mine = |image: &Image| account.is_none() || image.owner.is_none() || image.owner.as_ref() == account;
    let found = images.iter().find(|image| match &known {
        Some(id) => image.id == *id,
        None => {
            record.as_ref().is_some_and(|record| scene.owns(&image.tags) && record.made(image) && mine(image))
        }
    });
    let shots = scene.snapshots().unwrap_or_default();
    let ours = shots.iter().filter(|shot| record.as_ref().is_some_and(|record| record.holds(shot)));
    let progress = found.map(|image| progress(image, ours));
    if found.is_none() && known.is_some() {
        lost(scene, &scene.home().clone(), false);
    }
    let revision = scene.capture().map(|capture| capture.revision);
    let region = scene.home().clone();
    let (Some(image), Some(row)) = (found, scene.row_mut(&region)) else {
        return;
    };
    row.revision = row.revision.or(revision);
    show(row, image, progress);
    let held: Vec<_> =
        shots.iter().filter(|shot| record.as_ref().is_some_and(|record| record.holds(shot))).collect();
    let of_the_barrier = image.snapshots.iter().all(|id| held.iter().any(|shot| shot.id == *id));
    if let Some(capture) = scene.status.capture.as_mut().filter(|capture| capture.completion_time.is_none()) {
        let all = image.snapshots.len() == capture.expected_volumes.len() && of_the_barrier;
        if image.state == ImageState::Available && capture.consistency == Consistency::Stopped && !all {
            capture.consistency = Consistency::Unknown;
        }
    }
}

fn copy(scene: &mut Scene<'_>, region: &Region) {
    let Some(images) = scene.images_in(region) else {
        return;
    };
    let Some(source) = scene.home_row().and_then(|row| row.image_id.clone()) else {
        return;
    };
    let known = scene.row(region).and_then(|row| row.image_id.clone());
    let found = images
        .iter()
        .filter(|image| match &known {
            Some(id) => image.id == *id,
            None => scene.is_copy(image, &source, region) && image.state != ImageState::Failed,
        })
        .min_by_key(|image| image.created);
    let view = scene.world.abroad.get(region).and_then(|view| view.as_ref().ok());
    let shots = view.and_then(|view| view.snapshots.as_deref().ok()).unwrap_or_default();
    let progress = found.map(|image| {
        let ours = shots
            .iter()
            .filter(|shot| scene.owns(&shot.tags) && shot.description.contains(image.id.as_str()));
        progress(image, ours)
    });
    let revision = scene.home_row().and_then(|row| row.revision);
    let now = scene.now;
    if found.is_none() {
        lost(scene, region, images.iter().any(|image| Some(&image.id) == known.as_ref()));
    }
    let (Some(image), Some(row)) = (found, scene.row_mut(region)) else {
        return;
    };
    row.revision = revision;
    show(row, image, progress);
    if row.state == RegionState::Failed && row.next_attempt_time.is_none() {
        let wait = pause(i64::from(row.attempts), Duration::from_secs(30), Duration::from_mins(30));
        let wait = jiff::SignedDuration::try_from(wait).unwrap_or_default();
        row.next_attempt_time = Some(Time(crate::debt::later(now, wait)));
    }
}

/// A pending image that was deregistered under us: absence is believed after several reads.
fn lost(scene: &mut Scene<'_>, region: &Region, seen: bool) {
    let view = if region == scene.home() {
        scene.view()
    } else {
        scene.world.abroad.get(region).and_then(|view| view.as_deref().ok())
    };
    let name = scene.expected_name(region);
    let absence = view.and_then(|view| view.absences.get(&name));
    let gone = !seen
        && absence.is_some_and(|absence| absence.reads >= 3 && passed(absence.since, GONE_FOR, scene.now));
    if let Some(row) = scene.row_mut(region)
        && gone
        && row.image_id.is_some()
        && row.state == RegionState::Pending
    {
        row.state = RegionState::Missing;
    }
}

/// How long a pending image must be absent.
const GONE_FOR: jiff::SignedDuration = jiff::SignedDuration::from_secs(120);

impl Scene<'_> {
    /// §8: a copy is ours if its owner tags and EC2's own fields agree.
    pub(crate) fn is_copy(
        &self,
        image: &Image,
        source: &saved_template_api::ids::ImageId,
        region: &Region,
    ) -> bool {
        let tagged_here = image.tags.get(saved_template_api::names::tag::REGION);
        self.owns(&image.tags)
            && tagged_here.is_some_and(|tag| tag == region.as_str())
            && image.source_image.as_ref() == Some(source)
            && image.source_region.as_ref() == Some(self.home())
            && image.name.starts_with(&self.owner().image_name(
                self.template_name(),
                self.subject.spec.revision,
                1,
            ))
            && image.state != ImageState::Deregistered
    }
}

fn show(row: &mut RegionStatus, image: &Image, progress: Option<i32>) {
    // A sweep that could not read the snapshots shows no progress: what was seen stays.
    let before = row.progress_percent.filter(|_| row.image_id.as_ref() == Some(&image.id));
    row.image_id = Some(image.id.clone());
    row.state = state_of(image);
    row.progress_percent = progress.max(before);
    match row.state {
        RegionState::Failed => {
            row.reason = Some(if row.role == RegionRole::Home { "ImageFailed" } else { "CopyFailed" }.into());
            row.message = image.state_reason.clone().map(|text| cut(text, 512));
        }
        RegionState::Pending | RegionState::Available => (row.reason, row.message) = (None, None),
        RegionState::Waiting | RegionState::Missing | RegionState::Retained => {}
    }
}

/// Percent of the snapshots, in steps of 25: each step is one write.
fn progress<'s>(image: &Image, snapshots: impl Iterator<Item = &'s Snapshot>) -> i32 {
    if image.state == ImageState::Available {
        return 100;
    }
    let of = |shot: &Snapshot| {
        if shot.state == SnapshotState::Completed { 100 } else { i32::from(shot.progress) }
    };
    let parts: Vec<i32> = snapshots.map(of).collect();
    let count = i32::try_from(parts.len()).unwrap_or(i32::MAX).max(1);
    let mean = parts.iter().sum::<i32>().checked_div(count).unwrap_or(0);
    // 100 is said by the image alone.
    mean.checked_div(25).unwrap_or(0).saturating_mul(25).clamp(0, 75)
}

/// The instant from which the machine may run again: every volume has its snapshot.
fn barrier(scene: &mut Scene<'_>) {
    let reached = scene.record().zip(scene.snapshots()).and_then(|(record, shots)| record.barrier(shots));
    let restored = scene.capture().is_some_and(|capture| capture.source_restored_time.is_some());
    let launched = scene.instance().and_then(|instance| instance.launch_time).filter(|_| restored);
    let holds = reached.is_some_and(|last| launched.is_none_or(|launched| last < launched));
    let now = scene.time();
    if let Some(capture) = scene.status.capture.as_mut() {
        let waits = capture.image_requested_time.is_some() && capture.snapshots_started_time.is_none();
        if holds && waits && capture.completion_time.is_none() {
            capture.snapshots_started_time = Some(now);
        }
    }
}

/// Drops the status's copy of the debt once the machine has settled, and ends the capture.
fn close(scene: &mut Scene<'_>) {
    let (now, gone, owed) = (scene.time(), scene.is_gone(), owes(scene));
    let home = scene.home_row().map(|row| row.state);
    let failure = scene.home_row().and_then(failure);
    let state = scene.instance().map(|instance| instance.state);
    let Some(capture) = scene.status.capture.as_mut().filter(|capture| capture.completion_time.is_none())
    else {
        return;
    };
    if !owed {
        capture.debt = None;
    }
    if home == Some(RegionState::Failed) && capture.reason.is_none() {
        capture.reason = Some(Reason::ImageFailed.name().to_owned());
        capture.message = failure;
    }
    let unasked = capture.debt.is_none() && capture.image_requested_time.is_none();
    if unasked && capture.reason.is_none() {
        let (reason, message) = ended(capture, gone, state);
        capture.reason = Some(reason.name().to_owned());
        capture.message = Some(message.to_owned());
    }
    let imaged = matches!(home, Some(RegionState::Available | RegionState::Failed));
    let lost = gone && capture.image_requested_time.is_none();
    if capture.debt.is_none() && (capture.reason.is_some() || (imaged && !lost)) {
        capture.completion_time = Some(now);
    }
}

/// What EC2 says of an image that failed.
fn failure(row: &RegionStatus) -> Option<String> {
    let id = row.image_id.as_ref()?;
    Some(cut(format!("image {id} failed: {}", row.message.as_deref().unwrap_or("no reason given")), 512))
}

/// Why a capture is over whose machine has settled before its image was asked for.
fn ended(capture: &mut CaptureStatus, gone: bool, state: Option<InstanceState>) -> (Reason, &'static str) {
    if gone {
        (Reason::InstanceTerminated, "the machine was terminated before its image was asked for")
    } else if capture.source_restored_time.is_some() {
        (Reason::Failed, "the machine was given back before its image was asked for")
    } else if state == Some(InstanceState::Running) {
        // No Stop reached it, and none can any more: nothing was disrupted.
        capture.stop_requested_time = None;
        capture.disruptions = capture.disruptions.saturating_sub(1);
        (Reason::InstanceBusy, "no stop reached the machine")
    } else {
        (Reason::NotYetSupported, "the machine was stopped by somebody else, and stays stopped")
    }
}

/// Whether the record still counts: it is on the machine, or the machine has not settled without it.
fn owes(scene: &Scene<'_>) -> bool {
    let Some(capture) = scene.open_capture() else {
        return false;
    };
    if scene.is_gone() {
        return false;
    }
    let (Some(record), Some(instance)) = (scene.record(), scene.instance()) else {
        return capture.debt.is_some();
    };
    if capture.debt.is_none() {
        return false;
    }
    let tagged = scene.tagged_value().and_then(|value| value.parse::<Record>().ok());
    if tagged.is_some_and(|tagged| tagged.capture == record.capture) || !scene.is_fresh() {
        return true;
    }
    // The tag is gone. Without a Stop nothing is owed; with one, only the machine itself can tell.
    match instance.state {
        _ if capture.stop_requested_time.is_none() => capture.reason.is_none(),
        InstanceState::Running => {
            let launched_again = instance.launch_time.is_some_and(|at| at > record.planned);
            let no_stop_can_come = scene.now > crate::debt::last_arrival(&record);
            !(launched_again || no_stop_can_come)
        }
        InstanceState::Stopped => !crate::debt::stopped_by_somebody(&record, instance),
        InstanceState::Pending | InstanceState::Stopping | InstanceState::Unknown => true,
        InstanceState::ShuttingDown | InstanceState::Terminated => false,
    }
}

/// The rows that consumers read: a row moves in one write, when that region's image is available.
fn served(scene: &mut Scene<'_>) {
    let created = |scene: &Scene<'_>, row: &RegionStatus| {
        let images = if row.role == RegionRole::Home { scene.images() } else { scene.images_in(&row.region) };
        let image = images?.iter().find(|image| Some(&image.id) == row.image_id.as_ref())?;
        image.created.map(Time)
    };
    let failed = scene.capture().is_some_and(|capture| capture.reason.is_some());
    for row in scene.status.regions.clone() {
        let (RegionState::Available, Some(id), Some(revision)) =
            (row.state, row.image_id.clone(), row.revision)
        else {
            continue;
        };
        let old = scene.status.images.iter().find(|old| old.region == row.region).cloned();
        if failed || old.as_ref().is_some_and(|old| old.image_id == id) {
            continue;
        }
        let created_time = created(scene, &row);
        let (region, architecture) = (row.region.clone(), row.architecture.clone());
        scene.status.images.retain(|old| old.region != row.region);
        scene.status.images.push(RegionImage { region, architecture, revision, image_id: id, created_time });
    }
    let home = scene.home();
    let rank = |image: &RegionImage| (image.region != *home, image.region.clone());
    scene.status.images.sort_by_key(rank);
    let home_image = scene.status.images.iter().find(|image| image.region == *home);
    scene.status.image_id = home_image.map(|image| image.image_id.clone());
    scene.status.active_revision = home_image.map(|image| image.revision);
}

fn revisions(scene: &mut Scene<'_>) {
    let Some(revision) = scene.home_row().and_then(|row| row.revision) else {
        return;
    };
    let state = match scene.home_row().map(|row| row.state) {
        _ if scene.capture().is_some_and(|capture| capture.reason.is_some()) => RevisionState::Failed,
        Some(RegionState::Available) => RevisionState::Available,
        Some(RegionState::Failed) => RevisionState::Failed,
        Some(RegionState::Missing) => RevisionState::Missing,
        Some(RegionState::Waiting | RegionState::Pending | RegionState::Retained) | None => {
            RevisionState::Capturing
        }
    };
    let consistency = scene.capture().map_or(Consistency::Adopted, |capture| capture.consistency);
    let images =
        scene.status.images.iter().filter(|image| image.revision == revision).map(|image| RevisionImage {
            region: image.region.clone(),
            architecture: image.architecture.clone(),
            image_id: image.image_id.clone(),
        });
    let row = RevisionStatus {
        revision,
        state,
        source_instance_id: scene.instance_id(),
        consistency,
        created_time: scene.status.images.first().and_then(|image| image.created_time.clone()),
        images: images.collect(),
    };
    scene.status.revisions.retain(|old| old.revision != revision);
    scene.status.revisions.insert(0, row);
}

fn summary(scene: &mut Scene<'_>) {
    let wanted = scene.subject.spec.regions.len().saturating_add(1);
    let serves = |region: &Region| scene.status.images.iter().any(|image| image.region == *region);
    let wanted_regions = scene.subject.spec.regions.iter().map(|region| &region.name).chain([scene.home()]);
    let available = wanted_regions.filter(|region| serves(region)).count();
    scene.status.region_summary = Some(format!("{available}/{wanted}"));
}
