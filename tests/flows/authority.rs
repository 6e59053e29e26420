//! Who may do what in Kubernetes: the roles of the chart are what the controller uses, and its admission policy keeps
//! everybody else from writing what the controller believes.
use std::{collections::BTreeSet, time::Duration};

use cluster::{Cluster, Options, render, root};
use ec2sim::ACCOUNT;
use saved_template_tests::{Controller, Lab, control_plane, is, quick};
use serde_json::Value;

use crate::{HOME, images, template, with};

/// One permission: the group, the resource with its subresource, and the verb.
type Permission = (String, String, String);

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

/// What the roles of the chart grant.
async fn granted(namespace: &str) -> BTreeSet<Permission> {
    let values = ["clusterName=lab", "image.repository=none"];
    let objects = render(namespace, &values).await.unwrap();
    permissions(objects.iter().filter(|object| object["kind"] == "ClusterRole" || object["kind"] == "Role"))
}

fn permissions<'a>(roles: impl Iterator<Item = &'a Value>) -> BTreeSet<Permission> {
    let mut granted = BTreeSet::new();
    for rule in roles.flat_map(|role| role["rules"].as_array().unwrap()) {
        for group in words(&rule["apiGroups"]) {
            for resource in words(&rule["resources"]) {
                granted.extend(
                    words(&rule["verbs"]).into_iter().map(|verb| (group.clone(), resource.clone(), verb)),
                );
            }
        }
    }
    granted
}

