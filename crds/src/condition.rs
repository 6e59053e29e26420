//! Conditions: their types, their reasons, and how one is put into the list.

mod reason;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use strum::{EnumIter, EnumString, IntoStaticStr};

pub use reason::Reason;

use crate::text::cut;

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
        written(self, status, reason.name(), message.into(), generation, now)
    }
}

/// A condition with the words of whichever kind of object. `now` has whole seconds.
pub(crate) fn written(
    kind: ConditionType,
    status: ConditionStatus,
    reason: &'static str,
    message: String,
    generation: i64,
    now: Time,
) -> Condition {
    Condition {
        type_: kind.name().to_owned(),
        status: status.name().to_owned(),
        reason: reason.to_owned(),
        message: cut(message, MAX_MESSAGE_BYTES),
        observed_generation: Some(generation),
        last_transition_time: now,
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
}
