//! Fault rules.

use ec2sim::{ACCOUNT, Effect, Fault, ImageState, Outcome, Request, SECOND, SnapshotState, When};

use crate::world::{AWAY, HOME, World, create, start, stop};

fn refuse(code: &str) -> Effect {
    Effect::Refuse { code: code.to_owned(), message: String::new(), status: None }
}

#[test]
fn a_refusal_has_its_codes_own_status_and_no_effect() {
    let mut world = World::new();
    let id = world.machine();
    for (code, status) in [
        ("RequestLimitExceeded", 503),
        ("UnauthorizedOperation", 403),
        ("InternalError", 500),
        ("Whatever", 400),
    ] {
        world.sim.clear_faults();
        world.sim.add_fault(Fault::new("StopInstances", refuse(code)));
        let reply = world.call(&stop(&id));
        assert_eq!((reply.status, reply.code.as_deref()), (status, Some(code)));
    }
    assert_eq!(world.state(&id), "running");
}

#[test]
fn the_nth_call_is_hit_and_only_as_often_as_was_said() {
    let mut world = World::new();
    let id = world.machine();
    world.sim.add_fault(Fault::new("Describe*", refuse("InternalError")).nth(2).times(2));
    let look = Request::new("DescribeInstances").with("InstanceId.1", &id);
    let codes: Vec<_> = (0..5).map(|_| world.call(&look).code.is_some()).collect();
    assert_eq!(codes, [false, true, true, false, false]);
    world.sim.clear_faults();
    world.sim.add_fault(Fault::new("DescribeInstances", refuse("InternalError")).nth(1));
    assert!(world.call(&look).code.is_some() && world.call(&look).code.is_none());
}

#[test]
fn a_rule_is_in_force_for_as_long_as_was_said() {
    let mut world = World::new();
    let look = Request::new("DescribeImages");
    world.accepted(&look);
    world.sim.add_fault(Fault::new("*", refuse("RequestExpired")).for_ms(60 * SECOND));
    for (wait, is_refused) in [(0, true), (59, true), (1, false)] {
        world.wait(wait);
        assert_eq!(world.code(&look) == "RequestExpired", is_refused);
    }
}

#[test]
fn a_server_error_may_hide_an_effect() {
    let mut world = World::new();
    let id = world.machine();
    let effect = Effect::ApplyAndRefuse { code: "InternalError".to_owned(), status: None };
    world.sim.add_fault(Fault::new("StopInstances", effect).nth(1));
    let reply = world.call(&stop(&id));
    assert_eq!((reply.status, reply.text("Code")), (500, Some("InternalError")));
    assert_eq!(world.state(&id), "stopping");
    let entry = &world.sim.log()[0];
    assert!(entry.is_effective() && entry.outcome == Outcome::Lost { code: None });
}

#[test]
fn a_call_that_is_swallowed_had_no_effect_and_a_sleeping_caller_had_its_effect() {
    let mut world = World::new();
    let id = world.machine();
    world.sim.add_fault(Fault::new("StopInstances", Effect::Swallow).nth(1));
    world.sim.add_fault(Fault::new("StopInstances", Effect::Freeze { pid: 4_711, ms: Some(70) }).nth(2));
    let reply = world.call(&stop(&id));
    assert!(reply.is_closed && reply.is_swallowed && world.state(&id) == "running");
    let reply = world.call(&stop(&id));
    assert_eq!((reply.status, reply.freeze), (200, Some((4_711, Some(70)))));
    assert_eq!(world.state(&id), "stopping");
}

