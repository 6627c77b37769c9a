//! The layer that authenticates and authorises every call before its message is decoded. It counts the call for its
//! identity: on a busy core, calls of an identity that had more than its part wait.

pub mod rules;

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use feature_api::schema::Schema;
use feature_auth::access::{AccessRules, Caller, MethodRules, NamedCaller};
use feature_auth::keys::KeyFolder;
use feature_auth::roles::Roles;
use feature_auth::{
    AuthError, Authentication, Authenticator, CertificateNames, Certificates, PendingAuthentication, Principal,
    SetupError, Timestamp,
};
use futures_util::future::{BoxFuture, Either};
use http::header::{AUTHORIZATION, ORIGIN};
use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tower::Service;

use crate::call_context::CallContext;
use crate::config::settings::Settings;
use crate::error::Failure;
use crate::host::Instances;
use crate::middleware::identity_share::{self, CallRates, Turn};
use crate::permit::{Permit, Usage};
use crate::telemetry::traces::ChildSpan;

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
    rules: AccessRules,
}

impl AuthLayer {
    /// Puts the layer around a service.
    pub fn layer<S>(&self, inner: S) -> AuthService<S> {
        AuthService { gate: Arc::clone(&self.gate), inner }
    }

    /// Authenticates tokens.
    pub fn authenticator(&self) -> &Authenticator {
        &self.gate.authenticator
    }
}

/// A service behind an [`AuthLayer`].
#[derive(Debug, Clone)]
pub struct AuthService<S> {
    gate: Arc<Gate>,
    inner: S,
}

/// The decision about a call that is not refused.
enum Decision {
    /// The call goes on, in its turn if it has to wait for one.
    Admit(Option<Turn>),
    /// The keys of the token's issuer must be loaded first.
    Wait(PendingAuthentication, MethodRules),
}

impl Gate {
    fn decide(&self, request: &mut Request<Body>) -> Result<Decision, Failure> {
        let rules = self.rules.find(request.uri().path())?;
        let now = Timestamp::now();
        let Some(rules) = rules else {
            return self.admit_to_public(request, now).map(Decision::Admit);
        };
        match self.authenticate(request, now) {
            Authentication::Ready(principal) => self.admit(principal?, rules, request, now).map(Decision::Admit),
            Authentication::Pending(pending) => Ok(Decision::Wait(pending, rules)),
        }
    }

    fn authenticate(&self, request: &Request<Body>, now: Timestamp) -> Authentication {
        let context = request.extensions().get::<CallContext>();
        let mut span = context.and_then(CallContext::trace).map(|trace| trace.child("authentication"));
        if let Some(names) = context.and_then(|context| certificate(context, request.headers())) {
            if let Some(principal) = self.certificates.authenticate(names, now) {
                set_credential(&mut span, "certificate");
                return Authentication::Ready(principal);
            }
            tracing::debug!(
                subject = names.subject.as_str(),
                "auth.certificates does not name the client's certificate"
            );
        }
        let token = match bearer(request.headers()) {
            Ok(token) => token,
            Err(error) => {
                set_credential(&mut span, "none");
                return Authentication::Ready(Err(error));
            }
        };
        let remembered = span.is_some() && self.authenticator.remembers(token, now);
        set_credential(&mut span, if remembered { "remembered" } else { "verified" });
        self.authenticator.authenticate(token, now)
    }

    /// Admits a call of a public method. With a valid credential it counts among the calls of its identity, otherwise
    /// among those of its address. A credential whose key must be loaded first counts as invalid.
    fn admit_to_public(&self, request: &mut Request<Body>, now: Timestamp) -> Result<Option<Turn>, Failure> {
        let turn = match self.authenticate(request, now) {
            Authentication::Ready(Ok(principal)) => self.take_call(&principal, request, now)?.begin(request)?,
            Authentication::Ready(Err(_)) | Authentication::Pending(_) => {
                Permit::of(request.extensions()).map_or(Ok(()), Permit::begin_without_token)?;
                None
            }
        };
        request.headers_mut().remove(AUTHORIZATION);
        Ok(turn)
    }

    /// Takes a call from the rate of the identity.
    fn take_call(&self, principal: &Principal, request: &Request<Body>, now: Timestamp) -> Result<Taken, Failure> {
        tracing::Span::current().record("principal", principal.subject.as_str());
        if let Some(call) = request.extensions().get::<CallContext>() {
            call.set_principal(&principal.subject);
        }
        match self.rates.take(&principal.identity, now.monotonic) {
            Ok((identity, cost)) => Ok(Taken { identity, cost }),
            Err(retry_after) => Err(Failure::RateExceeded { retry_after }),
        }
    }

