use saved_template_core::{cloud::Cloud, ec2_error::ErrorClass};

use super::*;

const DONE: &str = "<return>true</return>";

fn both() -> [String; 2] {
    [image().to_string(), snapshot().to_string()]
}

#[tokio::test(start_paused = true)]
async fn an_image_and_its_snapshots_are_tagged_in_one_call() {
    let wire = Wire::new([Answer::ok(DONE)]);
    wire.ec2().tag_resources(&both(), tags(&[("team", "web")]), announced(0)).await.unwrap();
    let sent = &wire.sent()[0];
    assert_eq!(sent["Action"], "CreateTags");
    let resources = [("ResourceId.1", "ami-0123456789abcdef0"), ("ResourceId.2", "snap-0123456789abcdef0")];
    assert_eq!(fields(sent, "ResourceId."), resources);
    assert_eq!(fields(sent, "Tag."), [("Tag.1.Key", "team"), ("Tag.1.Value", "web")]);
}

#[tokio::test(start_paused = true)]
async fn tags_of_images_are_removed_by_key_whatever_their_value() {
    let wire = Wire::new([Answer::ok(DONE)]);
    let keys = ["team".to_owned(), "cost".to_owned()];
    wire.ec2().untag_resources(&both(), &keys, announced(0)).await.unwrap();
    let sent = &wire.sent()[0];
    assert_eq!((sent["Action"].as_str(), fields(sent, "ResourceId.").len()), ("DeleteTags", 2));
    assert_eq!(fields(sent, "Tag."), [("Tag.1.Key", "team"), ("Tag.2.Key", "cost")]);
}

#[tokio::test(start_paused = true)]
async fn no_keys_are_never_asked_for_since_that_removes_all() {
    let wire = Wire::new([]);
    let refusal = wire.ec2().untag_resources(&both(), &[], announced(0)).await.unwrap_err();
    assert_eq!((refusal.class, refusal.is_definite()), (ErrorClass::Caller, true));
    assert_eq!((wire.sent().len(), wire.counted().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_description_is_written_and_an_empty_one_too() {
    let wire = Wire::new([Answer::ok(DONE), Answer::ok(DONE)]);
    let ec2 = wire.ec2();
    ec2.set_description(&image(), "web, saved", announced(0)).await.unwrap();
    ec2.set_description(&image(), "", announced(0)).await.unwrap();
    let sent = wire.sent();
    assert_eq!(
        (sent[0]["Action"].as_str(), sent[0]["ImageId"].as_str()),
        ("ModifyImageAttribute", image().as_str())
    );
    assert_eq!(fields(&sent[0], "Description"), [("Description.Value", "web, saved")]);
    assert_eq!(fields(&sent[1], "Description"), [("Description.Value", "")]);
    assert!(!sent[0].contains_key("Attribute"));
}

#[tokio::test(start_paused = true)]
async fn an_image_goes_with_its_snapshots_and_those_that_stay_are_named() {
    let row = |id: &str, code: &str| {
        format!("<item><snapshotId>{id}</snapshotId><returnCode>{code}</returnCode></item>")
    };
    let rows =
        row("snap-00000001", "success") + &row("snap-00000002", "skipped") + &row("snap-00000003", "novel");
    let body = format!("{DONE}<deleteSnapshotResultSet>{rows}</deleteSnapshotResultSet>");
    let wire = Wire::new([Answer::ok(&body), Answer::ok(DONE)]);
    let ec2 = wire.ec2();
    let left = ec2.deregister(&image(), announced(0)).await.unwrap();
    let left: Vec<_> = left.iter().map(|(id, code)| (id.as_str(), code.as_str())).collect();
    assert_eq!(left, [("snap-00000002", "skipped"), ("snap-00000003", "novel")]);
    assert_eq!(ec2.deregister(&image(), announced(0)).await, Ok(Vec::new()));
    let sent = &wire.sent()[0];
    assert_eq!((sent["Action"].as_str(), sent["ImageId"].as_str()), ("DeregisterImage", image().as_str()));
    assert_eq!(sent["DeleteAssociatedSnapshots"], "true");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_in_use_is_refused_by_its_code() {
    let wire = Wire::new([Answer::ok(DONE), Answer::refused(400, "InvalidSnapshot.InUse", "by ami-1")]);
    let ec2 = wire.ec2();
    assert_eq!(ec2.delete_snapshot(&snapshot(), announced(0)).await, Ok(()));
    let refusal = ec2.delete_snapshot(&snapshot(), announced(0)).await.unwrap_err();
    assert_eq!((refusal.code.as_str(), refusal.is_definite()), ("InvalidSnapshot.InUse", true));
    let sent = &wire.sent()[0];
    assert_eq!(
        (sent["Action"].as_str(), sent["SnapshotId"].as_str()),
        ("DeleteSnapshot", snapshot().as_str())
    );
}

#[tokio::test(start_paused = true)]
async fn a_removal_is_sent_once_and_a_lost_reply_proves_nothing() {
    let wire = Wire::new([Answer::Lost, Answer::Lost]);
    let ec2 = wire.ec2();
    assert_eq!(ec2.deregister(&image(), announced(0)).await.unwrap_err().class, ErrorClass::Unknown);
    assert_eq!(ec2.delete_snapshot(&snapshot(), announced(0)).await.unwrap_err().class, ErrorClass::Unknown);
    assert_eq!(wire.sent().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_repeated_is_repeated_after_a_lost_reply() {
    let wire = Wire::new((0..3).flat_map(|_| [Answer::Lost, Answer::ok(DONE)]));
    let ec2 = wire.ec2();
    assert_eq!(ec2.tag_resources(&both(), tags(&[("k", "v")]), announced(0)).await, Ok(()));
    assert_eq!(ec2.untag_resources(&both(), &["k".to_owned()], announced(0)).await, Ok(()));
    assert_eq!(ec2.set_description(&image(), "x", announced(0)).await, Ok(()));
    assert_eq!(wire.sent().len(), 6);
    assert_eq!(wire.counted(), ["CreateTags ok", "DeleteTags ok", "ModifyImageAttribute ok"]);
}
