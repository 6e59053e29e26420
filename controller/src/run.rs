//! Wires client, lease, loops and server, and takes them down in order.
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use futures::{FutureExt, StreamExt, TryStreamExt, future};
use jiff::Timestamp;
use kube::{
    Api, Client,
    runtime::{
        Controller, WatchStreamExt, controller,
        events::{Recorder, Reporter},
        reflector::{self, ObjectRef},
        watcher,
    },
};
use saved_template_api::{SavedTemplate, SavedTemplateClass};
use saved_template_core::{cloud::Cloud, ec2_error::Ec2Error, key::Key, subject::Takeover};
use tokio::{
    net::TcpListener,
    signal::unix,
    sync::{OnceCell, watch},
};
use tokio_util::sync::CancellationToken;

use crate::{
    account::Account,
    args::Args,
    claims::Claims,
    context::Context,
    error::Error,
    lease,
    marks::Marks,
    metrics::Metrics,
    object::{Metadata, Object, Reach},
    progress::Progress,
    reconcile::{error_policy, reconcile},
    regions::Regions,
    server,
    supervisor::Supervisor,
    wait,
};

/// The loops of a controller: all of it but signals and the HTTP server.
pub struct Process {
    supervisor: Supervisor,
    stop: CancellationToken,
    progress: Progress,
}

impl Process {
    /// Starts the loops. They end when `stop` is cancelled.
    pub fn start<C: Cloud>(
        args: &Args,
        client: Client,
        account: Account<C>,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let supervisor = Supervisor::new(stop.clone());
        let progress = Progress::default();
        let leading = lease::follow(client.clone(), args, &supervisor, &stop);
        tokio::spawn(tell_identity(account.identity));
        let regions = Regions::new(
            account.connect,
            args,
            metrics.clone(),
            progress.clone(),
            leading.clone(),
            (supervisor.clone(), stop.clone()),
        );
        let opening = {
            let (regions, named) = (Arc::clone(&regions), args.regions.clone());
            async move { regions.open(&named, account.configured.as_ref()).await }
        };
        supervisor.spawn("the loop that asks for regions".to_owned(), opening);
        let claims = Claims::new(client.clone(), &args.namespace);
        let ctx = Arc::new(Context {
            recorder: Recorder::new(
                client.clone(),
                Reporter {
                    controller: "savedtemplate-controller".into(),
                    instance: Some(args.identity.clone()),
                },
            ),
            client,
            regions,
            metrics,
            cluster: args.cluster_name.clone(),
            namespaces: args.namespaces.clone(),
            takeover: Takeover { cluster_uid: args.take_over.clone(), clusters: args.adopt_from.clone() },
            claims,
            cluster_uid: OnceCell::new(),
            written: Mutex::default(),
            deadline: Duration::from_secs(args.reconcile_seconds),
            clock: account.clock,
        });
        let (args, end) = (args.clone(), stop.clone());
        let leads = async move { lead(&ctx, &args, leading, &end).await };
        supervisor.spawn("the reconcile loop".to_owned(), leads);
        Self { supervisor, stop, progress }
    }

    /// Waits until all loops have finished what they began. An error says which of them died.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.supervisor.finish().await
    }
}

/// Runs the controller until SIGTERM or SIGINT.
pub async fn run<C: Cloud>(args: Args, account: Account<C>, metrics: Metrics) -> anyhow::Result<()> {
    let stop = stop_on_signal()?;
    let client = Client::try_default().await.context("no Kubernetes configuration")?;
    let process = Process::start(&args, client.clone(), account, metrics.clone(), stop);
    let listener = TcpListener::bind(args.http_address).await.context("--http-address")?;
    tracing::info!(address = %listener.local_addr()?, "serving health and metrics");
    let ready = readiness(&client, &args, &process.stop);
    process.supervisor.spawn(
        "the HTTP server".to_owned(),
        server::serve(listener, metrics, process.progress.clone(), ready, process.stop.clone()),
    );
    process.finish().await
}

/// A misspelt annotation leaves the controller somebody else's role, or none: its log begins with who it is.
async fn tell_identity(asked: impl Future<Output = Result<String, Ec2Error>>) {
    match asked.await {
        Ok(arn) => tracing::info!(%arn, "AWS knows the controller by this ARN"),
        Err(error) => tracing::warn!(%error, "who the controller is to AWS could not be asked"),
    }
}

/// Reconciles whenever this replica leads. Losing the lease stops reconciles, not the process.
async fn lead<C: Cloud>(
    ctx: &Arc<Context<C>>,
    args: &Args,
    mut leading: watch::Receiver<bool>,
    stop: &CancellationToken,
) {
    while !stop.is_cancelled() {
        tokio::select! {
            won = leading.wait_for(|leads| *leads) => if won.is_err() { return },
            () = stop.cancelled() => return,
        }
        ctx.regions.all().iter().for_each(|handle| handle.poller.unsubscribe_all());
        ctx.metrics.leads(true);
        tracing::info!("leading");
        let end = stop.child_token();
        let mut losing = leading.clone();
        let lost = async {
            tokio::select! {
                _ = losing.wait_for(|leads| !*leads) => {}
                () = end.cancelled() => {}
            }
            end.cancel();
        };
        let kinds = future::join(
            keep::<SavedTemplate, C>(ctx, args, &end),
            keep::<SavedTemplateClass, C>(ctx, args, &end),
        );
        future::join(kinds, lost).await;
        ctx.metrics.leads(false);
    }
}

