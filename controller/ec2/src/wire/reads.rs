use std::{
    io::{Read, Write},
    net::TcpListener,
};

use saved_template_core::{
    cloud::{Cloud, Images, Instances, Snapshots},
    ec2_error::ErrorClass,
    world::{ImageState, InstanceState, SnapshotState},
};

use super::*;

const INSTANCE: &str = r"<reservationSet><item><ownerId>123456789012</ownerId><instancesSet><item>
    <instanceId>i-0123456789abcdef0</instanceId><imageId>ami-0123456789abcdef0</imageId>
    <instanceState><code>336</code><name>stopped</name></instanceState>
    <reason>User initiated (2026-11-24 07:46:58 GMT)</reason>
    <stateReason><code>Client.UserInitiatedShutdown</code><message>m</message></stateReason>
    <launchTime>2026-11-24T07:00:00.500Z</launchTime><instanceType>m5.large</instanceType>
    <placement><availabilityZone>us-west-2a</availabilityZone></placement>
    <architecture>x86_64</architecture><rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName>
    <blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-0123456789abcdef0</volumeId>
        <status>attached</status><attachTime>2026-11-24T06:00:00.000Z</attachTime></ebs></item></blockDeviceMapping>
    <tagSet><item><key>Name</key><value>web</value></item></tagSet>
    </item></instancesSet></item></reservationSet>";

#[tokio::test(start_paused = true)]
async fn an_instance_is_read_with_all_that_the_protocol_rests_on() {
    let wire = Wire::new([Answer::ok(INSTANCE)]);
    let found = wire.ec2().instances(Instances::TagKey("savedtemplate.dev/x".into())).await.unwrap();
    let [row] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(row.state, InstanceState::Stopped);
    assert_eq!(row.account.as_str(), "123456789012");
    assert_eq!(row.transition_time.unwrap().to_string(), "2026-11-24T07:46:58Z");
    assert_eq!(row.launch_time.unwrap().to_string(), "2026-11-24T07:00:00Z");
    assert_eq!(row.state_reason.as_deref(), Some("Client.UserInitiatedShutdown"));
    assert!(row.ebs_root && row.attachments[0].attached);
    assert_eq!(row.tags["Name"], "web");
    let sent = &wire.sent()[0];
    assert_eq!(sent["Filter.1.Name"], "tag-key");
    assert_eq!(sent["Filter.1.Value.1"], "savedtemplate.dev/x");
    assert_eq!(sent["MaxResults"], "1000");
    assert_eq!(wire.counted(), ["DescribeInstances ok"]);
}

#[tokio::test(start_paused = true)]
async fn every_page_is_read() {
    let first = INSTANCE.to_owned() + "<nextToken>more</nextToken>";
    let wire = Wire::new([Answer::ok(&first), Answer::ok(INSTANCE)]);
    assert_eq!(wire.ec2().instances(Instances::TagKey("k".into())).await.unwrap().len(), 2);
    assert_eq!(wire.sent()[1]["NextToken"], "more");
}

#[tokio::test(start_paused = true)]
async fn a_list_without_end_is_no_list() {
    let page = INSTANCE.to_owned() + "<nextToken>more</nextToken>";
    let wire = Wire::new([Answer::ok(&page), Answer::ok(&page)]);
    let refusal = wire.ec2().instances(Instances::TagKey("k".into())).await.unwrap_err();
    assert_eq!(refusal.class, ErrorClass::Unknown);
}

#[tokio::test(start_paused = true)]
async fn ids_go_two_hundred_to_a_call_and_none_make_no_call() {
    let wire = Wire::new([Answer::ok(""), Answer::ok("")]);
    let ec2 = wire.ec2();
    assert_eq!(ec2.instances(Instances::Ids(Vec::new())).await, Ok(Vec::new()));
    let ids = (0..201).map(|n| format!("i-{n:08x}").parse().unwrap()).collect();
    assert_eq!(ec2.instances(Instances::Ids(ids)).await, Ok(Vec::new()));
    let values: Vec<usize> = wire.sent().iter().map(|form| fields(form, "Filter.1.Value.").len()).collect();
    assert_eq!(values, [200, 1]);
    assert_eq!(wire.sent()[0]["Filter.1.Name"], "instance-id");
}

