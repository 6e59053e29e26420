//! What the controller must be allowed to do: one row for each operation that this crate calls, and the IAM policy that
//! follows from the rows. Which resources and condition keys an action knows is in the Service Authorization Reference
//! (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>).
use std::collections::BTreeMap;

use saved_template_api::names::{debt_key, tag};
use serde_json::{Map, Value, json};

/// One EC2 operation and the permission that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The IAM action.
    pub action: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// What the controller needs it for.
    pub why: &'static str,
    grants: &'static [Grant],
}

const fn call(
    action: &'static str,
    operation: &'static str,
    why: &'static str,
    grants: &'static [Grant],
) -> Call {
    Call { action, operation, why, grants }
}

/// Every call of this crate, reads first.
pub const CALLS: &[Call] = &[
    call(
        "ec2:DescribeInstances",
        "DescribeInstances",
        "find machines and follow them while they are down",
        &[READ],
    ),
    call(
        "ec2:DescribeImages",
        "DescribeImages",
        "find images and follow them until they are available",
        &[READ],
    ),
    call("ec2:DescribeSnapshots", "DescribeSnapshots", "see that every volume has its snapshot", &[READ]),
    call(
        "ec2:DescribeTags",
        "DescribeTags",
        "find machines that are owed a start while a zone is disturbed",
        &[READ],
    ),
    call("ec2:DescribeInstanceAttribute", "DescribeInstanceAttribute", "respect stop protection", &[READ]),
    call(
        "ec2:DescribeInstanceTypes",
        "DescribeInstanceTypes",
        "refuse machines whose disks a stop erases",
        &[READ],
    ),
    call(
        "ec2:DescribeInstanceStatus",
        "DescribeInstanceStatus",
        "see what AWS has scheduled for a machine",
        &[READ],
    ),
    call(
        "ec2:DescribeVolumes",
        "DescribeVolumes",
        "find volumes that other machines write to, and their keys",
        &[READ],
    ),
    call(
        "ec2:DescribeRegions",
        "DescribeRegions",
        "refuse destinations that the account has not enabled",
        &[READ],
    ),
    call(
        "ec2:CreateTags",
        "CreateTags",
        "put the restart record on a machine; tag images and snapshots",
        &[RECORD, TAG_NEW, MANAGE],
    ),
    call(
        "ec2:DeleteTags",
        "DeleteTags",
        "remove the restart record, and tags of images and snapshots",
        &[RECORD, UNTAG],
    ),
    call("ec2:StopInstances", "StopInstances", "bring the disks to rest", &[STOP]),
    call("ec2:StartInstances", "StartInstances", "give the machine back", &[START]),
    call("ec2:CreateImage", "CreateImage", "make the image", &[SAVE, MAKE]),
    call("ec2:CopyImage", "CopyImage", "copy the image to other regions", &[MAKE, COPY]),
    call(
        "ec2:ModifyImageAttribute",
        "ModifyImageAttribute",
        "bring the description of an image into line",
        &[MANAGE],
    ),
    call("ec2:DeregisterImage", "DeregisterImage", "remove an image that is not kept", &[MANAGE]),
    call(
        "ec2:DeleteSnapshot",
        "DeleteSnapshot",
        "remove the snapshots of an image that is not kept",
        &[MANAGE],
    ),
];

/// One statement of the strict policy: on what, and while what holds. An operation needs one for each kind of resource
/// that it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grant {
    name: &'static str,
    on: &'static [&'static str],
    when: &'static [Condition],
}

