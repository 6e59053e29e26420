//! Random histories, run to their end and judged by the simulator's truth. `make model` runs very many of them, and
//! `make replay SEED=…` one that failed.
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use ec2sim::InstanceState;
use saved_template_api::names::tag;

use crate::{
    chronicle::Kill,
    counts::Tally,
    ec2::HOME,
    history::{FAR, History, Misfortune},
    incident::Incident,
    lab::{CLUSTER, Lab},
    oracle::is_settled,
    truth::Wish,
};

/// How long everything may take once nothing goes wrong any more.
const SETTLES: i64 = 6000;
/// Where numbers of versions were given again, a watch shows nothing until they are higher than what it saw: then each
/// object is looked at again after two hours.
const MISSED: i64 = 10_000;
/// How long until nothing is written any more.
const QUIET: i64 = 1500;

/// One history, to its end.
pub(crate) fn history(story: &History) -> Tally {
    let (lab, start) = ended(story, None);
    tally(story, &lab, start)
}

/// The world at the end of a history, and when it began; a process may have died at one of its effects.
pub(crate) fn ended(story: &History, kill: Option<Kill>) -> (Lab, i64) {
    let mut lab = story.lab();
    lab.chronicle().kill.extend(kill);
    let start = lab.now();
    for (second, incident) in &story.incidents {
        lab.run(second - (lab.now() - start) / 1000);
        story.happens(&mut lab, *incident);
    }
    lab.run(400);
    lab.heal();
    let settles = if lab.chronicle().past.reused { MISSED } else { SETTLES };
    let end = lab.now() + settles * 1000;
    while lab.now() < end && !rests(story, &lab) {
        lab.tick();
    }
    if !rests(story, &lab) {
        let status = lab.object().map(|object| object.status.clone());
        let status = status.as_ref();
        let rows = status.map(|status| (&status.capture, &status.regions, &status.announced));
        panic!("not settled: {:?}\n{rows:#?}\n{}", lab.condition("Ready"), lab.history());
    }
    goes_quiet(story, &mut lab);
    judge(story, &lab);
    (lab, start)
}

/// Ten minutes in which nothing is written. Records that nobody needs go within a quarter of an hour; now and then all
/// of it is watched.
fn goes_quiet(story: &History, lab: &mut Lab) {
    let latest = lab.now() + QUIET * 1000;
    if story.seed.is_multiple_of(16) {
        lab.run(QUIET);
    }
    loop {
        let (began, before) = (lab.now(), (lab.writes(), lab.effects().len()));
        lab.run(600);
        let quiet = (lab.writes(), lab.effects().len()) == before;
        if quiet && (!lab.owes() || lab.truth().wish == Wish::Gone || lab.now() > latest) {
            return;
        }
        assert!(began <= latest, "at rest\n{}", lab.history());
    }
}

fn rests(story: &History, lab: &Lab) -> bool {
    // A pending image is waited for without a limit.
    let pends = story.misfortune == Some(Misfortune::SnapshotsNeverBegin)
        && lab.condition("Ready").1 == "WaitingForImage"
        && (!lab.owes() || lab.truth().wish == Wish::Gone);
    lab.object().is_none_or(|object| {
        let seen = object.status.observed_generation == Some(object.generation);
        !object.deleting && seen && (is_settled(lab) || pends)
    })
}

/// What holds at the end, whatever happened.
fn judge(story: &History, lab: &Lab) {
    let did = |incident| story.incidents.iter().any(|(_, one)| *one == incident);
    let state = lab.instance().state;
    let wanted = match lab.truth().wish {
        Wish::Runs => state == InstanceState::Running || lab.truth().forgotten,
        Wish::Rests => state == InstanceState::Stopped,
        Wish::Gone => true,
    };
    assert!(wanted, "{:?} is wanted, and it is {state:?}\n{}", lab.truth().wish, lab.history());
    assert!(lab.truth().wish == Wish::Gone || !lab.owes(), "a record was left\n{}", lab.history());
    let mut captures = BTreeSet::new();
    for image in lab.home().images.values() {
        if let Some(capture) = image.tags.get(tag::CAPTURE) {
            assert!(captures.insert(capture.clone()), "two images of one capture\n{}", lab.history());
        }
    }
    let gone = did(Incident::Delete) && !did(Incident::ForceDelete) && story.deletes;
    // A cluster that went back may have forgotten the deletion.
    let forgotten = lab.chronicle().past.went_back && lab.object().is_some();
    assert!(!did(Incident::Delete) || lab.object().is_none() || forgotten, "deleted\n{}", lab.history());
    if gone && !forgotten {
        for region in [HOME, FAR[0], FAR[1]] {
            let Some(place) = lab.place(region) else { continue };
            let ours = |tags: &ec2sim::Tags| tags.get(tag::CLUSTER).is_some_and(|value| value == CLUSTER);
            let images = place.images.values().filter(|one| one.deregistered_at.is_none() && ours(&one.tags));
            let snapshots = place.snapshots.values().filter(|one| ours(&one.tags));
            let left = (images.count(), snapshots.count());
            assert_eq!(left, (0, 0), "left in {region}\n{}", lab.history());
        }
    }
    // Whoever writes tags makes whatever of his look like ours; whoever forces a deletion keeps what is there.
    if !story.hunted && !did(Incident::ForceDelete) {
        lab.nothing_is_left_over();
    }
    lab.others_are_untouched();
    lab.copies_are_of_their_revision();
}

