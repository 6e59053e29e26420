//! What Describe calls tell of the machine and of the names of its images.
use saved_template_api::{Reason, names, spec::CaptureMode, status::CheckResult};

use super::finding::{Finding, failed, in_region, noted, passed, test};
use crate::{
    capture,
    facts::Facts,
    fold,
    needs::{requests, tagged},
    quote::quoted,
    restart::stop_timeout,
    world::{Instance, InstanceState, Reservation},
};

/// The tag by which Instance Scheduler on AWS knows its machines, unless it is told another one.
const SCHEDULE: &str = "Schedule";

/// EC2 allows so many tags of users ("Tag restrictions"); its own, `aws:…`, are not counted.
const MOST_TAGS: usize = 50;

/// What Describe calls tell.
pub(super) fn described(facts: &Facts<'_>, instance: &Instance) -> Vec<Finding> {
    let id = &instance.id;
    let has_tag = |wanted: &[&str]| {
        let is = |key: &String| {
            wanted.iter().any(|wanted| key == wanted || (wanted.ends_with('/') && key.starts_with(wanted)))
        };
        instance.tags.keys().find(|key| is(key)).cloned()
    };
    let tags = instance.tags.keys().filter(|key| !key.to_ascii_lowercase().starts_with("aws:")).count();
    let ours = [names::receipts_key(facts.subject.cluster), names::debt_key(facts.subject.cluster)];
    let more = ours.iter().filter(|key| !instance.tags.contains_key(*key)).count();
    let group = has_tag(&["aws:autoscaling:groupName"]);
    let node = has_tag(&[
        "karpenter.sh/nodeclaim",
        "karpenter.sh/nodepool",
        "eks:nodegroup-name",
        "kubernetes.io/cluster/",
        "AmazonECSManaged",
        "aws:ec2:fleet-id",
    ]);
    let is_mac = instance.instance_type.as_deref().is_some_and(|kind| kind.starts_with("mac"));
    let in_region =
        |zone: &String| zone.strip_prefix(facts.home().as_str()).is_some_and(|rest| rest.len() == 1);
    let local_zone = !instance.zone.as_ref().is_none_or(in_region);
    let spot = instance.lifecycle.as_deref().is_some_and(|lifecycle| lifecycle != "on-demand");
    let attached =
        !instance.attachments.is_empty() && instance.attachments.iter().all(|volume| volume.attached);
    let (stops, reboots) = (stops(facts, instance), reboots(facts, instance));
    let disturbed = |check: &str, tag: Option<String>, reason: Reason, what: &str| match tag {
        Some(tag) if stops => failed(
            check,
            reason,
            format!(
                "{id} {what} (tag {}): save it with spec.capture.mode NoReboot, or detach it first",
                quoted(&tag)
            ),
        ),
        Some(tag) if reboots => noted(
            check,
            CheckResult::Warning,
            format!("{id} {what} (tag {}), which may take its reboot for a failure", quoted(&tag)),
        ),
        Some(_) | None => passed(check),
    };
    let mut findings = vec![
        state(instance),
        test("RootDevice", instance.ebs_root, Reason::UnsupportedRootDevice, || {
            format!("the root device of {id} is instance store: only EBS-backed machines can be saved")
        }),
        test("OnDemand", !(spot && stops), Reason::SpotInstance, || {
            format!(
                "{id} is a Spot Instance, which EC2 may not start again: save it with spec.capture.mode Reboot or NoReboot"
            )
        }),
        disturbed(
            "AutoScaling",
            group,
            Reason::AutoScalingMember,
            "belongs to an Auto Scaling group, which replaces what does not run",
        ),
        disturbed(
            "ClusterNode",
            node,
            Reason::ClusterNode,
            "looks like a node of a cluster, which drains what does not run",
        ),
        test("Managed", !instance.managed, Reason::ManagedInstance, || {
            format!(
                "{id} is managed by an AWS service, which alone may change it: save a machine that is not"
            )
        }),
        test("Placement", !(is_mac || instance.outpost || local_zone), Reason::InstanceNotSupported, || {
            format!("{id} is a Mac instance, or on an Outpost or in a Local Zone: not supported")
        }),
        test("Tags", tags.saturating_add(more) <= MOST_TAGS, Reason::TooManyTags, || {
            format!("{id} has {tags} tags: EC2 allows {MOST_TAGS}, and a save needs {more} more: remove some")
        }),
        test("Volumes", attached, Reason::InstanceBusy, || {
            format!("{id} has no volume, or one that is being attached or detached: asked again")
        }),
        devices(facts, instance),
    ];
    findings.extend(warnings(facts, instance));
    findings.extend(free_names(facts));
    findings
}

/// What is left out must be there, and must not be the root.
fn devices(facts: &Facts<'_>, instance: &Instance) -> Finding {
    let known: Vec<&str> = instance.attachments.iter().map(|volume| volume.device.as_str()).collect();
    let excluded = &facts.subject.spec.capture.exclude_device_names;
    let is_root = |device: &&String| instance.root_device.as_ref() == Some(*device);
    if let Some(root) = excluded.iter().find(is_root) {
        let text = format!(
            "{root} is the root device of {}: take it out of spec.capture.excludeDeviceNames",
            instance.id
        );
        return failed("Devices", Reason::DeviceNotFound, text);
    }
    let unknown: Vec<&str> =
        excluded.iter().map(String::as_str).filter(|device| !known.contains(device)).collect();
    test("Devices", unknown.is_empty(), Reason::DeviceNotFound, || {
        format!(
            "{} has no device {} (it has {}): correct spec.capture.excludeDeviceNames",
            instance.id,
            unknown.join(", "),
            known.join(", ")
        )
    })
}

