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
    static TAKEN: RefCell<Vec<Task>> = const { RefCell::new(Vec::new()) };
    /// That connection, as long as it may run the next call without taking others first.
    static EAGER: Cell<Option<Arc<Ear>>> = const { Cell::new(None) };
}

/// Takes the calls of connections; [`AtOnce`] runs them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken;

impl<F> Executor<F> for Taken
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        let call = Box::pin(call);
        match EAGER.take() {
            Some(ear) => ear.while_deaf(|| run(call, &mut Context::from_waker(Waker::noop()))),
            None => TAKEN.with_borrow_mut(|taken| taken.push(call)),
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
    pub(crate) struct AtOnce<C> {
        #[pin]
        connection: C,
        ear: Arc<Ear>,
        waker: Waker,
        one_by_one: bool,
    }
}

impl<C> AtOnce<C> {
    /// * `connection`: gives its calls to [`Taken`].
    pub(crate) fn new(connection: C) -> Self {
        let ear = Arc::new(Ear { task: Mutex::new(Waker::noop().clone()), deaf: AtomicBool::new(false) });
        Self { connection, waker: ear.clone().into(), ear, one_by_one: true }
    }

    /// The connection.
    pub(crate) fn connection(self: Pin<&mut Self>) -> Pin<&mut C> {
        self.project().connection
    }
}

impl<C: Future> Future for AtOnce<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let this = self.project();
        this.ear.belongs_to(cx.waker());
        let mut cx = Context::from_waker(this.waker);
        EAGER.set(this.one_by_one.then(|| this.ear.clone()));
        let done = this.connection.poll(&mut cx);
        EAGER.set(None);
        let mut taken = TAKEN.take();
        if !taken.is_empty() {
            // Where it was one by one, one more has run already.
            *this.one_by_one = !*this.one_by_one && taken.len() == 1;
        }
        taken.drain(..).for_each(|call| run(call, &mut cx));
        // The room is kept for the next ones.
        TAKEN.set(taken);
        done
    }
}

/// What wakes a connection, but not while one of its calls runs within its own turn: it is not done by then.
#[derive(Debug)]
struct Ear {
    task: Mutex<Waker>,
    deaf: AtomicBool,
}

impl Ear {
    fn belongs_to(&self, waker: &Waker) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !task.will_wake(waker) {
            *task = waker.clone();
        }
    }

    /// Nothing is missed by it: what anybody does for the connection before it would wake it, the connection finds as it
    /// goes on.
    fn while_deaf(&self, run: impl FnOnce()) {
        self.deaf.store(true, Ordering::SeqCst);
        run();
        self.deaf.store(false, Ordering::SeqCst);
    }
}

impl Wake for Ear {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.deaf.load(Ordering::SeqCst) {
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
                Taken.execute(async move { tell.send(call).unwrap() });
            }
            tell.send("taken").unwrap();
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[tokio::test]
    async fn calls_that_come_together_run_together_and_those_that_come_alone_as_they_come() {
        let (tell, mut told) = unbounded_channel();
        AtOnce::new(turns(&[&["a"], &[], &["b", "c"], &["d", "e"], &["f"], &["g"]], &tell)).await;
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
            taken.take().into_iter().for_each(|call| Taken.execute(call));
            Poll::Ready(())
        });
        AtOnce::new(connection).await;
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
            Taken.execute(async move { own.wake() });
            Poll::<()>::Pending
        });
        let polled = Box::pin(AtOnce::new(connection)).as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending() && !woken.0.load(Ordering::SeqCst), "it goes on after that call by itself");
        own.unwrap().wake();
        assert!(woken.0.load(Ordering::SeqCst));
    }
}
