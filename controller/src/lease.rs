//! Leader election: an economy, not a fence. Correctness comes from the compare-and-swap and from EC2's own fences.
use std::time::Duration;

use kube::Client;
use kube_lease_manager::LeaseManagerBuilder;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{args::Args, supervisor::Supervisor, wait};

const NAME: &str = "savedtemplate-controller";
const RETRY: Duration = Duration::from_secs(5);

/// Whether this replica leads, for as long as the process runs.
pub(crate) fn follow(
    client: Client,
    args: &Args,
    supervisor: &Supervisor,
    stop: &CancellationToken,
) -> watch::Receiver<bool> {
    let (leads, leading) = watch::channel(!args.leader_elect);
    let (args, stop) = (args.clone(), stop.clone());
    supervisor.spawn("the lease".to_owned(), async move {
        if args.leader_elect {
            campaign(client, args, leads, stop).await;
        } else {
            stop.cancelled().await;
            leads.send_replace(false);
        }
    });
    leading
}

async fn campaign(client: Client, args: Args, leads: watch::Sender<bool>, stop: CancellationToken) {
    let mut told = String::new();
    while !stop.is_cancelled() {
        let error = hold(&client, &args, &leads, &stop)
            .await
            .map_or_else(|error| format!("{error:#}"), |()| String::new());
        if !error.is_empty() && error != told {
            tracing::warn!(error, "the lease cannot be followed");
        }
        told = error;
        leads.send_replace(false);
        wait::unless_cancelled(RETRY, &stop).await;
    }
}

/// Follows one lease until its task ends or the process stops.
async fn hold(
    client: &Client,
    args: &Args,
    leads: &watch::Sender<bool>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let lease = LeaseManagerBuilder::new(client.clone(), NAME)
        .with_namespace(args.namespace.clone())
        .with_identity(args.identity.clone())
        .with_duration(args.lease_seconds)
        .with_grace(args.lease_seconds.div_euclid(3).max(1))
        .build()
        .await?;
    let (mut channel, task) = lease.watch().await;
    leads.send_replace(*channel.borrow_and_update());
    loop {
        tokio::select! {
            changed = channel.changed() => {
                if changed.is_err() { break; }
                leads.send_replace(*channel.borrow_and_update());
            }
            () = stop.cancelled() => break,
        }
    }
    leads.send_replace(false);
    drop(channel); // the task releases the lease once nobody listens
    tokio::time::timeout(RETRY, task).await???;
    Ok(())
}
