//! One poisoned object among good ones: it is told about, and holds up nobody.
use std::time::Duration;

use ec2sim::{ACCOUNT, Config, Effect, Fault, InstanceState};
use kube::api::{DeleteParams, Patch, PatchParams};
use saved_template_api::{ConditionType, SavedTemplate};
use saved_template_tests::{Lab, control_plane, is, message, quick};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{HOME, images, owes, state, template, user, with};

/// What the schema takes and this controller never writes.
fn nonsense(id: &str) -> Value {
    let far = "9999-12-30T00:00:00Z";
    json!({"status": {
        "latestRevision": 2_147_483_647,
        "source": {"instanceID": id, "originalState": "sideways", "platform": "\u{1b}[31mred\nlevel=ERROR"},
        "capture": {
            "id": "0123456789abcdef", "revision": 1, "attempts": 2_147_483_647, "disruptions": 2_147_483_647,
            "restartRecord": "v1 i=nobody c=\nERROR forged", "stopRequestedTime": far, "imageRequestedTime": far,
            "message": "\u{1b}[2J\u{202e}gpj.exe", "reason": "StopTimedOut",
        },
        "announced": [
            {"region": HOME, "number": 9_223_372_036_854_775_807_i64, "step": "FormatDisk", "time": far, "outcome": {"result": "Denied", "code": ":"}},
            {"region": "xx-nowhere-1", "number": 0, "step": "", "time": far},
        ],
        "regions": [{
            "region": "xx-nowhere-1", "architecture": "?", "role": "Home", "state": "Available", "attempts": 0,
            "imageID": "ami-0123456789abcdef0", "nextAttemptTime": far,
        }],
        "conditions": [{
            "type": "Forged", "status": "True", "reason": "Forged", "message": "\r\n", "lastTransitionTime": far,
        }],
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_object_is_told_about_and_the_others_become_ready() {
    let lab = Lab::quick("hostile").await.unwrap().hostile();
    let bad = lab.machine("bad");
    let good: Vec<(String, String)> =
        (0..3).map(|n| format!("good-{n}")).map(|name| (lab.machine(&name), name)).collect();
    let key = saved_template_api::names::debt_key("lab");
    for (key, value) in [
        (key.as_str(), "v1 nonsense\nlevel=ERROR \u{202e}"),
        ("team", "x\nlevel=ERROR msg=\"forged\" <b>&amp;"),
    ] {
        user(&lab, "CreateTags", &[("ResourceId.1", &bad), ("Tag.1.Key", key), ("Tag.1.Value", value)]);
    }
    lab.apply(&template("bad", "bad")).await.unwrap();
    let poison = json!({"metadata": {"finalizers": ["savedtemplate.dev/cleanup"]}});
    lab.api().patch("bad", &PatchParams::default(), &Patch::Merge(&poison)).await.unwrap();
    lab.api().patch_status("bad", &PatchParams::default(), &Patch::Merge(&nonsense(&bad))).await.unwrap();
    let mut controller = lab.controller().unwrap();
    let pid = controller.pid();
    for (_, name) in &good {
        lab.apply(&template(name, name)).await.unwrap();
    }
    for (id, name) in &good {
        lab.ready(name).await.unwrap();
        assert_eq!(state(&lab, id), InstanceState::Running, "{}", lab.evidence());
        assert!(!owes(&lab, id), "{}", lab.evidence());
    }
    let told = lab
        .until("bad", Duration::from_secs(60), "told about", |object| {
            let current = object.status.as_ref().and_then(|status| status.observed_generation);
            current == object.metadata.generation && is(object, "Ready", "False", None)
        })
        .await
        .unwrap();
    let steers = saved_template_api::text::steers;
    let status = told.status.unwrap();
    assert!(status.conditions.iter().all(|condition| !condition.message.contains(steers)), "{status:#?}");
    assert!(status.conditions.iter().all(|condition| condition.type_ != "Forged"), "{status:#?}");
    let stops = lab.changes().into_iter().filter(|entry| entry.action == "StopInstances");
    assert_eq!(stops.filter(|entry| entry.ids.contains(&bad)).count(), 0, "{}", lab.evidence());
    assert_eq!(lab.ec2.sim().place(ACCOUNT, HOME).unwrap().instances[&bad].state, InstanceState::Running);
    let forged = controller
        .output()
        .lines()
        .any(|line| line.starts_with("level=ERROR") || line.contains('\u{1b}') || line.contains('\u{202e}'));
    assert!(!forged, "a tag wrote a line of the log:\n{}", controller.output());
    assert_eq!(controller.pid(), pid);
    assert!(
        controller.process().wait(Duration::from_millis(100)).await.is_err(),
        "it ended:\n{}",
        controller.output()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_ec2_will_not_look_for_is_told_about_and_blinds_no_other() {
    let lab = Lab::quick("unspeakable").await.unwrap();
    let id = lab.machine("other");
    let told = "Value (unspeakable) for parameter Filter is invalid";
    let refuse = Effect::Refuse { code: "InvalidParameterValue".into(), message: told.into(), status: None };
    lab.ec2.add_fault(Fault::new("DescribeInstances", refuse).param("Filter.*.Value.*", "unspeakable"));
    let _controller = lab.controller().unwrap();
    lab.apply(&template("bad", "unspeakable")).await.unwrap();
    lab.apply(&template("good", "other")).await.unwrap();
    lab.ready("good").await.unwrap();
    assert_eq!(state(&lab, &id), InstanceState::Running, "{}", lab.evidence());
    let told = lab
        .until("bad", Duration::from_secs(60), "told about", |object| {
            message(object, ConditionType::Ready).is_ok_and(|text| text.contains(told))
        })
        .await
        .unwrap();
    assert!(is(&told, "Stalled", "True", None) && is(&told, "Validated", "False", Some("RequestRefused")));
    let refused = |lab: &Lab<'_>| lab.ec2.sim().faults().iter().map(|fault| fault.hits).sum::<u32>();
    let (before, sweeps) = (refused(&lab), reads(&lab, "DescribeInstances"));
    lab.apply(&with("good", "other", "  revision: 2\n")).await.unwrap();
    lab.until("good", Duration::from_secs(120), "saved again", |object| {
        object.status.as_ref().and_then(|status| status.latest_revision) == Some(2)
    })
    .await
    .unwrap();
    assert!(reads(&lab, "DescribeInstances") >= sweeps + 5, "the region was swept meanwhile");
    assert_eq!(refused(&lab), before, "a name that was refused costs no call");
}

/// How often EC2 was asked this.
fn reads(lab: &Lab<'_>, action: &str) -> usize {
    lab.ec2.sim().log().iter().filter(|entry| entry.action == action).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_of_the_year_9999_ends_no_sweep_and_the_machine_comes_back() {
    let lab = Lab::quick("hostile-date").await.unwrap().hostile();
    let id = lab.machine("dated");
    let controller = lab.controller().unwrap();
    lab.apply(&template("dated", "dated")).await.unwrap();
    lab.until_ec2(Duration::from_secs(60), "the machine stops", |sim| {
        sim.place(ACCOUNT, HOME).unwrap().instances[&id].state == InstanceState::Stopping
    })
    .await
    .unwrap();
    let far = || Effect::Date { to: "Thu, 30 Dec 9999 22:00:00 GMT".to_owned() };
    lab.ec2.add_fault(Fault::new("DescribeInstances", far()).nth(1));
    lab.ec2.add_fault(Fault::new("DescribeImages", far()).nth(1));
    lab.ready("dated").await.unwrap();
    assert_eq!(state(&lab, &id), InstanceState::Running, "{}", lab.evidence());
    assert!(!owes(&lab, &id), "{}", lab.evidence());
    let sweeps = reads(&lab, "DescribeInstances");
    lab.until_ec2(Duration::from_secs(30), "the sweep goes on", |sim| {
        sim.log().iter().filter(|entry| entry.action == "DescribeInstances").count() > sweeps
    })
    .await
    .unwrap();
    let told = controller.output().lines().filter(|line| line.contains("and is ignored")).count();
    assert_eq!(told, 1, "{}", controller.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn annotating_a_suspended_object_five_times_a_second_costs_ec2_no_probe() {
    let lab = Lab::quick("hostile-annotated").await.unwrap();
    lab.machine("annotated");
    let _controller = lab.controller().unwrap();
    lab.apply(&with("annotated", "annotated", "  suspend: true\n")).await.unwrap();
    lab.until("annotated", Duration::from_secs(60), "suspended", |object| {
        is(object, "Ready", "False", Some("Suspended"))
    })
    .await
    .unwrap();
    let probes = |lab: &Lab<'_>| {
        let sim = lab.ec2.sim();
        sim.log().iter().filter(|entry| entry.action == "CreateImage" && entry.dry_run).count()
    };
    let before = probes(&lab);
    for count in 0..50 {
        let note = json!({"metadata": {"annotations": {"count": count.to_string()}}});
        lab.api().patch("annotated", &PatchParams::default(), &Patch::Merge(note)).await.unwrap();
        let pause = Duration::from_millis(200);
        let _elapsed = tokio::time::timeout(pause, std::future::pending::<()>()).await;
    }
    let more = probes(&lab) - before;
    assert!(more <= 1, "{more} probes in the ten seconds in which 50 annotations came");
}

/// How often EC2 was asked each thing that only an object's question asks.
fn asked(lab: &Lab<'_>) -> [usize; 3] {
    let sim = lab.ec2.sim();
    let count = |action: &str| sim.log().iter().filter(|entry| entry.action == action).count();
    [
        sim.log().iter().filter(|entry| entry.action == "CreateImage" && entry.dry_run).count(),
        // Two attributes.
        count("DescribeInstanceAttribute") / 2,
        count("DescribeInstanceStatus"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_edited_or_created_anew_in_a_loop_costs_one_probe_in_five_seconds_and_is_saved_in_the_end()
 {
    let lab = Lab::quick("hostile-edited").await.unwrap();
    lab.machine("edited");
    let _controller = lab.controller().unwrap();
    let manifest =
        |count: u32, more: &str| with("edited", "edited", &format!("  description: no {count}\n{more}"));
    let suspended = |count| manifest(count, "  suspend: true\n");
    lab.apply(&suspended(0)).await.unwrap();
    let told = |object: &SavedTemplate| is(object, "Ready", "False", Some("Suspended"));
    lab.until("edited", Duration::from_secs(60), "suspended", told).await.unwrap();
    for anew in [false, true] {
        let (before, start) = (asked(&lab), Instant::now());
        for count in 1..=40 {
            if anew {
                lab.api().delete("edited", &DeleteParams::default()).await.unwrap();
            }
            lab.apply(&suspended(count)).await.unwrap();
            let pause = Duration::from_millis(200);
            let _elapsed = tokio::time::timeout(pause, std::future::pending::<()>()).await;
        }
        let most = usize::try_from(start.elapsed().as_secs() / 5 + 1).unwrap();
        for (now, before) in asked(&lab).into_iter().zip(before) {
            let more = now - before;
            assert!(more <= most, "{more} probes where {most} are fair; created anew: {anew}");
            assert!(more >= 1, "it is looked at; created anew: {anew}");
        }
    }
    lab.apply(&manifest(41, "  suspend: false\n")).await.unwrap();
    lab.ready("edited").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_xml_cannot_hold_keeps_no_machine_of_the_region_down() {
    let slow = Config { image: 20_000, ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "illegible", slow).await.unwrap().hostile();
    let (quake, other) = (lab.machine("quake"), lab.machine("other"));
    let scrawl = |id: &str| {
        let tag = [("ResourceId.1", id), ("Tag.1.Key", "note"), ("Tag.1.Value", "\0\u{1b}[31m\u{ffff}")];
        user(&lab, "CreateTags", &tag);
    };
    scrawl(&quake);
    lab.apply(&template("quake", "quake")).await.unwrap();
    let _controller = lab.controller().unwrap();
    lab.until_ec2(Duration::from_secs(60), "an image of quake", |sim| {
        !sim.place(ACCOUNT, HOME).unwrap().images.is_empty()
    })
    .await
    .unwrap();
    scrawl(&images(&lab, HOME)[0].id);
    lab.apply(&template("other", "other")).await.unwrap();
    for (id, name) in [(&quake, "quake"), (&other, "other")] {
        lab.ready(name).await.unwrap();
        assert_eq!(state(&lab, id), InstanceState::Running, "{}", lab.evidence());
        assert!(!owes(&lab, id), "{}", lab.evidence());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s92_who_holds_connections_open_or_speaks_slowly_keeps_neither_livez_from_answering_nor_a_machine_down()
 {
    use std::{
        io::{Read as _, Write as _},
        net::TcpStream,
    };
    let lab = Lab::quick("hostile-idle").await.unwrap();
    let id = lab.machine("idle");
    let controller = lab.controller().unwrap();
    let address = controller.address().await.unwrap();
    // One says a part of a request, and no more.
    let mut slow = TcpStream::connect(&address).unwrap();
    slow.write_all(b"GET /livez HTTP/1.1\r\nhost:").unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(slow.read(&mut [0]).unwrap(), 0, "it is closed");
    let idle: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(&address).unwrap()).collect();
    lab.apply(&template("idle", "idle")).await.unwrap();
    let mut live = TcpStream::connect(&address).unwrap();
    live.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    live.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut reply = String::new();
    live.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    lab.ready("idle").await.unwrap();
    crate::assert_saved_once(&lab, &id, &[HOME]);
    drop(idle);
}
