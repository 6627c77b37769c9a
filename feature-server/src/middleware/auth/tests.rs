//! Calls through the layer: what is let in, what is answered instead, and what the inner service gets to see.

use std::convert::Infallible;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use feature_core::{InstanceId, UserId};
use http::header::HeaderValue;
use jsonwebtoken::Algorithm;
use serde_json::json;
use tonic::Status;
use tonic_types::StatusExt;
use tower::{ServiceExt, service_fn};
use tracing::Instrument;

use super::*;
use crate::auth::mint::{TokenRequest, mint};
use crate::auth::testing::{Answer, Server, Signer, issuer, jwks, schema};
use crate::config::settings;

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
        let asked = TokenRequest {
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            instance: Some(InstanceId::new("demo").unwrap()),
            user: Some(UserId::new("42").unwrap()),
            lifetime: Duration::from_secs(60),
            ..TokenRequest::default()
        };
        let key = KeyFolder::open_or_create(self.folder.path()).unwrap().signing().unwrap();
        mint(&key, &self.settings, &asked, Moment::now()).unwrap().token
    }

    /// What the inner service sees of the call, or the reason of the answer that it never sees.
    async fn call(&self, path: &str, token: Option<&str>) -> Result<Seen, (String, i32)> {
        let mut request = Request::builder().uri(path).extension(CallContext::for_tests()).body(()).unwrap();
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap());
        }
        let seen = Arc::new(Mutex::new(None));
        let service = self.layer.layer(service_fn(|request: Request<()>| {
            let caller = Caller::of(request.extensions());
            *seen.lock().unwrap() = Some(Seen {
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
async fn only_who_may_call_gets_through() {
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
async fn the_inner_service_sees_the_caller_and_no_token() {
    let setup = Setup::new(Settings::default());
    let demo = feature_core::Scope::Instance(InstanceId::new("demo").unwrap());
    let seen = setup.call(GET, Some(&setup.token(&[]))).await.unwrap();
    assert_eq!(seen, Seen { subject: Some("42".to_owned()), instance: Some(demo), token: false });
    let seen = setup.call(HEALTH, None).await.unwrap();
    assert_eq!(seen, Seen { subject: None, instance: None, token: false }, "nobody calls a public service");
}

#[tokio::test]
async fn a_call_waits_for_the_keys_of_its_issuer() {
    let (known, unknown) = (Signer::new("known", Algorithm::EdDSA), Signer::new("unknown", Algorithm::EdDSA));
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), Answer::Body(jwks(&[&known]))).await;
    let mut settings = Settings::default();
    settings.auth.issuers = vec![settings::Issuer {
        jwks_url: Some(server.url.clone()),
        jwks_ca_file: Some(server.ca_file.clone()),
        instance: Some("demo".to_owned()),
        ..issuer("https://issuer.example")
    }];
    let setup = Setup::new(settings);
    let now = Moment::now().unix_s;
    let claims = json!({"iss": "https://issuer.example", "aud": "features", "sub": "7", "iat": now, "exp": now + 60});
    // No call has waited yet, so the load that the start began cannot have ended.
    assert_eq!(setup.call(GET, Some(&known.token(&claims))).await.unwrap().subject.as_deref(), Some("7"));
    let refused = setup.call(GET, Some(&unknown.token(&claims))).await;
    assert_eq!(refused.unwrap_err().0, "TOKEN_INVALID");
    assert_eq!(server.requests(), 1);
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
