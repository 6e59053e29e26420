//! What a class says that this version does not hold templates to, or does not know. Destructured whole: a new field is
//! noticed here. What is in a list, or in a part of a part, is told by the name of that.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{
    SavedTemplateClassSpec,
    auth::Auth,
    images::{Images, Watermarks},
    instances::{InstanceMatch, Instances},
    limits::{Defaults, Launch, Limits},
    permission::WILDCARD,
    selector::NamespaceSelector,
    sharing::{Publish, Sharing},
    tags::Tags,
    unknown::Unknown,
};

/// Fields of one part of the spec, whether each is set, and those of a newer version.
type Part<'p, const N: usize> = ([(&'static str, bool); N], &'p Unknown);

impl SavedTemplateClassSpec {
    /// Fields that are not enforced yet, by name; none if the class allows everything.
    pub fn not_enforced(&self) -> Vec<String> {
        let Self {
            namespace_selector,
            auth,
            instances,
            images,
            watermarks,
            allowed_regions,
            kms_keys,
            sharing,
            publish,
            tags,
            defaults,
            launch,
            limits,
            unknown,
        } = self;
        let everywhere = allowed_regions.iter().map(String::as_str).eq([WILDCARD]);
        [
            set("namespaceSelector", of_selector(namespace_selector)),
            part("auth", auth.as_ref().map(of_auth)),
            set("instances", of_instances(instances)),
            part("images", images.as_ref().map(of_images)),
            part("watermarks", watermarks.as_ref().map(of_watermarks)),
            whole("allowedRegions", !everywhere),
            whole("kmsKeys", !kms_keys.is_empty()),
            part("sharing", sharing.as_ref().map(of_sharing)),
            part("publish", publish.as_ref().map(of_publish)),
            part("tags", tags.as_ref().map(of_tags)),
            part("defaults", defaults.as_ref().map(of_defaults)),
            part("launch", launch.as_ref().map(of_launch)),
            part("limits", limits.as_ref().map(of_limits)),
            unknown.keys().map(|field| format!("spec.{field}")).collect(),
        ]
        .concat()
    }
}

fn whole(name: &str, is_set: bool) -> Vec<String> {
    if is_set { vec![format!("spec.{name}")] } else { Vec::new() }
}

fn set<const N: usize>(name: &str, (fields, unknown): Part<'_, N>) -> Vec<String> {
    let known = fields.iter().filter(|(_, is_set)| *is_set).map(|(field, _)| *field);
    known.chain(unknown.keys().map(String::as_str)).map(|field| format!("spec.{name}.{field}")).collect()
}

/// The fields of a part that are set, or the part itself where it is there and says nothing.
fn part<const N: usize>(name: &str, fields: Option<Part<'_, N>>) -> Vec<String> {
    let Some(fields) = fields else { return Vec::new() };
    let named = set(name, fields);
    if named.is_empty() { whole(name, true) } else { named }
}

fn of_selector(selector: &NamespaceSelector) -> Part<'_, 2> {
    let NamespaceSelector { labels: LabelSelector { match_labels, match_expressions }, unknown } = selector;
    let fields = [
        ("matchLabels", match_labels.as_ref().is_some_and(|labels| !labels.is_empty())),
        ("matchExpressions", match_expressions.as_ref().is_some_and(|all| !all.is_empty())),
    ];
    (fields, unknown)
}

fn of_auth(auth: &Auth) -> Part<'_, 2> {
    let Auth { role_arn: _, external_id, unknown } = auth;
    ([("roleARN", true), ("externalID", external_id.is_some())], unknown)
}

fn of_instances(instances: &Instances) -> Part<'_, 3> {
    let Instances { matches, tags, by_name, unknown } = instances;
    (
        [
            ("match: Tagged", *matches == InstanceMatch::Tagged),
            ("tags", !tags.is_empty()),
            ("byName", by_name.is_some()),
        ],
        unknown,
    )
}

fn of_images(images: &Images) -> Part<'_, 5> {
    let Images { matches, tags, owners, name_prefix, adoption, unknown } = images;
    (
        [
            ("match", matches.is_some()),
            ("tags", !tags.is_empty()),
            ("owners", !owners.is_empty()),
            ("namePrefix", name_prefix.is_some()),
            ("adoption", adoption.is_some()),
        ],
        unknown,
    )
}

fn of_watermarks(watermarks: &Watermarks) -> Part<'_, 2> {
    let Watermarks { attach, inherited, unknown } = watermarks;
    ([("attach", !attach.is_empty()), ("inherited", inherited.is_some())], unknown)
}

