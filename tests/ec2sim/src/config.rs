//! How long things take, and which of two possible worlds EC2 is.

use serde::{Deserialize, Serialize};

use crate::{
    clock::{HOUR, MINUTE, Millis, SECOND},
    iam::Grant,
};

/// The simulator's settings; every duration is in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent worlds")]
pub struct Config {
    /// From `StopInstances` (or `TerminateInstances`) to `stopped` (`terminated`).
    pub stop: Millis,
    /// From `StartInstances` to `running`.
    pub start: Millis,
    /// From `CreateImage` (or `CopyImage`) until its snapshots appear.
    pub snapshot_lag: Millis,
    /// Between one snapshot of an image and the next.
    pub snapshot_stagger: Millis,
    /// From a snapshot's start to `completed`.
    pub snapshot: Millis,
    /// From `CreateImage` to `available`, if all snapshots are completed by then.
    pub image: Millis,
    /// From `CopyImage` to `available`.
    pub copy: Millis,
    /// After it was created, how long an image or a snapshot is not yet to be seen.
    pub visibility_lag: Millis,
    /// How old what each replica shows is: every Describe call is answered by one of them, in no order. None: reads see
    /// what is.
    pub replicas: Vec<Millis>,
    /// How long a deregistered image's name stays taken.
    pub name_release: Millis,
    /// How long after deregistration a snapshot still counts as in use.
    pub snapshot_release: Millis,
    /// How long a deregistered image is still listed, as `deregistered`.
    pub deregistered_shown: Millis,
    /// How long after that its id gives an empty list; then `InvalidAMIID.NotFound`.
    pub deregistered_empty: Millis,
    /// How long a terminated instance is still listed.
    pub terminated_shown: Millis,
    /// How long `CopyImage` remembers a client token.
    pub token_lifetime: Millis,
    /// The largest page of any Describe call.
    pub page: usize,
    /// Whether an image fails if its instance is started, stopped or rebooted before its snapshots appeared
    /// (`Client.InstanceTerminated`); otherwise they hold whatever was written by then.
    pub start_before_capture_fails_image: bool,
    /// Whether the state transition reason of a stopped machine has the time when the stop ended, and not when it was asked
    /// for: the documents do not say.
    pub transition_at_end: bool,
    /// Whether an image of `CreateImage` names the AMI that its machine was launched from; for some it is not available.
    pub ancestors: bool,
    /// Whether `CopyImage` refuses a name in use.
    pub copy_name_unique: bool,
    /// Whether a failed image keeps its name.
    pub failed_name_taken: bool,
    /// Whether calls are throttled by the number of them.
    pub throttles: bool,
    /// How many snapshots may be being copied into a region at once ("Concurrent snapshot copies per destination
    /// Region", EBS quotas: not adjustable).
    pub copies_at_once: usize,
    /// Whether images cannot newly be made public, as in accounts that had no public image in July 2023.
    pub public_access_is_blocked: bool,
    /// Accounts, and the ARNs of the organizations and units that they are in.
    pub members: Vec<(String, String)>,
    /// Whose policies are known; without any, everybody may do everything.
    pub grants: Vec<Grant>,
    /// How long after a change of tags IAM still goes by the old ones.
    pub iam_tag_latency: Millis,
    /// Whether `aws:ResourceTag` is known for the source of `CopyImage`; the Service Authorization Reference does not
    /// list it.
    pub copy_source_has_tags: bool,
    /// The regions that exist.
    pub regions: Vec<RegionConfig>,
    /// Where ids come from: the same seed gives the same ids.
    pub seed: u64,
}

/// A region and whether this world's accounts use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegionConfig {
    /// `us-west-2`
    pub name: String,
    /// Its opt-in status.
    pub opt_in: OptIn,
}

/// Whether a region needs enabling, and is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptIn {
    /// Enabled for everybody.
    #[serde(rename = "opt-in-not-required")]
    NotRequired,
    /// Enabled by these accounts.
    OptedIn,
    /// Not enabled: calls are refused with `AuthFailure`.
    NotOptedIn,
}

impl OptIn {
    /// As `DescribeRegions` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotRequired => "opt-in-not-required",
            Self::OptedIn => "opted-in",
            Self::NotOptedIn => "not-opted-in",
        }
    }
}

impl RegionConfig {
    /// A region that needs no enabling.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), opt_in: OptIn::NotRequired }
    }
}

impl Default for Config {
    fn default() -> Self {
        let mut regions: Vec<_> = [
            "us-east-1",
            "us-east-2",
            "us-west-1",
            "us-west-2",
            "eu-central-1",
            "eu-west-1",
            "ap-southeast-2",
        ]
        .map(RegionConfig::new)
        .into();
        regions.push(RegionConfig { name: "me-south-1".to_owned(), opt_in: OptIn::OptedIn });
        regions.push(RegionConfig { name: "af-south-1".to_owned(), opt_in: OptIn::NotOptedIn });
        Self {
            stop: 40 * SECOND,
            start: 20 * SECOND,
            snapshot_lag: 5 * SECOND,
            snapshot_stagger: 0,
            snapshot: 4 * MINUTE,
            image: 5 * MINUTE,
            copy: 8 * MINUTE,
            visibility_lag: 0,
            replicas: Vec::new(),
            name_release: MINUTE,
            snapshot_release: 5 * SECOND,
            deregistered_shown: 0,
            deregistered_empty: HOUR,
            terminated_shown: HOUR,
            token_lifetime: 24 * HOUR,
            page: 1_000,
            start_before_capture_fails_image: true,
            transition_at_end: false,
            ancestors: true,
            copy_name_unique: true,
            failed_name_taken: true,
            throttles: false,
            copies_at_once: 20,
            public_access_is_blocked: false,
            members: Vec::new(),
            grants: Vec::new(),
            iam_tag_latency: 0,
            copy_source_has_tags: false,
            regions,
            seed: 1,
        }
    }
}
