//! `make conditions`: runs the flows, and writes `docs/conditions.md` from what their objects said.
use std::{
    fs,
    process::{Command, ExitCode},
};

use anyhow::Context as _;
use saved_template_tests::{
    conditions::{self, DOCUMENT, FILE, Seen},
    table::many_at_once,
};

fn main() -> anyhow::Result<ExitCode> {
    let root = cluster::root();
    let folder = tempfile::tempdir()?;
    let noted = folder.path().join("conditions.jsonl");
    fs::write(&noted, "")?;
    let mut flows = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    flows.args(["test", "--workspace", "--test", "flows"]).current_dir(&root).env(FILE, &noted);
    many_at_once(&mut flows);
    let flows = flows.status().context("cargo test")?;
    let lines = fs::read_to_string(&noted)?;
    let seen: Vec<Seen> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let document = root.join(DOCUMENT);
    fs::create_dir_all(document.parent().context("no folder")?)?;
    fs::write(&document, conditions::document(&seen)?)?;
    let unproven = conditions::unproven(&seen);
    let unproven = if unproven.is_empty() { "none".to_owned() } else { unproven.join(", ") };
    println!("{DOCUMENT} is written. Reasons of Validated that can occur and were not seen: {unproven}");
    if !flows.success() {
        println!("Some flows failed: what they would have shown may be missing.");
    }
    Ok(if flows.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
