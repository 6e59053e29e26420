//! `savedtemplate-controller`.
use clap::Parser;
use saved_template_controller::{args::Args, logging, run};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    logging::start(&args)?;
    run::run(args).await
}
