//! Where the calls of a connection run: as far as they go without waiting, at once and on the connection's own task. Only
//! what has to wait becomes a task of its own. What a call is about is not known here.
//!
//! Most calls never wait, so they cost no task and no wake-up. And a client that sends many calls at one moment has no
//! more of them begun than one connection can carry, whatever other connections do meanwhile.

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
    /// Calls that a connection on this thread has taken and that have not begun. They stand here only while a connection
    /// is polled, which is done by one at a time.
    static QUEUE: RefCell<Vec<Task>> = const { RefCell::new(Vec::new()) };
    /// That connection, as long as it may run the next call without taking others first.
    static ONE_BY_ONE: Cell<Option<Arc<MutedWaker>>> = const { Cell::new(None) };
}

/// Takes the calls of connections; [`InlineExecutor`] runs them.
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

/// Runs a call as far as it goes by itself.
fn run(mut call: Task, cx: &mut Context<'_>) {
    if call.as_mut().poll(cx).is_pending() {
        // From now on it is that task that is woken for it.
        tokio::spawn(call);
    }
}

pin_project! {
    /// A connection whose calls run as soon as it has taken all that its client has sent by now. So their answers leave
    /// together. Where the client sends one call at a time there is nothing to wait for, and it runs as it is taken: hyper
    /// then looks for the next one, and sends the answer with that, without being woken for it.
    pub(crate) struct InlineExecutor<C> {
        #[pin]
        connection: C,
        muted_waker: Arc<MutedWaker>,
        waker: Waker,
        one_by_one: bool,
    }
}

impl<C> InlineExecutor<C> {
    /// * `connection`: gives its calls to [`CallQueue`].
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
            // Where it was one by one, one more has run already.
            *this.one_by_one = !*this.one_by_one && taken.len() == 1;
        }
        taken.drain(..).for_each(|call| run(call, &mut cx));
        // The room is kept for the next ones.
        QUEUE.set(taken);
        done
    }
}

/// What wakes a connection, but not while one of its calls runs within its own turn: it is not done by then.
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

    /// Nothing is missed by it: what anybody does for the connection before it would wake it, the connection finds as it
    /// goes on.
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

    /// A connection that takes so many calls at each turn, and tells when it has done so; each call tells its name.
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
    async fn calls_that_come_together_run_together_and_those_that_come_alone_as_they_come() {
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
    async fn a_call_that_waits_goes_on_when_it_can_whatever_becomes_of_its_connection() {
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
    fn only_what_happens_outside_of_its_turn_wakes_a_connection() {
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
