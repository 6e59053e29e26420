//! The flow: observe → decide ⇄ ask → record → act. A reconcile makes at most one change to AWS in each region.
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use kube::{Api, ResourceExt, core::PartialObjectMeta, runtime::controller::Action};
use saved_template_api::{SavedTemplate, SavedTemplateStatus, names::FINALIZER};
use saved_template_core::{
    claim::is_over,
    cloud::Cloud,
    decide::{decide, plans},
    decision::{Decision, Finalizer, Next},
    events::refused,
    key::Key,
    settle::settle_all,
    step::{Outcome, Step},
    subject::Subject,
    world::World,
};
use tokio::time::Instant;

use crate::{
    act::{act, announcing},
    context::Context,
    error::{Error, Result},
    events::publish,
    observe::{Later, Observation},
    record,
    wait::monotonic,
};

pub(crate) type Metadata = PartialObjectMeta<SavedTemplate>;

/// One pass over one object. The watch holds metadata only: the object itself is read here, by quorum.
#[tracing::instrument(skip_all, fields(name = %meta.name_any(), namespace = meta.namespace()))]
pub(crate) async fn reconcile<C: Cloud>(meta: Arc<Metadata>, ctx: Arc<Context<C>>) -> Result<Action> {
    let started = Instant::now();
    let done = tokio::time::timeout(ctx.deadline, pass(&meta, &ctx)).await.map_err(Error::from).flatten();
    ctx.metrics.reconciled(started.elapsed(), done.as_ref().err());
    done
}

async fn pass<C: Cloud>(meta: &Metadata, ctx: &Context<C>) -> Result<Action> {
    let key =
        Key { namespace: meta.namespace().ok_or(Error::Malformed("namespace"))?, name: meta.name_any() };
    let api = Api::<SavedTemplate>::namespaced(ctx.client.clone(), &key.namespace);
    let Some(object) = api.get_opt(&key.name).await? else {
        ctx.forget(&key);
        return Ok(Action::await_change());
    };
    let holder = ctx.holder().await?;
    let before = object.status.clone().unwrap_or_default();

    let (decision, now) = match decided(subject(&object, &key, &before, holder, ctx), &key, ctx).await {
        Ok(decided) => decided,
        Err(Later(left)) => return Ok(Action::requeue(left)),
    };
    let Decision { status, finalizer, steps, events, look_again } = decision;
    if finalizer == Finalizer::Remove {
        // Nobody can be told of an object that is gone.
        publish(&object, ctx, &events).await;
    }
    let object = record::finalizer(&api, &object, finalizer).await?;
    if finalizer == Finalizer::Remove {
        ctx.claims.release(&key, &object.spec.source.region, &status).await;
        ctx.forget(&key);
        return Ok(Action::await_change());
    }
    let announced = announcing(now);
    let object = record::status(&api, &object, &status).await?;
    if status != before {
        ctx.wrote(&key);
    }
    if status.capture.is_some() {
        let home = ctx.regions.desk(&object.spec.source.region);
        home.survey.memory().contact(&status, monotonic());
        if let Some(capture) = plans(&before, &status) {
            home.survey.memory().planned(capture);
        }
    }
    if is_over(&status) && !is_over(&before) {
        ctx.claims.release(&key, &object.spec.source.region, &status).await;
    }
    publish(&object, ctx, &events).await;
    if !steps.is_empty() {
        let home = ctx.regions.desk(&object.spec.source.region);
        // Side by side: a region that answers late keeps no other from being asked in time.
        let outcomes = join_all(steps.iter().map(|step| act(step, announced, &home, &ctx.regions))).await;
        let answers: Vec<(Step, Outcome)> = steps.into_iter().zip(outcomes).collect();
        let revision = object.spec.revision;
        let refused = answers.iter().filter_map(|(step, outcome)| refused(step, outcome, revision));
        let refused: Vec<_> = refused.collect();
        record::answer(&api, &object, |before| settle_all(before, &answers, now)).await?;
        publish(&object, ctx, &refused).await;
    }
    Ok(Action::requeue(ctx.look_again(&key, look_again)))
}

/// What is decided, and the time that it is decided at. EC2 is asked about this one machine only where a decision lacks it.
async fn decided<C: Cloud>(
    subject: Subject<'_>,
    key: &Key,
    ctx: &Context<C>,
) -> Result<(Decision, Timestamp), Later> {
    let region = &subject.spec.source.region;
    if let Some(refusal) = ctx.regions.refused(region) {
        // No client is made for a region that there is not.
        let (world, now) = (World { home: Err(refusal), ..World::unread() }, (ctx.clock)());
        if let Next::Do(decision) = decide(subject, &world, now) {
            return Ok((*decision, now));
        }
    }
    let mut seen = Observation::of(subject, key, ctx).await;
    loop {
        let now = seen.now();
        match decide(subject, &seen.world, now) {
            Next::Do(decision) => {
                seen.answered(&decision);
                return Ok((*decision, now));
            }
            Next::Ask(question) => seen.ask(question).await?,
            Next::Acquire(machine) => {
                if !seen.renew().await? {
                    seen.world.claim = Some(ctx.claims.claim(key, region, &machine).await);
                }
            }
        }
    }
}

fn subject<'a, C>(
    object: &'a SavedTemplate,
    key: &'a Key,
    status: &'a SavedTemplateStatus,
    holder: &'a str,
    ctx: &'a Context<C>,
) -> Subject<'a> {
    Subject {
        cluster: &ctx.cluster,
        heritage: &ctx.heritage,
        namespace: &key.namespace,
        name: &key.name,
        holder,
        generation: object.metadata.generation.unwrap_or(0),
        deleting: object.metadata.deletion_timestamp.is_some(),
        finalizer: object.finalizers().iter().any(|name| name == FINALIZER),
        spec: &object.spec,
        status,
    }
}

pub(crate) fn error_policy<C>(_meta: Arc<Metadata>, error: &Error, _ctx: Arc<Context<C>>) -> Action {
    error.retry()
}
