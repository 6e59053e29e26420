//! Flows: the real controller, a real API server, a simulated EC2. Verdicts come from EC2's own log and stores.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

mod api;
mod authority;
mod class;
mod crash;
mod debts;
mod deletion;
mod ec2_faults;
mod examples;
mod guard;
mod hostile;
mod iam;
mod late;
mod outage;
mod ownership;
mod preflight;
mod random;
mod restored;
mod save;
mod signature;
mod whole;

use ec2sim::{ACCOUNT, Image, ImageState, InstanceState, Request};
use saved_template_tests::{Lab, assert_holds};

/// The quickstart of `examples/`, in the namespace of the lab.
fn quickstart(lab: &Lab<'_>) -> String {
    include_str!("../../examples/quickstart.yaml").replace("geo-lab", &lab.namespace)
}

/// A template of one machine without copies.
fn template(name: &str, instance: &str) -> String {
    with(name, instance, "")
}

/// The same, with more lines of spec.
fn with(name: &str, instance: &str, more: &str) -> String {
    format!(
        "apiVersion: savedtemplate.dev/v1alpha1\nkind: SavedTemplate\nmetadata: {{name: {name}}}\nspec:\n  \
         source: {{region: us-west-2, instanceName: {instance}}}\n{more}"
    )
}

/// A call that somebody else makes, in a region.
fn user_in(lab: &Lab<'_>, region: &str, action: &str, params: &[(&str, &str)]) {
    let mut request = Request::new(action).by("a user");
    for (key, value) in params {
        request = request.with(key, *value);
    }
    let reply = lab.ec2.call(ACCOUNT, region, &request);
    assert_eq!(reply.status, 200, "{}", reply.body);
}

/// The same, at home.
fn user(lab: &Lab<'_>, action: &str, params: &[(&str, &str)]) {
    user_in(lab, HOME, action, params);
}

const HOME: &str = "us-west-2";
const ALL: [&str; 3] = [HOME, "us-east-2", "us-west-1"];

fn images(lab: &Lab<'_>, region: &str) -> Vec<Image> {
    let sim = lab.ec2.sim();
    sim.place(ACCOUNT, region).map(|place| place.images.values().cloned().collect()).unwrap_or_default()
}

fn state(lab: &Lab<'_>, instance: &str) -> InstanceState {
    let now = lab.ec2.now();
    let mut sim = lab.ec2.sim();
    sim.advance(now);
    sim.place(ACCOUNT, HOME).unwrap().instances[instance].state
}

/// The keys of our tags on the machine.
fn tags(lab: &Lab<'_>, instance: &str) -> Vec<String> {
    let sim = lab.ec2.sim();
    let tags = &sim.place(ACCOUNT, HOME).unwrap().instances[instance].tags;
    tags.keys().filter(|key| key.starts_with("savedtemplate.dev/")).cloned().collect()
}

fn owes(lab: &Lab<'_>, instance: &str) -> bool {
    tags(lab, instance).iter().any(|key| key.starts_with("savedtemplate.dev/restart-owed."))
}

/// The machine runs, nothing is owed, one available AMI in each region, and nothing was done twice.
fn assert_saved_once(lab: &Lab<'_>, instance: &str, regions: &[&str]) {
    let runs = state(lab, instance) == InstanceState::Running;
    assert_holds("I1", runs && !owes(lab, instance), || lab.evidence());
    for region in regions {
        let images = images(lab, region);
        let one = images.len() == 1 && images[0].state == ImageState::Available;
        assert_holds("I6", one, || {
            format!("{region}: {:?}", images.iter().map(|image| (&image.id, image.state)).collect::<Vec<_>>())
        });
    }
    assert_holds("I9", lab.count("StopInstances") == 1, || lab.calls().join("\n"));
    let sim = lab.ec2.sim();
    let at_rest = sim.place(ACCOUNT, HOME).unwrap().snapshots.values().all(|snapshot| snapshot.is_at_rest);
    assert_holds("I5", at_rest, || "a snapshot was taken while the machine wrote".to_owned());
}
