//! `make faults`: every scenario of the design, the tests that it was tried in, and what EC2 says of each history.
//!
//! S1-S54 and S75-S97 are in `tests/faults.yaml`, S55-S74 among the features. Verdicts and counts come from the endpoint's log and
//! stores, never from what the controller says of itself.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::Write as _,
    time::Instant,
};

use anyhow::Context as _;
use ec2sim::Millis;

use crate::{
    features,
    table::{Entry, Outcome, Outcomes, Test, Way, outcomes},
    verdict::{HISTORIES, History, NEGATE},
};

const TABLE: &str = include_str!("../faults.yaml");

/// Where the table goes.
const DOCUMENT: &str = "docs/reliability.md";

/// What must never be done once too often.
const NEVER_TWICE: [&str; 4] = ["StopInstances", "CreateImage", "CopyImage", "DeregisterImage"];

/// Scenarios that are run again with a verdict turned around: they must fail, or they judge nothing.
const NEGATED: [(&str, &str, &str, &str); 3] = [
    ("S1", "I1", "flows", "crash::killed_after_the_stop"),
    ("S20", "I6", "flows", "save::a_lost_reply_to_create_image_makes_one_image"),
    (
        "S5",
        "I9",
        "flows",
        "crash::of_two_controllers_without_a_lease_that_write_together_one_stops_and_one_images",
    ),
];

/// The cell that the others of its test are compared with.
const REFERENCE: &str = "reference";

/// Runs every scenario, prints the table and writes it to the documents. Whether all is well.
pub fn run() -> anyhow::Result<bool> {
    let started = Instant::now();
    let rows = table()?;
    let wanted: BTreeSet<_> = rows.iter().flat_map(|row| &row.tests).collect();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("histories");
    let name = file.to_str().context("a folder that is no text")?;
    let way = Way { with_ignored: true, environment: vec![(HISTORIES, name)] };
    let results = outcomes(&wanted, &way)?;
    let histories = histories(&fs::read_to_string(&file).unwrap_or_default())?;
    let negated = negated()?;
    let report = Report::new(&rows, &results, &histories, &negated);
    let minutes = started.elapsed().as_secs().div_ceil(60);
    let text = format!("{}\nIt took {minutes} minutes.\n", report.text);
    fs::write(cluster::root().join(DOCUMENT), document(&text))?;
    write!(std::io::stdout().lock(), "{text}")?;
    Ok(report.is_well)
}

fn table() -> anyhow::Result<Vec<Entry>> {
    let mut rows: Vec<Entry> = serde_yaml::from_str(TABLE).context("tests/faults.yaml")?;
    rows.extend(features::table()?.into_iter().filter(|row| row.row.starts_with('S')));
    rows.sort_by_key(|row| row.row.trim_start_matches('S').parse().unwrap_or(u32::MAX));
    Ok(rows)
}