#[test]
fn a_rule_picks_by_region_caller_and_parameter() {
    let mut world = World::new();
    let (one, two) = (world.machine(), world.machine());
    world.sim.add_fault(Fault::new("StopInstances", refuse("InternalError")).param("InstanceId.*", &one));
    assert_eq!(world.code(&stop(&one)), "InternalError");
    world.accepted(&stop(&two));
    world.sim.clear_faults();
    world.sim.add_fault(Fault::new("*", refuse("InternalError")).region(AWAY));
    world.accepted(&Request::new("DescribeImages"));
    assert_eq!(world.away(&Request::new("DescribeImages")).status, 500);
    world.sim.clear_faults();
    world.sim.add_fault(Fault::new("*", refuse("InternalError")).caller("replica-2"));
    world.accepted(&Request::new("DescribeImages").by("app/replica-1"));
    assert_eq!(world.code(&Request::new("DescribeImages").by("app/replica-2")), "InternalError");
}

#[test]
fn dry_runs_are_hit_only_by_rules_for_dry_runs() {
    let mut world = World::new();
    let id = world.machine();
    world.sim.add_fault(Fault::new("StopInstances", refuse("InternalError")).nth(1));
    assert_eq!(world.code(&stop(&id).with("DryRun", "true")), "DryRunOperation");
    assert_eq!(world.code(&stop(&id)), "InternalError");
    world.sim.add_fault(Fault::new("StopInstances", refuse("UnauthorizedOperation")).dry_runs());
    assert_eq!(world.code(&stop(&id).with("DryRun", "true")), "UnauthorizedOperation");
}

#[test]
fn a_dropped_call_has_no_effect_and_a_lost_answer_has_it() {
    let mut world = World::new();
    let id = world.stopped();
    world.sim.add_fault(Fault::new("CreateImage", Effect::Drop).nth(1));
    world.sim.add_fault(Fault::new("CreateImage", Effect::ApplyAndDrop).nth(2));
    let reply = world.call(&create(&id, "golden"));
    assert!(reply.is_closed && reply.body.is_empty() && reply.ids.is_empty());
    let reply = world.call(&create(&id, "golden"));
    assert!(reply.is_closed && reply.ids.len() == 1);
    assert_eq!(world.code(&create(&id, "golden")), "InvalidAMIName.Duplicate");
    let outcomes: Vec<_> = world.sim.log().iter().rev().take(3).map(|entry| entry.outcome.clone()).collect();
    assert_eq!(
        outcomes,
        [
            Outcome::Refused { code: "InvalidAMIName.Duplicate".to_owned() },
            Outcome::Lost { code: None },
            Outcome::Dropped
        ]
    );
}

#[test]
fn a_truncated_answer_is_half_an_answer_to_a_whole_effect() {
    let mut world = World::new();
    let id = world.stopped();
    world.sim.add_fault(Fault::new("CreateImage", Effect::ApplyAndTruncate).nth(1));
    let reply = world.call(&create(&id, "golden"));
    assert!(reply.status == 200 && !reply.body.contains("</CreateImageResponse>"));
    assert_eq!(world.code(&create(&id, "golden")), "InvalidAMIName.Duplicate");
}

#[test]
fn a_killed_caller_had_its_effect_or_not() {
    for (when, expected) in [(When::Before, "running"), (When::After, "stopping")] {
        let mut world = World::new();
        let id = world.machine();
        world.sim.add_fault(Fault::new("StopInstances", Effect::Kill { pid: 4_711, when }));
        let reply = world.call(&stop(&id));
        assert!(reply.is_closed && reply.kill == Some(4_711));
        assert_eq!(world.state(&id), expected);
    }
}

#[test]
fn a_delay_is_told_to_whoever_carries_the_call() {
    let mut world = World::new();
    world.sim.add_fault(Fault::new("*", Effect::Delay { ms: 300, when: When::Before }));
    world.sim.add_fault(Fault::new("*", Effect::Delay { ms: 20, when: When::After }));
    let request = Request::new("DescribeImages");
    let admission = world.sim.admit(world.now, ACCOUNT, HOME, &request);
    assert_eq!(admission.delay(), 300);
    assert_eq!(world.sim.carry_out(world.now, ACCOUNT, HOME, &request, &admission).delay, 20);
}

