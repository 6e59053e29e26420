//! The API server is away: the machine comes back all the same.
use std::time::Duration;

use cluster::{Cluster, Options};
use ec2sim::{Config, Effect, Fault, InstanceState, When};
use saved_template_tests::{Controller, Lab, quick};

use crate::{HOME, assert_saved_once, owes, state, template};

async fn own_control_plane() -> Cluster {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    cluster.install_crds().await.unwrap();
    cluster.install_class().await.unwrap();
    cluster
}

async fn stopped(lab: &Lab<'_>, id: &str) {
    lab.until_ec2(Duration::from_secs(60), "the machine is stopping", |sim| {
        let state = sim.place(ec2sim::ACCOUNT, HOME).unwrap().instances[id].state;
        matches!(state, InstanceState::Stopping | InstanceState::Stopped)
    })
    .await
    .unwrap();
}

async fn back(lab: &Lab<'_>, id: &str) {
    lab.until_ec2(Duration::from_secs(150), "the machine runs and nothing is owed", |sim| {
        let instance = &sim.place(ec2sim::ACCOUNT, HOME).unwrap().instances[id];
        let owed = instance.tags.keys().any(|key| key.starts_with("savedtemplate.dev/restart-owed."));
        instance.state == InstanceState::Running && instance.history.len() > 1 && !owed
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_stops_while_the_machine_is_down_and_the_machine_comes_back() {
    let cluster = own_control_plane().await;
    let lab = Lab::on(&cluster, "outage-down", Config { stop: 15_000, ..quick() }).await.unwrap();
    let id = lab.machine("lonely");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("lonely", "lonely")).await.unwrap();
    stopped(&lab, &id).await;
    cluster.stop_apiserver();
    back(&lab, &id).await;
    assert_eq!(lab.count("StartInstances"), 1);
    let down = lab.ec2.sim().place(ec2sim::ACCOUNT, HOME).unwrap().instances[&id].downtimes()[0];
    let seconds = (down.1.unwrap() - down.0) / 1000;
    assert!(
        seconds <= 130,
        "down for {seconds} s: 30 s of silence, a minute after m, and the clocks of the simulation"
    );
    cluster.start_apiserver().await.unwrap();
    let told = |object: &_| saved_template_tests::is(object, "SourceRestored", "True", None);
    lab.until("lonely", Duration::from_secs(90), "told", told).await.unwrap();
    assert_eq!(lab.count("StopInstances"), 1, "no second stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_starts_while_the_api_server_is_away_pays_an_open_debt() {
    let cluster = own_control_plane().await;
    let lab = Lab::on(&cluster, "outage-start", quick()).await.unwrap();
    let id = lab.machine("orphan");
    let mut first = lab.controller().unwrap();
    let pid = i32::try_from(first.pid()).unwrap();
    lab.ec2.add_fault(Fault::new("CreateImage", Effect::Kill { pid, when: When::After }).nth(1));
    lab.apply(&template("orphan", "orphan")).await.unwrap();
    first.process().wait(Duration::from_secs(90)).await.unwrap();
    cluster.stop_apiserver();
    assert!(owes(&lab, &id));
    assert_eq!(state(&lab, &id), InstanceState::Stopped);
    let _second = lab.controller().unwrap();
    back(&lab, &id).await;
    cluster.start_apiserver().await.unwrap();
    lab.ready("orphan").await.unwrap();
    assert_saved_once(&lab, &id, &[HOME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_may_not_ask_for_the_regions_pays_the_debts_of_its_own_while_the_api_server_is_away()
 {
    let cluster = own_control_plane().await;
    let lab = Lab::on(&cluster, "outage-regions", quick()).await.unwrap();
    let id = lab.machine("locked");
    let mut first = lab.controller().unwrap();
    let pid = i32::try_from(first.pid()).unwrap();
    lab.ec2.add_fault(Fault::new("CreateImage", Effect::Kill { pid, when: When::After }).nth(1));
    lab.apply(&template("locked", "locked")).await.unwrap();
    first.process().wait(Duration::from_secs(90)).await.unwrap();
    cluster.stop_apiserver();
    assert!(owes(&lab, &id));
    let denied = Effect::Refuse {
        code: "UnauthorizedOperation".into(),
        message: "You are not authorized to perform this operation".into(),
        status: None,
    };
    lab.ec2.add_fault(Fault::new("DescribeRegions", denied));
    let args = ["--cluster-name=lab", "--http-address=127.0.0.1:0", "--namespace", &lab.namespace];
    let log = cluster.dir().join("outage-regions.log");
    let mut second = Controller::start(lab.kubeconfig(), &lab.ec2.url(), &args, &log).unwrap();
    back(&lab, &id).await;
    assert!(second.output().contains("the account's regions cannot be read"), "{}", second.output());
    second.process().kill();
    cluster.start_apiserver().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_object_and_its_status_are_lost_and_the_machine_comes_back() {
    let lab = Lab::quick("outage-lost").await.unwrap();
    let id = lab.machine("lost");
    let _controller = lab.controller().unwrap();
    lab.apply(&template("lost", "lost")).await.unwrap();
    stopped(&lab, &id).await;
    let strip = r#"{"metadata":{"finalizers":null}}"#;
    let namespace = lab.namespace.clone();
    let delete = ["delete", "stpl", "lost", "-n", &namespace, "--wait=false"];
    assert!(lab.cluster.kubectl(&delete).await.unwrap().status.success());
    let patch = ["patch", "stpl", "lost", "-n", &namespace, "--type=merge", "-p", strip];
    assert!(lab.cluster.kubectl(&patch).await.unwrap().status.success());
    assert!(lab.get("lost").await.unwrap().is_none(), "force-deleted");
    back(&lab, &id).await;
    assert_eq!(lab.count("StopInstances"), 1);
}
