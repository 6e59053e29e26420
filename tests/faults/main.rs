//! Faults: real processes that die, sleep and start over, and a real API server that is late, wrong or away.
//! Verdicts come from EC2's own log and stores.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

mod api;
mod crowd;
mod effect;
mod history;
mod matrix;
mod process;
mod truth;

use std::time::{Duration, Instant};

use saved_template_tests::{Lab, assert_holds, is};

use truth::Deeds;

const HOME: &str = "us-west-2";
const ALL: [&str; 3] = [HOME, "us-east-2", "us-west-1"];

/// The quickstart of `examples/`, in the namespace of the lab: a machine and two regions more.
fn quickstart(lab: &Lab<'_>) -> String {
    include_str!("../../examples/quickstart.yaml").replace("geo-lab", &lab.namespace)
}

/// A template of one machine without copies.
fn template(name: &str, instance: &str) -> String {
    format!(
        "apiVersion: savedtemplate.dev/v1alpha1\nkind: SavedTemplate\nmetadata: {{name: {name}}}\nspec:\n  \
         source: {{region: us-west-2, instanceName: {instance}}}\n"
    )
}

/// What so many saves of one machine each do.
fn saves(count: usize) -> Deeds {
    [("StopInstances", count), ("CreateImage", count)].into()
}

/// Waits for `Ready=True`.
async fn ready(lab: &Lab<'_>, name: &str) {
    let wanted = |object: &_| is(object, "Ready", "True", None);
    let reached = lab.until(name, Duration::from_mins(3), "Ready", wanted).await;
    assert_holds("L1", reached.is_ok(), || format!("{:#}", reached.as_ref().unwrap_err()));
}

/// Waits until something of this process's own is true.
async fn until(patience: Duration, what: &str, wanted: impl Fn() -> bool) {
    let started = Instant::now();
    while !wanted() {
        assert!(started.elapsed() < patience, "not {what} within {patience:?}");
        rest(Duration::from_millis(100)).await;
    }
}

/// Lets the world go on.
async fn rest(time: Duration) {
    tokio::time::timeout(time, std::future::pending::<()>()).await.unwrap_err();
}
