//! Bad weather between the controller and EC2, where HTTP and the SDK matter.
use std::time::Duration;

use ec2sim::{ACCOUNT, Config, Effect, Fault, InstanceState, LogEntry};
use kube::api::{Patch, PatchParams, PostParams};
use saved_template_api::{ConditionType, SavedTemplate};
use saved_template_tests::{Lab, control_plane, is, message, quick};
use serde_json::json;

use crate::{ALL, HOME, assert_saved_once, images, owes, quickstart, state, template, user, with};

fn refuse(operation: &str, code: &str) -> Fault {
    Fault::new(
        operation,
        Effect::Refuse { code: code.into(), message: "the request is refused".into(), status: None },
    )
}

async fn reaches(lab: &Lab<'_>, id: &str, wanted: InstanceState) {
    lab.until_ec2(Duration::from_secs(60), "the machine is as far", |sim| {
        sim.place(ACCOUNT, HOME).unwrap().instances[id].state == wanted
    })
    .await
    .unwrap();
}

/// How long the machine was down, in milliseconds; it was once.
fn down(lab: &Lab<'_>, id: &str) -> i64 {
    let downtimes = lab.ec2.sim().place(ACCOUNT, HOME).unwrap().instances[id].downtimes();
    assert_eq!(downtimes.len(), 1, "{:?}", lab.calls());
    downtimes[0].1.unwrap() - downtimes[0].0
}

/// Calls that EC2 refused with a code.
fn refused(lab: &Lab<'_>, code: &str) -> Vec<LogEntry> {
    let sim = lab.ec2.sim();
    let is_it =
        |entry: &&LogEntry| matches!(&entry.outcome, ec2sim::Outcome::Refused { code: one } if one == code);
    sim.log().iter().filter(is_it).cloned().collect()
}

