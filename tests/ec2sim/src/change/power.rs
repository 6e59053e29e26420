//! Stop, start, reboot, terminate. A batch is all or nothing.

use crate::{
    agenda::Due,
    change::user_shutdown,
    clock::{Millis, spoken, whole},
    effect::Effect,
    instance::{Instance, InstanceState, Lifecycle, PublicAddress, Reason},
    place::{EMPTY, Key},
    refusal::Refusal,
    seed::StartFault,
    sim::{Answer, Call, Sim},
};

type Changes = Vec<(String, InstanceState, InstanceState)>;

fn answer(changes: Changes) -> Answer {
    let mut answer = Answer::default();
    answer.xml.items("instancesSet", &changes, |xml, (id, before, after)| {
        xml.text("instanceId", id);
        for (name, state) in [("currentState", after), ("previousState", before)] {
            xml.element(name, |xml| {
                xml.text("code", state.code());
                xml.text("name", state.as_str());
            });
        }
    });
    answer.ids = changes.into_iter().map(|(id, ..)| id).collect();
    answer
}

fn may_stop(instance: &Instance) -> Result<(), Refusal> {
    let id = &instance.id;
    match instance.state {
        InstanceState::Pending | InstanceState::ShuttingDown | InstanceState::Terminated => {
            return Err(Refusal::state(id, "stopped"));
        }
        InstanceState::Running | InstanceState::Stopping | InstanceState::Stopped => {}
    }
    if instance.root_device_type != "ebs" {
        return Err(Refusal::new(
            "UnsupportedOperation",
            format!("The instance '{id}' does not have an 'ebs' root device type and cannot be stopped."),
        ));
    }
    match instance.lifecycle {
        Lifecycle::SpotOneTime => {
            return Err(Refusal::new(
                "UnsupportedOperation",
                format!(
                    "You can't stop the Spot Instance '{id}' because it is associated with a one-time Spot Instance request."
                ),
            ));
        }
        Lifecycle::OnDemand | Lifecycle::SpotPersistent => {}
    }
    managed(instance)?;
    if instance.disable_api_stop {
        return Err(Refusal::new(
            "OperationNotPermitted",
            format!(
                "The instance '{id}' may not be stopped. Modify its 'disableApiStop' instance attribute and try again."
            ),
        ));
    }
    Ok(())
}

fn managed(instance: &Instance) -> Result<(), Refusal> {
    instance.operator.as_ref().map_or(Ok(()), |operator| {
        Err(Refusal::new(
            "OperationNotPermitted",
            format!("The instance '{}' is managed by {operator} and can't be modified.", instance.id),
        ))
    })
}

impl Sim {
    /// The instances that a call names, in its order.
    pub(crate) fn named(&self, call: &Call<'_>) -> Result<Vec<Instance>, Refusal> {
        let ids = call.request.list("InstanceId");
        if ids.is_empty() {
            return Err(Refusal::missing("InstanceId"));
        }
        let found = self.look_up(&call.key, &ids, call.now)?;
        Ok(found.into_iter().cloned().collect())
    }

