//! Random histories with enemies in them: what they do is drawn, and a seed decides all of it.
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use ec2sim::InstanceState;

use super::{
    laws::Court,
    rewind::MANNERS,
    status::{LIES, Lie},
    tags::{CLAIMS, Forgery, NOTES},
};
use crate::{
    counts::Tally,
    history::{Dice, History, LABELS, WAYS, Way},
    incident::Incident,
    lab::Lab,
    mishap::{HARMS, Mishap},
    random::{on_every_core, shrunk},
    truth::Wish,
};

/// Two limits, and every pause between tries.
pub(crate) const SETTLES: i64 = 6000;
/// Nobody keeps us busy: at rest so many effects an hour at the most.
const BUSY: usize = 130;

/// How many must have ended, and how often each thing must have been tried.
const HUNTS: u64 = 20_000;
const EACH: u64 = 20;

/// Who acts.
const PLAYERS: [&str; 5] = ["tag writer", "status writer", "namesake", "cluster that forgets", "backup tool"];

fn player(incident: Incident) -> Option<&'static str> {
    Some(match incident {
        Incident::Forge(_) => PLAYERS[0],
        Incident::Lie(_) => PLAYERS[1],
        Incident::Twin => PLAYERS[2],
        Incident::ApiGoesBack(..) | Incident::ForgetStop => PLAYERS[3],
        Incident::BackUp => PLAYERS[4],
        Incident::NewRevision
        | Incident::OlderRevision
        | Incident::MoreRegions
        | Incident::FewerRegions
        | Incident::EditTags
        | Incident::RemoveTags
        | Incident::Suspend
        | Incident::Resume
        | Incident::Delete
        | Incident::ForceDelete
        | Incident::WipeStatus
        | Incident::StripRecord
        | Incident::StripAllTags
        | Incident::UserStops
        | Incident::UserStarts
        | Incident::UserTerminates
        | Incident::ApiGoes
        | Incident::ApiReturns => return None,
    })
}

fn forgery(dice: &mut Dice) -> Forgery {
    let which = u8::try_from(dice.roll(24)).unwrap();
    // What is told of the capture that runs is the most that a tag can say.
    let claim =
        |dice: &mut Dice| if dice.roll(3) == 0 { dice.one_of(&CLAIMS[..2]) } else { dice.one_of(&CLAIMS) };
    match dice.roll(12) {
        0..4 => Forgery::Record(dice.one_of(&NOTES), which),
        4 => Forgery::Receipt(dice.one_of(&[1, 2, i32::MAX])),
        5 => Forgery::Rename(which, dice.roll(2) == 0),
        6..9 => Forgery::Image(claim(dice), which),
        9..11 => Forgery::Snapshot(claim(dice), which),
        _ => Forgery::Abroad(dice.one_of(&CLAIMS)),
    }
}

fn act(dice: &mut Dice) -> Incident {
    match dice.roll(10) {
        0..6 => Incident::Forge(forgery(dice)),
        6 => {
            let which = u8::try_from(dice.roll(8)).unwrap();
            Incident::Lie(match dice.one_of(&LIES) {
                Lie::DebtOfAnother(_) => Lie::DebtOfAnother(which),
                Lie::SourceIsAnother(_) => Lie::SourceIsAnother(which),
                Lie::Serves(_) => Lie::Serves(which),
                Lie::RowIsAnothers(_) => Lie::RowIsAnothers(which),
                lie @ (Lie::NoDebt | Lie::StopAsked | Lie::OtherVolumes) => lie,
            })
        }
        7 => Incident::Twin,
        8 if dice.roll(4) == 0 => Incident::ForgetStop,
        8 => Incident::ApiGoesBack(u8::try_from(1 + dice.roll(6)).unwrap(), dice.one_of(&MANNERS)),
        _ => Incident::BackUp,
    }
}

impl History {
    /// One to four acts of enemies, now and then an accident or somebody's wish.
    pub(crate) fn hunted(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(11));
        (0..4).for_each(|_| _ = dice.roll(2));
        let way = if dice.roll(2) == 0 { Way::Stop } else { dice.one_of(&WAYS) };
        let mut story = Self {
            seed,
            hunted: true,
            deletes: dice.roll(2) == 0,
            lag: if dice.roll(3) > 0 { 0 } else { dice.between(1, 6) },
            twin: dice.roll(6) == 0,
            standby: dice.roll(6) == 0,
            back_after: dice.between(1, 40),
            stop_seconds: dice.one_of(&[12, 30, 30, 50]),
            ..Self::plain(way, usize::try_from(dice.roll(3)).unwrap())
        };
        if dice.roll(3) == 0 {
            let harm = dice.one_of(&HARMS);
            story.mishaps.push(Mishap { label: dice.one_of(&LABELS), nth: 1, harm });
        }
        for _ in 0..=dice.roll(4) {
            let latest = if dice.roll(3) > 0 { 100 } else { 420 };
            let at = dice.between(1, latest);
            story.incidents.push((at, act(&mut dice)));
        }
        let wishes = [
            Incident::NewRevision,
            Incident::Delete,
            Incident::WipeStatus,
            Incident::UserStops,
            Incident::EditTags,
        ];
        if dice.roll(2) == 0 {
            let at = dice.between(1, 420);
            story.incidents.push((at, dice.one_of(&wishes)));
        }
        story.incidents.sort_unstable();
        story
    }
}

/// One history.
pub(crate) fn hunt(story: &History) -> Tally {
    let (lab, start) = ended(story, SETTLES);
    tally(story, &lab, start)
}

