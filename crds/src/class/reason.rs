//! Why a class is `Ready` or not: the words, and the condition that has them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::condition::{ConditionStatus, ConditionType, written};

/// Why a class is `Ready` or not. Reasons are API and never carry a version.
#[derive(IntoStaticStr, EnumIter, EnumString, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClassReason {
    /// Everything that the class says is enforced, and templates may name it.
    Accepted,
    /// The class sets a field that is not enforced yet.
    NotYetSupported,
    /// The class is being deleted, and a template names it.
    InUse,
}

impl ClassReason {
    /// The name in the condition.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What `Ready` says with this reason.
    pub const fn status(self) -> ConditionStatus {
        match self {
            Self::Accepted => ConditionStatus::True,
            Self::NotYetSupported | Self::InUse => ConditionStatus::False,
        }
    }

    /// The conditions of a class, to be put into the list with [`set`](crate::condition::set): `Ready`, and `Stalled` where
    /// somebody must change it. `now` has whole seconds.
    pub fn conditions(self, message: &str, generation: i64, now: &Time) -> Vec<Condition> {
        let stalled =
            (self == Self::NotYetSupported).then_some((ConditionType::Stalled, ConditionStatus::True));
        let told =
            |(kind, status)| written(kind, status, self.name(), message.to_owned(), generation, now.clone());
        [(ConditionType::Ready, self.status())].into_iter().chain(stalled).map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::MAX_MESSAGE_BYTES;
    use k8s_openapi::jiff::Timestamp;
    use strum::IntoEnumIterator;

    #[test]
    fn a_class_is_ready_only_when_it_is_accepted() {
        for reason in ClassReason::iter() {
            let now = Time(Timestamp::UNIX_EPOCH);
            let mut conditions = reason.conditions(&"m".repeat(2 * MAX_MESSAGE_BYTES), 7, &now);
            let stalled = conditions.split_off(1);
            assert_eq!(stalled.len(), usize::from(reason == ClassReason::NotYetSupported));
            let ready = conditions.remove(0);
            assert_eq!((ready.type_.as_str(), ready.reason.parse()), ("Ready", Ok(reason)));
            assert_eq!(ready.status == "True", reason == ClassReason::Accepted, "{reason:?}");
            assert_eq!((ready.observed_generation, ready.last_transition_time), (Some(7), now));
            assert!(ready.message.len() <= MAX_MESSAGE_BYTES);
        }
    }
}
