//! The smallest EC2 that a save needs: states with their times, tags, one kind of image, snapshots that begin together.
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use jiff::Timestamp;
use saved_template_api::{
    SavedTemplateSpec,
    ids::ImageId,
    names::{debt_key, tag},
};
use saved_template_core::{
    ec2_error::Ec2Error,
    key::Key,
    receipt,
    restart::{Record, last_arrival},
    step::{Outcome, Step},
    subscription::of,
    world::{
        Absence, Attachment, Image, ImageState, Instance, InstanceState, Sighting, Snapshot, SnapshotState,
        View,
    },
};

use super::{
    process::subject,
    state::{Mind, Shot, State},
};

pub(crate) const CLUSTER: &str = "lab";
pub(crate) const ID: &str = "i-0910a2dec89025cc1";
const ACCOUNT: &str = "123456789012";
pub(crate) const VOLUME: &str = "vol-00000000000000001";
/// The AMI that the machine was launched from.
const ANCESTOR: &str = "ami-0f893a2eefb32555e";
/// Seconds.
const STOP: i64 = 20;
const BOOT: i64 = 15;
const BEGIN: i64 = 4;
const STORE: i64 = 60;

pub(crate) fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The premises of the invariants: each must be reached, or nothing was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Premise {
    StoppedByUs,
    StartedByUs,
    ImageAsked,
    StoppedByOwner,
    Conflict,
    HeldBack,
    StartedUnknowing,
    ProvenAtRest,
    ReadySeen,
    ReplyLost,
    AtRest,
    FairRuns,
    AskedTwice,
    FoundDown,
    HeldDown,
    StalledSeen,
    Served,
    StatusLost,
    Rewritten,
    Alone,
    Forgotten,
    Gone,
    Deregistered,
    SnapshotDeleted,
    WentBack,
    Forged,
    Deceived,
}

/// How often each was reached in this process.
pub(crate) static REACHED: [AtomicU64; 27] = [const { AtomicU64::new(0) }; 27];

pub(crate) fn reach(premise: Premise) {
    let at = PREMISES.iter().position(|one| *one == premise).unwrap();
    REACHED[at].fetch_add(1, Relaxed);
}

pub(crate) const PREMISES: [Premise; 27] = [
    Premise::StoppedByUs,
    Premise::StartedByUs,
    Premise::ImageAsked,
    Premise::StoppedByOwner,
    Premise::Conflict,
    Premise::HeldBack,
    Premise::StartedUnknowing,
    Premise::ProvenAtRest,
    Premise::ReadySeen,
    Premise::ReplyLost,
    Premise::AtRest,
    Premise::FairRuns,
    Premise::AskedTwice,
    Premise::FoundDown,
    Premise::HeldDown,
    Premise::StalledSeen,
    Premise::Served,
    Premise::StatusLost,
    Premise::Rewritten,
    Premise::Alone,
    Premise::Forgotten,
    Premise::Gone,
    Premise::Deregistered,
    Premise::SnapshotDeleted,
    Premise::WentBack,
    Premise::Forged,
    Premise::Deceived,
];

impl State {
    pub(crate) fn breaks(&mut self, what: &'static str) {
        self.truth.broken.get_or_insert(what);
    }

    /// A sweep: what the process remembers of the record on the machine.
    pub(crate) fn sight(&self, mind: &mut Mind) {
        let key = debt_key(CLUSTER);
        let value = self.machine.tags.get(&key);
        mind.sighting = value.map(|value| match &mind.sighting {
            Some((seen, first, _)) if seen == value => (value.clone(), *first, self.now),
            _ => (value.clone(), self.now, self.now),
        });
    }

    /// The same sweep: since when nothing is left of an object that is to be deleted with its images.
    pub(crate) fn miss(&self, mind: &mut Mind, spec: &SavedTemplateSpec) {
        let view = self.view(mind);
        let (images, shots) = (view.images.unwrap_or_default(), view.snapshots.unwrap_or_default());
        for (object, since) in self.objects.iter().zip(&mut mind.emptied) {
            let region = &spec.source.region;
            let ownership = of(subject(object, spec), Some(time(self.now))).remove(region);
            let ownership = ownership.and_then(|subscription| subscription.emptied).filter(|_| !object.gone);
            let left = ownership.map(|ownership| ownership.is_left(region, &images, &shots));
            *since = since.or(Some(self.now)).filter(|_| left == Some(false));
        }
    }

