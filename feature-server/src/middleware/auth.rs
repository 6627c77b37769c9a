//! The layer in front of all services: nothing of a call is decoded before its token and its method's rule let it in.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use feature_api::schema::Schema;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::auth::AuthError;
use crate::auth::access::{Admission, CallParts, Caller, Instances, Rule, Rules};
use crate::auth::authenticate::certificates::Certificates;
use crate::auth::authenticate::principal::Principal;
use crate::auth::authenticate::{Attempt, Authenticator};
use crate::auth::clock::Moment;
use crate::auth::keys::signing_keys::KeyFolder;
use crate::call_context::CallContext;
use crate::config::settings::Settings;
use crate::error::Failure;
use crate::middleware::rate_limit::CallRates;
use crate::permit::{Share, Usage};

/// Sets identity up: the layer that authenticates and authorises every call of the methods in `schema`.
///
/// `keys`: the server's own keys. Must be called on a tokio runtime, on which keys and revocations are kept up to date.
///
/// # Errors
/// [`AuthError`] names the setting that does not work.
pub fn layer(settings: &Settings, keys: KeyFolder, schema: &Schema) -> Result<AuthLayer, AuthError> {
    let now = Moment::now();
    let authenticator = Authenticator::new(settings, keys, now)?;
    authenticator.keep_up();
    let rates = CallRates::new(settings.limits.calls_per_second_per_identity, now.steady);
    let certificates = Certificates::new(settings)?;
    let (instances, rules) = (Instances::new(&settings.instances)?, Rules::new(schema));
    Ok(AuthLayer { gate: Arc::new(Gate { authenticator, rates, certificates, instances, rules }) })
}

/// Wraps services so that only calls of who may call reach them.
///
/// It leaves a [`Caller`] in the request's extensions and takes the token out of its headers, so that nothing further
/// inside can log it. The field `principal` of the current tracing span is filled in.
#[derive(Debug, Clone)]
pub struct AuthLayer {
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct Gate {
    authenticator: Authenticator,
    rates: CallRates,
    certificates: Certificates,
    instances: Instances,
    rules: Rules,
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService { gate: Arc::clone(&self.gate), inner }
    }
}

/// A service behind an [`AuthLayer`].
#[derive(Debug, Clone)]
pub struct AuthService<S> {
    gate: Arc<Gate>,
    inner: S,
}

/// What becomes of a call at once.
enum Decision {
    LetIn,
    Wait(Pin<Box<dyn Future<Output = Result<Arc<Principal>, Failure>> + Send>>, Arc<Rule>),
}

impl Gate {
    fn decide<B>(&self, request: &mut Request<B>) -> Result<Decision, Failure> {
        let admission = self.rules.admission(request.uri().path())?;
        let now = Moment::now();
        let rule = match admission {
            Admission::Public => return self.admit_to_public(request, now).map(|()| Decision::LetIn),
            Admission::By(rule) => rule,
        };
        match self.attempt(request, now) {
            Attempt::Known(principal) => {
                self.admit(principal?, rule, request, now)?;
                Ok(Decision::LetIn)
            }
            Attempt::Waiting(waiting) => Ok(Decision::Wait(Box::pin(waiting.finish()), rule)),
        }
    }

    fn attempt<B>(&self, request: &Request<B>, now: Moment) -> Attempt {
        match self.certificates.attempt(request.headers(), request.extensions(), now) {
            Some(known) => Attempt::Known(known),
            None => self.authenticator.attempt(request.headers(), now),
        }
    }

    /// Lets a call of a public method in. It counts among its identity's calls where its credential is valid, else among
    /// those of its address: a credential that is not valid, or whose issuer's keys are still to be loaded, counts as none.
    fn admit_to_public<B>(&self, request: &mut Request<B>, now: Moment) -> Result<(), Failure> {
        match self.attempt(request, now) {
            Attempt::Known(Ok(principal)) => self.take_call(&principal, request, now)?.hold(request)?,
            Attempt::Known(Err(_)) | Attempt::Waiting(_) => {
                Share::of(request.extensions()).map_or(Ok(()), Share::begin_without_token)?;
            }
        }
        request.headers_mut().remove(AUTHORIZATION);
        Ok(())
    }

