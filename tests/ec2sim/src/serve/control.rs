//! The simulator's own endpoint under `/_ec2sim/`: JSON.
//!
//! - `POST instances`: an instance of a seed; `POST deeds`: what others do to one;
//! - `POST`, `GET`, `DELETE faults`: rules, and what they met;
//! - `PATCH`, `GET config`: the settings, some of them given; `PUT`, `GET grants`: policies;
//! - `POST clock`: how far it is ahead; `GET log`, `GET state`: the truth.

use hyper::{Method, Response};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    ACCOUNT,
    clock::{Millis, SECOND},
    fault::Fault,
    iam::Grant,
    instance::{Reason, ScheduledEvent},
    seed::{InstanceSeed, StartFault, VolumeSeed},
    serve::{Shared, body::Text, http::plain},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Clock {
    offset_seconds: Millis,
}

/// What others do to an instance.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Deed {
    account: Option<String>,
    region: String,
    instance: String,
    act: Act,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum Act {
    /// It stops other than by the API.
    Stop { code: String, message: String },
    /// It gets one more volume.
    Attach { volume: VolumeSeed },
    /// It loses a volume.
    Detach { volume: String },
    /// EC2 plans something for it.
    Schedule { event: ScheduledEvent },
    /// Its next starts meet something.
    FaultStarts { fault: StartFault },
}

/// One rule, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Faults {
    Several(Vec<Fault>),
    One(Box<Fault>),
}

pub(crate) fn answer(shared: &Shared, method: &Method, path: &str, body: &[u8]) -> Response<Text> {
    let (status, value) = match route(shared, method, path, body) {
        Ok(Some(value)) => (200, value),
        Ok(None) => (404, json!({ "error": format!("no {method} /_ec2sim/{path}") })),
        Err(error) => (400, json!({ "error": error.to_string() })),
    };
    plain(status, "application/json", value.to_string())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(body)
}

fn route(shared: &Shared, method: &Method, path: &str, body: &[u8]) -> serde_json::Result<Option<Value>> {
    Ok(Some(match (method.as_str(), path) {
        ("POST", "instances") => {
            let seed: InstanceSeed = read(body)?;
            json!({ "instanceID": shared.sim().seed(shared.now(), seed) })
        }
        ("POST", "deeds") => perform(shared, read(body)?),
        ("GET", "log") => json!(shared.sim().log()),
        ("GET", "state") => shared.sim().state(shared.now()),
        ("POST", "faults") => {
            let faults = match read(body)? {
                Faults::Several(faults) => faults,
                Faults::One(fault) => vec![*fault],
            };
            for fault in faults {
                shared.add_fault(fault);
            }
            json!(shared.sim().faults())
        }
        ("GET", "faults") => json!(shared.sim().faults()),
        ("DELETE", "faults") => {
            shared.sim().clear_faults();
            json!([])
        }
        ("PUT", "grants") => {
            let grants: Vec<Grant> = read(body)?;
            shared.sim().config_mut().grants.clone_from(&grants);
            json!(grants)
        }
        ("PATCH", "config") => {
            let mut sim = shared.sim();
            let mut settings = json!(sim.config());
            let changed: Map<String, Value> = read(body)?;
            if let Some(settings) = settings.as_object_mut() {
                settings.extend(changed);
            }
            *sim.config_mut() = serde_json::from_value(settings)?;
            json!(sim.config())
        }
        ("GET", "config") => json!(shared.sim().config()),
        ("GET", "grants") => json!(shared.sim().config().grants),
        ("POST", "clock") => {
            let Clock { offset_seconds } = read(body)?;
            shared.set_offset(offset_seconds.saturating_mul(SECOND));
            json!({ "now": shared.now() })
        }
        _ => return Ok(None),
    }))
}

fn perform(shared: &Shared, deed: Deed) -> Value {
    let Deed { account, region, instance, act } = deed;
    let account = account.unwrap_or_else(|| ACCOUNT.to_owned());
    let (mut sim, now) = (shared.sim(), shared.now());
    match act {
        Act::Stop { code, message } => {
            sim.stop_otherwise(now, &account, &region, &instance, Reason::new(&code, &message));
            json!({})
        }
        Act::Attach { volume } => {
            json!({ "volumeID": sim.attach(now, &account, &region, &instance, &volume) })
        }
        Act::Detach { volume } => {
            sim.detach(now, &account, &region, &instance, &volume);
            json!({})
        }
        Act::Schedule { event } => {
            sim.schedule(&account, &region, &instance, event);
            json!({})
        }
        Act::FaultStarts { fault } => {
            sim.fault_starts(&account, &region, &instance, fault);
            json!({})
        }
    }
}