/// The controllers of one kind: one for each namespace that is watched, or one for all.
async fn keep<K: Object, C: Cloud>(ctx: &Arc<Context<C>>, args: &Args, end: &CancellationToken) {
    let shards = K::Scope::shards(&args.namespaces).into_iter();
    future::join_all(shards.map(|namespace| reconciles::<K, C>(ctx, args, namespace, end.clone()))).await;
}

/// The controller of one shard, until the lease is lost or the process stops: reconciles that run are finished.
async fn reconciles<K: Object, C: Cloud>(
    ctx: &Arc<Context<C>>,
    args: &Args,
    namespace: Option<String>,
    end: CancellationToken,
) {
    let objects: Api<Metadata<K>> = K::Scope::api(&ctx.client, namespace.as_deref());
    let config =
        controller::Config::default().concurrency(args.concurrency).debounce(Duration::from_millis(100));
    let (reader, writer) = reflector::store();
    // kube ends no controller whose first list has not come: nothing of it runs.
    let unlisted = {
        let (reader, end) = (reader.clone(), end.clone());
        async move {
            end.cancelled().await;
            if reader.wait_until_ready().now_or_never().is_some() {
                future::pending::<()>().await;
            }
        }
    };
    let changes = watcher(objects, watcher::Config::default().page_size(50)).reflect(writer);
    let mut marks = Marks::default();
    let changes = changes.try_filter(move |event| future::ready(marks.wakes::<K>(event))).applied_objects();
    Controller::for_stream(changes, reader)
        .with_config(config)
        .reconcile_on(ctx.regions.wakes.listen(K::KIND, namespace).map(|key| reference::<K>(&key)))
        .graceful_shutdown_on(end.clone().cancelled_owned())
        .run(reconcile::<K, C>, error_policy::<K, C>, Arc::clone(ctx))
        .take_until(Box::pin(unlisted))
        .for_each(async |outcome| {
            match outcome {
                // It went while nothing was to be done for it: kube tells only whoever wanted to look at it again.
                Err(controller::Error::ObjectNotFound(gone)) => {
                    let namespace = gone.namespace.unwrap_or_default();
                    ctx.regions.forget(&Key { kind: K::KIND, namespace, name: gone.name });
                }
                Err(error) if is_outage(&error) => tracing::debug!(%error, "reconcile failed"),
                Err(error) => tracing::warn!(%error, "reconcile failed"),
                Ok(_) => {}
            }
        })
        .await;
    end.cancel();
}

/// Whether the API server did not answer: the client has said so, and each object would say it again.
fn is_outage(error: &controller::Error<Error, watcher::Error>) -> bool {
    use watcher::Error::{InitialListFailed, WatchFailed, WatchStartFailed};
    let error = match error {
        controller::Error::ReconcilerFailed(Error::Kube(error), _) => &**error,
        controller::Error::QueueError(
            InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error),
        ) => error,
        controller::Error::QueueError(_)
        | controller::Error::ReconcilerFailed(..)
        | controller::Error::ObjectNotFound(_)
        | controller::Error::RunnerError(_) => return false,
    };
    !matches!(error, kube::Error::Api(_))
}

/// What kube calls an object.
fn reference<K: Object>(key: &Key) -> ObjectRef<Metadata<K>> {
    let object = ObjectRef::new(&key.name);
    if key.namespace.is_empty() { object } else { object.within(&key.namespace) }
}

/// Ready once the API server knows the CRD and lets us list it; a standby is ready too.
fn readiness(client: &Client, args: &Args, stop: &CancellationToken) -> server::Readiness {
    let (ready, readiness) = watch::channel(Some("waiting for the API server and the SavedTemplate CRD"));
    let api = SavedTemplate::api(client, args.namespaces.first().map(String::as_str));
    let stop = stop.clone();
    tokio::spawn(async move {
        let one = kube::api::ListParams::default().limit(1);
        let mut told = String::new();
        while let Err(error) = api.list_metadata(&one).await {
            let error = error.to_string();
            if error != told {
                tracing::info!(error, "SavedTemplates cannot be listed yet");
                told = error;
            }
            wait::unless_cancelled(Duration::from_secs(2), &stop).await;
            if stop.is_cancelled() {
                return;
            }
        }
        ready.send_replace(None);
        stop.cancelled().await;
    });
    readiness
}

/// A token that is cancelled on SIGTERM or SIGINT.
fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    });
    Ok(stop)
}

/// The node's clock in whole seconds, as Kubernetes stores them: else a status never equals what was read back.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the node's clock")]
pub fn node_clock() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
