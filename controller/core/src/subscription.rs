//! What one object wants read of EC2, and how often.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use saved_template_api::{
    ids::{ImageId, InstanceId, Region, VolumeId},
    spec::{DeletionPolicy, RestartWhen},
    status::{RegionReason, RegionState, RegionStatus},
};

use crate::{
    capture::is_good,
    cloud::FRESH,
    facts::Facts,
    ownership::Ownership,
    restart::UNTAGGED_AFTER,
    subject::Subject,
    time::{LATER, SOON, seconds_between},
    world::World,
};

/// What is read of one region for one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscription {
    /// Instances by id.
    pub instances: Vec<InstanceId>,
    /// Instances by their `Name` tag.
    pub names: Vec<String>,
    /// Images that are known: their absence is counted, tags or none.
    pub images: Vec<ImageId>,
    /// Image names that must be free, or that an image is looked for by.
    pub image_names: Vec<String>,
    /// Volumes whose snapshots are read without tags, since the barrier is late.
    pub volumes: Vec<VolumeId>,
    /// Whether snapshots are read: for the barrier, for progress, and to keep their tags in line.
    pub snapshots: bool,
    /// The object that is to have nothing left there: its absence is counted, under the text of its [`crate::key::Key`].
    pub emptied: Option<Ownership>,
    /// How old a view may be; none: the sweep of a region in which nothing goes on is enough.
    pub cadence: Option<Duration>,
}

/// What `subject` wants read, by region. Nothing of AWS is named that the status or the spec does not name.
pub fn of(subject: Subject<'_>, now: Option<Timestamp>) -> BTreeMap<Region, Subscription> {
    let world = World::unread();
    let facts = Facts::new(subject, &world, now.unwrap_or(Timestamp::UNIX_EPOCH));
    let deletes = subject.deleting && subject.spec.deletion_policy == DeletionPolicy::Delete;
    let mut regions = BTreeMap::new();
    regions.insert(facts.home().clone(), home(&facts, now));
    let has_image = facts.home_row().is_some_and(|row| row.image_id.is_some());
    for region in subject.spec.regions.iter().map(|region| &region.name) {
        regions.insert(region.clone(), abroad(&facts, region, has_image, now));
    }
    for region in facts.regions_ever() {
        let row = facts.row(&region);
        let leaves = row.is_some_and(|row| row.state != RegionState::Retained);
        if deletes || (leaves && !regions.contains_key(&region)) {
            let subscription = regions.entry(region.clone()).or_default();
            (subscription.snapshots, subscription.emptied) = (true, Some(facts.ownership.clone()));
            subscription.cadence = Some(if owes(&facts) { SOON } else { Duration::from_secs(5) });
        }
    }
    for (region, subscription) in &mut regions {
        subscription.images = known(&facts, region);
        subscription.snapshots |= !subscription.images.is_empty();
    }
    regions
}

fn owes(facts: &Facts<'_>) -> bool {
    facts.open_capture().is_some_and(|capture| capture.restart_record.is_some())
}

/// Every image in a region that the status names.
fn known(facts: &Facts<'_>, region: &Region) -> Vec<ImageId> {
    let status = &facts.status;
    let of_row = facts.row(region).and_then(|row| row.image_id.clone());
    let served = status.images.iter().filter(|image| image.region == *region).map(|image| &image.image_id);
    let older = status.revisions.iter().flat_map(|revision| &revision.images);
    let older = older.filter(|image| image.region == *region).map(|image| &image.image_id);
    let removed = facts.removed_in(region).map(|removed| &removed.image_id);
    let all: BTreeSet<ImageId> =
        of_row.into_iter().chain(served.chain(older).chain(removed).cloned()).collect();
    all.into_iter().collect()
}

