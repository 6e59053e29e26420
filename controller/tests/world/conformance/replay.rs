//! The model beside the shell: at each effect of the shell one that the model offers must be equal, and the model makes it.
use std::{cell::OnceCell, collections::VecDeque, rc::Rc, sync::Arc};

use saved_template_api::names::debt_key;
use saved_template_core::{decision::Finalizer, world::View};
use serde_json::Value;

use super::call::Call;
use crate::{
    small::{
        cloud::{CLUSTER, VOLUME, image_id, snapshot_id},
        process::{Answer, fence},
        state::{Mind, Pass, Payment, State, Status, What},
        world::World,
    },
    trace::{Deed, Entry, Lot},
};

/// For how many seconds a sweep, or a decision, may rest in a process: a sleep, and the oldest view that is taken.
const RESTS: i64 = 140;
const OLDEST: i64 = 62;
/// The most seconds between two passes over an object whose machine is owed.
const PASS: i64 = 5;

const FOR_PEOPLE: [&str; 3] = ["message", "lastTransitionTime", "progressPercent"];

/// A state that the model was in.
struct Moment {
    state: State,
    view: OnceCell<Arc<View>>,
}

impl Moment {
    fn view(&self) -> Arc<View> {
        Arc::clone(self.view.get_or_init(|| Arc::new(self.state.view(&self.state.minds[0]))))
    }
}

pub(crate) struct Replay {
    world: World,
    state: State,
    /// The newest first.
    moments: VecDeque<Rc<Moment>>,
    /// Ids of images and snapshots: EC2's, and the model's.
    ids: Vec<(String, String)>,
    /// What the model did.
    pub(crate) history: Vec<String>,
    pub(crate) compared: usize,
    /// Decisions that rest on a view from an earlier second than their own.
    pub(crate) aged: usize,
    /// Writes that tell people something and change nothing for a decision.
    pub(crate) told: usize,
}

/// Messages, the times at which conditions changed and the progress of snapshots are for people: no decision reads them.
fn told(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| !FOR_PEOPLE.contains(&key.as_str()));
            fields.values_mut().for_each(told);
        }
        Value::Array(values) => values.iter_mut().for_each(told),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn words(status: &Status) -> Value {
    let mut value = serde_json::to_value(&status.value).unwrap();
    told(&mut value);
    value
}

/// Where two values differ.
fn differences(ours: &Value, theirs: &Value, at: &str, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                differences(a, b, &format!("{at}.{key}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, &format!("{at}[{index}]"), found);
            }
        }
        _ if ours != theirs => found.push(format!("    {at}: the shell {ours}, the model {theirs}")),
        _ => {}
    }
}

impl Replay {
    pub(crate) fn new(world: World) -> Self {
        let state = world.begins();
        let mut replay = Self {
            world,
            state,
            moments: VecDeque::new(),
            ids: Vec::new(),
            history: Vec::new(),
            compared: 0,
            aged: 0,
            told: 0,
        };
        replay.settles();
        replay
    }

    fn settles(&mut self) {
        self.state.refresh(&self.world.spec);
        self.moments.push_front(Rc::new(Moment { state: self.state.clone(), view: OnceCell::new() }));
        while self.moments.back().is_some_and(|last| last.state.now < self.state.now - RESTS) {
            self.moments.pop_back();
        }
    }

    /// Time passes.
    pub(crate) fn passes(&mut self, to: i64) {
        while self.state.now < to {
            self.state.now += 1;
            self.state.apply();
            self.settles();
        }
    }

    /// What EC2 calls the volume, and the snapshots in the order in which they appeared.
    pub(crate) fn knows(&mut self, volume: &str, snapshots: &[String]) {
        self.ids.push((volume.to_owned(), VOLUME.to_owned()));
        for (at, snapshot) in snapshots.iter().enumerate() {
            if self.ids.iter().all(|(known, _)| known != snapshot) {
                self.ids.push((snapshot.clone(), snapshot_id(at).to_string()));
            }
        }
    }

    fn translated(&self, text: &str) -> String {
        self.ids.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
    }

