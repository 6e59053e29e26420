//! Machines and volumes of kinds that a save must know.

use ec2sim::{ACCOUNT, InstanceSeed, PublicAddress, Request, ScheduledEvent, VolumeSeed};

use crate::world::{HOME, World, create, filter, start, stop};

fn look(id: &str) -> Request {
    Request::new("DescribeInstances").with("InstanceId.1", id)
}

#[test]
fn an_address_of_amazons_is_lost_by_a_stop_and_an_elastic_one_is_kept() {
    for (addressing, owner, is_kept) in
        [(PublicAddress::Auto, "amazon", false), (PublicAddress::Elastic, ACCOUNT, true)]
    {
        let mut world = World::new();
        let id =
            world.machine_of(InstanceSeed { public_address: Some(addressing), ..InstanceSeed::default() });
        let before = world.accepted(&look(&id));
        assert_eq!(before.text("ipOwnerId"), Some(owner));
        assert_eq!(before.text("publicIp"), before.text("ipAddress"));
        world.accepted(&stop(&id));
        world.wait(40);
        let at_rest = world.accepted(&look(&id));
        assert_eq!(at_rest.text("ipAddress").is_some(), is_kept);
        assert_eq!(at_rest.text("ipOwnerId").is_some(), is_kept);
        world.accepted(&start(&id));
        let after = world.accepted(&look(&id));
        assert_eq!(after.text("ipAddress") == before.text("ipAddress"), is_kept);
        assert!(after.text("ipAddress").is_some());
    }
}

#[test]
fn a_machine_on_a_dedicated_host_says_so() {
    let mut world = World::new();
    let plain = world.machine();
    assert_eq!(world.accepted(&look(&plain)).text("tenancy"), Some("default"));
    let seed = InstanceSeed {
        tenancy: "host".to_owned(),
        host: Some("h-00000000000000001".to_owned()),
        ..InstanceSeed::default()
    };
    let id = world.machine_of(seed);
    let reply = world.accepted(&filter(Request::new("DescribeInstances"), "tenancy", "host"));
    assert_eq!(reply.text("instanceId"), Some(id.as_str()));
    assert_eq!((reply.text("tenancy"), reply.text("hostId")), (Some("host"), Some("h-00000000000000001")));
}

#[test]
fn a_machine_in_a_placement_group_and_a_capacity_reservation_says_so_and_leaves_the_reservation_when_it_stops()
 {
    for is_targeted in [false, true] {
        let mut world = World::new();
        let id = "cr-00000000000000001".to_owned();
        let seed = InstanceSeed {
            placement_group: Some("hpc".to_owned()),
            reservation: Some(id.clone()),
            reservation_target: is_targeted.then_some(id),
            ..InstanceSeed::default()
        };
        let id = world.machine_of(seed);
        let reply = world.accepted(&look(&id));
        assert_eq!(reply.text("groupName"), Some("hpc"));
        let named = |reply: &ec2sim::Reply| reply.texts("capacityReservationId").len();
        assert_eq!(named(&reply), 1 + usize::from(is_targeted));
        let open = reply.text("capacityReservationPreference");
        assert_eq!(open, (!is_targeted).then_some("open"));
        world.accepted(&stop(&id));
        world.wait(40);
        assert_eq!(named(&world.accepted(&look(&id))), usize::from(is_targeted));
    }
}

#[test]
fn product_codes_go_from_a_machine_to_its_image() {
    let mut world = World::new();
    let id =
        world.machine_of(InstanceSeed { product_codes: vec!["abc".to_owned()], ..InstanceSeed::default() });
    assert_eq!(world.accepted(&look(&id)).text("productCode"), Some("abc"));
    let image = world.image(&id, "sold");
    let reply = world.accepted(&Request::new("DescribeImages").with("ImageId.1", &image));
    assert_eq!(reply.text("productCode"), Some("abc"));
}

#[test]
fn an_instance_store_device_is_shown_by_an_image_and_not_by_its_machine() {
    let mut world = World::new();
    let seed = InstanceSeed {
        instance_type: "m5d.large".to_owned(),
        instance_store: vec!["/dev/sdb".to_owned()],
        ..InstanceSeed::default()
    };
    let id = world.machine_of(seed);
    assert_eq!(world.accepted(&look(&id)).texts("deviceName"), ["/dev/sda1"]);
    let image = world.image(&id, "golden");
    world.wait(300);
    let reply = world.accepted(&Request::new("DescribeImages").with("ImageId.1", &image));
    assert_eq!(reply.texts("deviceName"), ["/dev/sda1", "/dev/sdb"]);
    assert_eq!((reply.text("virtualName"), world.snapshots(HOME).len()), (Some("ephemeral0"), 1));
}

