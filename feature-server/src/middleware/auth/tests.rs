//! Calls through the layer: which ones are admitted, the answers to the others, and what the inner service sees.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use feature_auth::mint::{TokenRequest, mint};
use feature_core::{InstanceId, UserId};
use futures_util::FutureExt;
use http::header::HeaderValue;
use tonic::Status;
use tonic_types::StatusExt;
use tower::{ServiceExt, service_fn};
use tracing::Instrument;

use super::*;
use crate::call_context::Client;
use crate::monitoring::call_counters::CallCounters;
use crate::permit::Permits;
use crate::services::testing::schema;

struct Setup {
    layer: AuthLayer,
    folder: tempfile::TempDir,
    settings: Settings,
}

impl Setup {
    fn new(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::open_or_create(folder.path()).unwrap();
        Self { layer: layer(&settings, keys, &schema()).unwrap(), folder, settings }
    }

    fn token(&self, roles: &[&str]) -> String {
        self.token_of(self.folder.path(), roles)
    }

    /// A token of the newest key in this data folder.
    fn token_of(&self, folder: &Path, roles: &[&str]) -> String {
        let asked = TokenRequest {
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            instance: Some(InstanceId::new("demo").unwrap()),
            user: Some(UserId::new("42").unwrap()),
            lifetime: Duration::from_secs(60),
            ..TokenRequest::default()
        };
        let key = KeyFolder::open_or_create(folder).unwrap().signing().unwrap();
        let roles = Roles::new(&self.settings.roles);
        mint(&key, &self.settings.auth, &roles, &asked, Timestamp::now()).unwrap().token
    }

    /// What the inner service sees of the call, or the reason of the answer that it never sees.
    async fn call(&self, path: &str, token: Option<&str>) -> Result<Seen, (String, i32)> {
        let mut request = Request::builder().uri(path).extension(CallContext::for_tests()).body(Body::empty()).unwrap();
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap());
        }
        let seen = Arc::new(Mutex::new(None));
        let seen_inside = Arc::clone(&seen);
        let service = self.layer.layer(service_fn(move |request: Request<Body>| {
            let caller = request.extensions().get::<Caller>();
            *seen_inside.lock().unwrap() = Some(Seen {
                subject: caller.map(|caller| caller.subject().to_owned()),
                instance: caller.and_then(|caller| caller.instance().ok()),
                token: request.headers().contains_key(AUTHORIZATION),
            });
            async { Ok::<_, Infallible>(Response::new(Body::empty())) }
        }));
        let response = service.oneshot(request).await.unwrap();
        let status = response.extensions().get::<Status>();
        match status {
            None => Ok(seen.lock().unwrap().take().expect("the inner service was called")),
            Some(status) => {
                assert!(seen.lock().unwrap().is_none(), "a refused call goes no further");
                let reason = status.get_details_error_info().unwrap().reason;
                Err((reason, status.code() as i32))
            }
        }
    }
}

#[derive(Debug, PartialEq)]
struct Seen {
    subject: Option<String>,
    instance: Option<feature_core::Scope>,
    token: bool,
}

const GET: &str = "/zitadel.feature.v2.FeatureService/GetInstanceFeatures";
const SET: &str = "/zitadel.feature.v2.FeatureService/SetInstanceFeatures";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

#[tokio::test]
async fn only_authorised_calls_get_through() {
    let setup = Setup::new(Settings::default());
    let (plain, owner) = (setup.token(&[]), setup.token(&["IAM_OWNER"]));
    #[rustfmt::skip]
    let table = [
        // path                                          token            refused with
        (HEALTH,                                         None,            None),
        (GET,                                            Some(&plain),    None),
        (GET,                                            Some(&owner),    None),
        (SET,                                            Some(&owner),    None),
        (GET,                                            None,            Some(("TOKEN_MISSING", 16))),
        (GET,                                            Some(&"x.y.z".to_owned()), Some(("TOKEN_INVALID", 16))),
        (SET,                                            Some(&plain),    Some(("PERMISSION_MISSING", 7))),
        ("/zitadel.feature.v2.FeatureService/Nothing",   Some(&owner),    Some(("METHOD_UNKNOWN", 12))),
        ("/zitadel.feature.v2.FeatureService/Nothing",   None,            Some(("METHOD_UNKNOWN", 12))),
    ];
    for (path, token, refused) in table {
        let actual = setup.call(path, token.map(String::as_str)).await;
        let refused = refused.map(|(reason, code)| (reason.to_owned(), code));
        assert_eq!(actual.err(), refused, "{path} {token:?}");
    }
}

