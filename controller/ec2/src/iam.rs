//! What the controller must be allowed to do: one row for each operation that this crate calls, and the IAM policy that
//! follows from the rows. Which resources and condition keys an action knows is in the Service Authorization Reference
//! (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>).
use std::collections::BTreeMap;

use saved_template_api::{
    ids::Region,
    names::{debt_key, tag},
};
use serde_json::{Map, Value, json};

mod guard;

pub use guard::{Guard, guard};

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
    call("ec2:DescribeInstanceAttribute", "DescribeInstanceAttribute", "respect stop protection", &[SAVE]),
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
        &[DESCRIBE],
    ),
    call("ec2:DeregisterImage", "DeregisterImage", "remove an image that is not kept", &[MANAGE]),
    call(
        "ec2:DeleteSnapshot",
        "DeleteSnapshot",
        "remove the snapshots of an image that is not kept",
        &[MANAGE],
    ),
];

/// What a policy is bound to beside the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Account of the machines, and of the images that are copied.
    pub account: Option<String>,
    /// Regions of the machines and of the copies; none: every region.
    pub regions: Vec<Region>,
    /// ARNs of the keys of encrypted volumes and copies.
    pub keys: Vec<String>,
    /// Whether the source of a copy is known by our tag instead of by its account. Without an account it always is.
    pub copy_source_by_tag: bool,
}

/// One statement of the policy: on what, and while what holds. An operation needs one for each kind of resource that it
/// touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grant {
    name: &'static str,
    on: &'static [Kind],
    when: &'static [Condition],
}

const fn grant(name: &'static str, on: &'static [Kind], when: &'static [Condition]) -> Grant {
    Grant { name, on, when }
}

/// A kind of resource. Images and snapshots have no account in their ARNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Any,
    Instance,
    Image,
    Snapshot,
}

impl Kind {
    fn arn(self, account: Option<&str>) -> String {
        match self {
            Self::Any => "*".to_owned(),
            Self::Instance => format!("arn:*:ec2:*:{}:instance/*", account.unwrap_or("*")),
            Self::Image => "arn:*:ec2:*::image/*".to_owned(),
            Self::Snapshot => "arn:*:ec2:*::snapshot/*".to_owned(),
        }
    }
}

const STORED: &[Kind] = &[Kind::Image, Kind::Snapshot];

const READ: Grant = grant("Read", &[Kind::Any], &[]);
const RECORD: Grant = grant("KeepRecords", &[Kind::Instance], &[Condition::RecordKeys, Condition::SomeKeys]);
const STOP: Grant = grant("StopLentMachines", &[Kind::Instance], &[Condition::Lent, Condition::Owed]);
const START: Grant = grant("StartOwedMachines", &[Kind::Instance], &[Condition::Owed]);
const SAVE: Grant = grant("SaveLentMachines", &[Kind::Instance], &[Condition::Lent]);
const MAKE: Grant = grant("MakeImages", STORED, &[Condition::MadeOurs]);
const COPY: Grant = grant("CopyImages", &[Kind::Image], &[Condition::CopySource]);
const TAG_NEW: Grant = grant("TagNewImages", STORED, &[Condition::InCreation]);
const UNTAG: Grant = grant("UntagOurImages", STORED, &[Condition::Ours, Condition::SomeKeys]);
const DESCRIBE: Grant =
    grant("DescribeOurImages", &[Kind::Image], &[Condition::Ours, Condition::DescriptionOnly]);
const MANAGE: Grant = grant("ManageOurImages", STORED, &[Condition::Ours]);

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
    /// It may be copied: `CopyImage` knows the owner of its source, and no tags of it.
    CopySource,
    /// The tags come with the call that makes it.
    InCreation,
    /// The description is changed, and not who may launch it. The User Guide writes `Description`, the API
    /// `description`.
    DescriptionOnly,
}

impl Condition {
    /// The operator, the condition key and its values.
    fn clause(self, cluster: &str, bounds: &Bounds) -> (&'static str, String, Value) {
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
            Self::CopySource => match &bounds.account {
                Some(account) if !bounds.copy_source_by_tag => {
                    ("StringEquals", "ec2:Owner".into(), json!(account))
                }
                Some(_) | None => Self::Ours.clause(cluster, bounds),
            },
            Self::InCreation => {
                ("StringEquals", "ec2:CreateAction".into(), json!(["CreateImage", "CopyImage"]))
            }
            Self::DescriptionOnly => ("StringEqualsIgnoreCase", "ec2:Attribute".into(), json!("description")),
        }
    }
}

