//! When the finalizer comes, and when deciding needs no view of EC2: tables.
use saved_template_api::{SavedTemplateSpec, status::RegionState};

use super::*;
use crate::sample::{at, plain, planned, running, stopping, subject, world};

#[test]
fn only_an_object_that_goes_and_has_nothing_to_do_in_ec2_needs_no_view() {
    let (free, owing) = (SavedTemplateStatus::default(), planned());
    for deleting in [false, true] {
        for finalizer in [false, true] {
            for (status, owes) in [(&free, false), (&owing, true)] {
                for (policy, deletes) in [(DeletionPolicy::Retain, false), (DeletionPolicy::Delete, true)] {
                    let spec = SavedTemplateSpec { deletion_policy: policy, ..plain() };
                    let subject = Subject { deleting, finalizer, ..subject(&spec, status) };
                    let wanted = !(deleting && (!finalizer || !owes && !deletes));
                    let what = format!("deleting {deleting}, finalizer {finalizer}, owes {owes}, {policy:?}");
                    assert_eq!(needs_world(&subject), wanted, "{what}");
                }
            }
        }
    }
}

fn finalizer(policy: DeletionPolicy, status: &SavedTemplateStatus, has: bool, deleting: bool) -> Finalizer {
    let spec = SavedTemplateSpec { deletion_policy: policy, ..plain() };
    let world = world(at(60), vec![running()], Vec::new(), Vec::new());
    let subject = Subject { finalizer: has, deleting, ..subject(&spec, status) };
    decide(subject, &world, at(60)).into_decision().expect("every question is answered").finalizer
}

#[test]
fn the_finalizer_is_there_before_the_first_change_and_wherever_images_are_to_be_deleted() {
    let (retain, delete) = (DeletionPolicy::Retain, DeletionPolicy::Delete);
    let bare = SavedTemplateStatus::default();
    // With a step: the record is about to be written to the machine.
    assert_eq!(finalizer(retain, &planned(), false, false), Finalizer::Add);
    assert_eq!(finalizer(retain, &planned(), true, false), Finalizer::Keep);
    // Suspended, so without a step.
    let mut saved = bare.clone();
    saved.regions.clone_from(&stopping().regions);
    let idle = |policy, status: &SavedTemplateStatus, has| {
        let spec = SavedTemplateSpec { deletion_policy: policy, suspend: true, ..plain() };
        let world = world(at(60), vec![running()], Vec::new(), Vec::new());
        let subject = Subject { finalizer: has, ..subject(&spec, status) };
        let decision = decide(subject, &world, at(60)).into_decision().expect("every question is answered");
        assert_eq!(decision.step(), None);
        decision.finalizer
    };
    assert_eq!(idle(delete, &saved, false), Finalizer::Keep, "nothing to delete");
    let home = saved.regions.first_mut().expect("home");
    (home.image_id, home.state) = ("ami-0123456789abcdef0".parse().ok(), RegionState::Available);
    assert_eq!(idle(delete, &saved, false), Finalizer::Add);
    assert_eq!(idle(delete, &saved, true), Finalizer::Keep);
    assert_eq!(idle(retain, &saved, false), Finalizer::Keep);
    // An object that goes gets none.
    assert_ne!(finalizer(delete, &saved, false, true), Finalizer::Add);
}
