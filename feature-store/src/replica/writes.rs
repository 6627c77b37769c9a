//! A replica as a store: its batches are appended to the log first, and then shown in its view.

use feature_core::{Record, Scope};

use super::Replica;
use crate::engine::{Append, Entry, Outcome, Position};
use crate::error::StoreError;
use crate::store::batch::Batch;
use crate::store::selection::{Selected, Selection};
use crate::store::{FeatureStore, StoreStatus};

/// After so many misses in a row a replica waits for a turn to append alone. Until then trying again is cheaper.
const MISSES_BEFORE_TURN: u32 = 3;

/// How often an unknown outcome is looked into. Each attempt ends within the engine's deadline.
const ATTEMPTS: usize = 2;

impl Replica {
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

    /// Shows the batch of a group that was just added after `base`.
    fn apply_own(&self, base: Position, group: &[Entry], batch: &Batch) -> Result<(), StoreError> {
        let (Some(last), Some(newest)) = (group.last(), batch.events().last()) else { return Ok(()) };
        let last = last.position;
        let applied = self.applied();
        if *applied == base {
            self.erasures.add(batch.events());
            self.view.append(&batch.clone().with_chain(Some(last.chain)))?;
            self.moved(applied, group, newest.time);
            return Ok(());
        }
        drop(applied);
        // The feed was faster with a part of the group.
        self.apply(base, group)?;
        let shown = self.recent().chains.is_chain_of(last);
        if shown { Ok(()) } else { Err(StoreError::CannotFollow { reason: "it has another group".to_owned() }) }
    }
}

impl FeatureStore for Replica {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        self.view.record(scope)
    }

    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError> {
        self.view.select(selection, after, limit)
    }

    fn revision(&self) -> u64 {
        self.view.revision()
    }

    fn status(&self) -> StoreStatus {
        StoreStatus { newest_event: self.recent().newest_event, ..self.view.status() }
    }

    fn free_bytes(&self) -> Option<u64> {
        self.view.free_bytes()
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        // The view may show entries whose position is yet to be published. Waiting for the lock is waiting for that.
        let base = *self.applied();
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
        // The group is in the log, also when the view fails.
        self.apply_own(base, &group, batch).map_err(|error| StoreError::OutcomeUnknown { reason: error.to_string() })
    }

    fn catch_up(&self, misses: u32) -> Result<(), StoreError> {
        let locked = if misses >= MISSES_BEFORE_TURN { Some(self.engine.take_turn()?) } else { None };
        self.follow()?;
        match locked {
            // What was decided now could only be overtaken again.
            Some(end) if self.position().revision < end.revision => Err(self.contradiction()),
            _ => Ok(()),
        }
    }

    fn write_failure(&self) -> Option<StoreError> {
        self.view.write_failure()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.view.close()
    }
}
