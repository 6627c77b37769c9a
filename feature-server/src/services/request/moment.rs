//! Moments in the history: the revision that a request names, and records as they were then.

use std::cell::OnceCell;

use feature_api::feature::v1::Moment;
use feature_api::feature::v1::moment::Moment as Named;
use feature_api::resource_name::{self, of_scope};
use feature_core::{FeatureChange, FeatureKey, Record, Scope, Timestamp};
use feature_store::{StoreError, changed_since, record_at, revision_at};

use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::Backend;
use crate::services::response_cache::Basis;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// The moment of a request, which is looked up once, after the right on it was checked.
pub(in crate::services) struct At<'m> {
    moment: Option<&'m Moment>,
    revision: OnceCell<Option<u64>>,
}

impl<'m> At<'m> {
    /// The moment that a request names; `None` for now.
    pub(in crate::services) fn new(moment: Option<&'m Moment>) -> Self {
        Self { moment, revision: OnceCell::new() }
    }

    /// Whether it is not now.
    pub(in crate::services) fn is_past(&self) -> bool {
        self.moment.is_some()
    }

    /// Its revision.
    ///
    /// # Errors
    /// Those of [`revision_of`].
    pub(in crate::services) fn revision(&self, backend: &Backend) -> Result<Option<u64>, Failure> {
        if let Some(revision) = self.revision.get() {
            return Ok(*revision);
        }
        let revision = revision_of(backend, self.moment)?;
        Ok(*self.revision.get_or_init(|| revision))
    }

    /// Checks that the history of that time was there until now: in a fleet, it may be dropped at any moment.
    ///
    /// # Errors
    /// [`OwnFeatureFailure::Compacted`].
    pub(in crate::services) fn check_kept(&self, backend: &Backend) -> Result<(), Failure> {
        match self.revision.get() {
            Some(Some(revision)) => check_revision(backend, *revision),
            _ => Ok(()),
        }
    }
}

/// The revision of a moment; `None` for now. A time is looked up once, so that all that is read is of one revision.
///
/// # Errors
/// [`Failure::Request`] for a malformed moment; [`OwnFeatureFailure::RevisionUnknown`] and
/// [`OwnFeatureFailure::Compacted`].
pub(in crate::services) fn revision_of(backend: &Backend, at: Option<&Moment>) -> Result<Option<u64>, Failure> {
    let Some(moment) = at else { return Ok(None) };
    match moment.moment {
        None => Err(Failure::field("at", "must have a revision or a time")),
        Some(Named::Revision(revision)) => check_revision(backend, revision).map(|()| Some(revision)),
        Some(Named::Time(time)) => {
            if !(0..1_000_000_000).contains(&time.nanos) {
                return Err(Failure::field("at.time", "must have nanos from 0 to 999,999,999"));
            }
            let nanos = i128::from(time.seconds) * NANOS_PER_SECOND + i128::from(time.nanos);
            let nanos = nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            Ok(Some(revision_at(&*backend.log, Timestamp::from_unix_nanos(nanos))?))
        }
    }
}

/// Checks that the history has a revision.
///
/// # Errors
/// [`OwnFeatureFailure::RevisionUnknown`] and [`OwnFeatureFailure::Compacted`].
pub(in crate::services) fn check_revision(backend: &Backend, revision: u64) -> Result<(), Failure> {
    let (newest, oldest) = (backend.log.newest(), backend.log.oldest()?);
    if revision > newest {
        return Err(OwnFeatureFailure::RevisionUnknown { revision, newest }.into());
    }
    if revision + 1 < oldest {
        return Err(OwnFeatureFailure::Compacted { oldest, newest }.into());
    }
    Ok(())
}

/// A change that is to be taken back. It must be one of a scope, and nothing may have changed the same since.
///
/// `counts`: which features or fields are to be taken back.
///
/// # Errors
/// [`Failure::Request`] for another change; [`OwnFeatureFailure::ChangeOverwritten`]; [`OwnFeatureFailure::Erased`];
/// and those of [`check_revision`].
pub(in crate::services) fn change_to_undo(
    backend: &Backend,
    name: &str,
    scope: &Scope,
    counts: impl Fn(&FeatureKey) -> bool,
) -> Result<Vec<FeatureChange>, Failure> {
    let wrong = |problem: String| Failure::field("undo", problem);
    let revision = resource_name::revision_of_change(name).map_err(|error| wrong(error.to_string()))?;
    check_revision(backend, revision)?;
    let log = &*backend.log;
    let event = log.events_at(&[revision])?.pop().filter(|event| event.scope == *scope);
    let mut changes = event.ok_or_else(|| wrong(format!("must be a change of {}", of_scope(scope))))?.changes;
    changes.retain(|change| counts(&change.key));
    if changes.iter().any(FeatureChange::is_blank) {
        return Err(OwnFeatureFailure::Erased { revision }.into());
    }
    let keys: Vec<_> = changes.iter().map(|change| &change.key).collect();
    match changed_since(log, scope, &keys, revision)? {
        None => Ok(changes),
        Some((key, newer)) => {
            let (field, change) = (key.to_string(), format!("changes/{newer}"));
            Err(OwnFeatureFailure::ChangeOverwritten { field, change }.into())
        }
    }
}

impl Backend {
    /// The record of a scope at a revision, or now.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read, or the history of that time is gone.
    pub(in crate::services) fn record_at(
        &self,
        scope: &Scope,
        at: Option<u64>,
        basis: &mut Basis,
    ) -> Result<Record, StoreError> {
        let newest = self.record(scope, basis)?;
        match at {
            None => Ok(newest),
            Some(revision) => record_at(&*self.log, scope, newest, revision),
        }
    }
}
