//! Calls to EC2 that somebody makes.
use std::collections::BTreeMap;

use ec2sim::{ACCOUNT, Reply, Request, Sim};

pub(crate) const HOME: &str = "us-west-2";
/// Who the controllers are, in EC2's log.
pub(crate) const AGENT: &str = "savedtemplate";

/// How often one call of ours is sent that gets no good answer: the SDK repeats what is safe to repeat.
pub(crate) fn tries(operation: &str) -> u32 {
    let is_once = ["StopInstances", "CreateImage", "DeregisterImage", "DeleteSnapshot"].contains(&operation);
    if is_once { 1 } else { 2 }
}

/// One call by somebody else.
pub(crate) fn call(sim: &mut Sim, now: i64, region: &str, request: &Request) -> Reply {
    sim.call(now, ACCOUNT, region, request)
}

pub(crate) fn tag(id: &str, tags: &BTreeMap<String, String>) -> Request {
    tag_all(&[id.to_owned()], tags)
}

fn on_resources(action: &str, ids: &[String]) -> Request {
    let call = Request::new(action);
    ids.iter().enumerate().fold(call, |call, (at, id)| call.with(&format!("ResourceId.{}", at + 1), id))
}

pub(crate) fn tag_all(ids: &[String], tags: &BTreeMap<String, String>) -> Request {
    let mut call = on_resources("CreateTags", ids);
    for (at, (key, value)) in tags.iter().enumerate() {
        call = call.with(&format!("Tag.{}.Key", at + 1), key).with(&format!("Tag.{}.Value", at + 1), value);
    }
    call
}

pub(crate) fn untag(id: &str, key: &str, value: &str) -> Request {
    Request::new("DeleteTags").with("ResourceId.1", id).with("Tag.1.Key", key).with("Tag.1.Value", value)
}

pub(crate) fn on_instance(action: &str, id: &str) -> Request {
    Request::new(action).with("InstanceId.1", id)
}
