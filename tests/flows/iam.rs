//! The IAM policy that the controller prints is enough, and nothing of it is too much.
use std::{collections::BTreeSet, time::Duration};

use ec2sim::{ACCOUNT, Config, Grant, InstanceState, Outcome, Policy};
use saved_template_api::{SavedTemplate, ids::Region};
use saved_template_ec2::iam::{self, Bounds, Guard};
use saved_template_tests::{Lab, control_plane, is, quick};
use serde_json::{Value, json};

use crate::{ALL, HOME, state, user, with};

/// What the flow of these tests has to call, and what only other situations need: each has a test of its own there.
const ELSEWHERE: [&str; 1] = ["ec2:DescribeTags"];

/// The controller's role.
const ROLE: &str = "arn:aws:iam::123456789012:role/savedtemplate";

fn bounds() -> Bounds {
    let regions = ALL.iter().map(|region| Region::parse(*region).unwrap()).collect();
    Bounds { account: Some(ACCOUNT.to_owned()), regions, ..Bounds::default() }
}

fn printed() -> Value {
    iam::policy("lab", &bounds())
}

/// The same document without one action.
fn without(action: &str) -> Value {
    let mut document = printed();
    let statements = document["Statement"].as_array_mut().unwrap();
    for statement in statements.iter_mut() {
        if let Some(actions) = statement["Action"].as_array_mut() {
            actions.retain(|one| one != action);
        } else if statement["Action"] == action {
            statement["Action"] = json!([]);
        }
    }
    statements.retain(|statement| statement["Action"].as_array().is_none_or(|actions| !actions.is_empty()));
    document
}

fn actions() -> BTreeSet<String> {
    iam::CALLS.iter().map(|call| call.action.to_owned()).collect()
}

/// A lab in which the controller may do what `document` says, under the guard, and a machine that may be saved. Whether
/// IAM knows the tags of a copy's source is not documented to be so: by default it does not.
async fn lab_where(namespace: &str, document: &Value, copy_source_has_tags: bool) -> (Lab<'static>, String) {
    let config = Config { stop: 1000, start: 1000, image: 2000, copy: 2000, copy_source_has_tags, ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), namespace, config).await.unwrap();
    let guard = iam::guard("lab", &Guard { roles: vec![ROLE.into()], names: true });
    let policies = [document, &guard].map(|policy| Policy::parse(&policy.to_string()).unwrap());
    lab.ec2.sim().config_mut().grants = vec![Grant::to(ACCOUNT, policies.into()).of(ROLE)];
    let id = lab.machine("guarded");
    (lab, id)
}

async fn lab(namespace: &str, document: &Value) -> (Lab<'static>, String) {
    lab_where(namespace, document, false).await
}

fn allow(lab: &Lab<'_>, id: &str) {
    let tags = [("ResourceId.1", id), ("Tag.1.Key", "savedtemplate.dev/allow"), ("Tag.1.Value", "true")];
    user(lab, "CreateTags", &tags);
}

const FIRST: &str =
    "  regions: [{name: us-east-2}]\n  deletionPolicy: Delete\n  tags: [{key: a, value: b}]\n";
const SECOND: &str = "  regions: [{name: us-east-2}]\n  deletionPolicy: Delete\n  description: two\n";

