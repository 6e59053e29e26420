//! Hostile input, without end: the bodies of the property tests in `controller/core/tests/hostile`, and of
//! those of EC2's replies in `controller/ec2/src/wire`.
//!
//! `make fuzz` runs them on a stable compiler with a seed; `cargo +nightly fuzz run objects -- -max_total_time=600` lets
//! libFuzzer look for what they have not met.
#[path = "../../controller/core/tests/hostile/body.rs"]
mod body;
#[path = "../../controller/ec2/src/wire/replies.rs"]
mod damage;
#[path = "../../controller/core/tests/hostile/dice.rs"]
mod dice;
#[path = "../../controller/core/tests/hostile/laws.rs"]
mod laws;
#[path = "../../controller/core/tests/hostile/objects.rs"]
mod objects;
#[path = "../../controller/core/tests/hostile/schema.rs"]
mod schema;
mod wire;
#[path = "../../controller/core/tests/hostile/worlds.rs"]
mod worlds;

use saved_template_ec2::Ec2;

/// Any object before any world.
pub fn objects(data: &[u8]) {
    body::object(data);
}

/// Any text as a record on a machine: the bytes themselves, and a record with some of its letters changed.
pub fn debts(data: &[u8]) {
    body::debt(&String::from_utf8_lossy(data), data);
    body::debt(&body::almost(data), data);
}

/// Any JSON as an object: one whose text was damaged, read as the controller reads it, then decided upon.
pub fn manifests(data: &[u8]) {
    body::manifest(data);
}

/// Any reply of EC2: a good one that was damaged on its way, read by the client of the controller.
pub fn replies(data: &[u8]) {
    let clock = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    clock.unwrap().block_on(damage::law(data, wire::ec2));
}