#[tokio::test]
async fn inner_service_sees_the_caller_and_no_token() {
    let setup = Setup::new(Settings::default());
    let demo = feature_core::Scope::Instance(InstanceId::new("demo").unwrap());
    let seen = setup.call(GET, Some(&setup.token(&[]))).await.unwrap();
    assert_eq!(seen, Seen { subject: Some("42".to_owned()), instance: Some(demo), token: false });
    let seen = setup.call(HEALTH, None).await.unwrap();
    assert_eq!(seen, Seen { subject: None, instance: None, token: false }, "a public service has no caller");
}

#[tokio::test]
async fn call_waits_for_the_keys_of_its_issuer() {
    let setup = Setup::new(Settings::default());
    KeyFolder::add(setup.folder.path()).unwrap();
    // The first call with the new key starts a load of the keys, and no other load follows within two seconds.
    assert_eq!(setup.call(GET, Some(&setup.token(&[]))).await.unwrap().subject.as_deref(), Some("42"));
    let stranger = tempfile::tempdir().unwrap();
    let unknown = setup.token_of(stranger.path(), &[]);
    assert_eq!(setup.call(GET, Some(&unknown)).await.unwrap_err().0, "TOKEN_INVALID");
}

#[tokio::test]
async fn a_call_waits_for_its_turn_on_a_busy_core() {
    let setup = Setup::new(Settings::default());
    let token = setup.token(&[]);
    let permits = Permits::with_message_bytes(1 << 20);
    let answer = |_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) };
    let service = setup.layer.layer(service_fn(answer));
    let call = || {
        let (permit, guard) = permits.permit([127, 0, 0, 1].into(), false, 1 << 20);
        let request = Request::builder().uri(GET).header(AUTHORIZATION, format!("Bearer {token}"));
        let request = request.extension(CallContext::for_tests()).extension(permit).body(Body::empty()).unwrap();
        let answered = service.clone().oneshot(request);
        async move { (answered.await.unwrap(), guard) }
    };
    assert!((0..700).all(|_| call().now_or_never().is_some()), "an identity that calls alone gets the whole core");
    assert!(identity_share::begin_call(0, 1).is_none(), "another one had less");
    let mut waiting = pin!(call());
    assert!(waiting.as_mut().now_or_never().is_none());
    identity_share::idle();
    waiting.await;
}

/// Collects what is logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn logs_name_the_principal_and_never_the_token() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let setup = Setup::new(Settings::default());
    let token = setup.token(&["IAM_OWNER"]);
    let span = tracing::info_span!("call", principal = tracing::field::Empty);
    async {
        setup.call(SET, Some(&token)).await.unwrap();
        setup.call(SET, Some(&format!("{token}x"))).await.unwrap_err();
        tracing::info!("answered");
    }
    .instrument(span)
    .await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("principal=\"42\""), "{log}");
    for part in token.split('.') {
        assert!(!log.contains(part), "{log}");
    }
    assert!(!log.contains("IAM_OWNER"), "no claim either: {log}");
}

#[test]
fn bearer_token_must_be_given_exactly_once() {
    let table: [(&[&str], Result<&str, &str>); 9] = [
        // authorization headers          token, or the error
        (&["Bearer x.y.z"], Ok("x.y.z")),
        (&["bearer x.y.z"], Ok("x.y.z")),
        (&["BEARER   x.y.z"], Ok("x.y.z")),
        (&[], Err("no credential")),
        (&["Bearer x.y.z", "Bearer x.y.z"], Err("more than one authorization header")),
        (&["x.y.z"], Err("is not 'Bearer TOKEN'")),
        (&["Basic dTpw"], Err("is not 'Bearer TOKEN'")),
        (&["Bearer"], Err("is not 'Bearer TOKEN'")),
        (&["Bearer ü"], Err("not plain ASCII")),
    ];
    for (values, expected) in table {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        match (bearer(&headers), expected) {
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (actual, expected) => assert_eq!(actual.ok(), expected.ok(), "{values:?}"),
        }
    }
}

#[test]
fn certificate_does_not_count_beside_a_token_or_for_a_page() {
    let certificate_of = |header: &str| {
        let request = Request::builder().header(header, "x").body(()).unwrap();
        let shown = CertificateNames { subject: "CN=ann".to_owned(), uris: Vec::new(), expires_at: 7 };
        let client = Client { certificate: Some(shown.into()), ..Client::default() };
        let context = CallContext::from_request(&request, client, Arc::new(CallCounters::new(64)));
        certificate(&context, request.headers()).map(|names| (names.subject.clone(), names.expires_at))
    };
    let table = [("accept", true), ("authorization", false), ("origin", false)];
    for (header, counts) in table {
        assert_eq!(certificate_of(header), counts.then(|| ("CN=ann".to_owned(), 7)), "{header}");
    }
    assert!(certificate(&CallContext::for_tests(), &HeaderMap::new()).is_none(), "a connection without a certificate");
}
