use saved_template_api::{ConditionType, Reason, SavedTemplateStatus, condition::find};

use super::*;
use crate::{
    decide::decide,
    decision::Next,
    sample::{at, plain, running, saved, spec, subject, world},
    world::{ClassSeen, World},
};

fn seen(class: Option<ClassSeen>) -> World {
    World { class, ..world(at(0), vec![running()], vec![], vec![]) }
}

#[test]
fn a_template_whose_class_is_not_known_asks_for_it_before_it_asks_about_a_machine() {
    let status = SavedTemplateStatus::default();
    let spec = spec(
        r#"{"className": "lab", "source": {"region": "us-west-2", "instanceName": "none of that name"}}"#,
    );
    let unread = World { probe: None, ..seen(None) };
    let next = decide(subject(&spec, &status), &unread, at(0));
    assert_eq!(next, Next::Ask(Question::Class("lab".to_owned())));
}

#[test]
fn nothing_of_a_machine_is_said_while_the_class_does_not_permit_it() {
    let held = |fields: &[&str]| ClassSeen::Held {
        not_enforced: fields.iter().map(|&field| field.to_owned()).collect(),
    };
    for (class, status, reason, word) in [
        (ClassSeen::Missing, "False", Reason::ClassNotFound, "there is no SavedTemplateClass default"),
        (ClassSeen::NoSuchKind, "False", Reason::ClassNotFound, "savedtemplateclasses.savedtemplate.dev"),
        (ClassSeen::Going, "False", Reason::ClassNotFound, "is being deleted"),
        (ClassSeen::Unheld, "Unknown", Reason::NotChecked, "in use"),
        (ClassSeen::Unread("no route".into()), "Unknown", Reason::NotChecked, "no route"),
        (held(&["spec.limits.maxRegions"]), "False", Reason::NotYetSupported, "spec.limits.maxRegions"),
    ] {
        let (before, spec) = (SavedTemplateStatus::default(), plain());
        let world = seen(Some(class.clone()));
        let decision = decide(subject(&spec, &before), &world, at(0)).into_decision().unwrap();
        let said = find(&decision.status.conditions, ConditionType::Validated).unwrap();
        assert_eq!((said.status.as_str(), said.reason.as_str()), (status, reason.name()), "{class:?}");
        assert!(said.message.contains(word), "{}", said.message);
        assert_eq!((decision.steps.len(), &decision.status.source), (0, &None), "{class:?}");
        assert_eq!(find(&decision.status.conditions, ConditionType::Ready).unwrap().reason, "Preflight");
    }
}

#[test]
fn what_is_saved_is_served_whatever_becomes_of_its_class() {
    let saved = saved();
    let spec = spec(r#"{"source": {"region": "us-west-2", "instanceName": "earthquake-analysis"}}"#);
    let image = crate::sample::owned(crate::sample::made());
    for class in [None, Some(ClassSeen::Missing), Some(ClassSeen::Unheld)] {
        let world = World { class, ..world(at(900), vec![running()], vec![image.clone()], vec![]) };
        let decision = decide(subject(&spec, &saved), &world, at(900)).into_decision().unwrap();
        let ready = find(&decision.status.conditions, ConditionType::Ready).unwrap();
        assert_eq!(ready.status, "True", "{}", ready.message);
    }
}
