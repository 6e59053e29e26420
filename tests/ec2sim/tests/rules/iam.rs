//! What policies let pass, by a strict policy as docs/protocol.md §10 describes it.

use ec2sim::{ACCOUNT, Config, Grant, Policy, Reply, Request, SECOND};

use crate::world::{AWAY, HOME, World, copy, create, start, stop};

const KEY: &str = "AKIDCONTROLLER";
const DENIED: &str = "UnauthorizedOperation";

/// Reading, and the table of docs/protocol.md, §10.
const STRICT: &str = r#"{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"},
  {"Effect": "Allow", "Action": "ec2:StopInstances", "Resource": "arn:aws:ec2:*:*:instance/*",
   "Condition": {"StringEquals": {"aws:ResourceTag/allow": "true"}, "Null": {"aws:ResourceTag/owed": "false"}}},
  {"Effect": "Allow", "Action": "ec2:StartInstances", "Resource": "arn:aws:ec2:*:*:instance/*",
   "Condition": {"StringLike": {"ec2:ResourceTag/owed": "*"}}},
  {"Effect": "Allow", "Action": ["ec2:CreateTags", "ec2:DeleteTags"], "Resource": "arn:aws:ec2:*:*:instance/*",
   "Condition": {"ForAllValues:StringLike": {"aws:TagKeys": ["owed", "saved.*"]}, "Null": {"aws:TagKeys": "false"}}},
  {"Effect": "Allow", "Action": "ec2:CreateImage", "Resource": "arn:aws:ec2:*:*:instance/*",
   "Condition": {"StringEquals": {"aws:ResourceTag/allow": "true"}}},
  {"Effect": "Allow", "Action": ["ec2:CreateImage", "ec2:CopyImage"],
   "Resource": ["arn:aws:ec2:*::image/*", "arn:aws:ec2:*::snapshot/*"],
   "Condition": {"StringEquals": {"aws:RequestTag/cluster": "one"}}},
  {"Effect": "Allow", "Action": "ec2:CopyImage", "Resource": "arn:aws:ec2:*::image/*",
   "Condition": {"StringEquals": {"aws:ResourceTag/cluster": "one"}}},
  {"Effect": "Allow", "Action": "ec2:CreateTags",
   "Resource": ["arn:aws:ec2:*::image/*", "arn:aws:ec2:*::snapshot/*"],
   "Condition": {"StringEquals": {"ec2:CreateAction": ["CreateImage", "CopyImage"]}}},
  {"Effect": "Allow", "Action": "ec2:CreateTags",
   "Resource": ["arn:aws:ec2:*::image/*", "arn:aws:ec2:*::snapshot/*"],
   "Condition": {"StringEquals": {"aws:ResourceTag/cluster": "one"}}},
  {"Effect": "Allow", "Action": ["ec2:DeleteTags", "ec2:DeregisterImage", "ec2:DeleteSnapshot", "ec2:Modify*",
    "ec2:Enable*", "ec2:Disable*"], "Resource": ["arn:aws:ec2:*::image/*", "arn:aws:ec2:*::snapshot/*"],
   "Condition": {"StringEquals": {"aws:ResourceTag/cluster": "one"}}},
  {"Effect": "Deny", "Action": "ec2:DeleteTags", "Resource": "*", "Condition": {"Null": {"aws:TagKeys": "true"}}}
]}"#;

/// A refusal's message without the ciphertext that EC2 appends.
fn told(message: &str) -> &str {
    message.split(". Encoded authorization failure message: ").next().unwrap()
}

fn granting(policy: &str) -> Config {
    Config { grants: vec![Grant::to(KEY, vec![Policy::parse(policy).unwrap()])], ..Config::default() }
}

fn tagged(request: Request, kinds: &[&str], key: &str, value: &str) -> Request {
    kinds.iter().zip(1..).fold(request, |request, (kind, n)| {
        request
            .with(&format!("TagSpecification.{n}.ResourceType"), *kind)
            .with(&format!("TagSpecification.{n}.Tag.1.Key"), key)
            .with(&format!("TagSpecification.{n}.Tag.1.Value"), value)
    })
}

fn tag(action: &str, id: &str, key: &str, value: &str) -> Request {
    Request::new(action).with("ResourceId.1", id).with("Tag.1.Key", key).with("Tag.1.Value", value)
}