const fn grant(name: &'static str, on: &'static [&'static str], when: &'static [Condition]) -> Grant {
    Grant { name, on, when }
}

const INSTANCE: &str = "arn:*:ec2:*:*:instance/*";
const IMAGE: &str = "arn:*:ec2:*::image/*";
const SNAPSHOT: &str = "arn:*:ec2:*::snapshot/*";

const READ: Grant = grant("Read", &["*"], &[]);
const RECORD: Grant = grant("KeepRecords", &[INSTANCE], &[Condition::RecordKeys, Condition::SomeKeys]);
const STOP: Grant = grant("StopLentMachines", &[INSTANCE], &[Condition::Lent, Condition::Owed]);
const START: Grant = grant("StartOwedMachines", &[INSTANCE], &[Condition::Owed]);
const SAVE: Grant = grant("SaveLentMachines", &[INSTANCE], &[Condition::Lent]);
const MAKE: Grant = grant("MakeImages", &[IMAGE, SNAPSHOT], &[Condition::MadeOurs]);
const COPY: Grant = grant("CopyOurImages", &[IMAGE], &[Condition::Ours]);
const TAG_NEW: Grant = grant("TagNewImages", &[IMAGE, SNAPSHOT], &[Condition::InCreation]);
const UNTAG: Grant = grant("UntagOurImages", &[IMAGE, SNAPSHOT], &[Condition::Ours, Condition::SomeKeys]);
const MANAGE: Grant = grant("ManageOurImages", &[IMAGE, SNAPSHOT], &[Condition::Ours]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// Somebody who may tag the machine lends it to us.
    Lent,
    /// Our restart record is on the machine.
    Owed,
    /// No other keys are named than those of our record and of receipts; holds where none are.
    RecordKeys,
    /// Keys are named: `DeleteTags` without any deletes all.
    SomeKeys,
    /// It is made with the tag of our cluster.
    MadeOurs,
    /// It has the tag of our cluster.
    Ours,
    /// The tags come with the call that makes it.
    InCreation,
}

impl Condition {
    /// The operator, the condition key and its values.
    fn clause(self, cluster: &str) -> (&'static str, String, Value) {
        let resource_tag = |key: &str| format!("ec2:ResourceTag/{key}");
        match self {
            Self::Lent => ("StringEquals", resource_tag(tag::ALLOW), json!("true")),
            Self::Owed => ("Null", resource_tag(&debt_key(cluster)), json!("false")),
            Self::RecordKeys => {
                let keys = json!([debt_key(cluster), format!("{}*", tag::RECEIPT_PREFIX)]);
                ("ForAllValues:StringLike", "aws:TagKeys".into(), keys)
            }
            Self::SomeKeys => ("Null", "aws:TagKeys".into(), json!("false")),
            Self::MadeOurs => ("StringEquals", format!("aws:RequestTag/{}", tag::CLUSTER), json!(cluster)),
            Self::Ours => ("StringEquals", resource_tag(tag::CLUSTER), json!(cluster)),
            Self::InCreation => {
                ("StringEquals", "ec2:CreateAction".into(), json!(["CreateImage", "CopyImage"]))
            }
        }
    }
}

/// The IAM policy document of an installation. The strict one stops and saves only machines that are tagged
/// `savedtemplate.dev/allow=true`, stops and starts only under a restart record, and changes only images and snapshots
/// of this cluster (capture-protocol.md §10).
///
/// Both permit EC2 to use the keys of encrypted volumes on the controller's behalf: without a grant on its key a machine
/// does not start again.
pub fn policy(cluster: &str, strict: bool) -> Value {
    let mut statements = if strict { strict_statements(cluster) } else { plain_statements() };
    statements.extend(key_statements());
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn plain_statements() -> Vec<Value> {
    let actions = |reads: bool| -> Vec<&str> {
        CALLS.iter().filter(|call| call.grants.contains(&READ) == reads).map(|call| call.action).collect()
    };
    vec![
        statement("Read", &actions(true), &["*"], Map::new()),
        statement("Change", &actions(false), &["*"], Map::new()),
    ]
}

fn strict_statements(cluster: &str) -> Vec<Value> {
    let mut grants: Vec<&Grant> = Vec::new();
    for grant in CALLS.iter().flat_map(|call| call.grants) {
        if !grants.contains(&grant) {
            grants.push(grant);
        }
    }
    let statement = |grant: &Grant| {
        let calls = CALLS.iter().filter(|call| call.grants.contains(grant));
        let actions: Vec<&str> = calls.map(|call| call.action).collect();
        statement(grant.name, &actions, grant.on, conditions(grant.when, cluster))
    };
    grants.into_iter().map(statement).collect()
}

/// All must hold, so those of one operator are written into one block.
fn conditions(all: &[Condition], cluster: &str) -> Map<String, Value> {
    let mut blocks: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for condition in all {
        let (operator, key, values) = condition.clause(cluster);
        blocks.entry(operator).or_default().insert(key, values);
    }
    blocks.into_iter().map(|(operator, block)| (operator.to_owned(), Value::Object(block))).collect()
}

/// What "Requirements for Amazon EBS encryption" asks for, and only through EC2
/// (<https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html>).
fn key_statements() -> [Value; 2] {
    let for_aws = json!({ "kms:GrantIsForAWSResource": "true" });
    let through_ec2 = json!({ "kms:ViaService": "ec2.*.amazonaws.com" });
    let uses = ["kms:DescribeKey", "kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"];
    [
        statement("GrantKeys", &["kms:CreateGrant"], &["*"], Map::from_iter([("Bool".into(), for_aws)])),
        statement("UseKeys", &uses, &["*"], Map::from_iter([("StringLike".into(), through_ec2)])),
    ]
}

fn statement(name: &str, actions: &[&str], resources: &[&str], conditions: Map<String, Value>) -> Value {
    let mut statement = json!({ "Sid": name, "Effect": "Allow", "Action": actions, "Resource": resources });
    if let Some(statement) = statement.as_object_mut().filter(|_| !conditions.is_empty()) {
        statement.insert("Condition".into(), Value::Object(conditions));
    }
    statement
}

#[cfg(test)]
mod tests;