/// Save, copy, edit, delete: every call of the table but those named above. `Err` says where it ended.
async fn flow(lab: &Lab<'_>, patience: Duration) -> Result<(), String> {
    let place = |what: &str, error: anyhow::Error| {
        format!("{what}: {}", error.to_string().chars().take(160).collect::<String>())
    };
    let ready = |object: &SavedTemplate| {
        let seen = object.status.as_ref().and_then(|status| status.observed_generation);
        is(object, "Ready", "True", None) && seen == object.metadata.generation
    };
    lab.apply(&with("guarded", "guarded", FIRST)).await.map_err(|error| place("apply", error))?;
    lab.until("guarded", patience, "saved", ready).await.map_err(|error| place("save", error))?;
    let settled = lab.until_ec2(patience, "the record is gone", |sim| {
        let machines = sim.place(ACCOUNT, HOME).unwrap().instances.values();
        machines
            .flat_map(|one| one.tags.keys())
            .all(|key| !key.starts_with("savedtemplate.dev/restart-owed."))
    });
    settled.await.map_err(|error| place("pay", error))?;
    lab.apply(&with("guarded", "guarded", SECOND)).await.map_err(|error| place("apply", error))?;
    lab.until("guarded", patience, "edited", ready).await.map_err(|error| place("edit", error))?;
    // A snapshot that its image left behind is deleted by itself.
    let image = crate::images(lab, HOME)[0].id.clone();
    user(lab, "DeregisterImage", &[("ImageId", &image)]);
    let args = ["delete", "stpl", "guarded", "-n", &lab.namespace, "--wait=false"];
    assert!(lab.cluster.kubectl(&args).await.unwrap().status.success());
    let empty = lab.until_ec2(patience, "everything is gone", |sim| {
        [HOME, "us-east-2"].iter().all(|region| {
            let place = sim.place(ACCOUNT, region).unwrap();
            place.images.values().all(|image| image.deregistered_at.is_some()) && place.snapshots.is_empty()
        })
    });
    empty.await.map_err(|error| place("delete", error))
}