fn tally(story: &History, lab: &Lab, start: i64) -> Tally {
    let mut tally = Tally { histories: 1, seconds: (lab.now() - start) / 1000, ..Tally::default() };
    lab.mishaps().met.iter().for_each(|pair| *tally.met.entry(*pair).or_default() += 1);
    lab.mishaps().notes.iter().for_each(|(what, times)| tally.count(what, *times));
    lab.truth().reached.iter().for_each(|(what, times)| tally.count(what, *times));
    tally.count("owner's stops that cannot be known", lab.truth().unknowable);
    tally.count("of these, started by us", lab.truth().unknowing);
    let happened = [
        ("ended Ready", lab.is_ready()),
        ("ended Stalled", lab.condition("Stalled").0 == "True"),
        ("ended deleted", lab.object().is_none()),
        ("every copy of the record lost", lab.truth().forgotten),
        ("of these, left stopped", {
            lab.truth().wish == Wish::Runs && lab.instance().state == InstanceState::Stopped
        }),
        ("two controllers", story.twin),
        ("stale reads", story.lag > 0),
        ("a failure of EC2's own", story.misfortune.is_some()),
        ("both mishaps met", lab.mishaps().met.len() > 1),
        ("consistency Stopped claimed", {
            let capture = lab.status().capture;
            capture.is_some_and(|one| one.consistency == saved_template_api::status::Consistency::Stopped)
        }),
    ];
    for (what, is) in happened {
        tally.count(what, u64::from(is));
    }
    tally
}

/// Does the same on every core, under the name of the test.
pub(crate) fn on_every_core(work: &(impl Fn() + Sync)) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            let thread = std::thread::Builder::new().name(name.clone());
            thread.spawn_scoped(scope, work).unwrap();
        }
    });
}

/// Runs histories on as many threads as there are cores.
pub(crate) fn run(seeds: std::ops::Range<u64>) -> (Tally, Vec<u64>) {
    let (next, sum, failed) =
        (AtomicU64::new(seeds.start), Mutex::new(Tally::default()), Mutex::new(Vec::new()));
    let worker = || {
        let mut mine = Tally::default();
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds.end || failed.lock().unwrap().len() >= 5 {
                break;
            }
            if let Ok(tally) = catch_unwind(AssertUnwindSafe(|| history(&History::new(seed)))) {
                mine.add(&tally);
            } else {
                eprintln!("violated: make replay SEED={seed}");
                failed.lock().unwrap().push(seed);
            }
        }
        sum.lock().unwrap().add(&mine);
    };
    on_every_core(&worker);
    (sum.into_inner().unwrap(), failed.into_inner().unwrap())
}

fn fails(story: &History) -> bool {
    catch_unwind(AssertUnwindSafe(|| history(story))).is_err()
}

/// The smallest story that still fails.
pub(crate) fn shrunk(mut story: History, fails: impl Fn(&History) -> bool) -> History {
    loop {
        let mut smaller = Vec::new();
        for at in 0..story.incidents.len() {
            let mut less = story.clone();
            less.incidents.remove(at);
            smaller.push(less);
        }
        for at in 0..story.mishaps.len() {
            let mut less = story.clone();
            less.mishaps.remove(at);
            smaller.push(less);
        }
        smaller.extend([
            History { twin: false, ..story.clone() },
            History { standby: false, ..story.clone() },
            History { lag: 0, ..story.clone() },
            History { jump: None, ..story.clone() },
            History { regions: 0, ..story.clone() },
            History { misfortune: None::<Misfortune>, ..story.clone() },
        ]);
        let size = |story: &History| {
            let flags = usize::from(story.twin) + usize::from(story.standby);
            let rest = usize::from(story.misfortune.is_some())
                + usize::from(story.jump.is_some())
                + usize::try_from(story.lag).unwrap();
            story.incidents.len() + story.mishaps.len() + flags + rest + story.regions
        };
        match smaller.into_iter().find(|less| size(less) < size(&story) && fails(less)) {
            Some(less) => story = less,
            None => return story,
        }
    }
}

#[test]
fn random_histories_end_with_the_machine_as_its_owner_wants_it_one_image_and_nothing_left() {
    let began = Instant::now();
    let (tally, failed) = run(0..250);
    println!("{} histories in {:?}", tally.histories, began.elapsed());
    assert_eq!(failed, Vec::<u64>::new(), "make replay SEED=…");
}

#[test]
fn a_story_that_fails_is_told_with_nothing_but_what_makes_it_fail() {
    // As if twins could not bear the loss of a status.
    let wiped = |story: &History| {
        story.incidents.iter().filter(|(_, incident)| *incident == Incident::WipeStatus).count()
    };
    let fails = |story: &History| story.twin && wiped(story) > 0;
    let story =
        (0..10_000).map(History::new).find(|story| fails(story) && story.incidents.len() > 1).unwrap();
    let seed = story.seed;
    let least = shrunk(story, fails);
    assert_eq!((least.seed, least.twin, wiped(&least), least.incidents.len()), (seed, true, 1, 1));
    assert_eq!((least.mishaps, least.lag, least.regions), (Vec::new(), 0, 0));
}

#[test]
#[ignore = "make replay SEED=…"]
#[expect(clippy::disallowed_methods, reason = "`make replay` names a history")]
fn replay() {
    let seed = std::env::var("SEED").unwrap().parse().unwrap();
    if std::env::var("HUNT").is_ok() {
        return crate::enemy::hunt::replay(seed);
    }
    let story = History::new(seed);
    println!("{story:#?}");
    if !fails(&story) {
        println!("nothing is violated");
        return;
    }
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let least = shrunk(story, fails);
    std::panic::set_hook(hook);
    println!("\nthe smallest that fails: {least:#?}");
    history(&least);
}