#[tokio::test(start_paused = true)]
async fn one_instance_is_named_and_not_searched_for_since_a_search_fails_in_a_disruption_of_a_zone() {
    let gone = Answer::refused(400, "InvalidInstanceID.NotFound", "gone");
    let denied = Answer::refused(403, "UnauthorizedOperation", "no");
    let wire = Wire::new([Answer::ok(INSTANCE), gone, denied]);
    let ec2 = wire.ec2();
    assert_eq!(ec2.instances(Instances::One(instance())).await.unwrap().len(), 1);
    assert_eq!(ec2.instances(Instances::One(instance())).await, Ok(Vec::new()));
    assert_eq!(ec2.instances(Instances::One(instance())).await.unwrap_err().class, ErrorClass::Denied);
    let sent = &wire.sent()[0];
    assert_eq!(sent["InstanceId.1"], instance().as_str());
    assert!(!sent.contains_key("MaxResults") && fields(sent, "Filter").is_empty(), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_star_in_a_name_is_a_star() {
    let wire = Wire::new([Answer::ok("")]);
    wire.ec2().instances(Instances::Names(vec!["we*b?\\".into()])).await.unwrap();
    assert_eq!(wire.sent()[0]["Filter.1.Value.1"], r"we\*b\?\\");
}

#[tokio::test(start_paused = true)]
async fn images_and_snapshots_of_many_tag_values_go_two_hundred_to_a_call() {
    let wire = Wire::new((0..4).map(|_| Answer::ok("")));
    let ec2 = wire.ec2();
    let values: Vec<String> = (0..201).map(|n| format!("v{n}")).collect();
    assert_eq!(ec2.images(Images::Tag("k".into(), values.clone())).await, Ok(Vec::new()));
    assert_eq!(ec2.snapshots(Snapshots::Tag("k".into(), values)).await, Ok(Vec::new()));
    assert_eq!(ec2.images(Images::Tag("k".into(), Vec::new())).await, Ok(Vec::new()));
    let sent = wire.sent();
    let values: Vec<usize> = sent.iter().map(|form| fields(form, "Filter.1.Value.").len()).collect();
    assert_eq!(values, [200, 1, 200, 1]);
    assert!(sent.iter().all(|form| form["Filter.1.Name"] == "tag:k"));
}

#[tokio::test(start_paused = true)]
async fn an_image_that_must_have_all_of_some_tags_is_asked_for_in_one_call() {
    let wire = Wire::new([Answer::ok("")]);
    let ec2 = wire.ec2();
    let pairs = vec![("name".to_owned(), "we*b".to_owned()), ("revision".to_owned(), "3".to_owned())];
    assert_eq!(ec2.images(Images::Tags(pairs)).await, Ok(Vec::new()));
    assert_eq!(ec2.images(Images::Tags(Vec::new())).await, Ok(Vec::new()));
    let expected = [
        ("Filter.1.Name", "tag:name"),
        ("Filter.1.Value.1", r"we\*b"),
        ("Filter.2.Name", "tag:revision"),
        ("Filter.2.Value.1", "3"),
    ];
    assert_eq!(wire.sent().len(), 1);
    assert_eq!(fields(&wire.sent()[0], "Filter."), expected);
}

#[tokio::test(start_paused = true)]
async fn images_that_are_being_made_of_a_machine_are_asked_for_by_its_id() {
    let wire = Wire::new([Answer::ok("")]);
    assert_eq!(wire.ec2().images(Images::PendingOf(instance())).await, Ok(Vec::new()));
    let expected = [
        ("Filter.1.Name", "source-instance-id"),
        ("Filter.1.Value.1", "i-0123456789abcdef0"),
        ("Filter.2.Name", "state"),
        ("Filter.2.Value.1", "pending"),
    ];
    assert_eq!(fields(&wire.sent()[0], "Filter."), expected);
    assert_eq!(wire.sent()[0]["Owner.1"], "self");
}

#[tokio::test(start_paused = true)]
async fn an_image_is_read_among_our_own() {
    let body = r"<imagesSet><item><imageId>ami-0123456789abcdef0</imageId><imageState>failed</imageState>
        <imageOwnerId>123456789012</imageOwnerId><name>web-r1</name><creationDate>2026-11-24T07:50:00.000Z</creationDate>
        <stateReason><code>Client.InstanceTerminated</code><message>rebooted</message></stateReason>
        <sourceInstanceId>i-0123456789abcdef0</sourceInstanceId><sourceImageRegion>us-east-1</sourceImageRegion>
        <blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><snapshotId>snap-0123456789abcdef0</snapshotId>
        </ebs></item></blockDeviceMapping></item></imagesSet>";
    let wire = Wire::new([Answer::ok(body)]);
    let found = wire.ec2().images(Images::Tag("k".into(), vec!["v".into()])).await.unwrap();
    assert_eq!(found[0].state, ImageState::Failed);
    assert_eq!(found[0].state_reason.as_deref(), Some("Client.InstanceTerminated: rebooted"));
    assert_eq!(found[0].source_instance, Some(instance()));
    assert_eq!(found[0].source_region.as_ref().unwrap().as_str(), "us-east-1");
    assert_eq!((found[0].snapshots.len(), found[0].created.is_some()), (1, true));
    let sent = &wire.sent()[0];
    assert_eq!((sent["Owner.1"].as_str(), sent["Filter.1.Name"].as_str()), ("self", "tag:k"));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_read_with_its_point_in_time() {
    let body = r"<snapshotSet><item><snapshotId>snap-0123456789abcdef0</snapshotId>
        <volumeId>vol-0123456789abcdef0</volumeId><status>pending</status><progress>42%</progress>
        <startTime>2026-11-24T07:48:00.999Z</startTime><volumeSize>8</volumeSize></item></snapshotSet>";
    let wire = Wire::new([Answer::ok(body)]);
    let volume = "vol-0123456789abcdef0".parse().unwrap();
    let found = wire.ec2().snapshots(Snapshots::Volumes(vec![volume])).await.unwrap();
    assert_eq!((found[0].state, found[0].progress, found[0].volume_gib), (SnapshotState::Pending, 42, 8));
    assert_eq!(found[0].started.unwrap().to_string(), "2026-11-24T07:48:00Z");
    assert_eq!(wire.sent()[0]["Owner.1"], "self");
}

#[tokio::test(start_paused = true)]
async fn a_read_is_tried_twice() {
    let wire = Wire::new([Answer::Lost, Answer::refused(503, "Unavailable", "busy")]);
    let refusal = wire.ec2().regions().await.unwrap_err();
    assert_eq!((refusal.code.as_str(), refusal.class), ("Unavailable", ErrorClass::Unknown));
    assert_eq!((wire.sent().len(), wire.counted()), (2, vec!["DescribeRegions unknown".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_cannot_be_read_is_unknown() {
    let half = Answer::Reply(200, "<Response><regionInfo><item>".into());
    let refusal = Wire::new([half.clone(), half]).ec2().regions().await.unwrap_err();
    assert_eq!((refusal.code.as_str(), refusal.class), ("", ErrorClass::Unknown));
    let page = Answer::Reply(404, "<html>not here</html>".into());
    assert_eq!(Wire::new([page]).ec2().regions().await.unwrap_err().class, ErrorClass::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_ends() {
    let start = tokio::time::Instant::now();
    let refusal = Wire::new([Answer::Hangs, Answer::Hangs]).ec2().regions().await.unwrap_err();
    assert_eq!(refusal.class, ErrorClass::Unknown);
    assert!(start.elapsed() <= Duration::from_secs(45), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn every_reply_sets_the_clock_of_its_region_for_both_uses() {
    let wire = Wire::new([Answer::refused(403, "UnauthorizedOperation", "no")]);
    wire.date("Tue, 24 Nov 2026 07:46:58 GMT");
    let clients = wire.clients();
    let (reconcile, restart) = (clients.ec2(&region(), Use::Reconcile), clients.ec2(&region(), Use::Restart));
    assert_eq!(restart.now(), None);
    assert_eq!(reconcile.regions().await.unwrap_err().class, ErrorClass::Denied);
    assert_eq!(restart.now().unwrap().to_string(), "2026-11-24T07:46:58Z");
    assert_eq!(clients.ec2(&"us-east-1".parse().unwrap(), Use::Restart).now(), None);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_one_use_leaves_the_other_its_retries() {
    let lost = std::iter::repeat_n(Answer::Lost, 400);
    let wire = Wire::new(lost);
    let clients = wire.clients();
    // Retry quotas are the process's: a region of its own, so that the other tests keep theirs.
    let region = "eu-central-1".parse().unwrap();
    let (reconcile, restart) = (clients.ec2(&region, Use::Reconcile), clients.ec2(&region, Use::Restart));
    loop {
        let before = wire.sent().len();
        reconcile.regions().await.unwrap_err();
        if wire.sent().len() == before + 1 {
            break;
        }
    }
    let before = wire.sent().len();
    restart.regions().await.unwrap_err();
    assert_eq!(wire.sent().len(), before + 2);
}

#[tokio::test]
async fn a_fleet_is_made_without_asking_anybody() {
    let clients = tokio::time::timeout(
        Duration::from_secs(5),
        Clients::connect(Arc::new(|_, _| ()), node, Signing::off("lab")),
    )
    .await
    .unwrap();
    assert_eq!(clients.ec2(&region(), Use::Restart).region(), &region());
}

#[tokio::test]
async fn an_endpoint_on_this_machine_is_reached_without_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let read = stream.read(&mut [0; 8192]).unwrap();
        assert!(read > 0);
        let body = "<DescribeRegionsResponse/>";
        let head = "HTTP/1.1 200 OK\r\ndate: Tue, 24 Nov 2026 07:46:58 GMT\r\nconnection: close";
        write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    });
    let credentials = Credentials::new("123456789012", "secret", None, None, "tests");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build();
    let ec2 =
        Clients::new(config, Arc::new(|_, _| ()), node, Signing::off("lab")).ec2(&region(), Use::Restart);
    assert!(ec2.regions().await.unwrap().is_empty());
    assert!(ec2.now().is_some());
}

#[tokio::test]
async fn what_broke_a_call_is_told_in_words_of_ec2_and_not_of_the_sdk() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let credentials = Credentials::new("123456789012", "secret", None, None, "tests");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(format!("http://{nobody}"))
        .build();
    let away =
        Clients::new(config, Arc::new(|_, _| ()), node, Signing::off("lab")).ec2(&region(), Use::Restart);
    let scripted = |answer| Wire::always(answer).ec2();
    for (ec2, told) in [
        (away, "the connection to EC2 failed: Connection refused"),
        (scripted(Answer::Lost), "the connection to EC2 failed: "),
        (scripted(Answer::Reply(502, "<html>bad gateway</html>".into())), "HTTP status 502"),
        (scripted(Answer::Reply(200, "no XML".into())), "EC2's answer (HTTP status 200) could not be read"),
    ] {
        let refusal = ec2.regions().await.unwrap_err();
        assert_eq!(refusal.class, ErrorClass::Unknown, "{refusal}");
        assert!(refusal.message.contains(told), "{refusal}");
        let jargon = [
            "dispatch failure",
            "service error",
            "unhandled",
            "construction",
            "io error",
            "SdkError",
            "connector",
        ];
        assert!(jargon.iter().all(|word| !refusal.message.contains(word)), "{refusal}");
    }
}
