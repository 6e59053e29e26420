//! Random double faults under reads that lag: what must hold then, whatever the order.
use ec2sim::{Effect, Fault, InstanceState};
use saved_template_api::{SavedTemplateStatus, names::debt_key};

use crate::{
    COPIES, PATIENT, PLAIN, assert_saved,
    ec2::{HOME, untag},
    lab::{CLUSTER, Kill, Lab},
    oracle::{assert_given_back, is_settled},
    sight::{Haze, draw},
};

const WRITES: [&str; 6] =
    ["CreateTags", "StopInstances", "CreateImage", "StartInstances", "DeleteTags", "CopyImage"];

/// One history: two deaths, two faults, an outage, and answers that are some seconds old.
fn history(seed: u64) {
    let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(7);
    let mut roll = |sides: u64| draw(&mut dice) % sides;
    let spec = [PLAIN, COPIES, PATIENT][usize::try_from(roll(3)).unwrap()];
    let mut lab = Lab::new(spec);
    lab.haze = Haze::new(usize::try_from(roll(7)).unwrap(), seed);
    for _ in 0..roll(3) {
        let (effect, after) = (usize::try_from(roll(30)).unwrap(), roll(2) == 0);
        lab.kill.push(Kill { effect, after });
    }
    lab.back_after = Some(i64::try_from(1 + roll(40)).unwrap());
    for _ in 0..roll(3) {
        let operation = WRITES[usize::try_from(roll(6)).unwrap()];
        let refuse = |code: &str| Effect::Refuse { code: code.into(), message: String::new(), status: None };
        let effect = match roll(4) {
            0 => Effect::Drop,
            1 => Effect::ApplyAndDrop,
            2 => refuse("RequestLimitExceeded"),
            _ => refuse("InternalError"),
        };
        lab.sim.add_fault(Fault::new(operation, effect).nth(1 + u32::try_from(roll(2)).unwrap()));
    }
    let (away, back) = (i64::try_from(roll(300)).unwrap(), i64::try_from(roll(200)).unwrap());
    for second in 0..4200 {
        lab.api_is_up = !(away..away + back).contains(&second);
        lab.tick();
        if second > away + back && lab.is_ready() {
            break;
        }
    }
    lab.run(60);
    assert_eq!(lab.instance().state, InstanceState::Running, "seed {seed}\n{}", lab.story());
    assert!(!lab.owes(), "seed {seed}\n{}", lab.story());
    assert!(
        lab.count("StopInstances") <= 2 && lab.instance().downtimes().len() <= 1,
        "seed {seed}\n{}",
        lab.story()
    );
    if lab.is_ready() {
        assert_saved(&lab, spec);
    } else {
        assert_eq!(
            lab.condition("Stalled").0,
            "True",
            "seed {seed} {:?}\n{}",
            lab.condition("Ready"),
            lab.story()
        );
    }
}

/// What somebody does to the object or the tags, at any second.
#[derive(Debug, Clone, Copy)]
enum Deed {
    WipeStatus,
    Delete,
    ForceDelete,
    StripTags,
    EditAndUndo,
}

const DEEDS: [Deed; 5] =
    [Deed::WipeStatus, Deed::Delete, Deed::ForceDelete, Deed::StripTags, Deed::EditAndUndo];

fn does(lab: &mut Lab, deed: Deed) {
    match deed {
        Deed::WipeStatus => lab.object.as_mut().unwrap().status = SavedTemplateStatus::default(),
        Deed::Delete => lab.object.as_mut().unwrap().deleting = true,
        Deed::ForceDelete => lab.object = None,
        Deed::StripTags => {
            let (id, key) = (lab.id.clone(), debt_key(CLUSTER));
            if let Some(value) = lab.instance().tags.get(&key).cloned() {
                lab.user(&untag(&id, &key, &value));
            }
        }
        Deed::EditAndUndo => {
            let object = lab.object.as_mut().unwrap();
            (object.spec.suspend, object.generation) = (true, object.generation + 1);
            lab.run(40);
            if let Some(object) = lab.object.as_mut() {
                (object.spec.suspend, object.generation) = (false, object.generation + 1);
            }
        }
    }
}

/// One history: a deed, a death, a fault, and answers that are some seconds old.
fn deed(seed: u64) {
    let mut dice = seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(3);
    let mut roll = |sides: u64| draw(&mut dice) % sides;
    let spec = [PLAIN, COPIES, PATIENT][usize::try_from(roll(3)).unwrap()];
    let deed = DEEDS[usize::try_from(roll(5)).unwrap()];
    let mut lab = Lab::new(spec);
    lab.haze = Haze::new(usize::try_from(roll(5)).unwrap(), seed);
    lab.kill.push(Kill { effect: usize::try_from(roll(25)).unwrap(), after: roll(2) == 0 });
    let effect = if roll(2) == 0 { Effect::Drop } else { Effect::ApplyAndDrop };
    lab.sim.add_fault(Fault::new(WRITES[usize::try_from(roll(6)).unwrap()], effect).nth(1));
    lab.run(1 + i64::try_from(roll(200)).unwrap());
    does(&mut lab, deed);
    lab.run(3600);
    let what = format!("seed {seed}, {deed:?}");
    assert_given_back(&lab, &what);
    assert!(lab.instance().downtimes().len() <= 1, "{what}\n{}", lab.story());
    assert!(lab.images(HOME) <= 1, "{what}\n{}", lab.story());
    match lab.object {
        Some(_) => assert!(is_settled(&lab), "{what} {:?}\n{}", lab.condition("Ready"), lab.story()),
        None => assert!(matches!(deed, Deed::Delete | Deed::ForceDelete)),
    }
    assert!(!matches!(deed, Deed::Delete) || lab.object.is_none(), "{what}\n{}", lab.story());
}

#[test]
fn a_deed_a_death_and_a_lost_call_leave_a_running_machine_no_record_and_one_image() {
    (0..60).for_each(deed);
}

#[test]
fn two_deaths_two_faults_an_outage_and_stale_reads_leave_a_running_machine_and_no_second_stop() {
    (0..150).for_each(history);
}

#[test]
#[ignore = "minutes: the same with more seeds"]
fn many_more_histories() {
    (150..6000).for_each(history);
    (60..2000).for_each(deed);
}