/// The code that the controller's call comes back with; empty: it was accepted.
fn code(world: &mut World, request: &Request) -> String {
    world.call(&request.clone().signed_by(KEY)).code.unwrap_or_default()
}

fn away(world: &mut World, request: &Request) -> Reply {
    world.away(&request.clone().signed_by(KEY))
}

/// A machine that may be stopped.
fn allowed(world: &mut World) -> String {
    let id = world.machine();
    world.accepted(&tag("CreateTags", &id, "allow", "true"));
    world.accepted(&tag("CreateTags", &id, "owed", "v1"));
    id
}

/// A machine at rest, and an image of it that is the cluster's.
fn saved(world: &mut World) -> (String, String) {
    let id = allowed(world);
    world.accepted(&stop(&id));
    world.wait(40);
    let request = tagged(create(&id, "golden"), &["image", "snapshot"], "cluster", "one");
    let image = world.call(&request.signed_by(KEY)).text("imageId").expect("an image").to_owned();
    world.wait(300);
    (id, image)
}

#[test]
fn one_without_a_policy_may_do_everything_and_one_with_none_that_applies_nothing() {
    let mut world = World::of(granting(r#"{"Statement": []}"#));
    let id = world.machine();
    assert_eq!(code(&mut world, &Request::new("DescribeInstances")), DENIED);
    assert_eq!(code(&mut world, &stop(&id).with("DryRun", "true")), DENIED);
    let reply = world.call(&stop(&id).signed_by(KEY));
    assert_eq!(reply.status, 403);
    let message = reply.text("Message").unwrap();
    assert!(message.starts_with("You are not authorized to perform this operation. User: arn:aws:iam::"));
    assert!(told(message).ends_with(&format!(
        "ec2:StopInstances on resource: arn:aws:ec2:{HOME}:{ACCOUNT}:instance/{id} because no identity-based policy allows the ec2:StopInstances action"
    )));
    let again = world.call(&stop(&id).signed_by(KEY));
    let again = again.text("Message").unwrap();
    assert!(again != message && told(again) == told(message), "the ciphertext alone is another one");
    world.accepted(&stop(&id));
}

#[test]
fn a_deny_wins_over_every_allow_and_policies_add_up() {
    let policy = |text: &str| Policy::parse(text).unwrap();
    let all = policy(r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#);
    let but = policy(
        r#"{"Statement": {"Effect": "Deny", "Action": "ec2:StopInstances", "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:ResourceTag/allow": "true"}}}}"#,
    );
    let grants = vec![Grant::to_all(vec![all]), Grant::to(KEY, vec![but])];
    let mut world = World::of(Config { grants, ..Config::default() });
    let id = world.machine();
    let reply = world.call(&stop(&id).signed_by(KEY));
    assert!(
        told(reply.text("Message").unwrap()).ends_with("with an explicit deny in an identity-based policy")
    );
    world.accepted(&tag("CreateTags", &id, "allow", "true"));
    assert_eq!(code(&mut world, &stop(&id)), "");
}

#[test]
fn a_machine_is_stopped_only_with_both_tags_and_all_of_a_batch_must_be_allowed() {
    let mut world = World::of(granting(STRICT));
    let (first, second) = (allowed(&mut world), allowed(&mut world));
    let batch = stop(&first).with("InstanceId.2", &second);
    assert_eq!(code(&mut world, &batch.clone().with("DryRun", "true")), "DryRunOperation");
    for key in ["allow", "owed"] {
        world.accepted(&Request::new("DeleteTags").with("ResourceId.1", &second).with("Tag.1.Key", key));
        assert_eq!(code(&mut world, &batch), DENIED);
        assert_eq!(code(&mut world, &batch.clone().with("DryRun", "true")), DENIED);
        world.accepted(&tag("CreateTags", &second, key, "true"));
    }
    assert_eq!(code(&mut world, &batch), "");
    world.wait(40);
    assert_eq!(code(&mut world, &start(&first)), "");
    world.accepted(&Request::new("DeleteTags").with("ResourceId.1", &second).with("Tag.1.Key", "owed"));
    assert_eq!(code(&mut world, &start(&second)), DENIED);
}

#[test]
fn a_machines_tags_are_changed_within_the_named_keys_only_and_never_all_deleted() {
    let mut world = World::of(granting(STRICT));
    let id = allowed(&mut world);
    let both = tag("CreateTags", &id, "owed", "v2").with("Tag.2.Key", "saved.x").with("Tag.2.Value", "1");
    assert_eq!(code(&mut world, &both), "");
    assert_eq!(code(&mut world, &both.with("Tag.3.Key", "allow").with("Tag.3.Value", "true")), DENIED);
    assert_eq!(code(&mut world, &tag("DeleteTags", &id, "owed", "v2")), "");
    assert_eq!(code(&mut world, &tag("DeleteTags", &id, "allow", "true")), DENIED);
    assert_eq!(code(&mut world, &Request::new("DeleteTags").with("ResourceId.1", &id)), DENIED);
}

/// The well-known hole: without `Null`, a call that names no tags passes `ForAllValues`, and deletes every tag.
#[test]
fn for_all_values_alone_lets_a_call_without_tags_delete_them_all() {
    let hole = r#"{"Statement": {"Effect": "Allow", "Action": "ec2:DeleteTags", "Resource": "*",
        "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": "owed"}}}}"#;
    let mut world = World::of(granting(hole));
    let id = allowed(&mut world);
    assert_eq!(code(&mut world, &tag("DeleteTags", &id, "allow", "true")), DENIED);
    assert_eq!(code(&mut world, &Request::new("DeleteTags").with("ResourceId.1", &id)), "");
    assert!(world.instance(&id).tags.is_empty());
}

