//! `savedtemplate-controller`.
use std::io::Write;

use saved_template_controller::{args::Request, logging, run};
use saved_template_ec2::iam;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Request::parse_from(std::env::args_os()).unwrap_or_else(|error| error.exit()) {
        Request::Run(args) => {
            logging::start(&args)?;
            run::run(*args).await
        }
        Request::IamPolicy(asked) => {
            let policy = iam::policy(&asked.cluster_name, asked.strict);
            Ok(writeln!(std::io::stdout(), "{policy:#}")?)
        }
    }
}
