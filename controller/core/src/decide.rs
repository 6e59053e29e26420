//! The whole policy: what was seen and the time in, what to write and the one thing to do out.
use std::time::Duration;

use jiff::Timestamp;
use saved_template_api::{SavedTemplateSpec, SavedTemplateStatus, ids::InstanceId, spec::DeletionPolicy};

use crate::{
    conditions,
    debt::Record,
    fold, needs, notes,
    notes::Note,
    scene::Scene,
    step::{ImageRequest, Step},
    world::World,
};

/// The object as Kubernetes has it, and whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// `--cluster-name`: the owner of the images.
    pub cluster: &'a str,
    /// Namespace of the object.
    pub namespace: &'a str,
    /// Name of the object.
    pub name: &'a str,
    /// uid of the `kube-system` namespace: tells twins of a cluster apart.
    pub holder: &'a str,
    /// What of others' this installation was told to take over.
    pub heritage: &'a Heritage,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it carries our finalizer.
    pub finalizer: bool,
    /// What is wanted.
    pub spec: &'a SavedTemplateSpec,
    /// What was written last.
    pub status: &'a SavedTemplateStatus,
}

/// What of others' this installation was told to take over, by somebody who knows that they are gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heritage {
    /// `--take-over`: the uid of the `kube-system` namespace whose images become ours.
    pub holder: Option<String>,
    /// `--adopt-from`: the cluster names whose images become ours.
    pub clusters: Vec<String>,
}

impl Heritage {
    /// Nothing was handed over.
    pub const NONE: &'static Self = &Self { holder: None, clusters: Vec::new() };
}

/// Something that only a call about this one machine can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Fill [`World::probe`]; the request is what `CreateImage` is asked with `DryRun`.
    Probe {
        /// The machine.
        instance: InstanceId,
        /// Its instance type.
        instance_type: String,
        /// Its volumes.
        volumes: Vec<saved_template_api::ids::VolumeId>,
        /// The request.
        request: Box<ImageRequest>,
    },
    /// Fill [`World::permits`].
    Permits(InstanceId),
    /// Fill [`World::claim`]: this object alone, in this installation, saves the machine.
    Claim(InstanceId),
}

/// What becomes of our finalizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finalizer {
    /// It stays as it is.
    Keep,
    /// It is added, in the write before the one that announces the first change to AWS.
    Add,
    /// It is removed: the object may go.
    Remove,
}

/// What to write, then what to do, then when to look again.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The status to write; it always differs from the one read where there is a step.
    pub status: SavedTemplateStatus,
    /// What becomes of the finalizer.
    pub finalizer: Finalizer,
    /// The one change to AWS.
    pub step: Option<Step>,
    /// Events to publish once the status is written.
    pub notes: Vec<Note>,
    /// When to look again, if nothing wakes the object before.
    pub look_again: Duration,
}

/// Whether deciding needs any view of EC2: an object that owes nothing and goes away does not.
pub fn needs_world(subject: &Subject<'_>) -> bool {
    let owes = subject.status.capture.as_ref().is_some_and(|capture| capture.debt.is_some());
    let deletes = subject.spec.deletion_policy == DeletionPolicy::Delete;
    !subject.deleting || (subject.finalizer && (owes || deletes))
}

/// Whether anything but the status says that a record's machine is this object's.
pub fn is_supported(subject: Subject<'_>, world: &World, record: &Record) -> bool {
    Scene::new(subject, world, record.planned).is_supported(record)
}

/// The capture that a decision plans, if the status that it rests on has another one.
pub fn plans<'d>(before: &SavedTemplateStatus, decision: &'d SavedTemplateStatus) -> Option<&'d str> {
    let new = decision.capture.as_ref().filter(|capture| capture.completion_time.is_none())?;
    let is_known = before.capture.as_ref().is_some_and(|old| old.id == new.id);
    (!is_known).then_some(new.id.as_str())
}

/// Chooses the first unmet need, or asks for what it lacks to do so.
pub fn decide(subject: Subject<'_>, world: &World, now: Timestamp) -> Result<Decision, Question> {
    let mut scene = Scene::new(subject, world, now);
    fold::observe(&mut scene);
    let unmet = needs::first_unmet(&mut scene)?.map(|unmet| needs::while_owed(&scene, unmet));
    conditions::write(&mut scene, unmet.as_ref());
    let mut notes = notes::between(subject.status, &scene.status, subject.spec.revision);
    if let Some(unmet) = unmet.as_ref().filter(|unmet| unmet.finalizer == Finalizer::Remove) {
        notes.push(notes::gone(subject.spec.revision, &unmet.message));
    }
    let (finalizer, step, look_again) = match unmet {
        Some(unmet) => (unmet.finalizer, unmet.step, unmet.look_again),
        None => (Finalizer::Keep, None, if scene.doubts() { needs::LATER } else { RARELY }),
    };
    // Whoever is to delete images must hear of the deletion, also of those that were adopted.
    let deletes = subject.spec.deletion_policy == DeletionPolicy::Delete;
    let has_image = scene.status.regions.iter().any(|row| row.image_id.is_some());
    let add = !subject.finalizer && !subject.deleting && (step.is_some() || (deletes && has_image));
    let finalizer = if add { Finalizer::Add } else { finalizer };
    let look_again = look_again.min(RARELY);
    Ok(Decision { status: scene.status, finalizer, step, notes, look_again })
}

/// How often an object that lacks nothing is looked at without a reason; a sweep that sees a change wakes it before.
const RARELY: Duration = Duration::from_hours(2);

#[cfg(test)]
mod finalizer;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod mended;
#[cfg(test)]
mod order;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod words;
