//! The simulator as AWS's own clients see it: boto3 drives the binary, botocore's EC2 model judges every reply, and the
//! AWS CLI does by hand what a controller does.

#[cfg(test)]
mod cli;

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use {
    anyhow as _, clap as _, form_urlencoded as _, http_body_util as _, hyper as _, hyper_util as _,
    jiff as _, rustix as _, serde as _, tokio as _,
};

/// The simulator as a process of its own, ended with the test.
struct Binary(Child);

impl Drop for Binary {
    fn drop(&mut self) {
        let _is_gone_already = self.0.kill();
        let _status = self.0.wait();
    }
}

fn python() -> OsString {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/venv/bin/python");
    std::env::var_os("EC2SIM_PYTHON")
        .or_else(|| venv.exists().then(|| venv.into_os_string()))
        .unwrap_or_else(|| "python3".into())
}

#[test]
fn every_reply_is_one_that_botocores_model_of_ec2_knows() {
    let python = python();
    let has_boto = Command::new(&python)
        .args(["-c", "import boto3"])
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(
        has_boto,
        "{} cannot import boto3, which judges the simulator: run `make tools`",
        python.display()
    );

    let child = Command::new(env!("CARGO_BIN_EXE_ec2sim"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the simulator starts");
    let mut binary = Binary(child);
    let mut line = String::new();
    BufReader::new(binary.0.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
    let url = line.trim().strip_prefix("listening on ").expect("its address");

    let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("judge/judge.py");
    let output = Command::new(&python)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script)
        .arg(url)
        .output()
        .expect("python");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_program_for_a_real_account_runs_to_its_end_against_the_simulator() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../real-account/simulated.sh");
    let output = Command::new("sh")
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_ec2sim"))
        .arg(python())
        .envs([("RUNS", "1"), ("EARLY", "1")])
        .output()
        .expect("sh runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("nothing is left behind"), "{text}\n{errors}");
}
