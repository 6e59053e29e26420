//! May this machine be stopped, and can what follows succeed? Everything that can be known before the first write.
mod busy;
mod probe;

use std::collections::BTreeSet;

use saved_template_api::{
    Reason,
    condition::cut,
    ids::Region,
    names,
    spec::CaptureMode,
    status::{CaptureStatus, CheckResult, MAX_CHECK_MESSAGE_BYTES, MAX_CHECKS, PreflightCheck},
};

use crate::{
    capture,
    decision::Question,
    fold,
    needs::{requests, tagged},
    quote::quoted,
    refusal::{Class, Refusal},
    restart::stop_timeout,
    scene::Scene,
    time::LATER,
    unmet::{Unmet, Waits},
    world::{Instance, InstanceState, Reservation},
};

/// The tag by which Instance Scheduler on AWS knows its machines, unless it is told another one.
const SCHEDULE: &str = "Schedule";

/// EC2 allows so many tags of users ("Tag restrictions"); its own, `aws:…`, are not counted.
const MOST_TAGS: usize = 50;

struct Finding {
    row: PreflightCheck,
    reason: Reason,
    /// The message of the row before it was cut.
    message: String,
}

fn finding(check: &str, result: CheckResult, reason: Reason, message: String) -> Finding {
    let short = Some(message.clone()).filter(|text| !text.is_empty());
    let row = PreflightCheck {
        check: check.to_owned(),
        region: None,
        result,
        message: short.map(|text| cut(text, MAX_CHECK_MESSAGE_BYTES)),
    };
    Finding { row, reason, message }
}

fn passed(check: &str) -> Finding {
    finding(check, CheckResult::Passed, Reason::PreflightPassed, String::new())
}

fn failed(check: &str, reason: Reason, message: impl Into<String>) -> Finding {
    finding(check, CheckResult::Failed, reason, message.into())
}

fn noted(check: &str, result: CheckResult, message: impl Into<String>) -> Finding {
    finding(check, result, Reason::PreflightPassed, message.into())
}

fn test(check: &str, good: bool, reason: Reason, message: impl FnOnce() -> String) -> Finding {
    if good { passed(check) } else { failed(check, reason, message()) }
}

/// The machine, if it may be stopped; else what stands in the way. Asks for the probe once Describe calls passed.
pub(crate) fn check<'a>(scene: &mut Scene<'a>) -> Result<Result<&'a Instance, Unmet>, Question> {
    if !scene.world.covered {
        let message = format!(
            "no machine is given back in {0} when Kubernetes is gone: start the controller with --regions that name {0}, or without",
            scene.home()
        );
        return Ok(Err(Unmet::invalid(Reason::RegionNotCovered, message)));
    }
    let instance = match find(scene) {
        Ok(instance) => instance,
        Err(unmet) => return Ok(Err(unmet)),
    };
    fold::source(scene, instance);
    fold::images(scene);
    if let Some(unmet) = busy::busy(scene, instance) {
        return Ok(Err(unmet));
    }
    let mut findings = described(scene, instance);
    if findings.iter().all(|finding| finding.row.result != CheckResult::Failed) {
        let Some(probe) = &scene.world.probe else {
            return Err(question(scene, instance));
        };
        findings.extend(probe::probed(scene, instance, probe));
    }
    let unmet = told(&findings);
    scene.status.preflight = findings.into_iter().map(|finding| finding.row).take(MAX_CHECKS).collect();
    Ok(unmet.map_or(Ok(instance), Err))
}

/// What could not be asked is no reason against the machine, and nothing is begun without it.
fn unanswered(check: &str, refusal: &Refusal) -> Finding {
    finding(check, CheckResult::Unknown, Reason::NotChecked, format!("{refusal}; asked again"))
}

/// Whether a reason passes by itself.
fn passes(reason: Reason) -> bool {
    matches!(reason, Reason::InstanceBusy | Reason::NotChecked)
}

