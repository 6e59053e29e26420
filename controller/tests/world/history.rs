//! Random histories: what is wanted, what people do meanwhile, and what goes wrong. A seed decides all of it.
use ec2sim::{ACCOUNT, Effect, Fault};
use serde_json::{Value, json};

use crate::{
    ec2::HOME,
    enemy::{rewind::Jump, tags::seed_account},
    incident::{Incident, rest_before, seed_others},
    lab::{self, Lab, START},
    mishap::{HARMS, Mishap},
    truth::Wish,
};

pub(crate) const FAR: [&str; 2] = ["us-west-1", "us-east-2"];

/// How the machine is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Stop,
    StopUntilAvailable,
    Reboot,
    NoReboot,
    StoppedAlready,
}

pub(crate) const WAYS: [Way; 5] =
    [Way::Stop, Way::StopUntilAvailable, Way::Reboot, Way::NoReboot, Way::StoppedAlready];

const DEEDS: [Incident; 16] = [
    Incident::NewRevision,
    Incident::OlderRevision,
    Incident::MoreRegions,
    Incident::FewerRegions,
    Incident::EditTags,
    Incident::RemoveTags,
    Incident::Suspend,
    Incident::Delete,
    Incident::ForceDelete,
    Incident::WipeStatus,
    Incident::StripRecord,
    Incident::StripAllTags,
    Incident::UserStops,
    Incident::UserStarts,
    Incident::UserTerminates,
    Incident::ApiGoes,
];

/// What EC2 itself does to this save.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Misfortune {
    ImageFails,
    SnapshotFails,
    SnapshotsNeverBegin,
    StopSticks,
    NoCapacity,
    CopyFails,
}

const MISFORTUNES: [Misfortune; 6] = [
    Misfortune::ImageFails,
    Misfortune::SnapshotFails,
    Misfortune::SnapshotsNeverBegin,
    Misfortune::StopSticks,
    Misfortune::NoCapacity,
    Misfortune::CopyFails,
];

/// Everything that a history is made of.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "what is in a history, not modes")]
pub(crate) struct History {
    pub(crate) seed: u64,
    pub(crate) way: Way,
    pub(crate) regions: usize,
    pub(crate) deletes: bool,
    pub(crate) mishaps: Vec<Mishap>,
    pub(crate) incidents: Vec<(i64, Incident)>,
    pub(crate) misfortune: Option<Misfortune>,
    /// How old a read may be.
    pub(crate) lag: i64,
    /// A second controller that thinks that it leads.
    pub(crate) twin: bool,
    pub(crate) standby: bool,
    pub(crate) back_after: i64,
    pub(crate) stop_seconds: i64,
    /// Until a snapshot of a new image begins.
    pub(crate) begin_seconds: i64,
    /// Where the API server goes back.
    pub(crate) jump: Option<Jump>,
    /// There are enemies, and things for them to act on.
    pub(crate) hunted: bool,
}

/// Every effect that a mishap can meet.
pub(crate) const LABELS: [&str; 50] = [
    "finalizer",
    "status",
    "settle",
    "announce TagRestartRecord",
    "TagRestartRecord",
    "announce StopInstances",
    "StopInstances",
    "announce CreateImage",
    "CreateImage",
    "StartInstances",
    "RemoveRecord",
    "announce CopyImage",
    "CopyImage",
    "announce RewriteRestartRecord",
    "RewriteRestartRecord",
    "announce WithdrawRestartRecord",
    "WithdrawRestartRecord",
    "announce ForceStopInstances",
    "ForceStopInstances",
    "announce TagImages",
    "TagImages",
    "announce UntagImages",
    "UntagImages",
    "announce ModifyImageAttribute",
    "ModifyImageAttribute",
    "announce DeregisterImage",
    "DeregisterImage",
    "announce DeleteSnapshot",
    "DeleteSnapshot",
    "announce RemoveReceipt",
    "RemoveReceipt",
    "finalizer off",
    "RestoreRecord",
    "AbortAlone",
    // The same again: a save has many of them, or hardly ever one.
    "status",
    "StopInstances",
    "CreateImage",
    "StartInstances",
    "WithdrawRestartRecord",
    "WithdrawRestartRecord",
    "announce WithdrawRestartRecord",
    "announce WithdrawRestartRecord",
    "DeleteSnapshot",
    "DeleteSnapshot",
    "DeleteSnapshot",
    "DeleteSnapshot",
    "announce DeleteSnapshot",
    "announce DeleteSnapshot",
    "announce DeleteSnapshot",
    "announce DeleteSnapshot",
];

