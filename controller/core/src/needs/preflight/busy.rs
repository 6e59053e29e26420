//! Who is at work on the machine, or was: a restart record of any installation, or a receipt that no image answers.
use saved_template_api::{Reason, revision::LARGEST_REVISION};

use crate::{
    facts::Facts,
    needs::tagged,
    quote::quoted,
    receipt,
    restart::{Record, Unreadable},
    time::LATER,
    unmet::Unmet,
    world::{Instance, InstanceState},
};

/// A record on the machine is a debt, whoever wrote it: no plan until it is paid.
pub(super) fn busy(facts: &Facts<'_>, instance: &Instance) -> Option<Unmet> {
    let waits = |message: String| {
        Some(Unmet {
            invalid: Some(Reason::InstanceBusy),
            ..Unmet::waiting(Reason::Preflight, message, LATER)
        })
    };
    let stays =
        |message: String| Some(Unmet { look_again: LATER, ..Unmet::invalid(Reason::InstanceBusy, message) });
    // What is no record that can be honest is never paid: the machine stays down until somebody starts it.
    let is_stopped = instance.state == InstanceState::Stopped;
    if let Some(value) =
        instance.tags.get(&facts.debt_key()).filter(|_| tagged::stale(facts, instance).is_none())
    {
        let message = format!("{} carries {}", instance.id, ours(facts, instance, value));
        let is_paid = tagged::is_honest(facts, instance, value);
        return if is_stopped && !is_paid { stays(message) } else { waits(message) };
    }
    if let Some((key, value)) = tagged::foreign_record(facts, instance) {
        let carries =
            format!("{} carries the restart record {} of another installation", instance.id, quoted(key));
        // Another installation may run a later version.
        let may_be_paid =
            tagged::is_honest(facts, instance, value) || value.parse::<Record>() == Err(Unreadable::Later);
        return if is_stopped && !may_be_paid {
            stays(format!(
                "{carries}, which cannot be honest and is not paid: start the machine, or take that tag off"
            ))
        } else {
            waits(format!("{carries}: it is saved there first"))
        };
    }
    let (begun, key) = receipt::begun(facts, instance)?;
    // Who may tag the machine may have written any number: beyond the wanted revision it proves nothing to a status.
    let wanted = facts.subject.spec.revision;
    let is_news =
        facts.status.latest_revision.map_or(begun >= wanted, |latest| latest < begun && begun == wanted);
    is_news.then(|| {
        let next = begun.saturating_add(1);
        let raise = if next <= LARGEST_REVISION { format!("Set spec.revision to {next}, or, to") } else { "To".to_owned() };
        let message = format!(
            "the receipt on {id} says that the capture of revision {begun} was begun before, and there is no image of it: \
             it is not captured again by itself. {raise} allow it: {command}",
            id = instance.id,
            command = receipt::command(facts, instance, &key),
        );
        Unmet::stalled(Reason::ImageMissing, message)
    })
}

/// What a record of this installation on the machine is, and what becomes of it.
fn ours(facts: &Facts<'_>, instance: &Instance, value: &str) -> String {
    let remove = || {
        format!(
            "to take it off: aws ec2 delete-tags --region {} --resources {} --tags Key={}",
            facts.home(),
            instance.id,
            facts.debt_key()
        )
    };
    match value.parse::<Record>() {
        Ok(record) if record.instance == instance.id && record.is_plausible(facts.now) => {
            "a restart record of this installation, which is paid first".to_owned()
        }
        Ok(record) if record.instance == instance.id => {
            format!("a restart record that cannot be honest by its times, and is not paid; {}", remove())
        }
        Ok(_) => format!("a restart record of another machine, which is not paid; {}", remove()),
        Err(Unreadable::Later) => {
            format!(
                "what is {}, and is not paid: upgrade the controller, or, {}",
                Unreadable::Later,
                remove()
            )
        }
        Err(error) => format!("what is {error}, and is not paid; {}", remove()),
    }
}
