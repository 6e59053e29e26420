//! The worlds that are explored, and the table of what came of it.
use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use stateright::{Checker, Model};

use crate::{
    MOST, SOUND,
    cloud::{PREMISES, REACHED},
    forger::{NAMES, NOTES},
    state::{Budget, START},
    world::World,
};

/// What exploring a world came to.
struct Explored {
    states: usize,
    depth: usize,
    /// The most steps to rest from any state.
    rests: usize,
    complete: bool,
    broken: Option<String>,
}

fn explore(world: World, most: usize) -> Explored {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = world.checker().threads(cores).target_state_count(most).spawn_bfs().join();
    let world = checker.model();
    let broken = checker.discovery(SOUND).map(|path| {
        let last = path.last_state();
        let (fault, second) = (world.fault(last), last.now - START);
        format!("{fault:?} at second {second} after {:?}", path.into_actions())
    });
    let rests = world.resting.lock().unwrap().values().copied().max().unwrap_or_default();
    let complete = broken.is_none() && checker.state_count() < most;
    Explored { states: checker.unique_state_count(), depth: checker.max_depth(), rests, complete, broken }
}

/// What exploring costs: states in a second.
fn pace(states: usize, took: Duration) -> u128 {
    u128::try_from(states).unwrap() * 1000 / took.as_millis().max(1)
}

fn table(worlds: Vec<(&str, World)>, most: usize) -> usize {
    println!(
        "\n{:74}{:>10}{:>7}{:>10}{:>10}{:>11}{:>9}{:>10}",
        "small world", "states", "depth", "rests in", "complete", "violations", "seconds", "states/s"
    );
    let (start, mut sum, mut violations, mut left) = (Instant::now(), 0, Vec::new(), Vec::new());
    for (name, world) in worlds {
        let began = Instant::now();
        let Explored { states, depth, rests, complete, broken } = explore(world, most);
        let (count, took) = (usize::from(broken.is_some()), began.elapsed());
        let (seconds, pace) = (took.as_secs(), pace(states, took));
        println!("{name:74}{states:>10}{depth:>7}{rests:>10}{complete:>10}{count:>11}{seconds:>9}{pace:>10}");
        sum += states;
        violations.extend(broken);
        left.extend((!complete).then_some(name));
    }
    let (seconds, pace) = (start.elapsed().as_secs(), pace(sum, start.elapsed()));
    println!("{:74}{sum:>10}{:>38}{seconds:>9}{pace:>10}", "all", "");
    println!("\n{:40}{:>12}", "premise", "times");
    for (premise, times) in PREMISES.iter().zip(&REACHED) {
        println!("{:40}{:>12}", format!("{premise:?}"), times.load(Relaxed));
    }
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(left.is_empty(), "not explored to their end: {left:?}");
    sum
}

#[test]
fn small_worlds_of_one_and_two_controllers_hold_every_invariant_in_every_order() {
    let no = Budget::default();
    table(
        vec![
            ("one controller, a death", World::new(1, 1, Budget { deaths: 1, ..no })),
            ("one controller, a lost reply", World::new(1, 1, Budget { losses: 1, ..no })),
            ("one controller, a lost status", World::new(1, 1, Budget { wipes: 1, ..no })),
            ("one controller, a deletion", World::new(1, 1, Budget { deletions: 1, ..no })),
            ("one controller, a stripped record", World::new(1, 1, Budget { strips: 1, ..no })),
            (
                "one controller, a death, a lost status, a stripped record",
                World::new(1, 1, Budget { deaths: 1, wipes: 1, strips: 1, ..no }),
            ),
            ("one controller, an API server that goes back", World::new(1, 1, Budget { rewinds: 1, ..no })),
            ("one controller, a deletion with its images", World::clearing(1, no)),
            ("one controller, the owner stops and starts", World::new(1, 1, Budget { stops: 1, ..no })),
        ],
        60_000,
    );
}

#[test]
fn a_small_world_with_a_writer_of_tags_holds_every_law_to_its_end() {
    let budget = Budget { forgeries: 1, deaths: 1, ..Budget::default() };
    let worlds = NOTES.chunks(1).zip(NAMES);
    let worlds = worlds.map(|(notes, name)| (name, World { notes, ..World::new(1, 1, budget) }));
    table(worlds.collect(), 200_000);
}