    /// All of these instances, or the refusal that names every unknown one.
    pub(crate) fn look_up(&self, key: &Key, ids: &[String], now: Millis) -> Result<Vec<&Instance>, Refusal> {
        let place = self.places.get(key).unwrap_or(&EMPTY);
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for id in ids {
            match place.instance(id, now, &self.config) {
                Ok(instance) => found.push(instance),
                Err(refusal) if refusal.code.ends_with(".NotFound") => missing.push((id, refusal)),
                Err(refusal) => return Err(refusal),
            }
        }
        if missing.len() > 1 {
            let ids = missing.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Refusal::new(
                "InvalidInstanceID.NotFound",
                format!("The instance IDs '{ids}' do not exist"),
            ));
        }
        missing.pop().map_or(Ok(found), |(_, refusal)| Err(refusal))
    }

    pub(crate) fn stop_instances(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let instances = self.named(call)?;
        let is_forced = call.request.flag("Force")?;
        let hibernates = call.request.flag("Hibernate")?;
        for instance in &instances {
            may_stop(instance)?;
            if hibernates && !instance.hibernation {
                return Err(Refusal::new(
                    "UnsupportedHibernationConfiguration",
                    format!("The instance '{}' is not configured for hibernation.", instance.id),
                ));
            }
        }
        call.rehearse()?;
        let mut changes = Changes::new();
        for instance in instances {
            let (id, before) = (instance.id, instance.state);
            match before {
                InstanceState::Running => {
                    self.disturb(&call.key, &id, false);
                    if let Some(instance) = self.place_mut(&call.key).instances.get_mut(&id) {
                        instance.reason = Some(user_shutdown());
                        instance.transition = format!("User initiated ({})", spoken(call.now));
                        instance.is_stuck = call.effects.contains(&Effect::StickStopping);
                    }
                    self.begin_stopping(&call.key, &id, call.now, &call.request.agent);
                }
                // A forced stop of a machine that hangs in `stopping` brings it down.
                InstanceState::Stopping if is_forced && instance.is_stuck => {
                    if let Some(instance) = self.place_mut(&call.key).instances.get_mut(&id) {
                        instance.is_stuck = false;
                    }
                    self.put_state(&call.key, &id, call.now + self.config.stop, InstanceState::Stopped);
                }
                InstanceState::Pending
                | InstanceState::ShuttingDown
                | InstanceState::Terminated
                | InstanceState::Stopping
                | InstanceState::Stopped => {}
            }
            let after = if before == InstanceState::Running { InstanceState::Stopping } else { before };
            changes.push((id, before, after));
        }
        Ok(answer(changes))
    }

    pub(crate) fn begin_stopping(&mut self, key: &Key, id: &str, now: Millis, cause: &str) {
        let place = self.place_mut(key);
        place.enter(id, InstanceState::Stopping, now, cause);
        if place.instances.get(id).is_some_and(|instance| !instance.is_stuck) {
            self.put_state(key, id, now + self.config.stop, InstanceState::Stopped);
        }
    }

    pub(crate) fn begin_terminating(&mut self, key: &Key, id: &str, now: Millis, cause: &str) {
        self.place_mut(key).enter(id, InstanceState::ShuttingDown, now, cause);
        self.put_state(key, id, now + self.config.stop, InstanceState::Terminated);
    }

    fn put_state(&mut self, key: &Key, id: &str, at: Millis, state: InstanceState) {
        if let Some(instance) = self.place_mut(key).instances.get(id) {
            let epoch = instance.epoch;
            self.agenda.put(at, key, Due::Instance { id: id.to_owned(), epoch, state });
        }
    }

    /// What touching a machine does to an image of it whose snapshots have not all appeared: "The instance was
    /// terminated or rebooted during AMI creation" (EC2 API, `StateReason`).
    pub(crate) fn disturb(&mut self, key: &Key, id: &str, is_terminated: bool) {
        if !is_terminated && !self.config.start_before_capture_fails_image {
            return;
        }
        for image in self.place_mut(key).images.values_mut() {
            if image.instance.as_deref() == Some(id) && image.is_capturing() {
                image.doom = Some(Reason::new(
                    "Client.InstanceTerminated",
                    "The instance was terminated or rebooted during AMI creation.",
                ));
            }
        }
    }

    pub(crate) fn start_instances(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let instances = self.named(call)?;
        for instance in &instances {
            match instance.state {
                InstanceState::Stopping | InstanceState::ShuttingDown | InstanceState::Terminated => {
                    return Err(Refusal::state(&instance.id, "started"));
                }
                InstanceState::Stopped => managed(instance)?,
                InstanceState::Pending | InstanceState::Running => {}
            }
        }
        call.rehearse()?;
        for instance in instances.iter().filter(|instance| instance.state == InstanceState::Stopped) {
            if self.lacks_capacity(call, &instance.id) {
                return Err(Refusal::new("InsufficientInstanceCapacity", "Insufficient capacity."));
            }
        }
        let mut changes = Changes::new();
        for instance in instances {
            let before = instance.state;
            if before == InstanceState::Stopped {
                self.start(call, &instance.id);
                changes.push((instance.id, before, InstanceState::Pending));
            } else {
                changes.push((instance.id, before, before));
            }
        }
        Ok(answer(changes))
    }

    fn start(&mut self, call: &Call<'_>, id: &str) {
        self.disturb(&call.key, id, false);
        let address = self.mint_address();
        let place = self.place_mut(&call.key);
        place.enter(id, InstanceState::Pending, call.now, &call.request.agent);
        let Some(instance) = place.instances.get_mut(id) else {
            return;
        };
        if instance.addressing == Some(PublicAddress::Auto) {
            instance.address = Some(address);
        }
        instance.launch_time = whole(call.now);
        instance.reason = None;
        instance.transition = String::new();
        let epoch = instance.epoch;
        let falls_back = instance.start_faults.iter_mut().any(|fault| match fault {
            StartFault::FallsBack { times } if *times > 0 => {
                *times -= 1;
                true
            }
            StartFault::FallsBack { .. }
            | StartFault::NoCapacity { .. }
            | StartFault::NoCapacityUntil { .. } => false,
        });
        let at = call.now + self.config.start;
        if falls_back {
            self.agenda.put(at, &call.key, Due::StartFails { id: id.to_owned(), epoch });
        } else {
            self.put_state(&call.key, id, at, InstanceState::Running);
        }
    }

    fn lacks_capacity(&mut self, call: &Call<'_>, id: &str) -> bool {
        let Some(instance) = self.place_mut(&call.key).instances.get_mut(id) else {
            return false;
        };
        instance.start_faults.iter_mut().any(|fault| match fault {
            StartFault::NoCapacity { times } if *times > 0 => {
                *times -= 1;
                true
            }
            StartFault::NoCapacityUntil { until } => call.now < *until,
            StartFault::NoCapacity { .. } | StartFault::FallsBack { .. } => false,
        })
    }

    pub(crate) fn reboot_instances(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let instances = self.named(call)?;
        for instance in &instances {
            managed(instance)?;
            if instance.state != InstanceState::Running {
                return Err(Refusal::state(&instance.id, "rebooted"));
            }
        }
        call.rehearse()?;
        let mut answer = Answer::yes();
        for instance in instances {
            self.disturb(&call.key, &instance.id, false);
            if let Some(instance) = self.place_mut(&call.key).instances.get_mut(&instance.id) {
                instance.reboots += 1;
            }
            answer.ids.push(instance.id);
        }
        Ok(answer)
    }

    pub(crate) fn terminate_instances(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let instances = self.named(call)?;
        for instance in &instances {
            managed(instance)?;
            if instance.disable_api_termination {
                return Err(Refusal::new(
                    "OperationNotPermitted",
                    format!(
                        "The instance '{}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.",
                        instance.id
                    ),
                ));
            }
        }
        call.rehearse()?;
        let mut changes = Changes::new();
        for instance in instances {
            let (id, before) = (instance.id, instance.state);
            match before {
                InstanceState::ShuttingDown | InstanceState::Terminated => {
                    changes.push((id, before, before));
                    continue;
                }
                InstanceState::Pending
                | InstanceState::Running
                | InstanceState::Stopping
                | InstanceState::Stopped => {}
            }
            self.disturb(&call.key, &id, true);
            if let Some(instance) = self.place_mut(&call.key).instances.get_mut(&id) {
                instance.reason = Some(user_shutdown());
                instance.transition = format!("User initiated ({})", spoken(call.now));
            }
            if before == InstanceState::Stopped {
                // A machine at rest writes nothing on its way out.
                self.place_mut(&call.key).enter(
                    &id,
                    InstanceState::Terminated,
                    call.now,
                    &call.request.agent,
                );
                changes.push((id, before, InstanceState::Terminated));
            } else {
                self.begin_terminating(&call.key, &id, call.now, &call.request.agent);
                changes.push((id, before, InstanceState::ShuttingDown));
            }
        }
        Ok(answer(changes))
    }
}
