//! Conditions of a `SavedTemplate`: their types, their reasons, and how one is put into the list.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use strum::{EnumIter, EnumString, IntoStaticStr};

/// Most bytes that a message may have.
pub const MAX_MESSAGE_BYTES: usize = 1024;

/// What a condition is about.
#[derive(IntoStaticStr, EnumIter, EnumString, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// All that `spec.revision` asks for is done.
    Ready,
    /// `images` has the home region and every other, of whatever revision.
    Available,
    /// The next capture may begin.
    Validated,
    /// The machine is as it was found.
    SourceRestored,
    /// The home image is there.
    ImageAvailable,
    /// Every region has its copy.
    Replicated,
    /// Those listed, and nobody else, may launch the images.
    Shared,
    /// The ids are made known where they should be.
    Published,
    /// Present only while True: something moves, or is retried without anybody's help.
    Reconciling,
    /// Present only while True: nothing moves, and somebody must change something.
    Stalled,
    /// Present only while True: what the deletion waits for.
    DeletionBlocked,
}

impl ConditionType {
    /// The name in the list.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether the condition is there from the first write on; else it is present only while True.
    pub const fn is_permanent(self) -> bool {
        match self {
            Self::Ready
            | Self::Available
            | Self::Validated
            | Self::SourceRestored
            | Self::ImageAvailable
            | Self::Replicated
            | Self::Shared
            | Self::Published => true,
            Self::Reconciling | Self::Stalled | Self::DeletionBlocked => false,
        }
    }

    /// The reasons for True.
    pub const fn reasons_for_true(self) -> &'static [Reason] {
        use Reason as R;
        match self {
            Self::Ready => &[R::Saved, R::Adopted],
            Self::Available => &[R::ImagesAvailable],
            Self::Validated => &[R::PreflightPassed, R::NothingToCapture],
            Self::SourceRestored => &[R::NeverTouched, R::Restored, R::LeftStopped],
            Self::ImageAvailable => &[R::Available, R::Adopted],
            Self::Replicated => &[R::AllRegions, R::NoRegionsRequested],
            Self::Shared => &[R::InSync, R::NotShared],
            Self::Published => &[R::InSync, R::NothingToPublish],
            Self::Reconciling | Self::Stalled => Self::Ready.reasons_otherwise(),
            Self::DeletionBlocked => &[
                R::ImageInUse,
                R::DeregistrationProtected,
                R::SnapshotLocked,
                R::SourceNotRestored,
                R::OwnedByAnotherCluster,
                R::AccessDenied,
                R::RequestRefused,
            ],
        }
    }

    /// The reasons for False and Unknown.
    pub const fn reasons_otherwise(self) -> &'static [Reason] {
        use Reason as R;
        match self {
            Self::Ready => &[
                R::NotChecked,
                R::Suspended,
                R::Preflight,
                R::Capturing,
                R::WaitingForImage,
                R::Copying,
                R::PartiallyReplicated,
                R::Sharing,
                R::Failed,
                R::RestoringSource,
                R::Publishing,
                R::Deleting,
                R::ImageMissing,
                R::RevisionNotFound,
            ],
            Self::Available => &[R::NotChecked, R::NoImage, R::RegionMissing],
            Self::Validated => &[
                R::NotChecked,
                R::InstanceNotFound,
                R::InstanceAmbiguous,
                R::SourceChanged,
                R::InstanceTerminated,
                R::InstanceBusy,
                R::InstanceNotSelected,
                R::UnsupportedRootDevice,
                R::SpotInstance,
                R::AutoScalingMember,
                R::ClusterNode,
                R::ManagedInstance,
                R::InstanceStoreDataLoss,
                R::StopProtected,
                R::RegionNotEnabled,
                R::RegionNotCovered,
                R::RegionNotAllowed,
                R::NameConflict,
                R::RevisionTaken,
                R::HeldByOtherCluster,
                R::RestartNotCovered,
                R::InstanceNotSupported,
                R::DeviceNotFound,
                R::TooManyTags,
                R::KeyNotFound,
                R::KeyNotShareable,
                R::PublicAccessBlocked,
                R::PublicQuotaExceeded,
                R::SharingNotAllowed,
                R::AccessDenied,
                R::RequestRefused,
                R::ClassNotFound,
                R::NotYetSupported,
            ],
            Self::SourceRestored => &[
                R::NotChecked,
                R::Stopping,
                R::Stopped,
                R::Starting,
                R::InsufficientCapacity,
                R::StartFailed,
                R::DowntimeExceeded,
                R::InstanceTerminated,
            ],
            Self::ImageAvailable => &[
                R::NotChecked,
                R::NotRequested,
                R::Pending,
                R::ImageFailed,
                R::ImageMissing,
                R::ImageDisabled,
                R::DisruptionLimitReached,
            ],
            Self::Replicated => {
                &[R::NotChecked, R::Copying, R::PartiallyReplicated, R::Throttled, R::CopyFailed]
            }
            Self::Shared => {
                &[R::NotChecked, R::Updating, R::PublicAccessBlocked, R::QuotaExceeded, R::AccessDenied]
            }
            Self::Published => &[R::NotChecked, R::Updating, R::PublishConflict, R::AccessDenied],
            Self::Reconciling | Self::Stalled | Self::DeletionBlocked => &[],
        }
    }

    /// A condition of this type, to be put into the list with [`set`]. `now` has whole seconds.
    pub fn with(
        self,
        status: ConditionStatus,
        reason: Reason,
        message: impl Into<String>,
        generation: i64,
        now: Time,
    ) -> Condition {
        Condition {
            type_: self.name().to_owned(),
            status: status.name().to_owned(),
            reason: reason.name().to_owned(),
            message: cut(message.into(), MAX_MESSAGE_BYTES),
            observed_generation: Some(generation),
            last_transition_time: now,
        }
    }
}

