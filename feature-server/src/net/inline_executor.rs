//! Polls the calls of a connection on the connection's own task. Only a call that has to wait becomes a task of its
//! own.
//!
//! Most calls never wait, so they cost no task and no wake-up. A client that sends many calls at one moment also has no
//! more of them started than one connection can carry, however busy other connections are.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::Executor;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    /// Calls that the connection has accepted and not started. The queue is used only while a connection is polled, and
    /// a thread polls one connection at a time.
    static QUEUE: RefCell<Vec<Task>> = const { RefCell::new(Vec::new()) };
}

/// Queues the calls of connections; [`poll`] runs them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallQueue;

impl<F> Executor<F> for CallQueue
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        QUEUE.with_borrow_mut(|accepted| accepted.push(Box::pin(call)));
    }
}

/// Polls a connection, and then the calls that it has accepted; those that have to wait are spawned. The connection has
/// read everything that its client has sent so far, so the answers leave together. It spawns its calls with
/// [`CallQueue`].
pub(crate) fn poll<C: Future>(connection: Pin<&mut C>, cx: &mut Context<'_>) -> Poll<C::Output> {
    let done = connection.poll(cx);
    let mut accepted = QUEUE.take();
    for mut call in accepted.drain(..) {
        if call.as_mut().poll(cx).is_pending() {
            // The first poll of the new task registers the right waker.
            tokio::spawn(call);
        }
    }
    // Keeps the allocation for the next poll.
    QUEUE.set(accepted);
    done
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use tokio::sync::mpsc::unbounded_channel;
    use tokio::sync::oneshot;

    use super::*;

    async fn serve(connection: impl Future<Output = ()>) {
        let mut connection = pin!(connection);
        poll_fn(|cx| poll(connection.as_mut(), cx)).await;
    }

    #[tokio::test]
    async fn calls_run_after_the_connection_has_accepted_all_of_them() {
        let (log, mut entries) = unbounded_channel();
        let mut polls = [&["a"][..], &[], &["b", "c"]].into_iter();
        serve(poll_fn(move |cx| {
            let Some(calls) = polls.next() else { return Poll::Ready(()) };
            for &call in calls {
                let log = log.clone();
                CallQueue.execute(async move { log.send(call).unwrap() });
            }
            log.send("accepted").unwrap();
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
        .await;
        let mut order = Vec::new();
        while let Some(entry) = entries.recv().await {
            order.push(entry);
        }
        assert_eq!(order, ["accepted", "a", "accepted", "accepted", "b", "c"]);
    }

    #[tokio::test]
    async fn a_call_that_waits_goes_on_after_its_connection_has_ended() {
        let (release, released) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let mut call = Some(async move { drop(ended.send(released.await)) });
        serve(poll_fn(move |_| {
            call.take().into_iter().for_each(|call| CallQueue.execute(call));
            Poll::Ready(())
        }))
        .await;
        release.send("released").unwrap();
        assert_eq!(end.await.unwrap().unwrap(), "released");
    }
}
