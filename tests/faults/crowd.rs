//! A process that starts among very many objects.
use std::time::Duration;

use ec2sim::{ACCOUNT, Effect, Fault, InstanceState, When};
use futures::{StreamExt as _, stream};
use kube::api::{ListParams, PostParams};
use saved_template_api::SavedTemplate;
use saved_template_tests::{Lab, assert_holds, is};

use crate::{HOME, template, truth};

const MANY: usize = 2000;

fn suspended(number: usize) -> SavedTemplate {
    let name = format!("crowd-{number}");
    let mut object: SavedTemplate = serde_yaml::from_str(&template(&name, &name)).unwrap();
    object.spec.suspend = true;
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_a_process_that_starts_among_two_thousand_objects_gives_a_machine_back_first() {
    let lab = Lab::quick("crowd-s6").await.unwrap();
    let id = lab.machine("owed");
    let mut first = lab.controller().unwrap();
    let pid = i32::try_from(first.pid()).unwrap();
    lab.ec2.add_fault(Fault::new("CreateImage", Effect::Kill { pid, when: When::After }).nth(1));
    lab.apply(&template("owed", "owed")).await.unwrap();
    first.process().wait(Duration::from_mins(2)).await.unwrap();
    let (api, params) = (lab.api(), PostParams::default());
    let objects: Vec<_> = (0..MANY).map(suspended).collect();
    let made = objects.iter().map(|object| api.create(&params, object));
    stream::iter(made).buffer_unordered(32).for_each(async |made| drop(made.unwrap())).await;
    let _second = lab.controller().unwrap();
    lab.until_ec2(Duration::from_mins(2), "the machine runs", |sim| {
        sim.place(ACCOUNT, HOME).unwrap().instances[&id].state == InstanceState::Running
    })
    .await
    .unwrap();
    let objects = lab.api().list(&ListParams::default()).await.unwrap().items;
    let is_seen = |object: &&SavedTemplate| {
        object.status.as_ref().is_some_and(|status| status.observed_generation == object.metadata.generation)
    };
    let seen = objects.iter().filter(is_seen).count();
    assert_holds("L3", seen < MANY, || format!("the machine waited until {seen} objects were looked at"));
    // The others have their turns before it.
    let is_ready = |object: &SavedTemplate| is(object, "Ready", "True", None);
    lab.until("owed", Duration::from_mins(10), "Ready", is_ready).await.unwrap();
    truth::assert_given_back(&lab, &id);
}