    /// One thing that was done; an error says what the model has instead.
    pub(crate) fn does(&mut self, entry: &Entry) -> Result<(), String> {
        let answer = match entry.lot {
            Lot::Heard => Answer::Heard,
            Lot::Unheard => Answer::Unheard,
            Lot::Dropped => Answer::Dropped,
        };
        match &entry.deed {
            Deed::Status(_) | Deed::Finalizer(_) if entry.lot == Lot::Dropped => {
                // A write that was not made ends a pass that had begun, and another never was.
                self.silently();
                self.state.minds[0].pass = None;
            }
            Deed::Status(status) => self.writes(status, answer)?,
            Deed::Finalizer(true) => self.begins(Finalizer::Add, answer)?,
            Deed::Finalizer(false) => self.begins(Finalizer::Remove, answer)?,
            Deed::Call(request, made) => {
                let call = Call::sent(request).translated(|id| self.translated(id));
                if request.action == "CreateImage" && self.ids.iter().all(|(known, _)| !made.contains(known))
                {
                    let number = self.state.shots.len();
                    self.ids.extend(made.first().map(|id| (id.clone(), image_id(number).to_string())));
                }
                self.calls(&call, answer)?;
                // The small worlds' EC2 leaves every snapshot of an image that is deregistered; another deletes them.
                let shots = self.state.shots.iter_mut().enumerate();
                for (at, shot) in shots.filter(|_| request.action == "DeregisterImage") {
                    let snapshot = snapshot_id(at).to_string();
                    let mut its = self.ids.iter().filter(|(_, ours)| *ours == snapshot);
                    shot.deleted |= its.any(|(theirs, _)| made.contains(theirs));
                }
            }
            Deed::Death => self.state.minds[0] = Mind::default(),
            Deed::GoesBack(writes) => {
                let most = self.state.objects[0].past.len();
                if most > 0 {
                    self.state.goes_back(0, (*writes).min(most));
                }
            }
            Deed::OwnerStops => self.state.owner_stops(),
            Deed::OwnerStarts => self.state.owner_starts(),
            Deed::Wipe => self.state.wipe(0),
            Deed::Delete => self.state.delete(0),
            Deed::Strip => {
                self.state.machine.tags.remove(&debt_key(CLUSTER));
                self.state.truth.stripped = true;
            }
        }
        self.settles();
        Ok(())
    }

    fn pass(&self) -> Option<&Pass> {
        self.state.minds[0].pass.as_ref()
    }

    fn advances(&mut self, answer: Answer) {
        let mut mind = std::mem::take(&mut self.state.minds[0]);
        let pass = mind.pass.take().unwrap();
        self.state.advance(&mut mind, pass, answer);
        self.state.minds[0] = mind;
    }

    /// What no write and no call shows: a step that the fence holds back or that finds nothing to do, and a write that is
    /// a conflict.
    fn silently(&mut self) {
        while let Some(pass) = self.pass() {
            let is_silent = match pass.stage {
                2 => {
                    let is_late = self.state.now - pass.at > fence();
                    is_late || Call::of_step(pass.decision.step().unwrap(), &self.state).is_none()
                }
                _ => !self.state.is_current(pass),
            };
            if !is_silent {
                return;
            }
            self.history.push(format!("{} silent: {}", self.second(), stage(pass)));
            self.advances(Answer::Heard);
            self.settles();
        }
    }

    fn second(&self) -> i64 {
        self.state.now - crate::small::state::START
    }