#[test]
fn a_machine_that_hangs_while_stopping_comes_down_by_force_only() {
    let mut world = World::new();
    let id = world.machine();
    world.sim.add_fault(Fault::new("StopInstances", Effect::StickStopping).nth(1));
    world.accepted(&stop(&id));
    world.wait(3_600);
    assert_eq!(world.state(&id), "stopping");
    assert_eq!(world.code(&start(&id)), "IncorrectInstanceState");
    world.accepted(&stop(&id));
    world.wait(3_600);
    assert_eq!(world.state(&id), "stopping");
    world.accepted(&stop(&id).with("Force", "true"));
    world.wait(40);
    assert_eq!(world.state(&id), "stopped");
}

#[test]
fn an_image_fails_when_and_why_the_rule_says() {
    let mut world = World::new();
    let id = world.stopped();
    let fail = |after_ms| Effect::FailImage {
        code: "Server.InternalError".to_owned(),
        message: "no luck".to_owned(),
        after_ms,
    };
    world.sim.add_fault(Fault::new("CreateImage", fail(Some(1_000))).nth(1));
    world.sim.add_fault(Fault::new("CreateImage", fail(None)).nth(2));
    let (early, late) = (world.image(&id, "early"), world.image(&id, "late"));
    world.wait(1);
    assert_eq!((world.image_state(&early), world.image_state(&late)), ("failed".into(), "pending".into()));
    world.wait(298);
    assert_eq!(world.image_state(&late), "pending");
    world.wait(1);
    let image = world.image_of(HOME, &late);
    assert_eq!(image.state, ImageState::Failed);
    assert_eq!(image.reason.unwrap().message, "Server.InternalError: no luck");
    assert_eq!(world.snapshots(HOME).len(), 2);
    assert_eq!(world.code(&create(&id, "late")), "InvalidAMIName.Duplicate");
}

#[test]
fn snapshots_that_never_appear_leave_the_image_pending() {
    let mut world = World::new();
    let id = world.stopped();
    world.sim.add_fault(Fault::new("CreateImage", Effect::NoSnapshots).nth(1));
    let image = world.image(&id, "golden");
    world.wait(24 * 3_600);
    assert!(world.snapshots(HOME).is_empty());
    assert_eq!(world.image_state(&image), "pending");
}

#[test]
fn one_snapshot_in_error_fails_the_image_and_the_other_completes() {
    let mut world = World::new();
    let id = world.stopped();
    let effect = Effect::FailSnapshots {
        device: Some("/dev/sdf".to_owned()),
        message: "no".to_owned(),
        after_ms: None,
    };
    world.sim.add_fault(Fault::new("CreateImage", effect).nth(1));
    let image = world.image(&id, "golden");
    world.wait(300);
    assert_eq!(world.image_state(&image), "failed");
    let reply = world.accepted(&Request::new("DescribeSnapshots"));
    let mut states = reply.texts("status");
    states.sort_unstable();
    assert_eq!((states, reply.text("statusMessage")), (vec!["completed", "error"], Some("no")));
}

#[test]
fn a_snapshot_in_error_is_so_as_long_after_it_appeared_as_the_rule_says() {
    let mut world = World::new();
    let id = world.stopped();
    let effect =
        Effect::FailSnapshots { device: None, message: "no".to_owned(), after_ms: Some(10 * SECOND) };
    world.sim.add_fault(Fault::new("CreateImage", effect));
    let image = world.image(&id, "golden");
    world.wait(14);
    assert!(world.snapshots(HOME).iter().all(|snapshot| snapshot.state == SnapshotState::Pending));
    world.wait(1);
    assert!(world.snapshots(HOME).iter().all(|snapshot| snapshot.state == SnapshotState::Error));
    assert_eq!(world.image_state(&image), "failed");
}

