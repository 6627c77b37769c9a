//! A topic: the values that all streams with the same request of the same caller show. They are resolved once, and each
//! message is encoded once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use feature_api::feature::v1::watch_values_response::Event;
use feature_api::feature::v1::{ResolvedValue, ScopeValues, Values, WatchValuesResponse};
use feature_api::resource_name;
use feature_auth::access::{Caller, NamedCaller};
use feature_store::{FeatureStore, Stripe};
use prost::Message;
use tokio::sync::watch;

use super::resume_token::{ResumeToken, digest_of};
use super::{MESSAGE_BYTES, now, sign_of_life};
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::Backend;
use crate::services::request::resource::Resource;
use crate::services::response_cache::{Basis, Frame};
use crate::services::settings::View;

/// The most bytes of all values of a topic.
const TOPIC_MAX_BYTES: usize = 16 * 1024 * 1024;

/// How often values are resolved while they are written at the same time, before they are shown all the same.
const ATTEMPTS: usize = 3;

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
    features: Vec<String>,
    /// The digest of the request.
    request: u64,
    state: watch::Sender<Option<Result<Arc<State>, Failure>>>,
    /// Held while values are resolved, so that one state follows the other.
    basis: Mutex<Known>,
    /// Whether the topic waits to be resolved.
    is_queued: AtomicBool,
}

/// What the newest state is based on.
#[derive(Default)]
struct Known {
    basis: Basis,
    /// Nothing has changed up to this revision.
    revision: u64,
}

/// The values of a topic at a moment.
pub(super) struct State {
    /// Each state has one more than the one before.
    number: u64,
    revision: u64,
    pub(super) digest: u64,
    token: String,
    scopes: Vec<ScopeValues>,
    /// What differs from the state before.
    delta: Arc<[Frame]>,
    snapshot: OnceLock<Arc<[Frame]>>,
}

impl Topic {
    pub(super) fn new(key: &Key, scopes: Vec<(Caller, Resource)>, features: Vec<String>) -> Self {
        let request = digest_of(&[&key.request]);
        let (state, basis, is_queued) = (watch::Sender::new(None), Mutex::default(), AtomicBool::new(false));
        Self { scopes, features, request, state, basis, is_queued }
    }

    /// The newest state, whenever there is one.
    pub(super) fn states(&self) -> watch::Receiver<Option<Result<Arc<State>, Failure>>> {
        self.state.subscribe()
    }

    /// Marks it as queued. Returns whether it was not before.
    pub(super) fn queue(&self) -> bool {
        !self.is_queued.swap(true, Ordering::AcqRel)
    }

    /// Resolves the values, and shows them if they differ. Returns the stripes that they depend on. This may wait for a
    /// disk.
    pub(super) fn resolve(&self, backend: &Backend) -> Vec<Stripe> {
        // What changes from now on queues it again.
        self.is_queued.store(false, Ordering::Release);
        let mut known = self.known();
        let mut resolved = self.read(backend);
        for _ in 1..ATTEMPTS {
            if resolved.as_ref().is_ok_and(|(_, known)| known.basis.is_current(&backend.store)) {
                break;
            }
            resolved = self.read(backend);
        }
        match resolved {
            Ok((scopes, newer)) => {
                let stripes = newer.basis.stripes();
                self.show(scopes, newer.revision, backend);
                *known = newer;
                stripes
            }
            Err(failure) => {
                self.state.send_replace(Some(Err(failure)));
                Vec::new()
            }
        }
    }

    /// Whether the newest state is still that of the store. If so, nothing has changed up to the returned revision.
    pub(super) fn unchanged_up_to(&self, backend: &Backend) -> Option<u64> {
        let mut known = self.known();
        // Before the look: what is visible by now has moved the versions.
        let revision = backend.store.revision();
        if !known.basis.is_current(&backend.store) {
            return None;
        }
        known.revision = known.revision.max(revision);
        Some(known.revision)
    }

    /// A heartbeat of a stream that shows this state.
    pub(super) fn heartbeat(&self, state: &State, synced: bool, backend: &Backend) -> Frame {
        let revision = self.unchanged_up_to(backend).unwrap_or(state.revision);
        let token = ResumeToken::new(&*backend.log, revision, state.digest, self.request).to_text();
        frame(revision, token, Event::Heartbeat(sign_of_life(backend)), false, synced)
    }

