use proptest::prelude::*;

use super::*;
use crate::restart::{Unreadable, Volumes};
use crate::sample::{CAPTURE, EARLIER_CAPTURE, at, image, record, running, snapshot, stopped_at};

fn judged(instance: &Instance, images: &[Image], snapshots: &[Snapshot], now: i64) -> Verdict {
    let evidence = Evidence { images: Some(images), snapshots: Some(snapshots), absence: None };
    judge(&record(), Copy::Tag, Some(instance), evidence, at(now))
}

fn started(launch: i64) -> Instance {
    Instance { launch_time: Some(at(launch)), ..running() }
}

fn due_for(verdict: &Verdict) -> Option<Due> {
    if let Verdict::Start { due, .. } = verdict { Some(*due) } else { None }
}

const TAKEN: SnapshotState = SnapshotState::Pending;

fn barrier() -> Vec<Snapshot> {
    vec![snapshot(1, CAPTURE, at(33), TAKEN), snapshot(2, CAPTURE, at(35), SnapshotState::Completed)]
}

#[test]
fn the_times_of_the_defaults_and_of_the_minima_are_those_of_the_protocol() {
    let of = |stop, downtime| {
        let r = Record::plan(
            record().instance,
            CAPTURE.into(),
            "0a1b2c3d".into(),
            at(0),
            (stop, downtime),
            Awaits::Image,
            1,
        );
        [r.planned, r.stop_by, r.image_by, r.start_by].map(|time| time.duration_since(at(0)).as_secs())
    };
    assert_eq!(of(600, 1800), [0, 60, 780, 1800]);
    assert_eq!(of(60, 300), [0, 60, 240, 300]);
}

#[test]
fn the_record_is_written_and_read_as_the_protocol_spells_it() {
    let text = record().to_string();
    let t = at(0).as_second();
    let expected = format!(
        "v1 i=i-0123456789abcdef0 c={CAPTURE} o=0a1b2c3d t={t} s={} m={} d={} w=snapshots n=2",
        t + 60,
        t + 780,
        t + 1800
    );
    assert_eq!(text, expected);
    assert_eq!(text.parse(), Ok(record()));
    assert!(text.len() <= 256);
}

#[test]
fn what_a_machine_waits_for_is_read_as_it_was_written() {
    for awaits in [Awaits::Snapshots, Awaits::Image, Awaits::Nothing] {
        let record = Record { awaits, ..record() };
        assert_eq!(record.to_string().parse(), Ok(record));
    }
    assert!(Unreadable::Malformed.to_string().contains("restart record"));
    assert_eq!("not authentic: v1 …".parse::<Record>(), Err(Unreadable::Unauthentic));
    assert!(Unreadable::Unauthentic.to_string().contains("not signed"));
}

#[test]
fn a_hard_stop_has_a_minute_to_leave_and_its_image_four_but_for_the_last_minute_before_d() {
    for (now, image_by) in [(700, 940), (1500, 1740), (1600, 1740)] {
        let forced = record().forced(at(now));
        assert_eq!((forced.stop_by, forced.image_by), (at(now + 60), at(image_by)), "{now}");
        assert!(forced.is_forced());
        assert_eq!((forced.planned, forced.start_by), (record().planned, record().start_by));
    }
    assert!(!record().is_forced());
}

#[test]
fn an_image_is_that_of_a_capture_by_its_tag_and_by_all_that_ec2_says_of_it() {
    let pending = || image(CAPTURE, ImageState::Pending);
    let available = || image(CAPTURE, ImageState::Available);
    let other = || Some("i-0fedcba9876543210".parse().unwrap());
    for (what, image, is) in [
        ("the machine's", pending(), true),
        ("not told yet of which machine", Image { source_instance: None, ..pending() }, true),
        (
            "never told, as one that was registered or copied",
            Image { source_instance: None, ..available() },
            false,
        ),
        ("another machine's", Image { source_instance: other(), ..pending() }, false),
        ("of an earlier capture", image(EARLIER_CAPTURE, ImageState::Pending), false),
        (
            "made before the plan, as last year's backup",
            Image { created: Some(at(-3)), ..available() },
            false,
        ),
        ("made in the second of the plan", Image { created: Some(at(0)), ..available() }, true),
        ("not told when", Image { created: None, ..pending() }, true),
        ("of a name that we give to none", Image { name: "AwsBackup_i-1".into(), ..pending() }, false),
        ("a copy", Image { source_image: Some(pending().id), source_instance: None, ..available() }, false),
        (
            "not told from which AMI its machine was launched",
            Image { source_image: None, ..available() },
            true,
        ),
    ] {
        assert_eq!(record().made(&image), is, "{what}");
    }
}

