//! Processes that die again and again, end in order, or have one object that they never get through with.
use std::time::{Duration, Instant};

use cluster::leash::Signal;
use ec2sim::{Config, Effect, Fault, InstanceState, When};
use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use saved_template_tests::{Harm, Lab, Proxy, Rule, Verb, When as Side, assert_holds, control_plane, quick};

use crate::{HOME, ready, rest, saves, template, truth, until};

const PATIENCE: Duration = Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread")]
async fn s3_processes_that_live_five_seconds_each_give_the_machine_back_and_the_first_that_lives_saves_it() {
    let config = Config { snapshot_lag: 10_000, ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "process-s3", config).await.unwrap();
    let id = lab.machine("looped");
    let mut first = lab.controller().unwrap();
    let pid = i32::try_from(first.pid()).unwrap();
    lab.ec2.add_fault(Fault::new("CreateImage", Effect::Kill { pid, when: When::After }).nth(1));
    lab.apply(&template("looped", "looped")).await.unwrap();
    first.process().wait(PATIENCE).await.unwrap();
    let began = Instant::now();
    let mut back = None;
    for _ in 0..12 {
        let mut short = lab.controller().unwrap();
        rest(Duration::from_secs(5)).await;
        short.process().kill();
        let runs = truth::look(&lab, |sim| truth::machine(sim, &id).state == InstanceState::Running);
        back = back.or(runs.then(|| began.elapsed()));
    }
    // Ten seconds until the snapshots begin, twenty that a replica without the lease waits, one window, and the start.
    let in_time = back.is_some_and(|back| back < Duration::from_secs(42));
    assert_holds("I1", in_time, || format!("back after {back:?}\n{}", lab.evidence()));
    let _lives = lab.controller().unwrap();
    ready(&lab, "looped").await;
    truth::assert_saved(&lab, &id, &[HOME], &saves(1));
}

/// Who has the lease of leader election.
async fn holder(lab: &Lab<'_>) -> Option<String> {
    let leases = Api::<Lease>::namespaced(lab.cluster.client().await.unwrap(), &lab.namespace);
    let lease = leases.get("savedtemplate-controller").await.unwrap();
    lease.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty())
}

/// SIGTERM as soon as EC2 has been asked for `action`, which takes three seconds.
async fn ended_at(action: &str) {
    let lab = Lab::quick(&format!("process-s7-{}", action.to_lowercase())).await.unwrap();
    let id = lab.machine("ended");
    lab.ec2.add_fault(Fault::new(action, Effect::Delay { ms: 3000, when: When::Before }).nth(1));
    let mut first = lab.controller().unwrap();
    lab.apply(&template("ended", "ended")).await.unwrap();
    lab.until_ec2(PATIENCE, "it is under way", |sim| sim.faults()[0].hits > 0).await.unwrap();
    first.process().signal(Signal::TERM).unwrap();
    let asked = Instant::now();
    let ended = first.process().wait(Duration::from_secs(30)).await;
    let ended = ended.unwrap_or_else(|error| panic!("{action}: {error}\n{}", lab.evidence()));
    assert!(ended.success(), "{action}: {ended}\n{}", first.output());
    println!("{action}: ended after {:?}", asked.elapsed());
    assert_eq!(holder(&lab).await, None, "{action}: the lease is released");
    assert_eq!(lab.count(action), 1, "{action}: what was begun is finished\n{}", lab.evidence());
    let last = lab.changes().last().map(|entry| entry.action.clone());
    assert_holds("I11", last.as_deref() == Some(action), || {
        format!("after SIGTERM and {action} came {last:?}\n{}", lab.evidence())
    });
    rest(Duration::from_secs(2)).await;
    let _second = lab.controller().unwrap();
    ready(&lab, "ended").await;
    truth::assert_saved(&lab, &id, &[HOME], &saves(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn s7_sigterm_lets_what_is_under_way_finish_begins_nothing_more_and_hands_over() {
    join_all(["CreateTags", "StopInstances", "CreateImage", "StartInstances"].map(ended_at)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_one_object_whose_every_reconcile_fails_or_hangs_holds_up_none_of_ten_others() {
    let lab = Lab::quick("process-s18").await.unwrap();
    let proxy = Proxy::start(lab.kubeconfig()).await.unwrap();
    let names: Vec<String> = (0..10).map(|number| format!("good-{number}")).collect();
    let machines: Vec<String> = names.iter().map(|name| lab.machine(name)).collect();
    let (fails, hangs) = (lab.machine("fails"), lab.machine("hangs"));
    proxy.add("fails", Rule::new(Harm::Answer(500)).verb(Verb::Get).named("fails"));
    let long = Harm::Delay(Duration::from_mins(10), Side::Before);
    proxy.add("hangs", Rule::new(long).verb(Verb::Get).named("hangs"));
    let _controller = lab.controller_through(proxy.kubeconfig(), &["--concurrency=3"]).unwrap();
    for bad in ["fails", "hangs"] {
        lab.apply(&template(bad, bad)).await.unwrap();
    }
    until(PATIENCE, "failing and hanging", || proxy.hits("fails") > 1 && proxy.hits("hangs") > 0).await;
    for name in &names {
        lab.apply(&template(name, name)).await.unwrap();
    }
    join_all(names.iter().map(|name| ready(&lab, name))).await;
    for machine in machines.iter().chain([&fails, &hangs]) {
        truth::assert_given_back(&lab, machine);
    }
    assert!(proxy.hits("fails") > 1, "it was tried again and again");
    // Stops of several machines are sent in one call.
    let deeds = truth::look(&lab, truth::deeds);
    assert_eq!((deeds["StopInstances"], deeds["CreateImage"]), (10, 10), "{}", lab.evidence());
}
