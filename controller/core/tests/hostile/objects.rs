//! Objects that the schema takes, whatever sense they make: specs and statuses written by hand.
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use saved_template_api::{
    ImageId, InstanceId, Region, SavedTemplateSpec, SavedTemplateStatus, VolumeId,
    ids::AccountId,
    revision::LARGEST_REVISION,
    spec::{CaptureMode, OnStopTimeout, RestartWhen},
    status::{
        Announced, CaptureStatus, CheckResult, Consistency, MAX_ANNOUNCED, MAX_CHECKS, MAX_CODE_BYTES,
        MAX_OUTCOME_BYTES, MAX_REQUEST_BYTES, PreflightCheck, RegionImage, RegionRole, RegionState,
        RegionStatus, RemovedImage, RevisionImage, RevisionState, RevisionStatus, Shares, SourceStatus,
        StepOutcome, Storage,
    },
};
use saved_template_core::restart::{Awaits, Record};
use serde_json::{Value, json};
use strum::IntoEnumIterator;

use super::dice::Dice;

/// Home is the first.
pub(crate) const REGIONS: [&str; 4] = ["us-west-2", "us-east-2", "us-west-1", "eu-west-1"];
const CAPTURES: [&str; 3] = ["0123456789abcdef", "fedcba9876543210", ""];

/// One of a few regions, or one that does not exist.
pub(crate) fn region(dice: &mut Dice<'_>) -> Region {
    let name = if dice.once_in(6) { invented(dice.below(80)) } else { dice.pick(&REGIONS).to_owned() };
    name.parse().unwrap()
}

fn invented(number: usize) -> String {
    let letter = char::from(b'a' + u8::try_from(number / 10).unwrap());
    format!("xx-{letter}-{}", number % 10)
}

/// One of three machines.
pub(crate) fn instance_id(dice: &mut Dice<'_>) -> InstanceId {
    format!("i-0123456789abcdef{}", dice.pick(&[0, 0, 0, 1, 2])).parse().unwrap()
}

/// One of six images.
pub(crate) fn image_id(dice: &mut Dice<'_>) -> ImageId {
    format!("ami-0123456789abcdef{}", dice.below(6)).parse().unwrap()
}

/// One of four volumes.
pub(crate) fn volume_id(dice: &mut Dice<'_>) -> VolumeId {
    format!("vol-0000000000000000{}", dice.below(4) + 1).parse().unwrap()
}

/// One of two captures, or none.
pub(crate) fn capture(dice: &mut Dice<'_>) -> String {
    dice.pick(&CAPTURES).to_owned()
}

/// A record of any times, or something that only looks like one.
pub(crate) fn debt(dice: &mut Dice<'_>) -> String {
    if dice.once_in(4) {
        return dice.text(256);
    }
    record(dice).to_string()
}

/// A record that could have been planned, or whose times are nonsense.
pub(crate) fn record(dice: &mut Dice<'_>) -> Record {
    let capture = dice.pick(&CAPTURES[..2]).to_owned();
    let awaits = dice.pick(&[Awaits::Snapshots, Awaits::Snapshots, Awaits::Image, Awaits::Nothing]);
    let planned = dice.time();
    let mut record = Record::plan(
        instance_id(dice),
        capture,
        "0a1b2c3d".into(),
        planned,
        (600, 1800),
        awaits,
        dice.below(4),
    );
    if dice.once_in(4) {
        (record.stop_by, record.image_by, record.start_by) = (dice.time(), dice.time(), dice.time());
    }
    if dice.once_in(8) {
        record.volumes = dice.pick(&[usize::MAX, 1000, 0]);
    }
    record
}

