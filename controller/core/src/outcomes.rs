//! What EC2 answered to what was announced, written into the status. Nothing is decided here.
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    Reason, SavedTemplateStatus,
    ids::{ImageId, Region},
    status::{
        Announced, MAX_ROW_MESSAGE_BYTES, RegionReason, RegionRole, RegionState, RegionStatus, StepOutcome,
    },
};

use crate::{
    answer::{self, ACCEPTED, IN_USE, found},
    ec2_error::{Ec2Error, ErrorClass},
    step::{Outcome, Step},
    time::{SLOWLY, later, pause},
    world::InstanceState,
};

/// The status after the outcomes of all changes of one decision; none where no reply taught anything, which saves a write.
pub fn apply_all(
    before: &SavedTemplateStatus,
    answers: &[(Step, Outcome)],
    now: Timestamp,
) -> Option<SavedTemplateStatus> {
    let after = answers
        .iter()
        .fold(before.clone(), |status, (step, outcome)| apply(&status, step, outcome, now).unwrap_or(status));
    (after != *before).then_some(after)
}

/// The status after `outcome`; none where the reply taught nothing.
pub fn apply(
    before: &SavedTemplateStatus,
    step: &Step,
    outcome: &Outcome,
    now: Timestamp,
) -> Option<SavedTemplateStatus> {
    let mut status = before.clone();
    match outcome {
        Outcome::Done => cleared(&mut status, step),
        // Only a machine that was on its way down already was taken down by somebody else.
        Outcome::Stopped {
            previous: InstanceState::Running | InstanceState::Pending | InstanceState::Unknown,
        } => {
            return None;
        }
        // A hard stop finds the machine on its way down.
        Outcome::Stopped { .. } if matches!(step, Step::Stop { force: true, .. }) => {
            answer(&mut status, step, ACCEPTED);
        }
        Outcome::Stopped { previous } => {
            answer(&mut status, step, found(*previous));
        }
        // What it says is anybody's text.
        Outcome::Busy { .. } => {
            let text = "the tag on the machine is another one by now";
            let busy = Ec2Error::new(step.name(), "IncorrectState", text);
            answer(&mut status, step, answer::refused(&busy));
        }
        Outcome::Image(id) => named(&mut status, step, id, now),
        Outcome::Refused(refusal) => refused(&mut status, step, refusal, now),
    }
    (status != *before).then_some(status)
}

/// A home step has no region of its own: the announcement is the one of that step.
fn is_of(announced: &Announced, step: &Step) -> bool {
    announced.step == step.name() && step.region().is_none_or(|region| announced.region == *region)
}

fn answer(status: &mut SavedTemplateStatus, step: &Step, outcome: StepOutcome) {
    if let Some(announced) = status.announced.iter_mut().find(|announced| is_of(announced, step)) {
        announced.outcome = Some(outcome);
    }
}

/// A change of images that went through: what an earlier refusal said of the region is over.
fn cleared(status: &mut SavedTemplateStatus, step: &Step) {
    if let Step::Deregister { region, image } = step {
        return deregistered(status, region, image);
    }
    let Some(region) = step.region() else { return };
    if let Some(row) = status.regions.iter_mut().find(|row| row.region == *region) {
        forgive(row);
    }
}

/// What an earlier refusal said is over; why an image is missing stays true whatever else was changed.
fn forgive(row: &mut RegionStatus) {
    if !matches!(row.reason, Some(RegionReason::ImageMissing | RegionReason::ImageDisabled)) {
        (row.reason, row.message, row.next_attempt_time) = (None, None, None);
    }
}

/// An image that is gone because we said so is served no more. The history names it on: that tells whose its snapshots are.
fn deregistered(status: &mut SavedTemplateStatus, region: &Region, id: &ImageId) {
    status.images.retain(|image| image.image_id != *id);
    if status.image_id.as_ref() == Some(id) {
        (status.image_id, status.active_revision) = (None, None);
    }
    let Some(row) = status.regions.iter_mut().find(|row| row.region == *region) else { return };
    if row.image_id.as_ref() == Some(id) {
        (row.state, row.reason, row.progress_percent) = (RegionState::Missing, None, None);
    }
    forgive(row);
}

