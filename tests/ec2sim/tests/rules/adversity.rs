//! Starts that fail, and machines that others stop.

use ec2sim::{ACCOUNT, InstanceSeed, Reason, Request, SECOND, StartFault, VolumeSeed};

use crate::world::{HOME, World, create, start, stop};

#[test]
fn a_start_without_capacity_is_refused_as_often_as_was_said() {
    let mut world = World::new();
    let id = world.stopped();
    world.sim.fault_starts(ACCOUNT, HOME, &id, StartFault::NoCapacity { times: 2 });
    assert_eq!(world.code(&start(&id).with("DryRun", "true")), "DryRunOperation");
    for _ in 0..2 {
        let reply = world.call(&start(&id));
        assert_eq!((reply.status, reply.code.as_deref()), (500, Some("InsufficientInstanceCapacity")));
        assert_eq!(world.state(&id), "stopped");
    }
    world.accepted(&start(&id));
}

#[test]
fn a_start_without_capacity_is_refused_until_its_time() {
    let mut world = World::new();
    let id = world.stopped();
    let until = world.now + 60 * SECOND;
    world.sim.fault_starts(ACCOUNT, HOME, &id, StartFault::NoCapacityUntil { until });
    world.wait(59);
    assert_eq!(world.code(&start(&id)), "InsufficientInstanceCapacity");
    world.wait(1);
    world.accepted(&start(&id));
}

#[test]
fn a_start_without_the_key_is_accepted_and_falls_back() {
    let mut world = World::new();
    let seed =
        InstanceSeed { start_faults: vec![StartFault::FallsBack { times: 1 }], ..InstanceSeed::default() };
    let id = world.machine_of(seed);
    world.accepted(&stop(&id));
    world.wait(40);
    assert!(world.accepted(&start(&id)).body.contains("pending"));
    world.wait(20);
    let reply = world.accepted(&Request::new("DescribeInstances"));
    assert!(reply.text("stateReason").unwrap().contains("<code>Client.InternalError</code>"));
    assert_eq!(world.state(&id), "stopped");
    world.accepted(&start(&id));
    world.wait(20);
    assert_eq!(world.state(&id), "running");
}

#[test]
fn a_shutdown_from_inside_has_its_own_reason_and_no_time() {
    let mut world = World::new();
    let id = world.machine();
    let reason = Reason::new("Client.InstanceInitiatedShutdown", "Instance initiated shutdown");
    world.sim.stop_otherwise(world.now, ACCOUNT, HOME, &id, reason);
    world.wait(40);
    let instance = world.instance(&id);
    assert_eq!(world.state(&id), "stopped");
    assert_eq!(instance.transition, "");
    assert_eq!(instance.reason.unwrap().code, "Client.InstanceInitiatedShutdown");
}

#[test]
fn a_shutdown_from_inside_may_mean_the_end() {
    let mut world = World::new();
    let seed = InstanceSeed { shutdown_behavior: "terminate".to_owned(), ..InstanceSeed::default() };
    let id = world.machine_of(seed);
    let reason = Reason::new("Client.InstanceInitiatedShutdown", "Instance initiated shutdown");
    world.sim.stop_otherwise(world.now, ACCOUNT, HOME, &id, reason);
    world.wait(40);
    assert_eq!(world.state(&id), "terminated");
}

#[test]
fn a_stop_while_an_image_is_captured_fails_it() {
    let mut world = World::new();
    let id = world.machine();
    let image = world.image(&id, "backup");
    world.accepted(&stop(&id));
    world.wait(5);
    assert_eq!(world.image_state(&image), "failed");
}

#[test]
fn a_volume_comes_and_goes() {
    let mut world = World::new();
    let id = world.stopped();
    let volume = world.sim.attach(world.now, ACCOUNT, HOME, &id, &VolumeSeed::new("/dev/sdg", 1));
    world.accepted(&create(&id, "three"));
    world.sim.detach(world.now, ACCOUNT, HOME, &id, &volume);
    world.accepted(&create(&id, "two"));
    world.wait(5);
    assert_eq!(world.snapshots(HOME).iter().filter(|snapshot| snapshot.volume == volume).count(), 1);
    assert_eq!(world.snapshots(HOME).len(), 5);
}

#[test]
fn a_managed_machine_says_who_manages_it_and_is_not_stopped() {
    let mut world = World::new();
    let seed = InstanceSeed { operator: Some("eks.amazonaws.com".to_owned()), ..InstanceSeed::default() };
    let id = world.machine_of(seed);
    let reply = world.accepted(&Request::new("DescribeInstances"));
    assert_eq!(
        reply.text("operator"),
        Some("<managed>true</managed><principal>eks.amazonaws.com</principal>")
    );
    assert_eq!(world.code(&stop(&id)), "OperationNotPermitted");
}

#[test]
fn the_same_seed_and_calls_give_the_same_world() {
    let run = || {
        let mut world = World::new();
        world.imaged();
        world.sim.state(world.now).to_string()
    };
    assert_eq!(run(), run());
}
