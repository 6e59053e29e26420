//! A process that is killed while it holds others: this test binary, once more.

use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

const VARIABLE: &str = "CLUSTER_TEST_NOTE";

/// Where to leave the note, if this process was started by [`start`].
pub(crate) fn note() -> Option<PathBuf> {
    env::var_os(VARIABLE).map(PathBuf::from)
}

/// Runs one test of this binary as a process of its own.
pub(crate) fn again(test: &str, note: &PathBuf) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["--exact", test]).env(VARIABLE, note).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

/// Leaves the note and waits to be killed.
pub(crate) fn hold(note: &PathBuf, text: &str) -> Result<()> {
    let aside = note.with_extension("aside");
    fs::write(&aside, text)?;
    fs::rename(aside, note)?;
    thread::sleep(Duration::from_mins(10));
    Ok(())
}

/// Waits for the note of a process, then kills it.
pub(crate) fn kill(mut process: Child, note: &PathBuf) -> Result<String> {
    let read = within(Duration::from_mins(3), || note.is_file());
    process.kill()?;
    process.wait()?;
    ensure!(read, "the process left no note");
    fs::read_to_string(note).context("no note")
}

/// Whether it becomes true in time.
pub(crate) fn within(patience: Duration, mut fact: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    while !fact() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

/// Whether a process runs; one that has ended and waits to be reaped does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let state = Command::new("ps").args(["-o", "state=", "-p", &pid.to_string()]).output();
    state.is_ok_and(|output| !matches!(output.stdout.trim_ascii_start().first(), None | Some(b'Z')))
}
