//! A machine that is down under a record of which the status knows nothing: tables.
use saved_template_api::{ConditionType, SavedTemplateStatus, condition::find, names};

use super::*;
use crate::{
    decide::decide,
    sample::{CAPTURE, EARLIER_CAPTURE, OWNER, at, made, plain, record, running, stopped_at, subject, world},
    world::Instance,
};

/// With this record on it, and these receipts beside it.
fn carrying(machine: Instance, record: &Record, receipts: Option<&str>) -> Instance {
    let mut machine = machine;
    machine.tags.insert(names::debt_key(OWNER.cluster), record.to_string());
    let receipts = receipts.map(|value| (names::receipts_key(OWNER.cluster), value.to_owned()));
    machine.tags.extend(receipts);
    machine
}

#[test]
fn a_template_whose_machine_is_down_for_it_is_not_ready_though_the_status_was_lost() {
    let ours = record();
    let stopped = || stopped_at(Some(at(12)));
    let state = |state| Instance { state, ..stopped() };
    let by_itself =
        || Instance { state_reason: Some("Client.InstanceInitiatedShutdown".into()), ..stopped() };
    let claim = Record { awaits: Awaits::Nothing, ..record() };
    let copied = Record { instance: "i-00000000000000009".parse().unwrap(), ..record() };
    let (ours_first, another_first) = (
        format!("{}=r1 0123456789abcdef=r4", OWNER.receipt_object()),
        format!("0123456789abcdef=r4 {}=r1", OWNER.receipt_object()),
    );
    let receipt = Some(ours_first.as_str());
    for (what, machine, image_of, told) in [
        ("receipt", carrying(stopped(), &ours, receipt), EARLIER_CAPTURE, true),
        ("image", carrying(stopped(), &ours, None), CAPTURE, true),
        ("both", carrying(stopped(), &ours, receipt), CAPTURE, true),
        ("stopping", carrying(state(InstanceState::Stopping), &ours, receipt), EARLIER_CAPTURE, true),
        ("another object's", carrying(stopped(), &ours, None), EARLIER_CAPTURE, false),
        ("an older receipt", carrying(stopped(), &ours, Some(&another_first)), EARLIER_CAPTURE, false),
        ("running", carrying(running(), &ours, receipt), CAPTURE, false),
        ("starting", carrying(state(InstanceState::Pending), &ours, receipt), CAPTURE, false),
        ("stopped by itself", carrying(by_itself(), &ours, receipt), CAPTURE, false),
        ("a claim", carrying(stopped(), &claim, receipt), CAPTURE, false),
        ("a copied tag", carrying(stopped(), &copied, receipt), CAPTURE, false),
        ("no record", stopped(), CAPTURE, false),
    ] {
        let mut image = made();
        image.tags.insert(names::tag::CAPTURE.into(), image_of.into());
        let spec = saved_template_api::SavedTemplateSpec { regions: vec![], ..plain() };
        let status = SavedTemplateStatus::default();
        let seen = world(at(100), vec![machine], vec![image], vec![]);
        let decision = decide(subject(&spec, &status), &seen, at(100)).into_decision().unwrap();
        assert_eq!(decision.step(), None, "{what}");
        let ready = find(&decision.status.conditions, ConditionType::Ready).unwrap();
        let expected = if told { ("False", "RestoringSource") } else { ("True", "Adopted") };
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), expected, "{what}");
        assert_eq!(ready.message.contains("i-0123456789abcdef0 is stopped under a record"), told, "{what}");
    }
}
