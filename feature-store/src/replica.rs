//! A replica: one of several stores that share a log in an [`Engine`]. Each takes reads and writes.
//!
//! The log is the truth. A view, which is a store of its own, shows the records. Own events and those of other replicas
//! enter it in one place, [`Replica::apply`], in the order of the log and only with the right chain. No replica leads:
//! a batch that was decided while another replica wrote meets [`StoreError::Overtaken`], and is decided again.

mod background;
mod base;
mod chains;
pub(crate) mod feed;
pub(crate) mod freshness;
pub(crate) mod housekeeping;
pub(crate) mod opening;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use feature_core::{Record, Scope, Timestamp};
use tokio::sync::watch;
use uuid::Uuid;

use crate::engine::{Append, Beat, Engine, EngineError, Entry, Outcome, Position, is_last_page};
use crate::error::StoreError;
use crate::store::batch::Batch;
use crate::store::{FeatureStore, StoreStatus};
use chains::{CHAIN_PREFIX, RecentChains};
use freshness::Freshness;

/// The most entries that are read at once.
const PAGE: usize = 1_000;

/// After so many misses in a row a replica waits for a turn to append alone. Until then trying again is cheaper.
const MISSES_BEFORE_TURN: u32 = 3;

/// How often an unknown outcome is looked into. Each attempt ends within the engine's deadline.
const ATTEMPTS: usize = 3;

/// A store on a shared log.
pub struct Replica {
    /// Tells the replicas of a log apart.
    id: Uuid,
    engine: Arc<dyn Engine>,
    view: Arc<dyn FeatureStore>,
    /// What the view shows. Its lock keeps entries in order.
    applied: Mutex<Applied>,
    /// The last entry that the view shows, for those who wait for one.
    published: watch::Sender<Position>,
    /// One thread reads the log at a time. Another one waits, and then mostly finds that nothing is left to read.
    following: Mutex<()>,
    freshness: Freshness,
}

/// What a view shows.
#[derive(Debug)]
struct Applied {
    /// The last entry.
    position: Position,
    /// Its time, if it was shown since the start.
    newest_event: Option<Timestamp>,
    recent: RecentChains,
}

impl Replica {
    /// * `id`: tells the replicas of a log apart.
    /// * `view`: shows the records of the log up to `position`, and is changed by this replica alone.
    pub fn new(id: Uuid, engine: Arc<dyn Engine>, view: Arc<dyn FeatureStore>, position: Position) -> Self {
        Self {
            id,
            engine,
            view,
            applied: Mutex::new(Applied { position, newest_event: None, recent: RecentChains::after(position) }),
            published: watch::Sender::new(position),
            following: Mutex::default(),
            freshness: Freshness::unproved(),
        }
    }

    /// The last entry that the view shows.
    pub fn position(&self) -> Position {
        self.applied().position
    }

    /// The last entry that all reads from now on include. It does not wait for an entry that is being applied.
    pub fn published(&self) -> Position {
        *self.published.borrow()
    }

    /// Waits until the view shows this revision. It is up to the caller to give up.
    pub async fn reach_revision(&self, revision: u64) {
        let mut positions = self.published.subscribe();
        // The replica has the sender, so it fails only with the end of the replica.
        let _ = positions.wait_for(|position| position.revision >= revision).await;
    }

    /// Whether the history has a position with these first bytes of its chain; `None` when the view does not show the
    /// revision yet, or has shown it too long ago.
    pub fn has_position(&self, revision: u64, chain: &[u8; CHAIN_PREFIX]) -> Option<bool> {
        self.applied().recent.chain_of(revision).map(|known| known == *chain)
    }