/// What the author should know, and what is no reason not to begin.
fn warnings(facts: &Facts<'_>, instance: &Instance) -> Vec<Finding> {
    let capture = &facts.subject.spec.capture;
    let (stops, limit) = (stops(facts, instance), capture.max_downtime_seconds_or_default());
    let timeout = capture::stop_timeout_of(capture, instance);
    let counted = stop_timeout(timeout, limit);
    let schedule = instance.tags.keys().find(|key| key.eq_ignore_ascii_case(SCHEDULE));
    let rows = [
        (
            "Hibernation",
            instance.hibernation,
            "hibernation is configured: machines started from the image may not be reachable".to_owned(),
        ),
        (
            "PublicAddress",
            instance.lent_address && stops,
            "its public IPv4 address is lent by EC2 and changes with the stop: use an Elastic IP address to keep it".to_owned(),
        ),
        (
            "ProductCodes",
            instance.product_codes,
            "it has AWS Marketplace product codes: its image cannot be made public, nor copied by other accounts".to_owned(),
        ),
        (
            "DedicatedHost",
            instance.dedicated_host && stops,
            "it is bound to a dedicated host: it starts again only if that host has room".to_owned(),
        ),
        (
            "CapacityReservation",
            instance.reservation.is_some() && stops,
            match instance.reservation {
                Some(Reservation::Targeted) => "it is bound to a Capacity Reservation, whose place the stop gives up: it starts again only if there is still one".to_owned(),
                Some(Reservation::Open) | None => "it runs in an open Capacity Reservation: the stop gives up its place, which any machine of its type may take".to_owned(),
            },
        ),
        (
            "PlacementGroup",
            instance.placement_group.as_ref().is_some_and(|group| !group.is_empty()) && stops,
            "it is in a placement group: the stop gives up its place, and in a cluster group there may be no room to start it again".to_owned(),
        ),
        (
            "BareMetal",
            capture::is_metal(instance) && stops,
            format!(
                "bare metal may take {} s to stop, and {counted} s are allowed: spec.capture.stop.timeoutSeconds sets another \
                 time, within maxDowntimeSeconds",
                capture::METAL_STOPS_IN
            ),
        ),
        (
            "Scheduler",
            schedule.is_some() && (stops || reboots(facts, instance)),
            format!(
                "the tag {} says that a scheduler starts and stops it: save it at a time at which that leaves it alone",
                schedule.map(String::as_str).unwrap_or_default()
            ),
        ),
        (
            "StopTimeout",
            counted < i64::from(timeout) && stops,
            format!("spec.capture.stop.timeoutSeconds counts as {counted}: the image must fit before maxDowntimeSeconds"),
        ),
    ];
    let holds = rows.into_iter().filter(|(_, holds, _)| *holds);
    let stale = tagged::stale(facts, instance).map(|key| {
        let text = format!(
            "it has carried a restart record under {} for a day that nobody can be owed by: it is ignored",
            quoted(&key)
        );
        noted("RestartRecord", CheckResult::Warning, text)
    });
    let holds = holds.map(|(check, _, text)| noted(check, CheckResult::Warning, text)).chain(stale);
    let patience = fold::is_patient(facts).then(fold::patience);
    let patience = patience.map(|row| noted(&row.check, row.result, row.message.unwrap_or_default()));
    holds.chain(patience).collect()
}

fn state(instance: &Instance) -> Finding {
    let id = &instance.id;
    match instance.state {
        InstanceState::Running | InstanceState::Stopped => passed("State"),
        InstanceState::Pending | InstanceState::Stopping | InstanceState::Unknown => failed(
            "State",
            Reason::InstanceBusy,
            format!("{id} is {}: waiting until it runs or is stopped", instance.state.as_str()),
        ),
        InstanceState::ShuttingDown | InstanceState::Terminated => {
            failed("State", Reason::InstanceTerminated, format!("{id} is {}", instance.state.as_str()))
        }
    }
}

/// The names of the images, in home and in each region: nobody else may have them.
fn free_names(facts: &Facts<'_>) -> Vec<Finding> {
    let (revision, attempt) = (facts.subject.spec.revision, requests::next_attempt(facts));
    let name = facts.owner().image_name(facts.template_name(), revision, attempt);
    let regions =
        std::iter::once(facts.home()).chain(facts.subject.spec.regions.iter().map(|region| &region.name));
    let mut findings = Vec::new();
    for region in regions {
        let images = if region == facts.home() { facts.images() } else { facts.images_in(region) };
        let Some(images) = images else {
            let why =
                facts.world.abroad.get(region).and_then(|view| view.as_ref().err()).map(ToString::to_string);
            let finding = noted("NameFree", CheckResult::Unknown, why.unwrap_or_else(|| "not read".into()));
            findings.push(in_region(finding, region));
            continue;
        };
        if let Some(taken) = images.iter().find(|image| image.name == name && !facts.is_ours(image, region)) {
            let text = format!(
                "the name {name} is taken by {0} in {region}: set spec.revision to {next}, deregister {0}, or make another object with another \
                 spec.templateName",
                taken.id,
                next = revision.saturating_add(1)
            );
            findings.push(in_region(failed("NameFree", Reason::NameConflict, text), region));
        }
    }
    if findings.is_empty() { vec![passed("NameFree")] } else { findings }
}

pub(super) fn stops(facts: &Facts<'_>, instance: &Instance) -> bool {
    let mode = facts.subject.spec.capture.mode_or_default();
    mode == CaptureMode::Stop && instance.state != InstanceState::Stopped
}

pub(super) fn reboots(facts: &Facts<'_>, instance: &Instance) -> bool {
    let mode = facts.subject.spec.capture.mode_or_default();
    mode == CaptureMode::Reboot && instance.state != InstanceState::Stopped
}
