//! What is refused before anything is written to EC2, and in which words.
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, SavedTemplateSpec, SavedTemplateStatus, condition::find, names, names::Owner,
    status::CheckResult,
};

use super::*;
use crate::{
    decide::decide,
    decision::{Decision, Next},
    ec2_error::Ec2Error,
    fold::MULTI_ATTACH,
    sample::{
        CAPTURE, OWNER, at, copy, image, owned, plain, planned, running, snapshot, spec, subject, tagged,
        world,
    },
    world::{Image, ImageState, InstanceState, Probe, Reservation, SnapshotState, Volume, World},
};

fn looked(world: &World) -> Decision {
    decide(subject(&plain(), &SavedTemplateStatus::default()), world, at(0)).into_decision().unwrap()
}

fn seen(machine: Instance) -> World {
    world(at(0), vec![machine], vec![], vec![])
}

fn with_tag(key: &str) -> Instance {
    let mut machine = running();
    machine.tags.insert(key.into(), "x".into());
    machine
}

fn probe(change: impl FnOnce(&mut Probe)) -> World {
    let mut world = seen(running());
    change(world.probe.as_mut().unwrap());
    world
}

fn volume(kind: &str, change: impl FnOnce(&mut Volume)) -> Volume {
    let id = "vol-00000000000000001".parse().unwrap();
    let mut volume = Volume { id, multi_attach: false, kind: kind.into(), key: None, managed: false };
    change(&mut volume);
    volume
}

fn refusal(code: &str, message: &str) -> Ec2Error {
    Ec2Error::new("CreateImage", code, message)
}

