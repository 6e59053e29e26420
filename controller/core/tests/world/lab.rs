//! One object, one or two processes, and EC2, in virtual time: one second at a time.
//!
//! The loops are those of the controller without its plumbing: reconcile is get, observe, decide, record, act, settle;
//! restart is sweep, judge, send. `Describe` is read from the simulator's store; writes are calls to the simulator.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
    time::{Duration, Instant},
};

use ec2sim::{ACCOUNT, Config, InstanceSeed, InstanceState, Request, Sim, VolumeSeed};
use jiff::Timestamp;
use saved_template_api::{SavedTemplateSpec, SavedTemplateStatus, names::debt_key};
use saved_template_core::{ec2_error::Ec2Error, poll::Tally, restart::Pacing};

use crate::{
    ec2::{HOME, call},
    enemy::{
        laws::Watch,
        rewind::Past,
        twin::{CLUSTER_UIDS, Realm},
    },
    mishap::{Harm, Mishaps},
    pass::Pass,
    restart::Payment,
    truth::Truth,
    view::StaleReads,
};

pub(crate) const CLUSTER: &str = "lab";
pub(crate) const NAMESPACE: &str = "default";
pub(crate) const NAME: &str = "quake";
pub(crate) const START: i64 = 1_795_000_000_000;

/// Why a pass ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The process ended.
    Dead,
    /// Kubernetes took the write and its answer was lost, or it did not take it: the pass is over.
    Lost,
    /// The process sleeps; it remembers the rest of the pass.
    Asleep,
}

/// Where a process is killed: before or after the n-th effect of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) effect: usize,
    pub(crate) after: bool,
}

/// What a process knows and loses.
#[derive(Debug, Default, Clone)]
pub(crate) struct Memory {
    /// What its sweeps counted, by region.
    pub(crate) tallies: BTreeMap<String, Tally>,
    pub(crate) of_stops: saved_template_core::memory::Memory,
    pub(crate) pacing: Pacing,
    pub(crate) look_at: i64,
    pub(crate) sweep_at: i64,
    /// Until when it sleeps, and what it was about to do.
    pub(crate) asleep: i64,
    pub(crate) pass: Option<Box<Pass>>,
    pub(crate) payment: Option<Box<Payment>>,
}

/// A process, or the place of one that died and when it is back.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) memory: Option<Memory>,
    pub(crate) born: i64,
}