    /// Takes in the entries that the log has and the view does not.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]; [`StoreError::CannotFollow`] when the view has to be made anew;
    /// [`StoreError::NotUnderstood`]; and the errors of the view.
    pub fn follow(&self) -> Result<(), StoreError> {
        // The lock guards no data.
        let _following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let applied = self.position();
            // From the last applied entry on, to compare its chain.
            let page = self.engine.read(applied.revision, PAGE)?;
            let next = match page.first() {
                Some(first) if first.position == applied => &page[1..],
                // The last applied entry was dropped, or nothing was applied yet.
                Some(first) if applied.is_followed_by(first) => &page,
                _ => return self.explain_gap(applied),
            };
            if self.apply(applied, next)? && is_last_page(&page, PAGE) {
                return Ok(());
            }
        }
    }

    /// Finds out why the log has neither the last applied entry nor the next one. Only a write proves that this is the
    /// log: a database that was replaced by another one still answers reads.
    fn explain_gap(&self, applied: Position) -> Result<(), StoreError> {
        let Beat { head, has_position } = self.engine.beat(self.id, applied)?;
        let (mine, kept_from, end) = (applied.revision, head.kept_from, head.end.revision);
        let reason = if self.position() != applied {
            // The committer has moved on.
            return Ok(());
        } else if kept_from > mine + 1 {
            format!("it keeps events from revision {kept_from} on, and this replica has read up to {mine}")
        } else if has_position {
            // The log has grown since it was read, or reads and writes lead to two databases.
            if head.end != applied {
                self.engine.reconnect();
            }
            return Ok(());
        } else {
            format!("it was taken back: it ends at revision {end}, and this replica has read another one up to {mine}")
        };
        Err(StoreError::CannotFollow { reason })
    }

    /// Shows entries that were read as those after `base`; what the view shows already is skipped. Returns `false` when
    /// the view has something else in their place by now. Then nothing is shown, and the caller reads again.
    fn apply(&self, base: Position, entries: &[Entry]) -> Result<bool, StoreError> {
        let mut applied = self.applied();
        let mut end = applied.position;
        let mut events = Vec::with_capacity(entries.len());
        for entry in entries.iter().filter(|entry| entry.position.revision > applied.position.revision) {
            if !end.is_followed_by(entry) {
                if applied.position != base {
                    return Ok(false);
                }
                return Err(StoreError::LogBroken { revision: entry.position.revision });
            }
            events.push(entry.event()?);
            end = entry.position;
        }
        let Some(last) = events.last() else { return Ok(true) };
        let time = last.time;
        self.view.append(&Batch::fold(&*self.view, events)?.with_chain(Some(end.chain)))?;
        self.moved(&mut applied, entries, time);
        Ok(true)
    }

    /// Shows the batch of a group that was just added after `base`.
    fn apply_own(&self, base: Position, group: &[Entry], batch: &Batch) -> Result<(), StoreError> {
        let (Some(last), Some(newest)) = (group.last(), batch.events().last()) else { return Ok(()) };
        {
            let mut applied = self.applied();
            if applied.position == base {
                self.view.append(&batch.clone().with_chain(Some(last.position.chain)))?;
                self.moved(&mut applied, group, newest.time);
                return Ok(());
            }
        }
        // The feed was faster with a part of the group.
        if self.apply(base, group)? {
            return Ok(());
        }
        let reason = "the group is in the log, and this replica has read another one".to_owned();
        Err(StoreError::OutcomeUnknown { reason })
    }

    /// The view shows these entries, the last of which was written at `time`.
    fn moved(&self, applied: &mut Applied, entries: &[Entry], time: Timestamp) {
        let before = applied.position.revision;
        for entry in entries.iter().filter(|entry| entry.position.revision > before) {
            applied.recent.push(entry.position);
            applied.position = entry.position;
        }
        applied.newest_event = Some(time);
        self.published.send_replace(applied.position);
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

    fn applied(&self) -> MutexGuard<'_, Applied> {
        // It changes last, in one step.
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
        StoreStatus { newest_event: self.applied().newest_event, ..self.view.status() }
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
        let locked = if misses >= MISSES_BEFORE_TURN { Some(self.engine.take_turn()?) } else { None };
        self.follow()?;
        match locked {
            // What was decided now could only be overtaken again.
            Some(end) if self.position() != end => {
                self.engine.reconnect();
                Err(unreachable("its answers to reads and to writes contradict each other"))
            }
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

impl From<EngineError> for StoreError {
    fn from(error: EngineError) -> Self {
        Self::Unreachable { reason: error.reason }
    }
}

fn unreachable(reason: &str) -> StoreError {
    StoreError::Unreachable { reason: reason.to_owned() }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("applied", &self.position()).finish_non_exhaustive()
    }
}
