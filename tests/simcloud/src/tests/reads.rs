use std::collections::BTreeMap;

use ec2sim::{Effect, Fault, PublicAddress, ScheduledEvent};
use saved_template_core::{
    cloud::{Images, Instances, Snapshots},
    ec2_error::ErrorClass,
    world::{Attachment, Image, ImageState, Instance, InstanceState, OptIn, Reservation, SnapshotState},
};

use super::*;

/// The machine of a lab as the simulator has it.
fn expected(one: &ec2sim::Instance) -> Instance {
    Instance {
        id: one.id.parse().unwrap(),
        account: ACCOUNT.parse().unwrap(),
        state: InstanceState::Running,
        state_reason: None,
        transition_time: None,
        launch_time: Some(seconds(one.launch_time)),
        attachments: one
            .devices
            .iter()
            .map(|device| Attachment {
                device: device.name.clone(),
                volume: device.volume.parse().unwrap(),
                attached: true,
                since: Some(seconds(device.attach_time)),
            })
            .collect(),
        root_device: Some("/dev/sda1".into()),
        ebs_root: true,
        lifecycle: None,
        managed: false,
        outpost: false,
        zone: Some("us-west-2a".into()),
        architecture: Some("x86_64".into()),
        platform: Some("Linux/UNIX".into()),
        instance_type: Some("t3.micro".into()),
        image: Some(one.image.parse().unwrap()),
        hibernation: false,
        lent_address: false,
        product_codes: false,
        dedicated_host: false,
        reservation: None,
        placement_group: None,
        tags: one.tags.clone(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_shown_as_it_is_however_it_is_asked_for() {
    let lab = Lab::new();
    lab.user(&Request::new("CreateTags").with("ResourceId.1", lab.id.as_str()).with("Tag.1.Key", "k"));
    let shown = vec![expected(&lab.instance())];
    assert_eq!(shown[0].attachments.len(), 2);
    for which in [
        Instances::One(lab.id.clone()),
        Instances::Ids(vec![lab.id.clone(), "i-00000009".parse().unwrap()]),
        Instances::TagKey("k".into()),
        Instances::Names(vec!["other".into(), "quake".into()]),
    ] {
        assert_eq!(lab.cloud.instances(which.clone()).await, Ok(shown.clone()), "{which:?}");
    }
    for which in [
        Instances::One("i-00000009".parse().unwrap()),
        Instances::Ids(Vec::new()),
        Instances::TagKey("qua*".into()),
        Instances::Names(vec!["quak?".into()]),
    ] {
        assert_eq!(lab.cloud.instances(which.clone()).await, Ok(Vec::new()), "{which:?}");
    }
    assert_eq!(lab.cloud.tagged("k").await, Ok(vec![lab.id.clone()]));
    assert_eq!(lab.cloud.tagged("*").await, Ok(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn what_is_special_about_a_machine_is_shown() {
    let lab = Lab::new();
    let seed = InstanceSeed {
        region: HOME.into(),
        lifecycle: ec2sim::Lifecycle::SpotPersistent,
        root_device_type: "instance-store".into(),
        product_codes: vec!["p".into()],
        public_address: Some(PublicAddress::Auto),
        tenancy: "host".into(),
        placement_group: Some("near".into()),
        reservation: Some("cr-1".into()),
        operator: Some("service".into()),
        disable_api_stop: true,
        shutdown_behavior: "terminate".into(),
        hibernation: true,
        instance_type: "i3.large".into(),
        state: ec2sim::InstanceState::Stopped,
        volumes: vec![VolumeSeed {
            multi_attach: true,
            kms_key: Some("arn:k".into()),
            operator: Some("service".into()),
            ..VolumeSeed::default()
        }],
        events: ["[Completed] reboot", "retirement"]
            .map(|description| ScheduledEvent {
                code: "instance-retirement".into(),
                description: description.into(),
                not_before: START,
                not_after: None,
            })
            .into(),
        ..InstanceSeed::default()
    };
    let targeted = InstanceSeed {
        region: HOME.into(),
        public_address: Some(PublicAddress::Elastic),
        reservation_target: Some("cr-2".into()),
        reservation: Some("cr-2".into()),
        ..InstanceSeed::default()
    };
    let now = lab.endpoint.now();
    let id: InstanceId = lab.endpoint.sim().seed(now, seed).parse().unwrap();
    let other: InstanceId = lab.endpoint.sim().seed(now, targeted).parse().unwrap();
    let found = lab.cloud.instances(Instances::One(id.clone())).await.unwrap();
    let one = &found[0];
    assert_eq!((one.state, one.lifecycle.as_deref()), (InstanceState::Stopped, Some("spot")));
    assert_eq!(one.state_reason.as_deref(), Some("Client.UserInitiatedShutdown"));
    assert_eq!(one.transition_time, Some(seconds(START - 59_000)));
    assert!(one.managed && one.hibernation && one.product_codes && one.dedicated_host && !one.ebs_root);
    assert_eq!((one.placement_group.as_deref(), one.reservation), (Some("near"), None), "it does not run");
    let found = lab.cloud.instances(Instances::One(other.clone())).await.unwrap();
    assert_eq!((found[0].reservation, found[0].lent_address), (Some(Reservation::Targeted), false));
    assert_eq!(lab.cloud.stop_protected(&id).await, Ok(true));
    assert_eq!(lab.cloud.stop_protected(&other).await, Ok(false));
    assert_eq!(lab.cloud.shutdown_terminates(&id).await, Ok(true));
    assert_eq!(lab.cloud.shutdown_terminates(&other).await, Ok(false));
    assert_eq!(lab.cloud.scheduled_events(&id).await, Ok(vec!["instance-retirement".to_owned()]));
    assert_eq!(lab.cloud.scheduled_events(&other).await, Ok(Vec::new()));
    assert_eq!(lab.cloud.instance_store("i3.large").await, Ok(true));
    assert_eq!(lab.cloud.instance_store("t3.micro").await, Ok(false));
    assert_eq!(lab.cloud.instance_store("x9.tiny").await.unwrap_err().class, ErrorClass::Caller);
    let volumes = lab.cloud.volumes(&[one.attachments[0].volume.clone()]).await.unwrap();
    assert!(volumes[0].multi_attach && volumes[0].managed);
    assert_eq!((volumes[0].kind.as_str(), volumes[0].key.as_deref()), ("io2", Some("arn:k")));
    let gone = "i-00000009".parse().unwrap();
    assert_eq!(lab.cloud.stop_protected(&gone).await.unwrap_err().class, ErrorClass::NotFound);
    assert_eq!(lab.cloud.scheduled_events(&gone).await.unwrap_err().class, ErrorClass::NotFound);
}

/// The images that are shown, as the simulator has them.
fn images(place: &Place) -> Vec<Image> {
    let of = |one: &ec2sim::Image| Image {
        id: one.id.parse().unwrap(),
        owner: Some(ACCOUNT.parse().unwrap()),
        name: one.name.clone(),
        description: one.description.clone(),
        state: match one.state {
            ec2sim::ImageState::Pending => ImageState::Pending,
            ec2sim::ImageState::Available => ImageState::Available,
            ec2sim::ImageState::Disabled => ImageState::Disabled,
            ec2sim::ImageState::Failed => ImageState::Failed,
            ec2sim::ImageState::Deregistered => ImageState::Deregistered,
        },
        state_reason: one.reason.as_ref().map(|reason| reason.message.clone()),
        created: Some(seconds(one.created_at)),
        architecture: Some("x86_64".into()),
        source_instance: one.instance.as_ref().map(|id| id.parse().unwrap()),
        source_image: one.source().map(|source| source.image.parse().unwrap()),
        source_region: one.source().map(|source| region(&source.region)),
        snapshots: one
            .mappings
            .iter()
            .filter(|_| one.state != ec2sim::ImageState::Pending)
            .filter_map(|mapping| Some(mapping.snapshot.as_ref()?.parse().unwrap()))
            .collect(),
        tags: one.tags.clone(),
    };
    place.images.values().map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn an_image_and_its_snapshots_are_shown_in_each_state() {
    let lab = Lab::of(Config { deregistered_shown: 60_000, ..Config::default() });
    let tagged = || Images::Tag("a".into(), vec!["0".into(), "1".into()]);
    let id = lab.cloud.create_image(&lab.image(), fresh(&lab.cloud)).await.unwrap();
    let mut states = Vec::new();
    for stage in ["pending", "available", "disabled", "deregistered"] {
        match stage {
            "available" => lab.pass(600).await,
            "disabled" => lab.user(&Request::new("DisableImage").with("ImageId", id.as_str())),
            "deregistered" => lab.user(&Request::new("DeregisterImage").with("ImageId", id.as_str())),
            _ => lab.pass(60).await,
        }
        let shown = lab.cloud.images(tagged()).await.unwrap();
        assert_eq!(shown, images(&lab.place(HOME)), "{stage}");
        states.push(shown[0].state);
        for which in [
            Images::Ids(vec![id.clone()]),
            Images::Names(vec!["quake-r1".into()]),
            Images::Tags(vec![("a".into(), "1".into()), ("b".into(), "2".into())]),
        ] {
            assert_eq!(lab.cloud.images(which.clone()).await.unwrap(), shown, "{which:?}");
        }
        let pending = lab.cloud.images(Images::PendingOf(lab.id.clone())).await.unwrap();
        assert_eq!(pending.len(), usize::from(stage == "pending"));
        let volumes = lab.instance().devices.iter().map(|device| device.volume.parse().unwrap()).collect();
        let snapshots = lab.cloud.snapshots(Snapshots::Volumes(volumes)).await.unwrap();
        let place = lab.place(HOME);
        for (shown, one) in snapshots.iter().zip(place.snapshots.values()) {
            assert_eq!((shown.id.as_str(), shown.volume.as_str()), (one.id.as_str(), one.volume.as_str()));
            assert_eq!(
                (shown.started, shown.volume_gib),
                (Some(seconds(one.start_time)), i64::from(one.gib))
            );
            assert_eq!((&shown.description, &shown.tags), (&one.description, &one.tags));
            let is_done = shown.state == SnapshotState::Completed && shown.progress == 100;
            let is_pending = shown.state == SnapshotState::Pending && (1..100).contains(&shown.progress);
            assert!(if stage == "pending" { is_pending } else { is_done }, "{stage}: {shown:?}");
        }
        assert_eq!(snapshots.len(), 2);
        let by_tag = lab.cloud.snapshots(Snapshots::Tag("c".into(), vec!["3".into()])).await;
        assert_eq!(by_tag, Ok(snapshots));
    }
    let all = [ImageState::Pending, ImageState::Available, ImageState::Disabled, ImageState::Deregistered];
    assert_eq!(states, all);
    lab.pass(60).await;
    assert_eq!(lab.cloud.images(tagged()).await, Ok(Vec::new()));
    assert_eq!(lab.cloud.images(Images::Tags(Vec::new())).await, Ok(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_failed_image_says_why() {
    let lab = Lab::new();
    let effect = Effect::FailSnapshots { device: None, message: "no key".into(), after_ms: Some(10_000) };
    lab.endpoint.sim().add_fault(Fault::new("CreateImage", effect));
    lab.cloud.create_image(&lab.image(), fresh(&lab.cloud)).await.unwrap();
    lab.pass(600).await;
    let shown = lab.cloud.images(Images::Names(vec!["quake-r1".into()])).await.unwrap();
    assert_eq!(shown, images(&lab.place(HOME)));
    assert!(shown[0].state == ImageState::Failed && shown[0].state_reason.is_some());
    let snapshots = lab.cloud.snapshots(Snapshots::Tag("c".into(), vec!["3".into()])).await.unwrap();
    assert!(snapshots.iter().all(|one| (one.state, one.progress) == (SnapshotState::Error, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_list_is_whole_however_short_its_pages_are() {
    let lab = Lab::of(Config { page: 2, ..Config::default() });
    let now = lab.endpoint.now();
    for _ in 0..6 {
        lab.endpoint.sim().seed(
            now,
            InstanceSeed { region: HOME.into(), name: Some("quake".into()), ..InstanceSeed::default() },
        );
    }
    let named = || Instances::Names(vec!["quake".into()]);
    assert_eq!(lab.cloud.instances(named()).await.unwrap().len(), 7);
    assert_eq!(lab.count("DescribeInstances"), 4);
    assert_eq!(lab.cloud.tagged("Name").await.unwrap().len(), 7);
    lab.endpoint.sim().add_fault(Fault::new("Describe*", Effect::EmptyPage).times(1));
    assert_eq!(lab.cloud.instances(named()).await.unwrap().len(), 7);
    assert_eq!(lab.count("DescribeInstances"), 4 + 5);
}

#[tokio::test(start_paused = true)]
async fn regions_are_told_apart_by_whether_they_may_be_used() {
    let lab = Lab::new();
    let regions: BTreeMap<_, _> = lab.cloud.regions().await.unwrap();
    assert_eq!((regions.len(), regions[&region(AWAY)]), (9, OptIn::Enabled));
    assert_eq!(
        (regions[&region("me-south-1")], regions[&region("af-south-1")]),
        (OptIn::Enabled, OptIn::NotOptedIn)
    );
    let away = lab.clients.cloud(&region("af-south-1"));
    assert_eq!(away.regions().await.unwrap_err().class, ErrorClass::Denied);
}

#[tokio::test(start_paused = true)]
async fn what_an_answer_garbles_is_unknown_or_left_out() {
    let lab = Lab::new();
    let rewrite =
        |element: &str, to: &str| Effect::Rewrite { element: element.into(), from: None, to: to.into() };
    let read = || lab.cloud.instances(Instances::One(lab.id.clone()));
    for (effect, expected) in [
        (rewrite("volumeId", "what"), Ok(0)),
        (rewrite("instanceId", "what"), Ok(0)),
        (rewrite("launchTime", "yesterday"), Err(ErrorClass::Unknown)),
        (rewrite("managed", "perhaps"), Err(ErrorClass::Unknown)),
        (rewrite("architecture", "&lt;new&gt;"), Ok(1)),
        (Effect::Omit { element: "launchTime".into() }, Ok(1)),
        (Effect::ShuffleTags, Ok(1)),
    ] {
        lab.endpoint.sim().add_fault(Fault::new("DescribeInstances", effect.clone()));
        let found = read().await.map(|found| found.len()).map_err(|refusal| refusal.class);
        assert_eq!(found, expected, "{effect:?}");
        lab.endpoint.sim().clear_faults();
    }
    lab.endpoint.sim().add_fault(Fault::new("DescribeInstances", rewrite("name", "dreaming")));
    assert_eq!(read().await.unwrap()[0].state, InstanceState::Unknown);
}

#[tokio::test(start_paused = true)]
async fn reads_lag_where_the_simulators_do() {
    let lab = Lab::of(Config { replicas: vec![30_000], ..Config::default() });
    drop(lab.cloud.regions().await);
    lab.cloud.tag(&lab.id, tags(&[("k", "v")]), fresh(&lab.cloud)).await.unwrap();
    assert_eq!(lab.cloud.tagged("k").await, Ok(Vec::new()));
    lab.pass(31).await;
    assert_eq!(lab.cloud.tagged("k").await, Ok(vec![lab.id.clone()]));
}