/// What was asked for, by the audit log among the lines of the API server.
fn used(log: &str) -> BTreeSet<Permission> {
    let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let permission = |entry: Value| {
        let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let resource = text("/objectRef/resource")?;
        let part = text("/objectRef/subresource").map(|part| format!("/{part}")).unwrap_or_default();
        Some((text("/objectRef/apiGroup").unwrap_or_default(), resource + &part, text("/verb")?))
    };
    entries.filter_map(permission).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_of_the_chart_grant_what_the_controller_uses_and_nothing_else() {
    let policy = root().join("tests/flows/audit.yaml");
    let apiserver_args =
        vec![format!("--audit-policy-file={}", policy.display()), "--audit-log-path=-".to_owned()];
    let cluster = Cluster::start(Options { apiserver_args, ..Options::default() }).await.unwrap();
    cluster.install_crds().await.unwrap();
    cluster.install_class().await.unwrap();
    let lab = Lab::everywhere(&cluster, "roles", quick()).await.unwrap();
    lab.machine("audited");
    // Of all namespaces, as the chart runs it.
    let args = ["--cluster-name=lab", "--http-address=127.0.0.1:0", "--lease-seconds=4", "--namespace=roles"];
    let log = cluster.dir().join("roles.log");
    let _controller = Controller::start(lab.kubeconfig(), &lab.ec2.url(), &args, &log).unwrap();
    // Each save claims its machine, and lets it go.
    for revision in [1, 2] {
        let more = format!("  revision: {revision}\n  deletionPolicy: Delete\n");
        lab.apply(&with("audited", "audited", &more)).await.unwrap();
        let saved = |object: &saved_template_api::SavedTemplate| {
            let images = object.status.as_ref().map(|status| &status.images);
            images.is_some_and(|images| images.iter().any(|image| image.revision == revision))
                && is(object, "Ready", "True", None)
        };
        lab.until("audited", Duration::from_secs(120), "saved", saved).await.unwrap();
    }
    // An event that is told again is patched.
    lab.apply(&with("audited", "audited", "  revision: 2\n  activeRevision: 1\n  deletionPolicy: Delete\n"))
        .await
        .unwrap();
    let again = |object: &saved_template_api::SavedTemplate| {
        object.status.as_ref().is_some_and(|status| status.active_revision == Some(1))
    };
    lab.until("audited", Duration::from_secs(60), "served again", again).await.unwrap();
    let granted = granted("roles").await;
    let log = cluster.dir().join("kube-apiserver.log");
    let used = || used(&std::fs::read_to_string(&log).unwrap());
    let patience = Duration::from_secs(60);
    // What is used at last, such as the end of a claim, is noted a little later.
    let all = lab.until_ec2(patience, "every permission is used", |_| used().is_superset(&granted)).await;
    let unused: Vec<_> = granted.difference(&used()).cloned().collect();
    assert!(all.is_ok(), "granted, and not used: {unused:?}");
    let missing: Vec<_> = used().difference(&granted).cloned().collect();
    assert_eq!(missing, Vec::new(), "used, and not granted");
}

/// The flows run under these roles, each in its own namespace.
#[tokio::test]
async fn where_namespaces_are_named_the_chart_grants_the_same_in_these_and_nothing_of_theirs_in_any_other() {
    let values = ["clusterName=lab", "image.repository=none", "namespaces={one,two}"];
    let objects = render("system", &values).await.unwrap();
    let of = |kind: &str, namespace: Option<&str>| {
        let is =
            |object: &&Value| object["kind"] == kind && object["metadata"]["namespace"].as_str() == namespace;
        objects.iter().filter(is).collect::<Vec<_>>()
    };
    let wide = permissions(of("ClusterRole", None).into_iter());
    // What is in no namespace.
    let (group, classes, status) =
        ("savedtemplate.dev", "savedtemplateclasses", "savedtemplateclasses/status");
    let expected = [
        ("", "namespaces", "get"),
        (group, classes, "get"),
        (group, classes, "list"),
        (group, classes, "watch"),
        (group, classes, "patch"),
        (group, status, "update"),
    ];
    let owned = |(group, resource, verb): (&str, &str, &str)| -> Permission {
        (group.to_owned(), resource.to_owned(), verb.to_owned())
    };
    assert_eq!(wide, expected.map(owned).into());
    assert_eq!(of("ClusterRole", None)[0]["rules"][0]["resourceNames"], serde_json::json!(["kube-system"]));
    let own = permissions(of("Role", Some("system")).into_iter());
    assert!(own.iter().all(|(group, _, _)| group == "coordination.k8s.io"), "{own:?}");
    for namespace in ["one", "two"] {
        let roles = of("Role", Some(namespace));
        let theirs = permissions(roles.iter().copied());
        let all: BTreeSet<_> = [&wide, &own, &theirs].into_iter().flatten().cloned().collect();
        assert_eq!(all, granted("system").await, "in {namespace}");
        let bindings = of("RoleBinding", Some(namespace));
        assert_eq!((roles.len(), bindings.len()), (1, 1));
        assert_eq!(bindings[0]["roleRef"]["name"], roles[0]["metadata"]["name"]);
        assert_eq!(bindings[0]["subjects"][0]["namespace"], "system");
    }
    let elsewhere = objects.iter().filter(|object| object["kind"] == "Role");
    assert_eq!(elsewhere.count(), 3, "one in each of the two, and that of the leases");
}

const TENANT: &str = "--as=tenant";

/// A user who may do everything with the templates of one namespace, their status and finalizers included.
async fn tenant(cluster: &Cluster, namespace: &str) {
    let role = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: tenant, namespace: {namespace}}}\nrules:\n\
         - {{apiGroups: [savedtemplate.dev], resources: ['*'], verbs: ['*']}}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: tenant, namespace: {namespace}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: tenant}}\n\
         subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: tenant}}]\n"
    );
    cluster.apply(&role).await.unwrap();
}

/// What the tenant's kubectl says: the refusal, or nothing.
async fn by_tenant(lab: &Lab<'_>, args: &[&str], manifest: &str) -> String {
    let args = [&[TENANT, "-n", &lab.namespace], args].concat();
    let output = lab.cluster.kubectl_with(&args, manifest).await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || !text.is_empty());
    if output.status.success() { String::new() } else { text }
}

async fn patch(lab: &Lab<'_>, name: &str, more: &[&str], patch: &str) -> String {
    by_tenant(lab, &[&["patch", "stpl", name, "--type=merge", "-p", patch], more].concat(), "").await
}

