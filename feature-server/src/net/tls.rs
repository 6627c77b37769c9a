//! TLS on connections: the handshake, and the client's certificate.
//!
//! `files` builds the configuration from the files, and `reload` keeps it current. Only `hello` knows HTTP, for its
//! answer to a client that does not speak TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use feature_auth::CertificateNames;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use x509_cert::Certificate;
use x509_cert::der::{self, Decode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::config::settings::Settings;
use crate::net::shutdown::{Drain, Phase};

mod files;
mod hello;
mod reload;
#[cfg(test)]
mod tests;

pub use files::TlsError;
use reload::Reload;

/// A connection's stream, with or without TLS. The TLS state is boxed, so that a connection without it is not larger.
pub(crate) type Stream<Io> = Either<Io, Box<TlsStream<Io>>>;

/// TLS as configured by the settings.
pub struct Tls {
    config: ArcSwap<ServerConfig>,
    /// When the certificate expires, in seconds since 1970; 0 if that cannot be read.
    expires_at: AtomicU64,
    handshake_timeout: Duration,
}

impl Tls {
    /// Reads the files that the settings name; `None` if they name none. Must be called on a tokio runtime, which
    /// reloads changed files.
    ///
    /// # Errors
    /// [`TlsError`] names the setting and the file that cannot be used.
    pub fn open(settings: &Settings) -> Result<Option<Arc<Self>>, TlsError> {
        let Some((reload, config)) = Reload::begin(&settings.tls)? else { return Ok(None) };
        let handshake_timeout = Duration::from_millis(settings.limits.receive_timeout_ms);
        let (config, expires_at) = (ArcSwap::from_pointee(config), AtomicU64::new(reload.expires_at()));
        let tls = Arc::new(Self { config, expires_at, handshake_timeout });
        tokio::spawn(reload.run(Arc::clone(&tls)));
        Ok(Some(tls))
    }

    /// When the certificate in use expires, in seconds since 1970, if that can be read.
    pub fn expires_at(&self) -> Option<u64> {
        Some(self.expires_at.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }

    /// Opens a connection by a handshake; `None` if the connection is to be closed. Returns the encrypted stream, and
    /// the names in the client's certificate if it has sent one.
    ///
    /// `address`: the client's, for the log.
    pub(crate) async fn accept<Io>(
        &self,
        mut io: Io,
        address: SocketAddr,
        drain: Drain,
    ) -> Option<(Stream<Io>, Option<Arc<CertificateNames>>)>
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = async {
            let hello = hello::read(&mut io).await?;
            StartHandshake::from_parts(hello, io).into_stream(self.config.load_full()).await
        };
        let made = tokio::select! {
            made = timeout(self.handshake_timeout, handshake) => {
                made.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
            () = drain.reached(Phase::Draining) => return None,
        };
        let stream = made.inspect_err(|error| tracing::debug!(%address, %error, "a TLS handshake failed")).ok()?;
        let unreadable = |error: &der::Error| tracing::debug!(%error, "a client's certificate cannot be read");
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let names = leaf.and_then(|leaf| names_in(leaf).inspect_err(unreadable).ok());
        Some((Either::Right(Box::new(stream)), names.map(Arc::new)))
    }
}

/// The names in a client's certificate, which the handshake has verified.
fn names_in(certificate: &[u8]) -> der::Result<CertificateNames> {
    let certificate = Certificate::from_der(certificate)?;
    let certificate = certificate.tbs_certificate();
    let names = certificate.get_extension::<SubjectAltName>().map_err(|_| der::Error::from(der::ErrorKind::Failed))?;
    let names = names.map(|(_, SubjectAltName(names))| names).unwrap_or_default();
    let uris = names.into_iter().filter_map(|name| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
        _ => None,
    });
    Ok(CertificateNames {
        subject: certificate.subject().to_string(),
        uris: uris.collect(),
        expires_at: certificate.validity().not_after.to_unix_duration().as_secs(),
    })
}
