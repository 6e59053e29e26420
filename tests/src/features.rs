//! `make features`: what users of comparable systems have or ask for, and the tests that prove that it is here.
//!
//! The table is `tests/features.yaml`. Its tests are run, not believed.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;

const TABLE: &str = include_str!("../features.yaml");

/// The test binaries by the names of the table, each with the name of its target and the folder of its sources.
const BINARIES: [(&str, &str, &str); 8] = [
    ("flows", "flows", "tests/flows"),
    ("world", "world", "controller/core/tests/world"),
    ("core", "saved_template_core", "controller/core/src"),
    ("ec2", "saved_template_ec2", "controller/ec2/src"),
    ("api", "saved_template_api", "crds/src"),
    ("cel", "cel", "crds/tests"),
    ("rules", "rules", "tests/ec2sim/tests/rules"),
    ("cluster", "suite", "tests/cluster/tests/suite"),
];

/// A line of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number in the list of features, or the name of an interleaving.
    row: String,
    /// What a user would call it.
    feature: String,
    /// What proves it.
    #[serde(default)]
    tests: Vec<Test>,
    /// The manifest that shows it.
    example: Option<String>,
    /// What was asserted of EC2, or of the API server.
    #[serde(default)]
    asserted: String,
    /// What is to be built first.
    waits_for: Option<String>,
    /// Whether a test is still to come: counted as failed.
    #[serde(default)]
    pending: bool,
}

/// A test by its exact name.
#[derive(Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
struct Test {
    binary: String,
    name: String,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.binary, self.name)
    }
}

/// What came of a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
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

type Outcomes = BTreeMap<Test, Outcome>;

/// Runs the tests of the table, and prints what came of each row. Whether all is well.
pub fn run() -> anyhow::Result<bool> {
    let rows = table()?;
    let outcomes = outcomes(&rows)?;
    let (text, is_well) = report(&rows, &outcomes);
    write!(std::io::stdout().lock(), "{text}")?;
    Ok(is_well)
}

fn table() -> anyhow::Result<Vec<Entry>> {
    serde_yaml::from_str(TABLE).context("tests/features.yaml")
}

fn outcomes(rows: &[Entry]) -> anyhow::Result<Outcomes> {
    let wanted: BTreeSet<&Test> = rows.iter().flat_map(|row| &row.tests).collect();
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
        let results = results(built, &names)?;
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
fn results(built: &Built, names: &[&str]) -> anyhow::Result<BTreeMap<String, Outcome>> {
    let mut tests = Command::new(&built.file);
    tests.arg("--exact").args(names).current_dir(&built.package).stderr(Stdio::inherit());
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

/// One line for each row, the sum last; and whether all is well.
fn report(rows: &[Entry], outcomes: &Outcomes) -> (String, bool) {
    let (mut text, mut passed, mut failed, mut waiting) = (String::new(), 0_u32, 0_u32, 0_u32);
    for row in rows {
        let bad: Vec<String> = row
            .tests
            .iter()
            .map(|test| (test, outcomes.get(test).copied().unwrap_or(Outcome::NoResult)))
            .filter(|(_, outcome)| *outcome != Outcome::Passed)
            .map(|(test, outcome)| format!("{test} {outcome}"))
            .collect();
        let result = if let Some(feature) = &row.waits_for {
            waiting += 1;
            format!("waits for {feature}")
        } else if !bad.is_empty() {
            failed += 1;
            format!("FAILED: {}", bad.join(", "))
        } else if row.pending || row.tests.is_empty() {
            failed += 1;
            "pending".to_owned()
        } else {
            passed += 1;
            "passed".to_owned()
        };
        let proofs = row.example.iter().cloned().chain(row.tests.iter().map(ToString::to_string));
        let mut parts = vec![format!("{} {}", row.row, row.feature), proofs.collect::<Vec<_>>().join(", ")];
        parts.extend([row.asserted.clone(), result]);
        parts.retain(|part| !part.is_empty());
        text.push_str(&parts.join(" → "));
        text.push('\n');
    }
    let sum = format!("features: {} rows, {passed} passed, {failed} failed, {waiting} waiting\n", rows.len());
    (text + &sum, failed == 0)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn every_test_of_the_table_is_in_the_sources() {
        let all: BTreeMap<&str, String> = BINARIES
            .iter()
            .map(|(name, _, folder)| (*name, sources(&cluster::root().join(folder))))
            .collect();
        let mut lost = Vec::new();
        for row in table().unwrap() {
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
    fn every_interleaving_of_the_protocol_is_in_the_table() {
        let rows: BTreeSet<String> = table().unwrap().into_iter().map(|row| row.row).collect();
        for number in 55..=74 {
            assert!(rows.contains(&format!("S{number}")), "S{number}");
        }
    }

    #[test]
    fn a_row_is_there_once_and_is_proven_or_waits_or_is_pending_and_its_example_exists() {
        let mut seen = BTreeSet::new();
        for row in table().unwrap() {
            assert!(seen.insert(row.row.clone()), "{} is there twice", row.row);
            assert!(row.waits_for.is_none() || (row.tests.is_empty() && !row.pending), "{} waits", row.row);
            assert!(row.waits_for.is_some() || row.pending || !row.tests.is_empty(), "{}", row.row);
            assert!(row.waits_for.is_some() || !row.asserted.is_empty(), "{}: what is asserted?", row.row);
            if let Some(example) = &row.example {
                assert!(cluster::root().join(example).is_file(), "{}: {example}", row.row);
            }
        }
    }

    #[test]
    fn a_test_that_fails_or_is_gone_and_a_row_that_is_pending_are_failures_and_one_that_waits_is_none() {
        let text = "\
- {row: '1', feature: good, asserted: x, tests: [{binary: core, name: a}]}
- {row: '2', feature: bad, asserted: x, tests: [{binary: core, name: a}, {binary: core, name: b}]}
- {row: '3', feature: gone, asserted: x, tests: [{binary: core, name: c}]}
- {row: '4', feature: later, asserted: x, pending: true, tests: [{binary: core, name: a}]}
- {row: '5', feature: shared, waits_for: sharing}
";
        let rows: Vec<Entry> = serde_yaml::from_str(text).unwrap();
        let outcome = |name: &str, outcome| (Test { binary: "core".into(), name: name.into() }, outcome);
        let outcomes = Outcomes::from([
            outcome("a", Outcome::Passed),
            outcome("b", Outcome::Failed),
            outcome("c", Outcome::NoSuchTest),
        ]);
        let (text, is_well) = report(&rows, &outcomes);
        assert!(!is_well);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "1 good → core a → x → passed");
        assert!(lines[1].ends_with("FAILED: core b failed"), "{}", lines[1]);
        assert!(lines[2].ends_with("FAILED: core c does not exist"), "{}", lines[2]);
        assert!(lines[3].ends_with("→ pending"));
        assert_eq!(lines[4], "5 shared → waits for sharing");
        assert_eq!(lines[5], "features: 5 rows, 1 passed, 3 failed, 1 waiting");
    }

    #[test]
    fn results_are_read_from_the_lines_of_the_test_binary() {
        assert_eq!(result("test a::b ... ok"), Some(("a::b".to_owned(), Outcome::Passed)));
        assert_eq!(result("test a::b ... FAILED"), Some(("a::b".to_owned(), Outcome::Failed)));
        assert_eq!(result("test a::b ... ignored, minutes"), Some(("a::b".to_owned(), Outcome::Ignored)));
        assert_eq!(result("test result: ok. 1 passed; 0 failed"), None);
    }
}