/// What stands in the way, first what somebody must change: all that has one reason, and the checks that have others.
fn told(findings: &[Finding]) -> Option<Unmet> {
    let is_bad = |finding: &&Finding| {
        finding.row.result == CheckResult::Failed || finding.reason == Reason::NotChecked
    };
    let bad: Vec<&Finding> = findings.iter().filter(is_bad).collect();
    let reason = bad.iter().find(|finding| !passes(finding.reason)).or(bad.first())?.reason;
    let (same, others): (Vec<_>, Vec<_>) = bad.into_iter().partition(|finding| finding.reason == reason);
    let words: Vec<&str> = same.iter().map(|finding| finding.message.as_str()).collect();
    let mut message = words.join("; ");
    if !others.is_empty() {
        let names: BTreeSet<&str> = others.iter().map(|finding| finding.row.check.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        message = format!("{message}; status.preflight has more: {}", names.join(", "));
    }
    let unmet = Unmet::invalid(reason, message);
    Some(if passes(reason) { Unmet { waits: Waits::ForUs, look_again: LATER, ..unmet } } else { unmet })
}

fn find<'a>(scene: &mut Scene<'a>) -> Result<&'a Instance, Unmet> {
    if let Some(Err(refusal)) = scene.view().map(|view| &view.instances) {
        return Err(unreadable(refusal));
    }
    let source = &scene.subject.spec.source;
    let region = &source.region;
    let (matches, what): (Vec<&Instance>, String) = match (&source.instance_id, &source.instance_name) {
        (Some(id), _) => (
            scene.instances().iter().filter(|instance| instance.id == *id).collect(),
            format!("instance {id}"),
        ),
        (None, Some(name)) => {
            let named =
                |instance: &&Instance| instance.tags.get("Name") == Some(name) && !instance.state.is_gone();
            (scene.instances().iter().filter(named).collect(), format!("instance with the tag Name={name}"))
        }
        (None, None) => (Vec::new(), "instance".to_owned()),
    };
    let pinned = scene.pinned().filter(|_| source.instance_id.is_none());
    let of_before = matches.iter().copied().find(|instance| Some(&instance.id) == pinned.as_ref());
    let matches = of_before.map_or(matches, |instance| vec![instance]);
    match matches.as_slice() {
        [instance] if pinned.as_ref().is_some_and(|pinned| *pinned != instance.id) => {
            let message = format!(
                "the tag Name={name} is on {new} now, and this template was saved from {old}: if {new} is meant, set \
                 spec.source.instanceID to it",
                name = source.instance_name.as_deref().unwrap_or_default(),
                new = instance.id,
                old = pinned.map(|id| id.to_string()).unwrap_or_default()
            );
            Err(Unmet::invalid(Reason::SourceChanged, message))
        }
        [instance] if instance.state.is_gone() => {
            let message =
                format!("{} is {}: name a machine that exists", instance.id, instance.state.as_str());
            Err(Unmet::invalid(Reason::InstanceTerminated, message))
        }
        [instance] => Ok(instance),
        [] => {
            let message = format!(
                "there is no {what} in {region}: correct spec.source, or check with aws ec2 describe-instances --region {region}"
            );
            Err(Unmet { look_again: LATER, ..Unmet::invalid(Reason::InstanceNotFound, message) })
        }
        many => {
            let ids: Vec<&str> = many.iter().map(|instance| instance.id.as_str()).take(5).collect();
            let message = format!(
                "{} instances have that name in {region} ({}): set spec.source.instanceID",
                many.len(),
                ids.join(", ")
            );
            Err(Unmet::invalid(Reason::InstanceAmbiguous, message))
        }
    }
}

/// What could not be read: nothing is begun until it can be.
pub(crate) fn unreadable(refusal: &Refusal) -> Unmet {
    if refusal.class == Class::Denied {
        return Unmet::invalid(Reason::AccessDenied, refusal.told());
    }
    let waiting = Unmet::waiting(Reason::Preflight, refusal.to_string(), LATER);
    Unmet { invalid: Some(Reason::NotChecked), ..waiting }
}

/// What Describe calls tell.
fn described(scene: &Scene<'_>, instance: &Instance) -> Vec<Finding> {
    let id = &instance.id;
    let has_tag = |wanted: &[&str]| {
        let is = |key: &String| {
            wanted.iter().any(|wanted| key == wanted || (wanted.ends_with('/') && key.starts_with(wanted)))
        };
        instance.tags.keys().find(|key| is(key)).cloned()
    };
    let tags = instance.tags.keys().filter(|key| !key.to_ascii_lowercase().starts_with("aws:")).count();
    let ours = [names::receipts_key(scene.subject.cluster), names::debt_key(scene.subject.cluster)];
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
        |zone: &String| zone.strip_prefix(scene.home().as_str()).is_some_and(|rest| rest.len() == 1);
    let local_zone = !instance.zone.as_ref().is_none_or(in_region);
    let spot = instance.lifecycle.as_deref().is_some_and(|lifecycle| lifecycle != "on-demand");
    let attached =
        !instance.attachments.is_empty() && instance.attachments.iter().all(|volume| volume.attached);
    let (stops, reboots) = (stops(scene, instance), reboots(scene, instance));
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
        devices(scene, instance),
    ];
    findings.extend(warnings(scene, instance));
    findings.extend(free_names(scene));
    findings
}