fn row_of<'s>(status: &'s mut SavedTemplateStatus, step: &Step) -> Option<&'s mut RegionStatus> {
    let copy: Option<&Region> = if let Step::CopyImage { region, .. } = step { Some(region) } else { None };
    status.regions.iter_mut().find(|row| match copy {
        Some(region) => row.region == *region,
        None => row.role == RegionRole::Home,
    })
}

/// The image is on its way: what was absent until now proves nothing.
fn named(status: &mut SavedTemplateStatus, step: &Step, id: &ImageId, now: Timestamp) {
    if let Some(row) = row_of(status, step) {
        row.image_id = Some(id.clone());
        row.state = RegionState::Pending;
        (row.announced_time, row.next_attempt_time) = (Some(Time(now)), None);
        (row.progress_percent, row.reason, row.message) = (None, None, None);
    }
}

/// What passes counts no attempt, and so its pause does not grow.
const BUSY: Duration = Duration::from_mins(1);
/// A copy of ours that has the name shows by itself; somebody else's stays.
const TAKEN: Duration = Duration::from_mins(5);

fn refused(status: &mut SavedTemplateStatus, step: &Step, refusal: &Ec2Error, now: Timestamp) {
    answer(status, step, answer::refused(refusal));
    match step {
        Step::CopyImage { .. } => {}
        // The reply to an earlier try was lost.
        Step::Deregister { region, image }
            if refusal.class == ErrorClass::NotFound || refusal.code == "InvalidAMIID.Unavailable" =>
        {
            return deregistered(status, region, image);
        }
        // It stays, and so does what it left if somebody else takes it away; unless an earlier try was taken.
        Step::Deregister { image, .. } if refusal.is_definite() => {
            let mut announced = status.announced.iter().filter(|announced| is_of(announced, step));
            let this = announced.next().map(|announced| announced.time.clone());
            status.removed_images.retain(|removed| {
                removed.image_id != *image || Some(&removed.requested_time) != this.as_ref()
            });
            return hindered(status, step, refusal, now);
        }
        Step::TagImages { .. }
        | Step::UntagImages { .. }
        | Step::SetDescription { .. }
        | Step::Deregister { .. }
        | Step::DeleteSnapshot { .. } => return hindered(status, step, refusal, now),
        Step::Tag { .. }
        | Step::Untag { .. }
        | Step::Stop { .. }
        | Step::CreateImage(_)
        | Step::RemoveReceipt { .. } => return,
    }
    let Some(row) = row_of(status, step) else { return };
    let definite = refusal.is_definite();
    let growing = pause(i64::from(row.attempts), Duration::from_secs(30), Duration::from_mins(10));
    let (reason, wait) = match refusal.class {
        ErrorClass::Throttle | ErrorClass::Wait => (RegionReason::Throttled, BUSY),
        // Somebody has to allow it first.
        ErrorClass::Denied => {
            (RegionReason::AccessDenied, pause(i64::from(row.attempts), SLOWLY, Duration::from_mins(15)))
        }
        ErrorClass::NameTaken => (RegionReason::NameConflict, TAKEN),
        ErrorClass::Unknown | ErrorClass::Late | ErrorClass::TokenUsed => return,
        ErrorClass::Capacity | ErrorClass::NotFound => (RegionReason::CopyFailed, BUSY),
        ErrorClass::Caller => (RegionReason::CopyFailed, growing),
    };
    let wait = SignedDuration::try_from(wait).unwrap_or_default();
    row.reason = Some(reason);
    row.message = Some(refusal.told_within(MAX_ROW_MESSAGE_BYTES));
    row.next_attempt_time = Some(Time(later(now, wait)));
    if definite {
        // Nothing was made: the next try needs no absence, and counts as the same attempt while EC2 is only busy.
        row.announced_time = None;
        if refusal.passes() {
            row.attempts = row.attempts.saturating_sub(1);
        }
    }
}