#[test]
fn an_image_is_made_of_an_allowed_machine_and_only_if_image_and_snapshots_are_tagged() {
    let mut world = World::of(granting(STRICT));
    let (id, other) = (allowed(&mut world), world.machine());
    let kinds = ["image", "snapshot"];
    for (request, expected) in [
        (create(&id, "golden"), DENIED),
        (tagged(create(&id, "golden"), &kinds[..1], "cluster", "one"), DENIED),
        (tagged(create(&id, "golden"), &kinds[1..], "cluster", "one"), DENIED),
        (tagged(create(&id, "golden"), &kinds, "cluster", "two"), DENIED),
        (tagged(create(&other, "golden"), &kinds, "cluster", "one"), DENIED),
        (tagged(create(&id, "golden"), &kinds, "cluster", "one"), ""),
    ] {
        assert_eq!(code(&mut world, &request), expected, "{request:?}");
    }
}

#[test]
fn tags_at_creation_need_create_tags_for_that_action() {
    for (action, expected) in [("CreateImage", ""), ("CopyImage", DENIED)] {
        let policy = format!(
            r#"{{"Statement": [{{"Effect": "Allow", "Action": "ec2:CreateImage", "Resource": "*"}},
               {{"Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*",
                 "Condition": {{"StringEquals": {{"ec2:CreateAction": "{action}"}}}}}}]}}"#
        );
        let mut world = World::of(granting(&policy));
        let id = world.machine();
        assert_eq!(code(&mut world, &tagged(create(&id, "golden"), &["image"], "a", "b")), expected);
        assert_eq!(code(&mut world, &create(&id, "plain")), "");
        assert_eq!(code(&mut world, &tag("CreateTags", &id, "a", "b")), DENIED);
    }
}

#[test]
fn the_source_of_a_copy_is_known_by_its_tags_in_one_world_only() {
    for (copy_source_has_tags, expected) in [(true, None), (false, Some(DENIED.to_owned()))] {
        let mut world = World::of(Config { copy_source_has_tags, ..granting(STRICT) });
        let (_, image) = saved(&mut world);
        let request = tagged(copy(&image, "golden"), &["image", "snapshot"], "cluster", "one");
        assert_eq!(away(&mut world, &request).code, expected);
        let untagged = away(&mut world, &copy(&image, "another"));
        assert_eq!(untagged.code.as_deref(), Some(DENIED));
        world.accepted(&tag("CreateTags", &image, "cluster", "two"));
        let request = tagged(copy(&image, "third"), &["image", "snapshot"], "cluster", "one");
        assert_eq!(away(&mut world, &request).code.as_deref(), Some(DENIED));
    }
}

