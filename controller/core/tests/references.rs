//! What code, comments, tests, tables and documents cite is in docs/protocol.md: every rule (`R`), section (`§`), scenario
//! (`S`), invariant (`I`) and liveness (`L`) with a number has an anchor there, and the scenarios are those of the tables of
//! tests. Links from one document to another lead somewhere.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// Files that may cite; the rest is generated, or no text.
const KINDS: [&str; 8] = ["rs", "md", "yaml", "yml", "toml", "patch", "py", "sh"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn protocol() -> String {
    fs::read_to_string(root().join("docs/protocol.md")).unwrap()
}

/// Every text of the repository, by its path from the root.
fn texts(folder: &Path, found: &mut BTreeMap<String, String>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let is_built = name == "target" || (name.starts_with('.') && name != ".ci" && name != ".github");
            if !is_built {
                texts(&path, found);
            }
        } else if name == "Makefile" || KINDS.iter().any(|kind| name.ends_with(&format!(".{kind}"))) {
            let place = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            found.insert(place, fs::read_to_string(&path).unwrap());
        }
    }
}

fn all_texts() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    texts(&root(), &mut found);
    found
}

fn is_number(text: &str) -> bool {
    (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A word that cites, as its anchor is written: `R3` is `r3`, and the test `s63_and_s65_…` cites both.
fn cited(word: &str) -> Vec<String> {
    let is_scenario = |part: &&str| part.strip_prefix('s').is_some_and(is_number);
    if word.contains('_') {
        return word.split('_').filter(is_scenario).map(str::to_owned).collect();
    }
    let is_cited = word.starts_with(['R', 'S', 'I', 'L']) && word.get(1..).is_some_and(is_number);
    if is_cited { vec![word.to_lowercase()] } else { Vec::new() }
}

/// Everything that a text cites, with its line.
fn citations(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        found.extend(words.flat_map(cited).map(|anchor| (number, anchor)));
        for section in line.split('§').skip(1) {
            let end = section.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(section.len());
            let digits = section.get(..end).unwrap_or_default();
            if is_number(digits) {
                found.push((number, format!("section-{digits}")));
            }
        }
    }
    found
}

/// The anchors that a document sets, each as often as it does.
fn anchors(document: &str) -> Vec<String> {
    let quoted = document.split("<a id=\"").skip(1);
    quoted.filter_map(|rest| rest.split_once("\"></a>")).map(|(anchor, _)| anchor.to_owned()).collect()
}

/// What of `text` leads nowhere, by file and line.
fn lost(place: &str, text: &str, anchors: &BTreeSet<String>) -> Vec<String> {
    let cites = citations(text).into_iter();
    let lost = cites.filter(|(_, anchor)| !anchors.contains(anchor));
    lost.map(|(line, anchor)| format!("{place}:{line}: docs/protocol.md has no anchor {anchor}")).collect()
}

#[test]
fn every_rule_section_scenario_and_invariant_that_is_cited_is_in_the_protocol() {
    let (texts, anchors) = (all_texts(), anchors(&protocol()));
    let known: BTreeSet<String> = anchors.iter().cloned().collect();
    assert_eq!(known.len(), anchors.len(), "an anchor is set twice");
    let lost: Vec<String> = texts.iter().flat_map(|(place, text)| lost(place, text, &known)).collect();
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    for (place, least) in
        [("controller/core/src/restart/judge.rs", 10), ("tests/faults.yaml", 70), ("docs/protocol.md", 97)]
    {
        let cites = texts.get(place).map(|text| citations(text).len());
        assert!(cites >= Some(least), "{place} was read as citing {cites:?} times");
    }
}

#[test]
fn a_citation_that_leads_nowhere_is_named_with_its_file_and_line() {
    let known = ["r3", "section-5", "s56"].map(str::to_owned).into();
    // Put together, so that this file does not cite it.
    let (rule, section, scenario) = (format!("R{}", 99), format!("§{}", 98), format!("s{}_", 997));
    let text = format!(
        "/// R3, §5: good; so are R, S-1, x86_64, RS3, S3a and I/O.\nfn s56_a_leader() {{}} // R3–{rule}\n\n\
         /// {section}; the quota L-309BACF6.\nfn s56_and_{scenario}wakes() {{}}\n"
    );
    let told = |line: usize, anchor: &str| format!("a/b.rs:{line}: docs/protocol.md has no anchor {anchor}");
    assert_eq!(lost("a/b.rs", &text, &known), [told(2, "r99"), told(4, "section-98"), told(5, "s997")]);
}

#[test]
fn a_file_of_the_code_that_a_document_names_by_its_whole_path_is_there() {
    let (texts, mut named) = (all_texts(), 0);
    for (place, text) in texts.iter().filter(|(place, _)| place.starts_with("docs/")) {
        let is_whole = |path: &&str| path.strip_suffix(".rs").is_some_and(|path| path.contains('/'));
        let paths = text.split('`').skip(1).step_by(2).filter(is_whole);
        for path in paths {
            assert!(texts.contains_key(path), "{place}: {path}");
            named += 1;
        }
    }
    assert!(named > 20, "the documents were read as naming {named} files");
}

/// A row of a table of tests, as far as the protocol repeats it.
#[derive(Deserialize)]
struct Row {
    row: String,
    #[serde(alias = "fault")]
    feature: String,
}

/// Numbers and texts of the scenarios in the tables of tests.
fn scenarios() -> BTreeMap<u32, String> {
    let tables = ["tests/faults.yaml", "tests/features.yaml"].map(|table| {
        let text = fs::read_to_string(root().join(table)).unwrap();
        serde_yaml::from_str::<Vec<Row>>(&text).unwrap()
    });
    let number = |row: &Row| row.row.strip_prefix('S').and_then(|number| number.parse().ok());
    tables.into_iter().flatten().filter_map(|row| Some((number(&row)?, row.feature))).collect()
}

/// The rows of the document's table of scenarios: number, text, what closes it.
fn listed(document: &str) -> Vec<(u32, String, String)> {
    let row = |line: &str| {
        let cells = line.strip_prefix("| <a id=\"s")?.split_once("\"></a>S")?.1;
        let mut cells = cells.trim_end_matches([' ', '|']).split(" | ");
        Some((cells.next()?.parse().ok()?, cells.next()?.to_owned(), cells.collect()))
    };
    document.lines().filter_map(row).collect()
}

#[test]
fn the_scenarios_are_those_of_the_tables_of_tests_and_each_says_what_closes_it() {
    let listed = listed(&protocol());
    let texts: Vec<_> = listed.iter().map(|(number, text, _)| (*number, text.clone())).collect();
    let wanted: Vec<_> = scenarios().into_iter().collect();
    for (row, wanted) in texts.iter().zip(&wanted) {
        assert_eq!(row, wanted, "docs/protocol.md beside tests/faults.yaml and tests/features.yaml");
    }
    assert_eq!(texts.len(), wanted.len(), "rows of docs/protocol.md beside those of the tables of tests");
    for (number, _, closes) in listed {
        assert!(!closes.trim().is_empty(), "S{number}: what closes it?");
    }
}

/// What a heading is called in a link.
fn slug(heading: &str) -> String {
    let kept =
        heading.trim().chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).flat_map(char::to_lowercase).collect()
}

