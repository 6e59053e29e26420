//! What is asked about one machine before it is stopped.
use saved_template_api::ids::VolumeId;
use saved_template_core::{
    cloud::{Cloud, Instances},
    ec2_error::ErrorClass,
    world::{Instance, OptIn, Reservation, Volume},
};

use super::*;

#[tokio::test(start_paused = true)]
async fn an_address_is_lent_unless_an_account_owns_it() {
    let interface = |owner: &str| {
        let address = format!(
            "<association><publicIp>198.51.100.7</publicIp><ipOwnerId>{owner}</ipOwnerId></association>"
        );
        format!("<networkInterfaceSet><item>{address}</item></networkInterfaceSet>")
    };
    let secondary = "<networkInterfaceSet><item><privateIpAddressesSet><item><association><publicIp>198.51.100.7</publicIp>
        <ipOwnerId>amazon</ipOwnerId></association></item></privateIpAddressesSet></item></networkInterfaceSet>";
    let rows = [
        (String::new(), false),
        (interface("amazon"), true),
        (interface("123456789012"), false),
        (secondary.to_owned(), true),
    ];
    for (interfaces, lent) in rows {
        let found = read_with(&interfaces).await;
        assert_eq!(found.lent_address, lent, "{interfaces}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dedicated_host_is_known_by_its_id_its_group_or_the_tenancy() {
    let rows = [
        ("<tenancy>default</tenancy>", false),
        ("<tenancy>dedicated</tenancy>", false),
        ("<tenancy>host</tenancy>", true),
        ("<hostId>h-1</hostId>", true),
        ("<hostResourceGroupArn>arn:g</hostResourceGroupArn>", true),
    ];
    for (placement, dedicated) in rows {
        let found = read_with(&format!("<placement>{placement}</placement>")).await;
        assert_eq!(found.dedicated_host, dedicated, "{placement}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_capacity_reservation_and_a_placement_group_are_noticed() {
    let (open, targeted) = (Some(Reservation::Open), Some(Reservation::Targeted));
    let id = "<capacityReservationId>cr-1</capacityReservationId>";
    let specified =
        |what: &str| format!("<capacityReservationSpecification>{what}</capacityReservationSpecification>");
    let target = specified(&format!("<capacityReservationTarget>{id}</capacityReservationTarget>"));
    let preference = specified("<capacityReservationPreference>open</capacityReservationPreference>");
    for (elements, reservation) in [
        (String::new(), None),
        (preference.clone(), None),
        (format!("{id}{preference}"), open),
        (target.clone(), targeted),
        (format!("{id}{target}"), targeted),
    ] {
        assert_eq!(read_with(&elements).await.reservation, reservation, "{elements}");
    }
    for (name, group) in [("", None), ("hpc", Some("hpc"))] {
        let found = read_with(&format!("<placement><groupName>{name}</groupName></placement>")).await;
        assert_eq!(found.placement_group.as_deref(), group);
    }
}

#[tokio::test(start_paused = true)]
async fn product_codes_are_noticed() {
    let codes =
        "<productCodes><item><productCode>abc</productCode><type>marketplace</type></item></productCodes>";
    assert!(read_with(codes).await.product_codes);
    assert!(!read_with("").await.product_codes);
}

/// A minimal instance with these elements in its description.
async fn read_with(elements: &str) -> Instance {
    let row = format!("<item><instanceId>i-0123456789abcdef0</instanceId>{elements}</item>");
    let body = format!(
        "<reservationSet><item><ownerId>123456789012</ownerId><instancesSet>{row}</instancesSet></item></reservationSet>"
    );
    Wire::new([Answer::ok(&body)]).ec2().instances(Instances::TagKey("k".into())).await.unwrap().remove(0)
}

#[tokio::test(start_paused = true)]
async fn small_questions_have_plain_answers() {
    let attribute =
        "<instanceId>i-0123456789abcdef0</instanceId><disableApiStop><value>true</value></disableApiStop>";
    let kind = "<instanceTypeSet><item><instanceStorageSupported>false</instanceStorageSupported></item></instanceTypeSet>";
    let regions = "<regionInfo><item><regionName>af-south-1</regionName><optInStatus>not-opted-in</optInStatus></item>
        <item><regionName>us-west-2</regionName><optInStatus>opt-in-not-required</optInStatus></item></regionInfo>";
    let tags = "<tagSet><item><resourceId>i-0123456789abcdef0</resourceId><key>k</key></item></tagSet>";
    let shutdown =
        "<instanceInitiatedShutdownBehavior><value>terminate</value></instanceInitiatedShutdownBehavior>";
    let wire = Wire::new(
        [attribute, kind, regions, tags, shutdown, &shutdown.replace("terminate", "stop")].map(Answer::ok),
    );
    let ec2 = wire.ec2();
    assert_eq!(ec2.stop_protected(&instance()).await, Ok(true));
    assert_eq!(ec2.instance_store("m5.large").await, Ok(false));
    let regions = ec2.regions().await.unwrap();
    assert_eq!(regions.into_values().collect::<Vec<_>>(), [OptIn::NotOptedIn, OptIn::Enabled]);
    assert_eq!(ec2.tagged("k").await, Ok(vec![instance()]));
    assert_eq!(ec2.shutdown_terminates(&instance()).await, Ok(true));
    assert_eq!(ec2.shutdown_terminates(&instance()).await, Ok(false));
    assert_eq!(wire.sent()[0]["Attribute"], "disableApiStop");
    assert_eq!(wire.sent()[2]["AllRegions"], "true");
    assert_eq!(wire.sent()[3]["Filter.2.Value.1"], "instance");
    assert_eq!(wire.sent()[4]["Attribute"], "instanceInitiatedShutdownBehavior");
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_its_value_is_none() {
    let wire = Wire::new([Answer::ok(""), Answer::ok(""), Answer::ok("")]);
    let ec2 = wire.ec2();
    assert_eq!(ec2.stop_protected(&instance()).await.unwrap_err().class, ErrorClass::Unknown);
    assert_eq!(ec2.shutdown_terminates(&instance()).await.unwrap_err().class, ErrorClass::Unknown);
    assert_eq!(ec2.scheduled_events(&instance()).await.unwrap_err().class, ErrorClass::Unknown);
}

#[tokio::test(start_paused = true)]
async fn only_events_that_are_still_to_come_count() {
    let event =
        |code: &str, text: &str| format!("<item><code>{code}</code><description>{text}</description></item>");
    let events = event("instance-stop", "The instance is running on degraded hardware")
        + &event("system-reboot", "[Completed] Rebooted")
        + &event("instance-retirement", "[Canceled] Retired");
    let id = "<instanceId>i-0123456789abcdef0</instanceId>";
    let body =
        format!("<instanceStatusSet><item>{id}<eventsSet>{events}</eventsSet></item></instanceStatusSet>");
    let none = format!("<instanceStatusSet><item>{id}</item></instanceStatusSet>");
    let wire = Wire::new([Answer::ok(&body), Answer::ok(&none)]);
    let ec2 = wire.ec2();
    assert_eq!(ec2.scheduled_events(&instance()).await, Ok(vec!["instance-stop".to_owned()]));
    assert_eq!(ec2.scheduled_events(&instance()).await, Ok(Vec::new()));
    let sent = &wire.sent()[0];
    assert_eq!(
        (sent["InstanceId.1"].as_str(), sent["IncludeAllInstances"].as_str()),
        (instance().as_str(), "true")
    );
    assert!(!sent.contains_key("MaxResults"));
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_read_with_what_a_stop_or_a_copy_depends_on() {
    let body = r"<volumeSet><item><volumeId>vol-0123456789abcdef0</volumeId><volumeType>io2</volumeType>
        <multiAttachEnabled>true</multiAttachEnabled><encrypted>true</encrypted><kmsKeyId>arn:key</kmsKeyId>
        <operator><managed>true</managed><principal>eks.amazonaws.com</principal></operator></item>
        <item><volumeId>vol-00000002</volumeId><volumeType>gp3</volumeType></item></volumeSet>";
    let wire = Wire::new([Answer::ok(body)]);
    let ids: Vec<VolumeId> = ["vol-0123456789abcdef0", "vol-00000002"].map(|id| id.parse().unwrap()).to_vec();
    let found = wire.ec2().volumes(&ids).await.unwrap();
    let io2 = Volume {
        id: ids[0].clone(),
        multi_attach: true,
        kind: "io2".into(),
        key: Some("arn:key".into()),
        managed: true,
    };
    let gp3 =
        Volume { id: ids[1].clone(), multi_attach: false, kind: "gp3".into(), key: None, managed: false };
    assert_eq!(found, [io2, gp3]);
    let sent = &wire.sent()[0];
    assert_eq!((sent["Filter.1.Name"].as_str(), fields(sent, "Filter.1.Value.").len()), ("volume-id", 2));
}

#[tokio::test]
async fn who_we_are_is_asked_once_and_what_keeps_it_from_being_told_is_told() {
    let arn = "arn:aws:sts::123456789012:assumed-role/savedtemplate/pod";
    let reply = format!("<GetCallerIdentityResult><Arn>{arn}</Arn></GetCallerIdentityResult>");
    let wire = Wire::new([Answer::ok(&reply)]);
    assert_eq!(wire.clients().identity().await.as_deref(), Ok(arn));
    assert_eq!(wire.sent()[0]["Action"], "GetCallerIdentity");
    let body = "<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>no such key</Message></Error></ErrorResponse>";
    let wire = Wire::new([Answer::Reply(403, body.into())]);
    let told = wire.clients().identity().await.unwrap_err().to_string();
    assert!(told.contains("InvalidClientTokenId") && told.contains("no such key"), "{told}");
    let wire = Wire::new([Answer::ok("<GetCallerIdentityResult/>")]);
    assert!(wire.clients().identity().await.unwrap_err().to_string().contains("no ARN"));
}
