//! `ec2sim`: an EC2 endpoint on a port of this machine.

mod args;

use std::io::Write;

use clap::Parser;
use ec2sim::Server;
use tokio::signal::unix::{SignalKind, signal};

use {
    form_urlencoded as _, http_body_util as _, hyper as _, hyper_util as _, jiff as _, rustix as _,
    serde as _, serde_json as _,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = args::Args::parse();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let server = Server::start(args)?;
    writeln!(std::io::stdout(), "listening on {}", server.url())?;
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    Ok(())
}