    /// Takes a call from the rate of an identity.
    fn take_call<B>(&self, principal: &Principal, request: &Request<B>, now: Moment) -> Result<Taken, Failure> {
        tracing::Span::current().record("principal", principal.subject.as_str());
        if let Some(call) = request.extensions().get::<CallContext>() {
            call.set_principal(&principal.subject);
        }
        match self.rates.take(&principal.identity, now.steady) {
            Ok((identity, cost)) => Ok(Taken { identity, cost }),
            Err(retry_after) => Err(Failure::RateExceeded { retry_after }),
        }
    }

    fn admit<B>(
        &self,
        principal: Arc<Principal>,
        rule: Arc<Rule>,
        request: &mut Request<B>,
        now: Moment,
    ) -> Result<(), Failure> {
        let taken = self.take_call(&principal, request, now)?;
        let parts = CallParts { headers: request.headers(), uri: request.uri() };
        let caller = Caller::admit(principal, rule, &self.instances, parts)?;
        taken.hold(request)?;
        request.headers_mut().remove(AUTHORIZATION);
        request.extensions_mut().insert(caller);
        Ok(())
    }
}

/// A call that an identity may make.
struct Taken {
    identity: Arc<Usage>,
    cost: u64,
}

impl Taken {
    /// Counts the call among those of its identity, with all that it holds.
    fn hold<B>(self, request: &Request<B>) -> Result<(), Failure> {
        Share::of(request.extensions()).map_or(Ok(()), |share| share.authenticate(self.identity, self.cost))
    }
}

impl<S, B> Service<Request<B>> for AuthService<S>
where
    S: Service<Request<B>, Response = Response<Body>> + Clone,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = AuthFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> AuthFuture<S, B> {
        let state = match self.gate.decide(&mut request) {
            Ok(Decision::LetIn) => State::Inside { answer: self.inner.call(request) },
            Ok(Decision::Wait(principal, rule)) => {
                // The inner service that was found ready is the one to call later; its clone gets ready anew.
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                let held = Held { gate: Arc::clone(&self.gate), rule, request, inner };
                State::Waiting { principal, held: Some(Box::new(held)) }
            }
            Err(failure) => State::Refused { response: Some(refusal(&failure, &request)) },
        };
        AuthFuture { state }
    }
}

fn refusal<B>(failure: &Failure, request: &Request<B>) -> Response<Body> {
    let call = CallContext::of(request.extensions());
    failure.status(call.request_id()).into_http()
}

/// A call that waits for its issuer's keys.
struct Held<S, B> {
    gate: Arc<Gate>,
    rule: Arc<Rule>,
    request: Request<B>,
    inner: S,
}

pin_project! {
    /// The answer to a call.
    pub struct AuthFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B>
    where
        S: Service<Request<B>>,
    {
        Inside { #[pin] answer: S::Future },
        Refused { response: Option<Response<Body>> },
        Waiting {
            principal: Pin<Box<dyn Future<Output = Result<Arc<Principal>, Failure>> + Send>>,
            held: Option<Box<Held<S, B>>>,
        },
    }
}

impl<S, B> Future for AuthFuture<S, B>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Output = Result<Response<Body>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Inside { answer } => return answer.poll(context),
                StateProjection::Refused { response } => {
                    return Poll::Ready(Ok(response.take().expect("a finished future is not polled again")));
                }
                StateProjection::Waiting { principal, held } => {
                    let principal = ready!(principal.as_mut().poll(context));
                    let held = *held.take().expect("the state changes once the principal is known");
                    let Held { gate, rule, mut request, mut inner } = held;
                    match principal.and_then(|principal| gate.admit(principal, rule, &mut request, Moment::now())) {
                        Ok(()) => State::Inside { answer: inner.call(request) },
                        Err(failure) => State::Refused { response: Some(refusal(&failure, &request)) },
                    }
                }
            };
            state.set(next);
        }
    }
}

#[cfg(test)]
mod tests;