/// Calls of the controller that IAM refused, but for questions.
fn denied(lab: &Lab<'_>) -> Vec<String> {
    let sim = lab.ec2.sim();
    let log = sim.log().iter().filter(|entry| !entry.dry_run);
    let denied =
        |outcome: &Outcome| matches!(outcome, Outcome::Refused { code } if code == "UnauthorizedOperation");
    log.filter(|entry| denied(&entry.outcome)).map(|entry| entry.action.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_is_enough_for_a_save_a_copy_an_edit_and_a_deletion_whether_or_not_a_copys_source_has_tags()
 {
    let by_tag = iam::policy("lab", &Bounds { copy_source_by_tag: true, ..bounds() });
    let one = |(namespace, document, has_tags): (&'static str, Value, bool)| async move {
        let (lab, id) = lab_where(namespace, &document, has_tags).await;
        allow(&lab, &id);
        let _controller = lab.controller().unwrap();
        flow(&lab, Duration::from_secs(120)).await.unwrap();
        assert_eq!(state(&lab, &id), InstanceState::Running);
        assert_eq!(denied(&lab), Vec::<String>::new(), "{namespace}");
    };
    let worlds =
        [("iam-owner", printed(), false), ("iam-owner-tags", printed(), true), ("iam-tags", by_tag, true)];
    futures::future::join_all(worlds.map(one)).await;
}

/// Why the policy does not ask for the tag by default.
#[tokio::test(flavor = "multi_thread")]
async fn where_iam_knows_no_tags_of_a_copys_source_a_policy_that_asks_for_them_refuses_the_copy_alone() {
    let by_tag = iam::policy("lab", &Bounds { copy_source_by_tag: true, ..bounds() });
    let (lab, id) = lab("iam-no-tags", &by_tag).await;
    allow(&lab, &id);
    let _controller = lab.controller().unwrap();
    lab.apply(&with("guarded", "guarded", FIRST)).await.unwrap();
    let refused = |sim: &ec2sim::Sim| {
        let code = |outcome: &Outcome| matches!(outcome, Outcome::Refused { code } if code == "UnauthorizedOperation");
        sim.log().iter().any(|entry| entry.action == "CopyImage" && code(&entry.outcome))
    };
    lab.until_ec2(Duration::from_secs(90), "the copy is refused", refused).await.unwrap();
    let served = |object: &SavedTemplate| {
        object.status.as_ref().is_some_and(|status| status.image_id.is_some())
            && is(object, "Ready", "False", None)
    };
    lab.until("guarded", Duration::from_secs(60), "served at home", served).await.unwrap();
    let back =
        |sim: &ec2sim::Sim| sim.place(ACCOUNT, HOME).unwrap().instances[&id].state == InstanceState::Running;
    lab.until_ec2(Duration::from_secs(60), "the machine runs", back).await.unwrap();
    assert!(denied(&lab).iter().all(|action| action == "CopyImage"), "{:?}", denied(&lab));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_the_allow_tag_is_refused_by_iam_before_it_is_touched() {
    let (lab, id) = lab("iam-untagged", &printed()).await;
    let _controller = lab.controller().unwrap();
    lab.apply(&with("guarded", "guarded", "")).await.unwrap();
    let denied = |object: &_| is(object, "Validated", "False", Some("AccessDenied"));
    lab.until("guarded", Duration::from_secs(60), "denied", denied).await.unwrap();
    assert!(lab.changes().is_empty(), "{:?}", lab.calls());
    assert_eq!(state(&lab, &id), InstanceState::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_one_of_its_actions_the_policy_is_not_enough_and_the_machine_still_runs() {
    let all: Vec<String> =
        actions().into_iter().filter(|action| !ELSEWHERE.contains(&action.as_str())).collect();
    assert_eq!(all.len() + ELSEWHERE.len(), iam::CALLS.len());
    let one = |action: String| async move {
        let namespace = format!("iam-no-{}", action.trim_start_matches("ec2:").to_lowercase());
        let (lab, id) = lab(&namespace, &without(&action)).await;
        allow(&lab, &id);
        let _controller = lab.controller().unwrap();
        let outcome = flow(&lab, Duration::from_secs(45)).await;
        assert!(outcome.is_err(), "{action} is in the policy, and nothing needs it");
        // Without StartInstances nothing is stopped; without anything else what was stopped is given back.
        lab.until_ec2(Duration::from_secs(150), "the machine runs", |sim| {
            sim.place(ACCOUNT, HOME).unwrap().instances[&id].state == InstanceState::Running
        })
        .await
        .unwrap();
    };
    for some in all.chunks(5) {
        futures::future::join_all(some.iter().cloned().map(one)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_missing_is_told_once_and_not_again_with_each_ciphertext() {
    let (lab, id) = lab("iam-quiet", &without("ec2:CreateImage")).await;
    allow(&lab, &id);
    let _controller = lab.controller().unwrap();
    lab.apply(&with("guarded", "guarded", "")).await.unwrap();
    let denied = |object: &SavedTemplate| is(object, "Validated", "False", Some("AccessDenied"));
    lab.until("guarded", Duration::from_secs(60), "denied", denied).await.unwrap();
    let version = || async { lab.get("guarded").await.unwrap().unwrap().metadata.resource_version.unwrap() };
    tokio::time::timeout(Duration::from_secs(3), std::future::pending::<()>()).await.unwrap_err();
    let (before, asked) = (version().await, lab.ec2.sim().log().iter().filter(|one| one.dry_run).count());
    // It is looked at again for an edit, and for no annotation: EC2's answer is another text.
    for count in 0..3 {
        let edit = format!(r#"{{"spec":{{"description":"edit {count}"}}}}"#);
        let args = ["patch", "stpl", "guarded", "-n", &lab.namespace, "--type", "merge", "-p", &edit];
        assert!(lab.cluster.kubectl(&args).await.unwrap().status.success());
        tokio::time::timeout(Duration::from_secs(3), std::future::pending::<()>()).await.unwrap_err();
    }
    let again = lab.ec2.sim().log().iter().filter(|one| one.dry_run).count() - asked;
    assert!((1..=6).contains(&again), "{again} dry runs for 3 edits");
    let object = lab.get("guarded").await.unwrap().unwrap();
    assert!(!saved_template_tests::shown(&object).contains("Encoded"));
    assert_ne!(object.metadata.resource_version.unwrap(), before, "the edits alone");
}
