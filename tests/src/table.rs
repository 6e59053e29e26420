//! Tables of claims, each with the tests that prove it. The tests are run, not believed.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;

/// The test binaries by the names of the table, each with the name of its target and the folder of its sources.
pub(crate) const BINARIES: [(&str, &str, &str); 12] = [
    ("flows", "flows", "tests/flows"),
    ("faults", "faults", "tests/faults"),
    ("world", "world", "controller/tests/world"),
    ("hostile", "hostile", "controller/core/tests/hostile"),
    ("small", "small", "controller/core/tests/small"),
    ("core", "saved_template_core", "controller/core/src"),
    ("ec2", "saved_template_ec2", "controller/ec2/src"),
    ("controller", "saved_template_controller", "controller/src"),
    ("api", "saved_template_api", "crds/src"),
    ("cel", "cel", "crds/tests"),
    ("rules", "rules", "tests/ec2sim/tests/rules"),
    ("cluster", "suite", "tests/cluster/tests/suite"),
];

/// A line of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Its number in the list of features, or the name of a scenario.
    pub(crate) row: String,
    /// What a user would call it; or what goes wrong.
    #[serde(alias = "fault")]
    pub(crate) feature: String,
    /// What proves it.
    #[serde(default)]
    pub(crate) tests: Vec<Test>,
    /// The manifest that shows it.
    pub(crate) example: Option<String>,
    /// What was asserted of EC2, or of the API server.
    #[serde(default)]
    pub(crate) asserted: String,
    /// What is to be built first.
    pub(crate) waits_for: Option<String>,
    /// Whether a test is still to come: counted as failed.
    #[serde(default)]
    pub(crate) pending: bool,
}

/// A test by its exact name.
#[derive(Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
pub(crate) struct Test {
    pub(crate) binary: String,
    pub(crate) name: String,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.binary, self.name)
    }
}

/// What came of a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    Ignored,
    NoSuchTest,
    NoResult,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Ignored => "is ignored",
            Self::NoSuchTest => "does not exist",
            Self::NoResult => "came to no result",
        })
    }
}

pub(crate) type Outcomes = BTreeMap<Test, Outcome>;

/// How tests are run.
#[derive(Default)]
pub(crate) struct Way<'a> {
    /// Whether those that `make test` leaves out are run too.
    pub(crate) with_ignored: bool,
    /// More of their environment.
    pub(crate) environment: Vec<(&'a str, &'a str)>,
}

/// Runs tests, and says what came of each.
pub(crate) fn outcomes(wanted: &BTreeSet<&Test>, way: &Way<'_>) -> anyhow::Result<Outcomes> {
    let built = build()?;
    let mut all = Outcomes::new();
    for (binary, target, _) in BINARIES {
        let names: Vec<&str> =
            wanted.iter().filter(|test| test.binary == binary).map(|test| test.name.as_str()).collect();
        if names.is_empty() {
            continue;
        }
        let built = built.get(target).with_context(|| format!("cargo built no tests of {target}"))?;
        eprintln!("{binary}: {} tests", names.len());
        let known = known(built)?;
        let results = results(built, &names, way)?;
        for name in names {
            let outcome = match results.get(name) {
                Some(outcome) => *outcome,
                None if known.contains(name) => Outcome::NoResult,
                None => Outcome::NoSuchTest,
            };
            all.insert(Test { binary: binary.to_owned(), name: name.to_owned() }, outcome);
        }
    }
    Ok(all)
}

/// A test binary, and the folder of its package.
struct Built {
    file: PathBuf,
    package: PathBuf,
}

/// Builds every test of the workspace, with the features of `make test`. By target.
fn build() -> anyhow::Result<BTreeMap<String, Built>> {
    let output = Command::new(option_env!("CARGO").unwrap_or("cargo"))
        .args(["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"])
        .current_dir(cluster::root())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo test --no-run")?;
    ensure!(output.status.success(), "the tests do not build");
    let messages = String::from_utf8(output.stdout)?;
    Ok(messages.lines().filter_map(|line| artifact(&serde_json::from_str(line).ok()?)).collect())
}

/// The tests of a library, or of a folder of tests; those of binaries have no row.
fn artifact(message: &Value) -> Option<(String, Built)> {
    let kind = message.pointer("/target/kind/0")?.as_str()?;
    let file = PathBuf::from(message.get("executable")?.as_str()?);
    let package = PathBuf::from(message.get("manifest_path")?.as_str()?).parent()?.to_owned();
    let name = message.pointer("/target/name")?.as_str()?.to_owned();
    ["lib", "test"].contains(&kind).then_some((name, Built { file, package }))
}

/// The names that a binary knows.
fn known(built: &Built) -> anyhow::Result<BTreeSet<String>> {
    let output = Command::new(&built.file).args(["--list", "--format", "terse"]).output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Runs tests of one binary, and shows what it says if one fails.
fn results(built: &Built, names: &[&str], way: &Way<'_>) -> anyhow::Result<BTreeMap<String, Outcome>> {
    let mut tests = Command::new(&built.file);
    tests.arg("--exact").args(names).current_dir(&built.package).stderr(Stdio::inherit());
    tests.envs(way.environment.iter().copied());
    if way.with_ignored {
        tests.arg("--include-ignored");
    }
    many_at_once(&mut tests);
    let output = tests.output().with_context(|| format!("{}", built.file.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        eprintln!("{text}");
    }
    Ok(text.lines().filter_map(result).collect())
}

/// Flows wait for clocks far more than they compute.
pub fn many_at_once(tests: &mut Command) {
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        tests.env("RUST_TEST_THREADS", "8");
    }
}

/// A line such as `test save::a_machine_is_saved ... ok`.
fn result(line: &str) -> Option<(String, Outcome)> {
    let (name, word) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let outcome = match word.split([' ', ',']).next()? {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        "ignored" => Outcome::Ignored,
        _ => return None,
    };
    Some((name.to_owned(), outcome))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn sources(folder: &Path) -> String {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| match path.extension() {
                None => sources(&path),
                Some(kind) if kind == "rs" => fs::read_to_string(&path).unwrap(),
                Some(_) => String::new(),
            })
            .collect()
    }

    /// Panics if a test of the rows is not in the sources any more.
    pub(crate) fn assert_all_in_the_sources(rows: &[Entry]) {
        let all: BTreeMap<&str, String> = BINARIES
            .iter()
            .map(|(name, _, folder)| (*name, sources(&cluster::root().join(folder))))
            .collect();
        let mut lost = Vec::new();
        for row in rows {
            for test in &row.tests {
                let function = format!("fn {}(", test.name.rsplit("::").next().unwrap());
                let text =
                    all.get(test.binary.as_str()).unwrap_or_else(|| panic!("what is {}?", test.binary));
                if !text.contains(&function) {
                    lost.push(format!("{}: {test}", row.row));
                }
            }
        }
        assert!(lost.is_empty(), "renamed or removed:\n{}", lost.join("\n"));
    }

    #[test]
    fn results_are_read_from_the_lines_of_the_test_binary() {
        assert_eq!(result("test a::b ... ok"), Some(("a::b".to_owned(), Outcome::Passed)));
        assert_eq!(result("test a::b ... FAILED"), Some(("a::b".to_owned(), Outcome::Failed)));
        assert_eq!(result("test a::b ... ignored, minutes"), Some(("a::b".to_owned(), Outcome::Ignored)));
        assert_eq!(result("test result: ok. 1 passed; 0 failed"), None);
    }
}
