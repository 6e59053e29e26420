//! A writer of tags: who may call CreateTags and nothing else, on whatever the account has, at any second.
use ec2sim::{InstanceSeed, Request, Sim};
use saved_template_api::names::{Owner, SAVED_TEMPLATE, debt_key, receipts_key, source_digest, tag};
use saved_template_core::restart::{Awaits, Record};

use crate::{
    ec2::{HOME, call, on_instance, tag_all},
    lab::{CLUSTER, Lab, NAME, NAMESPACE, START},
};

/// The year 9987: the largest time that EC2 and we can write.
const FAR: i64 = 253_000_000_000;
/// Where the account has a copy of its own.
const ABROAD: &str = "us-west-1";

/// One forgery. The number picks one of the things that it can be put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Forgery {
    Record(Note, u8),
    Receipt(i32),
    /// A machine is named as the source is; the source may lose its name.
    Rename(u8, bool),
    Image(Claim, u8),
    Snapshot(Claim, u8),
    Abroad(Claim),
}

/// What stands in a forged record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Note {
    /// A legal one that hits the last stop.
    Right,
    /// It hits the last stop, and its other times are nonsense.
    Unbounded,
    Future,
    OtherCapture,
    OtherCaptureFar,
    SameCaptureFar,
    SameCaptureLate,
    SameCaptureSoon,
    NoVolumes,
    FewerVolumes,
    /// Ours to the letter, but for one word.
    ButAClaim,
    ButHasty,
    ButOfManyVolumes,
    /// As a hard stop, or an abort, makes it.
    ButForced,
    ButForcedLate,
    ButAborted,
    Illegible,
    AnotherKey,
    Copied,
    /// Legal, with the capture of ours, on another machine.
    OursElsewhere,
}

pub(crate) const NOTES: [Note; 20] = [
    Note::Right,
    Note::Unbounded,
    Note::Future,
    Note::OtherCapture,
    Note::OtherCaptureFar,
    Note::SameCaptureFar,
    Note::SameCaptureLate,
    Note::SameCaptureSoon,
    Note::NoVolumes,
    Note::FewerVolumes,
    Note::ButAClaim,
    Note::ButHasty,
    Note::ButOfManyVolumes,
    Note::ButForced,
    Note::ButForcedLate,
    Note::ButAborted,
    Note::Illegible,
    Note::AnotherKey,
    Note::Copied,
    Note::OursElsewhere,
];

/// What tags say that a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claim {
    /// Of the capture that runs: its id is readable on the machine.
    Running,
    /// The same, and what would contradict the source is not said.
    RunningWithoutSource,
    Wanted,
    Next,
    Largest,
    AdoptedFrom,
    Failed,
    Retained,
    Holder,
    OfNobody,
}

pub(crate) const CLAIMS: [Claim; 10] = [
    Claim::Running,
    Claim::RunningWithoutSource,
    Claim::Wanted,
    Claim::Next,
    Claim::Largest,
    Claim::AdoptedFrom,
    Claim::Failed,
    Claim::Retained,
    Claim::Holder,
    Claim::OfNobody,
];

impl Forgery {
    /// For the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Record(note, _) => match note {
                Note::Right => "record: legal, hits the stop",
                Note::Unbounded => "record: hits the stop, unbounded",
                Note::Future => "record: in the future",
                Note::OtherCapture => "record: another capture, legal",
                Note::OtherCaptureFar => "record: another capture, year 9987",
                Note::SameCaptureFar => "record: same capture, year 9987",
                Note::SameCaptureLate => "record: same capture, a day later",
                Note::SameCaptureSoon => "record: same capture, m sooner, d far",
                Note::NoVolumes => "record: no volumes",
                Note::FewerVolumes => "record: fewer volumes",
                Note::ButAClaim => "record: ours, as if we had stopped nothing",
                Note::ButHasty => "record: ours, with an s that our stop missed",
                Note::ButOfManyVolumes => "record: ours, of more volumes",
                Note::ButForced => "record: ours, to be stopped the hard way now",
                Note::ButForcedLate => "record: ours, to be stopped the hard way before d",
                Note::ButAborted => "record: ours, given up",
                Note::Illegible => "record: illegible",
                Note::AnotherKey => "record: under another key",
                Note::Copied => "record: copied from another machine",
                Note::OursElsewhere => "record: of our capture, on another machine",
            },
            Self::Receipt(_) => "receipt",
            Self::Rename(_, false) => "Name on a second machine",
            Self::Rename(_, true) => "Name on another machine instead",
            Self::Image(claim, _) => claim.name("image"),
            Self::Snapshot(claim, _) => claim.name("snapshot"),
            Self::Abroad(claim) => claim.name("abroad"),
        }
    }
}

