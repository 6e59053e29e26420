//! The chart: what it renders, and whom it lets do what.

use anyhow::{Context as _, Result, ensure};
use cluster::{Cluster, Options, render, root, tool};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Namespace, Secret},
};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::control::{config_map, is_forbidden, shared};

/// Every value that the chart cannot do without.
const REQUIRED: [&str; 2] = ["clusterName=test", "image.repository=registry.example.com/controller"];

async fn rendered(more: &[&str]) -> Result<Vec<Value>> {
    render("system", &[&REQUIRED, more].concat()).await
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == kind)
}

#[tokio::test]
async fn the_controllers_service_account_has_the_roles_of_the_chart_and_no_other() -> Result<()> {
    let cluster = shared().await?;
    let account = cluster.install_authority("system", &["clusterName=test"]).await?;
    let kubeconfig = cluster.kubeconfig_for("system", &account).await?;
    let client = cluster.client_for(&kubeconfig).await?;

    let namespaces = Api::<Namespace>::all(client.clone());
    namespaces.get("kube-system").await?;
    assert!(is_forbidden(namespaces.get("default").await));
    assert!(is_forbidden(
        Api::<Secret>::namespaced(client.clone(), "system").list(&ListParams::default()).await
    ));

    let lease = Lease { metadata: config_map("leader").metadata, ..Lease::default() };
    let leases = |namespace| Api::<Lease>::namespaced(client.clone(), namespace);
    leases("system").create(&PostParams::default(), &lease).await?;
    assert!(is_forbidden(leases("default").create(&PostParams::default(), &lease).await));

    // kubectl looks the kinds up.
    cluster.install_crds().await?;
    let can_i = async |args: &[&str]| -> Result<bool> {
        let user = format!("--as=system:serviceaccount:system:{account}");
        let output = cluster.kubectl(&[&["auth", "can-i", "-q", "-A", &user], args].concat()).await?;
        Ok(output.status.success())
    };
    assert!(can_i(&["watch", "savedtemplates.savedtemplate.dev"]).await?);
    assert!(can_i(&["update", "savedtemplates.savedtemplate.dev", "--subresource=status"]).await?);
    assert!(!can_i(&["patch", "savedtemplates.savedtemplate.dev", "--subresource=status"]).await?);
    assert!(can_i(&["create", "events.events.k8s.io"]).await?);
    assert!(!can_i(&["create", "savedtemplates.savedtemplate.dev"]).await?);
    assert!(!can_i(&["delete", "savedtemplates.savedtemplate.dev"]).await?);
    assert!(!can_i(&["patch", "customresourcedefinitions"]).await?);
    let classes = "savedtemplateclasses.savedtemplate.dev";
    for verb in ["get", "list", "watch", "patch"] {
        assert!(can_i(&[verb, classes]).await?, "{verb}");
    }
    assert!(can_i(&["update", classes, "--subresource=status"]).await?);
    for verb in ["create", "update", "delete"] {
        assert!(!can_i(&[verb, classes]).await?, "{verb}");
    }
    Ok(())
}

/// Runs helm as the admin; returns what it says, as an error if it fails.
async fn helm(cluster: &Cluster, args: &[&str]) -> Result<String> {
    let output =
        Command::new(tool("helm").context("no helm in .tools/bin or on the path: run `make tools`")?)
            .args(args)
            .env("KUBECONFIG", cluster.kubeconfig())
            .env("HELM_CACHE_HOME", cluster.dir().join("helm"))
            .output()
            .await?;
    let said = String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
    ensure!(output.status.success(), "helm {}: {said}", args.join(" "));
    Ok(said.into_owned())
}

/// The spec of the class `default`, and whether it is being deleted.
async fn default_class(cluster: &Cluster) -> Result<(Value, bool)> {
    let output = cluster.kubectl(&["get", "savedtemplateclass", "default", "-o", "json"]).await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let class: Value = serde_json::from_slice(&output.stdout)?;
    let spec = class.get("spec").context("no spec")?.clone();
    Ok((spec, class.pointer("/metadata/deletionTimestamp").is_some()))
}

