//! `CopyImage`.

use ec2sim::{Config, ImageState, InstanceSeed, Request, SECOND, VolumeSeed};

use crate::world::{AWAY, HOME, World, copy, create};

fn copied(world: &mut World, request: &Request) -> String {
    let reply = world.away(request);
    assert_eq!(reply.code, None, "{}", reply.body);
    reply.text("imageId").unwrap_or_default().to_owned()
}

fn code(world: &mut World, request: &Request) -> String {
    world.away(request).code.unwrap_or_default()
}

#[test]
fn a_copy_is_pending_for_a_while_and_names_its_source() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let id = copied(&mut world, &copy(&image, "golden"));
    let look = Request::new("DescribeImages").with("ImageId.1", &id);
    let reply = world.away(&look);
    assert_eq!((reply.text("imageState"), reply.text("snapshotId")), (Some("pending"), None));
    assert_eq!(reply.text("sourceImageId"), Some(image.as_str()));
    assert_eq!(reply.text("sourceImageRegion"), Some(HOME));
    assert_eq!(reply.text("sourceInstanceId"), None);
    world.wait(479);
    assert_eq!(world.image_of(AWAY, &id).state, ImageState::Pending);
    world.wait(1);
    let reply = world.away(&look);
    assert_eq!((reply.text("imageState"), reply.texts("snapshotId").len()), (Some("available"), 2));
}

#[test]
fn a_copy_holds_what_its_source_holds() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    copied(&mut world, &copy(&image, "golden"));
    world.wait(600);
    let snapshots = world.snapshots(AWAY);
    assert_eq!(snapshots.len(), 2);
    for snapshot in snapshots {
        assert!(snapshot.is_at_rest && snapshot.captured == 40 * SECOND);
        assert_eq!(snapshot.volume, "vol-ffffffff");
    }
}

#[test]
fn the_same_token_gives_the_same_image_and_other_parameters_a_mismatch() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let request = copy(&image, "golden").with("ClientToken", "token");
    let id = copied(&mut world, &request);
    world.wait(60);
    assert_eq!(copied(&mut world, &request), id);
    assert_eq!(
        code(&mut world, &request.clone().with("Description", "edited")),
        "IdempotentParameterMismatch"
    );
    world.wait(24 * 3_600);
    assert_eq!(code(&mut world, &request), "InvalidAMIName.Duplicate");
}

#[test]
fn only_an_available_image_is_copied() {
    let mut world = World::new();
    let id = world.stopped();
    let image = world.image(&id, "golden");
    assert_eq!(code(&mut world, &copy(&image, "golden")), "InvalidAMIID.Unavailable");
    assert_eq!(code(&mut world, &copy("ami-00000000000000001", "golden")), "InvalidAMIID.NotFound");
    assert_eq!(code(&mut world, &copy("ami-1", "golden")), "InvalidAMIID.Malformed");
    world.wait(300);
    world.accepted(&Request::new("DeregisterImage").with("ImageId", &image));
    assert_eq!(code(&mut world, &copy(&image, "golden")), "InvalidAMIID.Unavailable");
}

#[test]
fn a_copy_by_a_name_in_use_is_refused_in_one_world_and_made_in_the_other() {
    for (copy_name_unique, expected) in [(true, "InvalidAMIName.Duplicate"), (false, "")] {
        let mut world = World::of(Config { copy_name_unique, ..Config::default() });
        let (_, image) = world.imaged();
        copied(&mut world, &copy(&image, "golden"));
        assert_eq!(code(&mut world, &copy(&image, "golden")), expected);
    }
}

#[test]
fn twenty_snapshots_are_copied_to_a_region_at_a_time() {
    let mut world = World::new();
    let id = world.machine();
    let image = world.image(&id, "golden");
    world.wait(300);
    for number in 0..20 {
        copied(&mut world, &copy(&image, &format!("copy-{number}")));
    }
    assert_eq!(code(&mut world, &copy(&image, "copy-20")), "ResourceLimitExceeded");
    world.wait(480);
    copied(&mut world, &copy(&image, "copy-20"));
}

