//! A topic: the values that all streams with the same request of the same caller show. They are resolved once, and each
//! message is encoded once.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use feature_api::feature::v1::ScopeValues;
use feature_api::feature::v1::watch_values_response::Event;
use feature_api::resource_name;
use feature_auth::access::{Caller, NamedCaller};
use feature_store::{FeatureStore, Stripe};
use prost::Message;
use tokio::sync::Notify;

use super::resume_token::{ResumeToken, digest_of};
use super::sign_of_life;
use super::state::{State, frame};
use super::wakers::{Listeners, Wakers};
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::Backend;
use crate::services::request::moment::At;
use crate::services::request::resource::Resource;
use crate::services::response_cache::{Basis, Frame};
use crate::services::settings::{FeatureFilter, View};

/// The most bytes of all values of a topic.
const TOPIC_MAX_BYTES: usize = 16 * 1024 * 1024;

/// The most bytes of the values of all topics.
const TOPICS_MAX_BYTES: usize = 512 * 1024 * 1024;

/// How often values are resolved while they are written at the same time, before they are shown all the same.
const ATTEMPTS: usize = 3;

/// The time until the records of a scope are read again that are being written, and how often all scopes of a topic
/// wait so. Most writes take less than a millisecond.
const PAUSE: Duration = Duration::from_micros(50);
const PAUSES: usize = 200;

/// What tells topics apart. Equal callers with the same request have the same rights.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) caller: NamedCaller,
    /// The encoded request, without what concerns one stream only.
    pub(super) request: Bytes,
}

/// The values of a request.
pub(super) struct Topic {
    scopes: Vec<(Caller, Resource)>,
    filter: FeatureFilter,
    /// The digest of the request.
    request: u64,
    listeners: Listeners,
    /// Held while values are resolved, so that one state follows the other.
    resolving: Mutex<()>,
    /// Held for moments only.
    known: Mutex<Known>,
    /// Whether the topic waits to be resolved.
    is_queued: AtomicBool,
    of_all: Arc<OfAll>,
}

/// What all topics share.
#[derive(Default)]
pub(super) struct OfAll {
    /// The bytes of their values.
    bytes: AtomicUsize,
    /// The revision at which a topic has waited for a write in vain. While nothing else is written, none waits again: a
    /// disk that hangs must not hold up all readers.
    stuck_at: AtomicU64,
}

/// What the newest state is based on.
#[derive(Default)]
struct Known {
    /// The newest state, or why there is none any more.
    shown: Option<Result<Arc<State>, Failure>>,
    basis: Basis,
    /// Nothing has changed up to this revision.
    revision: u64,
    /// The number of the newest state; the first one has 1.
    number: u64,
    /// The bytes of its values.
    bytes: usize,
}

/// What a topic that was resolved needs.
pub(super) enum Resolved {
    /// To be resolved again when one of these is touched.
    Depends(Vec<Stripe>),
    /// The same, and once more soon: a write was under way.
    Again(Vec<Stripe>),
    /// Nothing: its streams end.
    Failed,
}

impl Topic {
    pub(super) fn new(key: &Key, scopes: Vec<(Caller, Resource)>, filter: FeatureFilter, of_all: Arc<OfAll>) -> Self {
        Self {
            scopes,
            filter,
            request: digest_of(&[&key.request]),
            listeners: Listeners::default(),
            resolving: Mutex::default(),
            known: Mutex::default(),
            is_queued: AtomicBool::new(false),
            of_all,
        }
    }

