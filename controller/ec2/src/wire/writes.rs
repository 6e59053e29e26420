use saved_template_api::names;
use saved_template_core::{
    cloud::{Cloud, DryRun, Instances},
    ec2_error::{Ec2Error, ErrorClass},
    step::{CopyRequest, ImageRequest},
    world::InstanceState,
};

use super::*;

const STOPPING: &str = "<instancesSet><item><instanceId>i-0123456789abcdef0</instanceId>
    <previousState><code>16</code><name>running</name></previousState></item></instancesSet>";
const IMAGE: &str = "<imageId>ami-0123456789abcdef0</imageId>";
const DONE: &str = "<return>true</return>";

fn image_request() -> ImageRequest {
    ImageRequest {
        instance: instance(),
        name: "web-r1".into(),
        description: String::new(),
        image_tags: tags(&[("a", "1"), ("b", "2")]),
        snapshot_tags: tags(&[("c", "3")]),
        reboot: false,
        excluded_devices: Vec::new(),
    }
}

fn copy_request() -> CopyRequest {
    CopyRequest {
        source: "ami-0123456789abcdef0".parse().unwrap(),
        source_region: "us-east-1".parse().unwrap(),
        name: "web-r1".into(),
        description: "saved".into(),
        image_tags: tags(&[("a", "1")]),
        snapshot_tags: tags(&[("c", "3")]),
        token: "token".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_is_asked_for_without_a_reboot_and_with_both_sets_of_tags() {
    let wire = Wire::new([Answer::ok(IMAGE)]);
    let image = wire.ec2().create_image(&image_request(), announced(0)).await.unwrap();
    assert_eq!(image.as_str(), "ami-0123456789abcdef0");
    let sent = &wire.sent()[0];
    assert_eq!((sent["NoReboot"].as_str(), sent["Name"].as_str()), ("true", "web-r1"));
    assert_eq!(sent["InstanceId"], "i-0123456789abcdef0");
    assert!(!sent.contains_key("Description"));
    assert_eq!(fields(sent, "BlockDeviceMapping"), []);
    let expected = [
        ("TagSpecification.1.ResourceType", "image"),
        ("TagSpecification.1.Tag.1.Key", "a"),
        ("TagSpecification.1.Tag.1.Value", "1"),
        ("TagSpecification.1.Tag.2.Key", "b"),
        ("TagSpecification.1.Tag.2.Value", "2"),
        ("TagSpecification.2.ResourceType", "snapshot"),
        ("TagSpecification.2.Tag.1.Key", "c"),
        ("TagSpecification.2.Tag.1.Value", "3"),
    ];
    assert_eq!(fields(sent, "TagSpecification"), expected);
}

#[tokio::test(start_paused = true)]
async fn an_image_may_reboot_the_machine_and_leave_devices_out() {
    let wire = Wire::new([Answer::ok(IMAGE)]);
    let devices = vec!["/dev/sdf".to_owned(), "/dev/sdg".to_owned()];
    let request = ImageRequest { reboot: true, excluded_devices: devices, ..image_request() };
    wire.ec2().create_image(&request, announced(0)).await.unwrap();
    let sent = &wire.sent()[0];
    assert_eq!(sent["NoReboot"], "false");
    let expected = [
        ("BlockDeviceMapping.1.DeviceName", "/dev/sdf"),
        ("BlockDeviceMapping.1.NoDevice", ""),
        ("BlockDeviceMapping.2.DeviceName", "/dev/sdg"),
        ("BlockDeviceMapping.2.NoDevice", ""),
    ];
    assert_eq!(fields(sent, "BlockDeviceMapping"), expected);
}

#[tokio::test(start_paused = true)]
async fn a_copy_carries_its_token() {
    let wire = Wire::new([Answer::ok(IMAGE)]);
    wire.ec2().copy_image(&copy_request(), announced(0)).await.unwrap();
    let sent = &wire.sent()[0];
    assert_eq!((sent["ClientToken"].as_str(), sent["SourceRegion"].as_str()), ("token", "us-east-1"));
    assert_eq!(
        (sent["SourceImageId"].as_str(), sent["Description"].as_str()),
        ("ami-0123456789abcdef0", "saved")
    );
    assert_eq!(fields(sent, "TagSpecification").len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_record_is_removed_by_key_and_value() {
    let wire = Wire::new([Answer::ok(DONE)]);
    wire.ec2().untag(&instance(), "key", "v1 i=x", announced(0)).await.unwrap();
    let sent = &wire.sent()[0];
    assert_eq!(fields(sent, "Tag."), [("Tag.1.Key", "key"), ("Tag.1.Value", "v1 i=x")]);
    assert_eq!(sent["ResourceId.1"], "i-0123456789abcdef0");
}

#[tokio::test(start_paused = true)]
async fn a_record_is_written_with_a_signature_read_without_it_and_removed_with_it() {
    let key = names::debt_key("lab");
    let record = "v1 i=i-0123456789abcdef0 c=0123456789abcdef o=0a1b2c3d t=1764000000 s=1764000060 m=1764000780 d=1764001800 \
                  w=snapshots n=1";
    let (new, old) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    let signing = |keys: &str| Signing::with_keys("lab", keys, true).unwrap();
    let shown = |value: &str| {
        format!(
            "<reservationSet><item><ownerId>123456789012</ownerId><instancesSet><item>
            <instanceId>i-0123456789abcdef0</instanceId><instanceState><name>stopped</name></instanceState>
            <tagSet><item><key>{key}</key><value>{value}</value></item></tagSet></item></instancesSet></item></reservationSet>"
        )
    };
    let by_old = signing(old).write(&region(), record);
    let done = || Answer::ok(DONE);
    let script = [done(), done(), Answer::ok(&shown(&by_old)), done(), Answer::ok(&shown(record)), done()];
    let wire = Wire::new(script);
    let clients = wire.signing(signing(&format!("{new}\n{old}")));
    let (restart, reconcile) = (clients.ec2(&region(), Use::Restart), clients.ec2(&region(), Use::Reconcile));
    let value = |number: usize| wire.sent()[number]["Tag.1.Value"].clone();
    let read = async || {
        let found = restart.instances(Instances::One(instance())).await.unwrap();
        found[0].tags[&key].clone()
    };

    restart.tag(&instance(), tags(&[(&key, record)]), announced(0)).await.unwrap();
    let by_new = value(0);
    assert_eq!(by_new, signing(new).write(&region(), record));
    reconcile.untag(&instance(), &key, record, announced(0)).await.unwrap();
    assert_eq!(value(1), by_new, "what was never read is removed as it was written");
    assert_eq!(read().await, record);
    reconcile.untag(&instance(), &key, record, announced(0)).await.unwrap();
    assert_eq!(value(3), by_old, "what another client of the region read is removed as it is there");
    assert_ne!(read().await, record, "it is not signed");
    reconcile.untag(&instance(), &key, record, announced(0)).await.unwrap();
    assert_eq!(value(5), by_new, "what is there by now is not the record that is to go");
}

#[tokio::test(start_paused = true)]
async fn a_record_is_written_in_one_call_with_its_receipt() {
    let wire = Wire::new([Answer::ok(DONE)]);
    wire.ec2().tag(&instance(), tags(&[("owed", "v1"), ("saved", "r1")]), announced(0)).await.unwrap();
    assert_eq!(fields(&wire.sent()[0], "Tag.").len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_stop_says_what_the_machine_was_doing_before() {
    let wire = Wire::new([Answer::ok(STOPPING)]);
    assert_eq!(wire.ec2().stop(&instance(), false, announced(0)).await, Ok(InstanceState::Running));
    assert_eq!(wire.sent()[0]["InstanceId.1"], "i-0123456789abcdef0");
    assert!(!wire.sent()[0].contains_key("Force"));
}

#[tokio::test(start_paused = true)]
async fn two_stops_are_one_call() {
    let other =
        "<item><instanceId>i-00000002</instanceId><previousState><name>stopped</name></previousState></item>";
    let wire = Wire::new([Answer::ok(
        &STOPPING.replace("</instancesSet>", &(other.to_owned() + "</instancesSet>")),
    )]);
    let (ec2, first, second) = (wire.ec2(), instance(), "i-00000002".parse().unwrap());
    let (a, b) = tokio::join!(ec2.stop(&first, false, announced(0)), ec2.stop(&second, false, announced(3)));
    assert_eq!((a, b), (Ok(InstanceState::Running), Ok(InstanceState::Stopped)));
    assert_eq!(wire.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_forced_stop_and_a_gentle_one_are_two_calls() {
    let wire = Wire::new([Answer::ok(STOPPING), Answer::ok(STOPPING)]);
    let (ec2, machine) = (wire.ec2(), instance());
    let (a, b) =
        tokio::join!(ec2.stop(&machine, true, announced(0)), ec2.stop(&machine, false, announced(0)));
    assert_eq!((a, b), (Ok(InstanceState::Running), Ok(InstanceState::Running)));
    let forced: Vec<_> = wire.sent().iter().filter_map(|form| form.get("Force").cloned()).collect();
    assert_eq!((wire.sent().len(), forced), (2, vec!["true".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_stop_and_an_image_are_sent_once_whatever_comes_back() {
    let broken = || {
        [
            Answer::refused(500, "InternalError", "x"),
            Answer::refused(504, "GatewayTimeout", "a code that nobody knows"),
            Answer::refused(502, "Server.BadGateway", "x"),
            Answer::Lost,
            Answer::Hangs,
        ]
    };
    for answer in broken() {
        let wire = Wire::new([answer]);
        assert_eq!(
            wire.ec2().stop(&instance(), false, announced(0)).await.unwrap_err().class,
            ErrorClass::Unknown
        );
        assert_eq!(wire.sent().len(), 1);
    }
    for answer in broken() {
        let wire = Wire::new([answer]);
        let refusal = wire.ec2().create_image(&image_request(), announced(0)).await.unwrap_err();
        assert_eq!((refusal.class, wire.sent().len()), (ErrorClass::Unknown, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_stop_has_done_nothing() {
    let wire = Wire::new([Answer::refused(503, "RequestLimitExceeded", "slow")]);
    let refusal = wire.ec2().stop(&instance(), false, announced(0)).await.unwrap_err();
    assert_eq!((refusal.class, refusal.is_definite(), wire.sent().len()), (ErrorClass::Throttle, true, 1));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_told_apart() {
    let wire = Wire::new([Answer::refused(400, "InvalidAMIName.Duplicate", "in use by ami-1")]);
    let refusal = wire.ec2().create_image(&image_request(), announced(0)).await.unwrap_err();
    assert_eq!((refusal.class, refusal.message.as_str()), (ErrorClass::NameTaken, "in use by ami-1"));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_slept_sends_nothing() {
    let wire = Wire::new([]);
    let (ec2, late) = (wire.ec2(), announced(21));
    let instance = instance();
    assert_eq!(ec2.stop(&instance, false, late).await, Err(Ec2Error::late("StopInstances")));
    assert_eq!(ec2.start(&instance, late).await, Err(Ec2Error::late("StartInstances")));
    assert_eq!(ec2.tag(&instance, tags(&[("k", "v")]), late).await, Err(Ec2Error::late("CreateTags")));
    assert_eq!(ec2.untag(&instance, "k", "v", late).await, Err(Ec2Error::late("DeleteTags")));
    assert_eq!(ec2.create_image(&image_request(), late).await, Err(Ec2Error::late("CreateImage")));
    assert_eq!(ec2.copy_image(&copy_request(), late).await, Err(Ec2Error::late("CopyImage")));
    let (image, snapshot) = (image(), snapshot());
    let these = [image.to_string()];
    let keys = ["k".to_owned()];
    assert_eq!(ec2.tag_resources(&these, tags(&[("k", "v")]), late).await, Err(Ec2Error::late("CreateTags")));
    assert_eq!(ec2.untag_resources(&these, &keys, late).await, Err(Ec2Error::late("DeleteTags")));
    assert_eq!(ec2.set_description(&image, "x", late).await, Err(Ec2Error::late("ModifyImageAttribute")));
    assert_eq!(ec2.deregister(&image, late).await, Err(Ec2Error::late("DeregisterImage")));
    assert_eq!(ec2.delete_snapshot(&snapshot, late).await, Err(Ec2Error::late("DeleteSnapshot")));
    assert_eq!(wire.sent().len(), 0);
    assert_eq!(wire.counted()[0], "StopInstances late");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_suspended_is_late_by_ec2s_clock() {
    let wire = Wire::new([Answer::ok(""), Answer::ok(STOPPING)]);
    let ec2 = wire.ec2();
    // Announced at 07:46:58 by EC2's clock; the monotonic clock stood still meanwhile.
    wire.date("Tue, 24 Nov 2026 07:47:19 GMT");
    ec2.regions().await.unwrap();
    assert_eq!(ec2.stop(&instance(), false, announced(0)).await.unwrap_err().class, ErrorClass::Late);
    assert_eq!(wire.sent().len(), 1);
    let fresh = Announced { at: "2026-11-24T07:47:00Z".parse().unwrap(), ..announced(0) };
    assert_eq!(ec2.stop(&instance(), false, fresh).await, Ok(InstanceState::Running));
}

#[tokio::test(start_paused = true)]
async fn a_retry_by_the_sdk_is_held_back_too_and_the_first_attempt_stays_unknown() {
    let wire = Wire::new([Answer::refused(500, "InternalError", "x")]);
    wire.date("Tue, 24 Nov 2026 07:48:00 GMT");
    let refusal = wire.ec2().copy_image(&copy_request(), announced(0)).await.unwrap_err();
    assert_eq!((refusal.class, wire.sent().len()), (ErrorClass::Unknown, 1));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_attempt_before_one_held_back_has_done_nothing() {
    let wire = Wire::new([Answer::refused(503, "RequestLimitExceeded", "x")]);
    wire.date("Tue, 24 Nov 2026 07:48:00 GMT");
    let refusal = wire.ec2().copy_image(&copy_request(), announced(0)).await.unwrap_err();
    assert_eq!((refusal.class, wire.sent().len()), (ErrorClass::Late, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_lost_reply_proves_nothing() {
    let wire = Wire::new([Answer::Lost, Answer::refused(503, "RequestLimitExceeded", "slow")]);
    let refusal = wire.ec2().copy_image(&copy_request(), announced(0)).await.unwrap_err();
    assert_eq!((refusal.class, refusal.code.as_str()), (ErrorClass::Unknown, "RequestLimitExceeded"));
    let wire = Wire::new([Answer::Lost, Answer::refused(400, "IdempotentParameterMismatch", "x")]);
    assert_eq!(
        wire.ec2().copy_image(&copy_request(), announced(0)).await.unwrap_err().class,
        ErrorClass::TokenUsed
    );
}

#[tokio::test(start_paused = true)]
async fn without_credentials_nothing_was_sent_and_asking_again_may_help() {
    let wire = Wire::new([]);
    let ec2 = wire.fleet_with(None).ec2(&region(), Use::Restart);
    let refusal = ec2.start(&instance(), announced(0)).await.unwrap_err();
    assert!(refusal.is_definite() && refusal.passes(), "{refusal:?}");
    assert!(ec2.regions().await.unwrap_err().passes());
    assert_eq!(wire.sent().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_is_asked_with_the_request_itself() {
    let yes =
        || Answer::refused(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.");
    let no = Answer::refused(403, "UnauthorizedOperation", "You are not authorized.");
    let wire = Wire::new([yes(), yes(), yes(), no, Answer::ok(STOPPING)]);
    let ec2 = wire.ec2();
    assert_eq!(ec2.dry_run(DryRun::Stop(instance())).await, Ok(()));
    assert_eq!(ec2.dry_run(DryRun::Start(instance())).await, Ok(()));
    assert_eq!(ec2.dry_run(DryRun::CreateImage(Box::new(image_request()))).await, Ok(()));
    assert_eq!(ec2.dry_run(DryRun::Stop(instance())).await.unwrap_err().class, ErrorClass::Denied);
    assert_eq!(ec2.dry_run(DryRun::Stop(instance())).await.unwrap_err().class, ErrorClass::Unknown);
    let sent = wire.sent();
    assert!(sent.iter().all(|form| form["DryRun"] == "true"));
    assert_eq!((sent[2]["NoReboot"].as_str(), fields(&sent[2], "TagSpecification").len()), ("true", 8));
    assert_eq!(wire.counted()[..2], ["StopInstances ok", "StartInstances ok"]);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_start_empties_our_share() {
    let slow = || Answer::refused(503, "RequestLimitExceeded", "slow");
    let wire = Wire::new([slow(), slow(), Answer::ok(STOPPING)]);
    let ec2 = wire.clients().ec2(&region(), Use::Restart);
    assert_eq!(ec2.start(&instance(), announced(0)).await.unwrap_err().class, ErrorClass::Throttle);
    let start = tokio::time::Instant::now();
    assert_eq!(ec2.start(&instance(), announced(0)).await, Ok(InstanceState::Running));
    assert!(start.elapsed() >= Duration::from_secs(1));
}
