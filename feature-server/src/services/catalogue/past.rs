//! The definitions as they were at a revision: those of today, with what has changed since taken back.

use std::collections::BTreeSet;
use std::sync::Arc;

use feature_core::{InstanceId, Scope};
use feature_store::{EventLog, FeatureStore, Found, Order, StoreError, Term, record_at};

use super::{Catalogue, Catalogues, InForce, scope};
use crate::services::response_cache::Basis;

/// The most changes of definitions that a read of the past takes back.
const EXAMINED_MAX: usize = 20_000;

impl Catalogues {
    /// The features that were in force at a revision. This may wait for a disk.
    ///
    /// * `log`: the history of the store.
    ///
    /// # Errors
    /// As for [`Catalogues::in_force`], and those of the history.
    pub fn in_force_at(
        &self,
        log: &dyn EventLog,
        instance: Option<&InstanceId>,
        at: Option<u64>,
        basis: &mut Basis,
    ) -> Result<InForce, StoreError> {
        let mut in_force = self.in_force(instance, basis)?;
        let Some(revision) = at else { return Ok(in_force) };
        let owners = instance.map(Some).into_iter().chain([None]);
        for (catalogue, owner) in in_force.catalogues.iter_mut().zip(owners) {
            *catalogue = self.earlier(log, owner, Arc::clone(catalogue), revision)?;
        }
        Ok(in_force)
    }

    /// The features that an owner defined at a revision. This may wait for a disk.
    ///
    /// # Errors
    /// As for [`Catalogues::in_force_at`].
    pub fn of_at(
        &self,
        log: &dyn EventLog,
        owner: Option<&InstanceId>,
        at: Option<u64>,
        basis: &mut Basis,
    ) -> Result<Arc<Catalogue>, StoreError> {
        let newest = self.of(owner, basis)?;
        match at {
            None => Ok(newest),
            Some(revision) => self.earlier(log, owner, newest, revision),
        }
    }

    /// The catalogue of an owner with what has changed since a revision taken back.
    fn earlier(
        &self,
        log: &dyn EventLog,
        owner: Option<&InstanceId>,
        newest: Arc<Catalogue>,
        revision: u64,
    ) -> Result<Arc<Catalogue>, StoreError> {
        let (mut changed, mut examined, mut at) = (BTreeSet::new(), 0, Some(log.newest()));
        while let Some(from) = at.filter(|from| *from > revision) {
            let Found { revisions, next } = log.find(&[Term::definitions(owner)], from, Order::NewestFirst)?;
            let mut later: Vec<_> = revisions.into_iter().filter(|later| *later > revision).collect();
            later.reverse();
            examined += later.len();
            if examined > EXAMINED_MAX {
                return Err(StoreError::TooLongAgo { max: EXAMINED_MAX });
            }
            let mut left = &later[..];
            while !left.is_empty() {
                let events = log.events_at(left)?;
                let Some(last) = events.last().map(|event| event.revision) else { break };
                left = &left[left.partition_point(|revision| *revision <= last)..];
                let scopes = events.into_iter().map(|event| event.scope);
                changed.extend(scopes.filter_map(|scope| match scope {
                    Scope::Definition(of, key) if of.as_ref() == owner => Some(key),
                    _ => None,
                }));
            }
            at = next;
        }
        if changed.is_empty() {
            return Ok(newest);
        }
        let mut features = newest.features.clone();
        changed.iter().for_each(|key| drop(features.remove(key.key().as_str())));
        let mut catalogue = Catalogue { features };
        for key in changed {
            let scope = scope(owner, &key);
            let record = record_at(log, &scope, self.store.record(&scope)?, revision)?;
            self.put(&mut catalogue, owner, &key, &record);
        }
        Ok(Arc::new(catalogue))
    }
}
