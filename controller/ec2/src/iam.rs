//! What the controller must be allowed to do: one row for each operation that this crate calls.

/// One EC2 operation and the permission that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The IAM action.
    pub action: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// What the controller needs it for.
    pub why: &'static str,
}

const fn call(action: &'static str, operation: &'static str, why: &'static str) -> Call {
    Call { action, operation, why }
}

/// Every call of this crate, reads first. `CreateImage` and `CopyImage` need `ec2:CreateTags` on the image and its
/// snapshots too, since they tag what they make; a start with encrypted volumes needs `kms:CreateGrant`.
pub const CALLS: &[Call] = &[
    call("ec2:DescribeInstances", "DescribeInstances", "find machines and follow them while they are down"),
    call("ec2:DescribeImages", "DescribeImages", "find images and follow them until they are available"),
    call("ec2:DescribeSnapshots", "DescribeSnapshots", "see that every volume has its snapshot"),
    call("ec2:DescribeTags", "DescribeTags", "find machines that are owed a start while a zone is disturbed"),
    call("ec2:DescribeInstanceAttribute", "DescribeInstanceAttribute", "respect stop protection"),
    call("ec2:DescribeInstanceTypes", "DescribeInstanceTypes", "refuse machines whose disks a stop erases"),
    call("ec2:DescribeVolumes", "DescribeVolumes", "find volumes that other machines write to"),
    call("ec2:DescribeRegions", "DescribeRegions", "refuse destinations that the account has not enabled"),
    call("ec2:CreateTags", "CreateTags", "put the restart record on a machine before it is stopped"),
    call("ec2:DeleteTags", "DeleteTags", "remove the restart record when the machine runs again"),
    call("ec2:StopInstances", "StopInstances", "bring the disks to rest"),
    call("ec2:StartInstances", "StartInstances", "give the machine back"),
    call("ec2:CreateImage", "CreateImage", "make the image"),
    call("ec2:CopyImage", "CopyImage", "copy the image to other regions"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Operations that the sources call on the SDK's client.
    fn called() -> BTreeSet<String> {
        let sources = concat!(include_str!("describe.rs"), include_str!("change.rs"));
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
        for source in [include_str!("port.rs"), include_str!("fleet.rs"), include_str!("batch.rs")] {
            assert!(!source.contains(".client."));
        }
    }

    #[test]
    fn an_action_is_called_as_its_operation() {
        for call in CALLS {
            assert_eq!(call.action, format!("ec2:{}", call.operation));
        }
    }
}