impl Process {
    pub(crate) fn new() -> Self {
        Self { memory: Some(Memory::default()), born: 0 }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    pub(crate) spec: SavedTemplateSpec,
    pub(crate) status: SavedTemplateStatus,
    pub(crate) generation: i64,
    pub(crate) deleting: bool,
    pub(crate) finalizer: bool,
    /// What a compare-and-swap compares.
    pub(crate) version: u64,
}

#[expect(clippy::struct_excessive_bools, reason = "what is switched on in a history, not modes")]
pub(crate) struct Lab {
    pub(crate) sim: Sim,
    pub(crate) now: i64,
    pub(crate) id: String,
    pub(crate) object: Option<Object>,
    pub(crate) api_is_up: bool,
    pub(crate) effects: Vec<String>,
    pub(crate) writes: usize,
    /// Every status that was ever written, the oldest first.
    pub(crate) statuses: Vec<SavedTemplateStatus>,
    pub(crate) kill: Vec<Kill>,
    /// Seconds until a process that died is back; none: never.
    pub(crate) back_after: Option<i64>,
    /// A replica without the lease and without Kubernetes: its restart loop alone.
    pub(crate) standby: Option<Memory>,
    /// Regions that do not answer.
    pub(crate) dark: BTreeSet<String>,
    pub(crate) stale_reads: StaleReads,
    pub(crate) mishaps: Mishaps,
    pub(crate) truth: Truth,
    /// Quiet seconds are jumped over, and an object at rest is looked at once a minute.
    pub(crate) jumps: bool,
    /// Whole controllers that each think that they lead.
    pub(crate) processes: Vec<Process>,
    /// When something changed last, for whoever waits for a change.
    stirred: bool,
    echo: i64,
    /// The region of the machine as it was when only others had anything there.
    pub(crate) others: Option<ec2sim::Place>,
    /// Whether the status was written by hand: what it says of images is not held against EC2's store.
    pub(crate) poisoned: bool,
    /// What the API server may go back to.
    pub(crate) past: Past,
    pub(crate) watch: Watch,
    /// Whose cluster it is.
    pub(crate) cluster_uid: &'static str,
    pub(crate) realm: Option<Box<Realm>>,
}

impl Lab {
    pub(crate) fn new(spec: &str) -> Self {
        let config = Config {
            stop: 30_000,
            start: 20_000,
            snapshot_lag: 4_000,
            snapshot: 60_000,
            image: 120_000,
            copy: 90_000,
            ..Config::default()
        };
        let mut sim = Sim::new(config);
        let seed = InstanceSeed {
            region: HOME.into(),
            name: Some("quake".into()),
            volumes: vec![VolumeSeed::new("/dev/sda1", 8), VolumeSeed::new("/dev/sdf", 20)],
            ..InstanceSeed::default()
        };
        let id = sim.seed(START - 86_400_000, seed);
        let spec = serde_json::from_str(spec).unwrap();
        let status = SavedTemplateStatus { observed_generation: Some(-1), ..SavedTemplateStatus::default() };
        let object = Object { spec, status, generation: 1, deleting: false, finalizer: false, version: 0 };
        Self {
            sim,
            now: START,
            id,
            object: Some(object),
            api_is_up: true,
            effects: Vec::new(),
            writes: 0,
            statuses: Vec::new(),
            kill: Vec::new(),
            back_after: Some(5),
            standby: None,
            dark: BTreeSet::new(),
            stale_reads: StaleReads::new(0, 0),
            mishaps: Mishaps::default(),
            truth: Truth::default(),
            jumps: false,
            processes: vec![Process::new()],
            stirred: false,
            echo: i64::MAX,
            others: None,
            poisoned: false,
            past: Past::default(),
            watch: Watch::default(),
            cluster_uid: CLUSTER_UIDS[0],
            realm: None,
        }
    }

    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_second(self.now.div_euclid(1000)).unwrap()
    }

    /// A second passes, or in a hurry all that nothing happens in.
    pub(crate) fn tick(&mut self) {
        self.tick_until(i64::MAX);
    }

    /// The same, but not beyond `limit`.
    fn tick_until(&mut self, limit: i64) {
        let soonest = self.now + 1000;
        let quiet = if self.jumps { self.next() } else { soonest };
        self.now = quiet.min(limit).max(soonest);
        let due = self.sim.next_due();
        self.sim.advance(self.now);
        let moved = due.is_some_and(|due| due <= self.now);
        self.stale_reads.keep(&self.sim, self.now, moved);
        if self.stirred || moved || self.echo <= self.now {
            self.echo =
                if self.echo <= self.now { i64::MAX } else { self.now + self.stale_reads.lag() * 1000 };
            self.stirred = false;
            let twins = self.realm.iter_mut().flat_map(|realm| &mut realm.processes);
            for memory in self.processes.iter_mut().chain(twins).filter_map(|process| process.memory.as_mut())
            {
                (memory.look_at, memory.sweep_at) = (memory.look_at.min(self.now), self.now);
            }
        }
        if let Some(mut standby) = self.standby.take() {
            let mut lived = Ok(());
            if (self.now - START) % 15_000 == 0 && self.now >= standby.asleep {
                lived = self.wake(&mut standby).and_then(|()| self.restart(&mut standby, false));
            }
            self.standby = Some(if lived == Err(Halt::Dead) { Memory::default() } else { standby });
        }
        for at in 0..self.processes.len() {
            self.live(at);
        }
        self.turn();
        if self.truth.held && !self.is_remembered() {
            (self.truth.held, self.truth.forgotten) = (false, true);
        }
        self.keep_version();
        self.check();
    }

    /// Whether the record of the stop that holds the machine is on it, in a status, or in the memory of a
    /// process.
    fn is_remembered(&self) -> bool {
        let held = &self.truth.by;
        let realm = self.realm.as_deref();
        let objects = self.object.iter().chain(realm.and_then(|realm| realm.object.as_ref()));
        let mut status = objects.filter_map(|object| object.status.capture.as_ref());
        let processes = self.processes.iter().chain(realm.into_iter().flat_map(|realm| &realm.processes));
        let minds = processes.filter_map(|process| process.memory.as_ref()).chain(&self.standby);
        self.owes_truly()
            || status.any(|one| one.id == *held && one.restart_record.is_some())
            || minds.flat_map(|one| one.of_stops.records()).any(|record| record.capture == *held)
    }

