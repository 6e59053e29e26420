//! What must hold at the end, judged by EC2's own stores and log.
use std::collections::BTreeSet;

use ec2sim::{ImageState, InstanceState};
use saved_template_api::spec::RestartWhen;

use crate::demo::{
    stage::{Play, Stage},
    truth::Truth,
};

/// One statement, and whether it holds.
pub(super) struct Check {
    pub(super) holds: bool,
    pub(super) what: String,
}

/// All of them, for each machine.
pub(super) fn all(stage: &Stage, truths: &[Truth]) -> Vec<Check> {
    stage.plays.iter().zip(truths).flat_map(|(play, truth)| of(play, truth)).collect()
}

/// The list with its verdicts.
pub(super) fn text(checks: &[Check]) -> String {
    let line = |check: &Check| format!("  {:<6}  {}", if check.holds { "ok" } else { "FAILED" }, check.what);
    let lines: Vec<String> = checks.iter().map(line).collect();
    let good = checks.iter().filter(|check| check.holds).count();
    format!("\nChecks: {good} of {} hold\n{}", checks.len(), lines.join("\n"))
}

fn of(play: &Play, truth: &Truth) -> Vec<Check> {
    let name = play.name();
    let check = |holds, what: &str| Check { holds, what: format!("{name}: {what}") };
    let is_owed = truth.instance.tags.keys().any(|key| key.starts_with("savedtemplate.dev/restart-owed."));
    let images = || truth.images.iter().chain(truth.copies.iter().map(|(_, copy)| copy));
    let is_available = images().all(|image| image.state == ImageState::Available);
    let homes = truth.images.iter().map(|_| play.home());
    let found: BTreeSet<&str> = homes.chain(truth.copies.iter().map(|(region, _)| region.as_str())).collect();
    let wanted: BTreeSet<&str> = play.regions().into_iter().collect();
    let order = truth.ran_again().zip(truth.available());
    let volumes = truth.instance.devices.len();
    let (holds, what) = match play.template.spec.capture.restart_when {
        RestartWhen::SnapshotsStarted => (
            order.is_some_and(|(ran, available)| ran < available),
            "the machine ran again before its image was available",
        ),
        RestartWhen::ImageAvailable => (
            order.is_some_and(|(ran, available)| ran > available),
            "the machine waited for its image, as it was told to",
        ),
    };
    vec![
        check(truth.instance.state == InstanceState::Running, "the machine runs"),
        check(!is_owed, "no restart record is left on it"),
        check(truth.stops == 1 && truth.creates == 1, "exactly one StopInstances and one CreateImage"),
        check(holds, what),
        check(
            images().count() == wanted.len() && found == wanted && is_available,
            &format!("{} AMIs, {} of them copies, all available", wanted.len(), wanted.len() - 1),
        ),
        check(
            truth.snapshots.len() == volumes && truth.at_rest() == volumes,
            "every volume was at rest when its snapshot began",
        ),
    ]
}
