//! A status that somebody wrote by hand in the middle of a save: the machine comes back, and the object says where it is.
use saved_template_api::SavedTemplateStatus;
use serde_json::json;

use crate::{
    history::draw,
    hostile::{dice::Dice, objects, schema::objections_to_status},
    lab::Lab,
    oracle::{assert_given_back, is_settled},
};

/// A status about this lab's machine, or about another one.
fn poison(lab: &Lab, dice: &mut Dice<'_>) -> SavedTemplateStatus {
    let status = objects::status(dice);
    let text = serde_json::to_string(&status).unwrap().replace("i-0123456789abcdef0", &lab.id);
    let mut status: SavedTemplateStatus = serde_json::from_str(&text).unwrap();
    // The lab holds nothing against it before it was looked at.
    status.observed_generation = Some(-1);
    assert_eq!(objections_to_status(&status), Vec::<String>::new());
    status
}

fn history(seed: u64) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(7);
    let bytes: Vec<u8> = (0..900).map(|_| draw(&mut state).to_le_bytes()[1]).collect();
    let mut dice = Dice::new(&bytes);
    let mut lab = Lab::new(
        &json!({
            "source": {"region": "us-west-2", "instanceName": "quake"},
            "regions": [{"name": "us-west-1"}],
            "capture": {"maxDowntimeSeconds": 600},
        })
        .to_string(),
    );
    let second = i64::try_from(draw(&mut state) % 200).unwrap();
    lab.run(second);
    let stops = lab.count("StopInstances");
    let status = poison(&lab, &mut dice);
    lab.poisoned = true;
    lab.edit(|object| object.status = status.clone());
    lab.run(7200);
    let what = format!("seed {seed}, poisoned at {second} with {}", serde_json::to_string(&status).unwrap());
    assert_given_back(&lab, &what);
    assert!(lab.count("StopInstances") <= stops + 1, "{what}\n{}", lab.history());
    let told = is_settled(&lab) || lab.condition("Reconciling").0 == "True";
    assert!(told, "{what}\n{}", lab.history());
    lab.run(60);
    let effects = lab.effects().len();
    lab.run(3600);
    assert!(lab.effects().len() - effects < 120, "busy for ever: {what}\n{}", lab.history());
    // Deleted, it goes.
    lab.delete();
    lab.until(3600, &format!("gone: {what}"), |lab| lab.object().is_none());
}

#[test]
fn a_status_written_by_hand_at_any_second_holds_no_machine_and_no_object_for_ever() {
    (0..60).for_each(history);
}
