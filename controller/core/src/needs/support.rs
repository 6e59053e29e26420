//! Fields that are in the API and not built yet: refused by name, never ignored.
use saved_template_api::{
    Reason,
    spec::{Encryption, Lifecycle, Publish, Retention, SavedTemplateSpec, Sharing, Source},
    status::RegionState,
};

use crate::{
    facts::Facts,
    time::LATER,
    unmet::{Unmet, Waits},
};

/// A field with a value that this version cannot honour. A capture that has begun goes on as it was frozen.
pub(crate) fn need(facts: &Facts<'_>) -> Option<Unmet> {
    if facts.open_capture().is_some() {
        return None;
    }
    let unmet = Unmet::invalid(Reason::NotYetSupported, refusal(facts)?);
    let in_flight = facts.status.regions.iter().any(|row| row.state == RegionState::Pending);
    Some(if in_flight { Unmet { waits: Waits::ForUs, look_again: LATER, ..unmet } } else { unmet })
}

/// What cannot be honoured, and what to do.
pub(crate) fn refusal(facts: &Facts<'_>) -> Option<String> {
    let fields = unsupported(facts.subject.spec);
    let message = match fields.as_slice() {
        [] => return None,
        [field] => {
            format!("{field} is not yet supported by this version: nothing was done; take it out to go on")
        }
        many => format!(
            "{} are not yet supported by this version: nothing was done; take them out to go on",
            many.join(", ")
        ),
    };
    Some(message)
}

/// What differs from the schema's default in a field that is not built. Destructured whole: a new field is noticed here.
fn unsupported(spec: &SavedTemplateSpec) -> Vec<&'static str> {
    let SavedTemplateSpec {
        class_name: _,
        template_name: _,
        description: _,
        revision: _,
        active_revision: _,
        revoked_revisions,
        suspend: _,
        source,
        capture: _,
        encryption,
        regions,
        removed_region_policy: _,
        sharing,
        publish,
        tags: _,
        project_name,
        lifecycle,
        retention,
        deletion_policy: _,
    } = spec;
    let Source { region: _, instance_id: _, instance_name: _, image_id, image_ownership } = source;
    let fields = [
        ("spec.revokedRevisions", !revoked_revisions.is_empty()),
        ("spec.source.imageID", image_id.is_some()),
        ("spec.source.imageOwnership", image_ownership.is_some()),
        ("spec.encryption", *encryption != Encryption::default()),
        ("spec.regions[].kmsKeyID", regions.iter().any(|region| region.kms_key_id.is_some())),
        ("spec.sharing", *sharing != Sharing::default()),
        ("spec.publish", *publish != Publish::default()),
        ("spec.projectName", project_name.is_some()),
        ("spec.lifecycle", *lifecycle != Lifecycle::default()),
        ("spec.retention", *retention != Retention::default()),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use saved_template_api::{ConditionType, SavedTemplateStatus, condition::find};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        decide::decide,
        sample::{
            at, copy, images, made, planned, replicated, running, stopped_at, stopping, subject, tagged,
            world,
        },
        step::Step,
        world::{Image, ImageState},
    };

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
            (json!({"revokedRevisions": [1]}), "spec.revokedRevisions"),
            (
                json!({"source": {"region": "us-west-2", "imageID": "ami-0123456789abcdef0"}}),
                "spec.source.imageID",
            ),
            (json!({"encryption": {"mode": "Encrypt"}}), "spec.encryption"),
            (json!({"regions": [{"name": "us-east-2", "kmsKeyID": "alias/x"}]}), "spec.regions[].kmsKeyID"),
            (json!({"sharing": {"visibility": "Public"}}), "spec.sharing"),
            (json!({"sharing": {"accounts": ["210987654321"]}}), "spec.sharing"),
            (json!({"publish": {"configMap": {"name": "ids"}}}), "spec.publish"),
            (json!({"projectName": "quakes"}), "spec.projectName"),
            (json!({"lifecycle": {"deprecateAfterDays": 30}}), "spec.lifecycle"),
            (json!({"retention": {"keepLast": 3}}), "spec.retention"),
        ];
        for (more, field) in rows {
            let found = unsupported(&spec(&more));
            assert_eq!(found, [field], "{more}");
        }
    }

    #[test]
    fn what_is_built_is_not_refused() {
        let rows = [
            json!({}),
            json!({"templateName": "golden/ml", "description": "x", "tags": [{"key": "a", "value": "b"}]}),
            json!({"capture": {"mode": "Stop", "restartWhen": "ImageAvailable", "maxDowntimeSeconds": 300}}),
            json!({"regions": [{"name": "us-east-2"}], "deletionPolicy": "Delete", "removedRegionPolicy": "Delete"}),
            json!({"revision": 3, "activeRevision": 2, "suspend": true}),
            json!({"capture": {"mode": "Reboot", "maxDisruptions": 2, "excludeDeviceNames": ["/dev/sdf"]}}),
            json!({"capture": {"stop": {"timeoutSeconds": 60, "onTimeout": "Force"}, "instanceStore": "Discard"}}),
        ];
        for more in rows {
            assert_eq!(unsupported(&spec(&more)), [""; 0], "{more}");
        }
    }

    #[test]
    fn what_is_not_built_stops_nothing_that_has_begun_and_lets_nothing_begin() {
        let spec: SavedTemplateSpec = serde_json::from_value(json!({
            "source": {"region": "us-west-2", "instanceName": "earthquake-analysis"},
            "regions": [{"name": "us-east-2"}],
            "sharing": {"visibility": "Public"}
        }))
        .unwrap();
        let mut copying = replicated();
        copying.regions[1].state = RegionState::Pending;
        let pending = || Image { state: ImageState::Pending, ..copy() };
        let idle = world(at(13), vec![tagged(running())], vec![], vec![]);
        let there = |copy: Image| images(at(13), vec![made()], vec![copy]);
        let saving = world(at(50), vec![tagged(stopped_at(Some(at(20))))], vec![], vec![]);
        let (stalled, moving) = (ConditionType::Stalled, ConditionType::Reconciling);
        for (what, status, world, step, waits, look) in [
            ("nothing begun", SavedTemplateStatus::default(), idle.clone(), None, stalled, 300),
            ("planned", planned(), idle, Some("WithdrawRestartRecord"), moving, 2),
            ("stopped", stopping(), saving, Some("CreateImage"), moving, 2),
            ("saved", replicated(), there(copy()), None, stalled, 300),
            ("a copy is being made", copying, there(pending()), None, moving, 15),
        ] {
            let decision = decide(subject(&spec, &status), &world, world.home.as_ref().unwrap().began)
                .into_decision()
                .unwrap();
            assert_eq!(decision.step().map(Step::name), step, "{what}");
            assert_eq!(decision.look_again, Duration::from_secs(look), "{what}");
            let who = find(&decision.status.conditions, waits).map(|condition| condition.status.as_str());
            assert_eq!(who, Some("True"), "{what}");
            let validated = find(&decision.status.conditions, ConditionType::Validated).unwrap();
            let refused =
                validated.reason == "NotYetSupported" && validated.message.starts_with("spec.sharing");
            assert_eq!(refused, step.is_none(), "{what}: {validated:?}");
        }
    }
}
