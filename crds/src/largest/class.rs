//! The largest class that the schema takes.

use super::parts::{numbered, region, text, time};
use crate::{
    class::{
        ClassReason, SavedTemplateClass, SavedTemplateClassSpec, SavedTemplateClassStatus,
        spec::{
            Adoption, Auth, Defaults, Hygiene, ImageMatch, Images, InheritedWatermarks, InstanceMatch,
            InstanceSize, Instances, KmsKey, Launch, Limits, NamespaceSelector, Permission, ProjectTag,
            ProjectTagFrom, Publish, SelectorTag, Sharing, Tags, Unknown, Watermarks,
        },
    },
    condition::MAX_MESSAGE_BYTES,
    ids::Malformed,
    template::spec::{CaptureMode, InstanceStore, OnStopTimeout, Tag},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// A class with every field set, every list full and every text as long as it may be; where any character is legal, the
/// text is made of `letter`.
pub fn largest_class(letter: char) -> Result<SavedTemplateClass, Malformed> {
    let mut object = SavedTemplateClass::new(&"n".repeat(63), spec(letter)?);
    let message = "m".repeat(MAX_MESSAGE_BYTES);
    object.status = Some(SavedTemplateClassStatus {
        observed_generation: Some(i64::MAX),
        conditions: ClassReason::NotYetSupported.conditions(&message, i64::MAX, &time()),
    });
    Ok(object)
}

fn spec(letter: char) -> Result<SavedTemplateClassSpec, Malformed> {
    Ok(SavedTemplateClassSpec {
        namespace_selector: NamespaceSelector { labels: selector(), unknown: Unknown::new() },
        unknown: Unknown::new(),
        auth: Some(Auth {
            unknown: Unknown::new(),
            role_arn: format!("arn:aws-us-gov:iam::111122223333:role/{}", "r".repeat(602)),
            external_id: Some("e".repeat(1224)),
        }),
        instances: Instances {
            unknown: Unknown::new(),
            matches: InstanceMatch::Tagged,
            tags: asked_for(letter),
            by_name: Some(Permission::Forbid),
        },
        images: Some(Images {
            unknown: Unknown::new(),
            matches: Some(ImageMatch::Tagged),
            tags: asked_for(letter),
            owners: (0..20).map(|n| format!("{n:012}").parse()).collect::<Result<_, _>>()?,
            name_prefix: Some("p".repeat(88)),
            adoption: Some(Adoption::Forbid),
        }),
        watermarks: Some(Watermarks {
            unknown: Unknown::new(),
            attach: (0..5).map(|n| numbered(n, 128)).collect(),
            inherited: Some(InheritedWatermarks::Detach),
        }),
        allowed_regions: (0..40)
            .map(|n| Ok(region(n)?.as_str().to_owned()))
            .collect::<Result<_, Malformed>>()?,
        kms_keys: (0..100).map(key).collect::<Result<_, _>>()?,
        sharing: Some(sharing()),
        publish: Some(Publish {
            unknown: Unknown::new(),
            ssm_parameter_prefixes: (0..20).map(|n| format!("{}/", numbered(n, 511))).collect(),
            config_map: Some(Permission::Forbid),
        }),
        tags: Some(Tags {
            unknown: Unknown::new(),
            forced: asked_for(letter)
                .into_iter()
                .take(8)
                .map(|SelectorTag { key, value }| Tag { key, value })
                .collect(),
            allowed_keys: (0..50).map(|n| format!("{n:02}{}", text(letter, 126))).collect(),
            project_tag: Some(ProjectTag { key: text(letter, 128), from: ProjectTagFrom::Namespace }),
        }),
        defaults: Some(Defaults {
            unknown: Unknown::new(),
            capture_mode: Some(CaptureMode::NoReboot),
            max_downtime_seconds: Some(86400),
        }),
        launch: Some(Launch {
            unknown: Unknown::new(),
            sizes: (0..20)
                .map(|n| InstanceSize { name: numbered(n, 32), instance_type: "t".repeat(64) })
                .collect(),
        }),
        limits: Some(limits()),
    })
}

fn selector() -> LabelSelector {
    let expression = |n| LabelSelectorRequirement {
        key: format!("{}/{}", "d".repeat(253), numbered(n, 63)),
        operator: "NotIn".to_owned(),
        values: Some((0..32).map(|n| numbered(n, 63)).collect()),
    };
    LabelSelector {
        match_labels: Some((0..16).map(|n| (numbered(n, 63), numbered(n, 63))).collect()),
        match_expressions: Some((0..16).map(expression).collect()),
    }
}

fn asked_for(letter: char) -> Vec<SelectorTag> {
    (0..10)
        .map(|n| SelectorTag { key: format!("{n:02}{}", text(letter, 126)), value: text(letter, 256) })
        .collect()
}

fn key(n: u32) -> Result<KmsKey, Malformed> {
    let region = region(n)?;
    let key_arn = format!("arn:aws-us-gov:kms:{region}:111122223333:key/{}", numbered(n, 98));
    Ok(KmsKey { region, key_arn })
}

fn sharing() -> Sharing {
    Sharing {
        unknown: Unknown::new(),
        public: Some(Permission::Forbid),
        allowed_accounts: (0..1000).map(|n| format!("{n:012}")).collect(),
        allowed_organization_arns: (0..20)
            .map(|n| format!("arn:aws-us-gov:organizations::111122223333:organization/o-{n:032}"))
            .collect(),
        allowed_organizational_unit_arns: (0..20)
            .map(|n| format!("arn:aws-us-gov:organizations::111122223333:ou/o-{n:032}/ou-{n:032}-{n:032}"))
            .collect(),
        hygiene: Some(Hygiene::Required),
    }
}

fn limits() -> Limits {
    Limits {
        unknown: Unknown::new(),
        capture_modes: vec![CaptureMode::Stop, CaptureMode::Reboot, CaptureMode::NoReboot],
        on_stop_timeout: vec![OnStopTimeout::Abort, OnStopTimeout::Force],
        instance_store: vec![InstanceStore::Refuse, InstanceStore::Discard],
        max_downtime_seconds: Some(86400),
        max_disruptions: Some(10),
        min_seconds_between_captures: Some(31_536_000),
        max_regions: Some(40),
        max_images_per_namespace: Some(100_000),
        max_gib_per_namespace: Some(i32::MAX),
        concurrent_captures: Some(1000),
        concurrent_copies_per_region: Some(1000),
    }
}