#[tokio::test]
async fn helm_makes_the_default_class_once_and_never_changes_or_deletes_it() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let chart = root().join("charts/savedtemplate");
    let chart = chart.to_str().context("a path of other characters")?;
    let values = REQUIRED.iter().flat_map(|value| ["--set", value]);
    let place: Vec<&str> = ["release", chart, "--namespace", "system"].into_iter().chain(values).collect();

    // A release of a version that had no classes.
    let without = ["--create-namespace", "--set", "crds.install=false,defaultClass.create=false"];
    helm(&cluster, &[&["install"], &place[..], &without].concat()).await?;
    let mut upgraded = Ok(String::new());
    for _ in 0..3 {
        upgraded = helm(&cluster, &[&["upgrade"], &place[..]].concat()).await;
        // The API server serves a new kind a moment after it has it; Helm does not wait for that.
        if !upgraded.as_ref().is_err_and(|error| error.to_string().contains("no matches for kind")) {
            break;
        }
    }
    upgraded?;
    let everything = json!({"namespaceSelector": {}, "allowedRegions": ["*"], "instances": {"match": "Any"}});
    assert_eq!(default_class(&cluster).await?, (everything, false));

    let edit =
        r#"{"metadata":{"finalizers":["savedtemplate.dev/in-use"]},"spec":{"allowedRegions":["us-west-2"]}}"#;
    cluster.kubectl(&["patch", "savedtemplateclass", "default", "--type=merge", "-p", edit]).await?;
    let edited = default_class(&cluster).await?;
    assert_eq!((&edited.0["allowedRegions"], edited.1), (&json!(["us-west-2"]), false));
    for args in [
        &[&["upgrade"], &place[..]].concat()[..],
        &["uninstall", "release", "--namespace", "system"],
        &[&["install"], &place[..]].concat(),
    ] {
        helm(&cluster, args).await?;
        assert_eq!(default_class(&cluster).await?, edited, "{}", args[0]);
    }
    Ok(())
}