#[test]
fn what_may_not_be_stopped_is_refused_by_name_with_a_way_on_and_nothing_is_sent() {
    let many = || {
        let mut machine = running();
        machine.tags.extend((0..49).map(|n| (format!("tag-{n}"), String::new())));
        machine
    };
    let mut detaching = running();
    detaching.attachments[1].attached = false;
    let twin = Instance { id: "i-0fedcba9876543210".parse().unwrap(), ..running() };
    let foreign = Image { name: OWNER.image_name(OWNER.name, 1, 1), ..image(CAPTURE, ImageState::Available) };
    let young = snapshot(1, "", at(-5), SnapshotState::Completed);
    let (slow, pending) = (volume("st1", |_| {}), snapshot(1, "", at(-500), SnapshotState::Pending));
    let mut of_other_cluster = owned(image(CAPTURE, ImageState::Available));
    of_other_cluster.tags.insert(names::tag::CLUSTER.into(), "other".into());
    of_other_cluster.name = Owner { cluster: "other", ..OWNER }.image_name(OWNER.name, 1, 1);
    let in_state = |state| seen(Instance { state, ..running() });
    let rows = vec![
        (world(at(0), vec![], vec![], vec![]), "InstanceNotFound"),
        (world(at(0), vec![running(), twin], vec![], vec![]), "InstanceAmbiguous"),
        (in_state(InstanceState::Stopping), "InstanceBusy"),
        (in_state(InstanceState::Pending), "InstanceBusy"),
        (in_state(InstanceState::Unknown), "InstanceBusy"),
        (seen(Instance { ebs_root: false, ..running() }), "UnsupportedRootDevice"),
        (seen(Instance { lifecycle: Some("spot".into()), ..running() }), "SpotInstance"),
        (seen(with_tag("aws:autoscaling:groupName")), "AutoScalingMember"),
        (seen(with_tag("karpenter.sh/nodepool")), "ClusterNode"),
        (seen(with_tag("kubernetes.io/cluster/prod")), "ClusterNode"),
        (seen(Instance { managed: true, ..running() }), "ManagedInstance"),
        (seen(Instance { outpost: true, ..running() }), "InstanceNotSupported"),
        (seen(Instance { instance_type: Some("mac2.metal".into()), ..running() }), "InstanceNotSupported"),
        (seen(Instance { zone: Some("us-west-2-lax-1a".into()), ..running() }), "InstanceNotSupported"),
        (seen(many()), "TooManyTags"),
        (seen(detaching), "InstanceBusy"),
        (seen(with_tag(&names::debt_key(OWNER.cluster))), "InstanceBusy"),
        (seen(with_tag(&names::debt_key("other"))), "InstanceBusy"),
        (world(at(0), vec![running()], vec![foreign], vec![]), "NameConflict"),
        (probe(|probe| probe.stop_protected = Ok(true)), "StopProtected"),
        (probe(|probe| probe.instance_store = Ok(true)), "InstanceStoreDataLoss"),
        (probe(|probe| probe.regions = Ok([].into())), "RegionNotEnabled"),
        (
            probe(|probe| probe.volumes = Ok(vec![volume("gp3", |volume| volume.managed = true)])),
            "InstanceNotSupported",
        ),
        (probe(|probe| probe.snapshots = Ok(vec![young])), "InstanceBusy"),
        (
            probe(|probe| (probe.volumes, probe.snapshots) = (Ok(vec![slow]), Ok(vec![pending]))),
            "InstanceBusy",
        ),
        (probe(|probe| probe.pending_images = Ok(vec![image(CAPTURE, ImageState::Pending)])), "InstanceBusy"),
        (probe(|probe| probe.namesakes = Ok(vec![of_other_cluster])), "RevisionTaken"),
        (probe(|probe| probe.create_image = Err(refusal("UnauthorizedOperation", ""))), "AccessDenied"),
        (probe(|probe| probe.create_image = Err(refusal("RequestLimitExceeded", ""))), "NotChecked"),
        (probe(|probe| probe.create_image = Err(refusal("InternalError", ""))), "NotChecked"),
        (
            probe(|probe| probe.create_image = Err(refusal("UnsupportedOperation", "bad"))),
            "InstanceNotSupported",
        ),
        (
            probe(|probe| probe.create_image = Err(refusal("InvalidAMIName.Malformed", "bad"))),
            "RequestRefused",
        ),
    ];
    let ways_on = [
        "correct",
        "set spec",
        "waiting",
        "only EBS",
        "save a machine",
        "spec.capture",
        "not supported",
        "remove",
        "paid first",
        "saved there first",
        "choose another",
        "aws ec2",
        "take it out",
        "allow ec2:",
        "asked again",
        "bad",
    ];
    for (world, reason) in rows {
        let decision = looked(&world);
        let validated = find(&decision.status.conditions, ConditionType::Validated).unwrap();
        assert_eq!(
            (validated.status.as_str(), validated.reason.as_str()),
            (if reason == "NotChecked" { "Unknown" } else { "False" }, reason),
            "{}",
            validated.message
        );
        assert_eq!(decision.step(), None, "{reason}");
        assert!(ways_on.iter().any(|way| validated.message.contains(way)), "{reason}: {}", validated.message);
        assert!(decision.status.capture.is_none(), "{reason}");
        // What is over by itself is asked again soon; so is a machine that somebody may just have made.
        let is = |kind| find(&decision.status.conditions, kind).is_some();
        let busy = ["InstanceBusy", "NotChecked"].contains(&reason);
        assert_eq!((is(ConditionType::Reconciling), is(ConditionType::Stalled)), (busy, !busy), "{reason}");
        assert_eq!(decision.look_again <= LATER, busy || reason == "InstanceNotFound", "{reason}");
    }
}

#[test]
fn a_machine_that_may_be_stopped_is_planned_and_the_rows_say_what_is_not_known() {
    let decision = looked(&seen(running()));
    assert!(decision.step().is_some());
    let unknown: Vec<&str> = decision
        .status
        .preflight
        .iter()
        .filter(|row| row.result != CheckResult::Passed)
        .map(|row| row.check.as_str())
        .collect();
    assert_eq!(unknown, ["CopyImagePermitted"], "what cannot be tried is unknown, never passed");
    for row in &decision.status.preflight {
        assert_eq!(row.message.is_none(), row.result == CheckResult::Passed, "{row:?}");
    }
}

#[test]
fn hibernation_and_shared_volumes_warn_and_do_not_refuse() {
    let mut world = seen(Instance { hibernation: true, ..running() });
    world.probe.as_mut().unwrap().volumes = Ok(vec![volume("gp3", |volume| volume.multi_attach = true)]);
    let decision = looked(&world);
    let warned = |check: &str| {
        decision.status.preflight.iter().any(|row| row.check == check && row.result == CheckResult::Warning)
    };
    assert!(warned("Hibernation") && warned(MULTI_ATTACH));
    assert!(decision.step().is_some());
}

