//! Filters, owners, pages, and the ids that Describe calls are given.

use ec2sim::{Config, InstanceSeed, Lifecycle, Request};

use crate::world::{HOME, World, filter, stop};

#[test]
fn filters_find_instances_by_id_state_and_tag() {
    let mut world = World::new();
    let web = world.machine_of(InstanceSeed { name: Some("web".to_owned()), ..InstanceSeed::default() });
    let other = world.machine();
    world.accepted(&stop(&other));
    let all = Request::new("DescribeInstances");
    for (name, value, expected) in [
        ("instance-id", web.as_str(), &web),
        ("instance-state-name", "running", &web),
        ("instance-state-name", "stop*", &other),
        ("tag:Name", "w?b", &web),
        ("tag-key", "Name", &web),
    ] {
        let reply = world.accepted(&filter(all.clone(), name, value));
        assert_eq!(reply.texts("instanceId"), [expected.as_str()], "{name}={value}");
    }
    for (name, value) in [("instance-id", "i-00000000000000001"), ("tag:Name", "Web"), ("tag:name", "web")] {
        assert_eq!(world.accepted(&filter(all.clone(), name, value)).text("reservationSet"), Some(""));
    }
}

#[test]
fn values_of_one_filter_are_alternatives_and_filters_add_up() {
    let mut world = World::new();
    let (one, two) = (world.machine(), world.machine());
    world.accepted(&stop(&two));
    let both = filter(Request::new("DescribeInstances"), "instance-id", &one).with("Filter.1.Value.2", &two);
    assert_eq!(world.accepted(&both).texts("instanceState").len(), 2);
    let narrow = both.with("Filter.2.Name", "instance-state-name").with("Filter.2.Value.1", "stopping");
    assert_eq!(world.accepted(&narrow).texts("instanceId"), [two.as_str()]);
}

#[test]
fn filters_find_images_and_snapshots_by_what_ec2_knows_of_them() {
    let mut world = World::new();
    let (id, image) = world.imaged();
    for (name, value) in [
        ("name", "gold*"),
        ("state", "available"),
        ("source-instance-id", id.as_str()),
        ("image-id", image.as_str()),
        ("owner-id", ec2sim::ACCOUNT),
    ] {
        let reply = world.accepted(&filter(Request::new("DescribeImages"), name, value));
        assert_eq!(reply.text("imageId"), Some(image.as_str()), "{name}");
    }
    let snapshot = world.snapshots(HOME).remove(0);
    let description = format!("Created by CreateImage({id}) for {image}*");
    for (name, value, count) in [
        ("volume-id", snapshot.volume.as_str(), 1),
        ("snapshot-id", snapshot.id.as_str(), 1),
        ("description", description.as_str(), 2),
        ("status", "completed", 2),
        ("start-time", "2026-11-24T*", 2),
        ("owner-id", "210987654321", 0),
    ] {
        let reply = world.accepted(&filter(Request::new("DescribeSnapshots"), name, value));
        assert_eq!(reply.texts("snapshotId").len(), count, "{name}");
    }
}

#[test]
fn a_copy_is_found_by_the_image_and_region_that_it_came_from() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let copy = world.away(&crate::world::copy(&image, "golden")).text("imageId").unwrap().to_owned();
    for (name, value) in [("source-image-id", image.as_str()), ("source-image-region", HOME)] {
        let reply = world.away(&filter(Request::new("DescribeImages"), name, value));
        assert_eq!(reply.text("imageId"), Some(copy.as_str()), "{name}");
    }
}

#[test]
fn an_unknown_filter_is_refused_and_so_are_more_than_200_values() {
    let mut world = World::new();
    for action in
        ["DescribeInstances", "DescribeImages", "DescribeSnapshots", "DescribeVolumes", "DescribeTags"]
    {
        assert_eq!(
            world.refused(&filter(Request::new(action), "colour", "red")),
            ("InvalidParameterValue".to_owned(), "The filter 'colour' is invalid".to_owned())
        );
    }
    let mut request = Request::new("DescribeInstances").with("Filter.1.Name", "instance-id");
    for number in 1..=200 {
        request = request.with(&format!("Filter.1.Value.{number}"), "i-00000000000000001");
    }
    world.accepted(&request);
    assert_eq!(
        world.refused(&request.with("Filter.1.Value.201", "i-00000000000000001")),
        (
            "FilterLimitExceeded".to_owned(),
            "The maximum number of filter values specified on a single call is 200".to_owned()
        )
    );
}

