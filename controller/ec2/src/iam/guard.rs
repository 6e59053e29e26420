//! The service control policy that keeps our tags ours: they say what to start, what to serve and what to delete.
use saved_template_api::names::{debt_key, tag};
use serde_json::{Value, json};

/// Our keys but `savedtemplate.dev/allow`, which is the lender's to write.
const OURS: [&str; 15] = [
    tag::CLUSTER,
    tag::KIND,
    tag::NAMESPACE,
    tag::NAME,
    tag::REVISION,
    tag::ATTEMPT,
    tag::CAPTURE,
    tag::SOURCE,
    tag::SOURCE_INSTANCE,
    tag::ROLE,
    tag::REGION,
    tag::HOLDER,
    tag::ADOPTED_FROM,
    tag::RETAINED,
    tag::FAILED,
];

/// Whom the guard exempts, and what it guards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// ARNs of the roles of controllers, and of who may stand in for them; wildcards are allowed.
    pub roles: Vec<String>,
    /// Whether the tag `Name` of a machine that exists is guarded too.
    pub names: bool,
}

/// The service control policy that denies everybody but these roles to write or remove our tags.
///
/// IAM compares the *values* of `aws:TagKeys` by case, but finds `ec2:ResourceTag/…` whatever the case: keys that a policy
/// of ours looks for are denied in any case, and those that only our program reads as they are spelled.
pub fn guard(cluster: &str, guard: &Guard) -> Value {
    let (debt, receipt) = (debt_key(cluster), receipt_key(cluster));
    let any_case: Vec<&str> = OURS.into_iter().chain([debt.as_str(), receipt.as_str()]).collect();
    let prefixes = [tag::DEBT_PREFIX, tag::RECEIPT_PREFIX].map(|prefix| format!("{prefix}*"));
    let others = json!({ "aws:PrincipalArn": guard.roles });
    let deny = |name: &str, actions: &[&str], resource: &str, operator: &str, keys: Value| {
        json!({
            "Sid": name, "Effect": "Deny", "Action": actions, "Resource": resource,
            "Condition": { "ArnNotLike": others, operator: keys }
        })
    };
    let write = ["ec2:CreateTags", "ec2:DeleteTags"];
    let mut statements = vec![
        deny(
            "KeepOurKeys",
            &write,
            "*",
            "ForAnyValue:StringEqualsIgnoreCase",
            json!({ "aws:TagKeys": any_case }),
        ),
        deny("KeepRecords", &write, "*", "ForAnyValue:StringLike", json!({ "aws:TagKeys": prefixes })),
    ];
    // DeleteTags without keys deletes all of them, and no value of `aws:TagKeys` tells of ours.
    let strip = |(name, key): (&str, &str)| {
        let owned = json!({ "aws:TagKeys": "true", format!("ec2:ResourceTag/{key}"): "false" });
        deny(name, &["ec2:DeleteTags"], "*", "Null", owned)
    };
    statements.extend(
        [("StripImages", tag::CLUSTER), ("StripRecords", &debt), ("StripReceipts", &receipt)].map(strip),
    );
    if guard.names {
        // A new machine may have a name: two of one name are refused, and none is taken for the other.
        let mut renaming = deny(
            "KeepNames",
            &write,
            "arn:*:ec2:*:*:instance/*",
            "ForAnyValue:StringEqualsIgnoreCase",
            json!({ "aws:TagKeys": ["Name"] }),
        );
        if let Some(conditions) = renaming.pointer_mut("/Condition").and_then(Value::as_object_mut) {
            conditions.insert("Null".into(), json!({ "ec2:CreateAction": "true" }));
        }
        statements.push(renaming);
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// The receipts of this installation have the digest of its record.
fn receipt_key(cluster: &str) -> String {
    debt_key(cluster).replacen(tag::DEBT_PREFIX, tag::RECEIPT_PREFIX, 1)
}
