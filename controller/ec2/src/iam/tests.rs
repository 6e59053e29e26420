use std::collections::BTreeSet;

use saved_template_api::names::{CLASS_FINALIZER, FINALIZER};

use super::*;

/// Operations that the sources call on the SDK's client.
fn called() -> BTreeSet<String> {
    let sources =
        concat!(include_str!("../describe.rs"), include_str!("../change.rs"), include_str!("../upkeep.rs"));
    let dense: String = sources.split_whitespace().collect();
    let calls = dense.split("self.client.").skip(1);
    calls.filter_map(|rest| rest.split_once('(')).map(|(name, _)| camel(name)).collect()
}

fn camel(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_').map(word).collect()
}

#[test]
fn the_table_has_every_call_and_no_other() {
    let table: BTreeSet<String> = CALLS.iter().map(|call| call.operation.to_owned()).collect();
    assert_eq!(called(), table);
    assert_eq!(table.len(), CALLS.len());
}

#[test]
fn no_other_file_calls_the_client() {
    for source in [include_str!("../port.rs"), include_str!("../clients.rs"), include_str!("../batch.rs")] {
        assert!(!source.contains(".client."));
    }
}

#[test]
fn an_action_is_called_as_its_operation() {
    for call in CALLS {
        assert_eq!(call.action, format!("ec2:{}", call.operation));
    }
}

fn statements(document: &Value) -> &[Value] {
    document["Statement"].as_array().unwrap()
}

fn ec2_actions(document: &Value) -> BTreeSet<&str> {
    let actions = statements(document).iter().flat_map(|statement| statement["Action"].as_array().unwrap());
    actions.map(|action| action.as_str().unwrap()).filter(|action| action.starts_with("ec2:")).collect()
}

fn bounds() -> Bounds {
    let region = |name: &str| Region::parse(name).unwrap();
    Bounds {
        account: Some("123456789012".into()),
        regions: vec![region("eu-west-1"), region("us-west-2")],
        keys: vec!["arn:aws:kms:eu-west-1:123456789012:key/one".into()],
        copy_source_by_tag: false,
    }
}

fn bare() -> Bounds {
    Bounds { regions: Vec::new(), keys: Vec::new(), ..bounds() }
}

fn statement<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    statements(document).iter().find(|statement| statement["Sid"] == name)
}

#[test]
fn both_policies_have_every_action_of_the_table_and_no_other() {
    let table: BTreeSet<&str> = CALLS.iter().map(|call| call.action).collect();
    for document in [policy("lab", &bare()), unrestricted(&bare())] {
        assert_eq!(ec2_actions(&document), table);
    }
}

#[test]
fn a_policy_is_one_that_iam_takes() {
    let key = |n| format!("arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/mrk-{n:032}");
    let most = Bounds {
        regions: vec![Region::parse("ap-southeast-5").unwrap(); 40],
        keys: (0..8).map(key).collect(),
        ..bounds()
    };
    let cluster = "c".repeat(63);
    let role = "arn:aws-us-gov:iam::123456789012:role/savedtemplate".to_owned();
    // Quotas of a customer managed policy and of a service control policy; white space does not count.
    for (document, quota) in [
        (policy(&cluster, &most), 6144),
        (unrestricted(&most), 6144),
        (guard(&cluster, &Guard { roles: vec![role; 4], names: true }), 5120),
    ] {
        assert!(document.to_string().len() <= quota, "{}", document.to_string().len());
        let names: Vec<&str> =
            statements(&document).iter().map(|statement| statement["Sid"].as_str().unwrap()).collect();
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric())));
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}

#[test]
fn the_unrestricted_policy_asks_for_no_tags() {
    let document = unrestricted(&bare());
    for statement in statements(&document) {
        assert_eq!(statement["Resource"], json!(["*"]));
        assert!(statement.get("Condition").is_none());
    }
    assert_eq!(document["Statement"][0]["Action"][0], "ec2:DescribeInstances");
    assert_eq!(statements(&document).len(), 2);
}

#[test]
fn keys_are_used_only_if_they_are_named_and_only_through_ec2_in_every_partition() {
    for document in [policy("lab", &bare()), unrestricted(&bare())] {
        assert!(!document.to_string().contains("kms:"));
    }
    for document in [policy("lab", &bounds()), unrestricted(&bounds())] {
        for name in ["GrantKeys", "UseKeys"] {
            let statement = statement(&document, name).unwrap();
            assert_eq!(statement["Resource"], json!(bounds().keys));
            assert_eq!(
                statement["Condition"]["StringLike"]["kms:ViaService"],
                json!(["ec2.*.amazonaws.com", "ec2.*.amazonaws.com.cn", "ec2.*.amazonaws.eu"])
            );
        }
    }
}

