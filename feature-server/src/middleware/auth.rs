//! The layer that authenticates and authorises every call before its message is decoded.

pub mod credentials;
pub mod instances;
pub mod rules;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use feature_api::schema::Schema;
use feature_auth::access::{Caller, Rule, Rules};
use feature_auth::keys::KeyFolder;
use feature_auth::roles::Roles;
use feature_auth::{AuthError, Authentication, Authenticator, Certificates, Principal, SetupError, Timestamp};
use http::header::AUTHORIZATION;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tower::{Layer, Service};

use self::credentials::{bearer, certificate};
use self::instances::Instances;
use crate::call_context::CallContext;
use crate::config::settings::Settings;
use crate::error::Failure;
use crate::middleware::rate_limit::CallRates;
use crate::permit::{Permit, Usage};

/// The layer for the methods in `schema`. Must be called on a tokio runtime, which keeps keys and revocations up to
/// date.
///
/// `keys`: the server's own keys.
///
/// # Errors
/// [`SetupError`] names the setting that does not work.
pub fn layer(settings: &Settings, keys: KeyFolder, schema: &Schema) -> Result<AuthLayer, SetupError> {
    let (now, roles) = (Timestamp::now(), Roles::new(&settings.roles));
    let authenticator = Authenticator::new(&settings.auth, &roles, keys, now)?;
    authenticator.spawn_refresh();
    let rates = CallRates::new(settings.limits.calls_per_second_per_identity, now.monotonic);
    let certificates = Certificates::new(&settings.auth.certificates, &roles)?;
    let (instances, rules) = (Instances::new(&settings.instances)?, rules::of(schema, &settings.server));
    Ok(AuthLayer { gate: Arc::new(Gate { authenticator, rates, certificates, instances, rules }) })
}

/// Wraps a service so that only authorised calls reach it.
///
/// It puts a [`Caller`] into the request's extensions, and removes the token from the headers, so that no inner layer
/// can log it. It also records the field `principal` of the current tracing span.
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

type PendingPrincipal = Pin<Box<dyn Future<Output = Result<Arc<Principal>, AuthError>> + Send>>;

/// The decision about a call that is not refused.
enum Decision {
    Admit,
    Wait(PendingPrincipal, Arc<Rule>),
}

impl Gate {
    fn decide<B>(&self, request: &mut Request<B>) -> Result<Decision, Failure> {
        let rule = self.rules.find(request.uri().path())?;
        let now = Timestamp::now();
        let Some(rule) = rule else {
            self.admit_to_public(request, now)?;
            return Ok(Decision::Admit);
        };
        match self.authenticate(request, now) {
            Authentication::Ready(principal) => {
                self.admit(principal?, rule, request, now)?;
                Ok(Decision::Admit)
            }
            Authentication::Pending(pending) => Ok(Decision::Wait(Box::pin(pending.finish()), rule)),
        }
    }

    fn authenticate<B>(&self, request: &Request<B>, now: Timestamp) -> Authentication {
        if let Some(names) = certificate(request) {
            if let Some(principal) = self.certificates.authenticate(names, now) {
                return Authentication::Ready(principal);
            }
            tracing::debug!(
                subject = names.subject.as_str(),
                "auth.certificates does not name the client's certificate"
            );
        }
        match bearer(request.headers()) {
            Ok(token) => self.authenticator.authenticate(token, now),
            Err(error) => Authentication::Ready(Err(error)),
        }
    }

    /// Admits a call of a public method. With a valid credential it counts among the calls of its identity, otherwise
    /// among those of its address. A credential whose key must be loaded first counts as invalid.
    fn admit_to_public<B>(&self, request: &mut Request<B>, now: Timestamp) -> Result<(), Failure> {
        match self.authenticate(request, now) {
            Authentication::Ready(Ok(principal)) => self.take_call(&principal, request, now)?.hold(request)?,
            Authentication::Ready(Err(_)) | Authentication::Pending(_) => {
                Permit::of(request.extensions()).map_or(Ok(()), Permit::begin_without_token)?;
            }
        }
        request.headers_mut().remove(AUTHORIZATION);
        Ok(())
    }

    /// Takes a call from the rate of the identity.
    fn take_call<B>(&self, principal: &Principal, request: &Request<B>, now: Timestamp) -> Result<Taken, Failure> {
        tracing::Span::current().record("principal", principal.subject.as_str());
        if let Some(call) = request.extensions().get::<CallContext>() {
            call.set_principal(&principal.subject);
        }
        match self.rates.take(&principal.identity, now.monotonic) {
            Ok((identity, cost)) => Ok(Taken { identity, cost }),
            Err(retry_after) => Err(Failure::RateExceeded { retry_after }),
        }
    }

    fn admit<B>(
        &self,
        principal: Arc<Principal>,
        rule: Arc<Rule>,
        request: &mut Request<B>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let taken = self.take_call(&principal, request, now)?;
        let caller = Caller::admit(principal, rule, &self.instances.names(request))?;
        taken.hold(request)?;
        request.headers_mut().remove(AUTHORIZATION);
        request.extensions_mut().insert(caller);
        Ok(())
    }
}

/// A call within the rate of its identity.
struct Taken {
    identity: Arc<Usage>,
    cost: u64,
}

impl Taken {
    /// Counts the call, with everything that it holds, among those of its identity.
    fn hold<B>(self, request: &Request<B>) -> Result<(), Failure> {
        Permit::of(request.extensions()).map_or(Ok(()), |permit| permit.authenticate(self.identity, self.cost))
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
            Ok(Decision::Admit) => State::Inside { answer: self.inner.call(request) },
            Ok(Decision::Wait(principal, rule)) => {
                // The inner service that is ready is called later. The next call uses its clone.
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

/// A call that waits for the keys of its token's issuer.
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
            principal: PendingPrincipal,
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
                    let admitted = principal
                        .map_err(Failure::from)
                        .and_then(|principal| gate.admit(principal, rule, &mut request, Timestamp::now()));
                    match admitted {
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