impl Claim {
    fn name(self, what: &str) -> &'static str {
        let at = CLAIMS.iter().position(|one| *one == self).unwrap();
        let names = [
            ["image: running capture", "snapshot: running capture", "abroad: running capture"],
            ["image: running, no source", "snapshot: running, no source", "abroad: running, no source"],
            ["image: wanted revision", "snapshot: wanted revision", "abroad: wanted revision"],
            ["image: next revision", "snapshot: next revision", "abroad: next revision"],
            ["image: largest revision", "snapshot: largest revision", "abroad: largest revision"],
            ["image: adopted-from", "snapshot: adopted-from", "abroad: adopted-from"],
            ["image: failed", "snapshot: failed", "abroad: failed"],
            ["image: retained", "snapshot: retained", "abroad: retained"],
            ["image: holder", "snapshot: holder", "abroad: holder"],
            ["image: owner tags off", "snapshot: owner tags off", "abroad: owner tags off"],
        ];
        let column = ["image", "snapshot", "abroad"].iter().position(|one| *one == what).unwrap();
        names[at][column]
    }
}

/// What the account has beside: machines at rest, a backup image of the same machine, copies without a source instance at
/// home and abroad, snapshots whose image is gone. The machines.
pub(crate) fn seed_account(sim: &mut Sim, id: &str) -> Vec<String> {
    let old = START - 9 * 86_400_000;
    let made = |sim: &mut Sim, at: i64, region: &str, request: &Request| -> String {
        let reply = call(sim, at, region, request);
        assert_eq!(reply.code, None, "{}", reply.body);
        reply.text("imageId").unwrap_or_default().to_owned()
    };
    let others: Vec<String> = ["sleeper", "quarantined"]
        .map(|name| {
            let seed =
                InstanceSeed { region: HOME.into(), name: Some(name.into()), ..InstanceSeed::default() };
            sim.seed(old, seed)
        })
        .into();
    let backup = |name: &str, id: &str| {
        Request::new("CreateImage").with("InstanceId", id).with("Name", name).with("NoReboot", "true")
    };
    let copy = |name: &str, source: &str| {
        Request::new("CopyImage").with("SourceImageId", source).with("SourceRegion", HOME).with("Name", name)
    };
    // The machine itself is a day old.
    let day = START - 80_000_000;
    made(sim, day - 7 * 86_400_000, HOME, &on_instance("StopInstances", &others[0]));
    let first = made(sim, day, HOME, &backup("backup-1", id));
    let gone = made(sim, day, HOME, &backup("backup-0", id));
    sim.advance(day + 1_000_000);
    made(sim, day + 1_000_000, HOME, &copy("golden", &first));
    made(sim, day + 1_000_000, ABROAD, &copy("golden", &first));
    sim.advance(day + 2_000_000);
    made(sim, day + 2_000_000, HOME, &Request::new("DeregisterImage").with("ImageId", &gone));
    made(sim, START - 3_600_000, HOME, &on_instance("StopInstances", &others[1]));
    others
}

impl Lab {
    /// A backup tool makes an image of the same machine.
    pub(crate) fn backs_up(&mut self) {
        let name = format!("nightly-{}", self.now());
        let call = Request::new("CreateImage").with("InstanceId", &self.id);
        self.users(&call.with("Name", &name).with("NoReboot", "true"));
    }

    fn any_machine(&self, which: u8) -> String {
        let mut all = vec![self.id.clone(), self.id.clone()];
        all.extend(self.others_machines().iter().cloned());
        all[usize::from(which) % all.len()].clone()
    }

