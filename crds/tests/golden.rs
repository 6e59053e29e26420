//! The generated CRDs are what the repository and the chart hold, and keep the conventions of the API.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use saved_template_api::{SavedTemplate, SavedTemplateClass, SavedTemplateClassSpec, SavedTemplateSpec};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

fn crds() -> [CustomResourceDefinition; 2] {
    [SavedTemplate::crd(), SavedTemplateClass::crd()]
}

#[test]
fn the_golden_files_hold_what_the_types_say() {
    let crate_root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for crd in crds() {
        let generated = serde_yaml::to_string(&crd).unwrap();
        let generated = format!("# Generated from crds/src by `make bless`. Do not edit.\n{generated}");
        let name = format!("{}.yaml", crd.spec.names.plural);
        for folder in ["", "../charts/savedtemplate/files"] {
            let file = crate_root.join(folder).join(&name);
            if std::env::var_os("BLESS").is_some() {
                fs::write(&file, &generated).unwrap();
            }
            let held = fs::read_to_string(&file).unwrap_or_default();
            assert!(held == generated, "{} is stale: run `make bless`", file.display());
        }
    }
}

/// Every schema below the root, with its path.
fn walk(path: &str, schema: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    visit(path, schema);
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            walk(&format!("{path}.{name}"), property, visit);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            walk(&format!("{path}[]"), &schema[inner], visit);
        }
    }
}

fn root(crd: &CustomResourceDefinition) -> Value {
    serde_json::to_value(crd).unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take()
}

/// The paths of all schemas for which `is_wrong` holds, behind the names of their kinds.
fn wrong(is_wrong: impl Fn(&str, &Value) -> bool) -> Vec<String> {
    let mut paths = Vec::new();
    for crd in crds() {
        walk(&crd.spec.names.kind, &root(&crd), &mut |path, schema| {
            if is_wrong(path, schema) {
                paths.push(path.to_owned());
            }
        });
    }
    paths
}

/// Whether a path is in Kubernetes' own schema of a condition.
fn in_a_condition(path: &str) -> bool {
    path.contains(".status.conditions[]")
}

#[test]
fn every_property_is_described() {
    let bare = wrong(|path, schema| {
        !path.ends_with(']') && schema["description"].as_str().is_none_or(|text| text.trim().is_empty())
    });
    assert_eq!(bare, Vec::<String>::new());
}

#[test]
fn every_value_of_an_enum_is_described() {
    let bare = wrong(|_, schema| {
        let description = schema["description"].as_str().unwrap_or_default();
        let mut values = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        // The statuses of a condition are Kubernetes' own.
        values.any(|value| !description.contains(&format!("`{value}`: ")))
            && !description.starts_with("status of the condition")
    });
    assert_eq!(bare, Vec::<String>::new());
}

#[test]
fn every_list_has_a_type_and_a_limit() {
    let bare = wrong(|_, schema| {
        schema["type"] == "array"
            && (schema["x-kubernetes-list-type"].is_null() || schema["maxItems"].is_null())
            || schema["additionalProperties"].is_object() && schema["maxProperties"].is_null()
    });
    assert_eq!(bare, Vec::<String>::new());
}

#[test]
fn only_six_lists_of_a_templates_status_are_maps_and_one_of_a_classes() {
    let lists = |kind: &str| {
        wrong(|path, schema| path.contains(".status.") && schema["x-kubernetes-list-type"] == kind)
    };
    let mut maps = lists("map");
    maps.sort();
    let known = ["announced", "conditions", "images", "regions", "removedImages", "revisions"];
    let known = known.map(|list| format!("SavedTemplate.status.{list}"));
    assert_eq!(maps, [&known[..], &["SavedTemplateClass.status.conditions".to_owned()]].concat());
    let sets = lists("set");
    assert_eq!(sets, Vec::<String>::new());
}

#[test]
fn every_text_has_a_limit() {
    let bare = wrong(|path, schema| {
        schema["type"] == "string"
            && schema["maxLength"].is_null()
            && schema["enum"].is_null()
            && schema["format"] != "date-time"
            && !in_a_condition(path)
    });
    assert_eq!(bare, Vec::<String>::new());
}