#[test]
fn what_a_stop_gives_up_is_told_before_it_and_only_where_there_is_a_stop() {
    let kind = |kind: &str| Instance { instance_type: Some(kind.into()), ..running() };
    let held = |reservation| Instance { reservation: Some(reservation), ..running() };
    let grouped = Instance { placement_group: Some("hpc".into()), ..running() };
    for (machine, check, says) in [
        (held(Reservation::Targeted), "CapacityReservation", "starts again only if there is still one"),
        (held(Reservation::Open), "CapacityReservation", "any machine of its type may take"),
        (grouped, "PlacementGroup", "no room to start it again"),
        (with_tag("Schedule"), "Scheduler", "a scheduler starts and stops it"),
        (with_tag("schedule"), "Scheduler", "the tag schedule"),
        (kind("c5n.metal"), "BareMetal", "spec.capture.stop.timeoutSeconds"),
        (kind("i4i.metal-24xl"), "BareMetal", "1200 s are allowed"),
    ] {
        for (mode, stops) in [("Stop", true), ("NoReboot", false)] {
            let spec = spec(&format!(
                r#"{{"source": {{"region": "us-west-2", "instanceName": "earthquake-analysis"}},
                    "capture": {{"mode": "{mode}"}}}}"#
            ));
            let world = seen(machine.clone());
            let decision = decide(subject(&spec, &SavedTemplateStatus::default()), &world, at(0))
                .into_decision()
                .unwrap();
            let row = decision.status.preflight.iter().find(|row| row.check == check);
            assert_eq!(row.is_some(), stops, "{check} {mode}");
            assert!(decision.step().is_some(), "a warning is no refusal");
            if let Some(row) = row {
                let text = row.message.as_deref().unwrap();
                assert!(row.result == CheckResult::Warning && text.contains(says), "{text}");
                assert!(!text.ends_with('…'), "it fits: {text}");
            }
        }
    }
    let plain = looked(&seen(running()));
    for check in ["CapacityReservation", "PlacementGroup", "Scheduler", "BareMetal"] {
        assert!(!plain.status.preflight.iter().any(|row| row.check == check), "{check}");
    }
}

