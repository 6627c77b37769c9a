//! Fetches a key set from an https URL, bounded in time and size. Redirects are not followed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;

use super::LoadError;
use crate::config::values::{Form, HttpsUrl};
use crate::roots;

/// How long a fetch may take, from the name lookup to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest accepted answer, in bytes.
pub(super) const BODY_MAX_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(crate) struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    url: Uri,
}

impl Fetcher {
    /// Prepares fetches. `ca_file` has the PEM root certificates of the server, instead of the machine's.
    pub(crate) fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, LoadError> {
        let url = url.parse().ok().filter(|_| (HttpsUrl::ACCEPTS)(url)).ok_or(LoadError::Url)?;
        let problem = if ca_file.is_some() { LoadError::CaFile } else { LoadError::NoRoots };
        let roots = roots::load(ca_file).map_err(problem)?;
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("the provider has the default versions");
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
        // Fetches are minutes apart, and servers close idle connections sooner.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, url })
    }

    pub(crate) async fn fetch(&self) -> Result<Bytes, LoadError> {
        let answer = async {
            let request = Request::get(&self.url).header(ACCEPT, "application/json").body(Empty::new());
            let response = self.client.request(request.expect("the URL and the header are valid")).await?;
            if response.status() != StatusCode::OK {
                return Err(LoadError::Status(response.status()));
            }
            let body = Limited::new(response.into_body(), BODY_MAX_BYTES).collect().await.map_err(LoadError::Body)?;
            Ok(body.to_bytes())
        };
        tokio::time::timeout(TIMEOUT, answer).await.map_err(|_| LoadError::Timeout)?
    }
}

#[cfg(test)]
mod tests;
