//! Names of images, and what is left of an image that is deregistered.

use ec2sim::{Config, Request, SECOND};

use crate::world::{HOME, World, create};

#[test]
fn a_name_is_unique_in_its_account_and_region() {
    let mut world = World::new();
    let id = world.stopped();
    let image = world.image(&id, "golden");
    assert_eq!(
        world.refused(&create(&id, "golden")),
        ("InvalidAMIName.Duplicate".to_owned(), format!("AMI name golden is already in use by AMI {image}"))
    );
    assert_eq!(world.code(&create(&id, "golden").with("DryRun", "true")), "InvalidAMIName.Duplicate");
    world.image(&id, "Golden");
}

#[test]
fn a_name_is_free_again_some_time_after_its_image_was_deregistered() {
    let mut world = World::new();
    let (id, image) = world.imaged();
    world.accepted(&Request::new("DeregisterImage").with("ImageId", &image));
    assert_eq!(world.code(&create(&id, "golden")), "InvalidAMIName.Duplicate");
    world.wait(60);
    world.image(&id, "golden");
}

#[test]
fn a_name_that_ec2_does_not_take_is_malformed() {
    let mut world = World::new();
    let id = world.stopped();
    for name in ["ab", "a*b", "na\u{ef}ve", &"x".repeat(129)] {
        assert_eq!(world.code(&create(&id, name)), "InvalidAMIName.Malformed", "{name}");
    }
    world.image(&id, &"x".repeat(128));
    world.image(&id, "a (b) [c] d/e.f-g_h'i@j");
}

#[test]
fn deregistering_leaves_the_snapshots_unless_told_otherwise() {
    let mut world = World::new();
    let (id, image) = world.imaged();
    let deregister = Request::new("DeregisterImage").with("ImageId", &image);
    assert_eq!(world.accepted(&deregister).text("return"), Some("true"));
    assert_eq!(world.snapshots(HOME).len(), 2);
    assert_eq!(world.code(&deregister), "InvalidAMIID.Unavailable");

    let image = world.image(&id, "second");
    world.wait(300);
    let deregister = Request::new("DeregisterImage").with("ImageId", &image);
    let reply = world.accepted(&deregister.with("DeleteAssociatedSnapshots", "true"));
    assert_eq!(reply.texts("returnCode"), ["success", "success"]);
    assert_eq!(world.snapshots(HOME).len(), 2);
}

#[test]
fn a_deregistered_image_is_first_an_empty_list_and_then_unknown() {
    let mut world = World::of(Config { deregistered_shown: 10 * SECOND, ..Config::default() });
    let (_, image) = world.imaged();
    world.accepted(&Request::new("DeregisterImage").with("ImageId", &image));
    let look = Request::new("DescribeImages").with("ImageId.1", &image);
    assert_eq!(world.accepted(&look).text("imageState"), Some("deregistered"));
    world.wait(10);
    assert_eq!(world.accepted(&look).text("imagesSet"), Some(""));
    world.wait(3_600);
    assert_eq!(
        world.refused(&look),
        ("InvalidAMIID.NotFound".to_owned(), format!("The image id '[{image}]' does not exist"))
    );
}

#[test]
fn a_pending_image_that_is_deregistered_still_gets_its_snapshots() {
    let mut world = World::new();
    let id = world.stopped();
    let image = world.image(&id, "golden");
    world.accepted(&Request::new("DeregisterImage").with("ImageId", &image));
    world.wait(5);
    assert_eq!(world.snapshots(HOME).len(), 2);
}

#[test]
fn a_snapshot_is_deleted_only_once_no_image_uses_it() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let snapshot = world.snapshots(HOME).pop().unwrap().id;
    let delete = Request::new("DeleteSnapshot").with("SnapshotId", &snapshot);
    assert_eq!(
        world.refused(&delete),
        (
            "InvalidSnapshot.InUse".to_owned(),
            format!("The snapshot {snapshot} is currently in use by {image}")
        )
    );
    world.accepted(&Request::new("DeregisterImage").with("ImageId", &image));
    assert_eq!(world.code(&delete), "InvalidSnapshot.InUse");
    world.wait(5);
    world.accepted(&delete);
    assert_eq!(world.code(&delete), "InvalidSnapshot.NotFound");
}