    pub(crate) fn forges(&mut self, forgery: Forgery) {
        let (key, now) = (debt_key(CLUSTER), self.now().div_euclid(1000));
        let put = |lab: &mut Self, region: &str, id: &str, tags: &[(String, String)]| {
            let tags = tags.iter().cloned().collect();
            let reply = call(&mut lab.sim(), lab.now(), region, &tag_all(&[id.to_owned()], &tags));
            if reply.code.is_none() {
                lab.note(forgery.name());
            }
        };
        match forgery {
            Forgery::Record(note, which) => {
                let id = self.any_machine(which);
                let Some((id, value)) = self.record(note, &id, now) else { return };
                let key = if note == Note::AnotherKey { debt_key("another") } else { key };
                put(self, HOME, &id, &[(key, value)]);
            }
            Forgery::Receipt(revision) => {
                let object =
                    Owner { cluster: CLUSTER, kind: SAVED_TEMPLATE, namespace: NAMESPACE, name: NAME }
                        .receipt_object();
                let id = self.id.clone();
                put(self, HOME, &id, &[(receipts_key(CLUSTER), format!("{object}=r{revision}"))]);
            }
            Forgery::Rename(which, instead) => {
                let other = self.others_machines()[usize::from(which) % self.others_machines().len()].clone();
                if instead {
                    let id = self.id.clone();
                    put(self, HOME, &id, &[("Name".into(), "x".into())]);
                }
                put(self, HOME, &other, &[("Name".into(), NAME.into())]);
            }
            Forgery::Image(claim, which) => {
                let images = self.home().images.into_values();
                let images = images.filter(|one| one.deregistered_at.is_none());
                let ids: Vec<_> = images.map(|one| (one.id.clone(), one.instance.clone())).collect();
                let (id, source) = ids[usize::from(which) % ids.len()].clone();
                let tags = self.claims(claim, source, "home", HOME);
                put(self, HOME, &id, &tags);
            }
            Forgery::Snapshot(claim, which) => {
                let shots = &self.home().snapshots;
                let ids: Vec<_> =
                    shots.values().map(|one| (one.id.clone(), one.description.clone())).collect();
                let (id, text) = ids[usize::from(which) % ids.len()].clone();
                let source =
                    text.split_once('(').and_then(|(_, rest)| Some(rest.split_once(')')?.0.to_owned()));
                let tags = self.claims(claim, source, "home", HOME);
                put(self, HOME, &id, &tags);
            }
            Forgery::Abroad(claim) => {
                let place = self.place(ABROAD).unwrap();
                let ids: Vec<String> = place.images.keys().chain(place.snapshots.keys()).cloned().collect();
                let tags = self.claims(claim, Some(self.id.clone()), "copy", ABROAD);
                for id in &ids {
                    put(self, ABROAD, id, &tags);
                }
            }
        }
    }

    /// A machine, and the record that is written onto it.
    fn record(&self, note: Note, id: &str, now: i64) -> Option<(String, String)> {
        let instances = &self.home().instances;
        let instance = &instances[id];
        let stopped = instance.history.iter().rev().find(|one| one.state == ec2sim::InstanceState::Stopping);
        let hit =
            stopped.map_or(now, |one| one.at.div_euclid(1000)).max(instance.launch_time.div_euclid(1000));
        let there = instances[&self.id].tags.get(&debt_key(CLUSTER)).cloned();
        let ours = there.as_ref().and_then(|value| value.parse::<Record>().ok());
        let write = |id: &str, c: &str, [t, s, m, d]: [i64; 4], n: usize| {
            let value = format!("v1 i={id} c={c} o=00000000 t={t} s={s} m={m} d={d} w=snapshots n={n}");
            Some((id.to_owned(), value))
        };
        let fake = "fedcba9876543210";
        let same = |times: fn([i64; 4]) -> [i64; 4], n: usize| {
            let one = ours.as_ref()?;
            let spans =
                [one.planned, one.stop_by, one.image_by, one.start_by].map(jiff::Timestamp::as_second);
            write(&self.id, &one.capture, times(spans), n)
        };
        let but = |change: &dyn Fn(&mut Record)| {
            let mut one = ours.clone()?;
            change(&mut one);
            Some((self.id.clone(), one.to_string()))
        };
        match note {
            Note::Right => write(id, fake, [hit, hit + 60, hit + 780, hit + 1800], 2),
            Note::Unbounded => write(id, fake, [hit, FAR, 1, 1], 1),
            Note::Future => write(id, fake, [FAR - 86_400, FAR - 86_340, FAR - 80_000, FAR - 1000], 2),
            Note::OtherCapture => write(id, fake, [now, now + 60, now + 780, now + 86_400], 2),
            Note::OtherCaptureFar => {
                let planned = ours.as_ref().map_or(now, |one| one.planned.as_second());
                write(id, fake, [planned, planned + 60, FAR, FAR], 2)
            }
            Note::SameCaptureFar => same(|[t, s, _, _]| [t, s, FAR, FAR], 2),
            Note::SameCaptureLate => same(|[t, s, _, _]| [t, s, t + 86_000, t + 86_400], 2),
            Note::SameCaptureSoon => same(|[t, s, _, _]| [t, s, s + 1, FAR], 2),
            Note::NoVolumes => same(|times| times, 0),
            Note::FewerVolumes => same(|times| times, 1),
            Note::ButAClaim => but(&|one| one.awaits = Awaits::Nothing),
            Note::ButHasty => but(&|one| one.stop_by = one.planned + jiff::SignedDuration::from_secs(1)),
            Note::ButOfManyVolumes => but(&|one| one.volumes = 128),
            Note::ButForced => but(&|one| *one = one.forced(jiff::Timestamp::from_second(now).unwrap())),
            Note::ButForcedLate => {
                but(&|one| *one = one.forced(one.start_by - jiff::SignedDuration::from_secs(300)))
            }
            Note::ButAborted => but(&|one| *one = one.aborted(jiff::Timestamp::from_second(now).unwrap())),
            Note::Illegible => Some((id.to_owned(), "v1 i=x $(reboot)".to_owned())),
            Note::AnotherKey => Some((id.to_owned(), "rubbish".to_owned())),
            Note::Copied => there.map(|value| (self.others_machines()[1].clone(), value)),
            Note::OursElsewhere => {
                let other = self.others_machines()[1].clone();
                let mut one = ours.clone()?;
                one.instance = other.parse().ok()?;
                Some((other, one.to_string()))
            }
        }
    }

