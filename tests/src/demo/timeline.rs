//! What happens, as it happens: EC2's own history, the events, and the conditions that a user watches.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{bail, ensure};
use ec2sim::Millis;
use k8s_openapi::api::events::v1::Event;
use kube::{Api, ResourceExt as _, api::ListParams};
use saved_template_api::{SavedTemplate, SavedTemplateStatus};

use crate::{
    demo::{
        news, screen,
        stage::{Play, Stage},
        truth::{self, Fact},
    },
    is, shown,
};

const LOOK: Duration = Duration::from_millis(250);

/// What was shown so far.
pub(super) struct Timeline {
    began: Millis,
    templates: Api<SavedTemplate>,
    events: Api<Event>,
    names: BTreeMap<String, String>,
    facts: BTreeSet<Fact>,
    notes: BTreeSet<String>,
    objects: BTreeMap<String, SavedTemplate>,
}

impl Timeline {
    /// Makes the namespace of the examples, and counts from now.
    pub(super) async fn begin(stage: &Stage) -> anyhow::Result<Self> {
        stage.cluster.create_namespace(stage.namespace()).await?;
        let client = stage.cluster.client().await?;
        let timeline = Self {
            began: stage.ec2.now(),
            templates: Api::namespaced(client.clone(), stage.namespace()),
            events: Api::namespaced(client, stage.namespace()),
            names: stage.plays.iter().map(|play| (play.instance.clone(), play.name().to_owned())).collect(),
            facts: BTreeSet::new(),
            notes: BTreeSet::new(),
            objects: BTreeMap::new(),
        };
        screen::say("\nMachines, images and the time that they take are the simulated EC2's.\n")?;
        screen::say("     s  template            what")?;
        for Play { file, .. } in &stage.plays {
            screen::say(&screen::line(0, "", "kubectl", &format!("apply -f {file}")))?;
        }
        Ok(timeline)
    }

    /// Shows what happens until every example is Ready.
    pub(super) async fn until_ready(&mut self, stage: &mut Stage) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            self.look(stage).await?;
            let is_ready = |play: &Play| {
                self.objects.get(play.name()).is_some_and(|object| is(object, "Ready", "True", None))
            };
            if stage.plays.iter().all(is_ready) {
                return Ok(());
            }
        }
    }

    /// Shows what happens until the objects are as `wanted` says.
    pub(super) async fn until(
        &mut self,
        stage: &mut Stage,
        limit: Duration,
        wanted: impl Fn(&BTreeMap<String, SavedTemplate>) -> bool,
    ) -> anyhow::Result<()> {
        let waiting = async {
            let mut ticks = tokio::time::interval(LOOK);
            loop {
                ticks.tick().await;
                self.look(stage).await?;
                if wanted(&self.objects) {
                    return Ok(());
                }
            }
        };
        let late = || anyhow::anyhow!("not so within {} minutes", limit.as_secs() / 60);
        tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| Err(late()))
    }

    /// An object as it was last seen.
    pub(super) fn object(&self, name: &str) -> Option<&SavedTemplate> {
        self.objects.get(name)
    }

    /// Goes on showing what happens.
    pub(super) async fn for_ever(&mut self, stage: &mut Stage) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            self.look(stage).await?;
        }
    }

    /// What somebody needs to see why it did not come to an end.
    pub(super) fn evidence(&self, stage: &Stage) -> String {
        let log = stage.controller.output();
        let skip = log.lines().count().saturating_sub(30);
        let mut parts: Vec<String> =
            self.objects.iter().map(|(name, object)| format!("{name}\n{}", shown(object))).collect();
        parts.push("the controller's log ends:".to_owned());
        parts.extend(log.lines().skip(skip).map(str::to_owned));
        parts.join("\n")
    }

    /// One look at everything; what is new is printed in the order of its time.
    async fn look(&mut self, stage: &mut Stage) -> anyhow::Result<()> {
        if let Some(status) = stage.controller.process().exited()? {
            bail!("the controller has ended: {status}");
        }
        let mut lines = self.in_ec2(stage);
        lines.extend(self.in_events().await?);
        lines.extend(self.in_objects(stage.ec2.now()).await?);
        lines.sort();
        for line in lines {
            screen::say(&screen::line(line.at - self.began, &line.who, line.kind, &line.text))?;
        }
        Ok(())
    }

    fn in_ec2(&mut self, stage: &Stage) -> Vec<Fact> {
        let now = stage.ec2.now();
        let mut sim = stage.ec2.sim();
        sim.advance(now);
        let facts = truth::facts(&sim, &self.names);
        facts.into_iter().filter(|fact| self.facts.insert(fact.clone())).collect()
    }

    async fn in_events(&mut self) -> anyhow::Result<Vec<Fact>> {
        let mut lines = Vec::new();
        for event in self.events.list(&ListParams::default()).await? {
            let Some(at) = event.event_time.as_ref().map(|time| time.0.as_millisecond()) else { continue };
            if !self.notes.insert(event.name_any()) {
                continue;
            }
            let who = event.regarding.and_then(|object| object.name).unwrap_or_default();
            let reason = event.reason.unwrap_or_default();
            let warning = if event.type_.as_deref() == Some("Warning") { "Warning " } else { "" };
            let text = format!("{warning}{reason}: {}", event.note.unwrap_or_default());
            lines.push(Fact { at, who, kind: "event", text });
        }
        Ok(lines)
    }

    async fn in_objects(&mut self, now: Millis) -> anyhow::Result<Vec<Fact>> {
        let mut lines = Vec::new();
        let objects: BTreeMap<String, SavedTemplate> = {
            let list = self.templates.list(&ListParams::default()).await?;
            list.into_iter().map(|object| (object.name_any(), object)).collect()
        };
        let fact = |who: &str, kind, text| Fact { at: now, who: who.to_owned(), kind, text };
        for (name, object) in &objects {
            let nothing = SavedTemplateStatus::default();
            let old = self.objects.get(name).filter(|old| old.uid() == object.uid());
            let old = old.and_then(|old| old.status.as_ref()).unwrap_or(&nothing);
            let new = object.status.as_ref().unwrap_or(&nothing);
            lines.extend(news::between(old, new).into_iter().map(|(kind, text)| fact(name, kind, text)));
        }
        let gone = self.objects.keys().filter(|name| !objects.contains_key(*name));
        lines.extend(gone.map(|name| fact(name, "object", "deleted".to_owned())));
        ensure!(self.began <= now, "the clock went back");
        self.objects = objects;
        Ok(lines)
    }
}
