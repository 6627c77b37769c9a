//! A replica: one of several stores that share a log in an [`Engine`]. Each takes reads and writes.
//!
//! The log is the truth. A view, which is a store of its own, shows the records. Own events and those of other replicas
//! enter it in one place, [`Replica::apply`], in the order of the log and only with the right chain. No replica leads:
//! a batch that was decided while another replica wrote meets [`StoreError::Overtaken`], and is decided again.

mod base;
mod chains;
mod erasing;
mod events;
pub(crate) mod feed;
pub(crate) mod freshness;
pub(crate) mod housekeeping;
pub(crate) mod opening;
pub(crate) mod page;
mod writes;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use feature_core::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use crate::engine::{Beat, Engine, EngineError, Entry, Position};
use crate::error::StoreError;
use crate::event_log::erasures::PendingErasures;
use crate::event_log::parts::Parts;
use crate::store::FeatureStore;
use crate::store::batch::Batch;
use chains::RecentChains;
use freshness::Freshness;
use page::Page;

pub use chains::CHAIN_PREFIX;
pub(crate) use opening::STORE;

/// The most entries that are read at once. In tests so few that pages end within batches.
const PAGE: usize = if cfg!(test) { 5 } else { 1_000 };

/// The most entries of revoked tokens that are read at once.
const REVOCATIONS_PAGE: usize = 10_000;

/// A store on a shared log.
pub struct Replica {
    /// Tells the replicas of a log apart.
    id: Uuid,
    /// The id of the store in the log.
    store: Uuid,
    engine: Arc<dyn Engine>,
    view: Arc<dyn FeatureStore>,
    /// The last entry that the view shows. Its lock keeps entries in order, and is held while the view takes them.
    applied: Mutex<Position>,
    /// The same, for those who must not wait for the view.
    published: watch::Sender<Position>,
    recent: Mutex<Recent>,
    /// One thread reads the log at a time. Another one waits, and then mostly finds that nothing is left to read.
    following: Mutex<()>,
    freshness: Freshness,
    newest_revocation: watch::Sender<i64>,
    /// The indexes of the log.
    parts: Parts,
    /// What the log may still have, and no reader is to see.
    erasures: PendingErasures,
}

/// What the view has shown since the start. Its lock is held for moments only.
#[derive(Debug)]
struct Recent {
    /// The time of the last entry.
    newest_event: Option<Timestamp>,
    chains: RecentChains,
}

impl Replica {
    /// * `id`: tells the replicas of a log apart.
    /// * `store`: the id of the store in the log.
    /// * `view`: shows the records of the log up to `position`, and is changed by this replica alone.
    pub fn new(
        (id, store): (Uuid, Uuid),
        engine: Arc<dyn Engine>,
        view: Arc<dyn FeatureStore>,
        position: Position,
    ) -> Self {
        Self {
            id,
            store,
            engine,
            view,
            applied: Mutex::new(position),
            published: watch::Sender::new(position),
            recent: Mutex::new(Recent { newest_event: None, chains: RecentChains::after(position) }),
            following: Mutex::default(),
            freshness: Freshness::unproved(),
            newest_revocation: watch::Sender::default(),
            parts: Parts::new(crc32c::crc32c(store.as_bytes())),
            erasures: PendingErasures::default(),
        }
    }

    /// The last entry that all reads from now on include. It does not wait for one that is being applied.
    pub fn position(&self) -> Position {
        *self.published.borrow()
    }

    /// Waits until the view shows this revision. It is up to the caller to give up.
    pub async fn reach_revision(&self, revision: u64) {
        let mut positions = self.published.subscribe();
        // The replica has the sender, so it fails only with the end of the replica.
        let _ = positions.wait_for(|position| position.revision >= revision).await;
    }

    /// The number of the newest entry of a revoked token, as of the last beat.
    pub fn newest_revocation(&self) -> watch::Receiver<i64> {
        self.newest_revocation.subscribe()
    }

    /// The entries of all revoked tokens, the newest first, and the number of the newest. At most `limit` and a few
    /// more. Waits for the database.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`].
    pub fn revocations(&self, limit: usize) -> Result<(i64, Vec<String>), StoreError> {
        let (mut newest, mut before, mut entries) = (0, i64::MAX, Vec::new());
        while entries.len() <= limit {
            let page = self.engine.revocations(before, REVOCATIONS_PAGE)?;
            let Some((last, _)) = page.last() else { break };
            before = *last;
            newest = newest.max(page[0].0);
            entries.extend(page.into_iter().map(|(_, entry)| entry));
        }
        Ok((newest, entries))
    }

