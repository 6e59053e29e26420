//! Bad ec2_faults in EC2 that lasts for a while.
use ec2sim::{ACCOUNT, Effect, Fault, ImageState, InstanceSeed, InstanceState, Request};
use serde_json::json;

use crate::{
    ALL, COPIES, PATIENT, PLAIN, assert_saved,
    ec2::{HOME, tag, tries},
    lab::Lab,
    life::{FAR, available, served, spec, status},
    oracle::{assert_given_back, is_settled},
};

fn refuse(operation: &str, code: &str) -> Fault {
    Fault::new(operation, Effect::Refuse { code: code.into(), message: "no".into(), status: None })
}

fn downtime(lab: &Lab) -> i64 {
    let (from, to) = lab.instance().downtimes()[0];
    (to.unwrap() - from) / 1000
}

#[test]
fn s19_throttled_for_ten_minutes_the_machine_is_back_soon_after_and_the_calls_were_few() {
    for operation in ["StartInstances", "CreateImage", "CreateTags", "StopInstances", "*"] {
        for spec in [PLAIN, PATIENT] {
            let mut lab = Lab::new(spec);
            lab.until(60, "stopping", |lab| lab.instance().state == InstanceState::Stopping);
            lab.sim().add_fault(refuse(operation, "RequestLimitExceeded").for_ms(600_000));
            let before = lab.effects().len();
            lab.run(600);
            let asked = lab.effects().len() - before;
            assert!(asked <= 200, "{operation}: {asked} calls and writes in ten minutes\n{}", lab.history());
            // Then the image may have to be made first, and waited for.
            lab.until(300, "given back", |lab| lab.instance().state == InstanceState::Running && !lab.owes());
            lab.until(900, "Ready or told", is_settled);
            assert_eq!((lab.count("StopInstances"), lab.images(HOME) <= 1), (1, true), "{operation}");
        }
    }
}

#[test]
fn s20_a_server_error_before_or_after_the_effect_of_any_change_makes_nothing_twice() {
    for operation in
        ["CreateTags", "StopInstances", "CreateImage", "StartInstances", "DeleteTags", "CopyImage"]
    {
        for code in ["InternalError", "ServiceUnavailable"] {
            let after = Fault::new(operation, Effect::ApplyAndRefuse { code: code.into(), status: None });
            for fault in [refuse(operation, code), after] {
                for times in [1, 2] {
                    let mut lab = Lab::new(COPIES);
                    lab.sim().add_fault(fault.clone().nth(1).times(times * tries(operation)));
                    lab.until(3000, "Ready", Lab::is_ready);
                    lab.run(60);
                    assert_saved(&lab, COPIES);
                }
            }
        }
    }
}

#[test]
fn s22_reads_up_to_a_minute_old_make_nothing_twice_and_call_nothing_gone() {
    for (lag, seeds) in [(10, 0..8), (30, 8..16), (60, 16..24)] {
        for seed in seeds {
            for spec in [PLAIN, COPIES, PATIENT] {
                let mut lab = Lab::new(spec);
                lab.stale_reads(lag, seed);
                for _ in 0..4000 {
                    if lab.is_ready() {
                        break;
                    }
                    lab.tick();
                    let (_, reason) = lab.condition("Ready");
                    let is_gone = ["ImageMissing", "InstanceTerminated"].contains(&reason.as_str());
                    assert!(!is_gone, "{lag} {seed}: {reason}\n{}", lab.history());
                }
                lab.until(1, &format!("Ready: {lag} {seed} {spec}"), Lab::is_ready);
                lab.run(240);
                assert_eq!(lab.condition("Ready").0, "True", "{lag} {seed}\n{}", lab.history());
                assert_saved(&lab, spec);
                // An old read may have the Stop repeated, which changes nothing; never once the image was asked for.
                let calls: Vec<_> = lab.log().into_iter().filter(ec2sim::LogEntry::is_effective).collect();
                let imaged = calls.iter().position(|call| call.action == "CreateImage").unwrap();
                assert!(
                    calls[imaged..].iter().all(|call| call.action != "StopInstances"),
                    "{}",
                    lab.history()
                );
            }
        }
    }
}

