//! Removes the values of deleted features when their time is over. What is removed is in the history.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use feature_api::definition as message;
use feature_core::{FeatureKey, Layer, Level, Operation, Patch, Placement, Record, Requirement, Scope, Value, Write};
use feature_store::{Selected, Selection, check_value};
use tokio::time::timeout;

use super::state::expire_time;
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::Backend;

/// The pause between two searches for expired features. A deletion on this server ends it early.
const INTERVAL: Duration = Duration::from_secs(60);

/// The most values of one batch, and their bytes, far below what a batch may have.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 1024 * 1024;

/// After so many failures the others wait for the next time, so that a store that refuses writes fills no log.
const FAILURES_MAX: usize = 5;

/// The actor of the removal in the history.
const ACTOR: &str = "feature-server";

/// A deleted feature whose time is over.
struct Expired {
    scope: Scope,
    record: Record,
}

/// Removes what expires, as long as the server runs.
pub async fn purge_expired(backend: Arc<Backend>) {
    loop {
        match expired(&backend).await {
            Ok(expired) => {
                let mut failures = 0;
                for feature in expired {
                    let scope = feature.scope.clone();
                    match feature.purge(&backend).await {
                        Ok(values) => tracing::info!(?scope, values, "the values of a deleted feature are removed"),
                        Err(Failure::OwnFeature(OwnFeatureFailure::ChangedMeanwhile)) => {
                            tracing::info!(?scope, "another server removes the values, or the deletion was taken back");
                        }
                        Err(error) => {
                            tracing::warn!(?scope, %error, "the values of a deleted feature stay for now");
                            failures += 1;
                            if failures == FAILURES_MAX {
                                break;
                            }
                        }
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "deleted features cannot be looked at for now"),
        }
        // Both outcomes lead to the next search.
        let _ = timeout(INTERVAL, backend.deleted.notified()).await;
    }
}

/// The deleted features whose time is over.
async fn expired(backend: &Arc<Backend>) -> Result<Vec<Expired>, Failure> {
    let (mut expired, mut after) = (Vec::new(), None);
    loop {
        let read = backend.readers.read(move |store| {
            let field = FeatureKey::from(message::EXPIRE_TIME);
            store.select(Selection::DefinitionsWith(&field), after.as_ref(), BATCH)
        });
        let Selected { records, next_after } = read.await??;
        let now = SystemTime::now();
        let is_over = |Record { layer, .. }: &Record| {
            // What another server has begun goes on, even if its clock was ahead.
            layer.get(message::REMOVING).is_some() || expire_time(layer).is_some_and(|time| time <= now)
        };
        let over = records.into_iter().filter(|(_, record)| is_over(record));
        expired.extend(over.map(|(scope, record)| Expired { scope, record }));
        if next_after.is_none() {
            return Ok(expired);
        }
        after = next_after;
    }
}

impl Expired {
    /// Unsets all values, and then says in the definition that it has no more. Returns how many there were. A server
    /// that is stopped meanwhile goes on later.
    async fn purge(mut self, backend: &Arc<Backend>) -> Result<usize, Failure> {
        let Some(Value::Text(key)) = self.record.layer.get("key") else { return Ok(0) };
        let feature = FeatureKey::from(key.as_str());
        let patch = Patch::exact(&Layer::default(), std::slice::from_ref(&feature));
        // From now on the deletion cannot be taken back, on any server.
        let removing: Layer = [(message::REMOVING.into(), Value::Flag(true))].into_iter().collect();
        let write = self.write(self.scope.clone(), Patch::exact(&removing, &[]));
        let begun = backend.committer.commit_batch(vec![write]).await?;
        self.record.sequence = begun.details.first().expect("every write has an outcome").sequence;
        let mut values = 0;
        for level in Level::ALL.into_iter().filter(|level| *level >= self.scope.level()) {
            let mut after = None;
            loop {
                let (owner, of_reader) = (self.scope.instance().cloned(), feature.clone());
                let read = backend.readers.read(move |store| {
                    let selection = Selection::Settings { level, instance: owner.as_ref(), feature: Some(&of_reader) };
                    store.select(selection, after.as_ref(), BATCH)
                });
                let Selected { records, mut next_after } = read.await??;
                let (mut writes, mut bytes) = (Vec::new(), 0);
                for (scope, record) in records {
                    let value = record.layer.get(feature.as_str());
                    bytes += value.map_or(Ok(0), |value| check_value(&feature, value))?;
                    if bytes > BATCH_BYTES
                        && let Some(Write { scope: last, .. }) = writes.last()
                    {
                        next_after = Some(Scope::clone(last));
                        break;
                    }
                    writes.push(self.write(scope, patch.clone()));
                }
                values += writes.len();
                if !writes.is_empty() {
                    backend.committer.commit_batch(writes).await?;
                }
                if next_after.is_none() {
                    break;
                }
                after = next_after;
            }
        }
        let layer = &self.record.layer;
        let last = if layer.get(message::ALLOW_REUSE) == Some(&Value::Flag(true)) {
            let fields = layer.iter().map(|(field, _)| field.clone()).chain([message::REMOVING.into()]);
            let fields: Vec<_> = fields.collect();
            Patch::exact(&Layer::default(), &fields)
        } else {
            Patch::exact(&Layer::default(), &[message::EXPIRE_TIME.into(), message::REMOVING.into()])
        };
        let write = self.write(self.scope.clone(), last);
        backend.committer.commit_batch(vec![write]).await?;
        Ok(values)
    }

    /// A write that happens only if the feature is still deleted.
    fn write(&self, scope: Scope, patch: Patch) -> Write {
        Write {
            scope,
            operation: Operation::Set(patch),
            expected_sequence: None,
            placement: Placement::Keep,
            validate_only: false,
            actor: ACTOR.to_owned(),
            credential: None,
            request_id: String::new(),
            idempotency_key: None,
            comment: format!("the feature was deleted, and its time is over: {}", self.scope.id().unwrap_or_default()),
            requires: vec![Requirement::Unchanged { scope: self.scope.clone(), sequence: self.record.sequence }],
        }
    }
}