fn histories(lines: &str) -> anyhow::Result<Vec<History>> {
    lines.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// Each scenario that is run again, its invariant, and whether it failed as it must.
fn negated() -> anyhow::Result<Vec<(&'static str, &'static str, bool)>> {
    let mut all = Vec::new();
    for (scenario, invariant, binary, name) in NEGATED {
        let test = Test { binary: binary.to_owned(), name: name.to_owned() };
        let way = Way { with_ignored: false, environment: vec![(NEGATE, invariant)] };
        let results = outcomes(&BTreeSet::from([&test]), &way)?;
        all.push((scenario, invariant, results.get(&test) == Some(&Outcome::Failed)));
    }
    Ok(all)
}

struct Report {
    text: String,
    is_well: bool,
}

impl Report {
    fn new(
        rows: &[Entry],
        results: &Outcomes,
        histories: &[History],
        negated: &[(&str, &str, bool)],
    ) -> Self {
        let mut by_test: BTreeMap<&str, Vec<&History>> = BTreeMap::new();
        for history in histories {
            by_test.entry(&history.test).or_default().push(history);
        }
        let mut text = String::from(
            "| | fault | tried in | verdict | histories | back after, p50 / p99 | changes in EC2's log | once too often |\n\
             |---|---|---|---|---|---|---|---|\n",
        );
        let (mut passed, mut failed, mut waiting) = (0_u32, 0_u32, 0_u32);
        for row in rows {
            let of_row: Vec<&History> = row
                .tests
                .iter()
                .filter_map(|test| by_test.get(test.name.as_str()))
                .flatten()
                .copied()
                .collect();
            let surplus: usize = of_row.iter().flat_map(|history| history.surplus.values()).sum();
            let bad = bad(row, results);
            let verdict = if let Some(feature) = &row.waits_for {
                waiting += 1;
                format!("waits for {feature}")
            } else if row.pending || row.tests.is_empty() {
                failed += 1;
                "**not tried**".to_owned()
            } else if !bad.is_empty() {
                failed += 1;
                format!("**FAILED** {}", bad.join(", "))
            } else if surplus > 0 {
                failed += 1;
                "**FAILED** a change was made once too often".to_owned()
            } else {
                passed += 1;
                "holds".to_owned()
            };
            let _infallible = writeln!(
                text,
                "| {} | {} | {} | {verdict} | {} | {} | {} | {} |",
                row.row,
                row.feature,
                tiers(row),
                count(of_row.len()),
                restorations(&of_row),
                changes(&of_row),
                if of_row.is_empty() { String::new() } else { surplus.to_string() },
            );
        }
        text.push('\n');
        text.push_str(&cells(histories));
        for (scenario, invariant, is_red) in negated {
            let word = if *is_red { "fails, as it must" } else { "**still passes: it judges nothing**" };
            let _infallible = writeln!(text, "{scenario} with {invariant} turned around: {word}.");
        }
        let are_red = negated.iter().all(|(_, _, is_red)| *is_red);
        let _infallible = writeln!(
            text,
            "\nfaults: {} scenarios, {passed} hold, {failed} failed, {waiting} waiting; {} histories, {} violations.",
            rows.len(),
            histories.len(),
            failed
        );
        Self { text, is_well: failed == 0 && are_red }
    }
}

/// The tests of a row that did not pass.
fn bad(row: &Entry, results: &Outcomes) -> Vec<String> {
    let outcome = |test| results.get(test).copied().unwrap_or(Outcome::NoResult);
    let bad = row.tests.iter().map(|test| (test, outcome(test)));
    bad.filter(|(_, outcome)| *outcome != Outcome::Passed)
        .map(|(test, outcome)| format!("{test} {outcome}"))
        .collect()
}

/// Where a scenario was tried: with real processes, in a world of one process, on a part of the shell or the decisions alone.
fn tiers(row: &Entry) -> String {
    let tier = |test: &Test| match test.binary.as_str() {
        "flows" | "faults" => "processes",
        "world" | "small" => "world",
        "rules" => "simulator",
        "controller" | "ec2" | "cluster" => "parts",
        _ => "decisions",
    };
    let all: BTreeSet<&str> = row.tests.iter().map(tier).collect();
    all.into_iter().collect::<Vec<_>>().join(", ")
}

fn count(number: usize) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

/// Of each tier on its own: their clocks are not alike.
fn restorations(histories: &[&History]) -> String {
    let mut by_tier: BTreeMap<&str, Vec<Millis>> = BTreeMap::new();
    for history in histories {
        by_tier.entry(&history.tier).or_default().extend(&history.downtimes);
    }
    let shown = by_tier.into_iter().filter(|(_, all)| !all.is_empty()).map(|(tier, mut all)| {
        all.sort_unstable();
        format!("{tier} {} / {} s", seconds(quantile(&all, 50)), seconds(quantile(&all, 99)))
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// The least value that so many percent do not exceed. Of nothing: zero.
fn quantile(sorted: &[Millis], percent: usize) -> Millis {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn seconds(time: Millis) -> String {
    format!("{}.{}", time / 1000, time % 1000 / 100)
}

fn sum<'a>(all: impl Iterator<Item = &'a BTreeMap<String, usize>>) -> BTreeMap<&'a str, usize> {
    let mut sum = BTreeMap::new();
    for (action, count) in all.flatten() {
        *sum.entry(action.as_str()).or_default() += count;
    }
    sum
}

fn changes(histories: &[&History]) -> String {
    let all = sum(histories.iter().map(|history| &history.calls));
    let shown = all.into_iter().map(|(action, count)| format!("{count} {action}"));
    shown.collect::<Vec<_>>().join(", ")
}

/// The histories that were compared with a reference run: by test, the counts of each change beside the reference's.
fn cells(histories: &[History]) -> String {
    let mut text = String::new();
    let references = histories.iter().filter(|history| history.cell == REFERENCE);
    let by_test: BTreeMap<&str, &History> =
        references.map(|history| (history.test.as_str(), history)).collect();
    for (test, reference) in by_test {
        let cells: Vec<_> =
            histories.iter().filter(|other| other.test == test && other.cell != REFERENCE).collect();
        let actions: BTreeSet<&String> =
            cells.iter().flat_map(|cell| cell.calls.keys()).chain(reference.calls.keys()).collect();
        let of = |history: &History, action: &str| history.calls.get(action).copied().unwrap_or_default();
        let _infallible = writeln!(
            text,
            "`{test}`: {} cells beside their reference run.\n\n| change | reference | fewest | most | cells with more | once too often |\n|---|---|---|---|---|---|",
            cells.len(),
        );
        for action in actions {
            let counts: Vec<usize> = cells.iter().map(|cell| of(cell, action)).collect();
            let usual = of(reference, action);
            let surplus: usize = cells.iter().filter_map(|cell| cell.surplus.get(action)).sum();
            let _infallible = writeln!(
                text,
                "| {action} | {usual} | {} | {} | {} | {} |",
                counts.iter().min().unwrap_or(&0),
                counts.iter().max().unwrap_or(&0),
                counts.iter().filter(|count| **count > usual).count(),
                if NEVER_TWICE.contains(&action.as_str()) { surplus.to_string() } else { String::new() },
            );
        }
        text.push('\n');
    }
    text
}

fn document(table: &str) -> String {
    format!(
        "# Reliability: what was tried, and what came of it\n\n\
         Written by `make faults`; the scenarios are those of `docs/protocol.md`, and `tests/faults.yaml` and \
         `tests/features.yaml` name the tests of each.\n\n\
         - **Simulated**: EC2 (`tests/ec2sim`), over HTTP for *processes*, in the same process and in virtual time for \
         *world*; *parts* are tried one at a time. **Real**: kube-apiserver and etcd, the controller's own binary, its SDK, its RBAC, signals and sockets \
         (*processes*); every decision of the controller (*world*, *decisions*).\n\
         - A history is one life of a machine and its objects from a seeded EC2 to its judgement. Times are those of the \
         simulated EC2, from an effective StopInstances of ours to `running`. In *processes* its clocks are quick (stop \
         and start 2 s each), in *world* they are EC2's usual ones (stop 40 s, start 20 s).\n\
         - Changes are effective calls in EC2's log. *Once too often* counts a machine that was taken down more \
         often than there were plans for it, a second image of a name in a region, and a second deregistration of an \
         image: each is a failure. A call that changes nothing (a stop of a machine that is stopping, a request that EC2 \
         knows by its token) is counted among the changes only.\n\
         - A scenario that waits for a feature is not counted as one that holds.\n\n{table}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::assert_all_in_the_sources;

    #[test]
    fn every_test_of_a_scenario_is_in_the_sources() {
        assert_all_in_the_sources(&table().unwrap());
    }

    #[test]
    fn every_scenario_of_the_design_is_there_once() {
        let rows: Vec<String> = table().unwrap().into_iter().map(|row| row.row).collect();
        let wanted: Vec<String> = (1..=97).map(|number| format!("S{number}")).collect();
        assert_eq!(rows, wanted);
    }

    #[test]
    fn a_scenario_is_tried_or_waits_and_says_what_was_asserted() {
        for row in table().unwrap() {
            assert!(row.tests.is_empty() == row.waits_for.is_some(), "{}", row.row);
            assert!(row.waits_for.is_some() || !row.asserted.is_empty(), "{}", row.row);
        }
    }

    fn history(test: &str, cell: &str, downtimes: &[Millis], calls: &[(&str, usize)]) -> History {
        History {
            tier: "flow".to_owned(),
            test: test.to_owned(),
            cell: cell.to_owned(),
            downtimes: downtimes.to_vec(),
            calls: calls.iter().map(|(action, count)| ((*action).to_owned(), *count)).collect(),
            ..History::default()
        }
    }

    fn rows() -> (Vec<Entry>, Outcomes) {
        let text = "\
- {row: S1, fault: dies, asserted: x, tests: [{binary: flows, name: a}, {binary: world, name: w}]}
- {row: S2, fault: shares, waits_for: sharing}
";
        let rows: Vec<Entry> = serde_yaml::from_str(text).unwrap();
        let results = rows[0].tests.iter().map(|test| (test.clone(), Outcome::Passed)).collect();
        (rows, results)
    }

    #[test]
    fn a_row_has_its_tiers_its_histories_and_the_times_of_each_tier() {
        let (rows, results) = rows();
        let mut all: Vec<History> =
            (1..=100).map(|n| history("a", "", &[n * 1000], &[("StopInstances", 1)])).collect();
        all.push(History { tier: "world".to_owned(), ..history("w", "", &[71_500], &[]) });
        let report = Report::new(&rows, &results, &all, &[("S1", "I1", true)]);
        assert!(report.is_well, "{}", report.text);
        let wanted = "| S1 | dies | processes, world | holds | 101 | flow 50.0 / 99.0 s, world 71.5 / 71.5 s | 100 StopInstances | 0 |";
        assert!(report.text.contains(wanted), "{}", report.text);
        assert!(
            report.text.contains("| S2 | shares |  | waits for sharing |  |  |  |  |"),
            "{}",
            report.text
        );
        assert!(
            report.text.contains("2 scenarios, 1 hold, 0 failed, 1 waiting; 101 histories, 0 violations")
        );
    }

    #[test]
    fn a_test_that_fails_a_change_once_too_often_and_a_negation_that_passes_are_failures() {
        let (rows, mut results) = rows();
        let good = [("S1", "I1", true)];
        let mut twice = history("a", "", &[], &[]);
        twice.surplus.insert("CreateImage".to_owned(), 1);
        assert!(!Report::new(&rows, &results, &[twice], &good).is_well);
        assert!(!Report::new(&rows, &results, &[], &[("S1", "I1", false)]).is_well);
        results.insert(rows[0].tests[1].clone(), Outcome::Failed);
        let report = Report::new(&rows, &results, &[], &good);
        assert!(!report.is_well && report.text.contains("**FAILED** world w failed"), "{}", report.text);
    }

    #[test]
    fn cells_are_shown_beside_their_reference() {
        let all = [
            history("m", REFERENCE, &[], &[("StopInstances", 1)]),
            history("m", "killed", &[], &[("StopInstances", 1), ("CreateTags", 2)]),
            history("m", "lost", &[], &[("StopInstances", 1)]),
        ];
        let text = cells(&all);
        assert!(text.contains("`m`: 2 cells"), "{text}");
        assert!(text.contains("| StopInstances | 1 | 1 | 1 | 0 | 0 |"), "{text}");
        assert!(text.contains("| CreateTags | 0 | 0 | 2 | 1 |  |"), "{text}");
    }
}
