//! Sees the world of one object: the sweeps of its regions, and answers to what only its own calls can tell.
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    classes,
    context::Context,
    error::{Error, Result},
    object::Object,
    poller::Reading,
    regions::{RegionHandle, Regions},
    wait::monotonic,
};
use jiff::Timestamp;
use saved_template_api::{
    ids::{InstanceId, Region, VolumeId},
    names::tag,
};
use saved_template_core::{
    cloud::{Cloud, DryRun, Images, Snapshots},
    decision::Question,
    key::Key,
    kind::SubjectOf,
    step::ImageRequest,
    subscription::Subscription,
    turns::{self, For, Turn},
    world::{Permits, Probe, World},
};

/// A region that does not answer holds up nobody longer than this.
const HOME: Duration = Duration::from_secs(20);
const ABROAD: Duration = Duration::from_secs(5);

/// What is seen of one object, and what only EC2's answers about its machine add.
pub(crate) struct Observation<'o, K: Object, C> {
    pub(crate) world: World,
    home: Option<Arc<RegionHandle<C>>>,
    subject: SubjectOf<'o, K>,
    key: &'o Key,
    ctx: &'o Context<C>,
    /// What was answered with kept answers, which no plan rests on.
    kept: Option<Question>,
}

impl<'o, K: Object, C: Cloud> Observation<'o, K, C> {
    /// Reads what the object needs.
    pub(crate) fn of(subject: SubjectOf<'o, K>, key: &'o Key, ctx: &'o Context<C>) -> Result<Self> {
        let home = K::home(subject.spec).map(|place| ctx.regions.handle(&place));
        let mut world = World::unread();
        if let Some(home) = &home {
            let subscriptions = K::subscriptions(subject, home.poller.cloud.now());
            // Also where it wants nothing: then nothing is read for it any more.
            world = read(subscriptions, key, &ctx.regions, home).map_err(Error::Later)?;
            K::recall(subject, &mut home.poller.memory(), &mut world);
            world.covered = ctx.regions.covers(home.cloud.place());
        }
        Ok(Self { world, home, subject, key, ctx, kept: None })
    }

    /// EC2's time; before it has ever answered, the node's.
    pub(crate) fn now(&self) -> Timestamp {
        let told = self.home.as_ref().and_then(|home| home.poller.cloud.now());
        told.unwrap_or_else(|| (self.ctx.clock)())
    }

    /// Fills in what a decision lacks.
    pub(crate) async fn ask(&mut self, question: Question) -> Result<()> {
        match &question {
            Question::Class(name) => self.world.class = Some(classes::class(name, self.ctx).await),
            Question::Users { class, all } => {
                self.world.users = Some(classes::users(class, *all, self.ctx).await?);
            }
            Question::Probe { .. } => {
                let is_kept = self.probe(&question, For::Telling).await?;
                self.kept = is_kept.then_some(question);
            }
            Question::Permits(instance) => {
                let Some(home) = self.home.clone() else { return Ok(()) };
                let cloud = &home.cloud;
                let (stop, start) = tokio::join!(
                    cloud.dry_run(DryRun::Stop(instance.clone())),
                    cloud.dry_run(DryRun::Start(instance.clone())),
                );
                self.world.permits = Some(Permits { stop, start });
                // The Stop rests on what the machine is now, not on what it was before it was asked whether it may be.
                let mut subscriptions = K::subscriptions(self.subject, cloud.now());
                let here = subscriptions.remove(cloud.region()).unwrap_or_default();
                self.world.home = home.poller.next(&here, HOME).await;
            }
        }
        Ok(())
    }

    /// After the claim comes the plan, and after the plan the Stop: asks anew what was answered with kept answers. Whether
    /// anything was.
    pub(crate) async fn renew(&mut self) -> Result<bool> {
        let Some(question) = self.kept.take() else { return Ok(false) };
        self.probe(&question, For::Planning).await?;
        Ok(true)
    }

    /// The answers that the object's turn gives it. Whether they are kept ones, and not EC2's of now.
    async fn probe(&mut self, question: &Question, purpose: For) -> Result<bool> {
        let (Question::Probe { instance, instance_type, volumes, request }, Some(home)) =
            (question, self.home.clone())
        else {
            return Ok(false);
        };
        let view = self.world.home.as_ref().ok().and_then(|view| view.instances.as_deref().ok());
        let print = turns::print(question, view.unwrap_or_default());
        let now = monotonic();
        let turn = home.turns().turn(self.key, print, purpose, now);
        match turn {
            Turn::Wait(left) => return Err(Error::Later(left)),
            Turn::Kept(probe) => {
                self.world.probe = Some(*probe);
                return Ok(true);
            }
            Turn::Ask => {}
        }
        let machine = (instance, instance_type.as_str(), volumes.as_slice());
        // Ten calls at once are too large for the stack of a worker.
        let probe = Box::pin(probe(machine, request.clone(), self.key, &home.cloud)).await;
        home.turns().keep(self.key, print, &probe, now);
        self.world.probe = Some(probe);
        Ok(false)
    }

    /// What a decision says of the answers: whoever has mended what stands in the way does not wait.
    pub(crate) fn answered(&self, status: &K::Status) {
        if let Some(home) = self.home.as_ref().filter(|_| K::is_hindered(status)) {
            home.turns().stands_in_the_way(self.key);
        }
    }
}

/// What the last sweeps of its regions show; or how much longer the object waits for those that lack what it wants.
fn read<C: Cloud>(
    subscriptions: BTreeMap<Region, Subscription>,
    key: &Key,
    regions: &Regions<C>,
    home: &RegionHandle<C>,
) -> Result<World, Duration> {
    let places = subscriptions
        .into_iter()
        .map(|(region, subscription)| (home.cloud.place().beside(&region), subscription));
    let (mut wanted, mut readings) = (BTreeMap::new(), Vec::new());
    for (place, subscription) in places {
        match regions.refused(&place) {
            Some(refusal) => readings.push((place, Reading::Found(Err(refusal)))),
            None => _ = wanted.insert(place, subscription),
        }
    }
    regions.unsubscribe(key, &wanted);
    // All of them say what they want before any waits: one sweep of each region serves them all.
    for (place, subscription) in &wanted {
        let patience = if place == home.cloud.place() { HOME } else { ABROAD };
        readings.push((place.clone(), regions.handle(place).poller.read(key, subscription, patience)));
    }
    let later = readings.iter().filter_map(|(_, reading)| match reading {
        Reading::Later(left) => Some(*left),
        Reading::Found(_) | Reading::Silent(_) => None,
    });
    let lacking = later.min();
    let found = readings.iter().filter(|(_, reading)| matches!(reading, Reading::Found(_)));
    for handle in
        found.filter(|(place, _)| wanted.contains_key(place)).map(|(place, _)| regions.handle(place))
    {
        if lacking.is_some() { handle.poller.hold(key) } else { handle.poller.served(key) }
    }
    let mut world = World::unread();
    for (place, reading) in readings {
        let view = match reading {
            Reading::Found(view) => view,
            Reading::Silent(silent) => Err(silent),
            Reading::Later(left) => return Err(lacking.unwrap_or(left)),
        };
        if place == *home.cloud.place() {
            world.home = view;
        } else {
            world.abroad.insert(place.region, view);
        }
    }
    Ok(world)
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
