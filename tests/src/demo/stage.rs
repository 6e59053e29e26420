//! What the demo runs on: a control plane, a simulated EC2, two machines, and the controller as a process.
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use cluster::{Cluster, Options, root};
use ec2sim::{ACCOUNT, Config, InstanceSeed, SECOND, Server, VolumeSeed};
use saved_template_api::SavedTemplate;
use serde_json::Value;

use crate::{
    Controller,
    demo::screen::{say, seconds},
};

/// The two examples, as their comments tell a user to apply them.
const EXAMPLES: [&str; 2] = ["examples/quickstart.yaml", "examples/restart-when-image-available.yaml"];
/// Where the controller lives. `audit.yaml` and `chart.yaml` name it too.
const SYSTEM: &str = "savedtemplate-system";
const OWNER: &str = "demo";
/// What the chart says of who may do what, and its class, as helm renders them: the demo needs no helm.
const CHART: &str = include_str!("chart.yaml");

/// Everything that runs. Fields are dropped from the top: the controller before what it talks to.
pub(super) struct Stage {
    pub(super) controller: Controller,
    pub(super) ec2: Server,
    pub(super) cluster: Cluster,
    pub(super) plays: Vec<Play>,
}

/// One example, and the machine that was made for it.
pub(super) struct Play {
    pub(super) file: &'static str,
    pub(super) template: SavedTemplate,
    pub(super) instance: String,
}

impl Play {
    pub(super) fn name(&self) -> &str {
        self.template.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn home(&self) -> &str {
        self.template.spec.source.region.as_str()
    }

    /// Home and the regions of the copies.
    pub(super) fn regions(&self) -> Vec<&str> {
        let copies = self.template.spec.regions.iter().map(|region| region.name.as_str());
        std::iter::once(self.home()).chain(copies).collect()
    }
}

/// EC2's clocks in the demo.
pub(super) fn clocks() -> Config {
    Config {
        stop: 10 * SECOND,
        start: 5 * SECOND,
        snapshot_lag: 2 * SECOND,
        snapshot: 50 * SECOND,
        image: 60 * SECOND,
        copy: 25 * SECOND,
        ..Config::default()
    }
}

/// What a reader should know before the first line of the timeline.
pub(super) fn introduction() -> String {
    let clocks = clocks();
    let rows = [
        ("a machine stops in", clocks.stop),
        ("a machine starts in", clocks.start),
        ("snapshots begin after", clocks.snapshot_lag),
        ("snapshots are stored in", clocks.snapshot),
        ("an image is available after", clocks.image),
        ("a copy is available after", clocks.copy),
    ];
    let rows: Vec<String> = rows
        .iter()
        .map(|(what, time)| format!("             {what:<28} {:>7}  simulated", seconds(*time)))
        .collect();
    format!(
        "SavedTemplate saves two like machines. One runs again as soon as its snapshots have begun (the barrier),\n\
         the other waits for its image.\n\n\
         Real:      etcd, kube-apiserver, kubectl, the CRD, the chart's RBAC, the controller on default flags,\n           \
         and the AWS SDK over HTTP.\n\
         Simulated: EC2. Its clocks, shorter than the real ones:\n{}\n",
        rows.join("\n")
    )
}

impl Stage {
    /// Starts all of it. Nothing is applied yet.
    pub(super) async fn set() -> anyhow::Result<Self> {
        say("Starting etcd and kube-apiserver …")?;
        let policy = root().join("tests/src/demo/audit.yaml");
        let cluster = Cluster::start(Options {
            apiserver_args: vec![
                format!("--audit-policy-file={}", policy.display()),
                // Into the server's own log, which goes with the cluster.
                "--audit-log-path=-".to_owned(),
            ],
            ..Options::default()
        })
        .await?;
        say("Installing the CRDs, the class and the chart's ServiceAccount and roles …")?;
        cluster.install_crds().await?;
        let account = cluster.grant(SYSTEM, &serde_yaml::from_multiple::<Value>(CHART)?).await?;
        let kubeconfig = cluster.kubeconfig_for(SYSTEM, &account).await?;

        let ec2 = Server::start(clocks())?;
        let plays = EXAMPLES.into_iter().map(|file| play(file, &ec2)).collect::<anyhow::Result<Vec<_>>>()?;

        let args = [
            format!("--cluster-name={OWNER}"),
            format!("--namespace={SYSTEM}"),
            "--http-address=127.0.0.1:0".to_owned(),
        ];
        say(&format!("Starting savedtemplate-controller {} …", args.join(" ")))?;
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let log = cluster.dir().join("controller.log");
        let controller = Controller::start(&kubeconfig, &ec2.url(), &args, &log)?;
        controller.address().await?;
        Ok(Self { controller, ec2, cluster, plays })
    }

