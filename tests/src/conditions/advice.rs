//! What to do about a reason, and why some were not seen yet.
use saved_template_api::{ConditionType, Reason};

/// Why a reason was not seen although it can occur.
pub(super) const NO_TEST: &str = "no flow brings it about yet";

const SHARING: &str = "waits for sharing";
const PUBLISH: &str = "waits for publish";
const ENCRYPTION: &str = "waits for encryption";
const CLASSES: &str = "waits for classes";

/// Why a condition was not seen with a reason.
pub(super) fn missing(kind: ConditionType, reason: Reason) -> &'static str {
    use Reason as R;
    match (kind, reason) {
        (ConditionType::Validated, R::NotChecked) => NO_TEST,
        (_, R::NotChecked) => "the first write says more already",
        (ConditionType::Shared, _)
        | (
            _,
            R::Sharing
            | R::PublicAccessBlocked
            | R::PublicQuotaExceeded
            | R::SharingNotAllowed
            | R::QuotaExceeded
            | R::NotShared,
        ) => SHARING,
        (ConditionType::Published, _) | (_, R::Publishing | R::PublishConflict | R::NothingToPublish) => {
            PUBLISH
        }
        (_, R::KeyNotFound | R::KeyNotShareable) => ENCRYPTION,
        (_, R::InstanceNotSelected | R::RegionNotAllowed | R::RestartNotCovered | R::ClassNotFound) => {
            CLASSES
        }
        (_, _) => NO_TEST,
    }
}