/// The world at its end: after so many seconds in which nobody does anything, and an hour more. And when it began.
pub(crate) fn ended(story: &History, settles: i64) -> (Lab, i64) {
    let mut lab = story.lab();
    let start = lab.now();
    for (second, incident) in &story.incidents {
        lab.run(second - (lab.now() - start) / 1000);
        story.happens(&mut lab, *incident);
    }
    lab.run(400);
    lab.heal();
    lab.run(settles);
    let effects = lab.effects().len();
    lab.run(3600);
    let busy = lab.effects().len() - effects;
    assert!(busy < BUSY, "{busy} effects in an hour of rest\n{}", lab.history());
    judge(&lab);
    (lab, start)
}

fn tally(story: &History, lab: &Lab, start: i64) -> Tally {
    let mut tally = Tally { histories: 1, seconds: (lab.now() - start) / 1000, ..Tally::default() };
    lab.mishaps().notes.iter().for_each(|(what, times)| tally.count(what, *times));
    for player in PLAYERS {
        let acted = story.incidents.iter().any(|(_, incident)| self::player(*incident) == Some(player));
        tally.count(player, u64::from(acted));
    }
    tally.count("= every copy of the record destroyed", u64::from(lab.truth().forgotten));
    tally.count("= owner's stop in the window of a real record", lab.truth().unknowing);
    tally
}

fn judge(lab: &Lab) {
    let state = lab.instance().state;
    let wanted = match lab.truth().wish {
        Wish::Runs => state == InstanceState::Running || lab.truth().forgotten,
        Wish::Rests => state == InstanceState::Stopped,
        Wish::Gone => true,
    };
    assert!(wanted, "{:?} is wanted, and it is {state:?}\n{}", lab.truth().wish, lab.history());
    let said = ["Ready", "Stalled", "Reconciling"].iter().any(|kind| lab.condition(kind).0 == "True")
        || lab.condition("Ready").1 == "Suspended";
    if let Some(object) = lab.object() {
        let (chronicle, sim) = (&mut *lab.chronicle(), lab.sim());
        Court { sim: &sim, chronicle, cluster: 0 }.lawful_status(&object.status);
    }
    assert!(lab.object().is_none() || said, "nothing is said\n{}", lab.history());
}

fn fails(story: &History) -> bool {
    catch_unwind(AssertUnwindSafe(|| hunt(story))).is_err()
}

/// Runs histories until so many have failed; these, and what each breaks.
fn run(seeds: std::ops::Range<u64>, most: usize) -> (Tally, Vec<(u64, String)>) {
    let (next, sum, failed) =
        (AtomicU64::new(seeds.start), Mutex::new(Tally::default()), Mutex::new(Vec::new()));
    on_every_core(&|| {
        let mut mine = Tally::default();
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds.end || failed.lock().unwrap().len() >= most {
                break;
            }
            match catch_unwind(AssertUnwindSafe(|| hunt(&History::hunted(seed)))) {
                Ok(tally) => mine.add(&tally),
                Err(why) => {
                    let text = why.downcast_ref::<String>().map(String::as_str).unwrap_or_default();
                    let law = text.lines().next().unwrap_or_default().to_owned();
                    eprintln!("violated: make replay HUNT=1 SEED={seed}");
                    failed.lock().unwrap().push((seed, law));
                }
            }
        }
        sum.lock().unwrap().add(&mine);
    });
    (sum.into_inner().unwrap(), failed.into_inner().unwrap())
}

/// Everything that is tried.
fn alphabet() -> Vec<&'static str> {
    let notes = NOTES.map(|note| Forgery::Record(note, 0));
    let claims = CLAIMS
        .iter()
        .flat_map(|claim| [Forgery::Image(*claim, 0), Forgery::Snapshot(*claim, 0), Forgery::Abroad(*claim)]);
    let others = [Forgery::Receipt(1), Forgery::Rename(0, false), Forgery::Rename(0, true)];
    let forged = notes.into_iter().chain(claims).chain(others).map(Forgery::name);
    forged.chain(LIES.map(Lie::name)).chain(PLAYERS).collect()
}

fn table(tally: &Tally) {
    println!("\n{:48}{:>12}", "enemy", "times");
    tally.premises.iter().for_each(|(what, times)| println!("{what:48}{times:>12}"));
    println!("{:48}{:>12}", "virtual days", tally.seconds / 86_400);
}

#[test]
fn whoever_writes_tags_or_statuses_or_is_a_namesake_starts_serves_copies_tags_and_deletes_nothing_through_us()
{
    let (tally, failed) = run(0..200, 5);
    table(&tally);
    assert!(failed.is_empty(), "make replay HUNT=1 SEED=…: {failed:#?}");
}

#[test]
#[ignore = "minutes: make model"]
fn hunts() {
    let began = Instant::now();
    let (tally, failed) = run(1_000..1_000 + HUNTS, 5);
    table(&tally);
    println!(
        "random histories with enemies ({:.0} s): {} histories, {} violations",
        began.elapsed().as_secs_f64(),
        tally.histories,
        failed.len()
    );
    assert!(failed.is_empty(), "make replay HUNT=1 SEED=…: {failed:#?}");
    assert!(tally.histories >= HUNTS);
    let rare =
        alphabet().into_iter().map(|what| (what, tally.premises.get(what).copied().unwrap_or_default()));
    let rare: Vec<_> = rare.filter(|(_, times)| *times < EACH).collect();
    assert!(rare.is_empty(), "hardly ever tried: {rare:?}");
}

/// The smallest of one that failed.
pub(crate) fn replay(seed: u64) {
    let story = History::hunted(seed);
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
    hunt(&least);
}
