//! Tags.

use ec2sim::{InstanceSeed, Request, Tags};

use crate::world::{HOME, World, create, filter};

fn tag(id: &str, key: &str, value: &str) -> Request {
    let request = Request::new("CreateTags").with("ResourceId.1", id);
    request.with("Tag.1.Key", key).with("Tag.1.Value", value)
}

fn untag(id: &str) -> Request {
    Request::new("DeleteTags").with("ResourceId.1", id)
}

#[test]
fn tags_come_with_the_image_and_with_each_snapshot() {
    let mut world = World::new();
    let id = world.stopped();
    let request = create(&id, "golden").with("TagSpecification.1.ResourceType", "image");
    let request =
        request.with("TagSpecification.1.Tag.1.Key", "a").with("TagSpecification.1.Tag.1.Value", "1");
    let request = request.with("TagSpecification.2.ResourceType", "snapshot");
    let request =
        request.with("TagSpecification.2.Tag.1.Key", "b").with("TagSpecification.2.Tag.1.Value", "2");
    world.accepted(&request);
    let found = world.accepted(&filter(Request::new("DescribeImages"), "tag:a", "1"));
    assert_eq!(found.texts("imageId").len(), 1);
    world.wait(5);
    let found = world.accepted(&filter(Request::new("DescribeSnapshots"), "tag-key", "b"));
    assert_eq!(found.texts("snapshotId").len(), 2);
}

#[test]
fn a_call_with_a_bad_tag_makes_no_image() {
    let mut world = World::new();
    let id = world.stopped();
    let spec = |kind: &str, key: &str| {
        let request = create(&id, "golden").with("TagSpecification.1.ResourceType", kind);
        request.with("TagSpecification.1.Tag.1.Key", key).with("TagSpecification.1.Tag.1.Value", "v")
    };
    for (kind, key) in [("image", "aws:x"), ("volume", "x"), ("image", &"k".repeat(129))] {
        assert_eq!(world.code(&spec(kind, key)), "InvalidParameterValue");
    }
    assert_eq!(world.accepted(&Request::new("DescribeImages")).text("imagesSet"), Some(""));
}

#[test]
fn a_tag_is_overwritten_and_deleted_by_value_only_if_it_has_that_value() {
    let mut world = World::new();
    let id = world.machine();
    world.accepted(&tag(&id, "owed", "one"));
    world.accepted(&tag(&id, "owed", "two"));
    world.accepted(&untag(&id).with("Tag.1.Key", "owed").with("Tag.1.Value", "one"));
    assert_eq!(world.instance(&id).tags, Tags::from([("owed".to_owned(), "two".to_owned())]));
    world.accepted(&untag(&id).with("Tag.1.Key", "owed").with("Tag.1.Value", ""));
    assert_eq!(world.instance(&id).tags.len(), 1);
    world.accepted(&untag(&id).with("Tag.1.Key", "owed").with("Tag.1.Value", "two"));
    assert!(world.instance(&id).tags.is_empty());
    world.accepted(&tag(&id, "owed", "three"));
    world.accepted(&untag(&id).with("Tag.1.Key", "owed"));
    assert!(world.instance(&id).tags.is_empty());
}

#[test]
fn deleting_without_tags_deletes_all_of_the_users() {
    let mut world = World::new();
    let id = world.machine_of(InstanceSeed {
        asg: Some("group".to_owned()),
        name: Some("web".to_owned()),
        ..InstanceSeed::default()
    });
    world.accepted(&tag(&id, "a", "1"));
    world.accepted(&untag(&id));
    let keys: Vec<_> = world.instance(&id).tags.into_keys().collect();
    assert_eq!(keys, ["aws:autoscaling:groupName"]);
}

#[test]
fn the_aws_prefix_is_reserved_in_any_case() {
    let mut world = World::new();
    let id = world.machine();
    for key in ["aws:x", "AWS:x", "Aws:autoscaling:groupName"] {
        assert_eq!(
            world.refused(&tag(&id, key, "v")),
            (
                "InvalidParameterValue".to_owned(),
                "Tag keys starting with 'aws:' are reserved for internal use".to_owned()
            )
        );
    }
}

#[test]
fn a_resource_takes_fifty_tags_besides_those_of_aws() {
    let mut world = World::new();
    let id = world.machine_of(InstanceSeed { asg: Some("group".to_owned()), ..InstanceSeed::default() });
    for number in 0..50 {
        world.accepted(&tag(&id, &format!("key-{number}"), "v"));
    }
    assert_eq!(world.code(&tag(&id, "key-50", "v")), "TagLimitExceeded");
    world.accepted(&tag(&id, "key-49", "w"));
}

#[test]
fn keys_and_values_have_lengths() {
    let mut world = World::new();
    let id = world.machine();
    world.accepted(&tag(&id, &"k".repeat(128), &"v".repeat(256)));
    assert_eq!(world.code(&tag(&id, &"k".repeat(129), "v")), "InvalidParameterValue");
    assert_eq!(world.code(&tag(&id, "k", &"v".repeat(257))), "InvalidParameterValue");
    assert_eq!(world.code(&tag(&id, "", "v")), "InvalidParameterValue");
}

#[test]
fn one_unknown_resource_leaves_all_others_untagged() {
    let mut world = World::new();
    let id = world.machine();
    let request = tag(&id, "a", "1");
    for (unknown, code) in [
        ("i-00000000000000001", "InvalidInstanceID.NotFound"),
        ("ami-00000000000000001", "InvalidAMIID.NotFound"),
        ("snap-00000000000000001", "InvalidSnapshot.NotFound"),
        ("whatever", "InvalidID"),
    ] {
        assert_eq!(world.code(&request.clone().with("ResourceId.2", unknown)), code);
    }
    assert!(world.instance(&id).tags.is_empty());
}

#[test]
fn images_snapshots_and_volumes_are_tagged_and_listed_too() {
    let mut world = World::new();
    let (id, image) = world.imaged();
    let snapshot = world.snapshots(HOME).pop().unwrap().id;
    let volume = world.instance(&id).devices[0].volume.clone();
    let request = tag(&id, "k", "v").with("ResourceId.2", image).with("ResourceId.3", snapshot);
    world.accepted(&request.with("ResourceId.4", volume));
    let reply = world.accepted(&filter(Request::new("DescribeTags"), "key", "k"));
    assert_eq!(reply.texts("resourceType"), ["image", "instance", "snapshot", "volume"]);
    let reply = world.accepted(&filter(Request::new("DescribeTags"), "resource-id", &id));
    assert_eq!((reply.text("resourceId"), reply.text("value")), (Some(id.as_str()), Some("v")));
}