#[test]
fn the_source_of_a_copy_is_named_by_its_own_region() {
    let policy = |region: &str| {
        format!(
            r#"{{"Statement": {{"Effect": "Allow", "Action": "ec2:CopyImage", "Resource":
               ["arn:aws:ec2:{region}::image/ami-*", "arn:aws:ec2:{AWAY}::image/*", "arn:aws:ec2:*::snapshot/*"],
               "Condition": {{"StringEquals": {{"aws:RequestedRegion": "{AWAY}", "ec2:Region": "{AWAY}"}}}}}}}}"#
        )
    };
    for (region, expected) in [(HOME, None), (AWAY, Some(DENIED.to_owned()))] {
        let mut world = World::of(granting(&policy(region)));
        let (_, image) = world.imaged();
        assert_eq!(away(&mut world, &copy(&image, "golden")).code, expected);
        assert_eq!(code(&mut world, &copy(&image, "here")), DENIED);
    }
}

#[test]
fn what_is_the_clusters_is_changed_and_deleted_and_nothing_else_is() {
    let mut world = World::of(granting(STRICT));
    let (_, image) = saved(&mut world);
    let snapshot = world.snapshots(HOME)[0].id.clone();
    let on = |action: &str| Request::new(action).with("ImageId", &image);
    let requests = [
        on("ModifyImageAttribute").with("LaunchPermission.Add.1.UserId", "210987654321"),
        on("DisableImage"),
        on("EnableImage"),
        on("EnableImageDeregistrationProtection"),
        on("DisableImageDeregistrationProtection"),
        Request::new("ModifySnapshotAttribute")
            .with("SnapshotId", &snapshot)
            .with("CreateVolumePermission.Add.1.UserId", "210987654321"),
        tag("CreateTags", &image, "more", "1"),
        tag("DeleteTags", &image, "more", "1"),
        on("DeregisterImage"),
        Request::new("DeleteSnapshot").with("SnapshotId", &snapshot),
    ];
    for request in requests {
        if request.action == "DeleteSnapshot" {
            world.wait(60);
        }
        for (cluster, expected) in [("two", DENIED), ("one", "")] {
            for id in [&image, &snapshot] {
                world.call(&tag("CreateTags", id, "cluster", cluster));
            }
            assert_eq!(code(&mut world, &request), expected, "{request:?}");
        }
    }
}

#[test]
fn deregistering_tells_of_each_snapshot_that_may_not_be_deleted() {
    let mut world = World::of(granting(STRICT));
    let (_, image) = saved(&mut world);
    let snapshot = world.snapshots(HOME)[0].id.clone();
    world.accepted(&tag("CreateTags", &snapshot, "cluster", "two"));
    let request = Request::new("DeregisterImage").with("ImageId", &image);
    let reply = world.call(&request.with("DeleteAssociatedSnapshots", "true").signed_by(KEY));
    assert_eq!((reply.code.clone(), reply.texts("returnCode")), (None, vec!["missing-permissions"]));
    assert_eq!(world.snapshots(HOME).len(), 1);
}

#[test]
fn iam_learns_of_a_change_of_tags_late_but_knows_at_once_what_was_tagged_as_it_was_made() {
    let mut world = World::of(Config { iam_tag_latency: 10 * SECOND, ..granting(STRICT) });
    let id = allowed(&mut world);
    assert_eq!(code(&mut world, &stop(&id)), DENIED);
    world.wait(9);
    assert_eq!(code(&mut world, &stop(&id)), DENIED);
    world.wait(1);
    assert_eq!(code(&mut world, &stop(&id)), "");
    world.accepted(&Request::new("DeleteTags").with("ResourceId.1", &id).with("Tag.1.Key", "owed"));
    world.wait(9);
    world.accepted(&tag("CreateTags", &id, "other", "1"));
    assert_eq!(code(&mut world, &stop(&id)), "");
    world.wait(1);
    assert_eq!(code(&mut world, &stop(&id)), DENIED);
    let request = tagged(create(&id, "golden"), &["image", "snapshot"], "cluster", "one");
    let image = world.call(&request.signed_by(KEY)).text("imageId").expect("an image").to_owned();
    assert_eq!(code(&mut world, &tag("CreateTags", &image, "more", "1")), "");
}

#[test]
fn what_does_not_exist_has_no_tags_and_is_refused_unless_anything_is_allowed() {
    let unknown = "i-00000000000000001";
    let all = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    for (policy, expected) in [(STRICT, DENIED), (all, "InvalidInstanceID.NotFound")] {
        let mut world = World::of(granting(policy));
        assert_eq!(code(&mut world, &stop(unknown)), expected);
    }
}