#[test]
fn a_snapshot_with_the_tag_of_the_capture_counts_only_if_ec2_says_nothing_else_of_it() {
    let ours = image(CAPTURE, ImageState::Pending);
    let foreign =
        Image { id: "ami-0fffffffffffffff0".parse().unwrap(), ..image(EARLIER_CAPTURE, ImageState::Pending) };
    let tagged = |description: &str| Snapshot {
        description: description.into(),
        ..snapshot(1, CAPTURE, at(33), TAKEN)
    };
    let made_for = |image: &str| format!("Created by CreateImage(i-0123456789abcdef0) for {image}");
    let (its, theirs) = (made_for(ours.id.as_str()), made_for(foreign.id.as_str()));
    let of_backup = |key: &str| {
        let mut shot = tagged("Created for policy: policy-1");
        shot.tags.insert(key.into(), "x".into());
        shot
    };
    let of_other_volume = Snapshot { volume: "vol-00000000000000009".parse().unwrap(), ..tagged("") };
    for (what, shot, images, holds) in [
        ("of our image", tagged(&its), vec![ours.clone()], true),
        ("of our image, which is not shown yet", tagged(&its), vec![], true),
        ("of an image that is not ours", tagged(&theirs), vec![foreign.clone()], false),
        ("of an image that is not shown, and ours is", tagged(&theirs), vec![ours.clone()], false),
        ("of a machine that is not ours", tagged("Created by CreateImage(i-9) for ami-9"), vec![], false),
        ("without a word from EC2", tagged(""), vec![], true),
        ("of a volume that is not the machine's", of_other_volume, vec![], false),
        ("of Data Lifecycle Manager", of_backup("aws:dlm:lifecycle-policy-id"), vec![], false),
        ("of AWS Backup", of_backup("aws:backup:source-resource"), vec![], false),
        ("begun before the plan", Snapshot { started: Some(at(-1)), ..tagged(&its) }, vec![ours], false),
    ] {
        assert_eq!(record().holds(&shot, &images, Volumes::Of(&running())), holds, "{what}");
    }
}

#[test]
fn a_snapshot_counts_from_the_second_of_the_plan_on() {
    for (began, counts) in [(-1, false), (0, true), (1, true)] {
        let shot = snapshot(1, CAPTURE, at(began), SnapshotState::Completed);
        assert_eq!(record().holds(&shot, &[], Volumes::Of(&running())), counts, "{began}");
    }
}

#[test]
fn what_no_plan_can_have_written_is_no_record() {
    let text = |change: &dyn Fn(&mut Record)| {
        let mut record = record();
        change(&mut record);
        record.to_string()
    };
    let far = || Timestamp::from_second(253_000_000_000).unwrap();
    for (what, text) in [
        ("s before t", text(&|record| record.stop_by = at(-1))),
        ("s at t", text(&|record| record.stop_by = at(0))),
        ("s less than a minute after t", text(&|record| record.stop_by = at(59))),
        (
            "s more than 75 minutes after t",
            text(&|record| {
                (record.stop_by, record.image_by, record.start_by) = (at(4501), at(4800), at(7200));
            }),
        ),
        (
            "d less than five minutes after t",
            text(&|record| (record.image_by, record.start_by) = (at(239), at(299))),
        ),
        (
            "s at d",
            text(&|record| (record.stop_by, record.image_by, record.start_by) = (at(900), at(840), at(900))),
        ),
        ("s in the year 9987", text(&|record| record.stop_by = far())),
        ("m before t", text(&|record| record.image_by = at(-1))),
        ("m in the last minute", text(&|record| record.image_by = at(1741))),
        ("m and d in the year 9987", text(&|record| (record.image_by, record.start_by) = (far(), far()))),
        ("d in 1970", text(&|record| record.start_by = Timestamp::from_second(1).unwrap())),
        ("d more than a day away", text(&|record| record.start_by = at(86_401))),
        ("no volume", text(&|record| record.volumes = 0)),
        ("more volumes than EC2 attaches", text(&|record| record.volumes = 129)),
    ] {
        assert_eq!(text.parse::<Record>(), Err(Unreadable::Malformed), "{what}");
    }
    for (what, record) in [
        ("given up in the first second", record().aborted(at(0))),
        ("given up by a clock that went back", record().aborted(at(-30))),
        ("stopped the hard way", record().forced(at(1500))),
        (
            "stopped the hard way after the longest patience",
            Record { stop_by: at(4500), image_by: at(4800), start_by: at(7200), ..record() },
        ),
        ("the shortest downtime", Record { image_by: at(240), start_by: at(300), ..record() }),
        ("the most volumes", Record { volumes: 128, ..record() }),
    ] {
        assert_eq!(record.to_string().parse(), Ok(record), "{what}");
    }
}

