//! Fair shares of a busy core: calls of identities that have had less than others go first. An identity that calls alone
//! gets all that the core can give.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::sync::oneshot;
use tonic::body::Body;
use tower::Service;

use crate::permit::Share;

/// A core is busy that has served so many calls without having had nothing to do: that is a few milliseconds.
const BUSY: u64 = 256;

/// After so many more calls, what identities have had is forgotten.
const WINDOW: u64 = 1_024;

/// How many calls that wait are let go on at once.
const RELEASED: usize = 64;

thread_local! {
    static CORE: RefCell<Core> = RefCell::default();
}

/// The calls of one core since it last had nothing to do.
#[derive(Default)]
struct Core {
    /// How many, by their cost.
    served: u64,
    /// The same of each identity, once the core is busy.
    of_identities: HashMap<usize, u64>,
    waiting: VecDeque<oneshot::Sender<()>>,
}

impl Core {
    /// Counts a call. Returns what it has to wait for, if it does.
    ///
    /// * `identity`: stands for the one that calls.
    /// * `cost`: what it takes, in calls.
    fn begin(&mut self, identity: usize, cost: u64) -> Option<oneshot::Receiver<()>> {
        self.served += cost;
        if self.served <= BUSY {
            return None;
        }
        if self.served > BUSY + WINDOW {
            self.served = BUSY + cost;
            self.of_identities.clear();
            self.release();
        }
        let had = self.of_identities.entry(identity).or_default();
        *had += cost;
        // Its part of what was served since the core is busy.
        let part = (self.served - BUSY) / self.of_identities.len() as u64;
        if self.of_identities.len() == 1 || self.of_identities[&identity] <= part + RELEASED as u64 {
            return None;
        }
        let (released, turn) = oneshot::channel();
        self.waiting.push_back(released);
        Some(turn)
    }

    /// The core has nothing else to do.
    fn idle(&mut self) {
        self.served = 0;
        self.of_identities.clear();
        self.release();
    }

    fn release(&mut self) {
        let mut released = 0;
        while released < RELEASED
            && let Some(waiting) = self.waiting.pop_front()
        {
            // One that is no longer there makes room for another.
            released += usize::from(waiting.send(()).is_ok());
        }
    }
}

/// To be called whenever the runtime of this thread has nothing to do.
pub(crate) fn idle() {
    CORE.with_borrow_mut(Core::idle);
}

/// Lets the calls of identities that have had more than their part wait while a core is busy.
#[derive(Debug, Clone)]
pub struct FairShare<S> {
    inner: S,
}

impl<S> FairShare<S> {
    /// `inner`: gets the calls whose caller was authenticated.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Request<Body>> for FairShare<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = FairShareFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let caller = Share::of(request.extensions()).and_then(Share::identity_and_cost);
        let turn = caller.and_then(|(identity, cost)| CORE.with_borrow_mut(|core| core.begin(identity, cost)));
        let state = match turn {
            None => State::Inside { answer: self.inner.call(request) },
            Some(turn) => {
                // The inner service that was found ready is the one to call later; its clone gets ready anew.
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                State::Waiting { turn, held: Some(Box::new((inner, request))) }
            }
        };
        FairShareFuture { state }
    }
}

pin_project! {
    /// The answer to a call.
    pub struct FairShareFuture<S>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        state: State<S>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S>
    where
        S: Service<Request<Body>>,
    {
        Inside { #[pin] answer: S::Future },
        Waiting { #[pin] turn: oneshot::Receiver<()>, held: Option<Box<(S, Request<Body>)>> },
    }
}

impl<S> Future for FairShareFuture<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let (mut inner, request) = match state.as_mut().project() {
                StateProjection::Inside { answer } => return answer.poll(cx),
                StateProjection::Waiting { turn, held } => {
                    // The core is gone only when the server ends; then the call goes on and is refused inside.
                    let _ = ready!(turn.poll(cx));
                    *held.take().expect("the state changes once the call may go on")
                }
            };
            state.set(State::Inside { answer: inner.call(request) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many calls of an identity go on at once. The others wait in the core.
    fn goes_on(core: &mut Core, identity: usize, calls: usize, turns: &mut Vec<oneshot::Receiver<()>>) -> usize {
        let waiting = turns.len();
        turns.extend((0..calls).filter_map(|_| core.begin(identity, 1)));
        calls - (turns.len() - waiting)
    }

    #[test]
    fn one_identity_gets_all_and_several_get_equal_parts_of_a_busy_core() {
        let (mallory, ann, bob) = (1, 2, 3);
        let mut core = Core::default();
        let mut turns = Vec::new();
        assert_eq!(goes_on(&mut core, mallory, 256, &mut turns), 256, "the core is not busy");
        assert_eq!(goes_on(&mut core, mallory, 500, &mut turns), 500, "there are no others");
        assert_eq!(goes_on(&mut core, ann, 1, &mut turns), 1);
        assert_eq!(goes_on(&mut core, mallory, 100, &mut turns), 0, "it has had more than half");
        assert_eq!(goes_on(&mut core, ann, 100, &mut turns), 100, "it has had less");
        assert_eq!(goes_on(&mut core, bob, 67, &mut turns), 67);
        assert_eq!(turns.len(), 100);
    }

    #[test]
    fn calls_that_wait_go_on_when_the_core_has_nothing_else_to_do() {
        let (mallory, ann) = (1, 2);
        let mut core = Core::default();
        let mut turns = Vec::new();
        goes_on(&mut core, mallory, 700, &mut turns);
        goes_on(&mut core, ann, 1, &mut turns);
        assert_eq!(goes_on(&mut core, mallory, 100, &mut turns), 0);
        let mut released = |core: &mut Core| {
            core.idle();
            turns.iter_mut().map(|turn| usize::from(turn.try_recv().is_ok())).sum::<usize>()
        };
        assert_eq!([released(&mut core), released(&mut core), released(&mut core)], [64, 36, 0]);
    }

    #[test]
    fn calls_that_wait_go_on_with_a_new_window() {
        let (mallory, ann) = (1, 2);
        let mut core = Core::default();
        let mut turns = Vec::new();
        goes_on(&mut core, mallory, 700, &mut turns);
        goes_on(&mut core, ann, 1, &mut turns);
        assert_eq!(goes_on(&mut core, mallory, 10, &mut turns), 0);
        goes_on(&mut core, ann, 1_000, &mut Vec::new());
        assert!(turns.iter_mut().all(|turn| turn.try_recv().is_ok()));
    }

    #[test]
    fn the_cost_of_calls_counts_and_not_their_number() {
        let (mallory, ann) = (1, 2);
        let mut core = Core::default();
        core.begin(mallory, 256);
        for _ in 0..4 {
            assert!(core.begin(ann, 1).is_none());
            core.begin(mallory, 128);
        }
        assert!(core.begin(mallory, 1).is_some());
        assert!(core.begin(ann, 60).is_none());
    }
}
