//! `docs/conditions.md`: every condition with the words that the flows saw, the meaning that the API gives it, and what
//! to do about it.
mod advice;
mod pick;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use saved_template_api::{ConditionType, Reason};
use strum::IntoEnumIterator as _;

use self::{
    advice::{advice, missing},
    pick::most_telling,
};
pub use crate::witness::{FILE, Seen};

/// Where the document is, from the root of the repository.
pub const DOCUMENT: &str = "docs/conditions.md";

const API: &str =
    concat!(include_str!("../../crds/src/condition.rs"), include_str!("../../crds/src/condition/reason.rs"));

const HEAD: &str = "\
# Conditions

Written by `make conditions`; do not edit. The messages are those of real objects: the real controller wrote them to a
real API server while it saved simulated machines. Ids are shown as `i-…`, times as `(time)`, seconds as `N s`. Of all
messages that were seen for a reason, the one that tells most is shown: it is this reason's alone, says what to do, and
names machine, image, region and time. What objects said in a hostile test is not shown.

The first eight conditions are always there. `Reconciling`, `Stalled` and `DeletionBlocked` are there only while True.
";

/// What the tests saw of one condition: its status and a message.
type Example = (String, String);

/// The messages of one condition, each with its status.
type Told = BTreeMap<String, String>;

/// The examples by type and reason.
struct Examples(BTreeMap<(ConditionType, Reason), Example>);

impl Examples {
    fn of(seen: &[Seen]) -> Self {
        let mut all: BTreeMap<(ConditionType, Reason), Told> = BTreeMap::new();
        let mut standing: BTreeMap<(ConditionType, String), BTreeSet<Reason>> = BTreeMap::new();
        // Sorted: of two statuses with one message it is always the same that is shown.
        for one in seen.iter().collect::<BTreeSet<_>>() {
            let message = words::normal(&one.message);
            if let (Ok(kind), Ok(reason)) = (one.kind.parse(), one.reason.parse())
                && fits(kind, reason, &one.status)
                && words::are_whole(&message)
            {
                standing.entry((kind, message.clone())).or_default().insert(reason);
                all.entry((kind, reason)).or_default().insert(message, one.status.clone());
            }
        }
        let example = |kind: ConditionType, told: &Told| {
            let reasons = |message: &str| standing.get(&(kind, message.to_owned())).map_or(0, BTreeSet::len);
            let message = most_telling(told.keys().map(String::as_str), |message| reasons(message) > 1)?;
            Some((told.get(message)?.clone(), message.to_owned()))
        };
        let examples = all.iter().filter_map(|(key, told)| Some((*key, example(key.0, told)?)));
        Self(examples.collect())
    }

    fn get(&self, kind: ConditionType, reason: Reason) -> Option<&Example> {
        self.0.get(&(kind, reason))
    }
}

/// Whether a reason may stand beside a status.
fn fits(kind: ConditionType, reason: Reason, status: &str) -> bool {
    match status {
        "True" => kind.reasons_for_true().contains(&reason),
        "False" | "Unknown" => kind.reasons_otherwise().contains(&reason),
        _ => false,
    }
}

/// The document.
pub fn document(seen: &[Seen]) -> anyhow::Result<String> {
    let examples = Examples::of(seen);
    let (kinds, reasons) = (comments("ConditionType"), comments("Reason"));
    let meaning = |reason: Reason| reasons.get(reason.name()).copied().unwrap_or_default();
    let mut text = HEAD.to_owned();
    let mut unseen = String::new();
    for kind in ConditionType::iter() {
        let about = kinds.get(kind.name()).copied().unwrap_or_default();
        write!(text, "\n## {}\n\n{about}\n\n", kind.name())?;
        if shares_the_words_of_ready(kind) {
            writeln!(text, "Its reason and its message are those of [`Ready`](#ready).")?;
            let (with, without): (Vec<_>, Vec<_>) =
                reasons_of(kind).into_iter().partition(|reason| examples.get(kind, *reason).is_some());
            writeln!(text, "Seen with {}; not seen with {}.", names(&with), names(&without))?;
            continue;
        }
        writeln!(
            text,
            "| status | reason | when | message, as it was seen | what to do |\n|---|---|---|---|---|"
        )?;
        for reason in reasons_of(kind) {
            if let Some((status, message)) = examples.get(kind, reason) {
                let (name, when, message) = (reason.name(), cell(meaning(reason)), cell(message));
                writeln!(text, "| {status} | `{name}` | {when} | {message} | {} |", cell(advice(reason)))?;
            } else {
                let (kind_name, name, when) = (kind.name(), reason.name(), cell(meaning(reason)));
                writeln!(unseen, "| `{kind_name}` | `{name}` | {when} | {} |", missing(kind, reason))?;
            }
        }
    }
    write!(
        text,
        "\n## Not seen in the tests yet\n\n| type | reason | when | why not |\n|---|---|---|---|\n{unseen}"
    )?;
    Ok(text)
}