#[test]
fn a_record_that_nobody_remembers_is_told_and_not_paid_three_days_after_its_limit() {
    let machine = stopped_at(Some(at(20)));
    let evidence = Evidence { images: Some(&[]), snapshots: Some(&[]), absence: None };
    let judged = |copy, now| judge(&record(), copy, Some(&machine), evidence, at(now));
    let old = 1800 + 72 * 3600;
    assert_eq!(due_for(&judged(Copy::Tag, old)), Some(Due::Deadline));
    assert_eq!(judged(Copy::Tag, old + 1), Verdict::Implausible);
    assert_eq!(due_for(&judged(Copy::Both, old + 1)), Some(Due::Deadline), "what is remembered is owed");
    assert_eq!(judged(Copy::Tag, -3601), Verdict::Implausible, "nobody plans an hour ahead");
}

#[test]
fn what_is_not_quite_a_record_is_refused() {
    let good = record().to_string();
    let bad = [
        String::new(),
        good.replace("v1 ", "v1"),
        good.replace("w=snapshots", "w=luck"),
        good.replace("c=0123456789abcdef", "c=0123"),
        good.replace("i=i-", "i=x-"),
        good.replace(" n=2", ""),
        good.replace("n=2", "n=-2"),
        good.replace("t=1", "t=99999999999999999999"),
        format!("{good} x=1"),
        format!("{good} "),
    ];
    for text in bad {
        assert_eq!(text.parse::<Record>(), Err(Unreadable::Malformed), "{text:?}");
    }
}

#[test]
fn a_record_is_of_a_later_version_if_it_begins_with_a_number_above_ours_and_a_space() {
    for (version, why) in [
        ("v2", Unreadable::Later),
        ("v10", Unreadable::Later),
        ("v0", Unreadable::Malformed),
        ("v1x", Unreadable::Malformed),
        ("v99999999", Unreadable::Malformed),
        ("version", Unreadable::Malformed),
        ("2", Unreadable::Malformed),
    ] {
        let text = record().to_string().replace("v1", version);
        assert_eq!(text.parse::<Record>(), Err(why), "{version}");
    }
    assert_eq!("v2".parse::<Record>(), Err(Unreadable::Malformed));
    assert!(Unreadable::Later.to_string().contains("later version"));
}

proptest! {
    #[test]
    fn for_all_legal_values_the_times_are_in_order(stop in 60..=3600_i32, downtime in 300..=86400_i32) {
        let r = Record::plan(record().instance, CAPTURE.into(), "0a1b2c3d".into(), at(0), (stop, downtime), Awaits::Snapshots, 1);
        prop_assert!(r.planned < r.stop_by);
        prop_assert!(r.stop_by < r.image_by);
        prop_assert!(r.image_by <= later(r.start_by, SignedDuration::from_secs(-60)));
        prop_assert_eq!(r.to_string().parse::<Record>(), Ok(r));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".*", tail in "v1 i=i-[0-9a-f]{8} c=[0-9a-f]{16} o=.{8} t=-?[0-9]{1,20} .*") {
        let _ = text.parse::<Record>();
        let _ = tail.parse::<Record>();
    }

    #[test]
    fn a_machine_is_started_only_if_it_is_stopped_and_a_record_removed_only_for_a_reason(
        state in prop::sample::select(vec![InstanceState::Pending, InstanceState::Running, InstanceState::Stopping,
            InstanceState::Stopped, InstanceState::Terminated, InstanceState::Unknown]),
        reason in prop::sample::select(vec!["Client.UserInitiatedShutdown", "Client.InternalError", "Server.SpotInstanceShutdown", "", "New"]),
        launch in -5000..5000_i64, transition in prop::option::of(-5000..5000_i64), now in 0..9000_i64,
        snaps in 0..3_usize, imaged in any::<bool>(),
    ) {
        let instance = Instance { state, state_reason: Some(reason.into()), launch_time: Some(at(launch)),
            transition_time: transition.map(at), ..running() };
        let shots = &barrier()[..snaps.min(2)];
        let images = if imaged { vec![image(CAPTURE, ImageState::Pending)] } else { vec![] };
        match judged(&instance, &images, shots, now) {
            Verdict::Start { .. } => prop_assert_eq!(state, InstanceState::Stopped),
            Verdict::Remove(Settled::Paid) => prop_assert!(state == InstanceState::Running && launch > 0),
            Verdict::Remove(Settled::Unused) => prop_assert!(state == InstanceState::Running && now > 60 + 960),
            Verdict::Remove(Settled::StoppedBySomebody) => prop_assert_eq!(state, InstanceState::Stopped),
            Verdict::Remove(Settled::ClaimOver) => prop_assert!(false, "not a claim"),
            Verdict::Void => prop_assert_eq!(state, InstanceState::Terminated),
            Verdict::Rewrite { .. } => prop_assert!(false, "the tag is there"),
            Verdict::Implausible => prop_assert!(false, "its times are those of a plan"),
            Verdict::Wait | Verdict::Ignore | Verdict::Unclear(_) => {}
        }
    }

    #[test]
    fn a_machine_that_we_stopped_is_always_started_after_d(now in 1800..261_000_i64, snaps in 0..3_usize) {
        let shots = &barrier()[..snaps.min(2)];
        prop_assert_eq!(due_for(&judged(&stopped_at(Some(at(20))), &[], shots, now)), Some(Due::Deadline));
    }
}

