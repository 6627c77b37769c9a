//! The feed: a thread that takes in what other replicas write.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Replica;
use crate::background::Background;
use crate::error::StoreError;

/// The longest time between two looks at the log. Hints come sooner, where they come.
const POLL: Duration = Duration::from_millis(250);

/// Keeps a replica's view at the end of the log until it is dropped.
#[derive(Debug)]
pub(crate) struct Feed {
    thread: Background,
}

impl Feed {
    /// Asks the thread to end.
    pub(crate) fn stop(&self) {
        self.thread.stop();
    }

    /// Starts the thread. `failed` is called on it when the replica cannot go on and its view has to be made anew.
    ///
    /// # Errors
    /// The operating system's, when it does not start another thread.
    pub fn start(replica: Arc<Replica>, failed: impl FnOnce(StoreError) + Send + 'static) -> io::Result<Self> {
        let run = move |stop: &AtomicBool| {
            if let Err(error) = follow(&replica, stop) {
                failed(error);
            }
        };
        Ok(Self { thread: Background::start("feed", run)? })
    }
}

/// Follows the log until `stop`, or until that fails for good.
fn follow(replica: &Replica, stop: &AtomicBool) -> Result<(), StoreError> {
    let mut is_reachable = true;
    while !stop.load(Ordering::Relaxed) {
        match replica.follow() {
            Ok(()) if !is_reachable => {
                is_reachable = true;
                tracing::info!("the database answers again");
            }
            Ok(()) => {}
            Err(error @ StoreError::Unreachable { .. }) => {
                if std::mem::replace(&mut is_reachable, false) {
                    tracing::warn!(%error, "reads go on, and do not show what other replicas write until it answers");
                }
            }
            Err(error) => return Err(error),
        }
        wait_for_news(replica, stop);
    }
    Ok(())
}

/// Waits until the log may have what the view does not show, or for [`POLL`]. The replica's own writes are no news.
fn wait_for_news(replica: &Replica, stop: &AtomicBool) {
    let end = Instant::now() + POLL;
    while !stop.load(Ordering::Relaxed) {
        let left = end.saturating_duration_since(Instant::now());
        match replica.engine.wait_for_hint(left) {
            Some(revision) if revision <= replica.position().revision => {}
            _ => return,
        }
    }
}
