//! Wakes the streams of a thread on that thread. A wake-up from another thread takes a system call for each stream, and
//! each message then leaves in one of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// The tasks that wake streams: one on each thread that has had some.
#[derive(Default)]
pub(super) struct Wakers(Mutex<HashMap<ThreadId, UnboundedSender<Arc<Notify>>>>);

/// The streams of something that changes, by the threads that poll them.
#[derive(Default)]
pub(super) struct Listeners(Mutex<Vec<OfThread>>);

struct OfThread {
    thread: ThreadId,
    streams: Arc<Notify>,
    waker: UnboundedSender<Arc<Notify>>,
}

impl Wakers {
    /// The task of this thread, which takes what it has to notify. It ends with its last sender.
    fn of_this_thread(&self) -> UnboundedSender<Arc<Notify>> {
        let start = || {
            let (waker, mut changed) = unbounded_channel::<Arc<Notify>>();
            tokio::spawn(async move {
                while let Some(streams) = changed.recv().await {
                    streams.notify_waiters();
                }
            });
            waker
        };
        // No code panics between two changes that belong together; the same below.
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.entry(thread::current().id()).or_insert_with(start).clone()
    }
}

impl Listeners {
    /// What notifies the streams of this thread.
    pub(super) fn of_this_thread(&self, wakers: &Wakers) -> Arc<Notify> {
        let thread = thread::current().id();
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = threads.iter().find(|known| known.thread == thread) {
            return Arc::clone(&known.streams);
        }
        let streams = Arc::default();
        threads.push(OfThread { thread, streams: Arc::clone(&streams), waker: wakers.of_this_thread() });
        streams
    }

    /// Wakes all streams.
    pub(super) fn wake(&self) {
        let threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for OfThread { streams, waker, .. } in &*threads {
            // Without its task, a thread has no streams any more.
            let _ = waker.send(Arc::clone(streams));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn streams_of_each_thread_are_woken() {
        let (wakers, listeners) = (Wakers::default(), Listeners::default());
        let here = listeners.of_this_thread(&wakers);
        let handle = tokio::runtime::Handle::current();
        let there = thread::scope(|scope| {
            let open = || {
                let _entered = handle.enter();
                listeners.of_this_thread(&wakers)
            };
            scope.spawn(open).join().unwrap()
        });
        assert!(Arc::ptr_eq(&here, &listeners.of_this_thread(&wakers)));
        assert!(!Arc::ptr_eq(&here, &there));
        let woken = (here.notified(), there.notified());
        listeners.wake();
        tokio::join!(woken.0, woken.1);
    }
}
