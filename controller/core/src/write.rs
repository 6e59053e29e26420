//! What a need wants written: each is one part of the status, whole.
use saved_template_api::{
    SavedTemplateSpec,
    ids::Region,
    status::{CaptureStatus, PreflightCheck, RegionStatus, SourceStatus},
};

/// A part of the status as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    /// The capture.
    Capture(Box<CaptureStatus>),
    /// What is known of the machine.
    Source(Box<SourceStatus>),
    /// The largest revision that was begun.
    LatestRevision(i32),
    /// The rows of the preflight.
    Preflight(Vec<PreflightCheck>),
    /// The row of its region: in place of the one there, or added.
    Row(Box<RegionStatus>),
    /// The region has no row any more.
    NoRow(Region),
    /// Keys that are about to be put on something of ours, beside those that were: only these are ever taken off.
    Applies(Vec<String>),
    /// Nothing of ours has any other key.
    HasOnly(Vec<String>),
}

impl Write {
    /// The keys of the user's own tags are about to be put on something of ours.
    pub(crate) fn applies(spec: &SavedTemplateSpec) -> Self {
        Self::Applies(spec.tags.iter().map(|tag| tag.key.clone()).collect())
    }
}
