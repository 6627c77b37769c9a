//! How old the view of a replica may be at most: proved by a write each second, without the clocks of others.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Replica;
use super::background::Background;
use crate::error::StoreError;

/// The time between two proofs.
const BEAT: Duration = Duration::from_secs(1);

/// The moment as of which a view is known to be whole.
#[derive(Debug)]
pub(crate) struct Freshness {
    started: Instant,
    /// In milliseconds after `started`, and one more; 0: nothing was proved yet.
    as_of_ms: AtomicU64,
}

impl Freshness {
    pub(super) fn unproved() -> Self {
        Self { started: Instant::now(), as_of_ms: AtomicU64::new(0) }
    }

    /// Notes that the view has everything that was acknowledged before `moment`.
    fn prove(&self, moment: Instant) {
        let as_of_ms = moment.saturating_duration_since(self.started).as_millis() as u64 + 1;
        self.as_of_ms.fetch_max(as_of_ms, Ordering::Relaxed);
    }

    fn age(&self) -> Option<Duration> {
        let as_of_ms = self.as_of_ms.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.started.elapsed().saturating_sub(Duration::from_millis(as_of_ms)))
    }
}

impl Replica {
    /// The view has every write that was acknowledged longer ago than this, on any replica; `None` before the
    /// first proof. It costs one load of an atomic number and a look at the clock.
    pub fn staleness(&self) -> Option<Duration> {
        self.freshness.age()
    }

    /// Proves how fresh the view is: writes to the log's database, and then takes in all that was there.
    ///
    /// # Errors
    /// [`StoreError`] as for [`Replica::follow`]; then the last proof counts.
    pub fn prove_freshness(&self, id: Uuid) -> Result<(), StoreError> {
        let moment = Instant::now();
        let end = self.engine.beat(id, self.position().revision)?.end;
        if self.position() != end {
            self.follow()?;
        }
        // The feed, or this thread, has it now; else the log was taken back, and the feed will say so.
        if self.position().revision >= end.revision {
            self.freshness.prove(moment);
        }
        Ok(())
    }
}

/// Proves the freshness of a replica each second until it is dropped.
#[derive(Debug)]
pub struct Heartbeat {
    _thread: Background,
}

impl Heartbeat {
    /// Starts the thread. `id` tells the replicas of a log apart.
    ///
    /// # Errors
    /// The operating system's, when it does not start another thread.
    pub fn start(replica: Arc<Replica>, id: Uuid) -> io::Result<Self> {
        let run = move |stop: &AtomicBool| {
            while !stop.load(Ordering::Relaxed) {
                // Without a proof the staleness grows, which health and metrics show. The feed logs the reason.
                let _ = replica.prove_freshness(id);
                thread::park_timeout(BEAT);
            }
        };
        Ok(Self { _thread: Background::start("heartbeat", run)? })
    }
}