#[test]
fn every_number_is_a_whole_one_with_a_lower_limit() {
    let bare = wrong(|path, schema| {
        let is_whole =
            schema["type"] == "integer" && (schema["format"] == "int32" || schema["format"] == "int64");
        schema["type"] == "number"
            || (schema["type"] == "integer" && !(is_whole && schema["minimum"].is_number()))
                && !in_a_condition(path)
    });
    assert_eq!(bare, Vec::<String>::new());
}

#[test]
fn nothing_is_nullable_but_the_status() {
    let nullable = wrong(|_, schema| schema["nullable"] == true);
    assert_eq!(nullable, ["SavedTemplate.status", "SavedTemplateClass.status"]);
}

#[test]
fn an_object_that_no_controller_has_seen_says_so() {
    for crd in crds() {
        let status = &root(&crd)["properties"]["status"];
        assert_eq!(status["default"], json!({ "observedGeneration": -1 }), "{}", crd.spec.names.kind);
    }
}

#[test]
fn what_a_class_may_decide_has_no_default() {
    let capture = root(&SavedTemplate::crd())["properties"]["spec"]["properties"]["capture"].take();
    assert!(capture["properties"]["mode"]["default"].is_null());
    assert!(capture["properties"]["maxDowntimeSeconds"]["default"].is_null());
    assert!(capture["default"]["mode"].is_null() && capture["default"]["maxDowntimeSeconds"].is_null());
}

/// What the API server makes of a value: every absent property that has a default gets it, from the outside in.
fn with_defaults(value: &mut Value, schema: &Value) {
    let Some(members) = value.as_object_mut() else {
        return;
    };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if !members.contains_key(name) && !property["default"].is_null() {
            members.insert(name.clone(), property["default"].clone());
        }
        if let Some(member) = members.get_mut(name) {
            with_defaults(member, property);
        }
    }
}

/// Sees that Rust reads the manifests of a spec as the API server completes them.
fn agree<Spec: Serialize + DeserializeOwned>(crd: &CustomResourceDefinition, manifests: [Value; 2]) {
    let spec = root(crd)["properties"]["spec"].take();
    for manifest in manifests {
        let in_rust: Spec = serde_json::from_value(manifest.clone()).unwrap();
        let mut by_the_server = manifest;
        with_defaults(&mut by_the_server, &spec);
        assert_eq!(serde_json::to_value(in_rust).unwrap(), by_the_server);
    }
}

#[test]
fn the_api_server_and_rust_agree_on_every_default() {
    let smallest = json!({ "source": { "region": "us-west-2", "instanceName": "earthquake-analysis" } });
    let partial = json!({
        "source": { "region": "us-west-2", "instanceName": "earthquake-analysis" },
        "capture": { "stop": {} }, "encryption": {}, "sharing": {}, "publish": {}, "lifecycle": {}, "retention": {}
    });
    agree::<SavedTemplateSpec>(&SavedTemplate::crd(), [smallest, partial]);
    let smallest = json!({ "namespaceSelector": {}, "allowedRegions": [] });
    let partial = json!({
        "namespaceSelector": {}, "allowedRegions": ["*"], "instances": {}, "images": {}, "watermarks": {}, "sharing": {},
        "publish": {}, "tags": {}, "defaults": {}, "launch": {}, "limits": {}
    });
    agree::<SavedTemplateClassSpec>(&SavedTemplateClass::crd(), [smallest, partial]);
}

#[test]
fn a_malformed_id_does_not_stop_the_watch() {
    let mut manifest = json!({
        "apiVersion": "savedtemplate.dev/v1alpha1", "kind": "SavedTemplate", "metadata": { "name": "seismic-ml" },
        "spec": { "source": { "region": "Atlantis", "instanceID": "?" }, "sharing": { "accounts": [""] } },
        "status": { "imageID": "", "capture": {}, "source": {} }
    });
    let template: SavedTemplate = serde_json::from_value(manifest.clone()).unwrap();
    assert_eq!(template.spec.source.region.as_str(), "Atlantis");
    manifest["metadata"] = json!({});
    assert!(serde_json::from_value::<SavedTemplate>(manifest).is_ok());
}

#[test]
fn the_template_is_called_like_the_object_unless_it_says_otherwise() {
    let source = json!({ "source": { "region": "us-west-2", "instanceName": "earthquake-analysis" } });
    let mut template = SavedTemplate::new("seismic-ml", serde_json::from_value(source).unwrap());
    assert_eq!(template.template_name(), "seismic-ml");
    template.spec.template_name = Some("golden".to_owned());
    assert_eq!(template.template_name(), "golden");
}