    /// What a sweep shows to a process now.
    pub(crate) fn view(&self, mind: &Mind) -> View {
        let seen = mind.sighting.iter().map(|(value, first, last)| {
            ((ID.parse().unwrap(), value.clone()), Sighting { first: time(*first), last: time(*last) })
        });
        let absences = self.objects.iter().zip(mind.emptied).filter_map(|(object, since)| {
            Some((
                Key::template("default", object.name).to_string(),
                Absence { since: time(since?), reads: 3 },
            ))
        });
        let deregistered = self.shots.iter().enumerate().filter_map(|(at, shot)| {
            let absence = Absence { since: time(shot.deregistered?), reads: 3 };
            Some((image_id(at).to_string(), absence))
        });
        View {
            began: time(self.now),
            instances: Ok(vec![self.instance()]),
            images: Ok(self
                .shots
                .iter()
                .enumerate()
                .filter(|(_, shot)| shot.deregistered.is_none())
                .map(|(at, shot)| image(at, shot))
                .collect()),
            snapshots: Ok(self
                .shots
                .iter()
                .enumerate()
                .filter_map(|(at, shot)| snapshot(at, shot))
                .collect()),
            sightings: seen.collect(),
            absences: absences.chain(deregistered).collect(),
        }
    }

    pub(crate) fn instance(&self) -> Instance {
        let down = matches!(self.machine.state, InstanceState::Stopping | InstanceState::Stopped);
        Instance {
            id: ID.parse().unwrap(),
            account: ACCOUNT.parse().unwrap(),
            state: self.machine.state,
            state_reason: down.then(|| "Client.UserInitiatedShutdown".into()),
            transition_time: self.machine.stopped.filter(|_| down).map(time),
            launch_time: Some(time(self.machine.launched)),
            attachments: vec![Attachment {
                device: "/dev/sda1".into(),
                volume: VOLUME.parse().unwrap(),
                attached: true,
                since: Some(time(self.machine.launched.min(super::state::START - 1000))),
            }],
            root_device: Some("/dev/sda1".into()),
            ebs_root: true,
            lifecycle: None,
            managed: false,
            outpost: false,
            zone: Some("us-west-2a".into()),
            architecture: Some("x86_64".into()),
            platform: Some("Linux/UNIX".into()),
            instance_type: Some("t3.micro".into()),
            image: Some(ANCESTOR.parse().unwrap()),
            hibernation: false,
            lent_address: false,
            product_codes: false,
            dedicated_host: false,
            reservation: None,
            placement_group: None,
            tags: self.machine.tags.clone(),
        }
    }

    /// The next instants at which EC2 itself does something.
    pub(crate) fn due(&self) -> impl Iterator<Item = i64> {
        let begins = self.shots.iter().filter(|shot| shot.begun.is_none()).map(|shot| shot.asked + BEGIN);
        let ends = self.shots.iter().filter(|shot| !shot.available).map(|shot| shot.asked + STORE);
        self.machine.settles.into_iter().chain(begins).chain(ends)
    }

    /// Time has passed: EC2 does what is due.
    pub(crate) fn apply(&mut self) {
        if self.machine.settles.is_some_and(|at| at <= self.now) {
            self.machine.settles = None;
            let stopping = self.machine.state == InstanceState::Stopping;
            self.machine.state = if stopping { InstanceState::Stopped } else { InstanceState::Running };
        }
        let at_rest = self.machine.state == InstanceState::Stopped;
        for shot in &mut self.shots {
            if shot.begun.is_none() && shot.asked + BEGIN <= self.now {
                (shot.begun, shot.at_rest) = (Some(shot.asked + BEGIN), at_rest);
            }
            shot.available |= shot.asked + STORE <= self.now;
        }
    }

    /// The owner stops the machine.
    pub(crate) fn owner_stops(&mut self) {
        match self.machine.state {
            InstanceState::Running => {
                self.stop();
                self.owner_stopped = Some(self.now);
                self.truth.unknowable = false;
            }
            InstanceState::Stopping | InstanceState::Stopped => self.truth.unknowable |= self.truth.held,
            InstanceState::Pending
            | InstanceState::ShuttingDown
            | InstanceState::Terminated
            | InstanceState::Unknown => return,
        }
        (self.truth.wants_rest, self.truth.held) = (true, false);
        reach(Premise::StoppedByOwner);
    }

    pub(crate) fn owner_starts(&mut self) {
        if self.machine.state == InstanceState::Stopped {
            self.boot();
            (self.truth.wants_rest, self.truth.held, self.truth.unknowable) = (false, false, false);
        }
    }

    fn stop(&mut self) {
        self.machine.state = InstanceState::Stopping;
        (self.machine.stopped, self.machine.settles) = (Some(self.now), Some(self.now + STOP));
    }