#[test]
fn s39_an_image_that_somebody_deregisters_while_it_is_pending_gives_the_machine_back_and_is_told() {
    for spec in [PLAIN, PATIENT] {
        for wait in [0, 1, 2, 3, 5, 10, 30, 60, 100, 118] {
            let mut lab = Lab::new(spec);
            lab.until(200, "imaged", |lab| lab.count("CreateImage") == 1);
            lab.run(wait);
            let image = lab.home().images.keys().next().unwrap().clone();
            lab.user(&Request::new("DeregisterImage").with("ImageId", &image));
            lab.run(1500);
            let what = format!("{spec} {wait}");
            assert_given_back(&lab, &what);
            // One that EC2 never showed may only be late: it is waited for until a minute after `m`.
            let longest = if wait == 0 { 900 } else { 400 };
            assert!(downtime(&lab) < longest, "{what}: down for {} s\n{}", downtime(&lab), lab.history());
            let told = lab.condition("Ready");
            assert_eq!(told.0, "False", "{what}: {told:?}");
            assert!(is_settled(&lab), "{what}: {told:?}\n{}", lab.history());
            assert_eq!((lab.count("StopInstances"), lab.count("CreateImage")), (1, 1), "{what}");
            assert!(status(&lab).images.is_empty(), "{what}");
        }
    }
}

#[test]
fn s42_an_image_that_takes_a_day_is_waited_for_and_nothing_is_made_or_deleted_meanwhile() {
    let mut lab = Lab::new(COPIES);
    lab.sim().config_mut().image = 86_400_000;
    lab.sim().config_mut().snapshot = 80_000_000;
    lab.run(86_000);
    assert_given_back(&lab, "pending for a day");
    assert!(downtime(&lab) <= 120, "down for {} s", downtime(&lab));
    assert_eq!(lab.condition("Reconciling").0, "True", "{:?}", lab.condition("Ready"));
    assert_eq!(lab.condition("Stalled").0, "");
    lab.until(2000, "Ready", Lab::is_ready);
    assert_eq!((lab.count("CreateImage"), lab.count("CopyImage")), (1, 2));
    assert_eq!((lab.count("DeregisterImage"), lab.count("StopInstances")), (0, 1));
}

#[test]
fn s43_a_name_that_somebody_takes_while_the_machine_stops_gives_it_back_and_one_that_is_let_go_is_used() {
    let name = {
        let mut lab = Lab::new(PLAIN);
        lab.until(900, "Ready", Lab::is_ready);
        lab.home().images.values().next().unwrap().name.clone()
    };
    for lets_go in [false, true] {
        let mut lab = Lab::new(PLAIN);
        lab.until(60, "stopping", |lab| lab.instance().state == InstanceState::Stopping);
        let id = lab.id.clone();
        let taken = Request::new("CreateImage").with("InstanceId", &id).with("Name", &name);
        let reply = lab.users(&taken.with("NoReboot", "true"));
        let foreign = reply.text("imageId").unwrap().to_owned();
        if lets_go {
            // The name stays taken for a minute more.
            lab.user(&Request::new("DeregisterImage").with("ImageId", &foreign));
        }
        lab.run(1500);
        assert_given_back(&lab, &format!("{lets_go}"));
        assert!(is_settled(&lab), "{lets_go} {:?}\n{}", lab.condition("Ready"), lab.history());
        assert!(downtime(&lab) < 400, "{lets_go}: down for {} s\n{}", downtime(&lab), lab.history());
        assert_eq!(lab.count("StopInstances"), 1, "{lets_go}\n{}", lab.history());
        let theirs = &lab.home().images[&foreign];
        assert!(theirs.tags.is_empty(), "{lets_go}: somebody else's image was touched");
        assert_ne!(served(&lab, HOME).map(|(_, id)| id), Some(foreign), "{lets_go}");
    }
}

#[test]
fn s44_copies_above_the_quota_of_a_region_wait_for_their_turn() {
    let mut lab = Lab::new(COPIES);
    // Somebody else copies for a quarter of an hour.
    lab.sim().config_mut().copy = 900_000;
    lab.sim().config_mut().copies_at_once = 2;
    let now = lab.now();
    let other = lab.sim().seed(now, InstanceSeed { region: HOME.into(), ..InstanceSeed::default() });
    let theirs = Request::new("CreateImage").with("InstanceId", &other).with("Name", "theirs");
    let reply = lab.sim().call(now, ACCOUNT, HOME, &theirs.with("NoReboot", "true"));
    let source = reply.text("imageId").unwrap().to_owned();
    lab.until(900, "available", |lab| lab.home().images[&source].state == ImageState::Available);
    let copy = Request::new("CopyImage").with("SourceImageId", &source).with("SourceRegion", HOME);
    let now = lab.now();
    assert_eq!(lab.sim().call(now, ACCOUNT, "us-east-2", &copy.with("Name", "theirs")).code, None);
    lab.until(1200, "copied where there is room", |lab| !available_ours(lab, "us-west-1").is_empty());
    assert_given_back(&lab, "quota");
    assert!(available_ours(&lab, "us-east-2").is_empty());
    lab.until(2400, "Ready", Lab::is_ready);
    let refused = lab.log().into_iter().filter(|call| call.action == "CopyImage" && !call.is_effective());
    let refused = refused.filter(|call| !call.dry_run).count();
    assert!((1..=30).contains(&refused), "{refused} refusals in a quarter of an hour");
    assert_eq!(available_ours(&lab, "us-east-2").len(), 1);
}