/// The next number of a sequence that its seed decides.
pub(crate) fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        draw(&mut self.0) % sides
    }

    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.roll(u64::try_from(to - from + 1).unwrap())).unwrap()
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.roll(u64::try_from(all.len()).unwrap())).unwrap()]
    }
}

impl History {
    /// Nothing goes wrong.
    pub(crate) fn plain(way: Way, regions: usize) -> Self {
        Self {
            seed: 0,
            way,
            regions,
            deletes: false,
            mishaps: Vec::new(),
            incidents: Vec::new(),
            misfortune: None,
            lag: 0,
            twin: false,
            standby: false,
            back_after: 5,
            stop_seconds: 30,
            begin_seconds: 4,
            jump: None,
            hunted: false,
        }
    }

    /// The first mishap is drawn, then a story in which it can happen, then whatever else.
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(7));
        (0..4).for_each(|_| _ = dice.roll(2));
        let label = dice.one_of(&LABELS);
        let mishap = |dice: &mut Dice, label, most| {
            let nth = 1 + u32::try_from(dice.roll(most)).unwrap();
            Mishap { label, nth, harm: dice.one_of(&HARMS) }
        };
        let mut story = Self {
            seed,
            deletes: dice.roll(2) == 0,
            mishaps: vec![mishap(&mut dice, label, if label == "status" { 10 } else { 1 })],
            lag: if dice.roll(2) == 0 { 0 } else { dice.between(1, 6) },
            twin: dice.roll(3) == 0,
            standby: dice.roll(3) == 0,
            back_after: dice.between(1, 40),
            stop_seconds: dice.one_of(&[12, 30, 30, 50]),
            ..Self::plain(dice.one_of(&WAYS), usize::try_from(dice.roll(3)).unwrap())
        };
        let second = dice.one_of(&LABELS);
        story.mishaps.push(mishap(&mut dice, second, 3));
        story.suit(label, &mut dice);
        for _ in 0..dice.roll(3) {
            let latest = if dice.roll(2) == 0 { 80 } else { 420 };
            let (at, incident) = (dice.between(1, latest), dice.one_of(&DEEDS));
            story.does(at, incident, &mut dice);
        }
        if dice.roll(8) == 0 {
            story.misfortune = story.misfortune.or(Some(dice.one_of(&MISFORTUNES)));
        }
        story.incidents.sort_unstable();
        story
    }

    fn does(&mut self, at: i64, incident: Incident, dice: &mut Dice) {
        self.incidents.push((at, incident));
        let undone = [
            (Incident::Suspend, Incident::Resume, true),
            (Incident::ApiGoes, Incident::ApiReturns, true),
            (Incident::UserStops, Incident::UserStarts, dice.roll(2) == 0),
            (Incident::NewRevision, Incident::OlderRevision, dice.roll(2) == 0),
        ];
        if let Some((_, undone, _)) = undone.into_iter().find(|(one, _, is)| *one == incident && *is) {
            self.incidents.push((at + dice.between(2, 200), undone));
        }
    }

    /// Makes the effect of this name likely.
    fn suit(&mut self, label: &str, dice: &mut Dice) {
        let effect = label.strip_prefix("announce ").unwrap_or(label);
        match effect {
            "StopInstances" | "StartInstances" | "CreateImage" if self.way > Way::StopUntilAvailable => {
                self.way = Way::Stop;
            }
            "CopyImage" => self.regions = self.regions.max(1),
            "RewriteRestartRecord" | "ForceStopInstances" => {
                self.way = Way::Stop;
                self.misfortune = Some(Misfortune::StopSticks);
            }
            "WithdrawRestartRecord" => {
                self.way = Way::Stop;
                let at = dice.between(4, 14);
                self.incidents.push((at, Incident::UserStops));
            }
            "TagImages" | "ModifyImageAttribute" => self.incidents.push((300, Incident::EditTags)),
            "UntagImages" => self.incidents.extend([(1, Incident::EditTags), (320, Incident::RemoveTags)]),
            "DeregisterImage" | "RemoveReceipt" | "finalizer off" => {
                self.deletes = true;
                let at = dice.between(60, 400);
                self.incidents.push((at, Incident::Delete));
            }
            "DeleteSnapshot" => {
                self.deletes = true;
                if dice.roll(4) == 0 {
                    self.misfortune = Some(Misfortune::SnapshotFails);
                    self.incidents.push((240, Incident::Delete));
                } else {
                    // They appear once their image is deregistered.
                    self.way = dice.one_of(&[Way::NoReboot, Way::StoppedAlready]);
                    self.begin_seconds = 60;
                    let at = dice.between(20, 60);
                    self.incidents.push((at, Incident::Delete));
                }
            }
            // Its owner stops the machine once it is given back, before its record is off it.
            "RemoveRecord" => {
                let at = dice.between(55, 110);
                self.incidents.push((at, Incident::UserStops));
            }
            "RestoreRecord" => {
                (self.way, self.stop_seconds) = (dice.one_of(&[Way::Stop, Way::StopUntilAvailable]), 30);
                let at = dice.between(44, 50);
                self.incidents.push((at, Incident::StripRecord));
            }
            "AbortAlone" => {
                (self.way, self.stop_seconds) = (Way::Stop, 50);
                let at = dice.between(18, 26);
                self.incidents.extend([(at, Incident::ApiGoes), (at + 60, Incident::ApiReturns)]);
            }
            _ => {}
        }
    }

    pub(crate) fn spec(&self, regions: usize, tags: bool) -> Value {
        let capture = match self.way {
            Way::Stop | Way::StoppedAlready => json!({}),
            Way::StopUntilAvailable => json!({"restartWhen": "ImageAvailable"}),
            Way::Reboot => json!({"mode": "Reboot"}),
            Way::NoReboot => json!({"mode": "NoReboot"}),
        };
        let mut spec = json!({
            "source": {"region": HOME, "instanceName": "quake"},
            "regions": FAR[..regions].iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
            "deletionPolicy": if self.deletes { "Delete" } else { "Retain" },
            "removedRegionPolicy": if self.deletes { "Delete" } else { "Retain" },
            "capture": capture,
        });
        if self.misfortune == Some(Misfortune::StopSticks) {
            spec["capture"]["stop"] = json!({"timeoutSeconds": 60, "onTimeout": "Force"});
        }
        if tags {
            spec["tags"] = json!([{"key": "team", "value": "geo"}]);
            spec["description"] = json!("edited");
        }
        spec
    }

    /// The world in which it happens.
    pub(crate) fn lab(&self) -> Lab {
        let (mut sim, id) = lab::account();
        sim.config_mut().stop = self.stop_seconds * 1000;
        sim.config_mut().snapshot_lag = self.begin_seconds * 1000;
        let others = if self.hunted { seed_account(&mut sim, &id) } else { seed_others(&mut sim) };
        if self.way == Way::StoppedAlready {
            rest_before(&mut sim, &id);
        }
        sim.advance(START);
        let before = sim.place(ACCOUNT, HOME).cloned();
        let mut lab = Lab::of(&self.spec(self.regions, false).to_string(), sim, id);
        (lab.others, lab.back_after) = (before.filter(|_| !self.hunted), Some(self.back_after));
        lab.stale_reads(self.lag, self.seed);
        if self.twin {
            lab.adds_a_twin();
        }
        if self.standby {
            lab.adds_a_standby();
        }
        {
            let mut chronicle = lab.chronicle();
            chronicle.mishaps.planned.clone_from(&self.mishaps);
            let goes_back = |(_, incident): &(i64, Incident)| matches!(incident, Incident::ApiGoesBack(..));
            chronicle.past.jump = self.jump;
            chronicle.past.kept = self.jump.is_some() || self.incidents.iter().any(goes_back);
            (chronicle.watch.on, chronicle.watch.others) = (self.hunted, others);
            if self.way == Way::StoppedAlready {
                chronicle.truth.wish = Wish::Rests;
            }
        }
        let fault = match self.misfortune {
            None => None,
            Some(Misfortune::ImageFails) => Some(("CreateImage", fail_image())),
            Some(Misfortune::CopyFails) => Some(("CopyImage", fail_image())),
            Some(Misfortune::SnapshotFails) => {
                let effect = Effect::FailSnapshots { device: None, message: "x".into(), after_ms: None };
                Some(("CreateImage", effect))
            }
            Some(Misfortune::SnapshotsNeverBegin) => Some(("CreateImage", Effect::NoSnapshots)),
            Some(Misfortune::StopSticks) => Some(("StopInstances", Effect::StickStopping)),
            Some(Misfortune::NoCapacity) => {
                let code = "InsufficientInstanceCapacity".to_owned();
                Some(("StartInstances", Effect::Refuse { code, message: String::new(), status: None }))
            }
        };
        if let Some((operation, effect)) = fault {
            lab.sim().add_fault(Fault::new(operation, effect).nth(1));
        }
        lab
    }
}

fn fail_image() -> Effect {
    Effect::FailImage { code: "Client.Bad".into(), message: "x".into(), after_ms: None }
}
