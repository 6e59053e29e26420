//! `make features`: runs the tests of `tests/features.yaml`, and prints what each feature rests on.
use std::process::ExitCode;

use saved_template_tests::features;

fn main() -> anyhow::Result<ExitCode> {
    Ok(if features::run()? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
