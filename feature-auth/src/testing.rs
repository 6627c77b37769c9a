//! Shared by the tests of this crate: signing keys of issuers, an issuer's https server, principals. No test is here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use feature_core::{IdError, InstanceId, OrganizationId, UserId};
use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::access::{CallNames, INSTANCE_METADATA, ORGANIZATION_METADATA};
use crate::authenticate::principal::{Grant, Identity, Principal};
use crate::authenticate::{Authentication, Authenticator};
use crate::clock::Timestamp;
use crate::config;
use crate::error::AuthError;
use crate::keys::jwks::KeySet;
use crate::roles::Roles;

/// The time of the tests: 2027-01-15T08:00:00Z.
pub const NOW: u64 = 1_800_000_000;

pub fn now() -> Timestamp {
    Timestamp { unix_s: NOW, monotonic: Instant::now() }
}

impl Timestamp {
    /// The time after this duration.
    pub fn after(self, duration: Duration) -> Self {
        Self { unix_s: self.unix_s + duration.as_secs(), monotonic: self.monotonic + duration }
    }
}

impl KeySet {
    /// The ids of the keys, in the order of the set.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_deref().unwrap_or_default())
    }
}

/// A key of an issuer.
pub struct Signer {
    pub id: &'static str,
    pub algorithm: Algorithm,
    pub key: EncodingKey,
}

impl Signer {
    pub fn new(id: &'static str, algorithm: Algorithm) -> Self {
        let pair = match algorithm {
            Algorithm::EdDSA => KeyPair::generate_for(&rcgen::PKCS_ED25519),
            Algorithm::ES256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Algorithm::ES384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            _ => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048),
        }
        .unwrap();
        let key = match algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_der(pair.serialized_der()),
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap(),
            _ => EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap(),
        };
        Self { id, algorithm, key }
    }

    /// The public half, as an issuer publishes it.
    pub fn jwk(&self) -> Value {
        let mut jwk = match self.algorithm {
            // The library finds the public half only in another form of the private one.
            Algorithm::EdDSA => {
                use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
                let pair = Ed25519KeyPair::from_pkcs8(self.key.as_bytes()).unwrap();
                json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(pair.public_key())})
            }
            _ => serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap(),
        };
        jwk["kid"] = json!(self.id);
        jwk
    }

    /// A token with this key's usual header.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.algorithm, "kid": self.id}), claims)
    }

    /// A token with another header, signed with this key's algorithm. The header may name another one.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

/// The first two parts of a token.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}")
}

pub fn jwks(signers: &[&Signer]) -> Vec<u8> {
    json!({"keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>()}).to_string().into_bytes()
}

/// An issuer for the audience `features` without a place for its keys.
pub fn issuer(name: &str) -> config::Issuer {
    config::Issuer {
        issuer: name.to_owned(),
        audience: "features".to_owned(),
        instance: None,
        jwks_file: None,
        jwks_url: None,
        jwks_ca_file: None,
    }
}

/// The built-in roles.
pub fn roles() -> Roles {
    Roles::new(&BTreeMap::new())
}

pub async fn authenticate(
    authenticator: &Authenticator,
    token: &str,
    now: Timestamp,
) -> Result<Arc<Principal>, AuthError> {
    match authenticator.authenticate(token, now) {
        Authentication::Ready(principal) => principal,
        Authentication::Pending(pending) => pending.finish().await,
    }
}

/// An answer of the server.
#[derive(Debug, Clone)]
pub enum Answer {
    Body(Vec<u8>),
    Status(u16),
    RedirectTo(String),
    Never,
}

/// An issuer's https server. Its root certificate is in `ca_file` only.
pub struct Server {
    pub url: String,
    pub ca_file: PathBuf,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<AtomicUsize>,
}

impl Server {
    pub async fn start(folder: &Path, answer: Answer) -> Self {
        let (acceptor, root) = tls();
        let ca_file = folder.join("root.pem");
        std::fs::write(&ca_file, root).unwrap();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("https://localhost:{}/keys", listener.local_addr().unwrap().port());
        let server = Self { url, ca_file, answer: Arc::new(Mutex::new(answer)), requests: Arc::default() };
        let (answer, requests) = (Arc::clone(&server.answer), Arc::clone(&server.requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answer, requests) = (acceptor.clone(), Arc::clone(&answer), Arc::clone(&requests));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |_| {
                        requests.fetch_add(1, Ordering::SeqCst);
                        respond(answer.lock().unwrap().clone())
                    });
                    let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        server
    }

    pub fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn respond(answer: Answer) -> Result<Response<Full<Bytes>>, http::Error> {
    match answer {
        Answer::Body(body) => Response::builder().body(Full::from(body)),
        Answer::Status(status) => Response::builder().status(status).body(Full::default()),
        Answer::RedirectTo(url) => Response::builder().status(302).header("location", url).body(Full::default()),
        Answer::Never => std::future::pending().await,
    }
}

fn tls() -> (TlsAcceptor, String) {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), cert.pem())
}

/// A principal in texts. An empty text is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Who {
    pub instance: &'static str,
    /// The organization that the token names.
    pub organization: &'static str,
    pub user: &'static str,
    /// Built-in roles with the organizations that they are granted in: `ORG_OWNER@acme IAM_OWNER`.
    pub roles: &'static str,
}

impl Who {
    pub fn principal(self) -> Arc<Principal> {
        let roles = roles();
        let organization = |id: &str| (!id.is_empty()).then(|| OrganizationId::new(id).unwrap());
        let grant = |text: &str| {
            let (role, id) = text.split_once('@').unwrap_or((text, ""));
            Grant { role: Arc::clone(roles.get(role).unwrap()), organization: organization(id) }
        };
        let instance = (!self.instance.is_empty()).then(|| InstanceId::new(self.instance).unwrap());
        Arc::new(Principal {
            identity: Identity::new("tests", "tester", instance.as_ref()),
            subject: "tester".to_owned(),
            user: (!self.user.is_empty()).then(|| UserId::new(self.user).unwrap()),
            instance,
            organization: organization(self.organization),
            grants: self.roles.split_whitespace().map(grant).collect(),
            expires_at: NOW + 60,
            token: None,
        })
    }
}

/// The names of a call in texts. An empty text is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names<'n> {
    pub instance: &'n str,
    pub default_instance: &'n str,
    pub organization: &'n str,
}

impl CallNames for Names<'_> {
    fn instance(&self) -> Result<Option<InstanceId>, AuthError> {
        name(INSTANCE_METADATA, self.instance, InstanceId::new)
    }

    fn default_instance(&self) -> Result<Option<InstanceId>, AuthError> {
        name("default", self.default_instance, InstanceId::new)
    }

    fn organization(&self) -> Result<Option<OrganizationId>, AuthError> {
        name(ORGANIZATION_METADATA, self.organization, OrganizationId::new)
    }
}

fn name<I>(field: &'static str, text: &str, id: fn(&str) -> Result<I, IdError>) -> Result<Option<I>, AuthError> {
    let id = (!text.is_empty()).then(|| id(text)).transpose();
    id.map_err(|error| AuthError::field(field, error))
}

/// The outcome of a check, short enough for a table.
pub fn outcome<T>(result: Result<T, AuthError>, shown: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => shown(value),
        Err(AuthError::PermissionMissing { .. }) => "denied".to_owned(),
        Err(AuthError::InstanceUnknown) => "no instance".to_owned(),
        Err(AuthError::FieldInvalid { field, .. }) => format!("bad {field}"),
        Err(other) => panic!("{other}"),
    }
}