/// A spec of what is built, and now and then of what is not.
pub(crate) fn spec(dice: &mut Dice<'_>) -> SavedTemplateSpec {
    let source = match dice.below(8) {
        0..5 => json!({"region": REGIONS[0], "instanceName": "quake"}),
        5 => json!({"region": REGIONS[0], "instanceID": instance_id(dice)}),
        6 => json!({"region": REGIONS[0], "instanceName": format!("q{}", dice.line(255))}),
        _ => json!({"region": region(dice), "imageID": image_id(dice)}),
    };
    let home = source["region"].clone();
    let many = dice.once_in(8);
    let mut regions: Vec<String> = if many {
        (0..40).map(|number| invented(number + 40 * usize::from(dice.flip()))).collect()
    } else {
        REGIONS[1..].iter().filter(|_| dice.flip()).map(|name| (*name).to_owned()).collect()
    };
    regions.sort();
    regions.dedup();
    regions.retain(|name| home != **name);
    let names: Vec<Value> = regions.into_iter().map(|name| json!({"name": name})).collect();
    let tags: Vec<Value> = (0..dice.pick(&[0, 0, 1, 2, 29]))
        .map(|number| json!({"key": format!("k{number}{}", dice.line(100)), "value": dice.line(256)}))
        .collect();
    let mut spec = json!({
        "source": source, "regions": names, "tags": tags, "revision": dice.revision().min(LARGEST_REVISION),
        "suspend": dice.once_in(8),
        "removedRegionPolicy": dice.pick(&["Retain", "Delete"]),
        "deletionPolicy": dice.pick(&["Retain", "Delete"]),
        "capture": {
            "mode": dice.pick(&["Stop", "Stop", "Reboot", "NoReboot"]),
            "restartWhen": dice.pick(&["SnapshotsStarted", "ImageAvailable"]),
            "maxDisruptions": dice.pick(&[1, 2, 10]),
            "maxDowntimeSeconds": dice.pick(&[300, 1800, 86_400]),
            "stop": {"timeoutSeconds": dice.pick(&[60, 600, 3600]), "onTimeout": dice.pick(&["Abort", "Force"])},
            "excludeDeviceNames": if dice.once_in(6) { json!(["/dev/sdf"]) } else { json!([]) },
        },
    });
    if dice.once_in(4) {
        spec["description"] = dice.line(255).replace(|c: char| !c.is_ascii(), "?").into();
    }
    if dice.once_in(4) {
        spec["activeRevision"] = dice.revision().min(LARGEST_REVISION).into();
    }
    if dice.once_in(12) {
        spec["sharing"] = json!({"visibility": "Public"});
    }
    serde_json::from_value(spec).unwrap()
}

/// A status that the schema takes.
pub(crate) fn status(dice: &mut Dice<'_>) -> SavedTemplateStatus {
    let most = dice.pick(&[3, 3, 3, 50]);
    let mut status = SavedTemplateStatus {
        observed_generation: dice.maybe(|dice| dice.number().max(-1)),
        latest_revision: dice.maybe(Dice::revision),
        active_revision: dice.maybe(Dice::revision),
        image_id: dice.maybe(image_id),
        images: dice.few(most, |dice| RegionImage {
            region: region(dice),
            architecture: architecture(dice),
            revision: dice.revision(),
            image_id: image_id(dice),
            created_time: dice.when(),
        }),
        regions: dice.few(most, row),
        revisions: dice.few(most.min(20), |dice| RevisionStatus {
            revision: dice.revision(),
            state: dice.pick(&[
                RevisionState::Capturing,
                RevisionState::Available,
                RevisionState::Revoked,
                RevisionState::Failed,
                RevisionState::Missing,
            ]),
            source_instance_id: dice.maybe(instance_id),
            consistency: consistency(dice),
            created_time: dice.when(),
            images: dice.few(most.min(41), |dice| RevisionImage {
                region: region(dice),
                architecture: architecture(dice),
                image_id: image_id(dice),
            }),
        }),
        region_summary: dice.maybe(|dice| dice.text(16)),
        source: dice.maybe(source),
        capture: if dice.once_in(3) { None } else { Some(begun(dice)) },
        announced: dice.few(most.min(MAX_ANNOUNCED), announced),
        removed_images: dice.few(3, removed),
        storage: dice.maybe(|dice| Storage {
            size_bytes: Some(dice.number().max(0)),
            estimated_monthly_usd: dice.maybe(|dice| dice.text(32)),
            basis: dice.maybe(|dice| dice.text(256)),
        }),
        preflight: dice.few(most.min(MAX_CHECKS), |dice| PreflightCheck {
            check: dice.pick(&["MultiAttach", "State", "?"]).to_owned(),
            region: dice.maybe(region),
            result: dice.pick(&[CheckResult::Failed, CheckResult::Passed]),
            message: dice.maybe(|dice| dice.text(256)),
        }),
        applied_tag_keys: dice.few(most, |dice| dice.text(128)),
        conditions: dice.few(16, condition),
    };
    distinct(&mut status);
    status
}

