//! A second kind through the same reconcile: classes, and what templates make of them.
use std::time::Duration;

use saved_template_api::{SavedTemplateClass, condition::find, names::CLASS_FINALIZER};

use serde_json::json;

use crate::{COPIES, lab::Lab, saved};

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn is_held(class: &SavedTemplateClass) -> bool {
    class.metadata.finalizers.iter().flatten().any(|name| name == CLASS_FINALIZER)
}

fn said(class: &SavedTemplateClass) -> (String, String) {
    let conditions = class.status.clone().unwrap_or_default().conditions;
    let ready = find(&conditions, saved_template_api::ConditionType::Ready).cloned().unwrap();
    (ready.status, ready.reason)
}

#[tokio::test(start_paused = true)]
async fn a_template_waits_for_its_class_and_goes_on_within_seconds_once_there_is_one() {
    let lab = Lab::new();
    lab.apply(COPIES).await;
    let _controller = lab.controller();
    pass(120).await;
    assert_eq!(lab.said("Validated").0, "ClassNotFound");
    assert_eq!(
        (lab.changes(), lab.object().status.unwrap().source),
        (0, None),
        "nothing of the machine is told"
    );
    lab.permit("default").await;
    pass(5).await;
    assert_eq!(lab.said("Validated").0, "PreflightPassed");
    let class = lab.class("default").unwrap();
    assert!(is_held(&class));
    assert_eq!(said(&class), ("True".to_owned(), "Accepted".to_owned()));
    pass(1200).await;
    assert!(lab.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_class_that_is_deleted_goes_once_no_template_names_it() {
    let lab = saved(None).await;
    let _controller = lab.controller();
    pass(60).await;
    lab.delete("savedtemplateclasses", "default").await;
    pass(60).await;
    assert_eq!(said(&lab.class("default").unwrap()), ("False".to_owned(), "InUse".to_owned()));
    assert!(lab.is_ready(), "what is saved is served");
    lab.delete("namespaces/default/savedtemplates", "quake").await;
    pass(60).await;
    assert_eq!(lab.class("default"), None);
}

#[tokio::test(start_paused = true)]
async fn a_class_that_no_template_names_any_more_is_held_no_more() {
    let lab = saved(None).await;
    let _controller = lab.controller();
    pass(60).await;
    assert!(is_held(&lab.class("default").unwrap()));
    lab.delete("namespaces/default/savedtemplates", "quake").await;
    pass(2 * 3600).await;
    assert!(!is_held(&lab.class("default").unwrap()));
    lab.delete("savedtemplateclasses", "default").await;
    assert_eq!(lab.class("default"), None, "at once");
}

#[tokio::test(start_paused = true)]
async fn a_process_ends_in_order_also_where_the_api_server_has_no_classes() {
    for classes in [true, false] {
        let lab = Lab::of_a_chart(classes);
        lab.apply(COPIES).await;
        let controller = lab.controller();
        pass(60).await;
        // As when the Lease is lost: what still ran would keep this replica from ever leading again.
        assert!(controller.ends(Duration::from_mins(5)).await, "{classes}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_newer_version_wrote_into_a_class_lets_no_template_begin() {
    for (fields, reason, word) in [
        (json!({"later": {"forbids": "all"}}), "NotYetSupported", "spec.later"),
        (json!({"instances": {"match": "Any", "later": []}}), "NotYetSupported", "spec.instances.later"),
        (json!({"namespaceSelector": {"later": {}}}), "NotYetSupported", "spec.namespaceSelector.later"),
        // What this version cannot read at all.
        (json!({"instances": {"match": "Later"}}), "NotChecked", "cannot be read"),
    ] {
        let lab = Lab::new();
        lab.permit_with("default", fields.clone()).await;
        lab.apply(COPIES).await;
        let _controller = lab.controller();
        pass(1200).await;
        let (said, message) = lab.said("Validated");
        assert_eq!((said.as_str(), message.contains(word)), (reason, true), "{fields}: {message}");
        assert_eq!(lab.changes(), 0, "{fields}");
        let class = lab.api.object("savedtemplateclasses", None, "default").unwrap();
        let ready = class["status"]["conditions"].as_array().into_iter().flatten();
        let mut ready = ready.filter(|condition| condition["type"] == "Ready");
        assert!(!ready.any(|condition| condition["status"] == "True"), "{fields}: {class:#}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_the_crd_of_classes_is_told_from_one_without_the_class() {
    for (classes, word) in [(true, "there is no SavedTemplateClass default"), (false, "install the CRD")] {
        let lab = Lab::of_a_chart(classes);
        lab.apply(COPIES).await;
        let _controller = lab.controller();
        pass(60).await;
        let (reason, message) = lab.said("Validated");
        assert_eq!((reason.as_str(), message.contains(word)), ("ClassNotFound", true), "{message}");
        assert_eq!(lab.changes(), 0);
    }
}