fn stops(scene: &Scene<'_>, instance: &Instance) -> bool {
    let mode = scene.subject.spec.capture.mode_or_default();
    mode == CaptureMode::Stop && instance.state != InstanceState::Stopped
}

fn reboots(scene: &Scene<'_>, instance: &Instance) -> bool {
    let mode = scene.subject.spec.capture.mode_or_default();
    mode == CaptureMode::Reboot && instance.state != InstanceState::Stopped
}

/// What is left out must be there, and must not be the root.
fn devices(scene: &Scene<'_>, instance: &Instance) -> Finding {
    let known: Vec<&str> = instance.attachments.iter().map(|volume| volume.device.as_str()).collect();
    let excluded = &scene.subject.spec.capture.exclude_device_names;
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
fn warnings(scene: &Scene<'_>, instance: &Instance) -> Vec<Finding> {
    let capture = &scene.subject.spec.capture;
    let (stops, limit) = (stops(scene, instance), capture.max_downtime_seconds_or_default());
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
            schedule.is_some() && (stops || reboots(scene, instance)),
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
    let stale = tagged::stale(scene, instance).map(|key| {
        let text = format!(
            "it has carried a restart record under {} for a day that nobody can be owed by: it is ignored",
            quoted(&key)
        );
        noted("RestartRecord", CheckResult::Warning, text)
    });
    let holds = holds.map(|(check, _, text)| noted(check, CheckResult::Warning, text)).chain(stale);
    let patience = fold::is_patient(scene).then(fold::patience);
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
fn free_names(scene: &Scene<'_>) -> Vec<Finding> {
    let attempts = scene.attempts_at(scene.subject.spec.revision).saturating_add(1);
    let name = scene.owner().image_name(scene.template_name(), scene.subject.spec.revision, attempts);
    let regions =
        std::iter::once(scene.home()).chain(scene.subject.spec.regions.iter().map(|region| &region.name));
    let mut findings = Vec::new();
    for region in regions {
        let images = if region == scene.home() { scene.images() } else { scene.images_in(region) };
        let Some(images) = images else {
            let why =
                scene.world.abroad.get(region).and_then(|view| view.as_ref().err()).map(ToString::to_string);
            let finding = noted("NameFree", CheckResult::Unknown, why.unwrap_or_else(|| "not read".into()));
            findings.push(in_region(finding, region));
            continue;
        };
        if let Some(taken) = images.iter().find(|image| image.name == name && !scene.is_ours(image, region)) {
            let text = format!(
                "the name {name} is taken by {} in {region}: choose another spec.templateName, or deregister it",
                taken.id
            );
            findings.push(in_region(failed("NameFree", Reason::NameConflict, text), region));
        }
    }
    if findings.is_empty() { vec![passed("NameFree")] } else { findings }
}

fn in_region(finding: Finding, region: &Region) -> Finding {
    Finding { row: PreflightCheck { region: Some(region.clone()), ..finding.row }, ..finding }
}

fn question(scene: &Scene<'_>, instance: &Instance) -> Question {
    let spec = scene.subject.spec;
    let sketch = CaptureStatus {
        id: "0".repeat(16),
        revision: spec.revision,
        attempts: scene.attempts_at(scene.subject.spec.revision).saturating_add(1),
        mode: spec.capture.mode_or_default(),
        exclude_device_names: spec.capture.exclude_device_names.clone(),
        ..CaptureStatus::default()
    };
    Question::Probe {
        instance: instance.id.clone(),
        instance_type: instance.instance_type.clone().unwrap_or_default(),
        volumes: instance.attachments.iter().map(|volume| volume.volume.clone()).collect(),
        request: Box::new(requests::image_request(scene, &sketch, instance)),
    }
}

#[cfg(test)]
mod tests;