fn of_sharing(sharing: &Sharing) -> Part<'_, 5> {
    let Sharing {
        public,
        allowed_accounts,
        allowed_organization_arns,
        allowed_organizational_unit_arns,
        hygiene,
        unknown,
    } = sharing;
    (
        [
            ("public", public.is_some()),
            ("allowedAccounts", !allowed_accounts.is_empty()),
            ("allowedOrganizationARNs", !allowed_organization_arns.is_empty()),
            ("allowedOrganizationalUnitARNs", !allowed_organizational_unit_arns.is_empty()),
            ("hygiene", hygiene.is_some()),
        ],
        unknown,
    )
}

fn of_publish(publish: &Publish) -> Part<'_, 2> {
    let Publish { ssm_parameter_prefixes, config_map, unknown } = publish;
    (
        [("ssmParameterPrefixes", !ssm_parameter_prefixes.is_empty()), ("configMap", config_map.is_some())],
        unknown,
    )
}

fn of_tags(tags: &Tags) -> Part<'_, 3> {
    let Tags { forced, allowed_keys, project_tag, unknown } = tags;
    (
        [
            ("forced", !forced.is_empty()),
            ("allowedKeys", !allowed_keys.is_empty()),
            ("projectTag", project_tag.is_some()),
        ],
        unknown,
    )
}

fn of_defaults(defaults: &Defaults) -> Part<'_, 2> {
    let Defaults { capture_mode, max_downtime_seconds, unknown } = defaults;
    (
        [("captureMode", capture_mode.is_some()), ("maxDowntimeSeconds", max_downtime_seconds.is_some())],
        unknown,
    )
}

fn of_launch(launch: &Launch) -> Part<'_, 1> {
    let Launch { sizes, unknown } = launch;
    ([("sizes", !sizes.is_empty())], unknown)
}

