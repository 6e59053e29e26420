//! A writer of tags in a small world: every record of a bounded alphabet, at any state.
//!
//! Images and snapshots have no forgeries here: they are those of `world/enemy`.
use saved_template_api::names::debt_key;
use saved_template_core::{restart::Record, world::InstanceState};

use super::{
    cloud::{CLUSTER, ID, Premise, reach},
    state::State,
};

/// The year 9987.
const FAR: i64 = 253_000_000_000;
/// Three days beyond its limit a record that nobody remembers is not paid.
const REMEMBERED: i64 = 72 * 3600;
/// From the limit to the machine that runs.
const SWEEP: i64 = 180;

/// What is written onto the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Note {
    /// Legal, and it hits the last stop.
    Right,
    /// It hits the last stop; its other times are nonsense.
    Unbounded,
    OtherCapture,
    OtherCaptureFar,
    SameCaptureFar,
    SameCaptureSoon,
    NoVolumes,
    Illegible,
}

pub(crate) const NOTES: [Note; 8] = [
    Note::Right,
    Note::Unbounded,
    Note::OtherCapture,
    Note::OtherCaptureFar,
    Note::SameCaptureFar,
    Note::SameCaptureSoon,
    Note::NoVolumes,
    Note::Illegible,
];

pub(crate) const NAMES: [&str; 8] = [
    "one controller, a death, a forged record: hits the stop",
    "one controller, a death, a forged record: unbounded",
    "one controller, a death, a forged record: another capture",
    "one controller, a death, a forged record: another, far",
    "one controller, a death, a forged record: the same, far",
    "one controller, a death, a forged record: the same, m soon",
    "one controller, a death, a forged record: no volumes",
    "one controller, a death, a forged record: illegible",
];

impl State {
    /// None where there is no record of ours to start from.
    pub(crate) fn forged(&self, note: Note) -> Option<String> {
        let ours = self.machine.tags.get(&debt_key(CLUSTER)).and_then(|value| value.parse::<Record>().ok());
        let hit = self.machine.stopped.unwrap_or(self.now).max(self.machine.launched);
        let write = |capture: &str, [t, s, m, d]: [i64; 4], n: usize| {
            format!("v1 i={ID} c={capture} o=00000000 t={t} s={s} m={m} d={d} w=snapshots n={n}")
        };
        let same = |times: fn([i64; 4]) -> [i64; 4], n| {
            let one = ours.as_ref()?;
            let spans =
                [one.planned, one.stop_by, one.image_by, one.start_by].map(jiff::Timestamp::as_second);
            Some(write(&one.capture, times(spans), n))
        };
        let fake = "fedcba9876543210";
        match note {
            Note::Right => Some(write(fake, [hit, hit + 60, hit + 240, hit + 300], 1)),
            Note::Unbounded => Some(write(fake, [hit, FAR, 1, 1], 1)),
            Note::OtherCapture => {
                Some(write(fake, [self.now, self.now + 60, self.now + 240, self.now + 86_400], 1))
            }
            Note::OtherCaptureFar => Some(write(fake, [self.now, self.now + 60, FAR, FAR], 1)),
            Note::SameCaptureFar => same(|[t, s, _, _]| [t, s, FAR, FAR], 1),
            Note::SameCaptureSoon => same(|[t, s, _, _]| [t, s, s + 1, FAR], 1),
            Note::NoVolumes => same(|times| times, 0),
            Note::Illegible => Some("v1 i=x".to_owned()),
        }
    }

    pub(crate) fn forges(&mut self, note: Note) {
        let value = self.forged(note).unwrap();
        self.machine.tags.insert(debt_key(CLUSTER), value);
        // As when another tool takes it off: between the last look and the call nobody here can tell.
        self.truth.stripped = true;
        reach(Premise::Forged);
    }

    /// Whether a call of ours wrote this record. Where nobody forges, each is ours.
    pub(crate) fn is_ours(&self, value: &str) -> bool {
        !self.watched || self.wrote.iter().any(|wrote| wrote == value)
    }

    pub(crate) fn owes_truly(&self) -> bool {
        self.machine.tags.get(&debt_key(CLUSTER)).is_some_and(|value| self.is_ours(value))
    }

    /// Nobody can tell it from ours: within every bound, and it hits the owner's stop.
    fn is_perfect(&self, record: &Record) -> bool {
        let [t, s, m, d] = [record.planned, record.stop_by, record.image_by, record.start_by]
            .map(jiff::Timestamp::as_second);
        let bounded = (t + 60..=t + 4500).contains(&s)
            && (t..=d - 60).contains(&m)
            && s < d
            && (t + 300..=t + 86_400).contains(&d)
            && (1..=128).contains(&record.volumes);
        let stopped = self.machine.stopped.unwrap_or(i64::MIN);
        bounded
            && self.machine.launched <= t
            && (t - 2..=s + 16 * 60).contains(&stopped)
            && self.now <= d + REMEMBERED
    }

    /// Before a start of a machine that is stopped: whether it was our doing, or looks like it.
    pub(crate) fn may_start(&mut self, record: &Record) -> bool {
        if self.is_ours(&record.to_string()) {
            return false;
        }
        let perfect = self.is_perfect(record);
        if !self.truth.held && !perfect {
            self.breaks("started under a record that nobody here wrote");
        }
        reach(Premise::Deceived);
        perfect
    }

    /// The machine is down for us beyond the limit that was announced.
    pub(crate) fn is_late(&mut self) {
        let late = self.limit.is_some_and(|limit| self.now > limit + SWEEP);
        if late && self.truth.held && self.machine.state == InstanceState::Stopped {
            self.breaks("down for us beyond its limit");
        }
    }

    pub(crate) fn limits(&self) -> impl Iterator<Item = i64> {
        self.limit.filter(|_| self.truth.held).into_iter().flat_map(|limit| [limit, limit + SWEEP + 1])
    }
}