#[test]
#[ignore = "minutes: make model"]
fn small_worlds_at_length() {
    let no = Budget::default();
    let states = table(
        vec![
            (
                "one controller, two deaths, two lost replies",
                World::new(1, 1, Budget { deaths: 2, losses: 2, ..no }),
            ),
            ("one controller, a nap, a lost reply", World::new(1, 1, Budget { naps: 1, losses: 1, ..no })),
            (
                "one controller, a death, the owner stops and starts",
                World::new(1, 1, Budget { deaths: 1, stops: 1, ..no }),
            ),
            ("one controller, a nap, a lost status", World::new(1, 1, Budget { naps: 1, wipes: 1, ..no })),
            ("one controller, a nap, a deletion", World::new(1, 1, Budget { naps: 1, deletions: 1, ..no })),
            (
                "one controller, a death, a lost status, a stripped record",
                World::new(1, 1, Budget { deaths: 1, wipes: 1, strips: 1, ..no }),
            ),
            (
                "one controller, a death, an API server that goes back",
                World::new(1, 1, Budget { deaths: 1, rewinds: 1, ..no }),
            ),
            (
                "one controller, a forged record, the owner stops and starts",
                World::new(1, 1, Budget { forgeries: 1, stops: 1, ..no }),
            ),
            (
                "one controller, a forged record, a lost reply",
                World::new(1, 1, Budget { forgeries: 1, losses: 1, ..no }),
            ),
            ("one controller, two forged records", World::new(1, 1, Budget { forgeries: 2, ..no })),
            ("two controllers, a forged record", World::new(1, 2, Budget { forgeries: 1, ..no })),
            (
                "one controller, an API server that goes back twice",
                World::new(1, 1, Budget { rewinds: 2, ..no }),
            ),
            (
                "one controller, the owner stops and starts, an API server that goes back",
                World::new(1, 1, Budget { stops: 1, rewinds: 1, ..no }),
            ),
            (
                "one controller, a nap, an API server that goes back",
                World::new(1, 1, Budget { naps: 1, rewinds: 1, ..no }),
            ),
            (
                "one controller, a deletion with images, an API server that goes back",
                World::clearing(1, Budget { rewinds: 1, ..no }),
            ),
            ("two controllers, an API server that goes back", World::new(1, 2, Budget { rewinds: 1, ..no })),
            ("two templates, an API server that goes back", World::new(2, 1, Budget { rewinds: 1, ..no })),
            (
                "one controller, a lost status, a deletion",
                World::new(1, 1, Budget { wipes: 1, deletions: 1, ..no }),
            ),
            (
                "one controller, a death, a lost reply, a deletion with images",
                World::clearing(1, Budget { deaths: 1, losses: 1, ..no }),
            ),
            ("one controller, a nap, a deletion with images", World::clearing(1, Budget { naps: 1, ..no })),
            (
                "one controller, a lost status, a deletion with images",
                World::clearing(1, Budget { wipes: 1, ..no }),
            ),
            ("two controllers, a deletion with images", World::clearing(2, no)),
            ("two controllers", World::new(1, 2, no)),
            ("two controllers, a death", World::new(1, 2, Budget { deaths: 1, ..no })),
            ("two controllers, a lost reply", World::new(1, 2, Budget { losses: 1, ..no })),
            ("two controllers, a nap", World::new(1, 2, Budget { naps: 1, ..no })),
            ("two controllers, a nap, a lost reply", World::new(1, 2, Budget { naps: 1, losses: 1, ..no })),
            (
                "two controllers, a death, a lost reply",
                World::new(1, 2, Budget { deaths: 1, losses: 1, ..no }),
            ),
            ("two controllers, a lost status", World::new(1, 2, Budget { wipes: 1, ..no })),
            ("two controllers, a deletion", World::new(1, 2, Budget { deletions: 1, ..no })),
            ("two controllers, a stripped record", World::new(1, 2, Budget { strips: 1, ..no })),
            ("two controllers, the owner stops and starts", World::new(1, 2, Budget { stops: 1, ..no })),
            ("two templates on one machine", World::new(2, 1, no)),
            ("two templates, a death", World::new(2, 1, Budget { deaths: 1, ..no })),
            ("two templates, a lost status", World::new(2, 1, Budget { wipes: 1, ..no })),
            ("two templates, a deletion", World::new(2, 1, Budget { deletions: 1, ..no })),
            ("two templates, the owner stops and starts", World::new(2, 1, Budget { stops: 1, ..no })),
        ],
        MOST,
    );
    assert!(states >= 1_000_000, "{states}");
    let missed = PREMISES.iter().zip(&REACHED).filter(|(_, times)| times.load(Relaxed) == 0);
    let missed: Vec<_> = missed.map(|(premise, _)| premise).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
}
