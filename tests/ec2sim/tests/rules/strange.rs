//! Answers that no client has seen before.

use ec2sim::{Effect, Fault, InstanceSeed, Request, Tags};

use crate::world::{World, stop};

fn rewrite(element: &str, from: Option<&str>, to: &str) -> Effect {
    Effect::Rewrite { element: element.to_owned(), from: from.map(str::to_owned), to: to.to_owned() }
}

#[test]
fn a_state_may_be_one_that_is_new() {
    let mut world = World::new();
    let (one, _) = (world.machine(), world.machine());
    world.accepted(&stop(&one));
    world
        .sim
        .add_fault(Fault::new("DescribeInstances", rewrite("name", Some("stopping"), "dreaming")).nth(1));
    let reply = world.accepted(&Request::new("DescribeInstances"));
    let mut states = reply.texts("name");
    states.sort_unstable();
    assert_eq!(states, ["dreaming", "running"]);
    assert_eq!(world.state(&one), "stopping");
    world.sim.add_fault(Fault::new("DescribeInstances", rewrite("name", None, "dreaming")).nth(1));
    assert_eq!(world.accepted(&Request::new("DescribeInstances")).texts("name"), ["dreaming", "dreaming"]);
}

#[test]
fn an_element_may_be_missing() {
    let mut world = World::new();
    world.machine();
    let omit = Effect::Omit { element: "platformDetails".to_owned() };
    world.sim.add_fault(Fault::new("DescribeInstances", omit).nth(1));
    let look = Request::new("DescribeInstances");
    let (without, with) = (world.accepted(&look), world.accepted(&look));
    assert_eq!((without.text("platformDetails"), with.text("platformDetails")), (None, Some("Linux/UNIX")));
    let rest = with.body.replace("<platformDetails>Linux/UNIX</platformDetails>", "");
    let tail = |body: &str| body.split_once("</requestId>").map(|(_, tail)| tail.to_owned());
    assert_eq!(tail(&without.body), tail(&rest));
}

#[test]
fn tags_come_in_any_order() {
    let mut world = World::new();
    let tags: Tags = ["a", "b", "c", "d"].map(|key| (key.to_owned(), key.to_uppercase())).into();
    world.machine_of(InstanceSeed { tags, ..InstanceSeed::default() });
    world.sim.add_fault(Fault::new("Describe*", Effect::ShuffleTags));
    let mut orders: Vec<Vec<String>> = Vec::new();
    for _ in 0..4 {
        let reply = world.accepted(&Request::new("DescribeInstances"));
        orders.push(reply.texts("key").into_iter().map(str::to_owned).collect());
    }
    assert!(orders.iter().all(|order| order.len() == 4), "{orders:?}");
    orders.dedup();
    assert_eq!(orders.len(), 4, "{orders:?}");
}
