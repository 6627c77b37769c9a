//! The feed: a thread that takes in what other replicas write.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Replica;
use super::background::Background;
use crate::error::StoreError;

/// The longest time between two looks at the log. Hints come sooner, where they come.
const POLL: Duration = Duration::from_millis(250);

/// Keeps a replica's view at the end of the log until it is dropped.
#[derive(Debug)]
pub(crate) struct Feed {
    _thread: Background,
}

impl Feed {
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
        Ok(Self { _thread: Background::start("feed", run)? })
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
        replica.engine.wait_for_hint(POLL);
    }
    Ok(())
}
