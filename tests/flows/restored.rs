//! A cluster that forgets: etcd comes back some seconds older while machines are stopped for us.
use std::time::Duration;

use cluster::{Cluster, Options};
use ec2sim::{ACCOUNT, Config, ImageState, InstanceState};
use kube::api::{Patch, PatchParams};
use saved_template_api::{SavedTemplate, names::tag};
use saved_template_tests::{Lab, assert_holds, is, quick, shown};
use serde_json::json;

use crate::{HOME, images, owes, state, with};

/// How many machines of each lab are asked to be saved before the backup, one after the other; one more is after it.
const BEFORE: usize = 5;
/// So that the backup holds each save at another point: tagged, about to be stopped, stopped.
const APART: Duration = Duration::from_millis(800);

/// A lab, and its machines: the template of each has its name.
struct Site<'c> {
    lab: Lab<'c>,
    machines: Vec<(String, String)>,
}

impl<'c> Site<'c> {
    /// All templates are there, and wait to be asked.
    async fn new(cluster: &'c Cluster, namespace: &str) -> Self {
        let lab = Lab::on(cluster, namespace, Config { stop: 18_000, ..quick() }).await.unwrap();
        let mut machines = Vec::new();
        for number in 0..=BEFORE {
            let name = format!("machine-{number}");
            machines.push((name.clone(), lab.machine(&name)));
            lab.apply(&with(&name, &name, "  suspend: true\n")).await.unwrap();
        }
        Self { lab, machines }
    }

    async fn seen(&self) {
        for (name, _) in &self.machines {
            let suspended = |object: &SavedTemplate| is(object, "Ready", "False", Some("Suspended"));
            self.lab.until(name, Duration::from_secs(60), "suspended", suspended).await.unwrap();
        }
    }

    /// Asks for the save of one machine; of one whose save is asked for already, nothing changes.
    async fn ask(&self, number: usize) {
        let patch = Patch::Merge(json!({"spec": {"suspend": false}}));
        let name = &self.machines[number].0;
        self.lab.api().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// So many machines at least are on their way down.
    async fn stopping(&self, at_least: usize) {
        let are_stopping = |sim: &ec2sim::Sim| {
            let place = sim.place(ACCOUNT, HOME).unwrap();
            let machines = self.machines.iter().map(|(_, id)| place.instances[id].state);
            machines.filter(|state| *state == InstanceState::Stopping).count() >= at_least
        };
        self.lab.until_ec2(Duration::from_secs(40), "machines are stopping", are_stopping).await.unwrap();
    }

    /// How often EC2 did this to a machine.
    fn count(&self, action: &str, id: &String) -> usize {
        let changes = self.lab.changes();
        let calls = changes.iter().filter(|call| call.action == action && call.is_effective());
        calls.filter(|call| call.ids.contains(id)).count()
    }

    /// The machine runs, nothing is owed, and it was stopped and started so often.
    fn assert_runs(&self, id: &String, times: usize) {
        let lab = &self.lab;
        let runs = state(lab, id) == InstanceState::Running && !owes(lab, id);
        assert_holds("I1", runs, || format!("{id}\n{}", lab.evidence()));
        let done = ["StopInstances", "StartInstances"].map(|action| self.count(action, id));
        assert_holds("I9", done == [times; 2], || format!("{id}: {done:?}\n{}", lab.evidence()));
    }

    /// The images of the machine are those that its template serves.
    fn assert_nothing_leaked(&self, object: &SavedTemplate, id: &String) {
        let made = images(&self.lab, HOME).into_iter().filter(|image| image.instance.as_ref() == Some(id));
        let made: Vec<_> = made.map(|image| (image.id, image.state)).collect();
        let served = object.status.as_ref().map(|status| status.images.as_slice()).unwrap_or_default();
        let served: Vec<_> =
            served.iter().map(|image| (image.image_id.to_string(), ImageState::Available)).collect();
        assert_holds("I6", made == served && made.len() == 1, || {
            format!("{id}: {made:?}, {served:?}\n{}", self.lab.evidence())
        });
    }

    async fn assert_saved(&self, number: usize, stops: usize) {
        let (name, id) = &self.machines[number];
        let ready = |object: &SavedTemplate| is(object, "Ready", "True", None);
        let object = self.lab.until(name, Duration::from_secs(150), "Ready", ready).await.unwrap();
        assert!(is(&object, "SourceRestored", "True", Some("Restored")), "{}", shown(&object));
        self.assert_runs(id, stops);
        self.assert_nothing_leaked(&object, id);
    }

    /// Nobody remembers the save but the machine itself: it is given back, and not stopped again before somebody says so.
    async fn assert_forgotten(&self, number: usize) {
        let (name, id) = &self.machines[number];
        let back = |sim: &ec2sim::Sim| {
            let machine = &sim.place(ACCOUNT, HOME).unwrap().instances[id];
            machine.state == InstanceState::Running
                && !machine.tags.keys().any(|key| key.starts_with(tag::DEBT_PREFIX))
        };
        self.lab.until_ec2(Duration::from_secs(150), "the machine is given back", back).await.unwrap();
        let told = |object: &SavedTemplate| is(object, "Stalled", "True", Some("ImageMissing"));
        self.lab.until(name, Duration::from_secs(150), "told", told).await.unwrap();
        self.assert_runs(id, 1);
        let patch = Patch::Merge(json!({"spec": {"revision": 2}}));
        self.lab.api().patch(name, &PatchParams::default(), &patch).await.unwrap();
        self.assert_saved(number, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s88_an_etcd_that_goes_back_seconds_while_machines_are_stopped_keeps_none_of_them_down_and_stops_none_twice()
 {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    cluster.install_crds().await.unwrap();
    cluster.install_class().await.unwrap();
    let (alive, killed) =
        (Site::new(&cluster, "restored-alive").await, Site::new(&cluster, "restored-killed").await);
    let _stays = alive.lab.controller().unwrap();
    let mut dies = killed.lab.controller().unwrap();
    let sites = [&alive, &killed];
    for site in sites {
        site.seen().await;
    }
    for number in 0..BEFORE {
        for site in sites {
            site.ask(number).await;
        }
        tokio::time::timeout(APART, std::future::pending::<()>()).await.unwrap_err();
    }
    // The others follow within seconds: what says that they are stopped is forgotten.
    alive.stopping(1).await;
    let backup = cluster.back_up("seconds-ago").unwrap();
    for site in sites {
        site.ask(BEFORE).await;
    }
    for site in sites {
        site.stopping(BEFORE + 1).await;
    }
    dies.process().kill();
    cluster.restore(&backup).await.unwrap();
    let _again = killed.lab.controller().unwrap();
    for site in sites {
        for number in 0..=BEFORE {
            // As who has asked does when the cluster has forgotten it.
            site.ask(number).await;
        }
    }
    for site in sites {
        for number in 0..BEFORE {
            site.assert_saved(number, 1).await;
        }
    }
    for site in sites {
        // By then no image can come any more.
        site.lab.ec2.set_offset(15 * 60_000);
        site.assert_forgotten(BEFORE).await;
    }
}
