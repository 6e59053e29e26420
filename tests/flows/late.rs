//! Images that EC2's reply has named, and that no read shows for minutes.
use std::time::Duration;

use ec2sim::Config;
use saved_template_tests::{Lab, control_plane, is, quick};

use crate::{ALL, assert_saved_once, quickstart};

/// EC2 shows an image this much later.
const HIDDEN: i64 = 150_000;
/// What EC2's clock leaps by while the images are hidden; they are watched for the rest of the time.
const LEAP: i64 = 125_000;

/// The images of the calls are hidden for two minutes and a half, most of it at once.
async fn hidden(lab: &Lab<'_>, action: &str, calls: usize, leaps: i64) {
    lab.until_ec2(Duration::from_mins(2), action, |sim| {
        sim.log().iter().filter(|call| call.action == action && call.is_effective()).count() == calls
    })
    .await
    .unwrap();
    // The reply is on its way.
    tokio::time::timeout(Duration::from_secs(3), std::future::pending::<()>()).await.unwrap_err();
    lab.ec2.set_offset(LEAP * leaps);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_ec2_shows_after_two_and_a_half_minutes_are_each_asked_for_once() {
    let late = Config { visibility_lag: HIDDEN, copy_name_unique: false, ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "late-images", late).await.unwrap();
    let id = lab.machine("earthquake-analysis");
    let _controller = lab.controller().unwrap();
    lab.apply(&quickstart(&lab)).await.unwrap();
    hidden(&lab, "CreateImage", 1, 1).await;
    hidden(&lab, "CopyImage", ALL.len() - 1, 2).await;
    lab.until("seismic-ml", Duration::from_secs(150), "Ready", |object| is(object, "Ready", "True", None))
        .await
        .unwrap();
    assert_saved_once(&lab, &id, &ALL);
    let made =
        ["StopInstances", "CreateImage", "CopyImage", "DeregisterImage"].map(|action| lab.count(action));
    assert_eq!(made, [1, 1, ALL.len() - 1, 0], "{}", lab.evidence());
}
