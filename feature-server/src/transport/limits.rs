//! How many calls there may be at once, and how long each may take. What is over the limit is refused at once, in the caller's protocol.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tonic::body::Body;
use tower::Service;

use super::body::CallBody;
use super::connect;
use super::context::RequestId;
use super::drain::{Drain, Ending};
use super::protocol::{Protocol, Protocols};
use super::timeout::{self, Deadline};
use crate::config::settings;
use crate::error::Failure;

/// Bounds the calls of a service.
#[derive(Debug, Clone)]
pub(super) struct Limits<S> {
    inner: S,
    bounds: Arc<Bounds>,
}

#[derive(Debug)]
struct Bounds {
    calls: Arc<Calls>,
    default_deadline: Duration,
    max_deadline: Duration,
    drain: Drain,
    protocols: Protocols,
}

impl<S> Limits<S> {
    pub(super) fn new(inner: S, protocols: Protocols, limits: &settings::Limits, drain: Drain) -> Self {
        let bounds = Bounds {
            calls: Arc::new(Calls { limit: limits.calls, under_way: AtomicUsize::new(0) }),
            default_deadline: Duration::from_millis(limits.default_deadline_ms),
            max_deadline: Duration::from_millis(limits.max_deadline_ms),
            drain,
            protocols,
        };
        Self { inner, bounds: Arc::new(bounds) }
    }
}

impl Bounds {
    /// Lets a call in, with the time that it may take.
    fn admit<B>(&self, protocol: &Protocol, request: &Request<B>) -> Result<(Permit, Deadline), Failure> {
        let permit = self.calls.permit().ok_or(Failure::Overloaded)?;
        let asked = match protocol {
            Protocol::Connect(_) => connect::timeout(request.headers())?,
            _ => timeout::asked(request.headers())?,
        };
        if asked == Some(Duration::ZERO) {
            return Err(Failure::DeadlineExceeded);
        }
        Ok((permit, Deadline::new(asked, self.default_deadline, self.max_deadline)))
    }
}

/// The calls under way.
#[derive(Debug)]
struct Calls {
    limit: usize,
    under_way: AtomicUsize,
}

/// The right to one call, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<Calls>);

impl Calls {
    fn permit(self: &Arc<Self>) -> Option<Permit> {
        // Counted first and taken back when it was too much, so that two calls never share the last permit.
        let permit = Permit(self.clone());
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        (before < self.limit).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S> Service<Request<Body>> for Limits<S>
where
    S: Service<Request<Body>, Response = Response<CallBody>, Error = Infallible>,
{
    type Response = Response<CallBody>;
    type Error = Infallible;
    type Future = LimitsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let id = RequestId::of(request.extensions());
        let recognised = self.bounds.protocols.recognise(&request);
        if let Some(answer) = self.bounds.protocols.answer_misdirected(&request, &recognised, &id) {
            return LimitsFuture::refused(answer);
        }
        let protocol = match recognised {
            Ok(protocol) => protocol,
            Err(no_call) => {
                return LimitsFuture::refused(self.bounds.protocols.answer_no_call(&no_call, &request, &id));
            }
        };
        let (permit, deadline) = match self.bounds.admit(&protocol, &request) {
            Ok(admitted) => admitted,
            Err(failure) => return LimitsFuture::refused(protocol.refuse(&failure, &id)),
        };
        request.extensions_mut().insert(deadline);
        // Plain gRPC needs no translation, and so nobody who reads this.
        if !matches!(protocol, Protocol::Grpc) {
            request.extensions_mut().insert(protocol.clone());
        }
        LimitsFuture::Admitted {
            inner: self.inner.call(request),
            permit: Some(permit),
            deadline: deadline.answer,
            ending: Ending::default(),
            bounds: self.bounds.clone(),
            protocol,
            id,
        }
    }
}

pin_project! {
    /// The answer to a call, under way.
    #[project = LimitsProjected]
    pub(super) enum LimitsFuture<F> {
        Refused { response: Option<Response<CallBody>> },
        Admitted {
            #[pin]
            inner: F,
            permit: Option<Permit>,
            deadline: Instant,
            ending: Ending,
            bounds: Arc<Bounds>,
            protocol: Protocol,
            id: RequestId,
        },
    }
}

impl<F> LimitsFuture<F> {
    fn refused(response: Response<CallBody>) -> Self {
        LimitsFuture::Refused { response: Some(response) }
    }
}

impl<F> Future for LimitsFuture<F>
where
    F: Future<Output = Result<Response<CallBody>, Infallible>>,
{
    type Output = Result<Response<CallBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            LimitsProjected::Refused { response } => {
                Poll::Ready(Ok(response.take().expect("a future is not polled after it was ready")))
            }
            LimitsProjected::Admitted { inner, permit, deadline, ending, bounds, protocol, id } => {
                if let Poll::Ready(Ok(response)) = inner.poll(cx) {
                    let permit = permit.take().expect("a future is not polled after it was ready");
                    return Poll::Ready(Ok(response.map(|body| body.with_permit(permit))));
                }
                // Whoever polls this drops it now, and with it the call inside.
                ending.poll(cx, Some(*deadline), &bounds.drain).map(|failure| Ok(protocol.refuse(&failure, id)))
            }
        }
    }
}
