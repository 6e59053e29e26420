//! The process dies at each step; another one, that knows nothing, goes on.
use std::time::Duration;

use ec2sim::{ACCOUNT, Config, Effect, Fault, InstanceState, When};
use saved_template_tests::{Lab, Proxy, control_plane, quick};

use crate::{ALL, HOME, assert_saved_once, quickstart, template};

/// Kills the controller at the n-th call of an operation, before or after EC2 carried it out.
async fn killed_at(namespace: &str, operation: &str, nth: u32, when: When) -> (Lab<'static>, String) {
    let lab = Lab::quick(namespace).await.unwrap();
    let id = lab.machine("earthquake-analysis");
    let mut first = lab.controller().unwrap();
    let pid = i32::try_from(first.pid()).unwrap();
    lab.ec2.add_fault(Fault::new(operation, Effect::Kill { pid, when }).nth(nth));
    lab.apply(&quickstart(&lab)).await.unwrap();
    let died = first.process().wait(Duration::from_secs(120)).await;
    let died = died.unwrap_or_else(|error| panic!("{error}\n{}", lab.evidence()));
    assert!(!died.success(), "killed, not ended");
    let second = lab.controller().unwrap();
    lab.ready("seismic-ml").await.unwrap();
    drop(second);
    (lab, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_debt_tag() {
    let (lab, id) = killed_at("crash-tag", "CreateTags", 1, When::After).await;
    assert_saved_once(&lab, &id, &ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_stop() {
    let (lab, id) = killed_at("crash-stop", "StopInstances", 1, When::After).await;
    assert_saved_once(&lab, &id, &ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_create_image() {
    let (lab, id) = killed_at("crash-image", "CreateImage", 1, When::After).await;
    assert_saved_once(&lab, &id, &ALL);
    assert_eq!(lab.count("CreateImage"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_start() {
    let (lab, id) = killed_at("crash-before-start", "StartInstances", 1, When::Before).await;
    assert_saved_once(&lab, &id, &ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_start() {
    let (lab, id) = killed_at("crash-after-start", "StartInstances", 1, When::After).await;
    assert_saved_once(&lab, &id, &ALL);
    assert_eq!(lab.count("StartInstances"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_copies() {
    let (lab, id) = killed_at("crash-copies", "CopyImage", 1, When::After).await;
    assert_saved_once(&lab, &id, &ALL);
    assert_eq!(lab.count("CopyImage"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_controllers_without_a_lease_that_write_together_one_stops_and_one_images() {
    let lab = Lab::quick("crash-two").await.unwrap();
    let id = lab.machine("shared");
    let proxy = Proxy::start(lab.kubeconfig()).await.unwrap();
    proxy.pair_status_writes();
    let no_lease = ["--leader-elect=false"];
    let _one = lab.controller_through(proxy.kubeconfig(), &no_lease).unwrap();
    let _two = lab.controller_through(proxy.kubeconfig(), &no_lease).unwrap();
    lab.apply(&template("shared", "shared")).await.unwrap();
    lab.ready("shared").await.unwrap();
    assert!(proxy.paired() >= 6, "only {} writes were released together", proxy.paired());
    assert_saved_once(&lab, &id, &[HOME]);
    assert_eq!(lab.count("CreateImage"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s56_a_leader_that_sleeps_after_announcing_the_stop_wakes_and_sends_nothing() {
    let lab = Lab::quick("crash-sleeper").await.unwrap();
    let id = lab.machine("slept");
    let proxy = Proxy::start(lab.kubeconfig()).await.unwrap();
    let mut sleeper = lab.controller_through(proxy.kubeconfig(), &[]).unwrap();
    proxy.freeze_after(sleeper.pid(), "\"step\":\"StopInstances\"");
    lab.apply(&template("slept", "slept")).await.unwrap();
    lab.until_ec2(Duration::from_secs(60), "the leader sleeps", |_| proxy.is_frozen()).await.unwrap();
    let _other = lab.controller().unwrap();
    lab.ready("slept").await.unwrap();
    let before = lab.count("StopInstances");
    // Past the 20 s that an announcement holds.
    tokio::time::timeout(Duration::from_secs(15), std::future::pending::<()>()).await.unwrap_err();
    sleeper.process().signal(cluster::leash::Signal::CONT).unwrap();
    tokio::time::timeout(Duration::from_secs(10), std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(lab.count("StopInstances"), before, "{}", lab.evidence());
    assert!(sleeper.output().contains("held back"), "the call was held back:\n{}", sleeper.output());
    assert_saved_once(&lab, &id, &[HOME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_slept_while_its_machine_stopped_goes_on_with_the_save() {
    let config = Config { stop: 8000, ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "crash-nap", config).await.unwrap();
    let id = lab.machine("napped");
    let mut controller = lab.controller().unwrap();
    lab.apply(&template("napped", "napped")).await.unwrap();
    let is_stopping =
        |sim: &ec2sim::Sim| sim.place(ACCOUNT, HOME).unwrap().instances[&id].state == InstanceState::Stopping;
    lab.until_ec2(Duration::from_secs(60), "the machine is stopping", is_stopping).await.unwrap();
    controller.process().signal(cluster::leash::Signal::STOP).unwrap();
    // Past the 30 s after which a process that hears nothing of Kubernetes gives its machine back.
    tokio::time::timeout(Duration::from_secs(35), std::future::pending::<()>()).await.unwrap_err();
    controller.process().signal(cluster::leash::Signal::CONT).unwrap();
    lab.ready("napped").await.unwrap();
    assert_eq!(lab.count("CreateTags"), 1, "the record was not given up: {}", lab.evidence());
    assert_saved_once(&lab, &id, &[HOME]);
}
