//! What only calls about one machine tell: its attributes, its volumes, and who else is at work on it.
use std::collections::BTreeSet;

use saved_template_api::{
    Reason,
    ids::{InstanceId, VolumeId},
    names,
    spec::InstanceStore,
    status::CheckResult,
};

use super::{
    described::stops,
    finding::{Finding, failed, in_region, noted, passed, test, unanswered},
};
use crate::{
    ec2_error::Ec2Error,
    facts::Facts,
    fold::MULTI_ATTACH,
    ownership::revision_of,
    quote::{flag, quoted},
    time::seconds_between,
    world::{Image, ImageState, Instance, OptIn, Probe, Snapshot, SnapshotState, Volume},
};

/// What only calls about this machine tell.
pub(super) fn probed(facts: &Facts<'_>, instance: &Instance, probe: &Probe) -> Vec<Finding> {
    let id = &instance.id;
    let (stops, region) = (stops(facts, instance), facts.home());
    let mut findings = vec![
        answer("StopProtection", &probe.stop_protected, |protected| {
            test("StopProtection", !(protected && stops), Reason::StopProtected, || {
                format!(
                    "{id} is protected from being stopped: aws ec2 modify-instance-attribute --region {region} --instance-id {id} --no-disable-api-stop"
                )
            })
        }),
        answer("InstanceStore", &probe.instance_store, |has_store| {
            instance_store(facts, id, has_store && stops)
        }),
        answer("ShutdownBehavior", &probe.shutdown_terminates, |terminates| {
            let text = "a shutdown from inside terminates it (instanceInitiatedShutdownBehavior): nobody should do that while it is saved";
            if terminates && stops {
                noted("ShutdownBehavior", CheckResult::Warning, text)
            } else {
                passed("ShutdownBehavior")
            }
        }),
        answer("ScheduledEvents", &probe.events, |events| {
            let text = format!("EC2 has events scheduled for it: {}", events.join(", "));
            if events.is_empty() {
                passed("ScheduledEvents")
            } else {
                noted("ScheduledEvents", CheckResult::Warning, text)
            }
        }),
        owned_volumes(&probe.volumes),
        encrypted(&probe.volumes, stops),
        young_snapshots(facts, probe),
        pending_images(facts, id, &probe.pending_images),
        namesakes(facts, &probe.namesakes),
        multi_attach(&probe.volumes),
        answer("CreateImagePermitted", &probe.create_image, |()| passed("CreateImagePermitted")),
    ];
    match &probe.regions {
        Ok(known) => {
            let copies = facts.subject.spec.regions.iter().enumerate();
            let copies = copies.map(|(at, region)| (format!("spec.regions[{at}].name"), &region.name));
            let wanted = std::iter::once(("spec.source.region".to_owned(), facts.home())).chain(copies);
            let off = wanted.filter(|(_, region)| known.get(region) != Some(&OptIn::Enabled));
            let off = off.map(|(field, region)| {
                let text = format!(
                    "{field}: {region} does not exist or is not enabled for this account: enable it, or take it out of the manifest"
                );
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

fn instance_store(facts: &Facts<'_>, id: &InstanceId, erases: bool) -> Finding {
    match facts.subject.spec.capture.instance_store {
        _ if !erases => passed("InstanceStore"),
        InstanceStore::Discard => {
            let text = "a stop erases its instance-store volumes, as spec.capture.instanceStore allows";
            noted("InstanceStore", CheckResult::Warning, text)
        }
        InstanceStore::Refuse => {
            let text = format!(
                "{id} may have instance-store volumes: a stop erases their data, and no image holds it. Allow it with \
                 spec.capture.instanceStore Discard, or use spec.capture.mode Reboot"
            );
            failed("InstanceStore", Reason::InstanceStoreDataLoss, text)
        }
    }
}

fn owned_volumes(volumes: &Result<Vec<Volume>, Ec2Error>) -> Finding {
    answer("VolumeOwner", volumes, |volumes| {
        let managed = volumes.iter().filter(|volume| volume.managed);
        let ids: Vec<&str> = managed.map(|volume| volume.id.as_str()).collect();
        test("VolumeOwner", ids.is_empty(), Reason::InstanceNotSupported, || {
            format!(
                "managed by an AWS service: {}: leave such devices out with spec.capture.excludeDeviceNames",
                ids.join(", ")
            )
        })
    })
}

/// The start of a machine with encrypted volumes needs the key; EC2 cannot be asked beforehand.
fn encrypted(volumes: &Result<Vec<Volume>, Ec2Error>, stops: bool) -> Finding {
    let encrypted = volumes.as_deref().unwrap_or_default().iter().filter(|volume| volume.key.is_some());
    let ids: Vec<&str> = encrypted.map(|volume| volume.id.as_str()).collect();
    // Whoever may read the object need not know the keys.
    let text = format!(
        "whether the controller's identity may use the keys of {} (kms:CreateGrant) cannot be tried: without it the start fails",
        ids.join(", ")
    );
    if ids.is_empty() || !stops {
        passed("VolumeKeys")
    } else {
        noted("VolumeKeys", CheckResult::Unknown, text)
    }
}

/// §11: EC2 refuses a snapshot of a volume that has too many pending ones, or a very young one.
fn young_snapshots(facts: &Facts<'_>, probe: &Probe) -> Finding {
    answer("PendingSnapshots", &probe.snapshots, |snapshots| {
        let slow = |volume: &VolumeId| {
            let volumes = probe.volumes.as_deref().unwrap_or_default();
            volumes.iter().any(|known| known.id == *volume && ["st1", "sc1"].contains(&known.kind.as_str()))
        };
        let pending = |volume: &VolumeId| {
            let of = |shot: &&Snapshot| shot.volume == *volume && shot.state == SnapshotState::Pending;
            snapshots.iter().filter(of).count()
        };
        let young = |volume: &VolumeId| {
            let at = snapshots.iter().filter(|shot| shot.volume == *volume).filter_map(|shot| shot.started);
            at.max().is_some_and(|at| seconds_between(at, facts.now) < 15)
        };
        let busy = snapshots.iter().map(|shot| &shot.volume).filter(|volume| {
            let most = if slow(volume) { 1 } else { 4 };
            pending(volume) >= most || young(volume)
        });
        let busy: BTreeSet<&str> = busy.map(VolumeId::as_str).collect();
        test("PendingSnapshots", busy.is_empty(), Reason::InstanceBusy, || {
            let ids: Vec<&str> = busy.iter().copied().collect();
            format!(
                "snapshots are young or still being made of {}: waiting until they are done",
                ids.join(", ")
            )
        })
    })
}

/// §4: a backup tool that is imaging the machine: our stop would spoil its image.
fn pending_images(facts: &Facts<'_>, id: &InstanceId, images: &Result<Vec<Image>, Ec2Error>) -> Finding {
    answer("PendingImages", images, |images| {
        let others = images
            .iter()
            .filter(|image| image.state == ImageState::Pending && !facts.is_ours(image, facts.home()));
        let others: Vec<&str> = others.map(|image| image.id.as_str()).collect();
        test("PendingImages", others.is_empty(), Reason::InstanceBusy, || {
            format!("somebody else is making {} of {id}: waiting until it is done", others.join(", "))
        })
    })
}

/// Another cluster has saved a template of this namespace, name and revision.
fn namesakes(facts: &Facts<'_>, images: &Result<Vec<Image>, Ec2Error>) -> Finding {
    answer("RevisionFree", images, |images| {
        let foreign = images.iter().filter(|image| facts.is_namesakes(image));
        let newest = foreign
            .filter_map(|image| Some((revision_of(&image.tags)?, image)))
            .max_by_key(|(revision, _)| *revision);
        let taken = newest.filter(|(revision, _)| *revision >= facts.subject.spec.revision);
        test("RevisionFree", taken.is_none(), Reason::RevisionTaken, || {
            let (revision, image) =
                taken.map_or((0, String::new()), |(revision, image)| (revision, image.id.to_string()));
            let cluster = taken.and_then(|(_, image)| image.tags.get(names::tag::CLUSTER));
            let cluster = cluster.map(String::as_str).unwrap_or_default();
            format!(
                "{image} is revision {revision} of this template, made by the cluster {}: set spec.revision to {}, or, if that \
                 cluster is gone, start the controller with {}",
                quoted(cluster),
                revision.saturating_add(1),
                flag("--adopt-from", cluster)
            )
        })
    })
}

/// No reason not to save; but where other machines may write, or nobody knows, consistency is not claimed.
fn multi_attach(volumes: &Result<Vec<Volume>, Ec2Error>) -> Finding {
    match volumes {
        Ok(volumes) if !volumes.iter().any(|volume| volume.multi_attach) => passed("SingleAttach"),
        Ok(volumes) => {
            let ids: Vec<&str> = volumes
                .iter()
                .filter(|volume| volume.multi_attach)
                .map(|volume| volume.id.as_str())
                .collect();
            let text =
                format!("{} may be written by other machines: consistency cannot be claimed", ids.join(", "));
            noted(MULTI_ATTACH, CheckResult::Warning, text)
        }
        Err(refusal) => noted(MULTI_ATTACH, CheckResult::Unknown, refusal.to_string()),
    }
}

fn answer<T: Clone>(check: &str, answer: &Result<T, Ec2Error>, then: impl FnOnce(T) -> Finding) -> Finding {
    match answer {
        Ok(value) => then(value.clone()),
        Err(refusal) => refused(check, refusal),
    }
}

fn refused(check: &str, refusal: &Ec2Error) -> Finding {
    match refusal.reason() {
        Some(reason) => failed(check, reason, refusal.told()),
        None => unanswered(check, refusal),
    }
}
