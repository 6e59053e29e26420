//! Processes that do not outlive the one that started them, not even when that one is killed.
//!
//! The command is started by a shell that leaves a watcher behind and then becomes the command, so that the pid is the
//! command's own. The watcher reads from a socket whose other end only this process holds: it reads an end of file when
//! this process lets go or dies, and kills the command.

use std::{
    fs::{File, OpenOptions},
    io::Read as _,
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process, waitid};

pub use rustix::process::Signal;

const LEASH: &str = r#"exec 3<&0; (read _ <&3; kill -9 $$) >/dev/null 2>&1 & exec "$@" 3<&- </dev/null"#;
const POLL: Duration = Duration::from_millis(20);

/// A process on a leash. Dropping it kills it.
#[derive(Debug)]
pub struct Leashed {
    child: Child,
    held: UnixStream,
    log: PathBuf,
    status: Option<ExitStatus>,
}

/// Starts a command on a leash, in a process group of its own; what it prints is appended to the log.
///
/// Of the command, the program, its arguments, variables and folder count; its stdio and `env_clear` do not.
pub fn spawn(command: &Command, log: &Path) -> Result<Leashed> {
    let output = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot open {}", log.display()))?;
    let mut shell = shell(LEASH);
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        shell.current_dir(dir);
    }
    let (child, held) =
        start(shell, &output).with_context(|| format!("cannot start {}", command.get_program().display()))?;
    Ok(Leashed { child, held, log: log.to_path_buf(), status: None })
}

/// A shell that runs the script in a process group of its own, so that Ctrl-C does not reach it.
pub(crate) fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).process_group(0);
    shell
}

/// Starts a shell whose standard input ends when the returned socket is shut down or this process dies.
pub(crate) fn start(mut shell: Command, output: &File) -> Result<(Child, UnixStream)> {
    let (held, theirs) = UnixStream::pair()?;
    let child = shell
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .spawn()?;
    Ok((child, held))
}

/// Lets go, and returns when nobody holds the other end any more.
pub(crate) fn release(held: &mut UnixStream, patience: Duration) {
    // Errors mean that the other end is gone already.
    drop(held.shutdown(Shutdown::Write));
    drop(held.set_read_timeout(Some(patience)));
    drop(held.read(&mut [0]));
}

impl Leashed {
    /// The pid of the command itself.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file that gets what the command prints.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What the log holds by now.
    pub fn output(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// How the command ended; nothing while it runs.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            let id = WaitId::Pid(Pid::from_child(&self.child));
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if waitid(id, look)?.is_some() {
                self.reap()?;
            }
        }
        Ok(self.status)
    }

    /// Sends a signal; nothing happens if the command has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.status.is_none() {
            kill_process(Pid::from_child(&self.child), signal)?;
        }
        Ok(())
    }

    /// Kills the command and returns when it is gone.
    pub fn kill(&mut self) {
        if self.status.is_none() {
            // Errors mean that it has ended by itself.
            drop(self.child.kill());
            drop(self.reap());
        }
    }

    /// Waits for the command to end by itself.
    pub async fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        let mut ticks = tokio::time::interval(POLL);
        loop {
            ticks.tick().await;
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("process {} still runs after {patience:?}, see {}", self.pid(), self.log.display());
            }
        }
    }

    /// Asks the command to end (SIGTERM) and kills it after the grace period.
    pub async fn stop(&mut self, grace: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        if self.wait(grace).await.is_err() {
            self.kill();
        }
        self.status.context("the process cannot be waited for")
    }

    /// The watcher goes first: as long as it may kill the pid, the pid must not be free for reuse.
    fn reap(&mut self) -> Result<()> {
        release(&mut self.held, Duration::from_secs(5));
        self.status = Some(self.child.wait()?);
        Ok(())
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        self.kill();
    }
}
