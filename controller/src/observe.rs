//! Sees the world of one object: the sweeps of its regions, and answers to what only its own calls can tell.
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{context::Context, regions::Desk, wait::monotonic};
use jiff::Timestamp;
use saved_template_api::{
    ids::{InstanceId, VolumeId},
    names::tag,
    status::CheckResult,
};
use saved_template_core::{
    cloud::{Cloud, DryRun, Images, Snapshots},
    decide::{is_supported, needs_world},
    decision::{Decision, Question},
    interest,
    key::Key,
    step::ImageRequest,
    subject::Subject,
    turns::{self, For, Turn},
    world::{Permits, Probe, World},
};

/// A region that does not answer holds up nobody longer than this.
const HOME: Duration = Duration::from_secs(20);
const ABROAD: Duration = Duration::from_secs(5);

/// Nothing is decided before the object may ask EC2 about its machine again.
pub(crate) struct Later(pub(crate) Duration);

/// What is seen of one object, and what only EC2's answers about its machine add.
pub(crate) struct Observation<'o, C> {
    pub(crate) world: World,
    pub(crate) home: Arc<Desk<C>>,
    subject: Subject<'o>,
    key: &'o Key,
    ctx: &'o Context<C>,
    /// What was answered with kept answers, which no plan rests on.
    kept: Option<Question>,
}

impl<'o, C: Cloud> Observation<'o, C> {
    /// Reads what the object needs.
    pub(crate) async fn of(subject: Subject<'o>, key: &'o Key, ctx: &'o Context<C>) -> Self {
        let region = &subject.spec.source.region;
        let home = ctx.regions.desk(region);
        let mut world =
            if needs_world(&subject) { read(subject, key, ctx, &home).await } else { World::unread() };
        if let Some(capture) = &subject.status.capture {
            home.survey.memory().recall(capture, |record| is_supported(subject, &world, record));
        }
        home.survey.memory().tell(subject.status, &mut world);
        world.covered = ctx.regions.covers(region);
        Self { world, home, subject, key, ctx, kept: None }
    }

    /// EC2's time; before it has ever answered, the node's.
    pub(crate) fn now(&self) -> Timestamp {
        self.home.survey.cloud.now().unwrap_or_else(|| (self.ctx.clock)())
    }

    /// Fills in what a decision lacks.
    pub(crate) async fn ask(&mut self, question: Question) -> Result<(), Later> {
        let cloud = &self.home.cloud;
        match &question {
            Question::Probe { .. } => {
                let is_kept = self.probe(&question, For::Telling).await?;
                self.kept = is_kept.then_some(question);
            }
            Question::Permits(instance) => {
                let (stop, start) = tokio::join!(
                    cloud.dry_run(DryRun::Stop(instance.clone())),
                    cloud.dry_run(DryRun::Start(instance.clone())),
                );
                self.world.permits = Some(Permits { stop, start });
                // The Stop rests on what the machine is now, not on what it was before it was asked whether it may be.
                let mut interests = interest::of(self.subject, self.home.survey.cloud.now());
                let here = interests.remove(&self.subject.spec.source.region).unwrap_or_default();
                self.world.home = self.home.survey.read(self.key, &here, HOME).await;
            }
        }
        Ok(())
    }

    /// After the claim comes the plan, and after the plan the Stop: asks anew what was answered with kept answers. Whether
    /// anything was.
    pub(crate) async fn renew(&mut self) -> Result<bool, Later> {
        let Some(question) = self.kept.take() else { return Ok(false) };
        self.probe(&question, For::Planning).await?;
        Ok(true)
    }

    /// The answers that the object's turn gives it. Whether they are kept ones, and not EC2's of now.
    async fn probe(&mut self, question: &Question, purpose: For) -> Result<bool, Later> {
        let Question::Probe { instance, instance_type, volumes, request } = question else {
            return Ok(false);
        };
        let view = self.world.home.as_ref().ok().and_then(|view| view.instances.as_deref().ok());
        let print = turns::print(question, view.unwrap_or_default());
        let now = monotonic();
        let turn = self.home.turns().turn(self.key, print, purpose, now);
        match turn {
            Turn::Wait(left) => return Err(Later(left)),
            Turn::Kept(probe) => {
                self.world.probe = Some(*probe);
                return Ok(true);
            }
            Turn::Ask => {}
        }
        let machine = (instance, instance_type.as_str(), volumes.as_slice());
        // Ten calls at once are too large for the stack of a worker.
        let probe = Box::pin(probe(machine, request.clone(), self.key, &self.home.cloud)).await;
        self.home.turns().keep(self.key, print, &probe, now);
        self.world.probe = Some(probe);
        Ok(false)
    }

    /// What a decision says of the answers: whoever has mended what stands in the way does not wait.
    pub(crate) fn answered(&self, decision: &Decision) {
        if decision.status.preflight.iter().any(|row| row.result == CheckResult::Failed) {
            self.home.turns().stands_in_the_way(self.key);
        }
    }
}

async fn read<C: Cloud>(subject: Subject<'_>, key: &Key, ctx: &Context<C>, home: &Arc<Desk<C>>) -> World {
    let mut interests = interest::of(subject, home.survey.cloud.now());
    let here = interests.remove(&subject.spec.source.region).unwrap_or_default();
    for desk in ctx.regions.all() {
        let region = desk.cloud.region();
        if *region != subject.spec.source.region && !interests.contains_key(region) {
            desk.survey.drop_interest(key);
        }
    }
    let views = interests.into_iter().map(|(region, interest)| async move {
        let view = match ctx.regions.refused(&region) {
            Some(refusal) => Err(refusal),
            None => ctx.regions.desk(&region).survey.read(key, &interest, ABROAD).await,
        };
        (region, view)
    });
    let (view, abroad) =
        futures::future::join(home.survey.read(key, &here, HOME), futures::future::join_all(views)).await;
    let abroad: BTreeMap<_, _> = abroad.into_iter().collect();
    World { home: view, abroad, ..World::unread() }
}

/// What only calls about this one machine tell.
async fn probe<C: Cloud>(
    (instance, instance_type, volumes): (&InstanceId, &str, &[VolumeId]),
    request: Box<ImageRequest>,
    key: &Key,
    cloud: &C,
) -> Probe {
    let namesakes = [(tag::NAMESPACE, &key.namespace), (tag::NAME, &key.name)];
    let namesakes = namesakes.map(|(key, value)| (key.to_owned(), value.clone())).into();
    let (machine, account, disks, images) = tokio::join!(
        async {
            tokio::join!(
                cloud.stop_protected(instance),
                cloud.shutdown_terminates(instance),
                cloud.scheduled_events(instance)
            )
        },
        async {
            tokio::join!(
                cloud.instance_store(instance_type),
                cloud.regions(),
                cloud.dry_run(DryRun::CreateImage(request))
            )
        },
        async { tokio::join!(cloud.volumes(volumes), cloud.snapshots(Snapshots::Volumes(volumes.to_vec()))) },
        async {
            tokio::join!(
                cloud.images(Images::PendingOf(instance.clone())),
                cloud.images(Images::Tags(namesakes))
            )
        },
    );
    let (stop_protected, shutdown_terminates, events) = machine;
    let (instance_store, regions, create_image) = account;
    let ((volumes, snapshots), (pending_images, namesakes)) = (disks, images);
    Probe {
        stop_protected,
        shutdown_terminates,
        events,
        instance_store,
        regions,
        create_image,
        volumes,
        snapshots,
        pending_images,
        namesakes,
    }
}