#[test]
fn pages_hold_everything_once() {
    let mut world = World::new();
    let mut expected: Vec<_> = (0..12).map(|_| world.machine()).collect();
    expected.sort();
    let (mut found, mut token, mut pages) = (Vec::new(), None, 0);
    loop {
        let mut request = Request::new("DescribeInstances").with("MaxResults", "5");
        if let Some(token) = token.take() {
            request = request.with("NextToken", token);
        }
        let reply = world.accepted(&request);
        found.extend(reply.texts("instanceId").into_iter().map(str::to_owned));
        pages += 1;
        token = reply.text("nextToken").map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!((found, pages), (expected, 3));
}

#[test]
fn pages_and_ids_exclude_each_other() {
    let mut world = World::new();
    let id = world.machine();
    let request = Request::new("DescribeInstances").with("MaxResults", "5");
    assert_eq!(
        world.refused(&request.clone().with("InstanceId.1", &id)),
        (
            "InvalidParameterCombination".to_owned(),
            "The parameter instancesSet cannot be used with the parameter maxResults".to_owned()
        )
    );
    assert_eq!(world.code(&request.clone().with("NextToken", "forged")), "InvalidParameterValue");
    assert_eq!(world.code(&request.with("MaxResults", "4")), "InvalidParameterValue");
}

#[test]
fn a_token_of_one_call_is_no_token_of_another() {
    let mut world = World::of(Config { page: 1, ..Config::default() });
    world.machine();
    world.machine();
    let token = world.accepted(&Request::new("DescribeInstances")).text("nextToken").unwrap().to_owned();
    assert!(!token.contains("i-"));
    assert_eq!(
        world.code(&Request::new("DescribeVolumes").with("NextToken", token)),
        "InvalidParameterValue"
    );
}

#[test]
fn self_owns_its_own_and_nobody_else_does() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    for (owner, count) in [("self", 1), (ec2sim::ACCOUNT, 1), ("amazon", 0), ("210987654321", 0)] {
        let reply = world.accepted(&Request::new("DescribeImages").with("Owner.1", owner));
        assert_eq!(reply.texts("imageId").len(), count);
        let reply = world.accepted(&Request::new("DescribeSnapshots").with("Owner.1", owner));
        assert_eq!(reply.texts("snapshotId").len(), count * 2);
    }
    let look = Request::new("DescribeImages").with("ImageId.1", &image);
    let other = world.sim.call(world.now, "210987654321", HOME, &look);
    assert_eq!(other.code.as_deref(), Some("InvalidAMIID.NotFound"));
    assert_eq!(world.away(&look).code.as_deref(), Some("InvalidAMIID.NotFound"));
}

#[test]
fn unknown_and_malformed_ids_have_their_own_codes() {
    let mut world = World::new();
    for (action, parameter, id, code) in [
        ("DescribeInstances", "InstanceId.1", "i-00000000000000001", "InvalidInstanceID.NotFound"),
        ("DescribeInstances", "InstanceId.1", "i-1", "InvalidInstanceID.Malformed"),
        ("DescribeImages", "ImageId.1", "ami-00000000000000001", "InvalidAMIID.NotFound"),
        ("DescribeImages", "ImageId.1", "golden", "InvalidAMIID.Malformed"),
        ("DescribeSnapshots", "SnapshotId.1", "snap-00000000000000001", "InvalidSnapshot.NotFound"),
        ("DescribeSnapshots", "SnapshotId.1", "snap", "InvalidSnapshotID.Malformed"),
        ("DescribeVolumes", "VolumeId.1", "vol-00000000000000001", "InvalidVolume.NotFound"),
    ] {
        assert_eq!(world.code(&Request::new(action).with(parameter, id)), code);
    }
}

#[test]
fn an_unknown_action_is_invalid() {
    let mut world = World::new();
    assert_eq!(world.code(&Request::new("MakeCoffee")), "InvalidAction");
}

#[test]
fn the_status_call_shows_running_machines_unless_asked_for_all() {
    let mut world = World::new();
    let (running, other) = (world.machine(), world.machine());
    world.accepted(&stop(&other));
    let request = Request::new("DescribeInstanceStatus");
    assert_eq!(world.accepted(&request).texts("instanceId"), [running.as_str()]);
    assert_eq!(world.accepted(&request.with("IncludeAllInstances", "true")).texts("instanceId").len(), 2);
}

#[test]
fn regions_tell_whether_they_are_enabled() {
    let mut world = World::new();
    let request = Request::new("DescribeRegions");
    assert!(!world.accepted(&request).body.contains("af-south-1"));
    let reply = world.accepted(&request.with("AllRegions", "true").with("RegionName.1", "af-south-1"));
    assert_eq!(reply.text("optInStatus"), Some("not-opted-in"));
    let unknown = Request::new("DescribeRegions").with("RegionName.1", "mars-1");
    assert_eq!(world.code(&unknown), "InvalidParameterValue");
}

#[test]
fn instance_types_tell_whether_they_have_instance_storage() {
    let mut world = World::new();
    let request = Request::new("DescribeInstanceTypes");
    for (name, has_storage) in [("t3.micro", "false"), ("m5d.large", "true"), ("i3.metal", "true")] {
        let reply = world.accepted(&request.clone().with("InstanceType.1", name));
        assert_eq!(reply.text("instanceStorageSupported"), Some(has_storage));
    }
    assert_eq!(world.code(&request.with("InstanceType.1", "x9.mini")), "InvalidInstanceType");
}

#[test]
fn a_spot_machine_tells_its_request() {
    let mut world = World::new();
    let seed = InstanceSeed { lifecycle: Lifecycle::SpotPersistent, ..InstanceSeed::default() };
    let id = world.machine_of(seed);
    world.machine();
    let reply = world.accepted(&filter(Request::new("DescribeInstances"), "instance-lifecycle", "spot"));
    assert_eq!(reply.texts("instanceId"), [id.as_str()]);
    let request = reply.text("spotInstanceRequestId").unwrap().to_owned();
    let requests = Request::new("DescribeSpotInstanceRequests").with("SpotInstanceRequestId.1", request);
    assert_eq!(world.accepted(&requests).text("type"), Some("persistent"));
}
