//! Who else may use an image or a snapshot.

use ec2sim::{Config, InstanceSeed, Permission, Request, VolumeSeed};

use crate::world::{AWAY, HOME, World, copy, create, stop};

const ORGANIZATION: &str = "arn:aws:organizations::123456789012:organization/o-abcdefghij";
const UNIT: &str = "arn:aws:organizations::123456789012:ou/o-abcdefghij/ou-abcd-12345678";

fn modify(image: &str) -> Request {
    Request::new("ModifyImageAttribute").with("ImageId", image)
}

fn look(image: &str, attribute: &str) -> Request {
    Request::new("DescribeImageAttribute").with("ImageId", image).with("Attribute", attribute)
}

fn seeded(seed: InstanceSeed) -> (World, String) {
    let mut world = World::new();
    let id = world.machine_of(seed);
    world.accepted(&stop(&id));
    world.wait(40);
    let image = world.image(&id, "golden");
    world.wait(300);
    (world, image)
}

#[test]
fn an_image_is_shared_with_accounts_organizations_units_and_everybody() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let request = modify(&image)
        .with("LaunchPermission.Add.1.UserId", "210987654321")
        .with("LaunchPermission.Add.2.OrganizationArn", ORGANIZATION)
        .with("LaunchPermission.Add.3.OrganizationalUnitArn", UNIT)
        .with("LaunchPermission.Add.4.Group", "all");
    assert_eq!(world.accepted(&request).text("return"), Some("true"));
    let reply = world.accepted(&look(&image, "launchPermission"));
    assert_eq!(reply.text("userId"), Some("210987654321"));
    assert_eq!(reply.text("organizationArn"), Some(ORGANIZATION));
    assert_eq!(reply.text("organizationalUnitArn"), Some(UNIT));
    assert_eq!(reply.text("group"), Some("all"));
    let shown = world.accepted(&Request::new("DescribeImages").with("ImageId.1", &image));
    assert_eq!(shown.text("isPublic"), Some("true"));
}

#[test]
fn adding_what_is_there_and_removing_what_is_not_changes_nothing() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let add = modify(&image).with("LaunchPermission.Add.1.UserId", "210987654321");
    world.accepted(&add);
    world.accepted(&add);
    world.accepted(&modify(&image).with("LaunchPermission.Remove.1.UserId", "111111111111"));
    let permissions = world.image_of(HOME, &image).permissions;
    assert_eq!(permissions.into_iter().collect::<Vec<_>>(), [Permission::User("210987654321".to_owned())]);
    world.accepted(&modify(&image).with("LaunchPermission.Remove.1.UserId", "210987654321"));
    assert!(world.image_of(HOME, &image).permissions.is_empty());
}

#[test]
fn the_older_form_of_the_call_means_the_same() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let older = modify(&image).with("Attribute", "launchPermission").with("UserId.1", "210987654321");
    assert_eq!(world.code(&older), "MissingParameter");
    world.accepted(&older.clone().with("OperationType", "add"));
    assert_eq!(world.image_of(HOME, &image).permissions.len(), 1);
    world.accepted(&older.with("OperationType", "remove"));
    assert!(world.image_of(HOME, &image).permissions.is_empty());
}

#[test]
fn what_is_no_account_no_group_and_no_full_arn_is_refused() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    for (field, value, kind) in [
        ("UserId", "12345", "userId"),
        ("Group", "some", "userGroup"),
        ("OrganizationArn", "o-abcdefghij", "OrganizationArn"),
        ("OrganizationArn", "arn:aws:organizations::123456789012:account/o-abcdefghij", "OrganizationArn"),
        ("OrganizationalUnitArn", ORGANIZATION, "OrganizationalUnitArn"),
    ] {
        let (code, message) =
            world.refused(&modify(&image).with(&format!("LaunchPermission.Add.1.{field}"), value));
        assert_eq!(code, "InvalidAMIAttributeItemValue");
        assert_eq!(message, format!("Invalid attribute item value \"{value}\" for {kind} item type."));
    }
    assert_eq!(world.code(&modify(&image)), "InvalidParameterCombination");
}

#[test]
fn the_description_is_changed_alone() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let request = modify(&image).with("Description.Value", "new");
    let both = request.clone().with("LaunchPermission.Add.1.UserId", "210987654321");
    assert_eq!(world.code(&both), "InvalidParameterCombination");
    world.accepted(&request);
    assert_eq!(world.accepted(&look(&image, "description")).text("value"), Some("new"));
    assert_eq!(
        world.code(&modify(&image).with("Description.Value", "x".repeat(256))),
        "InvalidParameterValue"
    );
    let (code, message) = world.refused(&modify(&image).with("Description.Value", "new – and old"));
    assert_eq!(code, "InvalidParameterValue");
    assert!(message.contains("Character sets beyond ASCII are not supported"), "{message}");
    let stopped = world.stopped();
    let created = create(&stopped, "other").with("Description", "new – and old");
    assert_eq!(world.code(&created), "InvalidParameterValue");
    let copied = world.away(&copy(&image, "golden").with("Description", "new – and old"));
    assert_eq!(copied.code.as_deref(), Some("InvalidParameterValue"));
    assert_eq!(world.code(&look(&image, "blockDeviceMapping")), "AuthFailure");
    assert_eq!(world.code(&look(&image, "colour")), "InvalidParameterValue");
}

