//! What must be true after every second, whatever happened: read from the object and from the simulator's truth.
use ec2sim::InstanceState;
use saved_template_api::{
    ConditionType, SavedTemplateStatus,
    condition::{MAX_MESSAGE_BYTES, find},
    names::tag,
    status::Consistency,
};

use crate::{
    ec2::HOME,
    enemy::laws::Court,
    lab::{Lab, START},
};

/// A time of transition moves only with the status of its condition.
pub(crate) fn transitions(before: &SavedTemplateStatus, after: &SavedTemplateStatus) {
    for old in &before.conditions {
        if let Some(new) = after.conditions.iter().find(|new| new.type_ == old.type_) {
            let moved = old.last_transition_time != new.last_transition_time;
            assert!(!moved || old.status != new.status, "{old:?} {new:?}");
        }
    }
}

impl Lab {
    /// Asserts what always holds.
    pub(crate) fn check(&mut self) {
        let (watches, object) = (self.chronicle().watch.on, self.object());
        if watches {
            let (chronicle, sim) = (&mut *self.chronicle(), self.sim());
            let status = object.as_ref().filter(|_| !self.poisoned).map(|object| &object.status);
            chronicle.judged(|chronicle| Court { sim: &sim, chronicle, cluster: 0 }.watched(status));
        }
        let seen = (self.clusters[0].api.version(), self.sim().log().len());
        if std::mem::replace(&mut self.checked, seen) == seen && self.now() % 20_000 != 0 {
            return;
        }
        let Some(object) = object else { return };
        let status = &object.status;
        if status.observed_generation.is_none_or(|generation| generation == -1) {
            return;
        }
        let is = |kind| find(&status.conditions, kind).is_some_and(|condition| condition.status == "True");
        let (ready, reconciling, stalled) =
            (is(ConditionType::Ready), is(ConditionType::Reconciling), is(ConditionType::Stalled));
        assert!(!(reconciling && stalled), "both moving and stuck: {:?}", status.conditions);
        let suspended = self.condition("Ready").1 == "Suspended";
        assert!(!(suspended && stalled), "what is wished is no failure: {:?}", status.conditions);
        let under_way = reconciling || stalled || suspended;
        assert_ne!(ready, under_way, "neither ready nor under way: {:?}", status.conditions);
        for condition in &status.conditions {
            assert!(condition.message.len() <= MAX_MESSAGE_BYTES, "{condition:?}");
            assert!(condition.observed_generation.is_some(), "{condition:?}");
        }
        let capture = status.capture.as_ref();
        let owed = capture.is_some_and(|capture| capture.restart_record.is_some());
        assert!(!(ready && owed), "Ready while a machine is owed\n{}", self.history());
        assert!(!(stalled && owed), "Stalled while a machine is owed: {:?}\n{}", status, self.history());
        // Tags and statuses are forged: the laws on ground truth judge.
        if self.poisoned || watches {
            return;
        }
        let claims = capture.is_some_and(|capture| capture.consistency == Consistency::Stopped);
        let home = self.home();
        if let Some(capture) = capture.filter(|_| claims) {
            let its = |one: &ec2sim::Snapshot| one.tags.get(tag::CAPTURE) == Some(&capture.id);
            let at_rest = home.snapshots.values().filter(|one| its(one)).all(|snapshot| snapshot.is_at_rest);
            assert!(at_rest, "a lie about consistency\n{}", self.history());
        }
        let down = matches!(self.instance().state, InstanceState::Stopping | InstanceState::Stopped);
        // A machine whose tags were stripped tells nothing of a status that was lost before its image was asked for.
        let under = self.truth().under.map(|record| record.capture).unwrap_or_default();
        let told =
            self.instance().tags.values().any(|value| value.starts_with('r') && value.ends_with(&under))
                || home
                    .images
                    .values()
                    .any(|image| image.tags.get(tag::CAPTURE).is_some_and(|one| *one == under))
                || owed;
        assert!(
            !(ready && down && told && self.truth().held),
            "Ready while a machine is down\n{}",
            self.history()
        );
        if let Some(failed) = capture.filter(|capture| capture.reason.is_some()) {
            for (region, place) in self.places().into_iter().filter(|(key, _)| key.region != HOME) {
                let its = |image: &ec2sim::Image| image.tags.get(tag::CAPTURE) == Some(&failed.id);
                assert!(
                    !place.images.values().any(its),
                    "{region:?} has a copy of what failed\n{}",
                    self.history()
                );
            }
        }
        for served in &status.images {
            let place = self.place(served.region.as_str()).unwrap();
            let image = &place.images[served.image_id.as_str()];
            // What somebody else takes away is told within the drift period.
            let taken = image.deregistered_at.is_some_and(|at| self.now() - at < 400_000);
            assert!(taken || image.state == ec2sim::ImageState::Available, "{image:?} is served");
        }
    }

    /// What happened, for whoever reads a failure.
    pub(crate) fn history(&self) -> String {
        let second = (self.now() - START) / 1000;
        let calls = self.log().into_iter().filter(|call| call.is_effective() && !call.dry_run);
        let calls = calls.filter(|call| call.at >= START - 60_000);
        let calls = calls.map(|call| {
            let what: Vec<&str> = call
                .params
                .iter()
                .filter(|(key, _)| !key.contains("TagSpec"))
                .map(|(_, value)| value.as_str())
                .collect();
            format!("{} {} {} {:?}", (call.at - START) / 1000, call.region, call.action, what)
        });
        let calls: Vec<String> = calls.collect();
        format!(
            "second {second}, killed at {:?}\n{}\n{}",
            self.kills(),
            self.effects().join("\n"),
            calls.join("\n")
        )
    }
}

pub(crate) fn is_settled(lab: &Lab) -> bool {
    let suspended = lab.condition("Ready").1 == "Suspended" && lab.condition("Reconciling").0 != "True";
    lab.is_ready() || suspended || lab.condition("Stalled").0 == "True"
}

pub(crate) fn assert_given_back(lab: &Lab, what: &str) {
    assert_eq!(lab.instance().state, InstanceState::Running, "{what}\n{}", lab.history());
    assert!(!lab.owes(), "{what}\n{}", lab.history());
}