async fn image_asked_for(lab: &Lab<'_>) {
    lab.until_ec2(Duration::from_secs(60), "its image is asked for", |sim| {
        sim.log().iter().any(|entry| entry.action == "CreateImage" && !entry.dry_run)
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s19_while_every_call_is_refused_for_its_number_nobody_storms_and_then_the_machine_is_saved_once() {
    let lab = Lab::quick("weather-throttle").await.unwrap();
    let id = lab.machine("throttled");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("throttled", "throttled")).await.unwrap();
    reaches(&lab, &id, InstanceState::Stopping).await;
    lab.ec2.add_fault(refuse("*", "RequestLimitExceeded").for_ms(15_000));
    lab.ready("throttled").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
    let calls = refused(&lab, "RequestLimitExceeded").len();
    assert!((3..=90).contains(&calls), "{calls} calls in the 15 s in which each was refused");
    assert!(down(&lab, &id) <= 40_000, "down for {} ms", down(&lab, &id));
}

#[tokio::test(flavor = "multi_thread")]
async fn s19_eight_machines_at_once_under_real_token_buckets_are_all_saved_and_soon_back() {
    let config = Config { throttles: true, ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "weather-buckets", config).await.unwrap();
    let names: Vec<String> = (0..8).map(|number| format!("crowd-{number}")).collect();
    let ids: Vec<String> = names.iter().map(|name| lab.machine(name)).collect();
    let _controller = lab.controller().unwrap();
    let manifests: Vec<String> = names.iter().map(|name| template(name, name)).collect();
    lab.apply(&manifests.join("\n---\n")).await.unwrap();
    for name in &names {
        lab.ready(name).await.unwrap();
    }
    for id in &ids {
        assert_eq!(state(&lab, id), InstanceState::Running);
        assert!(!owes(&lab, id));
        assert!(down(&lab, id) <= 30_000, "down for {} ms", down(&lab, id));
    }
    assert_eq!(images(&lab, HOME).len(), 8);
    let refused = refused(&lab, "RequestLimitExceeded");
    assert!(refused.len() <= 8, "{refused:?}");
    let starts = refused.iter().filter(|entry| entry.action == "StartInstances" && !entry.dry_run).count();
    assert!(starts <= 1, "{starts} starts were refused for their number");
}

#[tokio::test(flavor = "multi_thread")]
async fn s21_an_answer_that_is_a_minute_late_holds_up_neither_the_start_of_its_machine_nor_another() {
    let lab = Lab::quick("weather-late").await.unwrap();
    let (slow, other) = (lab.machine("slow"), lab.machine("other"));
    let late = Effect::Delay { ms: 60_000, when: ec2sim::When::After };
    lab.ec2.add_fault(Fault::new("CreateImage", late).param("InstanceId", &slow).nth(1));
    let _controller = lab.controller().unwrap();
    lab.apply(&template("slow", "slow")).await.unwrap();
    reaches(&lab, &slow, InstanceState::Stopped).await;
    lab.apply(&template("other", "other")).await.unwrap();
    lab.ready("other").await.unwrap();
    lab.until_ec2(Duration::from_secs(20), "it runs again", |sim| {
        sim.place(ACCOUNT, HOME).unwrap().instances[&slow].state == InstanceState::Running
    })
    .await
    .unwrap();
    for id in [&slow, &other] {
        assert!(down(&lab, id) <= 20_000, "down for {} ms", down(&lab, id));
    }
    lab.ready("slow").await.unwrap();
    assert_eq!((lab.count("StopInstances"), lab.count("CreateImage")), (2, 2), "{:?}", lab.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn s21_answers_that_break_off_in_the_middle_make_nothing_twice() {
    let lab = Lab::quick("weather-broken").await.unwrap();
    let id = lab.machine("earthquake-analysis");
    for operation in
        ["CreateTags", "StopInstances", "CreateImage", "StartInstances", "DeleteTags", "CopyImage"]
    {
        lab.ec2.add_fault(Fault::new(operation, Effect::ApplyAndReset).nth(1));
    }
    lab.ec2.add_fault(Fault::new("DescribeInstances", Effect::ApplyAndReset).nth(4));
    lab.ec2.add_fault(Fault::new("DescribeSnapshots", Effect::ApplyAndReset).nth(2));
    lab.ec2.add_fault(Fault::new("DescribeImages", Effect::ApplyAndDrip { ms: 1500 }).nth(3).times(5));
    let _controller = lab.controller().unwrap();
    lab.apply(&quickstart(&lab)).await.unwrap();
    lab.ready("seismic-ml").await.unwrap();
    assert_eq!(state(&lab, &id), InstanceState::Running);
    assert!(!owes(&lab, &id));
    assert!(down(&lab, &id) > 0);
    for region in ALL {
        assert_eq!(images(&lab, region).len(), 1, "{region}");
    }
    let lost = |entry: &LogEntry| matches!(entry.outcome, ec2sim::Outcome::Lost { .. });
    assert!(lab.ec2.sim().log().iter().filter(|entry| lost(entry)).count() >= 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn s22_with_reads_that_flap_between_two_replicas_nothing_is_made_twice_and_nothing_is_gone() {
    let config = Config { replicas: vec![0, 6_000], ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "weather-lag", config).await.unwrap();
    let id = lab.machine("earthquake-analysis");
    let _controller = lab.controller().unwrap();
    lab.apply(&quickstart(&lab)).await.unwrap();
    let ready = |object: &_| {
        for reason in ["ImageMissing", "InstanceNotFound", "InstanceTerminated"] {
            assert!(!is(object, "Ready", "False", Some(reason)), "{reason}");
        }
        is(object, "Ready", "True", None)
    };
    lab.until("seismic-ml", Duration::from_secs(120), "Ready", ready).await.unwrap();
    assert_eq!(state(&lab, &id), InstanceState::Running);
    assert!(!owes(&lab, &id) && down(&lab, &id) <= 40_000, "down for {} ms", down(&lab, &id));
    for region in ALL {
        assert_eq!(images(&lab, region).len(), 1, "{region}: {:?}", lab.calls());
    }
    assert_eq!(lab.count("CreateImage") + lab.count("CopyImage"), 3);
    // An old read may have the Stop repeated, which changes nothing; never once the image was asked for.
    let changes = lab.changes();
    let imaged = changes.iter().position(|entry| entry.action == "CreateImage").unwrap();
    assert!(changes[imaged..].iter().all(|entry| entry.action != "StopInstances"), "{:?}", lab.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_reads_are_ten_seconds_old_each_tag_of_the_record_is_sent_a_few_times_and_not_with_every_look()
{
    let config = Config { replicas: vec![10_000], ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "weather-old", config).await.unwrap();
    let id = lab.machine("old");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("old", "old")).await.unwrap();
    lab.until("old", Duration::from_secs(150), "Ready", |object| is(object, "Ready", "True", None))
        .await
        .unwrap();
    assert_eq!(state(&lab, &id), InstanceState::Running);
    assert!(!owes(&lab, &id));
    // At 0, 5 and 15 s: the third only where a look in between took its time.
    for action in ["CreateTags", "DeleteTags"] {
        let count = lab.count(action);
        assert!((1..=3).contains(&count), "{action} was sent {count} times: {:?}", lab.calls());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s23_with_pages_that_are_empty_repeat_or_expire_two_machines_are_saved_once_each() {
    let config = Config { page: 1, ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "weather-pages", config).await.unwrap();
    let names = ["one", "two", "three"];
    let ids = names.map(|name| lab.machine(name));
    lab.ec2.add_fault(Fault::new("Describe*", Effect::RepeatPage));
    for nth in [2, 7, 15, 16, 30] {
        lab.ec2.add_fault(Fault::new("Describe*", Effect::EmptyPage).nth(nth));
    }
    // While the machines are down, no list comes to its end.
    let _controller = lab.controller().unwrap();
    let manifests = names.map(|name| template(name, name));
    lab.apply(&manifests.join("\n---\n")).await.unwrap();
    reaches(&lab, &ids[0], InstanceState::Stopping).await;
    let expired = Effect::Refuse {
        code: "InvalidParameterValue".into(),
        message: "Unable to parse pagination token".into(),
        status: None,
    };
    lab.ec2.add_fault(Fault::new("Describe*", expired).param("NextToken", "").for_ms(8_000));
    for (name, id) in names.iter().zip(&ids) {
        lab.ready(name).await.unwrap();
        assert_eq!(state(&lab, id), InstanceState::Running);
        assert!(down(&lab, id) <= 40_000 && !owes(&lab, id), "down for {} ms", down(&lab, id));
    }
    assert!(!refused(&lab, "InvalidParameterValue").is_empty(), "no token expired");
    assert_eq!(images(&lab, HOME).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn s24_a_machine_for_whose_sake_ec2_refuses_a_batch_holds_up_no_other() {
    let lab = Lab::quick("weather-batch").await.unwrap();
    let names = ["good", "better", "bad"];
    let ids = names.map(|name| lab.machine(name));
    let gone = |operation| refuse(operation, "InvalidInstanceID.NotFound").param("InstanceId.*", &ids[2]);
    lab.ec2.add_fault(gone("StopInstances"));
    lab.ec2.add_fault(gone("StartInstances"));
    let _controller = lab.controller().unwrap();
    let manifests = names.map(|name| template(name, name));
    lab.apply(&manifests.join("\n---\n")).await.unwrap();
    for (name, id) in names.iter().zip(&ids).take(2) {
        lab.ready(name).await.unwrap();
        assert!(down(&lab, id) <= 30_000, "down for {} ms", down(&lab, id));
    }
    assert_eq!(state(&lab, &ids[2]), InstanceState::Running);
    lab.ec2.sim().clear_faults();
    assert_eq!((images(&lab, HOME).len(), lab.count("StartInstances") >= 1), (2, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn s25_states_that_are_new_elements_that_are_missing_and_tags_in_any_order_are_waited_out() {
    let lab = Lab::quick("weather-strange").await.unwrap().hostile();
    let id = lab.machine("earthquake-analysis");
    let rewrite = |operation: &str, element: &str, from: &str| {
        let (element, from) = (element.to_owned(), Some(from.to_owned()));
        lab.ec2.add_fault(Fault::new(operation, Effect::Rewrite { element, from, to: "dreaming".into() }));
    };
    rewrite("DescribeInstances", "name", "stopping");
    rewrite("DescribeInstances", "name", "pending");
    rewrite("DescribeImages", "imageState", "pending");
    rewrite("DescribeSnapshots", "status", "pending");
    rewrite("DescribeInstances", "status", "attaching");
    for element in ["platformDetails", "hibernationOptions", "monitoring", "usageOperation", "groupSet"] {
        lab.ec2.add_fault(Fault::new("Describe*", Effect::Omit { element: element.into() }));
    }
    lab.ec2.add_fault(Fault::new("Describe*", Effect::ShuffleTags));
    let _controller = lab.controller().unwrap();
    lab.apply(&quickstart(&lab)).await.unwrap();
    let object = lab.ready("seismic-ml").await.unwrap();
    assert_saved_once(&lab, &id, &ALL);
    let changes = lab.changes().len();
    tokio::time::timeout(Duration::from_secs(5), std::future::pending::<()>()).await.unwrap_err();
    let later = lab.get("seismic-ml").await.unwrap().unwrap();
    assert_eq!(
        later.metadata.resource_version, object.metadata.resource_version,
        "at rest nothing is written"
    );
    assert_eq!(lab.changes().len(), changes, "{:?}", lab.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_credentials_that_expire_while_the_machine_is_down_leave_no_machine_down() {
    for (namespace, code) in [("weather-expired", "RequestExpired"), ("weather-failure", "AuthFailure")] {
        let lab = Lab::quick(namespace).await.unwrap();
        let id = lab.machine("expired");
        let _controller = lab.controller().unwrap();
        lab.apply(&template("expired", "expired")).await.unwrap();
        reaches(&lab, &id, InstanceState::Stopping).await;
        lab.ec2.add_fault(refuse("*", code).for_ms(10_000));
        lab.ready("expired").await.unwrap();
        assert_saved_once(&lab, &id, &[HOME]);
        assert!(down(&lab, &id) <= 40_000, "{code}: down for {} ms", down(&lab, &id));
        let calls = refused(&lab, code).len();
        assert!((2..=60).contains(&calls), "{code}: {calls} calls in the 10 s in which each was refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s27_a_permission_to_start_that_is_revoked_while_the_machine_is_down_is_told_and_tried_until_it_returns()
 {
    let lab = Lab::quick("weather-revoked").await.unwrap();
    let id = lab.machine("revoked");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("revoked", "revoked")).await.unwrap();
    reaches(&lab, &id, InstanceState::Stopping).await;
    lab.ec2.add_fault(refuse("StartInstances", "UnauthorizedOperation"));
    let told = |object: &_| is(object, "SourceRestored", "False", Some("StartFailed"));
    let object = lab.until("revoked", Duration::from_secs(60), "told", told).await.unwrap();
    let text = message(&object, ConditionType::SourceRestored).unwrap();
    assert!(text.contains("aws ec2 start-instances") && is(&object, "Ready", "False", None), "{text}");
    let tries = refused(&lab, "UnauthorizedOperation").len();
    lab.until_ec2(Duration::from_secs(60), "it was tried again", |sim| {
        sim.log().iter().filter(|entry| entry.action == "StartInstances" && !entry.dry_run).count() > tries
    })
    .await
    .unwrap();
    lab.ec2.sim().clear_faults();
    lab.ready("revoked").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s29_a_region_that_never_answers_holds_up_neither_the_machine_nor_another_region() {
    let lab = Lab::quick("weather-dark").await.unwrap();
    let id = lab.machine("earthquake-analysis");
    let _controller = lab.controller().unwrap();
    lab.apply(&with("far", "earthquake-analysis", "  regions: [{name: us-east-2}, {name: us-west-1}]\n"))
        .await
        .unwrap();
    reaches(&lab, &id, InstanceState::Stopping).await;
    lab.ec2.add_fault(Fault::new("*", Effect::Swallow).region("us-east-2"));
    let there = |object: &_| {
        let status: &saved_template_api::SavedTemplateStatus = match object {
            saved_template_api::SavedTemplate { status: Some(status), .. } => status,
            _ => return false,
        };
        status.images.iter().any(|row| row.region.as_str() == "us-west-1")
            && is(object, "SourceRestored", "True", None)
    };
    let object = lab.until("far", Duration::from_secs(100), "copied where it can be", there).await.unwrap();
    assert!(is(&object, "Ready", "False", None));
    assert!(down(&lab, &id) <= 20_000, "down for {} ms", down(&lab, &id));
    assert_saved_once(&lab, &id, &[HOME, "us-west-1"]);
    lab.ec2.sim().clear_faults();
    lab.ready("far").await.unwrap();
    assert_saved_once(&lab, &id, &ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_whose_reads_take_longer_than_they_may_be_old_is_saved_all_the_same() {
    let lab = Lab::quick("weather-slow").await.unwrap();
    let id = lab.machine("faraway");
    for operation in ["DescribeSnapshots", "DescribeImages"] {
        let slow = Effect::Delay { ms: 4500, when: ec2sim::When::Before };
        lab.ec2.add_fault(Fault::new(operation, slow).caller(saved_template_tests::OUR_CALLS));
    }
    let _controller = lab.controller().unwrap();
    lab.apply(&template("faraway", "faraway")).await.unwrap();
    lab.ready("faraway").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_restarted_while_ec2_is_asked_whether_it_may_be_stopped_is_not_stopped() {
    let lab = Lab::quick("weather-asked").await.unwrap();
    let id = lab.machine("restarted");
    let slow = Effect::Delay { ms: 14_000, when: ec2sim::When::After };
    let ours = saved_template_tests::OUR_CALLS;
    lab.ec2.add_fault(Fault::new("StopInstances", slow).dry_runs().nth(1).caller(ours));
    let _controller = lab.controller().unwrap();
    lab.apply(&template("restarted", "restarted")).await.unwrap();
    lab.until_ec2(Duration::from_secs(60), "it is being asked", |sim| {
        sim.log().iter().any(|entry| entry.action == "StopInstances" && entry.dry_run)
    })
    .await
    .unwrap();
    user(&lab, "StopInstances", &[("InstanceId.1", &id)]);
    reaches(&lab, &id, InstanceState::Stopped).await;
    user(&lab, "StartInstances", &[("InstanceId.1", &id)]);
    reaches(&lab, &id, InstanceState::Running).await;
    tokio::time::timeout(Duration::from_secs(20), std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(lab.count("StopInstances"), 1, "that of the user: {}", lab.evidence());
    assert_eq!(state(&lab, &id), InstanceState::Running);
    // It is planned anew after a minute.
    lab.ready("restarted").await.unwrap();
    assert_eq!((lab.count("StopInstances"), lab.count("StartInstances")), (2, 2));
    assert!(state(&lab, &id) == InstanceState::Running && !owes(&lab, &id));
}

#[tokio::test(flavor = "multi_thread")]
async fn s67_in_a_disruption_of_another_zone_a_machine_is_found_by_its_id_and_comes_back() {
    let lab = Lab::quick("weather-zone").await.unwrap();
    let id = lab.machine("healthy");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("healthy", "healthy")).await.unwrap();
    image_asked_for(&lab).await;
    let disturbed = Effect::Refuse { code: "Unavailable".into(), message: "no".into(), status: Some(503) };
    lab.ec2.add_fault(Fault::new("DescribeInstances", disturbed).without("InstanceId.*"));
    reaches(&lab, &id, InstanceState::Running).await;
    assert!(down(&lab, &id) <= 60_000, "down for {} ms", down(&lab, &id));
    lab.ec2.sim().clear_faults();
    lab.ready("healthy").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_comes_back_although_every_sweep_of_its_region_takes_longer_than_a_write_may_be_old() {
    let lab = Lab::quick("weather-sweeps").await.unwrap();
    let id = lab.machine("patient");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("patient", "patient")).await.unwrap();
    image_asked_for(&lab).await;
    lab.ec2.add_fault(Fault::new("DescribeImages", Effect::Swallow).caller(saved_template_tests::OUR_CALLS));
    lab.until_ec2(Duration::from_secs(120), "it runs again", |sim| {
        sim.place(ACCOUNT, HOME).unwrap().instances[&id].state == InstanceState::Running
    })
    .await
    .unwrap();
    lab.ec2.sim().clear_faults();
    lab.ready("patient").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_was_carried_out_behind_an_unknown_server_error_is_paid_back() {
    let lab = Lab::quick("weather-gateway").await.unwrap();
    let id = lab.machine("gateway");
    for operation in ["StopInstances", "CreateImage"] {
        let hidden = Effect::ApplyAndRefuse { code: "GatewayTimeout".into(), status: Some(504) };
        lab.ec2.add_fault(Fault::new(operation, hidden).nth(1));
    }
    let _controller = lab.controller().unwrap();
    lab.apply(&template("gateway", "gateway")).await.unwrap();
    lab.ready("gateway").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
    assert_eq!(state(&lab, &id), InstanceState::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ec2_answered_is_written_down_although_the_spec_was_edited_while_it_was_asked() {
    let hidden = Config { visibility_lag: 60_000, ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "weather-edited", hidden).await.unwrap();
    let id = lab.machine("edited");
    let slow = Effect::Delay { ms: 6_000, when: ec2sim::When::After };
    lab.ec2.add_fault(Fault::new("CreateImage", slow).nth(1));
    let _controller = lab.controller().unwrap();
    lab.apply(&template("edited", "edited")).await.unwrap();
    image_asked_for(&lab).await;
    for description in ["one", "two", "three"] {
        let edit = json!({"spec": {"description": description}});
        lab.api().patch("edited", &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();
    }
    let made = images(&lab, HOME)[0].id.clone();
    // Describe does not show it for a minute: only the answer can have told.
    lab.until("edited", Duration::from_secs(20), "the id is in the status", |object| {
        let rows = object.status.iter().flat_map(|status| &status.regions);
        rows.filter_map(|row| row.image_id.as_ref()).any(|id| id.as_str() == made)
    })
    .await
    .unwrap();
    lab.ready("edited").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_objects_of_a_region_that_hangs_do_not_keep_a_machine_of_another_waiting() {
    const HUNG: &str = "us-east-2";
    let lab = Lab::quick("weather-hangs").await.unwrap();
    let id = lab.machine("elsewhere");
    lab.ec2.add_fault(Fault::new("*", Effect::Swallow).region(HUNG));
    let mut controller = lab.controller().unwrap();
    for number in 0..120 {
        let name = format!("hung-{number}");
        let spec = json!({"source": {"region": HUNG, "instanceName": name}});
        let object = SavedTemplate::new(&name, serde_json::from_value(spec).unwrap());
        lab.api().create(&PostParams::default(), &object).await.unwrap();
    }
    // A region is known to hang when its sweep has not ended for half a minute.
    let known = controller.process().wait(Duration::from_secs(45)).await;
    assert!(known.is_err(), "the controller ended:\n{}", controller.output());
    lab.apply(&template("elsewhere", "elsewhere")).await.unwrap();
    lab.until("elsewhere", Duration::from_secs(90), "saved among those that wait", |object| {
        is(object, "Ready", "True", None)
    })
    .await
    .unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
    assert!(down(&lab, &id) <= 20_000, "down for {} ms", down(&lab, &id));
}
