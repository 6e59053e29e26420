//! The program as it is started.
use std::{
    fs, io,
    path::Path,
    process::{Command, Output},
};

use saved_template_ec2::iam::{self, Bounds};

fn program(arguments: &[&str], cluster: Option<&str>) -> io::Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_savedtemplate-controller"));
    command.args(arguments).env_remove("SAVEDTEMPLATE_CLUSTER_NAME");
    if let Some(cluster) = cluster {
        command.env("SAVEDTEMPLATE_CLUSTER_NAME", cluster);
    }
    command.output()
}

#[test]
fn the_policy_is_printed_as_json_and_nothing_else() {
    let account = Some("123456789012".to_owned());
    for (flags, expected) in [
        (&["--account", "123456789012"][..], iam::policy("lab", &Bounds { account, ..Bounds::default() })),
        (&["--unrestricted"], iam::unrestricted(&Bounds::default())),
    ] {
        let arguments = [&["iam-policy", "--cluster-name", "lab"], flags].concat();
        let output = program(&arguments, None).unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(printed, expected);
        assert!(output.stdout.starts_with(b"{\n  "));
    }
}

#[test]
fn the_cluster_name_may_come_from_the_environment() {
    let output = program(&["iam-policy", "--unrestricted"], Some("lab")).unwrap();
    assert_eq!(
        output.stdout,
        program(&["iam-policy", "--unrestricted", "--cluster-name", "lab"], None).unwrap().stdout
    );
}

#[test]
fn without_a_cluster_name_nothing_is_done() {
    for arguments in [&["iam-policy"][..], &[]] {
        let output = program(arguments, None).unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains("--cluster-name"));
    }
}

#[test]
fn every_command_of_ours_in_the_documents_runs_as_it_is_printed() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut commands = 0;
    for document in ["README.md", "docs/conditions.md", "docs/threat-model.md"] {
        let text = fs::read_to_string(root.join(document)).unwrap().replace("\\\n", " ");
        for found in text.split("savedtemplate-controller ").skip(1) {
            let command = found.split(['`', '\n']).next().unwrap();
            if !command.starts_with("iam-policy") {
                continue;
            }
            let command = command.replace("CLUSTER", "lab").replace("ACCOUNT", "123456789012");
            let arguments: Vec<&str> = command.split_whitespace().collect();
            let output = program(&arguments, None).unwrap();
            assert!(output.status.success(), "{document}: {command}: {output:?}");
            commands += 1;
        }
    }
    assert!(commands >= 3, "{commands}");
}