#[test]
fn a_volume_of_a_slow_type_takes_one_snapshot_at_a_time() {
    for slow in ["st1", "sc1"] {
        let mut world = World::new();
        let volume = VolumeSeed { volume_type: Some(slow.to_owned()), ..VolumeSeed::new("/dev/sdf", 500) };
        let volumes = vec![VolumeSeed::default(), volume];
        let id = world.machine_of(InstanceSeed { volumes, ..InstanceSeed::default() });
        assert!(world.accepted(&Request::new("DescribeVolumes")).texts("volumeType").contains(&slow));
        world.image(&id, "first");
        world.wait(5);
        assert_eq!(world.code(&create(&id, "second")), "ConcurrentSnapshotLimitExceeded");
        world.wait(240);
        world.image(&id, "second");
    }
}

#[test]
fn a_volume_that_a_service_manages_says_so_in_both_lists() {
    let mut world = World::new();
    let volume = VolumeSeed { operator: Some("eks".to_owned()), ..VolumeSeed::default() };
    let id = world.machine_of(InstanceSeed { volumes: vec![volume], ..InstanceSeed::default() });
    let reply = world.accepted(&filter(Request::new("DescribeVolumes"), "operator.managed", "true"));
    assert_eq!((reply.text("managed"), reply.text("principal")), (Some("true"), Some("eks")));
    assert_eq!(world.accepted(&look(&id)).text("principal"), Some("eks"));
}

#[test]
fn what_ec2_plans_for_a_machine_is_in_its_status() {
    let mut world = World::new();
    let event = |code: &str, at| ScheduledEvent {
        code: code.to_owned(),
        description: "planned".to_owned(),
        not_before: at,
        not_after: None,
    };
    let events = vec![event("instance-stop", world.now)];
    let id = world.machine_of(InstanceSeed { events, ..InstanceSeed::default() });
    world.machine();
    world.sim.schedule(ACCOUNT, HOME, &id, event("instance-retirement", world.now + 1_000));
    let look = Request::new("DescribeInstanceStatus");
    let reply = world.accepted(&filter(look.clone(), "event.code", "instance-*"));
    assert_eq!(reply.texts("instanceId"), [id.as_str()]);
    let codes: Vec<_> =
        reply.texts("code").into_iter().filter(|code| code.starts_with("instance-")).collect();
    assert_eq!(codes, ["instance-stop", "instance-retirement"]);
    assert_eq!(reply.text("notBefore"), Some("2026-11-24T07:46:58.123Z"));
    let many = (1..=101).fold(look, |look, n| look.with(&format!("InstanceId.{n}"), &id));
    assert_eq!(world.code(&many), "InvalidParameterValue");
}

#[test]
fn several_tag_filters_must_all_match() {
    let mut world = World::new();
    let id = world.stopped();
    for (name, save, owner) in [("first", "1", "a"), ("second", "1", "b"), ("third", "2", "a")] {
        let request = create(&id, name).with("TagSpecification.1.ResourceType", "image");
        let request = request.with("TagSpecification.1.Tag.1.Key", "save");
        let request = request.with("TagSpecification.1.Tag.1.Value", save);
        let request = request.with("TagSpecification.1.Tag.2.Key", "owner");
        world.accepted(&request.with("TagSpecification.1.Tag.2.Value", owner));
        world.wait(300);
    }
    let look = filter(Request::new("DescribeImages"), "tag:save", "1");
    let look = look.with("Filter.2.Name", "tag:owner").with("Filter.2.Value.1", "a");
    assert_eq!(world.accepted(&look).texts("name"), ["first"]);
    let look = look.with("Filter.3.Name", "source-instance-id").with("Filter.3.Value.1", &id);
    let look = look.with("Filter.4.Name", "state").with("Filter.4.Value.1", "available");
    assert_eq!(world.accepted(&look).texts("name"), ["first"]);
    assert!(world.accepted(&look.with("Filter.2.Value.1", "c")).texts("name").is_empty());
}
