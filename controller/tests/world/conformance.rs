//! The model of the shell that the small worlds explore, held to the shell itself: every write of a controller that ships
//! is one that the model makes there and then, with the same content, and at the end neither has anything left to do.
//!
//! Compared are statuses but for what only people read, calls with all their parameters, and the second of each. What the
//! small worlds leave out on purpose, and why that is sound:
//!
//! - Progress of snapshots, messages, times of conditions: no decision reads them. A write of nothing else is no effect.
//! - A sweep is as old as the decision that rests on it. Here a decision may rest on an older one, up to a minute; how
//!   often it did is printed. Between the two lies a state that the small worlds look at, too.
//! - Kubernetes is heard of at each instant, and here in passes: a process is alone up to one pass sooner.
//! - A call about a record is made once in 5 s; the shell waits longer from try to try. Whoever may act sooner reaches more.
//! - Of two that both think that they lead, the one whose start was refused says so and the other takes it back, by turns
//!   until the machine runs. It is a word for people, and there nobody says it.
//! - `DeregisterImage` leaves every snapshot, which is the harder of the two that EC2 may do; the simulator deletes them.
//! - The class is held by its finalizer all the time. A jump back to before that has its object wait for the class again
//!   (`NotChecked`), which delays a plan and forbids none: such jumps are not told here.
//! - A machine is asked about at any time: the turns in which the shell asks (`core::turns`) delay a plan, too.
//! - A look at EC2 takes no time. A read that a process sleeps in counts from before its sleep, so that the five seconds
//!   for which a record must be seen before the Stop may lie in it: such naps are not told here.
mod call;
mod replay;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use ec2sim::{Config, InstanceSeed, Sim, VolumeSeed};
use saved_template_api::{SavedTemplateStatus, names::debt_key};

use self::replay::Replay;
use crate::{
    chronicle::Kill,
    ec2::{HOME, on_instance, untag},
    enemy::rewind::{Jump, Manner},
    lab::{CLUSTER, Lab, START},
    mishap::{Harm, Mishap},
    oracle::is_settled,
    small::{
        cloud::ID,
        state::{self, Budget},
        world::World,
    },
    trace::{Deed, Entry, Lot},
};

/// What happens in one history.
#[derive(Debug, Clone, Default)]
struct Story {
    kind: &'static str,
    /// The object is deleted with its images.
    clears: bool,
    /// What people do, and when.
    people: Vec<(i64, Person)>,
    kill: Option<Kill>,
    mishap: Option<Mishap>,
    jump: Option<Jump>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Person {
    Stops,
    Starts,
    Wipes,
    Strips,
    Deletes,
}

/// A history of the shell.
struct Told {
    trace: Vec<Entry>,
    volume: String,
    /// In the order in which they appeared.
    snapshots: Vec<String>,
    /// Whether what was to happen did.
    is_met: bool,
}

/// EC2 as the small worlds have it.
fn account() -> Sim {
    let config = Config {
        stop: 20_000,
        start: 15_000,
        snapshot_lag: 4_000,
        snapshot: 50_000,
        image: 60_000,
        start_before_capture_fails_image: false,
        ..Config::default()
    };
    let mut sim = Sim::new(config);
    let seed = InstanceSeed {
        region: HOME.into(),
        name: Some(ID.into()),
        volumes: vec![VolumeSeed::new("/dev/sda1", 8)],
        ..InstanceSeed::default()
    };
    let id = sim.seed(START - 100_000_000 + 60_000, seed);
    assert_eq!(id, ID);
    sim
}

impl Story {
    fn world(&self) -> World {
        let budget = Budget { rewinds: u8::from(self.jump.is_some()), ..Budget::default() };
        if self.clears { World::clearing(1, budget) } else { World::new(1, 1, budget) }
    }

    fn of(kind: &'static str, clears: bool) -> Self {
        let people = if clears { vec![(200, Person::Deletes)] } else { Vec::new() };
        Self { kind, clears, people, ..Self::default() }
    }

