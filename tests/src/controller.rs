//! The controller as a process: default flags but for who it is and where things are.
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use cluster::leash::{self, Leashed};

/// A running controller; it ends with this value, or with the process that holds it.
pub struct Controller {
    process: Leashed,
}

impl Controller {
    /// Starts the binary with `args`; logs go to `log`.
    pub fn start(kubeconfig: &Path, endpoint: &str, args: &[&str], log: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(binary("savedtemplate-controller")?);
        command
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env("AWS_ENDPOINT_URL_EC2", endpoint)
            // Nobody answers: who the controller is stays unknown, and nothing goes out to AWS.
            .env("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
            .env("AWS_REGION", "us-west-2")
            .env("AWS_ACCESS_KEY_ID", ec2sim::ACCOUNT)
            .env("AWS_SECRET_ACCESS_KEY", "simulated")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("SAVEDTEMPLATE_LOG_FORMAT", "text")
            .env("NO_COLOR", "1");
        Ok(Self { process: leash::spawn(&command, log)? })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The process.
    pub fn process(&mut self) -> &mut Leashed {
        &mut self.process
    }

    /// Where its log goes.
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// What it has logged so far.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// The address of its /livez, /readyz and /metrics, once it listens.
    pub async fn address(&self) -> anyhow::Result<String> {
        let started = Instant::now();
        loop {
            let output = self.output();
            let address = output.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
            if let Some(address) = address {
                return Ok(address.to_owned());
            }
            ensure!(started.elapsed() < Duration::from_secs(20), "the controller does not listen:\n{output}");
            pause(Duration::from_millis(50)).await;
        }
    }
}

/// Lets the world go on for a while.
#[expect(clippy::disallowed_methods, reason = "a lab waits for real processes; nothing here is a reconcile")]
pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// A binary of this workspace, built if it is not up to date.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    let folder = folder.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(folder.join(name))
}

/// Builds where the running binary was built; a second when nothing changed. There are no examples: with them selected,
/// features, and with them every dependency, are those of `cargo test --workspace`. `make demo` builds like this too.
fn build() -> anyhow::Result<PathBuf> {
    let running = std::env::current_exe()?;
    let mut folder = running.parent().context("no folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().context("no folder")?;
    }
    let target = folder.parent().context("no target folder")?;
    let mut cargo = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    cargo
        .args(["build", "--quiet", "--workspace", "--examples", "--bin", "savedtemplate-controller"])
        .current_dir(cluster::root())
        .env("CARGO_TARGET_DIR", target);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let output = cargo.output().context("cargo build")?;
    ensure!(output.status.success(), "cargo build failed:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(folder.to_owned())
}
