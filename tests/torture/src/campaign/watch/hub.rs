//! What the clients of one store share: where the server is, what they are to do, and all changes that they know.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::record::{Era, Event};

/// The most time until what must come about has come about.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The time between two looks at a condition.
pub const LOOK: Duration = Duration::from_millis(2);

/// The server that runs, or those of a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub addresses: Vec<String>,
    /// Each start of a server has another number.
    pub life: usize,
    /// The number of the history that the server has.
    pub era: usize,
}

/// What streams are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Each at its pace.
    Chaos,
    /// Read as fast as they can.
    Quiet,
    /// Come to an end.
    Over,
}

/// What all clients of a store know.
pub struct Hub {
    pub token: String,
    phase: watch::Sender<Phase>,
    eras: Mutex<Vec<Era>>,
    /// The changes that were acknowledged, and those that were seen.
    acknowledged: AtomicU64,
    known: AtomicU64,
    next_id: AtomicU64,
    /// Whether writers are to end.
    stopping: AtomicBool,
    /// How many changes may be acknowledged and not known: what is dropped must be known before.
    lead: u64,
}

/// How far a stream has come.
#[derive(Debug, Default)]
pub struct Reached(Mutex<(usize, u64)>);

impl Hub {
    /// For a new store. `lead`: how many changes may be acknowledged and not yet known.
    pub fn new(token: &str, lead: u64) -> Arc<Self> {
        Arc::new(Self {
            token: token.to_owned(),
            phase: watch::Sender::new(Phase::Chaos),
            eras: Mutex::new(vec![Era::default()]),
            acknowledged: AtomicU64::new(0),
            known: AtomicU64::new(0),
            next_id: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            lead,
        })
    }

    /// What streams are to do.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Says what streams are to do.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Takes note of a change.
    pub fn learn(&self, era: usize, event: Event) {
        let mut eras = self.eras();
        let events = &mut eras[era].events;
        // One that comes twice shows in the record of its stream.
        events.entry(event.revision).or_insert_with(|| {
            self.known.fetch_add(1, Ordering::Relaxed);
            event
        });
    }

    /// History is taken back to a revision. Returns the number of the new era.
    pub fn take_back(&self, base: u64) -> usize {
        let mut eras = self.eras();
        let last = eras.last().map(|era| era.events.clone()).unwrap_or_default();
        let events = last.into_iter().take_while(|(revision, _)| *revision <= base).collect();
        eras.push(Era { base, events });
        eras.len() - 1
    }

    /// All changes that are known.
    pub fn take_eras(&self) -> Vec<Era> {
        mem::take(&mut *self.eras())
    }

    fn eras(&self) -> MutexGuard<'_, Vec<Era>> {
        self.eras.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts acknowledged changes.
    pub fn acknowledge(&self, changes: u64) {
        self.acknowledged.fetch_add(changes, Ordering::Relaxed);
    }

    /// How many changes were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// A new id of a request.
    pub fn next_id(&self) -> String {
        format!("watch-{}", self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Lets writers go on, or end.
    pub fn set_stopping(&self, stopping: bool) {
        self.stopping.store(stopping, Ordering::Relaxed);
    }

    /// Waits until enough is known for the next write. Returns whether there is to be one.
    pub async fn may_write(&self) -> bool {
        let known = || self.known.load(Ordering::Relaxed) + self.lead;
        while !self.stopping.load(Ordering::Relaxed) {
            if self.acknowledged() <= known() {
                return true;
            }
            sleep(LOOK).await;
        }
        false
    }

    /// Waits until so many changes were acknowledged in all.
    pub async fn until_acknowledged(&self, changes: u64) -> Result<()> {
        let waited = until(|| self.acknowledged() >= changes).await;
        let known = self.known.load(Ordering::Relaxed);
        waited.with_context(|| format!("{} of {changes} changes, {known} known", self.acknowledged()))
    }
}

impl Reached {
    /// A stream has come to a revision of a server.
    pub fn set(&self, life: usize, revision: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (life, revision);
    }

    /// Whether it has come to a revision of this server.
    pub fn is_at(&self, life: usize, revision: u64) -> bool {
        let (at, reached) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at == life && reached >= revision
    }
}

/// Waits for a condition.
pub async fn until(mut condition: impl FnMut() -> bool) -> Result<()> {
    let wait = async {
        while !condition() {
            sleep(LOOK).await;
        }
    };
    ensure!(timeout(PATIENCE, wait).await.is_ok(), "it did not come about");
    Ok(())
}