    /// What one process does in this second. One that died is back some seconds later, knowing nothing.
    pub(crate) fn live(&mut self, at: usize) {
        let process = &mut self.processes[at];
        if process.memory.is_none() && self.now >= process.born {
            process.memory = Some(Memory::default());
        }
        let Some(mut memory) = process.memory.take() else { return };
        if self.now >= memory.asleep {
            let lived = self.wake(&mut memory);
            let lived = lived.and_then(|()| self.restart(&mut memory, true));
            let lived = lived.and_then(|()| self.reconcile(&mut memory));
            if lived == Err(Halt::Dead) {
                self.processes[at].born = self.back_after.map_or(i64::MAX, |after| self.now + after * 1000);
                return;
            }
            if lived == Err(Halt::Lost) {
                memory.look_at = self.now + 2000;
            }
        }
        self.processes[at].memory = Some(memory);
    }

    /// What was left undone when the process fell asleep.
    fn wake(&mut self, memory: &mut Memory) -> Result<(), Halt> {
        if let Some(payment) = memory.payment.take() {
            self.pay(*payment, memory)?;
        }
        match memory.pass.take() {
            Some(pass) => self.carry(*pass, memory),
            None => Ok(()),
        }
    }

    /// The next instant at which anything can happen.
    fn next(&self) -> i64 {
        let of = |process: &Process| match &process.memory {
            None => process.born,
            Some(memory) => {
                let api = if self.api_is_up { memory.look_at } else { i64::MAX };
                memory.asleep.max(memory.sweep_at.min(api))
            }
        };
        let twins = self.realm.iter().flat_map(|realm| &realm.processes);
        let processes = self.processes.iter().chain(twins).map(of).min().unwrap_or(i64::MAX);
        let standby =
            self.standby.as_ref().map_or(i64::MAX, |_| self.now + 15_000 - (self.now - START) % 15_000);
        let due = self.sim.next_due().map_or(i64::MAX, |due| (due + 999).div_euclid(1000) * 1000);
        let stirred = if self.stirred { self.now } else { i64::MAX };
        processes.min(standby).min(due).min(self.echo).min(stirred)
    }

    /// Something changed: whoever waits for a change sees it soon.
    pub(crate) fn stir(&mut self) {
        self.stirred |= self.jumps;
    }

    /// The process ends and is back at once, knowing nothing.
    pub(crate) fn reboot(&mut self) {
        self.processes = vec![Process::new()];
    }

    pub(crate) fn run(&mut self, seconds: i64) {
        let end = self.now + seconds * 1000;
        while self.now < end {
            self.tick_until(end);
        }
    }

    /// Runs until `wanted`, or says what went on instead.
    pub(crate) fn until(&mut self, seconds: i64, what: &str, wanted: impl Fn(&Self) -> bool) {
        let end = self.now + seconds * 1000;
        while self.now < end {
            if wanted(self) {
                return;
            }
            self.tick_until(end);
        }
        let object = self.object.as_ref().map(|object| format!("{:#?}", object.status));
        panic!("not {what} after {seconds} s\n{}\n{}", self.history(), object.unwrap_or_default());
    }

    /// One effect: a point at which the process may die.
    fn effect<T>(&mut self, what: &str, act: impl FnOnce(&mut Self) -> T) -> Result<T, Halt> {
        let number = self.effects.len();
        let here = self.kill.iter().find(|kill| kill.effect == number).copied();
        self.effects.push(format!("{} {what}", (self.now - START) / 1000));
        if here.is_some_and(|kill| !kill.after) {
            return Err(Halt::Dead);
        }
        let done = act(self);
        self.stir();
        let killed = self.may_jump(number);
        if here.is_some() || killed { Err(Halt::Dead) } else { Ok(done) }
    }

