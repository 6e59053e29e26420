//! The demo: what is real and what is simulated, a live timeline, and a summary that EC2's own log vouches for.
mod checks;
mod news;
mod screen;
mod stage;
mod summary;
mod timeline;
mod tour;
mod truth;
mod writes;

use std::time::Duration;

use anyhow::ensure;

use crate::demo::{stage::Stage, timeline::Timeline};

/// After this long, a save that is not Ready has failed.
const LIMIT: Duration = Duration::from_mins(10);

/// Runs the demo. With `once` it ends when both machines are saved, and fails if anything is not as it should be;
/// without, it goes on showing what happens until the caller drops it. With `tour` it goes on after the first save.
pub async fn run(once: bool, tour: bool) -> anyhow::Result<()> {
    screen::say(&stage::introduction())?;
    let mut stage = Stage::set().await?;
    let mut timeline = Timeline::begin(&stage).await?;
    stage.apply().await?;
    tokio::time::timeout(LIMIT, timeline.until_ready(&mut stage))
        .await
        .unwrap_or_else(|_| Err(anyhow::anyhow!("not Ready within {} minutes", LIMIT.as_secs() / 60)))
        .map_err(|error| anyhow::anyhow!("{error:#}\n{}", timeline.evidence(&stage)))?;
    let truths = truth::all(&stage)?;
    screen::say(&summary::text(&stage, &truths)?)?;
    let checks = checks::all(&stage, &truths);
    screen::say(&checks::text(&checks))?;
    if once {
        let failed: Vec<&str> =
            checks.iter().filter(|check| !check.holds).map(|check| check.what.as_str()).collect();
        ensure!(failed.is_empty(), "these checks do not hold: {}", failed.join("; "));
    }
    if tour {
        let toured = tour::go(&mut stage, &mut timeline).await;
        toured.map_err(|error| anyhow::anyhow!("{error:#}\n{}", timeline.evidence(&stage)))?;
    }
    if once {
        return Ok(());
    }
    screen::say(&stage.invitation()?)?;
    timeline.for_ever(&mut stage).await
}
