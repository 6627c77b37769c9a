//! The feed: a thread that takes in what other replicas write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use super::Replica;
use crate::error::StoreError;

/// The longest time between two looks at the log. Hints come sooner, where they come.
const POLL: Duration = Duration::from_millis(250);

/// Keeps a replica's view at the end of the log until it is dropped.
pub struct Feed {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// Starts the thread. `failed` is called on it when the replica cannot go on and its view has to be made anew.
    ///
    /// # Errors
    /// The operating system's, when it does not start another thread.
    pub fn start(replica: Arc<Replica>, failed: impl FnOnce(StoreError) + Send + 'static) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || {
            if let Err(error) = follow(&replica, &stopped) {
                failed(error);
            }
        };
        let thread = thread::Builder::new().name("feed".to_owned()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread) })
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

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic is in the log already.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}
