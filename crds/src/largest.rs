//! The largest object that the schema takes: what etcd must never refuse, least of all while a machine is down.

use crate::{
    condition::{self, ConditionStatus, ConditionType, MAX_MESSAGE_BYTES},
    ids::Malformed,
    revision::LARGEST_REVISION,
    template::{
        SavedTemplate, SavedTemplateSpec, SavedTemplateStatus,
        spec::{
            CaptureMode, CaptureSpec, DeletionPolicy, DeregistrationProtection, Encryption, EncryptionMode,
            ImageOwnership, InUse, InstanceStore, Lifecycle, OnStopTimeout, Publish, PublishedConfigMap,
            RegionSpec, RemovalPolicy, RemovedRegionPolicy, RestartWhen, Retention, Sharing, SnapshotAccess,
            Source, SsmParameter, StopSpec, Tag, Visibility,
        },
        status::{
            Announced, CaptureReason, CaptureStatus, CheckResult, Consistency, MAX_ANNOUNCED,
            MAX_CHECK_MESSAGE_BYTES, MAX_CHECKS, MAX_CODE_BYTES, MAX_OUTCOME_BYTES, MAX_REMOVED_IMAGES,
            MAX_REQUEST_BYTES, MAX_ROW_MESSAGE_BYTES, MAX_STEP_BYTES, PreflightCheck, RegionImage,
            RegionReason, RegionRole, RegionState, RegionStatus, RemovedImage, RevisionImage, RevisionState,
            RevisionStatus, Shares, SourceStatus, StepOutcome, StepResult, Storage,
        },
    },
};
use parts::{numbered, region, text, time};
use strum::IntoEnumIterator;

mod class;
mod parts;

pub use class::largest_class;

/// A spec and a status with every list full and every text as long as it may be.
///
/// Texts of the author, where any character is legal, are made of `letter`; those that the controller writes are of
/// ASCII, since it cuts them by bytes.
pub fn largest(letter: char) -> Result<SavedTemplate, Malformed> {
    let mut object = SavedTemplate::new(&"n".repeat(63), spec(letter)?);
    object.metadata.namespace = Some("s".repeat(63));
    object.status = Some(status(letter)?);
    Ok(object)
}

const NUMBER: i32 = i32::MAX;

fn spec(letter: char) -> Result<SavedTemplateSpec, Malformed> {
    Ok(SavedTemplateSpec {
        class_name: "c".repeat(63),
        template_name: Some("t".repeat(88)),
        description: Some("d".repeat(255)),
        revision: LARGEST_REVISION,
        active_revision: Some(LARGEST_REVISION),
        revoked_revisions: (0..32).map(|n| LARGEST_REVISION - n).collect(),
        suspend: false,
        source: Source {
            region: region(0)?,
            instance_id: None,
            instance_name: None,
            image_id: Some("ami-0123456789abcdef0".parse()?),
            image_ownership: Some(ImageOwnership::Reference),
        },
        capture: CaptureSpec {
            mode: Some(CaptureMode::NoReboot),
            restart_when: RestartWhen::SnapshotsStarted,
            max_downtime_seconds: Some(86400),
            max_disruptions: 10,
            stop: StopSpec { timeout_seconds: 3600, on_timeout: OnStopTimeout::Abort },
            instance_store: InstanceStore::Discard,
            exclude_device_names: (0..40).map(|n| numbered(n, 32)).collect(),
        },
        encryption: Encryption { mode: EncryptionMode::Encrypt, kms_key_id: Some("k".repeat(320)) },
        regions: (1..=40)
            .map(|n| Ok(RegionSpec { name: region(n)?, kms_key_id: Some("k".repeat(320)) }))
            .collect::<Result<_, _>>()?,
        removed_region_policy: RemovedRegionPolicy::Retain,
        sharing: Sharing {
            visibility: Visibility::Private,
            accounts: (0..1000).map(|n| format!("{n:012}").parse()).collect::<Result<_, _>>()?,
            organization_arns: (0..20)
                .map(|n| format!("arn:aws-us-gov:organizations::111122223333:organization/o-{n:032}"))
                .collect(),
            organizational_unit_arns: (0..20)
                .map(|n| {
                    format!("arn:aws-us-gov:organizations::111122223333:ou/o-{n:032}/ou-{n:032}-{n:032}")
                })
                .collect(),
            snapshot_access: SnapshotAccess::SameAccounts,
        },
        publish: Publish {
            ssm_parameters: (0..10).map(|n| SsmParameter { name: numbered(n, 512) }).collect(),
            config_map: Some(PublishedConfigMap { name: "m".repeat(253) }),
            removal_policy: RemovalPolicy::Retain,
        },
        tags: tags(letter),
        project_name: Some("p".repeat(63)),
        lifecycle: Lifecycle {
            deprecate_after_days: Some(3650),
            deregistration_protection: DeregistrationProtection::EnabledWithCooldown,
        },
        retention: Retention {
            keep_last: Some(1000),
            max_age_days: Some(3650),
            keep_at_least: 1000,
            in_use: InUse::Ignore,
        },
        deletion_policy: DeletionPolicy::Retain,
    })
}