/// The IAM policy document of an installation: it stops and saves only machines that are tagged
/// `savedtemplate.dev/allow=true`, stops and starts only under a restart record, and changes only images and snapshots of
/// this cluster (docs/protocol.md §10).
pub fn policy(cluster: &str, bounds: &Bounds) -> Value {
    let mut grants: Vec<&Grant> = Vec::new();
    for grant in CALLS.iter().flat_map(|call| call.grants) {
        if !grants.contains(&grant) {
            grants.push(grant);
        }
    }
    let statement = |grant: &Grant| {
        let calls = CALLS.iter().filter(|call| call.grants.contains(grant));
        let actions: Vec<&str> = calls.map(|call| call.action).collect();
        let on: Vec<String> = grant.on.iter().map(|kind| kind.arn(bounds.account.as_deref())).collect();
        allow(grant.name, &actions, &on, conditions(grant.when, cluster, bounds))
    };
    document(grants.into_iter().map(statement), bounds)
}

/// The same calls on every machine and image of the account.
pub fn unrestricted(bounds: &Bounds) -> Value {
    let actions = |reads: bool| -> Vec<&str> {
        let is_read = |call: &&Call| call.action.starts_with("ec2:Describe") == reads;
        CALLS.iter().filter(is_read).map(|call| call.action).collect()
    };
    let all = [Kind::Any.arn(None)];
    let statements = [("Read", true), ("Change", false)]
        .map(|(name, reads)| allow(name, &actions(reads), &all, Map::new()));
    document(statements, bounds)
}

/// The statements, and what every policy has beside them.
fn document(statements: impl IntoIterator<Item = Value>, bounds: &Bounds) -> Value {
    let mut statements: Vec<Value> = statements.into_iter().collect();
    statements.extend(region_statement(&bounds.regions));
    statements.extend(key_statements(&bounds.keys));
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// All must hold, so those of one operator are written into one block.
fn conditions(all: &[Condition], cluster: &str, bounds: &Bounds) -> Map<String, Value> {
    let mut blocks: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for condition in all {
        let (operator, key, values) = condition.clause(cluster, bounds);
        blocks.entry(operator).or_default().insert(key, values);
    }
    blocks.into_iter().map(|(operator, block)| (operator.to_owned(), Value::Object(block))).collect()
}

/// One deny bounds every other statement, and forty regions still fit into a policy: each action of EC2 knows
/// `ec2:Region`.
fn region_statement(regions: &[Region]) -> Option<Value> {
    let elsewhere = json!({ "StringNotEquals": { "ec2:Region": regions } });
    let deny = json!({
        "Sid": "StayInRegions", "Effect": "Deny", "Action": ["ec2:*"], "Resource": ["*"], "Condition": elsewhere
    });
    (!regions.is_empty()).then_some(deny)
}

/// What "Requirements for Amazon EBS encryption" asks for, and only through EC2
/// (<https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html>). EC2's names end as the
/// partition of the region has it.
fn key_statements(keys: &[String]) -> Vec<Value> {
    if keys.is_empty() {
        return Vec::new();
    }
    let ec2 = ["com", "com.cn", "eu"].map(|end| format!("ec2.*.amazonaws.{end}"));
    let through_ec2 = || ("StringLike".to_owned(), json!({ "kms:ViaService": ec2 }));
    let for_aws = ("Bool".to_owned(), json!({ "kms:GrantIsForAWSResource": "true" }));
    let uses = ["kms:DescribeKey", "kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"];
    vec![
        allow("GrantKeys", &["kms:CreateGrant"], keys, Map::from_iter([for_aws, through_ec2()])),
        allow("UseKeys", &uses, keys, Map::from_iter([through_ec2()])),
    ]
}

fn allow(name: &str, actions: &[&str], resources: &[String], conditions: Map<String, Value>) -> Value {
    let mut statement = json!({ "Sid": name, "Effect": "Allow", "Action": actions, "Resource": resources });
    if let Some(statement) = statement.as_object_mut().filter(|_| !conditions.is_empty()) {
        statement.insert("Condition".into(), Value::Object(conditions));
    }
    statement
}

#[cfg(test)]
mod tests;
