//! One test's world: its namespace on a shared control plane, its own EC2, its own cluster name.
use std::{
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use cluster::{Cluster, Options};
use ec2sim::{Config, InstanceSeed, LogEntry, Server, VolumeSeed};
use kube::Api;
use saved_template_api::{SavedTemplate, condition::find, text};
use tokio::sync::OnceCell;

use crate::{
    controller::{Controller, pause},
    verdict,
    witness::Witness,
};

/// The group of the lab's own client and kubectl: exempt from the admission policy, for it plays what no policy keeps out,
/// such as a restored etcd or a cluster without the policy. Everybody else is under it.
const WHATEVER_ELSE: &str = "system:masters";

/// What the user agent of the controller's calls contains.
pub const OUR_CALLS: &str = "aws-sdk-rust";

/// The control plane that the tests of one binary share, with our CRDs.
pub async fn control_plane() -> anyhow::Result<&'static Cluster> {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    SHARED
        .get_or_try_init(async || {
            let cluster = Cluster::start(Options::default()).await?;
            cluster.install_crds().await?;
            cluster.install_class().await?;
            Ok(cluster)
        })
        .await
}

/// A control plane to apply to, an EC2 to look at, and the means to start controllers.
pub struct Lab<'c> {
    /// The control plane.
    pub cluster: &'c Cluster,
    /// EC2.
    pub ec2: Server,
    /// The namespace of the objects and of the controller.
    pub namespace: String,
    kubeconfig: PathBuf,
    api: Api<SavedTemplate>,
    witness: Witness,
    started: AtomicU32,
    test: String,
    cell: OnceLock<String>,
}

/// Clocks that make a flow take seconds: stop 2 s, start 2 s, snapshots 1 s, image 4 s, copies 3 s.
pub fn quick() -> Config {
    Config {
        stop: 2000,
        start: 2000,
        snapshot_lag: 1000,
        snapshot: 2000,
        image: 4000,
        copy: 3000,
        ..Config::default()
    }
}

impl<'c> Lab<'c> {
    /// A lab in `namespace` of `cluster`, with `config` as EC2's clocks.
    pub async fn on(cluster: &'c Cluster, namespace: &str, config: Config) -> anyhow::Result<Self> {
        Self::installed(cluster, namespace, config, &[&format!("namespaces={{{namespace}}}")]).await
    }

    /// A lab whose chart, and so the controller's role, is for another namespace too, which exists.
    pub async fn beside(
        cluster: &'c Cluster,
        namespace: &str,
        other: &str,
        config: Config,
    ) -> anyhow::Result<Self> {
        Self::installed(cluster, namespace, config, &[&format!("namespaces={{{namespace},{other}}}")]).await
    }

    /// A lab whose chart, and so the controller's role, is for all namespaces.
    pub async fn everywhere(cluster: &'c Cluster, namespace: &str, config: Config) -> anyhow::Result<Self> {
        Self::installed(cluster, namespace, config, &[]).await
    }

    async fn installed(
        cluster: &'c Cluster,
        namespace: &str,
        config: Config,
        values: &[&str],
    ) -> anyhow::Result<Self> {
        // Cluster-scoped objects are named after the release: one name per lab, or they would take each other's.
        let name = format!("fullnameOverride=savedtemplate-{namespace}");
        let exempt = format!("admissionPolicy.exempt={{{WHATEVER_ELSE}}}");
        let account = cluster
            .install_authority(namespace, &[values, &["clusterName=lab", &name, &exempt]].concat())
            .await?;
        let kubeconfig = cluster.kubeconfig_for(namespace, &account).await?;
        let api = Api::namespaced(cluster.client().await?, namespace);
        let witness = Witness::default();
        witness.follow(Api::clone(&api));
        let ec2 = Server::start(config)?;
        Ok(Self {
            cluster,
            ec2,
            namespace: namespace.to_owned(),
            kubeconfig,
            api,
            witness,
            started: AtomicU32::new(0),
            test: thread::current().name().unwrap_or_default().to_owned(),
            cell: OnceLock::new(),
        })
    }

