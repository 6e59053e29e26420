//! Wakes: from whoever sees a reason to look at an object, to the controllers that do. None is lost, however late they read.
use std::{
    future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures::{Stream, stream};
use saved_template_core::{key::Key, poll::Pending};
use tokio::sync::Notify;

/// Whatever becomes due within a millisecond kube begins in any order: so much apart, the more urgent goes first.
const APART: Duration = Duration::from_millis(2);

/// Those who listen, each with what it has not read yet.
#[derive(Default)]
pub(crate) struct Wakes(Mutex<Vec<Weak<Listener>>>);

struct Listener {
    kind: &'static str,
    /// None: every one.
    namespace: Option<String>,
    pending: Mutex<Pending>,
    added: Notify,
}

impl Listener {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn concerns(&self, key: &Key) -> bool {
        self.kind == key.kind && self.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
    }
}

impl Wakes {
    fn listeners(&self) -> MutexGuard<'_, Vec<Weak<Listener>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has these looked at, by how often each wants to be. Nobody listens while another replica leads.
    pub(crate) fn wake(&self, objects: &[(Key, Duration)]) {
        self.listeners().retain(|listener| {
            let Some(listener) = listener.upgrade() else { return false };
            let mut pending = listener.pending();
            for (key, urgency) in objects.iter().filter(|(key, _)| listener.concerns(key)) {
                pending.add(key.clone(), *urgency);
            }
            drop(pending);
            listener.added.notify_one();
            true
        });
    }

    /// The objects of a kind that are woken from now on, in one namespace or in all.
    pub(crate) fn listen(
        &self,
        kind: &'static str,
        namespace: Option<String>,
    ) -> impl Stream<Item = Key> + Send + use<> {
        let (pending, added) = (Mutex::default(), Notify::new());
        let listener = Arc::new(Listener { kind, namespace, pending, added });
        self.listeners().push(Arc::downgrade(&listener));
        stream::unfold((listener, None), async |(listener, mut last): (Arc<Listener>, Option<Duration>)| {
            loop {
                let next = listener.pending().urgency();
                match next {
                    None => {
                        listener.added.notified().await;
                        last = None;
                    }
                    Some(next) if last.is_some_and(|last| last < next) => {
                        let _elapsed = tokio::time::timeout(APART, future::pending::<()>()).await;
                        last = None;
                    }
                    Some(next) => {
                        let key = listener.pending().take()?;
                        return Some((key, (listener, Some(next))));
                    }
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use futures::StreamExt;
    use kube::runtime::scheduler::{ScheduleRequest, debounced_scheduler};
    use saved_template_api::names::SAVED_TEMPLATE;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_that_are_woken_before_anybody_reads_are_each_looked_at_and_the_urgent_first() {
        let wakes = Wakes::default();
        let mut woken = Box::pin(wakes.listen(SAVED_TEMPLATE, None));
        let mut others = Box::pin(wakes.listen(SAVED_TEMPLATE, Some("other".to_owned())));
        let urgency = |n: u32| if n % 100 == 99 { Duration::from_secs(2) } else { Duration::MAX };
        let key = |n: u32| Key::template("geo", format!("t{n}"));
        let all: Vec<_> = (0..10_000).map(|n| (key(n), urgency(n))).collect();
        // The last one is urgent too, but for one reason only.
        for some in [&all[..], &[(key(9_999), Duration::MAX)], &all[..50]] {
            wakes.wake(some);
        }
        wakes.wake(&[(Key { kind: "SavedTemplateClass", ..key(1) }, Duration::ZERO)]);
        let order = woken.by_ref().take(10_000).collect();
        let order: Vec<Key> = tokio::time::timeout(Duration::from_secs(1), order).await.expect("all of them");
        assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 10_000, "nobody twice, nobody lost");
        let urgent: BTreeSet<_> = (0..10_000).filter(|n| n % 100 == 99).map(key).collect();
        assert_eq!(order[..100].iter().cloned().collect::<BTreeSet<_>>(), urgent);
        for stream in [&mut woken, &mut others] {
            let next = tokio::time::timeout(Duration::from_secs(1), stream.next()).await;
            assert!(next.is_err(), "{next:?}");
        }
        wakes.wake(&[(key(1), Duration::MAX)]);
        assert_eq!(woken.next().await, Some(key(1)), "and again");
        drop((woken, others));
        wakes.wake(&all);
        assert!(wakes.listeners().is_empty());
    }

    #[expect(clippy::disallowed_methods, reason = "a test waits in virtual time")]
    #[tokio::test(start_paused = true)]
    async fn kube_begins_those_whose_machine_is_down_before_all_others() {
        let urgency = |n: u32| Duration::from_secs(if n % 100 == 50 { 2 } else { 15 });
        let key = |n: u32| Key::template("geo", format!("t{n}"));
        // Its queue keeps what is due at once in the one order or in the other, by how long it has run.
        for age in [0, 50, 3_970, 4_050, 9_000] {
            let wakes = Wakes::default();
            let woken = wakes.listen(SAVED_TEMPLATE, None);
            let due = woken.map(|message| ScheduleRequest { message, run_at: Instant::now() });
            let begun = debounced_scheduler(Box::pin(due), Duration::from_millis(100));
            let waking = async {
                tokio::time::sleep(Duration::from_millis(age)).await;
                wakes.wake(&(0..3_000).map(|n| (key(n), urgency(n))).collect::<Vec<_>>());
            };
            let (first, ()) = tokio::join!(begun.take(30).collect::<BTreeSet<Key>>(), waking);
            assert_eq!(first, (0..3_000).filter(|n| n % 100 == 50).map(key).collect(), "{age}");
        }
    }
}
