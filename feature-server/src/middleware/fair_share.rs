//! Fair shares of a busy worker: calls of identities that have had less than others go first. An identity that calls
//! alone gets the whole worker.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, Either};
use http::{Request, Response};
use tokio::sync::oneshot;
use tonic::body::Body;
use tower::Service;

use crate::permit::Permit;

/// A worker is busy after this many calls without an idle moment: a few milliseconds.
const BUSY: u64 = 256;

/// The length of a window, in calls. Each window counts anew.
const WINDOW: u64 = 1_024;

/// How many waiting calls are released at once.
const RELEASED: usize = 64;

thread_local! {
    static WORKER: RefCell<WorkerCalls> = RefCell::default();
}

/// The calls of one worker since it was last idle.
#[derive(Default)]
struct WorkerCalls {
    /// The sum of the calls' costs.
    served: u64,
    /// The same for each identity, once the worker is busy.
    of_identities: HashMap<usize, u64>,
    waiting: VecDeque<oneshot::Sender<()>>,
}

impl WorkerCalls {
    /// Counts a call of an identity, with its cost in calls. Returns the turn that it has to wait for, if it has to.
    fn begin(&mut self, identity: usize, cost: u64) -> Option<oneshot::Receiver<()>> {
        self.served += cost;
        if self.served <= BUSY {
            return None;
        }
        if self.served > BUSY + WINDOW {
            self.restart(BUSY + cost);
        }
        let had = self.of_identities.entry(identity).or_default();
        *had += cost;
        // An equal part of the cost since the worker became busy.
        let part = (self.served - BUSY) / self.of_identities.len() as u64;
        if self.of_identities.len() == 1 || self.of_identities[&identity] <= part + RELEASED as u64 {
            return None;
        }
        let (released, turn) = oneshot::channel();
        self.waiting.push_back(released);
        Some(turn)
    }

    /// Counts anew, and releases calls that wait.
    fn restart(&mut self, served: u64) {
        self.served = served;
        self.of_identities.clear();
        let mut released = 0;
        while released < RELEASED
            && let Some(waiting) = self.waiting.pop_front()
        {
            // A call that was cancelled leaves its turn to another one.
            released += usize::from(waiting.send(()).is_ok());
        }
    }
}

/// Releases waiting calls. The runtime of this thread calls it before it sleeps.
pub(crate) fn idle() {
    WORKER.with_borrow_mut(|worker| worker.restart(0));
}

/// Delays the calls of identities that have had more than their permit of a busy worker.
#[derive(Debug, Clone)]
pub struct FairShare<S> {
    inner: S,
}

impl<S> FairShare<S> {
    /// `inner` receives calls with an authenticated caller.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Request<Body>> for FairShare<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let caller = Permit::of(request.extensions()).and_then(Permit::identity_and_cost);
        let turn = caller.and_then(|(identity, cost)| WORKER.with_borrow_mut(|worker| worker.begin(identity, cost)));
        let Some(turn) = turn else { return Either::Left(self.inner.call(request)) };
        // `poll_ready` has prepared this service, so keep it for later; the clone becomes ready by itself.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Either::Right(Box::pin(async move {
            // The sender is dropped only when the server ends; the call then continues, and is refused inside.
            let _ = turn.await;
            inner.call(request).await
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `calls` calls of an identity continue at once. The others wait in the worker.
    fn goes_on(
        worker: &mut WorkerCalls,
        identity: usize,
        calls: usize,
        turns: &mut Vec<oneshot::Receiver<()>>,
    ) -> usize {
        let waiting = turns.len();
        turns.extend((0..calls).filter_map(|_| worker.begin(identity, 1)));
        calls - (turns.len() - waiting)
    }

    #[test]
    fn one_identity_gets_all_of_a_busy_worker_and_several_get_equal_parts() {
        let (mallory, ann, bob) = (1, 2, 3);
        let mut worker = WorkerCalls::default();
        let mut turns = Vec::new();
        assert_eq!(goes_on(&mut worker, mallory, 256, &mut turns), 256, "the worker is not busy");
        assert_eq!(goes_on(&mut worker, mallory, 500, &mut turns), 500, "there are no others");
        assert_eq!(goes_on(&mut worker, ann, 1, &mut turns), 1);
        assert_eq!(goes_on(&mut worker, mallory, 100, &mut turns), 0, "it has had more than half");
        assert_eq!(goes_on(&mut worker, ann, 100, &mut turns), 100, "it has had less");
        assert_eq!(goes_on(&mut worker, bob, 67, &mut turns), 67);
        assert_eq!(turns.len(), 100);
    }

    #[test]
    fn waiting_calls_continue_when_the_worker_is_idle() {
        let (mallory, ann) = (1, 2);
        let mut worker = WorkerCalls::default();
        let mut turns = Vec::new();
        goes_on(&mut worker, mallory, 700, &mut turns);
        goes_on(&mut worker, ann, 1, &mut turns);
        assert_eq!(goes_on(&mut worker, mallory, 100, &mut turns), 0);
        let mut released = |worker: &mut WorkerCalls| {
            worker.restart(0);
            turns.iter_mut().map(|turn| usize::from(turn.try_recv().is_ok())).sum::<usize>()
        };
        assert_eq!([released(&mut worker), released(&mut worker), released(&mut worker)], [64, 36, 0]);
    }

    #[test]
    fn waiting_calls_continue_with_a_new_window() {
        let (mallory, ann) = (1, 2);
        let mut worker = WorkerCalls::default();
        let mut turns = Vec::new();
        goes_on(&mut worker, mallory, 700, &mut turns);
        goes_on(&mut worker, ann, 1, &mut turns);
        assert_eq!(goes_on(&mut worker, mallory, 10, &mut turns), 0);
        goes_on(&mut worker, ann, 1_000, &mut Vec::new());
        assert!(turns.iter_mut().all(|turn| turn.try_recv().is_ok()));
    }

    #[test]
    fn the_cost_of_calls_counts_and_not_their_number() {
        let (mallory, ann) = (1, 2);
        let mut worker = WorkerCalls::default();
        worker.begin(mallory, 256);
        for _ in 0..4 {
            assert!(worker.begin(ann, 1).is_none());
            worker.begin(mallory, 128);
        }
        assert!(worker.begin(mallory, 1).is_some());
        assert!(worker.begin(ann, 60).is_none());
    }
}