#[test]
fn the_source_of_a_copy_is_known_by_its_owner_or_if_that_is_wished_by_our_tag() {
    let condition =
        |bounds: &Bounds| statement(&policy("lab", bounds), "CopyImages").unwrap()["Condition"].clone();
    assert_eq!(condition(&bare()), json!({ "StringEquals": { "ec2:Owner": "123456789012" } }));
    let by_tag = json!({ "StringEquals": { "ec2:ResourceTag/savedtemplate.dev/cluster": "lab" } });
    for bounds in [
        Bounds { copy_source_by_tag: true, ..bare() },
        Bounds { copy_source_by_tag: true, ..Bounds::default() },
        Bounds::default(),
    ] {
        assert_eq!(condition(&bounds), by_tag);
    }
}

/// The keys as `names.rs` has them.
fn our_keys() -> Vec<String> {
    let source = include_str!("../../../../crds/src/names.rs");
    let quoted =
        source.lines().filter(|line| line.trim_start().starts_with("pub const")).filter_map(|line| {
            let (_, rest) = line.split_once("\"savedtemplate.dev/")?;
            Some(format!("savedtemplate.dev/{}", rest.split_once('"')?.0))
        });
    // The prefix, and what is on no resource of AWS: finalizers.
    let others = ["savedtemplate.dev/", FINALIZER, CLASS_FINALIZER];
    quoted.filter(|key| !others.contains(&key.as_str())).collect()
}