/// What a condition says.
#[derive(IntoStaticStr, EnumIter, EnumString, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionStatus {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Nobody knows yet.
    Unknown,
}

impl ConditionStatus {
    /// The name in the list.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Why a condition says what it says. Reasons are API and never carry a version.
#[derive(IntoStaticStr, EnumIter, EnumString, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Nothing was looked at yet, or EC2 could not be asked.
    NotChecked,
    /// Everything that was asked for is done.
    Saved,
    /// The image was there already and is used as it is.
    Adopted,
    /// `spec.suspend` is set.
    Suspended,
    /// A capture is wanted and may not begin yet; `Validated` says why.
    Preflight,
    /// The machine is being saved.
    Capturing,
    /// EC2 is making the image.
    WaitingForImage,
    /// Copies are on their way.
    Copying,
    /// Some regions have their copy, others do not get it.
    PartiallyReplicated,
    /// Permissions are being changed.
    Sharing,
    /// The last attempt made no image that may be served.
    Failed,
    /// The machine is being given back.
    RestoringSource,
    /// The ids are being made known.
    Publishing,
    /// The object is being deleted.
    Deleting,
    /// The image of this revision was there and is gone.
    ImageMissing,
    /// An older revision is wanted and has no image.
    RevisionNotFound,
    /// Every region has an image.
    ImagesAvailable,
    /// There is no image.
    NoImage,
    /// A region has no image.
    RegionMissing,
    /// Nothing stands in the way of a capture.
    PreflightPassed,
    /// The revision has its image, or had it: it is not captured again.
    NothingToCapture,
    /// No instance matches.
    InstanceNotFound,
    /// More than one instance matches.
    InstanceAmbiguous,
    /// The machine is another one than the template was saved from, or than anything but the status names.
    SourceChanged,
    /// The machine is gone.
    InstanceTerminated,
    /// The machine is between two states, or somebody else works on it or on its volumes.
    InstanceBusy,
    /// The class does not allow this machine.
    InstanceNotSelected,
    /// The root device is not an EBS volume.
    UnsupportedRootDevice,
    /// The machine would be stopped, and is a Spot Instance, which EC2 may not start again.
    SpotInstance,
    /// An Auto Scaling group would replace the machine while it is down.
    AutoScalingMember,
    /// The machine is a node of a cluster, which would drain it while it is down.
    ClusterNode,
    /// Another AWS service manages the machine.
    ManagedInstance,
    /// A stop would erase instance-store data.
    InstanceStoreDataLoss,
    /// The machine is protected against being stopped.
    StopProtected,
    /// The account has not enabled a region.
    RegionNotEnabled,
    /// The controller gives no machine back in the region of the source (`--regions`).
    RegionNotCovered,
    /// The class does not allow a region.
    RegionNotAllowed,
    /// Somebody else's image has the name.
    NameConflict,
    /// The revision exists, of another source or another cluster.
    RevisionTaken,
    /// A twin of this cluster holds the images.
    HeldByOtherCluster,
    /// The restart loop does not cover the account or the region.
    RestartNotCovered,
    /// The machine is a Mac, on an Outpost or in a Local Zone, or EC2 says that it or one of its volumes cannot be imaged.
    InstanceNotSupported,
    /// A device to leave out is unknown, or is the root device.
    DeviceNotFound,
    /// The machine or an image would have too many tags.
    TooManyTags,
    /// A key cannot be found.
    KeyNotFound,
    /// A key cannot be shared as the spec asks.
    KeyNotShareable,
    /// The account blocks public images.
    PublicAccessBlocked,
    /// The account may not have another public image.
    PublicQuotaExceeded,
    /// The class does not allow this sharing.
    SharingNotAllowed,
    /// IAM refuses an action; the message names it.
    AccessDenied,
    /// EC2 refuses a request for a reason that has no other name here; the message has its words.
    RequestRefused,
    /// The class does not exist.
    ClassNotFound,
    /// The spec asks for something that is not built yet.
    NotYetSupported,
    /// The machine was neither stopped nor rebooted.
    NeverTouched,
    /// The machine runs again.
    Restored,
    /// The machine was stopped when it was found, or by somebody else meanwhile, and stays stopped.
    LeftStopped,
    /// The machine is being stopped.
    Stopping,
    /// The machine is stopped by us.
    Stopped,
    /// The machine is being started.
    Starting,
    /// EC2 has no capacity to start the machine.
    InsufficientCapacity,
    /// The machine is not started: EC2 did not grant it, or its state or its record is unclear, and its owner decides.
    StartFailed,
    /// The machine is down for longer than `maxDowntimeSeconds` and is being started.
    DowntimeExceeded,
    /// The image is available.
    Available,
    /// The image was not asked for yet.
    NotRequested,
    /// The image was asked for and is not available yet.
    Pending,
    /// EC2 gave up on the image.
    ImageFailed,
    /// Somebody disabled the image.
    ImageDisabled,
    /// The machine may not be stopped again for this revision.
    DisruptionLimitReached,
    /// Every region has its copy.
    AllRegions,
    /// No copies are wanted.
    NoRegionsRequested,
    /// EC2 asks us to slow down.
    Throttled,
    /// A copy failed.
    CopyFailed,
    /// What the spec lists, and nothing else, is shared or published.
    InSync,
    /// Nothing is to be shared.
    NotShared,
    /// What is shared or published is being changed.
    Updating,
    /// A quota of the account leaves no room for what is to be shared.
    QuotaExceeded,
    /// Nothing is to be published.
    NothingToPublish,
    /// Something of that name is not ours.
    PublishConflict,
    /// Somebody still uses an image.
    ImageInUse,
    /// An image is protected against deregistration.
    DeregistrationProtected,
    /// A snapshot is locked.
    SnapshotLocked,
    /// The machine was not given back yet.
    SourceNotRestored,
    /// An image belongs to another cluster.
    OwnedByAnotherCluster,
}

