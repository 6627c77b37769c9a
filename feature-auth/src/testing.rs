//! What the tests of this module share: signing keys of issuers, and an issuer's https server. No test is here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use feature_api::schema::Schema;
use feature_core::{InstanceId, OrganizationId, UserId};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::roles::Roles;
use crate::auth::authenticate::principal::{Grant, Identity, Principal};
use crate::auth::authenticate::{Attempt, Authenticator};
use crate::auth::clock::Moment;
use crate::config::settings;
use crate::error::Failure;

/// The time of the tests: 2027-01-15T08:00:00Z.
pub const NOW: u64 = 1_800_000_000;

pub fn now() -> Moment {
    Moment { unix_s: NOW, steady: Instant::now() }
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

    /// A token with a header of its own, signed with this key's algorithm whatever the header says.
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

/// An issuer for the audience `features` with its keys nowhere yet.
pub fn issuer(name: &str) -> settings::Issuer {
    settings::Issuer {
        issuer: name.to_owned(),
        audience: "features".to_owned(),
        instance: None,
        jwks_file: None,
        jwks_url: None,
        jwks_ca_file: None,
    }
}

pub fn headers(token: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap())])
}

pub async fn authenticate(authenticator: &Authenticator, token: &str, at: Moment) -> Result<Arc<Principal>, Failure> {
    match authenticator.attempt(&headers(token), at) {
        Attempt::Known(known) => known,
        Attempt::Waiting(waiting) => waiting.finish().await,
    }
}

/// What the server answers.
#[derive(Debug, Clone)]
pub enum Answer {
    Body(Vec<u8>),
    Status(u16),
    RedirectTo(String),
    Never,
}

/// An issuer's https server, whose certificate is of a root that only `ca_file` holds.
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
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &Issuer::new(root, root_key)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), root_pem)
}

/// A principal by texts. Each empty one is none.
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
        let roles = Roles::new(&BTreeMap::new());
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
        })
    }
}

/// Metadata by texts: `name: value` in each.
pub fn metadata(entries: &[&str]) -> HeaderMap {
    let entries = entries.iter().map(|entry| entry.split_once(": ").unwrap());
    entries
        .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), HeaderValue::try_from(value).unwrap()))
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
}

/// What became of a check, short enough for a table.
pub fn outcome<T>(result: Result<T, Failure>, shown: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => shown(value),
        Err(Failure::PermissionMissing { .. }) => "denied".to_owned(),
        Err(Failure::InstanceUnknown) => "no instance".to_owned(),
        Err(Failure::FieldsInvalid(violations)) => format!("bad {}", violations[0].field),
        Err(other) => panic!("{other}"),
    }
}

/// The schema of the real protos.
pub fn schema() -> Schema {
    Schema::new(feature_api::descriptor_pool()).unwrap()
}
