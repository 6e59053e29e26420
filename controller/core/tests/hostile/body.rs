//! One hostile input, from bytes: what proptest, libFuzzer and the loop of `make fuzz` have in common.
use saved_template_core::{
    restart::{Copy, Evidence, Record, judge, last_arrival},
    world::World,
};

use super::{
    dice::Dice,
    laws::{Object, hold, rest},
    objects,
    schema::{objections_to_spec, objections_to_status},
    worlds,
};

/// An arbitrary object before an arbitrary world; answers how many rounds it took to come to rest.
pub(crate) fn object(bytes: &[u8]) -> usize {
    let mut dice = Dice::new(bytes);
    let spec = objects::spec(&mut dice);
    let status = objects::status(&mut dice);
    assert_eq!(
        (objections_to_spec(&spec), objections_to_status(&status)),
        (Vec::new(), Vec::new()),
        "a legal object"
    );
    let deleting = dice.once_in(4);
    let finalizer = !dice.once_in(4);
    let now = dice.time();
    let now = now.clamp("2020-01-01T00:00:00Z".parse().unwrap(), "2040-01-01T00:00:00Z".parse().unwrap());
    let world = worlds::world(&mut dice, &spec, &status, now);
    hold(Object { spec, status, deleting, finalizer }, &world, now)
}

/// An arbitrary value of the tag that holds a record, and every verdict upon it.
pub(crate) fn debt(text: &str, bytes: &[u8]) {
    let Ok(record) = text.parse::<Record>() else { return };
    let written = record.to_string();
    assert_eq!(written.parse(), Ok(record.clone()), "{text:?}");
    assert!(written.len() <= 256 && written.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{written:?}");
    let mut dice = Dice::new(bytes);
    let now = dice.time();
    assert!(last_arrival(&record) >= record.stop_by);
    let spec = objects::spec(&mut dice);
    let status = objects::status(&mut dice);
    let world: World = worlds::world(&mut dice, &spec, &status, now);
    let Ok(view) = &world.home else { return };
    let evidence = Evidence::of(view, &record.instance);
    for copy in [Copy::Tag, Copy::Remembered] {
        judge(&record, copy, None, evidence, now);
        for instance in view.instances.iter().flatten() {
            judge(&record, copy, Some(instance), evidence, now);
            judge(&record.aborted(now), copy, Some(instance), evidence, now);
            judge(&record.forced(now), copy, Some(instance), evidence, now);
        }
    }
}

/// A text that could be a record: one that was, with some of its characters changed.
pub(crate) fn almost(bytes: &[u8]) -> String {
    let mut dice = Dice::new(bytes);
    let mut letters: Vec<char> = objects::record(&mut dice).to_string().chars().collect();
    for _ in 0..dice.below(4) {
        let at = dice.below(letters.len());
        letters[at] = dice.pick(&['0', '9', '-', '+', ' ', '=', 'x', '\n', '\u{0}', 'é']);
    }
    letters.into_iter().collect()
}

/// The JSON of an arbitrary object, damaged: read as the controller reads it from Kubernetes, then decided upon if it can
/// be read at all. Here the schema guards nothing, and so nothing is asked of what is written: no panic, no endless loop.
pub(crate) fn manifest(bytes: &[u8]) {
    let mut dice = Dice::new(bytes);
    let spec = objects::spec(&mut dice);
    let status = objects::status(&mut dice);
    let now = dice.time();
    let world = worlds::world(&mut dice, &spec, &status, now);
    let object = serde_json::json!({"spec": spec, "status": status});
    let mut text: Vec<char> = object.to_string().chars().collect();
    for _ in 0..dice.below(8) {
        let at = dice.below(text.len().min(65_536));
        match dice.below(3) {
            0 => _ = text.remove(at),
            1 => text[at] = dice.pick(&['0', '9', '"', '{', '-', 'é', 'x']),
            _ => text.insert(at, dice.pick(&['0', '9', '-', '"', 'x'])),
        }
    }
    let text: String = text.into_iter().collect();
    let Ok(mut read) = serde_json::from_str::<serde_json::Value>(&text) else { return };
    let (spec, status) = (read["spec"].take(), read["status"].take());
    let (Ok(spec), Ok(status)) = (serde_json::from_value(spec), serde_json::from_value(status)) else {
        return;
    };
    rest(Object { spec, status, deleting: dice.flip(), finalizer: true }, &world, now);
}
