//! Debts and their look-alikes, where a process matters (S55–S62).
use std::time::Duration;

use ec2sim::{ACCOUNT, Config, Effect, Fault, InstanceState, When};
use saved_template_api::status::Consistency;
use saved_template_tests::{Lab, control_plane, is, quick};

use crate::{HOME, assert_saved_once, owes, state, template, user, with};

fn debt(lab: &Lab<'_>, id: &str) -> (String, String) {
    let sim = lab.ec2.sim();
    let tags = &sim.place(ACCOUNT, HOME).unwrap().instances[id].tags;
    let found = tags.iter().find(|(key, _)| key.starts_with("savedtemplate.dev/restart-owed."));
    found.map(|(key, value)| (key.clone(), value.clone())).unwrap()
}

pub(crate) async fn reaches(lab: &Lab<'_>, id: &str, wanted: InstanceState) {
    lab.until_ec2(Duration::from_secs(60), "the machine is there", |sim| {
        sim.place(ACCOUNT, HOME).unwrap().instances[id].state == wanted
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s55_the_leader_dies_between_tag_and_stop_and_a_replica_leaves_the_record_alone() {
    let lab = Lab::quick("debts-s55").await.unwrap();
    let id = lab.machine("early");
    let mut leader = lab.controller().unwrap();
    let pid = i32::try_from(leader.pid()).unwrap();
    lab.ec2.add_fault(Fault::new("CreateTags", Effect::Kill { pid, when: When::After }).nth(1));
    lab.apply(&template("early", "early")).await.unwrap();
    leader.process().wait(Duration::from_secs(60)).await.unwrap();
    let _replica = lab.controller().unwrap();
    lab.ready("early").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
    assert_eq!(
        lab.count("DeleteTags"),
        1,
        "the record was removed once, when it was paid: {}",
        lab.evidence()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn s59_a_user_who_stops_the_machine_after_it_came_back_finds_it_stopped() {
    let lab = Lab::quick("debts-s59").await.unwrap();
    let id = lab.machine("mine");
    // The removal of the record is refused for a while: the window between our start and our untag.
    let refuse = Effect::Refuse { code: "InternalError".into(), message: "busy".into(), status: Some(500) };
    lab.ec2.add_fault(Fault::new("DeleteTags", refuse));
    let _controller = lab.controller().unwrap();
    lab.apply(&template("mine", "mine")).await.unwrap();
    lab.until_ec2(Duration::from_secs(60), "our start is over", |sim| {
        let instance = &sim.place(ACCOUNT, HOME).unwrap().instances[&id];
        instance.state == InstanceState::Running && instance.history.len() > 1
    })
    .await
    .unwrap();
    user(&lab, "StopInstances", &[("InstanceId.1", &id)]);
    reaches(&lab, &id, InstanceState::Stopped).await;
    lab.ec2.sim().clear_faults();
    lab.until_ec2(Duration::from_secs(60), "the record is gone", |sim| {
        let tags = &sim.place(ACCOUNT, HOME).unwrap().instances[&id].tags;
        !tags.keys().any(|key| key.starts_with("savedtemplate.dev/restart-owed."))
    })
    .await
    .unwrap();
    assert_eq!(state(&lab, &id), InstanceState::Stopped, "it stays as its user wants it");
    assert_eq!(lab.count("StartInstances"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s60_a_stop_just_before_ours_withdraws_the_record_and_the_machine_is_saved_as_it_is_and_stays_stopped()
 {
    let lab = Lab::quick("debts-s60").await.unwrap();
    let id = lab.machine("theirs");
    // Our Stop is on its way for a second: the user's comes first.
    lab.ec2.add_fault(
        Fault::new("StopInstances", Effect::Delay { ms: 3000, when: When::Before })
            .nth(1)
            .caller(saved_template_tests::OUR_CALLS),
    );
    let _controller = lab.controller().unwrap();
    lab.apply(&template("theirs", "theirs")).await.unwrap();
    let sent = |object: &saved_template_api::SavedTemplate| {
        let capture = object.status.as_ref().and_then(|status| status.capture.as_ref());
        capture.is_some_and(|capture| capture.stop_requested_time.is_some())
    };
    lab.until("theirs", Duration::from_secs(60), "about to stop", sent).await.unwrap();
    user(&lab, "StopInstances", &[("InstanceId.1", &id)]);
    let object =
        lab.until("theirs", Duration::from_secs(180), "Ready", |object| is(object, "Ready", "True", None));
    assert!(is(&object.await.unwrap(), "SourceRestored", "True", Some("LeftStopped")));
    lab.until_ec2(Duration::from_secs(30), "the record is withdrawn", |sim| {
        let tags = &sim.place(ACCOUNT, HOME).unwrap().instances[&id].tags;
        !tags.keys().any(|key| key.starts_with("savedtemplate.dev/restart-owed."))
    })
    .await
    .unwrap();
    assert_eq!(state(&lab, &id), InstanceState::Stopped);
    assert_eq!(lab.count("StartInstances"), 0);
    assert_eq!(lab.count("CreateImage"), 1);
    let capture = lab.get("theirs").await.unwrap().unwrap().status.unwrap().capture.unwrap();
    assert_eq!((capture.disruptions, capture.consistency), (0, Consistency::Stopped));
}

#[tokio::test(flavor = "multi_thread")]
async fn s61_a_record_copied_to_another_stopped_machine_starts_nothing() {
    let config = Config { stop: 8000, ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "debts-s61", config).await.unwrap();
    let id = lab.machine("original");
    let other = lab.machine("bystander");
    user(&lab, "StopInstances", &[("InstanceId.1", &other)]);
    let _controller = lab.controller().unwrap();
    lab.apply(&template("original", "original")).await.unwrap();
    reaches(&lab, &id, InstanceState::Stopping).await;
    let (key, value) = debt(&lab, &id);
    let params = [("ResourceId.1", other.as_str()), ("Tag.1.Key", &key), ("Tag.1.Value", &value)];
    user(&lab, "CreateTags", &params);
    lab.ready("original").await.unwrap();
    assert_eq!(state(&lab, &other), InstanceState::Stopped);
    assert_eq!(lab.count("StartInstances"), 1, "only the original was started");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_under_our_own_key_is_protected_from_a_second_template() {
    let config = Config { stop: 8000, ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "debts-r6", config).await.unwrap();
    let id = lab.machine("contested");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("first", "contested")).await.unwrap();
    reaches(&lab, &id, InstanceState::Stopping).await;
    let value = debt(&lab, &id).1;
    lab.apply(&template("second", "contested")).await.unwrap();
    let busy = |object: &_| is(object, "Validated", "False", Some("InstanceBusy"));
    lab.until("second", Duration::from_secs(30), "busy", busy).await.unwrap();
    assert!(owes(&lab, &id));
    assert_eq!(debt(&lab, &id).1, value, "the record was not touched");
    lab.ready("first").await.unwrap();
    lab.ready("second").await.unwrap();
    assert_eq!(lab.count("StopInstances"), 2);
    let downtimes = lab.ec2.sim().place(ACCOUNT, HOME).unwrap().instances[&id].downtimes();
    assert!(downtimes[1].0 > downtimes[0].1.unwrap(), "one after the other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_record_was_stripped_by_another_tool_comes_back() {
    let config = Config { stop: 6000, ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "debts-s66", config).await.unwrap();
    let id = lab.machine("stripped");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("stripped", "stripped")).await.unwrap();
    reaches(&lab, &id, InstanceState::Stopping).await;
    let (key, _) = debt(&lab, &id);
    user(&lab, "DeleteTags", &[("ResourceId.1", &id), ("Tag.1.Key", &key)]);
    lab.ready("stripped").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s69_with_the_nodes_clock_twenty_minutes_off_and_a_volume_left_out_the_machine_is_saved_as_ever() {
    for (name, minutes) in [("slow", 20), ("fast", -20)] {
        let lab = Lab::quick(&format!("debts-s69-{name}")).await.unwrap();
        lab.ec2.set_offset(minutes * 60_000);
        let id = lab.machine("skewed");
        let _controller = lab.controller().unwrap();
        let more = "  capture: {excludeDeviceNames: [/dev/sdf]}\n";
        lab.apply(&with("skewed", "skewed", more)).await.unwrap();
        let object = lab.ready("skewed").await.unwrap();
        assert_saved_once(&lab, &id, &[HOME]);
        assert_eq!(lab.ec2.sim().place(ACCOUNT, HOME).unwrap().snapshots.len(), 1);
        assert_eq!(object.status.unwrap().capture.unwrap().consistency, Consistency::Stopped);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_somebody_overwrote_with_something_else_is_written_again_and_the_machine_comes_back() {
    let lab = Lab::quick("debts-overwritten").await.unwrap();
    let id = lab.machine("rewritten");
    // The image is never asked for, so that only the record can give the machine back.
    let refuse = Effect::Refuse { code: "InternalError".into(), message: "busy".into(), status: Some(500) };
    lab.ec2.add_fault(Fault::new("CreateImage", refuse).for_ms(20_000));
    let _controller = lab.controller().unwrap();
    lab.apply(&template("rewritten", "rewritten")).await.unwrap();
    reaches(&lab, &id, InstanceState::Stopped).await;
    let (key, value) = debt(&lab, &id);
    user(
        &lab,
        "CreateTags",
        &[("ResourceId.1", &id), ("Tag.1.Key", &key), ("Tag.1.Value", "v2 of another day")],
    );
    lab.until_ec2(Duration::from_secs(60), "the record is there again", |sim| {
        sim.place(ACCOUNT, HOME).unwrap().instances[&id].tags.get(&key) == Some(&value)
    })
    .await
    .unwrap();
    lab.ready("rewritten").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_no_record_is_one_line_of_the_log_for_as_long_as_it_is_there() {
    let lab = Lab::quick("debts-illegible").await.unwrap();
    let id = lab.machine("illegible");
    let key = saved_template_api::names::debt_key("lab");
    let controller = lab.controller().unwrap();
    let lines =
        || controller.output().lines().filter(|line| line.contains("cannot be read is not paid")).count();
    let sweeps = || {
        let sim = lab.ec2.sim();
        sim.log().iter().filter(|entry| entry.action == "DescribeInstances").count()
    };
    for (count, value) in ["v9 of another day", "v9 of yet another day"].into_iter().enumerate() {
        user(&lab, "CreateTags", &[("ResourceId.1", &id), ("Tag.1.Key", &key), ("Tag.1.Value", value)]);
        let told = |_: &ec2sim::Sim| lines() > count;
        lab.until_ec2(Duration::from_secs(60), "it is told", told).await.unwrap();
        let before = sweeps();
        // Whatever asks for a machine makes its region be swept.
        for revision in 1..=4 {
            let name = format!("seen-{count}-{revision}");
            lab.apply(&with(&name, "illegible", "  suspend: true\n")).await.unwrap();
        }
        let swept = |sim: &ec2sim::Sim| {
            sim.log().iter().filter(|entry| entry.action == "DescribeInstances").count() >= before + 4
        };
        lab.until_ec2(Duration::from_secs(120), "the region is swept again", swept).await.unwrap();
        assert_eq!(lines(), count + 1, "{}", controller.output());
    }
}
