//! Token buckets.

use ec2sim::{Config, Request};

use crate::world::{World, filter, start, stop};

const CODE: &str = "RequestLimitExceeded";

fn throttled() -> World {
    World::of(Config { throttles: true, ..Config::default() })
}

/// How many calls of a kind are not refused for their number.
fn passing(world: &mut World, request: &Request) -> usize {
    (0..2_000).take_while(|_| world.code(request) != CODE).count()
}

#[test]
fn each_action_has_its_burst_and_its_refill() {
    let image = |action: &str| Request::new(action).with("ImageId", "ami-00000000000000001");
    let id = "i-00000000000000001";
    for (request, burst, refill) in [
        (Request::new("DescribeImages"), 100, 20),
        (Request::new("DescribeInstances"), 50, 10),
        (filter(Request::new("DescribeInstances"), "instance-id", id), 100, 20),
        (Request::new("DescribeSnapshots").with("MaxResults", "5"), 100, 20),
        (Request::new("CreateImage").with("InstanceId", id).with("Name", "golden"), 50, 5),
        (Request::new("CopyImage"), 100, 1),
        (image("DeregisterImage"), 100, 5),
        (image("ModifyImageAttribute"), 100, 5),
        (Request::new("CreateTags").with("ResourceId.1", id), 100, 10),
        (start(id), 5, 2),
        (stop(id), 50, 5),
    ] {
        let mut world = throttled();
        assert_eq!(passing(&mut world, &request), burst, "{}", request.action);
        world.wait(1);
        assert_eq!(passing(&mut world, &request), refill, "{}", request.action);
        world.wait(3_600);
        assert_eq!(passing(&mut world, &request), burst, "{}", request.action);
    }
}

#[test]
fn machines_cost_tokens_of_their_own_and_dry_runs_do_not() {
    let mut world = throttled();
    let id = world.machine();
    let many = |action: &str, count: usize| {
        (1..=count).fold(Request::new(action), |request, n| request.with(&format!("InstanceId.{n}"), &id))
    };
    let dry = many("StartInstances", 1_000).with("DryRun", "true");
    assert_eq!(world.code(&dry), "DryRunOperation");
    world.accepted(&many("StartInstances", 999));
    assert_eq!(world.code(&many("StartInstances", 2)), CODE);
    world.accepted(&many("StartInstances", 1));
    world.wait(5);
    assert_eq!(world.code(&many("StartInstances", 11)), CODE);
    world.accepted(&many("StartInstances", 10));
}

#[test]
fn regions_and_accounts_have_buckets_of_their_own() {
    let mut world = throttled();
    let request = Request::new("DescribeInstances");
    assert_eq!(passing(&mut world, &request), 50);
    assert_eq!(world.away(&request).code, None);
    assert_eq!(world.sim.call(world.now, "210987654321", crate::world::HOME, &request).code, None);
}
