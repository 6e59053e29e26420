use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use ec2sim::{Effect, Fault, When};
use saved_template_core::{cloud::Instances, ec2_error::ErrorClass, world::InstanceState};
use tokio::time::timeout;

use super::*;
use crate::{Mishap, Passage};

fn refuse(code: &str) -> Effect {
    Effect::Refuse { code: code.into(), message: String::new(), status: None }
}

/// A stop of a machine under a fault: what came of it, and how many calls it took.
async fn stop(effect: Effect) -> (Result<InstanceState, ErrorClass>, usize, bool) {
    let lab = Lab::new();
    lab.endpoint.sim().add_fault(Fault::new("StopInstances", effect));
    let result = lab.cloud.stop(&lab.id, false, fresh(&lab.cloud)).await.map_err(|refusal| refusal.class);
    let is_down = lab.instance().state != ec2sim::InstanceState::Running;
    (result, lab.count("StopInstances"), is_down)
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_sent_once_and_what_is_not_known_of_it_is_unknown() {
    let unknown = Err(ErrorClass::Unknown);
    for (effect, expected, is_done) in [
        (Effect::Drop, unknown, false),
        (Effect::ApplyAndDrop, unknown, true),
        (Effect::ApplyAndTruncate, unknown, true),
        (Effect::ApplyAndReset, unknown, true),
        (Effect::Swallow, unknown, false),
        (refuse("InternalError"), unknown, false),
        (Effect::ApplyAndRefuse { code: "GatewayTimeout".into(), status: Some(504) }, unknown, true),
        (refuse("RequestLimitExceeded"), Err(ErrorClass::Throttle), false),
        (refuse("SomethingNew"), Err(ErrorClass::Caller), false),
        (Effect::Omit { element: "instanceId".into() }, unknown, true),
        (Effect::Delay { ms: 19_000, when: When::After }, Ok(InstanceState::Running), true),
        (Effect::Delay { ms: 21_000, when: When::After }, unknown, true),
        (Effect::ApplyAndDrip { ms: 5_000 }, Ok(InstanceState::Running), true),
    ] {
        assert_eq!(stop(effect.clone()).await, (expected, 1, is_done), "{effect:?}");
    }
}

/// A tag under a fault that hits some calls.
async fn tag(fault: Fault) -> (Result<(), ErrorClass>, usize, Duration) {
    let (lab, start) = (Lab::new(), Instant::now());
    lab.endpoint.sim().add_fault(fault);
    let result = lab.cloud.tag(&lab.id, tags(&[("k", "v")]), fresh(&lab.cloud)).await;
    (result.map_err(|refusal| refusal.class), lab.count("CreateTags"), start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn what_may_be_repeated_is_tried_twice() {
    let half = Duration::from_millis(500);
    let of = |effect: Effect| Fault::new("CreateTags", effect);
    for (fault, result, calls, took) in [
        (of(Effect::ApplyAndDrop).times(1), Ok(()), 2, half),
        (of(Effect::ApplyAndDrop), Err(ErrorClass::Unknown), 2, half),
        (of(Effect::ApplyAndTruncate).times(1), Ok(()), 2, half),
        (of(refuse("RequestLimitExceeded")), Err(ErrorClass::Throttle), 2, half),
        (of(refuse("EC2ThrottledException")), Err(ErrorClass::Throttle), 2, half),
        (of(refuse("SomethingNew")), Err(ErrorClass::Caller), 1, Duration::ZERO),
        (of(Effect::Swallow).times(1), Err(ErrorClass::Unknown), 1, Duration::from_millis(20_500)),
    ] {
        let what = format!("{fault:?}");
        assert_eq!(tag(fault).await, (result, calls, took), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_lost_reply_proves_nothing_and_one_before_a_held_try_does() {
    let lab = Lab::new();
    let add = |fault: Fault| lab.endpoint.sim().add_fault(fault);
    add(Fault::new("CreateTags", Effect::ApplyAndDrop).times(1));
    add(Fault::new("CreateTags", refuse("SomethingNew")).nth(2));
    let refusal = lab.cloud.tag(&lab.id, tags(&[("k", "v")]), fresh(&lab.cloud)).await.unwrap_err();
    assert_eq!((refusal.class, refusal.code.as_str()), (ErrorClass::Unknown, "SomethingNew"));

    lab.endpoint.sim().clear_faults();
    add(Fault::new("CreateTags", refuse("RequestLimitExceeded")).times(1));
    let almost = Announced {
        instant: fresh(&lab.cloud).instant.checked_sub(Duration::from_millis(19_900)).unwrap(),
        ..fresh(&lab.cloud)
    };
    let refusal = lab.cloud.tag(&lab.id, tags(&[("k", "v")]), almost).await.unwrap_err();
    assert_eq!((refusal.class, lab.count("CreateTags")), (ErrorClass::Late, 3));
}

/// What a hook does to every StopInstances on one side.
fn hook(of_reply: bool, mishap: Mishap, seen: &Arc<AtomicUsize>) -> Hook {
    let seen = Arc::clone(seen);
    Arc::new(move |passage: &Passage<'_>| {
        seen.fetch_add(1, SeqCst);
        let is_meant = passage.request.action == "StopInstances" && passage.reply.is_some() == of_reply;
        is_meant.then_some(mishap)
    })
}

#[tokio::test(start_paused = true)]
async fn a_hook_kills_the_caller_breaks_the_connection_or_lets_time_pass() {
    let (minute, second) = (Duration::from_secs(60), Duration::from_secs(1));
    let (lost, taken) = (Some(Err(ErrorClass::Unknown)), Some(Ok(InstanceState::Running)));
    for (of_reply, mishap, expected, is_done) in [
        (false, Mishap::Kill, None, false),
        (true, Mishap::Kill, None, true),
        (false, Mishap::Drop, lost, false),
        (true, Mishap::Drop, lost, true),
        (false, Mishap::Delay(second), taken, true),
        (true, Mishap::Delay(second), taken, true),
        (false, Mishap::Delay(minute), Some(Err(ErrorClass::Late)), false),
        (true, Mishap::Delay(minute), lost, true),
    ] {
        let seen = Arc::default();
        let lab = Lab::hooked(Config::default(), Some(hook(of_reply, mishap, &seen)));
        let call = lab.cloud.stop(&lab.id, false, fresh(&lab.cloud));
        let result = timeout(Duration::from_secs(3600), call).await.ok();
        let result = result.map(|result| result.map_err(|refusal| refusal.class));
        let is_down = lab.instance().state != ec2sim::InstanceState::Running;
        assert_eq!((result, is_down), (expected, is_done), "{of_reply} {mishap:?}");
        assert!((1..=2).contains(&seen.load(SeqCst)));
    }
}

#[tokio::test(start_paused = true)]
async fn ec2s_clock_is_known_from_the_first_reply_on_in_each_region_and_goes_on() {
    let lab = Lab::new();
    assert_eq!(lab.cloud.now(), None);
    lab.pass(10).await;
    lab.endpoint.sim().add_fault(Fault::new("DescribeRegions", refuse("UnauthorizedOperation")).nth(1));
    assert_eq!(lab.cloud.regions().await.unwrap_err().class, ErrorClass::Denied);
    assert_eq!(lab.cloud.now(), Some(seconds(START + 10_000)));
    lab.pass(5).await;
    assert_eq!(lab.clients.cloud(&region(HOME)).now(), Some(seconds(START + 15_000)), "it is shared");
    assert_eq!(lab.clients.cloud(&region(AWAY)).now(), None);
    let date = Effect::Date { to: "Thu, 01 Jan 1970 00:00:00 GMT".into() };
    lab.endpoint.sim().add_fault(Fault::new("DescribeRegions", date));
    lab.cloud.regions().await.unwrap();
    assert_eq!(lab.cloud.now(), Some(seconds(START + 15_000)));
    assert_eq!(lab.endpoint.sim().now(), START + 15_000);
}

#[tokio::test(start_paused = true)]
async fn a_simulated_kill_leaves_the_caller_without_an_answer_for_ever() {
    let lab = Lab::new();
    let kill = Effect::Kill { pid: 1, when: When::After };
    lab.endpoint.sim().add_fault(Fault::new("DescribeInstances", kill));
    let call = lab.cloud.instances(Instances::One(lab.id.clone()));
    assert!(timeout(Duration::from_secs(3600), call).await.is_err());
}