#[test]
fn how_many_are_copied_at_a_time_may_be_less() {
    let mut world = World::new();
    let id = world.machine();
    let image = world.image(&id, "golden");
    world.wait(300);
    world.sim.config_mut().copies_at_once = 1;
    copied(&mut world, &copy(&image, "one"));
    assert_eq!(code(&mut world, &copy(&image, "two")), "ResourceLimitExceeded");
    world.wait(480);
    copied(&mut world, &copy(&image, "two"));
}

#[test]
fn a_copy_takes_its_tags_from_the_request_and_its_sources_only_if_asked() {
    let mut world = World::new();
    let id = world.stopped();
    let tagged = create(&id, "golden").with("TagSpecification.1.ResourceType", "image");
    let tagged =
        tagged.with("TagSpecification.1.Tag.1.Key", "of").with("TagSpecification.1.Tag.1.Value", "home");
    let image = world.accepted(&tagged).text("imageId").unwrap().to_owned();
    world.wait(300);
    let bare = copied(&mut world, &copy(&image, "bare"));
    assert!(world.image_of(AWAY, &bare).tags.is_empty());
    let request = copy(&image, "full").with("CopyImageTags", "true");
    let request = request.with("TagSpecification.1.ResourceType", "image");
    let request =
        request.with("TagSpecification.1.Tag.1.Key", "own").with("TagSpecification.1.Tag.1.Value", "1");
    let request = request.with("TagSpecification.2.ResourceType", "snapshot");
    let request =
        request.with("TagSpecification.2.Tag.1.Key", "snap").with("TagSpecification.2.Tag.1.Value", "2");
    let full = copied(&mut world, &request);
    let keys: Vec<_> = world.image_of(AWAY, &full).tags.into_keys().collect();
    assert_eq!(keys, ["of", "own"]);
    world.wait(5);
    let snapshots = world.snapshots(AWAY);
    assert_eq!(snapshots.iter().filter(|snapshot| snapshot.tags.contains_key("snap")).count(), 2);
}

#[test]
fn a_copy_is_encrypted_with_the_key_that_was_asked_for_and_never_decrypted() {
    let mut world = World::new();
    let encrypted = VolumeSeed { kms_key: Some("key-home".to_owned()), ..VolumeSeed::default() };
    let id = world.machine_of(InstanceSeed { volumes: vec![encrypted], ..InstanceSeed::default() });
    let image = world.image(&id, "golden");
    world.wait(300);
    copied(&mut world, &copy(&image, "plain"));
    copied(&mut world, &copy(&image, "own").with("Encrypted", "true").with("KmsKeyId", "key-away"));
    assert_eq!(
        code(&mut world, &copy(&image, "neither").with("KmsKeyId", "key-away")),
        "InvalidParameterDependency"
    );
    world.wait(480);
    let mut keys: Vec<_> =
        world.snapshots(AWAY).into_iter().filter_map(|snapshot| snapshot.kms_key).collect();
    keys.sort();
    assert_eq!(keys, ["arn:aws:kms:us-west-2:123456789012:alias/aws/ebs", "key-away"]);
}

#[test]
fn a_copy_whose_source_has_lost_its_snapshots_fails() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let id = copied(&mut world, &copy(&image, "golden"));
    let deregister = Request::new("DeregisterImage").with("ImageId", &image);
    world.accepted(&deregister.with("DeleteAssociatedSnapshots", "true"));
    world.wait(480);
    assert_eq!(world.image_of(AWAY, &id).state, ImageState::Failed);
}

#[test]
fn a_dry_run_of_a_copy_makes_none() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    assert_eq!(code(&mut world, &copy(&image, "golden").with("DryRun", "true")), "DryRunOperation");
    assert_eq!(world.away(&Request::new("DescribeImages")).text("imagesSet"), Some(""));
}

#[test]
fn a_region_that_is_not_enabled_refuses_every_call() {
    let mut world = World::new();
    let reply = world.sim.call(world.now, ec2sim::ACCOUNT, "af-south-1", &Request::new("DescribeImages"));
    assert_eq!((reply.status, reply.code.as_deref()), (401, Some("AuthFailure")));
}
