//! One check of the preflight: the row that the status gets, and what it means for the capture.
use std::collections::BTreeSet;

use saved_template_api::{
    Reason,
    ids::Region,
    status::{CheckResult, MAX_CHECK_MESSAGE_BYTES, PreflightCheck},
    text::cut,
};

use crate::{
    ec2_error::Ec2Error,
    time::LATER,
    unmet::{Unmet, Waits},
};

pub(super) struct Finding {
    pub(super) row: PreflightCheck,
    pub(super) reason: Reason,
    /// The message of the row before it was cut.
    pub(super) message: String,
}

fn finding(check: &str, result: CheckResult, reason: Reason, message: String) -> Finding {
    let short = Some(message.clone()).filter(|text| !text.is_empty());
    let row = PreflightCheck {
        check: check.to_owned(),
        region: None,
        result,
        message: short.map(|text| cut(text, MAX_CHECK_MESSAGE_BYTES)),
    };
    Finding { row, reason, message }
}

pub(super) fn passed(check: &str) -> Finding {
    finding(check, CheckResult::Passed, Reason::PreflightPassed, String::new())
}

pub(super) fn failed(check: &str, reason: Reason, message: impl Into<String>) -> Finding {
    finding(check, CheckResult::Failed, reason, message.into())
}

pub(super) fn noted(check: &str, result: CheckResult, message: impl Into<String>) -> Finding {
    finding(check, result, Reason::PreflightPassed, message.into())
}

pub(super) fn test(check: &str, good: bool, reason: Reason, message: impl FnOnce() -> String) -> Finding {
    if good { passed(check) } else { failed(check, reason, message()) }
}

/// What could not be asked is no reason against the machine, and nothing is begun without it.
pub(super) fn unanswered(check: &str, refusal: &Ec2Error) -> Finding {
    finding(check, CheckResult::Unknown, Reason::NotChecked, format!("{refusal}; asked again"))
}

pub(super) fn in_region(finding: Finding, region: &Region) -> Finding {
    Finding { row: PreflightCheck { region: Some(region.clone()), ..finding.row }, ..finding }
}

/// Whether a reason passes by itself.
fn passes(reason: Reason) -> bool {
    matches!(reason, Reason::InstanceBusy | Reason::NotChecked)
}

/// What stands in the way, first what somebody must change: all that has one reason, and the checks that have others.
pub(super) fn told(findings: &[Finding]) -> Option<Unmet> {
    let is_bad = |finding: &&Finding| {
        finding.row.result == CheckResult::Failed || finding.reason == Reason::NotChecked
    };
    let bad: Vec<&Finding> = findings.iter().filter(is_bad).collect();
    let reason = bad.iter().find(|finding| !passes(finding.reason)).or(bad.first())?.reason;
    let (same, others): (Vec<_>, Vec<_>) = bad.into_iter().partition(|finding| finding.reason == reason);
    let words: Vec<&str> = same.iter().map(|finding| finding.message.as_str()).collect();
    let mut message = words.join("; ");
    if !others.is_empty() {
        let names: BTreeSet<&str> = others.iter().map(|finding| finding.row.check.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        message = format!("{message}; status.preflight has more: {}", names.join(", "));
    }
    let unmet = Unmet::invalid(reason, message);
    Some(if passes(reason) { Unmet { waits: Waits::ForUs, look_again: LATER, ..unmet } } else { unmet })
}
