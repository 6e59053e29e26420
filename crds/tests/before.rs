//! Objects that earlier versions made are read, and say what they said.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use saved_template_api::{
    SavedTemplate,
    status::{MAX_CODE_BYTES, MAX_OUTCOME_BYTES, MAX_REQUEST_BYTES},
};
use serde_json::{Value, json};

/// What the version wrote that had one announcement for all regions: after a save with two copies.
fn one_announcement() -> Value {
    serde_json::from_str(include_str!("before/one-announcement.json")).unwrap()
}

#[test]
fn an_object_of_before_is_read_with_its_images_and_its_last_change() {
    let object: SavedTemplate = serde_json::from_value(one_announcement()).unwrap();
    let status = object.status.unwrap();
    assert_eq!((status.images.len(), status.regions.len()), (3, 3));
    let announced: Vec<_> =
        status.announced.iter().map(|last| (last.region.as_str(), last.step.as_str())).collect();
    assert_eq!(announced, [("us-west-1", "CopyImage")]);
    // And written as a list.
    let written = serde_json::to_value(&status.announced).unwrap();
    assert!(written.is_array(), "{written}");
}

#[test]
fn a_change_at_home_of_before_is_forgotten_and_what_is_no_announcement_is_an_error() {
    let mut object = one_announcement();
    object["status"]["announced"].as_object_mut().unwrap().remove("region");
    let read: SavedTemplate = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(read.status.unwrap().announced, []);
    for wrong in [json!("StopInstances"), json!(7), json!([{"number": 1}])] {
        object["status"]["announced"] = wrong.clone();
        assert!(serde_json::from_value::<SavedTemplate>(object.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn texts_of_before_are_as_short_as_the_schema_wants_them_now() {
    let mut object = one_announcement();
    let last = &mut object["status"]["announced"];
    last["request"] = json!("snap-0123456789abcdef0 ".repeat(80));
    last["outcome"] = json!({"result": "Refused", "code": "c".repeat(128), "message": "m".repeat(512)});
    let read: SavedTemplate = serde_json::from_value(object).unwrap();
    let last = read.status.unwrap().announced.remove(0);
    let outcome = last.outcome.unwrap();
    assert!(last.request.len() <= MAX_REQUEST_BYTES, "{}", last.request);
    assert!(last.request.ends_with("of 1840 bytes)"), "{}", last.request);
    assert!(outcome.code.unwrap().len() <= MAX_CODE_BYTES);
    assert!(outcome.message.unwrap().len() <= MAX_OUTCOME_BYTES);
}
