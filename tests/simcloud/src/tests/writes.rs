use ec2sim::{Grant, Policy, StartFault};
use saved_template_api::names::debt_key;
use saved_template_core::{
    cloud::{DryRun, Instances},
    ec2_error::{Ec2Error, ErrorClass},
    world::InstanceState,
};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_machine_goes_through_its_states_as_tokios_time_passes() {
    let lab = Lab::new();
    let stop = async |force| lab.cloud.stop(&lab.id, force, fresh(&lab.cloud)).await;
    let start = async || lab.cloud.start(&lab.id, fresh(&lab.cloud)).await;
    assert_eq!(stop(false).await, Ok(InstanceState::Running));
    assert_eq!(stop(true).await, Ok(InstanceState::Stopping));
    assert_eq!(start().await.unwrap_err().class, ErrorClass::Wait);
    lab.pass(40).await;
    assert_eq!(stop(false).await, Ok(InstanceState::Stopped));
    let shown = lab.cloud.instances(Instances::One(lab.id.clone())).await.unwrap();
    assert_eq!(shown[0].transition_time, Some(seconds(START)));
    assert_eq!(start().await, Ok(InstanceState::Stopped));
    assert_eq!(start().await, Ok(InstanceState::Pending));
    assert_eq!(stop(false).await.unwrap_err().class, ErrorClass::Wait);
    lab.pass(20).await;
    assert_eq!(start().await, Ok(InstanceState::Running));
    assert_eq!(lab.instance().launch_time, START + 40_000);
    assert_eq!(lab.instance().history[1].cause, "savedtemplate");
    let forced: Vec<bool> =
        lab.endpoint.sim().log().iter().map(|row| row.params.contains_key("Force")).collect();
    assert_eq!(forced.iter().filter(|forced| **forced).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_tag_is_put_on_and_taken_off_by_its_exact_value() {
    let lab = Lab::new();
    let on = |key: &str| lab.instance().tags.get(key).cloned();
    lab.cloud.tag(&lab.id, tags(&[("k", "v"), ("l", "w")]), fresh(&lab.cloud)).await.unwrap();
    assert_eq!((on("k").as_deref(), on("l").as_deref()), (Some("v"), Some("w")));
    lab.cloud.untag(&lab.id, "k", "another", fresh(&lab.cloud)).await.unwrap();
    assert_eq!(on("k").as_deref(), Some("v"));
    lab.cloud.untag(&lab.id, "k", "v", fresh(&lab.cloud)).await.unwrap();
    assert_eq!((on("k"), on("l").as_deref()), (None, Some("w")));
    let gone = "i-00000009".parse().unwrap();
    let refusal = lab.cloud.tag(&gone, tags(&[("k", "v")]), fresh(&lab.cloud)).await.unwrap_err();
    assert_eq!(refusal.class, ErrorClass::NotFound);
    let many: Tags = (0..51).map(|n| (format!("k{n}"), String::new())).collect();
    let refusal = lab.cloud.tag(&lab.id, many, fresh(&lab.cloud)).await.unwrap_err();
    assert_eq!((refusal.class, refusal.code.as_str()), (ErrorClass::Caller, "TagLimitExceeded"));
}

#[tokio::test(start_paused = true)]
async fn a_record_is_signed_on_its_way_and_read_and_removed_as_it_was_written() {
    let lab = Lab::new();
    let key = debt_key("lab");
    let record = format!(
        "v1 i={} c=0123456789abcdef o=0a1b2c3d t=1764000000 s=1764000060 m=1764000780 d=1764001800 w=snapshots n=1",
        lab.id
    );
    let signing = Signing::with_keys("lab", "0123456789abcdef0123456789abcdef", true).unwrap();
    let clients = Clients::new(&lab.endpoint, Caller::default(), signing.clone());
    let cloud = clients.cloud(&region(HOME));
    let written = signing.write(&region(HOME), &record);
    cloud.tag(&lab.id, tags(&[(&key, &record)]), fresh(&cloud)).await.unwrap();
    assert_eq!(lab.instance().tags[&key], written);
    assert_eq!(cloud.instances(Instances::One(lab.id.clone())).await.unwrap()[0].tags[&key], record);
    cloud.untag(&lab.id, &key, &record, fresh(&cloud)).await.unwrap();
    assert!(!lab.instance().tags.contains_key(&key));
}

#[tokio::test(start_paused = true)]
async fn an_image_is_made_once_copied_once_for_a_token_and_taken_away() {
    let lab = Lab::new();
    let mut request = lab.image();
    request.excluded_devices.push("/dev/sdf".into());
    let id = lab.cloud.create_image(&request, fresh(&lab.cloud)).await.unwrap();
    let image = lab.place(HOME).images[id.as_str()].clone();
    assert_eq!((&image.tags, &image.snapshot_tags), (&request.image_tags, &request.snapshot_tags));
    assert_eq!((image.mappings.len(), image.no_reboot, image.description.as_str()), (1, true, "saved"));
    let again = lab.cloud.create_image(&request, fresh(&lab.cloud)).await.unwrap_err();
    assert_eq!(again.class, ErrorClass::NameTaken);

    let away = lab.clients.cloud(&region(AWAY));
    let copy = copy_of(&id);
    assert_eq!(
        away.copy_image(&copy, fresh(&away)).await.unwrap_err().class,
        ErrorClass::Wait,
        "it is pending"
    );
    lab.pass(600).await;
    let copied = away.copy_image(&copy, fresh(&away)).await.unwrap();
    assert_eq!(away.copy_image(&copy, fresh(&away)).await, Ok(copied.clone()), "the same token");
    let other = CopyRequest { name: "other".into(), ..copy.clone() };
    assert_eq!(away.copy_image(&other, fresh(&away)).await.unwrap_err().class, ErrorClass::TokenUsed);
    let other = CopyRequest { token: "other".into(), ..copy };
    assert_eq!(away.copy_image(&other, fresh(&away)).await.unwrap_err().class, ErrorClass::NameTaken);
    assert_eq!(lab.place(AWAY).images[copied.as_str()].tags, tags(&[("a", "1")]));

    let snapshot = lab.place(HOME).snapshots.keys().next().unwrap().clone();
    let both = [id.to_string(), snapshot.clone()];
    lab.cloud.tag_resources(&both, tags(&[("d", "4")]), fresh(&lab.cloud)).await.unwrap();
    assert_eq!(lab.place(HOME).snapshots[&snapshot].tags, tags(&[("c", "3"), ("d", "4")]));
    let keys = ["d".to_owned(), "a".to_owned()];
    lab.cloud.untag_resources(&both, &keys, fresh(&lab.cloud)).await.unwrap();
    assert_eq!(lab.place(HOME).images[id.as_str()].tags, tags(&[("b", "2")]));
    let none = lab.cloud.untag_resources(&both, &[], fresh(&lab.cloud)).await.unwrap_err();
    assert_eq!((none.class, none.code.as_str()), (ErrorClass::Caller, "MissingParameter"));
    lab.cloud.set_description(&id, "", fresh(&lab.cloud)).await.unwrap();
    assert_eq!(lab.place(HOME).images[id.as_str()].description, "");

    let used = lab.cloud.delete_snapshot(&snapshot.parse().unwrap(), fresh(&lab.cloud)).await.unwrap_err();
    assert_eq!((used.class, used.code.as_str()), (ErrorClass::Caller, "InvalidSnapshot.InUse"));
    let lock = Request::new("LockSnapshot").with("SnapshotId", &snapshot).with("LockMode", "governance");
    lab.user(&lock.with("LockDuration", "1"));
    let kept = lab.cloud.deregister(&id, fresh(&lab.cloud)).await;
    assert_eq!(kept, Ok(vec![(snapshot.parse().unwrap(), "client-error".to_owned())]));
    lab.user(&Request::new("UnlockSnapshot").with("SnapshotId", &snapshot));
    lab.pass(60).await;
    assert_eq!(lab.cloud.delete_snapshot(&snapshot.parse().unwrap(), fresh(&lab.cloud)).await, Ok(()));
    assert_eq!(lab.place(HOME).snapshots.len(), 0);
    let gone = lab.cloud.delete_snapshot(&snapshot.parse().unwrap(), fresh(&lab.cloud)).await.unwrap_err();
    assert_eq!(gone.class, ErrorClass::NotFound);
    assert_eq!(away.deregister(&copied, fresh(&away)).await, Ok(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_has_the_class_that_core_gives_its_code() {
    let policy = r#"{"Statement": [{"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}]}"#;
    let grants = vec![Grant::to("AKIDWEAK", vec![Policy::parse(policy).unwrap()])];
    let lab = Lab::of(Config { grants, ..Config::default() });
    let weak = Caller { access_key: "AKIDWEAK".into(), ..Caller::default() };
    let weak = Clients::new(&lab.endpoint, weak, Signing::off("lab")).cloud(&region(HOME));
    assert_eq!(weak.instances(Instances::One(lab.id.clone())).await.unwrap().len(), 1);
    let refusal = weak.stop(&lab.id, false, fresh(&weak)).await.unwrap_err();
    assert_eq!((refusal.class, refusal.operation), (ErrorClass::Denied, "StopInstances"));
    assert!(!refusal.message.contains("Encoded") && refusal.message.contains("AKIDWEAK"), "{refusal}");
    assert_eq!(weak.dry_run(DryRun::Stop(lab.id.clone())).await.unwrap_err().class, ErrorClass::Denied);

    let protect = Request::new("ModifyInstanceAttribute").with("InstanceId", lab.id.as_str());
    lab.user(&protect.clone().with("DisableApiStop.Value", "true"));
    let refusal = lab.cloud.stop(&lab.id, false, fresh(&lab.cloud)).await.unwrap_err();
    assert_eq!((refusal.class, refusal.code.as_str()), (ErrorClass::Caller, "OperationNotPermitted"));
    lab.user(&protect.with("DisableApiStop.Value", "false"));
    for call in [
        DryRun::Stop(lab.id.clone()),
        DryRun::Start(lab.id.clone()),
        DryRun::CreateImage(Box::new(lab.image())),
    ] {
        assert_eq!(lab.cloud.dry_run(call).await, Ok(()));
    }
    assert_eq!(lab.instance().state, ec2sim::InstanceState::Running);

    lab.cloud.stop(&lab.id, false, fresh(&lab.cloud)).await.unwrap();
    lab.pass(40).await;
    let fault = StartFault::NoCapacity { times: 2 };
    lab.endpoint.sim().fault_starts(ACCOUNT, HOME, lab.id.as_str(), fault);
    let refusal = lab.cloud.start(&lab.id, fresh(&lab.cloud)).await.unwrap_err();
    assert_eq!(
        (refusal.class, lab.count("StartInstances")),
        (ErrorClass::Capacity, 3),
        "a dry run, and two tries"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_late_by_either_clock_is_sent() {
    let lab = Lab::new();
    lab.cloud.regions().await.unwrap();
    let id = lab.cloud.create_image(&lab.image(), fresh(&lab.cloud)).await.unwrap();
    let snapshot = "snap-00000001".parse().unwrap();
    lab.pass(60).await;
    let calls = lab.endpoint.sim().log().len();
    let now = fresh(&lab.cloud);
    let by_ec2 = Announced { at: now.at - Duration::from_secs(21), ..now };
    let by_us = Announced { instant: now.instant.checked_sub(Duration::from_secs(21)).unwrap(), ..now };
    let late = |operation| Some(Ec2Error::late(operation));
    let these = [id.to_string()];
    let keys = ["k".to_owned()];
    for then in [by_ec2, by_us] {
        let (cloud, one) = (&lab.cloud, &lab.id);
        assert_eq!(cloud.stop(one, false, then).await.err(), late("StopInstances"));
        assert_eq!(cloud.start(one, then).await.err(), late("StartInstances"));
        assert_eq!(cloud.tag(one, tags(&[("k", "v")]), then).await.err(), late("CreateTags"));
        assert_eq!(cloud.untag(one, "k", "v", then).await.err(), late("DeleteTags"));
        assert_eq!(cloud.create_image(&lab.image(), then).await.err(), late("CreateImage"));
        assert_eq!(cloud.copy_image(&copy_of(&id), then).await.err(), late("CopyImage"));
        assert_eq!(cloud.tag_resources(&these, tags(&[("k", "v")]), then).await.err(), late("CreateTags"));
        assert_eq!(cloud.untag_resources(&these, &keys, then).await.err(), late("DeleteTags"));
        assert_eq!(cloud.set_description(&id, "x", then).await.err(), late("ModifyImageAttribute"));
        assert_eq!(cloud.deregister(&id, then).await.err(), late("DeregisterImage"));
        assert_eq!(cloud.delete_snapshot(&snapshot, then).await.err(), late("DeleteSnapshot"));
    }
    assert_eq!(lab.endpoint.sim().log().len(), calls);
    let just = Announced {
        at: now.at - Duration::from_secs(20),
        instant: now.instant.checked_sub(Duration::from_secs(20)).unwrap(),
    };
    assert_eq!(lab.cloud.stop(&lab.id, false, just).await, Ok(InstanceState::Running));
}