    fn boot(&mut self) {
        self.machine.state = InstanceState::Pending;
        (self.machine.launched, self.machine.settles) = (self.now, Some(self.now + BOOT));
    }

    /// `StartInstances` by the restart loop.
    pub(crate) fn start(&mut self, record: &Record) -> InstanceState {
        let previous = self.machine.state;
        if previous == InstanceState::Stopped {
            let deceived = self.may_start(record);
            if self.truth.wants_rest {
                let in_window = self.owner_stopped.is_some_and(|at| {
                    self.machine.launched <= record.planned.as_second()
                        && at >= record.planned.as_second() - 2
                        && at <= last_arrival(record).as_second()
                });
                if !(self.truth.unknowable || in_window && self.is_ours(&record.to_string()) || deceived) {
                    self.breaks("started against its owner's will");
                }
                self.truth.wants_rest = false;
                reach(Premise::StartedUnknowing);
            }
            self.boot();
            (self.truth.held, self.truth.unknowable) = (false, false);
            reach(Premise::StartedByUs);
        }
        previous
    }

    pub(crate) fn tag(&mut self, value: &str) {
        self.machine.tags.insert(debt_key(CLUSTER), value.to_owned());
        if self.watched && !self.is_ours(value) {
            self.wrote.push(value.to_owned());
        }
    }

    pub(crate) fn untag(&mut self, value: &str) {
        if self.machine.tags.get(&debt_key(CLUSTER)).is_some_and(|there| there == value) {
            if self.is_ours(value)
                && self.truth.held
                && matches!(self.machine.state, InstanceState::Stopping | InstanceState::Stopped)
            {
                self.breaks("the record of a machine that we hold down was taken off");
            }
            self.machine.tags.remove(&debt_key(CLUSTER));
        }
    }

    /// What is on the machine and may not be overwritten.
    pub(crate) fn anothers(&self, record: &Record, replaces: Option<&str>) -> Option<&String> {
        let there = self.machine.tags.get(&debt_key(CLUSTER))?;
        let capture = there.parse::<Record>().ok().map(|there| there.capture);
        let is_planned_anew = capture.is_some_and(|one| one == record.capture || Some(&*one) == replaces);
        (!is_planned_anew && replaces != Some(there)).then_some(there)
    }

