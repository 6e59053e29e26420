//! What another account sees of an image, and may do with it.

use ec2sim::{Config, Request};

use crate::world::{AWAY, HOME, World, copy, filter};

const OTHER: &str = "210987654321";
const ORGANIZATION: &str = "arn:aws:organizations::123456789012:organization/o-abcdefghij";

fn share(image: &str, field: &str, value: &str) -> Request {
    let request = Request::new("ModifyImageAttribute").with("ImageId", image);
    request.with(&format!("LaunchPermission.Add.1.{field}"), value)
}

fn code(world: &mut World, region: &str, request: &Request) -> String {
    world.sim.call(world.now, OTHER, region, request).code.unwrap_or_default()
}

fn listed(world: &mut World, request: &Request) -> usize {
    world.sim.call(world.now, OTHER, HOME, request).texts("imageId").len()
}

#[test]
fn an_image_is_seen_by_whom_it_is_shared_with_in_whatever_way() {
    let member = (OTHER.to_owned(), ORGANIZATION.to_owned());
    let look = Request::new("DescribeImages");
    for (field, value, is_named) in
        [("UserId", OTHER, true), ("Group", "all", false), ("OrganizationArn", ORGANIZATION, true)]
    {
        let mut world = World::of(Config { members: vec![member.clone()], ..Config::default() });
        let (_, image) = world.imaged();
        let by_id = look.clone().with("ImageId.1", &image);
        assert_eq!(code(&mut world, HOME, &by_id), "InvalidAMIID.NotFound");
        assert_eq!(listed(&mut world, &look), 0);
        world.accepted(&share(&image, field, value));
        let reply = world.sim.call(world.now, OTHER, HOME, &by_id);
        assert_eq!(reply.text("imageOwnerId"), Some(ec2sim::ACCOUNT));
        assert_eq!(listed(&mut world, &look), 1);
        assert_eq!(listed(&mut world, &look.clone().with("Owner.1", "self")), 0);
        assert_eq!(listed(&mut world, &look.clone().with("Owner.1", ec2sim::ACCOUNT)), 1);
        assert_eq!(listed(&mut world, &look.clone().with("ExecutableBy.1", "self")) == 1, is_named);
        assert_eq!(listed(&mut world, &look.clone().with("ExecutableBy.1", "all")) == 1, !is_named);
        assert_eq!(world.sim.call(world.now, OTHER, AWAY, &look).texts("imageId").len(), 0);
        world.accepted(&Request::new("DisableImage").with("ImageId", &image));
        assert_eq!(code(&mut world, HOME, &by_id), "InvalidAMIID.NotFound");
    }
}

#[test]
fn an_owner_finds_what_is_shared_with_one_account() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    world.accepted(&share(&image, "UserId", OTHER));
    for (user, count) in [(OTHER, 1), ("111111111111", 0), ("self", 0)] {
        let look = Request::new("DescribeImages").with("Owner.1", "self").with("ExecutableBy.1", user);
        assert_eq!(world.accepted(&look).texts("imageId").len(), count, "{user}");
    }
}

#[test]
fn the_tags_of_a_shared_image_are_its_owners_alone() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    world.accepted(&share(&image, "UserId", OTHER));
    let tag = Request::new("CreateTags").with("ResourceId.1", &image).with("Tag.1.Key", "secret");
    world.accepted(&tag.with("Tag.1.Value", "1"));
    let look = Request::new("DescribeImages");
    assert_eq!(world.accepted(&filter(look.clone(), "tag-key", "secret")).texts("imageId").len(), 1);
    assert_eq!(listed(&mut world, &filter(look.clone(), "tag-key", "secret")), 0);
    assert_eq!(world.sim.call(world.now, OTHER, HOME, &look).text("tagSet"), None);
}

#[test]
fn a_shared_image_is_changed_by_its_owner_only() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let deregister = Request::new("DeregisterImage").with("ImageId", &image);
    assert_eq!(code(&mut world, HOME, &deregister), "InvalidAMIID.NotFound");
    world.accepted(&share(&image, "UserId", OTHER));
    let look = Request::new("DescribeImageAttribute").with("ImageId", &image);
    for request in [
        deregister,
        share(&image, "UserId", "111111111111"),
        look.with("Attribute", "launchPermission"),
        Request::new("DisableImage").with("ImageId", &image),
    ] {
        let reply = world.sim.call(world.now, OTHER, HOME, &request);
        assert_eq!(reply.text("Message"), Some(format!("Not authorized for image:{image}").as_str()));
        assert_eq!(reply.code.as_deref(), Some("AuthFailure"));
    }
}

#[test]
fn a_shared_image_is_copied_only_if_its_snapshots_are_shared_too() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    assert_eq!(code(&mut world, AWAY, &copy(&image, "mine")), "InvalidAMIID.NotFound");
    world.accepted(&share(&image, "UserId", OTHER));
    assert_eq!(code(&mut world, AWAY, &copy(&image, "mine")), "InvalidRequest");
    for snapshot in world.snapshots(HOME) {
        let request = Request::new("ModifySnapshotAttribute").with("SnapshotId", &snapshot.id);
        world.accepted(&request.with("CreateVolumePermission.Add.1.UserId", OTHER));
        let look = Request::new("DescribeSnapshots").with("SnapshotId.1", &snapshot.id);
        let reply = world.sim.call(world.now, OTHER, HOME, &look);
        assert_eq!(reply.text("ownerId"), Some(ec2sim::ACCOUNT));
    }
    let reply = world.sim.call(world.now, OTHER, AWAY, &copy(&image, "mine"));
    let copied = reply.text("imageId").expect("a copy").to_owned();
    world.wait(480);
    let place = world.sim.place(OTHER, AWAY).expect("a place");
    assert_eq!((place.images[&copied].owner.as_str(), place.snapshots.len()), (OTHER, 2));
    assert_eq!(place.images[&copied].state, ec2sim::ImageState::Available);
}
