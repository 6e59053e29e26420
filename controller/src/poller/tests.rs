use ec2sim::{Config, Sim};
use futures::StreamExt;
use saved_template_api::names::SAVED_TEMPLATE;
use saved_template_core::restart::Signing;
use simcloud::{Caller, Clients, Endpoint};

use super::*;

#[expect(clippy::disallowed_methods, reason = "a test waits in virtual time")]
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_view_is_woken_by_the_first_sweep_that_has_it() {
    let endpoint = Endpoint::new(Sim::new(Config::default()), 0);
    let clients = Clients::new(&endpoint, Caller::default(), Signing::off("lab"));
    let wakes = Arc::new(Wakes::default());
    let mut woken = Box::pin(wakes.listen(SAVED_TEMPLATE, None));
    let (_, leading) = watch::channel(true);
    let cloud = clients.cloud(&"us-west-2".parse().unwrap());
    let poller = Arc::new(Poller::new(cloud, "lab", &[], Duration::from_mins(5), wakes, leading));
    let (reading, stop) = (Arc::clone(&poller), CancellationToken::new());
    let end = stop.clone();
    let running = tokio::spawn(async move { reading.run(&Progress::default(), &end).await });
    let patience = Duration::from_secs(20);
    let (key, other) = (Key::template("geo", "quake"), Key::template("geo", "tremor"));
    let named = Subscription { names: vec!["quake".into()], ..Subscription::default() };
    // The second time what it wants has been seen unchanged before.
    for _ in 0..2 {
        while !matches!(poller.read(&key, &named, patience), Reading::Later(_)) {
            tokio::time::sleep(Duration::from_secs(40)).await;
        }
        let next = tokio::time::timeout(Duration::from_mins(10), woken.next());
        assert_eq!(next.await.expect("it is woken"), Some(key.clone()));
        assert!(matches!(poller.read(&key, &named, patience), Reading::Found(Ok(_))));
        poller.served(&key);
    }
    // A region that does not answer is waited for once.
    stop.cancel();
    running.await.unwrap();
    let named = Subscription { names: vec!["tremor".into()], ..Subscription::default() };
    assert!(matches!(poller.read(&other, &named, patience), Reading::Later(left) if left == patience));
    tokio::time::sleep(patience).await;
    for _ in 0..2 {
        let Reading::Silent(silent) = poller.read(&other, &named, patience) else { panic!("it waits") };
        assert!(silent.message.contains("has not answered yet"));
    }
}