#[test]
fn the_machine_is_due_at_the_barrier_and_not_before() {
    let ours = stopped_at(Some(at(20)));
    let images = [image(CAPTURE, ImageState::Pending)];
    let all = barrier();
    assert_eq!(judged(&ours, &[], &[], 40), Verdict::Wait);
    assert_eq!(judged(&ours, &images, &[], 40), Verdict::Wait);
    assert_eq!(judged(&ours, &images, &all[..1], 40), Verdict::Wait);
    let twice = [all[0].clone(), Snapshot { id: all[1].id.clone(), ..all[0].clone() }];
    assert_eq!(judged(&ours, &images, &twice, 40), Verdict::Wait, "one volume twice is one volume");
    let expected = Verdict::Start { due: Due::SnapshotsStarted, since: Some(at(35)) };
    assert_eq!(judged(&ours, &images, &all, 40), expected);
}

#[test]
fn with_restart_when_image_available_the_barrier_does_not_end_the_wait() {
    let record = Record { awaits: Awaits::Image, ..record() };
    let judged = |image_state| {
        let images = [image(CAPTURE, image_state)];
        let shots = barrier();
        let evidence = Evidence { images: Some(&images), snapshots: Some(&shots), absence: None };
        due_for(&judge(&record, Copy::Tag, Some(&stopped_at(Some(at(20)))), evidence, at(100)))
    };
    assert_eq!(judged(ImageState::Pending), None);
    assert_eq!(judged(ImageState::Available), Some(Due::ImageAvailable));
    assert_eq!(judged(ImageState::Failed), Some(Due::CaptureFailed));
    assert_eq!(judged(ImageState::Deregistered), Some(Due::CaptureFailed));
}

#[test]
fn an_image_that_is_gone_is_not_waited_for_though_its_snapshots_stay() {
    let record = Record { awaits: Awaits::Image, ..record() };
    let judged = |shots: &[Snapshot], now| {
        let evidence = Evidence { images: Some(&[]), snapshots: Some(shots), absence: None };
        due_for(&judge(&record, Copy::Tag, Some(&stopped_at(Some(at(20)))), evidence, at(now)))
    };
    assert_eq!(judged(&barrier(), 839), None);
    assert_eq!(judged(&barrier(), 840), Some(Due::NothingInSight));
    assert_eq!(judged(&barrier()[..1], 840), None, "a snapshot is still to come");
}

#[test]
fn a_failed_image_or_snapshot_gives_the_machine_back_at_once() {
    let ours = stopped_at(Some(at(20)));
    let failed = [image(CAPTURE, ImageState::Failed)];
    assert_eq!(due_for(&judged(&ours, &failed, &[], 40)), Some(Due::CaptureFailed));
    let broken = [snapshot(1, CAPTURE, at(33), SnapshotState::Error)];
    let pending = [image(CAPTURE, ImageState::Pending)];
    assert_eq!(due_for(&judged(&ours, &pending, &broken, 40)), Some(Due::CaptureFailed));
}