    /// A write to Kubernetes, and what goes wrong with it.
    pub(crate) fn write(&mut self, label: &str, what: &str, act: impl FnOnce(&mut Self)) -> Result<(), Halt> {
        let harm = self.mishaps.strike(label);
        if !self.api_is_up {
            return Err(Halt::Lost);
        }
        match harm {
            Some(Harm::DieBefore) => Err(Halt::Dead),
            Some(Harm::Drop | Harm::Throttle | Harm::ServerError) => Err(Halt::Lost),
            None | Some(Harm::DieAfter | Harm::Lose | Harm::Nap | Harm::Sleep) => {
                self.effect(what, act)?;
                match harm {
                    Some(Harm::DieAfter) => Err(Halt::Dead),
                    Some(Harm::Lose) => Err(Halt::Lost),
                    _ => Ok(()),
                }
            }
        }
    }

    /// A call to EC2, and what goes wrong with it.
    pub(crate) fn send(
        &mut self,
        region: &str,
        label: &str,
        request: &Request,
    ) -> Result<Result<ec2sim::Reply, Ec2Error>, Halt> {
        let harm = self.mishaps.strike(label);
        let refused = |code: &str| Ok(Err(Ec2Error::new("call", code, "injected")));
        match harm {
            Some(Harm::DieBefore) => return Err(Halt::Dead),
            Some(Harm::Drop) => return refused(""),
            Some(Harm::Throttle) => return refused("RequestLimitExceeded"),
            Some(Harm::ServerError) => return refused("InternalError"),
            None | Some(Harm::DieAfter | Harm::Lose | Harm::Nap | Harm::Sleep) => {}
        }
        let (now, place) = (self.now, region.to_owned());
        self.lawful(region, request);
        let (before, owed) = (self.instance().state, self.owes_truly());
        let reply = self.effect(&request.action, |lab| call(&mut lab.sim, now, &place, request));
        self.truth.ours(&request.action, before, self.sim.place(ACCOUNT, HOME).unwrap(), &self.id);
        self.learn(request);
        let left =
            owed && request.action == "DeleteTags" && !self.owes_truly() && self.truth.held && self.is_down();
        assert!(!left, "the record of a machine that we hold down was taken off\n{}", self.history());
        match harm {
            Some(Harm::DieAfter) => Err(Halt::Dead),
            Some(Harm::Lose) => Ok(Err(Ec2Error::new("call", "", "connection closed"))),
            _ => reply,
        }
    }

    /// By the monotonic clock of whatever process.
    pub(crate) fn instant(&self) -> Instant {
        static BORN: OnceLock<Instant> = OnceLock::new();
        let since = Duration::from_millis(u64::try_from(self.now - START).unwrap() + 1);
        BORN.get_or_init(Instant::now).checked_add(since).unwrap()
    }

    pub(crate) fn is_down(&self) -> bool {
        matches!(self.instance().state, InstanceState::Stopping | InstanceState::Stopped)
    }

    pub(crate) fn instance(&self) -> &ec2sim::Instance {
        &self.sim.place(ACCOUNT, HOME).unwrap().instances[&self.id]
    }

    /// A call by somebody else, which EC2 takes.
    pub(crate) fn user(&mut self, request: &Request) {
        let reply = self.users(request);
        assert_eq!(reply.code, None, "{}", reply.body);
    }

    /// A call by somebody else.
    pub(crate) fn users(&mut self, request: &Request) -> ec2sim::Reply {
        let (now, before) = (self.now, self.instance().state);
        let reply = self.sim.call(now, ACCOUNT, HOME, request);
        if reply.code.is_none() {
            let place = self.sim.place(ACCOUNT, HOME).unwrap();
            self.truth.owners(&request.action, before, place, &self.id, now);
        }
        self.stir();
        reply
    }

    pub(crate) fn count(&self, action: &str) -> usize {
        let log = self.sim.log().iter();
        log.filter(|entry| entry.action == action && !entry.dry_run && entry.is_effective()).count()
    }

    pub(crate) fn condition(&self, kind: &str) -> (String, String) {
        let status = self.object.as_ref().map(|object| object.status.clone()).unwrap_or_default();
        let found = status.conditions.into_iter().find(|condition| condition.type_ == kind);
        found.map(|condition| (condition.status, condition.reason)).unwrap_or_default()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.condition("Ready").0 == "True"
    }

    pub(crate) fn owes(&self) -> bool {
        self.instance().tags.contains_key(&debt_key(CLUSTER))
    }

    pub(crate) fn images(&self, region: &str) -> usize {
        self.sim.place(ACCOUNT, region).map_or(0, |place| place.images.len())
    }
}