async fn apply(lab: &Lab<'_>, manifest: &str) -> String {
    by_tenant(lab, &["apply", "-f", "-"], manifest).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_every_verb_writes_specs_and_neither_the_status_nor_the_finalizer() {
    let lab = Lab::on(control_plane().await.unwrap(), "authority", quick()).await.unwrap();
    tenant(lab.cluster, "authority").await;
    lab.machine("mine");
    let _controller = lab.controller().unwrap();
    assert_eq!(apply(&lab, &template("mine", "mine")).await, "");
    lab.ready("mine").await.unwrap();

    let forged = r#"{"status": {"imageID": "ami-0123456789abcdef0"}}"#;
    let told = patch(&lab, "mine", &["--subresource=status"], forged).await;
    assert!(
        told.contains("written by the controller alone") && told.contains("admissionPolicy.exempt"),
        "{told}"
    );
    for removal in
        [r#"{"metadata": {"finalizers": null}}"#, r#"{"metadata": {"finalizers": ["example.com/a"]}}"#]
    {
        let told = patch(&lab, "mine", &[], removal).await;
        let way_out = "kubectl delete validatingadmissionpolicybinding savedtemplate-authority";
        assert!(told.contains("removed by the controller alone") && told.contains(way_out), "{told}");
    }
    let finalized = |name: &str, finalizers: &str| {
        template(name, "none")
            .replace(&format!("{{name: {name}}}"), &format!("{{name: {name}, finalizers: {finalizers}}}"))
    };
    let told = apply(&lab, &finalized("bait", "[example.com/a, savedtemplate.dev/cleanup]")).await;
    assert!(told.contains("added by the controller alone"), "{told}");
    assert_eq!(apply(&lab, &finalized("other", "[example.com/a]")).await, "");
    let told =
        patch(&lab, "other", &[], r#"{"metadata": {"finalizers": ["savedtemplate.dev/cleanup"]}}"#).await;
    assert!(told.contains("added by the controller alone"), "{told}");
    assert_eq!(patch(&lab, "other", &[], r#"{"metadata": {"finalizers": null}}"#).await, "");

    // The spec is the tenant's, and so is the end.
    let edit = r#"{"metadata": {"labels": {"a": "b"}}, "spec": {"description": "edited", "deletionPolicy": "Delete"}}"#;
    assert_eq!(patch(&lab, "mine", &[], edit).await, "");
    let edited = |sim: &ec2sim::Sim| {
        let images = &sim.place(ACCOUNT, HOME).unwrap().images;
        images.values().any(|image| image.description == "edited")
    };
    lab.until_ec2(Duration::from_secs(60), "the description follows", edited).await.unwrap();
    assert_eq!(by_tenant(&lab, &["delete", "stpl", "mine", "other", "--wait=false"], "").await, "");
    let gone = |sim: &ec2sim::Sim| {
        sim.place(ACCOUNT, HOME).unwrap().images.values().all(|image| image.deregistered_at.is_some())
    };
    lab.until_ec2(Duration::from_secs(90), "the controller deletes the image", gone).await.unwrap();
    assert_eq!(images(&lab, HOME).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_garbage_collector_and_the_end_of_a_namespace_delete_templates_under_the_admission_policy() {
    let cluster = Cluster::start(Options { controller_manager: true, ..Options::default() }).await.unwrap();
    cluster.install_crds().await.unwrap();
    cluster.install_class().await.unwrap();
    let lab = Lab::on(&cluster, "collected", quick()).await.unwrap();
    lab.machine("owned");
    let controller = lab.controller().unwrap();
    let owner = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: owner, namespace: collected}\n";
    cluster.apply(owner).await.unwrap();
    let uid = cluster.kubectl(&["-n", "collected", "get", "cm", "owner", "-o", "jsonpath={.metadata.uid}"]);
    let uid = String::from_utf8(uid.await.unwrap().stdout).unwrap();
    let manifest = template("owned", "owned").replace(
        "{name: owned}",
        &format!(
            "{{name: owned, ownerReferences: [{{apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid}}}]}}"
        ),
    );
    lab.apply(&manifest).await.unwrap();
    lab.ready("owned").await.unwrap();
    let args = ["-n", "collected", "delete", "configmap", "owner"];
    assert!(cluster.kubectl(&args).await.unwrap().status.success());
    let gone = async |what: &[&str]| {
        let wait = [&["wait", "--for=delete", "--timeout=90s"], what].concat();
        let output = cluster.kubectl(&wait).await.unwrap();
        assert!(output.status.success(), "{what:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    gone(&["-n", "collected", "stpl/owned"]).await;
    drop(controller);
    lab.apply(&template("never-seen", "nothing")).await.unwrap();
    assert!(
        cluster
            .kubectl(&["delete", "namespace", "collected", "--wait=false"])
            .await
            .unwrap()
            .status
            .success()
    );
    gone(&["namespace/collected"]).await;
}
