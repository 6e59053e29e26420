//! Stop, start, reboot, terminate.

use ec2sim::{InstanceSeed, Lifecycle, Request, SECOND};

use crate::world::{World, start, stop};

#[test]
fn stopping_takes_its_time_and_tells_the_states_before_and_after() {
    let mut world = World::new();
    let id = world.machine();
    let reply = world.accepted(&stop(&id));
    assert_eq!(reply.text("currentState"), Some("<code>64</code><name>stopping</name>"));
    assert_eq!(reply.text("previousState"), Some("<code>16</code><name>running</name>"));
    world.wait(39);
    assert_eq!(world.state(&id), "stopping");
    world.wait(1);
    assert_eq!(world.state(&id), "stopped");
}

#[test]
fn a_stopped_machine_says_who_stopped_it_and_when_it_was_asked_to() {
    let mut world = World::new();
    let id = world.machine();
    world.accepted(&stop(&id));
    world.wait(60);
    let reply = world.accepted(&Request::new("DescribeInstances").with("InstanceId.1", &id));
    assert_eq!(reply.text("reason"), Some("User initiated (2026-11-24 07:46:58 GMT)"));
    assert_eq!(
        reply.text("stateReason"),
        Some(
            "<code>Client.UserInitiatedShutdown</code><message>Client.UserInitiatedShutdown: User initiated shutdown</message>"
        )
    );
}

#[test]
fn a_running_machine_has_no_reason_and_a_new_launch_time_in_whole_seconds() {
    let mut world = World::new();
    let id = world.machine();
    let before = world.instance(&id).launch_time;
    world.accepted(&stop(&id));
    world.wait(40);
    assert_eq!(world.instance(&id).launch_time, before);
    let asked = world.now;
    let reply = world.accepted(&start(&id));
    assert_eq!(reply.text("currentState"), Some("<code>0</code><name>pending</name>"));
    world.wait(20);
    assert_eq!(world.state(&id), "running");
    assert_eq!(world.instance(&id).launch_time, asked - asked % SECOND);
    let reply = world.accepted(&Request::new("DescribeInstances"));
    assert_eq!((reply.text("reason"), reply.text("stateReason")), (Some(""), None));
}

#[test]
fn stopping_what_is_stopped_and_starting_what_runs_changes_nothing() {
    let mut world = World::new();
    let id = world.machine();
    let launched = world.instance(&id).launch_time;
    assert_eq!(world.accepted(&start(&id)).text("currentState"), Some("<code>16</code><name>running</name>"));
    assert_eq!(world.instance(&id).launch_time, launched);
    world.accepted(&stop(&id));
    world.wait(5);
    assert_eq!(
        world.accepted(&stop(&id)).text("previousState"),
        Some("<code>64</code><name>stopping</name>")
    );
    world.wait(35);
    let reason = world.instance(&id).transition;
    world.wait(60);
    assert_eq!(world.accepted(&stop(&id)).text("currentState"), Some("<code>80</code><name>stopped</name>"));
    assert_eq!(world.instance(&id).transition, reason);
}

#[test]
fn a_machine_that_is_stopping_cannot_be_started() {
    let mut world = World::new();
    let id = world.machine();
    world.accepted(&stop(&id));
    assert_eq!(
        world.refused(&start(&id)),
        (
            "IncorrectInstanceState".to_owned(),
            format!("The instance '{id}' is not in a state from which it can be started.")
        )
    );
}

#[test]
fn a_machine_that_is_starting_cannot_be_stopped() {
    let mut world = World::new();
    let id = world.stopped();
    world.accepted(&start(&id));
    assert_eq!(world.code(&stop(&id)), "IncorrectInstanceState");
}

#[test]
fn one_bad_id_refuses_the_whole_batch() {
    let mut world = World::new();
    let id = world.machine();
    let unknown = "i-00000000000000001";
    assert_eq!(
        world.refused(&stop(&id).with("InstanceId.2", unknown)),
        ("InvalidInstanceID.NotFound".to_owned(), format!("The instance ID '{unknown}' does not exist"))
    );
    assert_eq!(world.code(&stop(&id).with("InstanceId.2", "i-xyz")), "InvalidInstanceID.Malformed");
    assert_eq!(world.state(&id), "running");
}

#[test]
fn several_unknown_ids_are_named_together() {
    let mut world = World::new();
    let request = stop("i-00000000000000001").with("InstanceId.2", "i-00000000000000002");
    assert_eq!(
        world.refused(&request).1,
        "The instance IDs 'i-00000000000000001, i-00000000000000002' do not exist"
    );
}