#[tokio::test]
async fn all_that_the_chart_renders_is_accepted() -> Result<()> {
    let cluster = shared().await?;
    // The chart has an object of a kind that it installs, which a dry run does not.
    cluster.install_crds().await?;
    let everything = [
        "regions={eu-west-1}",
        "namespaces={default,kube-system}",
        "admissionPolicy.exempt={system:serviceaccount:velero:velero,restorers}",
        "recordSigning.secretName=record-keys",
        "recordSigning.required=true",
        "networkPolicy.create=true",
        "networkPolicy.ingressFrom[0].namespaceSelector.matchLabels.team=metrics",
        "networkPolicy.extraEgress[0].ports[0].port=3128",
    ];
    for values in [&[][..], &everything] {
        let items = rendered(values).await?;
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
        let args = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
        let output = cluster
            .kubectl_with(&args, &list.replace(r#""namespace":"system""#, r#""namespace":"default""#))
            .await?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Nobody publishes one: whoever took the name of a default would have the role of every default install.
#[tokio::test]
async fn without_an_image_of_ones_own_the_chart_says_what_to_set() {
    let error = render("system", &["clusterName=test"]).await.unwrap_err().to_string();
    assert!(
        error.contains("image.repository is required") && error.contains("--set image.repository="),
        "{error}"
    );
    assert!(
        render("system", &["image.repository=x"])
            .await
            .is_err_and(|error| error.to_string().contains("clusterName"))
    );
    assert!(rendered(&["replicas=0"]).await.is_err_and(|error| error.to_string().contains("/replicas")));
}

#[tokio::test]
async fn the_role_of_the_node_is_taken_only_if_that_is_asked_for() -> Result<()> {
    for (values, disabled) in [(&[][..], true), (&["aws.instanceMetadata=true"], false)] {
        let objects = rendered(values).await?;
        let deployment = of_kind(&objects, "Deployment").context("no Deployment")?;
        let env =
            deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().context("no env")?;
        let said = env.iter().any(|one| one["name"] == "AWS_EC2_METADATA_DISABLED" && one["value"] == "true");
        assert_eq!(said, disabled);
    }
    Ok(())
}

#[tokio::test]
async fn records_are_signed_with_the_secret_that_is_named_and_signatures_are_not_required_without_one()
-> Result<()> {
    let pod = async |values: &[&str]| -> Result<Value> {
        let objects = rendered(values).await?;
        Ok(of_kind(&objects, "Deployment").context("no Deployment")?["spec"]["template"]["spec"].clone())
    };
    let flags = |pod: &Value| -> Vec<String> {
        let args = pod["containers"][0]["args"].as_array().cloned().unwrap_or_default();
        let args = args.iter().filter_map(|arg| arg.as_str().map(str::to_owned));
        args.filter(|arg| arg.contains("record")).collect()
    };
    let off = pod(&[]).await?;
    assert_eq!((flags(&off), off.get("volumes")), (Vec::new(), None));
    let (secret, key) = ("recordSigning.secretName=mine", "recordSigning.secretKey=hmac");
    let signs = pod(&[secret, key]).await?;
    assert_eq!(flags(&signs), ["--record-key-file=/etc/savedtemplate/record-keys/keys"]);
    let mounted = &signs["containers"][0]["volumeMounts"][0];
    assert_eq!(
        (&mounted["mountPath"], &mounted["readOnly"]),
        (&json!("/etc/savedtemplate/record-keys"), &json!(true))
    );
    let source =
        json!({"secretName": "mine", "defaultMode": 0o440, "items": [{"key": "hmac", "path": "keys"}]});
    assert_eq!(signs["volumes"][0], json!({"name": mounted["name"], "secret": source}));
    let requires = pod(&[secret, "recordSigning.required=true"]).await?;
    assert_eq!(flags(&requires)[1..], ["--require-signed-records"]);
    let error = rendered(&["recordSigning.required=true"]).await.unwrap_err().to_string();
    assert!(error.contains("secretName"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_pod_of_the_controller_has_its_token_and_the_time_of_a_call_and_blocks_no_drain() -> Result<()> {
    let objects = rendered(&[]).await?;
    let pod = &of_kind(&objects, "Deployment").context("no Deployment")?["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["automountServiceAccountToken"], &pod["terminationGracePeriodSeconds"]),
        (&json!(true), &json!(60))
    );
    let account = of_kind(&objects, "ServiceAccount").context("no ServiceAccount")?;
    assert_eq!(account["automountServiceAccountToken"], false);
    let budget = of_kind(&objects, "PodDisruptionBudget").context("no PodDisruptionBudget")?;
    assert_eq!(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    Ok(())
}

#[tokio::test]
async fn the_network_is_closed_on_request_but_for_metrics_dns_the_api_server_aws_and_pod_identity()
-> Result<()> {
    assert!(of_kind(&rendered(&[]).await?, "NetworkPolicy").is_none());
    let objects = rendered(&["networkPolicy.create=true", "networkPolicy.apiServerPorts={443,8443}"]).await?;
    let spec = &of_kind(&objects, "NetworkPolicy").context("no NetworkPolicy")?["spec"];
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(spec["ingress"], json!([{"ports": [{"port": "http"}]}]));
    let dns = json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]});
    let aws = json!({"ports": [{"port": 443}, {"port": 8443}]});
    let identity = json!({
        "ports": [{"port": 80}],
        "to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}, {"ipBlock": {"cidr": "fd00:ec2::23/128"}}]
    });
    assert_eq!(spec["egress"], json!([dns, aws, identity]));
    Ok(())
}

#[tokio::test]
async fn the_admission_policy_holds_in_the_namespaces_of_the_release_and_can_be_left_out() -> Result<()> {
    let binding = async |values: &[&str]| -> Result<Option<Value>> {
        Ok(of_kind(&rendered(values).await?, "ValidatingAdmissionPolicyBinding").cloned())
    };
    assert!(binding(&["admissionPolicy.enabled=false"]).await?.is_none());
    let all = binding(&[]).await?.context("no binding")?;
    assert!(all["spec"].get("matchResources").is_none());
    let some = binding(&["namespaces={a,b}"]).await?.context("no binding")?;
    let expression = &some["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"][0];
    assert_eq!(
        expression,
        &json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b"]})
    );
    Ok(())
}