    fn writes(&mut self, sent: &Value, answer: Answer) -> Result<(), String> {
        let status: saved_template_api::SavedTemplateStatus =
            serde_json::from_str(&self.translated(&sent.to_string())).unwrap();
        let wanted = words(&Status::new(status));
        self.silently();
        let offered = self.pass().and_then(|pass| match pass.stage {
            1 => Some(Arc::clone(&pass.decided)),
            3 => self.state.settled(pass),
            _ => None,
        });
        if let Some(pass) = self.pass().filter(|pass| pass.stage == 1 && words(&pass.decided) != wanted) {
            // The finalizer alone did not tell which decision it was.
            let (finalizer, deleting) = (false, pass.deleting);
            let read = Arc::clone(&pass.read);
            let is_it =
                |pass: &Pass| pass.decision.finalizer == Finalizer::Add && words(&pass.decided) == wanted;
            let Some(found) = self.found((&read, finalizer, deleting), is_it) else {
                return Err(self.unlike("the announcement", &wanted, offered.iter()));
            };
            self.state.minds[0].pass = Some(Pass { finalizer: true, stage: 1, ..found });
        } else if let Some(offered) = &offered {
            if words(offered) != wanted {
                return Err(self.unlike("what it taught", &wanted, [offered]));
            }
        } else {
            if let Some(pass) = self.pass() {
                return Err(format!("the model is at {}", stage(pass)));
            }
            let object = &self.state.objects[0];
            if words(&object.status) == wanted {
                self.told += 1;
                // Kubernetes may go back to before it.
                self.state.keep(0);
                return Ok(());
            }
            let of = (&object.status.clone(), object.finalizer, object.deleting);
            let is_it =
                |pass: &Pass| pass.decision.finalizer == Finalizer::Keep && words(&pass.decided) == wanted;
            let found = self.found(of, is_it);
            if found.is_none() && self.start_is_held_back() {
                return self.writes(sent, answer);
            }
            let Some(found) = found else {
                let near = self.nearest();
                return Err(self.unlike("a decision", &wanted, near.iter().map(|pass| &pass.decided)));
            };
            self.looks(found);
        }
        self.history.push(format!("{} status: {}", self.second(), self.pass().map_or(String::new(), stage)));
        self.advances(answer);
        self.compared += 1;
        let there = words(&self.state.objects[0].status);
        if there == wanted { Ok(()) } else { Err("the model does not write it".to_owned()) }
    }

    fn begins(&mut self, change: Finalizer, answer: Answer) -> Result<(), String> {
        self.silently();
        if let Some(pass) = self.pass() {
            return Err(format!("the model is at {}", stage(pass)));
        }
        let object = &self.state.objects[0];
        let of = (&object.status.clone(), object.finalizer, object.deleting);
        let found = self.found(of, |pass| pass.decision.finalizer == change);
        self.looks(found.ok_or_else(|| format!("the model decides nothing with {change:?}"))?);
        self.history.push(format!("{} {change:?}", self.second()));
        self.advances(answer);
        self.compared += 1;
        Ok(())
    }

    fn looks(&mut self, pass: Pass) {
        self.state.claims(&pass);
        self.state.minds[0].pass = Some(pass);
    }

    /// A pass over this object that would be decided at any moment, upon any view of then, and is the one.
    fn found(
        &mut self,
        (read, finalizer, deleting): (&Arc<Status>, bool, bool),
        is_it: impl Fn(&Pass) -> bool,
    ) -> Option<Pass> {
        let is_current = |moment: &&(usize, &Rc<Moment>)| {
            let object = &moment.1.state.objects[0];
            let same = Arc::ptr_eq(&object.status, read) && !object.gone;
            same && (object.finalizer, object.deleting) == (finalizer, deleting)
        };
        let current: Vec<_> = self.moments.iter().enumerate().collect();
        let current: Vec<_> = current.iter().filter(is_current).collect();
        // A look of the small worlds is one in which view and decision are of the same second: that is tried first.
        for ages in [0..1, 1..usize::MAX] {
            for (at, moment) in &current {
                // EC2's clock in whole seconds may be that of the second before.
                for now in [moment.state.now, moment.state.now - 1] {
                    let state = State { now, ..moment.state.clone() };
                    let views = self.moments.iter().skip(at + ages.start).take(ages.end - ages.start);
                    for older in views.take_while(|older| older.state.now >= now - OLDEST) {
                        let (mind, mut again) = (&moment.state.minds[0], i64::MAX);
                        let pass = state.look(mind, 0, older.view(), &self.world.spec, &mut again);
                        if let Some(pass) = pass.filter(&is_it) {
                            self.aged += ages.start;
                            return Some(pass);
                        }
                    }
                }
            }
        }
        None
    }

    /// The start of a process that slept is held back by the fence: no call shows it, and it is remembered.
    fn start_is_held_back(&mut self) -> bool {
        let old = self.moments.iter().skip_while(|moment| moment.state.now + fence() >= self.state.now);
        let mut offers = old.filter_map(|moment| moment.state.minds[0].offer.clone());
        let start = offers.find(|offer| offer.what == What::Start || offer.starts);
        let refused = &self.state.minds[0].refused;
        let Some(start) = start.filter(|start| !refused.contains_key(&start.record.capture)) else {
            return false;
        };
        self.pays(Payment { what: What::Start, starts: false, ..start }, Answer::Heard);
        self.compared -= 1;
        self.settles();
        true
    }