fn available_ours(lab: &Lab, region: &str) -> Vec<String> {
    let place = lab.place(region);
    let images = place.into_iter().flat_map(|place| place.images.into_values());
    let ours = images.filter(|image| image.state == ImageState::Available && image.name != "theirs");
    ours.map(|image| image.id.clone()).collect()
}

#[test]
fn s45_a_copy_whose_answer_is_lost_and_whose_token_ec2_forgets_is_made_once() {
    for (unique, away) in [(true, 0), (false, 0), (false, 7200)] {
        let mut lab = Lab::new(COPIES);
        lab.sim().config_mut().copy_name_unique = unique;
        lab.sim().config_mut().token_lifetime = 3_600_000;
        lab.sim()
            .add_fault(Fault::new("CopyImage", Effect::ApplyAndDrop).region("us-east-2").nth(1).times(2));
        lab.until(900, "asked for", |lab| lab.images("us-east-2") == 1);
        if away > 0 {
            lab.goes_dark("us-east-2");
            lab.run(away);
            lab.answers_again();
        }
        lab.until(1500, "Ready", Lab::is_ready);
        lab.run(900);
        for region in ALL {
            assert_eq!(lab.images(region), 1, "{unique} {away} {region}\n{}", lab.history());
        }
    }
}

#[test]
fn s46_a_home_image_that_somebody_removes_while_it_is_copied_is_told_and_stops_nothing() {
    for with_snapshots in [false, true] {
        for wait in [0, 1, 20, 60] {
            let mut lab = Lab::new(&spec(&json!({})));
            lab.until(900, "copied", |lab| lab.images(FAR[0]) + lab.images(FAR[1]) >= 1);
            lab.run(wait);
            let image = available(&lab, HOME)[0].0.clone();
            let remove = Request::new("DeregisterImage").with("ImageId", &image);
            lab.user(
                &remove.with("DeleteAssociatedSnapshots", if with_snapshots { "true" } else { "false" }),
            );
            lab.run(1800);
            let what = format!("{with_snapshots} {wait}: {:?}", lab.condition("Ready"));
            assert_given_back(&lab, &what);
            assert!(is_settled(&lab), "{what}\n{}", lab.history());
            assert_eq!(lab.condition("Ready").1, "ImageMissing", "{what}");
            assert_eq!((lab.count("StopInstances"), lab.count("CreateImage")), (1, 1), "{what}");
            for region in FAR {
                let (there, told) = (available(&lab, region), served(&lab, region));
                assert_eq!(
                    there.first().map(|(id, _)| id.clone()),
                    told.map(|(_, id)| id),
                    "{what} {region}"
                );
            }
        }
    }
}

#[test]
fn s49_tags_that_ec2_refuses_are_told_before_the_stop_or_give_the_machine_back_at_once() {
    for code in ["TagPolicyViolation", "TagLimitExceeded"] {
        let mut lab = Lab::new(PLAIN);
        lab.sim().add_fault(refuse("CreateImage", code));
        lab.run(900);
        assert_given_back(&lab, code);
        assert!(is_settled(&lab), "{code} {:?}\n{}", lab.condition("Ready"), lab.history());
        // The stop, a minute in which nothing of it shows, the start.
        assert!(downtime(&lab) <= 115, "{code}: down for {} s", downtime(&lab));
        assert_eq!(lab.count("StopInstances"), 1, "{code}");
    }
    // A machine on which there is no room for the record.
    let mut lab = Lab::new(PLAIN);
    let id = lab.id.clone();
    let full = (1..50).map(|number| (format!("tag-{number}"), "x".to_owned())).collect();
    lab.user(&tag(&id, &full));
    lab.run(900);
    assert!(is_settled(&lab), "{:?}\n{}", lab.condition("Ready"), lab.history());
    assert_eq!((lab.count("StopInstances"), lab.instance().state), (0, InstanceState::Running));
    let (status, reason) = lab.condition("Validated");
    assert_eq!(status, "False", "{reason}");
}
