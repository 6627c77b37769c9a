//! Where the calls of a connection run: as far as they go without waiting, at once and on the connection's own task. Only
//! what has to wait becomes a task of its own. What a call is about is not known here.
//!
//! Most calls never wait, so they cost no task and no wake-up. And a client that sends many calls at one moment has no
//! more of them begun than one connection can carry, whatever other connections do meanwhile.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::Executor;
use pin_project_lite::pin_project;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    /// Calls that a connection on this thread has taken and that have not begun. They stand here only while a connection
    /// is polled, which is done by one at a time.
    static TAKEN: RefCell<Vec<Task>> = const { RefCell::new(Vec::new()) };
}

/// Takes the calls of connections; [`AtOnce`] runs them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken;

impl<F> Executor<F> for Taken
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        TAKEN.with_borrow_mut(|taken| taken.push(Box::pin(call)));
    }
}

pin_project! {
    /// A connection whose calls run as soon as it has taken all that its client has sent by now. So their answers leave
    /// together.
    pub(super) struct AtOnce<C> {
        #[pin]
        connection: C,
    }
}

impl<C> AtOnce<C> {
    /// * `connection`: gives its calls to [`Taken`].
    pub(super) fn new(connection: C) -> Self {
        Self { connection }
    }

    /// The connection.
    pub(super) fn connection(self: Pin<&mut Self>) -> Pin<&mut C> {
        self.project().connection
    }
}

impl<C: Future> Future for AtOnce<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let done = self.connection().poll(cx);
        let mut taken = TAKEN.take();
        for mut call in taken.drain(..) {
            if call.as_mut().poll(cx).is_pending() {
                // From now on it is that task that is woken for it.
                tokio::spawn(call);
            }
        }
        // The room is kept for the next ones.
        TAKEN.set(taken);
        done
    }
}