    /// Applies the examples with kubectl, as they are.
    pub(super) async fn apply(&self) -> anyhow::Result<()> {
        for play in &self.plays {
            let path = root().join(play.file);
            let output = self.cluster.kubectl(&["apply", "-f", path.to_str().context("path")?]).await?;
            ensure!(
                output.status.success(),
                "kubectl apply -f {}: {}",
                play.file,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    /// The namespace of the examples.
    pub(super) fn namespace(&self) -> &str {
        let first = self.plays.first().and_then(|play| play.template.metadata.namespace.as_deref());
        first.unwrap_or("default")
    }

    /// How to go on by hand.
    pub(super) fn invitation(&self) -> anyhow::Result<String> {
        let kubectl: PathBuf = self.cluster.kubectl_path()?;
        let tools = kubectl.parent().context("kubectl has no folder")?;
        let home = self.plays.first().map(Play::home).unwrap_or_default();
        let namespace = self.namespace();
        let lines = [
            "\nEverything stays up until Ctrl-C. In another terminal, in the folder of the repository:\n".to_owned(),
            format!("  export KUBECONFIG={}", self.cluster.kubeconfig().display()),
            format!("  export PATH={}:$PATH", tools.display()),
            format!(
                "  export AWS_ENDPOINT_URL_EC2={} AWS_ACCESS_KEY_ID={ACCOUNT} AWS_SECRET_ACCESS_KEY=simulated",
                self.ec2.url()
            ),
            format!("  export AWS_REGION={home} AWS_DEFAULT_REGION={home}\n"),
            format!("  kubectl -n {namespace} get savedtemplates -o wide"),
            format!("  kubectl -n {namespace} describe savedtemplate seismic-ml"),
            "  aws ec2 describe-images --owners self --query 'Images[].[ImageId,Name,State]' --output text".to_owned(),
            "\nDelete a template and apply it again: its images were kept, so they are adopted and nothing is stopped.\n"
                .to_owned(),
            format!("  kubectl -n {namespace} delete savedtemplate seismic-ml"),
            "  kubectl apply -f examples/quickstart.yaml".to_owned(),
            format!("\nThe controller's log: {}\n", self.controller.log().display()),
        ];
        Ok(lines.join("\n"))
    }
}

/// Reads an example and makes the machine that it asks for: running, with two volumes.
fn play(file: &'static str, ec2: &Server) -> anyhow::Result<Play> {
    let text = std::fs::read_to_string(root().join(file)).with_context(|| file.to_owned())?;
    let template: SavedTemplate = serde_yaml::from_str(&text).with_context(|| file.to_owned())?;
    let source = &template.spec.source;
    let instance = ec2.seed(InstanceSeed {
        region: source.region.to_string(),
        name: source.instance_name.clone(),
        volumes: vec![VolumeSeed::new("/dev/sda1", 8), VolumeSeed::new("/dev/sdf", 20)],
        ..InstanceSeed::default()
    });
    Ok(Play { file, template, instance })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[tokio::test]
    async fn what_the_demo_holds_of_the_chart_is_what_helm_renders() {
        let owner = format!("clusterName={OWNER}");
        let mut rendered = cluster::render_authority(SYSTEM, &[&owner]).await.unwrap();
        rendered.push(cluster::render_class().await.unwrap());
        let held: Vec<Value> = serde_yaml::from_multiple(CHART).unwrap();
        let by_name = |objects: Vec<Value>| {
            let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
            objects.into_iter().map(|object| (name(&object), object)).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(by_name(held), by_name(rendered), "chart.yaml is stale: run `make bless`");
    }
}
