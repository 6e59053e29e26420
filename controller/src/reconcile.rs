//! The flow: observe → decide → record → act. A reconcile makes at most one change to AWS.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        controller::Action,
        events::{Event, EventType, Recorder},
    },
};
use saved_template_api::{SavedTemplate, SavedTemplateStatus, condition::cut, names::FINALIZER};
use saved_template_core::{
    cloud::Cloud,
    decide::{Decision, Finalizer, Subject},
    notes::Note,
    settle::settle,
};
use tokio::sync::OnceCell;

use crate::{
    act::{act, announcing},
    error::{Error, Result},
    metrics::Metrics,
    observe::{Observed, observe},
    record,
    regions::Regions,
    survey::Key,
};

/// What every reconcile shares.
pub(crate) struct Context<C> {
    pub(crate) client: Client,
    pub(crate) recorder: Recorder,
    pub(crate) regions: Arc<Regions<C>>,
    pub(crate) metrics: Metrics,
    pub(crate) cluster: String,
    pub(crate) holder: OnceCell<String>,
    pub(crate) deadline: Duration,
    /// The node's clock, where EC2 has not told its own.
    pub(crate) clock: fn() -> Timestamp,
}

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
        ctx.regions.all().iter().for_each(|desk| desk.survey.drop_interest(&key));
        return Ok(Action::await_change());
    };
    let holder = ctx.holder.get_or_try_init(|| holder(&ctx.client)).await?;
    let before = object.status.clone().unwrap_or_default();

    let Observed { decision, now } =
        observe(subject(&object, &key, &before, &ctx.cluster, holder), ctx).await;
    let Decision { status, finalizer, step, notes, look_again } = decision;
    let object = record::finalizer(&api, &object, finalizer).await?;
    if finalizer == Finalizer::Remove {
        return Ok(Action::await_change());
    }
    let announced = announcing(now);
    let object = record::status(&api, &object, &status).await?;
    contact(&object, &status, ctx);
    tell(&object, ctx, &notes).await;
    if let Some(step) = step {
        let home = ctx.regions.desk(&object.spec.source.region);
        let outcome = act(&step, announced, &home, &ctx.regions).await;
        if let Some(status) = settle(&status, &step, &outcome, now) {
            record::status(&api, &object, &status).await?;
        }
    }
    Ok(Action::requeue(look_again))
}

fn subject<'a>(
    object: &'a SavedTemplate,
    key: &'a Key,
    status: &'a SavedTemplateStatus,
    cluster: &'a str,
    holder: &'a str,
) -> Subject<'a> {
    Subject {
        cluster,
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

/// The uid of `kube-system`: it survives a restore of etcd, and differs in a twin of the cluster.
async fn holder(client: &Client) -> Result<String> {
    Api::<Namespace>::all(client.clone())
        .get("kube-system")
        .await?
        .uid()
        .ok_or(Error::Malformed("kube-system uid"))
}

/// Kubernetes took what was decided: the process that stopped a machine is not alone (R6).
fn contact<C: Cloud>(object: &SavedTemplate, status: &SavedTemplateStatus, ctx: &Context<C>) {
    if let Some(capture) = status.capture.as_ref().filter(|capture| capture.debt.is_some()) {
        let over = capture.image_requested_time.is_some() || capture.reason.is_some();
        ctx.regions.desk(&object.spec.source.region).survey.ledger.contact(&capture.id, over);
    }
}

/// Events. One that cannot be written fails nothing; a terminating namespace refuses them.
async fn tell<C>(object: &SavedTemplate, ctx: &Context<C>, notes: &[Note]) {
    for Note { warning, reason, message, about } in notes {
        let event = Event {
            type_: if *warning { EventType::Warning } else { EventType::Normal },
            reason: (*reason).to_owned(),
            note: Some(cut(message.clone(), 1024)),
            action: about
                .as_ref()
                .map_or_else(|| "Reconcile".to_owned(), |region| format!("Reconcile {region}")),
            secondary: None,
        };
        if let Err(error) = ctx.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::debug!(%error, reason, "the event could not be written");
        }
    }
}

pub(crate) fn error_policy<C>(_meta: Arc<Metadata>, error: &Error, _ctx: Arc<Context<C>>) -> Action {
    error.retry()
}