#[test]
fn a_failed_snapshot_is_no_part_of_the_barrier() {
    for (state, holds) in [
        (SnapshotState::Pending, true),
        (SnapshotState::Completed, true),
        (SnapshotState::Error, false),
        (SnapshotState::Unknown, false),
    ] {
        let shots = [snapshot(1, CAPTURE, at(33), TAKEN), snapshot(2, CAPTURE, at(35), state)];
        assert_eq!(record().barrier(&shots, &[], Volumes::Of(&running())).is_some(), holds, "{state:?}");
    }
}

#[test]
fn no_evidence_is_not_evidence_of_absence() {
    let evidence = Evidence { images: None, snapshots: Some(&[]), absence: None };
    let ours = stopped_at(Some(at(20)));
    assert_eq!(judge(&record(), Copy::Tag, Some(&ours), evidence, at(1000)), Verdict::Wait);
    assert_eq!(due_for(&judge(&record(), Copy::Tag, Some(&ours), evidence, at(1800))), Some(Due::Deadline));
}

#[test]
fn s55_between_the_tag_and_the_stop_the_record_stays() {
    for now in [0, 10, 60, 61, 600, 60 + 960] {
        assert_eq!(judged(&running(), &[], &[], now), Verdict::Wait, "{now}");
    }
    assert_eq!(judged(&running(), &[], &[], 60 + 961), Verdict::Remove(Settled::Unused));
}

#[test]
fn s57_a_replica_that_sees_no_image_waits_until_a_minute_after_m() {
    let ours = stopped_at(Some(at(20)));
    for now in [25, 300, 780, 839] {
        assert_eq!(judged(&ours, &[], &[], now), Verdict::Wait, "{now}");
    }
    let expected = Verdict::Start { due: Due::NothingInSight, since: Some(at(840)) };
    assert_eq!(judged(&ours, &[], &[], 840), expected);
    let images = [image(CAPTURE, ImageState::Pending)];
    assert_eq!(
        judged(&ours, &images, &[], 840),
        Verdict::Wait,
        "an image in sight: the barrier or d decides"
    );
}

#[test]
fn s58_hours_after_a_refused_stop_the_users_own_stop_is_theirs() {
    assert_eq!(
        judged(&stopped_at(Some(at(7200))), &[], &[], 7210),
        Verdict::Remove(Settled::StoppedBySomebody)
    );
}

#[test]
fn s59_a_stop_between_our_start_and_our_untag_is_the_users() {
    let theirs = Instance { launch_time: Some(at(40)), ..stopped_at(Some(at(45))) };
    assert_eq!(judged(&theirs, &[], &barrier(), 50), Verdict::Remove(Settled::StoppedBySomebody));
}

#[test]
fn s60_a_stop_before_the_plan_is_the_users() {
    assert_eq!(judged(&stopped_at(Some(at(-3))), &[], &[], 5), Verdict::Remove(Settled::StoppedBySomebody));
}

#[test]
fn s61_a_record_copied_to_another_instance_is_ignored() {
    let other = Instance { id: "i-0fedcba9876543210".parse().unwrap(), ..stopped_at(Some(at(20))) };
    assert_eq!(judged(&other, &[], &barrier(), 5000), Verdict::Ignore);
}

#[test]
fn s62_snapshots_of_an_earlier_attempt_do_not_make_a_new_barrier() {
    let ours = stopped_at(Some(at(20)));
    let images = [image(CAPTURE, ImageState::Pending)];
    let earlier =
        [snapshot(1, EARLIER_CAPTURE, at(-500), TAKEN), snapshot(2, EARLIER_CAPTURE, at(-500), TAKEN)];
    assert_eq!(judged(&ours, &images, &earlier, 40), Verdict::Wait);
    let late = [snapshot(1, EARLIER_CAPTURE, at(33), TAKEN), snapshot(2, EARLIER_CAPTURE, at(35), TAKEN)];
    assert_eq!(judged(&ours, &images, &late, 40), Verdict::Wait, "begun under a later record");
    let stale = [snapshot(1, CAPTURE, at(-1), TAKEN), snapshot(2, CAPTURE, at(-1), TAKEN)];
    assert_eq!(judged(&ours, &images, &stale, 40), Verdict::Wait, "taken before the plan");
}

