//! The summary: two saves side by side, then what they cost.
use std::fmt::Write as _;

use ec2sim::{Config, Image, Millis};
use saved_template_api::spec::RestartWhen;

use crate::demo::{
    screen::seconds,
    stage::{Play, Stage, clocks},
    truth::{self, Truth},
    writes,
};

/// All of it.
pub(super) fn text(stage: &Stage, truths: &[Truth]) -> anyhow::Result<String> {
    let mut text =
        "\nSummary. From the log and the history of the EC2 endpoint, not from the status. EC2 and its times are \
         simulated.\n\n"
            .to_owned();
    machines(&mut text, stage, truths)?;
    ratio(&mut text, stage, truths)?;
    images(&mut text, stage, truths)?;
    calls(&mut text, stage)?;
    kubernetes(&mut text, stage)?;
    Ok(text)
}

fn machines(text: &mut String, stage: &Stage, truths: &[Truth]) -> std::fmt::Result {
    let both = || stage.plays.iter().zip(truths);
    let mut row = |label: &str, cells: Vec<String>| {
        write!(text, "{label:<26}")?;
        for cell in cells {
            write!(text, "  {cell:<44}")?;
        }
        let end = text.trim_end().len();
        text.truncate(end);
        writeln!(text)
    };
    row("", both().map(|(play, _)| play.name().to_owned()).collect())?;
    row("machine", both().map(|(_, truth)| truth.instance.id.clone()).collect())?;
    row("restartWhen", both().map(|(play, _)| restart_when(play).to_owned()).collect())?;
    row("downtime", both().map(|(_, truth)| downtime(truth)).collect())?;
    let least = |play: &Play| format!("{}  simulated", seconds(least(play)));
    row("  of that: EC2's clocks", both().map(|(play, _)| least(play)).collect())?;
    row("  and until it is noticed", both().map(|(play, truth)| noticed(play, truth)).collect())?;
    row("ran again", both().map(|(_, truth)| ran_again(truth)).collect())?;
    let rest = |truth: &Truth| format!("{} of {} volumes at rest", truth.at_rest(), truth.snapshots.len());
    row("snapshots began with", both().map(|(_, truth)| rest(truth)).collect())?;
    let asked =
        |truth: &Truth| format!("{} stop, {} image, {} copies", truth.stops, truth.creates, truth.copy_calls);
    row("asked of EC2", both().map(|(_, truth)| asked(truth)).collect())
}

fn restart_when(play: &Play) -> &'static str {
    match play.template.spec.capture.restart_when {
        RestartWhen::SnapshotsStarted => "SnapshotsStarted (the default)",
        RestartWhen::ImageAvailable => "ImageAvailable",
    }
}

fn downtime(truth: &Truth) -> String {
    truth.downtime().map_or("still down".to_owned(), |time| format!("{}  simulated", seconds(time)))
}

/// What EC2 alone takes from the stop to the start, by the demo's clocks.
fn least(play: &Play) -> Millis {
    let Config { stop, start, snapshot_lag, image, .. } = clocks();
    stop + start
        + match play.template.spec.capture.restart_when {
            RestartWhen::SnapshotsStarted => snapshot_lag,
            RestartWhen::ImageAvailable => image,
        }
}

/// What the controller adds by looking now and then.
fn noticed(play: &Play, truth: &Truth) -> String {
    truth.downtime().map_or(String::new(), |time| format!("{}  simulated", seconds(time - least(play))))
}

fn ran_again(truth: &Truth) -> String {
    match truth.ran_again().zip(truth.available()) {
        Some((ran, available)) if ran < available => {
            format!("{} before its image was there, simulated", seconds(available - ran))
        }
        Some((ran, available)) => {
            format!("{} after its image was there, simulated", seconds(ran - available))
        }
        None => "not seen".to_owned(),
    }
}

fn ratio(text: &mut String, stage: &Stage, truths: &[Truth]) -> std::fmt::Result {
    let (names, times): (Vec<&str>, Vec<Option<Millis>>) =
        stage.plays.iter().zip(truths).map(|(play, truth)| (play.name(), truth.downtime())).unzip();
    if let (&[first, second], &[Some(short), Some(long)]) = (names.as_slice(), times.as_slice()) {
        let hundredths = short * 100 / long.max(1);
        writeln!(
            text,
            "\nDowntime of {first} / {second} = {} / {} = {}.{:02}  simulated",
            seconds(short),
            seconds(long),
            hundredths / 100,
            hundredths % 100
        )?;
    }
    Ok(())
}

fn images(text: &mut String, stage: &Stage, truths: &[Truth]) -> std::fmt::Result {
    writeln!(text, "\nAMIs")?;
    for (play, truth) in stage.plays.iter().zip(truths) {
        let mut row = |region: &str, what: &str, image: &Image| {
            writeln!(
                text,
                "  {:<18}  {region:<9}  {}  {:<9}  {what:<5}  {}",
                play.name(),
                image.id,
                image.state.as_str(),
                image.name
            )
        };
        for image in &truth.images {
            row(play.home(), "image", image)?;
        }
        for (region, copy) in &truth.copies {
            row(region, "copy", copy)?;
        }
    }
    Ok(())
}

fn calls(text: &mut String, stage: &Stage) -> std::fmt::Result {
    let (tallies, regions) = truth::calls(&stage.ec2.sim());
    writeln!(
        text,
        "\nAWS calls of the controller from its start until both were Ready, in {regions} regions. One call may name \
         several machines.\n  {:<28}  {:>8}  {:>8}  {:>8}",
        "", "accepted", "dry runs", "refused"
    )?;
    let is_read = |action: &str| action.starts_with("Describe");
    for reads in [true, false] {
        for (action, tally) in tallies.iter().filter(|(action, _)| is_read(action) == reads) {
            writeln!(
                text,
                "  {action:<28}  {:>8}  {:>8}  {:>8}",
                tally.calls, tally.dry_runs, tally.refused
            )?;
        }
    }
    Ok(())
}

fn kubernetes(text: &mut String, stage: &Stage) -> anyhow::Result<()> {
    let log = std::fs::read(stage.cluster.dir().join("kube-apiserver.log"))?;
    let writes = writes::count(&String::from_utf8_lossy(&log));
    writeln!(
        text,
        "\nKubernetes writes of the controller in that time, from the audit log of the API server\n  {:<28}  {:>8}  {:>8}",
        "", "accepted", "refused"
    )?;
    for ((resource, verb), (accepted, refused)) in &writes {
        writeln!(text, "  {:<28}  {accepted:>8}  {refused:>8}", format!("{verb} {resource}"))?;
    }
    let sum: usize = writes.values().map(|(accepted, _)| accepted).sum();
    write!(text, "  {:<28}  {sum:>8}", "sum")?;
    Ok(())
}
