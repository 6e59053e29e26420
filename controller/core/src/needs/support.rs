//! Fields that are in the API and not built yet: refused by name, never ignored.
use saved_template_api::{
    Reason,
    spec::{
        CaptureMode, CaptureSpec, DeletionPolicy, Encryption, Lifecycle, OnStopTimeout, Publish,
        RemovedRegionPolicy, Retention, SavedTemplateSpec, Sharing, Source, StopSpec,
    },
    status::RegionState,
};

use crate::{
    needs::{LATER, Unmet, Waits},
    scene::Scene,
};

/// The first field with a value that this version cannot honour. A capture that has begun goes on as it was frozen.
pub(crate) fn need(scene: &mut Scene<'_>) -> Option<Unmet> {
    if scene.open_capture().is_some() {
        return None;
    }
    let unmet = Unmet::invalid(Reason::NotYetSupported, refusal(scene)?);
    let in_flight = scene.status.regions.iter().any(|row| row.state == RegionState::Pending);
    Some(if in_flight { Unmet { waits: Waits::ForUs, look_again: LATER, ..unmet } } else { unmet })
}

/// What cannot be honoured, and what to do.
pub(crate) fn refusal(scene: &Scene<'_>) -> Option<String> {
    let field = unsupported(scene.subject.spec).or_else(|| edited(scene))?;
    Some(format!(
        "{field} is not yet supported by this version: nothing was done; take it out, or undo the change, to go on"
    ))
}

/// What differs from the schema's default in a field that is not built. Destructured whole: a new field is noticed here.
fn unsupported(spec: &SavedTemplateSpec) -> Option<&'static str> {
    let SavedTemplateSpec {
        class_name,
        template_name: _,
        description: _,
        revision,
        active_revision,
        revoked_revisions,
        suspend,
        source,
        capture,
        encryption,
        regions,
        removed_region_policy,
        sharing,
        publish,
        tags: _,
        project_name,
        lifecycle,
        retention,
        deletion_policy,
    } = spec;
    let Source { region: _, instance_id: _, instance_name: _, image_id, image_ownership } = source;
    let CaptureSpec {
        mode,
        restart_when: _,
        max_downtime_seconds: _,
        max_disruptions,
        stop: StopSpec { timeout_seconds, on_timeout },
        instance_store,
        exclude_device_names,
    } = capture;
    let fields = [
        ("spec.className", class_name != "default"),
        ("spec.revision greater than 1", *revision != 1),
        ("spec.activeRevision", active_revision.is_some()),
        ("spec.revokedRevisions", !revoked_revisions.is_empty()),
        ("spec.suspend", *suspend),
        ("spec.source.imageID", image_id.is_some()),
        ("spec.source.imageOwnership", image_ownership.is_some()),
        ("spec.capture.mode other than Stop", mode.is_some_and(|mode| mode != CaptureMode::Stop)),
        ("spec.capture.maxDisruptions", *max_disruptions != 1),
        ("spec.capture.stop.timeoutSeconds", *timeout_seconds != StopSpec::default().timeout_seconds),
        ("spec.capture.stop.onTimeout", *on_timeout != OnStopTimeout::default()),
        ("spec.capture.instanceStore", *instance_store != saved_template_api::spec::InstanceStore::default()),
        ("spec.capture.excludeDeviceNames", !exclude_device_names.is_empty()),
        ("spec.encryption", *encryption != Encryption::default()),
        ("spec.regions[].kmsKeyID", regions.iter().any(|region| region.kms_key_id.is_some())),
        ("spec.removedRegionPolicy", *removed_region_policy != RemovedRegionPolicy::default()),
        ("spec.sharing", *sharing != Sharing::default()),
        ("spec.publish", *publish != Publish::default()),
        ("spec.projectName", project_name.is_some()),
        ("spec.lifecycle", *lifecycle != Lifecycle::default()),
        ("spec.retention", *retention != Retention::default()),
        ("spec.deletionPolicy Delete", *deletion_policy != DeletionPolicy::default()),
    ];
    fields.into_iter().find_map(|(field, differs)| differs.then_some(field))
}