#[test]
fn a_snapshot_without_tags_counts_by_its_description_and_time() {
    let untagged = |n, started| Snapshot { tags: [].into(), ..snapshot(n, CAPTURE, at(started), TAKEN) };
    let ours = stopped_at(Some(at(20)));
    let images = [image(CAPTURE, ImageState::Pending)];
    let both = [untagged(1, 33), untagged(2, 34)];
    assert_eq!(due_for(&judged(&ours, &images, &both, 60)), Some(Due::SnapshotsStarted));
    let old = [untagged(1, 33), untagged(2, -34)];
    assert_eq!(judged(&ours, &images, &old, 60), Verdict::Wait);
    let foreign = [untagged(1, 33), Snapshot { description: "nightly backup".into(), ..untagged(2, 33) }];
    assert_eq!(judged(&ours, &images, &foreign, 60), Verdict::Wait);
}

#[test]
fn a_stop_is_ours_only_by_reason_launch_time_and_window() {
    let ours = |reason: &str, launch, transition: Option<i64>| {
        let instance = Instance {
            state_reason: Some(reason.into()),
            launch_time: Some(at(launch)),
            ..stopped_at(transition.map(at))
        };
        judged(&instance, &[], &barrier(), 2000)
    };
    let start = Some(Due::Deadline);
    let theirs = Verdict::Remove(Settled::StoppedBySomebody);
    let user = "Client.UserInitiatedShutdown";
    assert_eq!(due_for(&ours(user, -9000, Some(-2))), start);
    assert_eq!(due_for(&ours(user, 0, Some(20))), start);
    assert_eq!(due_for(&ours(user, -9000, Some(60 + 960))), start);
    assert_eq!(
        due_for(&ours(user, -9000, None)),
        start,
        "no time in the reason: a service stopped it for us"
    );
    assert_eq!(ours(user, -9000, Some(-3)), theirs);
    assert_eq!(ours(user, -9000, Some(60 + 961)), theirs);
    assert_eq!(ours(user, 1, None), theirs);
    for reason in [
        "Client.InstanceInitiatedShutdown",
        "Client.UserInitiatedHibernate",
        "Server.ScheduledStop",
        "Server.SpotInstanceShutdown",
        "Server.SpotInstanceTermination",
    ] {
        assert_eq!(ours(reason, -9000, Some(20)), theirs, "{reason}");
    }
    let late = Record::plan(
        record().instance,
        CAPTURE.into(),
        "0a1b2c3d".into(),
        at(0),
        (1200, 3600),
        Awaits::Image,
        2,
    );
    let whose = |transition| {
        let machine = stopped_at(Some(at(transition)));
        let evidence = Evidence { images: Some(&[]), snapshots: Some(&[]), absence: None };
        judge(&late, Copy::Both, Some(&machine), evidence, at(transition + 1))
    };
    assert_eq!(whose(1380), Verdict::Wait, "bare metal takes so long, and EC2 may tell when the stop ended");
    assert_eq!(whose(1381), theirs);
    let unclear = Verdict::Unclear(Unclear::Reason("Server.NewReason".into()));
    assert_eq!(ours("Server.NewReason", -9000, Some(20)), unclear);
}

#[test]
fn a_call_about_a_record_is_tried_again_after_five_seconds_and_ever_later_up_to_a_minute() {
    let pauses: Vec<u64> = (1..8).map(|tries| pause(tries).as_secs()).collect();
    assert_eq!(pauses, [5, 10, 20, 40, 60, 60, 60]);
}

#[test]
fn a_start_that_failed_before_the_record_is_nobodys_debt() {
    let verdict = |copy, launch: i64, transition: Option<i64>, now| {
        let machine = Instance {
            state_reason: Some("Server.InsufficientInstanceCapacity".into()),
            launch_time: Some(at(launch)),
            ..stopped_at(transition.map(at))
        };
        let evidence = Evidence { images: Some(&[]), snapshots: Some(&[]), absence: None };
        judge(&record(), copy, Some(&machine), evidence, at(now))
    };
    let unclear = Verdict::Unclear(Unclear::StartFailedBefore("Server.InsufficientInstanceCapacity".into()));
    let failed = Verdict::Start { due: Due::StartFailed, since: None };
    for (what, copy, launch, transition, now, expected) in [
        ("a tag, and it failed long before", Copy::Tag, -9_000_000, Some(-9_000_000), 2, &unclear),
        ("the same, after d", Copy::Tag, -9_000_000, Some(-9_000_000), 1800, &unclear),
        ("a tag, and it failed after the stop", Copy::Tag, -9000, Some(90), 100, &failed),
        ("a tag, and it failed two seconds before the plan", Copy::Tag, -9000, Some(-2), 100, &failed),
        ("a tag, and it failed three seconds before it", Copy::Tag, -9000, Some(-3), 100, &unclear),
        ("a tag, and it was launched since", Copy::Tag, 80, None, 100, &failed),
        ("a tag, and it was launched in the second of the plan", Copy::Tag, 0, None, 100, &unclear),
        ("a tag, and nothing tells when", Copy::Tag, -9000, None, 100, &unclear),
        ("the same, after d", Copy::Tag, -9000, None, 1800, &failed),
        ("remembered", Copy::Both, -9000, None, 100, &failed),
    ] {
        assert_eq!(&verdict(copy, launch, transition, now), expected, "{what}");
    }
}