    /// What the model would decide now.
    fn nearest(&self) -> Option<Pass> {
        self.state.plans(&self.world.spec).passes[0][0].clone()
    }

    fn unlike<'s>(
        &self,
        what: &str,
        wanted: &Value,
        offered: impl IntoIterator<Item = &'s Arc<Status>>,
    ) -> String {
        let mut found = vec![format!("no pass of the model has this as {what}; it differs:")];
        for offered in offered {
            differences(wanted, &words(offered), "status", &mut found);
        }
        let mut before = Vec::new();
        differences(wanted, &words(&self.state.objects[0].status), "status", &mut before);
        found.push("from what was there before:".to_owned());
        found.extend(before);
        found.join("\n")
    }

    fn calls(&mut self, call: &Call, answer: Answer) -> Result<(), String> {
        let step = self.pass().filter(|pass| pass.stage == 2).and_then(|pass| pass.decision.step());
        let step = step.and_then(|step| Call::of_step(step, &self.state));
        if step.as_ref() == Some(call) {
            self.history.push(format!("{} {}", self.second(), stage(self.pass().unwrap())));
            self.advances(answer);
            self.compared += 1;
            return Ok(());
        }
        let mind = &self.state.minds[0];
        let young = self.moments.iter().take_while(|moment| moment.state.now >= self.state.now - fence());
        let offers = young.filter_map(|moment| moment.state.minds[0].offer.as_ref());
        let mut offers = mind.payment.iter().chain(offers);
        let offered = offers.find(|payment| Call::of_payment(payment) == *call).cloned();
        let Some(payment) = offered.or_else(|| self.abort(call)) else {
            let offer = mind.offer.as_ref().map(Call::of_payment);
            let pass = self.pass().map(stage);
            return Err(format!(
                "{call:#?}\nis not what the model asks for: {step:#?}\n{offer:#?}\n{pass:?}"
            ));
        };
        self.pays(payment, answer);
        Ok(())
    }

    /// The small worlds' processes hear of Kubernetes at each instant, and this one only in its passes: it is alone sooner.
    fn abort(&self, call: &Call) -> Option<Payment> {
        (1..=PASS).find_map(|ago| {
            let mut mind = self.state.minds[0].clone();
            mind.custody.values_mut().for_each(|custody| custody.0 -= ago);
            let payment = self.state.payment(&mut mind)?;
            (payment.what == What::Abort && Call::of_payment(&payment) == *call).then_some(payment)
        })
    }

    fn pays(&mut self, payment: Payment, answer: Answer) {
        self.history.push(format!("{} {:?}", self.second(), payment.what));
        let mut mind = std::mem::take(&mut self.state.minds[0]);
        (mind.payment, mind.offer) = (None, None);
        self.state.pay(&mut mind, payment, answer);
        self.state.minds[0] = mind;
        self.compared += 1;
    }

    /// What the model would still do, or what does not hold at its end.
    pub(crate) fn left(&mut self) -> Option<String> {
        self.silently();
        if let Some(broken) = self.state.truth.broken {
            return Some(broken.to_owned());
        }
        let mind = &self.state.minds[0];
        if let Some(pass) = self.pass() {
            return Some(format!("the model is at {}", stage(pass)));
        }
        if let Some(payment) = mind.payment.as_ref().or(mind.offer.as_ref()) {
            return Some(format!("the model's restart loop calls: {:?}", payment.what));
        }
        if let Some(pass) = self.nearest() {
            let mut found = Vec::new();
            differences(&words(&self.state.objects[0].status), &words(&pass.decided), "status", &mut found);
            return Some(format!("the model decides {:?}\n{}", pass.decision.step(), found.join("\n")));
        }
        self.state.unfinished(&self.world.spec).map(str::to_owned)
    }
}

fn stage(pass: &Pass) -> String {
    let step = pass.decision.step().map(saved_template_core::step::Step::name);
    let stage = ["the finalizer", "the announcement", "the call", "what it taught"][usize::from(pass.stage)];
    format!("{stage} of {step:?}")
}