    /// One step of a reconcile, as the controller makes it.
    pub(crate) fn act(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Tag { record, receipt, replaces } => {
                if let Some(value) = self.anothers(record, replaces.as_deref()) {
                    return Outcome::Busy { value: value.clone() };
                }
                self.tag(&record.to_string());
                let receipts = receipt.as_ref().map(|receipt| receipt::tag(receipt, &self.machine.tags));
                self.machine.tags.extend(receipts);
                Outcome::Done
            }
            Step::Untag { record } => {
                self.untag(&record.to_string());
                Outcome::Done
            }
            Step::Stop { record, .. } => {
                let previous = self.machine.state;
                if previous == InstanceState::Pending {
                    return Outcome::Refused(Ec2Error::new("StopInstances", "IncorrectInstanceState", ""));
                }
                if previous == InstanceState::Running {
                    self.stopped_by_us(record);
                    self.stop();
                } else {
                    reach(Premise::FoundDown);
                }
                Outcome::Stopped { previous }
            }
            Step::CreateImage(request) => {
                if self.shots.iter().any(|shot| shot.name == request.name) {
                    reach(Premise::AskedTwice);
                    return Outcome::Refused(Ec2Error::new("CreateImage", "InvalidAMIName.Duplicate", ""));
                }
                let tags = Arc::new(request.image_tags.clone());
                if self.shots.iter().any(|shot| shot.tags.get(tag::CAPTURE) == tags.get(tag::CAPTURE)) {
                    self.breaks("two images of one capture");
                }
                reach(Premise::ImageAsked);
                let (name, asked) = (request.name.clone(), self.now);
                self.shots.push(Shot {
                    name,
                    tags,
                    asked,
                    begun: None,
                    available: false,
                    at_rest: false,
                    deregistered: None,
                    deleted: false,
                });
                Outcome::Image(image_id(self.shots.len() - 1))
            }
            Step::Deregister { image, .. } => self.deregister(image),
            Step::DeleteSnapshot { snapshot, .. } => {
                let shot = self.shots.iter_mut().enumerate().find(|(at, _)| snapshot_id(*at) == *snapshot);
                let (_, shot) = shot.unwrap();
                if shot.deregistered.is_none() {
                    return Outcome::Refused(Ec2Error::new("DeleteSnapshot", "InvalidSnapshot.InUse", ""));
                }
                shot.deleted = true;
                reach(Premise::SnapshotDeleted);
                Outcome::Done
            }
            Step::RemoveReceipt { key, value, left, .. } => {
                if self.machine.tags.get(key) == Some(value) {
                    self.machine.tags.remove(key);
                    self.machine.tags.extend(left.clone().map(|left| (key.clone(), left)));
                }
                Outcome::Done
            }
            Step::TagImages { resources, tags, .. } => {
                for (at, shot) in self.shots.iter_mut().enumerate() {
                    let ids = [image_id(at).to_string(), snapshot_id(at).to_string()];
                    if ids.iter().any(|id| resources.contains(id)) {
                        Arc::make_mut(&mut shot.tags).extend(tags.clone());
                    }
                }
                Outcome::Done
            }
            Step::CopyImage { .. } | Step::UntagImages { .. } | Step::SetDescription { .. } => {
                panic!("not in a small world: {step:?}")
            }
        }
    }

    fn deregister(&mut self, image: &ImageId) -> Outcome {
        let shot = self.shots.iter_mut().enumerate().find(|(at, _)| image_id(*at) == *image);
        let (_, shot) = shot.unwrap();
        // `DeleteAssociatedSnapshots` may leave every one of them.
        shot.deregistered = Some(self.now);
        let object = self.objects.iter().find(|object| shot.is_of(object.name));
        let rows = object.iter().flat_map(|object| &object.status.value.regions);
        let is_named = rows.filter_map(|row| row.image_id.as_ref()).any(|id| id == image);
        self.truth.unkept |= !is_named;
        reach(Premise::Deregistered);
        Outcome::Done
    }

    fn stopped_by_us(&mut self, record: &Record) {
        reach(Premise::StoppedByUs);
        if self.truth.wants_rest {
            self.breaks("stopped what its owner had stopped");
        }
        if self.machine.launched > record.planned.as_second() {
            self.breaks("stopped a machine that was launched after the plan");
        }
        let tagged = self.machine.tags.get(&debt_key(CLUSTER));
        // Between the last look and the call nothing but EC2's own policy could tell that it was taken off.
        let known = self.truth.stripped || tagged.is_some_and(|value| value.contains(&record.capture));
        if !known {
            self.breaks("stopped without its record");
        }
        self.truth.held = true;
        self.limit = self.watched.then(|| record.start_by.as_second());
        self.cluster_uid.clone_from(&record.capture);
        let Some(at) = self.captures.iter().position(|(capture, ..)| *capture == record.capture) else {
            return self.breaks("stopped without a plan");
        };
        self.captures[at].2 += 1;
        if self.captures[at].2 > 1 {
            self.breaks("a second stop under one plan");
        }
        let object = self.captures[at].1;
        let stops = self.captures.iter().filter(|(_, of, _)| *of == object);
        if stops.map(|(.., stops)| stops).sum::<u8>() > 1 {
            self.breaks("a second stop for one revision");
        }
    }
}

pub(crate) fn image_id(at: usize) -> ImageId {
    format!("ami-{at:017x}").parse().unwrap()
}

fn image(at: usize, shot: &Shot) -> Image {
    Image {
        id: image_id(at),
        owner: Some(ACCOUNT.parse().unwrap()),
        name: shot.name.clone(),
        description: String::new(),
        state: if shot.available { ImageState::Available } else { ImageState::Pending },
        state_reason: None,
        created: Some(time(shot.asked)),
        architecture: Some("x86_64".into()),
        source_instance: Some(ID.parse().unwrap()),
        source_image: Some(ANCESTOR.parse().unwrap()),
        source_region: Some("us-west-2".parse().unwrap()),
        snapshots: if shot.available { vec![snapshot_id(at)] } else { Vec::new() },
        tags: shot.tags.as_ref().clone(),
    }
}

pub(crate) fn snapshot_id(at: usize) -> saved_template_api::ids::SnapshotId {
    format!("snap-{at:017x}").parse().unwrap()
}

fn snapshot(at: usize, shot: &Shot) -> Option<Snapshot> {
    (!shot.deleted).then_some(())?;
    Some(Snapshot {
        id: snapshot_id(at),
        volume: VOLUME.parse().unwrap(),
        state: if shot.available { SnapshotState::Completed } else { SnapshotState::Pending },
        started: Some(time(shot.begun?)),
        progress: 50,
        volume_gib: 8,
        description: format!("Created by CreateImage({ID}) for {}", image_id(at)),
        tags: shot.tags.as_ref().clone(),
    })
}