impl Reason {
    /// The name in the condition.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Puts a condition into the list. `lastTransitionTime` moves only when the status changes.
pub fn set(conditions: &mut Vec<Condition>, mut new: Condition) {
    match conditions.iter_mut().find(|old| old.type_ == new.type_) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

/// Takes a condition out of the list.
pub fn remove(conditions: &mut Vec<Condition>, kind: ConditionType) {
    conditions.retain(|condition| condition.type_ != kind.name());
}

/// The condition of that type, if it is in the list.
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == kind.name())
}

/// At most so many bytes (three or more) of a text, ending in `…` if something is left out, and never within a character.
///
/// Whatever steers a terminal, a log or the direction of writing becomes a space: names, tags and messages from EC2 are
/// written by others.
pub fn cut(text: String, max_bytes: usize) -> String {
    const ELLIPSIS: &str = "…";
    let mut text = if text.contains(steers) { text.replace(steers, " ") } else { text };
    if text.len() > max_bytes {
        let mut end = max_bytes.saturating_sub(ELLIPSIS.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(ELLIPSIS);
    }
    text
}

/// Control characters, line and paragraph separators, and what turns the direction of writing.
pub fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;
    use std::collections::BTreeSet;
    use strum::IntoEnumIterator;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn ready(status: ConditionStatus, reason: Reason, second: i64) -> Condition {
        ConditionType::Ready.with(status, reason, "seen", second, at(second))
    }

    #[test]
    fn the_transition_time_moves_only_when_the_status_changes() {
        let mut conditions = Vec::new();
        set(&mut conditions, ready(ConditionStatus::False, Reason::Preflight, 1));
        set(&mut conditions, ready(ConditionStatus::False, Reason::Capturing, 2));
        let held = find(&conditions, ConditionType::Ready).unwrap();
        assert_eq!((held.reason.as_str(), held.observed_generation), ("Capturing", Some(2)));
        assert_eq!(held.last_transition_time, at(1));
        set(&mut conditions, ready(ConditionStatus::True, Reason::Saved, 3));
        assert_eq!(find(&conditions, ConditionType::Ready).unwrap().last_transition_time, at(3));
        assert_eq!(conditions.len(), 1);
    }

    #[test]
    fn an_equal_condition_set_later_changes_nothing() {
        let mut conditions = vec![ready(ConditionStatus::True, Reason::Saved, 1)];
        let before = conditions.clone();
        let later = ConditionType::Ready.with(ConditionStatus::True, Reason::Saved, "seen", 1, at(9));
        set(&mut conditions, later);
        assert_eq!(conditions, before);
    }

    #[test]
    fn a_condition_comes_back_from_kubernetes_as_it_was_written() {
        let written = ready(ConditionStatus::True, Reason::Saved, 1_795_000_000);
        let json = serde_json::to_value(&written).unwrap();
        assert_eq!(serde_json::from_value::<Condition>(json).unwrap(), written);
    }

    #[test]
    fn a_condition_that_is_removed_leaves_the_others() {
        let mut conditions = vec![ready(ConditionStatus::True, Reason::Saved, 1)];
        let stalled = ConditionType::Stalled.with(ConditionStatus::True, Reason::Failed, "", 1, at(1));
        set(&mut conditions, stalled);
        remove(&mut conditions, ConditionType::Stalled);
        assert!(find(&conditions, ConditionType::Stalled).is_none());
        assert!(find(&conditions, ConditionType::Ready).is_some());
    }

    #[test]
    fn every_reason_belongs_to_a_condition() {
        let used: BTreeSet<Reason> = ConditionType::iter()
            .flat_map(|kind| [kind.reasons_for_true(), kind.reasons_otherwise()].concat())
            .collect();
        let unused: Vec<Reason> = Reason::iter().filter(|reason| !used.contains(reason)).collect();
        assert_eq!(unused, []);
    }

    #[test]
    fn no_reason_stands_for_both_yes_and_no() {
        for kind in ConditionType::iter() {
            let both: Vec<&Reason> = kind
                .reasons_for_true()
                .iter()
                .filter(|reason| kind.reasons_otherwise().contains(reason))
                .collect();
            assert!(both.is_empty(), "{kind:?}: {both:?}");
            assert_eq!(kind.reasons_otherwise().is_empty(), !kind.is_permanent(), "{kind:?}");
        }
    }

    #[test]
    fn names_are_what_kubernetes_takes() {
        let is_camel = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_uppercase())
                && name.chars().all(|c| c.is_ascii_alphabetic())
        };
        assert!(ConditionType::iter().all(|kind| is_camel(kind.name()) && kind.name().parse() == Ok(kind)));
        assert!(Reason::iter().all(|reason| is_camel(reason.name()) && reason.name().parse() == Ok(reason)));
        assert!(ConditionStatus::iter().all(|status| is_camel(status.name())));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = cut("é".repeat(600), MAX_MESSAGE_BYTES);
        assert!(message.len() <= MAX_MESSAGE_BYTES && message.ends_with("é…"), "{} bytes", message.len());
        assert_eq!(cut("short".to_owned(), MAX_MESSAGE_BYTES), "short");
    }

    #[test]
    fn a_text_from_elsewhere_forges_no_line_and_steers_no_terminal() {
        let text = "no\r\nlevel=ERROR \u{1b}[31mred\u{9b}0m\u{0}\u{202e}gpj.exe\u{2028}é🌋".to_owned();
        assert_eq!(cut(text, MAX_MESSAGE_BYTES), "no  level=ERROR  [31mred 0m  gpj.exe é🌋");
    }
}
