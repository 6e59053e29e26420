//! The API server is late, wrong, out of date or forgetful; the machine comes back, and nothing is done twice.
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ec2sim::{Effect, Fault};
use futures::future::join_all;
use kube::api::{Patch, PatchParams};
use saved_template_tests::{Flow, Harm, Lab, Proxy, Rule, Verb, When, assert_holds, is, shown};
use serde_json::json;

use crate::{HOME, ready, rest, saves, template, truth, until};

const READY: Duration = Duration::from_mins(3);

async fn done(lab: &Lab<'_>, action: &str) {
    let what = format!("{action} was carried out");
    lab.until_ec2(READY, &what, |sim| {
        sim.log().iter().any(|entry| entry.action == action && entry.is_effective())
    })
    .await
    .unwrap();
}

async fn kubectl(lab: &Lab<'_>, args: &[&str]) {
    let args = [args, &["-n", &lab.namespace]].concat();
    let output = lab.cluster.kubectl(&args).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn lists(proxy: &Proxy) -> usize {
    proxy.calls().iter().filter(|call| call.verb == Verb::List && call.resource == "savedtemplates").count()
}

/// A lab with a machine of the name, and a door before its API server.
async fn behind_a_door(namespace: &str, name: &str) -> (Lab<'static>, String, Proxy) {
    let lab = Lab::quick(namespace).await.unwrap();
    let id = lab.machine(name);
    let proxy = Proxy::start(lab.kubeconfig()).await.unwrap();
    (lab, id, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_save_goes_on_while_the_events_of_its_watch_are_lost_and_a_relist_makes_up_for_an_edit() {
    let (lab, id, proxy) = behind_a_door("api-s12-lost", "deaf").await;
    let _controller = lab.controller_through(proxy.kubeconfig(), &[]).unwrap();
    lab.apply(&template("deaf", "deaf")).await.unwrap();
    done(&lab, "CreateTags").await;
    proxy.watches(Flow::Lost);
    ready(&lab, "deaf").await;
    truth::assert_saved(&lab, &id, &[HOME], &saves(1));
    let lost = proxy.withheld();
    assert!(lost > 0, "no event was lost");
    kubectl(&lab, &["patch", "stpl", "deaf", "--type=merge", "-p", r#"{"spec":{"revision":2}}"#]).await;
    until(Duration::from_secs(10), "lost", || proxy.withheld() > lost).await;
    let before = lists(&proxy);
    proxy.watches(Flow::Expired);
    until(Duration::from_secs(60), "listed again", || lists(&proxy) > before).await;
    proxy.watches(Flow::On);
    let second = |object: &saved_template_api::SavedTemplate| {
        is(object, "Ready", "True", None)
            && object.status.as_ref().and_then(|status| status.observed_generation)
                == object.metadata.generation
    };
    let object = lab.until("deaf", READY, "Ready at revision 2", second).await;
    assert_holds("L1", object.is_ok(), || format!("{:#}", object.as_ref().unwrap_err()));
    truth::assert_given_back(&lab, &id);
    assert_eq!(truth::look(&lab, truth::deeds)["CreateImage"], 2, "{}", lab.evidence());
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_watch_that_expires_every_two_seconds_ends_in_one_save() {
    let (lab, id, proxy) = behind_a_door("api-s12-expired", "gone").await;
    let _controller = lab.controller_through(proxy.kubeconfig(), &[]).unwrap();
    lab.apply(&template("gone", "gone")).await.unwrap();
    let proxy = Arc::new(proxy);
    let expiring = tokio::spawn({
        let proxy = Arc::clone(&proxy);
        async move {
            loop {
                proxy.watches(Flow::Expired);
                rest(Duration::from_millis(200)).await;
                proxy.watches(Flow::On);
                rest(Duration::from_millis(1800)).await;
            }
        }
    });
    ready(&lab, "gone").await;
    expiring.abort();
    assert!(lists(&proxy) > 3, "it was listed {} times", lists(&proxy));
    truth::assert_saved(&lab, &id, &[HOME], &saves(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_a_process_whose_list_is_older_than_the_object_gives_its_machine_back_and_images_it_once() {
    let (lab, id, proxy) = behind_a_door("api-s13-young", "young").await;
    let mut first = lab.controller_through(proxy.kubeconfig(), &[]).unwrap();
    until(Duration::from_secs(60), "leading", || first.output().contains("leading")).await;
    until(Duration::from_secs(60), "listed", || lists(&proxy) > 1).await;
    let pid = i32::try_from(first.pid()).unwrap();
    let kill = Effect::Kill { pid, when: ec2sim::When::After };
    lab.ec2.add_fault(Fault::new("CreateImage", kill).nth(1));
    lab.apply(&template("young", "young")).await.unwrap();
    first.process().wait(READY).await.unwrap();
    proxy.watches(Flow::Withheld);
    proxy.add("stale", Rule::new(Harm::Replay).verb(Verb::List).of("savedtemplates"));
    let _second = lab.controller_through(proxy.kubeconfig(), &[]).unwrap();
    let back =
        lab.until_ec2(Duration::from_secs(90), "given back", |sim| truth::is_given_back(sim, &id)).await;
    assert_holds("I1", back.is_ok(), || format!("{:#}", back.as_ref().unwrap_err()));
    assert!(proxy.hits("stale") > 0, "no stale list was served");
    let object = lab.get("young").await.unwrap().unwrap();
    assert!(!is(&object, "Ready", "True", None), "nobody has seen it:\n{}", shown(&object));
    proxy.watches(Flow::On);
    ready(&lab, "young").await;
    truth::assert_saved(&lab, &id, &[HOME], &saves(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_an_object_that_only_a_stale_list_shows_is_not_saved() {
    let lab = Lab::quick("api-s13-ghost").await.unwrap();
    let proxy = Proxy::start(lab.kubeconfig()).await.unwrap();
    lab.apply(&template("ghost", "ghost")).await.unwrap();
    let first = lab.controller_through(proxy.kubeconfig(), &[]).unwrap();
    let absent = |object: &_| is(object, "Validated", "False", Some("InstanceNotFound"));
    lab.until("ghost", READY, "refused", absent).await.unwrap();
    drop(first);
    kubectl(&lab, &["delete", "stpl", "ghost"]).await;
    let id = lab.machine("ghost");
    proxy.watches(Flow::Withheld);
    proxy.add("stale", Rule::new(Harm::Replay).verb(Verb::List).of("savedtemplates"));
    let second = lab.controller_through(proxy.kubeconfig(), &[]).unwrap();
    until(Duration::from_secs(60), "leading", || second.output().contains("leading")).await;
    let gets =
        || proxy.calls().iter().filter(|call| call.name == "ghost" && call.replied == Some(404)).count();
    until(Duration::from_secs(30), "looked for", || gets() > 0).await;
    rest(Duration::from_secs(10)).await;
    assert_holds("I2", lab.changes().is_empty(), || lab.evidence());
    truth::assert_given_back(&lab, &id);
}

/// The status that must be written after CreateImage is refused for a minute.
async fn refused_after_create_image(code: u16) {
    let name = format!("api-s14-{code}");
    let (lab, id, proxy) = behind_a_door(&name, "waiting").await;
    let lasting = Duration::from_mins(1);
    // The first status that names the step announces it; what comes after that must wait.
    let rule = Rule::status_writes(Harm::Answer(code)).with_body("\"step\":\"CreateImage\"").nth(2);
    proxy.add("away", rule.lasting(lasting));
    let _controller = lab.controller_through(proxy.kubeconfig(), &[]).unwrap();
    lab.apply(&template("waiting", "waiting")).await.unwrap();
    until(READY, "refused", || proxy.hits("away") > 0).await;
    let refused = Instant::now();
    assert_eq!(lab.count("CreateImage"), 1, "the image was asked for before: {}", lab.evidence());
    let back = lab.until_ec2(lasting, "given back", |sim| truth::is_given_back(sim, &id)).await;
    assert_holds("I1", back.is_ok() && refused.elapsed() < lasting, || format!("{back:?}"));
    ready(&lab, "waiting").await;
    assert!(refused.elapsed() > lasting, "the status could not be written for a minute");
    truth::assert_saved(&lab, &id, &[HOME], &saves(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_a_status_that_cannot_be_written_after_create_image_delays_neither_the_machine_nor_makes_a_second_image()
 {
    join_all([500, 503, 429].map(refused_after_create_image)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s15_statuses_that_are_written_but_not_answered_cause_no_second_stop_and_no_second_image() {
    let (lab, id, proxy) = behind_a_door("api-s15", "unheard").await;
    let rule = Rule::status_writes(Harm::LoseReply).with_body("\"step\":\"StopInstances\"");
    proxy.add("stop", rule.lasting(Duration::from_secs(12)));
    let rule = Rule::status_writes(Harm::LoseReply).with_body("\"step\":\"CreateImage\"");
    proxy.add("image", rule.lasting(Duration::from_secs(12)));
    let _controller = lab.controller_through(proxy.kubeconfig(), &[]).unwrap();
    lab.apply(&template("unheard", "unheard")).await.unwrap();
    ready(&lab, "unheard").await;
    assert!(proxy.hits("stop") > 0 && proxy.hits("image") > 0, "{}", lab.evidence());
    truth::assert_saved(&lab, &id, &[HOME], &saves(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_conflicts_delays_a_save_and_does_nothing_twice() {
    let (lab, id, proxy) = behind_a_door("api-conflicts", "contended").await;
    for step in ["StopInstances", "CreateImage"] {
        let rule = Rule::status_writes(Harm::Answer(409)).with_body(&format!("\"step\":\"{step}\""));
        proxy.add(step, rule.lasting(Duration::from_secs(10)));
    }
    let _controller = lab.controller_through(proxy.kubeconfig(), &[]).unwrap();
    lab.apply(&template("contended", "contended")).await.unwrap();
    ready(&lab, "contended").await;
    let hits = (proxy.hits("StopInstances"), proxy.hits("CreateImage"));
    assert!(hits.0 > 1 && hits.1 > 1, "conflicts: {hits:?}");
    truth::assert_saved(&lab, &id, &[HOME], &saves(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_writes_the_object_ten_times_a_second_does_not_starve_its_save() {
    let (lab, id, proxy) = behind_a_door("api-busy", "busy").await;
    let _controller = lab.controller_through(proxy.kubeconfig(), &[]).unwrap();
    lab.apply(&template("busy", "busy")).await.unwrap();
    let (api, over) = (lab.api().clone(), Arc::new(AtomicBool::new(false)));
    let writer = tokio::spawn({
        let over = Arc::clone(&over);
        async move {
            let mut count = 0;
            while !over.load(Ordering::SeqCst) {
                count += 1;
                let patch = Patch::Merge(json!({"metadata": {"annotations": {"count": count.to_string()}}}));
                api.patch("busy", &PatchParams::default(), &patch).await.unwrap();
                rest(Duration::from_millis(100)).await;
            }
        }
    });
    ready(&lab, "busy").await;
    over.store(true, Ordering::SeqCst);
    writer.await.unwrap();
    let conflicts = proxy.calls().iter().filter(|call| call.replied == Some(409)).count();
    println!("{conflicts} conflicts");
    truth::assert_saved(&lab, &id, &[HOME], &saves(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn s21_an_announcement_that_was_under_way_for_25_s_is_not_acted_on_but_made_again() {
    join_all([("before", When::Before), ("after", When::After)].map(async |(word, when)| {
        let (lab, id, proxy) = behind_a_door(&format!("api-s21-{word}"), "late").await;
        let late = Harm::Delay(Duration::from_secs(25), when);
        for step in ["StopInstances", "CreateImage"] {
            let said = format!("\"step\":\"{step}\"");
            proxy.add(step, Rule::status_writes(late.clone()).with_body(&said).times(1));
        }
        let controller = lab.controller_through(proxy.kubeconfig(), &[]).unwrap();
        lab.apply(&template("late", "late")).await.unwrap();
        ready(&lab, "late").await;
        assert_eq!((proxy.hits("StopInstances"), proxy.hits("CreateImage")), (1, 1));
        let held = controller.output().matches("held back").count();
        assert_holds("I11", held >= 2, || format!("held back {held} times:\n{}", lab.evidence()));
        truth::assert_saved(&lab, &id, &[HOME], &saves(1));
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s21_with_an_api_server_that_takes_a_second_for_everything_a_machine_is_saved_once() {
    let (lab, id, proxy) = behind_a_door("api-s21-slow", "slow").await;
    proxy.add("slow", Rule::new(Harm::Delay(Duration::from_secs(1), When::Before)));
    let _controller = lab.controller_through(proxy.kubeconfig(), &[]).unwrap();
    lab.apply(&template("slow", "slow")).await.unwrap();
    ready(&lab, "slow").await;
    truth::assert_saved(&lab, &id, &[HOME], &saves(1));
}
