//! Faults: rules that pick calls, and what happens to them.

use serde::{Deserialize, Serialize};

use crate::{
    clock::Millis,
    effect::{Effect, When},
    filter::matches,
    request::Request,
};

/// A rule. What is absent picks every call; dry runs are picked only if the rule says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// The action, with wildcards: `StopInstances`, `Describe*`.
    pub operation: String,
    /// The account.
    #[serde(default)]
    pub account: Option<String>,
    /// The region.
    #[serde(default)]
    pub region: Option<String>,
    /// A part of the caller's user agent, or its access key.
    #[serde(default)]
    pub caller: Option<String>,
    /// A parameter: its name with wildcards (`InstanceId.*`), and a part of its value.
    #[serde(default)]
    pub param: Option<Param>,
    /// A parameter, with wildcards, that the picked calls lack.
    #[serde(default)]
    pub without: Option<String>,
    /// Which of the picked calls is the first to be hit, from 1; absent: the first.
    #[serde(default)]
    pub nth: Option<u32>,
    /// How many calls are hit; absent: one if `nth` is given, else all.
    #[serde(default)]
    pub times: Option<u32>,
    /// For how many milliseconds it is in force; absent: until it is lifted.
    #[serde(default)]
    pub for_ms: Option<Millis>,
    /// Whether it picks dry runs instead of real calls.
    #[serde(default)]
    pub dry_run: bool,
    /// What happens.
    pub effect: Effect,
}

/// A parameter that a rule looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Param {
    /// Its name, with wildcards.
    pub name: String,
    /// A part of its value.
    pub value: String,
}

impl Fault {
    /// A rule for every real call of an action.
    pub fn new(operation: &str, effect: Effect) -> Self {
        Self {
            operation: operation.to_owned(),
            account: None,
            region: None,
            caller: None,
            param: None,
            without: None,
            nth: None,
            times: None,
            for_ms: None,
            dry_run: false,
            effect,
        }
    }

    /// The same, from the n-th call on, once.
    #[must_use]
    pub fn nth(mut self, nth: u32) -> Self {
        self.nth = Some(nth);
        self
    }

    /// The same, for so many calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// The same, for so many milliseconds from when it is put in force.
    #[must_use]
    pub fn for_ms(mut self, ms: Millis) -> Self {
        self.for_ms = Some(ms);
        self
    }

    /// The same, in one region.
    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        self.region = Some(region.to_owned());
        self
    }

    /// The same, for one caller.
    #[must_use]
    pub fn caller(mut self, caller: &str) -> Self {
        self.caller = Some(caller.to_owned());
        self
    }

    /// The same, where a parameter has a value.
    #[must_use]
    pub fn param(mut self, name: &str, value: &str) -> Self {
        self.param = Some(Param { name: name.to_owned(), value: value.to_owned() });
        self
    }

    /// The same, for calls that lack a parameter.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.without = Some(name.to_owned());
        self
    }

    /// The same, for dry runs.
    #[must_use]
    pub fn dry_runs(mut self) -> Self {
        self.dry_run = true;
        self
    }

    fn picks(&self, account: &str, region: &str, request: &Request) -> bool {
        matches(&self.operation, &request.action)
            && self.dry_run == request.is_dry_run()
            && self.account.as_ref().is_none_or(|wanted| wanted == account)
            && self.region.as_ref().is_none_or(|wanted| wanted == region)
            && self
                .caller
                .as_ref()
                .is_none_or(|wanted| request.agent.contains(wanted.as_str()) || request.access_key == *wanted)
            && self
                .without
                .as_ref()
                .is_none_or(|absent| !request.params.iter().any(|(name, _)| matches(absent, name)))
            && self.param.as_ref().is_none_or(|wanted| {
                request
                    .params
                    .iter()
                    .any(|(name, value)| matches(&wanted.name, name) && value.contains(&wanted.value))
            })
    }
}

/// A rule in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Armed {
    /// The rule.
    pub fault: Fault,
    /// Since when.
    pub since: Millis,
    /// How many calls it picked.
    pub seen: u32,
    /// How many it hit.
    pub hits: u32,
}

impl Armed {
    pub(crate) fn new(fault: Fault, since: Millis) -> Self {
        Self { fault, since, seen: 0, hits: 0 }
    }

    /// Counts a call, and gives what happens to it.
    pub(crate) fn meet(
        &mut self,
        now: Millis,
        account: &str,
        region: &str,
        request: &Request,
    ) -> Option<Effect> {
        if self.fault.for_ms.is_some_and(|ms| now >= self.since.saturating_add(ms)) {
            return None;
        }
        if !self.fault.picks(account, region, request) {
            return None;
        }
        self.seen += 1;
        let times = self.fault.times.or(self.fault.nth.map(|_| 1));
        if self.seen < self.fault.nth.unwrap_or(1) || times.is_some_and(|times| self.hits >= times) {
            return None;
        }
        self.hits += 1;
        Some(self.fault.effect.clone())
    }
}

/// A call that was met by the rules in force, and has not yet had its effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    pub(crate) effects: Vec<Effect>,
}

impl Admission {
    /// How long the call is held before its effect.
    pub fn delay(&self) -> Millis {
        self.delays(When::Before)
    }

    pub(crate) fn delays(&self, side: When) -> Millis {
        self.effects
            .iter()
            .map(|effect| {
                if let Effect::Delay { ms, when } = effect
                    && *when == side
                {
                    *ms
                } else {
                    0
                }
            })
            .sum()
    }
}
