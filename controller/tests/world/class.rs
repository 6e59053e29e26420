//! A second kind through the same reconcile: classes, and what templates make of them.
use std::time::Duration;

use saved_template_api::{ConditionType, SavedTemplateClass, condition::find, names::CLASS_FINALIZER};
use serde_json::json;

use crate::{
    COPIES,
    lab::{Lab, account},
    saved,
};

/// A cluster without anything in it, perhaps of a chart of before there were classes.
fn bare(classes: bool) -> Lab {
    let (sim, id) = account();
    Lab::empty(sim, id, classes)
}

fn is_held(class: &SavedTemplateClass) -> bool {
    class.metadata.finalizers.iter().flatten().any(|name| name == CLASS_FINALIZER)
}

fn said(class: &SavedTemplateClass) -> (String, String) {
    let conditions = class.status.clone().unwrap_or_default().conditions;
    let ready = find(&conditions, ConditionType::Ready).cloned().unwrap();
    (ready.status, ready.reason)
}

#[test]
fn a_template_waits_for_its_class_and_goes_on_within_seconds_once_there_is_one() {
    let mut lab = bare(true);
    lab.applies(COPIES);
    lab.run(120);
    assert_eq!(lab.said("Validated").0, "ClassNotFound");
    assert_eq!((lab.changes(), lab.status().source), (0, None), "nothing of the machine is told");
    lab.permits(0);
    lab.run(5);
    assert_eq!(lab.said("Validated").0, "PreflightPassed");
    let class = lab.class().unwrap();
    assert!(is_held(&class));
    assert_eq!(said(&class), ("True".to_owned(), "Accepted".to_owned()));
    lab.run(1200);
    assert!(lab.is_ready());
}

#[test]
fn a_class_that_is_deleted_goes_once_no_template_names_it() {
    let mut lab = saved(COPIES, None);
    lab.deletes_the_class();
    lab.run(60);
    assert_eq!(said(&lab.class().unwrap()), ("False".to_owned(), "InUse".to_owned()));
    assert!(lab.is_ready(), "what is saved is served");
    lab.delete();
    lab.run(60);
    assert_eq!(lab.class(), None);
}

#[test]
fn a_class_that_no_template_names_any_more_is_held_no_more() {
    let mut lab = saved(COPIES, None);
    assert!(is_held(&lab.class().unwrap()));
    lab.delete();
    lab.run(2 * 3600);
    assert!(!is_held(&lab.class().unwrap()));
    lab.deletes_the_class();
    assert_eq!(lab.class(), None, "at once");
}

#[test]
fn a_process_ends_in_order_also_where_the_api_server_has_no_classes() {
    for classes in [true, false] {
        let mut lab = bare(classes);
        lab.applies(COPIES);
        lab.run(60);
        // As when the Lease is lost: what still ran would keep this replica from ever leading again.
        assert!(lab.ends(Duration::from_mins(5)), "{classes}");
    }
}

#[test]
fn what_a_newer_version_wrote_into_a_class_lets_no_template_begin() {
    for (fields, reason, word) in [
        (json!({"later": {"forbids": "all"}}), "NotYetSupported", "spec.later"),
        (json!({"instances": {"match": "Any", "later": []}}), "NotYetSupported", "spec.instances.later"),
        (json!({"namespaceSelector": {"later": {}}}), "NotYetSupported", "spec.namespaceSelector.later"),
        // What this version cannot read at all.
        (json!({"instances": {"match": "Later"}}), "NotChecked", "cannot be read"),
    ] {
        let mut lab = bare(true);
        lab.permits_with(0, &fields);
        lab.applies(COPIES);
        lab.run(1200);
        let (said, message) = lab.said("Validated");
        assert_eq!((said.as_str(), message.contains(word)), (reason, true), "{fields}: {message}");
        assert_eq!(lab.changes(), 0, "{fields}");
        let class = lab.clusters[0].api.object("savedtemplateclasses", None, "default").unwrap();
        let ready = class["status"]["conditions"].as_array().into_iter().flatten();
        let mut ready = ready.filter(|condition| condition["type"] == "Ready");
        assert!(!ready.any(|condition| condition["status"] == "True"), "{fields}: {class:#}");
    }
}

#[test]
fn a_cluster_without_the_crd_of_classes_is_told_from_one_without_the_class() {
    for (classes, word) in [(true, "there is no SavedTemplateClass default"), (false, "install the CRD")] {
        let mut lab = bare(classes);
        lab.applies(COPIES);
        lab.run(60);
        let (reason, message) = lab.said("Validated");
        assert_eq!((reason.as_str(), message.contains(word)), ("ClassNotFound", true), "{message}");
        assert_eq!(lab.changes(), 0);
    }
}
