//! Restart records that are signed: what nobody without the key can have written starts nothing.
use std::time::Duration;

use ec2sim::{ACCOUNT, Config, InstanceState};
use saved_template_api::{ConditionType, names::debt_key};
use saved_template_tests::{Lab, control_plane, is, message, quick};

use crate::{HOME, debts::reaches, owes, state, template, user};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const OLDER: &str = "fedcba9876543210fedcba9876543210";

fn record(lab: &Lab<'_>, id: &str) -> Option<String> {
    let sim = lab.ec2.sim();
    sim.place(ACCOUNT, HOME).unwrap().instances[id].tags.get(&debt_key("lab")).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_required_a_forged_record_starts_nothing_and_a_genuine_save_is_given_back_by_a_fresh_process()
 {
    let config = Config { stop: 8000, ..quick() };
    let lab = Lab::on(control_plane().await.unwrap(), "signature", config).await.unwrap();
    let (genuine, retired) = (lab.machine("genuine"), lab.machine("retired"));
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), format!("{OLDER}\n")).unwrap();
    let file = format!("--record-key-file={}", keys.path().display());
    let flags = [file.as_str(), "--require-signed-records"];
    let mut first = lab.controller_with(&flags).unwrap();
    lab.apply(&template("genuine", "genuine")).await.unwrap();
    reaches(&lab, &genuine, InstanceState::Stopping).await;
    let signed = record(&lab, &genuine).unwrap();
    let (text, code) = signed.rsplit_once(" h=").unwrap();
    assert_eq!(code.len(), 32, "{signed}");

    // Nobody but EC2 and the key tells the next process anything of this machine, which its owner retires now.
    first.process().kill();
    user(&lab, "StopInstances", &[("InstanceId.1", &retired)]);
    let unsigned = text.replace(&genuine, &retired);
    for (what, value) in
        [("unsigned", unsigned.clone()), ("with another's signature", format!("{unsigned} h={code}"))]
    {
        let params =
            [("ResourceId.1", retired.as_str()), ("Tag.1.Key", &debt_key("lab")), ("Tag.1.Value", &value)];
        user(&lab, "CreateTags", &params);
        assert_eq!(record(&lab, &retired), Some(value), "{what}");
    }
    // The key is rotated meanwhile: the older one still verifies.
    std::fs::write(keys.path(), format!("{KEY}\n{OLDER}\n")).unwrap();
    let second = lab.controller_with(&flags).unwrap();
    lab.ready("genuine").await.unwrap();
    assert!(state(&lab, &genuine) == InstanceState::Running && !owes(&lab, &genuine), "{}", lab.evidence());
    assert_eq!(state(&lab, &retired), InstanceState::Stopped, "{}", lab.evidence());
    // One of the stops is the owner's.
    let counts = ["StopInstances", "CreateImage", "StartInstances"].map(|action| lab.count(action));
    assert_eq!(counts, [2, 1, 1], "{}", lab.evidence());
    assert!(owes(&lab, &retired), "what we have not written is not ours to remove");
    assert!(second.output().contains("is not signed with a key of this installation"), "{}", second.output());

    lab.apply(&template("retired", "retired")).await.unwrap();
    let told = lab
        .until("retired", Duration::from_secs(60), "told about", |object| {
            is(object, "Validated", "False", Some("InstanceBusy"))
        })
        .await
        .unwrap();
    let text = message(&told, ConditionType::Validated).unwrap();
    assert!(text.contains("not signed with a key") && text.contains("aws ec2 delete-tags"), "{text}");
    assert_eq!(lab.count("StartInstances"), 1, "{}", lab.evidence());
}
