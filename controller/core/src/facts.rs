//! Facts of one object in one pass: what is wanted, what EC2 shows, and the status with what follows from both. Read only.
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    SavedTemplateStatus,
    ids::{AccountId, ImageId, InstanceId, Region, VolumeId},
    names::{self, Owner, SAVED_TEMPLATE, tag},
    spec::{CaptureMode, StopSpec},
    status::{Announced, CaptureStatus, RegionRole, RegionState, RegionStatus, RemovedImage},
};

use crate::{
    cloud::FRESH,
    ownership::Ownership,
    restart::{self, Awaits, Record},
    step::{CREATE_IMAGE, DEREGISTER},
    subject::Subject,
    time::{self, left, pause},
    world::{Absence, Image, Instance, InstanceState, Snapshot, Tags, View, World},
};

/// How long after a DeregisterImage was announced reads may show the image: the call may leave, and take, 20 s.
const SHOWN_AFTER: SignedDuration = SignedDuration::from_mins(2);

/// What is known of one object: the spec, the world, and the status.
pub(crate) struct Facts<'a> {
    pub(crate) subject: Subject<'a>,
    pub(crate) world: &'a World,
    pub(crate) now: Timestamp,
    pub(crate) status: SavedTemplateStatus,
    pub(crate) ownership: Ownership,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(subject: Subject<'a>, world: &'a World, now: Timestamp) -> Self {
        Self { subject, world, now, status: subject.status.clone(), ownership: Ownership::of(&subject) }
    }

    pub(crate) fn time(&self) -> Time {
        Time(self.now)
    }

    pub(crate) fn owner(&self) -> Owner<'a> {
        Owner {
            cluster: self.subject.cluster,
            kind: SAVED_TEMPLATE,
            namespace: self.subject.namespace,
            name: self.subject.name,
        }
    }

    pub(crate) fn home(&self) -> &'a Region {
        &self.subject.spec.source.region
    }

    pub(crate) fn template_name(&self) -> &'a str {
        self.subject.spec.template_name.as_deref().unwrap_or(self.subject.name)
    }

    pub(crate) fn debt_key(&self) -> String {
        names::debt_key(self.subject.cluster)
    }

    /// The revision that is worked on: that of a capture that is not over, else the wanted one.
    pub(crate) fn revision(&self) -> i32 {
        self.open_capture().map_or(self.subject.spec.revision, |capture| capture.revision)
    }

    /// The capture of the revision that is worked on.
    pub(crate) fn capture(&self) -> Option<&CaptureStatus> {
        let revision = self.revision();
        self.status.capture.as_ref().filter(|capture| capture.revision == revision)
    }

    /// The capture that is not over.
    pub(crate) fn open_capture(&self) -> Option<&CaptureStatus> {
        self.status.capture.as_ref().filter(|capture| capture.completion_time.is_none())
    }

    /// Whether the machine of the capture is not stopped for it: mode `Reboot`, `NoReboot`, or it was stopped already.
    pub(crate) fn is_claim(&self) -> bool {
        self.capture().is_some_and(|capture| capture.mode != CaptureMode::Stop) || self.was_stopped()
    }

    /// Whether the machine of the capture was stopped already when it was planned.
    pub(crate) fn was_stopped(&self) -> bool {
        let original = self.status.source.as_ref().and_then(|source| source.original_state.as_deref());
        self.capture().is_some() && original == Some(InstanceState::Stopped.as_str())
    }

    /// The volumes that the capture expects.
    pub(crate) fn expected_volumes(&self) -> Vec<VolumeId> {
        self.capture().map(|capture| capture.expected_volumes.clone()).unwrap_or_default()
    }

    /// The record of the capture: the debt while it is open, else what identified it.
    pub(crate) fn record(&self) -> Option<Record> {
        let capture = self.capture()?;
        if let Some(record) = capture.restart_record.as_ref().and_then(|text| text.parse().ok()) {
            return Some(record);
        }
        let awaits = if self.is_claim() { Awaits::Nothing } else { Awaits::of(capture.restart_when) };
        Some(Record::plan(
            self.instance_id()?,
            capture.id.clone(),
            String::new(),
            capture.start_time.as_ref()?.0,
            (StopSpec::default().timeout_seconds, capture.max_downtime_seconds),
            awaits,
            capture.expected_volumes.len(),
        ))
    }

    /// The machine that the capture is of; before one, the declared machine, if it is declared by id.
    pub(crate) fn instance_id(&self) -> Option<InstanceId> {
        // A record is about its own machine, whatever else the status says.
        let owed =
            self.open_capture().and_then(|capture| capture.restart_record.as_ref()?.parse::<Record>().ok());
        if let Some(record) = owed {
            return Some(record.instance);
        }
        let captured = self.capture().and(self.status.source.as_ref());
        let captured = captured.and_then(|source| source.instance_id.clone());
        captured.or_else(|| self.subject.spec.source.instance_id.clone())
    }

    pub(crate) fn account(&self) -> Option<&AccountId> {
        self.status.source.as_ref().and_then(|source| source.account_id.as_ref())
    }

    /// The machine of the capture as the last sweep saw it.
    pub(crate) fn instance(&self) -> Option<&'a Instance> {
        let id = self.instance_id()?;
        self.instances().iter().find(|instance| instance.id == id)
    }

    /// Whether the machine is terminated, or unknown to EC2 often enough to be believed.
    pub(crate) fn is_gone(&self) -> bool {
        match (self.instance(), self.instance_id(), self.view()) {
            (Some(instance), ..) => instance.state.is_gone(),
            (None, Some(id), Some(view))
                if view.instances.is_ok()
                    && restart::is_gone(view.absences.get(id.as_str()).copied(), self.now) =>
            {
                true
            }
            (None, ..) => self.was_gone(),
        }
    }

    /// Whether the machine of the capture was seen to be gone: EC2 shows it for an hour, the status for ever.
    fn was_gone(&self) -> bool {
        let state =
            self.capture().and(self.status.source.as_ref()).and_then(|source| source.state.as_deref());
        [InstanceState::ShuttingDown, InstanceState::Terminated]
            .iter()
            .any(|gone| state == Some(gone.as_str()))
    }

    pub(crate) fn view(&self) -> Option<&'a View> {
        self.world.home.as_ref().ok().map(std::convert::AsRef::as_ref)
    }

    pub(crate) fn instances(&self) -> &'a [Instance] {
        self.view().and_then(|view| view.instances.as_deref().ok()).unwrap_or_default()
    }

    pub(crate) fn images(&self) -> Option<&'a [Image]> {
        self.view().and_then(|view| view.images.as_deref().ok())
    }

    pub(crate) fn snapshots(&self) -> Option<&'a [Snapshot]> {
        self.view().and_then(|view| view.snapshots.as_deref().ok())
    }

    /// The images of one region other than home.
    pub(crate) fn images_in(&self, region: &Region) -> Option<&'a [Image]> {
        let view = self.world.abroad.get(region)?.as_ref().ok()?;
        view.images.as_deref().ok()
    }

    /// The value under our record's key on the machine.
    pub(crate) fn tagged_value(&self) -> Option<&'a str> {
        let key = self.debt_key();
        self.instance().and_then(|instance| instance.tags.get(&key)).map(String::as_str)
    }

    /// Since when an absence counts: before it was last asked for, or accepted, an image proves nothing by being absent.
    pub(crate) fn absent_since(&self, absence: Absence, region: &Region) -> Timestamp {
        let accepted = self.row(region).and_then(|row| row.announced_time.as_ref());
        let asked = self.announced(CREATE_IMAGE).filter(|_| region == self.home());
        let times = accepted.into_iter().chain(asked.map(|announced| &announced.time));
        times.map(|time| time.0).fold(absence.since, Timestamp::max)
    }

    /// Whether no Stop can be under way under the record although the status announces none: it may have forgotten one.
    /// Such a Stop left within [`FRESH`] of its announcement, and shows in what was read after that.
    pub(crate) fn is_known_unstopped(&self, record: &Record) -> bool {
        let latest = time::later(record.stop_by, SignedDuration::try_from(FRESH).unwrap_or_default());
        record.awaits == Awaits::Nothing
            || self.world.unsent
            || self.view().is_some_and(|view| view.began > latest)
    }

    /// The change that was announced last in a region.
    pub(crate) fn announced_in(&self, region: &Region) -> Option<&Announced> {
        self.status.announced.iter().find(|announced| announced.region == *region)
    }

    /// The change that was announced last at home, if it is of this step.
    pub(crate) fn announced(&self, step: &str) -> Option<&Announced> {
        self.announced_in(self.home()).filter(|announced| announced.step == step)
    }

    /// Whether a region was read after the change that was announced last in it.
    pub(crate) fn is_fresh_in(&self, region: &Region) -> bool {
        let began = self.view_of(region).map(|view| view.began);
        self.announced_in(region).is_none_or(|last| began.is_some_and(|began| began > last.time.0))
    }

    /// Whether home was read after the change that was announced last in it.
    pub(crate) fn is_fresh(&self) -> bool {
        self.is_fresh_in(self.home())
    }

    /// What is left of the pause after the last announcement of `step`: 5 s, doubling up to `longest`.
    pub(crate) fn pause_left(&self, step: &str, longest: Duration) -> Option<Duration> {
        let announced = self.announced(step)?;
        let pause = pause(announced.number, Duration::from_secs(5), longest);
        left(announced.time.0, pause, self.now)
    }

    /// Revision and attempt of the image: those of the capture, else those of the image that was adopted.
    pub(crate) fn edition(&self) -> (i32, i32) {
        let adopted = || (self.revision(), self.home_row().map_or(1, |row| row.attempts.max(1)));
        self.capture().map_or_else(adopted, |capture| (capture.revision, capture.attempts))
    }

    /// The name under which the image of a region is, or will be.
    pub(crate) fn expected_name(&self, region: &Region) -> String {
        let (revision, attempt) = self.edition();
        let name = self.owner().image_name(self.template_name(), revision, attempt);
        copy_name(name, self.copies(region))
    }

    /// How often a copy was asked for in a region.
    fn copies(&self, region: &Region) -> i32 {
        self.row(region).filter(|row| row.role == RegionRole::Copy).map_or(0, |row| row.attempts)
    }

    /// Every name under which a copy of the image was asked for in a region.
    pub(crate) fn asked_for(&self, region: &Region) -> impl Iterator<Item = String> {
        let (revision, attempt) = self.edition();
        let name = self.owner().image_name(self.template_name(), revision, attempt);
        (1..=self.copies(region)).map(move |number| copy_name(name.clone(), number))
    }

    pub(crate) fn row(&self, region: &Region) -> Option<&RegionStatus> {
        self.status.regions.iter().find(|row| row.region == *region)
    }

    pub(crate) fn home_row(&self) -> Option<&RegionStatus> {
        self.row(self.home())
    }

    /// Tags of an image or snapshot at birth: whose it is, of which capture, and the user's own.
    pub(crate) fn tags(&self, capture: &CaptureStatus, instance: &str, role: &str, region: &Region) -> Tags {
        let text = str::to_owned;
        // That of the plan: the spec may name another machine by now.
        let planned = capture.source_digest.clone();
        let source = planned.unwrap_or_else(|| names::source_digest(&self.subject.spec.source));
        let ours = [
            (tag::CLUSTER, text(self.subject.cluster)),
            (tag::NAMESPACE, text(self.subject.namespace)),
            (tag::NAME, text(self.subject.name)),
            (tag::REVISION, capture.revision.to_string()),
            (tag::ATTEMPT, capture.attempts.to_string()),
            (tag::CAPTURE, capture.id.clone()),
            (tag::SOURCE, source),
            (tag::SOURCE_INSTANCE, text(instance)),
            (tag::ROLE, text(role)),
            (tag::REGION, region.to_string()),
            (tag::HOLDER, text(self.subject.cluster_uid)),
        ];
        let users = self.subject.spec.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone()));
        users.chain(ours.into_iter().map(|(key, value)| (key.to_owned(), value))).collect()
    }

    /// The view of a region, if it could be read.
    pub(crate) fn view_of(&self, region: &Region) -> Option<&'a View> {
        if region == self.home() {
            return self.view();
        }
        self.world.abroad.get(region)?.as_ref().ok().map(std::convert::AsRef::as_ref)
    }

    /// Home, and the regions of the copies.
    pub(crate) fn wanted(&self) -> Vec<Region> {
        let copies = self.subject.spec.regions.iter().map(|region| &region.name);
        std::iter::once(self.home()).chain(copies).cloned().collect()
    }

    /// Every region that this object has, or ever had, an image in, as far as the status tells; home first.
    pub(crate) fn regions_ever(&self) -> Vec<Region> {
        let rows = self.status.regions.iter().map(|row| &row.region);
        let served = self.status.images.iter().map(|image| &image.region);
        let older = self.status.revisions.iter().flat_map(|revision| &revision.images);
        let older = older.map(|image| &image.region);
        let mut all = self.wanted();
        for region in rows.chain(served).chain(older) {
            if !all.contains(region) {
                all.push(region.clone());
            }
        }
        all
    }

    /// Whether an image that the status names was not shown by the last read.
    pub(crate) fn doubts(&self) -> bool {
        let rows = self.status.regions.iter().filter_map(|row| Some((row.image_id.as_ref()?, &row.region)));
        let older = self.status.revisions.iter().flat_map(|revision| &revision.images);
        let missing = |row: &RegionStatus| row.state == RegionState::Missing;
        let older = older.map(|image| (&image.image_id, &image.region));
        rows.chain(older).any(|(id, region)| {
            self.absence_of(id, region).is_some() && !self.row(region).is_some_and(missing)
        })
    }

    /// What EC2 was asked to deregister in a region.
    pub(crate) fn removed_in(&self, region: &Region) -> impl Iterator<Item = &RemovedImage> {
        self.status.removed_images.iter().filter(move |removed| removed.region == *region)
    }

    /// Whether something that is read on is to go, or may have left something.
    pub(crate) fn removes(&self) -> bool {
        self.wanted().iter().any(|region| self.removed_in(region).next().is_some())
    }

    /// When an image was last to be deregistered.
    pub(crate) fn last_asked(&self, removed: &RemovedImage) -> Timestamp {
        let is_its = |last: &&Announced| last.step == DEREGISTER && last.request == removed.image_id.as_str();
        let announced = self.announced_in(&removed.region).filter(is_its);
        announced.map_or(removed.requested_time.0, |last| last.time.0.max(removed.requested_time.0))
    }

    /// Whether EC2 was asked to deregister this image.
    pub(crate) fn is_removed(&self, id: &ImageId) -> bool {
        self.status.removed_images.iter().any(|removed| removed.image_id == *id)
    }

    /// Whether what was read of a region may still show what was taken away there: nothing becomes available by such a read.
    /// Only what was asked for before now counts.
    pub(crate) fn is_settling(&self, region: &Region) -> bool {
        let began = self.view_of(region).map(|view| view.began);
        let is_shown = |asked: Timestamp| began.is_none_or(|began| began < time::later(asked, SHOWN_AFTER));
        let mut asked = self.removed_in(region).map(|removed| self.last_asked(removed));
        asked.any(|asked| asked <= self.now && is_shown(asked))
    }

    /// How long, and how often, an image that was known by its id has not been seen in a region.
    pub(crate) fn absence_of(&self, id: &ImageId, region: &Region) -> Option<Absence> {
        self.view_of(region)?.absences.get(id.as_str()).copied()
    }
}

/// The name of the `number`-th copy: whether a failed one keeps its name is not known.
pub(crate) fn copy_name(name: String, number: i32) -> String {
    if number < 2 { name } else { format!("{name}-c{number}") }
}