#[test]
fn what_one_reply_does_not_tell_ends_no_debt_and_is_waited_for_until_d() {
    let user = Some("Client.UserInitiatedShutdown");
    let untold = |code: Option<&str>, launch: Option<i64>| Instance {
        state_reason: code.map(Into::into),
        launch_time: launch.map(at),
        ..stopped_at(Some(at(20)))
    };
    for (code, launch) in [(None, Some(-9000)), (Some(""), Some(-9000)), (user, None), (None, None)] {
        let instance = untold(code, launch);
        assert_eq!(judged(&instance, &[], &barrier(), 1799), Verdict::Wait, "{code:?} {launch:?}");
        assert_eq!(due_for(&judged(&instance, &[], &barrier(), 1800)), Some(Due::Deadline));
    }
    let unclear = Verdict::Unclear(Unclear::Reason(String::new()));
    assert_eq!(
        judged(&untold(None, Some(1)), &[], &barrier(), 2000),
        unclear,
        "it ran since, nobody says why it stopped"
    );
    let early = Instance { transition_time: Some(at(-3)), ..untold(None, Some(-9000)) };
    assert_eq!(judged(&early, &[], &barrier(), 2000), unclear);
}

#[test]
fn a_start_that_failed_is_owed_at_once_and_for_ever() {
    for reason in FAILED_STARTS {
        let fell_back = Instance {
            state_reason: Some((*reason).into()),
            launch_time: Some(at(41)),
            ..stopped_at(Some(at(45)))
        };
        assert_eq!(due_for(&judged(&fell_back, &[], &[], 50)), Some(Due::StartFailed), "{reason}");
        let evidence = Evidence { images: Some(&[]), snapshots: Some(&[]), absence: None };
        let for_ever = judge(&record(), Copy::Both, Some(&fell_back), evidence, at(500_000));
        assert_eq!(due_for(&for_ever), Some(Due::StartFailed), "{reason}");
    }
}

#[test]
fn running_alone_never_pays_a_debt() {
    assert_eq!(judged(&running(), &[], &barrier(), 50), Verdict::Wait);
    assert_eq!(judged(&started(40), &[], &barrier(), 50), Verdict::Remove(Settled::Paid));
    let starting = Instance { state: InstanceState::Pending, ..started(40) };
    assert_eq!(judged(&starting, &[], &barrier(), 50), Verdict::Wait);
}

#[test]
fn ec2_counts_launches_in_whole_seconds_and_one_in_the_second_of_the_plan_was_before_it() {
    for (launch, paid) in [(-1, false), (0, false), (1, true)] {
        let verdict = judged(&started(launch), &[], &barrier(), 50);
        assert_eq!(verdict == Verdict::Remove(Settled::Paid), paid, "{launch}");
    }
}

#[test]
fn a_start_leaves_once_the_second_of_the_last_snapshot_is_over() {
    let ours = stopped_at(Some(at(20)));
    let images = [image(CAPTURE, ImageState::Pending)];
    assert_eq!(judged(&ours, &images, &barrier(), 35), Verdict::Wait);
    assert_eq!(due_for(&judged(&ours, &images, &barrier(), 36)), Some(Due::SnapshotsStarted));
}

#[test]
fn somebody_elses_stop_is_told_from_ours() {
    assert!(!stopped_by_somebody(&record(), &stopped_at(Some(at(20)))));
    assert!(stopped_by_somebody(&record(), &stopped_at(Some(at(-30)))));
}

#[test]
fn a_terminated_machine_owes_nothing_and_an_unknown_id_is_believed_the_third_time() {
    let terminated = Instance { state: InstanceState::Terminated, ..running() };
    assert_eq!(judged(&terminated, &[], &[], 50), Verdict::Void);
    let missing = |reads, since| {
        let absence = Some(Absence { since: at(since), reads });
        let evidence = Evidence { images: Some(&[]), snapshots: Some(&[]), absence };
        judge(&record(), Copy::Remembered, None, evidence, at(100))
    };
    assert_eq!(missing(1, 0), Verdict::Wait);
    assert_eq!(missing(3, 60), Verdict::Wait);
    assert_eq!(missing(3, 40), Verdict::Void);
}

