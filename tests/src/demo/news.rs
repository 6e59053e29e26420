//! What changed between two looks at a status.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use saved_template_api::{
    SavedTemplateStatus,
    status::{RegionState, RegionStatus},
};

/// Kind and text of each line.
pub(super) fn between(
    before: &SavedTemplateStatus,
    after: &SavedTemplateStatus,
) -> Vec<(&'static str, String)> {
    let mut news = Vec::new();
    let changed: Vec<String> =
        after.conditions.iter().filter_map(|new| turned(before, new)).chain(gone(before, after)).collect();
    if !changed.is_empty() {
        news.push(("status", changed.join(", ")));
    }
    let rows = |status: &SavedTemplateStatus| status.regions.iter().map(row).collect::<Vec<_>>().join(", ");
    let (old, new) = (rows(before), rows(after));
    if old != new {
        let summary = after.region_summary.as_deref().unwrap_or("0");
        news.push(("regions", format!("{summary}: {new}")));
    }
    news
}

/// `Ready=False/Capturing`, if that is new. What nobody has looked at yet is none.
fn turned(before: &SavedTemplateStatus, new: &Condition) -> Option<String> {
    let old = before.conditions.iter().find(|old| old.type_ == new.type_);
    let is_same = old.is_some_and(|old| old.status == new.status && old.reason == new.reason);
    (!is_same && new.reason != "NotChecked").then(|| format!("{}={}/{}", new.type_, new.status, new.reason))
}

fn gone(before: &SavedTemplateStatus, after: &SavedTemplateStatus) -> Vec<String> {
    let is_gone = |old: &&Condition| !after.conditions.iter().any(|new| new.type_ == old.type_);
    before.conditions.iter().filter(is_gone).map(|old| format!("no longer {}", old.type_)).collect()
}

fn row(row: &RegionStatus) -> String {
    let state: &'static str = row.state.into();
    let percent = row.progress_percent.filter(|_| row.state == RegionState::Pending);
    let percent = percent.map(|percent| format!(" {percent}%")).unwrap_or_default();
    format!("{} {state}{percent}", row.region)
}
