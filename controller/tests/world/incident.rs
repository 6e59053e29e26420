//! What people and other tools do to the object, the machine and the API server meanwhile.
use ec2sim::{ACCOUNT, InstanceSeed, InstanceState, Request, Sim};
use saved_template_api::{
    SavedTemplateStatus,
    names::{debt_key, tag},
};
use serde_json::{Value, json};

use crate::{
    ec2::{HOME, call, on_instance, untag},
    enemy::{rewind::Manner, status::Lie, tags::Forgery},
    history::History,
    lab::{CLUSTER, Lab, Object, START},
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
            Incident::ApiGoes => lab.api(false),
            Incident::ApiReturns => lab.api(true),
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
            Incident::ForceDelete => lab.force_delete(),
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
    }
}

fn edit(lab: &mut Lab, change: impl FnOnce(&mut Object)) {
    lab.edit(change);
}

fn respec(lab: &mut Lab, change: impl FnOnce(&mut Value)) {
    edit(lab, |object| {
        let mut spec = serde_json::to_value(&object.spec).unwrap();
        change(&mut spec);
        object.spec = serde_json::from_value(spec).unwrap();
    });
}

impl Lab {
    /// EC2's own failures end too: a machine that hangs is let go.
    pub(crate) fn heal(&self) {
        self.api(true);
        self.chronicle().mishaps.planned.clear();
        self.sim().clear_faults();
        if self.instance().state == InstanceState::Stopping {
            let request = on_instance("StopInstances", &self.id).with("Force", "true");
            call(&mut self.sim(), self.now(), HOME, &request);
        }
    }

    /// Whatever others had is as it was.
    pub(crate) fn others_are_untouched(&self) {
        let Some(before) = &self.others else { return };
        let after = self.home();
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
}

/// A machine and an image of somebody else, in the same region. No machine of theirs is acted on.
pub(crate) fn seed_others(sim: &mut Sim) -> Vec<String> {
    let tags = [(tag::CLUSTER.to_owned(), "another".to_owned())].into();
    let seed =
        InstanceSeed { region: HOME.into(), name: Some("other".into()), tags, ..InstanceSeed::default() };
    let at = START - 80_000_000;
    let id = sim.seed(at, seed);
    let request =
        Request::new("CreateImage").with("InstanceId", &id).with("Name", "quake").with("NoReboot", "true");
    assert_eq!(call(sim, at, HOME, &request).code, None);
    sim.advance(START - 40_000_000);
    Vec::new()
}

/// The machine was stopped by its owner long ago.
pub(crate) fn rest_before(sim: &mut Sim, id: &str) {
    let at = START - 3_600_000;
    assert_eq!(call(sim, at, HOME, &on_instance("StopInstances", id)).code, None);
    sim.advance(START - 1_000_000);
    assert_eq!(sim.place(ACCOUNT, HOME).unwrap().instances[id].state, InstanceState::Stopped);
}