/// No two items of one key, which the API server refuses.
fn distinct(status: &mut SavedTemplateStatus) {
    let key = |region: &Region, architecture: &str| format!("{region} {architecture}");
    status.images.sort_by_key(|row| key(&row.region, &row.architecture));
    status.images.dedup_by_key(|row| key(&row.region, &row.architecture));
    status.regions.sort_by_key(|row| key(&row.region, &row.architecture));
    status.regions.dedup_by_key(|row| key(&row.region, &row.architecture));
    status.announced.sort_by_key(|last| last.region.to_string());
    status.announced.dedup_by_key(|last| last.region.to_string());
    status.removed_images.sort_by_key(|removed| removed.image_id.to_string());
    status.removed_images.dedup_by_key(|removed| removed.image_id.to_string());
    status.revisions.sort_by_key(|row| row.revision);
    status.revisions.dedup_by_key(|row| row.revision);
    status.conditions.sort_by_key(|row| row.type_.clone());
    status.conditions.dedup_by_key(|row| row.type_.clone());
}

fn architecture(dice: &mut Dice<'_>) -> String {
    dice.pick(&["x86_64", "x86_64", "x86_64", "arm64"]).to_owned()
}

fn consistency(dice: &mut Dice<'_>) -> Consistency {
    dice.pick(&[Consistency::Unknown, Consistency::Stopped, Consistency::Rebooted, Consistency::Adopted])
}

fn row(dice: &mut Dice<'_>) -> RegionStatus {
    let region = region(dice);
    let role =
        if (region.as_str() == REGIONS[0]) == dice.once_in(8) { RegionRole::Copy } else { RegionRole::Home };
    RegionStatus {
        region,
        architecture: architecture(dice),
        revision: dice.maybe(Dice::revision),
        role,
        image_id: dice.maybe(image_id),
        staging_image_id: dice.maybe(image_id),
        state: dice.pick(&[
            RegionState::Waiting,
            RegionState::Pending,
            RegionState::Available,
            RegionState::Failed,
            RegionState::Missing,
            RegionState::Retained,
        ]),
        progress_percent: dice.maybe(|dice| dice.pick(&[0, 50, 100])),
        kms_key_id: dice.maybe(|dice| dice.text(128)),
        shares: dice.maybe(|dice| Shares { count: dice.count(), in_sync: dice.flip() }),
        attempts: dice.count(),
        reason: dice.maybe(any),
        message: dice.maybe(|dice| dice.text(320)),
        next_attempt_time: dice.when(),
        announced_time: dice.when(),
    }
}

fn removed(dice: &mut Dice<'_>) -> RemovedImage {
    RemovedImage {
        image_id: image_id(dice),
        region: region(dice),
        requested_time: dice.when().unwrap_or(Time(Timestamp::UNIX_EPOCH)),
    }
}

fn any<T: IntoEnumIterator + Clone>(dice: &mut Dice<'_>) -> T {
    dice.pick(&T::iter().collect::<Vec<_>>())
}

fn source(dice: &mut Dice<'_>) -> SourceStatus {
    let state =
        |dice: &mut Dice<'_>| dice.pick(&["running", "running", "stopped", "terminated", "?"]).to_owned();
    SourceStatus {
        account_id: dice
            .maybe(|dice| dice.pick(&["123456789012", "210987654321"]).parse::<AccountId>().unwrap()),
        instance_id: dice.maybe(instance_id),
        original_state: dice.maybe(state),
        state: dice.maybe(state),
        architecture: dice.maybe(architecture),
        platform: dice.maybe(|dice| dice.text(128)),
        instance_type: dice.maybe(|dice| dice.text(64)),
        original_image_id: dice.maybe(image_id),
        root_device_type: dice.maybe(|dice| dice.text(32)),
    }
}

