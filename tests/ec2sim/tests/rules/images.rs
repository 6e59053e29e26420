//! `CreateImage`, its snapshots, and what ends them.

use ec2sim::{Config, InstanceSeed, Request, SECOND, SnapshotState, VolumeSeed};

use crate::world::{HOME, World, create, start, stop};

#[test]
fn create_image_returns_before_any_snapshot_exists() {
    let mut world = World::new();
    let id = world.stopped();
    let image = world.image(&id, "golden");
    assert!(world.snapshots(HOME).is_empty());
    assert_eq!(world.image_state(&image), "pending");
    world.wait(5);
    assert_eq!(world.snapshots(HOME).len(), 2);
    assert!(world.snapshots(HOME).iter().all(|snapshot| snapshot.state == SnapshotState::Pending));
}

#[test]
fn a_snapshot_holds_the_write_clock_of_the_instant_it_started() {
    let mut world = World::new();
    let id = world.machine();
    world.wait(100);
    world.image(&id, "golden");
    world.wait(50);
    let snapshot = world.snapshots(HOME).pop().unwrap();
    assert_eq!(snapshot.captured, 105 * SECOND);
    assert_eq!(snapshot.start_time, world.now - 45 * SECOND);
    assert!(!snapshot.is_at_rest);
}

#[test]
fn a_guest_that_is_stopping_still_writes_until_it_is_stopped() {
    let mut world = World::new();
    let id = world.machine();
    world.wait(10);
    world.accepted(&stop(&id));
    world.image(&id, "early");
    world.wait(60);
    world.image(&id, "late");
    world.wait(60);
    let mut captured: Vec<_> = world
        .snapshots(HOME)
        .iter()
        .map(|snapshot| (snapshot.captured / SECOND, snapshot.is_at_rest))
        .collect();
    captured.sort_unstable();
    assert_eq!(captured, [(15, false), (50, true)]);
}

#[test]
fn an_image_of_a_stopped_machine_has_one_snapshot_per_volume_all_at_rest() {
    let mut world = World::new();
    let (id, image) = world.imaged();
    let image = world.image_of(HOME, &image);
    let volumes: Vec<_> = world.instance(&id).devices.iter().map(|device| device.volume.clone()).collect();
    let imaged: Vec<_> = image.mappings.iter().map(|mapping| mapping.volume.clone()).collect();
    assert_eq!(volumes, imaged);
    for snapshot in world.snapshots(HOME) {
        assert!(snapshot.is_at_rest);
        assert!(snapshot.description.starts_with(&format!("Created by CreateImage({id}) for {}", image.id)));
    }
}

#[test]
fn a_device_without_device_gets_no_snapshot() {
    let mut world = World::new();
    let id = world.stopped();
    let request = create(&id, "golden").with("BlockDeviceMapping.1.DeviceName", "/dev/sdf");
    world.accepted(&request.with("BlockDeviceMapping.1.NoDevice", ""));
    world.wait(5);
    assert_eq!(world.snapshots(HOME).len(), 1);
    for device in ["/dev/sda1", "/dev/sdz"] {
        let request = create(&id, "another").with("BlockDeviceMapping.1.DeviceName", device);
        let request = request.with("BlockDeviceMapping.1.NoDevice", "");
        assert_eq!(world.code(&request), "InvalidBlockDeviceMapping");
    }
}

#[test]
fn an_image_is_pending_until_every_snapshot_is_completed_and_shows_them_only_then() {
    let mut world = World::of(Config { snapshot: 600 * SECOND, ..Config::default() });
    let id = world.stopped();
    let image = world.image(&id, "golden");
    world.wait(604);
    let look = Request::new("DescribeImages").with("ImageId.1", &image);
    let reply = world.accepted(&look);
    assert_eq!((reply.text("imageState"), reply.texts("snapshotId").len()), (Some("pending"), 0));
    world.wait(1);
    let reply = world.accepted(&look);
    assert_eq!((reply.text("imageState"), reply.texts("snapshotId").len()), (Some("available"), 2));
    assert_eq!(reply.text("sourceInstanceId"), Some(id.as_str()));
}

#[test]
fn an_image_is_made_of_running_stopping_and_stopped_machines_only() {
    let mut world = World::new();
    let id = world.machine();
    world.image(&id, "running");
    world.accepted(&stop(&id));
    world.image(&id, "stopping");
    world.wait(40);
    world.image(&id, "stopped");
    world.accepted(&start(&id));
    let (code, message) = world.refused(&create(&id, "pending"));
    assert_eq!(code, "InvalidParameterValue");
    assert!(message.ends_with("Instance is not in state 'running' or 'stopping' or 'stopped'"));
    world.wait(20);
    world.accepted(&Request::new("TerminateInstances").with("InstanceId.1", &id));
    world.wait(40);
    assert_eq!(world.code(&create(&id, "terminated")), "InvalidParameterValue");
}

#[test]
fn a_start_before_the_snapshots_appear_fails_the_image_in_one_world() {
    let mut world = World::new();
    let id = world.stopped();
    let image = world.image(&id, "golden");
    world.wait(4);
    world.accepted(&start(&id));
    world.wait(1);
    let reply = world.accepted(&Request::new("DescribeImages").with("ImageId.1", &image));
    assert_eq!(reply.text("imageState"), Some("failed"));
    assert!(reply.text("stateReason").unwrap().contains("<code>Client.InstanceTerminated</code>"));
    assert!(world.snapshots(HOME).is_empty());
}