    fn admit(
        &self,
        principal: Arc<Principal>,
        rules: MethodRules,
        request: &mut Request<Body>,
        now: Timestamp,
    ) -> Result<Option<Turn>, Failure> {
        let taken = self.take_call(&principal, request, now)?;
        let names = self.instances.names(request);
        let caller = match rules {
            MethodRules::One(rule) => Either::Left(Caller::admit(principal, rule, &names)?),
            MethodRules::ByLevel(rules) => Either::Right(NamedCaller::admit(principal, rules, &names)?),
        };
        let turn = taken.begin(request)?;
        request.headers_mut().remove(AUTHORIZATION);
        match caller {
            Either::Left(caller) => drop(request.extensions_mut().insert(caller)),
            Either::Right(caller) => drop(request.extensions_mut().insert(caller)),
        }
        Ok(turn)
    }

    /// Admits a call whose issuer's keys must be loaded first.
    async fn admit_later(
        &self,
        pending: PendingAuthentication,
        rules: MethodRules,
        request: &mut Request<Body>,
    ) -> Result<Option<Turn>, Failure> {
        let principal = {
            let context = CallContext::of(request.extensions());
            let _span = context.trace().map(|trace| trace.child("issuer keys"));
            pending.finish().await?
        };
        self.admit(principal, rules, request, Timestamp::now())
    }
}

/// A call within the rate of its identity.
struct Taken {
    identity: Arc<Usage>,
    cost: u64,
}

impl Taken {
    /// Counts the call, with everything that it holds, among those of its identity. Returns the turn that it has to
    /// wait for, if it has to.
    fn begin(self, request: &Request<Body>) -> Result<Option<Turn>, Failure> {
        let Some(permit) = Permit::of(request.extensions()) else { return Ok(None) };
        let number = self.identity.number();
        permit.authenticate(self.identity)?;
        Ok(identity_share::begin_call(number, self.cost))
    }
}

impl<S> Service<Request<Body>> for AuthService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let decision = match self.gate.decide(&mut request) {
            Ok(Decision::Admit(None)) => return Either::Left(self.inner.call(request)),
            Ok(decision) => decision,
            Err(failure) => return Either::Right(Box::pin(ready(Ok(refusal(&failure, &request))))),
        };
        // The inner service that is ready is called later. The next call uses its clone.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let gate = Arc::clone(&self.gate);
        Either::Right(Box::pin(async move {
            let admitted = match decision {
                Decision::Admit(turn) => Ok(turn),
                Decision::Wait(pending, rules) => gate.admit_later(pending, rules, &mut request).await,
            };
            match admitted {
                Ok(turn) => {
                    if let Some(turn) = turn {
                        // An error means that the server ends; the call then continues, and is refused inside.
                        let _ = turn.await;
                    }
                    inner.call(request).await
                }
                Err(failure) => Ok(refusal(&failure, &request)),
            }
        }))
    }
}

/// Says in the span of an authentication what kind of credential the call has.
fn set_credential(span: &mut Option<ChildSpan<'_>>, credential: &'static str) {
    if let Some(span) = span {
        span.set("feature.credential", credential);
    }
}

fn refusal(failure: &Failure, request: &Request<Body>) -> Response<Body> {
    let context = CallContext::of(request.extensions());
    match failure {
        Failure::Auth(_) => context.counters().auth_failure(failure.reason()),
        Failure::RateExceeded { .. } => context.counters().rate_limited(),
        _ => {}
    }
    failure.status(context.request_id()).into_http()
}

/// The token in the one `authorization` header (RFC 6750, section 2.1).
///
/// # Errors
/// [`AuthError::TokenMissing`] or [`AuthError::TokenInvalid`].
pub fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthError::TokenMissing)?;
    if values.next().is_some() {
        return Err(AuthError::TokenInvalid("there is more than one authorization header"));
    }
    let value = value.to_str().map_err(|_| AuthError::TokenInvalid("it is not plain ASCII"))?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_matches(' ')),
        _ => Err(AuthError::TokenInvalid("the authorization header is not 'Bearer TOKEN'")),
    }
}

/// The certificate of the connection, if it counts.
///
/// It does not count beside a token, which is more specific, nor in a request of a web page: a browser adds the
/// certificate of its user to the requests of any page, so a page needs a token.
fn certificate<'c>(context: &'c CallContext, headers: &HeaderMap) -> Option<&'c CertificateNames> {
    let certificate = context.client().certificate.as_deref()?;
    let counts = !headers.contains_key(AUTHORIZATION) && !headers.contains_key(ORIGIN);
    counts.then_some(certificate)
}

#[cfg(test)]
mod tests;
