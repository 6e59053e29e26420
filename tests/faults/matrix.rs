//! Each effect × {killed before, killed after, reply lost}: whoever dies, and whatever is not heard, the end is the same.
use std::{
    any::Any,
    collections::BTreeMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use futures::future::join_all;
use saved_template_tests::Verb;
use tokio::sync::Semaphore;

use crate::{
    effect::{self, Cell, Kind, Mode},
    history::{self, Path, Told},
    truth::Deeds,
};

/// One cell, judged.
struct Judged {
    cell: Cell,
    outcome: Result<Told, String>,
}

async fn history(
    path: Path,
    namespace: &str,
    test: &str,
    cell: Option<&Cell>,
    reference: Option<&Deeds>,
) -> Option<Told> {
    match path {
        Path::Save => history::save(namespace, test, cell, reference).await,
        Path::Delete => history::delete(namespace, test, cell, reference).await,
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// The name of the test that runs on this thread: the histories run on others.
fn this_test() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

/// Judges all cells, so many at a time.
async fn judge(path: Path, test: &str, reference: &Deeds, cells: Vec<Cell>, width: usize) -> Vec<Judged> {
    let (width, count) = (Arc::new(Semaphore::new(width)), cells.len());
    let judged = cells.into_iter().enumerate().map(|(number, cell)| {
        let (width, reference, own) = (Arc::clone(&width), reference.clone(), cell.clone());
        let test = test.to_owned();
        let task = tokio::spawn(async move {
            let _turn = width.acquire().await.unwrap();
            for go in ["first", "second", "third"] {
                let namespace = format!("{path:?}-{number}-of-{count}-{go}").to_lowercase();
                if let Some(told) = history(path, &namespace, &test, Some(&own), Some(&reference)).await {
                    return told;
                }
            }
            panic!("never reached, in three histories")
        });
        async move {
            let outcome = task.await.map_err(|error| said(&*error.into_panic()));
            Judged { cell, outcome }
        }
    });
    join_all(judged).await
}

/// The smallest figure that `percent` of all are not above.
fn quantile(sorted: &[i64], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).map_or(0.0, |millis| Duration::from_millis(u64::try_from(*millis).unwrap()).as_secs_f64())
}

/// What was called more often than in the reference.
fn surplus(told: &Told, reference: &Told) -> String {
    let more = told.calls.iter().filter_map(|(action, count)| {
        let usual = reference.calls.get(action).copied().unwrap_or(0);
        (*count > usual).then(|| format!(", {action} {count} instead of {usual}"))
    });
    more.collect()
}

fn tell(judged: &[Judged], reference: Option<&Told>, started: Instant) {
    let mut downtimes = Vec::new();
    for Judged { cell, outcome } in judged {
        match outcome {
            Ok(told) => {
                downtimes.extend(&told.downtimes);
                let more = reference.map(|reference| surplus(told, reference)).unwrap_or_default();
                println!("{cell}: {} s, down {:?} ms{more}", told.took.as_secs(), told.downtimes);
            }
            Err(why) => println!("{cell}: FAILED: {}", why.lines().next().unwrap_or_default()),
        }
    }
    downtimes.sort_unstable();
    println!(
        "{} cells in {} s, {} failed; downtime p50 {:.1} s, p99 {:.1} s, longest {:.1} s",
        judged.len(),
        started.elapsed().as_secs(),
        judged.iter().filter(|one| one.outcome.is_err()).count(),
        quantile(&downtimes, 50),
        quantile(&downtimes, 99),
        quantile(&downtimes, 100),
    );
}

fn assert_all(judged: &[Judged]) {
    let failures: Vec<String> = judged
        .iter()
        .filter_map(|one| Some(format!("{}:\n{}", one.cell, one.outcome.as_ref().err()?)))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} cells failed\n{}",
        failures.len(),
        judged.len(),
        failures.join("\n\n")
    );
}

async fn whole(path: Path, width: usize) {
    let test = &this_test();
    let started = Instant::now();
    // As many at once as there will be cells: how often a status is written depends a little on how busy all are.
    let references = (0..width).map(async |number| {
        let namespace = format!("{path:?}-reference-{number}").to_lowercase();
        history(path, &namespace, test, None, None).await.unwrap()
    });
    let references = join_all(references).await;
    let deeds = &references[0].deeds;
    assert!(references.iter().all(|told| told.deeds == *deeds), "the references differ");
    let effects: Vec<BTreeMap<Kind, u32>> = references.iter().map(|told| told.effects.clone()).collect();
    println!("effects of the reference: {:?}", effects[0]);
    let cells = effect::cells(&effects);
    let judged = judge(path, test, deeds, cells, width).await;
    tell(&judged, Some(&references[0]), started);
    assert_all(&judged);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "about ten minutes; `make faults` runs it"]
async fn s1_at_every_effect_of_a_save_a_death_or_a_lost_reply_changes_nothing_about_its_end() {
    whole(Path::Save, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "about ten minutes; `make faults` runs it"]
async fn s1_at_every_effect_of_a_deletion_a_death_or_a_lost_reply_leaves_nothing_behind() {
    whole(Path::Delete, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_a_death_or_a_lost_reply_at_a_write_to_kubernetes_changes_nothing_about_the_end_of_a_save() {
    let started = Instant::now();
    let reference: Deeds =
        [("StopInstances", 1), ("CreateImage", 1), ("CopyImage", 2), ("DeregisterImage", 0)].into();
    let cells = vec![
        Cell::new(Kind::finalizers(), 1, Mode::ReplyLost),
        Cell::new(Kind::claim(Verb::Create), 1, Mode::KilledAfter),
        Cell::new(Kind::status_that_says("\"step\":\"CreateImage\""), 1, Mode::KilledAfter),
        Cell::new(Kind::status_that_says("\"step\":\"CopyImage\""), 2, Mode::KilledBefore),
    ];
    let judged = judge(Path::Save, &this_test(), &reference, cells, 4).await;
    tell(&judged, None, started);
    assert_all(&judged);
}
