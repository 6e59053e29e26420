use std::{os::unix::process::ExitStatusExt as _, process::Command, time::Duration};

use anyhow::Result;
use cluster::leash::{self, Leashed};
use tempfile::TempDir;

use crate::holder;

fn shell(dir: &TempDir, script: &str) -> Result<Leashed> {
    leash::spawn(Command::new("sh").args(["-c", script]), &dir.path().join("log"))
}

#[tokio::test]
async fn the_pid_is_the_commands_own_and_its_output_is_kept() -> Result<()> {
    let dir = TempDir::new()?;
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ $WORD; pwd; exit 3"]).env("WORD", "a word").current_dir("/");
    let mut echo = leash::spawn(&command, &dir.path().join("log"))?;
    assert_eq!(echo.wait(Duration::from_secs(10)).await?.code(), Some(3));
    assert_eq!(echo.output(), format!("{} a word\n/\n", echo.pid()));
    Ok(())
}

#[tokio::test]
async fn stop_asks_first() -> Result<()> {
    let dir = TempDir::new()?;
    let mut polite = shell(&dir, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done")?;
    assert!(holder::within(Duration::from_secs(10), || polite.output() == "up\n"));
    assert!(polite.stop(Duration::from_secs(10)).await?.success());
    assert_eq!(polite.output(), "up\nbye\n");
    Ok(())
}

#[tokio::test]
async fn stop_kills_what_does_not_listen() -> Result<()> {
    let dir = TempDir::new()?;
    let mut deaf = shell(&dir, "trap '' TERM; echo up; while :; do sleep 0.05; done")?;
    assert!(holder::within(Duration::from_secs(10), || deaf.output() == "up\n"));
    assert_eq!(deaf.stop(Duration::from_millis(200)).await?.signal(), Some(9));
    Ok(())
}

#[test]
fn a_dropped_process_is_gone() -> Result<()> {
    let dir = TempDir::new()?;
    let sleep = shell(&dir, "exec sleep 600")?;
    let pid = sleep.pid();
    assert!(holder::is_alive(pid));
    drop(sleep);
    assert!(!holder::is_alive(pid));
    Ok(())
}

#[test]
fn a_paused_process_ends_with_its_parent_too() -> Result<()> {
    if let Some(note) = holder::note() {
        let sleep = leash::spawn(Command::new("sleep").arg("600"), &note.with_extension("log"))?;
        sleep.signal(leash::Signal::STOP)?;
        return holder::hold(&note, &sleep.pid().to_string());
    }
    killed("leash::a_paused_process_ends_with_its_parent_too")
}

#[test]
fn nothing_outlives_a_killed_parent() -> Result<()> {
    if let Some(note) = holder::note() {
        let sleep = leash::spawn(Command::new("sleep").arg("600"), &note.with_extension("log"))?;
        return holder::hold(&note, &sleep.pid().to_string());
    }
    killed("leash::nothing_outlives_a_killed_parent")
}

fn killed(test: &str) -> Result<()> {
    let dir = TempDir::new()?;
    let note = dir.path().join("note");
    let parent = holder::again(test, &note)?.spawn()?;
    let pid = holder::kill(parent, &note)?.parse()?;
    assert!(holder::within(Duration::from_secs(10), || !holder::is_alive(pid)));
    Ok(())
}
