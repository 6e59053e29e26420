//! The clients of one process.
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use saved_template_api::ids::Region;
use saved_template_core::{place::Place, restart::Signing};

use crate::{SimCloud, endpoint::Endpoint, hook::Hook};

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: String,
    /// The access key that signs: the simulator's grants say which principal that is, and what it may do.
    pub access_key: String,
    /// The user agent.
    pub agent: String,
}

impl Default for Caller {
    fn default() -> Self {
        let account = ec2sim::ACCOUNT.to_owned();
        Self { access_key: account.clone(), account, agent: "savedtemplate".to_owned() }
    }
}

/// All clients of one process. Those of one region share EC2's clock, and what was read of records.
pub struct Clients {
    endpoint: Endpoint,
    caller: Caller,
    signing: Signing,
    hook: Option<Hook>,
    clouds: Mutex<BTreeMap<Region, SimCloud>>,
}

impl Clients {
    /// Clients of this caller that sign records so.
    pub fn new(endpoint: &Endpoint, caller: Caller, signing: Signing) -> Self {
        Self { endpoint: endpoint.clone(), caller, signing, hook: None, clouds: Mutex::default() }
    }

    /// The same, whose requests pass a hook.
    #[must_use]
    pub fn with_hook(self, hook: Hook) -> Self {
        Self { hook: Some(hook), clouds: Mutex::default(), ..self }
    }

    /// EC2 in one region.
    pub fn cloud(&self, region: &Region) -> SimCloud {
        let new = || {
            let caller = (self.caller.clone(), self.hook.clone());
            SimCloud::new(Place::own(region.clone()), self.endpoint.clone(), caller, self.signing.clone())
        };
        let mut clouds = self.clouds.lock().unwrap_or_else(PoisonError::into_inner);
        clouds.entry(region.clone()).or_insert_with(new).clone()
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("caller", &self.caller).finish_non_exhaustive()
    }
}