#[test]
fn a_pending_image_is_not_changed() {
    let mut world = World::new();
    let id = world.stopped();
    let image = world.image(&id, "golden");
    let request = modify(&image).with("LaunchPermission.Add.1.UserId", "210987654321");
    let (code, message) = world.refused(&request);
    assert_eq!(code, "InvalidAMIID.Unavailable");
    assert!(message.contains("is currently pending"));
    world.wait(300);
    world.accepted(&request);
    world.accepted(&Request::new("DeregisterImage").with("ImageId", &image));
    assert_eq!(world.code(&request), "InvalidAMIID.Unavailable");
}

#[test]
fn a_copy_is_shared_with_nobody() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    world.accepted(&modify(&image).with("LaunchPermission.Add.1.UserId", "210987654321"));
    world.accepted(&Request::new("EnableImageDeregistrationProtection").with("ImageId", &image));
    let reply = world.away(&copy(&image, "golden"));
    world.wait(480);
    let copy = world.image_of(AWAY, reply.text("imageId").unwrap());
    assert!(copy.permissions.is_empty() && !copy.protection.is_on(world.now));
}

#[test]
fn what_is_encrypted_or_has_product_codes_is_not_made_public() {
    let encrypted = VolumeSeed { kms_key: Some("key".to_owned()), ..VolumeSeed::default() };
    let sold = InstanceSeed { product_codes: vec!["abc".to_owned()], ..InstanceSeed::default() };
    for seed in [InstanceSeed { volumes: vec![encrypted], ..InstanceSeed::default() }, sold] {
        let (mut world, image) = seeded(seed);
        let public = modify(&image).with("LaunchPermission.Add.1.Group", "all");
        assert_eq!(world.code(&public), "OperationNotPermitted");
        world.accepted(&modify(&image).with("LaunchPermission.Add.1.UserId", "210987654321"));
    }
}

#[test]
fn where_public_access_is_blocked_an_image_is_not_made_public_but_shared_with_accounts() {
    let mut world = World::of(Config { public_access_is_blocked: true, ..Config::default() });
    let (_, image) = world.imaged();
    let reply = world.accepted(&Request::new("GetImageBlockPublicAccessState"));
    assert_eq!(reply.text("imageBlockPublicAccessState"), Some("block-new-sharing"));
    let add = "LaunchPermission.Add.1";
    assert_eq!(world.code(&modify(&image).with(&format!("{add}.Group"), "all")), "OperationNotPermitted");
    world.accepted(&modify(&image).with(&format!("{add}.UserId"), "210987654321"));
    world.accepted(&modify(&image).with("LaunchPermission.Remove.1.Group", "all"));
}

#[test]
fn a_snapshot_is_shared_with_accounts_and_everybody() {
    let mut world = World::new();
    world.imaged();
    let id = world.snapshots(HOME)[0].id.clone();
    let modify = Request::new("ModifySnapshotAttribute").with("SnapshotId", &id);
    let look = Request::new("DescribeSnapshotAttribute").with("SnapshotId", &id);
    let look = look.with("Attribute", "createVolumePermission");
    world.accepted(
        &modify
            .clone()
            .with("CreateVolumePermission.Add.1.UserId", "210987654321")
            .with("CreateVolumePermission.Add.2.Group", "all"),
    );
    let reply = world.accepted(&look);
    assert_eq!((reply.text("userId"), reply.text("group")), (Some("210987654321"), Some("all")));
    let older = modify.clone().with("Attribute", "createVolumePermission").with("OperationType", "remove");
    world.accepted(&older.with("UserId.1", "210987654321").with("UserGroup.1", "all"));
    assert_eq!(world.accepted(&look).text("createVolumePermission"), Some(""));
    let wrong = modify.clone().with("CreateVolumePermission.Add.1.UserId", "1");
    assert_eq!(world.code(&wrong), "InvalidParameterValue");
    assert_eq!(world.code(&modify), "InvalidParameterCombination");
}

#[test]
fn a_snapshot_under_the_default_key_is_not_shared_and_under_another_not_publicly() {
    for (key, user, group) in [
        (
            "arn:aws:kms:us-east-1:123456789012:alias/aws/ebs",
            "OperationNotPermitted",
            "OperationNotPermitted",
        ),
        ("arn:aws:kms:us-east-1:123456789012:key/own", "", "OperationNotPermitted"),
    ] {
        let volume = VolumeSeed { kms_key: Some(key.to_owned()), ..VolumeSeed::default() };
        let (mut world, _) = seeded(InstanceSeed { volumes: vec![volume], ..InstanceSeed::default() });
        let modify = Request::new("ModifySnapshotAttribute").with("SnapshotId", &world.snapshots(HOME)[0].id);
        let add = "CreateVolumePermission.Add.1";
        assert_eq!(world.code(&modify.clone().with(&format!("{add}.UserId"), "210987654321")), user);
        assert_eq!(world.code(&modify.with(&format!("{add}.Group"), "all")), group);
    }
}
