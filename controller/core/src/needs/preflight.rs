//! May this machine be stopped, and can what follows succeed? Everything that can be known before the first write.
use saved_template_api::{
    Reason,
    condition::cut,
    ids::{Region, VolumeId},
    status::{CaptureStatus, CheckResult, PreflightCheck},
};

use crate::{
    decide::Question,
    fold,
    needs::{LATER, Unmet, image, plan, record},
    refusal::{Class, Refusal},
    scene::Scene,
    world::{Instance, InstanceState, OptIn, Probe},
};

/// The row of volumes with Multi-Attach: their snapshots prove nothing about other writers.
pub(crate) const MULTI_ATTACH: &str = "MultiAttach";

/// EC2 allows 50 tags; the record and the receipt need two.
const MOST_TAGS: usize = 48;

struct Finding {
    row: PreflightCheck,
    reason: Reason,
}

fn row(check: &str, result: CheckResult, message: impl Into<String>) -> PreflightCheck {
    let message = Some(message.into()).filter(|message: &String| !message.is_empty());
    PreflightCheck {
        check: check.to_owned(),
        region: None,
        result,
        message: message.map(|text| cut(text, 512)),
    }
}

fn passed(check: &str) -> Finding {
    Finding { row: row(check, CheckResult::Passed, ""), reason: Reason::PreflightPassed }
}

fn failed(check: &str, reason: Reason, message: impl Into<String>) -> Finding {
    Finding { row: row(check, CheckResult::Failed, message), reason }
}

fn noted(check: &str, result: CheckResult, message: impl Into<String>) -> Finding {
    Finding { row: row(check, result, message), reason: Reason::PreflightPassed }
}

fn test(check: &str, good: bool, reason: Reason, message: impl FnOnce() -> String) -> Finding {
    if good { passed(check) } else { failed(check, reason, message()) }
}

