//! Polls the calls of a connection on the connection's own task. Only a call that has to wait becomes a task of its
//! own.
//!
//! Most calls never wait, so they cost no task and no wake-up. A client that sends many calls at one moment also has no
//! more of them started than one connection can carry, however busy other connections are.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use hyper::rt::Executor;
use pin_project_lite::pin_project;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    /// Calls that the connection has accepted and not started. The queue is used only while a connection is polled, and
    /// a thread polls one connection at a time.
    static QUEUE: RefCell<Vec<Task>> = const { RefCell::new(Vec::new()) };
    /// The waker of the connection that is being polled, as long as it may start the next call at once instead of
    /// queueing it.
    static ONE_BY_ONE: Cell<Option<Arc<MutedWaker>>> = const { Cell::new(None) };
}

/// Queues the calls of connections; [`InlineExecutor`] runs them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallQueue;

impl<F> Executor<F> for CallQueue
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        let call = Box::pin(call);
        match ONE_BY_ONE.take() {
            Some(muted_waker) => muted_waker.muted(|| run(call, &mut Context::from_waker(Waker::noop()))),
            None => QUEUE.with_borrow_mut(|taken| taken.push(call)),
        }
    }
}

/// Polls a call once, and spawns it if it has to wait.
fn run(mut call: Task, cx: &mut Context<'_>) {
    if call.as_mut().poll(cx).is_pending() {
        // The first poll of the new task registers the right waker.
        tokio::spawn(call);
    }
}

pin_project! {
    /// A connection that starts its calls after it has accepted everything its client has sent so far, so that the
    /// answers leave together. If the client sends one call at a time, the call runs as soon as it is accepted: hyper
    /// then looks for the next call and sends the answer in the same poll, without another wake-up.
    pub(crate) struct InlineExecutor<C> {
        #[pin]
        connection: C,
        muted_waker: Arc<MutedWaker>,
        waker: Waker,
        one_by_one: bool,
    }
}

impl<C> InlineExecutor<C> {
    /// * `connection`: spawns its calls with [`CallQueue`].
    pub(crate) fn new(connection: C) -> Self {
        let muted_waker =
            Arc::new(MutedWaker { task: Mutex::new(Waker::noop().clone()), is_muted: AtomicBool::new(false) });
        Self { connection, waker: muted_waker.clone().into(), muted_waker, one_by_one: true }
    }

    /// The connection.
    pub(crate) fn connection(self: Pin<&mut Self>) -> Pin<&mut C> {
        self.project().connection
    }
}

impl<C: Future> Future for InlineExecutor<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let this = self.project();
        this.muted_waker.set_task(cx.waker());
        let mut cx = Context::from_waker(this.waker);
        ONE_BY_ONE.set(this.one_by_one.then(|| this.muted_waker.clone()));
        let done = this.connection.poll(&mut cx);
        ONE_BY_ONE.set(None);
        let mut taken = QUEUE.take();
        if !taken.is_empty() {
            // One by one: one more call has already run.
            *this.one_by_one = !*this.one_by_one && taken.len() == 1;
        }
        taken.drain(..).for_each(|call| run(call, &mut cx));
        // Keeps the allocation for the next poll.
        QUEUE.set(taken);
        done
    }
}

/// Waker that ignores wake-ups while the connection polls a call inline; the connection polls again anyway.
#[derive(Debug)]
struct MutedWaker {
    task: Mutex<Waker>,
    is_muted: AtomicBool,
}

impl MutedWaker {
    fn set_task(&self, waker: &Waker) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !task.will_wake(waker) {
            *task = waker.clone();
        }
    }

    /// No wake-up is lost: the connection goes on after `run` and finds everything that would have woken it.
    fn muted(&self, run: impl FnOnce()) {
        self.is_muted.store(true, Ordering::SeqCst);
        run();
        self.is_muted.store(false, Ordering::SeqCst);
    }
}

impl Wake for MutedWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_muted.load(Ordering::SeqCst) {
            self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
    use tokio::sync::oneshot;

    use super::*;

    /// A connection that accepts these calls at each poll and then reports `taken`; each call reports its name.
    fn turns(
        turns: &'static [&'static [&'static str]],
        tell: &UnboundedSender<&'static str>,
    ) -> impl Future<Output = ()> {
        let (tell, mut turns) = (tell.clone(), turns.iter());
        poll_fn(move |cx| {
            let Some(calls) = turns.next() else { return Poll::Ready(()) };
            for &call in *calls {
                let tell = tell.clone();
                CallQueue.execute(async move { tell.send(call).unwrap() });
            }
            tell.send("taken").unwrap();
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[tokio::test]
    async fn calls_that_arrive_together_run_together_and_single_calls_run_at_once() {
        let (tell, mut told) = unbounded_channel();
        InlineExecutor::new(turns(&[&["a"], &[], &["b", "c"], &["d", "e"], &["f"], &["g"]], &tell)).await;
        let mut order = Vec::new();
        told.close();
        while let Some(what) = told.recv().await {
            order.push(what);
        }
        let expected = "a taken, taken, b taken c, taken d e, taken f, g taken";
        assert_eq!(order.join(" "), expected.replace(',', ""));
    }

    #[tokio::test]
    async fn a_call_that_waits_goes_on_after_its_connection_has_ended() {
        let (go, went) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let mut taken = Some(async move { drop(tell.send(went.await)) });
        let connection = poll_fn(move |_| {
            taken.take().into_iter().for_each(|call| CallQueue.execute(call));
            Poll::Ready(())
        });
        InlineExecutor::new(connection).await;
        go.send("gone on").unwrap();
        assert_eq!(told.await.unwrap().unwrap(), "gone on");
    }

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_connection_ignores_wake_ups_while_it_polls_a_call() {
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let (waker, mut own) = (Waker::from(woken.clone()), None);
        let connection = poll_fn(|cx| {
            own = Some(cx.waker().clone());
            let own = cx.waker().clone();
            CallQueue.execute(async move { own.wake() });
            Poll::<()>::Pending
        });
        let polled = Box::pin(InlineExecutor::new(connection)).as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending() && !woken.0.load(Ordering::SeqCst), "it goes on after that call by itself");
        own.unwrap().wake();
        assert!(woken.0.load(Ordering::SeqCst));
    }
}
