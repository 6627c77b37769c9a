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
mod writes;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use feature_core::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use crate::engine::{Beat, Engine, EngineError, Entry, Position, RevocationMark, is_last_page};
use crate::error::StoreError;
use crate::store::FeatureStore;
use crate::store::batch::Batch;
use chains::{CHAIN_PREFIX, RecentChains};
use freshness::Freshness;

pub(crate) use opening::FOLDER;

/// The most entries that are read at once.
const PAGE: usize = 1_000;

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
    revocations: watch::Sender<RevocationMark>,
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
            revocations: watch::Sender::default(),
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

    /// Changes when the list of revoked tokens has changed.
    pub fn revocation_marks(&self) -> watch::Receiver<RevocationMark> {
        self.revocations.subscribe()
    }

    /// The entries of all revoked tokens. Waits for the database.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`].
    pub fn revocations(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.engine.revocations()?)
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
        let Beat { head, has_position, .. } = self.engine.beat(self.id, applied)?;
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

    fn applied(&self) -> MutexGuard<'_, Applied> {
        // It changes last, in one step.
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
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
