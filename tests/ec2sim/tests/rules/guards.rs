//! Disabled images, protection from deregistration, locks on snapshots.

use ec2sim::{HOUR, Request, SECOND};

use crate::world::{HOME, World, copy, create, filter};

fn on(action: &str, image: &str) -> Request {
    Request::new(action).with("ImageId", image)
}

#[test]
fn a_disabled_image_keeps_its_name_and_loses_its_permissions_for_good() {
    let mut world = World::new();
    let (id, image) = world.imaged();
    let share = on("ModifyImageAttribute", &image).with("LaunchPermission.Add.1.UserId", "210987654321");
    world.accepted(&share);
    assert_eq!(world.accepted(&on("DisableImage", &image)).text("return"), Some("true"));
    assert_eq!(world.code(&create(&id, "golden")), "InvalidAMIName.Duplicate");
    assert_eq!(world.away(&copy(&image, "golden")).code.unwrap(), "InvalidAMIID.Unavailable");
    assert_eq!(world.code(&share), "InvalidAMIID.Unavailable");
    world.accepted(&on("EnableImage", &image));
    assert_eq!(world.image_state(&image), "available");
    assert!(world.image_of(HOME, &image).permissions.is_empty());
    assert_eq!(world.away(&copy(&image, "golden")).code, None);
}

#[test]
fn a_disabled_image_is_shown_only_to_who_asks_for_such() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    world.accepted(&on("DisableImage", &image));
    let all = Request::new("DescribeImages").with("Owner.1", "self");
    let named = Request::new("DescribeImages").with("ImageId.1", &image);
    for request in [filter(all.clone(), "state", "disabled"), named, all] {
        assert_eq!(world.accepted(&request).texts("imageId").len(), 0);
        let reply = world.accepted(&request.with("IncludeDisabled", "true"));
        assert_eq!(
            (reply.text("imageId"), reply.text("imageState")),
            (Some(image.as_str()), Some("disabled"))
        );
    }
}

#[test]
fn a_disabled_image_is_deregistered_like_any() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    world.accepted(&on("DisableImage", &image));
    world.accepted(&on("DeregisterImage", &image).with("DeleteAssociatedSnapshots", "true"));
    assert!(world.snapshots(HOME).is_empty());
    assert_eq!(world.code(&on("EnableImage", &image)), "InvalidAMIID.Unavailable");
}

#[test]
fn a_pending_image_is_neither_disabled_nor_protected() {
    let mut world = World::new();
    let id = world.stopped();
    let image = world.image(&id, "golden");
    for action in ["DisableImage", "EnableImage", "EnableImageDeregistrationProtection"] {
        assert_eq!(world.code(&on(action, &image)), "InvalidAMIID.Unavailable");
    }
}

#[test]
fn a_protected_image_is_not_deregistered_until_protection_is_off() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let reply = world.accepted(&on("EnableImageDeregistrationProtection", &image));
    assert_eq!(reply.text("return"), Some("enabled-without-cooldown"));
    assert_eq!(world.code(&on("DeregisterImage", &image)), "OperationNotPermitted");
    assert_eq!(world.code(&on("DeregisterImage", &image).with("DryRun", "true")), "OperationNotPermitted");
    let shown = world.accepted(&Request::new("DescribeImages").with("ImageId.1", &image));
    assert_eq!(shown.text("deregistrationProtection"), Some("enabled-without-cooldown"));
    let reply = world.accepted(&on("DisableImageDeregistrationProtection", &image));
    assert_eq!(reply.text("return"), Some("disabled"));
    world.accepted(&on("DeregisterImage", &image));
}

#[test]
fn with_a_cooldown_protection_holds_for_24_hours_after_it_was_disabled() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let enable = on("EnableImageDeregistrationProtection", &image).with("WithCooldown", "true");
    assert_eq!(world.accepted(&enable).text("return"), Some("enabled-with-cooldown"));
    let reply = world.accepted(&on("DisableImageDeregistrationProtection", &image));
    assert!(reply.text("return").unwrap().starts_with("disabled after 20"));
    world.wait(24 * HOUR / SECOND - 1);
    assert_eq!(world.code(&on("DeregisterImage", &image)), "OperationNotPermitted");
    world.wait(1);
    world.accepted(&on("DeregisterImage", &image));
}

#[test]
fn a_date_of_deprecation_is_ahead_within_ten_years_and_in_whole_minutes() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let at = |date: &str| on("EnableImageDeprecation", &image).with("DeprecateAt", date);
    for wrong in ["2026-11-23T00:00:00Z", "2036-12-01T00:00:00Z", "soon"] {
        assert_eq!(world.code(&at(wrong)), "InvalidParameterValue", "{wrong}");
    }
    world.accepted(&at("2027-01-01T00:00:31Z"));
    let look = Request::new("DescribeImages").with("ImageId.1", &image);
    assert_eq!(world.accepted(&look).text("deprecationTime"), Some("2027-01-01T00:01:00.000Z"));
    world.accepted(&on("ModifyImageAttribute", &image).with("LaunchPermission.Add.1.Group", "all"));
    assert_eq!(world.code(&at("2029-01-01T00:00:00Z")), "InvalidParameterValue");
    world.accepted(&on("DisableImageDeprecation", &image));
    assert_eq!(world.accepted(&look).text("deprecationTime"), None);
}

#[test]
fn a_locked_snapshot_is_deleted_by_nobody_until_it_is_unlocked_or_its_time_is_over() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let ids: Vec<_> = world.snapshots(HOME).into_iter().map(|snapshot| snapshot.id).collect();
    let lock = |id: &str, mode: &str| {
        let request = Request::new("LockSnapshot").with("SnapshotId", id);
        request.with("LockMode", mode).with("LockDuration", "1")
    };
    assert_eq!(world.accepted(&lock(&ids[0], "governance")).text("lockState"), Some("governance"));
    world.accepted(&lock(&ids[1], "compliance"));
    assert_eq!(world.code(&lock(&ids[0], "firm")), "InvalidParameterValue");
    let reply = world.accepted(&on("DeregisterImage", &image).with("DeleteAssociatedSnapshots", "true"));
    assert_eq!(reply.texts("returnCode"), ["client-error", "client-error"]);
    world.wait(60);
    let delete = |id: &str| Request::new("DeleteSnapshot").with("SnapshotId", id);
    let unlock = |id: &str| Request::new("UnlockSnapshot").with("SnapshotId", id);
    assert_eq!(world.code(&delete(&ids[0])), "OperationNotPermitted");
    world.accepted(&unlock(&ids[0]));
    world.accepted(&delete(&ids[0]));
    assert_eq!(world.code(&unlock(&ids[1])), "OperationNotPermitted");
    world.wait(24 * HOUR / SECOND);
    world.accepted(&delete(&ids[1]));
}

#[test]
fn a_pending_copy_is_deregistered_and_its_snapshots_still_appear() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let reply = world.away(&copy(&image, "golden"));
    let copied = reply.text("imageId").unwrap().to_owned();
    let deregister = on("DeregisterImage", &copied).with("DeleteAssociatedSnapshots", "true");
    let reply = world.away(&deregister);
    assert_eq!((reply.code.clone(), reply.texts("returnCode").len()), (None, 0));
    assert!(world.snapshots(crate::world::AWAY).is_empty());
    world.wait(480);
    assert_eq!(world.snapshots(crate::world::AWAY).len(), 2);
    for snapshot in world.snapshots(crate::world::AWAY) {
        let reply = world.away(&Request::new("DeleteSnapshot").with("SnapshotId", &snapshot.id));
        assert_eq!(reply.code, None);
    }
}