/// Before a capture the name must be free; once there is an image to copy, the copy is looked for.
fn abroad(facts: &Facts<'_>, region: &Region, has_image: bool, now: Option<Timestamp>) -> Subscription {
    let row = facts.row(region);
    let state = row.map_or(RegionState::Waiting, |row| row.state);
    let asked = row.is_some_and(|row| row.announced_time.is_some());
    let unsettled = matches!(state, RegionState::Waiting | RegionState::Pending | RegionState::Failed);
    let looked_for = state == RegionState::Waiting && asked;
    let named = if has_image { looked_for } else { facts.capture().is_none() };
    let busy = (unsettled && has_image).then(|| aged(row.and_then(|row| row.announced_time.as_ref()), now));
    Subscription {
        image_names: if named { vec![facts.expected_name(region)] } else { Vec::new() },
        snapshots: state == RegionState::Pending,
        cadence: busy.or(doubted(row)).or(syncing(facts, region)).or(settling(facts, region)),
        ..Subscription::default()
    }
}

/// An image that was not shown is looked for again soon: one empty reply proves nothing.
fn doubted(row: Option<&RegionStatus>) -> Option<Duration> {
    row.filter(|row| row.reason == Some(RegionReason::NotShown)).map(|_| LATER)
}

/// What was just changed in a region is looked at soon.
fn syncing(facts: &Facts<'_>, region: &Region) -> Option<Duration> {
    let announced = facts.announced_in(region)?;
    (seconds_between(announced.time.0, facts.now) < 60).then_some(Duration::from_secs(5))
}

/// A region in which something was taken away, and may still be shown, or have left something.
fn settling(facts: &Facts<'_>, region: &Region) -> Option<Duration> {
    facts.removed_in(region).next().map(|_| LATER)
}

