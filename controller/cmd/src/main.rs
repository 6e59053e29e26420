//! `savedtemplate-controller`.
use std::{io::Write, sync::Arc};

use futures::FutureExt;
use saved_template_controller::{account::Account, args::Args, logging, metrics::Metrics, run};
use saved_template_ec2::{Clients, Use};

use crate::request::Request;

mod request;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Request::parse_from(std::env::args_os()).unwrap_or_else(|error| error.exit()) {
        Request::Run(args) => {
            logging::start(&args)?;
            control(*args).await
        }
        Request::IamPolicy(asked) => Ok(writeln!(std::io::stdout(), "{:#}", asked.document())?),
    }
}

async fn control(args: Args) -> anyhow::Result<()> {
    let metrics = Metrics::new();
    let observer = {
        let metrics = metrics.clone();
        move |operation, outcome| metrics.called(operation, outcome)
    };
    let clients = Clients::connect(Arc::new(observer), run::node_clock, args.signing()?).await;
    let (identity, configured) = (clients.identity().boxed(), clients.region());
    let account = Account {
        // Every place of this version is of the controller's own account.
        connect: Box::new(move |place| {
            (clients.ec2(&place.region, Use::Restart), clients.ec2(&place.region, Use::Reconcile))
        }),
        configured,
        identity,
        clock: Arc::new(run::node_clock),
    };
    run::run(args, account, metrics).await
}