fn begun(dice: &mut Dice<'_>) -> CaptureStatus {
    let mut capture = CaptureStatus {
        id: capture(dice),
        revision: if dice.once_in(6) { 0 } else { dice.revision() },
        attempts: dice.count(),
        disruptions: dice.count(),
        mode: dice.pick(&[CaptureMode::Stop, CaptureMode::Stop, CaptureMode::Reboot, CaptureMode::NoReboot]),
        restart_when: dice.pick(&[RestartWhen::SnapshotsStarted, RestartWhen::ImageAvailable]),
        max_downtime_seconds: dice.pick(&[1800, 0, 300, i32::MAX]),
        exclude_device_names: dice.few(2, |dice| dice.text(32)),
        on_stop_timeout: dice.pick(&[OnStopTimeout::Abort, OnStopTimeout::Force]),
        expected_volumes: dice.few(3, volume_id),
        restart_record: dice.maybe(debt),
        source_digest: dice.maybe(|dice| dice.pick(&["0123456789abcdef", "fedcba9876543210"]).to_owned()),
        consistency: consistency(dice),
        launch_time: dice.when(),
        start_time: dice.when(),
        stop_requested_time: dice.when(),
        source_stopped_time: dice.when(),
        image_requested_time: dice.when(),
        snapshots_started_time: dice.when(),
        source_restored_time: dice.when(),
        completion_time: if dice.once_in(4) { dice.when() } else { None },
        downtime_seconds: dice.maybe(|dice| dice.number().max(0)),
        created_by: dice.maybe(|dice| dice.text(128)),
        reason: if dice.once_in(4) { Some(any(dice)) } else { None },
        message: dice.maybe(|dice| dice.text(512)),
    };
    if dice.flip() {
        // One that hangs together, as the controller writes it.
        let record = Record { capture: capture.id.clone(), ..record(dice) };
        capture.start_time = Some(Time(record.planned));
        capture.launch_time = Some(Time(record.planned - SignedDuration::from_secs(9000)));
        capture.restart_record = Some(record.to_string());
    }
    capture
}

fn announced(dice: &mut Dice<'_>) -> Announced {
    let steps = [
        "TagRestartRecord",
        "RewriteRestartRecord",
        "WithdrawRestartRecord",
        "StopInstances",
        "ForceStopInstances",
        "CreateImage",
        "CopyImage",
        "TagImages",
        "UntagImages",
        "DeregisterImage",
        "DeleteSnapshot",
        "RemoveReceipt",
        "FormatDisk",
        "",
    ];
    Announced {
        number: dice.number().max(0),
        step: dice.pick(&steps).to_owned(),
        time: Time(dice.time()),
        request: if dice.flip() {
            debt(dice).chars().take(MAX_REQUEST_BYTES).collect()
        } else {
            dice.text(MAX_REQUEST_BYTES)
        },
        region: region(dice),
        outcome: dice.maybe(|dice| {
            let codes = ["UnauthorizedOperation", "stopped", "InvalidAMIName.Duplicate", "IncorrectState"];
            let code = if dice.flip() { dice.pick(&codes).to_owned() } else { dice.text(MAX_CODE_BYTES) };
            StepOutcome {
                result: any(dice),
                code: dice.maybe(|_| code),
                message: dice.maybe(|dice| dice.text(MAX_OUTCOME_BYTES)),
            }
        }),
    }
}

fn condition(dice: &mut Dice<'_>) -> Condition {
    let known = ["Ready", "Validated", "Stalled", "Reconciling", "DeletionBlocked", "SourceRestored"];
    let type_ = if dice.flip() { dice.pick(&known).to_owned() } else { format!("Other{}", dice.below(30)) };
    Condition {
        type_,
        status: dice.pick(&["True", "False", "Unknown"]).to_owned(),
        reason: dice.pick(&["Saved", "Deleting", "Nonsense"]).to_owned(),
        message: dice.text(1024),
        observed_generation: dice.maybe(|dice| dice.number().max(0)),
        last_transition_time: Time(dice.time()),
    }
}