#[test]
fn reading_one_attribute_is_reading_one_resource_and_a_list_is_not() {
    let mut world = World::new();
    let (id, image) = world.imaged();
    let (other, snapshot) = (world.image(&id, "other"), world.snapshots(HOME)[0].id.clone());
    let policy = format!(
        r#"{{"Statement": {{"Effect": "Allow", "Action": "ec2:Describe*Attribute", "Resource":
           ["arn:aws:ec2:*::image/{image}", "arn:aws:ec2:*::snapshot/{snapshot}", "arn:aws:ec2:*:{ACCOUNT}:instance/{id}"]
           }}}}"#
    );
    world.sim.config_mut().grants = granting(&policy).grants;
    let on = |kind: &str, id: &str, attribute: &str| {
        let request = Request::new(&format!("Describe{kind}Attribute")).with(&format!("{kind}Id"), id);
        request.with("Attribute", attribute)
    };
    for (request, expected) in [
        (on("Image", &image, "description"), ""),
        (on("Image", &other, "description"), DENIED),
        (on("Snapshot", &snapshot, "createVolumePermission"), ""),
        (on("Instance", &id, "disableApiStop"), ""),
        (Request::new("DescribeImages").with("ImageId.1", &image), DENIED),
    ] {
        assert_eq!(code(&mut world, &request), expected, "{request:?}");
    }
}

#[test]
fn an_owner_is_known_of_what_exists_and_not_of_what_is_new() {
    for (owner, expected) in [(ACCOUNT, None), ("210987654321", Some(DENIED.to_owned()))] {
        let policy = format!(
            r#"{{"Statement": [
               {{"Effect": "Allow", "Action": "ec2:CopyImage", "Resource": "arn:aws:ec2:*::image/ami-*",
                 "Condition": {{"StringEquals": {{"ec2:Owner": "{owner}"}}}}}},
               {{"Effect": "Allow", "Action": "ec2:CopyImage", "Resource": "*",
                 "Condition": {{"Null": {{"ec2:Owner": "true"}}}}}}]}}"#
        );
        let mut world = World::of(granting(&policy));
        let (_, image) = world.imaged();
        assert_eq!(away(&mut world, &copy(&image, "golden")).code, expected);
    }
}

#[test]
fn a_caller_is_the_role_that_the_grant_names_or_a_user_of_the_name_of_its_key() {
    let role = "arn:aws:iam::123456789012:role/one";
    let policy = |pattern: &str| {
        let text = format!(
            r#"{{"Statement": [{{"Effect": "Allow", "Action": "*", "Resource": "*"}},
               {{"Effect": "Deny", "Action": "ec2:StopInstances", "Resource": "*",
                 "Condition": {{"ArnNotLike": {{"aws:PrincipalArn": "{pattern}"}}}}}}]}}"#
        );
        vec![Policy::parse(&text).unwrap()]
    };
    for (pattern, as_role, as_user) in [
        ("arn:aws:iam::*:role/one", "", DENIED),
        ("arn:aws:iam::*:user/AKID*", DENIED, ""),
        ("arn:aws:iam::*:role/two", DENIED, DENIED),
    ] {
        for (grant, expected) in
            [(Grant::to(KEY, policy(pattern)).of(role), as_role), (Grant::to(KEY, policy(pattern)), as_user)]
        {
            let mut world = World::of(Config { grants: vec![grant], ..Config::default() });
            let id = world.machine();
            assert_eq!(code(&mut world, &stop(&id)), expected, "{pattern}");
        }
    }
}

#[test]
fn an_attribute_of_an_image_is_known_whether_it_is_named_or_given() {
    let policy = r#"{"Statement": {"Effect": "Allow", "Action": "ec2:ModifyImageAttribute", "Resource": "*",
        "Condition": {"StringEqualsIgnoreCase": {"ec2:Attribute": "description"}}}}"#;
    let mut world = World::new();
    let (_, image) = world.imaged();
    world.sim.config_mut().grants = granting(policy).grants;
    let change = || Request::new("ModifyImageAttribute").with("ImageId", &image);
    for (request, expected) in [
        (change().with("Description.Value", "two"), ""),
        (change().with("Attribute", "description").with("Value", "two"), ""),
        (change().with("LaunchPermission.Add.1.Group", "all"), DENIED),
        (change().with("Attribute", "launchPermission").with("UserId.1", ACCOUNT), DENIED),
    ] {
        assert_eq!(code(&mut world, &request), expected, "{request:?}");
    }
}