    fn claims(
        &self,
        claim: Claim,
        source: Option<String>,
        role: &str,
        region: &str,
    ) -> Vec<(String, String)> {
        let text = |value: &str| value.to_owned();
        match claim {
            Claim::Failed => return vec![(text(tag::FAILED), text("ImageFailed"))],
            Claim::Retained => return vec![(text(tag::RETAINED), text("true"))],
            Claim::Holder => return vec![(text(tag::HOLDER), text("$(reboot)"))],
            Claim::OfNobody => {
                return vec![(text(tag::CLUSTER), text("nobody")), (text(tag::NAME), text("x"))];
            }
            Claim::Running
            | Claim::RunningWithoutSource
            | Claim::Wanted
            | Claim::Next
            | Claim::Largest
            | Claim::AdoptedFrom => {}
        }
        let spec = self.object().map(|object| object.spec.clone());
        let revision = spec.as_ref().map_or(1, |spec| spec.revision);
        let digest = spec.map(|spec| source_digest(&spec.source)).unwrap_or_default();
        let record =
            self.instance().tags.get(&debt_key(CLUSTER)).and_then(|value| value.parse::<Record>().ok());
        let running = record.map_or_else(|| text("0000000000000000"), |record| record.capture);
        let (revision, capture) = match claim {
            Claim::Running | Claim::RunningWithoutSource => (revision, running),
            Claim::Next => (revision + 1, text("1111111111111111")),
            Claim::Largest => (i32::MAX, text("1111111111111111")),
            Claim::Wanted
            | Claim::AdoptedFrom
            | Claim::Failed
            | Claim::Retained
            | Claim::Holder
            | Claim::OfNobody => (revision, text("1111111111111111")),
        };
        let mut tags = vec![
            (text(tag::CLUSTER), text(CLUSTER)),
            (text(tag::NAMESPACE), text(NAMESPACE)),
            (text(tag::NAME), text(NAME)),
            (text(tag::REVISION), revision.to_string()),
            (text(tag::ATTEMPT), text("1")),
            (text(tag::CAPTURE), capture),
            (text(tag::SOURCE), digest),
            (text(tag::ROLE), text(role)),
            (text(tag::REGION), text(region)),
        ];
        if claim != Claim::RunningWithoutSource {
            tags.push((text(tag::SOURCE_INSTANCE), source.unwrap_or_else(|| self.id.clone())));
        }
        if claim == Claim::AdoptedFrom {
            tags.push((text(tag::ADOPTED_FROM), text("dev")));
        }
        tags
    }
}
