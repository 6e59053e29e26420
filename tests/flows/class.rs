//! Classes: a template waits for the one that it names, and the class stays as long as it is named.
use std::time::Duration;

use cluster::{Cluster, Options};
use kube::{Api, api::DeleteParams};
use saved_template_api::{ConditionType, SavedTemplateClass, condition::find};
use saved_template_tests::{Lab, is, message, quick};

use crate::{assert_saved_once, with};

const OPEN: &str = "  namespaceSelector: {}\n  allowedRegions: [\"*\"]\n  instances: {match: Any}\n";

fn class(name: &str, more: &str) -> String {
    format!(
        "apiVersion: savedtemplate.dev/v1alpha1\nkind: SavedTemplateClass\nmetadata: {{name: {name}}}\nspec:\n{OPEN}{more}"
    )
}

/// Waits until the class is as `wanted` says; none once it is gone.
async fn until(
    api: &Api<SavedTemplateClass>,
    name: &str,
    wanted: impl Fn(Option<&SavedTemplateClass>) -> bool,
) -> Option<SavedTemplateClass> {
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    for _ in 0..300 {
        ticks.tick().await;
        let class = api.get_opt(name).await.unwrap();
        if wanted(class.as_ref()) {
            return class;
        }
    }
    panic!("{:#?}", api.get_opt(name).await.unwrap());
}

fn reason(class: &SavedTemplateClass) -> Option<String> {
    let conditions = &class.status.as_ref()?.conditions;
    Some(find(conditions, ConditionType::Ready)?.reason.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_saved_once_there_is_the_class_that_it_names_and_the_class_stays_until_it_is_gone() {
    // Of its own: its controller sees every namespace.
    let cluster = Cluster::start(Options::default()).await.unwrap();
    cluster.install_crds().await.unwrap();
    let lab = Lab::everywhere(&cluster, "class-named", quick()).await.unwrap();
    let machine = lab.machine("classed");
    let _controller = lab.controller().unwrap();
    let classes: Api<SavedTemplateClass> = Api::all(lab.cluster.client().await.unwrap());
    lab.apply(&with("classed", "classed", "  className: research\n")).await.unwrap();
    let wanted = |object: &_| is(object, "Validated", "False", Some("ClassNotFound"));
    let object = lab.until("classed", Duration::from_secs(40), "without a class", wanted).await.unwrap();
    assert!(message(&object, ConditionType::Validated).unwrap().contains("SavedTemplateClass research"));
    assert_eq!(object.status.unwrap().source, None, "nothing of the machine is told");

    // What is not enforced yet is refused by name, on the class and on what names it.
    lab.apply(&class("research", "  limits: {maxRegions: 3}\n")).await.unwrap();
    until(&classes, "research", |class| class.and_then(reason).as_deref() == Some("NotYetSupported")).await;
    let wanted = |object: &_| is(object, "Validated", "False", Some("NotYetSupported"));
    let object = lab.until("classed", Duration::from_secs(40), "refused", wanted).await.unwrap();
    assert!(message(&object, ConditionType::Validated).unwrap().contains("spec.limits.maxRegions"));
    assert_eq!(lab.count("StopInstances"), 0);

    lab.apply(&class("research", "")).await.unwrap();
    lab.ready("classed").await.unwrap();
    assert_saved_once(&lab, &machine, &["us-west-2"]);

    classes.delete("research", &DeleteParams::default()).await.unwrap();
    let held = until(&classes, "research", |class| class.and_then(reason).as_deref() == Some("InUse")).await;
    assert!(held.unwrap().metadata.deletion_timestamp.is_some());
    lab.api().delete("classed", &DeleteParams::default()).await.unwrap();
    until(&classes, "research", |class| class.is_none()).await;
}