    /// What the shell does in it.
    fn told(&self) -> Told {
        let spec = serde_json::to_string(&self.world().spec).unwrap();
        let mut lab = Lab::of(&spec, account(), ID.to_owned());
        {
            let (cluster, mut chronicle) = (lab.clusters[0].clone(), lab.chronicle());
            chronicle.trace.begins();
            chronicle.kill.extend(self.kill);
            chronicle.mishaps.planned.extend(self.mishap.clone());
            (chronicle.past.kept, chronicle.past.jump) = (self.jump.is_some(), self.jump);
            chronicle.keeps(&cluster);
        }
        let mut snapshots = Vec::new();
        for (second, person) in &self.people {
            while (lab.now() - START) / 1000 < *second {
                ticks(&mut lab, &mut snapshots);
            }
            happens(&lab, *person);
        }
        let (mut quiet, mut effects) = (0, 0);
        while quiet < QUIET {
            ticks(&mut lab, &mut snapshots);
            let rests = lab.object().is_none_or(|object| is_settled(&lab) && !object.deleting) && !lab.owes();
            let now = lab.effects().len() + lab.writes();
            quiet = if rests && now == effects { quiet + 1 } else { 0 };
            effects = now;
            assert!(lab.now() - START < LONGEST * 1000, "{self:?}\n{}", lab.history());
        }
        let trace = lab.chronicle().trace.take();
        let volume = lab.home().volumes.keys().next().unwrap().clone();
        let chronicle = lab.chronicle();
        let is_killed = self.kill.is_none_or(|kill| kill.effect < chronicle.effects.len());
        let is_met = is_killed && chronicle.mishaps.planned.is_empty() && chronicle.past.jump.is_none();
        Told { trace, volume, snapshots, is_met }
    }

