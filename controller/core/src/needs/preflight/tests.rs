//! What is refused before anything is written to EC2, and in which words.
use std::sync::Arc;

use saved_template_api::{ConditionType, SavedTemplateStatus, condition::find, names, status::CheckResult};

use super::*;
use crate::{
    decide::{Decision, decide},
    refusal::Refusal,
    sample::{CAPTURE, OWNER, at, image, owned, plain, running, snapshot, spec, subject, world},
    world::{Image, ImageState, Probe, SnapshotState, Volume, World},
};

fn looked(world: &World) -> Decision {
    decide(subject(&plain(), &SavedTemplateStatus::default()), world, at(0)).unwrap()
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

fn refusal(code: &str, message: &str) -> Refusal {
    Refusal::new("CreateImage", code, message)
}

#[test]
fn what_may_not_be_stopped_is_refused_by_name_with_a_way_on_and_nothing_is_sent() {
    let many = || {
        let mut machine = running();
        machine.tags.extend((0..47).map(|n| (format!("tag-{n}"), String::new())));
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
        (probe(|probe| probe.create_image = Err(refusal("RequestLimitExceeded", ""))), "InstanceBusy"),
        (
            probe(|probe| probe.create_image = Err(refusal("InvalidAMIName.Malformed", "bad"))),
            "InstanceNotSupported",
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
        "allow the action",
        "asked again",
        "bad",
    ];
    for (world, reason) in rows {
        let decision = looked(&world);
        let validated = find(&decision.status.conditions, ConditionType::Validated).unwrap();
        assert_eq!(
            (validated.status.as_str(), validated.reason.as_str()),
            ("False", reason),
            "{}",
            validated.message
        );
        assert_eq!(decision.step, None, "{reason}");
        assert!(ways_on.iter().any(|way| validated.message.contains(way)), "{reason}: {}", validated.message);
        assert!(decision.status.capture.is_none(), "{reason}");
    }
}

#[test]
fn a_machine_that_may_be_stopped_is_planned_and_the_rows_say_what_is_not_known() {
    let decision = looked(&seen(running()));
    assert!(decision.step.is_some());
    let unknown: Vec<&str> = decision
        .status
        .preflight
        .iter()
        .filter(|row| row.result != CheckResult::Passed)
        .map(|row| row.check.as_str())
        .collect();
    assert_eq!(unknown, ["CopyImagePermitted"], "what cannot be tried is unknown, never passed");
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
    assert!(decision.step.is_some());
}

#[test]
fn what_needs_calls_is_asked_only_once_describe_calls_passed() {
    let mut good = seen(running());
    good.probe = None;
    assert!(decide(subject(&plain(), &SavedTemplateStatus::default()), &good, at(0)).is_err());
    let mut bad = seen(Instance { managed: true, ..running() });
    bad.probe = None;
    assert!(decide(subject(&plain(), &SavedTemplateStatus::default()), &bad, at(0)).is_ok());
}

#[test]
fn a_receipt_of_a_revision_that_had_begun_is_never_captured_again_by_itself() {
    let mut machine = running();
    machine.tags.insert(OWNER.receipt_key(), names::receipt_value(1, CAPTURE));
    let decision = looked(&seen(machine));
    let ready = find(&decision.status.conditions, ConditionType::Ready).unwrap();
    assert_eq!(ready.reason, "ImageMissing");
    assert!(ready.message.contains("aws ec2 delete-tags"));
    assert_eq!(decision.step, None);
}

#[test]
fn a_region_that_cannot_be_read_is_unknown_and_holds_nothing_up() {
    let mut world = seen(running());
    world.abroad.values_mut().for_each(|view| *view = Err(refusal("", "no answer")));
    let decision = looked(&world);
    let row = decision.status.preflight.iter().find(|row| row.check == "NameFree").unwrap();
    assert_eq!(row.result, CheckResult::Unknown);
    assert!(decision.step.is_some());
}

#[test]
fn a_machine_named_by_id_is_found_by_id_alone() {
    let by_id = spec(r#"{"source": {"region": "us-west-2", "instanceID": "i-0123456789abcdef0"}}"#);
    let mut machine = running();
    machine.tags.remove("Name");
    let status = SavedTemplateStatus::default();
    let decision = decide(subject(&by_id, &status), &seen(machine.clone()), at(0)).unwrap();
    assert!(decision.step.is_some());
    let gone = Instance { state: InstanceState::Terminated, ..machine };
    let decision = decide(subject(&by_id, &status), &seen(gone), at(0)).unwrap();
    let validated = find(&decision.status.conditions, ConditionType::Validated).unwrap();
    assert_eq!(validated.reason, "InstanceTerminated");
}

#[test]
fn instances_that_cannot_be_read_are_waited_for() {
    let mut world = seen(running());
    Arc::make_mut(world.home.as_mut().unwrap()).instances = Err(refusal("InternalError", ""));
    let decision = looked(&world);
    assert_eq!(decision.step, None);
    let is = |kind| find(&decision.status.conditions, kind).is_some();
    assert!(is(ConditionType::Reconciling) && !is(ConditionType::Stalled));
}