#[test]
fn bare_metal_has_twenty_minutes_to_stop_unless_the_manifest_says_otherwise_and_within_the_downtime() {
    for (kind, capture, seconds) in [
        ("m5.large", "{}", 600),
        ("c5n.metal", "{}", 1200),
        ("c5n.metal", r#"{"maxDowntimeSeconds": 900}"#, 660),
        ("c5n.metal", r#"{"stop": {"timeoutSeconds": 300}}"#, 300),
        ("c5n.metal", r#"{"stop": {"timeoutSeconds": 1500}}"#, 1500),
    ] {
        let spec = spec(&format!(
            r#"{{"source": {{"region": "us-west-2", "instanceName": "earthquake-analysis"}}, "capture": {capture}}}"#
        ));
        let world = seen(Instance { instance_type: Some(kind.into()), ..running() });
        let decision =
            decide(subject(&spec, &SavedTemplateStatus::default()), &world, at(0)).into_decision().unwrap();
        let debt = decision.status.capture.unwrap().restart_record.unwrap();
        let record: crate::restart::Record = debt.parse().expect("within the bounds of a record");
        assert_eq!(record.image_by, at(seconds + 180), "{kind} {capture}");
    }
}

#[test]
fn what_needs_calls_is_asked_only_once_describe_calls_passed() {
    let mut good = seen(running());
    good.probe = None;
    let next = |world| decide(subject(&plain(), &SavedTemplateStatus::default()), world, at(0));
    assert!(matches!(next(&good), Next::Ask(Question::Probe { .. })));
    let mut bad = seen(Instance { managed: true, ..running() });
    bad.probe = None;
    assert!(matches!(next(&bad), Next::Do(_)));
}

#[test]
fn a_machine_needs_room_for_the_tags_of_ours_that_it_does_not_carry_yet_and_no_more() {
    let list = names::receipts_key(OWNER.cluster);
    for (of_users, of_ec2, saved_before, fits) in [
        (48, 0, false, true),
        (49, 0, false, false),
        (48, 9, false, true),
        (48, 0, true, true),
        (49, 0, true, false),
    ] {
        let mut machine = running();
        let named = machine.tags.len();
        machine.tags.extend((named..of_users).map(|n| (format!("tag-{n}"), String::new())));
        machine.tags.extend((0..of_ec2).map(|n| (format!("aws:tag-{n}"), String::new())));
        if saved_before {
            machine.tags.insert(list.clone(), "0123456789abcdef=r1".to_owned());
        }
        let decision = looked(&seen(machine));
        let validated = find(&decision.status.conditions, ConditionType::Validated).unwrap();
        let case = format!("{of_users} {of_ec2} {saved_before}: {}", validated.message);
        assert_eq!(validated.reason == "TooManyTags", !fits, "{case}");
    }
}

#[test]
fn a_receipt_of_a_revision_that_had_begun_is_never_captured_again_by_itself() {
    let (list, old) = (names::receipts_key(OWNER.cluster), OWNER.old_receipt_key());
    for (key, value, told) in [
        (&list, format!("{}=r1", OWNER.receipt_object()), Some("spec.revision to 2")),
        (&list, format!("0123456789abcdef=r7 {}=r3", OWNER.receipt_object()), Some("spec.revision to 4")),
        (&list, format!("{}=r1000000", OWNER.receipt_object()), Some("To allow it")),
        (&old, format!("r1 {CAPTURE}"), Some("spec.revision to 2")),
        // That of another object, and what nobody of us has written.
        (&list, "0123456789abcdef=r1".to_owned(), None),
        (&list, format!("{}=r2147483647", OWNER.receipt_object()), None),
        (&list, format!("{}=r1x", OWNER.receipt_object()), None),
        (&old, "r2147483647 0123456789abcdef".to_owned(), None),
    ] {
        let mut machine = running();
        machine.tags.insert(key.clone(), value.clone());
        let decision = looked(&seen(machine));
        let ready = find(&decision.status.conditions, ConditionType::Ready).unwrap();
        assert_eq!(ready.reason == "ImageMissing", told.is_some(), "{value}: {}", ready.message);
        assert_eq!(decision.step().is_none(), told.is_some(), "{value}");
        if let Some(told) = told {
            assert!(ready.message.contains(told), "{}", ready.message);
            // What others have on the machine stays.
            let (verb, left) = if value.contains("=r7") {
                ("create", ",Value='0123456789abcdef=r7'")
            } else {
                ("delete", "")
            };
            let mends = format!(
                "aws ec2 {verb}-tags --region us-west-2 --resources i-0123456789abcdef0 --tags Key={key}{left}"
            );
            assert!(ready.message.ends_with(&mends), "{}", ready.message);
        }
    }
}

#[test]
fn a_machine_that_nothing_but_its_owner_will_start_waits_for_somebody_and_not_for_us() {
    let (ours, another) = (names::debt_key(OWNER.cluster), names::debt_key("0b2c3d4e-other"));
    let honest = tagged(running()).tags.remove(&ours).unwrap();
    for (key, value, state, stalled) in [
        (&ours, "v1 nonsense", InstanceState::Stopped, true),
        (&ours, "v1 nonsense", InstanceState::Stopping, false),
        (&ours, "v1 nonsense", InstanceState::Running, false),
        (&ours, "v2 of a later version", InstanceState::Stopped, true),
        (&ours, honest.as_str(), InstanceState::Stopped, false),
        (&another, "v1 nonsense", InstanceState::Stopped, true),
        (&another, "nonsense", InstanceState::Stopped, true),
        (&another, "v1 nonsense", InstanceState::Stopping, false),
        (&another, "v1 nonsense", InstanceState::Running, false),
        (&another, &honest, InstanceState::Stopped, false),
        (&another, "v2 of a later version", InstanceState::Stopped, false),
        (&another, "version 2", InstanceState::Stopped, true),
    ] {
        let mut machine = Instance { state, ..running() };
        machine.tags.insert(key.clone(), value.to_owned());
        let decision = looked(&seen(machine));
        let of = |kind| find(&decision.status.conditions, kind);
        let case = format!("{key} {value} {state:?}");
        assert_eq!(of(ConditionType::Validated).unwrap().reason, "InstanceBusy", "{case}");
        assert_eq!(of(ConditionType::Stalled).is_some(), stalled, "{case}");
        assert_eq!(of(ConditionType::Reconciling).is_some(), !stalled, "{case}");
        assert!(decision.look_again <= LATER, "{case}");
    }
}

#[test]
fn a_region_that_cannot_be_read_is_unknown_and_holds_nothing_up() {
    let mut world = seen(running());
    world.abroad.values_mut().for_each(|view| *view = Err(refusal("", "no answer")));
    let decision = looked(&world);
    let row = decision.status.preflight.iter().find(|row| row.check == "NameFree").unwrap();
    assert_eq!(row.result, CheckResult::Unknown);
    assert!(decision.step().is_some());
}

#[test]
fn a_machine_named_by_id_is_found_by_id_alone() {
    let by_id = spec(r#"{"source": {"region": "us-west-2", "instanceID": "i-0123456789abcdef0"}}"#);
    let mut machine = running();
    machine.tags.remove("Name");
    let status = SavedTemplateStatus::default();
    let decision = decide(subject(&by_id, &status), &seen(machine.clone()), at(0)).into_decision().unwrap();
    assert!(decision.step().is_some());
    let gone = Instance { state: InstanceState::Terminated, ..machine };
    let decision = decide(subject(&by_id, &status), &seen(gone), at(0)).into_decision().unwrap();
    let validated = find(&decision.status.conditions, ConditionType::Validated).unwrap();
    assert_eq!(validated.reason, "InstanceTerminated");
    assert!(validated.message.contains("name a machine that exists"));
}

#[test]
fn instances_that_cannot_be_read_are_waited_for() {
    let mut world = seen(running());
    Arc::make_mut(world.home.as_mut().unwrap()).instances = Err(refusal("InternalError", ""));
    let decision = looked(&world);
    assert_eq!(decision.step(), None);
    let is = |kind| find(&decision.status.conditions, kind).is_some();
    assert!(is(ConditionType::Reconciling) && !is(ConditionType::Stalled));
}

#[test]
fn a_machine_of_the_past_that_had_the_name_is_not_in_the_way() {
    let id = "i-0fedcba9876543210".parse().unwrap();
    let gone = Instance { id, state: InstanceState::Terminated, ..running() };
    assert!(looked(&world(at(0), vec![gone, running()], vec![], vec![])).step().is_some());
}

/// The sample machine's template with something in `spec.capture`.
fn capturing(capture: &str) -> SavedTemplateSpec {
    spec(&format!(
        r#"{{"source": {{"region": "us-west-2", "instanceName": "earthquake-analysis"}}, "capture": {capture}}}"#
    ))
}

/// How the row of a check came out.
fn row(spec: &SavedTemplateSpec, world: &World, check: &str) -> (CheckResult, String) {
    let decision =
        decide(subject(spec, &SavedTemplateStatus::default()), world, at(0)).into_decision().unwrap();
    let row = decision.status.preflight.iter().find(|row| row.check == check);
    let row = row.unwrap_or_else(|| panic!("no row {check}"));
    (row.result, row.message.clone().unwrap_or_default())
}

#[test]
fn what_only_a_stop_or_a_reboot_would_hurt_is_judged_by_what_will_be_done() {
    use CheckResult as C;
    let member = || with_tag("aws:autoscaling:groupName");
    let stopped = || Instance { state: InstanceState::Stopped, ..member() };
    for (mode, machine, group, spot) in [
        ("Stop", member(), C::Failed, C::Failed),
        ("Reboot", member(), C::Warning, C::Passed),
        ("NoReboot", member(), C::Passed, C::Passed),
        ("Stop", stopped(), C::Passed, C::Passed),
        ("Reboot", stopped(), C::Passed, C::Passed),
        ("NoReboot", stopped(), C::Passed, C::Passed),
    ] {
        let spec = capturing(&format!(r#"{{"mode": "{mode}"}}"#));
        let spot_machine = Instance { lifecycle: Some("spot".into()), ..machine.clone() };
        let what = format!("{mode} {:?}", machine.state);
        assert_eq!(row(&spec, &seen(machine), "AutoScaling").0, group, "{what}");
        assert_eq!(row(&spec, &seen(spot_machine), "OnDemand").0, spot, "{what}");
    }
}

#[test]
fn a_device_that_is_left_out_is_there_and_is_not_the_root() {
    for (device, result, way) in [
        ("/dev/xvda", CheckResult::Failed, "is the root device"),
        ("/dev/sdz", CheckResult::Failed, "has no device /dev/sdz (it has /dev/xvda, /dev/xvdb)"),
        ("/dev/xvdb", CheckResult::Passed, ""),
    ] {
        let spec = capturing(&format!(r#"{{"excludeDeviceNames": ["{device}"]}}"#));
        let (found, message) = row(&spec, &seen(running()), "Devices");
        assert_eq!(found, result, "{device}");
        assert!(message.contains(way), "{message}");
    }
}

#[test]
fn a_stop_timeout_that_cannot_count_in_full_is_told() {
    let warned = |capture: &str| {
        let status = SavedTemplateStatus::default();
        let decision =
            decide(subject(&capturing(capture), &status), &seen(running()), at(0)).into_decision().unwrap();
        let row = decision.status.preflight.into_iter().find(|row| row.check == "StopTimeout");
        row.and_then(|row| row.message)
    };
    assert_eq!(warned("{}"), None);
    let text = warned(r#"{"maxDowntimeSeconds": 300, "stop": {"timeoutSeconds": 600}}"#).unwrap();
    assert!(text.contains("counts as 60"), "{text}");
    assert_eq!(warned(r#"{"mode": "NoReboot", "stop": {"timeoutSeconds": 600}}"#), None);
}

#[test]
fn a_name_is_taken_by_somebody_elses_image_of_that_name_alone_and_the_row_says_where() {
    let other = || image(CAPTURE, ImageState::Available);
    let ours = copy();
    let tagged = Image {
        name: OWNER.image_name(OWNER.name, 1, 1),
        tags: copy().tags,
        source_region: Some("us-east-2".parse().unwrap()),
        ..other()
    };
    let foreign = Image { name: OWNER.image_name(OWNER.name, 1, 1), ..other() };
    for (images, taken) in [
        (vec![], false),
        (vec![other()], false),
        (vec![ours], false),
        (vec![foreign], true),
        (vec![tagged], true),
    ] {
        let mut world = seen(running());
        let region = "us-east-2".parse().unwrap();
        Arc::make_mut(world.abroad.get_mut(&region).unwrap().as_mut().unwrap()).images = Ok(images.clone());
        let decision = looked(&world);
        let row = decision.status.preflight.iter().find(|row| row.check == "NameFree").unwrap();
        let found = (row.result == CheckResult::Failed, row.region.clone());
        assert_eq!(found, (taken, taken.then_some(region)), "{images:?}");
    }
}

#[test]
fn a_receipt_counts_only_for_the_wanted_revision_and_where_the_status_does_not_know_it() {
    let with_receipt = |revision| {
        let mut machine = running();
        let value = format!("{}=r{revision}", OWNER.receipt_object());
        machine.tags.insert(names::receipts_key(OWNER.cluster), value);
        machine
    };
    // The first attempt of revision 1 failed, and a second is allowed.
    let two = capturing(r#"{"maxDisruptions": 2}"#);
    let mut failed = planned();
    let capture = failed.capture.as_mut().unwrap();
    (capture.restart_record, capture.reason) = (None, Some("ImageFailed".parse().unwrap()));
    (capture.completion_time, capture.disruptions) = (Some(Time(at(200))), 1);
    let seen = world(at(4000), vec![with_receipt(1)], vec![], vec![]);
    let decision = decide(subject(&two, &failed), &seen, at(4000)).into_decision().unwrap();
    assert!(decision.step().is_some(), "{:?}", decision.status.conditions);
    // A receipt of a revision that the status has not heard of.
    let second = SavedTemplateSpec { revision: 2, ..plain() };
    let known = SavedTemplateStatus { latest_revision: Some(1), ..SavedTemplateStatus::default() };
    for (receipt, missing) in [(1, false), (2, true), (3, false), (1_000_000, false)] {
        let seen = world(at(0), vec![with_receipt(receipt)], vec![], vec![]);
        let decision = decide(subject(&second, &known), &seen, at(0)).into_decision().unwrap();
        let ready = find(&decision.status.conditions, ConditionType::Ready).unwrap();
        assert_eq!(ready.reason == "ImageMissing", missing, "r{receipt}: {}", ready.message);
    }
}

#[test]
fn what_ec2_is_asked_beforehand_is_the_request_that_will_be_sent() {
    let mut asked = capturing(r#"{"mode": "Reboot", "excludeDeviceNames": ["/dev/xvdb"]}"#);
    (asked.revision, asked.description) = (3, Some("quakes".into()));
    let status = SavedTemplateStatus::default();
    let seen = World { probe: None, ..seen(running()) };
    let Next::Ask(Question::Probe { instance, instance_type, volumes, request }) =
        decide(subject(&asked, &status), &seen, at(0))
    else {
        panic!("no question")
    };
    assert_eq!((instance, instance_type.as_str(), volumes.len()), (running().id, "t3.micro", 2));
    assert_eq!(request.name, OWNER.image_name(OWNER.name, 3, 1));
    assert_eq!((request.reboot, request.description.as_str()), (true, "quakes"));
    assert_eq!(request.excluded_devices, ["/dev/xvdb"]);
    let tag = |key: &str| request.image_tags.get(key).map(String::as_str);
    assert_eq!((tag(names::tag::REVISION), tag(names::tag::ATTEMPT)), (Some("3"), Some("1")));
    assert_eq!(tag(names::tag::CAPTURE), Some("0000000000000000"), "as long as a capture's");
}

#[test]
fn what_only_a_stop_would_cost_is_told_for_a_stop_alone() {
    use CheckResult as C;
    let hurt = || {
        probe(|probe| {
            (probe.stop_protected, probe.instance_store) = (Ok(true), Ok(true));
            probe.shutdown_terminates = Ok(true);
            probe.volumes = Ok(vec![volume("gp3", |volume| volume.key = Some("arn:key".into()))]);
        })
    };
    let checks = ["StopProtection", "InstanceStore", "ShutdownBehavior", "VolumeKeys"];
    for (capture, results) in [
        ("{}", [C::Failed, C::Failed, C::Warning, C::Unknown]),
        (r#"{"instanceStore": "Discard"}"#, [C::Failed, C::Warning, C::Warning, C::Unknown]),
        (r#"{"mode": "NoReboot"}"#, [C::Passed, C::Passed, C::Passed, C::Passed]),
    ] {
        let found = checks.map(|check| row(&capturing(capture), &hurt(), check).0);
        assert_eq!(found, results, "{capture}");
    }
    let found = checks.map(|check| row(&plain(), &seen(running()), check).0);
    assert_eq!(found, [C::Passed; 4], "nothing of it is so");
}

#[test]
fn events_and_shared_volumes_are_named_and_what_is_not_known_of_volumes_is_unknown() {
    let events = probe(|probe| probe.events = Ok(vec!["system-reboot on Monday".into()]));
    let (result, message) = row(&plain(), &events, "ScheduledEvents");
    assert_eq!(result, CheckResult::Warning);
    assert!(message.contains("system-reboot on Monday"));
    assert_eq!(row(&plain(), &seen(running()), "ScheduledEvents").0, CheckResult::Passed);
    let shared = probe(|probe| {
        let other = |volume: &mut Volume| volume.id = "vol-00000000000000002".parse().unwrap();
        probe.volumes = Ok(vec![volume("gp3", |volume| volume.multi_attach = true), volume("gp3", other)]);
    });
    let (result, message) = row(&plain(), &shared, MULTI_ATTACH);
    assert_eq!(result, CheckResult::Warning);
    assert!(message.starts_with("vol-00000000000000001 may"), "{message}");
    assert_eq!(
        row(&plain(), &probe(|probe| probe.volumes = Ok(vec![volume("gp3", |_| {})])), "SingleAttach").0,
        CheckResult::Passed
    );
}

#[test]
fn a_volume_takes_so_many_snapshots_at_a_time_and_none_right_after_another() {
    use SnapshotState as S;
    for (kind, pending, age, state, busy) in [
        ("gp3", 3, 500, S::Pending, false),
        ("gp3", 4, 500, S::Pending, true),
        ("gp3", 9, 500, S::Completed, false),
        ("st1", 1, 500, S::Pending, true),
        ("sc1", 1, 500, S::Pending, true),
        ("st1", 1, 500, S::Completed, false),
        ("gp3", 1, 14, S::Completed, true),
        ("gp3", 1, 15, S::Completed, false),
    ] {
        let shots: Vec<_> = (0..pending).map(|_| snapshot(1, "", at(-age), state)).collect();
        // A slow volume beside it changes nothing.
        let slow = volume("st1", |volume| volume.id = "vol-00000000000000002".parse().unwrap());
        let world = probe(|probe| {
            (probe.volumes, probe.snapshots) = (Ok(vec![volume(kind, |_| {}), slow]), Ok(shots));
        });
        let result = row(&plain(), &world, "PendingSnapshots").0;
        assert_eq!(result == CheckResult::Failed, busy, "{kind} {pending} {age} {state:?}");
    }
}

#[test]
fn only_an_image_that_somebody_else_is_making_is_waited_for() {
    let theirs = |state| image(CAPTURE, state);
    for (image, busy) in [
        (theirs(ImageState::Pending), true),
        (theirs(ImageState::Available), false),
        (owned(theirs(ImageState::Pending)), false),
    ] {
        let world = probe(|probe| probe.pending_images = Ok(vec![image.clone()]));
        let result = row(&plain(), &world, "PendingImages").0;
        assert_eq!(result == CheckResult::Failed, busy, "{image:?}");
    }
}

#[test]
fn a_revision_is_taken_by_an_image_of_the_same_names_in_another_cluster_that_is_not_older() {
    let of = |cluster: &str, revision: &str, name: &str| {
        let mut image = owned(image(CAPTURE, ImageState::Available));
        for (key, value) in
            [(names::tag::CLUSTER, cluster), (names::tag::REVISION, revision), (names::tag::NAME, name)]
        {
            image.tags.insert(key.into(), value.into());
        }
        let owner = Owner { cluster, kind: OWNER.kind, namespace: OWNER.namespace, name };
        image.name = owner.image_name("seismic-ml", revision.parse().unwrap(), 1);
        image
    };
    let by_tags_alone = |image: Image| Image { name: "golden".into(), ..image };
    let second = SavedTemplateSpec { revision: 2, ..plain() };
    for (images, taken) in [
        (vec![of("other", "1", OWNER.name)], None),
        (vec![of("other", "2", OWNER.name)], Some("set spec.revision to 3")),
        (vec![of("other", "7", OWNER.name), of("other", "2", OWNER.name)], Some("set spec.revision to 8")),
        (vec![of(OWNER.cluster, "7", OWNER.name)], None),
        (vec![of("other", "7", "another")], None),
        (vec![by_tags_alone(of("other", "2147483647", OWNER.name))], None),
        (vec![by_tags_alone(of("other", "7", OWNER.name))], None),
    ] {
        let world = probe(|probe| probe.namesakes = Ok(images.clone()));
        let (result, message) = row(&second, &world, "RevisionFree");
        assert_eq!(result == CheckResult::Failed, taken.is_some(), "{images:?}");
        assert!(message.contains(taken.unwrap_or_default()), "{message}");
    }
}

#[test]
fn a_region_of_a_copy_must_be_enabled_too_and_the_row_names_it() {
    use crate::world::OptIn;
    let enabled = |regions: &[(&str, OptIn)]| {
        let known = regions.iter().map(|(region, state)| (region.parse().unwrap(), *state)).collect();
        let world = probe(|probe| probe.regions = Ok(known));
        let decision = looked(&world);
        let rows = decision.status.preflight.into_iter().filter(|row| row.check == "RegionEnabled");
        rows.map(|row| (row.result, row.region.map(|region| region.to_string()))).collect::<Vec<_>>()
    };
    let both = [("us-west-2", OptIn::Enabled), ("us-east-2", OptIn::Enabled)];
    assert_eq!(enabled(&both), [(CheckResult::Passed, None)]);
    assert_eq!(enabled(&both[..1]), [(CheckResult::Failed, Some("us-east-2".into()))]);
}
