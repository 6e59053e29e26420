//! `make faults`: runs every scenario of docs/protocol.md, prints what came of it and writes docs/reliability.md.
use std::process::ExitCode;

use saved_template_tests::faults;

fn main() -> anyhow::Result<ExitCode> {
    Ok(if faults::run()? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