/// What was changed since the capture froze it, where following the change is not built.
fn edited(scene: &Scene<'_>) -> Option<&'static str> {
    let capture = scene.capture().filter(|capture| capture.image_requested_time.is_some())?;
    let spec = scene.subject.spec;
    let wanted = |region| *scene.home() == region || spec.regions.iter().any(|wanted| wanted.name == region);
    let removed =
        scene.status.regions.iter().any(|row| row.image_id.is_some() && !wanted(row.region.clone()));
    let fields = [
        ("a later change of spec.description", capture.description != spec.description),
        ("a later change of spec.tags", capture.tags != spec.tags),
        ("taking a region out of spec.regions", removed),
    ];
    fields.into_iter().find_map(|(field, differs)| differs.then_some(field))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(more: &Value) -> SavedTemplateSpec {
        let mut spec = json!({"source": {"region": "us-west-2", "instanceName": "quake"}});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn each_field_that_is_not_built_is_named() {
        let rows = [
            (json!({"className": "gpu"}), "spec.className"),
            (json!({"revision": 2}), "spec.revision"),
            (json!({"activeRevision": 1}), "spec.activeRevision"),
            (json!({"revokedRevisions": [1]}), "spec.revokedRevisions"),
            (json!({"suspend": true}), "spec.suspend"),
            (
                json!({"source": {"region": "us-west-2", "imageID": "ami-0123456789abcdef0"}}),
                "spec.source.imageID",
            ),
            (json!({"capture": {"mode": "Reboot"}}), "spec.capture.mode"),
            (json!({"capture": {"mode": "NoReboot"}}), "spec.capture.mode"),
            (json!({"capture": {"maxDisruptions": 2}}), "spec.capture.maxDisruptions"),
            (json!({"capture": {"stop": {"timeoutSeconds": 60}}}), "spec.capture.stop.timeoutSeconds"),
            (json!({"capture": {"stop": {"onTimeout": "Force"}}}), "spec.capture.stop.onTimeout"),
            (json!({"capture": {"instanceStore": "Discard"}}), "spec.capture.instanceStore"),
            (json!({"capture": {"excludeDeviceNames": ["/dev/sdf"]}}), "spec.capture.excludeDeviceNames"),
            (json!({"encryption": {"mode": "Encrypt"}}), "spec.encryption"),
            (json!({"regions": [{"name": "us-east-2", "kmsKeyID": "alias/x"}]}), "spec.regions[].kmsKeyID"),
            (json!({"removedRegionPolicy": "Delete"}), "spec.removedRegionPolicy"),
            (json!({"sharing": {"visibility": "Public"}}), "spec.sharing"),
            (json!({"sharing": {"accounts": ["210987654321"]}}), "spec.sharing"),
            (json!({"publish": {"configMap": {"name": "ids"}}}), "spec.publish"),
            (json!({"projectName": "quakes"}), "spec.projectName"),
            (json!({"lifecycle": {"deprecateAfterDays": 30}}), "spec.lifecycle"),
            (json!({"retention": {"keepLast": 3}}), "spec.retention"),
            (json!({"deletionPolicy": "Delete"}), "spec.deletionPolicy"),
        ];
        for (more, field) in rows {
            let found = unsupported(&spec(&more));
            assert!(found.is_some_and(|found| found.starts_with(field)), "{more}: {found:?}");
        }
    }

    #[test]
    fn what_is_built_is_not_refused() {
        let rows = [
            json!({}),
            json!({"templateName": "golden/ml", "description": "x", "tags": [{"key": "a", "value": "b"}]}),
            json!({"capture": {"mode": "Stop", "restartWhen": "ImageAvailable", "maxDowntimeSeconds": 300}}),
            json!({"regions": [{"name": "us-east-2"}], "deletionPolicy": "Retain"}),
        ];
        for more in rows {
            assert_eq!(unsupported(&spec(&more)), None, "{more}");
        }
    }
}
