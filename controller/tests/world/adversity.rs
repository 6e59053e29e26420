//! Other people, other tools, a lost database, a process that never comes back.
use ec2sim::{ACCOUNT, Effect, Fault, InstanceSeed, InstanceState, Request, VolumeSeed};
use saved_template_api::{SavedTemplateSpec, SavedTemplateStatus, names::debt_key, status::Consistency};

use crate::{
    ALL, COPIES, PATIENT, PLAIN, SAVE, assert_saved,
    ec2::{HOME, on_instance, untag},
    lab::{CLUSTER, Lab},
    oracle::{assert_given_back, is_settled},
    saved,
};

fn edit(lab: &mut Lab, spec: &str) {
    lab.edit(|object| object.spec = serde_json::from_str::<SavedTemplateSpec>(spec).unwrap());
}

#[test]
fn a_process_that_never_comes_back_leaves_a_machine_that_a_standby_gives_back() {
    for spec in [PLAIN, PATIENT] {
        let effects = saved(spec, None).effects().len();
        for effect in 0..effects {
            for after in [false, true] {
                let mut lab = Lab::new(spec);
                lab.kill(effect, after);
                lab.back_after = None;
                lab.adds_a_standby();
                lab.run(2400);
                assert_given_back(&lab, spec);
                assert!(lab.count("StopInstances") <= 1);
            }
        }
    }
}

#[test]
fn a_status_restored_from_a_backup_never_stops_the_machine_again() {
    for spec in [PLAIN, PATIENT] {
        for second in 1..SAVE {
            for back in 1..4_usize {
                let mut lab = Lab::new(spec);
                lab.run(second);
                let stopped = lab.count("StopInstances");
                let Some(at) = lab.statuses().len().checked_sub(back + 1) else { continue };
                let old = lab.statuses()[at].clone();
                // A backup is older than the minute in which a Stop may leave.
                lab.api(false);
                lab.run(90);
                lab.edit(|object| object.status = old);
                lab.api(true);
                lab.reboot();
                lab.run(3000);
                let what = format!("{spec} {second} back {back}: {:?}", lab.condition("Ready"));
                assert_given_back(&lab, &what);
                assert!(is_settled(&lab), "{what}\n{}", lab.history());
                assert!(lab.count("StopInstances") <= stopped.max(1), "{what}\n{}", lab.history());
                assert!(lab.images(HOME) <= 1, "{what}\n{}", lab.history());
            }
        }
    }
}

#[test]
fn a_status_lost_while_the_machine_waits_for_its_image_is_not_ready_before_the_machine_is_back() {
    for second in 50..170 {
        for (older, strips) in [(false, false), (true, false), (false, true)] {
            let mut lab = Lab::new(PATIENT);
            let start = if older { 400 } else { 0 };
            lab.run(start);
            if older {
                lab.edit(|object| object.spec.revision = 2);
            }
            lab.run(second - 20);
            let (id, tags) = (lab.id.clone(), lab.instance().tags.clone());
            for (key, value) in tags.iter().filter(|(key, _)| strips && *key != "Name") {
                lab.user(&untag(&id, key, value));
            }
            lab.run(20);
            lab.edit(|object| {
                object.status = SavedTemplateStatus::default();
                object.spec.revision = 1;
            });
            // A start that is refused: from the image on, only the machine is waited for.
            lab.sim().add_fault(Fault::new("StartInstances", Effect::Drop).nth(1).times(6));
            lab.run(2400);
            assert_given_back(&lab, &format!("{second} {older} {strips}"));
        }
    }
}

#[test]
fn an_edit_that_is_not_supported_stops_no_machine_and_never_calls_an_owed_one_stalled() {
    let edits = [
        r#"{"source": {"region": "us-west-2", "instanceName": "quake"}, "suspend": true}"#,
        r#"{"source": {"region": "us-west-2", "instanceName": "quake"}, "projectName": "x"}"#,
        r#"{"source": {"region": "us-west-2", "instanceName": "quake"}, "sharing": {"accounts": ["210987654321"]}}"#,
    ];
    for spec in edits {
        for second in 1..SAVE {
            let mut lab = Lab::new(PLAIN);
            lab.run(second);
            let stops = lab.count("StopInstances");
            edit(&mut lab, spec);
            lab.run(700);
            let what = format!("{second} {spec}: {:?}", lab.condition("Validated"));
            assert_given_back(&lab, &what);
            assert!(is_settled(&lab), "{what}\n{}", lab.history());
            assert_eq!(lab.count("StopInstances"), stops, "{what}\n{}", lab.history());
            edit(&mut lab, PLAIN);
            lab.until(1300, "Ready once the edit is undone", Lab::is_ready);
            assert_eq!(lab.count("StopInstances"), 1, "{what}\n{}", lab.history());
        }
    }
}