#[test]
fn the_guard_names_every_key_of_ours_but_the_lenders() {
    let document = guard("lab", &Guard { roles: vec!["r".into()], names: false });
    let keys = |name: &str, operator: &str| {
        let keys = &statement(&document, name).unwrap()["Condition"][operator]["aws:TagKeys"];
        keys.as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let any_case = keys("KeepOurKeys", "ForAnyValue:StringEqualsIgnoreCase");
    let prefixes = keys("KeepRecords", "ForAnyValue:StringLike");
    let (open, guarded): (Vec<String>, Vec<String>) = our_keys()
        .into_iter()
        .partition(|key| !any_case.contains(key) && !prefixes.contains(&format!("{key}*")));
    assert_eq!(open, ["savedtemplate.dev/allow"]);
    assert!(guarded.len() >= 16, "{guarded:?}");
    assert!(any_case.contains(&debt_key("lab")), "{any_case:?}");
}

#[test]
fn an_action_that_is_no_read_is_never_permitted_without_a_condition() {
    let document = policy("lab", &bounds());
    for statement in &statements(&document)[1..] {
        assert!(statement.get("Condition").is_some(), "{statement}");
    }
    let [read, ..] = statements(&document) else { panic!("no statement") };
    assert!(
        read["Action"]
            .as_array()
            .unwrap()
            .iter()
            .all(|action| { action.as_str().unwrap().starts_with("ec2:Describe") })
    );
}

#[test]
fn the_policy_of_a_lab() {
    let golden = json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Read",
                "Effect": "Allow",
                "Action": [
                    "ec2:DescribeInstances",
                    "ec2:DescribeImages",
                    "ec2:DescribeSnapshots",
                    "ec2:DescribeTags",
                    "ec2:DescribeInstanceTypes",
                    "ec2:DescribeInstanceStatus",
                    "ec2:DescribeVolumes",
                    "ec2:DescribeRegions"
                ],
                "Resource": ["*"]
            },
            {
                "Sid": "SaveLentMachines",
                "Effect": "Allow",
                "Action": ["ec2:DescribeInstanceAttribute", "ec2:CreateImage"],
                "Resource": ["arn:*:ec2:*:123456789012:instance/*"],
                "Condition": { "StringEquals": { "ec2:ResourceTag/savedtemplate.dev/allow": "true" } }
            },
            {
                "Sid": "KeepRecords",
                "Effect": "Allow",
                "Action": ["ec2:CreateTags", "ec2:DeleteTags"],
                "Resource": ["arn:*:ec2:*:123456789012:instance/*"],
                "Condition": {
                    "ForAllValues:StringLike": {
                        "aws:TagKeys": ["savedtemplate.dev/restart-owed.a51146d3", "savedtemplate.dev/saved.*"]
                    },
                    "Null": { "aws:TagKeys": "false" }
                }
            },
            {
                "Sid": "TagNewImages",
                "Effect": "Allow",
                "Action": ["ec2:CreateTags"],
                "Resource": ["arn:*:ec2:*::image/*", "arn:*:ec2:*::snapshot/*"],
                "Condition": { "StringEquals": { "ec2:CreateAction": ["CreateImage", "CopyImage"] } }
            },
            {
                "Sid": "ManageOurImages",
                "Effect": "Allow",
                "Action": ["ec2:CreateTags", "ec2:DeregisterImage", "ec2:DeleteSnapshot"],
                "Resource": ["arn:*:ec2:*::image/*", "arn:*:ec2:*::snapshot/*"],
                "Condition": { "StringEquals": { "ec2:ResourceTag/savedtemplate.dev/cluster": "lab" } }
            },
            {
                "Sid": "UntagOurImages",
                "Effect": "Allow",
                "Action": ["ec2:DeleteTags"],
                "Resource": ["arn:*:ec2:*::image/*", "arn:*:ec2:*::snapshot/*"],
                "Condition": {
                    "Null": { "aws:TagKeys": "false" },
                    "StringEquals": { "ec2:ResourceTag/savedtemplate.dev/cluster": "lab" }
                }
            },
            {
                "Sid": "StopLentMachines",
                "Effect": "Allow",
                "Action": ["ec2:StopInstances"],
                "Resource": ["arn:*:ec2:*:123456789012:instance/*"],
                "Condition": {
                    "Null": { "ec2:ResourceTag/savedtemplate.dev/restart-owed.a51146d3": "false" },
                    "StringEquals": { "ec2:ResourceTag/savedtemplate.dev/allow": "true" }
                }
            },
            {
                "Sid": "StartOwedMachines",
                "Effect": "Allow",
                "Action": ["ec2:StartInstances"],
                "Resource": ["arn:*:ec2:*:123456789012:instance/*"],
                "Condition": { "Null": { "ec2:ResourceTag/savedtemplate.dev/restart-owed.a51146d3": "false" } }
            },
            {
                "Sid": "MakeImages",
                "Effect": "Allow",
                "Action": ["ec2:CreateImage", "ec2:CopyImage"],
                "Resource": ["arn:*:ec2:*::image/*", "arn:*:ec2:*::snapshot/*"],
                "Condition": { "StringEquals": { "aws:RequestTag/savedtemplate.dev/cluster": "lab" } }
            },
            {
                "Sid": "CopyImages",
                "Effect": "Allow",
                "Action": ["ec2:CopyImage"],
                "Resource": ["arn:*:ec2:*::image/*"],
                "Condition": { "StringEquals": { "ec2:Owner": "123456789012" } }
            },
            {
                "Sid": "DescribeOurImages",
                "Effect": "Allow",
                "Action": ["ec2:ModifyImageAttribute"],
                "Resource": ["arn:*:ec2:*::image/*"],
                "Condition": {
                    "StringEquals": { "ec2:ResourceTag/savedtemplate.dev/cluster": "lab" },
                    "StringEqualsIgnoreCase": { "ec2:Attribute": "description" }
                }
            },
            {
                "Sid": "StayInRegions",
                "Effect": "Deny",
                "Action": ["ec2:*"],
                "Resource": ["*"],
                "Condition": { "StringNotEquals": { "ec2:Region": ["eu-west-1", "us-west-2"] } }
            },
            {
                "Sid": "GrantKeys",
                "Effect": "Allow",
                "Action": ["kms:CreateGrant"],
                "Resource": ["arn:aws:kms:eu-west-1:123456789012:key/one"],
                "Condition": {
                    "Bool": { "kms:GrantIsForAWSResource": "true" },
                    "StringLike": {
                        "kms:ViaService": ["ec2.*.amazonaws.com", "ec2.*.amazonaws.com.cn", "ec2.*.amazonaws.eu"]
                    }
                }
            },
            {
                "Sid": "UseKeys",
                "Effect": "Allow",
                "Action": [
                    "kms:DescribeKey",
                    "kms:Decrypt",
                    "kms:GenerateDataKeyWithoutPlaintext",
                    "kms:ReEncrypt*"
                ],
                "Resource": ["arn:aws:kms:eu-west-1:123456789012:key/one"],
                "Condition": {
                    "StringLike": {
                        "kms:ViaService": ["ec2.*.amazonaws.com", "ec2.*.amazonaws.com.cn", "ec2.*.amazonaws.eu"]
                    }
                }
            }
        ]
    });
    let document = policy("lab", &bounds());
    let pretty = |document: &Value| serde_json::to_string_pretty(document).unwrap();
    assert_eq!(pretty(&document), pretty(&golden));
}
