//! The replies of a group of writes, and how they reach their callers.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::{CommitError, CommittedBatch};

type Outcome = Result<CommittedBatch, CommitError>;

/// The future reply to a batch of writes.
pub(crate) type Reply = oneshot::Receiver<Outcome>;

/// The event loops that callers run in. Their owner gives each a number.
///
/// To wake the thread of an event loop costs a system call. Replies that are sent within the caller's event loop wake
/// its thread once for all of them.
pub trait EventLoops: Send + Sync {
    /// The event loop of the calling task, when it is one of these.
    fn current(&self) -> Option<usize>;

    /// Runs `work` in an event loop.
    fn run(&self, event_loop: usize, work: Box<dyn FnOnce() + Send>);
}

/// No event loops: each reply is sent by itself.
pub(crate) struct NoEventLoops;

impl EventLoops for NoEventLoops {
    fn current(&self) -> Option<usize> {
        None
    }

    fn run(&self, _: usize, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

/// Sends the reply to one batch of writes.
#[derive(Debug)]
pub(crate) struct ReplySender {
    sender: oneshot::Sender<Outcome>,
    event_loop: Option<usize>,
}

impl ReplySender {
    /// The reply to a caller in the current event loop.
    pub(super) fn new(event_loops: &dyn EventLoops) -> (Self, Reply) {
        let (sender, reply) = oneshot::channel();
        (Self { sender, event_loop: event_loops.current() }, reply)
    }

    /// Whether the caller no longer waits.
    pub(super) fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    fn send(self, outcome: Outcome) {
        // A caller that has left needs no reply.
        let _ = self.sender.send(outcome);
    }
}

/// Sends the replies of a group: those of one event loop together, within it.
pub(super) fn send_all(replies: impl Iterator<Item = (ReplySender, Outcome)>, event_loops: &dyn EventLoops) {
    let mut by_event_loop: HashMap<_, Vec<_>> = HashMap::new();
    for (sender, outcome) in replies {
        by_event_loop.entry(sender.event_loop).or_default().push((sender, outcome));
    }
    for (event_loop, replies) in by_event_loop {
        let is_alone = replies.len() == 1;
        let send = || replies.into_iter().for_each(|(sender, outcome)| sender.send(outcome));
        match event_loop {
            Some(event_loop) if !is_alone => event_loops.run(event_loop, Box::new(send)),
            _ => send(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Notes the event loops that work runs in. The current one is what the test says.
    #[derive(Default)]
    struct Noted {
        current: AtomicUsize,
        ran: Mutex<Vec<usize>>,
    }

    impl EventLoops for Noted {
        fn current(&self) -> Option<usize> {
            Some(self.current.load(Ordering::Relaxed)).filter(|&number| number < 9)
        }

        fn run(&self, event_loop: usize, work: Box<dyn FnOnce() + Send>) {
            self.ran.lock().unwrap().push(event_loop);
            work();
        }
    }

    #[test]
    fn replies_of_one_event_loop_are_sent_there_together() {
        let event_loops = Noted::default();
        // The third caller is alone in its event loop, the last two are in none.
        let (senders, mut replies): (Vec<_>, Vec<_>) = [1, 0, 2, 1, 0, 1, 9, 9]
            .map(|number| {
                event_loops.current.store(number, Ordering::Relaxed);
                ReplySender::new(&event_loops)
            })
            .into_iter()
            .unzip();
        send_all(senders.into_iter().map(|sender| (sender, Err(CommitError::QueueFull))), &event_loops);
        assert!(replies.iter_mut().all(|reply| matches!(reply.try_recv(), Ok(Err(CommitError::QueueFull)))));
        let mut ran = event_loops.ran.into_inner().unwrap();
        ran.sort_unstable();
        assert_eq!(ran, [0, 1]);
    }
}