    /// A lab on the shared control plane, with quick clocks.
    pub async fn quick(namespace: &str) -> anyhow::Result<Lab<'static>> {
        Lab::on(control_plane().await?, namespace, quick()).await
    }

    /// A lab in which somebody writes statuses, or EC2 says what it never says: no witness of `docs/conditions.md`.
    #[must_use]
    pub fn hostile(self) -> Self {
        self.witness.leave();
        self
    }

    /// Says which of several histories of a test this is.
    pub fn cell(&self, name: &str) {
        // The first name stays.
        let _named = self.cell.set(name.to_owned());
    }

    /// The same, for a test whose labs are made on other threads.
    #[must_use]
    pub fn of_test(mut self, test: &str) -> Self {
        test.clone_into(&mut self.test);
        self
    }

    /// A running machine with two volumes in us-west-2.
    pub fn machine(&self, name: &str) -> String {
        self.ec2.seed(InstanceSeed {
            region: "us-west-2".to_owned(),
            name: Some(name.to_owned()),
            volumes: vec![VolumeSeed::new("/dev/sda1", 8), VolumeSeed::new("/dev/sdf", 20)],
            ..InstanceSeed::default()
        })
    }

    /// A controller of this namespace alone, that gives back machines of the three regions of the examples.
    pub fn controller(&self) -> anyhow::Result<Controller> {
        self.controller_with(&[])
    }

    /// The same, with more flags.
    pub fn controller_with(&self, more: &[&str]) -> anyhow::Result<Controller> {
        self.controller_through(&self.kubeconfig, more)
    }

    /// The kubeconfig of the controller's own ServiceAccount.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The same, with another way to the API server.
    pub fn controller_through(&self, kubeconfig: &Path, more: &[&str]) -> anyhow::Result<Controller> {
        self.controller_at(kubeconfig, &self.ec2.url(), more)
    }

    /// The same, with another EC2.
    pub fn controller_at(
        &self,
        kubeconfig: &Path,
        endpoint: &str,
        more: &[&str],
    ) -> anyhow::Result<Controller> {
        self.controller_of("lab", kubeconfig, endpoint, more)
    }

    /// A controller of this lab under another cluster name.
    pub fn controller_named(&self, cluster: &str, more: &[&str]) -> anyhow::Result<Controller> {
        self.controller_of(cluster, &self.kubeconfig, &self.ec2.url(), more)
    }

    /// A controller of an installation: its cluster name, its way to Kubernetes, its EC2.
    pub fn controller_of(
        &self,
        cluster: &str,
        kubeconfig: &Path,
        endpoint: &str,
        more: &[&str],
    ) -> anyhow::Result<Controller> {
        let cluster = format!("--cluster-name={cluster}");
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let identity = format!("controller-{number}");
        let mut args = vec![
            &cluster,
            "--http-address=127.0.0.1:0",
            "--lease-seconds=4",
            "--regions=us-west-2,us-east-2,us-west-1",
            "--namespace",
            &self.namespace,
            "--namespaces",
            &self.namespace,
            "--identity",
            &identity,
        ];
        args.extend(more);
        let log = self.cluster.dir().join(format!("{}-{identity}.log", self.namespace));
        Controller::start(kubeconfig, endpoint, &args, &log)
    }

    /// The object as the API server has it; none if it is gone.
    pub async fn get(&self, name: &str) -> anyhow::Result<Option<SavedTemplate>> {
        Ok(self.api.get_opt(name).await?)
    }

    /// The objects of the namespace.
    pub fn api(&self) -> &Api<SavedTemplate> {
        &self.api
    }

    /// Applies a manifest with kubectl, in this namespace.
    pub async fn apply(&self, manifest: &str) -> anyhow::Result<String> {
        let output =
            self.cluster.kubectl_with(&["apply", "-n", &self.namespace, "-f", "-"], manifest).await?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until the object is as `wanted` says, and returns it; else shows what it is.
    pub async fn until(
        &self,
        name: &str,
        patience: Duration,
        what: &str,
        wanted: impl Fn(&SavedTemplate) -> bool,
    ) -> anyhow::Result<SavedTemplate> {
        let started = Instant::now();
        loop {
            // The API server may be away for a while, in some tests on purpose.
            if let Ok(Some(object)) = self.api.get_opt(name).await {
                self.witness.note(&object);
                if wanted(&object) {
                    return Ok(object);
                }
                if started.elapsed() > patience {
                    bail!(
                        "{name} was not {what} within {patience:?}:\n{}\n{}",
                        shown(&object),
                        self.evidence()
                    );
                }
            } else if started.elapsed() > patience {
                bail!("{name} could not be read within {patience:?}");
            }
            pause(Duration::from_millis(200)).await;
        }
    }

    /// Waits for `Ready=True`.
    pub async fn ready(&self, name: &str) -> anyhow::Result<SavedTemplate> {
        self.until(name, Duration::from_secs(120), "Ready", |object| is(object, "Ready", "True", None)).await
    }

    /// Waits until `wanted` holds in EC2.
    pub async fn until_ec2(
        &self,
        patience: Duration,
        what: &str,
        wanted: impl Fn(&ec2sim::Sim) -> bool,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        while !self.in_ec2(&wanted) {
            if started.elapsed() > patience {
                bail!("EC2 was not such that {what} within {patience:?}:\n{}", self.evidence());
            }
            pause(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    fn in_ec2(&self, wanted: &impl Fn(&ec2sim::Sim) -> bool) -> bool {
        let now = self.ec2.now();
        let mut sim = self.ec2.sim();
        sim.advance(now);
        wanted(&sim)
    }

    /// EC2's log of calls that changed something, or tried to.
    pub fn changes(&self) -> Vec<LogEntry> {
        let sim = self.ec2.sim();
        let log = sim.log().iter();
        log.filter(|entry| !entry.dry_run && !entry.action.starts_with("Describe")).cloned().collect()
    }

    /// How often EC2 carried `action` out.
    pub fn count(&self, action: &str) -> usize {
        self.changes().iter().filter(|entry| entry.action == action && entry.is_effective()).count()
    }

    /// What a failed test shows: the calls, and the end of each controller's log.
    pub fn evidence(&self) -> String {
        let mut text = self.calls().join("\n");
        for number in 0..self.started.load(Ordering::Relaxed) {
            let log = self.cluster.dir().join(format!("{}-controller-{number}.log", self.namespace));
            let lines = std::fs::read_to_string(log).unwrap_or_default();
            let skip = lines.lines().count().saturating_sub(60);
            text.extend(["\n--- controller-", &number.to_string(), "\n"]);
            text.extend(lines.lines().skip(skip).flat_map(|line| [line, "\n"]));
        }
        text
    }

    /// The changing calls, one line each.
    pub fn calls(&self) -> Vec<String> {
        let line = |entry: &LogEntry| {
            format!("{} {} {} {:?} {:?}", entry.at, entry.region, entry.action, entry.outcome, entry.ids)
        };
        self.changes().iter().map(line).collect()
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        let now = self.ec2.now();
        let mut sim = self.ec2.sim();
        sim.advance(now);
        verdict::note(&self.test, self.cell.get().map_or("", String::as_str), &sim);
    }
}

/// Whether a condition of the object has this status, and this reason if one is given.
pub fn is(object: &SavedTemplate, kind: &str, status: &str, reason: Option<&str>) -> bool {
    let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().any(|condition| {
        condition.type_ == kind
            && condition.status == status
            && reason.is_none_or(|reason| condition.reason == reason)
    })
}

/// The conditions of an object, for people.
pub fn shown(object: &SavedTemplate) -> String {
    let status = object.status.clone().unwrap_or_default();
    let line = |condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
        format!("  {}={} {}: {}", condition.type_, condition.status, condition.reason, condition.message)
    };
    let lines: Vec<String> = status.conditions.iter().map(line).collect();
    format!("{}\n  announced {:#?}\n  capture {:?}", lines.join("\n"), status.announced, status.capture)
}

/// The message of a condition.
pub fn message(object: &SavedTemplate, kind: saved_template_api::ConditionType) -> anyhow::Result<String> {
    let status = object.status.as_ref().context("no status")?;
    let condition = find(&status.conditions, kind).context("no such condition")?;
    Ok(text::cut(condition.message.clone(), 1024))
}
