//! The largest object that is legal fits into etcd with room to spare.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use kube::core::cel::validate_cel;
use saved_template_api::{
    SavedTemplate, SavedTemplateClass,
    largest::{largest, largest_class},
};
use serde_json::Value;

fn size(letter: char) -> usize {
    serde_json::to_vec(&largest(letter).unwrap()).unwrap().len()
}

// The budget is 400 kB with managedFields, which names every field of every row once more: tests/flows/api.rs measures both.
#[test]
fn the_largest_object_has_less_than_280_kb() {
    let size = size('x');
    assert!(size < 280_000, "{size} bytes");
}

#[test]
fn the_largest_object_in_letters_of_four_bytes_has_less_than_330_kb() {
    let size = size('🌋');
    assert!(size < 330_000, "{size} bytes");
}

#[test]
fn the_largest_object_is_legal() {
    let object = largest('🌋').unwrap();
    if let Err(error) = validate_cel(&object) {
        panic!("{error}");
    }
    let value = serde_json::to_value(&object).unwrap();
    let again: SavedTemplate = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(again, object);
    assert!(value["status"]["regions"].as_array().is_some_and(|rows| rows.iter().all(Value::is_object)));
}

#[test]
fn the_largest_class_is_legal_and_has_less_than_200_kb() {
    let object = largest_class('🌋').unwrap();
    if let Err(error) = validate_cel(&object) {
        panic!("{error}");
    }
    let value = serde_json::to_value(&object).unwrap();
    let bytes = serde_json::to_vec(&object).unwrap().len();
    assert!(bytes < 200_000, "{bytes} bytes");
    let again: SavedTemplateClass = serde_json::from_value(value).unwrap();
    assert_eq!(again, object);
}