/// Where a document can be linked to: its headings, and the anchors that it sets.
fn places(document: &str) -> BTreeSet<String> {
    let headings = document.lines().filter_map(|line| line.strip_prefix('#'));
    let headings = headings.map(|line| line.trim_start_matches('#'));
    let headings = headings.map(|text| slug(text.rsplit_once("</a>").map_or(text, |(_, text)| text)));
    headings.chain(anchors(document)).collect()
}

/// The links of one document that lead nowhere.
fn broken(place: &str, texts: &BTreeMap<String, String>) -> Vec<String> {
    let text = texts.get(place).map(String::as_str).unwrap_or_default();
    let folder = Path::new(place).parent().unwrap();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let within = targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    let leads = |target: &&str| {
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let file = if file.is_empty() { root().join(place) } else { root().join(folder).join(file) };
        let Ok(file) = file.canonicalize() else { return false };
        let text = || fs::read_to_string(&file).unwrap_or_default();
        anchor.is_empty() || places(&text()).contains(anchor)
    };
    within.filter(|target| !leads(target)).map(|target| format!("{place}: {target}")).collect()
}

#[test]
fn a_link_from_one_document_to_another_leads_somewhere() {
    let texts = all_texts();
    let documents =
        texts.keys().filter(|place| Path::new(place).extension().is_some_and(|kind| kind == "md"));
    let lost: Vec<String> = documents.flat_map(|place| broken(place, &texts)).collect();
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    let planted = "[a](gone.md) [b](CHANGELOG.md#gone) [c](CHANGELOG.md#unreleased) [d](https://x) [e](docs)";
    let one = BTreeMap::from([("README.md".to_owned(), planted.to_owned())]);
    assert_eq!(broken("README.md", &one), ["README.md: gone.md", "README.md: CHANGELOG.md#gone"]);
}

