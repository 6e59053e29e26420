//! What people and other tools do to the object, the machine and the API server meanwhile.
use ec2sim::{ACCOUNT, InstanceSeed, InstanceState, Request};
use saved_template_api::{
    SavedTemplateStatus,
    names::{debt_key, tag},
};
use serde_json::{Value, json};

use crate::{
    ec2::{HOME, on_instance, untag},
    enemy::{rewind::Manner, status::Lie, tags::Forgery},
    history::History,
    lab::{CLUSTER, Lab, Object},
    truth::Wish,
};

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Incident {
    NewRevision,
    OlderRevision,
    MoreRegions,
    FewerRegions,
    EditTags,
    RemoveTags,
    Suspend,
    Resume,
    Delete,
    ForceDelete,
    WipeStatus,
    StripRecord,
    StripAllTags,
    UserStops,
    UserStarts,
    UserTerminates,
    ApiGoes,
    ApiReturns,
    /// By so many writes.
    ApiGoesBack(u8, Manner),
    ForgetStop,
    /// What enemies do.
    Forge(Forgery),
    Lie(Lie),
    Twin,
    BackUp,
}

impl History {
    /// One incident. What cannot be done in the state that things are in is not done.
    pub(crate) fn happens(&self, lab: &mut Lab, incident: Incident) {
        let (id, key) = (lab.id.clone(), debt_key(CLUSTER));
        match incident {
            Incident::UserStops => _ = lab.users(&on_instance("StopInstances", &id)),
            Incident::UserStarts => _ = lab.users(&on_instance("StartInstances", &id)),
            Incident::UserTerminates => _ = lab.users(&on_instance("TerminateInstances", &id)),
            Incident::ApiGoes => lab.api_is_up = false,
            Incident::ApiReturns => lab.api_is_up = true,
            Incident::ApiGoesBack(writes, manner) => lab.goes_back(writes.into(), manner),
            Incident::ForgetStop => lab.forgets_the_stop(),
            Incident::Forge(forgery) => lab.forges(forgery),
            Incident::Lie(lie) => lab.lies(lie),
            Incident::Twin => lab.is_doubled(),
            Incident::BackUp => lab.backs_up(),
            Incident::StripRecord => {
                if let Some(value) = lab.instance().tags.get(&key).cloned() {
                    lab.user(&untag(&id, &key, &value));
                }
            }
            Incident::StripAllTags => {
                let tags = lab.instance().tags.clone();
                for (name, value) in tags.iter().filter(|(name, _)| name.starts_with(tag::PREFIX)) {
                    lab.user(&untag(&id, name, value));
                }
            }
            Incident::ForceDelete => lab.object = None,
            Incident::WipeStatus => edit(lab, |object| object.status = SavedTemplateStatus::default()),
            Incident::Delete => edit(lab, |object| object.deleting = true),
            Incident::NewRevision => respec(lab, |spec| spec["revision"] = json!(2)),
            Incident::OlderRevision => respec(lab, |spec| spec["revision"] = json!(1)),
            Incident::Suspend => respec(lab, |spec| spec["suspend"] = json!(true)),
            Incident::Resume => respec(lab, |spec| spec["suspend"] = json!(false)),
            Incident::MoreRegions => {
                respec(lab, |spec| spec["regions"] = self.spec(2, false)["regions"].clone());
            }
            Incident::FewerRegions => respec(lab, |spec| spec["regions"] = json!([])),
            Incident::EditTags => respec(lab, |spec| {
                let edited = self.spec(0, true);
                (spec["tags"], spec["description"]) = (edited["tags"].clone(), edited["description"].clone());
            }),
            Incident::RemoveTags => respec(lab, |spec| spec["tags"] = json!([])),
        }
        lab.stir();
    }
}

fn edit(lab: &mut Lab, change: impl FnOnce(&mut Object)) {
    if let Some(object) = lab.object.as_mut() {
        change(object);
    }
    lab.stir();
}

fn respec(lab: &mut Lab, change: impl FnOnce(&mut Value)) {
    edit(lab, |object| {
        let mut spec = serde_json::to_value(&object.spec).unwrap();
        change(&mut spec);
        object.spec = serde_json::from_value(spec).unwrap();
        object.generation += 1;
    });
}

impl Lab {
    /// EC2's own failures end too: a machine that hangs is let go.
    pub(crate) fn heal(&mut self) {
        self.api_is_up = true;
        self.mishaps.planned.clear();
        self.sim.clear_faults();
        if self.instance().state == InstanceState::Stopping {
            let call = on_instance("StopInstances", &self.id).with("Force", "true");
            self.sim.call(self.now, ACCOUNT, HOME, &call);
        }
        self.stir();
    }

    /// A machine and an image of somebody else, in the same region.
    pub(crate) fn seed_others(&mut self) {
        let tags = [(tag::CLUSTER.to_owned(), "another".to_owned())].into();
        let seed =
            InstanceSeed { region: HOME.into(), name: Some("other".into()), tags, ..InstanceSeed::default() };
        let at = self.now - 80_000_000;
        let id = self.sim.seed(at, seed);
        let call = Request::new("CreateImage")
            .with("InstanceId", &id)
            .with("Name", "quake")
            .with("NoReboot", "true");
        assert_eq!(self.sim.call(at, ACCOUNT, HOME, &call).code, None);
        self.sim.advance(self.now - 40_000_000);
        self.others = self.sim.place(ACCOUNT, HOME).cloned();
    }

    /// Whatever others had is as it was.
    pub(crate) fn others_are_untouched(&self) {
        let (Some(before), Some(after)) = (&self.others, self.sim.place(ACCOUNT, HOME)) else { return };
        for (id, instance) in before.instances.iter().filter(|(id, _)| **id != self.id) {
            assert_eq!(after.instances.get(id), Some(instance), "another's machine");
        }
        assert!(!before.images.is_empty() && !before.snapshots.is_empty());
        for (id, image) in &before.images {
            assert_eq!(after.images.get(id), Some(image), "another's image");
        }
        for (id, snapshot) in &before.snapshots {
            assert_eq!(after.snapshots.get(id), Some(snapshot), "another's snapshot");
        }
    }

    /// The machine was stopped by its owner long ago.
    pub(crate) fn rest_before(&mut self) {
        let at = self.now - 3_600_000;
        let reply = self.sim.call(at, ACCOUNT, HOME, &on_instance("StopInstances", &self.id));
        assert_eq!(reply.code, None);
        self.sim.advance(self.now - 1_000_000);
        assert_eq!(self.instance().state, InstanceState::Stopped);
        self.truth.wish = Wish::Rests;
    }
}