    fn read(&self, backend: &Backend) -> Result<(Vec<ScopeValues>, Known), Failure> {
        let (mut basis, mut bytes) = (Basis::default(), 0);
        let before = backend.store.revision();
        let mut scopes = Vec::with_capacity(self.scopes.len());
        for (caller, resource) in &self.scopes {
            let view = View::read(backend, caller, resource, true, None, &mut basis)?;
            let scope = ScopeValues {
                settings: resource_name::of_scope(resource.scope()),
                values: view.values(&self.features),
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
        Ok((scopes, Known { basis, revision }))
    }

    fn show(&self, scopes: Vec<ScopeValues>, revision: u64, backend: &Backend) {
        let shown = match &*self.state.borrow() {
            Some(Ok(state)) => Some(Arc::clone(state)),
            _ => None,
        };
        if shown.as_ref().is_some_and(|shown| shown.scopes == scopes) {
            return;
        }
        let encoded: Vec<_> = scopes.iter().map(Message::encode_to_vec).collect();
        let digest = digest_of(&encoded.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let token = ResumeToken::new(&*backend.log, revision, digest, self.request).to_text();
        let number = shown.as_ref().map_or(0, |shown| shown.number + 1);
        let delta = Arc::from([]);
        let mut state = State { number, revision, digest, token, scopes, delta, snapshot: OnceLock::new() };
        if let Some(shown) = shown {
            state.delta = state.since(&shown);
        }
        self.state.send_replace(Some(Ok(Arc::new(state))));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // The value is always replaced as a whole.
        self.basis.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The messages that lead to this state.
    ///
    /// `shown`: the state that the client has.
    pub(super) fn messages(&self, shown: Option<&State>) -> Arc<[Frame]> {
        match shown {
            None => Arc::clone(self.snapshot.get_or_init(|| self.pieces(self.scopes.clone(), Event::Snapshot))),
            Some(shown) if shown.number + 1 == self.number => Arc::clone(&self.delta),
            // The client was too slow for the states between.
            Some(shown) => self.since(shown),
        }
    }

    /// Whether it is the same state as another one of the topic.
    pub(super) fn is(&self, other: &State) -> bool {
        self.number == other.number
    }

    /// What differs from another state.
    fn since(&self, other: &State) -> Arc<[Frame]> {
        let pairs = self.scopes.iter().zip(&other.scopes);
        let differences = pairs.filter(|(new, old)| new.values != old.values).map(|(new, old)| ScopeValues {
            settings: new.settings.clone(),
            values: differing(&new.values, &old.values),
            removed: old.values.keys().filter(|key| !new.values.contains_key(*key)).cloned().collect(),
        });
        self.pieces(differences.collect(), Event::Delta)
    }

    /// One message, or several when it is large.
    fn pieces(&self, scopes: Vec<ScopeValues>, event: fn(Values) -> Event) -> Arc<[Frame]> {
        let (mut pieces, mut piece, mut bytes) = (Vec::new(), Vec::new(), 0);
        for scope in scopes {
            bytes += scope.encoded_len();
            piece.push(scope);
            if bytes >= MESSAGE_BYTES {
                pieces.push(std::mem::take(&mut piece));
                bytes = 0;
            }
        }
        if !piece.is_empty() || pieces.is_empty() {
            pieces.push(piece);
        }
        let last = pieces.len() - 1;
        let frames = pieces.into_iter().enumerate().map(|(index, scopes)| {
            // A client that has a part of a state cannot continue from it.
            let token = if index == last { self.token.clone() } else { String::new() };
            frame(self.revision, token, event(Values { scopes }), index < last, index == last)
        });
        frames.collect()
    }
}

/// The values that another map does not have.
fn differing(
    new: &BTreeMap<String, ResolvedValue>,
    old: &BTreeMap<String, ResolvedValue>,
) -> BTreeMap<String, ResolvedValue> {
    let differs = |(key, value): &(&String, &ResolvedValue)| old.get(*key) != Some(value);
    new.iter().filter(differs).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// A message of a stream.
pub(super) fn frame(revision: u64, resume_token: String, event: Event, partial: bool, synced: bool) -> Frame {
    Frame::of(&WatchValuesResponse { revision, resume_token, time: now(), event: Some(event), partial, synced })
}