/// What somebody who reads the reason should do.
#[expect(clippy::too_many_lines, reason = "one line per reason")]
pub(super) const fn advice(reason: Reason) -> &'static str {
    use Reason as R;
    match reason {
        R::Saved
        | R::Adopted
        | R::ImagesAvailable
        | R::PreflightPassed
        | R::NothingToCapture
        | R::NeverTouched
        | R::Restored
        | R::Available
        | R::AllRegions
        | R::NoRegionsRequested
        | R::InSync
        | R::NotShared
        | R::NothingToPublish => "Nothing.",
        R::Capturing
        | R::WaitingForImage
        | R::Copying
        | R::Sharing
        | R::RestoringSource
        | R::Publishing
        | R::Stopping
        | R::Stopped
        | R::Starting
        | R::Pending
        | R::NotRequested
        | R::Updating => "Wait: it goes on by itself.",
        R::NotChecked => {
            "Wait: EC2 is asked again. If it stays: the message says what could not be read; see whether the controller runs, and whether this namespace is one of its `--namespaces`."
        }
        R::Suspended => {
            "To go on: `kubectl patch stpl NAME --type=merge -p '{\"spec\":{\"suspend\":false}}'`"
        }
        R::Preflight => "Look at `Validated` and at `status.preflight`.",
        R::PartiallyReplicated | R::CopyFailed => {
            "The message names region and cause. Remove the cause; the copy is made again by itself."
        }
        R::Failed => "Look at `ImageAvailable`, and at `SourceRestored` for the machine.",
        R::Deleting => "Wait. If it stays, look at `DeletionBlocked`.",
        R::ImageMissing => {
            "Set `spec.revision` to the next number to save the machine again, or select a revision that has an image."
        }
        R::RevisionNotFound => {
            "Set `spec.revision` to one of `status.revisions`, or to the next number to save the machine."
        }
        R::NoImage => "Wait for `ImageAvailable`; its reason says where the image is.",
        R::RegionMissing => "Wait for `Replicated`; its message says what holds a region up.",
        R::InstanceNotFound => {
            "Correct `spec.source`: `aws ec2 describe-instances --region REGION --filters Name=tag:Name,Values=NAME`"
        }
        R::SourceChanged => "If the other machine is meant, set `spec.source.instanceID` to it.",
        R::InstanceAmbiguous => "Set `spec.source.instanceID` to one of those in the message.",
        R::InstanceTerminated => "Name a machine that exists in `spec.source`.",
        R::InstanceBusy => {
            "Wait: it is asked again. If it stays, the message says who works on the machine, or what to take off it."
        }
        R::InstanceNotSelected => "Have the machine tagged as the class asks, or use another class.",
        R::UnsupportedRootDevice => "Only machines with an EBS root can be saved.",
        R::SpotInstance => "Set `spec.capture.mode` to `Reboot` or `NoReboot`.",
        R::AutoScalingMember => {
            "Set `spec.capture.mode` to `NoReboot`, or `aws autoscaling detach-instances --region REGION --instance-ids ID --auto-scaling-group-name GROUP --should-decrement-desired-capacity`"
        }
        R::ClusterNode => "Set `spec.capture.mode` to `NoReboot`, or take the node out of its cluster.",
        R::ManagedInstance => "Save a machine that no AWS service manages.",
        R::InstanceStoreDataLoss => {
            "Set `spec.capture.instanceStore` to `Discard` if that data may be lost, or `spec.capture.mode` to `Reboot` or `NoReboot`."
        }
        R::StopProtected => {
            "`aws ec2 modify-instance-attribute --region REGION --instance-id ID --no-disable-api-stop`"
        }
        R::RegionNotEnabled => "`aws account enable-region --region-name REGION`, or take the region out.",
        R::RegionNotCovered => "Start the controller with `--regions` that name it, or without.",
        R::RegionNotAllowed => "Take the region out, or use a class that allows it.",
        R::NameConflict => {
            "Raise `spec.revision`, or `aws ec2 deregister-image --region REGION --image-id ID`, or make another object with another `spec.templateName`."
        }
        R::RevisionTaken => {
            "Set `spec.revision` to the number in the message. If the other cluster is gone: start the controller with `--adopt-from=CLUSTER`."
        }
        R::HeldByOtherCluster => {
            "If the other cluster is gone for good, start the controller with `--take-over=UID`."
        }
        R::RestartNotCovered => "Have the account and the region added to what the restart loop covers.",
        R::InstanceNotSupported => {
            "The message says what cannot be imaged. Leave such devices out with `spec.capture.excludeDeviceNames`; a machine that is not supported as a whole cannot be saved."
        }
        R::DeviceNotFound => "Correct `spec.capture.excludeDeviceNames`.",
        R::TooManyTags => "`aws ec2 delete-tags --region REGION --resources ID --tags Key=KEY`",
        R::KeyNotFound => "Correct the key: `aws kms describe-key --region REGION --key-id KEY`",
        R::KeyNotShareable => "Use a key of your own whose policy permits the accounts.",
        R::PublicAccessBlocked => {
            "`aws ec2 disable-image-block-public-access --region REGION`, or keep the image private."
        }
        R::PublicQuotaExceeded => "Make another image private, or ask for a larger quota.",
        R::SharingNotAllowed => "Share less, or use a class that allows it.",
        R::AccessDenied => {
            "Allow the action in the message: `savedtemplate-controller iam-policy --cluster-name CLUSTER --account ACCOUNT` prints the whole policy."
        }
        R::RequestRefused => "Remove the cause that the message names, in EC2's own words.",
        R::ClassNotFound => "Correct `spec.className`, or have the class made.",
        R::NotYetSupported => "Take the field out that the message names.",
        R::LeftStopped => "Nothing. To start it: `aws ec2 start-instances --region REGION --instance-ids ID`",
        R::InsufficientCapacity => {
            "It is tried for ever. To help: free capacity, change the instance type, or `aws ec2 start-instances --region REGION --instance-ids ID`"
        }
        R::StartFailed => {
            "The message says what helps. A start that EC2 did not grant is tried for ever, and one that EC2 does not answer needs nothing; where the message ends in the command to start the machine, the controller starts nothing: you decide."
        }
        R::DowntimeExceeded => {
            "Wait: it is being started. If it stays: `aws ec2 start-instances --region REGION --instance-ids ID`"
        }
        R::ImageFailed => {
            "The message has EC2's own words. Another attempt follows while `spec.capture.maxDisruptions` allows one."
        }
        R::ImageDisabled => "`aws ec2 enable-image --region REGION --image-id ID`",
        R::DisruptionLimitReached => {
            "Remove the cause in the message, then raise `spec.capture.maxDisruptions` or `spec.revision` to try again."
        }
        R::Throttled => "Wait: EC2 is asked again after a pause.",
        R::QuotaExceeded => "Ask for a larger quota, or share less.",
        R::PublishConflict => "Publish under another name, or remove what has it.",
        R::ImageInUse => {
            "Stop using the image, or `kubectl patch stpl NAME --type=merge -p '{\"spec\":{\"deletionPolicy\":\"Retain\"}}'`"
        }
        R::DeregistrationProtected => {
            "`aws ec2 disable-image-deregistration-protection --region REGION --image-id ID`, or set `deletionPolicy: Retain`."
        }
        R::SnapshotLocked => {
            "`aws ec2 unlock-snapshot --region REGION --snapshot-id ID`, or set `deletionPolicy: Retain`."
        }
        R::SourceNotRestored => "Wait until the machine is back, which has a limit.",
        R::OwnedByAnotherCluster => {
            "Delete the object in the other cluster, or, if it is gone for good, start the controller with `--take-over=UID`."
        }
    }
}