#[test]
fn every_fault_meets_the_calls_on_images_and_snapshots_too() {
    let mut world = World::new();
    let (_, image) = world.imaged();
    let snapshot = world.snapshots(HOME)[0].id.clone();
    let on_image = |action: &str| Request::new(action).with("ImageId", &image);
    let on_snapshot = |action: &str| Request::new(action).with("SnapshotId", &snapshot);
    let requests = [
        on_image("ModifyImageAttribute").with("LaunchPermission.Add.1.UserId", "210987654321"),
        on_image("DescribeImageAttribute").with("Attribute", "launchPermission"),
        on_image("DisableImage"),
        on_image("EnableImage"),
        on_image("EnableImageDeregistrationProtection"),
        on_image("DisableImageDeregistrationProtection"),
        on_snapshot("ModifySnapshotAttribute").with("CreateVolumePermission.Add.1.UserId", "210987654321"),
        on_snapshot("DescribeSnapshotAttribute").with("Attribute", "createVolumePermission"),
        on_snapshot("LockSnapshot").with("LockMode", "governance").with("LockDuration", "1"),
        on_snapshot("UnlockSnapshot"),
    ];
    for request in requests {
        let mut meet = |effect: Effect| {
            world.sim.clear_faults();
            world.sim.add_fault(Fault::new(&request.action, effect).nth(1));
            let mut trial = world.sim.clone();
            let reply = trial.call(world.now, ACCOUNT, HOME, &request);
            (reply, trial.place(ACCOUNT, HOME) == world.sim.place(ACCOUNT, HOME))
        };
        let is_read = request.action.starts_with("Describe");
        let (reply, is_same) = meet(refuse("InternalError"));
        assert!(reply.status == 500 && is_same, "{}", request.action);
        let (reply, is_same) = meet(Effect::Drop);
        assert!(reply.is_closed && is_same, "{}", request.action);
        let (reply, _) = meet(Effect::Delay { ms: 7, when: When::After });
        assert_eq!((reply.delay, &reply.code), (7, &None), "{}", request.action);
        for effect in [Effect::ApplyAndDrop, Effect::ApplyAndTruncate] {
            let (reply, is_same) = meet(effect);
            assert!(reply.is_closed || !reply.body.ends_with("Response>"), "{}", request.action);
            assert_eq!(is_same, is_read, "{}", request.action);
        }
        world.sim.clear_faults();
        world.accepted(&request);
    }
}

#[test]
fn a_rule_is_read_from_json() {
    let text = r#"{"operation":"CreateImage","region":"us-west-2","nth":2,
        "param":{"name":"Name","value":"gold"},"effect":{"kind":"failImage","code":"C","message":"m","afterMs":5}}"#;
    let effect = Effect::FailImage { code: "C".to_owned(), message: "m".to_owned(), after_ms: Some(5) };
    let expected = Fault::new("CreateImage", effect).region(AWAY).nth(2).param("Name", "gold");
    assert_eq!(serde_json::from_str::<Fault>(text).unwrap(), expected);
    let kill = r#"{"operation":"*","effect":{"kind":"kill","pid":7,"when":"after"}}"#;
    let expected = Fault::new("*", Effect::Kill { pid: 7, when: When::After });
    assert_eq!(serde_json::from_str::<Fault>(kill).unwrap(), expected);
}

#[test]
fn the_log_tells_who_called_what_and_what_came_of_it() {
    let mut world = World::new();
    let id = world.machine();
    world.accepted(&stop(&id).by("controller"));
    world.code(&start(&id));
    let log = world.sim.log();
    assert_eq!(log.iter().map(|entry| entry.ordinal).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(
        (log[0].agent.as_str(), &log[0].outcome, &log[0].ids),
        ("controller", &Outcome::Ok, &vec![id])
    );
    assert!(log[0].is_effective() && !log[1].is_effective());
    assert_eq!(log[1].outcome, Outcome::Refused { code: "IncorrectInstanceState".to_owned() });
    assert_eq!((log[0].account.as_str(), log[0].region.as_str(), log[0].at), (ACCOUNT, HOME, world.now));
}