fn status(letter: char) -> Result<SavedTemplateStatus, Malformed> {
    Ok(SavedTemplateStatus {
        observed_generation: Some(i64::MAX),
        latest_revision: Some(NUMBER),
        active_revision: Some(NUMBER),
        image_id: Some("ami-0123456789abcdef0".parse()?),
        images: (0..50)
            .map(|n| {
                Ok(RegionImage {
                    region: region(n)?,
                    architecture: "a".repeat(12),
                    revision: NUMBER,
                    image_id: "ami-0123456789abcdef0".parse()?,
                    created_time: Some(time()),
                })
            })
            .collect::<Result<_, _>>()?,
        regions: (0..50).map(region_status).collect::<Result<_, _>>()?,
        revisions: (0..20).map(revision_status).collect::<Result<_, _>>()?,
        region_summary: Some("9".repeat(16)),
        source: Some(SourceStatus {
            account_id: Some("111122223333".parse()?),
            instance_id: Some("i-0123456789abcdef0".parse()?),
            original_state: Some("s".repeat(32)),
            state: Some("s".repeat(32)),
            architecture: Some("a".repeat(12)),
            platform: Some("p".repeat(128)),
            instance_type: Some("t".repeat(64)),
            original_image_id: Some("ami-0123456789abcdef0".parse()?),
            root_device_type: Some("d".repeat(32)),
        }),
        capture: Some(capture_status()?),
        announced: (0..u32::try_from(MAX_ANNOUNCED).unwrap_or(0)).map(announced).collect::<Result<_, _>>()?,
        removed_images: (0..u32::try_from(MAX_REMOVED_IMAGES).unwrap_or(0))
            .map(|n| {
                let image_id = format!("ami-{n:017x}").parse()?;
                Ok(RemovedImage { image_id, region: region(n)?, requested_time: time() })
            })
            .collect::<Result<_, Malformed>>()?,
        storage: Some(Storage {
            size_bytes: Some(i64::MAX),
            estimated_monthly_usd: Some("9".repeat(32)),
            basis: Some("b".repeat(256)),
        }),
        preflight: (0..)
            .take(MAX_CHECKS)
            .map(|n| {
                Ok(PreflightCheck {
                    check: numbered(n, 32),
                    region: Some(region(n)?),
                    result: CheckResult::Warning,
                    message: Some("m".repeat(MAX_CHECK_MESSAGE_BYTES)),
                })
            })
            .collect::<Result<_, _>>()?,
        applied_tag_keys: (0..50).map(|n| format!("{n:02}{}", text(letter, 126))).collect(),
        conditions: {
            let mut conditions = Vec::new();
            for kind in ConditionType::iter() {
                let reasons = [kind.reasons_for_true(), kind.reasons_otherwise()].concat();
                let longest = reasons.into_iter().max_by_key(|reason| reason.name().len());
                if let Some(reason) = longest {
                    let message = "m".repeat(MAX_MESSAGE_BYTES);
                    let new = kind.with(ConditionStatus::Unknown, reason, message, i64::MAX, time());
                    condition::set(&mut conditions, new);
                }
            }
            conditions
        },
    })
}

