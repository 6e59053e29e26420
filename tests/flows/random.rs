//! Objects made of random bytes, as far as the API server takes them, beside some that people would write.
use std::time::Duration;

use ec2sim::{ACCOUNT, InstanceState};
use futures::{StreamExt as _, stream};
use kube::{
    Resource as _, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use saved_template_api::SavedTemplate;
use saved_template_tests::{Lab, assert_holds};

use crate::{HOME, images, owes, state, template};

#[path = "../../controller/core/tests/hostile/dice.rs"]
mod dice;
#[path = "../../controller/core/tests/hostile/objects.rs"]
mod objects;

const MANY: u64 = 120;

/// Most of them name the same machine.
const FOUGHT_OVER: &str = "quake";

/// The same number gives the same object.
fn poisoned(number: u64) -> SavedTemplate {
    // xorshift64*
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut byte = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes()[0]
    };
    let bytes: Vec<u8> = (0..2000).map(|_| byte()).collect();
    let mut dice = dice::Dice::new(&bytes);
    let mut object = SavedTemplate::new(&format!("poisoned-{number}"), objects::spec(&mut dice));
    object.status = Some(objects::status(&mut dice));
    object
}

/// Creates it with its status; whether the API server took both.
async fn accepted(lab: &Lab<'_>, object: &SavedTemplate) -> bool {
    let params = PostParams::default();
    let Ok(mut made) = lab.api().create(&params, object).await else { return false };
    made.status.clone_from(&object.status);
    made.meta_mut().managed_fields = None;
    lab.api().replace_status(&made.name_any(), &params, &made).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn among_objects_of_random_bytes_good_ones_become_ready_and_no_machine_is_left_down() {
    let lab = Lab::quick("random").await.unwrap().hostile();
    let fought_over = lab.machine(FOUGHT_OVER);
    let objects: Vec<SavedTemplate> = (0..MANY).map(poisoned).collect();
    let taken = stream::iter(&objects).map(|object| accepted(&lab, object)).buffer_unordered(16);
    let taken = taken.filter(|taken| std::future::ready(*taken)).count().await;
    assert!(taken > 40, "the API server took only {taken} of {MANY}");
    let good: Vec<(String, String)> =
        (0..3).map(|n| format!("good-{n}")).map(|name| (lab.machine(&name), name)).collect();
    let mut controller = lab.controller().unwrap();
    for (_, name) in &good {
        lab.apply(&template(name, name)).await.unwrap();
    }
    for (id, name) in &good {
        lab.ready(name).await.unwrap();
        assert_holds("I1", state(&lab, id) == InstanceState::Running && !owes(&lab, id), || lab.evidence());
    }
    let own: Vec<String> = good.iter().map(|(id, _)| id.clone()).collect();
    let of_good = images(&lab, HOME)
        .into_iter()
        .filter(|image| image.instance.as_ref().is_some_and(|id| own.contains(id)));
    assert_holds("I6", of_good.count() == good.len(), || lab.evidence());
    lab.api().delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    lab.until_ec2(Duration::from_mins(5), "the machine that all fought over runs", |sim| {
        let machine = &sim.place(ACCOUNT, HOME).unwrap().instances[&fought_over];
        let is_owed = machine.tags.keys().any(|key| key.starts_with("savedtemplate.dev/restart-owed."));
        machine.state == InstanceState::Running && !is_owed
    })
    .await
    .unwrap();
    println!("{taken} of {MANY} taken, {} changes of EC2", lab.changes().len());
    let ended = controller.process().wait(Duration::from_millis(100)).await;
    assert!(ended.is_err(), "the controller ended:\n{}", controller.output());
    assert!(!controller.output().contains("panicked"), "{}", controller.output());
}
