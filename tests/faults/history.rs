//! One history: a save or a deletion, whole or with something that goes wrong in it.
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use saved_template_tests::{Controller, Lab, Proxy, assert_holds, shown, verdict};

use crate::{
    ALL,
    effect::{self, Cell, Kind, Mark},
    quickstart, ready, rest,
    truth::{self, Deeds},
    until,
};

const NAME: &str = "seismic-ml";
const MACHINE: &str = "earthquake-analysis";
/// A process that dies is waited for so long: the first step of a save is taken within seconds, the last within a minute;
/// the last of a deletion within two.
const REACHED: Duration = Duration::from_mins(4);
/// What is still done so long after the object has gone: its claim is given up.
const AFTER: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_mins(5);
/// After all is done, what a process might do needlessly is done within this time.
const STILL: Duration = Duration::from_secs(6);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Save,
    Delete,
}

/// What is compared with the reference, and told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) effects: BTreeMap<Kind, u32>,
    pub(crate) deeds: Deeds,
    pub(crate) calls: BTreeMap<String, usize>,
    pub(crate) downtimes: Vec<i64>,
    pub(crate) took: Duration,
}

/// The processes and the doors of one history.
struct Stage {
    lab: Lab<'static>,
    proxy: Proxy,
    machine: String,
}

impl Stage {
    async fn set(namespace: &str, test: &str, cell: Option<&Cell>) -> Self {
        let lab = Lab::quick(namespace).await.unwrap().of_test(test);
        lab.cell(&cell.map_or_else(|| "reference".to_owned(), Cell::to_string));
        let machine = lab.machine(MACHINE);
        let proxy = Proxy::start(lab.kubeconfig()).await.unwrap();
        Self { lab, proxy, machine }
    }

    fn controller(&self) -> Controller {
        self.lab.controller_through(self.proxy.kubeconfig(), &[]).unwrap()
    }

    /// Waits until the cell's fault has happened; whoever died is followed by another process. None if it never happens:
    /// processes race, and not every history writes as many statuses as the references.
    async fn meets(&self, cell: &Cell, mut first: Controller) -> Option<Controller> {
        let (started, mut over) = (Instant::now(), None);
        while !cell.is_hit(&self.lab.ec2.sim(), &self.proxy) {
            if self.lab.get(NAME).await.unwrap().is_none() {
                over.get_or_insert_with(Instant::now);
            }
            if started.elapsed() > REACHED || over.is_some_and(|since| since.elapsed() > AFTER) {
                return None;
            }
            rest(Duration::from_millis(100)).await;
        }
        if !cell.kills() {
            return Some(first);
        }
        let died = first.process().wait(Duration::from_secs(10)).await.unwrap();
        assert!(!died.success(), "{cell}: killed, not ended");
        Some(self.controller())
    }

    /// What the last process does of itself, once it leads.
    async fn calms(&self, controller: &Controller) {
        until(Duration::from_secs(60), "leading", || controller.output().contains("leading")).await;
        rest(STILL).await;
    }

    fn told(&self, since: Mark, started: Instant) -> Told {
        truth::look(&self.lab, |sim| Told {
            deeds: truth::deeds(sim),
            calls: verdict::calls(sim),
            downtimes: verdict::downtimes(sim),
            ..Told::default()
        })
        .with(effect::effects(&self.lab, &self.proxy, since), started.elapsed())
    }
}

impl Told {
    fn with(mut self, effects: BTreeMap<Kind, u32>, took: Duration) -> Self {
        self.effects = effects;
        self.took = took;
        self
    }
}

/// One machine is saved to three regions; none if the cell's fault never happened.
pub(crate) async fn save(
    namespace: &str,
    test: &str,
    cell: Option<&Cell>,
    reference: Option<&Deeds>,
) -> Option<Told> {
    let started = Instant::now();
    let stage = Stage::set(namespace, test, cell).await;
    let Stage { lab, proxy, machine } = &stage;
    let mut controller = stage.controller();
    if let Some(cell) = cell {
        cell.arm(controller.pid(), lab, proxy);
    }
    lab.apply(&quickstart(lab)).await.unwrap();
    if let Some(cell) = cell {
        controller = stage.meets(cell, controller).await?;
    }
    ready(lab, NAME).await;
    stage.calms(&controller).await;
    ready(lab, NAME).await;
    let told = stage.told(Mark::default(), started);
    truth::assert_saved(lab, machine, &ALL, reference.unwrap_or(&told.deeds));
    Some(told)
}

/// What was saved a while ago is deleted with everything of it.
///
/// The clock of EC2 is put forward by seventeen minutes between the two, or each deletion would wait for what an image
/// that was asked for a short while ago may still show. What is asked for in the deletion itself creates nothing.
pub(crate) async fn delete(
    namespace: &str,
    test: &str,
    cell: Option<&Cell>,
    reference: Option<&Deeds>,
) -> Option<Told> {
    let started = Instant::now();
    let stage = Stage::set(namespace, test, cell).await;
    let Stage { lab, proxy, machine } = &stage;
    let mut saver = stage.controller();
    lab.apply(&(quickstart(lab) + "  deletionPolicy: Delete\n")).await.unwrap();
    ready(lab, NAME).await;
    saver.process().stop(Duration::from_secs(20)).await.unwrap();
    lab.ec2.set_offset(17 * 60_000);

    let mut controller = stage.controller();
    until(Duration::from_secs(60), "leading", || controller.output().contains("leading")).await;
    let since = Mark::now(lab, proxy);
    if let Some(cell) = cell {
        cell.arm(controller.pid(), lab, proxy);
    }
    let deletion = ["delete", "stpl", NAME, "-n", namespace, "--wait=false"];
    assert!(lab.cluster.kubectl(&deletion).await.unwrap().status.success());
    if let Some(cell) = cell {
        controller = stage.meets(cell, controller).await?;
    }
    let asked = Instant::now();
    while let Some(object) = lab.get(NAME).await.unwrap() {
        assert_holds("L2", asked.elapsed() < PATIENCE, || format!("{}\n{}", shown(&object), lab.evidence()));
        rest(Duration::from_millis(500)).await;
    }
    stage.calms(&controller).await;
    let told = stage.told(since, started);
    truth::assert_deleted(lab, machine, reference.unwrap_or(&told.deeds));
    Some(told)
}