fn home(facts: &Facts<'_>, now: Option<Timestamp>) -> Subscription {
    let spec = facts.subject.spec;
    let open = facts.open_capture();
    let id = facts.instance_id();
    let row = facts.home_row();
    // What a failed capture left is not what is wanted: the machine is looked at for the next attempt.
    let settled = open.is_none()
        && is_good(facts.capture())
        && row.is_some_and(|row| {
            row.image_id.is_some()
                && row.revision == Some(facts.revision())
                && matches!(row.state, RegionState::Available | RegionState::Missing)
        });
    let late = open.and_then(|capture| {
        let requested =
            capture.image_requested_time.as_ref().filter(|_| capture.snapshots_started_time.is_none())?;
        let waited = seconds_between(requested.0, now?);
        (waited > UNTAGGED_AFTER.as_secs()).then(|| capture.expected_volumes.clone())
    });
    let named = !settled && open.is_none_or(|capture| capture.image_requested_time.is_some());
    // Until a capture begins it is the declared source that is looked for, not the machine of an earlier look.
    let declared = !settled && open.is_none();
    let receipt = facts.subject.deleting && spec.deletion_policy == DeletionPolicy::Delete;
    let machine = facts.status.source.as_ref().and_then(|source| source.instance_id.as_ref());
    let ids = id.iter().filter(|_| !settled).chain(machine.filter(|_| receipt));
    let declared_ids = spec.source.instance_id.iter().filter(|_| declared);
    let instances: BTreeSet<InstanceId> = ids.chain(declared_ids).cloned().collect();
    Subscription {
        instances: instances.into_iter().collect(),
        names: spec.source.instance_name.iter().filter(|_| declared).cloned().collect(),
        image_names: if named { vec![facts.expected_name(facts.home())] } else { Vec::new() },
        // Before a plan too: the number of an attempt may be left on snapshots alone.
        snapshots: named,
        volumes: late.unwrap_or_default(),
        cadence: match open {
            Some(capture) if owes(facts) => {
                let idle = capture.restart_when == RestartWhen::ImageAvailable
                    && capture.snapshots_started_time.is_some();
                Some(if idle { LATER } else { SOON })
            }
            Some(capture) => Some(aged(capture.image_requested_time.as_ref(), now)),
            None if settled => doubted(row).or(syncing(facts, facts.home())),
            None => Some(LATER),
        },
        ..Subscription::default()
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

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use saved_template_api::status::CaptureReason;
    use saved_template_api::{SavedTemplateSpec, SavedTemplateStatus};

    use super::*;
    use crate::sample::{OWNER, at, imaging, plain, planned, spec, stopping, subject};

    fn asked(
        spec: &SavedTemplateSpec,
        status: &SavedTemplateStatus,
        region: &str,
        seconds: i64,
    ) -> Subscription {
        of(subject(spec, status), Some(at(seconds))).remove(&region.parse().unwrap()).unwrap()
    }

    fn home(status: &SavedTemplateStatus, seconds: i64) -> Subscription {
        asked(&plain(), status, "us-west-2", seconds)
    }

    fn finished() -> SavedTemplateStatus {
        let mut status = imaging();
        let capture = status.capture.as_mut().unwrap();
        (capture.restart_record, capture.completion_time) = (None, Some(Time(at(200))));
        capture.snapshots_started_time = Some(Time(at(45)));
        let row = &mut status.regions[0];
        (row.state, row.image_id) = (RegionState::Available, Some("ami-0123456789abcdef0".parse().unwrap()));
        row.revision = Some(1);
        status
    }

    #[test]
    fn before_a_capture_the_declared_machine_is_looked_for_and_every_name_must_be_free() {
        let mut old = planned();
        old.capture = None;
        for status in [SavedTemplateStatus::default(), old] {
            let home = home(&status, 0);
            assert_eq!(home.names, ["earthquake-analysis"]);
            assert!(home.instances.is_empty(), "the machine of an earlier look is not the declared one");
            assert_eq!(home.image_names, [OWNER.image_name(OWNER.name, 1, 1)]);
            assert!(home.snapshots, "they may carry the number of the last attempt");
            assert!(!asked(&plain(), &status, "us-east-2", 0).image_names.is_empty());
        }
        let by_id = spec(r#"{"source": {"region": "us-west-2", "instanceID": "i-0fedcba9876543210"}}"#);
        let ids = asked(&by_id, &SavedTemplateStatus::default(), "us-west-2", 0).instances;
        assert_eq!(ids, ["i-0fedcba9876543210".parse().unwrap()]);
    }

    #[test]
    fn while_a_machine_is_owed_it_is_read_every_few_seconds_and_by_id() {
        for status in [planned(), stopping(), imaging()] {
            let home = home(&status, 50);
            assert_eq!(home.instances, ["i-0123456789abcdef0".parse().unwrap()]);
            assert_eq!(home.cadence, Some(SOON));
            assert!(home.names.is_empty());
        }
    }

    #[test]
    fn snapshots_are_read_once_the_image_is_asked_for_and_by_volume_once_they_are_late() {
        assert!(!home(&stopping(), 40).snapshots);
        let young = home(&imaging(), 50);
        assert!(young.snapshots && young.volumes.is_empty() && !young.image_names.is_empty());
        assert_eq!(home(&imaging(), 41 + 21).volumes.len(), 2);
    }

    #[test]
    fn a_failed_capture_looks_for_the_declared_machine_again() {
        let mut status = finished();
        status.regions[0].state = RegionState::Waiting;
        status.regions[0].image_id = None;
        status.capture.as_mut().unwrap().reason = Some(CaptureReason::InstanceBusy);
        assert_eq!(home(&status, 900).names, ["earthquake-analysis"]);
        // Also where EC2 made its image: the machine ran again before every snapshot had begun.
        let mut spoilt = finished();
        spoilt.capture.as_mut().unwrap().reason = Some(CaptureReason::DowntimeExceeded);
        assert_eq!(home(&spoilt, 900).names, ["earthquake-analysis"]);
    }

    #[test]
    fn a_finished_capture_wants_nothing_but_the_drift_sweep_and_its_copies_still_do() {
        let status = finished();
        let home = home(&status, 900);
        let kept = Subscription {
            images: vec!["ami-0123456789abcdef0".parse().unwrap()],
            snapshots: true,
            ..Subscription::default()
        };
        assert_eq!(home, kept);
        let copy = asked(&plain(), &status, "us-east-2", 900);
        assert_eq!(copy.cadence, Some(LATER));
    }
}
