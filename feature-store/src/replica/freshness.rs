//! How old the view of a replica may be at most: proved by a write each second, without the clocks of others.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Replica;
use crate::background::Background;
use crate::engine::Beat;
use crate::error::StoreError;

/// The time between two proofs, unless a call waits for one.
const BEAT: Duration = Duration::from_secs(1);

/// The least time between two proofs: callers may ask for one at any time.
const LEAST_PAUSE: Duration = Duration::from_millis(10);

/// The moment as of which a view is known to be whole.
#[derive(Debug)]
pub(crate) struct Freshness {
    started: Instant,
    /// In milliseconds after `started`, and one more; 0: nothing was proved yet.
    as_of_ms: AtomicU64,
    /// The moment before the last beat, and where the log ended then: proved once the log of a later beat has a
    /// position of the view that is not before that end.
    pending: Mutex<Option<(Instant, u64)>>,
    /// The moment of the last proof, for those who wait for one.
    proved: watch::Sender<Option<Instant>>,
    /// The thread that makes proofs.
    heartbeat: OnceLock<Thread>,
}

impl Freshness {
    pub(super) fn unproved() -> Self {
        Self {
            started: Instant::now(),
            as_of_ms: AtomicU64::new(0),
            pending: Mutex::default(),
            proved: watch::Sender::new(None),
            heartbeat: OnceLock::new(),
        }
    }

    /// Notes that the view has everything that was acknowledged before `moment`.
    fn prove(&self, moment: Instant) {
        let as_of_ms = moment.saturating_duration_since(self.started).as_millis() as u64 + 1;
        self.as_of_ms.fetch_max(as_of_ms, Ordering::Relaxed);
        // Two threads may prove at once. The later moment counts.
        self.proved.send_if_modified(|proved| {
            let before = proved.replace(moment.max(proved.unwrap_or(moment)));
            before != *proved
        });
    }

    /// Whether a call waits for a proof.
    fn is_awaited(&self) -> bool {
        self.proved.receiver_count() > 0
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

    /// Waits until the view has every write that was acknowledged before this call, on any replica. It is up to the
    /// caller to give up.
    pub async fn reach_latest(&self) {
        let called = Instant::now();
        let mut proved = self.freshness.proved.subscribe();
        let is_late_enough = |proved: &Option<Instant>| proved.is_some_and(|moment| moment >= called);
        loop {
            // One proof serves all who wait for it.
            if let Some(heartbeat) = self.freshness.heartbeat.get() {
                heartbeat.unpark();
            }
            if is_late_enough(&proved.borrow_and_update()) {
                return;
            }
            if proved.changed().await.is_err() {
                return;
            }
        }
    }

    /// Proves how fresh the view is: writes to the log's database, and then takes in all that was there. Returns the
    /// moment as of which the view is whole now, if that was proved.
    ///
    /// # Errors
    /// [`StoreError`] as for [`Replica::follow`]; then the last proof counts.
    pub fn prove_freshness(&self) -> Result<Option<Instant>, StoreError> {
        let (moment, position) = (Instant::now(), self.position());
        let Beat { head, has_position, newest_revocation } = self.engine.beat(self.id, position)?;
        self.newest_revocation
            .send_if_modified(|known| std::mem::replace(known, newest_revocation) != newest_revocation);
        // The value is replaced as a whole.
        let mut pending = self.freshness.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = pending.replace((moment, head.end.revision));
        drop(pending);
        let earlier = earlier.filter(|(_, end)| has_position && position.revision >= *end).map(|(moment, _)| moment);
        if let Some(earlier) = earlier {
            self.freshness.prove(earlier);
        }
        if position != head.end {
            self.follow()?;
        }
        let reached = self.position();
        if reached == head.end {
            self.freshness.prove(moment);
            return Ok(Some(moment));
        } else if reached.revision < head.end.revision {
            return Err(self.contradiction());
        }
        // Beyond that end, the next beat tells whether the log has that position.
        Ok(earlier)
    }
}

/// Proves the freshness of a replica each second until it is dropped.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    thread: Background,
}

impl Heartbeat {
    /// Asks the thread to end.
    pub(crate) fn stop(&self) {
        self.thread.stop();
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system's, when it does not start another thread.
    pub fn start(replica: Arc<Replica>) -> io::Result<Self> {
        let run = move |stop: &AtomicBool| {
            let _ = replica.freshness.heartbeat.set(thread::current());
            let mut problem = None;
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                let pause = match replica.prove_freshness() {
                    // A call waits for a proof, and this one is of an earlier beat.
                    Ok(moment) if moment.is_none_or(|moment| moment < began) && replica.freshness.is_awaited() => {
                        LEAST_PAUSE
                    }
                    Ok(_) => {
                        problem = None;
                        BEAT
                    }
                    // Without a proof the staleness grows, which health and metrics show.
                    Err(error) => {
                        let error = Some(error.to_string());
                        if problem != error {
                            tracing::warn!(error, "the view of this server cannot be proved new");
                        }
                        problem = error;
                        BEAT
                    }
                };
                thread::sleep(LEAST_PAUSE);
                thread::park_timeout(pause);
            }
        };
        Ok(Self { thread: Background::start("heartbeat", run)? })
    }
}
