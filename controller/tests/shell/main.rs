//! The controller that ships, against an API server and EC2 in the same process, in tokio's time.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test says what it expects by failing, and waits in virtual time"
)]
mod class;
mod histories;
mod lab;
mod waiting;

use std::time::Duration;

use crate::lab::{HOME, Harm, Lab};

const COPIES: &str = r#"{"source": {"region": "us-west-2", "instanceName": "quake"},
    "regions": [{"name": "us-east-2"}, {"name": "us-west-1"}]}"#;

async fn saved(harm: Option<(usize, Harm)>) -> Lab {
    saved_with(harm, async |_| {}).await
}

/// The same; where the process dies, something is done before the next one begins.
async fn saved_with(harm: Option<(usize, Harm)>, between: impl AsyncFn(&Lab)) -> Lab {
    let lab = Lab::new();
    lab.permit("default").await;
    lab.apply(COPIES).await;
    assert_eq!(lab.saved(harm, between).await, if harm.is_some() { 2 } else { 1 }, "{harm:?}");
    let told = lab.effects.lock().unwrap().told.join("\n");
    for region in [HOME, "us-east-2", "us-west-1"] {
        assert_eq!(lab.images(region), 1, "{region} {harm:?}\n{told}");
    }
    assert_eq!(lab.downtimes(), 1, "{harm:?}\n{told}");
    lab
}

#[tokio::test(start_paused = true)]
async fn a_save_is_made_once_and_copied() {
    let lab = saved(None).await;
    let counts = ["StopInstances", "CreateImage", "CopyImage"].map(|action| lab.count(action));
    assert_eq!(counts, [1, 1, 2], "{} calls", lab.calls());
}

#[tokio::test(start_paused = true)]
async fn a_death_before_or_after_any_effect_changes_nothing_about_the_end() {
    let effects = saved(None).await.effects.lock().unwrap().told.len();
    assert!(effects > 10, "{effects}");
    for effect in 0..effects {
        for harm in [Harm::DieBefore, Harm::DieAfter] {
            saved(Some((effect, harm))).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_that_the_version_before_began_is_finished_by_this_one() {
    let effects = saved(None).await.effects.lock().unwrap().told.len();
    for effect in 0..effects {
        saved_with(Some((effect, Harm::DieAfter)), Lab::write_as_before).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_the_version_before_saved_is_taken_over_without_a_change() {
    let lab = saved(None).await;
    lab.write_as_before().await;
    let changes = lab.changes();
    let _controller = lab.controller();
    tokio::time::sleep(Duration::from_mins(30)).await;
    assert_eq!(lab.changes(), changes);
    assert!(lab.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_saved_in_time_although_each_read_of_several_regions_is_slow() {
    for slow in [700, 1500, 3000] {
        let lab = saved(None).await;
        let _controller = lab.controller();
        tokio::time::sleep(Duration::from_mins(2)).await;
        lab.outage.lock().unwrap().slow = Duration::from_millis(slow);
        lab.edit(serde_json::json!({"revision": 2})).await;
        tokio::time::sleep(Duration::from_mins(20)).await;
        assert_eq!(lab.downtimes(), 2, "{slow} ms: {:#?}", lab.object().status.unwrap().capture);
        assert!(lab.is_ready() && !lab.owes(), "{slow} ms: {:#?}", lab.object().status);
    }
}
