//! Why EC2 made nothing of an image, and what helps.
use saved_template_api::{
    ids::Region,
    status::{MAX_ROW_MESSAGE_BYTES, RegionReason},
    text::cut,
};

use crate::ec2_error::{speaks_of_keys, without_keys};

/// The word and the message of a row whose image has failed; none where EC2's own reason is all that is known.
pub(super) fn explained(reason: &str, region: &Region) -> (Option<RegionReason>, String) {
    let text = without_keys(reason);
    let lower = reason.to_ascii_lowercase();
    let names = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let (word, message) = if speaks_of_keys(reason) {
        let message = format!(
            "EC2 could not use the key of {region} for it: allow kms:DescribeKey, kms:CreateGrant, kms:Decrypt, \
             kms:ReEncrypt* and kms:GenerateDataKeyWithoutPlaintext on the key ({text})"
        );
        (Some(RegionReason::KeyNotUsable), message)
    } else if names(&["snapshot"]) && names(&["limit", "quota", "maximum"]) {
        let message = format!(
            "the quota of EBS snapshots in {region} is used up; it is shown by aws service-quotas get-service-quota \
             --region {region} --service-code ebs --quota-code L-309BACF6 ({text})"
        );
        (None, message)
    } else {
        (None, text)
    };
    (word, cut(message, MAX_ROW_MESSAGE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reason: &str) -> (Option<RegionReason>, String) {
        explained(reason, &"us-east-2".parse().unwrap())
    }

    #[test]
    fn a_used_up_quota_is_named_with_the_command_that_shows_it() {
        for reason in [
            "Client.SnapshotLimitExceeded: Maximum allowed snapshots exceeded",
            "Client.ResourceLimitExceeded: The maximum number of snapshots was reached",
        ] {
            let (word, text) = told(reason);
            assert_eq!(word, None);
            assert!(text.contains("the quota of EBS snapshots in us-east-2 is used up"), "{text}");
            let command = "aws service-quotas get-service-quota --region us-east-2 --service-code ebs --quota-code L-309BACF6";
            assert!(text.contains(command) && text.contains(reason), "{text}");
        }
    }

    #[test]
    fn a_key_that_may_not_be_used_is_told_with_the_permission_and_not_by_its_arn() {
        let reason = "Client.InternalError: Given key arn:aws:kms:us-east-2:123456789012:key/1234abcd is not accessible by KMS";
        let (word, text) = told(reason);
        assert_eq!(word, Some(RegionReason::KeyNotUsable));
        assert!(text.contains("kms:DescribeKey") && text.contains("kms:CreateGrant"), "{text}");
        assert!(text.contains("the key of us-east-2"), "{text}");
        assert!(!text.contains("arn:") && !text.contains("1234abcd"), "{text}");
    }

    #[test]
    fn another_reason_is_told_as_it_is() {
        let reason = "Client.InstanceTerminated: the machine was started";
        assert_eq!(told(reason), (None, reason.to_owned()));
    }
}
