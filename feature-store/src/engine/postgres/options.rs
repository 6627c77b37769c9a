//! What the operator says about the database: where it is, how to log in, and what it has to promise.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::hosts::{Host, Hosts};
use super::url::{PostgresUrl, PostgresUrlError};

/// How to reach the log in a PostgreSQL, and what it has to promise.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Where the database is.
    pub url: PostgresUrl,
    /// The user's password, if it needs one.
    pub password: Option<String>,
    /// The root certificates that hosts are checked against; needed if [`PostgresUrl::uses_tls`].
    pub roots: Option<RootCertStore>,
    /// Allows connections in clear text to other machines; then the URL's `sslmode` decides, and without it they are.
    pub allow_cleartext: bool,
    /// How durable an acknowledged write has to be.
    pub durability: Durability,
}

/// How durable an acknowledged write has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// As the database is configured. What may lose writes is logged at the start.
    #[default]
    AsConfigured,
    /// On a standby as well: a database without synchronous standbys is refused.
    Replicated,
}

/// Why options do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostgresOptionsError {
    /// The URL forbids what the other options ask for.
    #[error("the URL of the database {0}")]
    Url(#[from] PostgresUrlError),
    /// There is nothing to check certificates against.
    #[error("a host of the database is called over TLS, and there are no root certificates to check it with")]
    NoRoots,
}

impl PostgresOptions {
    /// Options without a password, root certificates, clear text to other machines, or a demand for standbys.
    #[must_use]
    pub fn new(url: PostgresUrl) -> Self {
        Self { url, password: None, roots: None, allow_cleartext: false, durability: Durability::AsConfigured }
    }

    pub(super) fn hosts(&self) -> Result<Hosts, PostgresOptionsError> {
        let roots = match &self.roots {
            None if self.url.uses_tls(self.allow_cleartext)? => return Err(PostgresOptionsError::NoRoots),
            None => RootCertStore::empty(),
            Some(roots) => roots.clone(),
        };
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("the provider has the default versions");
        let tls = MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth());
        let mut login = self.url.login();
        if let Some(password) = &self.password {
            login.password(password);
        }
        let hosts = self.url.hosts(self.allow_cleartext)?;
        let host = |(name, port, ssl_mode)| Host::new(&login, name, port, ssl_mode);
        Ok(Hosts::new(hosts.into_iter().map(host).collect(), tls))
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, password, roots, allow_cleartext, durability } = self;
        formatter
            .debug_struct("PostgresOptions")
            .field("url", &url.to_string())
            .field("password", &password.as_ref().map(|_| "…"))
            .field("roots", &roots.as_ref().map(RootCertStore::len))
            .field("allow_cleartext", allow_cleartext)
            .field("durability", durability)
            .finish()
    }
}