/// The reasons of `Validated` that no test has brought about yet although they can occur.
pub fn unproven(seen: &[Seen]) -> Vec<&'static str> {
    let examples = Examples::of(seen);
    let kind = ConditionType::Validated;
    reasons_of(kind)
        .into_iter()
        .filter(|reason| examples.get(kind, *reason).is_none() && missing(kind, *reason) == advice::NO_TEST)
        .map(Reason::name)
        .collect()
}

const fn shares_the_words_of_ready(kind: ConditionType) -> bool {
    matches!(kind, ConditionType::Reconciling | ConditionType::Stalled)
}

fn reasons_of(kind: ConditionType) -> Vec<Reason> {
    kind.reasons_for_true().iter().chain(kind.reasons_otherwise()).copied().collect()
}

fn names(reasons: &[Reason]) -> String {
    let names: BTreeSet<String> = reasons.iter().map(|reason| format!("`{}`", reason.name())).collect();
    if names.is_empty() { "none".to_owned() } else { names.into_iter().collect::<Vec<_>>().join(", ") }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}

/// The documentation comments of an enum of the API, by the name of the variant.
fn comments(name: &str) -> BTreeMap<&'static str, &'static str> {
    let head = format!("pub enum {name} {{");
    let body = API.split_once(&head).map(|(_, rest)| rest.split("\n}").next().unwrap_or_default());
    let lines: Vec<&str> = body.unwrap_or_default().lines().map(str::trim).collect();
    let pairs = lines.iter().zip(lines.iter().skip(1));
    pairs
        .filter_map(|(comment, variant)| Some((variant.strip_suffix(',')?, comment.strip_prefix("/// ")?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(kind: &str, reason: &str, message: &str) -> Seen {
        let status = if reason == "Saved" { "True" } else { "False" }.to_owned();
        Seen { kind: kind.into(), status, reason: reason.into(), message: message.into() }
    }

    #[test]
    fn every_reason_has_a_meaning_and_something_to_do() {
        let (kinds, reasons) = (comments("ConditionType"), comments("Reason"));
        for kind in ConditionType::iter() {
            assert!(kinds.contains_key(kind.name()), "{kind:?}");
        }
        for reason in Reason::iter() {
            assert!(reasons.contains_key(reason.name()), "{reason:?} needs one line of documentation");
            assert!(advice(reason).ends_with(['.', '`']), "{reason:?}");
        }
    }

    #[test]
    fn of_several_messages_the_one_that_tells_most_is_shown_and_what_was_not_seen_is_not_invented() {
        let mut all = vec![
            seen(
                "Validated",
                "SpotInstance",
                "i-0123456789abcdef0 is | Spot: save it with spec.capture.mode Reboot",
            ),
            seen(
                "Validated",
                "SpotInstance",
                "i-0123456789abcdef0 is a Spot Instance, and more is said of it",
            ),
            seen("Validated", "SpotInstance", "it is Spot"),
        ];
        let text = document(&all).unwrap();
        assert!(text.contains("| False | `SpotInstance` | "), "{text}");
        assert!(text.contains("| i-… is \\| Spot: save it with spec.capture.mode Reboot |"), "{text}");
        assert!(!text.contains("and more") && !text.contains("| it is Spot |"));
        assert!(text.contains("| `Validated` | `ClusterNode` |"));
        assert!(unproven(&all).contains(&"ClusterNode") && !unproven(&all).contains(&"SpotInstance"));
        assert!(!unproven(&all).contains(&"SharingNotAllowed"), "it waits for sharing");
        all.reverse();
        assert_eq!(document(&all).unwrap(), text, "the order in which they were seen changes nothing");
    }

    #[test]
    fn a_message_that_the_condition_has_with_another_reason_too_is_the_example_of_the_other() {
        let held = "ami-0123456789abcdef0 in us-west-2 is held: start the controller with --take-over=x";
        let all = [
            Seen { status: "Unknown".into(), ..seen("Validated", "NotChecked", held) },
            Seen { status: "Unknown".into(), ..seen("Validated", "NotChecked", "cannot read us-west-2") },
            seen("Validated", "HeldByOtherCluster", held),
            seen("Ready", "Preflight", "another condition says the same: correct it"),
        ];
        let text = document(&all).unwrap();
        let row = |reason: &str| text.lines().find(|line| line.contains(&format!("| `{reason}` |"))).unwrap();
        assert!(row("NotChecked").contains("| cannot read us-west-2 |"), "{text}");
        assert!(row("HeldByOtherCluster").contains("--take-over"), "{text}");
    }

    #[test]
    fn what_no_object_of_the_controller_says_is_not_shown() {
        let forged = [
            Seen { status: "False".into(), ..seen("Ready", "Saved", "forged") },
            Seen { status: "True".into(), ..seen("Ready", "Copying", "forged") },
            Seen { status: "Maybe".into(), ..seen("Ready", "Copying", "forged") },
            seen("Ready", "SpotInstance", "forged"),
            seen("Forged", "Saved", "forged"),
            seen("Ready", "Forged", "forged"),
        ];
        let text = document(&forged).unwrap();
        assert!(!text.contains("forged") && !text.contains("Forged"), "{text}");
        for hollow in ["", "x", "image  is pending: set it", "the existing , 0/2 regions: set it"] {
            let text = document(&[seen("Ready", "Copying", hollow)]).unwrap();
            assert!(!text.contains("| False | `Copying` |"), "{hollow:?}");
            assert!(
                document(&[seen("Ready", "Copying", "it is whole"), seen("Ready", "Copying", hollow)])
                    .unwrap()
                    .contains("| it is whole |")
            );
        }
        assert!(document(&[seen("Ready", "Saved", "it is whole")]).unwrap().contains("| True | `Saved` |"));
    }

    #[test]
    fn the_document_names_every_reason_of_every_condition_and_means_what_the_api_means() {
        let text = std::fs::read_to_string(cluster::root().join(DOCUMENT)).unwrap();
        let (sections, unseen) = text.split_once("\n## Not seen in the tests yet\n").unwrap();
        let reasons = comments("Reason");
        for kind in ConditionType::iter() {
            let section = sections.split("\n## ").find(|section| section.lines().next() == Some(kind.name()));
            let section = section.unwrap_or_else(|| panic!("{} is missing: make conditions", kind.name()));
            for reason in reasons_of(kind) {
                let name = format!("`{}`", reason.name());
                if shares_the_words_of_ready(kind) {
                    assert!(section.contains(&name), "{} {name} is missing: make conditions", kind.name());
                    continue;
                }
                let row = format!("| `{}` | {name} |", kind.name());
                let shown = section.lines().find(|line| line.contains(&format!("| {name} |")));
                let line = shown.or_else(|| unseen.lines().find(|line| line.starts_with(&row)));
                let line =
                    line.unwrap_or_else(|| panic!("{} {name} is missing: make conditions", kind.name()));
                if let Some(line) = shown {
                    let cells: Vec<&str> = line.split(" | ").collect();
                    let status = cells[0].trim_start_matches("| ");
                    assert!(fits(kind, reason, status), "{} is not {status} with {name}", kind.name());
                    assert!(words::are_whole(cells[3]), "{} {name} says {:?}", kind.name(), cells[3]);
                }
                let when = cell(reasons[reason.name()]);
                assert!(line.contains(&when), "{} {name} means {when:?}: make conditions", kind.name());
            }
        }
    }
}
