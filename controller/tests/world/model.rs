//! `make model`: every part at length, with a table at its end; the short forms run with every `cargo test`.
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use crate::{
    chronicle::Kill,
    counts,
    history::{History, WAYS, Way},
    incident::Incident,
    random,
};

/// How many random histories must have ended, and how often each harm must have met each effect.
const HISTORIES: u64 = 100_000;
const EACH: u64 = 100;

/// A save, or a save and a deletion, unharmed and then with a death before and after each of its effects.
fn deaths(story: &History, step: usize) -> (usize, Vec<Kill>) {
    let judged = |kill| {
        let (lab, _) = random::ended(story, kill);
        assert!(lab.object().is_none() || lab.is_ready(), "{}", lab.history());
        let stops = lab.truth().stops.values().sum::<u32>();
        assert_eq!(stops, u32::from(story.way <= Way::StopUntilAvailable), "{}", lab.history());
        lab.effects().len()
    };
    let effects = judged(None);
    let kills =
        (0..effects).step_by(step).flat_map(|effect| [false, true].map(|after| Kill { effect, after }));
    let fails = |kill: &Kill| catch_unwind(AssertUnwindSafe(|| judged(Some(*kill)))).is_err();
    (effects, kills.filter(fails).collect())
}

/// The table of single deaths; answers how many violated anything.
fn single_deaths(step: usize) -> usize {
    let mut sum = 0;
    println!(
        "{:24}{:>8}{:>10}{:>9}{:>11}{:>12}",
        "single death", "copies", "deleted", "effects", "histories", "violations"
    );
    for way in WAYS {
        for regions in [0, 2] {
            for deletes in [false, true] {
                let incidents = if deletes { vec![(390, Incident::Delete)] } else { Vec::new() };
                let story = History { deletes, incidents, ..History::plain(way, regions) };
                let (effects, failed) = deaths(&story, step);
                let (way, histories) = (format!("{way:?}"), effects.div_ceil(step) * 2 + 1);
                println!("{way:24}{regions:>8}{deletes:>10}{effects:>9}{histories:>11}{:>12}", failed.len());
                sum += failed.len();
            }
        }
    }
    sum
}

#[test]
fn a_death_before_or_after_an_effect_of_any_mode_changes_nothing_of_the_end() {
    assert_eq!(single_deaths(7), 0);
}

#[test]
#[ignore = "make model"]
fn every_single_death() {
    assert_eq!(single_deaths(1), 0);
}

#[test]
#[ignore = "minutes: make model"]
fn histories() {
    let began = Instant::now();
    let (tally, failed) = random::run(1_000..1_000 + HISTORIES);
    let least = counts::print(&tally);
    println!(
        "\n{:44}{:>10}{:>12}{:>12}\nrandom double faults ({:.0} s){:>26}{:>12}{:>12}",
        "part",
        "histories",
        "least met",
        "violations",
        began.elapsed().as_secs_f64(),
        tally.histories,
        least,
        failed.len()
    );
    assert_eq!(failed, Vec::<u64>::new(), "make replay SEED=…");
    assert!(tally.histories >= HISTORIES);
    assert!(least >= EACH, "an effect was met by a harm only {least} times");
}