#[test]
fn a_start_before_the_snapshots_appear_spoils_them_in_the_other_world() {
    let mut world = World::of(Config {
        start_before_capture_fails_image: false,
        snapshot_lag: 60 * SECOND,
        ..Config::default()
    });
    let id = world.stopped();
    let image = world.image(&id, "golden");
    world.accepted(&start(&id));
    world.wait(400);
    assert_eq!(world.image_state(&image), "available");
    assert!(
        world
            .snapshots(HOME)
            .iter()
            .all(|snapshot| { !snapshot.is_at_rest && snapshot.captured == (40 + 40) * SECOND })
    );
}

#[test]
fn a_start_after_the_snapshots_appeared_changes_nothing_in_them() {
    let mut world = World::new();
    let id = world.stopped();
    let image = world.image(&id, "golden");
    world.wait(5);
    world.accepted(&start(&id));
    world.wait(300);
    assert_eq!(world.image_state(&image), "available");
    assert!(world.snapshots(HOME).iter().all(|snapshot| snapshot.captured == 40 * SECOND));
}

#[test]
fn a_start_between_two_snapshots_of_an_image_fails_it() {
    let mut world = World::of(Config { snapshot_stagger: 2 * SECOND, ..Config::default() });
    let id = world.stopped();
    let image = world.image(&id, "golden");
    world.wait(6);
    assert_eq!(world.snapshots(HOME).len(), 1);
    world.accepted(&start(&id));
    world.wait(300);
    assert_eq!(world.image_state(&image), "failed");
    assert_eq!(world.snapshots(HOME).len(), 1);
}

#[test]
fn a_machine_terminated_while_it_is_captured_fails_its_image() {
    let mut world = World::of(Config { start_before_capture_fails_image: false, ..Config::default() });
    let id = world.stopped();
    let image = world.image(&id, "golden");
    world.accepted(&Request::new("TerminateInstances").with("InstanceId.1", &id));
    world.wait(5);
    assert_eq!(world.image_state(&image), "failed");
}

#[test]
fn an_image_by_reboot_is_taken_at_rest_and_the_machine_runs_on() {
    let mut world = World::new();
    let id = world.machine();
    let launched = world.instance(&id).launch_time;
    world.wait(10);
    world.accepted(&Request::new("CreateImage").with("InstanceId", &id).with("Name", "rebooted"));
    world.wait(15);
    let snapshot = world.snapshots(HOME).pop().unwrap();
    assert!(snapshot.is_at_rest && snapshot.captured == 10 * SECOND);
    let instance = world.instance(&id);
    assert_eq!((instance.reboots, instance.launch_time), (1, launched));
    world.image(&id, "again");
    world.wait(5);
    assert!(world.snapshots(HOME).iter().any(|snapshot| snapshot.captured == 25 * SECOND));
}

#[test]
fn what_create_image_must_have_is_asked_for_by_name() {
    let mut world = World::new();
    let id = world.machine();
    assert_eq!(
        world.refused(&Request::new("CreateImage").with("InstanceId", &id)),
        ("MissingParameter".to_owned(), "The request must contain the parameter Name".to_owned())
    );
}

#[test]
fn a_volume_takes_five_snapshots_at_a_time() {
    let mut world = World::new();
    let id = world.machine();
    for number in 0..5 {
        world.image(&id, &format!("image-{number}"));
    }
    world.wait(5);
    assert_eq!(world.code(&create(&id, "image-5")), "ConcurrentSnapshotLimitExceeded");
    world.wait(240);
    world.image(&id, "image-5");
}

#[test]
fn a_volume_held_by_two_machines_is_written_by_both() {
    let mut world = World::new();
    let first = world.machine();
    let shared = VolumeSeed { multi_attach: true, ..VolumeSeed::new("/dev/sdm", 4) };
    let volume = world.sim.attach(world.now, ec2sim::ACCOUNT, HOME, &first, &shared);
    let again = VolumeSeed { id: Some(volume.clone()), ..shared };
    world.machine_of(InstanceSeed { volumes: vec![VolumeSeed::default(), again], ..InstanceSeed::default() });
    world.accepted(&stop(&first));
    world.wait(60);
    let place = world.sim.place(ec2sim::ACCOUNT, HOME).unwrap();
    assert_eq!(place.volumes[&volume].write_clock(world.now), (40 + 60) * SECOND);
    let reply = world.accepted(&Request::new("DescribeVolumes").with("VolumeId.1", &volume));
    assert_eq!((reply.texts("instanceId").len(), reply.text("multiAttachEnabled")), (2, Some("true")));
}

#[test]
fn what_is_new_is_not_seen_before_the_lag_is_over() {
    let mut world = World::of(Config { visibility_lag: 10 * SECOND, ..Config::default() });
    let id = world.stopped();
    let image = world.image(&id, "golden");
    let look = Request::new("DescribeImages").with("ImageId.1", &image);
    assert_eq!(world.code(&look), "InvalidAMIID.NotFound");
    assert_eq!(world.accepted(&Request::new("DescribeImages")).text("imagesSet"), Some(""));
    assert_eq!(world.code(&create(&id, "golden")), "InvalidAMIName.Duplicate");
    world.wait(10);
    world.accepted(&look);
    assert_eq!(world.accepted(&Request::new("DescribeSnapshots")).text("snapshotSet"), Some(""));
    world.wait(5);
    assert_eq!(world.accepted(&Request::new("DescribeSnapshots")).texts("snapshotId").len(), 2);
}