#[test]
fn a_machine_that_goes_during_its_save_is_never_called_left_stopped() {
    for second in 1..SAVE {
        for away in [0, 8000] {
            if away > 0 && second % 8 != 0 {
                continue;
            }
            let mut lab = Lab::new(PLAIN);
            lab.run(second);
            let id = lab.id.clone();
            lab.user(&on_instance("TerminateInstances", &id));
            lab.api(away == 0);
            lab.run(away);
            lab.api(true);
            for _ in 0..140 {
                lab.run(30);
                let (status, reason) = lab.condition("SourceRestored");
                assert_ne!(reason, "LeftStopped", "at {second}: {status}\n{}", lab.history());
            }
            let what = format!("at {second}, away {away}: {:?}", lab.condition("Ready"));
            assert!(is_settled(&lab), "{what}\n{}", lab.history());
        }
    }
}

#[test]
fn a_volume_that_comes_or_goes_while_the_machine_stops_is_saved_or_left_out_even_if_a_reply_is_lost() {
    for attaches in [true, false] {
        for fault in [None, Some(Effect::Drop), Some(Effect::ApplyAndDrop)] {
            let mut lab = Lab::new(PLAIN);
            lab.until(60, "stopping", |lab| lab.instance().state == InstanceState::Stopping);
            let (id, now) = (lab.id.clone(), lab.now());
            if attaches {
                lab.sim().attach(now, ACCOUNT, HOME, &id, &VolumeSeed::new("/dev/sdg", 5));
            } else {
                let volume = lab.instance().devices[1].volume.clone();
                lab.sim().detach(now, ACCOUNT, HOME, &id, &volume);
            }
            if let Some(effect) = fault.clone() {
                lab.sim().add_fault(Fault::new("CreateTags", effect).nth(1).times(2));
            }
            lab.until(900, "Ready", Lab::is_ready);
            assert_given_back(&lab, "volumes");
            let snapshots = lab.home().snapshots.len();
            assert_eq!(snapshots, if attaches { 3 } else { 1 }, "{fault:?}");
        }
    }
}