    /// Compares: how many effects, and how many decisions on an older view; none where nothing happened.
    fn is_made(&self) -> Result<Option<(usize, usize)>, String> {
        let Told { trace, volume, snapshots, is_met } = self.told();
        let mut replay = Replay::new(self.world());
        replay.knows(&volume, &snapshots);
        for (at, entry) in trace.iter().enumerate() {
            replay.passes(entry.at.div_euclid(1000));
            if let Err(why) = replay.does(entry) {
                let shell = trace[..=at].iter().map(line).collect::<Vec<_>>().join("\n");
                let model = replay.history.join("\n");
                return Err(format!("{self:?}\n{why}\n\nthe shell:\n{shell}\n\nthe model:\n{model}"));
            }
        }
        replay.passes(trace.last().map_or(state::START, |last| last.at.div_euclid(1000)) + QUIET);
        if let Some(left) = replay.left() {
            let shell = trace.iter().map(line).collect::<Vec<_>>().join("\n");
            let model = replay.history.join("\n");
            return Err(format!("{self:?}\nat the end {left}\n\nthe shell:\n{shell}\n\nthe model:\n{model}"));
        }
        Ok(is_met.then_some((replay.compared, replay.aged)))
    }
}

/// For so many seconds nothing is done at the end.
const QUIET: i64 = 400;
const LONGEST: i64 = 6000;

fn ticks(lab: &mut Lab, snapshots: &mut Vec<String>) {
    lab.tick();
    let sim = lab.sim();
    let there = sim.place(ec2sim::ACCOUNT, HOME).unwrap().snapshots.keys();
    let new: Vec<String> = there.filter(|id| !snapshots.contains(id)).cloned().collect();
    snapshots.extend(new);
}

fn line(entry: &Entry) -> String {
    let second = (entry.at - START).div_euclid(1000);
    let deed = match &entry.deed {
        Deed::Status(status) => {
            let announced = status["announced"].as_array().into_iter().flatten().map(|row| &row["step"]);
            format!("status {:?}", announced.map(ToString::to_string).collect::<Vec<_>>())
        }
        Deed::Call(request, _) => request.action.clone(),
        Deed::Finalizer(_)
        | Deed::Death
        | Deed::GoesBack(_)
        | Deed::OwnerStops
        | Deed::OwnerStarts
        | Deed::Wipe
        | Deed::Strip
        | Deed::Delete => format!("{:?}", entry.deed),
    };
    format!("{second} {deed} {:?}", entry.lot)
}

fn happens(lab: &Lab, person: Person) {
    let id = lab.id.clone();
    let deed = match person {
        Person::Stops => {
            lab.users(&on_instance("StopInstances", &id));
            Deed::OwnerStops
        }
        Person::Starts => {
            lab.users(&on_instance("StartInstances", &id));
            Deed::OwnerStarts
        }
        Person::Wipes => {
            lab.edit(|object| object.status = SavedTemplateStatus::default());
            Deed::Wipe
        }
        Person::Deletes => {
            lab.delete();
            Deed::Delete
        }
        Person::Strips => {
            let key = debt_key(CLUSTER);
            let Some(value) = lab.instance().tags.get(&key).cloned() else { return };
            lab.user(&untag(&id, &key, &value));
            Deed::Strip
        }
    };
    let now = lab.now();
    lab.chronicle().trace.tells(now, deed, Lot::Heard);
}

const LABELS: [&str; 20] = [
    "finalizer",
    "finalizer off",
    "status",
    "settle",
    "announce TagRestartRecord",
    "announce StopInstances",
    "announce CreateImage",
    "announce RewriteRestartRecord",
    "announce TagImages",
    "announce DeregisterImage",
    "announce RemoveReceipt",
    "TagRestartRecord",
    "StopInstances",
    "CreateImage",
    "TagImages",
    "StartInstances",
    "RemoveRecord",
    "DeregisterImage",
    "RemoveReceipt",
    "RestoreRecord",
];

/// Naps in which a read began before the record was written.
const ASLEEP: [&str; 2] = ["announce TagRestartRecord", "TagRestartRecord"];
/// Jumps by so many writes after an effect that take the finalizer off the class.
const CLASS_IS_LET_GO: [(usize, usize); 3] = [(2, 1), (2, 2), (4, 2)];

fn stories() -> Vec<Story> {
    let mut all = vec![Story::of("a save", false)];
    for clears in [false, true] {
        for second in [1, 3, 6, 9, 12, 15, 20, 26, 30, 34, 36, 40, 50, 70, 80, 96, 110, 125, 140, 190, 260] {
            let people = vec![(second, Person::Deletes)];
            all.push(Story { people, ..Story::of("a deletion", clears) });
        }
        let effects = if clears { 24 } else { 18 };
        for effect in 0..effects {
            for after in [false, true] {
                all.push(Story { kill: Some(Kill { effect, after }), ..Story::of("a death", clears) });
            }
        }
        for label in LABELS {
            for (kind, harm) in [
                ("a lost reply", Harm::Lose),
                ("a dropped call", Harm::Drop),
                ("a nap", Harm::Nap),
                ("a sleep", Harm::Sleep),
            ] {
                if kind == "a nap" && ASLEEP.contains(&label) {
                    continue;
                }
                let mishap = Some(Mishap { label, nth: 1, harm });
                all.push(Story { mishap, ..Story::of(kind, clears) });
            }
        }
    }
    for second in (2..140).step_by(6) {
        let one = |kind, person| Story { people: vec![(second, person)], ..Story::of(kind, false) };
        all.push(one("a lost status", Person::Wipes));
        all.push(one("a stripped record", Person::Strips));
        all.push(one("the owner stops", Person::Stops));
        let people = vec![(second, Person::Stops), (second + 30, Person::Starts)];
        all.push(Story { people, ..Story::of("the owner stops and starts", false) });
    }
    for effect in 0..18 {
        for writes in [1, 2] {
            if CLASS_IS_LET_GO.contains(&(effect, writes)) {
                continue;
            }
            let manner = Manner { reuses: false, kills: effect % 2 == 1 };
            let jump = Some(Jump { effect, writes, manner });
            all.push(Story { jump, ..Story::of("an API server that goes back", false) });
        }
    }
    all
}

#[test]
fn every_write_of_the_controller_that_ships_is_one_that_the_small_worlds_make() {
    let (began, stories) = (Instant::now(), stories());
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let counts = Mutex::new(BTreeMap::<&str, [usize; 3]>::new());
    crate::random::on_every_core(&|| {
        while let Some(story) = stories.get(next.fetch_add(1, Relaxed)) {
            match story.is_made() {
                Ok(None) => {}
                Ok(Some((effects, aged))) => {
                    let mut counts = counts.lock().unwrap();
                    let count = counts.entry(story.kind).or_default();
                    *count = [count[0] + 1, count[1] + effects, count[2] + aged];
                }
                Err(why) => failed.lock().unwrap().push(why),
            }
        }
    });
    let (counts, failed) = (counts.into_inner().unwrap(), failed.into_inner().unwrap());
    println!("\n{:32}{:>10}{:>10}{:>12}", "histories of", "histories", "effects", "older views");
    for (kind, [histories, effects, aged]) in &counts {
        println!("{kind:32}{histories:>10}{effects:>10}{aged:>12}");
    }
    let sum = counts.values().fold([0; 3], |sum, one| [sum[0] + one[0], sum[1] + one[1], sum[2] + one[2]]);
    println!("{:32}{:>10}{:>10}{:>12}  in {:?}", "all", sum[0], sum[1], sum[2], began.elapsed());
    assert_eq!(counts.len(), 12, "each kind at least once");
    let first = failed.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(failed.is_empty(), "{} of {}:\n{first}", failed.len(), stories.len());
}