    /// Whether the history has a position with these first bytes of its chain; `None` when the view does not show the
    /// revision yet, or has shown it too long ago.
    pub fn has_position(&self, revision: u64, chain: &[u8; CHAIN_PREFIX]) -> Option<bool> {
        self.recent().chains.chain_of(revision).map(|known| known == *chain)
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
            let Page { entries, is_last } = Page::read(&*self.engine, applied.revision, PAGE)?;
            let next = match entries.first() {
                Some(first) if first.position == applied => &entries[1..],
                // The last applied entry was dropped, or nothing was applied yet.
                Some(first) if applied.is_followed_by(first) => &entries,
                _ => return self.explain_gap(applied),
            };
            if self.apply(applied, next)? && is_last {
                return Ok(());
            }
        }
    }

    /// Finds out why the log has neither the last applied entry nor the next one. Only a write proves that this is the
    /// log: a database that was replaced by another one still answers reads.
    fn explain_gap(&self, applied: Position) -> Result<(), StoreError> {
        if self.engine.head()?.end == applied {
            // All entries were dropped, or there never was one.
            return Ok(());
        }
        let Beat { head, has_position, .. } = self.engine.beat(self.id, applied)?;
        let (mine, kept_from, end) = (applied.revision, head.kept_from, head.end.revision);
        let reason = if head.store != self.store {
            format!("it holds the store {} now, and this replica shows {}", head.store, self.store)
        } else if self.position() != applied {
            // The committer has moved on.
            return Ok(());
        } else if kept_from > mine + 1 {
            format!("it keeps events from revision {kept_from} on, and this replica has read up to {mine}")
        } else if has_position || (kept_from == mine + 1 && end > mine && !self.is_other_history(applied, head.end)?) {
            // The log has grown since it was read, or reads and writes lead to two databases.
            if head.end != applied {
                self.engine.leave_reads();
            }
            return Ok(());
        } else {
            format!("it was taken back: it ends at revision {end}, and this replica has read another one up to {mine}")
        };
        Err(StoreError::CannotFollow { reason })
    }

    /// Whether the log up to `end`, which a write has proved, goes on from something else than `applied`, whose own
    /// entry was dropped.
    fn is_other_history(&self, applied: Position, end: Position) -> Result<bool, StoreError> {
        let (next, last) = (self.engine.read(applied.revision + 1, 1)?, self.engine.read(end.revision, 1)?);
        let is_proved = last.first().is_some_and(|last| last.position == end);
        let is_next = |next: &Entry| next.position.revision == applied.revision + 1;
        Ok(is_proved && next.first().is_some_and(|next| is_next(next) && !applied.is_followed_by(next)))
    }

    /// Reads show less of the log than a write has: they lead to another database, which is left.
    fn contradiction(&self) -> StoreError {
        self.engine.leave_reads();
        let reason = "its answers to reads and to writes contradict each other".to_owned();
        StoreError::Unreachable { reason }
    }

    /// Shows entries that were read as those after `base`; what the view shows already is skipped. Returns `false` when
    /// the view has something else in their place by now. Then nothing is shown, and the caller reads again.
    fn apply(&self, base: Position, entries: &[Entry]) -> Result<bool, StoreError> {
        let applied = self.applied();
        let mut end = *applied;
        let mut events = Vec::with_capacity(entries.len());
        for entry in entries.iter().filter(|entry| entry.position.revision > applied.revision) {
            if !end.is_followed_by(entry) {
                if *applied != base {
                    return Ok(false);
                }
                return Err(StoreError::LogBroken { revision: entry.position.revision });
            }
            events.push(entry.event()?);
            end = entry.position;
        }
        let Some(last) = events.last() else { return Ok(true) };
        let time = last.time;
        self.erasures.add(events.iter());
        self.view.append(&Batch::fold(&*self.view, events)?.with_chain(Some(end.chain)))?;
        self.moved(applied, entries, time);
        Ok(true)
    }

    /// The view shows these entries, the last of which was written at `time`.
    fn moved(&self, mut applied: MutexGuard<'_, Position>, entries: &[Entry], time: Timestamp) {
        let before = applied.revision;
        let mut recent = self.recent();
        for entry in entries.iter().filter(|entry| entry.position.revision > before) {
            recent.chains.push(entry.position);
            *applied = entry.position;
        }
        recent.newest_event = Some(time);
        drop(recent);
        self.published.send_replace(*applied);
    }

    fn applied(&self) -> MutexGuard<'_, Position> {
        // It changes last, in one step.
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        // No code panics between two changes that belong together.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<EngineError> for StoreError {
    fn from(error: EngineError) -> Self {
        Self::Unreachable { reason: error.reason }
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("applied", &self.position()).finish_non_exhaustive()
    }
}
