//! The runtimes of the worker threads as the event loops in which callers wait for the replies to their writes.

use feature_store::EventLoops;
use tokio::runtime::Handle;

/// Replies that are sent within a runtime wake its thread once for all of them.
pub(super) struct RuntimeLoops(Vec<Handle>);

impl RuntimeLoops {
    pub(super) fn new<'a>(runtimes: impl Iterator<Item = &'a Handle>) -> Self {
        Self(runtimes.cloned().collect())
    }
}

impl EventLoops for RuntimeLoops {
    fn current(&self) -> Option<usize> {
        let current = Handle::try_current().ok()?.id();
        self.0.iter().position(|runtime| runtime.id() == current)
    }

    fn run(&self, event_loop: usize, work: Box<dyn FnOnce() + Send>) {
        self.0[event_loop].spawn(async { work() });
    }
}
