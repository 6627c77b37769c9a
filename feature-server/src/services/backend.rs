//! What the services of `feature.v1` share: the store behind them, and the ways to it.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use feature_api::decode::decode;
use feature_api::schema::{Method, Schema};
use feature_auth::Authenticator;
use feature_auth::access::NamedCaller;
use feature_core::{IdempotencyKey, Record, Scope, Write};
use feature_store::{CommitError, CommittedBatch, Committer, EventLog, FeatureStore, Readers, StoreError, Versioned};
use http::{Extensions, HeaderMap, HeaderValue};
use prost::Message;
use tokio::sync::Notify;
use tokio::time::sleep;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::call_context::CallContext;
use crate::config::settings::OwnFeatures;
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::catalogue::Catalogues;
use crate::services::consistency::Consistency;
use crate::services::response_cache::{Answers, Basis};

/// How often a call works with definitions that change meanwhile, before it gives up.
pub(super) const ATTEMPTS: u32 = 3;

/// How often records are read until they are of one moment, and the pause between two of these reads. A write to one
/// of the records takes as long as the disk.
const READS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(5);

/// What the services work with. All of it belongs to one store.
pub struct Backend {
    /// The methods and features that the descriptors declare.
    pub schema: Arc<Schema>,
    /// Where records are read.
    pub readers: Arc<Readers>,
    /// What writes.
    pub committer: Arc<Committer>,
    /// The records, with their versions.
    pub store: Arc<Versioned>,
    /// The history of the store.
    pub log: Arc<dyn EventLog>,
    /// Checks the credentials of calls that last; none in tests.
    pub authenticator: Option<Authenticator>,
    /// The cached answers.
    pub answers: Answers,
    /// The definitions.
    pub catalogues: Arc<Catalogues>,
    /// The view of a replica, in a fleet.
    pub consistency: Option<Arc<Consistency>>,
    /// The limits of own features.
    pub limits: OwnFeatures,
    /// Wakes the removal of values when a feature is deleted.
    pub deleted: Notify,
}

/// A call of a method of `feature.v1`.
#[derive(Clone, Copy)]
pub(super) struct Call<'c> {
    pub(super) method: &'c Method,
    pub(super) caller: &'c NamedCaller,
    pub(super) context: &'c CallContext,
    /// The encoded request.
    pub(super) message: &'c [u8],
}

impl Call<'_> {
    /// The method's name, such as `GetSettings`.
    pub(super) fn name(&self) -> &str {
        self.method.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether the method only reads.
    pub(super) fn is_read(&self) -> bool {
        ["Get", "BatchGet", "List", "Search", "Explain"].iter().any(|verb| self.name().starts_with(verb))
    }

    /// Decodes the request.
    ///
    /// # Errors
    /// Those of [`decode`].
    pub(super) fn request<M: Message + Default>(&self) -> Result<M, Failure> {
        Ok(decode(&self.method.request, self.message)?)
    }
}

/// The key of a request that the client may repeat: it stands for the request's id, its caller, its method, and the
/// names of all that it changes. So an id that is used for something else is another request.
///
/// # Errors
/// [`Failure::Request`] for an id that is not a UUID.
pub(super) fn idempotency_key(
    call: Call<'_>,
    request_id: &str,
    names: impl IntoIterator<Item = String>,
) -> Result<Option<IdempotencyKey>, Failure> {
    if request_id.is_empty() {
        return Ok(None);
    }
    let id = Uuid::try_parse(request_id).ok().filter(|_| request_id.len() == Hyphenated::LENGTH);
    let wrong = || Failure::field("request_id", "must be a UUID, such as 8f3a5c1e-0d5b-4c57-9a60-6f1f0a7b2c9d");
    let id = id.ok_or_else(wrong)?;
    let mut digest = Context::new(&SHA256);
    digest.update(id.as_bytes());
    let parts = [call.method.path.clone(), call.caller.subject().to_owned()];
    for part in parts.into_iter().chain(names) {
        digest.update(&part.len().to_be_bytes());
        digest.update(part.as_bytes());
    }
    let key = digest.finish().as_ref().first_chunk().copied();
    Ok(Some(IdempotencyKey(key.expect("SHA-256 has 32 bytes"))))
}

impl Backend {
    /// Waits until the view has what a read asks for. Returns the position that the answer names, in a fleet.
    ///
    /// # Errors
    /// Those of [`Consistency::must_wait`] and [`Consistency::reach`].
    pub(super) async fn before_read(
        &self,
        metadata: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Option<HeaderValue>, Failure> {
        let Some(consistency) = &self.consistency else { return Ok(None) };
        if consistency.must_wait(metadata)? {
            Box::pin(consistency.reach(metadata, extensions)).await?;
        }
        Ok(Some(consistency.revision()))
    }

    /// The position that the answer to a write names, in a fleet.
    pub(super) fn after_write(&self) -> Option<HeaderValue> {
        self.consistency.as_ref().map(|consistency| consistency.revision())
    }

    /// Waits until the view has this revision, in a fleet, or is proved to be newer than the call.
    pub(super) async fn reach(&self, revision: u64) {
        if let Some(consistency) = &self.consistency {
            consistency.reach_revision(revision).await;
        }
    }

    /// Reads on a reader thread. A write that is under way at the same time may be in one of the records and not in
    /// another one yet; [`Basis`] then keeps the answer out of the cache.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        context: &CallContext,
        read: impl FnOnce(&Self, &mut Basis) -> Result<T, Failure> + Send + 'static,
    ) -> Result<(T, Basis), Failure> {
        let (backend, context) = (Arc::clone(self), context.clone());
        let read = self.readers.read(move |_| {
            let mut basis = Basis::default();
            let outcome = context.in_span(|| read(&backend, &mut basis))?;
            Ok((outcome, basis))
        });
        read.await?
    }

    /// Reads on a reader thread, again and again until all that was read is of one moment.
    ///
    /// # Errors
    /// Those of `read`; [`OwnFeatureFailure::ChangedMeanwhile`] when the same records are written all the time.
    pub(super) async fn read_at_once<T: Send + 'static>(
        self: &Arc<Self>,
        context: &CallContext,
        read: impl Fn(&Self, &mut Basis) -> Result<T, Failure> + Clone + Send + 'static,
    ) -> Result<T, Failure> {
        for _ in 0..READS {
            let (outcome, basis) = self.read(context, read.clone()).await?;
            if basis.is_current(&self.store) {
                return Ok(outcome);
            }
            sleep(PAUSE).await;
        }
        Err(OwnFeatureFailure::ChangedMeanwhile.into())
    }

    /// Commits a batch of writes to different scopes.
    ///
    /// # Errors
    /// [`CommitError`].
    pub(super) async fn commit(
        &self,
        context: &CallContext,
        writes: Vec<Write>,
    ) -> Result<CommittedBatch, CommitError> {
        let _span = context.trace().map(|trace| trace.child("group commit"));
        self.committer.commit_batch(writes).await
    }

    /// The record of a scope.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub(super) fn record(&self, scope: &Scope, basis: &mut Basis) -> Result<Record, StoreError> {
        basis.add(self.store.version(scope));
        self.store.record(scope)
    }
}
