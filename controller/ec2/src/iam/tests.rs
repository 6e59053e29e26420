use std::collections::BTreeSet;

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
    for source in [include_str!("../port.rs"), include_str!("../fleet.rs"), include_str!("../batch.rs")] {
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

#[test]
fn both_policies_have_every_action_of_the_table_and_no_other() {
    let table: BTreeSet<&str> = CALLS.iter().map(|call| call.action).collect();
    for strict in [false, true] {
        assert_eq!(ec2_actions(&policy("lab", strict)), table, "strict: {strict}");
    }
}

#[test]
fn a_policy_is_one_that_iam_takes() {
    for strict in [false, true] {
        let document = policy(&"c".repeat(63), strict);
        // Quota of a customer managed policy; white space does not count.
        assert!(document.to_string().len() <= 6144, "{}", document.to_string().len());
        let names: Vec<&str> =
            statements(&document).iter().map(|statement| statement["Sid"].as_str().unwrap()).collect();
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric())));
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}

#[test]
fn the_plain_policy_asks_for_no_tags() {
    let document = policy("lab", false);
    for statement in &statements(&document)[..2] {
        assert_eq!(statement["Resource"], json!(["*"]));
        assert!(statement.get("Condition").is_none());
    }
    assert_eq!(document["Statement"][0]["Action"][0], "ec2:DescribeInstances");
    assert_eq!(document["Statement"].as_array().unwrap().len(), 4);
}

#[test]
fn an_action_that_is_no_read_is_never_permitted_without_a_condition() {
    let document = policy("lab", true);
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
fn the_strict_policy_of_a_lab() {
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
                    "ec2:DescribeInstanceAttribute",
                    "ec2:DescribeInstanceTypes",
                    "ec2:DescribeInstanceStatus",
                    "ec2:DescribeVolumes",
                    "ec2:DescribeRegions"
                ],
                "Resource": ["*"]
            },
            {
                "Sid": "KeepRecords",
                "Effect": "Allow",
                "Action": ["ec2:CreateTags", "ec2:DeleteTags"],
                "Resource": ["arn:*:ec2:*:*:instance/*"],
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
                "Action": [
                    "ec2:CreateTags",
                    "ec2:ModifyImageAttribute",
                    "ec2:DeregisterImage",
                    "ec2:DeleteSnapshot"
                ],
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
                "Resource": ["arn:*:ec2:*:*:instance/*"],
                "Condition": {
                    "Null": { "ec2:ResourceTag/savedtemplate.dev/restart-owed.a51146d3": "false" },
                    "StringEquals": { "ec2:ResourceTag/savedtemplate.dev/allow": "true" }
                }
            },
            {
                "Sid": "StartOwedMachines",
                "Effect": "Allow",
                "Action": ["ec2:StartInstances"],
                "Resource": ["arn:*:ec2:*:*:instance/*"],
                "Condition": { "Null": { "ec2:ResourceTag/savedtemplate.dev/restart-owed.a51146d3": "false" } }
            },
            {
                "Sid": "SaveLentMachines",
                "Effect": "Allow",
                "Action": ["ec2:CreateImage"],
                "Resource": ["arn:*:ec2:*:*:instance/*"],
                "Condition": { "StringEquals": { "ec2:ResourceTag/savedtemplate.dev/allow": "true" } }
            },
            {
                "Sid": "MakeImages",
                "Effect": "Allow",
                "Action": ["ec2:CreateImage", "ec2:CopyImage"],
                "Resource": ["arn:*:ec2:*::image/*", "arn:*:ec2:*::snapshot/*"],
                "Condition": { "StringEquals": { "aws:RequestTag/savedtemplate.dev/cluster": "lab" } }
            },
            {
                "Sid": "CopyOurImages",
                "Effect": "Allow",
                "Action": ["ec2:CopyImage"],
                "Resource": ["arn:*:ec2:*::image/*"],
                "Condition": { "StringEquals": { "ec2:ResourceTag/savedtemplate.dev/cluster": "lab" } }
            },
            {
                "Sid": "GrantKeys",
                "Effect": "Allow",
                "Action": ["kms:CreateGrant"],
                "Resource": ["*"],
                "Condition": { "Bool": { "kms:GrantIsForAWSResource": "true" } }
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
                "Resource": ["*"],
                "Condition": { "StringLike": { "kms:ViaService": "ec2.*.amazonaws.com" } }
            }
        ]
    });
    let document = policy("lab", true);
    let pretty = |document: &Value| serde_json::to_string_pretty(document).unwrap();
    assert_eq!(pretty(&document), pretty(&golden));
}
