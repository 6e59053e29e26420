use saved_template_api::{ConditionType, SavedTemplateClassSpec, condition::find};
use serde_json::json;

use super::*;
use crate::{
    key::Key,
    sample::at,
    subject::{Subject, Takeover},
};

fn spec(more: &serde_json::Value) -> SavedTemplateClassSpec {
    let mut spec = json!({"namespaceSelector": {}, "allowedRegions": ["*"], "instances": {"match": "Any"}});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

/// What is decided about a class that is named by these, where the status says this generation.
fn decided(
    (deleting, finalizer, seen): (bool, bool, Option<i64>),
    spec: &SavedTemplateClassSpec,
    users: Option<Users>,
) -> Next<SavedTemplateClassStatus> {
    let status = SavedTemplateClassStatus { observed_generation: seen, ..Default::default() };
    let subject = Subject {
        cluster: "lab",
        namespace: "",
        name: "lab",
        cluster_uid: "",
        takeover: Takeover::NONE,
        generation: 7,
        deleting,
        finalizer,
        spec,
        status: &status,
    };
    SavedTemplateClass::decide(subject, &World { users, ..World::unread() }, at(10))
}

fn named() -> Users {
    Users::Known(vec![Key::template("geo", "quake")])
}

fn none() -> Users {
    Users::Known(Vec::new())
}

#[test]
fn a_class_asks_who_names_it_and_for_all_of_them_where_it_has_news_for_them() {
    for (seen, held, all) in [
        (None, true, true),
        (Some(-1), true, true),
        (Some(6), true, true),
        (Some(7), false, true),
        (Some(7), true, false),
    ] {
        let next = decided((false, held, seen), &spec(&json!({})), None);
        assert_eq!(next, Next::Ask(Question::Users { class: "lab".into(), all }), "{seen:?} {held}");
    }
}

#[test]
fn a_class_is_held_while_a_template_names_it_and_goes_once_it_is_known_that_none_does() {
    use Finalizer::{Add, Keep, Remove};
    for (what, users, deleting, held, finalizer, look_again) in [
        ("begins to be used", named(), false, false, Add, RARELY),
        ("is used", named(), false, true, Keep, RARELY),
        ("is used and is to go", named(), true, true, Keep, GOING),
        ("is held by somebody else alone", named(), true, false, Keep, RARELY),
        ("and nobody tells", Users::Untold, true, false, Keep, RARELY),
        ("is used no more", none(), false, true, Remove, RELEASED),
        ("goes", none(), true, true, Remove, RELEASED),
        ("was never used", none(), false, false, Keep, RARELY),
        ("nobody tells", Users::Untold, false, false, Keep, RARELY),
        ("nobody tells, and it is held", Users::Untold, false, true, Keep, RARELY),
        ("nobody tells, and it is to go", Users::Untold, true, true, Keep, GOING),
    ] {
        let decision = decided((deleting, held, Some(7)), &spec(&json!({})), Some(users.clone()));
        let decision = decision.into_decision().unwrap();
        assert_eq!((decision.finalizer, decision.look_again), (finalizer, look_again), "{what}");
        assert!(decision.steps.is_empty(), "{what}");
        // Those that wait for it to be held.
        let waiting = usize::from(finalizer == Add);
        assert_eq!(decision.wakes.len(), waiting, "{what}");
    }
}

#[test]
fn whoever_names_a_class_hears_of_each_of_its_generations_once() {
    for (seen, wakes) in [(None, 1), (Some(6), 1), (Some(7), 0)] {
        let decision = decided((false, true, seen), &spec(&json!({})), Some(named())).into_decision();
        assert_eq!(decision.unwrap().wakes.len(), wakes, "{seen:?}");
    }
}

#[test]
fn a_class_says_whether_all_that_it_says_is_enforced_and_what_its_deletion_waits_for() {
    for (what, fields, deleting, users, status, reason, word) in [
        ("all", json!({}), false, none(), "True", "Accepted", "may name it"),
        ("all, and used", json!({}), false, named(), "True", "Accepted", "may name it"),
        (
            "a limit",
            json!({"limits": {"maxRegions": 3}}),
            false,
            none(),
            "False",
            "NotYetSupported",
            "spec.limits.maxRegions",
        ),
        ("going", json!({}), true, named(), "False", "InUse", "--field-selector spec.className=lab"),
        ("going, untold", json!({}), true, Users::Untold, "False", "InUse", "savedtemplate.dev/in-use"),
    ] {
        let decision = decided((deleting, true, None), &spec(&fields), Some(users)).into_decision().unwrap();
        let written = decision.status;
        assert_eq!(written.observed_generation, Some(7), "{what}");
        let ready = find(&written.conditions, ConditionType::Ready).unwrap();
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), (status, reason), "{what}");
        assert!(ready.message.contains(word), "{what}: {}", ready.message);
        let stalled = find(&written.conditions, ConditionType::Stalled);
        assert_eq!(stalled.is_some(), reason == "NotYetSupported", "{what}");
    }
}

#[test]
fn a_template_sees_of_a_class_whether_it_stays() {
    let class = |metadata: serde_json::Value| -> SavedTemplateClass {
        serde_json::from_value(json!({
            "apiVersion": "savedtemplate.dev/v1alpha1", "kind": "SavedTemplateClass", "metadata": metadata,
            "spec": spec(&json!({})),
        }))
        .unwrap()
    };
    let held = json!({"name": "lab", "finalizers": [CLASS_FINALIZER]});
    let going =
        json!({"name": "lab", "finalizers": [CLASS_FINALIZER], "deletionTimestamp": "2026-11-24T07:46:58Z"});
    let others = json!({"name": "lab", "finalizers": ["example.org/other"]});
    for (metadata, expected) in [
        (held, ClassSeen::Held { not_enforced: Vec::new() }),
        (going, ClassSeen::Going),
        (others, ClassSeen::Unheld),
        (json!({"name": "lab"}), ClassSeen::Unheld),
    ] {
        assert_eq!(seen(Some(&class(metadata.clone()))), expected, "{metadata}");
    }
    assert_eq!(seen(None), ClassSeen::Missing);
}

#[test]
fn of_a_class_that_is_to_go_all_controllers_say_the_same_and_none_that_it_may_be_named() {
    let said = |held, users| {
        let decision = decided((true, held, None), &spec(&json!({})), Some(users)).into_decision().unwrap();
        let ready = find(&decision.status.conditions, ConditionType::Ready).cloned().unwrap();
        (ready.status, ready.reason, ready.message)
    };
    let first = said(true, named());
    assert_eq!((first.0.as_str(), first.1.as_str()), ("False", "InUse"));
    for (held, users) in [(true, Users::Untold), (false, named()), (false, none()), (false, Users::Untold)] {
        assert_eq!(said(held, users.clone()), first, "{held} {users:?}");
    }
}