fn region_status(n: u32) -> Result<RegionStatus, Malformed> {
    Ok(RegionStatus {
        region: region(n)?,
        architecture: "a".repeat(12),
        revision: Some(NUMBER),
        role: RegionRole::Copy,
        image_id: Some("ami-0123456789abcdef0".parse()?),
        staging_image_id: Some("ami-0123456789abcdef0".parse()?),
        state: RegionState::Available,
        progress_percent: Some(100),
        kms_key_id: Some("k".repeat(128)),
        shares: Some(Shares { count: NUMBER, in_sync: false }),
        attempts: NUMBER,
        reason: Some(RegionReason::DeregistrationProtected),
        message: Some("m".repeat(MAX_ROW_MESSAGE_BYTES)),
        next_attempt_time: Some(time()),
        announced_time: Some(time()),
    })
}

fn revision_status(n: i32) -> Result<RevisionStatus, Malformed> {
    Ok(RevisionStatus {
        revision: NUMBER - n,
        state: RevisionState::Available,
        source_instance_id: Some("i-0123456789abcdef0".parse()?),
        consistency: Consistency::CrashConsistent,
        created_time: Some(time()),
        images: (0..41)
            .map(|n| {
                Ok(RevisionImage {
                    region: region(n)?,
                    architecture: "a".repeat(12),
                    image_id: "ami-0123456789abcdef0".parse()?,
                })
            })
            .collect::<Result<_, _>>()?,
    })
}

fn capture_status() -> Result<CaptureStatus, Malformed> {
    Ok(CaptureStatus {
        id: "0123456789abcdef".to_owned(),
        revision: NUMBER,
        attempts: NUMBER,
        disruptions: NUMBER,
        mode: CaptureMode::NoReboot,
        restart_when: RestartWhen::SnapshotsStarted,
        max_downtime_seconds: 86400,
        exclude_device_names: (0..40).map(|n| numbered(n, 32)).collect(),
        on_stop_timeout: OnStopTimeout::Abort,
        expected_volumes: (0..128).map(|n| format!("vol-{n:017}").parse()).collect::<Result<_, _>>()?,
        restart_record: Some("d".repeat(256)),
        source_digest: Some("0123456789abcdef".to_owned()),
        consistency: Consistency::CrashConsistent,
        launch_time: Some(time()),
        start_time: Some(time()),
        stop_requested_time: Some(time()),
        source_stopped_time: Some(time()),
        image_requested_time: Some(time()),
        snapshots_started_time: Some(time()),
        source_restored_time: Some(time()),
        completion_time: Some(time()),
        downtime_seconds: Some(i64::MAX),
        reason: Some(CaptureReason::InstanceNotSupported),
        message: Some("m".repeat(512)),
        created_by: Some("v".repeat(128)),
    })
}

fn tags(letter: char) -> Vec<Tag> {
    (0..29).map(|n| Tag { key: format!("{n:02}{}", text(letter, 126)), value: text(letter, 256) }).collect()
}

fn announced(n: u32) -> Result<Announced, Malformed> {
    Ok(Announced {
        region: region(n)?,
        number: i64::MAX,
        step: "s".repeat(MAX_STEP_BYTES),
        time: time(),
        request: "r".repeat(MAX_REQUEST_BYTES),
        outcome: Some(StepOutcome {
            result: StepResult::FoundInState,
            code: Some("c".repeat(MAX_CODE_BYTES)),
            message: Some("e".repeat(MAX_OUTCOME_BYTES)),
        }),
    })
}
