//! `savedtemplate-controller`.
use std::io::Write;

use saved_template_controller::{args::Request, logging, run};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Request::parse_from(std::env::args_os()).unwrap_or_else(|error| error.exit()) {
        Request::Run(args) => {
            logging::start(&args)?;
            run::run(*args).await
        }
        Request::IamPolicy(asked) => Ok(writeln!(std::io::stdout(), "{:#}", asked.document())?),
    }
}