/// Where the tests of each binary are, by its name in the tables: a folder, or a file of it that is called like the target.
/// From what runs them.
fn binaries<'r>(runner: &'r str) -> BTreeMap<&'r str, [String; 2]> {
    let pick = |line: &'r str| {
        let words: Vec<&str> = line.split('"').collect();
        let ["    (", name, ", ", target, ", ", folder, "),"] = words.as_slice() else { return None };
        Some((*name, [(*folder).to_owned(), format!("{folder}/{target}")]))
    };
    runner.lines().filter_map(pick).collect()
}

/// Whether a test is in the module that its path names; one of a module within a file counts as that file's.
fn is_there(folder: &str, path: &str, texts: &BTreeMap<String, String>) -> bool {
    let mut modules: Vec<&str> = path.split("::").collect();
    let Some(name) = modules.pop() else { return false };
    let function = format!("fn {name}(");
    let holds = |file: &str| texts.get(file).is_some_and(|content| content.contains(&function));
    let places = (0..=modules.len()).rev().map(|depth| {
        let inner = modules.iter().take(depth).copied();
        std::iter::once(folder).chain(inner).collect::<Vec<_>>().join("/")
    });
    let mut files = places.flat_map(|place| [format!("{place}.rs"), format!("{place}/main.rs")]);
    files.any(|file| holds(&file))
}

/// What the tables of tests name, with the binary.
fn named(table: &str) -> Vec<(String, String)> {
    let pick = |line: &str| {
        let (_, rest) = line.split_once("{binary: ")?;
        let (binary, rest) = rest.split_once(", name: ")?;
        let name = rest.trim_matches(|letter: char| "'\"}, ".contains(letter));
        Some((binary.to_owned(), name.to_owned()))
    };
    table.lines().filter_map(pick).collect()
}

#[test]
fn a_test_that_the_tables_name_is_where_they_say() {
    let texts = all_texts();
    let binaries = binaries(&texts["tests/src/table.rs"]);
    assert_eq!(binaries.len(), 12, "{binaries:?}");
    let is_lost = |(binary, name): &(String, String)| {
        let folders = binaries.get(binary.as_str());
        folders.is_none_or(|folders| !folders.iter().any(|folder| is_there(folder, name, &texts)))
    };
    for table in ["tests/faults.yaml", "tests/features.yaml"] {
        let named = named(&texts[table]);
        assert!(named.len() > 100, "{table}: {}", named.len());
        assert_eq!(named.into_iter().filter(is_lost).collect::<Vec<_>>(), [], "{table}");
    }
    let moved = ("core".to_owned(), "debt::tests::running_alone_never_pays_a_debt".to_owned());
    assert!(is_lost(&moved), "a module that is not there any more");
}