/// A change of what is there, or its removal, was refused: the row says why. What passes says nothing.
fn hindered(status: &mut SavedTemplateStatus, step: &Step, refusal: &Ec2Error, now: Timestamp) {
    let reason = match (step, refusal.class) {
        (_, ErrorClass::Denied) => RegionReason::AccessDenied,
        (Step::DeleteSnapshot { .. }, ErrorClass::Caller) if refusal.code == IN_USE => return,
        (Step::Deregister { .. }, ErrorClass::Caller) if refusal.speaks_of("protect") => {
            RegionReason::DeregistrationProtected
        }
        (Step::DeleteSnapshot { .. }, ErrorClass::Caller) if refusal.speaks_of("lock") => {
            RegionReason::SnapshotLocked
        }
        (_, ErrorClass::Caller) if refusal.reason() == Some(Reason::TooManyTags) => RegionReason::TooManyTags,
        (_, ErrorClass::Caller) => RegionReason::RequestRefused,
        _ => return,
    };
    let Some(region) = step.region() else { return };
    let Some(row) = status.regions.iter_mut().find(|row| row.region == *region) else { return };
    row.reason = Some(reason);
    row.message = Some(refusal.told_within(MAX_ROW_MESSAGE_BYTES));
    row.next_attempt_time = Some(Time(later(now, SignedDuration::from_mins(1))));
}

#[cfg(test)]
mod tests {
    use saved_template_api::status::{RemovedImage, StepResult};

    use super::*;
    use crate::{
        sample::{at, copy, images, made, plain, record, replicated, subject},
        step::CopyRequest,
    };

    fn announced(step: &Step) -> SavedTemplateStatus {
        let mut row = RegionStatus::waiting("us-east-2".parse().unwrap(), "x86_64".into(), RegionRole::Copy);
        (row.attempts, row.announced_time) = (1, Some(Time(at(0))));
        SavedTemplateStatus {
            regions: vec![row],
            announced: vec![Announced {
                number: 1,
                step: step.name().into(),
                time: Time(at(0)),
                request: String::new(),
                region: step.region().cloned().unwrap_or_else(|| "us-west-2".parse().unwrap()),
                outcome: None,
            }],
            ..SavedTemplateStatus::default()
        }
    }

    fn copying() -> Step {
        let request = CopyRequest {
            source: "ami-0123456789abcdef0".parse().unwrap(),
            source_region: "us-west-2".parse().unwrap(),
            name: "quake".into(),
            description: String::new(),
            image_tags: [].into(),
            snapshot_tags: [].into(),
            token: "t".into(),
        };
        Step::CopyImage { region: "us-east-2".parse().unwrap(), request: Box::new(request) }
    }

    fn refused(code: &str) -> RegionStatus {
        let step = copying();
        let outcome = Outcome::Refused(Ec2Error::new("CopyImage", code, "no"));
        apply(&announced(&step), &step, &outcome, at(10)).unwrap().regions.remove(0)
    }

    #[test]
    fn a_reply_that_teaches_nothing_costs_no_write() {
        let stop = Step::Stop { record: record(), force: false };
        for previous in [InstanceState::Running, InstanceState::Pending, InstanceState::Unknown] {
            assert_eq!(apply(&announced(&stop), &stop, &Outcome::Stopped { previous }, at(10)), None);
        }
        assert_eq!(apply(&announced(&stop), &stop, &Outcome::Done, at(10)), None);
    }

    #[test]
    fn a_server_error_of_an_unknown_code_is_no_refusal() {
        let stop = Step::Stop { record: record(), force: false };
        let refusal = Ec2Error::new("StopInstances", "GatewayTimeout", "no").with_status(504);
        let status = apply(&announced(&stop), &stop, &Outcome::Refused(refusal), at(10)).unwrap();
        assert_eq!(status.announced[0].outcome.clone().unwrap().result, StepResult::Unknown);
    }

    #[test]
    fn a_stop_that_found_the_machine_stopped_is_written_down() {
        let stop = Step::Stop { record: record(), force: false };
        let outcome = Outcome::Stopped { previous: InstanceState::Stopped };
        let status = apply(&announced(&stop), &stop, &outcome, at(10)).unwrap();
        assert_eq!(status.announced[0].outcome.clone(), Some(found(InstanceState::Stopped)));
    }

