//! Explains the value of a feature: what each level has to do with it. The evaluator is that of the reads, so an
//! explanation cannot differ from what a read answers.

use std::collections::BTreeMap;

use feature_api::feature::v1::{Change, Explanation, Level as LevelName, LevelExplanation, Outcome};
use feature_api::{resource_name, response};
use feature_auth::access::Caller;
use feature_core::{Event, FeatureKey, Level, LevelOutcome, Scope};
use feature_store::{EventLog, Found, Order, StoreError, Term};

use super::view::View;
use crate::error::Failure;
use crate::services::backend::Backend;
use crate::services::history;

/// A search for the last change of a feature asks the index so often, and reads so many events of each answer.
const SEARCHES_MAX: usize = 4;
const CANDIDATES_MAX: usize = 3;

impl View {
    /// The last change of a feature on each level, as far as the history is kept and not too long to search.
    ///
    /// # Errors
    /// Those of the store. A database of a fleet that does not answer is none: reads go on without it.
    fn last_changes(
        &self,
        key: &FeatureKey,
        at: Option<u64>,
        log: &dyn EventLog,
    ) -> Result<BTreeMap<Level, Event>, StoreError> {
        let mut changes = BTreeMap::new();
        for (scope, record) in self.levels.iter().filter(|(_, record)| record.sequence > 0) {
            let change = match record.revisions.get(key) {
                Some(revision) => log.events_at(&[*revision]).map(|mut events| events.pop()),
                None => last_change_of(scope, key, at.unwrap_or_else(|| log.newest()), log),
            };
            match change {
                Ok(change) => changes.extend(change.map(|change| (scope.level(), change))),
                Err(StoreError::Unreachable { .. }) => return Ok(changes),
                Err(error) => return Err(error),
            }
        }
        Ok(changes)
    }

    /// Explains the value of a feature.
    ///
    /// `at`: the revision of the view; `None` for now.
    ///
    /// # Errors
    /// As for [`View::feature`], and those of the store.
    pub(super) fn explain(
        &self,
        key: &str,
        at: Option<u64>,
        backend: &Backend,
        caller: &Caller,
    ) -> Result<Explanation, Failure> {
        let feature = self.feature(key)?;
        // Reads go on without the database of a fleet.
        let has_history = backend.consistency.as_ref().is_none_or(|consistency| consistency.takes_writes());
        let last_changes =
            if has_history { self.last_changes(&feature.key, at, &*backend.log)? } else { BTreeMap::new() };
        let mut levels = Vec::with_capacity(self.levels.len());
        let evaluated = self.evaluate(feature, true, |level, outcome| {
            let of_level = self.levels.iter().find(|(scope, _)| scope.level() == level);
            let (scope, record) = of_level.expect("only levels of the view are evaluated");
            let value = record.layer.get(feature.key.as_str());
            levels.push(LevelExplanation {
                level: LevelName::from(level).into(),
                settings: resource_name::of_settings(scope).unwrap_or_default(),
                value: value.map(|value| feature.answer(value)),
                outcome: outcome_name(outcome).into(),
                update_time: record.changed.map(response::timestamp),
                revision: record.revisions.get(&feature.key).copied().unwrap_or_default(),
                last_change: last_changes.get(&level).map(|event| {
                    let shows_all = caller.reads_history(scope, self.organization.as_ref());
                    last_change(event, &feature.key, shows_all, backend)
                }),
            });
        });
        let without_own = self.evaluate(feature, false, |_, _| {});
        Ok(Explanation {
            definition: Some(feature.message()),
            levels,
            result: evaluated.map(|evaluated| self.resolved(feature, &evaluated)),
            without_this_level: without_own.map(|evaluated| self.resolved(feature, &evaluated)),
        })
    }
}

/// Searches the last change of a feature in a scope up to a revision.
fn last_change_of(
    scope: &Scope,
    key: &FeatureKey,
    up_to: u64,
    log: &dyn EventLog,
) -> Result<Option<Event>, StoreError> {
    let terms = [Term::scope(scope), Term::feature(key.as_str())];
    let changes = |event: &Event| event.scope == *scope && event.changes.iter().any(|change| change.key == *key);
    let mut at = Some(up_to);
    for _ in 0..SEARCHES_MAX {
        let Some(from) = at else { break };
        let Found { revisions, next } = log.find(&terms, from, Order::NewestFirst)?;
        // An event that was found by chance is followed by another one.
        for revision in revisions.into_iter().take(CANDIDATES_MAX) {
            if let Some(event) = log.events_at(&[revision])?.pop().filter(changes) {
                return Ok(Some(event));
            }
        }
        at = next;
    }
    Ok(None)
}

/// What a change did to a feature.
///
/// `shows_all`: whether the caller may see who made it.
fn last_change(event: &Event, key: &FeatureKey, shows_all: bool, backend: &Backend) -> Change {
    let mut change = history::change(event, backend);
    change.changes.retain(|change| change.field == key.as_str());
    if !shows_all {
        (change.actor, change.request_id, change.comment, change.organization) = Default::default();
        (change.issuer, change.credential_kind) = Default::default();
    }
    change
}

fn outcome_name(outcome: LevelOutcome) -> Outcome {
    match outcome {
        LevelOutcome::Wins => Outcome::Wins,
        LevelOutcome::Shadowed => Outcome::Shadowed,
        LevelOutcome::Unset => Outcome::Unset,
        LevelOutcome::NotAllowed => Outcome::NotAllowed,
        LevelOutcome::InvalidIgnored => Outcome::InvalidIgnored,
    }
}
