//! The threads that connections run on.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// A runtime. Its end does not wait for a name server that does not answer.
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("engine").enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Without a thread: everything runs on those that wait in [`Self::block_on`], and rests meanwhile.
    pub(super) fn of_callers() -> io::Result<Self> {
        Ok(Self(Some(Builder::new_current_thread().enable_all().build()?)))
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.as_ref().expect("only the end takes it").block_on(future)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