/// The machine, if it may be stopped; else what stands in the way. Asks for the probe once Describe calls passed.
pub(crate) fn check<'a>(scene: &mut Scene<'a>) -> Result<Result<&'a Instance, Unmet>, Question> {
    let instance = match find(scene) {
        Ok(instance) => instance,
        Err(unmet) => return Ok(Err(unmet)),
    };
    fold::source(scene, instance);
    fold::images(scene);
    if let Some(unmet) = busy(scene, instance) {
        return Ok(Err(unmet));
    }
    let mut findings = described(scene, instance);
    if findings.iter().all(|finding| finding.row.result != CheckResult::Failed) {
        let Some(probe) = &scene.world.probe else {
            return Err(question(scene, instance));
        };
        findings.extend(probed(scene, instance, probe));
    }
    let bad = findings.iter().find(|finding| finding.row.result == CheckResult::Failed);
    let unmet = bad.map(|bad| Unmet::invalid(bad.reason, bad.row.message.clone().unwrap_or_default()));
    scene.status.preflight = findings.into_iter().map(|finding| finding.row).take(64).collect();
    Ok(unmet.map_or(Ok(instance), Err))
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
    match matches.as_slice() {
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

fn unreadable(refusal: &Refusal) -> Unmet {
    if refusal.class == Class::Denied {
        return Unmet::invalid(Reason::AccessDenied, record::access(&refusal.to_string()));
    }
    Unmet::waiting(Reason::Preflight, refusal.to_string(), LATER)
}

/// A record on the machine is a debt, whoever wrote it: no plan until it is paid.
fn busy(scene: &Scene<'_>, instance: &Instance) -> Option<Unmet> {
    let waits = |message: String| {
        Some(Unmet {
            invalid: Some(Reason::InstanceBusy),
            ..Unmet::waiting(Reason::Preflight, message, LATER)
        })
    };
    if instance.tags.contains_key(&scene.debt_key()) {
        return waits(format!(
            "{} carries a restart record of this installation, which is paid first",
            instance.id
        ));
    }
    if let Some(key) = record::foreign_record(scene, instance) {
        return waits(format!(
            "{} carries the restart record {key} of another installation: it is saved there first",
            instance.id
        ));
    }
    let receipt = instance.tags.get(&scene.owner().receipt_key())?;
    let revision: Option<i32> =
        receipt.strip_prefix('r').and_then(|text| text.split(' ').next()).and_then(|text| text.parse().ok());
    let begun = revision.is_some_and(|revision| revision >= scene.subject.spec.revision);
    (begun && scene.status.latest_revision.is_none()).then(|| {
        let message = format!(
            "the receipt on {} says that revision {} was captured before ({receipt}), and its image is gone: it is not captured \
             again by itself. To allow it: aws ec2 delete-tags --region {} --resources {} --tags Key={}",
            instance.id,
            scene.subject.spec.revision,
            scene.home(),
            instance.id,
            scene.owner().receipt_key()
        );
        Unmet::stalled(Reason::ImageMissing, message)
    })
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
    let mut findings = vec![
        state(instance),
        test("RootDevice", instance.ebs_root, Reason::UnsupportedRootDevice, || {
            format!("the root device of {id} is instance store: only EBS-backed machines can be saved")
        }),
        test("OnDemand", !spot, Reason::SpotInstance, || {
            format!("{id} is a Spot Instance: EC2 may not start it again; save a machine that is not")
        }),
        test("AutoScaling", group.is_none(), Reason::AutoScalingMember, || {
            format!(
                "{id} belongs to an Auto Scaling group, which would replace it while it is stopped: detach it, or enter standby, first"
            )
        }),
        test("ClusterNode", node.is_none(), Reason::ClusterNode, || {
            format!(
                "{id} looks like a node of a cluster (tag {}): stopping it would drain it",
                node.unwrap_or_default()
            )
        }),
        test("Managed", !instance.managed, Reason::ManagedInstance, || {
            format!("{id} is managed by an AWS service, which alone may stop it")
        }),
        test("Placement", !(is_mac || instance.outpost || local_zone), Reason::InstanceNotSupported, || {
            format!("{id} is a Mac instance, or on an Outpost or in a Local Zone: not supported")
        }),
        test("Tags", instance.tags.len() < MOST_TAGS, Reason::TooManyTags, || {
            format!("{id} has {} tags: EC2 allows 50 and two are needed, remove some", instance.tags.len())
        }),
        test("Volumes", attached, Reason::InstanceBusy, || {
            format!("{id} has no volume, or one that is being attached or detached")
        }),
    ];
    if instance.hibernation {
        let text = "hibernation is configured: machines started from the image may not be reachable";
        findings.push(noted("Hibernation", CheckResult::Warning, text));
    }
    findings.extend(free_names(scene));
    findings
}

fn state(instance: &Instance) -> Finding {
    let id = &instance.id;
    match instance.state {
        InstanceState::Running => passed("State"),
        InstanceState::Stopped => {
            let text = format!(
                "{id} is stopped. Saving a stopped machine is not yet supported by this version: start it with \
                 aws ec2 start-instances --instance-ids {id}"
            );
            failed("State", Reason::NotYetSupported, text)
        }
        InstanceState::Pending | InstanceState::Stopping | InstanceState::Unknown => failed(
            "State",
            Reason::InstanceBusy,
            format!("{id} is {}: waiting until it runs", instance.state.as_str()),
        ),
        InstanceState::ShuttingDown | InstanceState::Terminated => {
            failed("State", Reason::InstanceTerminated, format!("{id} is {}", instance.state.as_str()))
        }
    }
}

/// The names of the images, in home and in each region: nobody else may have them.
fn free_names(scene: &Scene<'_>) -> Vec<Finding> {
    let attempts = plan::seen_attempts(scene).saturating_add(1);
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
        if let Some(taken) = images.iter().find(|image| image.name == name && !scene.owns(&image.tags)) {
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
        attempts: plan::seen_attempts(scene).saturating_add(1),
        description: spec.description.clone(),
        tags: spec.tags.clone(),
        ..CaptureStatus::default()
    };
    Question::Probe {
        instance: instance.id.clone(),
        instance_type: instance.instance_type.clone().unwrap_or_default(),
        volumes: instance.attachments.iter().map(|volume| volume.volume.clone()).collect(),
        request: Box::new(image::image_request(scene, &sketch, instance)),
    }
}

/// What only calls about this machine tell.
fn probed(scene: &Scene<'_>, instance: &Instance, probe: &Probe) -> Vec<Finding> {
    let id = &instance.id;
    let mut findings = vec![
        answer("StopProtection", &probe.stop_protected, |protected| {
            test("StopProtection", !protected, Reason::StopProtected, || {
                format!(
                    "{id} is protected from being stopped: aws ec2 modify-instance-attribute --instance-id {id} --no-disable-api-stop"
                )
            })
        }),
        answer("InstanceStore", &probe.instance_store, |has_store| {
            test("InstanceStore", !has_store, Reason::InstanceStoreDataLoss, || {
                format!("{id} has instance-store volumes: a stop erases their data, and no image holds it")
            })
        }),
        multi_attach(&probe.multi_attach),
        answer("CreateImagePermitted", &probe.create_image, |()| passed("CreateImagePermitted")),
    ];
    match &probe.regions {
        Ok(known) => {
            let wanted = std::iter::once(scene.home())
                .chain(scene.subject.spec.regions.iter().map(|region| &region.name));
            let off = wanted.filter(|region| known.get(region) != Some(&OptIn::Enabled)).map(|region| {
                let text = format!("{region} does not exist or is not enabled for this account: enable it, or take it out of the manifest");
                in_region(failed("RegionEnabled", Reason::RegionNotEnabled, text), region)
            });
            let off: Vec<Finding> = off.collect();
            findings.extend(if off.is_empty() { vec![passed("RegionEnabled")] } else { off });
        }
        Err(refusal) => findings.push(refused("RegionEnabled", refusal)),
    }
    let text = "CopyImage, KMS keys and capacity for the start cannot be tried before there is an image";
    findings.push(noted("CopyImagePermitted", CheckResult::Unknown, text));
    findings
}

/// No reason not to save; but where other machines may write, or nobody knows, consistency is not claimed.
fn multi_attach(volumes: &Result<Vec<VolumeId>, Refusal>) -> Finding {
    match volumes {
        Ok(volumes) if volumes.is_empty() => passed("SingleAttach"),
        Ok(volumes) => {
            let ids: Vec<&str> = volumes.iter().map(VolumeId::as_str).collect();
            let text =
                format!("{} may be written by other machines: consistency cannot be claimed", ids.join(", "));
            noted(MULTI_ATTACH, CheckResult::Warning, text)
        }
        Err(refusal) => noted(MULTI_ATTACH, CheckResult::Unknown, refusal.to_string()),
    }
}

fn answer<T: Clone>(check: &str, answer: &Result<T, Refusal>, then: impl FnOnce(T) -> Finding) -> Finding {
    match answer {
        Ok(value) => then(value.clone()),
        Err(refusal) => refused(check, refusal),
    }
}

fn refused(check: &str, refusal: &Refusal) -> Finding {
    match refusal.class {
        Class::Denied => failed(check, Reason::AccessDenied, record::access(&refusal.to_string())),
        Class::NameTaken => failed(check, Reason::NameConflict, refusal.to_string()),
        Class::Throttle | Class::Unknown | Class::Wait | Class::Capacity | Class::NotFound | Class::Late => {
            failed(check, Reason::InstanceBusy, format!("{refusal}; asked again"))
        }
        Class::TokenUsed | Class::Caller => failed(check, Reason::InstanceNotSupported, refusal.to_string()),
    }
}

#[cfg(test)]
mod tests;
