//! `make features`: what users of comparable systems have or ask for, and the tests that prove that it is here.
//!
//! The table is `tests/features.yaml`.
use std::{collections::BTreeSet, io::Write as _};

use anyhow::Context as _;

use crate::table::{Entry, Outcome, Outcomes, Way, outcomes};

const TABLE: &str = include_str!("../features.yaml");

/// Runs the tests of the table, and prints what came of each row. Whether all is well.
pub fn run() -> anyhow::Result<bool> {
    let rows = table()?;
    let wanted: BTreeSet<_> = rows.iter().flat_map(|row| &row.tests).collect();
    let outcomes = outcomes(&wanted, &Way::default())?;
    let (text, is_well) = report(&rows, &outcomes);
    write!(std::io::stdout().lock(), "{text}")?;
    Ok(is_well)
}

pub(crate) fn table() -> anyhow::Result<Vec<Entry>> {
    serde_yaml::from_str(TABLE).context("tests/features.yaml")
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
    use super::*;
    use crate::table::{Test, tests::assert_all_in_the_sources};

    #[test]
    fn every_test_of_the_table_is_in_the_sources() {
        assert_all_in_the_sources(&table().unwrap());
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
}