#[test]
fn a_machine_of_that_name_that_comes_later_is_found_and_a_corrected_source_is_followed() {
    let mut lab = Lab::new(PLAIN);
    let id = lab.id.clone();
    lab.user(&on_instance("TerminateInstances", &id));
    lab.run(120);
    assert_eq!(lab.condition("Validated").1, "InstanceNotFound");
    let seed =
        |name: &str| InstanceSeed { region: HOME.into(), name: Some(name.into()), ..InstanceSeed::default() };
    let now = lab.now();
    let id = lab.sim().seed(now, seed("quake"));
    lab.moves_to(id);
    lab.until(900, "Ready", Lab::is_ready);
    assert_eq!(lab.instance().downtimes().len(), 1, "the new one was saved");

    let mut lab = Lab::new(PLAIN);
    let first = lab.id.clone();
    lab.user(&on_instance("TerminateInstances", &first));
    lab.run(60);
    let now = lab.now();
    let id = lab.sim().seed(now, seed("other"));
    lab.moves_to(id);
    let by_id = format!(r#"{{"source": {{"region": "us-west-2", "instanceID": "{}"}}}}"#, lab.id);
    edit(&mut lab, &by_id);
    lab.until(900, "Ready", Lab::is_ready);
    assert_eq!(lab.instance().downtimes().len(), 1, "the new one was saved");
}

#[test]
fn two_machines_of_one_name_are_noticed_as_long_as_nothing_is_stopped() {
    let mut lab = Lab::new(PLAIN);
    let now = lab.now();
    let twin = InstanceSeed { region: HOME.into(), name: Some("quake".into()), ..InstanceSeed::default() };
    lab.sim().seed(now, twin);
    lab.run(600);
    assert_eq!(lab.condition("Validated").1, "InstanceAmbiguous");
}

#[test]
fn a_user_who_stops_the_machine_between_our_start_and_our_untag_keeps_it_stopped() {
    for wait in 0..8 {
        let mut lab = Lab::new(PLAIN);
        lab.until(200, "started", |lab| lab.count("StartInstances") == 1);
        lab.until(60, "running", |lab| lab.instance().state == InstanceState::Running);
        lab.run(wait);
        let id = lab.id.clone();
        lab.user(&on_instance("StopInstances", &id));
        lab.run(1500);
        assert_eq!(lab.instance().state, InstanceState::Stopped, "{}", lab.history());
        assert!(!lab.owes(), "{}", lab.history());
        assert_eq!(lab.count("StartInstances"), 1);
        assert!(is_settled(&lab), "{wait} {:?}\n{}", lab.condition("Ready"), lab.history());
    }
}

#[test]
fn a_user_who_stops_the_machine_just_before_us_keeps_it_stopped_and_it_is_saved_as_it_is() {
    for second in 1..14 {
        let mut lab = Lab::new(PLAIN);
        lab.run(second);
        if lab.instance().state != InstanceState::Running {
            continue;
        }
        let id = lab.id.clone();
        lab.user(&on_instance("StopInstances", &id));
        lab.run(1500);
        assert_eq!(lab.instance().state, InstanceState::Stopped, "at {second}\n{}", lab.history());
        assert!(!lab.owes(), "at {second}\n{}", lab.history());
        assert_eq!(lab.count("StartInstances"), 0);
        assert!(lab.is_ready(), "at {second}: {:?}\n{}", lab.condition("Ready"), lab.history());
        assert_eq!((lab.condition("SourceRestored").1.as_str(), lab.images(HOME)), ("LeftStopped", 1));
        let capture = lab.status().capture.clone().unwrap();
        assert_eq!((capture.consistency, capture.disruptions), (Consistency::Stopped, 0));
    }
}

#[test]
fn a_user_who_stops_and_starts_the_machine_meanwhile_sees_it_stopped_by_us_once_at_most() {
    for second in 40..75 {
        let mut lab = Lab::new(PLAIN);
        lab.run(second);
        if lab.instance().state != InstanceState::Stopped {
            continue;
        }
        let id = lab.id.clone();
        lab.user(&on_instance("StartInstances", &id));
        lab.run(21);
        lab.user(&on_instance("StopInstances", &id));
        lab.run(1200);
        assert_eq!(lab.instance().state, InstanceState::Stopped, "at {second}\n{}", lab.history());
        lab.user(&on_instance("StartInstances", &id));
        lab.run(1200);
        assert_eq!(lab.count("StopInstances"), 2, "ours and theirs, at {second}\n{}", lab.history());
        assert_given_back(&lab, "theirs");
    }
}

#[test]
fn every_tag_of_the_installation_stripped_at_any_second_leaves_a_running_machine_and_one_image() {
    let key = debt_key(CLUSTER);
    for second in 1..SAVE {
        let mut lab = Lab::new(PLAIN);
        lab.run(second);
        let tags: Vec<(String, String)> =
            lab.instance().tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let id = lab.id.clone();
        for (tag, value) in tags.iter().filter(|(tag, _)| tag.starts_with("savedtemplate.dev/")) {
            lab.user(&untag(&id, tag, value));
        }
        // The process dies too: only the status remembers.
        lab.reboot();
        lab.until(3000, "Ready", Lab::is_ready);
        lab.run(60);
        assert_given_back(&lab, &key);
        assert_eq!((lab.count("StopInstances"), lab.images(HOME)), (1, 1), "{second}");
    }
}

#[test]
fn an_object_applied_again_after_a_save_adopts_its_image() {
    let mut lab = saved(COPIES, None);
    lab.edit(|object| (object.status, object.finalizer) = (SavedTemplateStatus::default(), false));
    lab.run(120);
    assert_eq!(lab.condition("Ready"), ("True".into(), "Adopted".into()));
    assert_eq!(lab.count("StopInstances"), 1);
    assert!(ALL.iter().all(|region| lab.images(region) == 1));
    let writes = (lab.writes(), lab.effects().len());
    lab.run(3600);
    assert_eq!((lab.writes(), lab.effects().len()), writes, "at rest");
}

#[test]
fn an_image_that_shows_late_is_asked_for_again_under_its_own_name_only() {
    for seed in 0..6 {
        let mut lab = Lab::new(PLAIN);
        lab.stale_reads(40, seed);
        lab.sim().add_fault(Fault::new("CreateImage", Effect::ApplyAndDrop).nth(1));
        lab.until(3000, "Ready", Lab::is_ready);
        lab.run(60);
        assert_saved(&lab, PLAIN);
        assert_eq!(lab.count("CreateImage"), 1, "seed {seed}\n{}", lab.history());
    }
}

#[test]
fn a_cluster_rebuilt_without_its_status_and_its_image_reads_the_receipt_and_stops_nothing() {
    let mut lab = saved(PLAIN, None);
    let id = lab.home().images.keys().next().unwrap().clone();
    lab.user(&Request::new("DeregisterImage").with("ImageId", &id));
    lab.edit(|object| object.status = SavedTemplateStatus::default());
    lab.run(1500);
    assert_eq!(lab.condition("Ready").1, "ImageMissing", "{}", lab.history());
    assert_eq!(lab.count("StopInstances"), 1, "{}", lab.history());
}
