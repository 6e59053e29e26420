//! Token buckets: per account, region and action ("Request throttling for the Amazon EC2 API").

use std::collections::BTreeMap;

use crate::{
    clock::Millis,
    place::Key,
    refusal::Refusal,
    sim::{Call, Sim},
};

/// How many tokens a bucket holds, and how many it gains in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    burst: i64,
    refill: i64,
}

impl Limit {
    const fn of(burst: i64, refill: i64) -> Self {
        Self { burst, refill }
    }
}

/// Those of a call, by the table of that page; a call that names neither a filter nor a page has a smaller one.
fn limit(call: &Call<'_>) -> Limit {
    let action = call.request.action.as_str();
    let is_narrow = || {
        call.request.params.keys().any(|name| name.starts_with("Filter.") || name.starts_with("MaxResults"))
    };
    match action {
        "DescribeInstances" | "DescribeInstanceStatus" | "DescribeSnapshots" | "DescribeVolumes"
            if !is_narrow() =>
        {
            Limit::of(50, 10)
        }
        _ if action.starts_with("Describe") || action.starts_with("Get") => Limit::of(100, 20),
        "StartInstances" => Limit::of(5, 2),
        "CopyImage" => Limit::of(100, 1),
        "CreateTags" | "DeleteTags" => Limit::of(100, 10),
        "DeleteSnapshot" | "DeregisterImage" | "ModifyImageAttribute" | "ModifySnapshotAttribute" => {
            Limit::of(100, 5)
        }
        _ => Limit::of(50, 5),
    }
}

/// Beside a token for the call, one for each instance.
fn resource_limit(action: &str) -> Option<Limit> {
    match action {
        "StartInstances" => Some(Limit::of(1_000, 2)),
        "StopInstances" => Some(Limit::of(1_000, 20)),
        _ => None,
    }
}

/// The buckets that are not full; in thousandths of a token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buckets(BTreeMap<(Key, String), (i64, Millis)>);

impl Buckets {
    fn level(&self, name: &(Key, String), limit: Limit, now: Millis) -> i64 {
        let full = limit.burst * 1_000;
        self.0.get(name).map_or(full, |(level, at)| full.min(level + (now - at) * limit.refill))
    }
}

impl Sim {
    /// Takes a call's tokens, or refuses it and takes none.
    pub(crate) fn throttle(&mut self, call: &Call<'_>) -> Result<(), Refusal> {
        if !self.config.throttles {
            return Ok(());
        }
        let action = &call.request.action;
        let requests = limit(call);
        let mut wanted = vec![((call.key.clone(), format!("{action} {}", requests.burst)), requests, 1_000)];
        let count = call.request.list("InstanceId").len();
        if let Some(resources) = resource_limit(action).filter(|_| !call.request.is_dry_run()) {
            let tokens = i64::try_from(count).unwrap_or(i64::MAX / 1_000) * 1_000;
            wanted.push(((call.key.clone(), format!("{action} resources")), resources, tokens));
        }
        let has = |(name, limit, tokens): &((Key, String), Limit, i64)| {
            self.buckets.level(name, *limit, call.now) >= *tokens
        };
        if !wanted.iter().all(has) {
            return Err(Refusal::new("RequestLimitExceeded", "Request limit exceeded."));
        }
        for (name, limit, tokens) in wanted {
            let level = self.buckets.level(&name, limit, call.now) - tokens;
            self.buckets.0.insert(name, (level, call.now));
        }
        Ok(())
    }
}
