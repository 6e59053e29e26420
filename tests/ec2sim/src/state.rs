//! The whole truth as JSON.

use serde_json::{Value, json};

use crate::{clock::Millis, sim::Sim};

impl Sim {
    /// Everything that there is, with write clocks, downtimes and history.
    pub fn state(&mut self, now: Millis) -> Value {
        let now = self.advance(now);
        let places = self.places().iter().map(|(key, place)| {
            let volumes: Vec<Value> = place
                .volumes
                .values()
                .map(|volume| with(json!(volume), "writeClock", &json!(volume.write_clock(now))))
                .collect();
            let instances: Vec<Value> = place
                .instances
                .values()
                .map(|instance| with(json!(instance), "downtimes", &json!(instance.downtimes())))
                .collect();
            json!({
                "account": key.account,
                "region": key.region,
                "instances": instances,
                "volumes": volumes,
                "images": place.images.values().collect::<Vec<_>>(),
                "snapshots": place.snapshots.values().collect::<Vec<_>>(),
            })
        });
        let places: Vec<Value> = places.collect();
        json!({ "now": now, "places": places, "faults": self.faults() })
    }
}

fn with(mut value: Value, name: &str, field: &Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.insert(name.to_owned(), field.clone());
    }
    value
}
