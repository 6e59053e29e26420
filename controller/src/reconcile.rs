//! The flow: observe → decide ⇄ ask → persist → act, for every kind. A reconcile makes at most one change to AWS in each region.
use std::{collections::BTreeMap, sync::Arc};

use futures::future::join_all;
use jiff::Timestamp;
use kube::{ResourceExt, runtime::controller::Action};
use saved_template_core::{
    cloud::Cloud,
    decision::{Decision, Finalizer, Next},
    key::Key,
    kind::SubjectOf,
    step::{Outcome, Step},
    world::World,
};
use tokio::time::Instant;

use crate::{
    act::{act, announcing},
    context::Context,
    error::{Error, Result},
    events::publish,
    object::{Metadata, Object},
    observe::Observation,
    persist,
    wait::monotonic,
};

/// One pass over one object. The watch holds metadata only: the object itself is read here, by quorum.
#[tracing::instrument(skip_all, fields(name = %meta.name_any(), namespace = meta.namespace()))]
pub(crate) async fn reconcile<K: Object, C: Cloud>(
    meta: Arc<Metadata<K>>,
    ctx: Arc<Context<C>>,
) -> Result<Action> {
    let started = Instant::now();
    let done = tokio::time::timeout(ctx.deadline, pass(&meta, &ctx)).await.map_err(Error::from).flatten();
    ctx.metrics.reconciled(started.elapsed(), done.as_ref().err());
    done
}

async fn pass<K: Object, C: Cloud>(meta: &Metadata<K>, ctx: &Context<C>) -> Result<Action> {
    let key = K::key(meta);
    let api = K::api(&ctx.client, meta.namespace().as_deref());
    let Some(object) = api.get_opt(&key.name).await? else {
        ctx.forget(&key);
        return Ok(Action::await_change());
    };
    let cluster_uid = ctx.cluster_uid().await?;
    let before = object.status().cloned().unwrap_or_default();

    let (decision, now) =
        match decided::<K, C>(subject(&object, &key, &before, cluster_uid, ctx), &key, ctx).await {
            Ok(decided) => decided,
            // No failure: it would be told and counted as one.
            Err(Error::Later(left)) => return Ok(Action::requeue(left)),
            Err(error) => return Err(error),
        };
    let Decision { status, finalizer, steps, events, wakes, look_again } = decision;
    let home = K::home(object.spec());
    let goes = finalizer == Finalizer::Remove && object.meta().deletion_timestamp.is_some();
    if goes {
        // Nobody can be told of an object that is gone.
        publish(&object, ctx, &events).await;
    }
    let object = persist::finalizer(&api, &object, finalizer).await?;
    let machine = home.as_ref().zip(K::machine(&status));
    if goes {
        if let Some((place, machine)) = machine {
            ctx.claims.release(&key, &place.region, machine).await;
        }
        ctx.forget(&key);
        return Ok(Action::await_change());
    }
    let announced = announcing(now);
    let object = persist::status(&api, &object, &status).await?;
    if status != before {
        ctx.wrote(&key);
    }
    let handle = home.as_ref().map(|place| ctx.regions.handle(place));
    if let Some(home) = &handle {
        K::written(&before, &status, &mut home.poller.memory(), monotonic());
    }
    if let Some((place, machine)) = machine.filter(|_| K::is_over(&status) && !K::is_over(&before)) {
        ctx.claims.release(&key, &place.region, machine).await;
    }
    publish(&object, ctx, &events).await;
    for key in wakes {
        ctx.wake(key);
    }
    if let Some(home) = handle.filter(|_| !steps.is_empty()) {
        // Side by side: a region that answers late keeps no other from being asked in time.
        let outcomes = join_all(steps.iter().map(|step| act(step, announced, &home, &ctx.regions))).await;
        let answers: Vec<(Step, Outcome)> = steps.into_iter().zip(outcomes).collect();
        let refused = answers.iter().filter_map(|(step, outcome)| K::refused(object.spec(), step, outcome));
        let refused: Vec<_> = refused.collect();
        persist::answer(&api, &object, |before| K::apply_outcomes(before, &answers, now)).await?;
        publish(&object, ctx, &refused).await;
    }
    Ok(Action::requeue(ctx.look_again(&key, look_again)))
}

/// What is decided, and the time that it is decided at. EC2 is asked about this one machine only where a decision lacks it.
async fn decided<K: Object, C: Cloud>(
    subject: SubjectOf<'_, K>,
    key: &Key,
    ctx: &Context<C>,
) -> Result<(Decision<K::Status>, Timestamp)> {
    let home = K::home(subject.spec);
    if let Some(refusal) = home.as_ref().and_then(|place| ctx.regions.refused(place)) {
        // No client is made for a region that there is not.
        let (world, now) = (World { home: Err(refusal), ..World::unread() }, (ctx.clock)());
        if let Next::Do(decision) = K::decide(subject, &world, now) {
            ctx.regions.unsubscribe(key, &BTreeMap::new());
            return Ok((*decision, now));
        }
    }
    let mut seen = Observation::<K, C>::of(subject, key, ctx)?;
    loop {
        let now = seen.now();
        match K::decide(subject, &seen.world, now) {
            Next::Do(decision) => {
                seen.answered(&decision.status);
                return Ok((*decision, now));
            }
            Next::Ask(question) => seen.ask(question).await?,
            Next::Acquire(machine) => {
                if !seen.renew().await?
                    && let Some(home) = &home
                {
                    seen.world.claim = Some(ctx.claims.claim(key, &home.region, &machine).await);
                }
            }
        }
    }
}

fn subject<'a, K: Object, C>(
    object: &'a K,
    key: &'a Key,
    status: &'a K::Status,
    cluster_uid: &'a str,
    ctx: &'a Context<C>,
) -> SubjectOf<'a, K> {
    let meta = object.meta();
    SubjectOf::<K> {
        cluster: &ctx.cluster,
        takeover: &ctx.takeover,
        namespace: &key.namespace,
        name: &key.name,
        cluster_uid,
        generation: meta.generation.unwrap_or(0),
        deleting: meta.deletion_timestamp.is_some(),
        finalizer: object.finalizers().iter().any(|name| name == K::FINALIZER),
        spec: object.spec(),
        status,
    }
}

pub(crate) fn error_policy<K: Object, C>(
    _meta: Arc<Metadata<K>>,
    error: &Error,
    _ctx: Arc<Context<C>>,
) -> Action {
    error.retry()
}
