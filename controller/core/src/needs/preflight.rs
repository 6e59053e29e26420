//! May this machine be stopped, and can what follows succeed? Everything that can be known before the first write.
mod busy;
mod described;
mod finding;
mod probe;

use saved_template_api::{
    Reason,
    status::{CaptureStatus, CheckResult, MAX_CHECKS},
};

use crate::{
    decision::Question,
    ec2_error::{Ec2Error, ErrorClass},
    facts::Facts,
    fold,
    needs::{class, requests},
    time::LATER,
    unmet::{Lack, Unmet},
    world::Instance,
    write::Write,
};

/// The machine, if it may be stopped; else what stands in the way. And what is written of it in any case. Asks for the
/// probe once Describe calls passed.
pub(crate) fn check<'a>(facts: &Facts<'a>) -> (Result<&'a Instance, Unmet>, Vec<Write>) {
    if !facts.world.covered {
        let message = format!(
            "no machine is given back in {0} when Kubernetes is gone: start the controller with --regions that name {0}, or without",
            facts.home()
        );
        return (Err(Unmet::invalid(Reason::RegionNotCovered, message)), Vec::new());
    }
    if let Some(unmet) = class::need(facts) {
        return (Err(unmet), Vec::new());
    }
    let instance = match find(facts) {
        Ok(instance) => instance,
        Err(unmet) => return (Err(unmet), Vec::new()),
    };
    let source = fold::source(facts, instance);
    let rows = fold::lacking(facts, source.architecture.as_deref());
    let rows = rows.into_iter().map(|row| Write::Row(Box::new(row)));
    let mut writes: Vec<Write> = rows.chain([Write::Source(Box::new(source))]).collect();
    if let Some(unmet) = busy::busy(facts, instance) {
        return (Err(unmet), writes);
    }
    let mut findings = described::described(facts, instance);
    if findings.iter().all(|finding| finding.row.result != CheckResult::Failed) {
        let Some(probe) = &facts.world.probe else {
            return (Err(Unmet::lacking(Lack::Answer(question(facts, instance)))), writes);
        };
        findings.extend(probe::probed(facts, instance, probe));
    }
    let unmet = finding::told(&findings);
    writes.push(Write::Preflight(findings.into_iter().map(|finding| finding.row).take(MAX_CHECKS).collect()));
    (unmet.map_or(Ok(instance), Err), writes)
}

fn find<'a>(facts: &Facts<'a>) -> Result<&'a Instance, Unmet> {
    if let Some(Err(refusal)) = facts.view().map(|view| &view.instances) {
        return Err(unreadable(refusal));
    }
    let source = &facts.subject.spec.source;
    let region = &source.region;
    let (matches, what): (Vec<&Instance>, String) = match (&source.instance_id, &source.instance_name) {
        (Some(id), _) => (
            facts.instances().iter().filter(|instance| instance.id == *id).collect(),
            format!("instance {id}"),
        ),
        (None, Some(name)) => {
            let named =
                |instance: &&Instance| instance.tags.get("Name") == Some(name) && !instance.state.is_gone();
            (facts.instances().iter().filter(named).collect(), format!("instance with the tag Name={name}"))
        }
        (None, None) => (Vec::new(), "instance".to_owned()),
    };
    let pinned = facts.pinned().filter(|_| source.instance_id.is_none());
    let of_before = matches.iter().copied().find(|instance| Some(&instance.id) == pinned.as_ref());
    let matches = of_before.map_or(matches, |instance| vec![instance]);
    match matches.as_slice() {
        [instance] if pinned.as_ref().is_some_and(|pinned| *pinned != instance.id) => {
            let message = format!(
                "the tag Name={name} is on {new} now, and this template was saved from {old}: if {new} is meant, set \
                 spec.source.instanceID to it",
                name = source.instance_name.as_deref().unwrap_or_default(),
                new = instance.id,
                old = pinned.map(|id| id.to_string()).unwrap_or_default()
            );
            Err(Unmet::invalid(Reason::SourceChanged, message))
        }
        [instance] if instance.state.is_gone() => {
            let message =
                format!("{} is {}: name a machine that exists", instance.id, instance.state.as_str());
            Err(Unmet::invalid(Reason::InstanceTerminated, message))
        }
        [instance] => Ok(instance),
        [] => {
            let message = format!(
                "there is no {what} in {region}: correct spec.source, or check with aws ec2 describe-instances --region {region}"
            );
            Err(Unmet { look_again: LATER, ..Unmet::invalid(Reason::InstanceNotFound, message) })
        }
        many => {
            let ids: Vec<&str> = many.iter().map(|instance| instance.id.as_str()).take(5).collect();
            let message = format!(
                "{} instances have that name in {region} ({}): set spec.source.instanceID",
                many.len(),
                ids.join(", ")
            );
            Err(Unmet::invalid(Reason::InstanceAmbiguous, message))
        }
    }
}

/// What could not be read: nothing is begun until it can be.
pub(crate) fn unreadable(refusal: &Ec2Error) -> Unmet {
    if refusal.class == ErrorClass::Denied {
        return Unmet::invalid(Reason::AccessDenied, refusal.told());
    }
    let waiting = Unmet::waiting(Reason::Preflight, refusal.to_string(), LATER);
    Unmet { invalid: Some(Reason::NotChecked), ..waiting }
}

fn question(facts: &Facts<'_>, instance: &Instance) -> Question {
    let spec = facts.subject.spec;
    let sketch = CaptureStatus {
        id: "0".repeat(16),
        revision: spec.revision,
        attempts: requests::next_attempt(facts),
        mode: spec.capture.mode_or_default(),
        exclude_device_names: spec.capture.exclude_device_names.clone(),
        ..CaptureStatus::default()
    };
    Question::Probe {
        instance: instance.id.clone(),
        instance_type: instance.instance_type.clone().unwrap_or_default(),
        volumes: instance.attachments.iter().map(|volume| volume.volume.clone()).collect(),
        request: Box::new(requests::image_request(facts, &sketch, instance)),
    }
}

#[cfg(test)]
mod tests;
