//! All topics, and what queues them: a write queues those that depend on what it has touched.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use feature_auth::access::Caller;
use feature_store::{ReadError, Stripe, Touched};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::topic::{Key, OfAll, Resolved, Topic};
use super::wakers::Wakers;
use crate::error::Failure;
use crate::services::backend::Backend;
use crate::services::request::resource::Resource;
use crate::services::settings::FeatureFilter;

/// So many topics are resolved in one go on a reader thread.
const RESOLVED_AT_ONCE: usize = 64;

/// So many of these goes run at a time: other reads need threads, too.
const RUNNING_MAX: usize = 2;

/// The pause after a go for which there was no room.
const RETRY: Duration = Duration::from_millis(10);

/// Topics that have ended are forgotten when there are so many more than the last time.
const SWEEP_AFTER: usize = 1_024;

/// The topics of all streams.
pub struct Topics {
    backend: Arc<Backend>,
    wakers: Wakers,
    known: Mutex<Known>,
    of_all: Arc<OfAll>,
    queue: mpsc::UnboundedSender<Arc<Topic>>,
    queued: Mutex<Option<mpsc::UnboundedReceiver<Arc<Topic>>>>,
}

#[derive(Default)]
struct Known {
    open: HashMap<Key, Weak<Topic>>,
    /// The topics that depend on scopes, by their addresses.
    interested: HashMap<Stripe, HashMap<usize, Weak<Topic>>>,
    /// The number of topics that makes a sweep worth it.
    sweep_at: usize,
}

impl Topics {
    pub(super) fn new(backend: Arc<Backend>) -> Arc<Self> {
        let (queue, queued) = mpsc::unbounded_channel();
        Arc::new(Self {
            backend,
            wakers: Wakers::default(),
            known: Mutex::default(),
            of_all: Arc::default(),
            queue,
            queued: Mutex::new(Some(queued)),
        })
    }

    pub(super) fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    pub(super) fn wakers(&self) -> &Wakers {
        &self.wakers
    }

    /// The topic of a request. It is resolved soon if it is a new one.
    pub(super) fn open(&self, key: Key, scopes: Vec<(Caller, Resource)>, filter: FeatureFilter) -> Arc<Topic> {
        let mut known = self.known();
        let open = known.open.get(&key).and_then(Weak::upgrade);
        if let Some(topic) = open.filter(|topic| !topic.has_failed()) {
            return topic;
        }
        known.sweep(self.backend.store.touched());
        let topic = Arc::new(Topic::new(&key, scopes, filter, Arc::clone(&self.of_all)));
        known.open.insert(key, Arc::downgrade(&topic));
        drop(known);
        self.resolve_soon(&topic);
        topic
    }

    /// Queues a topic, unless it is queued already.
    pub(super) fn resolve_soon(&self, topic: &Arc<Topic>) {
        if topic.queue() {
            // Without a receiver the server has ended.
            let _ = self.queue.send(Arc::clone(topic));
        }
    }

    /// Keeps all topics current, until it is dropped. It runs once.
    ///
    /// # Panics
    /// When it is called twice.
    pub async fn run(self: Arc<Self>) {
        let queued = self.queued.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut queued = queued.expect("it runs once");
        let (mut waiting, mut running) = (Vec::new(), FuturesUnordered::new());
        loop {
            while running.len() < RUNNING_MAX && !waiting.is_empty() {
                let rest = waiting.split_off(RESOLVED_AT_ONCE.min(waiting.len()));
                running.push(self.resolve(std::mem::replace(&mut waiting, rest)));
            }
            tokio::select! {
                Some(()) = running.next(), if !running.is_empty() => {}
                Some(topic) = queued.recv() => waiting.push(topic),
                stripes = self.backend.store.touched().next() => stripes.into_iter().for_each(|stripe| self.touch(stripe)),
            }
        }
    }

    /// Resolves topics on a reader thread.
    async fn resolve(self: &Arc<Self>, topics: Vec<Arc<Topic>>) {
        loop {
            let (backend, of_reader) = (Arc::clone(&self.backend), topics.clone());
            let resolve = move |topic: &Topic| {
                let resolved = catch_unwind(AssertUnwindSafe(|| topic.resolve(&backend)));
                // The panic is in the log. sled panics on some damage.
                resolved.unwrap_or_else(|_| {
                    topic.fail(Failure::StoreUnavailable);
                    Resolved::Failed
                })
            };
            let read = self.backend.readers.read(move |_| of_reader.iter().map(|it| resolve(it)).collect::<Vec<_>>());
            match read.await {
                Ok(resolved) => {
                    topics.iter().zip(resolved).for_each(|(topic, resolved)| self.resolved(topic, resolved));
                    return;
                }
                Err(ReadError::QueueFull) => sleep(RETRY).await,
                Err(ReadError::Panicked) => {
                    topics.iter().for_each(|topic| topic.fail(Failure::StoreUnavailable));
                    return;
                }
            }
        }
    }

    /// Notes what a topic depends on.
    fn resolved(self: &Arc<Self>, topic: &Arc<Topic>, resolved: Resolved) {
        let (stripes, again) = match resolved {
            Resolved::Depends(stripes) => (stripes, false),
            Resolved::Again(stripes) => (stripes, true),
            Resolved::Failed => return,
        };
        let mut known = self.known();
        self.backend.store.touched().watch(stripes.iter().copied());
        for stripe in stripes {
            let interested = known.interested.entry(stripe).or_default();
            interested.insert(Arc::as_ptr(topic).addr(), Arc::downgrade(topic));
        }
        drop(known);
        // A write before the registration has queued nothing, so look once more.
        if again || topic.unchanged_up_to(&self.backend).is_none() {
            let (topics, topic) = (Arc::clone(self), Arc::downgrade(topic));
            // A write that is under way takes as long as the disk.
            tokio::spawn(async move {
                sleep(RETRY).await;
                topic.upgrade().iter().for_each(|topic| topics.resolve_soon(topic));
            });
        }
    }

    /// Queues the topics that depend on a stripe.
    fn touch(&self, stripe: Stripe) {
        let mut known = self.known();
        let Entry::Occupied(mut interested) = known.interested.entry(stripe) else { return };
        let topics: Vec<_> = interested.get().values().filter_map(Weak::upgrade).collect();
        if topics.is_empty() {
            interested.remove();
            self.backend.store.touched().unwatch(stripe);
        } else {
            interested.get_mut().retain(|_, topic| topic.strong_count() > 0);
        }
        drop(known);
        topics.iter().for_each(|topic| self.resolve_soon(topic));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // No code panics between two changes that belong together.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Forgets the topics that have no stream any more, from time to time.
    fn sweep(&mut self, touched: &Touched) {
        if self.open.len() < self.sweep_at {
            return;
        }
        self.open.retain(|_, topic| topic.strong_count() > 0);
        self.interested.retain(|stripe, topics| {
            topics.retain(|_, topic| topic.strong_count() > 0);
            if topics.is_empty() {
                touched.unwatch(*stripe);
            }
            !topics.is_empty()
        });
        self.sweep_at = 2 * self.open.len() + SWEEP_AFTER;
    }
}
