//! A replica: one of several stores that share a log in an [`Engine`]. Each takes reads and writes.
//!
//! The log is the truth. A view, which is a store of its own, shows the records. Own events and those of other replicas
//! enter it in one place, [`Replica::apply`], in the order of the log and only with the right chain. No replica leads:
//! a batch that was decided while another replica wrote meets [`StoreError::Overtaken`], and is decided again.

mod background;
mod base;
pub(crate) mod feed;
pub(crate) mod freshness;
pub(crate) mod opening;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use feature_core::{Record, Scope};

use crate::engine::{Append, Engine, EngineError, Entry, Head, Outcome, Position};
use crate::error::StoreError;
use crate::store::batch::Batch;
use crate::store::{FeatureStore, StoreStatus};
use freshness::Freshness;

/// The most entries that are read at once.
const PAGE: usize = 1_000;

/// After so many misses in a row a replica waits for a turn to append alone. Until then trying again is cheaper.
const MISSES_BEFORE_TURN: u32 = 3;

/// How often an unknown outcome is looked into. Each attempt ends within the engine's deadline.
const ATTEMPTS: usize = 3;

/// A store on a shared log.
pub struct Replica {
    engine: Arc<dyn Engine>,
    view: Arc<dyn FeatureStore>,
    /// The last entry that the view shows.
    applied: Mutex<Position>,
    freshness: Freshness,
}

impl Replica {
    /// * `view`: shows the records of the log up to `applied`, and is changed by this replica alone.
    pub fn new(engine: Arc<dyn Engine>, view: Arc<dyn FeatureStore>, applied: Position) -> Self {
        Self { engine, view, applied: Mutex::new(applied), freshness: Freshness::unproved() }
    }

    /// The last entry that the view shows.
    pub fn position(&self) -> Position {
        *self.applied()
    }

    /// Takes in the entries that the log has and the view does not.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]; [`StoreError::CannotFollow`] when the view has to be made anew;
    /// [`StoreError::NotUnderstood`]; and the errors of the view.
    pub fn follow(&self) -> Result<(), StoreError> {
        loop {
            let applied = self.position();
            // From the last applied entry on, to compare its chain.
            let page = self.engine.read(applied.revision, PAGE)?;
            let next = match page.first() {
                Some(first) if first.position == applied => &page[1..],
                // The last applied entry was dropped, or nothing was applied yet.
                Some(first) if applied.is_followed_by(first) => &page,
                first => return self.explain_gap(applied, first.map(|first| first.position)),
            };
            self.apply(next)?;
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Finds out why the log has neither the last applied entry nor the next one, but begins at `first` after it.
    fn explain_gap(&self, applied: Position, first: Option<Position>) -> Result<(), StoreError> {
        if self.engine.head()?.end == applied {
            return Ok(());
        }
        // Only a write proves that this is the log. A database that was replaced by another one still answers reads.
        self.engine.take_turn()?;
        let Head { end, kept_from, .. } = self.engine.head()?;
        match self.engine.append(end, &[])? {
            Append::Added => {}
            Append::Overtaken => return Err(unproven("the log grew meanwhile")),
            Append::Unknown { reason } => return Err(unproven(&reason)),
        }
        let mine = applied.revision;
        let reason = if self.position() != applied {
            // Another thread of this replica has moved on.
            return Ok(());
        } else if kept_from > mine + 1 {
            format!("it keeps events from revision {kept_from} on, and this replica has read up to {mine}")
        } else if (end.revision <= mine && end != applied) || first.is_some_and(|first| first.revision <= mine + 1) {
            let end = end.revision;
            format!("it was taken back: it ends at revision {end}, and this replica has read another one up to {mine}")
        } else {
            // The log has grown since it was read.
            return Ok(());
        };
        Err(StoreError::CannotFollow { reason })
    }

    /// Shows entries in the view. Those that it shows already are skipped.
    fn apply(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut applied = self.applied();
        let mut end = *applied;
        let mut events = Vec::with_capacity(entries.len());
        for entry in entries.iter().filter(|entry| entry.position.revision > applied.revision) {
            let revision = entry.position.revision;
            if !end.is_followed_by(entry) {
                let reason = format!("its revision {revision} does not continue what this replica has read");
                return Err(StoreError::CannotFollow { reason });
            }
            events.push(entry.event()?);
            end = entry.position;
        }
        if !events.is_empty() {
            self.view.append(&Batch::fold(&*self.view, events)?.with_chain(Some(end.chain)))?;
            *applied = end;
        }
        Ok(())
    }

    /// Shows the batch of a group that was just added after `base`.
    fn apply_own(&self, base: Position, group: &[Entry], batch: &Batch) -> Result<(), StoreError> {
        let Some(last) = group.last() else { return Ok(()) };
        {
            let mut applied = self.applied();
            if *applied == base {
                self.view.append(&batch.clone().with_chain(Some(last.position.chain)))?;
                *applied = last.position;
                return Ok(());
            }
        }
        // A feed was faster with a part of the group.
        self.apply(group)
    }

    /// Settles an append whose outcome is unknown.
    fn settle(&self, base: Position, group: &[Entry], mut reason: String) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            match self.engine.outcome(base, group) {
                Ok(Outcome::Added) => return Ok(()),
                Ok(Outcome::Overtaken) => return Err(StoreError::Overtaken),
                Ok(Outcome::Open) => match self.engine.append(base, group) {
                    Ok(Append::Added) => return Ok(()),
                    // By another replica, or by the first copy of the group.
                    Ok(Append::Overtaken) => {}
                    Ok(Append::Unknown { reason: newer }) => reason = newer,
                    Err(error) => reason = error.reason,
                },
                Err(error) => reason = error.reason,
            }
        }
        Err(StoreError::OutcomeUnknown { reason })
    }

    fn applied(&self) -> MutexGuard<'_, Position> {
        // The position changes last, in one step.
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FeatureStore for Replica {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        self.view.record(scope)
    }

    fn revision(&self) -> u64 {
        self.view.revision()
    }

    fn status(&self) -> StoreStatus {
        self.view.status()
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        let base = self.position();
        if batch.base() < base.revision {
            return Err(StoreError::Overtaken);
        }
        batch.check_follows(base.revision)?;
        let group = base.entries(batch.events());
        match self.engine.append(base, &group)? {
            Append::Added => {}
            Append::Overtaken => return Err(StoreError::Overtaken),
            Append::Unknown { reason } => self.settle(base, &group, reason)?,
        }
        self.apply_own(base, &group, batch)
    }

    fn catch_up(&self, misses: u32) -> Result<(), StoreError> {
        if misses >= MISSES_BEFORE_TURN {
            self.engine.take_turn()?;
        }
        self.follow()
    }

    fn write_failure(&self) -> Option<StoreError> {
        self.view.write_failure()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.view.close()
    }
}

impl From<EngineError> for StoreError {
    fn from(error: EngineError) -> Self {
        Self::Unreachable { reason: error.reason }
    }
}

fn unproven(reason: &str) -> StoreError {
    StoreError::Unreachable { reason: format!("it did not prove that its log is the newest: {reason}") }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("applied", &self.position()).finish_non_exhaustive()
    }
}