    /// Whether its streams have ended.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.known().shown, Some(Err(_)))
    }

    /// Ends its streams.
    pub(super) fn fail(&self, failure: Failure) {
        self.known().shown = Some(Err(failure));
        self.listeners.wake();
    }

    /// The newest state; `None` before the first one.
    pub(super) fn newest(&self) -> Option<Result<Arc<State>, Failure>> {
        self.known().shown.clone()
    }

    /// Notifies the streams of this thread when there is a new state.
    pub(super) fn changed(&self, wakers: &Wakers) -> Arc<Notify> {
        self.listeners.of_this_thread(wakers)
    }

    /// Marks it as queued. Returns whether it was not before.
    pub(super) fn queue(&self) -> bool {
        !self.is_queued.swap(true, Ordering::AcqRel)
    }

    /// Resolves the values, and shows them if they differ. This may wait for a disk.
    pub(super) fn resolve(&self, backend: &Backend) -> Resolved {
        // What changes from now on queues it again.
        self.is_queued.store(false, Ordering::Release);
        // The lock guards no data.
        let _resolving = self.resolving.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current = |basis: &Basis| basis.is_current(&backend.store);
        let mut read = self.read(backend);
        for _ in 1..ATTEMPTS {
            if read.as_ref().is_ok_and(|read| is_current(&read.basis)) {
                break;
            }
            read = self.read(backend);
        }
        let shown = read.and_then(|read| {
            let stripes = read.basis.stripes();
            let again = !is_current(&read.basis);
            self.show(read, backend)?;
            Ok(if again { Resolved::Again(stripes) } else { Resolved::Depends(stripes) })
        });
        shown.unwrap_or_else(|failure| {
            self.fail(failure);
            Resolved::Failed
        })
    }

    /// Whether the newest state is still that of the store. If so, nothing has changed up to the returned revision.
    pub(super) fn unchanged_up_to(&self, backend: &Backend) -> Option<u64> {
        self.unchanged(&self.known(), backend)
    }

    fn unchanged(&self, known: &Known, backend: &Backend) -> Option<u64> {
        // Before the look: what is visible by now has moved the versions.
        let revision = backend.store.revision();
        known.basis.is_current(&backend.store).then_some(known.revision.max(revision))
    }

    /// The revision up to which a state is that of the store, if it is the newest one and nothing has changed.
    pub(super) fn is_right_up_to(&self, state: &State, backend: &Backend) -> Option<u64> {
        let known = self.known();
        if known.number == state.number { self.unchanged(&known, backend) } else { None }
    }

    /// A heartbeat of a stream that shows this state, with its revision.
    ///
    /// `told`: the stream has said that it shows everything up to this revision.
    pub(super) fn heartbeat(&self, state: &State, synced: bool, told: u64, backend: &Backend) -> (Frame, u64) {
        let revision = self.is_right_up_to(state, backend).unwrap_or(state.revision).max(told);
        let token = self.token_of(state, revision, backend);
        (frame(revision, token, Event::Heartbeat(sign_of_life(backend)), false, synced), revision)
    }

    /// The token of a client that has this state, as of a revision up to which nothing has changed.
    pub(super) fn token_of(&self, state: &State, revision: u64, backend: &Backend) -> String {
        ResumeToken::new(&*backend.log, revision, state.digest, self.request).to_text()
    }

    fn read(&self, backend: &Backend) -> Result<Read, Failure> {
        let (mut basis, mut bytes) = (Basis::default(), 0);
        let before = backend.store.revision();
        let (mut scopes, mut pauses) = (Vec::with_capacity(self.scopes.len()), PAUSES);
        for (caller, resource) in &self.scopes {
            let view = self.view(backend, caller, resource, &mut basis, &mut pauses)?;
            let scope = ScopeValues {
                settings: resource_name::of_scope(resource.scope()),
                values: view.values(&self.filter),
                removed: Vec::new(),
            };
            bytes += scope.encoded_len();
            if bytes > TOPIC_MAX_BYTES {
                return Err(OwnFeatureFailure::AnswerTooLarge { max: TOPIC_MAX_BYTES }.into());
            }
            scopes.push(scope);
        }
        let after = backend.store.revision();
        let revision = if basis.is_current(&backend.store) { after } else { before };
        Ok(Read { scopes, basis, revision, bytes })
    }

    /// Reads the view of a resource, of one moment: else a value could be a mixture that never was. While its records
    /// are written, it waits for the write.
    ///
    /// `pauses`: how often it may wait yet.
    fn view(
        &self,
        backend: &Backend,
        caller: &Caller,
        resource: &Resource,
        basis: &mut Basis,
        pauses: &mut usize,
    ) -> Result<View, Failure> {
        loop {
            let mut own = Basis::default();
            let view = View::read(backend, caller, resource, true, &At::new(None), &mut own)?;
            let is_stuck = || self.of_all.stuck_at.load(Ordering::Relaxed) == backend.store.revision();
            if own.is_current(&backend.store) || *pauses == 0 || is_stuck() {
                basis.extend(own);
                return Ok(view);
            }
            *pauses -= 1;
            if *pauses == 0 {
                self.of_all.stuck_at.store(backend.store.revision(), Ordering::Relaxed);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Shows values, if they differ from those that are shown.
    ///
    /// # Errors
    /// [`Failure::TooManyWatches`] when the values of all topics take too much memory.
    fn show(&self, read: Read, backend: &Backend) -> Result<(), Failure> {
        let Read { scopes, basis, revision, bytes } = read;
        let mut known = self.known();
        let shown = known.shown.clone().and_then(Result::ok);
        (known.basis, known.revision) = (basis, revision);
        if shown.as_ref().is_some_and(|shown| shown.scopes == scopes) {
            return Ok(());
        }
        let before = std::mem::replace(&mut known.bytes, bytes);
        let all = self.of_all.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.of_all.bytes.fetch_sub(before, Ordering::Relaxed);
        if all > TOPICS_MAX_BYTES {
            return Err(Failure::TooManyWatches);
        }
        known.number += 1;
        let number = known.number;
        drop(known);
        let digest = State::digest_of(&scopes);
        let token = ResumeToken::new(&*backend.log, revision, digest, self.request).to_text();
        let state = State::new(number, revision, digest, token, scopes, shown.as_deref());
        self.known().shown = Some(Ok(Arc::new(state)));
        self.listeners.wake();
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // No code panics between two changes that belong together.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        self.of_all.bytes.fetch_sub(self.known().bytes, Ordering::Relaxed);
    }
}

/// Values that were read, and what they are based on.
struct Read {
    scopes: Vec<ScopeValues>,
    basis: Basis,
    revision: u64,
    bytes: usize,
}
