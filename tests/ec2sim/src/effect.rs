//! What a fault does to a call.

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// What a fault does to a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Effect {
    /// It is refused, without effect.
    Refuse {
        /// EC2's code.
        code: String,
        /// The message.
        #[serde(default)]
        message: String,
        /// The HTTP status; absent: the code's own.
        #[serde(default)]
        status: Option<u16>,
    },
    /// It takes longer.
    Delay {
        /// By this many milliseconds.
        ms: Millis,
        /// Before the effect, or between it and the answer.
        #[serde(default)]
        when: When,
    },
    /// The connection is closed, without effect.
    Drop,
    /// It has its effect, and is answered as if it were refused: a server error that is none.
    ApplyAndRefuse {
        /// EC2's code.
        code: String,
        /// The HTTP status; absent: the code's own.
        #[serde(default)]
        status: Option<u16>,
    },
    /// The connection stays open and nobody ever answers, without effect.
    Swallow,
    /// It has its effect, and the connection is closed.
    ApplyAndDrop,
    /// It has its effect, and half of the answer arrives as if it were all.
    ApplyAndTruncate,
    /// It has its effect, and the connection breaks in the middle of the answer.
    ApplyAndReset,
    /// It has its effect, and the second half of the answer arrives later than the first.
    ApplyAndDrip {
        /// By this many milliseconds.
        ms: Millis,
    },
    /// It has its effect, and the answer's `Date` is another.
    Date {
        /// The text of the header.
        to: String,
    },
    /// A process is killed and the connection closed.
    Kill {
        /// The process.
        pid: i32,
        /// Before or after the effect.
        when: When,
    },
    /// A process is put to sleep (`SIGSTOP`) when the call arrives; the call goes its way, and its answer waits.
    Freeze {
        /// The process.
        pid: i32,
        /// After how many milliseconds it goes on (`SIGCONT`); absent: when somebody else wakes it.
        #[serde(default)]
        ms: Option<Millis>,
    },
    /// `Describe*`: a page without entries, and the token of those that it should have had.
    EmptyPage,
    /// `Describe*`: a page that is not the first begins with the last entry of the page before, once more.
    RepeatPage,
    /// The text of an element is another: an enum value that nobody knows yet.
    Rewrite {
        /// The element.
        element: String,
        /// Only this text; absent: any.
        #[serde(default)]
        from: Option<String>,
        /// The other text.
        to: String,
    },
    /// An element is left out of the answer, wherever it is.
    Omit {
        /// The element.
        element: String,
    },
    /// Tags come in another order with each answer.
    ShuffleTags,
    /// `StopInstances`: the machine never leaves `stopping`, unless forced.
    StickStopping,
    /// `CreateImage`, `CopyImage`: the image ends `failed`.
    FailImage {
        /// The state reason's code.
        code: String,
        /// The state reason's sentence.
        message: String,
        /// When, after the call; absent: when it would have become available.
        #[serde(default)]
        after_ms: Option<Millis>,
    },
    /// `CreateImage`, `CopyImage`: a snapshot ends in `error`, and the image `failed`.
    FailSnapshots {
        /// Of this device; absent: all.
        #[serde(default)]
        device: Option<String>,
        /// The state message.
        message: String,
        /// How long after it appeared; absent: when it would have been completed.
        #[serde(default)]
        after_ms: Option<Millis>,
    },
    /// `CreateImage`, `CopyImage`: its snapshots never appear.
    NoSnapshots,
}

/// On which side of a call's effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// Nothing has happened yet.
    #[default]
    Before,
    /// It has happened.
    After,
}

/// How the connection of a call fares, worst of all that met it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// Carried out and answered.
    #[default]
    Answered,
    /// Carried out; the answer is not that, or half of it.
    Cut,
    /// Carried out; no answer.
    Lost,
    /// Not carried out; no answer.
    Dropped,
}

impl Effect {
    pub(crate) fn fate(&self) -> Fate {
        match self {
            Self::Drop | Self::Swallow | Self::Kill { when: When::Before, .. } => Fate::Dropped,
            Self::ApplyAndDrop | Self::Kill { when: When::After, .. } => Fate::Lost,
            Self::ApplyAndTruncate | Self::ApplyAndReset | Self::ApplyAndRefuse { .. } => Fate::Cut,
            Self::Refuse { .. }
            | Self::Delay { .. }
            | Self::ApplyAndDrip { .. }
            | Self::Date { .. }
            | Self::Freeze { .. }
            | Self::EmptyPage
            | Self::RepeatPage
            | Self::Rewrite { .. }
            | Self::Omit { .. }
            | Self::ShuffleTags
            | Self::StickStopping
            | Self::FailImage { .. }
            | Self::FailSnapshots { .. }
            | Self::NoSnapshots => Fate::Answered,
        }
    }
}
