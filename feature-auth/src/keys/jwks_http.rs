//! Fetches a key set from an https URL, bounded in time and size. Redirects are not followed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::uri::Scheme;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::text_file;

/// How long a fetch may take, from the name lookup to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest accepted answer, in bytes.
const BODY_MAX_BYTES: usize = 256 * 1024;

/// Why a URL cannot be fetched with these settings at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetcherError {
    /// The URL is not https, or has user information.
    #[error("must be an https URL without user information")]
    Url,
    /// The file with certificates cannot be used.
    #[error("is no file with PEM certificates: {0}")]
    CaFile(String),
    /// The machine has no root certificates.
    #[error("the machine has no root certificates to check it with, name some in jwks_ca_file: {0}")]
    NoRoots(std::io::Error),
    /// The TLS library refuses.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Why a fetch failed this time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// It took too long.
    #[error("the server gives no complete answer in time")]
    Timeout,
    /// The server cannot be reached, or its certificate is not trusted.
    #[error("the server cannot be reached: {}", chain(.0))]
    Connection(#[from] hyper_util::client::legacy::Error),
    /// The status is not 200. That includes redirects, which could lead anywhere.
    #[error("the server answers {0}")]
    Status(StatusCode),
    /// The answer is incomplete or too large.
    #[error("the answer cannot be read, or has more than {BODY_MAX_BYTES} bytes: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

/// Fetches from one URL.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    url: Uri,
    timeout: Duration,
}

impl Fetcher {
    /// Prepares fetches.
    ///
    /// * `url`: an https URL.
    /// * `ca_file`: the PEM root certificates of the server, instead of the machine's.
    ///
    /// # Errors
    /// [`FetcherError`] if no fetch can ever succeed.
    pub(crate) fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, FetcherError> {
        let url: Uri = url.parse().map_err(|_| FetcherError::Url)?;
        let plain = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if url.scheme() != Some(&Scheme::HTTPS) || !plain {
            return Err(FetcherError::Url);
        }
        let builder = match ca_file {
            Some(file) => HttpsConnectorBuilder::new().with_tls_config(trusting(file)?),
            None => HttpsConnectorBuilder::new()
                .with_provider_and_native_roots(default_provider())
                .map_err(FetcherError::NoRoots)?,
        };
        let connector = builder.https_only().enable_http1().build();
        // Fetches are minutes apart, and servers close idle connections sooner.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, url, timeout: TIMEOUT })
    }

    /// Fetches once.
    ///
    /// # Errors
    /// [`FetchError`] if there is no complete answer with status 200.
    pub(crate) async fn fetch(&self) -> Result<Bytes, FetchError> {
        tokio::time::timeout(self.timeout, self.answer()).await.map_err(|_| FetchError::Timeout)?
    }

    /// The same fetcher with another time limit.
    #[cfg(test)]
    pub(crate) fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    async fn answer(&self) -> Result<Bytes, FetchError> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.url.clone();
        request.headers_mut().insert(ACCEPT, http::HeaderValue::from_static("application/json"));
        let response = self.client.request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), BODY_MAX_BYTES).collect().await.map_err(FetchError::Body)?;
        Ok(body.to_bytes())
    }
}

fn trusting(file: &Path) -> Result<ClientConfig, FetcherError> {
    let problem = |error: &dyn std::fmt::Display| FetcherError::CaFile(error.to_string());
    let mut roots = RootCertStore::empty();
    let pem = text_file::read(file).map_err(|error| problem(&error))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(|error| problem(&error))?).map_err(|error| problem(&error))?;
    }
    if roots.is_empty() {
        return Err(problem(&"it holds no certificate"));
    }
    let config =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The error with its causes: the outermost one alone does not say what failed.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
