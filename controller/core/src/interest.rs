//! What one object wants read of EC2, and how often.
use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use saved_template_api::{
    ids::{InstanceId, Region, VolumeId},
    status::{RegionRole, RegionState},
};

use crate::{
    cloud::FRESH,
    debt::UNTAGGED_AFTER,
    decide::Subject,
    needs::{LATER, SOON, plan},
    scene::{Scene, seconds_between},
    world::World,
};

/// What is read of one region for one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// Instances by id.
    pub instances: Vec<InstanceId>,
    /// Instances by their `Name` tag.
    pub names: Vec<String>,
    /// Image names that must be free, or that an image is looked for by.
    pub image_names: Vec<String>,
    /// Volumes whose snapshots are read without tags, since the barrier is late.
    pub volumes: Vec<VolumeId>,
    /// Whether snapshots are read: for the barrier, and for progress.
    pub snapshots: bool,
    /// How old a view may be; none: the drift sweep is enough.
    pub cadence: Option<Duration>,
}

/// What `subject` wants read, by region. Nothing of AWS is named that the status or the spec does not name.
pub fn of(subject: Subject<'_>, now: Option<Timestamp>) -> BTreeMap<Region, Interest> {
    let world = World::unread();
    let scene = Scene::new(subject, &world, now.unwrap_or(Timestamp::UNIX_EPOCH));
    let mut regions = BTreeMap::new();
    regions.insert(scene.home().clone(), home(&scene, now));
    let has_image = scene.home_row().is_some_and(|row| row.image_id.is_some());
    for region in subject.spec.regions.iter().map(|region| &region.name) {
        regions.insert(region.clone(), abroad(&scene, region, has_image, now));
    }
    regions
}

/// Before a capture the name must be free; once there is an image to copy, the copy is looked for.
fn abroad(scene: &Scene<'_>, region: &Region, has_image: bool, now: Option<Timestamp>) -> Interest {
    let row = scene.row(region);
    let state = row.map_or(RegionState::Waiting, |row| row.state);
    let asked = row.is_some_and(|row| row.announced_time.is_some());
    let name = scene.expected_name(region);
    let unsettled = matches!(state, RegionState::Waiting | RegionState::Pending | RegionState::Failed);
    let looked_for = state == RegionState::Pending || (state == RegionState::Waiting && asked);
    let named = if has_image { looked_for } else { scene.capture().is_none() };
    Interest {
        image_names: if named { vec![name] } else { Vec::new() },
        snapshots: state == RegionState::Pending,
        cadence: (unsettled && has_image).then(|| aged(row.and_then(|row| row.announced_time.as_ref()), now)),
        ..Interest::default()
    }
}

fn home(scene: &Scene<'_>, now: Option<Timestamp>) -> Interest {
    let spec = scene.subject.spec;
    let open = scene.open_capture();
    let id = scene.instance_id();
    let settled = scene.home_row().is_some_and(|row| {
        row.role == RegionRole::Home && matches!(row.state, RegionState::Available | RegionState::Missing)
    });
    let attempts = scene
        .capture()
        .map_or_else(|| plan::seen_attempts(scene).saturating_add(1), |capture| capture.attempts);
    let name = scene.owner().image_name(scene.template_name(), spec.revision, attempts);
    let late = open.and_then(|capture| {
        let requested =
            capture.image_requested_time.as_ref().filter(|_| capture.snapshots_started_time.is_none())?;
        let waited = seconds_between(requested.0, now?);
        (waited > UNTAGGED_AFTER.as_secs()).then(|| capture.expected_volumes.clone())
    });
    let named = !settled && open.is_none_or(|capture| capture.image_requested_time.is_some());
    let owes = open.is_some_and(|capture| capture.debt.is_some());
    Interest {
        instances: if settled && !owes { Vec::new() } else { id.iter().cloned().collect() },
        names: if id.is_none() && !settled {
            spec.source.instance_name.iter().cloned().collect()
        } else {
            Vec::new()
        },
        image_names: if named { vec![name] } else { Vec::new() },
        snapshots: open.is_some_and(|capture| capture.image_requested_time.is_some()),
        volumes: late.unwrap_or_default(),
        cadence: match open {
            Some(capture) if owes => {
                let waits_for_image =
                    capture.restart_when == saved_template_api::spec::RestartWhen::ImageAvailable;
                let idle = waits_for_image && capture.snapshots_started_time.is_some();
                Some(if idle { LATER } else { SOON })
            }
            Some(capture) => Some(aged(capture.image_requested_time.as_ref(), now)),
            None => (!settled).then_some(LATER),
        },
    }
}

/// 15 s for a young image, then a twentieth of its age, at most a minute.
fn aged(
    since: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
    now: Option<Timestamp>,
) -> Duration {
    let age = since.zip(now).map_or(0, |(since, now)| seconds_between(since.0, now));
    Duration::from_secs(u64::try_from(age).unwrap_or(0).checked_div(20).unwrap_or(0))
        .clamp(LATER, Duration::from_mins(1))
}

/// How long a process may go without Kubernetes before it gives back the machine that it stopped.
pub const ALONE: Duration = Duration::from_secs(30);

const _: () = assert!(FRESH.as_secs() < ALONE.as_secs());
