//! The simulator and its clock, which is tokio's.
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ec2sim::{Millis, Sim};
use jiff::Timestamp;
use tokio::time::Instant;

/// EC2 in this process: one simulator for all that call it. Cheap to clone.
#[derive(Clone)]
pub struct Endpoint(Arc<Shared>);

struct Shared {
    sim: Arc<Mutex<Sim>>,
    epoch: Millis,
    born: Instant,
}

impl Endpoint {
    /// The simulator, whose clock says `epoch` now and goes as tokio's does: in a test that holds time it stands still
    /// unless everybody waits. An epoch before what the simulator has seen already is that instant.
    pub fn new(sim: Sim, epoch: Millis) -> Self {
        let epoch = epoch.max(sim.now());
        Self(Arc::new(Shared { sim: Arc::new(Mutex::new(sim)), epoch, born: Instant::now() }))
    }

    /// The simulator's time.
    pub fn now(&self) -> Millis {
        let elapsed = Millis::try_from(self.0.born.elapsed().as_millis()).unwrap_or(Millis::MAX);
        self.0.epoch.saturating_add(elapsed)
    }

    /// The simulator as of now, locked: no call is answered meanwhile. Not to be held while waiting.
    pub fn sim(&self) -> MutexGuard<'_, Sim> {
        let mut sim = self.0.sim.lock().unwrap_or_else(PoisonError::into_inner);
        sim.advance(self.now());
        sim
    }

    /// The simulator's time as the node's clock has it.
    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("now", &self.now()).finish_non_exhaustive()
    }
}