    #[test]
    fn an_image_that_ec2_took_away_for_us_is_served_no_more_and_one_that_it_kept_is() {
        let served = images(at(400), vec![made()], vec![copy()]);
        let decision = crate::decide::decide(subject(&plain(), &replicated()), &served, at(400));
        let mut before = decision.into_decision().unwrap().status;
        assert_eq!(before.images.len(), 2);
        let asked = Step::Deregister { region: "us-east-2".parse().unwrap(), image: copy().id };
        before.announced = announced(&asked).announced;
        before.removed_images = vec![RemovedImage {
            image_id: copy().id,
            region: "us-east-2".parse().unwrap(),
            requested_time: Time(at(0)),
        }];
        let row = &mut before.regions[1];
        (row.reason, row.message) = (Some(RegionReason::AccessDenied), Some("an earlier one".into()));
        let refused = |code| Outcome::Refused(Ec2Error::new("DeregisterImage", code, "no"));
        let step = |image| Step::Deregister { region: "us-east-2".parse().unwrap(), image };
        let other: ImageId = "ami-00000000000000009".parse().unwrap();
        for (what, image, outcome, goes, told) in [
            ("taken", copy().id, Outcome::Done, true, None),
            (
                "by an earlier try, whose reply was lost",
                copy().id,
                refused("InvalidAMIID.NotFound"),
                true,
                None,
            ),
            ("denied", copy().id, refused("UnauthorizedOperation"), false, Some(RegionReason::AccessDenied)),
            ("lost", copy().id, refused(""), false, Some(RegionReason::AccessDenied)),
            ("another one was taken", other, Outcome::Done, false, None),
        ] {
            let after = apply(&before, &step(image), &outcome, at(410)).unwrap_or_else(|| before.clone());
            let is_served = after.images.iter().any(|image| image.region.as_str() == "us-east-2");
            assert_eq!(is_served, !goes, "{what}");
            assert_eq!(after.image_id, before.image_id, "{what}: home stays");
            let row = &after.regions[1];
            assert_eq!((row.state == RegionState::Missing, row.image_id.is_some()), (goes, true), "{what}");
            assert_eq!(row.reason, told, "{what}");
            assert_eq!(after.removed_images.is_empty(), what == "denied", "{what}: it stays");
        }
        // An earlier try may have been taken.
        before.removed_images[0].requested_time = Time(at(-60));
        let denied = apply(&before, &step(copy().id), &refused("UnauthorizedOperation"), at(410)).unwrap();
        assert_eq!(denied.removed_images.len(), 1);
        let home = Step::Deregister { region: "us-west-2".parse().unwrap(), image: made().id };
        let after = apply(&before, &home, &Outcome::Done, at(410)).unwrap();
        assert_eq!((after.image_id, after.active_revision), (None, None));
    }

    #[test]
    fn a_change_that_went_through_ends_what_was_refused_before_and_leaves_why_the_image_is_missing() {
        let region: Region = "us-east-2".parse().unwrap();
        let snapshot = "snap-00000000000000001".parse().unwrap();
        let deleted = Step::DeleteSnapshot { region: region.clone(), snapshot };
        let other = Step::Deregister { region, image: "ami-00000000000000009".parse().unwrap() };
        for (state, reason, stays) in [
            (RegionState::Missing, RegionReason::AccessDenied, false),
            (RegionState::Missing, RegionReason::SnapshotLocked, false),
            (RegionState::Available, RegionReason::DeregistrationProtected, false),
            (RegionState::Missing, RegionReason::ImageMissing, true),
            (RegionState::Missing, RegionReason::ImageDisabled, true),
        ] {
            for step in [&deleted, &other] {
                let mut before = replicated();
                let row = &mut before.regions[1];
                (row.state, row.reason, row.message) = (state, Some(reason), Some("no".into()));
                let after = apply(&before, step, &Outcome::Done, at(10)).unwrap_or(before);
                let told = after.regions[1].reason;
                assert_eq!(told == Some(reason), stays, "{reason} after {}", step.name());
            }
        }
    }

    #[test]
    fn a_refused_copy_waits_in_its_own_row_and_a_busy_ec2_counts_no_attempt() {
        for (code, reason, attempts) in [
            ("UnauthorizedOperation", "AccessDenied", 1),
            ("ResourceLimitExceeded", "Throttled", 0),
            ("RequestLimitExceeded", "Throttled", 0),
            ("InvalidRequest", "CopyFailed", 1),
        ] {
            let row = refused(code);
            assert_eq!(row.reason.map(<&str>::from), Some(reason), "{code}");
            assert_eq!(row.attempts, attempts, "{code}");
            assert!(row.next_attempt_time.is_some() && row.announced_time.is_none(), "{code}");
        }
    }

    #[test]
    fn a_copy_whose_outcome_is_unknown_keeps_its_attempt_and_its_announcement() {
        for code in ["", "InternalError", "IdempotentParameterMismatch"] {
            let row = refused(code);
            assert_eq!((row.attempts, row.next_attempt_time), (1, None), "{code}");
            assert!(row.announced_time.is_some(), "{code}");
        }
    }
}
