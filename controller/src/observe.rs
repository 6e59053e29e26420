//! Sees the world of one object: the sweeps of its regions, and answers to what only its own calls can tell.
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use saved_template_api::{
    ids::{InstanceId, VolumeId},
    names::tag,
    status::CheckResult,
};
use saved_template_core::{
    cloud::{Cloud, DryRun, Images, Snapshots},
    decide::{decide, is_supported, needs_world},
    decision::{Decision, Question},
    interest,
    key::Key,
    step::ImageRequest,
    subject::Subject,
    world::{Permits, Probe, World},
};
use tokio::time::Instant;

use crate::{
    context::Context,
    probes::{self, For, Turn},
    regions::Desk,
};

/// A region that does not answer holds up nobody longer than this.
const HOME: Duration = Duration::from_secs(20);
const ABROAD: Duration = Duration::from_secs(5);

/// What was decided, and the time that it was decided at.
pub(crate) struct Observed {
    pub(crate) decision: Decision,
    pub(crate) now: Timestamp,
}

/// Nothing is decided before the object may ask EC2 about its machine again.
pub(crate) struct Later(pub(crate) Duration);

/// Reads what the object needs, and decides. Asks EC2 about this one machine only where the decision lacks it.
pub(crate) async fn observe<C: Cloud>(subject: Subject<'_>, ctx: &Context<C>) -> Result<Observed, Later> {
    let key = Key { namespace: subject.namespace.to_owned(), name: subject.name.to_owned() };
    if let Some(refusal) = ctx.regions.refused(&subject.spec.source.region) {
        let (world, now) = (World { home: Err(refusal), ..World::unread() }, (ctx.clock)());
        if let Ok(decision) = decide(subject, &world, now) {
            return Ok(Observed { decision, now });
        }
    }
    let home = ctx.regions.desk(&subject.spec.source.region);
    let mut world =
        if needs_world(&subject) { read(subject, &key, ctx, &home).await } else { World::unread() };
    if let Some(capture) = &subject.status.capture {
        home.survey.memory().recall(capture, |record| is_supported(subject, &world, record));
    }
    home.survey.memory().tell(subject.status, &mut world);
    world.covered = ctx.regions.covers(&subject.spec.source.region);
    let mut kept: Option<Question> = None;
    loop {
        let now = home.survey.cloud.now().unwrap_or_else(|| (ctx.clock)());
        match decide(subject, &world, now) {
            Ok(decision) => {
                if decision.status.preflight.iter().any(|row| row.result == CheckResult::Failed) {
                    home.probes.stands_in_the_way(&key);
                }
                return Ok(Observed { decision, now });
            }
            Err(question @ Question::Probe { .. }) => {
                let is_kept = probed(&question, For::Telling, &key, ctx, &home, &mut world).await?;
                kept = is_kept.then_some(question);
            }
            Err(question) => {
                // After the claim comes the plan, and after the plan the Stop.
                if let Some(kept) = kept.take_if(|_| matches!(question, Question::Claim(_))) {
                    probed(&kept, For::Planning, &key, ctx, &home, &mut world).await?;
                    continue;
                }
                let is_last = matches!(question, Question::Permits(_));
                answer(question, &key, ctx, &home, &mut world).await;
                // The Stop rests on what the machine is now, not on what it was before it was asked whether it may be.
                if is_last {
                    let mut interests = interest::of(subject, home.survey.cloud.now());
                    let here = interests.remove(&subject.spec.source.region).unwrap_or_default();
                    world.home = home.survey.read(&key, &here, HOME).await;
                }
            }
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

/// Fills in the answers that the object's turn gives it. Whether they are kept ones, and not EC2's of now.
async fn probed<C: Cloud>(
    question: &Question,
    purpose: For,
    key: &Key,
    ctx: &Context<C>,
    home: &Desk<C>,
    world: &mut World,
) -> Result<bool, Later> {
    let view = world.home.as_ref().ok().and_then(|view| view.instances.as_deref().ok());
    let print = probes::print(question, view.unwrap_or_default());
    let now = Instant::now();
    match home.probes.turn(key, print, purpose, now) {
        Turn::Wait(left) => return Err(Later(left)),
        Turn::Kept(probe) => {
            world.probe = Some(*probe);
            return Ok(true);
        }
        Turn::Ask => answer(question.clone(), key, ctx, home, world).await,
    }
    if let Some(probe) = &world.probe {
        home.probes.keep(key, print, probe, now);
    }
    Ok(false)
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

async fn answer<C: Cloud>(
    question: Question,
    key: &Key,
    ctx: &Context<C>,
    home: &Desk<C>,
    world: &mut World,
) {
    let cloud = &home.cloud;
    match question {
        Question::Probe { instance, instance_type, volumes, request } => {
            let machine = (&instance, instance_type.as_str(), volumes.as_slice());
            // Ten calls at once are too large for the stack of a worker.
            world.probe = Some(Box::pin(probe(machine, request, key, cloud)).await);
        }
        Question::Claim(instance) => {
            world.claim = Some(ctx.claims.claim(key, cloud.region(), &instance).await);
        }
        Question::Permits(instance) => {
            let (stop, start) = tokio::join!(
                cloud.dry_run(DryRun::Stop(instance.clone())),
                cloud.dry_run(DryRun::Start(instance.clone())),
            );
            world.permits = Some(Permits { stop, start });
        }
    }
}
