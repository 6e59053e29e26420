//! Every CEL rule of the CRDs takes and refuses what it should, and every example passes them all.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use kube::{
    CustomResourceExt,
    core::cel::{validate_cel, validate_cel_update},
};
use saved_template_api::{CASES, CLASS_CASES, SavedTemplate, SavedTemplateClass};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    rule: String,
    by: By,
    old: Option<Value>,
    new: Value,
    refused: Option<String>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum By {
    Cel,
    Schema,
}

fn cases<Kind: TestedKind>() -> Vec<Case> {
    serde_yaml::from_str(Kind::CASES).unwrap()
}

/// A kind of the API with the table of its cases.
trait TestedKind: CustomResourceExt + Serialize + DeserializeOwned {
    const KIND: &str;
    const CASES: &str;
}

impl TestedKind for SavedTemplate {
    const KIND: &str = "SavedTemplate";
    const CASES: &str = CASES;
}

impl TestedKind for SavedTemplateClass {
    const KIND: &str = "SavedTemplateClass";
    const CASES: &str = CLASS_CASES;
}

/// The object as the API server would hand it to the rules: with its defaults.
fn object<Kind: TestedKind>(mut manifest: Value) -> Kind {
    manifest["apiVersion"] = json!("savedtemplate.dev/v1alpha1");
    manifest["kind"] = json!(Kind::KIND);
    serde_json::from_value(manifest).unwrap()
}

/// What the rules say against the case.
fn objections<Kind: TestedKind>(case: &Case) -> String {
    let new = object::<Kind>(case.new.clone());
    let outcome = match &case.old {
        Some(old) => {
            let old = object(old.clone());
            assert!(validate_cel(&old).is_ok(), "{}: the old object is itself refused", case.name);
            validate_cel(&new).and_then(|()| validate_cel_update(&new, &old))
        }
        None => validate_cel(&new),
    };
    outcome.err().map(|error| error.to_string()).unwrap_or_default()
}

/// Every rule's message, wherever in the schema it is.
fn messages(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    match schema {
        Value::Object(members) => {
            if let Some(Value::Array(rules)) = members.get("x-kubernetes-validations") {
                for rule in rules {
                    found.insert(rule["message"].as_str().unwrap().to_owned());
                }
            }
            members.values().for_each(|member| found.extend(messages(member)));
        }
        Value::Array(items) => items.iter().for_each(|item| found.extend(messages(item))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found
}

fn comes_out_as_the_table_says<Kind: TestedKind>() {
    for case in cases::<Kind>().iter().filter(|case| case.by == By::Cel) {
        let objections = objections::<Kind>(case);
        match &case.refused {
            Some(message) => {
                assert!(objections.contains(message.as_str()), "{}: {objections:?}", case.name);
            }
            None => assert!(objections.is_empty(), "{}: {objections}", case.name),
        }
    }
}

#[test]
fn every_case_comes_out_as_the_table_says() {
    comes_out_as_the_table_says::<SavedTemplate>();
    comes_out_as_the_table_says::<SavedTemplateClass>();
}

fn has_a_case_for_both<Kind: TestedKind>() {
    let cases = cases::<Kind>();
    let mut seen: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    for case in &cases {
        let (takes, refuses) = seen.entry(&case.rule).or_default();
        *takes |= case.refused.is_none();
        *refuses |= case.refused.is_some();
    }
    for (rule, outcomes) in seen {
        assert_eq!(outcomes, (true, true), "{rule} (takes, refuses)");
    }
    let crd = serde_json::to_value(Kind::crd()).unwrap();
    for message in messages(&crd) {
        let refuses = |case: &Case| {
            case.by == By::Cel && case.refused.as_ref().is_some_and(|part| message.contains(part))
        };
        assert!(cases.iter().any(refuses), "no case is refused with: {message}");
    }
}

#[test]
fn every_rule_has_a_case_that_it_takes_and_one_that_it_refuses() {
    has_a_case_for_both::<SavedTemplate>();
    has_a_case_for_both::<SavedTemplateClass>();
}

#[test]
fn every_case_has_a_name_of_its_own_and_an_object_of_its_own() {
    for cases in [cases::<SavedTemplate>(), cases::<SavedTemplateClass>()] {
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), cases.len());
        let objects = cases.iter().map(|case| case.new["metadata"]["name"].as_str().unwrap());
        let taken: BTreeSet<(&str, bool)> =
            cases.iter().zip(objects).map(|(case, name)| (name, case.refused.is_some())).collect();
        assert_eq!(
            taken.len(),
            cases.len(),
            "two cases of one name and outcome would meet in one API server"
        );
    }
}

#[test]
fn every_example_is_a_template_that_the_rules_take() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut templates = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for manifest in serde_yaml::from_multiple::<Value>(&text).unwrap() {
            if manifest["kind"] == "SavedTemplate" {
                let template: SavedTemplate = serde_json::from_value(manifest).unwrap();
                assert!(validate_cel(&template).is_ok(), "{}", path.display());
                templates += 1;
            }
        }
    }
    assert!(templates >= 2);
}
