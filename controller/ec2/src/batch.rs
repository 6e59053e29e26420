//! Many small writes as few calls: those of one operation with equal parameters wait a moment for each other.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use saved_template_api::ids::InstanceId;
use saved_template_core::{
    cloud::Announced,
    ec2_error::{Ec2Error, ErrorClass},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::errors;

/// How long a batch waits for more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Closes when nobody came for so long.
    pub(crate) idle: Duration,
    /// Closes at the latest after so long.
    pub(crate) longest: Duration,
    /// Instances in one call.
    pub(crate) size: usize,
}

impl Window {
    pub(crate) const DEFAULT: Self =
        Self { idle: Duration::from_millis(100), longest: Duration::from_secs(1), size: 50 };
}

/// What a call answered for each of its instances.
pub(crate) type Answers<T> = Result<BTreeMap<InstanceId, T>, Ec2Error>;
type Reply<T> = Pin<Box<dyn Future<Output = Answers<T>> + Send>>;
type Call<K, T> = Box<dyn Fn(K, Vec<InstanceId>, Announced) -> Reply<T> + Send + Sync>;

/// The batcher of one operation: `K` are the parameters besides the instances, `T` is the answer for one instance.
pub(crate) struct Batcher<K, T>(Arc<Batches<K, T>>);

impl<K, T> Clone for Batcher<K, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Batches<K, T> {
    operation: &'static str,
    window: Window,
    call: Call<K, T>,
    open: Mutex<HashMap<K, mpsc::UnboundedSender<Waiter<T>>>>,
}

struct Waiter<T> {
    instance: InstanceId,
    announced: Announced,
    answer: oneshot::Sender<Result<T, Ec2Error>>,
}

impl<K, T> Batcher<K, T>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    T: Clone + Send + 'static,
{
    pub(crate) fn new<F>(
        operation: &'static str,
        window: Window,
        call: impl Fn(K, Vec<InstanceId>, Announced) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answers<T>> + Send + 'static,
    {
        let call: Call<K, T> =
            Box::new(move |key, instances, announced| Box::pin(call(key, instances, announced)));
        Self(Arc::new(Batches { operation, window, call, open: Mutex::default() }))
    }

    /// Joins the open batch of equal parameters, or opens one. A caller that goes away before the batch leaves is
    /// left out of it; afterwards the call goes on without it.
    pub(crate) async fn submit(
        &self,
        key: K,
        instance: InstanceId,
        announced: Announced,
    ) -> Result<T, Ec2Error> {
        let (answer, outcome) = oneshot::channel();
        Batches::join(&self.0, key, Waiter { instance, announced, answer });
        outcome.await.unwrap_or_else(|_| {
            Err(Ec2Error::new(self.0.operation, "", "the process went down before the answer came"))
        })
    }
}

impl<K, T> Batches<K, T>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    T: Clone + Send + 'static,
{
    fn join(this: &Arc<Self>, key: K, waiter: Waiter<T>) {
        let mut open = this.open.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = match open.get(&key) {
            Some(batch) => batch.send(waiter).err().map(|error| error.0),
            None => Some(waiter),
        };
        if let Some(waiter) = refused {
            let (batch, waiters) = mpsc::unbounded_channel();
            open.insert(key.clone(), batch);
            drop(open);
            tokio::spawn(Arc::clone(this).run(key, waiter, waiters));
        }
    }

    async fn run(self: Arc<Self>, key: K, first: Waiter<T>, mut waiters: mpsc::UnboundedReceiver<Waiter<T>>) {
        let opened = Instant::now();
        let mut batch = vec![first];
        while batch.len() < self.window.size {
            let left = self.window.longest.saturating_sub(opened.elapsed());
            match timeout(left.min(self.window.idle), waiters.recv()).await {
                Ok(Some(waiter)) => batch.push(waiter),
                Ok(None) | Err(_) => break,
            }
        }
        // Joining happens under this lock: after it nobody can join this batch.
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        while let Ok(waiter) = waiters.try_recv() {
            batch.push(waiter);
        }
        let mut rest = batch.into_iter().filter(|waiter| !waiter.answer.is_closed()).peekable();
        while rest.peek().is_some() {
            let refused = self.send(&key, rest.by_ref().take(self.window.size).collect()).await;
            self.send_alone(&key, refused).await;
        }
    }

    /// Makes the call and answers. Returns those that must be asked for alone: EC2 refuses all for the sake of one.
    async fn send(&self, key: &K, batch: Vec<Waiter<T>>) -> Vec<Waiter<T>> {
        let Some(announced) = oldest(&batch) else {
            return batch;
        };
        let instances: BTreeSet<InstanceId> = batch.iter().map(|waiter| waiter.instance.clone()).collect();
        let is_alone = instances.len() == 1;
        let answers = match (self.call)(key.clone(), instances.into_iter().collect(), announced).await {
            Err(refusal) if !is_alone && is_about_one(refusal.class) => return batch,
            answers => answers,
        };
        for waiter in batch {
            let answer = match &answers {
                Ok(answers) => answers
                    .get(&waiter.instance)
                    .cloned()
                    .ok_or_else(|| errors::incomplete(self.operation, waiter.instance.as_str())),
                Err(refusal) => Err(refusal.clone()),
            };
            // Nobody may be waiting any more.
            drop(waiter.answer.send(answer));
        }
        Vec::new()
    }

    /// Each instance once more, alone.
    async fn send_alone(self: &Arc<Self>, key: &K, batch: Vec<Waiter<T>>) {
        let mut single: BTreeMap<InstanceId, Vec<Waiter<T>>> = BTreeMap::new();
        for waiter in batch {
            single.entry(waiter.instance.clone()).or_default().push(waiter);
        }
        let mut calls = JoinSet::new();
        for waiters in single.into_values() {
            let (this, key) = (Arc::clone(self), key.clone());
            calls.spawn(async move { this.send(&key, waiters).await });
        }
        while calls.join_next().await.is_some() {}
    }
}

/// Whether a refusal of many may be due to one of them.
const fn is_about_one(class: ErrorClass) -> bool {
    match class {
        ErrorClass::Throttle | ErrorClass::Unknown | ErrorClass::Late => false,
        ErrorClass::Wait
        | ErrorClass::Capacity
        | ErrorClass::Denied
        | ErrorClass::NotFound
        | ErrorClass::NameTaken
        | ErrorClass::TokenUsed
        | ErrorClass::Caller => true,
    }
}

/// The fence of a batch is that of its oldest member, by either clock.
fn oldest<T>(batch: &[Waiter<T>]) -> Option<Announced> {
    batch
        .iter()
        .map(|waiter| waiter.announced)
        .reduce(|a, b| Announced { at: a.at.min(b.at), instant: a.instant.min(b.instant) })
}

#[cfg(test)]
mod tests;
