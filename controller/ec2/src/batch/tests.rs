use jiff::Timestamp;
use saved_template_core::world::InstanceState;

use super::*;

type Calls = Arc<Mutex<Vec<Vec<InstanceId>>>>;

fn id(n: usize) -> InstanceId {
    format!("i-{n:08x}").parse().unwrap()
}

fn now() -> Announced {
    Announced { at: Timestamp::UNIX_EPOCH, instant: std::time::Instant::now() }
}

/// A batcher whose EC2 refuses any call that names an instance of `bad`.
fn batcher(bad: &'static [usize], code: &'static str) -> (Batcher<(), InstanceState>, Calls) {
    let calls = Calls::default();
    let seen = Arc::clone(&calls);
    let batcher = Batcher::new("StopInstances", Window::DEFAULT, move |(), instances: Vec<InstanceId>, _| {
        seen.lock().unwrap().push(instances.clone());
        async move {
            if bad.iter().any(|bad| instances.contains(&id(*bad))) {
                return Err(Ec2Error::new("StopInstances", code, "no"));
            }
            Ok(instances.into_iter().map(|instance| (instance, InstanceState::Running)).collect())
        }
    });
    (batcher, calls)
}

async fn submit_all(
    batcher: &Batcher<(), InstanceState>,
    ids: impl IntoIterator<Item = usize>,
) -> Vec<Result<InstanceState, Ec2Error>> {
    let tasks: Vec<_> = ids
        .into_iter()
        .map(|n| {
            let batcher = batcher.clone();
            tokio::spawn(async move { batcher.submit((), id(n), now()).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

fn sizes(calls: &Calls) -> Vec<usize> {
    calls.lock().unwrap().iter().map(Vec::len).collect()
}

#[tokio::test(start_paused = true)]
async fn one_caller_waits_no_longer_than_the_idle_time() {
    let (batcher, calls) = batcher(&[], "");
    let start = Instant::now();
    assert_eq!(submit_all(&batcher, [1]).await, [Ok(InstanceState::Running)]);
    assert_eq!((start.elapsed(), sizes(&calls)), (Duration::from_millis(100), vec![1]));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_make_twenty_calls() {
    let (batcher, calls) = batcher(&[], "");
    let outcomes = submit_all(&batcher, 0..1000).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(sizes(&calls), [50; 20]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_callers_waits_one_second_at_most() {
    let (batcher, calls) = batcher(&[], "");
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for n in 0..20 {
        let batcher = batcher.clone();
        tasks.spawn(async move {
            tokio::time::sleep_until(start + Duration::from_millis(90) * n).await;
            batcher.submit((), id(n.try_into().unwrap()), now()).await
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome.unwrap().unwrap();
    }
    assert_eq!(sizes(&calls), [12, 8]);
}

#[tokio::test(start_paused = true)]
async fn the_same_instance_twice_is_named_once_and_both_are_answered() {
    let (batcher, calls) = batcher(&[], "");
    assert_eq!(submit_all(&batcher, [7, 7]).await.len(), 2);
    assert_eq!(sizes(&calls), [1]);
}

#[tokio::test(start_paused = true)]
async fn what_a_refused_batch_means_for_each_member() {
    // (code of a refusal due to instance 2, calls made, members refused)
    let table: [(&'static str, &[usize], usize); 6] = [
        ("InvalidInstanceID.NotFound", &[3, 1, 1, 1], 1),
        ("IncorrectInstanceState", &[3, 1, 1, 1], 1),
        ("InsufficientInstanceCapacity", &[3, 1, 1, 1], 1),
        ("UnauthorizedOperation", &[3, 1, 1, 1], 1),
        ("RequestLimitExceeded", &[3], 3),
        ("InternalError", &[3], 3),
    ];
    for (code, expected, refused) in table {
        let (batcher, calls) = batcher(&[2], code);
        let outcomes = submit_all(&batcher, [1, 2, 3]).await;
        assert_eq!(sizes(&calls), expected, "{code}");
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), refused, "{code}");
        assert_eq!(outcomes[1].as_ref().unwrap_err().code, code);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_came_too_late_is_not_split() {
    let calls = Calls::default();
    let seen = Arc::clone(&calls);
    let batcher = Batcher::new("StopInstances", Window::DEFAULT, move |(), instances, _| {
        seen.lock().unwrap().push(instances);
        async { Err(Ec2Error::late("StopInstances")) }
    });
    let outcomes = submit_all(&batcher, [1, 2]).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap_err().class == ErrorClass::Late));
    assert_eq!(sizes(&calls), [2]);
}

#[tokio::test(start_paused = true)]
async fn one_member_refused_alone_is_not_asked_again() {
    let (batcher, calls) = batcher(&[2], "IncorrectInstanceState");
    assert!(submit_all(&batcher, [2]).await[0].is_err());
    assert_eq!(sizes(&calls), [1]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_the_reply_does_not_name_is_unknown() {
    let batcher: Batcher<(), InstanceState> =
        Batcher::new("StopInstances", Window::DEFAULT, |(), _, _| async { Ok(BTreeMap::new()) });
    assert_eq!(submit_all(&batcher, [1]).await[0].as_ref().unwrap_err().class, ErrorClass::Unknown);
}

#[tokio::test(start_paused = true)]
async fn other_parameters_are_another_batch() {
    let calls = Calls::default();
    let seen = Arc::clone(&calls);
    let batcher =
        Batcher::new("CreateTags", Window::DEFAULT, move |_: &str, instances: Vec<InstanceId>, _| {
            seen.lock().unwrap().push(instances.clone());
            async move { Ok(instances.into_iter().map(|instance| (instance, ())).collect()) }
        });
    let (a, b) = tokio::join!(batcher.submit("a", id(1), now()), batcher.submit("b", id(2), now()));
    assert_eq!((a, b, sizes(&calls)), (Ok(()), Ok(()), vec![1, 1]));
}

#[tokio::test(start_paused = true)]
async fn the_fence_of_a_batch_is_the_oldest_by_either_clock() {
    let seen = Arc::new(Mutex::new(None));
    let fence = Arc::clone(&seen);
    let batcher =
        Batcher::new("StopInstances", Window::DEFAULT, move |(), ids: Vec<InstanceId>, announced| {
            *fence.lock().unwrap() = Some(announced);
            async move { Ok(ids.into_iter().map(|instance| (instance, ())).collect()) }
        });
    let new = now();
    let early = Announced {
        at: new.at + Duration::from_secs(5),
        instant: new.instant.checked_sub(Duration::from_secs(5)).unwrap(),
    };
    let (a, b) = tokio::join!(batcher.submit((), id(1), new), batcher.submit((), id(2), early));
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(*seen.lock().unwrap(), Some(Announced { at: new.at, instant: early.instant }));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_takes_only_its_own_instance_with_it() {
    let (batcher, calls) = batcher(&[], "");
    let gone = tokio::spawn({
        let batcher = batcher.clone();
        async move { batcher.submit((), id(1), now()).await }
    });
    tokio::task::yield_now().await;
    gone.abort();
    assert_eq!(submit_all(&batcher, [2]).await, [Ok(InstanceState::Running)]);
    assert_eq!(*calls.lock().unwrap(), [[id(2)]]);
}
