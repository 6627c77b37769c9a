//! Housekeeping: a thread that brings the base of the log forward and drops events that are older than the operator
//! keeps. All replicas do it, none leads; of two that do a step at once, one succeeds.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use super::Replica;
use crate::background::Background;
use crate::error::StoreError;

/// The time between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// The housekeeping of a log, until it is dropped.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    thread: Background,
}

impl Housekeeping {
    /// Asks the thread to end.
    pub(crate) fn stop(&self) {
        self.thread.stop();
    }

    /// Starts the thread. `keep`: events that are older, and in the base, are dropped; without it all stay.
    ///
    /// # Errors
    /// The operating system's, when it does not start another thread.
    pub fn start(replica: Arc<Replica>, keep: Option<Duration>) -> io::Result<Self> {
        let run = move |stop: &AtomicBool| {
            let (mut folded, mut problem) = (0, None);
            while !stop.load(Ordering::Relaxed) {
                match step(&replica, folded, keep, stop) {
                    Ok(revision) => (folded, problem) = (revision, None),
                    // The base gets older, and nothing else. The feed logs that the database does not answer.
                    Err(StoreError::Unreachable { .. }) => {}
                    Err(error) => {
                        let error = Some(error.to_string());
                        if problem != error {
                            tracing::error!(error, "the base of the log stays as it is");
                        }
                        problem = error;
                    }
                }
                thread::park_timeout(PAUSE);
            }
        };
        Ok(Self { thread: Background::start("housekeeping", run)? })
    }
}

/// Does what there is to do, unless the base has moved since it had `seen`: then another replica does it. Returns the
/// revision of the base.
fn step(replica: &Replica, seen: u64, keep: Option<Duration>, stop: &AtomicBool) -> Result<u64, StoreError> {
    let folded = replica.base_revision()?;
    replica.erasures.done(folded);
    if folded != seen {
        return Ok(folded);
    }
    while replica.bring_base_forward()? && !stop.load(Ordering::Relaxed) {}
    if let Some(before) = keep.and_then(|keep| SystemTime::now().checked_sub(keep)) {
        while replica.drop_old_entries(before.into())? && !stop.load(Ordering::Relaxed) {}
    }
    replica.base_revision()
}