#[test]
fn protection_and_one_time_spot_refuse_a_stop_in_ec2s_words() {
    let mut world = World::new();
    let id = world.machine_of(InstanceSeed { disable_api_stop: true, ..InstanceSeed::default() });
    let expected = format!(
        "The instance '{id}' may not be stopped. Modify its 'disableApiStop' instance attribute and try again."
    );
    assert_eq!(world.refused(&stop(&id)), ("OperationNotPermitted".to_owned(), expected));
    let dry = stop(&id).with("DryRun", "true");
    assert_eq!(world.code(&dry), "OperationNotPermitted");
    let modify = Request::new("ModifyInstanceAttribute").with("InstanceId", &id);
    world.accepted(&modify.with("DisableApiStop.Value", "false"));
    assert_eq!(world.code(&dry), "DryRunOperation");

    let spot = InstanceSeed { lifecycle: Lifecycle::SpotOneTime, ..InstanceSeed::default() };
    let id = world.machine_of(spot);
    let expected = format!(
        "You can't stop the Spot Instance '{id}' because it is associated with a one-time Spot Instance request."
    );
    assert_eq!(world.refused(&stop(&id)), ("UnsupportedOperation".to_owned(), expected));
    let spot = InstanceSeed { lifecycle: Lifecycle::SpotPersistent, ..InstanceSeed::default() };
    let id = world.machine_of(spot);
    world.accepted(&stop(&id));
}

#[test]
fn an_instance_store_machine_cannot_be_stopped_or_imaged() {
    let mut world = World::new();
    let seed = InstanceSeed { root_device_type: "instance-store".to_owned(), ..InstanceSeed::default() };
    let id = world.machine_of(seed);
    assert_eq!(world.code(&stop(&id)), "UnsupportedOperation");
    assert_eq!(world.code(&crate::world::create(&id, "golden")), "InvalidParameterValue");
}

#[test]
fn a_dry_run_says_so_and_changes_nothing() {
    let mut world = World::new();
    let id = world.machine();
    let reply = world.call(&stop(&id).with("DryRun", "true"));
    assert_eq!((reply.status, reply.code.as_deref()), (412, Some("DryRunOperation")));
    assert_eq!(world.state(&id), "running");
    assert_eq!(world.code(&stop("i-00000000000000001").with("DryRun", "true")), "InvalidInstanceID.NotFound");
    assert!(!world.sim.log().iter().any(ec2sim::LogEntry::is_effective));
}

#[test]
fn a_terminated_machine_is_shown_for_an_hour_and_can_do_nothing() {
    let mut world = World::new();
    let id = world.machine();
    let volume = world.instance(&id).devices[0].volume.clone();
    world.accepted(&Request::new("TerminateInstances").with("InstanceId.1", &id));
    assert_eq!(world.state(&id), "shutting-down");
    assert_eq!(world.code(&stop(&id)), "IncorrectInstanceState");
    world.wait(40);
    assert_eq!(world.state(&id), "terminated");
    assert_eq!(world.code(&start(&id)), "IncorrectInstanceState");
    assert_eq!(
        world.code(&Request::new("DescribeVolumes").with("VolumeId.1", volume)),
        "InvalidVolume.NotFound"
    );
    world.wait(3_600);
    assert_eq!(
        world.code(&Request::new("DescribeInstances").with("InstanceId.1", &id)),
        "InvalidInstanceID.NotFound"
    );
    assert!(!world.accepted(&Request::new("DescribeInstances")).body.contains(&id));
}

#[test]
fn termination_protection_holds() {
    let mut world = World::new();
    let id = world.machine_of(InstanceSeed { disable_api_termination: true, ..InstanceSeed::default() });
    let request = Request::new("TerminateInstances").with("InstanceId.1", &id);
    assert_eq!(world.code(&request), "OperationNotPermitted");
}

#[test]
fn a_reboot_needs_a_running_machine_and_keeps_it_running() {
    let mut world = World::new();
    let id = world.machine();
    let launched = world.instance(&id).launch_time;
    let reboot = Request::new("RebootInstances").with("InstanceId.1", &id);
    world.accepted(&reboot);
    assert_eq!((world.instance(&id).reboots, world.instance(&id).launch_time), (1, launched));
    world.accepted(&stop(&id));
    assert_eq!(world.code(&reboot), "IncorrectInstanceState");
}

#[test]
fn the_history_tells_how_long_a_machine_was_down() {
    let mut world = World::new();
    let id = world.machine();
    let left = world.now;
    world.accepted(&stop(&id).by("somebody"));
    world.wait(50);
    assert_eq!(world.instance(&id).downtimes(), [(left, None)]);
    world.accepted(&start(&id));
    world.wait(20);
    assert_eq!(world.instance(&id).downtimes(), [(left, Some(left + 70 * SECOND))]);
    assert_eq!(world.instance(&id).history[1].cause, "somebody");
}

#[test]
fn an_attribute_is_told_and_changed() {
    let mut world = World::new();
    let id = world.machine();
    for (attribute, value) in [
        ("disableApiStop", "false"),
        ("disableApiTermination", "false"),
        ("instanceInitiatedShutdownBehavior", "stop"),
    ] {
        let request = Request::new("DescribeInstanceAttribute").with("InstanceId", &id);
        let reply = world.accepted(&request.with("Attribute", attribute));
        assert_eq!(reply.text(attribute), Some(format!("<value>{value}</value>").as_str()));
    }
    let modify = Request::new("ModifyInstanceAttribute").with("InstanceId", &id);
    world.accepted(&modify.clone().with("Attribute", "disableApiStop").with("Value", "true"));
    assert!(world.instance(&id).disable_api_stop);
    assert_eq!(world.code(&modify), "InvalidParameterCombination");
}