#[test]
fn a_machine_whose_tag_was_stripped_gets_it_back_before_anything_is_started() {
    let evidence = Evidence { images: Some(&[]), snapshots: Some(&[]), absence: None };
    let remembered =
        |instance: &Instance, now| judge(&record(), Copy::Remembered, Some(instance), evidence, at(now));
    let due = |due| Verdict::Rewrite { due };
    assert_eq!(remembered(&stopped_at(Some(at(20))), 30), due(None));
    let deadline = Some((Due::Deadline, Some(record().start_by)));
    assert_eq!(remembered(&stopped_at(Some(at(20))), 5000), due(deadline), "and is started right after");
    assert_eq!(remembered(&stopped_at(Some(at(-30))), 30), Verdict::Remove(Settled::StoppedBySomebody));
}

#[test]
fn an_abort_gives_the_machine_back_a_minute_later() {
    let aborted = record().aborted(at(100));
    assert_eq!(aborted.to_string().parse(), Ok(aborted.clone()));
    let evidence = Evidence { images: Some(&[]), snapshots: Some(&[]), absence: None };
    let judged =
        |now| due_for(&judge(&aborted, Copy::Tag, Some(&stopped_at(Some(at(20)))), evidence, at(now)));
    assert_eq!(judged(159), None);
    assert_eq!(judged(160), Some(Due::NothingInSight));
    assert_eq!(aborted.aborted(at(500)), aborted, "an abort is never taken back");
}

#[test]
fn a_claim_owes_nothing_and_ends_with_its_capture() {
    let claim = Record { awaits: Awaits::Nothing, ..record() };
    let judged = |instance: &Instance, shots: &[Snapshot], now| {
        let evidence = Evidence { images: Some(&[]), snapshots: Some(shots), absence: None };
        judge(&claim, Copy::Tag, Some(instance), evidence, at(now))
    };
    assert_eq!(judged(&stopped_at(Some(at(20))), &[], 5), Verdict::Wait);
    assert_eq!(judged(&stopped_at(Some(at(20))), &barrier(), 40), Verdict::Remove(Settled::ClaimOver));
    assert_eq!(judged(&running(), &[], 840), Verdict::Remove(Settled::ClaimOver));
}

#[test]
fn a_snapshot_without_our_tags_counts_only_if_ec2_made_it_for_an_image_of_this_capture() {
    let ours = image(CAPTURE, ImageState::Pending);
    let stripped = Image { tags: [].into(), ..ours.clone() };
    let earlier = image(EARLIER_CAPTURE, ImageState::Available);
    let untagged = |description: &str, started: i64| Snapshot {
        tags: [].into(),
        description: description.into(),
        ..snapshot(1, CAPTURE, at(started), TAKEN)
    };
    let made_for = |image: &str| format!("Created by CreateImage(i-0123456789abcdef0) for {image}");
    let (id, tools) = (made_for(ours.id.as_str()), made_for("ami-0fffffffffffffff0"));
    for (what, shot, images, holds) in [
        ("ours", untagged(&id, 33), vec![ours.clone()], true),
        (
            "ours, with EC2's older wording",
            untagged(&format!("{id} from vol-1"), 33),
            vec![ours.clone()],
            true,
        ),
        ("ours, and the image lost its tags too", untagged(&id, 33), vec![stripped], true),
        ("of before the plan", untagged(&id, -1), vec![ours.clone()], false),
        ("of an earlier capture", untagged(&id, 33), vec![earlier], false),
        ("of a backup tool", untagged(&tools, 33), vec![ours.clone()], false),
        ("of an image that is not shown", untagged(&id, 33), vec![], false),
        ("of another machine", untagged("Created by CreateImage(i-1) for ami-1", 33), vec![ours], false),
    ] {
        assert_eq!(record().holds(&shot, &images, Volumes::Of(&running())), holds, "{what}");
    }
}

#[test]
fn what_cannot_be_told_says_what_ec2_said_and_what_it_did_not_say() {
    for (unclear, words) in [
        (Unclear::Reason(String::new()), "EC2 does not say why"),
        (Unclear::Reason("Server.Moved".into()), "the reason \"Server.Moved\", which is not known"),
        (Unclear::StartFailedBefore("Server.Full".into()), "a start failed (Server.Full)"),
    ] {
        let text = unclear.to_string();
        assert!(text.starts_with("is stopped") && text.contains(words), "{text}");
    }
}