fn of_limits(limits: &Limits) -> Part<'_, 11> {
    let Limits {
        capture_modes,
        on_stop_timeout,
        instance_store,
        max_downtime_seconds,
        max_disruptions,
        min_seconds_between_captures,
        max_regions,
        max_images_per_namespace,
        max_gib_per_namespace,
        concurrent_captures,
        concurrent_copies_per_region,
        unknown,
    } = limits;
    (
        [
            ("captureModes", !capture_modes.is_empty()),
            ("onStopTimeout", !on_stop_timeout.is_empty()),
            ("instanceStore", !instance_store.is_empty()),
            ("maxDowntimeSeconds", max_downtime_seconds.is_some()),
            ("maxDisruptions", max_disruptions.is_some()),
            ("minSecondsBetweenCaptures", min_seconds_between_captures.is_some()),
            ("maxRegions", max_regions.is_some()),
            ("maxImagesPerNamespace", max_images_per_namespace.is_some()),
            ("maxGiBPerNamespace", max_gib_per_namespace.is_some()),
            ("concurrentCaptures", concurrent_captures.is_some()),
            ("concurrentCopiesPerRegion", concurrent_copies_per_region.is_some()),
        ],
        unknown,
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kube::CustomResourceExt;
    use serde_json::{Value, json};

    use super::*;
    use crate::{class::SavedTemplateClass, largest::largest_class};

    fn spec(more: &Value) -> SavedTemplateClassSpec {
        let mut spec =
            json!({"namespaceSelector": {}, "allowedRegions": ["*"], "instances": {"match": "Any"}});
        for (name, value) in more.as_object().unwrap() {
            spec[name] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn a_class_that_allows_everything_is_enforced() {
        for more in [json!({}), json!({"namespaceSelector": {"matchLabels": {}, "matchExpressions": []}})] {
            assert_eq!(spec(&more).not_enforced(), Vec::<String>::new(), "{more}");
        }
    }

    #[test]
    fn whatever_else_a_class_says_is_told_by_name() {
        let names = json!({"matchLabels": {"team": "geo"}});
        let exists = json!({"matchExpressions": [{"key": "team", "operator": "Exists"}]});
        for (more, told) in [
            (json!({"namespaceSelector": names}), &["spec.namespaceSelector.matchLabels"][..]),
            (json!({"namespaceSelector": exists}), &["spec.namespaceSelector.matchExpressions"]),
            (json!({"allowedRegions": []}), &["spec.allowedRegions"]),
            (json!({"allowedRegions": ["us-west-2"]}), &["spec.allowedRegions"]),
            (json!({"allowedRegions": ["*", "us-west-2"]}), &["spec.allowedRegions"]),
            (json!({"instances": {}}), &["spec.instances.match: Tagged"]),
            (json!({"instances": {"match": "Any", "byName": "Forbid"}}), &["spec.instances.byName"]),
            (
                json!({"instances": {"tags": [{"key": "a", "value": ""}]}}),
                &["spec.instances.match: Tagged", "spec.instances.tags"],
            ),
            (json!({"auth": {"roleARN": "r"}}), &["spec.auth.roleARN"]),
            (json!({"images": {}}), &["spec.images"]),
            (json!({"images": {"match": "Any"}}), &["spec.images.match"]),
            (json!({"sharing": {"public": "Forbid"}}), &["spec.sharing.public"]),
            (json!({"limits": {"maxRegions": 3, "captureModes": []}}), &["spec.limits.maxRegions"]),
            (
                json!({"limits": {"maxRegions": 0}, "kmsKeys": [{"region": "us-west-2", "keyARN": "*"}]}),
                &["spec.kmsKeys", "spec.limits.maxRegions"],
            ),
        ] {
            assert_eq!(spec(&more).not_enforced(), told, "{more}");
        }
    }

    #[test]
    fn a_class_without_instances_covers_those_with_tags_of_which_it_names_none() {
        let smallest = json!({"namespaceSelector": {}, "allowedRegions": ["*"]});
        let spec: SavedTemplateClassSpec = serde_json::from_value(smallest).unwrap();
        assert_eq!(spec.not_enforced(), ["spec.instances.match: Tagged"]);
    }

    #[test]
    fn what_a_newer_version_wrote_is_told_by_name_at_every_level_and_never_taken_for_allowed() {
        let class = serde_json::to_value(largest_class('x').unwrap()).unwrap();
        let known: SavedTemplateClassSpec = serde_json::from_value(class["spec"].clone()).unwrap();
        let parts = class["spec"].as_object().unwrap().iter().filter(|(_, part)| part.is_object());
        let parts: Vec<String> = parts.map(|(name, _)| format!("/{name}")).chain([String::new()]).collect();
        assert_eq!(parts.len(), 12);
        for part in parts {
            for value in [json!([]), json!(null), json!({"of": 2}), json!("later")] {
                let mut newer = class["spec"].clone();
                newer.pointer_mut(&part).unwrap()["later"] = value.clone();
                let spec: SavedTemplateClassSpec = serde_json::from_value(newer.clone()).unwrap();
                let told = spec.not_enforced();
                let field = format!("spec{}.later", part.replace('/', "."));
                assert_eq!(told.len(), known.not_enforced().len() + 1, "{part}");
                assert!(told.contains(&field), "{field} {told:?}");
                assert_eq!(serde_json::to_value(&spec).unwrap(), newer, "nothing of it is lost");
            }
        }
        assert_eq!(spec(&json!({"later": {}})).not_enforced(), ["spec.later"]);
    }

    #[test]
    fn a_class_with_a_value_of_a_newer_version_cannot_be_read_which_no_template_takes_for_a_permission() {
        for (field, value) in [
            ("instances", json!({"match": "Later"})),
            ("instances", json!({"match": "Any", "byName": "Later"})),
            ("images", json!({"adoption": "Later"})),
            ("limits", json!({"captureModes": ["Later"]})),
        ] {
            let mut newer = serde_json::to_value(spec(&json!({}))).unwrap();
            newer[field] = value;
            let refused = serde_json::from_value::<SavedTemplateClassSpec>(newer).unwrap_err();
            assert!(refused.to_string().contains("unknown variant `Later`"), "{refused}");
        }
    }

    /// The fields of the spec and of its parts, with their descriptions.
    fn fields() -> Vec<(String, String)> {
        let crd = serde_json::to_value(SavedTemplateClass::crd()).unwrap();
        let mut fields = Vec::new();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut field = |name: String, schema: &Value| {
            fields.push((name, schema["description"].as_str().unwrap_or_default().to_owned()));
        };
        for (name, schema) in spec["properties"].as_object().unwrap() {
            match schema["properties"].as_object() {
                Some(parts) => {
                    parts.iter().for_each(|(part, schema)| field(format!("spec.{name}.{part}"), schema));
                }
                None => field(format!("spec.{name}"), schema),
            }
        }
        fields
    }

    #[test]
    fn every_field_of_the_schema_is_told_when_it_is_set() {
        let all: BTreeSet<String> = fields().into_iter().map(|(name, _)| name).collect();
        let told = largest_class('x').unwrap().spec.not_enforced();
        let told: BTreeSet<String> =
            told.iter().map(|field| field.split(':').next().unwrap().to_owned()).collect();
        assert_eq!(told, all);
    }

    #[test]
    fn every_field_that_is_not_enforced_says_so_once_and_before_the_meanings_of_its_values() {
        for (name, text) in fields() {
            let times =
                text.matches("Not enforced in this version: a class that sets it is not Ready.").count();
            let is_enforced = matches!(name.as_str(), "spec.allowedRegions" | "spec.instances.match");
            assert_eq!(times, usize::from(!is_enforced), "{name}: {text}");
        }
        let (_, text) = fields().into_iter().find(|(name, _)| name == "spec.images.match").unwrap();
        assert!(text.contains(" is not Ready.\n`None`: None.\n"), "{text}");
    }
}
